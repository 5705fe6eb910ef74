//! A restart of the machine, in the order of loader(8) and rc(8).
//!
//! The steps of rc(8) that matter here: `rc.d/sysctl` (which silently ignores unknown names), `rc.d/kld`, portacl-rc, the
//! boot guard, `SERVERS`, `LOGIN` and the services after it, `rc.d/sysctl_lastload` (the same file again), the late
//! guard, `rc.d/securelevel`.

use std::path::Path;

use super::super::{Entry, HostError, Jail};
use super::machine::Machine;
use super::{gotosocial, kernel, portacl_rc, rc_conf, services};
use crate::sysconf::{loader_files, sysctl_conf};

const GUARD: &str = "gts_portacl_guard";
const LATE_GUARD: &str = "gts_portacl_guard_late";

/// Shuts the machine down in order and boots it.
pub(super) fn reboot(machine: &mut Machine) -> Result<(), HostError> {
    gotosocial::stop(machine)?;
    let model = &mut machine.model;
    model.services.clear();
    model.web_servers.clear();
    model.securelevel = -1;
    match model.jail {
        Jail::No => {
            model.sysctls.clear();
            model.kernel_environment.clear();
            model.modules = model.compiled_in.clone();
            load_as_the_loader_does(machine)?;
        }
        // The restart of a jail does not touch the kernel of its host, but a network stack of its own is a new one.
        Jail::Vnet => model.sysctls.retain(|name, _| !name.starts_with("net.inet.")),
        Jail::Shared => {}
    }
    apply_sysctl_conf(machine)?;
    if machine.model.jail == Jail::No {
        // rc.d/kld. A module that cannot be loaded is a line on the console.
        let list = rc_conf::get(machine, "kld_list")?.unwrap_or_default();
        for module in list.split_whitespace() {
            let _ = kernel::load_by_rc(machine, module);
        }
        portacl_rc::run_at_boot(machine)?;
    }
    run_guard_at_boot(machine, GUARD)?;
    services::start_enabled(machine)?;
    apply_sysctl_conf(machine)?;
    run_guard_at_boot(machine, LATE_GUARD)?;
    // rc.d/securelevel runs after everything that a raised level would forbid.
    if rc_conf::is_yes(machine, "securelevel", "kern_securelevel_enable")? {
        let level = rc_conf::get_or(machine, "securelevel", "kern_securelevel", "-1")?;
        let _ = kernel::set_sysctl(&mut machine.model, "kern.securelevel", &level);
    }
    Ok(())
}

/// loader(8): it loads modules and leaves their tunables, and other variables, for the kernel.
fn load_as_the_loader_does(machine: &mut Machine) -> Result<(), HostError> {
    let text = |path: &Path| match machine.files.entry(&machine.resolve(path)) {
        Ok(Some(Entry::File { .. })) => machine.read(path),
        _ => Ok(None),
    };
    let files = loader_files::read(text, |folder| machine.files.list(folder))?;
    let model = &mut machine.model;
    model.kernel_environment = loader_files::variables(&files);
    model.kernel_environment.remove("loader_conf_files");
    model.allow_wx = model.kernel_environment.get("kern.elf64.allow_wx").is_none_or(|value| value != "0");
    for module in model.compiled_in.clone() {
        kernel::take_tunables(model, &module);
    }
    for module in loader_files::modules(&files) {
        if kernel::has_file(&machine.files, &module)? {
            kernel::attach_module(model, &module);
        }
    }
    Ok(())
}

/// rc.d/sysctl and rc.d/sysctl_lastload: a line that fails does not stop the next.
fn apply_sysctl_conf(machine: &mut Machine) -> Result<(), HostError> {
    ["/etc/sysctl.conf", "/etc/sysctl.conf.local"].iter().try_for_each(|file| apply_sysctl_file(machine, file))
}

/// `sysctl -f FILE`.
pub(super) fn apply_sysctl_file(machine: &mut Machine, file: &str) -> Result<(), HostError> {
    for setting in sysctl_conf::FILE.settings(machine.text(file)?.as_bytes()) {
        // A refusal at boot is a line on the console.
        let _ = kernel::set_sysctl(&mut machine.model, &setting.name, &setting.value);
    }
    Ok(())
}

fn run_guard_at_boot(machine: &mut Machine, script: &str) -> Result<(), HostError> {
    // KEYWORD: nojailvnet. The late script calls the other one.
    if machine.model.jail != Jail::Shared
        && services::has_script(machine, script)
        && services::has_script(machine, GUARD)
        && rc_conf::is_yes(machine, script, "gts_portacl_guard_enable")?
    {
        guard(machine)?;
    }
    Ok(())
}

/// The boot guard: if mac_portacl is not in force and low ports are open, it reserves them again. Returns whether they
/// are closed or guarded now.
pub(super) fn guard(machine: &mut Machine) -> Result<bool, HostError> {
    if ports_are_open(machine)?
        && let Some(high) = guarded_up_to(machine)?
    {
        // The result counts, not the command.
        let _ = kernel::set_sysctl(&mut machine.model, kernel::RESERVED_HIGH, &high.to_string());
    }
    Ok(!ports_are_open(machine)?)
}

/// `gts_portacl_guard_reservedhigh`; `None` if it is not a number, which test(1) refuses to compare.
fn guarded_up_to(machine: &Machine) -> Result<Option<i64>, HostError> {
    let high = rc_conf::get_or(machine, GUARD, "gts_portacl_guard_reservedhigh", "1023")?;
    Ok(high.trim().parse().ok())
}

/// Whether every user may bind ports that should be reserved, by the guard's own rule.
pub(super) fn ports_are_open(machine: &Machine) -> Result<bool, HostError> {
    // The script accepts digits only, so a value with a sign is unknown.
    let number = |name: &str| -> Option<i64> {
        kernel::sysctl(&machine.model, name).filter(|value| !value.contains('-'))?.parse().ok()
    };
    let Some(high) = guarded_up_to(machine)? else { return Ok(false) };
    let enforcing = number("security.mac.portacl.enabled") == Some(1)
        && number("security.mac.portacl.port_high").is_some_and(|port_high| port_high >= high);
    Ok(!enforcing && number(kernel::RESERVED_HIGH).unwrap_or(-1) < high)
}
