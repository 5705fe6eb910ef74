//! `service NAME …`: a script must exist and be executable. [`gotosocial`] and [`web_servers`] model what two of them
//! start; the others are modelled here.

use std::path::Path;

use crate::front::Front;
use crate::gotosocial::SERVICE;

use super::super::{HostError, ServiceAction, ServiceState, Supervision, hides_others};
use super::machine::{Machine, command_failed};
use super::model::{ENDS, Model};
use super::{boot, gotosocial, kernel, portacl_rc, rc_conf, web_servers};

const GUARDS: [&str; 2] = ["gts_portacl_guard", "gts_portacl_guard_late"];
/// How many milliseconds a web server takes from the signal to its new sockets.
const SIGNALLED: u64 = 100;
const FOLDERS: [&str; 2] = ["/etc/rc.d", "/usr/local/etc/rc.d"];

/// Whether service(8) finds a script with that name.
pub(super) fn has_script(machine: &Machine, name: &str) -> bool {
    FOLDERS.iter().any(|folder| machine.is_executable(&Path::new(folder).join(name)))
}

fn front_of(service: &str) -> Option<Front> {
    Front::ALL.into_iter().find(|front| front.service == service)
}

/// Whether the user who runs the program sees its own processes alone.
fn hides(machine: &Machine) -> Result<bool, HostError> {
    Ok(machine.model.euid != 0 && hides_others(&|name| Ok(kernel::sysctl(&machine.model, name)))?)
}

/// `service NAME onestatus`.
pub(super) fn state(machine: &Machine, name: &str) -> Result<ServiceState, HostError> {
    if name == SERVICE || front_of(name).is_some() {
        // The folders that scripts lie in.
        rc_conf::get(machine, "local_startup")?;
    }
    if !has_script(machine, name) {
        return Ok(ServiceState::Missing);
    }
    if GUARDS.contains(&name) {
        let open = boot::ports_are_open(machine)?;
        return Ok(if open { ServiceState::Stopped } else { ServiceState::Running { pid: None } });
    }
    if hides(machine)? {
        return Ok(ServiceState::Stopped);
    }
    let pid = match name {
        SERVICE => machine.model.program().map(|program| program.pid),
        _ => machine.model.services.get(name).copied(),
    };
    Ok(pid.map_or(ServiceState::Stopped, |pid| ServiceState::Running { pid: Some(pid) }))
}

/// The same, in the words of GoToSocial's rc.d script, with the age that the process had at this time.
pub(super) fn supervision(machine: &Machine, name: &str, at: u64) -> Result<Supervision, HostError> {
    let supervisor = machine.model.gotosocial.as_ref().filter(|_| name == SERVICE);
    Ok(match (state(machine, name)?, supervisor) {
        (ServiceState::Missing, _) => Supervision::Missing,
        _ if hides(machine)? => Supervision::Hidden,
        (ServiceState::Running { pid }, Some(supervisor)) if supervisor.killed => Supervision::Orphan { pid },
        (ServiceState::Running { pid }, supervisor) => {
            let program = supervisor.and_then(|supervisor| supervisor.program.as_ref());
            let seconds = program.map(|program| at.saturating_sub(program.started_at));
            Supervision::Running { pid, seconds }
        }
        (ServiceState::Stopped, Some(_)) => Supervision::Restarting,
        (ServiceState::Stopped, None) => Supervision::Stopped,
    })
}

/// `service NAME start`, `onestart`, `onestop` or `onereload`.
pub(super) fn act(machine: &mut Machine, name: &str, action: ServiceAction) -> Result<(), HostError> {
    let verb = action.verb();
    let command = format!("service {name} {verb}");
    if !has_script(machine, name) {
        let text = format!(
            "{name} does not exist in /etc/rc.d or the local startup directories (/usr/local/etc/rc.d), or is not \
             executable"
        );
        return Err(command_failed(command, 1, text));
    }
    if let Some(front) = front_of(name).filter(|_| action == ServiceAction::ReloadNow) {
        let due = machine.model.now() + SIGNALLED + machine.model.faults.reload_takes * 1000;
        if !machine.model.services.contains_key(front.service) {
            return Err(command_failed(command, 1, format!("{name} not running?")));
        }
        machine.model.reloads.insert(name.to_owned(), (due, 0));
        return Ok(());
    }
    let is_guard = GUARDS.contains(&name);
    let variable = format!("{}_enable", if is_guard { GUARDS[0] } else { name });
    // rc.subr(8) reports a disabled service with exit status 0; a host takes that for the failure that it is.
    let starts = [ServiceAction::Start, ServiceAction::StartHeld].contains(&action);
    if starts && !rc_conf::is_yes(machine, name, &variable)? {
        let text = format!(
            "Cannot '{verb}' {name}. Set {name}_enable to YES in /etc/rc.conf or use 'one{verb}' instead of '{verb}'."
        );
        return Err(command_failed(command, 0, text));
    }
    match (name, action) {
        (_, ServiceAction::Reload) if is_guard || [SERVICE, portacl_rc::NAME, "cron"].contains(&name) => {
            Err(command_failed(command, 1, "unknown directive 'reload'."))
        }
        (SERVICE, ServiceAction::Stop) => gotosocial::stop(machine),
        (SERVICE, ServiceAction::Release) => {
            gotosocial::release(machine);
            Ok(())
        }
        (SERVICE, _) => gotosocial::start(machine, &command, action == ServiceAction::StartHeld),
        (portacl_rc::NAME, ServiceAction::Stop) => portacl_rc::stop(machine, &command),
        (portacl_rc::NAME, _) => portacl_rc::start(machine, &command),
        (_, ServiceAction::Stop) if is_guard => Ok(()),
        _ if is_guard && boot::guard(machine)? => Ok(()),
        _ if is_guard => Err(command_failed(command, 1, format!("{name}: OPEN PORTS"))),
        _ => act_on_other(machine, name, action, &command),
    }
}

/// A service of which the model knows only that it runs, and a web server.
fn act_on_other(machine: &mut Machine, name: &str, action: ServiceAction, command: &str) -> Result<(), HostError> {
    match (action, machine.model.services.get(name).copied()) {
        (ServiceAction::ReloadNow | ServiceAction::StartHeld | ServiceAction::Release, _) => {
            return Err(command_failed(command, 1, format!("unknown directive '{}'.", action.verb())));
        }
        (ServiceAction::Start | ServiceAction::StartOnce, Some(pid)) => {
            return Err(command_failed(command, 1, format!("{name} already running?  (pid={pid}).")));
        }
        (ServiceAction::Start | ServiceAction::StartOnce, None) => {
            let pid = machine.model.take_pid();
            if let Some(front) = front_of(name) {
                web_servers::start(machine, front, command)?;
            }
            machine.model.services.insert(name.to_string(), pid);
        }
        (ServiceAction::Stop, _) => {
            machine.model.services.remove(name);
            machine.model.web_servers.remove(name);
        }
        (ServiceAction::Reload, None) => return Err(command_failed(command, 1, format!("{name} not running?"))),
        (ServiceAction::Reload, Some(_)) if machine.model.faults.reload_takes > 0 => {
            let due = machine.model.now() + machine.model.faults.reload_takes * 1000;
            machine.model.reloads.insert(name.to_string(), (due, 0));
        }
        (ServiceAction::Reload, Some(_)) => {
            return front_of(name).map_or(Ok(()), |front| web_servers::reload(machine, front, command));
        }
    }
    Ok(())
}

/// Begins an action that time ends: what it has done by the time at which ports are let go of.
pub(super) fn begin(machine: &mut Machine, name: &str, action: ServiceAction) -> Result<(), HostError> {
    match (name, action, machine.model.services.contains_key(name)) {
        (SERVICE, ServiceAction::Stop, _) if has_script(machine, name) => gotosocial::begin_stop(machine),
        // A little later.
        (_, ServiceAction::Reload, true) if front_of(name).is_some() => act(machine, name, ServiceAction::ReloadNow),
        _ => act(machine, name, action),
    }
}

/// How many milliseconds an action that was begun still goes on.
pub(super) fn rest(model: &Model, name: &str) -> u64 {
    let closing = model.program().and_then(|program| program.closing).filter(|_| name == SERVICE);
    closing.map_or(0, |at| (at + ENDS).saturating_sub(model.now()))
}

/// Performs the reloads that are due.
pub(super) fn tick(machine: &mut Machine) -> Result<(), HostError> {
    let model = &mut machine.model;
    let now = model.now();
    let due = model.reloads.iter().filter(|(_, (at, _))| *at <= now);
    let due: Vec<(String, u32)> = due.map(|(name, (_, tried))| (name.clone(), *tried)).collect();
    model.reloads.retain(|_, (at, _)| *at > now);
    for (name, tried) in due {
        if machine.model.services.contains_key(&name)
            && let Some(front) = front_of(&name)
        {
            web_servers::read_again(machine, front, tried);
        }
    }
    Ok(())
}

/// Starts everything that is enabled, as rc(8) does at boot. A service that fails does not stop the others.
pub(super) fn start_enabled(machine: &mut Machine) -> Result<(), HostError> {
    for folder in FOLDERS {
        for name in machine.files.list(Path::new(folder))? {
            // The boot runs these itself, in their order.
            if !GUARDS.contains(&name.as_str()) && name != portacl_rc::NAME {
                let _ = act(machine, &name, ServiceAction::Start);
            }
        }
    }
    Ok(())
}
