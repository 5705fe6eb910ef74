//! The plan of `install`: every part's changes, in the order in which they can be made.

use super::answers::{self, Lock};
use super::passage::{self, Passage, Unfinished};
use super::rule_edit::RuleEdit;
use super::{
    Refusal, account, admin, config_file, folders, front, log_rotation, periodic, port_access, rc_script, release,
    service, tls,
};
use crate::change::{Action, Change, Plan, SetRcVariable, Step};
use crate::deployment::{Deployment, Layout, Mode, PortNumber, Secrets};
use crate::host::{Observe, Owner, ServiceState};

/// What is wanted, in full.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The deployment.
    pub deployment: &'a Deployment,
    /// Text of the answers, for the record on the host.
    pub answers: &'a str,
    /// Secrets.
    pub secrets: &'a Secrets,
    /// Host name and release.
    pub lock: &'a Lock,
    /// Where everything goes.
    pub layout: &'a Layout,
}

/// Everything but the release and what rests on it: what these parts refuse can be told before a release is looked for.
/// Each with the part's name.
pub fn obstacles(host: &dyn Observe, deployment: &Deployment, layout: &Layout) -> Vec<(&'static str, Refusal)> {
    let mut found = Vec::new();
    let owner = match account::plan(host) {
        Ok(account) => account.owner,
        Err(refusal) => {
            found.push(("account", refusal));
            Owner { uid: account::ID, gid: account::ID }
        }
    };
    let access = host
        .system()
        .map_err(Refusal::from)
        .and_then(|system| port_access::plan(host, &system, &rule_edit(deployment, owner)))
        .and_then(|access| if access.guard { rc_script::plan_guards(host).map(drop) } else { Ok(()) });
    for (part, result) in [
        ("folders", folders::plan(host, layout, owner).map(drop)),
        ("release", release::command_link(host, layout).map(drop)),
        ("config", config_file::obstacle(host, layout)),
        ("rc-script", rc_script::plan(host).map(drop)),
        ("log-rotation", log_rotation::plan(host, owner).map(drop)),
        ("monitoring", periodic::plan_status(host).map(drop)),
        ("backup", periodic::plan_backup(host).map(drop)),
        ("port-access", access),
    ] {
        found.extend(result.err().map(|refusal| (part, refusal)));
    }
    found
}

/// What the deployment means for the rules: GoToSocial has ports 80 and 443 while it faces the internet itself.
fn rule_edit(deployment: &Deployment, owner: Owner) -> RuleEdit {
    match deployment.exposure.mode {
        Mode::Direct => RuleEdit::Grant(port_access::rules(owner, &service::privileged_ports(deployment))),
        Mode::Behind(_) => {
            RuleEdit::Revoke(port_access::rules(owner, &[PortNumber::HTTP.get(), PortNumber::HTTPS.get()]))
        }
    }
}

/// Plans an installation, or what is missing of one. Only what differs becomes a change.
///
/// # Errors
/// A part refuses, or another release is wanted than the one that is there; nothing has been changed.
pub fn plan(host: &dyn Observe, wanted: &Wanted<'_>) -> Result<Plan, Refusal> {
    if let Some(Unfinished { command, .. }) = passage::unfinished(host, wanted.layout)? {
        return Err(Refusal::Unfinished { command });
    }
    release::stays(host, wanted.layout, &wanted.lock.release)?;
    with_passage(host, wanted, None)
}

/// The same, and on the way to another release what goes around that.
///
/// # Errors
/// A part refuses; nothing has been changed.
pub fn with_passage(host: &dyn Observe, wanted: &Wanted<'_>, passage: Option<Passage>) -> Result<Plan, Refusal> {
    let Wanted { deployment, layout, .. } = *wanted;
    answers::check_identity(Lock::of_host(host, layout)?.as_ref(), deployment)?;

    let system = host.system()?;
    let account = account::plan(host)?;
    let owner = account.owner;
    let ports = service::privileged_ports(deployment);
    let folders = folders::plan(host, layout, owner)?;
    let release = release::plan(host, layout, &wanted.lock.release)?;
    let record = answers::plan(host, layout, wanted.answers, wanted.secrets, wanted.lock)?;
    let version = &wanted.lock.release.version;
    let config =
        config_file::plan(host, layout, deployment, wanted.secrets, version, owner, !release.switch.is_empty())?;
    let script = rc_script::plan(host)?;
    let rotation = log_rotation::plan(host, owner)?;
    let monitoring = periodic::plan_status(host)?;
    let weekly = periodic::plan_backup(host)?;
    let access = port_access::plan(host, &system, &rule_edit(deployment, owner))?;
    let guards = if access.guard { rc_script::plan_guards(host)? } else { Vec::new() };
    let mut front = front::plan(host, layout, deployment)?;
    let behind = deployment.exposure.mode.is_proxy();
    let back = !behind && front::present(host)?.is_some();
    let handed_back = if back { tls::back_to_autocert(host, layout, deployment, owner)? } else { Vec::new() };
    let back_warning = if back { tls::back_warning(host, layout, deployment)? } else { None };
    let mut variables = service::variables(host, deployment.exposure.mode == Mode::Direct, access.guard)?;
    let readiness = service::readiness(deployment, layout);
    let (admin, admin_warning) = admin::plan(host, layout, deployment, owner, &readiness)?;

    let state = host.service(rc_script::SERVICE)?;
    let running = state.is_running();
    // What the running program has read or would read anew: with one of these changed it has to be restarted.
    let startable = access.reboot.is_empty();
    let damaged = release.prepare.iter().any(|step| step.action == Action::Update);
    let moves = passage.is_some();
    let database_moves = passage.as_ref().is_some_and(Passage::moves_database);
    let restart = running
        && startable
        && (database_moves || !release.switch.is_empty() || damaged || config.differs || script.differs);
    let passage = passage.unwrap_or_default();
    if moves {
        // The passage says when the service may start at a boot again.
        let is_enable = |step: &Step| matches!(&step.change, Change::RcVariable(SetRcVariable { name, .. }) if name == passage::ENABLE);
        variables.retain(|step| !is_enable(step));
    }

    let mut plan = Plan { warnings: access.warnings, reboot: access.reboot, ..Plan::default() };
    plan.warnings.extend(front.warnings);
    plan.warnings.extend(back_warning);
    plan.warnings.extend(admin_warning.filter(|_| !moves));
    plan.warnings.extend(deployment.config.doubtful().into_iter().map(|(given, meant)| {
        format!("[config] {given} is not a known setting; did you mean {meant}? It is passed on unchanged")
    }));
    let mut add = |steps: Vec<Step>| plan.steps.extend(steps);
    add(account.steps);
    add(folders);
    add(release.prepare);
    add(front.prepare);
    add(config.test.into_iter().collect());
    add(passage.prepare);
    // One that does not run may be about to: its supervisor tries again and again, and would be at the ports before the front.
    let may_return = state == ServiceState::Stopped && startable && !front.enter.is_empty();
    if restart || may_return {
        add(vec![service::stop()]);
    }
    add(passage.before);
    // Whoever is cut off by a failing power may boot at any point of this: at most one of GoToSocial and the front may want
    // ports 80 and 443 then. So the old owner gives up the next boot before the new one claims it.
    add(front.unset);
    // On the way to another release what is wanted is on record before it is begun with, so that a run that goes on after a
    // power cut knows it.
    let (first, then) = if moves { (record, Vec::new()) } else { (Vec::new(), record) };
    let switched = [first, release.switch, config.steps].concat();
    // On the way back to direct mode the front answers until the last moment.
    let leave_last = if back { std::mem::take(&mut front.leave) } else { Vec::new() };
    let entered = [front.leave, front.enter].concat();
    let own = [then, script.steps, rotation, monitoring, weekly, guards].concat();
    // What GoToSocial's script looks at before a start is there before it is told to look, and goes only after that.
    if back {
        add([own, access.steps, variables, switched].concat());
    } else if behind {
        // From one front to another GoToSocial need not stop.
        add([switched, entered, own, variables, access.steps].concat());
    } else {
        add([switched, own, access.steps, variables].concat());
    }
    add(handed_back);
    add(leave_last);
    add(passage.after);
    if startable && (restart || !running) {
        add(vec![service::start(owner, &ports, &readiness, passage.start_migrates)]);
    }
    add(front.clear);
    // Ordered through the front, which by now passes the authority's questions on.
    add(front.order.iter().filter_map(|name| tls::first_order(layout, deployment, name)).collect());
    if startable && !moves {
        add(admin.into_iter().collect());
    }
    Ok(plan)
}
