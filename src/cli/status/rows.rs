//! The rows of the screen: one for each thing that was looked at.

use crate::certificate::renewal::Keeper;
use crate::change::journal::Outcome;
use crate::deployment::Mode;
use crate::host::Supervision;
use crate::run::report::{bytes, counted, in_unit};
use crate::shown::Shown;
use crate::status::history::Operation;
use crate::status::ports::Port;
use crate::status::service::Service;
use crate::status::storage::Database;
use crate::status::{Newest, Severity, Status, Told};
use crate::utc::date;

const DAY: u64 = 86_400;

/// All rows, each with its label.
pub(super) fn rows(status: &Status) -> Vec<(&'static str, String)> {
    let exposure = |mode: &Mode| match mode.front() {
        None => "direct: GoToSocial itself faces the internet".to_owned(),
        Some(front) => format!("{} is in front of GoToSocial", front.name),
    };
    let mut rows = vec![
        ("GoToSocial", version(status)),
        ("exposure", told(&status.exposure, exposure)),
        ("service", service(&status.service)),
    ];
    if let Some(front) = &status.front {
        let runs = |runs: &bool| if *runs { "runs" } else { "does not run" }.to_owned();
        rows.push(("front", format!("{} {}", front.name, told(&front.running, runs))));
    }
    rows.extend([
        ("listening", told(&status.ports, |ports| ports.iter().map(port).collect::<Vec<_>>().join("\n"))),
        ("certificate", certificate(status)),
        ("database", told(&status.database, database)),
        ("disk", told(&status.free_bytes, |bytes| format!("{} free", size(*bytes)))),
        ("last backup", backup(status)),
        ("reboot", reboot(status)),
        ("drift", drift(status)),
        ("last change", told(&status.last, |last| last.as_ref().map_or_else(|| "none".to_owned(), operation))),
    ]);
    // Not ours to set, and no fault of the instance: no concern, so that nobody's monitoring changes its mind over it.
    if let Some(Some(advice)) = status.hard_links.known() {
        rows.push(("hard links", advice.clone()));
    }
    rows
}

fn told<T>(told: &Told<T>, words: impl FnOnce(&T) -> String) -> String {
    match told {
        Told::Known(value) => words(value),
        Told::Unknown { unknown } => format!("not known ({unknown})"),
    }
}

fn version(status: &Status) -> String {
    let newest = match (&status.newest, status.version.known()) {
        (Newest::NotAsked, _) => String::new(),
        (Newest::Known(newest), Some(Some(version))) if newest == version => ", the newest".to_owned(),
        (Newest::Known(newest), Some(Some(version))) if newest < version => {
            format!(", newer than the newest release, {newest}")
        }
        (Newest::Known(newest), _) => format!(", newest: {newest}"),
        (Newest::Unknown(why), _) => format!(", newest: not known ({why})"),
    };
    let none = || "none in use".to_owned();
    told(&status.version, |version| version.as_ref().map_or_else(none, ToString::to_string)) + &newest
}

fn service(service: &Service) -> String {
    let ready = match (&service.ready, service.startup) {
        (Told::Known(true), None) => "ready".to_owned(),
        (Told::Known(true), Some(startup)) => startup.to_string(),
        (Told::Known(false), Some(startup)) => format!("NOT ready, {startup}"),
        (Told::Known(false), None) => "NOT ready".to_owned(),
        (Told::Unknown { .. }, _) => "whether it is ready only root can tell".to_owned(),
    };
    let pid_of = |pid: &Option<u32>| pid.map(|pid| format!(" as pid {pid}")).unwrap_or_default();
    told(&service.supervision, |supervision| match supervision {
        Supervision::Missing => "not installed".to_owned(),
        Supervision::Stopped => "does not run".to_owned(),
        Supervision::Stopping => "is being stopped".to_owned(),
        Supervision::Restarting => "died, and is started again and again".to_owned(),
        Supervision::Hidden => "only root can tell (the kernel hides the processes of others)".to_owned(),
        Supervision::Orphan { pid } => format!("runs{}, WITHOUT its supervisor, {ready}", pid_of(pid)),
        Supervision::Running { pid, seconds } => {
            let since = seconds.map(|seconds| format!(" for {}", duration(seconds))).unwrap_or_default();
            format!("runs{since}{}, {ready}", pid_of(pid))
        }
    })
}

fn port(port: &Port) -> String {
    let listeners = port.listeners.iter().map(|listener| {
        let address = listener.address.map(|address| format!(" on {address}")).unwrap_or_default();
        format!("{} ({}){address}", listener.command, listener.user)
    });
    let mut who: Vec<String> = listeners.collect();
    who.dedup();
    let who = if who.is_empty() { "nobody".to_owned() } else { who.join(", ") };
    format!("{:<5} {who}", port.port)
}

fn certificate(status: &Status) -> String {
    told(&status.certificate, |certificate| {
        let Some(certificate) = certificate else { return "none".to_owned() };
        let keeper = match &certificate.keeper {
            Keeper::Us => "gts-bootstrap",
            Keeper::GoToSocial => "GoToSocial itself",
            Keeper::Client(name) => name,
            Keeper::Administrator => "the administrator",
        };
        let until = day(certificate.not_after);
        let validity = match certificate.days_left {
            ..0 => format!("expired on {until}"),
            days => format!("{days} more days, until {until}"),
        };
        format!("{validity}, managed by {keeper}")
    })
}

fn database(database: &Database) -> String {
    match database {
        Database::Sqlite { bytes, wal_bytes: 0 } => format!("SQLite, {}", size(*bytes)),
        Database::Sqlite { bytes, wal_bytes } => {
            format!("SQLite, {}, and {} in its -wal", size(*bytes), size(*wal_bytes))
        }
        Database::Postgres { address, database } => format!("PostgreSQL at {address}, database {database}"),
    }
}

fn backup(status: &Status) -> String {
    told(&status.backup, |backup| {
        let Some(backup) = backup else { return "none yet: gts-bootstrap backup".to_owned() };
        let age = duration(status.now.saturating_sub(backup.time));
        format!("{age} ago, {}, {}", size(backup.bytes), backup.path.shown())
    })
}

fn reboot(status: &Status) -> String {
    let shown = |value: &str| if value.is_empty() { "empty".to_owned() } else { value.to_owned() };
    told(&status.reboot, |pending| match pending.as_slice() {
        [] => "none pending".to_owned(),
        [one] => format!("pending: {} is {}, and will be {}", one.name, shown(&one.now), shown(&one.next)),
        many => format!("pending: {} settings change with it", many.len()),
    })
}

fn drift(status: &Status) -> String {
    told(&status.drift, |all| {
        if all.is_empty() {
            return "none: all is as it was installed".to_owned();
        }
        let is_edited = all.iter().any(|drift| drift.severity() == Severity::Note);
        let has_copy = if is_edited { "; --diff shows what was edited" } else { "" };
        format!("{} from what was installed{has_copy}", counted(all.len(), "difference"))
    })
}

fn operation(last: &Operation) -> String {
    let outcome = match last.outcome {
        Some(Outcome::Complete) => "done",
        Some(Outcome::Undone) => "failed, and undone",
        Some(Outcome::NotUndone) => "failed, and NOT all of it undone",
        Some(Outcome::Incomplete) => "done, but for changes that failed",
        Some(Outcome::Interrupted) => "interrupted, and cleaned up since",
        None if last.holder.is_some() => "active, or interrupted; in that case the next run cleans it up",
        None => "interrupted; the next run cleans it up",
    };
    let why = last.reason.as_deref().and_then(|reason| reason.lines().next());
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{}, {}: {outcome}{why}", last.command, date(last.time))
}

/// A size in bytes, with at least two digits.
fn size(count: u64) -> String {
    match in_unit(count) {
        (tenths, unit) if tenths >= 100 && unit != "bytes" => format!("{} {unit}", tenths / 10),
        _ => bytes(count),
    }
}

/// A time in its largest unit.
fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => counted(seconds, "second"),
        120..7200 => counted(seconds / 60, "minute"),
        7200..172_800 => counted(seconds / 3600, "hour"),
        _ => counted(seconds / DAY, "day"),
    }
}

/// The day alone.
fn day(seconds: u64) -> String {
    date(seconds).split(' ').take(3).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_told_in_their_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (40 << 30, "40 GiB"),
            (1_048_575, "1023 KiB"),
            (u64::MAX, "1677721 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in
            [(0, "0 seconds"), (1, "1 second"), (119, "119 seconds"), (7199, "119 minutes"), (172_800, "2 days")]
        {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!((day(1_767_225_600).as_str(), date(1_767_225_660).as_str()), ("Jan 1 2026", "Jan 1 2026 00:01 UTC"));
    }
}
