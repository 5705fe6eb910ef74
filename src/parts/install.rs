//! The plan of `install`: every part's changes, in the order in which they can be made.

use super::answers::{self, Lock};
use super::passage::{self, Passage, Unfinished};
use super::rule_edit::RuleEdit;
use super::{
    Instance, Refusal, account, admin, config_file, folders, front, log_rotation, managed_file, periodic, port_access,
    rc_script, release, service, tls,
};
use crate::change::{Action, Change, LetGo, Plan, Step, journal};
use crate::deployment::{Deployment, Layout, Mode, PortNumber, Secrets};
use crate::host::{Look, Observe, Owner, ServiceState};

/// Everything that an installation needs to know.
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

/// What the parts refuse that depend on no release, each with the part's name: it is known before a release is looked for.
pub fn obstacles(host: &dyn Observe, deployment: &Deployment, layout: &Layout) -> Vec<(&'static str, Refusal)> {
    let account = account::plan(host);
    let owner = account.as_ref().map_or(Owner { uid: account::ID, gid: account::ID }, |(owner, _)| *owner);
    let access = || {
        let access = port_access::plan(host, &host.system()?, &rule_edit(deployment, owner))?;
        if access.guard { rc_script::plan_guards(host).map(drop) } else { Ok(()) }
    };
    [
        ("account", account.map(drop)),
        ("folders", folders::plan(host, layout, owner).map(drop)),
        ("release", release::command_link(host, layout).map(drop)),
        ("config", managed_file::obstacle(host, &layout.config)),
        ("rc-script", rc_script::plan(host).map(drop)),
        ("log-rotation", log_rotation::plan(host, owner).map(drop)),
        ("monitoring", periodic::plan_status(host).map(drop)),
        ("backup", periodic::plan_backup(host).map(drop)),
        ("port-access", access()),
    ]
    .into_iter()
    .filter_map(|(part, result)| Some((part, result.err()?)))
    .collect()
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

/// Plans an installation, or the rest of one. Only what differs becomes a change.
///
/// # Errors
/// A part refuses, or the answers want another release than the present one; nothing has been changed.
pub fn plan(host: &dyn Observe, wanted: &Wanted<'_>) -> Result<Plan, Refusal> {
    let host: &dyn Observe = &Look::at(host);
    if let Some(Unfinished { command, .. }) = passage::unfinished(host, wanted.layout)? {
        return Err(Refusal::Unfinished { command });
    }
    release::stays(host, wanted.layout, &wanted.lock.release)?;
    with_passage(host, wanted, None)
}

/// The same, with the changes of a passage around it on the way to another release.
///
/// # Errors
/// A part refuses; nothing has been changed.
pub fn with_passage(host: &dyn Observe, wanted: &Wanted<'_>, passage: Option<Passage>) -> Result<Plan, Refusal> {
    let host: &dyn Observe = &Look::at(host);
    let Wanted { deployment, layout, secrets, lock, .. } = *wanted;
    let instance = Instance { host, layout, deployment };
    answers::check_identity(Lock::of_host(host, layout)?.as_ref(), deployment)?;

    let (owner, account) = account::plan(host)?;
    let folders = folders::plan(host, layout, owner)?;
    let release = release::plan(host, layout, &lock.release)?;
    let record = answers::plan(host, layout, wanted.answers, secrets, lock)?;
    let new_reader = !release.switch.is_empty();
    let (config, test) = config_file::plan(instance, secrets, &lock.release.version, owner, new_reader)?;
    let script = rc_script::plan(host)?;
    let rotation = log_rotation::plan(host, owner)?;
    let monitoring = periodic::plan_status(host)?;
    let weekly = periodic::plan_backup(host)?;
    let access = port_access::plan(host, &host.system()?, &rule_edit(deployment, owner))?;
    let guards = if access.guard { rc_script::plan_guards(host)? } else { Vec::new() };
    let mut front = front::plan(instance)?;
    let behind = deployment.exposure.mode.is_proxy();
    let back = !behind && front::present(host)?.is_some();
    let (handed_back, back_warning) = if back { tls::back_to_autocert(instance, owner)? } else { Default::default() };
    let mut variables = service::variables(host, !behind, access.guard)?;
    let (admin, admin_warning) = admin::plan(instance, owner, &service::readiness(deployment, layout))?;

    let state = host.service(rc_script::SERVICE)?;
    let running = state.is_running();
    // An interrupted run may have written what the running server has not read.
    let unread = running && !journal::server_has_read(host, &layout.config)?;
    // The running program has to be restarted if anything changes that it has read or would read anew.
    let startable = access.reboot.is_empty();
    let damaged = release.prepare.iter().any(|step| step.action == Action::Update);
    let moves = passage.is_some();
    let database_moves = passage.as_ref().is_some_and(Passage::moves_database);
    let restart =
        running && startable && (database_moves || new_reader || damaged || config.differs || script.differs || unread);
    // The ports change hands within one step. Everything that takes time is done while their owner still serves.
    let hands_over = restart && !moves;
    let to_front = hands_over && behind && service::holds_ports(host, owner)?;
    let from_front = if hands_over && back { front.lets_go() } else { None };
    let enters = !front.enter.is_empty();
    if to_front {
        front.take_from(&LetGo::Stop(rc_script::SERVICE.to_owned()));
    } else if behind
        && !front.leave.is_empty()
        && front.enters()
        && let Some(from) = front.lets_go()
    {
        front.take_from(&from);
    }
    let passage = passage.unwrap_or_default();
    if moves {
        // The passage says when the service may start at a boot again.
        variables.retain(|step| !matches!(&step.change, Change::RcVariable(set) if set.name == service::ENABLE));
    }

    let mut plan = Plan { warnings: access.warnings, reboot: access.reboot, ..Plan::default() };
    plan.warnings.extend(front.warnings);
    plan.warnings.extend(back_warning);
    plan.warnings.extend(admin_warning.filter(|_| !moves));
    plan.warnings.extend(deployment.config.doubtful().into_iter().map(|(given, meant)| {
        format!("[config] {given} is not a known setting; did you mean {meant}? It is passed on unchanged")
    }));
    let mut add = |steps: Vec<Step>| plan.steps.extend(steps);
    add(account);
    add(folders);
    add(release.prepare.into_iter().collect());
    add(front.prepare);
    add(test.into_iter().collect());
    add(passage.prepare);
    // If it does not run, its supervisor may be about to start it again, and it would take the ports before the front does.
    let may_return = state == ServiceState::Stopped && startable && enters;
    if to_front || from_front.is_some() {
        add(vec![service::runs_when_undone("service", rc_script::SERVICE)]);
    } else if restart || may_return {
        add(vec![service::stop()]);
    }
    add(front.ready);
    add(passage.before);
    // The power may fail and the host boot at any point: at most one of GoToSocial and the front may claim ports 80 and 443 then.
    // So the old owner gives up the next boot right before the new one claims it.
    add(front.unset);
    // On the way to another release the record comes first, so that a run that continues after a power cut knows what is wanted.
    let (first, then) = if moves { (record, Vec::new()) } else { (Vec::new(), record) };
    let switched = [first, release.switch, config.steps].concat();
    // On the way back to direct mode the front answers until the last moment.
    let leave_last = if back { std::mem::take(&mut front.leave) } else { Vec::new() };
    let entered = [front.leave, front.enter].concat();
    let own = [then, script.steps, rotation, monitoring, weekly, guards].concat();
    // GoToSocial's script checks some things before a start. They come before the variable that makes it check, and go after it.
    if back {
        add([own, access.steps, variables, switched].concat());
    } else if to_front {
        add([own, switched, entered, variables, access.steps, front.take].concat());
    } else if behind {
        // From one front to another GoToSocial need not stop.
        add([switched, entered, front.take, own, variables, access.steps].concat());
    } else {
        add([switched, own, access.steps, variables].concat());
    }
    add(handed_back);
    add(leave_last);
    add(passage.after);
    if startable && (restart || !running) {
        add(vec![service::start(deployment, layout, owner, passage.start_migrates, from_front)]);
    }
    add(front.clear);
    // Ordered through the front, which by now passes the authority's questions on.
    add(front.order.iter().filter_map(|name| tls::first_order(layout, deployment, name)).collect());
    if startable && !moves {
        add(admin.into_iter().collect());
    }
    Ok(plan)
}
