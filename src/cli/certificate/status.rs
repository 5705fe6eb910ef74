//! `certificate status`.

use clap::Args;
use serde_json::{Value, json};

use crate::certificate::renewal::{Keeper, Status};
use crate::cli::command;
use crate::cli::global::Global;
use crate::cli::open::Opened;
use crate::cli::screen::{Level, Screen, Tone};
use crate::deployment::{HostName, Layout};
use crate::error_code::ErrorCode;
use crate::parts::tls::Kept;
use crate::run::renew::{keeper, kept, names, records, situation};
use crate::run::{Exit, Report, Stop, deployed};
use crate::status::certificate::trouble;
use crate::utc::date;

/// What `certificate status` takes: nothing of its own.
#[derive(Debug, Clone, Copy, Args)]
pub struct Arguments {}

/// Runs `certificate status`.
pub(super) fn run(global: &Global, _arguments: Arguments, screen: &Screen) -> Exit {
    command::looking(global, screen, "certificate status", |opened, report| status(opened, screen, report))
}

fn status(opened: &Opened, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let host = opened.host();
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
        match kept(host, &layout, &deployment, &name)? {
            Some(kept) => {
                let Kept { files, keeper, bundle } = kept;
                let situation = situation(&bundle, None, &records, &name);
                let status = Status::of(&situation, keeper, now);
                let trouble = trouble(&bundle, &name, now);
                if trouble.is_some() {
                    exit = Exit::Check;
                }
                show(screen, &name, &status, trouble.as_deref());
                let mut entry = serde_json::to_value(&status).map_err(Stop::unwritable)?;
                if let Some(entry) = entry.as_object_mut() {
                    entry.insert("name".into(), json!(name));
                    entry.insert("certificate".into(), json!(files.chain));
                    entry.insert("key".into(), json!(files.key));
                    entry.insert("trouble".into(), json!(trouble));
                }
                all.push(entry);
            }
            // An account domain may well be somewhere else.
            None if name != deployment.host => {}
            None => {
                exit = Exit::Check;
                screen.line_at(Level::Quiet, &format!("{name}: there is no certificate yet"));
                if deployment.exposure.mode.is_proxy() {
                    screen.line("  order one: gts-bootstrap certificate renew");
                } else {
                    screen.line("  GoToSocial orders it when the first https request comes in: gts-bootstrap check");
                }
            }
        }
    }
    report.add("certificates", all);
    if exit == Exit::Check {
        report.code = Some(ErrorCode::Certificate);
        screen.more(ErrorCode::Certificate);
    }
    Ok(exit)
}

fn show(screen: &Screen, name: &HostName, status: &Status, trouble: Option<&str>) {
    screen.line(&screen.paint(Tone::Heading, name.as_str()));
    let row = |label: &str, text: &str| screen.line(&format!("  {label:<13} {text}"));
    row("names", &status.names.join(", "));
    row("issuer", &status.issuer);
    row("valid until", &format!("{}, {} more days", date(status.not_after), status.days_left));
    row("managed by", &keeper(&status.keeper));
    if status.keeper == Keeper::Us
        && let Some(next) = status.next_renewal
    {
        row("next renewal", &date(next));
    }
    if let Some(failure) = &status.last_failure {
        let text = format!("{} ({} in a row): {}", date(failure.last), failure.count, failure.reason);
        row("last failure", &screen.paint(Tone::Bad, &text));
    }
    if let Some(trouble) = trouble {
        screen.line_at(Level::Quiet, &screen.paint(Tone::Bad, &format!("  {name}: {trouble}")));
    }
}
