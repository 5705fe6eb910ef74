//! Decides which parts of a status need attention: at night, in the daily mail, or on request.
//!
//! A failure needs action at any hour: the instance is down, about to be, or open to users who should have no access. A
//! warning can wait for working hours: the instance serves, but would not survive a crash, a reboot or a week. A note
//! is for information: a deliberate edit, a newer release. The exit code reports only failures.

use std::cmp::Reverse;

use serde::Serialize;

use super::drift::Drift;
use super::{Newest, Status, Told};
use crate::change::journal::Outcome;
use crate::check;
use crate::error_code::ErrorCode;
use crate::host::Supervision;

/// With fewer bytes free the database is about to fail.
const NO_SPACE: u64 = 256 << 20;
/// With fewer bytes free the administrator should look.
const LITTLE_SPACE: u64 = 1 << 30;
/// How long a service may take to become ready before it is reported, seconds. Longer is a migration or a bug.
const STARTING: u64 = 120;
/// A run that started less than so many seconds ago, and is named in the lock, counts as active and not as interrupted.
const AT_WORK: u64 = 3600;

/// The severity of a concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For information.
    Note,
    /// For working hours.
    Warning,
    /// Needs action at any hour.
    Failure,
}

/// Something that needs attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Concern {
    /// The severity.
    pub severity: Severity,
    /// The subject. Names are stable: other programs read them in `--json`.
    pub about: &'static str,
    /// In a few words, for one line with others.
    pub brief: String,
    /// In full, with what to do about it.
    pub detail: String,
    /// The error code of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
}

/// How grave a concern is, with the code of a failure.
enum Grade {
    Note,
    Warning,
    Failure(ErrorCode),
}

use Grade::{Failure, Note, Warning};

impl Grade {
    /// A failure if it is one, and a warning otherwise.
    fn failure_if(is_failure: bool, code: ErrorCode) -> Self {
        if is_failure { Failure(code) } else { Warning }
    }
}

/// What was found so far, and what the next concern is about.
#[derive(Default)]
struct Concerns {
    all: Vec<Concern>,
    about: &'static str,
}

impl Concerns {
    fn add(&mut self, grade: Grade, brief: impl Into<String>, detail: impl Into<String>) {
        let (severity, code) = match grade {
            Note => (Severity::Note, None),
            Warning => (Severity::Warning, None),
            Failure(code) => (Severity::Failure, Some(code)),
        };
        self.all.push(Concern { severity, about: self.about, brief: brief.into(), detail: detail.into(), code });
    }

    /// A value that is unknown even to root is a separate concern. What follows is about it, too.
    fn about<T>(&mut self, about: &'static str, told: &Told<T>) {
        self.about = about;
        if let Some(why) = told.trouble() {
            self.add(Warning, format!("{about} not known"), format!("not known: {why}"));
        }
    }
}

/// Returns everything that needs attention, the most severe first.
pub fn concerns(status: &Status) -> Vec<Concern> {
    let mut found = Concerns::default();
    let judges: [fn(&Status, &mut Concerns); 8] =
        [version, service, ports, certificate, port_access, storage, last, drift];
    judges.iter().for_each(|judge| judge(status, &mut found));
    found.all.sort_by_key(|concern| Reverse(concern.severity));
    found.all
}

/// The highest severity.
pub fn gravest(concerns: &[Concern]) -> Option<Severity> {
    concerns.iter().map(|concern| concern.severity).max()
}

fn version(status: &Status, found: &mut Concerns) {
    found.about("version", &status.version);
    found.about("exposure", &status.exposure);
    found.about = "version";
    match (status.version.known(), &status.newest) {
        (Some(None), _) => {
            let detail = "the link to the release in use is gone; run `gts-bootstrap install`";
            found.add(Failure(ErrorCode::NotInstalled), "no release is in use", detail);
        }
        (Some(Some(version)), Newest::Known(newest)) if newest > version => {
            found.add(Note, format!("{newest} is out"), format!("GoToSocial {newest} is out"));
        }
        _ => {}
    }
}

fn service(status: &Status, found: &mut Concerns) {
    const LOG: &str = "the reason is at the end of /var/log/gotosocial/gotosocial.log";
    const DOWN: Grade = Failure(ErrorCode::ServiceDown);
    const END: &str = "To end that: `service gotosocial stop`";
    let service = &status.service;
    found.about("service", &service.supervision);
    let starts = service.unready_starts.known().copied().unwrap_or_default();
    let unready = service.ready == Told::Known(false);
    let doing = service.startup.map_or_else(String::new, |startup| format!(" ({startup})"));
    match service.supervision.known() {
        Some(Supervision::Missing) => {
            found.add(DOWN, "gotosocial is not installed", "its rc.d script is gone; run `gts-bootstrap install`");
        }
        Some(Supervision::Stopped) => {
            let detail = format!("it does not run; {LOG}; `service gotosocial start` starts it");
            found.add(DOWN, "gotosocial does not run", detail);
        }
        Some(Supervision::Stopping) => {
            found.add(DOWN, "gotosocial is being stopped", "it is being stopped, which can take two minutes");
        }
        Some(Supervision::Restarting) => {
            let detail = format!("it died, and its supervisor is about to start it again; {LOG}. {END}");
            found.add(DOWN, "gotosocial dies and is started again", detail);
        }
        Some(Supervision::Running { .. }) if unready && starts > 1 => {
            let detail = format!("its last {starts} starts failed; {LOG}. {END}");
            found.add(DOWN, "gotosocial dies and is started again", detail);
        }
        Some(Supervision::Running { seconds: Some(seconds), .. }) if unready && *seconds < STARTING => {
            let detail = format!("it was started {seconds} s ago and is not ready yet{doing}");
            found.add(Warning, "gotosocial is starting", detail);
        }
        Some(Supervision::Running { .. }) if unready => found.add(
            Failure(ErrorCode::NotReady),
            "gotosocial is not ready",
            format!(
                "it runs and is not ready{doing}. It may be migrating its database: do not stop it then; see its log"
            ),
        ),
        Some(Supervision::Orphan { .. }) => found.add(
            Grade::failure_if(unready, ErrorCode::ServiceDown),
            "gotosocial runs without its supervisor",
            "it runs without its supervisor: nothing restarts it when \
             it dies, and its output is lost. Fix it with `service gotosocial restart`",
        ),
        Some(Supervision::Running { .. } | Supervision::Hidden) | None => {}
    }
    let Some(front) = &status.front else { return };
    found.about("front", &front.running);
    if front.running == Told::Known(false) {
        let (brief, script) = (format!("{} does not run", front.name), front.service);
        let detail = format!("{brief}; `service {script} start` shows why");
        found.add(Failure(ErrorCode::FrontDown), brief, detail);
    }
}

fn ports(status: &Status, found: &mut Concerns) {
    found.about("ports", &status.ports);
    // If the service does not run, it obviously has no listener. For the web server its own finding reports that.
    let front_is_down = status.front.as_ref().is_some_and(|front| front.running == Told::Known(false));
    for port in status.ports.known().into_iter().flatten() {
        let is_down = if port.wanted == "gotosocial" { !status.service.is_running() } else { front_is_down };
        if let Some(trouble) = port.trouble.as_ref().filter(|_| !(port.listeners.is_empty() && is_down)) {
            found.add(Failure(ErrorCode::ServiceDown), trouble, trouble);
        }
    }
}

fn certificate(status: &Status, found: &mut Concerns) {
    const WRONG: Grade = Failure(ErrorCode::Certificate);
    found.about = "certificate";
    if let Some(why) = status.certificate.trouble() {
        found.add(WRONG, "certificate is not right", why);
    }
    let Some(certificate) = status.certificate.known() else { return };
    let Some(certificate) = certificate else {
        let detail = "there is none; `gts-bootstrap check` asks for the first one, and says why if none comes";
        return found.add(WRONG, "there is no certificate", detail);
    };
    let ends = match certificate.days_left {
        days if days < 0 => "certificate has expired".to_owned(),
        1 => "certificate expires in 1 day".to_owned(),
        days => format!("certificate expires in {days} days"),
    };
    let why = certificate.last_failure.as_ref().map(|failure| format!("; its last renewal failed: {}", failure.reason));
    let why = format!("{}; see `gts-bootstrap certificate status`", why.unwrap_or_default());
    if let Some(trouble) = &certificate.trouble {
        // A placeholder and a certificate for another name are not about to end.
        let brief = if certificate.days_left < 30 { ends } else { "certificate is not right".to_owned() };
        found.add(WRONG, brief, format!("{trouble}{why}"));
    } else if certificate.overdue {
        found.add(Warning, ends, format!("it should have been renewed by now{why}"));
    }
}

fn port_access(status: &Status, found: &mut Concerns) {
    found.about("port access", &status.port_access);
    found.about("reboot", &status.reboot);
    found.about = "port access";
    for check in status.port_access.known().into_iter().flatten() {
        let grade = match check.status {
            check::Status::Fail => Failure(check.code.unwrap_or(ErrorCode::PortBoot)),
            check::Status::Warn => Warning,
            check::Status::Pass | check::Status::Skip => continue,
        };
        found.add(grade, format!("{} not as it should be", check.name), &check.detail);
    }
    found.about = "reboot";
    let pending = status.reboot.known().into_iter().flatten();
    let names: Vec<&str> = pending.map(|pending| pending.name.as_str()).collect();
    if !names.is_empty() {
        let detail = format!("the next boot changes {}; `gts-bootstrap portacl show` shows more", names.join(", "));
        found.add(Warning, "a reboot is pending", detail);
    }
}

fn storage(status: &Status, found: &mut Concerns) {
    found.about("database", &status.database);
    found.about("disk", &status.free_bytes);
    found.about("backup", &status.backup);
    found.about = "disk";
    if let Some(free) = status.free_bytes.known().filter(|free| **free < LITTLE_SPACE) {
        let brief = format!("{} MiB of disk free", free >> 20);
        let detail = format!("{} MiB are free for the data; GoToSocial fails when nothing is", free >> 20);
        found.add(Grade::failure_if(*free < NO_SPACE, ErrorCode::Disk), brief, detail);
    }
    found.about = "backup";
    // The clock of a host proves nothing, but a backup from tomorrow is unreliable.
    if let Some(Some(backup)) = status.backup.known()
        && backup.time > status.now.saturating_add(86_400)
    {
        let detail = "the newest backup is dated in the future: was the clock wrong then, or is it now?";
        found.add(Note, "last backup is dated in the future", detail);
    }
}

fn last(status: &Status, found: &mut Concerns) {
    found.about("last operation", &status.last);
    let Some(Some(last)) = status.last.known() else { return };
    let command = &last.command;
    let is_at_work = last.holder.is_some() && status.now < last.time.saturating_add(AT_WORK);
    let (grade, brief, detail) = match last.outcome {
        Some(Outcome::NotUndone) => (
            Warning,
            format!("the last {command} failed"),
            format!("`{command}` failed, and not everything could be undone; run `gts-bootstrap install` to repair it"),
        ),
        Some(Outcome::Incomplete) => (
            Warning,
            format!("the last {command} left changes undone"),
            format!("not every change of `{command}` could be made; run it again"),
        ),
        None if is_at_work => (
            Note,
            format!("{command} is at work"),
            format!("`{command}` is active, or was interrupted; in that case the next run cleans it up"),
        ),
        None => (
            Warning,
            format!("the last {command} was interrupted"),
            format!("`{command}` was interrupted; the next run that changes something cleans it up"),
        ),
        Some(Outcome::Complete | Outcome::Undone | Outcome::Interrupted) => return,
    };
    found.add(grade, brief, detail);
}

fn drift(status: &Status, found: &mut Concerns) {
    found.about("drift", &status.drift);
    let all = status.drift.known().map(Vec::as_slice).unwrap_or_default();
    for (index, drift) in all.iter().enumerate() {
        let (words, severity) = (drift.words(), drift.severity());
        let of_kind = |drifts: &[Drift]| drifts.iter().filter(|other| other.severity() == severity).count();
        // On one line a count is enough, with the first of its kind.
        let brief = match (severity, of_kind(&all[..index]), of_kind(all)) {
            (Severity::Failure, ..) => words.clone(),
            (Severity::Warning, 0, 1) => "1 thing differs".to_owned(),
            (Severity::Warning, 0, count) => format!("{count} things differ"),
            (Severity::Note, 0, 1) => "1 file was edited".to_owned(),
            (Severity::Note, 0, count) => format!("{count} files were edited"),
            (Severity::Warning | Severity::Note, ..) => String::new(),
        };
        let grade = match severity {
            Severity::Note => Note,
            Severity::Warning => Warning,
            Severity::Failure => Failure(ErrorCode::Drift),
        };
        found.add(grade, brief, words);
    }
}

/// The verdict as one word, for other programs.
pub fn word(concerns: &[Concern]) -> &'static str {
    match gravest(concerns) {
        Some(Severity::Failure) => "fail",
        Some(Severity::Warning) => "warn",
        Some(Severity::Note) | None => "ok",
    }
}

/// One line for monitoring: a word, and the findings.
pub fn brief(status: &Status, concerns: &[Concern]) -> String {
    let word = word(concerns).to_ascii_uppercase();
    let mut parts: Vec<String> = Vec::new();
    if word == "OK" {
        parts.push(well(status));
    }
    parts.extend(concerns.iter().map(|concern| concern.brief.clone()).filter(|brief| !brief.is_empty()));
    if !status.root {
        parts.push("looked at without root".to_owned());
    }
    // Nagios takes everything after a bar for performance data.
    format!("{word}: {}", parts.join("; ")).replace(['|', '\n'], " ")
}

fn well(status: &Status) -> String {
    let mut text = status.host.clone();
    if let Some(Some(version)) = status.version.known() {
        text.push_str(&format!(" {version}"));
    }
    if let Some(mode) = status.exposure.known() {
        text.push_str(&format!(", {}", mode.word()));
    }
    if let Some(Some(certificate)) = status.certificate.known() {
        let days = if certificate.days_left == 1 { "day" } else { "days" };
        text.push_str(&format!(", certificate {} {days}", certificate.days_left));
    }
    text
}
