//! Decides which parts of a status need attention: at night, in the daily mail, or on request.
//!
//! A failure needs action at any hour: the instance is down, about to be, or open to users who should have no access. A
//! warning can wait for working hours: the instance serves, but would not survive a crash, a reboot or a week. A note
//! is for information: a deliberate edit, a newer release. The exit code reports only failures.

use serde::Serialize;

use super::storage::Backup;
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

#[derive(Default)]
struct Concerns(Vec<Concern>);

impl Concerns {
    fn add(&mut self, severity: Severity, about: &'static str, brief: impl Into<String>, detail: impl Into<String>) {
        self.0.push(Concern { severity, about, brief: brief.into(), detail: detail.into(), code: None });
    }

    /// Adds a failure, or what would be one if it were more severe.
    fn add_coded(
        &mut self,
        (severity, code): (Severity, ErrorCode),
        about: &'static str,
        brief: impl Into<String>,
        detail: impl Into<String>,
    ) {
        let code = Some(code).filter(|_| severity == Severity::Failure);
        self.0.push(Concern { severity, about, brief: brief.into(), detail: detail.into(), code });
    }

    fn fail(&mut self, code: ErrorCode, about: &'static str, brief: impl Into<String>, detail: impl Into<String>) {
        self.add_coded((Severity::Failure, code), about, brief, detail);
    }

    /// A value that is unknown even to root is a separate concern.
    fn unknown<T>(&mut self, about: &'static str, told: &Told<T>) {
        if let Some(why) = told.trouble() {
            self.add(Severity::Warning, about, format!("{about} not known"), format!("not known: {why}"));
        }
    }
}

/// Returns everything that needs attention, the most severe first.
pub fn concerns(status: &Status) -> Vec<Concern> {
    let mut found = Concerns::default();
    version(status, &mut found);
    service(status, &mut found);
    ports(status, &mut found);
    certificate(status, &mut found);
    port_access(status, &mut found);
    storage(status, &mut found);
    last(status, &mut found);
    drift(status, &mut found);
    found.0.sort_by_key(|concern| std::cmp::Reverse(concern.severity));
    found.0
}

/// The highest severity.
pub fn gravest(concerns: &[Concern]) -> Option<Severity> {
    concerns.iter().map(|concern| concern.severity).max()
}

fn version(status: &Status, found: &mut Concerns) {
    found.unknown("version", &status.version);
    found.unknown("exposure", &status.exposure);
    match (status.version.known(), &status.newest) {
        (Some(None), _) => found.fail(
            ErrorCode::NotInstalled,
            "version",
            "no release is in use",
            "the link to the release in use is gone; run `gts-bootstrap install`",
        ),
        (Some(Some(version)), Newest::Known(newest)) if newest > version => {
            found.add(Severity::Note, "version", format!("{newest} is out"), format!("GoToSocial {newest} is out"));
        }
        _ => {}
    }
}

fn service(status: &Status, found: &mut Concerns) {
    const ABOUT: &str = "service";
    const LOG: &str = "the reason is at the end of /var/log/gotosocial/gotosocial.log";
    let service = &status.service;
    found.unknown(ABOUT, &service.supervision);
    let mut fail = |brief: &str, detail: String| found.fail(ErrorCode::ServiceDown, ABOUT, brief, detail);
    let starts = service.unready_starts.known().copied().unwrap_or_default();
    let unready = service.ready == Told::Known(false);
    match service.supervision.known() {
        None | Some(Supervision::Hidden) => {}
        Some(Supervision::Missing) => {
            fail("gotosocial is not installed", "its rc.d script is gone; run `gts-bootstrap install`".to_owned());
        }
        Some(Supervision::Stopped) => {
            fail("gotosocial does not run", format!("it does not run; {LOG}; `service gotosocial start` starts it"));
        }
        Some(Supervision::Stopping) => {
            fail("gotosocial is being stopped", "it is being stopped, which can take two minutes".to_owned());
        }
        Some(Supervision::Restarting) => fail(
            "gotosocial dies and is started again",
            format!(
                "it died, and its supervisor is about to start it again; {LOG}. To end that: `service gotosocial stop`"
            ),
        ),
        Some(Supervision::Running { .. }) if unready && starts > 1 => fail(
            "gotosocial dies and is started again",
            format!("its last {starts} starts failed; {LOG}. To end that: `service gotosocial stop`"),
        ),
        Some(Supervision::Running { seconds: Some(seconds), .. }) if unready && *seconds < STARTING => {
            let detail = format!("it was started {seconds} s ago and is not ready yet");
            found.add(Severity::Warning, ABOUT, "gotosocial is starting", detail);
        }
        Some(Supervision::Running { .. }) if unready => found.fail(
            ErrorCode::NotReady,
            ABOUT,
            "gotosocial is not ready",
            "it runs and is not ready. It may be migrating its database: do not stop it then; see its log",
        ),
        Some(Supervision::Running { .. }) => {}
        Some(Supervision::Orphan { .. }) => {
            let brief = "gotosocial runs without its supervisor";
            let detail = "it runs without its supervisor: nothing restarts it when \
                          it dies, and its output is lost. Fix it with `service gotosocial restart`";
            let severity = if unready { Severity::Failure } else { Severity::Warning };
            found.add_coded((severity, ErrorCode::ServiceDown), ABOUT, brief, detail);
        }
    }
    let Some(front) = &status.front else { return };
    found.unknown("front", &front.running);
    if front.running == Told::Known(false) {
        let (name, script) = (front.name, front.service);
        let detail = format!("{name} does not run; `service {script} start` shows why");
        found.fail(ErrorCode::FrontDown, "front", format!("{name} does not run"), detail);
    }
}

fn ports(status: &Status, found: &mut Concerns) {
    const ABOUT: &str = "ports";
    found.unknown(ABOUT, &status.ports);
    // If the service does not run, it obviously has no listener. For the web server its own finding reports that.
    let follows = |port: &super::ports::Port| {
        port.listeners.is_empty()
            && if port.wanted == "gotosocial" {
                !status.service.is_running()
            } else {
                status.front.as_ref().is_some_and(|front| front.running == Told::Known(false))
            }
    };
    for port in status.ports.known().into_iter().flatten().filter(|port| !follows(port)) {
        if let Some(trouble) = &port.trouble {
            found.fail(ErrorCode::ServiceDown, ABOUT, trouble, trouble);
        }
    }
}

fn certificate(status: &Status, found: &mut Concerns) {
    const ABOUT: &str = "certificate";
    if let Some(why) = status.certificate.trouble() {
        found.fail(ErrorCode::Certificate, ABOUT, "certificate is not right", why);
    }
    let certificate = match status.certificate.known() {
        None => return,
        Some(None) => {
            let detail = "there is none; `gts-bootstrap check` asks for the first one, and says why if none comes";
            return found.fail(ErrorCode::Certificate, ABOUT, "there is no certificate", detail);
        }
        Some(Some(certificate)) => certificate,
    };
    let days = certificate.days_left;
    let ends = match days {
        days if days < 0 => "certificate has expired".to_owned(),
        1 => "certificate expires in 1 day".to_owned(),
        days => format!("certificate expires in {days} days"),
    };
    let why = certificate.last_failure.as_ref().map(|failure| format!("; its last renewal failed: {}", failure.reason));
    let why = why.unwrap_or_default();
    if let Some(trouble) = &certificate.trouble {
        // A placeholder and a certificate for another name are not about to end.
        let brief = if days < 30 { ends } else { "certificate is not right".to_owned() };
        found.fail(
            ErrorCode::Certificate,
            ABOUT,
            brief,
            format!("{trouble}{why}; see `gts-bootstrap certificate status`"),
        );
    } else if certificate.overdue {
        let detail = format!("it should have been renewed by now{why}; see `gts-bootstrap certificate status`");
        found.add(Severity::Warning, ABOUT, ends, detail);
    }
}

fn port_access(status: &Status, found: &mut Concerns) {
    const ABOUT: &str = "port access";
    found.unknown(ABOUT, &status.port_access);
    found.unknown("reboot", &status.reboot);
    let pending = status.reboot.known().is_some_and(|pending| !pending.is_empty());
    for check in status.port_access.known().into_iter().flatten() {
        let severity = match check.status {
            check::Status::Fail => Severity::Failure,
            check::Status::Warn => Severity::Warning,
            check::Status::Pass | check::Status::Skip => continue,
        };
        let code = check.code.unwrap_or(ErrorCode::PortBoot);
        let brief = format!("{} not as it should be", check.name);
        found.add_coded((severity, code), ABOUT, brief, check.detail.clone());
    }
    if pending {
        let names: Vec<&str> =
            status.reboot.known().into_iter().flatten().map(|pending| pending.name.as_str()).collect();
        let detail = format!("the next boot changes {}; `gts-bootstrap portacl show` shows more", names.join(", "));
        found.add(Severity::Warning, "reboot", "a reboot is pending", detail);
    }
}

fn storage(status: &Status, found: &mut Concerns) {
    found.unknown("database", &status.database);
    found.unknown("disk", &status.free_bytes);
    found.unknown("backup", &status.backup);
    if let Some(free) = status.free_bytes.known().filter(|free| **free < LITTLE_SPACE) {
        let severity = if *free < NO_SPACE { Severity::Failure } else { Severity::Warning };
        let brief = format!("{} MiB of disk free", free >> 20);
        let detail = format!("{} MiB are free for the data; GoToSocial fails when nothing is", free >> 20);
        found.add_coded((severity, ErrorCode::Disk), "disk", brief, detail);
    }
    // The clock of a host proves nothing, but a backup from tomorrow is unreliable.
    if let Some(Some(Backup { time, .. })) = status.backup.known()
        && *time > status.now.saturating_add(86_400)
    {
        found.add(
            Severity::Note,
            "backup",
            "last backup is dated in the future",
            "the newest backup is dated in the future: was the clock wrong then, or is it now?",
        );
    }
}

fn last(status: &Status, found: &mut Concerns) {
    const ABOUT: &str = "last operation";
    found.unknown(ABOUT, &status.last);
    let Some(Some(last)) = status.last.known() else { return };
    let command = &last.command;
    match last.outcome {
        Some(Outcome::NotUndone) => found.add(
            Severity::Warning,
            ABOUT,
            format!("the last {command} failed"),
            format!("`{command}` failed, and not everything could be undone; run `gts-bootstrap install` to repair it"),
        ),
        Some(Outcome::Incomplete) => found.add(
            Severity::Warning,
            ABOUT,
            format!("the last {command} left changes undone"),
            format!("not every change of `{command}` could be made; run it again"),
        ),
        None if last.holder.is_some() && status.now < last.time.saturating_add(AT_WORK) => {
            let brief = format!("{command} is at work");
            let detail = format!("`{command}` is active, or was interrupted; in that case the next run cleans it up");
            found.add(Severity::Note, ABOUT, brief, detail);
        }
        None => found.add(
            Severity::Warning,
            ABOUT,
            format!("the last {command} was interrupted"),
            format!("`{command}` was interrupted; the next run that changes something cleans it up"),
        ),
        Some(Outcome::Complete | Outcome::Undone | Outcome::Interrupted) => {}
    }
}

fn drift(status: &Status, found: &mut Concerns) {
    const ABOUT: &str = "drift";
    found.unknown(ABOUT, &status.drift);
    let all = status.drift.known().map(Vec::as_slice).unwrap_or_default();
    for drift in all {
        let words = drift.words();
        let brief = match drift.severity() {
            Severity::Failure => words.clone(),
            Severity::Warning | Severity::Note => String::new(),
        };
        found.add_coded((drift.severity(), ErrorCode::Drift), ABOUT, brief, words);
    }
    // On one line a count is enough.
    for (severity, one, more) in
        [(Severity::Warning, "differs", "differ"), (Severity::Note, "was edited", "were edited")]
    {
        let count = all.iter().filter(|drift| drift.severity() == severity).count();
        let what = match severity {
            Severity::Note => "file",
            _ => "thing",
        };
        let brief = if count == 1 { format!("1 {what} {one}") } else { format!("{count} {what}s {more}") };
        let first = found.0.iter_mut().find(|concern| concern.about == ABOUT && concern.severity == severity);
        if let Some(first) = first.filter(|_| count > 0) {
            first.brief = brief;
        }
    }
}

/// One line for monitoring: a word, and the findings.
pub fn brief(status: &Status, concerns: &[Concern]) -> String {
    let word = match gravest(concerns) {
        Some(Severity::Failure) => "FAIL",
        Some(Severity::Warning) => "WARN",
        Some(Severity::Note) | None => "OK",
    };
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
        text.push_str(&format!(", {}", mode_name(*mode)));
    }
    if let Some(Some(certificate)) = status.certificate.known() {
        let days = if certificate.days_left == 1 { "day" } else { "days" };
        text.push_str(&format!(", certificate {} {days}", certificate.days_left));
    }
    text
}

/// A mode as it is written in the answers.
pub fn mode_name(mode: crate::deployment::Mode) -> &'static str {
    mode.word()
}
