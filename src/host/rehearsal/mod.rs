//! A rehearsal: a folder that is the root of a FreeBSD host, with a model of everything that is not a file.
//!
//! Whatever the program does to a host it can do to such a folder, on any operating system and without privileges. The
//! folder keeps its state from one command to the next: files where FreeBSD has them, everything else in
//! `.rehearsal/state.json` ([`Model`]), which may be edited between two commands.
//!
//! # What is modelled
//!
//! - Files, with recorded owners ([`Model::owners`]) and real permission bits.
//! - Accounts: `/etc/master.passwd`, `/etc/passwd`, `/etc/group`, and what pw(8) refuses.
//! - rc.conf(5) and sysrc(8); `service(8)`: a script must exist and be executable, `NAME_enable` must be set.
//! - The kernel: modules, the sysctls that matter here, securelevel, jails, mac_portacl(4) and the reserved ports. The
//!   evaluator that the rest of the program uses decides who may bind a port.
//! - A boot ([`Rehearsal::reboot`]): the files of loader(8), sysctl.conf as sysctl(8) reads it (lines end at 1023
//!   characters), `kld_list`, portacl-rc, the boot guard, services, the late pass, securelevel.
//! - GoToSocial 0.19 and 0.20: its configuration, its start and the ways in which that fails, its log, its database,
//!   its built-in Let's Encrypt, the pages that a check requests, and its command line. The program itself is never
//!   executed.
//! - pkg(8) with the packages of nginx and Apache httpd 2.4. Both web servers: where they listen, which site has a name,
//!   certificates, our own site; tests, starts and reloads fail over syntax, missing files and ports.
//! - A PostgreSQL server with one database, its programs pg_dump, pg_restore and psql, and what they refuse.
//! - The resolver, the outside world and the certificate authority, as the state says.
//! - A clock that starts at 2026-01-01 00:00:00 UTC and advances by one second per change and by every wait.
//!
//! # What is not
//!
//! No script is run: the model does what the rc.d scripts do, and other tests cover their text. There are no processes,
//! signals, file flags (chflags(1)), ACLs, quotas or file times. A web server accepts directives that do not matter
//! here; sites other than ours answer an empty 200, and other web servers do not answer at all. Certificates are real,
//! but nobody trusts their authority.
//!
//! Where the model and a real FreeBSD machine disagree, the model has a bug.

mod accounts;
mod attempt;
mod authority;
mod boot;
mod certificate;
mod fresh_root;
mod gotosocial;
mod gotosocial_admin;
mod gotosocial_database;
mod host;
mod kernel;
mod machine;
pub mod model;
mod packages;
mod port_watch;
mod portacl_rc;
mod postgres;
mod postgres_script;
mod processes;
mod rc_conf;
mod rc_script;
mod services;
pub mod stand_in_release;
mod sysrc;
#[cfg(test)]
mod tests;
mod web;
pub mod web_servers;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::files::Root;
use super::{HostError, Owner};
use crate::operation;
use crate::shown::Shown;
use machine::Machine;
pub use model::{Authority, ChangeFault, Faults, Migrating, Model, OutsideAnswer, Postgres, Repository};
use port_watch::Watches;
use processes::Processes;

/// The state, as a path of the host.
const STATE: &str = "/.rehearsal/state.json";
const STATE_FOLDER: &str = "/.rehearsal";

/// A folder that stands for a FreeBSD host.
#[derive(Debug)]
pub struct Rehearsal {
    folder: PathBuf,
    machine: RefCell<Machine>,
    /// The state as it is on disk.
    saved: RefCell<Model>,
    watches: RefCell<Watches>,
    processes: Processes,
}

/// Why a folder cannot be used for a rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The root of this very system was named.
    #[error("{} is the root of this system, not a folder for a rehearsal; name a new or empty folder", .0.shown())]
    SystemRoot(PathBuf),
    /// The folder holds something else.
    #[error(
        "{} is not empty and holds no rehearsal, so it is left alone; name a new or empty folder",
        .0.shown()
    )]
    NotARehearsal(PathBuf),
    /// Somebody else has a say in the folder, in that of the state, or in one above.
    #[error("{} {why}, so somebody else could decide what the rehearsal reads and writes; {mend}", path.shown())]
    NotOwn {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        mend: String,
    },
    /// The folder cannot be created or read.
    #[error("cannot use {} for a rehearsal: {source}", path.shown())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The state file is malformed.
    #[error("cannot understand {}: {text}; correct it, or start afresh in another folder", path.shown())]
    State {
        /// The state file.
        path: PathBuf,
        /// The problem.
        text: String,
    },
    /// A file of the rehearsal cannot be read or written.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Refuses a folder in which somebody else than the caller, root included, could put another one or other files.
fn is_own(folder: &Path) -> Result<(), RehearsalError> {
    let failed = |source| RehearsalError::Folder { path: folder.to_path_buf(), source };
    let found = folder.symlink_metadata().map_err(failed)?;
    let caller = geteuid().as_raw();
    let (why, mend) = if found.is_symlink() {
        ("is a symbolic link".to_owned(), "name the folder itself".to_owned())
    } else if !found.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    } else if found.uid() != caller {
        let why = format!("belongs to uid {}, and you are uid {caller}", found.uid());
        (why, "name a folder of your own, or rehearse as that user".to_owned())
    } else if found.mode() & 0o022 != 0 {
        let why = format!("can be written by others than its owner (mode {:o})", found.mode() & 0o7777);
        (why, format!("`chmod go-w {}`, or name another folder", folder.shown()))
    } else {
        return Ok(());
    };
    Err(RehearsalError::NotOwn { path: folder.to_path_buf(), why, mend })
}

/// Refuses a folder, free of links, that somebody else could move away and replace: each folder above it must be root's or the
/// caller's. In one that others can write to, the sticky bit keeps them from what is not theirs.
fn is_out_of_reach(folder: &Path) -> Result<(), RehearsalError> {
    let caller = geteuid().as_raw();
    for above in folder.ancestors().skip(1) {
        let failed = |source| RehearsalError::Folder { path: above.to_path_buf(), source };
        let found = above.symlink_metadata().map_err(failed)?;
        let (uid, mode) = (found.uid(), found.mode() & 0o7777);
        let (why, mend) = if ![0, caller].contains(&uid) {
            (
                format!("belongs to uid {uid}, and you are uid {caller}"),
                "name a folder that is not in one of others".to_owned(),
            )
        } else if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            let why = format!("can be written by others than its owner (mode {mode:o})");
            (why, format!("`chmod go-w {}`, or name a folder elsewhere", above.shown()))
        } else {
            continue;
        };
        return Err(RehearsalError::NotOwn { path: above.to_path_buf(), why, mend });
    }
    Ok(())
}

impl Rehearsal {
    /// Opens a rehearsal, or starts one if the folder does not exist or is empty: with the files of a freshly
    /// installed FreeBSD and [`Model::fresh`]. Opening an existing one changes nothing in it.
    ///
    /// # Errors
    /// The folder is `/`, is not the caller's alone, is in a folder of others, holds something else, or cannot be used; the
    /// state file cannot be understood.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, RehearsalError> {
        let folder = folder.as_ref();
        let failed = |source| RehearsalError::Folder { path: folder.to_path_buf(), source };
        // Without the slash at its end, behind which a link would be followed.
        let named = folder.components().as_path();
        if matches!(named.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(named).map_err(failed)?;
        }
        let folder = named.canonicalize().map_err(failed)?;
        if folder.parent().is_none() {
            return Err(RehearsalError::SystemRoot(folder));
        }
        is_own(named)?;
        is_out_of_reach(&folder)?;
        let state = folder.join(STATE_FOLDER.trim_start_matches('/'));
        if state.symlink_metadata().is_ok() {
            is_own(&state)?;
        }
        let files = Root::recorded(&folder, BTreeMap::new());
        if files.entry(Path::new(STATE))?.is_none() {
            // The state folder alone is left by a start that was interrupted.
            let is_empty = fs::read_dir(&folder).map_err(failed)?.next().is_none();
            if !is_empty && files.entry(Path::new(STATE_FOLDER))?.is_none() {
                return Err(RehearsalError::NotARehearsal(folder));
            }
            files.make_directory(Path::new(STATE_FOLDER), 0o700, Owner::ROOT)?;
            fresh_root::lay_out(&files)?;
            save_state(&files, &text_of(&Model::fresh())?)?;
        }
        let (machine, saved) = load(&folder)?;
        let (watches, processes) = (RefCell::default(), Processes::default());
        Ok(Self { folder, machine: RefCell::new(machine), saved: RefCell::new(saved), watches, processes })
    }

    /// The folder, absolute.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The model as it is now.
    pub fn model(&self) -> Model {
        let machine = self.machine.borrow();
        Model { owners: machine.files.owners().records(), ..machine.model.clone() }
    }

    /// Changes the model from outside, as an editor of the state file would, and saves it.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn edit(&self, edit: impl FnOnce(&mut Model)) -> Result<(), HostError> {
        let mut model = self.model();
        edit(&mut model);
        *self.machine.borrow_mut() = machine_of(&self.folder, model);
        self.save()
    }

    /// Restarts the machine: the kernel forgets everything, then everything that a boot does is done.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn reboot(&self) -> Result<(), HostError> {
        self.aside(|machine| {
            machine.model.clock += 60;
            boot::reboot(machine)
        })
    }

    /// Makes a user write a post on the instance that is running.
    ///
    /// # Errors
    /// GoToSocial is not running, or its database cannot be written.
    pub fn post(&self, text: &str) -> Result<(), HostError> {
        self.aside(|machine| gotosocial_database::post(machine, text))
    }

    /// Cuts the power: everything that runs is gone without a shutdown, and the machine boots.
    ///
    /// # Errors
    /// As for [`Rehearsal::reboot`].
    pub fn cut_power(&self) -> Result<(), HostError> {
        self.edit(|model| (model.gotosocial, model.migrating) = (None, None))?;
        self.reboot()
    }

    /// The folder of the state, on the system that the program runs on.
    fn state_folder(&self) -> PathBuf {
        self.folder.join(STATE_FOLDER.trim_start_matches('/'))
    }

    /// Does something that is no change: it counts against no fault, and the clock does not advance.
    fn aside<T>(&self, work: impl FnOnce(&mut Machine) -> Result<T, HostError>) -> Result<T, HostError> {
        let outcome = operation::aside(|| work(&mut self.machine.borrow_mut()));
        self.save()?;
        outcome
    }

    /// Writes the state, unless it is on disk already.
    fn save(&self) -> Result<(), HostError> {
        let model = self.model();
        if *self.saved.borrow() != model {
            operation::aside(|| save_state(&self.machine.borrow().files, &text_of(&model)?))?;
            *self.saved.borrow_mut() = model;
        }
        Ok(())
    }

    /// The same after something that happens all the time and only takes time: the clock is written with the next change.
    fn save_unless_only_later(&self) -> Result<(), HostError> {
        let (clock, millis) = (self.saved.borrow().clock, self.saved.borrow().millis);
        let is_only_later = Model { clock, millis, ..self.model() } == *self.saved.borrow();
        if is_only_later { Ok(()) } else { self.save() }
    }

    /// Reads the state that another command may have left, once the lock is held.
    fn reload(&self) -> Result<(), HostError> {
        let (machine, saved) = load(&self.folder).map_err(|error| match error {
            RehearsalError::Host(error) => error,
            other => unreadable_state(other),
        })?;
        *self.machine.borrow_mut() = machine;
        *self.saved.borrow_mut() = saved;
        Ok(())
    }
}

impl Drop for Rehearsal {
    /// Writes the clock, unless another command has written a later state.
    fn drop(&mut self) {
        let saved = self.saved.borrow().clone();
        if self.model() != saved && load(&self.folder).is_ok_and(|(_, on_disk)| on_disk == saved) {
            // A rehearsal can do without its last seconds.
            let _ = self.save();
        }
    }
}

fn machine_of(folder: &Path, mut model: Model) -> Machine {
    let owners = std::mem::take(&mut model.owners);
    Machine { files: Root::recorded(folder, owners), model }
}

fn load(folder: &Path) -> Result<(Machine, Model), RehearsalError> {
    let files = Root::recorded(folder, BTreeMap::new());
    let bytes = files.read_unjudged(Path::new(STATE))?.unwrap_or_default();
    let state = |text: String| RehearsalError::State { path: folder.join(STATE.trim_start_matches('/')), text };
    let model: Model = serde_json::from_slice(&bytes).map_err(|error| state(error.to_string()))?;
    if model.schema != model::SCHEMA {
        return Err(state(format!("it has schema {}, and this program knows {}", model.schema, model::SCHEMA)));
    }
    Ok((machine_of(folder, model.clone()), model))
}

fn text_of(model: &Model) -> Result<String, HostError> {
    // Serde generates the code that writes a `Model` in this crate, which is slow in a test build; that of a `Value` is not.
    Ok(format!("{:#}\n", serde_json::to_value(model).map_err(unreadable_state)?))
}

fn save_state(files: &Root, text: &str) -> Result<(), HostError> {
    files.write_file(Path::new(STATE), text.as_bytes(), 0o600, Owner::ROOT)
}

fn unreadable_state(error: impl ToString) -> HostError {
    HostError::Unreadable { what: STATE.into(), text: error.to_string() }
}
