//! `install`: answers, preflight, lock, plan, consent, changes, proof.

mod inputs;
mod lock;

use std::io::IsTerminal;

use clap::Args;

use super::dialogue::{self, Consent};
use super::exit::Exit;
use super::open::Opened;
use super::progress::Progress;
use super::report::{self, Changed, Report};
use super::screen::{Screen, Tone};
use super::{Global, report::wrap};
use crate::change::{Aftermath, Executor, Plan, journal, store};
use crate::check::{self, installation, preflight};
use crate::deployment::{Deployment, Layout};
use crate::host::{Host, Observe};
use crate::parts::answers::{self, Lock};
use crate::parts::install::{self as parts_install, Wanted};
use crate::parts::{account, service};
use inputs::Inputs;

/// What `install` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Take the answers from this TOML file instead of asking; see docs/answers.md
    #[arg(long, value_name = "FILE")]
    pub answers: Option<std::path::PathBuf>,
    /// Set one answer, for example --set host=social.example.org (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Make the changes without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
    /// Take the release from a mirror laid out as upstream's: an https address or a folder
    #[arg(long, value_name = "URL|DIR")]
    pub mirror: Option<String>,
    /// Install this version (the same as --set release.version=VERSION)
    #[arg(long, value_name = "VERSION")]
    pub release: Option<String>,
    /// Take the release only if its archive has this SHA-256 (the same as --set release.sha256=HEX)
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// Leave out the checks on the running system afterwards
    #[arg(long)]
    pub no_check: bool,
}

/// Why the command ends early: the exit code and the message.
pub(super) struct Stop {
    pub(super) exit: Exit,
    pub(super) why: String,
}

impl Stop {
    pub(super) fn new(exit: Exit, why: impl Into<String>) -> Self {
        Self { exit, why: why.into() }
    }
}

/// Runs `install`.
#[must_use]
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new("install");
    // Whoever is asked for consent, or asks for the plan, has to see it.
    let screen = &if arguments.yes { screen.clone() } else { screen.not_quiet() };
    match install(global, arguments, screen, &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop.exit, &stop.why),
    }
}

fn install(global: &Global, arguments: &Arguments, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let opened = Opened::open(global).map_err(|why| Stop::new(Exit::Usage, why))?;
    let host = opened.host();
    let layout = Layout::default();
    let interactive = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !arguments.yes;
    settle(host, arguments, interactive, screen)?;

    let inputs = Inputs::gather(host, &layout, arguments, interactive && !arguments.plan, screen)?;
    let earlier = Lock::of_host(host, &layout).map_err(|error| Stop::new(Exit::Failed, error.to_string()))?;
    let deployment = &inputs.deployment;
    answers::check_identity(earlier.as_ref(), deployment)
        .map_err(|refusal| Stop::new(Exit::Failed, refusal.to_string()))?;
    // A lock may also have been put there beforehand, to have the same bytes as on another host.
    let installed = earlier.is_some()
        && host.entry(&layout.config).map_err(|error| Stop::new(Exit::Failed, error.to_string()))?.is_some();
    heading(screen, &opened, deployment);

    // The preflight looks at what the lock does not change, so both run before anything is refused: all findings at once.
    let source = lock::source(&opened, arguments, deployment, earlier.as_ref())?;
    let subject = preflight::Subject {
        deployment,
        layout: &layout,
        download: source.over_https(),
        nowasm: deployment.release.variant == crate::deployment::Variant::NoWasm,
        ports: &service::privileged_ports(deployment),
        installed,
    };
    let findings = preflight::checks(host, &subject).map_err(|error| Stop::new(Exit::Failed, error.to_string()))?;
    report.checks.extend(findings.iter().cloned());
    report::show_checks(screen, "Preflight", &findings, false);
    if preflight::refused(&findings) {
        return Err(Stop::new(
            Exit::Failed,
            "the preflight found what has to be put right first (marked FAIL above); nothing was changed",
        ));
    }
    let lock = lock::resolve(host, &layout, deployment, earlier.as_ref(), &source, screen)?;
    let wanted =
        Wanted { deployment, answers: &inputs.answers, secrets: &inputs.secrets, lock: &lock, layout: &layout };
    let plan = make_plan(host, &wanted)?;
    report.reboot_required = !plan.reboot.is_empty();
    report.changes = plan.steps.iter().map(Changed::from).collect();
    show(screen, host.observe(), &plan, deployment, &lock, !installed);

    if arguments.plan {
        report.changed = !plan.is_empty();
        screen.line("This is the plan; nothing was changed.");
        return Ok(Exit::Done);
    }
    if !plan.is_empty() {
        consent(arguments, interactive, screen, host.observe(), &plan, deployment)?;
        apply(host, &wanted, &plan, &source, screen, report)?;
        screen.line(&screen.paint(Tone::Good, &format!("{} made.", changes(plan.steps.len()))));
    }
    if !plan.reboot.is_empty() {
        return Ok(reboot_first(screen, report));
    }
    if arguments.no_check {
        return Ok(Exit::Done);
    }
    prove(host, &wanted, screen, report)
}

fn changes(count: usize) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

/// Settles what a run that was cut off left behind.
fn settle(host: &dyn Host, arguments: &Arguments, interactive: bool, screen: &Screen) -> Result<(), Stop> {
    let failed = |error: crate::host::HostError| Stop::new(Exit::Failed, error.to_string());
    // Only root can look; for others the preflight says so, with all the rest.
    if host.system().map_err(failed)?.euid != 0 {
        return Ok(());
    }
    if host.entry(&journal::path()).map_err(failed)?.is_none() {
        return Ok(());
    }
    if arguments.plan || !(arguments.yes || interactive) {
        screen.attention("An earlier run was cut off. The next run that changes something settles that first.");
        return Ok(());
    }
    let _lock = take_lock(host)?;
    if let Some(settled) = journal::settle(host).map_err(failed)? {
        let undone = if settled.undone.is_empty() { "nothing".to_owned() } else { settled.undone.join(", ") };
        screen.attention(&format!(
            "An earlier `{}` was cut off; taken back: {undone}. What it had finished stays, and this run goes on from there.",
            settled.command
        ));
        for left in settled.left {
            screen.error(&format!("could not be taken back: {left}"));
        }
    }
    Ok(())
}

fn take_lock(host: &dyn Host) -> Result<Box<dyn std::any::Any>, Stop> {
    store::folder(host, "receipts").map_err(|error| Stop::new(Exit::Failed, error.to_string()))?;
    host.lock(&store::lock(), "install").map_err(|error| Stop::new(Exit::Failed, error.to_string()))
}

fn make_plan(host: &dyn Host, wanted: &Wanted<'_>) -> Result<Plan, Stop> {
    parts_install::plan(host.observe(), wanted).map_err(|refusal| Stop::new(Exit::Failed, refusal.to_string()))
}

fn heading(screen: &Screen, opened: &Opened, deployment: &Deployment) {
    screen.line(&screen.paint(Tone::Heading, &format!("GoToSocial for {}", deployment.host)));
    if opened.is_rehearsal() {
        screen.line("A rehearsal: nothing outside its folder is touched.");
    }
}

fn show(screen: &Screen, host: &dyn Observe, plan: &Plan, deployment: &Deployment, lock: &Lock, first: bool) {
    if plan.is_empty() {
        screen.line("Nothing to change: this host is as the answers want it.");
    } else {
        screen.line(&screen.paint(
            Tone::Heading,
            &format!("Plan: GoToSocial {}, {}", lock.release.version, changes(plan.steps.len())),
        ));
        report::show_plan(screen, host, plan);
    }
    for warning in &plan.warnings {
        screen.attention(&wrap(&format!("{} {warning}", screen.paint(Tone::Caution, "warning:")), 2));
    }
    for reason in &plan.reboot {
        screen.attention(&wrap(&format!("{} {reason}", screen.paint(Tone::Caution, "reboot needed:")), 2));
    }
    if first && !plan.is_empty() {
        screen.line(&wrap(&format!(
            "This cannot be undone once other servers know it: the name {}{} can never be changed, and must never have been \
             used by other fediverse software.",
            deployment.host,
            deployment.account_domain.as_ref().map(|domain| format!(" (accounts @{domain})")).unwrap_or_default()
        ), 0));
    }
}

fn consent(
    arguments: &Arguments,
    interactive: bool,
    screen: &Screen,
    host: &dyn Observe,
    plan: &Plan,
    deployment: &Deployment,
) -> Result<(), Stop> {
    if arguments.yes {
        return Ok(());
    }
    if !interactive {
        return Err(Stop::new(
            Exit::NotConfirmed,
            "nothing was changed: there is no terminal to ask on. Add --yes to make these changes, or --plan to see them \
             only",
        ));
    }
    match dialogue::consent(screen, host, plan, deployment) {
        Ok(Consent::Yes) => Ok(()),
        Ok(Consent::No) => Err(Stop::new(Exit::NotConfirmed, "not confirmed; nothing was changed")),
        Err(error) => {
            Err(Stop::new(Exit::NotConfirmed, format!("no answer could be had ({error}); nothing was changed")))
        }
    }
}

fn apply(
    host: &dyn Host,
    wanted: &Wanted<'_>,
    shown: &Plan,
    source: &lock::Chosen,
    screen: &Screen,
    report: &mut Report,
) -> Result<(), Stop> {
    let _lock = take_lock(host)?;
    if host.entry(&journal::path()).map_err(|error| Stop::new(Exit::Failed, error.to_string()))?.is_some() {
        return Err(Stop::new(
            Exit::NotConfirmed,
            "another run was cut off since the plan was made; nothing was changed. Run this again: it settles that first",
        ));
    }
    // What was agreed to is what is done: the host may have changed while somebody was reading.
    if make_plan(host, wanted)?.steps != shown.steps {
        return Err(Stop::new(
            Exit::NotConfirmed,
            "the host has changed since the plan was made; nothing was changed. Run this again to see the new plan",
        ));
    }
    let progress = Progress::new(screen);
    let executor = Executor { host, source: source.release_source(), reporter: &progress };
    let applied = executor.apply("install", shown);
    report.changed = applied.as_ref().map_or_else(|error| error.aftermath.stands.is_some(), |_| true);
    applied.map(drop).map_err(|error| Stop::new(Exit::Failed, format!("{error}.\n{}", told(&error.aftermath))))
}

/// What became of the changes before the one that failed.
fn told(aftermath: &Aftermath) -> String {
    if let Some(stands) = &aftermath.stands {
        return format!("Nothing was taken back: {stands}.");
    }
    let mut text = if aftermath.left.is_empty() {
        "Everything that had been done before was taken back; the host is as it was".to_owned()
    } else {
        format!(
            "NOT everything could be taken back. What is left:\n  {}\nThe rest was taken back",
            aftermath.left.join("\n  ")
        )
    };
    if aftermath.stays.is_empty() {
        text.push('.');
    } else {
        text.push_str(&format!(
            ", but for what GoToSocial itself or somebody else has written, which stays:\n  {}",
            aftermath.stays.join("\n  ")
        ));
    }
    text
}

fn reboot_first(screen: &Screen, report: &mut Report) -> Exit {
    report.checks.extend(installation::after_reboot().checks);
    screen.attention(&wrap(
        "A reboot is needed; after it GoToSocial starts by itself. Then run `gts-bootstrap install` again: it makes what \
         could not be made now, and checks everything.",
        0,
    ));
    Exit::Reboot
}

/// The proof on the running system.
fn prove(host: &dyn Host, wanted: &Wanted<'_>, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let Wanted { deployment, layout, lock, .. } = *wanted;
    let failed =
        |error: crate::host::HostError| Stop::new(Exit::Check, format!("the checks could not be run: {error}"));
    let owner = match host.user(account::NAME).map_err(failed)? {
        Some(user) => crate::host::Owner { uid: user.uid, gid: user.gid },
        None => return Err(Stop::new(Exit::Check, "the user gotosocial is not there")),
    };
    report::announce_order(screen, host.observe(), &service::readiness(deployment, layout));
    let findings =
        installation::check(host.observe(), deployment, layout, &lock.release.version, owner).map_err(failed)?;
    let (bind, rest) = findings.checks.split_at(findings.matrix.len());
    let everything_passed = !check::failed(&findings.checks);
    report::show_checks(screen, "Checks on the running system", rest, false);
    if everything_passed && report.changed {
        screen.line(&wrap(
            &format!(
                "https://{} is up. Settings: {}; log: {}; data: {}.",
                deployment.host,
                layout.config.display(),
                crate::parts::folders::log(layout).display(),
                layout.data.display()
            ),
            0,
        ));
    }
    report::show_matrix(screen, &findings.matrix);
    report.checks.extend(bind.iter().chain(rest).cloned());
    if !everything_passed {
        screen.attention(
            "The installation stands, but a check failed (marked FAIL above). Put that right, then `gts-bootstrap check`.",
        );
        return Ok(Exit::Check);
    }
    Ok(Exit::Done)
}
