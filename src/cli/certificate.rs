//! `certificate`: the manager of the certificate that clients see, its validity, and its renewal.

use clap::Subcommand;
use serde_json::{Value, json};

use super::changes::{self, Renewal};
use super::command::looking;
use super::open::Opened;
use super::screen::{Level, Screen, Tone};
use super::text::Text;
use crate::certificate::renewal::{Keeper, Status};
use crate::deployment::{HostName, Layout};
use crate::error_code::ErrorCode;
use crate::host::{Look, Observe};
use crate::parts::tls::Kept;
use crate::run::renew::{keeper, kept, names, records, situation};
use crate::run::{Exit, Report, Stop, deployed};
use crate::shown::Shown;
use crate::status::certificate::trouble;
use crate::utc::date;

/// What `certificate` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum CertificateCommand {
    /// Show each certificate: names, issuer, manager, days left, next renewal, last failure
    Status,
    /// Renew certificates that are due, behind a web server
    Renew(Renewal),
}

/// Runs `certificate`.
pub(super) fn run(command: CertificateCommand, screen: &Screen) -> Exit {
    match command {
        CertificateCommand::Status => {
            looking(screen, "certificate status", None, |opened, report| status(opened, screen, report))
        }
        CertificateCommand::Renew(renewal) => changes::renew(renewal, screen),
    }
}

fn status(opened: &Opened, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let host: &dyn Observe = &Look::at(opened.host());
    if host.system()?.euid != 0 {
        return Err(Stop::refused(
            ErrorCode::NotRoot,
            "only root can read the certificate's key, which is part of the look; run it as root",
        ));
    }
    let layout = Layout::default();
    let deployment = deployed::deployment(host, &layout, Exit::Failed)?;
    let records = records(host, &layout)?;
    let now = host.now();
    let mut exit = Exit::Done;
    let mut all: Vec<Value> = Vec::new();
    for name in names(&deployment) {
        let Some(Kept { files, keeper, bundle }) = kept(host, &layout, &deployment, &name)? else {
            // An account domain may well be somewhere else.
            if name == deployment.host {
                exit = Exit::Check;
                screen.line_at(Level::Quiet, format!("{name}: there is no certificate yet"));
                screen.line(if deployment.exposure.mode.is_proxy() {
                    "  order one: gts-bootstrap certificate renew"
                } else {
                    "  GoToSocial orders it when the first https request comes in: gts-bootstrap check"
                });
            }
            continue;
        };
        let status = Status::of(&situation(&bundle, None, &records, &name), keeper, now);
        let trouble = trouble(&bundle, &name, now);
        if trouble.is_some() {
            exit = Exit::Check;
        }
        show(screen, &name, &status, trouble.as_deref());
        let mut entry = json!(status);
        entry["name"] = json!(name);
        entry["certificate"] = json!(files.chain);
        entry["key"] = json!(files.key);
        entry["trouble"] = json!(trouble);
        all.push(entry);
    }
    report.add("certificates", all);
    if exit == Exit::Check {
        report.code = Some(ErrorCode::Certificate);
        screen.more(ErrorCode::Certificate);
    }
    Ok(exit)
}

fn show(screen: &Screen, name: &HostName, status: &Status, trouble: Option<&str>) {
    screen.line(screen.paint(Tone::HEADING, name.as_str()));
    let row = |tone: Tone, label: &str, value: &str| {
        screen.line(Text::from(format!("  {label:<13} ")) + screen.paint(tone, value.shown()));
    };
    row(Tone::PLAIN, "names", &status.names.join(", "));
    row(Tone::PLAIN, "issuer", &status.issuer);
    row(Tone::PLAIN, "valid until", &format!("{}, {} more days", date(status.not_after), status.days_left));
    row(Tone::PLAIN, "managed by", &keeper(&status.keeper));
    if let Some(next) = status.next_renewal.filter(|_| status.keeper == Keeper::Us) {
        row(Tone::PLAIN, "next renewal", &date(next));
    }
    if let Some(failure) = &status.last_failure {
        let text = format!("{} ({} in a row): {}", date(failure.last), failure.count, failure.reason);
        row(Tone::BAD, "last failure", &text);
    }
    if let Some(trouble) = trouble {
        screen.line_at(Level::Quiet, screen.paint(Tone::BAD, format!("  {name}: {}", trouble.shown())));
    }
}
