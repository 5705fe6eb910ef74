//! `install`: answers, preflight, lock, plan, consent, changes, proof.

pub(super) mod inputs;
pub(super) mod lock;
mod summary;
mod trial;

use std::time::Duration;

use clap::Args;

use super::dialogue::consent::{Proposal, Saved, offer_to_save};
use super::dialogue::console::Standard;
use super::exit::Exit;
use super::open::Opened;
use super::report::{self, Report};
use super::screen::{Screen, Tone};
use super::transaction::{Stop, Transaction, With};
use super::{Global, report::wrap};
use crate::change::Plan;
use crate::check::{self, installation, preflight};
use crate::deployment::{Deployment, Layout, Mode};
use crate::error_code::ErrorCode;
use crate::host::Host;
use crate::parts::answers::{self, Lock};
use crate::parts::install::{self as parts_install, Wanted};
use crate::parts::{account, front, service, uninstall};
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
    /// Ask the questions again, with what is answered already as defaults; without a terminal, take a line each from
    /// standard input
    #[arg(long, conflicts_with = "yes")]
    pub ask: bool,
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

/// Runs `install`.
#[must_use]
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    deploy(global, &Run { command: "install", trial: None, mode: None }, arguments, screen)
}

/// How a deployment is brought about.
pub(super) struct Run {
    /// The command as it is typed.
    pub(super) command: &'static str,
    /// How long the running system is watched; if a check fails meanwhile everything is taken back.
    pub(super) trial: Option<Duration>,
    /// Who is to stand at ports 80 and 443; `None` leaves that to the answers.
    pub(super) mode: Option<Mode>,
}

/// Brings a deployment about.
pub(super) fn deploy(global: &Global, run: &Run, arguments: &Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new(run.command);
    // Whoever is asked for consent, or asks for the plan, has to see it.
    let screen = &if arguments.yes { screen.clone() } else { screen.not_quiet() };
    let mut typed = None;
    match install(global, run, arguments, screen, &mut report, &mut typed) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => {
            let exit = report.fail(screen, stop);
            if let (Exit::Failed | Exit::Busy, Some(typed)) = (exit, typed) {
                typed.offer(screen);
            }
            exit
        }
    }
}

/// Answers that were typed, and are kept nowhere until they are installed.
struct Typed {
    answers: String,
    name: String,
}

impl Typed {
    /// Offers to save them. Whoever does not answer does not want that.
    fn offer(&self, screen: &Screen) {
        let saved = Saved { answers: &self.answers, name: &self.name };
        let _ = Standard::open(screen.around()).and_then(|mut console| offer_to_save(&mut console, saved));
    }
}

fn install(
    global: &Global,
    run: &Run,
    arguments: &Arguments,
    screen: &Screen,
    report: &mut Report,
    typed: &mut Option<Typed>,
) -> Result<Exit, Stop> {
    let opened = Opened::open(global, screen)?;
    let host = opened.host();
    let layout = Layout::default();
    let transaction = Transaction {
        command: run.command,
        host,
        authority: opened.authority(),
        screen,
        yes: arguments.yes,
        plan_only: arguments.plan,
        ask: arguments.ask,
    };
    transaction.settle()?;

    if run.mode.is_some() && Lock::of_host(host, &layout).map_err(Stop::failed)?.is_none() {
        return Err(Stop::new(
            Exit::Failed,
            ErrorCode::NotInstalled,
            "GoToSocial was not installed here by gts-bootstrap; run `gts-bootstrap install`, with [exposure] mode in the \
             answers",
        ));
    }
    if run.mode.is_some()
        && let Some(name) = uninstall::only_data(host.observe(), &layout).map_err(Stop::failed)?
    {
        return Err(Stop::refused(ErrorCode::NotInstalled, super::status::uninstalled(&name)));
    }
    let may_ask = arguments.ask || transaction.interactive() && !arguments.plan;
    let inputs = Inputs::gather(host, screen.around(), &layout, arguments, run.mode, may_ask)?;
    let name = format!("{}.toml", inputs.deployment.host);
    *typed = inputs.typed.then(|| Typed { answers: inputs.answers.clone(), name: name.clone() });
    let earlier = Lock::of_host(host, &layout).map_err(Stop::failed)?;
    let deployment = &inputs.deployment;
    answers::check_identity(earlier.as_ref(), deployment).map_err(Stop::failed)?;
    // A lock may also have been put there beforehand, to have the same bytes as on another host.
    let installed = earlier.is_some() && host.entry(&layout.config)?.is_some();
    heading(screen, &opened, deployment);

    // The preflight looks at what the lock does not change, so both run before anything is refused: all findings at once.
    let source = lock::source(&opened, screen.around(), arguments, deployment, earlier.as_ref())?;
    let subject = preflight::Subject {
        deployment,
        layout: &layout,
        download: source.over_https(),
        nowasm: deployment.release.variant == crate::deployment::Variant::NoWasm,
        ports: &service::privileged_ports(deployment),
        installed,
        moves_here: false,
    };
    let findings = preflight::checks(host, &subject)?;
    report.checks.extend(findings.iter().cloned());
    report::show_checks(screen, "Preflight", &findings, false);
    if preflight::refused(&findings) {
        return Err(Stop::new(
            Exit::Failed,
            ErrorCode::Preflight,
            "the preflight found what has to be put right first (marked FAIL above); nothing was changed",
        ));
    }
    let lock = lock::resolve(host, &layout, deployment, earlier.as_ref(), &source, screen)?;
    let wanted =
        Wanted { deployment, answers: &inputs.answers, secrets: &inputs.secrets, lock: &lock, layout: &layout };
    let plan = make_plan(host, &wanted)?;
    let front = deployment.exposure.mode.front();
    let behind = front.map(|front| format!(" behind {}", front.name)).unwrap_or_default();
    let heading = format!("Plan: GoToSocial {}{behind}", lock.release.version);
    transaction.show(&plan, &heading, "Nothing to change: this host is as the answers want it.", report);
    if !installed && !plan.is_empty() {
        never_again(screen, deployment);
    }

    // After a switch between two fronts that was cut off both are there.
    let wanted_front: Vec<_> = front.into_iter().collect();
    let switches = installed && front::all_present(host)? != wanted_front;
    if switches && !plan.reboot.is_empty() {
        return Err(Stop::new(
            Exit::Failed,
            ErrorCode::Reboot,
            "who stands at ports 80 and 443 can only change while the kernel takes the change of the rules, and now it does \
             not (see above); nothing was changed. Set kern_securelevel_enable=\"NO\" in rc.conf, reboot, run this again, and \
             raise the securelevel afterwards",
        ));
    }
    if transaction.ends_with(&plan, report) {
        return Ok(Exit::Done);
    }
    let mut password = None;
    if !plan.is_empty() {
        let saved = Saved { answers: &inputs.answers, name: &name };
        transaction.agree(Proposal { plan: &plan, explanation: &explanation(deployment), saved: Some(saved) })?;
        let on_trial = trial::OnTrial {
            host,
            wanted: &wanted,
            length: run.trial.unwrap_or_default(),
            screen,
            asks: transaction.interactive(),
        };
        let trial = |stop: &dyn Fn() -> Option<String>| on_trial.watch(stop);
        let with = With {
            source: source.release_source(),
            trial: run.trial.is_some().then_some(&trial),
            watched: if switches { &front::PORTS } else { &[] },
            down: false,
        };
        password = transaction.apply(&plan, || make_plan(host, &wanted), with, report)?;
    }
    // From now on the host has them.
    *typed = None;
    tidy(&transaction, report);
    if !plan.reboot.is_empty() {
        return Ok(reboot_first(screen, report));
    }
    if arguments.no_check {
        return Ok(Exit::Done);
    }
    prove(host, &wanted, password.as_deref(), screen, report)
}

fn make_plan(host: &dyn Host, wanted: &Wanted<'_>) -> Result<Plan, Stop> {
    parts_install::plan(host.observe(), wanted).map_err(Stop::failed)
}

/// What is said of every rehearsal.
pub(super) const REHEARSED: &str = "A rehearsal: nothing outside its folder is touched; times are its model's.";

fn heading(screen: &Screen, opened: &Opened, deployment: &Deployment) {
    screen.line(&screen.paint(Tone::Heading, &format!("GoToSocial for {}", deployment.host)));
    if opened.is_rehearsal() {
        screen.line(REHEARSED);
    }
}

/// What is shown under the plan of a first installation.
fn never_again(screen: &Screen, deployment: &Deployment) {
    screen.line(&wrap(
        &format!(
            "The name {}{} can never be changed once other servers know it, and must never have been used by other fediverse \
             software.",
            deployment.host,
            deployment.account_domain.as_ref().map(|domain| format!(" (accounts @{domain})")).unwrap_or_default()
        ),
        0,
    ));
}

/// What the consent's "explain" says.
fn explanation(deployment: &Deployment) -> [String; 2] {
    let ports = match deployment.exposure.mode.front().map(|front| front.name) {
        None => format!(
            "The kernel module mac_portacl lets that one user bind ports 80 and 443, and nobody but root any other port \
             below 1024. Afterwards this is proved: child processes try to bind as gotosocial and as nobody. {} gets its \
             certificate from Let's Encrypt.",
            deployment.host
        ),
        Some(name) => format!(
            "{name} takes connections on ports 80 and 443 and passes them on to GoToSocial, which listens on {} and may \
             bind no port below 1024. Afterwards this is proved: child processes try to bind as gotosocial and as nobody. \
             The certificate of {} is {name}'s, and renewed by a daily script, unless it is kept by somebody else.",
            deployment.local_address(),
            deployment.host
        ),
    };
    [
        format!("GoToSocial runs as the user gotosocial, which is there for this alone. {ports}"),
        "Every change is written to a journal before it is made. If one fails, all before it are taken back, in reverse order. \
         After a power cut the next run tidies up and goes on. Lines of others in loader.conf, sysctl.conf and rc.conf stay."
            .to_owned(),
    ]
}

/// Takes away packages that were installed for a front that is gone; not before all else has been proved.
fn tidy(transaction: &Transaction<'_>, report: &mut Report) {
    let make = || -> Result<Plan, Stop> {
        let steps = front::tidy(transaction.host.observe()).map_err(Stop::failed)?;
        Ok(Plan { steps, ..Plan::default() })
    };
    let tidied = make().and_then(|plan| {
        if plan.is_empty() {
            return Ok(());
        }
        transaction.screen.line("A package that was installed for a web server in front is no longer needed:");
        report.changes.extend(plan.steps.iter().map(report::Changed::from));
        transaction.apply(&plan, make, With::default(), report).map(drop)
    });
    // What was asked for is done all the same.
    if let Err(stop) = tidied {
        transaction.screen.attention(&wrap(
            &format!(
                "{} it stays, and can be taken away with `pkg delete`: {}",
                transaction.screen.paint(Tone::Caution, "warning:"),
                stop.why
            ),
            2,
        ));
    }
}

pub(super) fn reboot_first(screen: &Screen, report: &mut Report) -> Exit {
    report.checks.extend(installation::after_reboot().checks);
    screen.attention(&wrap(
        "A reboot is needed; after it GoToSocial starts by itself. Then run `gts-bootstrap install` again: it makes what \
         could not be made now, and checks everything.",
        0,
    ));
    Exit::Reboot
}

/// The proof on the running system.
pub(super) fn prove(
    host: &dyn Host,
    wanted: &Wanted<'_>,
    password: Option<&str>,
    screen: &Screen,
    report: &mut Report,
) -> Result<Exit, Stop> {
    let Wanted { deployment, layout, lock, .. } = *wanted;
    let failed = |error: crate::host::HostError| {
        Stop::new(Exit::Check, ErrorCode::CheckFailed, format!("the checks could not be run: {error}"))
    };
    let owner = match host.user(account::NAME).map_err(failed)? {
        Some(user) => crate::host::Owner { uid: user.uid, gid: user.gid },
        None => return Err(Stop::new(Exit::Check, ErrorCode::NotInstalled, "the user gotosocial is not there")),
    };
    report::announce_order(screen, host.observe(), &service::readiness(deployment, layout));
    let findings =
        installation::check(host.observe(), deployment, layout, &lock.release.version, owner).map_err(failed)?;
    let (bind, rest) = findings.checks.split_at(findings.matrix.len());
    let everything_passed = !check::failed(&findings.checks);
    report::show_checks(screen, "Checks on the running system", rest, false);
    report::show_matrix(screen, &findings.matrix);
    if everything_passed && report.changed {
        summary::show(screen, deployment, layout, password);
    }
    report.checks.extend(bind.iter().chain(rest).cloned());
    if !everything_passed {
        screen.attention(
            "The installation stands, but a check failed (marked FAIL above). Put that right, then `gts-bootstrap check`.",
        );
        return Ok(Exit::Check);
    }
    Ok(Exit::Done)
}
