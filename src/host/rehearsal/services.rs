//! `service NAME …`: the scripts must be there and executable; what they start is modelled here and, for
//! GoToSocial, in [`gotosocial`], for web servers in [`web_servers`].

use std::path::{Path, PathBuf};

use crate::front::Front;

use super::super::{HostError, ServiceAction, ServiceState, Supervision};
use super::machine::{Machine, command_failed};
use super::{boot, gotosocial, portacl_rc, rc_conf, web_servers};

const GOTOSOCIAL: &str = "gotosocial";
const GUARDS: [&str; 2] = ["gts_portacl_guard", "gts_portacl_guard_late"];
const FOLDERS: [&str; 2] = ["/etc/rc.d", "/usr/local/etc/rc.d"];

fn script(machine: &Machine, name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| machine.is_executable(path))
}

/// Whether service(8) finds a script of that name.
pub(super) fn has_script(machine: &Machine, name: &str) -> bool {
    script(machine, name).is_some()
}

fn front_of(service: &str) -> Option<Front> {
    Front::ALL.into_iter().find(|front| front.service == service)
}

fn enabled(machine: &Machine, name: &str) -> Result<bool, HostError> {
    let variable = if GUARDS.contains(&name) { "gts_portacl_guard_enable".into() } else { format!("{name}_enable") };
    rc_conf::is_yes(machine, name, &variable)
}

/// `service NAME onestatus`.
pub(super) fn state(machine: &Machine, name: &str) -> Result<ServiceState, HostError> {
    if !has_script(machine, name) {
        return Ok(ServiceState::Missing);
    }
    if GUARDS.contains(&name) {
        let open = boot::ports_are_open(machine)?;
        return Ok(if open { ServiceState::Stopped } else { ServiceState::Running { pid: None } });
    }
    let pid = match name {
        GOTOSOCIAL => gotosocial::pid(&machine.model),
        _ => machine.model.services.get(name).copied(),
    };
    Ok(pid.map_or(ServiceState::Stopped, |pid| ServiceState::Running { pid: Some(pid) }))
}

/// The same, in the words of GoToSocial's rc.d script.
pub(super) fn supervision(machine: &Machine, name: &str) -> Result<Supervision, HostError> {
    let supervisor = machine.model.gotosocial.as_ref().filter(|_| name == GOTOSOCIAL);
    Ok(match (state(machine, name)?, supervisor) {
        (ServiceState::Missing, _) => Supervision::Missing,
        // security(7): others than root then see their own processes alone.
        _ if machine.model.euid != 0
            && machine.model.sysctls.get("security.bsd.see_other_uids").is_some_and(|see| see == "0") =>
        {
            Supervision::Hidden
        }
        (ServiceState::Running { pid }, Some(supervisor)) if supervisor.killed => Supervision::Orphan { pid },
        (ServiceState::Running { pid }, supervisor) => {
            let since = supervisor.and_then(|supervisor| supervisor.program.as_ref()?.started_at);
            let seconds = since.map(|since| machine.model.clock.saturating_sub(since));
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
    // Of a disabled service rc.subr(8) says so with exit status 0, and a host takes that for the failure it is.
    if action == ServiceAction::Start && !enabled(machine, name)? {
        let text = format!(
            "Cannot '{verb}' {name}. Set {name}_enable to YES in /etc/rc.conf or use 'one{verb}' instead of '{verb}'."
        );
        return Err(command_failed(command, 0, text));
    }
    if GUARDS.contains(&name) {
        return match action {
            ServiceAction::Start | ServiceAction::StartOnce if !boot::guard(machine)? => {
                Err(command_failed(command, 1, format!("{name}: OPEN PORTS")))
            }
            ServiceAction::Start | ServiceAction::StartOnce | ServiceAction::Stop => Ok(()),
            ServiceAction::Reload => Err(unknown_directive(command, "reload")),
        };
    }
    if name == GOTOSOCIAL {
        return match action {
            ServiceAction::Start | ServiceAction::StartOnce => gotosocial::start(machine, &command),
            ServiceAction::Stop => gotosocial::stop(machine),
            ServiceAction::Reload => Err(unknown_directive(command, "reload")),
        };
    }
    if name == portacl_rc::NAME {
        return match action {
            ServiceAction::Start | ServiceAction::StartOnce => portacl_rc::start(machine, &command),
            ServiceAction::Stop => portacl_rc::stop(machine, &command),
            ServiceAction::Reload => Err(unknown_directive(command, "reload")),
        };
    }
    let running = machine.model.services.get(name).copied();
    match (action, running) {
        (ServiceAction::Start | ServiceAction::StartOnce, Some(pid)) => {
            Err(command_failed(command, 1, format!("{name} already running?  (pid={pid}).")))
        }
        (ServiceAction::Start | ServiceAction::StartOnce, None) => {
            let pid = machine.model.take_pid();
            if let Some(front) = front_of(name) {
                web_servers::start(machine, front, &command)?;
            }
            machine.model.services.insert(name.to_string(), pid);
            Ok(())
        }
        (ServiceAction::Stop, Some(_)) => {
            machine.model.services.remove(name);
            machine.model.web_servers.remove(name);
            Ok(())
        }
        (ServiceAction::Reload, Some(_)) if machine.model.faults.reload_takes > 0 => {
            let due = machine.model.clock + machine.model.faults.reload_takes;
            machine.model.reloads.insert(name.to_string(), due);
            Ok(())
        }
        (ServiceAction::Reload, Some(_)) => {
            front_of(name).map_or(Ok(()), |front| web_servers::reload(machine, front, &command))
        }
        (ServiceAction::Stop, None) => Ok(()),
        (ServiceAction::Reload, None) => Err(command_failed(command, 1, format!("{name} not running?"))),
    }
}

/// What is due: reloads that take their time.
pub(super) fn tick(machine: &mut Machine) -> Result<(), HostError> {
    let clock = machine.model.clock;
    let (due, later) = std::mem::take(&mut machine.model.reloads).into_iter().partition(|(_, at)| *at <= clock);
    machine.model.reloads = later;
    let due: std::collections::BTreeMap<String, u64> = due;
    for name in due.into_keys().filter(|name| machine.model.services.contains_key(name)).collect::<Vec<_>>() {
        let command = format!("service {name} onereload");
        if let Some(front) = front_of(&name) {
            web_servers::reload(machine, front, &command)?;
        }
    }
    Ok(())
}

fn unknown_directive(command: String, verb: &str) -> HostError {
    command_failed(command, 1, format!("unknown directive '{verb}'."))
}

/// Starts what is enabled, as rc(8) does at boot. A service that fails does not stop the others.
pub(super) fn start_enabled(machine: &mut Machine) -> Result<(), HostError> {
    for folder in FOLDERS {
        for name in machine.files.list(Path::new(folder))? {
            // These have had their turn.
            if !GUARDS.contains(&name.as_str()) && name != portacl_rc::NAME {
                let _ = act(machine, &name, ServiceAction::Start);
            }
        }
    }
    Ok(())
}
