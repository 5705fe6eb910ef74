//! Failures of the file system at every operation of an installation: the message names what, on what and why, and the host is
//! as it was. And things that stand where a file or folder is to be.

use std::fs;
use std::sync::OnceLock;

use gts_bootstrap::change::settle;
use gts_bootstrap::host::rehearsal::Rehearsal;

use super::plans;
use super::stops::{self, Silent};
use super::watched::{self, ENOSPC, EPERM, EROFS, Errno, Failure};
use crate::compare::{State, differences, state, without_data, without_times_of_backups};
use crate::image::Image;
use crate::machine::{ANSWERS, Machine};
use crate::settled::Classes;

const INSTALL: &[&str] = &["install", "--answers", "answers.toml", "--yes", "--no-check"];

fn fresh() -> Machine {
    let machine = Machine::fresh();
    fs::write(machine.beside("answers.toml"), ANSWERS).unwrap();
    machine
}

/// A machine, a command on it, and how that ends where nothing disturbs it.
struct Course {
    start: Image,
    command: &'static [&'static str],
    end: State,
}

/// A machine of this image, with the answers beside it.
fn machine(image: &Image) -> (tempfile::TempDir, Machine) {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    image.lay_out(&folder.path().join("machine"));
    let machine = Machine::at(&folder.path().join("machine"));
    (folder, machine)
}

impl Course {
    fn new(start: Machine, command: &'static [&'static str]) -> Self {
        let image = Image::of(start.root().parent().unwrap());
        start.run(command).exits(0);
        let end = without_times_of_backups(state(&Image::of(&start.root())));
        Self { start: image, command, end }
    }

    fn install() -> &'static Self {
        static INSTALL_COURSE: OnceLock<Course> = OnceLock::new();
        INSTALL_COURSE.get_or_init(|| Self::new(fresh(), INSTALL))
    }

    fn upgrade() -> &'static Self {
        static UPGRADE_COURSE: OnceLock<Course> = OnceLock::new();
        UPGRADE_COURSE.get_or_init(|| Self::new(plans::instance(), plans::UPGRADE))
    }

    fn backup() -> &'static Self {
        static BACKUP_COURSE: OnceLock<Course> = OnceLock::new();
        BACKUP_COURSE.get_or_init(|| Self::new(plans::instance(), plans::BACKUP))
    }
}

/// Fails every operation in turn. With `lasting`, all that follow fail too, and the host is as it was once the cause is gone.
fn at_every_operation(what: &str, course: &Course, errno: Errno, lasting: bool) {
    let Course { start, command, end } = course;
    let before = without_data(state(&Image::of(&machine(start).1.root())));
    let mut wrong = Vec::new();
    let mut count = 0;
    for at in 0.. {
        let (_folder, machine) = machine(start);
        let (outcome, failed) = watched::fail(&machine, command, Failure { at, lasting, errno });
        let Some((failed, errno)) = failed else { break };
        let why = match errno {
            ENOSPC => "free some space",
            EROFS => "mounted read-only",
            EPERM => "chflags",
            _ => "error",
        };
        count += 1;
        // Once the cause is gone.
        let settled =
            if lasting { settle::take_back(&Rehearsal::open(machine.root()).unwrap(), &Silent).unwrap() } else { None };
        let found = state(&Image::of(&machine.root()));
        // Only a record was missing, or nobody minds (a kept copy that is not taken away): the installation stands.
        let stands = match settled {
            Some(settled) => settled.had_ended,
            None => outcome.code == 0 || outcome.said().contains("every change was made"),
        };
        let different = match stands {
            true => differences(end, &without_times_of_backups(found)),
            false => differences(&before, &without_data(found)),
        };
        let names =
            outcome.code == 0 || (outcome.code == 1 && outcome.stderr.contains(why) && outcome.stderr.contains('/'));
        if !different.is_empty() || !names {
            wrong.push(format!("{what} at {at} ({failed}): exit code {}\n{different}{}", outcome.code, outcome.stderr));
        }
        if wrong.len() > 2 {
            break;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    stops::told_aloud(&format!("{}: {what} at {count} operations, {count} times as before", command[0]));
    assert!(count > 50, "only {count} operations to fail at");
}

macro_rules! failures {
    ($($name:ident: $course:ident, $errno:expr, $lasting:expr;)*) => {
        $(
            #[test]
            fn $name() {
                at_every_operation(stringify!($name), Course::$course(), $errno, $lasting);
            }
        )*
    };
}

failures! {
    no_space: install, watched::full, false;
    disk_full_for_good: install, watched::full, true;
    mounted_read_only: install, watched::read_only, true;
    io_error_on_fsync: install, watched::broken, false;
    immutable_flag: install, watched::immutable, false;
    no_space_at_an_upgrade: upgrade, watched::full, false;
    no_space_at_a_backup: backup, watched::full, false;
}

#[test]
fn what_stands_in_the_way_is_named() {
    let plan = fresh().run(&["install", "--answers", "answers.toml", "--plan", "--json"]).exits(0).json();
    let mut tried = 0;
    for change in plan["changes"].as_array().unwrap() {
        let (kind, target) = (change["kind"].as_str().unwrap(), change["target"].as_str().unwrap());
        let machine = fresh();
        let path = machine.path(target);
        if !["file", "directory", "symlink"].contains(&kind) || path.symlink_metadata().is_ok() {
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if kind == "directory" {
            fs::write(&path, "no folder\n").unwrap();
        } else {
            fs::create_dir(&path).unwrap();
        }
        let before = without_data(state(&Image::of(&machine.root())));
        let outcome = machine.run(INSTALL);
        let told = outcome.said();
        assert_eq!(outcome.code, 1, "{kind} {target}: {told}");
        // Where it is the program's own copy, its folder is named.
        assert!(told.replace(' ', "").contains(target), "{kind} {target}: {told}");
        let different = differences(&before, &without_data(state(&Image::of(&machine.root()))));
        assert_eq!(different, "", "{kind} {target}: {told}");
        tried += 1;
    }
    stops::told_aloud(&format!("install: something else in the way at {tried} places, all named"));
    assert!(tried > 15, "only {tried}");
}

/// The real thing: a process that is killed, at every write of the journal.
#[test]
fn killed_at_every_record_of_a_change() {
    let direct = fresh();
    direct.run(INSTALL).exits(0);
    let plans: [(&str, Machine, &[&str]); 2] =
        [("install", fresh(), INSTALL), ("switch_to_nginx", direct, &["switch-to-proxy", "nginx", "--yes"])];
    for (name, start, command) in plans {
        let uninterrupted = start.copy();
        fs::write(uninterrupted.beside("answers.toml"), ANSWERS).unwrap();
        uninterrupted.run(command).exits(0);
        let wanted = state(&Image::of(&uninterrupted.root()));
        let (mut count, mut classes) = (0, Classes::default());
        for at in 0.. {
            let machine = start.copy();
            fs::write(machine.beside("answers.toml"), ANSWERS).unwrap();
            if !watched::kill(&machine, command, at) {
                break;
            }
            count += 1;
            if !classes.is_new(&machine) {
                continue;
            }
            let outcome = machine.run(command).exits(0);
            let different = differences(&wanted, &state(&Image::of(&machine.root())));
            assert_eq!(different, "", "{name}, killed at {at}: {}", outcome.said());
        }
        stops::told_aloud(&format!("{name}: {count} kills, {count} recovered"));
        assert!(count > 60, "only {count} kills");
    }
}
