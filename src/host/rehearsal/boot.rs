//! A restart of the machine, in the order of loader(8) and rc(8).
//!
//! What rc(8) does on the way, as far as it matters here: `rc.d/sysctl` (unknown names ignored without a word),
//! `rc.d/kld`, the boot guard, `SERVERS`, `LOGIN` and the services after it, `rc.d/sysctl_lastload` (the same file
//! again), the late guard, `rc.d/securelevel`.

use std::path::Path;

use super::super::{HostError, Jail};
use super::machine::Machine;
use super::{gotosocial, kernel, rc_conf, services, sysctl_file};

const GUARD: &str = "gts_portacl_guard";
const LATE_GUARD: &str = "gts_portacl_guard_late";

/// Shuts the machine down in order and boots it.
pub(super) fn reboot(machine: &mut Machine) -> Result<(), HostError> {
    gotosocial::stop(machine)?;
    machine.model.services.clear();
    forget_kernel(machine);
    if machine.model.jail == Jail::No {
        load_as_loader_conf_says(machine)?;
    }
    apply_sysctl_conf(machine)?;
    load_kld_list(machine)?;
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
            model.modules.clear();
            model.sysctls.clear();
            model.kernel_environment.clear();
            model.allow_wx = true;
        }
        Jail::Vnet => model.sysctls.retain(|name, _| !name.starts_with("net.inet.")),
        Jail::Shared => {}
    }
    model.securelevel = -1;
}

/// loader.conf(5): the files in order, `name="value"` a line, the last one wins.
fn load_as_loader_conf_says(machine: &mut Machine) -> Result<(), HostError> {
    let folder = Path::new("/boot/loader.conf.d");
    let mut files = vec![Path::new("/boot/loader.conf").to_path_buf()];
    let extra = machine.files.list(folder)?;
    files.extend(extra.iter().filter(|name| name.ends_with(".conf")).map(|name| folder.join(name)));
    files.push(Path::new("/boot/loader.conf.local").to_path_buf());
    for file in files {
        for line in machine.text(file)?.lines() {
            if let Some((name, value)) = loader_setting(line) {
                machine.model.kernel_environment.insert(name, value);
            }
        }
    }
    let wanted: Vec<String> = machine
        .model
        .kernel_environment
        .iter()
        .filter(|(_, value)| value.eq_ignore_ascii_case("yes"))
        .filter_map(|(name, _)| name.strip_suffix("_load").map(str::to_string))
        .collect();
    for module in wanted.iter().filter(|module| machine.model.modules_available.contains(*module)).collect::<Vec<_>>() {
        kernel::attach_module(&mut machine.model, module);
    }
    if let Some(value) = machine.model.kernel_environment.get("kern.elf64.allow_wx") {
        machine.model.allow_wx = value != "0";
    }
    Ok(())
}

fn loader_setting(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim().split_once('=')?;
    if name.starts_with('#') {
        return None;
    }
    let value = match value.strip_prefix('"') {
        Some(rest) => rest.split_once('"')?.0,
        None => value.split_whitespace().next().unwrap_or_default(),
    };
    Some((name.trim().to_string(), value.to_string()))
}

/// rc.d/sysctl and rc.d/sysctl_lastload: a line that fails does not stop the next.
fn apply_sysctl_conf(machine: &mut Machine) -> Result<(), HostError> {
    for file in ["/etc/sysctl.conf", "/etc/sysctl.conf.local"] {
        apply_sysctl_file(machine, file)?;
    }
    Ok(())
}

fn apply_sysctl_file(machine: &mut Machine, file: &str) -> Result<(), HostError> {
    for setting in sysctl_file::read(&machine.text(file)?) {
        if let Some(value) = setting.value {
            // At boot a refusal is a line on the console.
            let _ = kernel::set_sysctl(&mut machine.model, &setting.name, &value);
        }
    }
    Ok(())
}

/// rc.d/kld. From FreeBSD 14 on a module brings its settings along, `load_kld` in rc.subr(8).
fn load_kld_list(machine: &mut Machine) -> Result<(), HostError> {
    let list = rc_conf::get(machine, "kld_list")?.unwrap_or_default();
    for module in list.split_whitespace() {
        let loaded = kernel::load_module(&mut machine.model, module).is_ok();
        if loaded && machine.model.osreldate >= 1_400_000 {
            apply_sysctl_file(machine, &format!("/etc/sysctl.kld.d/{module}.conf"))?;
        }
    }
    Ok(())
}

fn run_guard_at_boot(machine: &mut Machine, script: &str) -> Result<(), HostError> {
    // KEYWORD: nojailvnet
    let runs_here = machine.model.jail != Jail::Shared;
    if runs_here
        && services::has_script(machine, script)
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
    let high = guarded_up_to(machine)?.to_string();
    // What counts is what is in force afterwards.
    let _ = kernel::set_sysctl(&mut machine.model, kernel::RESERVED_HIGH, &high);
    Ok(!ports_are_open(machine)?)
}

fn guarded_up_to(machine: &Machine) -> Result<i64, HostError> {
    let high = rc_conf::get_or(machine, GUARD, "gts_portacl_guard_reservedhigh", "1023")?;
    Ok(high.parse().unwrap_or(1023))
}

/// Whether every user may take ports that are meant to be reserved.
pub(super) fn ports_are_open(machine: &Machine) -> Result<bool, HostError> {
    let number = |name: &str| kernel::sysctl(&machine.model, name).and_then(|value| value.parse::<i64>().ok());
    let high = guarded_up_to(machine)?;
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
