//! The kernel: modules, sysctls, securelevel, jails, and who may bind which port.
//!
//! Who may bind is not decided here but by [`may_bind`], the program's one evaluator.

use std::io;

use crate::portacl::{Decision, Errno, Policy, Protocol, Request, may_bind, parse_kernel};

use super::super::{BindOutcome, BindProbe, Family, HostError, Jail, Listener};
use super::machine::{EINVAL, ENOENT, EPERM, Machine, command_failed};
use super::model::Model;
use super::{boot, gotosocial, web_servers};

/// The module that brings the sysctls below [`PORTACL`].
const PORTACL_MODULE: &str = "mac_portacl";
const PORTACL: &str = "security.mac.portacl.";
pub(super) const RULES: &str = "security.mac.portacl.rules";
pub(super) const RESERVED_LOW: &str = "net.inet.ip.portrange.reservedlow";
pub(super) const RESERVED_HIGH: &str = "net.inet.ip.portrange.reservedhigh";
const SECURELEVEL: &str = "kern.securelevel";
const ALLOW_WX: &str = "kern.elf64.allow_wx";

/// Writable integers with their values at boot.
const INTEGERS: &[(&str, &str)] = &[
    (RESERVED_LOW, "0"),
    (RESERVED_HIGH, "1023"),
    ("net.inet.ip.portrange.first", "10000"),
    ("net.inet.ip.portrange.last", "65535"),
    ("net.inet.ip.portrange.hifirst", "49152"),
    ("net.inet.ip.portrange.hilast", "65535"),
    ("net.inet6.ip6.v6only", "1"),
    ("security.bsd.see_other_uids", "1"),
    ("security.mac.portacl.autoport_exempt", "1"),
    ("security.mac.portacl.enabled", "1"),
    ("security.mac.portacl.port_high", "1023"),
    ("security.mac.portacl.suser_exempt", "1"),
];

/// What cannot be written.
fn read_only(model: &Model, name: &str) -> Option<String> {
    Some(match name {
        "kern.ostype" => "FreeBSD".into(),
        "kern.osrelease" => model.release.clone(),
        "kern.osreldate" => model.osreldate.to_string(),
        "hw.machine_arch" => model.machine_arch.clone(),
        "hw.physmem" => model.memory.to_string(),
        "security.jail.jailed" => u8::from(model.jail != Jail::No).to_string(),
        "security.jail.vnet" => u8::from(model.jail == Jail::Vnet).to_string(),
        "kern.features.security_mac" => "1".into(),
        "kern.conftxt" => {
            let option = |module: &String| format!("options\t{}\n", module.to_ascii_uppercase());
            format!("ident\tGENERIC\n{}", model.compiled_in.iter().map(option).collect::<String>())
        }
        "kern.features.inet6" if model.ipv6 => "1".into(),
        _ => return None,
    })
}

/// The value of a sysctl; `None` where the kernel does not know the name.
pub(super) fn sysctl(model: &Model, name: &str) -> Option<String> {
    if name.starts_with(PORTACL) && !model.modules.contains(PORTACL_MODULE) {
        return None;
    }
    match name {
        SECURELEVEL => return Some(model.securelevel.to_string()),
        ALLOW_WX => return Some(u8::from(model.allow_wx).to_string()),
        _ => {}
    }
    read_only(model, name).or_else(|| model.sysctls.get(name).cloned()).or_else(|| {
        let at_boot = INTEGERS.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_string());
        at_boot.or_else(|| (name == RULES).then(String::new))
    })
}

/// Sets a sysctl as the kernel would, or gives the errno.
pub(super) fn set_sysctl(model: &mut Model, name: &str, value: &str) -> Result<(), i32> {
    if sysctl(model, name).is_none() {
        return Err(ENOENT);
    }
    // What belongs to the host as a whole cannot be written from a jail; a VNET jail has port ranges of its own.
    let portrange = name.starts_with("net.inet.ip.portrange.");
    let own = name == SECURELEVEL || (portrange && model.jail == Jail::Vnet);
    if model.euid != 0 || read_only(model, name).is_some() || (model.jail != Jail::No && !own) {
        return Err(EPERM);
    }
    if name == RULES {
        parse_kernel(value).map_err(|_| EINVAL)?;
        model.sysctls.insert(name.into(), value.into());
        return Ok(());
    }
    let known_integer = INTEGERS.iter().any(|(known, _)| *known == name);
    let number = match integer(value) {
        Some(number) => number,
        None if known_integer || matches!(name, SECURELEVEL | ALLOW_WX) => return Err(EINVAL),
        None => {
            model.sysctls.insert(name.into(), value.into());
            return Ok(());
        }
    };
    match name {
        // CTLFLAG_SECURE in sys/netinet/in_pcb.c
        RESERVED_LOW | RESERVED_HIGH if model.securelevel > 0 => return Err(EPERM),
        // It can only be raised, see security(7).
        SECURELEVEL if number < model.securelevel => return Err(EPERM),
        SECURELEVEL => model.securelevel = number,
        ALLOW_WX => model.allow_wx = number != 0,
        _ => drop(model.sysctls.insert(name.into(), number.to_string())),
    }
    Ok(())
}

/// strtol(3) with base 0, cut to an int, as sysctl(8) reads a number.
fn integer(text: &str) -> Option<i32> {
    let text = text.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, base) = match (hexadecimal, digits.strip_prefix('0')) {
        (Some(rest), _) => (rest, 16),
        (None, Some(rest)) if !rest.is_empty() => (rest, 8),
        _ => (digits, 10),
    };
    if !digits.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    let number = i64::from_str_radix(digits, base).ok()?;
    // The cut to 32 bits is what the C program does.
    Some(if negative { -number } else { number } as i32)
}

/// The error for a sysctl.
pub(super) fn sysctl_failed(name: &str, errno: i32) -> HostError {
    HostError::Sysctl { name: name.into(), source: io::Error::from_raw_os_error(errno) }
}

/// Puts a module into the kernel, with the tunables that the loader left. Asks nobody.
pub(super) fn attach_module(model: &mut Model, name: &str) {
    model.modules.insert(name.to_string());
    take_tunables(model, name);
}

/// A module that is compiled in takes them, too.
pub(super) fn take_tunables(model: &mut Model, name: &str) {
    if name == PORTACL_MODULE {
        for (tunable, _) in INTEGERS.iter().filter(|(name, _)| name.starts_with(PORTACL)) {
            if let Some(number) = model.kernel_environment.get(*tunable).and_then(|value| integer(value)) {
                model.sysctls.insert((*tunable).into(), number.to_string());
            }
        }
    }
}

/// `load_kld` of rc.subr(8): a module that is there is left alone; from FreeBSD 14 on, one that is new brings the
/// settings of its file along. The word may be a path and end in `.ko`.
pub(super) fn load_by_rc(machine: &mut Machine, word: &str) -> Result<(), HostError> {
    let file = word.rsplit('/').next().unwrap_or_default();
    let name = file.strip_suffix(".ko").unwrap_or(file);
    if machine.model.modules.contains(name) {
        return Ok(());
    }
    load_module(&mut machine.model, name)?;
    if machine.model.osreldate >= 1_400_000 {
        boot::apply_sysctl_file(machine, &format!("/etc/sysctl.kld.d/{word}.conf"))?;
    }
    Ok(())
}

/// `kldload -n NAME`.
pub(super) fn load_module(model: &mut Model, name: &str) -> Result<(), HostError> {
    if model.modules.contains(name) {
        return Ok(());
    }
    let refused =
        |why: &str| command_failed(format!("kldload -n {name}"), 1, format!("kldload: can't load {name}: {why}"));
    if may_not_touch_modules(model) {
        return Err(refused("Operation not permitted"));
    }
    if !model.modules_available.contains(name) {
        return Err(refused("No such file or directory"));
    }
    attach_module(model, name);
    Ok(())
}

/// `kldunload NAME`: nothing holds mac_portacl back, even while reserved ports are open.
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
    let number = |name: &str, default: i32| sysctl(model, name).and_then(|value| integer(&value)).unwrap_or(default);
    let rules = sysctl(model, RULES).unwrap_or_default();
    Policy {
        loaded: model.modules.contains(PORTACL_MODULE),
        enabled: number("security.mac.portacl.enabled", 1),
        suser_exempt: number("security.mac.portacl.suser_exempt", 1),
        autoport_exempt: number("security.mac.portacl.autoport_exempt", 1),
        port_high: number("security.mac.portacl.port_high", 1023),
        // A list that does not parse never got into the kernel.
        rules: parse_kernel(&rules).unwrap_or_default(),
        reservedlow: number(RESERVED_LOW, 0),
        reservedhigh: number(RESERVED_HIGH, 1023),
    }
}

/// Whether a user may bind a port, whoever may have it already. Root has the privilege in a jail, too.
pub(super) fn verdict(model: &Model, uid: u32, groups: &[u32], protocol: Protocol, port: u16) -> Decision {
    may_bind(&policy(model), &Request { uid, groups, protocol, port, privileged: uid == 0 })
}

/// What bind(2) on the wildcard address says.
pub(super) fn bind(model: &Model, probe: &BindProbe) -> BindOutcome {
    if probe.family == Family::V6 && !model.ipv6 {
        return BindOutcome::NoAddress;
    }
    if model.faults.bind_probes_allowed {
        return BindOutcome::Bound;
    }
    if model.faults.bind_probes_refused {
        return BindOutcome::NoRule;
    }
    let groups: Vec<u32> = [probe.gid].into_iter().chain(probe.groups.iter().copied()).collect();
    match verdict(model, probe.uid, &groups, probe.protocol, probe.port).errno() {
        Some(Errno::Eperm) => BindOutcome::NoRule,
        Some(Errno::Eacces) => BindOutcome::Reserved,
        None if taken(model, probe) => BindOutcome::InUse,
        None => BindOutcome::Bound,
    }
}

fn taken(model: &Model, probe: &BindProbe) -> bool {
    // The model's listeners are all of TCP.
    probe.port != 0
        && probe.protocol == Protocol::Tcp
        && listeners(model)
            .iter()
            .any(|there| there.port == probe.port && if probe.family == Family::V4 { there.ipv4 } else { there.ipv6 })
}

/// Every socket that listens.
pub(super) fn listeners(model: &Model) -> Vec<Listener> {
    let mut all = model.listeners.clone();
    all.extend(gotosocial::listeners(model));
    all.extend(web_servers::listeners(model));
    all
}

/// Whether two sockets that listen keep each other out.
pub(super) fn collide(one: &Listener, other: &Listener) -> bool {
    let families = (one.ipv4 && other.ipv4) || (one.ipv6 && other.ipv6);
    let addresses = one.address.is_none() || other.address.is_none() || one.address == other.address;
    one.port == other.port && families && addresses
}
