//! `certificate renew`: what periodic(8) runs each day.

use clap::Args;

use super::{keeper, kept, names, records, situation, when};
use crate::certificate::placeholder::is_placeholder;
use crate::certificate::renewal::{Keeper, Verdict, Window};
use crate::change::{Plan, digest};
use crate::cli::exit::Exit;
use crate::cli::open::Opened;
use crate::cli::report::{Report, wrap};
use crate::cli::screen::Screen;
use crate::cli::transaction::{Stop, Transaction, With};
use crate::cli::{Global, deployed};
use crate::deployment::{AcmeDirectory, Deployment, HostName, Layout, Mode};
use crate::error_code::ErrorCode;
use crate::host::Observe;
use crate::parts::tls::{self, Kept};

/// The next look comes a day later.
const INTERVAL: u64 = 86_400;

/// What `certificate renew` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Renew now, whether it is due or not; waits only where the authority asked for it
    #[arg(long)]
    pub force: bool,
    /// Renew without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
    /// Order from this authority, this once, such as Let's Encrypt's staging environment
    #[arg(long, value_name = "URL")]
    pub acme_directory: Option<String>,
}

/// Runs `certificate renew`.
#[must_use]
pub(super) fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new(COMMAND);
    // Whoever is asked for consent, or asks for the plan, has to see it.
    let screen = &if arguments.yes { screen.clone() } else { screen.not_quiet() };
    match renew(global, arguments, screen, &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop),
    }
}

const COMMAND: &str = "certificate renew";

fn renew(global: &Global, arguments: &Arguments, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let directory: Option<AcmeDirectory> = match &arguments.acme_directory {
        Some(url) => Some(url.parse().map_err(|error| Stop::usage(format!("--acme-directory: {error}")))?),
        None => None,
    };
    let opened = Opened::open(global, screen)?;
    let host = opened.host();
    if host.system()?.euid != 0 {
        return Err(Stop::refused(ErrorCode::NotRoot, "only root can renew the certificate; run it as root"));
    }
    let transaction = Transaction {
        command: COMMAND,
        host,
        authority: opened.authority(),
        screen,
        yes: arguments.yes,
        plan_only: arguments.plan,
        ask: false,
    };
    transaction.settle()?;
    let layout = Layout::default();
    let deployment = deployed::deployment(host.observe(), &layout, Exit::Failed)?;
    if deployment.exposure.mode == Mode::Direct {
        screen.line("GoToSocial faces the internet itself, and renews its certificate itself. Nothing to do.");
        return Ok(Exit::Done);
    }
    let course = Course { arguments, layout: &layout, deployment: &deployment, directory: directory.as_ref() };
    let mut windows = Vec::new();
    for name in names(&deployment) {
        windows.push(course.window(&transaction, &name)?);
    }
    let (plan, notes) = course.plan(host.observe(), &windows)?;
    for note in &notes {
        screen.line(&wrap(note, 0));
    }
    report.add("notes", serde_json::json!(notes));
    if plan.is_empty() {
        return Ok(Exit::Done);
    }
    transaction.show(&plan, "Plan: certificate", "", report);
    if transaction.ends_with(&plan, report) {
        return Ok(Exit::Done);
    }
    transaction.consent(&plan, &explanation())?;
    transaction.apply(&plan, || Ok(course.plan(host.observe(), &windows)?.0), With::default(), report)?;
    Ok(Exit::Done)
}

fn explanation() -> [String; 1] {
    ["The authority asks the web server for an answer over port 80, and issues a certificate with a new key. The web server \
      then reloads, and is seen to show it. Until that is so the old certificate and its key are kept, and they are back in \
      service if anything fails."
        .to_owned()]
}

/// What is common to the look at each name.
struct Course<'a> {
    arguments: &'a Arguments,
    layout: &'a Layout,
    deployment: &'a Deployment,
    directory: Option<&'a AcmeDirectory>,
}

impl Course<'_> {
    /// When the authority would like the certificate renewed. That it does not say is no failure: it is then due by its age.
    fn window(&self, transaction: &Transaction<'_>, name: &HostName) -> Result<Option<Window>, Stop> {
        let Transaction { host, authority, screen, .. } = *transaction;
        let ours = kept(host.observe(), self.layout, self.deployment, name)?
            .is_some_and(|kept| kept.keeper == Keeper::Us && !is_placeholder(kept.bundle.leaf()));
        if !ours || self.arguments.force {
            return Ok(None);
        }
        let order = tls::certificate_order(self.layout, self.deployment, name, None);
        match order.renewal_window(host.observe(), authority) {
            Ok(window) => Ok(window),
            Err(error) => {
                screen.line(&wrap(&format!("When to renew could not be asked, so the age decides: {error}"), 0));
                Ok(None)
            }
        }
    }

    /// The plan, and what there is to say of names for which there is nothing to do.
    fn plan(&self, host: &dyn Observe, windows: &[Option<Window>]) -> Result<(Plan, Vec<String>), Stop> {
        let (mut plan, mut notes) = (Plan::default(), Vec::new());
        for (name, window) in names(self.deployment).iter().zip(windows) {
            match kept(host, self.layout, self.deployment, name)? {
                Some(kept) if kept.keeper == Keeper::Us => {
                    self.ours(host, name, &kept, window.as_ref(), &mut plan, &mut notes)?
                }
                Some(kept) => self.of_others(host, name, &kept, &mut plan, &mut notes)?,
                None if *name == self.deployment.host => plan.steps.extend(self.renewal(name)),
                None => {}
            }
        }
        if let Some(front) = tls::shown_by(self.deployment.exposure.mode)
            && !plan.is_empty()
            && !host.service(&front.service)?.is_running()
        {
            return Err(Stop::refused(
                ErrorCode::FrontDown,
                format!(
                    "{0} does not run, and without it the authority gets no answer; start it (`service {0} start`) and run this \
                 again. The certificate is as it was",
                    front.service
                ),
            ));
        }
        Ok((plan, notes))
    }

    fn renewal(&self, name: &HostName) -> Option<crate::change::Step> {
        tls::renewal(self.layout, self.deployment, name, self.directory)
    }

    fn ours(
        &self,
        host: &dyn Observe,
        name: &HostName,
        kept: &Kept,
        window: Option<&Window>,
        plan: &mut Plan,
        notes: &mut Vec<String>,
    ) -> Result<(), Stop> {
        let records = records(host, self.layout)?;
        let situation = situation(&kept.bundle, window, &records, name);
        let (now, force) = (host.now(), self.arguments.force);
        // Another authority knows nothing of what this one has refused.
        let failures = situation.failures.filter(|_| self.directory.is_none());
        if let Some(until) = failures.and_then(|failures| failures.refused_until()).filter(|until| now < *until) {
            let text = format!(
                "{name}: the certificate authority asked to be left alone until {}. The last attempt failed: {}",
                when(until),
                failures.map(|failures| failures.reason.as_str()).unwrap_or_default()
            );
            if force {
                return Err(Stop::refused(ErrorCode::Acme, text));
            }
            notes.push(text);
            return Ok(());
        }
        if force {
            plan.steps.extend(self.renewal(name));
            return Ok(());
        }
        let placeholder = is_placeholder(kept.bundle.leaf());
        match situation.verdict(now, INTERVAL) {
            // A placeholder is due at once, but for what failed lately.
            _ if placeholder && failures.is_none_or(|failures| failures.next_attempt() <= now) => {
                plan.steps.extend(self.renewal(name));
            }
            Verdict::Renew(_) => plan.steps.extend(self.renewal(name)),
            Verdict::Wait { until } => {
                let why = failures
                    .map(|failures| format!(" The last attempt failed: {}", failures.reason))
                    .unwrap_or_default();
                notes.push(format!(
                    "{name}: not due; valid until {}, to be renewed from {} on.{why}",
                    when(kept.bundle.leaf().not_after),
                    when(until)
                ));
            }
        }
        Ok(())
    }

    /// Files of somebody else: never renewed, but shown once they are.
    fn of_others(
        &self,
        host: &dyn Observe,
        name: &HostName,
        kept: &Kept,
        plan: &mut Plan,
        notes: &mut Vec<String>,
    ) -> Result<(), Stop> {
        let showing = tls::showing(host, self.deployment, name)?;
        if showing.is_some_and(|showing| showing != digest(kept.bundle.leaf_der())) {
            plan.steps.extend(tls::reload(self.deployment, name, &kept.files.chain));
        } else {
            notes.push(format!("{name}: kept by {}, so it is not renewed here.", keeper(&kept.keeper)));
        }
        Ok(())
    }
}
