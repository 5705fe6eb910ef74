//! Backups: made while the instance serves, kept in number, put back on the same host and on one that was emptied.

use std::fs;
use std::path::{Path, PathBuf};

use gts_bootstrap::backup as format;
use gts_bootstrap::host::{DatabaseExamination, Entry, Host, NEVER, Owner, ServiceAction, ServiceState};

use super::said;
use crate::bench::{ANSWERS, Bench, CONFIG, HOST, OWN_FOLDER, SERVICE, USER, ensure};
use crate::reset::reset;

const FOLDER: &str = "/var/backups/gotosocial";
const STORAGE: &str = "/var/db/gotosocial/storage";
const DATABASE: &str = "/var/db/gotosocial/sqlite.db";
const PICTURE: &str =
    "/var/db/gotosocial/storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X7.png";
/// The weekly script.
const WEEKLY: &str = "/usr/local/etc/periodic/weekly/510.gotosocial-backup";

/// The backups in the usual folder, oldest first; a folder in it is none.
fn backups(bench: &Bench) -> Result<Vec<String>, String> {
    let host = bench.host()?;
    let names = host.list(Path::new(FOLDER)).map_err(said)?;
    ensure(names.iter().all(|name| !name.starts_with('.')), format!("something is left half done: {names:?}"))?;
    Ok(names.into_iter().filter(|name| name.ends_with(".tar")).collect())
}

fn runs(bench: &Bench) -> Result<bool, String> {
    Ok(matches!(bench.host()?.service(SERVICE).map_err(said)?, ServiceState::Running { .. }))
}

fn user(host: &dyn Host) -> Result<Owner, String> {
    let user = host.user(USER).map_err(said)?.ok_or("there is no service user")?;
    Ok(Owner { uid: user.uid, gid: user.gid })
}

/// Puts a picture among the media, as GoToSocial does.
fn with_picture(bench: &Bench, text: &str) -> Result<(), String> {
    let host = bench.host()?;
    let owner = user(host.as_ref())?;
    let mut folder = PathBuf::from(STORAGE);
    for name in ["01FPST95B8FC3HG3AGCDKPQNQ2", "attachment", "original"] {
        folder.push(name);
        host.make_directory(&folder, 0o750, owner).map_err(said)?;
    }
    host.write_file(Path::new(PICTURE), text.as_bytes(), 0o640, owner).map_err(said)
}

/// Makes a backup and says where it is for the system that this runs on.
fn backup(bench: &Bench) -> Result<PathBuf, String> {
    let json = bench.run(&["backup", "--yes", "--json"])?.exits(0)?.json()?;
    let file = json["file"].as_str().ok_or("the report names no file")?;
    ensure(file.starts_with(&format!("{FOLDER}/{HOST}-{}-", bench.mirror.middle)), format!("an odd name: {file}"))?;
    ensure(json["database"]["migrations"].as_u64().is_some_and(|count| count > 0), "the database was not looked into")?;
    bench.local(file)
}

pub(super) fn made_and_kept_in_number(bench: &Bench) -> Result<(), String> {
    with_picture(bench, "a picture")?;
    ensure(bench.text(WEEKLY)?.contains("weekly_gotosocial_backup_enable:=NO"), "the weekly script is off at first")?;
    bench.run(&["backup", "--plan"])?.exits(0)?.says("stop service gotosocial")?;
    ensure(!bench.exists(FOLDER)?, "a plan touches nothing")?;
    bench.run(&["backup"])?.exits(4)?;

    let file = backup(bench)?;
    ensure(runs(bench)?, "the service runs again")?;
    let name = format!("{FOLDER}/{}", backups(bench)?.pop().ok_or("there is no backup")?);
    let entry = bench.host()?.entry(Path::new(&name)).map_err(said)?;
    let is_private = matches!(entry, Some(Entry::File { mode: 0o600, owner: Owner::ROOT, .. }));
    ensure(is_private, format!("others may read the backup: {entry:?}"))?;
    let mut open = fs::File::open(&file).map_err(|error| error.to_string())?;
    let manifest = format::open(&mut open).map_err(|error| error.to_string())?.manifest;
    format::walk(&mut open, &manifest, &|| Ok(()), &mut |_, _| Ok(())).map_err(|error| error.to_string())?;
    let picture = "storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X7.png";
    for member in [format::SQLITE, format::CONFIG, "records/deployment.toml", "records/deployment.lock", picture] {
        ensure(manifest.entry(member).is_some(), format!("{member} is not in the backup"))?;
    }

    bench.run(&["backup", "--yes", "--without-media", "--keep", "1"])?.exits(0)?;
    ensure(backups(bench)?.len() == 1 && !file.exists(), "one is kept, and it is the newer one")?;
    bench.host()?.service_action(SERVICE, ServiceAction::Stop).map_err(said)?;
    bench.run(&["backup", "--yes", "--to", "/var/backups/gts-elsewhere"])?.exits(0)?;
    ensure(!runs(bench)?, "what was stopped stays stopped")?;
    bench.host()?.remove_tree(Path::new("/var/backups/gts-elsewhere")).map_err(said)
}

pub(super) fn put_back_on_the_same_host(bench: &Bench) -> Result<(), String> {
    with_picture(bench, "a picture")?;
    let file = backup(bench)?;
    let file = file.display().to_string();
    bench.remove(PICTURE)?;
    bench.run(&["restore", "--plan", &file])?.exits(0)?.says("All of it was read")?;
    bench.run(&["restore", "--yes", &file])?.exits(0)?.says("is kept in /var/backups/gotosocial/before-restore-")?;
    ensure(bench.text(PICTURE)? == "a picture", "the picture is not back")?;
    ensure(runs(bench)?, "the service does not run")?;
    let host = bench.host()?;
    let owner = user(host.as_ref())?;
    host.service_action(SERVICE, ServiceAction::Stop).map_err(said)?;
    let examination = DatabaseExamination { path: DATABASE.into(), owner, thorough: true };
    let state = host.examine_database(&examination, NEVER).map_err(said)?;
    ensure(state.damage.is_none() && state.migrations > 0, format!("the database is not whole: {state:?}"))?;

    // A damaged one touches nothing.
    let mut bytes = fs::read(&file).map_err(|error| error.to_string())?;
    let picture =
        bytes.windows(9).position(|window| window == b"a picture").ok_or("the picture is not in the backup")?;
    bytes[picture] ^= 1;
    fs::write(&file, bytes).map_err(|error| error.to_string())?;
    bench.run(&["restore", "--yes", &file])?.exits(1)?.says(" is damaged")?;
    ensure(!runs(bench)?, "nothing was started for it")
}

pub(super) fn put_back_on_an_empty_host(bench: &Bench) -> Result<(), String> {
    with_picture(bench, "a picture")?;
    bench.write(CONFIG, format!("# by hand\n{}", bench.text(CONFIG)?))?;
    let made = backup(bench)?;
    // Where a machine that is put back keeps it.
    let kept = bench.local(OWN_FOLDER)?.join("moved.tar");
    fs::copy(&made, &kept).map_err(|error| error.to_string())?;
    reset(bench)?;
    let (file, mirror) = (kept.display().to_string(), bench.mirror.place());
    bench.run(&["restore", "--yes", "--mirror", &mirror, &file])?.exits(0)?;
    ensure(runs(bench)?, "the service does not run")?;
    ensure(bench.text(CONFIG)?.starts_with("# by hand\n"), "what was edited by hand is lost")?;
    ensure(bench.text(PICTURE)? == "a picture", "the picture is not there")?;
    let host = bench.host()?;
    let owner = user(host.as_ref())?;
    for path in [DATABASE, PICTURE] {
        let entry = host.entry(Path::new(path)).map_err(said)?;
        let is_theirs = matches!(entry, Some(Entry::File { owner: whose, .. }) if whose == owner);
        ensure(is_theirs, format!("{path} is not the service user's: {entry:?}"))?;
    }
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change")?;
    bench.ports_are_guarded()?;

    // The same name is not the same instance.
    let other = ANSWERS.replace(HOST, "other.example.org");
    reset(bench)?;
    bench.install(&other)?.exits(0)?;
    bench
        .run(&["restore", "--yes", "--mirror", &mirror, &file])?
        .exits(1)?
        .says("the backup is of social.example.org")?;
    fs::remove_file(&kept).map_err(|error| error.to_string())
}
