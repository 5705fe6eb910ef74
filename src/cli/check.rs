//! `check`: proof on the running system, at any time.

use clap::Args;

use super::exit::Exit;
use super::open::Opened;
use super::report::{self, Report};
use super::screen::Screen;
use super::transaction::Stop;
use super::{Global, deployed};
use crate::check::{self, installation};
use crate::deployment::Layout;
use crate::host::Owner;
use crate::parts::account;
use crate::parts::answers::Lock;
use crate::parts::service;

/// What `check` takes: nothing of its own.
#[derive(Debug, Clone, Copy, Args)]
pub struct Arguments {}

/// Runs `check`.
#[must_use]
pub fn run(global: &Global, _arguments: &Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new("check");
    match findings(global, screen, &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop.exit, &stop.why),
    }
}

fn findings(global: &Global, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let opened = Opened::open(global).map_err(|why| Stop::new(Exit::Usage, why))?;
    let host = opened.host();
    let layout = Layout::default();
    let failed = |why: String| Stop::new(Exit::Check, why);
    let lock = Lock::of_host(host.observe(), &layout).map_err(|error| failed(error.to_string()))?.ok_or_else(|| {
        failed("GoToSocial was not installed here by gts-bootstrap; run `gts-bootstrap install`".to_owned())
    })?;
    let deployment = deployed::deployment(host.observe(), &layout, Exit::Check)?;
    let owner = host
        .user(account::NAME)
        .map_err(|error| failed(error.to_string()))?
        .map(|user| Owner { uid: user.uid, gid: user.gid })
        .ok_or_else(|| failed("the user gotosocial is gone; run `gts-bootstrap install`".to_owned()))?;
    report::announce_order(screen, host.observe(), &service::readiness(&deployment, &layout));
    let found = installation::check(host.observe(), &deployment, &layout, &lock.release.version, owner)
        .map_err(|error| failed(format!("the checks could not be run: {error}")))?;
    let rest = found.checks.get(found.matrix.len()..).unwrap_or_default();
    report::show_checks(screen, &format!("Checks for {}", deployment.host), rest, true);
    report::show_matrix(screen, &found.matrix);
    let exit = if check::failed(&found.checks) { Exit::Check } else { Exit::Done };
    report.checks = found.checks;
    Ok(exit)
}
