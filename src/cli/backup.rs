//! `backup`: everything that this instance is, in one file.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Exit;
use super::open::Opened;
use super::report::{self, Report, wrap};
use super::screen::{Level, Screen, Tone};
use super::transaction::{Stop, Transaction, With};
use super::{Global, deployed};
use crate::backup as format;
use crate::change::Plan;
use crate::deployment::{Database, Layout};
use crate::error_code::ErrorCode;
use crate::host::{Entry, Host, Owner};
use crate::parts::account;
use crate::parts::answers::Lock;
use crate::parts::backup::{self, Wanted};

/// What a backup needs besides what is in it: headers, the manifest, the small files.
const SLACK: u64 = 64 * 1024 * 1024;

/// What `backup` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Put the backup into this folder, an absolute path; default: /var/backups/gotosocial
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Leave the media out: what users have uploaded is not in the backup then
    #[arg(long)]
    pub without_media: bool,
    /// Remove the oldest backups of this instance in that folder, once the new one is verified, until N are left
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Make it without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
}

/// Runs `backup`.
#[must_use]
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new("backup");
    let screen = &if arguments.yes { screen.clone() } else { screen.not_quiet() };
    match make(global, arguments, screen, &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop),
    }
}

fn make(global: &Global, arguments: &Arguments, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let opened = Opened::open(global, screen)?;
    let host = opened.host();
    let layout = Layout::default();
    let transaction = Transaction {
        command: "backup",
        host,
        authority: opened.authority(),
        screen,
        yes: arguments.yes,
        plan_only: arguments.plan,
        ask: false,
    };
    transaction.settle()?;
    let to = folder(arguments, &layout)?;
    let lock = Lock::of_host(host, &layout).map_err(Stop::failed)?.ok_or_else(|| {
        Stop::refused(
            ErrorCode::NotInstalled,
            "GoToSocial was not installed here by gts-bootstrap, so there is nothing to back up",
        )
    })?;
    let deployment = deployed::deployment(host, &layout, Exit::Failed)?;
    let owner = service_user(host)?;
    let wanted = Wanted {
        deployment: &deployment,
        layout: &layout,
        lock: &lock,
        owner,
        to: &to,
        time: host.now(),
        media: !arguments.without_media,
    };
    room(host, &wanted)?;
    let plan = backup::plan(host.observe(), &wanted).map_err(Stop::failed)?;
    transaction.show(&plan, &format!("Plan: a backup of {}", lock.host), "", report);
    say_beforehand(screen, arguments, &wanted, host)?;
    if transaction.ends_with(&plan, report) {
        return Ok(Exit::Done);
    }
    transaction.consent(&plan, &explanation())?;
    let stops = plan.steps.iter().any(|step| step.action == crate::change::Action::Stop);
    let watched = [deployment.port().get()];
    let with = With { watched: if stops { &watched } else { &[] }, ..With::default() };
    let again = || backup::plan(host.observe(), &wanted).map_err(Stop::failed);
    transaction.apply(&plan, again, with, report)?;
    tell(host, &wanted, screen, report)?;
    if let Some(keep) = arguments.keep {
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        prune(&transaction, &lock.host, &wanted.target(), keep, report);
    }
    Ok(Exit::Done)
}

fn folder(arguments: &Arguments, layout: &Layout) -> Result<PathBuf, Stop> {
    match &arguments.to {
        None => Ok(layout.backups.clone()),
        Some(folder) if folder.is_absolute() => Ok(folder.clone()),
        Some(folder) => {
            Err(Stop::usage(format!("--to {}: write the whole path, beginning with a slash", folder.display())))
        }
    }
}

/// The user that GoToSocial runs as.
pub(super) fn service_user(host: &dyn Host) -> Result<Owner, Stop> {
    let user = host.user(account::NAME)?;
    user.map(|user| Owner { uid: user.uid, gid: user.gid }).ok_or_else(|| {
        Stop::refused(ErrorCode::NotInstalled, "the user gotosocial is not there; run `gts-bootstrap install` first")
    })
}

/// Refuses before anything is stopped what there is no room for.
fn room(host: &dyn Host, wanted: &Wanted<'_>) -> Result<(), Stop> {
    let (copy, archive) = backup::needed(host.observe(), wanted)?;
    let short = |path: &Path, needed: u64| -> Result<(), Stop> {
        let free = host.free_bytes(path)?;
        if free >= needed {
            return Ok(());
        }
        Err(Stop::new(
            Exit::Failed,
            ErrorCode::Disk,
            format!(
                "the backup needs about {} at {}, and {} are free there; nothing was changed. Free some space, name another \
                 folder with --to, or leave media out with --without-media",
                bytes(needed),
                path.display(),
                bytes(free)
            ),
        ))
    };
    // Three copies at most: the one that is kept, the one that is opened, and the one in the archive.
    short(&wanted.layout.backups, copy.saturating_mul(2).saturating_add(SLACK))?;
    let same = wanted.to == wanted.layout.backups;
    let copies = if same { copy.saturating_mul(2) } else { 0 };
    short(wanted.to, archive.saturating_add(copies).saturating_add(SLACK))
}

fn say_beforehand(screen: &Screen, arguments: &Arguments, wanted: &Wanted<'_>, host: &dyn Host) -> Result<(), Stop> {
    if arguments.without_media {
        screen.line(&wrap(
            "Without media: pictures, sounds and films that users of this instance have uploaded are nowhere else.",
            0,
        ));
    }
    if let Some(keep) = arguments.keep {
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        let gone = backup::prune(host.observe(), &wanted.lock.host, &wanted.target(), keep).map_err(Stop::failed)?;
        for step in &gone.steps {
            screen.line(&wrap(&format!("Removed once the new one is verified: {}", step.change.kind().target()), 2));
        }
    }
    if matches!(wanted.deployment.database, Database::Sqlite) && !host.service(crate::gotosocial::SERVICE)?.is_running()
    {
        screen.line("GoToSocial does not run now, and is not started.");
    }
    Ok(())
}

/// What the consent's "explain" says.
fn explanation() -> [String; 2] {
    [
        "A SQLite database cannot be copied while GoToSocial has it open: what was written last is beside the file, and a copy \
         without it is older and looks whole. So the service is stopped, the database copied, and the service started again; \
         the file is made of the copy afterwards."
            .to_owned(),
        "The file holds the keys of the instance and of every user, and passwords from config.yaml. Only root can read it. Keep \
         a copy on another machine, encrypted: docs/backup.md says how."
            .to_owned(),
    ]
}

/// Tells what was made.
fn tell(host: &dyn Host, wanted: &Wanted<'_>, screen: &Screen, report: &mut Report) -> Result<(), Stop> {
    let target = wanted.target();
    let size = match host.entry(&target)? {
        Some(Entry::File { size, .. }) => size,
        _ => 0,
    };
    let mut file = host
        .open_file(&target)?
        .ok_or_else(|| Stop::refused(ErrorCode::Backup, format!("{} is gone", target.display())))?;
    let opened = format::open(&mut file)
        .map_err(|error| Stop::refused(ErrorCode::Backup, format!("{}: {error}", target.display())))?;
    let manifest = opened.manifest;
    let posts = manifest.head.state.as_ref().and_then(|state| state.posts);
    let told = posts.map(|count| format!(", {}", posts_in_words(count))).unwrap_or_default();
    // On one line, which is what periodic(8) sends on.
    screen.line_at(
        Level::Quiet,
        &format!(
            "Backed up to {} ({}, {} files{told}), read back and compared.",
            target.display(),
            bytes(size),
            manifest.entries.len()
        ),
    );
    report.add("file", serde_json::json!(target));
    report.add("bytes", serde_json::json!(size));
    report.add("files", serde_json::json!(manifest.entries.len()));
    report.add("media", serde_json::json!(manifest.head.media));
    report.add("database", serde_json::json!(manifest.head.state));
    Ok(())
}

/// Removes older backups. The new one is there and verified, so a failure of this is told and no more.
fn prune(transaction: &Transaction<'_>, host_name: &str, new: &Path, keep: usize, report: &mut Report) {
    let host = transaction.host;
    let plan = || -> Result<Plan, Stop> { backup::prune(host.observe(), host_name, new, keep).map_err(Stop::failed) };
    let pruned = plan().and_then(|shown| {
        if shown.is_empty() {
            return Ok(());
        }
        report.changes.extend(shown.steps.iter().map(report::Changed::from));
        transaction.apply(&shown, plan, With::default(), report).map(drop)
    });
    report.changed = true;
    if let Err(stop) = pruned {
        let screen = transaction.screen;
        screen.attention(&wrap(
            &format!(
                "{} the new backup is there, but not every older one could be removed: {}",
                screen.paint(Tone::Caution, "warning:"),
                stop.why
            ),
            2,
        ));
    }
}

/// A number of posts in words.
pub(super) fn posts_in_words(count: u64) -> String {
    if count == 1 { "1 post".to_owned() } else { format!("{count} posts") }
}

/// A number of bytes in words.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let mut tenths = count.saturating_mul(10) / 1024;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        for (count, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1_048_576, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (3 << 40, "3.0 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
