//! `backup`: the whole instance in one file.

use std::path::PathBuf;

use super::report::{bytes, counted};
use super::{Exit, Manner, Run, Stop, With, deployed};
use crate::backup as format;
use crate::deployment::Database;
use crate::error_code::ErrorCode;
use crate::gotosocial::SERVICE;
use crate::host::Whose;
use crate::parts::answers::Lock;
use crate::parts::backup::{self, Wanted};
use crate::shown::Shown;

/// The space for headers, the manifest and the small files.
const SLACK: u64 = 64 * 1024 * 1024;

/// The options of a backup.
pub struct BackupOptions {
    /// The folder, if not the usual one.
    pub to: Option<PathBuf>,
    /// Whether to include media.
    pub media: bool,
    /// How many backups to keep, if not all.
    pub keep: Option<u32>,
}

/// Makes a backup.
///
/// # Errors
/// The command was refused, or failed.
pub fn backup(run: &Run<'_>, options: &BackupOptions) -> Result<Exit, Stop> {
    run.settle()?;
    let (host, layout) = (run.host, &run.layout);
    let to = options.to.as_ref().unwrap_or(&layout.backups);
    if !to.is_absolute() {
        return Err(Stop::usage(format!("--to {}: write the whole path, beginning with a slash", to.shown())));
    }
    let lock = Lock::of_host(host, layout)?.ok_or_else(|| {
        Stop::refused(
            ErrorCode::NotInstalled,
            "GoToSocial was not installed here by gts-bootstrap, so there is nothing to back up",
        )
    })?;
    let deployment = deployed::deployment(host, layout, Exit::Failed)?;
    let owner = run.service_user()?;
    let wanted =
        Wanted { deployment: &deployment, layout, lock: &lock, owner, to, time: run.host.now(), media: options.media };
    room(run, &wanted)?;
    let make = || backup::plan(host, &wanted).map_err(Stop::from);
    let keep = options.keep.map(|keep| usize::try_from(keep).unwrap_or(usize::MAX));
    let prune = |keep: usize| backup::prune(host, &lock.host, &wanted.target(), keep).map_err(Stop::from);
    let plan = make()?;
    run.show(&plan, &format!("Plan: a backup of {}", lock.host), "");
    if !options.media {
        run.text(
            "Without media: pictures, sounds and films that users of this instance have uploaded are nowhere else.",
        );
    }
    for step in keep.map(prune).transpose()?.iter().flat_map(|gone| &gone.steps) {
        run.tell(
            Manner::Text(2),
            &format!("Removed once the new one is verified: {}", step.change.kind().target().shown()),
        );
    }
    if matches!(deployment.database, Database::Sqlite) && !host.service(SERVICE)?.is_running() {
        run.line("GoToSocial does not run now, and is not started.");
    }
    if !run.carry_out(&plan, &EXPLANATION, &make, With::watching(&plan, &[deployment.port().get()]))? {
        return Ok(Exit::Done);
    }
    tell(run, &wanted)?;
    if let Some(keep) = keep {
        run.tidy("", "the new backup is there, but not every older one could be removed", &|| prune(keep));
        run.report().changed = true;
    }
    Ok(Exit::Done)
}

/// Refuses a backup without enough space before anything is stopped.
fn room(run: &Run<'_>, wanted: &Wanted<'_>) -> Result<(), Stop> {
    let (copy, archive) = backup::needed(run.host, wanted)?;
    let kept = wanted.layout.backups.as_path();
    let twice = copy.saturating_mul(2);
    let file = if wanted.to == kept { archive.saturating_add(twice) } else { archive };
    // At most three copies exist: the stored one, the one that is opened, and the one in the archive.
    for (path, needed) in [(kept, twice), (wanted.to, file)] {
        let needed = needed.saturating_add(SLACK);
        let free = run.host.free_bytes(path)?;
        if free < needed {
            return Err(Stop::refused(
                ErrorCode::Disk,
                format!(
                    "the backup needs about {} at {}, and {} are free there; nothing was changed. Free some space, name \
                     another folder with --to, or leave media out with --without-media",
                    bytes(needed),
                    path.shown(),
                    bytes(free)
                ),
            ));
        }
    }
    Ok(())
}

/// The text of "explain" at the consent.
const EXPLANATION: [&str; 2] = [
    "A SQLite database cannot be copied while GoToSocial has it open: what was written last is beside the file, and a copy \
     without it is older and looks whole. So the service is stopped, the database copied, and the service started again; \
     the file is made of the copy afterwards.",
    "The file holds the keys of the instance and of every user, and passwords from config.yaml. Only root can read it. Store a copy on another \
     machine, encrypted: docs/backup.md explains how.",
];

/// Reports the backup.
fn tell(run: &Run<'_>, wanted: &Wanted<'_>) -> Result<(), Stop> {
    let target = wanted.target();
    let refuse = |why: String| Stop::refused(ErrorCode::Backup, format!("{}{why}", target.shown()));
    let mut file = run.host.open_file(&target, Whose::ROOT)?.ok_or_else(|| refuse(" is gone".to_owned()))?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let manifest = format::open(&mut file).map_err(|error| refuse(format!(": {error}")))?.manifest;
    let posts = manifest.head.state.as_ref().and_then(|state| state.posts);
    let posts = posts.map(|count| format!(", {}", counted(count, "post"))).unwrap_or_default();
    // On one line, for the mail of periodic(8).
    run.tell(
        Manner::Result,
        &format!(
            "Backed up to {} ({}, {} files{posts}), read back and compared.",
            target.shown(),
            bytes(size),
            manifest.entries.len()
        ),
    );
    let mut report = run.report();
    report.add("file", target);
    report.add("bytes", size);
    report.add("files", manifest.entries.len());
    report.add("media", manifest.head.media);
    report.add("database", manifest.head.state);
    Ok(())
}
