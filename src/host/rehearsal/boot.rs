//! A restart of the machine, in the order of loader(8) and rc(8).
//!
//! What rc(8) does on the way, as far as it matters here: `rc.d/sysctl` (unknown names ignored without a word),
//! `rc.d/kld`, portacl-rc, the boot guard, `SERVERS`, `LOGIN` and the services after it, `rc.d/sysctl_lastload` (the same file
//! again), the late guard, `rc.d/securelevel`.

use super::super::{HostError, Jail};
use super::machine::Machine;
use super::{gotosocial, kernel, loader, portacl_rc, rc_conf, services};
use crate::sysconf::sysctl_conf;

const GUARD: &str = "gts_portacl_guard";
const LATE_GUARD: &str = "gts_portacl_guard_late";

/// Shuts the machine down in order and boots it.
pub(super) fn reboot(machine: &mut Machine) -> Result<(), HostError> {
    gotosocial::stop(machine)?;
    machine.model.services.clear();
    machine.model.web_servers.clear();
    forget_kernel(machine);
    if machine.model.jail == Jail::No {
        load_as_the_loader_does(machine)?;
    }
    apply_sysctl_conf(machine)?;
    if machine.model.jail == Jail::No {
        load_kld_list(machine)?;
        portacl_rc::run_at_boot(machine)?;
    }
    run_guard_at_boot(machine, GUARD)?;
    services::start_enabled(machine)?;
    apply_sysctl_conf(machine)?;
    run_guard_at_boot(machine, LATE_GUARD)?;
    raise_securelevel(machine)
}

/// A jail's restart leaves the kernel of its host alone; a network stack of its own is a new one.
fn forget_kernel(machine: &mut Machine) {
    let model = &mut machine.model;
    match model.jail {
        Jail::No => {
            model.sysctls.clear();
            model.kernel_environment.clear();
            model.modules = model.compiled_in.clone();
            model.allow_wx = true;
        }
        Jail::Vnet => model.sysctls.retain(|name, _| !name.starts_with("net.inet.")),
        Jail::Shared => {}
    }
    model.securelevel = -1;
}

/// What the loader hands over: modules, their tunables, and what else the kernel looks at.
fn load_as_the_loader_does(machine: &mut Machine) -> Result<(), HostError> {
    loader::run(machine)?;
    if let Some(value) = machine.model.kernel_environment.get("kern.elf64.allow_wx") {
        machine.model.allow_wx = value != "0";
    }
    Ok(())
}

/// rc.d/sysctl and rc.d/sysctl_lastload: a line that fails does not stop the next.
fn apply_sysctl_conf(machine: &mut Machine) -> Result<(), HostError> {
    for file in ["/etc/sysctl.conf", "/etc/sysctl.conf.local"] {
        apply_sysctl_file(machine, file)?;
    }
    Ok(())
}

/// `sysctl -f FILE`.
pub(super) fn apply_sysctl_file(machine: &mut Machine, file: &str) -> Result<(), HostError> {
    for setting in sysctl_conf::FILE.settings(machine.text(file)?.as_bytes()) {
        // At boot a refusal is a line on the console.
        let _ = kernel::set_sysctl(&mut machine.model, &setting.name, &setting.value);
    }
    Ok(())
}

/// rc.d/kld, KEYWORD nojail.
fn load_kld_list(machine: &mut Machine) -> Result<(), HostError> {
    let list = rc_conf::get(machine, "kld_list")?.unwrap_or_default();
    for module in list.split_whitespace() {
        // A module that cannot be loaded is a line on the console.
        let _ = kernel::load_by_rc(machine, module);
    }
    Ok(())
}

fn run_guard_at_boot(machine: &mut Machine, script: &str) -> Result<(), HostError> {
    // KEYWORD: nojailvnet
    let runs_here = machine.model.jail != Jail::Shared;
    // The late one calls the other.
    if runs_here
        && services::has_script(machine, script)
        && services::has_script(machine, GUARD)
        && rc_conf::is_yes(machine, script, "gts_portacl_guard_enable")?
    {
        guard(machine)?;
    }
    Ok(())
}

/// What the boot guard does: where mac_portacl is not in force and low ports are open, it reserves them again.
/// Gives whether they are closed or guarded now.
pub(super) fn guard(machine: &mut Machine) -> Result<bool, HostError> {
    if !ports_are_open(machine)? {
        return Ok(true);
    }
    if let Some(high) = guarded_up_to(machine)? {
        // What counts is what is in force afterwards.
        let _ = kernel::set_sysctl(&mut machine.model, kernel::RESERVED_HIGH, &high.to_string());
    }
    Ok(!ports_are_open(machine)?)
}

/// `gts_portacl_guard_reservedhigh`; `None` if it is no number, which test(1) refuses to compare.
fn guarded_up_to(machine: &Machine) -> Result<Option<i64>, HostError> {
    let high = rc_conf::get_or(machine, GUARD, "gts_portacl_guard_reservedhigh", "1023")?;
    Ok(high.trim().parse().ok())
}

/// Whether every user may take ports that are meant to be reserved, by the guard's own rule.
pub(super) fn ports_are_open(machine: &Machine) -> Result<bool, HostError> {
    // A sign makes it something else than digits to the script, and so unknown.
    let number = |name: &str| -> Option<i64> {
        kernel::sysctl(&machine.model, name).filter(|value| !value.contains('-')).and_then(|value| value.parse().ok())
    };
    let Some(high) = guarded_up_to(machine)? else { return Ok(false) };
    let enforcing = number("security.mac.portacl.enabled") == Some(1)
        && number("security.mac.portacl.port_high").is_some_and(|port_high| port_high >= high);
    Ok(!enforcing && number(kernel::RESERVED_HIGH).unwrap_or(-1) < high)
}

/// rc.d/securelevel, after everything that a raised level would forbid.
fn raise_securelevel(machine: &mut Machine) -> Result<(), HostError> {
    if rc_conf::is_yes(machine, "securelevel", "kern_securelevel_enable")? {
        let level = rc_conf::get_or(machine, "securelevel", "kern_securelevel", "-1")?;
        let _ = kernel::set_sysctl(&mut machine.model, "kern.securelevel", &level);
    }
    Ok(())
}
