//! The kernel: modules, sysctls, securelevel, jails, and who may bind which port.
//!
//! [`may_bind`], the program's one evaluator, decides who may bind.

use std::path::Path;

use nix::errno::Errno;

use crate::portacl::{self, Decision, Policy, Protocol, Request, may_bind, number, parse_kernel};

use super::super::files::Root;
use super::super::{BindOutcome, BindProbe, Family, HostError, Jail, Listener};
use super::machine::{Machine, command_failed};
use super::model::Model;
use super::{boot, gotosocial, web_servers};

/// `kern.module_path`.
const MODULE_PATH: &str = "/boot/kernel;/boot/modules";
/// The module that brings the sysctls below [`PORTACL`].
const PORTACL_MODULE: &str = "mac_portacl";
const PORTACL: &str = "security.mac.portacl.";
pub(super) const RULES: &str = "security.mac.portacl.rules";
pub(super) const RESERVED_LOW: &str = "net.inet.ip.portrange.reservedlow";
pub(super) const RESERVED_HIGH: &str = "net.inet.ip.portrange.reservedhigh";
const SECURELEVEL: &str = "kern.securelevel";
const ALLOW_WX: &str = "kern.elf64.allow_wx";

/// Writable integers with their values at boot, of those that matter here.
const INTEGERS: &[(&str, &str)] = &[
    (RESERVED_LOW, "0"),
    (RESERVED_HIGH, "1023"),
    ("security.bsd.hardlink_check_gid", "0"),
    ("security.bsd.hardlink_check_uid", "0"),
    ("security.bsd.see_other_gids", "1"),
    ("security.bsd.see_other_uids", "1"),
    ("security.bsd.unprivileged_proc_debug", "1"),
    ("security.mac.portacl.autoport_exempt", "1"),
    ("security.mac.portacl.enabled", "1"),
    ("security.mac.portacl.port_high", "1023"),
    ("security.mac.portacl.suser_exempt", "1"),
];

/// The value of a sysctl that cannot be written.
fn read_only(model: &Model, name: &str) -> Option<String> {
    Some(match name {
        "kern.osrelease" => model.release.clone(),
        "security.jail.jailed" => u8::from(model.jail != Jail::No).to_string(),
        "security.jail.vnet" => u8::from(model.jail == Jail::Vnet).to_string(),
        "kern.module_path" => MODULE_PATH.to_owned(),
        "kern.conftxt" => {
            let option = |module: &String| format!("options\t{}\n", module.to_ascii_uppercase());
            format!("ident\tGENERIC\n{}", model.compiled_in.iter().map(option).collect::<String>())
        }
        _ => return None,
    })
}

/// The value of a sysctl; `None` if the kernel does not know the name.
pub(super) fn sysctl(model: &Model, name: &str) -> Option<String> {
    if name.starts_with(PORTACL) && !model.modules.contains(PORTACL_MODULE) {
        return None;
    }
    match name {
        SECURELEVEL => return Some(model.securelevel.to_string()),
        ALLOW_WX => return Some(u8::from(model.allow_wx).to_string()),
        _ => {}
    }
    let at_boot = || INTEGERS.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_string());
    read_only(model, name)
        .or_else(|| model.sysctls.get(name).cloned())
        .or_else(at_boot)
        .or_else(|| (name == RULES).then(String::new))
}

/// Sets a sysctl as the kernel would.
pub(super) fn set_sysctl(model: &mut Model, name: &str, value: &str) -> Result<(), Errno> {
    if sysctl(model, name).is_none() {
        return Err(Errno::ENOENT);
    }
    // A jail cannot write what belongs to its host; one with VNET has port ranges of its own.
    let portrange = name.starts_with("net.inet.ip.portrange.");
    let own = name == SECURELEVEL || (portrange && model.jail == Jail::Vnet);
    if model.euid != 0 || read_only(model, name).is_some() || (model.jail != Jail::No && !own) {
        return Err(Errno::EPERM);
    }
    let is_integer = INTEGERS.iter().any(|(known, _)| *known == name) || matches!(name, SECURELEVEL | ALLOW_WX);
    match (name, number(value)) {
        (RULES, _) => {
            parse_kernel(value).map_err(|_| Errno::EINVAL)?;
            model.sysctls.insert(name.into(), value.into());
        }
        (_, None) if is_integer => return Err(Errno::EINVAL),
        (_, None) => drop(model.sysctls.insert(name.into(), value.into())),
        // CTLFLAG_SECURE in sys/netinet/in_pcb.c
        (RESERVED_LOW | RESERVED_HIGH, _) if model.securelevel > 0 => return Err(Errno::EPERM),
        // It can only be raised, see security(7).
        (SECURELEVEL, Some(level)) if level < model.securelevel => return Err(Errno::EPERM),
        (SECURELEVEL, Some(level)) => model.securelevel = level,
        (ALLOW_WX, Some(number)) => model.allow_wx = number != 0,
        (_, Some(number)) => drop(model.sysctls.insert(name.into(), number.to_string())),
    }
    Ok(())
}

/// The error for a sysctl.
pub(super) fn sysctl_failed(name: &str, errno: Errno) -> HostError {
    HostError::Sysctl { name: name.into(), source: errno.into() }
}

/// Adds a module to the kernel, with the tunables that the loader left.
pub(super) fn attach_module(model: &mut Model, name: &str) {
    model.modules.insert(name.to_string());
    take_tunables(model, name);
}

/// Gives a module its tunables, also one that is compiled in.
pub(super) fn take_tunables(model: &mut Model, name: &str) {
    if name == PORTACL_MODULE {
        for (tunable, _) in INTEGERS.iter().filter(|(name, _)| name.starts_with(PORTACL)) {
            if let Some(number) = model.kernel_environment.get(*tunable).and_then(|value| number(value)) {
                model.sysctls.insert((*tunable).into(), number.to_string());
            }
        }
    }
}

/// `load_kld` of rc.subr(8): a loaded module stays as it is; from FreeBSD 14 on, the settings of its file are applied to
/// a new one. The word may be a path and end in `.ko`.
pub(super) fn load_by_rc(machine: &mut Machine, word: &str) -> Result<(), HostError> {
    let file = word.rsplit('/').next().unwrap_or_default();
    let name = file.strip_suffix(".ko").unwrap_or(file);
    if machine.model.modules.contains(name) {
        return Ok(());
    }
    load_module(machine, name)?;
    if machine.model.osreldate >= 1_400_000 {
        boot::apply_sysctl_file(machine, &format!("/etc/sysctl.kld.d/{word}.conf"))?;
    }
    Ok(())
}

/// Whether there is a file of this module where the kernel looks for it.
pub(super) fn has_file(files: &Root, name: &str) -> Result<bool, HostError> {
    for folder in MODULE_PATH.split(';') {
        if files.entry(&Path::new(folder).join(format!("{name}.ko")))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `kldload -n NAME`.
pub(super) fn load_module(machine: &mut Machine, name: &str) -> Result<(), HostError> {
    let Machine { files, model } = machine;
    if model.modules.contains(name) {
        return Ok(());
    }
    let refused =
        |why: &str| command_failed(format!("kldload -n {name}"), 1, format!("kldload: can't load {name}: {why}"));
    if may_not_touch_modules(model) {
        return Err(refused("Operation not permitted"));
    }
    if !has_file(files, name)? {
        return Err(refused("No such file or directory"));
    }
    attach_module(model, name);
    Ok(())
}

/// `kldunload NAME`: mac_portacl can be unloaded even while reserved ports are open.
pub(super) fn unload_module(model: &mut Model, name: &str) -> Result<(), HostError> {
    let refused = |why: String| command_failed(format!("kldunload {name}"), 1, format!("kldunload: {why}"));
    if !model.modules.contains(name) || model.compiled_in.contains(name) {
        return Err(refused(format!("can't find file {name}")));
    }
    if may_not_touch_modules(model) {
        return Err(refused("can't unload file: Operation not permitted".into()));
    }
    model.modules.remove(name);
    if name == PORTACL_MODULE {
        model.sysctls.retain(|name, _| !name.starts_with(PORTACL));
    }
    Ok(())
}

fn may_not_touch_modules(model: &Model) -> bool {
    model.euid != 0 || model.jail != Jail::No || model.securelevel > 0
}

fn policy(model: &Model) -> Policy {
    // Only the variables of a module that is not loaded have no value, and those do not matter.
    let value = |name: &str| sysctl(model, name).and_then(|value| number(&value)).unwrap_or_default();
    Policy {
        loaded: model.modules.contains(PORTACL_MODULE),
        enabled: value("security.mac.portacl.enabled"),
        suser_exempt: value("security.mac.portacl.suser_exempt"),
        autoport_exempt: value("security.mac.portacl.autoport_exempt"),
        port_high: value("security.mac.portacl.port_high"),
        // The kernel refused every list that does not parse.
        rules: parse_kernel(&sysctl(model, RULES).unwrap_or_default()).unwrap_or_default(),
        reservedlow: value(RESERVED_LOW),
        reservedhigh: value(RESERVED_HIGH),
    }
}

/// Whether a user may bind a port, no matter who has it already. Root has the privilege in a jail, too.
pub(super) fn verdict(model: &Model, uid: u32, groups: &[u32], protocol: Protocol, port: u16) -> Decision {
    may_bind(&policy(model), &Request { uid, groups, protocol, port, privileged: uid == 0 })
}

/// The result of bind(2) on the wildcard address.
pub(super) fn bind(model: &Model, probe: &BindProbe) -> BindOutcome {
    if probe.family == Family::V6 && !model.ipv6 {
        return BindOutcome::NoAddress;
    }
    if let Some(succeeds) = model.faults.bind_probes {
        return if succeeds { BindOutcome::Bound } else { BindOutcome::NoRule };
    }
    let groups: Vec<u32> = [probe.gid].into_iter().chain(probe.groups.iter().copied()).collect();
    let taken =
        |there: &Listener| there.port == probe.port && if probe.family == Family::V4 { there.ipv4 } else { there.ipv6 };
    match verdict(model, probe.uid, &groups, probe.protocol, probe.port).errno() {
        Some(portacl::Errno::Eperm) => BindOutcome::NoRule,
        Some(portacl::Errno::Eacces) => BindOutcome::Reserved,
        None if sockets(model, probe.protocol).iter().any(taken) => BindOutcome::InUse,
        None => BindOutcome::Bound,
    }
}

/// An errno in FreeBSD's words, strerror(3).
pub(super) fn words(errno: Errno) -> &'static str {
    match errno {
        Errno::EADDRNOTAVAIL => "Can't assign requested address",
        Errno::EAFNOSUPPORT => "Address family not supported by protocol family",
        Errno::EIO => "Input/output error",
        other => other.desc(),
    }
}

/// Opens a socket that listens, as bind(2) does with `SO_REUSEADDR`. The sockets of `own`, a process, are no obstacle.
pub(super) fn listen(
    model: &Model,
    uid: u32,
    groups: &[u32],
    wanted: &Listener,
    own: Option<u32>,
) -> Result<(), Errno> {
    let taken = |there: &Listener| (own.is_none() || there.pid != own) && collide(there, wanted, uid);
    match verdict(model, uid, groups, Protocol::Tcp, wanted.port).errno() {
        _ if !wanted.ipv4 && !model.ipv6 => Err(Errno::EAFNOSUPPORT),
        Some(portacl::Errno::Eperm) => Err(Errno::EPERM),
        Some(portacl::Errno::Eacces) => Err(Errno::EACCES),
        None if !wanted.address.is_none_or(|address| model.has_address(address)) => Err(Errno::EADDRNOTAVAIL),
        None if listeners(model).iter().any(taken) => Err(Errno::EADDRINUSE),
        None => Ok(()),
    }
}

/// Every TCP socket that listens, or every UDP socket.
pub(super) fn sockets(model: &Model, protocol: Protocol) -> Vec<Listener> {
    match protocol {
        Protocol::Tcp => listeners(model),
        Protocol::Udp => model.udp_sockets.clone(),
    }
}

/// Every TCP socket that listens.
pub(super) fn listeners(model: &Model) -> Vec<Listener> {
    [model.listeners.clone(), gotosocial::listeners(model), web_servers::listeners(model)].concat()
}

/// Whether a socket keeps a user from another one (`in_pcbbind_setup` in sys/netinet/in_pcb.c). A wildcard and a single address
/// exclude each other between users, but not for root: requests for that address then go to its socket.
fn collide(there: &Listener, wanted: &Listener, uid: u32) -> bool {
    let families = (there.ipv4 && wanted.ipv4) || (there.ipv6 && wanted.ipv6);
    let one_is_wildcard = there.address.is_none() || wanted.address.is_none();
    let addresses = there.address == wanted.address || (one_is_wildcard && uid != 0 && there.uid != Some(uid));
    there.port == wanted.port && families && addresses
}
