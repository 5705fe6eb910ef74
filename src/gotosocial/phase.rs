//! How far a start has come, by its log: the marks that 0.19 to 0.21 write at level info, in both forms of the log.
//!
//! In order: `Caches.Start`, `connected to SQLITE database`, migrations, `there are no new migrations to run` or `MIGRATED DATABASE
//! TO`, `running ANALYZE`, WebAssembly, a second `listening on`, `recovered queued tasks`. See `internal/db/bundb/bundb.go` and
//! `cmd/gotosocial/action/server/server.go`.

use std::fmt;

use serde::Serialize;

use super::readiness::{RECOVERED, field, newest_start, ready_by_log};
use crate::utc;

/// The database is open, and is brought up to date if need be.
const CONNECTED: [&str; 2] = ["connected to SQLITE database", "connected to POSTGRES database"];
/// It is up to date.
const MIGRATED: [&str; 2] = ["there are no new migrations to run", "MIGRATED DATABASE TO "];
/// Migrated, its statistics are made anew: minutes, and as little to be interrupted.
const ANALYSES: &str = "running ANALYZE to update table and index statistics";

/// What a server that was started does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It opens its database, or compiles, or begins to listen.
    Starting,
    /// It opens and migrates its database, which must not be interrupted.
    Migrating,
    /// It is ready, and has no certificate yet.
    Certificate,
    /// It is ready.
    Ready,
}

/// A phase, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Startup {
    /// The phase.
    pub phase: Phase,
    /// For how many seconds, as far as the log tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// How many seconds ago the newest line of the log was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_seconds: Option<u64>,
}

impl Startup {
    /// How far the newest start in this log has come, if the program has run for so many seconds. Lines have the time of the
    /// server's time zone, so only their distances count.
    pub fn of(log: &str, age: Option<u64>) -> Self {
        let log = newest_start(log);
        let mut phase = Phase::Starting;
        let (mut entered, mut first, mut newest, mut connected) = (None, None, None, None);
        let mut analyses = false;
        for line in log.lines() {
            // What has no time, as the lines of a panic, belongs to the line before.
            let time = field(line, "timestamp").and_then(|text| utc::of_gotosocial_log(&text));
            newest = time.or(newest);
            first = first.or(newest);
            let has = |marks: &[&str]| marks.iter().any(|mark| line.contains(mark));
            (phase, entered) = match phase {
                _ if has(&CONNECTED) => {
                    connected = newest;
                    (Phase::Migrating, newest)
                }
                _ if has(&[ANALYSES]) => (Phase::Migrating, connected),
                _ if has(&MIGRATED) => (Phase::Starting, newest),
                Phase::Migrating if analyses && time.is_some() => (Phase::Starting, newest),
                _ if has(&[RECOVERED]) => (Phase::Ready, newest),
                _ => (phase, entered),
            };
            analyses = has(&[ANALYSES]) || analyses && time.is_none();
        }
        if ready_by_log(log) && phase != Phase::Ready {
            (phase, entered) = (Phase::Ready, newest);
        }
        let ago = |time: Option<i64>| age?.checked_sub(u64::try_from(time? - first?).ok()?);
        match (age, ago(newest)) {
            // The log is that of an earlier start, or tells nothing.
            (Some(_), None) => Self { phase: Phase::Starting, seconds: age, silent_seconds: None },
            (_, silent_seconds) => {
                let seconds = if entered.is_none() { age } else { ago(entered) };
                Self { phase, seconds, silent_seconds }
            }
        }
    }
}

impl fmt::Display for Startup {
    /// `starting: migrating the database for 42 s (last log line 3 s ago)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.phase {
            Phase::Starting => "starting",
            Phase::Migrating => "starting: migrating the database",
            Phase::Certificate => "starting: fetching the certificate",
            Phase::Ready => "ready",
        })?;
        if let Some(seconds) = self.seconds {
            write!(f, " for {seconds} s")?;
        }
        match self.silent_seconds {
            Some(silent) if self.phase != Phase::Ready => write!(f, " (last log line {silent} s ago)"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of both forms, from pairs of a second and a message, or a function for one that begins with a point.
    fn logs(lines: &[(u32, &str)]) -> [String; 2] {
        let line = |json: bool, second: &u32, message: &str| {
            let time = format!("22/11/2026 23:{:02}:{:02}.500", 58 + second / 60, second % 60);
            let (func, message) = match message.strip_prefix('.') {
                Some(func) => (func, "start: 0x1"),
                None => ("bundb.doMigration", message),
            };
            match json {
                true => format!(
                    "{{\"timestamp\":\"{time}\", \"func\":\"{func}\", \"level\":\"INFO\", \"msg\":\"{message}\"}}\n"
                ),
                false => format!("timestamp=\"{time}\" func={func} level=INFO msg=\"{message}\"\n"),
            }
        };
        [false, true].map(|json| lines.iter().map(|(second, message)| line(json, second, message)).collect())
    }

    const LISTENS: &str = "listening on 0.0.0.0:443";
    const STARTS: &str = ".cache.(*Caches).Start";
    const SQLITE: &str = "connected to SQLITE database with address /x?a=b";
    const NOTHING_NEW: &str = "there are no new migrations to run";
    const DONE: &str = "MIGRATED DATABASE TO group #2 (20250101)";
    const ANALYZE: &str =
        "running ANALYZE to update table and index statistics; this will take somewhere between 1-10 minutes";

    #[test]
    fn every_phase_is_known_by_its_marks() {
        let course = [
            (0, LISTENS, "starting for 100 s"),
            (1, STARTS, "starting for 100 s (last log line 100 s ago)"),
            (4, SQLITE, "starting: migrating the database for 97 s (last log line 97 s ago)"),
            (50, "copying statuses", "starting: migrating the database for 97 s (last log line 51 s ago)"),
            (60, DONE, "starting for 41 s (last log line 41 s ago)"),
            (61, ANALYZE, "starting: migrating the database for 97 s (last log line 40 s ago)"),
            (80, "compiling WebAssembly", "starting for 21 s (last log line 21 s ago)"),
            (90, LISTENS, "starting for 21 s (last log line 11 s ago)"),
            (91, RECOVERED, "ready for 10 s"),
        ];
        for end in 2..=course.len() {
            let lines: Vec<(u32, &str)> =
                course[..end].iter().map(|(second, message, _)| (*second, *message)).collect();
            for log in logs(&lines) {
                assert_eq!(Startup::of(&log, Some(100)).to_string(), course[end - 1].2, "{log}");
            }
        }
        for log in logs(&[(1, STARTS), (4, SQLITE), (5, NOTHING_NEW)]) {
            assert_eq!(Startup::of(&log, Some(30)).to_string(), "starting for 26 s (last log line 26 s ago)");
        }
        let postgres = "connected to POSTGRES database";
        assert_eq!(Startup::of(&logs(&[(1, STARTS), (2, postgres)])[0], Some(3)).phase, Phase::Migrating);
    }

    #[test]
    fn a_log_that_tells_nothing_makes_no_phase() {
        assert_eq!(Startup::of("", Some(7)).to_string(), "starting for 7 s");
        assert_eq!(Startup::of("", None).to_string(), "starting");
        // Of an earlier start, longer than this one has run.
        let [earlier, _] = logs(&[(1, STARTS), (4, SQLITE), (90, RECOVERED)]);
        assert_eq!(Startup::of(&earlier, Some(7)).to_string(), "starting for 7 s");
        // A form of time that is not ours, and a level above info.
        let other = "timestamp=\"yesterday\" func=x msg=\"connected to SQLITE database with address x\"\n";
        assert_eq!(Startup::of(other, Some(7)).to_string(), "starting for 7 s");
        assert_eq!(Startup::of(other, None).to_string(), "starting: migrating the database");
    }

    #[test]
    fn the_newest_start_counts() {
        for log in logs(&[(1, STARTS), (2, SQLITE), (9, RECOVERED), (30, STARTS), (31, SQLITE)]) {
            let startup = Startup::of(&log, Some(5));
            assert_eq!((startup.phase, startup.seconds, startup.silent_seconds), (Phase::Migrating, Some(4), Some(4)));
        }
    }
}
