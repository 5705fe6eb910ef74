//! Port access in direct mode: mac_portacl(4) lets the service user, and nobody else, bind 80 and 443.
//!
//! The order is what keeps the host closed at every moment: module, rules, read back, and only then is the reserved
//! range lowered, to the lowest port in use minus one, so that ssh, smtp and dns stay with root even on a boot where the
//! module fails to load. A rule list is replaced as a whole by the kernel, so ours are merged with everybody else's.

use std::path::{Path, PathBuf};

use super::{Refusal, jail, loader_conf, portacl_rc, sysctl_conf};
use crate::change::{Action, Change, Content, Step};
use crate::host::{Entry, Jail, Observe, Owner, System};
use crate::portacl::{self, Protocol, Rule, Subject};

/// The kernel module.
pub const MODULE: &str = "mac_portacl";
/// The rule list of the running kernel.
pub const RULES: &str = "security.mac.portacl.rules";
/// Whether the rules are enforced.
pub const ENABLED: &str = "security.mac.portacl.enabled";
/// The highest port that the rules are enforced for.
pub const PORT_HIGH: &str = "security.mac.portacl.port_high";
/// Whether root is exempt.
pub const SUSER_EXEMPT: &str = "security.mac.portacl.suser_exempt";
/// The highest port that only root may bind, mac_portacl or not.
pub const RESERVED_HIGH: &str = "net.inet.ip.portrange.reservedhigh";
/// loader.conf's variable that loads the module.
pub const LOADER_VARIABLE: &str = "mac_portacl_load";

pub(super) const LOADER_CONF: &str = "/boot/loader.conf";
const LOADER_CONF_FOLDER: &str = "/boot/loader.conf.d";
const LOADER_CONF_LOCAL: &str = "/boot/loader.conf.local";
pub(super) const SYSCTL_CONF: &str = "/etc/sysctl.conf";
const SYSCTL_CONF_LOCAL: &str = "/etc/sysctl.conf.local";
const SYSCTL_KLD: &str = "/etc/sysctl.kld.d/mac_portacl.conf";
const PART: &str = "port-access";

/// What is to be done for port access.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortAccess {
    /// The changes, in the order that keeps the host closed.
    pub steps: Vec<Step>,
    /// What the administrator should know.
    pub warnings: Vec<String>,
    /// Why it is in force only after a reboot; empty if it is at once.
    pub reboot: Vec<String>,
    /// Whether the boot guard belongs on this host: not in a jail that shares its host's reserved range.
    pub guard: bool,
}

/// The rules that a user needs for its TCP ports.
#[must_use]
pub fn rules(service: Owner, ports: &[u16]) -> Vec<Rule> {
    ports.iter().map(|port| Rule { subject: Subject::Uid(service.uid), protocol: Protocol::Tcp, port: *port }).collect()
}

/// The value that the reserved range is lowered to: one below the lowest of the ports.
#[must_use]
pub fn reserved_high(ports: &[u16]) -> i64 {
    ports.iter().min().map_or(1023, |lowest| i64::from(*lowest) - 1)
}

/// Plans port access for the service user.
///
/// # Errors
/// A rule list cannot be extended, a setting of the administrator's makes the rules useless, a file cannot be edited, or
/// this is a jail whose host has to act.
pub fn plan(host: &dyn Observe, system: &System, service: Owner, ports: &[u16]) -> Result<PortAccess, Refusal> {
    check_settings(host)?;
    if system.jail != Jail::No {
        return jail::plan(host, system, service, ports);
    }
    if portacl_rc::in_charge(host)? {
        let mut access = portacl_rc::plan(host, service, ports)?;
        let persistent = portacl::with_rules("", &rules(service, ports))?;
        running(host, system, &rules(service, ports), &persistent, ports, &mut access)?;
        return Ok(access);
    }
    let wanted = rules(service, ports);
    let mut access = PortAccess { guard: true, ..PortAccess::default() };
    if let Some(step) = loader_step(host)? {
        access.steps.push(step);
    }
    let persistent = persistent(host, &wanted, ports, &mut access)?;
    running(host, system, &wanted, &persistent, ports, &mut access)?;
    Ok(access)
}

/// Settings of the administrator's that leave the rules without effect, or ports open to everybody.
fn check_settings(host: &dyn Observe) -> Result<(), Refusal> {
    let number = |name: &str| -> Result<Option<i64>, Refusal> {
        Ok(host.sysctl(name)?.and_then(|value| value.trim().parse().ok()))
    };
    let refuse = |what: String, mend: &str| Err(Refusal::PortaclSetting { what, mend: mend.to_owned() });
    if number(ENABLED)? == Some(0) {
        return refuse(
            format!("{ENABLED} is 0, so mac_portacl enforces nothing"),
            "switch it on (`sysctl security.mac.portacl.enabled=1`, and where it is set at boot), then run this again",
        );
    }
    if let Some(high) = number(PORT_HIGH)?
        && high < 1023
    {
        return refuse(
            format!(
                "{PORT_HIGH} is {high}, so any user could bind the ports above it once the reserved range is lowered"
            ),
            "set it back to 1023 (`sysctl security.mac.portacl.port_high=1023`, and where it is set at boot), then run \
             this again",
        );
    }
    // loader(8) reads the files of this folder after loader.conf, since 13.
    let folder = host.list(Path::new(LOADER_CONF_FOLDER))?;
    let more = folder.iter().filter(|name| name.ends_with(".conf")).map(|name| format!("{LOADER_CONF_FOLDER}/{name}"));
    let files = [LOADER_CONF, LOADER_CONF_LOCAL, SYSCTL_CONF, SYSCTL_CONF_LOCAL].map(str::to_owned);
    for file in files.into_iter().chain(more) {
        let Some(text) = host.read(Path::new(&file))? else { continue };
        let keeps_out = file != LOADER_CONF
            && file.starts_with("/boot")
            && loader_conf::get(&text, LOADER_VARIABLE).is_some_and(|value| !value.eq_ignore_ascii_case("yes"));
        if keeps_out {
            return refuse(
                format!("{file} keeps {MODULE} from being loaded at boot"),
                "take that line out, then run this again",
            );
        }
        let get = |name| {
            if file.starts_with("/boot") { loader_conf::get(&text, name) } else { sysctl_conf::get(&text, name) }
        };
        if get(ENABLED).is_some_and(|value| value.trim() == "0") {
            return refuse(
                format!("{file} sets {ENABLED} to 0, so mac_portacl would enforce nothing after a boot"),
                "take that line out, then run this again",
            );
        }
        if get(PORT_HIGH).and_then(|value| value.trim().parse::<i64>().ok()).is_some_and(|high| high < 1023) {
            return refuse(
                format!("{file} sets {PORT_HIGH} below 1023, which leaves the ports above it open to every user"),
                "take that line out, then run this again",
            );
        }
    }
    Ok(())
}

fn loader_step(host: &dyn Observe) -> Result<Option<Step>, Refusal> {
    let path = Path::new(LOADER_CONF);
    let old = host.read(path)?;
    let text = old.clone().unwrap_or_default();
    if loader_conf::get(&text, LOADER_VARIABLE).is_some_and(|value| value.eq_ignore_ascii_case("yes")) {
        return Ok(None);
    }
    let new = loader_conf::set(&text, LOADER_VARIABLE, "YES").map_err(edit(path))?;
    edited(host, path, old.as_deref(), &new)
}

/// What the boot sets: rules first, then the reserved range. Returns the rule list that the boot will have.
fn persistent(host: &dyn Observe, wanted: &[Rule], ports: &[u16], access: &mut PortAccess) -> Result<String, Refusal> {
    let main = host.read(Path::new(SYSCTL_CONF))?;
    let local = host.read(Path::new(SYSCTL_CONF_LOCAL))?;
    if host.read(Path::new(SYSCTL_KLD))?.is_some_and(|bytes| String::from_utf8_lossy(&bytes).contains(RULES)) {
        access.warnings.push(format!(
            "{SYSCTL_KLD} sets rules too; they count only where rc(8) itself loads the module, which loader.conf now does \
             before it. Move its rules to {SYSCTL_CONF}"
        ));
    }
    // sysctl.conf.local is read after sysctl.conf: a variable that it sets has to be changed there.
    let mut texts =
        [(SYSCTL_CONF, main.clone().unwrap_or_default()), (SYSCTL_CONF_LOCAL, local.clone().unwrap_or_default())];
    let place = |texts: &[(&str, Vec<u8>); 2], name: &str| usize::from(sysctl_conf::get(&texts[1].1, name).is_some());

    let at = place(&texts, RULES);
    let old_rules = sysctl_conf::get(&texts[at].1, RULES).unwrap_or_default();
    let new_rules = portacl::with_rules(&old_rules, wanted)
        .and_then(|list| portacl::check_sysctl_conf_limit(&list).map(|()| list))
        .map_err(|error| Refusal::Rules { place: texts[at].0.to_owned(), why: error.to_string() })?;
    if new_rules != old_rules {
        texts[at].1 = sysctl_conf::set(&texts[at].1, RULES, &new_rules).map_err(edit(Path::new(texts[at].0)))?;
    }
    let at = place(&texts, RESERVED_HIGH);
    let target = reserved_high(ports);
    let low_enough = sysctl_conf::get(&texts[at].1, RESERVED_HIGH)
        .and_then(|value| value.trim().parse::<i64>().ok())
        .is_some_and(|value| value <= target);
    if !low_enough {
        texts[at].1 =
            sysctl_conf::set(&texts[at].1, RESERVED_HIGH, &target.to_string()).map_err(edit(Path::new(texts[at].0)))?;
    }
    for ((path, new), old) in texts.iter().zip([main, local]) {
        if let Some(step) = edited(host, Path::new(path), old.as_deref(), new)? {
            access.steps.push(step);
        }
    }
    Ok(new_rules)
}

/// What the running kernel is told, as far as its securelevel allows.
fn running(
    host: &dyn Observe,
    system: &System,
    wanted: &[Rule],
    persistent: &str,
    ports: &[u16],
    access: &mut PortAccess,
) -> Result<(), Refusal> {
    let locked = system.securelevel > 0;
    let loaded = host.module_loaded(MODULE)?;
    if !loaded && locked {
        access.reboot.push(format!(
            "the module {MODULE} cannot be loaded at securelevel {}; the next boot loads it",
            system.securelevel
        ));
        return Ok(());
    }
    if !loaded {
        access.steps.push(Step::new(PART, Action::Load, Change::Module { name: MODULE.to_owned() }));
    }
    if !loaded {
        access.warnings.extend(newly_closed(host, persistent)?);
    }
    let old = if loaded { host.sysctl(RULES)?.unwrap_or_default() } else { String::new() };
    let new = if loaded {
        portacl::with_rules(&old, wanted)
            .map_err(|error| Refusal::Rules { place: "the running kernel".to_owned(), why: error.to_string() })?
    } else {
        persistent.to_owned()
    };
    if new != old {
        access.steps.push(Step::new(PART, Action::Set, Change::Sysctl { name: RULES.to_owned(), value: new }));
    }
    if let Some(step) = reserved_step(host, system, ports, &mut access.reboot)? {
        access.steps.push(step);
    }
    if host.sysctl(SUSER_EXEMPT)?.is_some_and(|value| value.trim() == "0") {
        access.warnings.push(format!(
            "{SUSER_EXEMPT} is 0: not even root may bind a port without a rule, which keeps sshd and others from starting"
        ));
    }
    Ok(())
}

/// Services of other users that hold low ports without mac_portacl, because the reserved range was lowered for them: once
/// the module is loaded they need a rule at their next start.
fn newly_closed(host: &dyn Observe, rules: &str) -> Result<Vec<String>, Refusal> {
    let reserved = host.sysctl(RESERVED_HIGH)?.and_then(|value| value.trim().parse::<i64>().ok()).unwrap_or(1023);
    let rules = portacl::parse_kernel(rules).unwrap_or_default();
    let granted = |uid: u32, port: u16| {
        rules
            .iter()
            .filter_map(|rule| rule.effective())
            .any(|rule| rule.subject == Subject::Uid(uid) && rule.port == port)
    };
    Ok(host
        .listeners()?
        .into_iter()
        .filter(|listener| i64::from(listener.port) > reserved && listener.port < 1024)
        .filter(|listener| listener.uid.is_some_and(|uid| uid != 0 && !granted(uid, listener.port)))
        .map(|listener| {
            format!(
                "{} of the user {} listens on port {}, which {RESERVED_HIGH}={reserved} has let any user do. With {MODULE} in \
                 force it needs a rule at its next start: add uid:{}:tcp:{} to {RULES} in {SYSCTL_CONF}",
                listener.command,
                listener.user,
                listener.port,
                listener.uid.unwrap_or_default(),
                listener.port
            )
        })
        .collect())
}

/// Lowers the reserved range of the running kernel, never below what the ports need, and never raises it.
pub(super) fn reserved_step(
    host: &dyn Observe,
    system: &System,
    ports: &[u16],
    reboot: &mut Vec<String>,
) -> Result<Option<Step>, Refusal> {
    let target = reserved_high(ports);
    let now: i64 = host.sysctl(RESERVED_HIGH)?.and_then(|value| value.trim().parse().ok()).unwrap_or(1023);
    if now <= target {
        return Ok(None);
    }
    if system.securelevel > 0 {
        reboot.push(format!(
            "{RESERVED_HIGH} is {now} and cannot be changed at securelevel {}; the next boot lowers it",
            system.securelevel
        ));
        return Ok(None);
    }
    let change = Change::Sysctl { name: RESERVED_HIGH.to_owned(), value: target.to_string() };
    Ok(Some(Step::new(PART, Action::Set, change)))
}

/// A step that replaces a system file whose mode and owner stay as they are.
pub(super) fn edited(host: &dyn Observe, path: &Path, old: Option<&[u8]>, new: &[u8]) -> Result<Option<Step>, Refusal> {
    if old.unwrap_or_default() == new {
        return Ok(None);
    }
    let (mode, owner) = match host.entry(path)? {
        Some(Entry::File { mode, owner, .. }) => (mode, owner),
        None => (0o644, Owner::ROOT),
        Some(_) => {
            return Err(Refusal::WrongKind { path: path.to_owned(), found: "not a regular file", wanted: "a file" });
        }
    };
    let action = if old.is_some() { Action::Update } else { Action::Create };
    let change = Change::File { path: path.to_owned(), content: Content::new(new), mode, owner };
    Ok(Some(Step::new(PART, action, change)))
}

/// An editor's error as a refusal.
pub(super) fn edit<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Refusal {
    let path = PathBuf::from(path);
    move |why| Refusal::Edit { path, why: why.to_string() }
}
