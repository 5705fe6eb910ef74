//! Port access in direct mode: mac_portacl(4) lets the service user, and nobody else, bind 80 and 443.
//!
//! The order is what keeps the host closed at every moment: module, rules, read back, and only then is the reserved
//! range lowered, to the lowest port in use minus one, so that ssh, smtp and dns stay with root even on a boot where the
//! module fails to load. A rule list is replaced as a whole by the kernel, so ours are merged with everybody else's.

use std::path::{Path, PathBuf};

use super::rule_edit::{self, RESERVED_BY_DEFAULT, RuleEdit, When};
use super::sysctl_files::SysctlFiles;
use super::{Refusal, jail, portacl_boot, portacl_rc, portacl_rc_list};
use crate::change::{Action, AfterPlan, Content, LoadModule, Plan, SetSysctl, Step, WriteFile};
use crate::host::{Entry, HostError, Jail, Observe, Owner, System};
use crate::portacl::{self, Assignment, MergeError, Protocol, Rule, Subject, Variable};
use crate::sysconf::{loader_conf, sysctl_conf};

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
pub(super) const SYSCTL_CONF_LOCAL: &str = "/etc/sysctl.conf.local";
pub(super) const SYSCTL_KLD: &str = "/etc/sysctl.kld.d/mac_portacl.conf";
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
pub fn rules(service: Owner, ports: &[u16]) -> Vec<Rule> {
    ports.iter().map(|port| Rule { subject: Subject::Uid(service.uid), protocol: Protocol::Tcp, port: *port }).collect()
}

/// Plans a change of the rules: in the running kernel, and for every boot to come.
///
/// # Errors
/// A rule list cannot be changed, a setting of the administrator's makes the rules useless, a file cannot be edited, or
/// this is a jail whose host has to act.
pub fn plan(host: &dyn Observe, system: &System, edit: &RuleEdit) -> Result<PortAccess, Refusal> {
    if edit.grants() {
        check_settings(host)?;
    }
    if system.jail != Jail::No {
        return jail::plan(host, system, edit);
    }
    let mut access = PortAccess::default();
    let (at_boot, now) = if portacl_rc::in_charge(host)? {
        let at_boot = portacl_rc::plan(host, edit, &mut access)?;
        let after = Plan { steps: at_boot.clone(), ..Plan::default() };
        let boot = Lists {
            old: portacl_rc_list::list(host)?,
            new: portacl_rc_list::list(&AfterPlan::new(host, &after))?,
            // It opens the whole range.
            reserved: 0,
        };
        (at_boot, running(host, system, edit, &boot, &kernel(host, edit, &boot.new)?, &mut access)?)
    } else {
        access.guard = edit.grants();
        let for_module = kept_for_module(host)?;
        let mut files = SysctlFiles::read(host, for_module)?;
        let mut boot = boot(&files, edit)?;
        let kernel = kernel(host, edit, &boot.new)?;
        boot.reserved = edit.reserved_high(&[&boot.old, &kernel.old], &[&boot.new, &kernel.new], boot.reserved);
        let at_boot = at_boot(host, edit, &mut files, &boot, for_module, &mut access)?;
        (at_boot, running(host, system, edit, &boot, &kernel, &mut access)?)
    };
    // What is granted is granted last to the running kernel, and what is revoked is revoked there first.
    access.steps = if edit.grants() { [at_boot, now].concat() } else { [now, at_boot].concat() };
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
            && loader_conf::get(&text, LOADER_VARIABLE).is_some_and(|value| !loader_conf::loads(&value));
        if keeps_out {
            return refuse(
                format!("{file} prevents {MODULE} from being loaded at boot"),
                "take that line out, then run this again",
            );
        }
        let get = |name| {
            if file.starts_with("/boot") { loader_conf::get(&text, name) } else { sysctl_conf::get(&text, name) }
        };
        let number = |name| get(name).and_then(|value| portacl::number(&value));
        if number(ENABLED) == Some(0) {
            return refuse(
                format!("{file} sets {ENABLED} to 0, so mac_portacl would enforce nothing after a boot"),
                "take that line out, then run this again",
            );
        }
        if number(PORT_HIGH).is_some_and(|high| high < 1023) {
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
    if loader_conf::get(&text, LOADER_VARIABLE).is_some_and(|value| loader_conf::loads(&value)) {
        return Ok(None);
    }
    let new = loader_conf::set(&text, LOADER_VARIABLE, "YES").map_err(edit(path))?;
    edited(host, path, old.as_deref(), &new)
}

/// The rules that are there and those that are to be, in the running kernel or at boot.
struct Lists {
    old: String,
    new: String,
    /// The highest reserved port there.
    reserved: i64,
}

/// The rules that sysctl.conf sets, and the reserved range as it is before the change.
fn boot(files: &SysctlFiles, edit: &RuleEdit) -> Result<Lists, Refusal> {
    let old = files.get(RULES).unwrap_or_default();
    let refused = |error: MergeError| Refusal::Rules { place: files.place(RULES).to_owned(), why: error.to_string() };
    let new = edit.list(When::Boot, &old).map_err(refused)?;
    // A list that was too long before is not made worse by taking something out of it.
    if new.len() > old.len() {
        portacl::check_sysctl_conf_limit(&new).map_err(refused)?;
    }
    Ok(Lists { old, new, reserved: files.number(RESERVED_HIGH).unwrap_or(RESERVED_BY_DEFAULT) })
}

/// The rules of the running kernel. `boot` is the list that the next boot will have.
fn kernel(host: &dyn Observe, edit: &RuleEdit, boot: &str) -> Result<Lists, Refusal> {
    let loaded = host.module_loaded(MODULE)?;
    let old = if loaded { host.sysctl(RULES)?.unwrap_or_default() } else { String::new() };
    let refused = |error: MergeError| Refusal::Rules { place: "the running kernel".to_owned(), why: error.to_string() };
    let new = match edit {
        // With the module come the rules that the boot would have set.
        _ if !loaded && edit.grants() => boot.to_owned(),
        _ if !loaded => String::new(),
        _ => edit.list(When::Now, &old).map_err(refused)?,
    };
    Ok(Lists { old, new, reserved: reserved_high(host)? })
}

/// The file in which `kld_list`'s module gets its rules, where that is how this host has them.
fn kept_for_module(host: &dyn Observe) -> Result<Option<&'static str>, HostError> {
    let settings = portacl_boot::settings(host)?;
    let sets = |lines: &[Assignment], variable| lines.iter().any(|line| line.variable == variable);
    let elsewhere =
        [Variable::Rules, Variable::ReservedHigh].into_iter().any(|variable| sets(&settings.sysctl_conf, variable));
    let is_kept = sets(&settings.kld_conf, Variable::Rules) && !elsewhere;
    Ok((is_kept && portacl::next_boot(&settings).kld_conf_read).then_some(SYSCTL_KLD))
}

/// The files that the boot reads.
fn at_boot(
    host: &dyn Observe,
    edit: &RuleEdit,
    files: &mut SysctlFiles,
    boot: &Lists,
    for_module: Option<&str>,
    access: &mut PortAccess,
) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    // A module that the loader has loaded already would not get its file.
    if edit.grants() && for_module.is_none() {
        steps.extend(loader_step(host)?);
    }
    if for_module.is_none()
        && host.read(Path::new(SYSCTL_KLD))?.is_some_and(|bytes| String::from_utf8_lossy(&bytes).contains(RULES))
    {
        access.warnings.push(format!(
            "{SYSCTL_KLD} sets rules too; they count only where rc(8) itself loads the module, which loader.conf now does \
             before it. Move its rules to {SYSCTL_CONF}"
        ));
    }
    files.set(RULES, &boot.new, "")?;
    if files.number(RESERVED_HIGH).unwrap_or(RESERVED_BY_DEFAULT) != boot.reserved {
        files.set(RESERVED_HIGH, &boot.reserved.to_string(), &RESERVED_BY_DEFAULT.to_string())?;
    }
    steps.extend(files.steps(host)?);
    Ok(steps)
}

/// What the running kernel is told, as far as its securelevel allows.
fn running(
    host: &dyn Observe,
    system: &System,
    edit: &RuleEdit,
    boot: &Lists,
    kernel: &Lists,
    access: &mut PortAccess,
) -> Result<Vec<Step>, Refusal> {
    let loaded = host.module_loaded(MODULE)?;
    let mut steps = Vec::new();
    if !loaded && edit.grants() {
        if system.securelevel > 0 {
            access.reboot.push(format!(
                "the module {MODULE} cannot be loaded at securelevel {}; the next boot loads it",
                system.securelevel
            ));
            return Ok(steps);
        }
        steps.push(Step::new(PART, Action::Load, LoadModule { name: MODULE.to_owned() }));
        access.warnings.extend(newly_closed(host, &boot.new)?);
    }
    let rules = (kernel.new != kernel.old)
        .then(|| Step::new(PART, Action::Set, SetSysctl { name: RULES.to_owned(), value: kernel.new.clone() }));
    let mut target = edit.reserved_high(&[&boot.old, &kernel.old], &[&boot.new, &kernel.new], kernel.reserved);
    if !loaded && edit.grants() {
        // The rules that come with the module are to have the effect that they have after a boot.
        target = target.min(boot.reserved.max(rule_edit::needed(&kernel.new)));
    }
    let reserved = reserved_step(host, system, |_| target, &mut access.reboot)?;
    // The range is opened after the rules are there, and closed before they go.
    if target > kernel.reserved {
        steps.extend(reserved.into_iter().chain(rules));
    } else {
        steps.extend(rules.into_iter().chain(reserved));
    }
    if edit.grants() && host.sysctl(SUSER_EXEMPT)?.is_some_and(|value| value.trim() == "0") {
        access.warnings.push(format!(
            "{SUSER_EXEMPT} is 0: not even root may bind a port without a rule, which prevents sshd and others from starting"
        ));
    }
    Ok(steps)
}

/// Services of other users that hold low ports without mac_portacl, because the reserved range was lowered for them: once
/// the module is loaded they need a rule at their next start.
fn newly_closed(host: &dyn Observe, rules: &str) -> Result<Vec<String>, Refusal> {
    let reserved = reserved_high(host)?;
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
                 force it needs a rule at its next start: `gts-bootstrap portacl grant uid:{} {}`",
                listener.command,
                listener.user,
                listener.port,
                listener.uid.unwrap_or_default(),
                listener.port
            )
        })
        .collect())
}

/// The highest reserved port of the running kernel.
pub(super) fn reserved_high(host: &dyn Observe) -> Result<i64, HostError> {
    let value = host.sysctl(RESERVED_HIGH)?;
    Ok(value.and_then(|value| value.trim().parse().ok()).unwrap_or(RESERVED_BY_DEFAULT))
}

/// Sets the reserved range of the running kernel to what `target` makes of the value that it has.
pub(super) fn reserved_step(
    host: &dyn Observe,
    system: &System,
    target: impl FnOnce(i64) -> i64,
    reboot: &mut Vec<String>,
) -> Result<Option<Step>, Refusal> {
    let now = reserved_high(host)?;
    let target = target(now);
    if now == target {
        return Ok(None);
    }
    if system.securelevel > 0 {
        reboot.push(format!(
            "{RESERVED_HIGH} is {now} and cannot be changed at securelevel {}; the next boot sets it to {target}",
            system.securelevel
        ));
        return Ok(None);
    }
    let change = SetSysctl { name: RESERVED_HIGH.to_owned(), value: target.to_string() };
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
    let change = WriteFile { path: path.to_owned(), content: Content::new(new), mode, owner };
    Ok(Some(Step::new(PART, action, change)))
}

/// An editor's error as a refusal.
pub(super) fn edit<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Refusal {
    let path = PathBuf::from(path);
    move |why| Refusal::Edit { path, why: why.to_string() }
}
