//! Port access in direct mode: mac_portacl(4) lets the service user, and nobody else, bind 80 and 443.
//!
//! The order keeps the host closed at every moment: module, rules, a look at the rules, and only then a lower reserved range, down
//! to the lowest port in use minus one, so that ssh, smtp and dns stay with root even on a boot where the module fails to load. The
//! kernel replaces a rule list as a whole, so ours are merged with everybody else's.

use std::path::Path;

use super::port_settings::{
    ENABLED, LOADER_CONF, LOADER_CONF_FOLDER, LOADER_CONF_LOCAL, LOADER_VARIABLE, MODULE, PART, PORT_HIGH, PortAccess,
    RESERVED_HIGH, RULES, SUSER_EXEMPT, SYSCTL_CONF, SYSCTL_CONF_LOCAL, SYSCTL_KLD, edit, edited, refused,
    reserved_high, reserved_step, set_sysctl, sysctl_number,
};
use super::rule_edit::{self, RESERVED_BY_DEFAULT, RuleEdit, When, effective};
use super::sysctl_files::SysctlFiles;
use super::{Refusal, jail, portacl_boot, portacl_rc, portacl_rc_list};
use crate::change::{Action, AfterPlan, LoadModule, Step};
use crate::host::{HostError, Jail, Listener, Observe, Owner, System};
use crate::portacl::{self, Assignment, Protocol, Rule, Subject, Variable};
use crate::sysconf::{loader_conf, sysctl_conf};

/// The rules that a user needs for its TCP ports.
pub fn rules(service: Owner, ports: &[u16]) -> Vec<Rule> {
    ports.iter().map(|port| Rule { subject: Subject::Uid(service.uid), protocol: Protocol::Tcp, port: *port }).collect()
}

/// Plans a change of the rules: in the running kernel, and for every boot to come.
///
/// # Errors
/// A rule list cannot be changed, a setting of the administrator's makes the rules useless, a file cannot be edited, or
/// this is a jail whose host has to act.
pub(super) fn plan(host: &dyn Observe, system: &System, edit: &RuleEdit) -> Result<PortAccess, Refusal> {
    if edit.grants() {
        check_settings(host)?;
    }
    if system.jail != Jail::No {
        return jail::plan(host, system, edit);
    }
    let mut access = PortAccess::default();
    let (at_boot, boot, kernel) = if portacl_rc::in_charge(host)? {
        let steps = portacl_rc::plan(host, edit, &mut access)?;
        let after = AfterPlan::new(host, &steps);
        let (old, new) = (portacl_rc_list::list(host)?, portacl_rc_list::list(&after)?);
        let kernel = kernel(host, edit, &new)?;
        // It opens the whole range.
        (steps, Lists { old, new, reserved: 0 }, kernel)
    } else {
        access.guard = edit.grants();
        let for_module = kept_for_module(host)?;
        let mut files = SysctlFiles::read(host, for_module)?;
        let mut boot = boot(&files, edit)?;
        let kernel = kernel(host, edit, &boot.new)?;
        boot.reserved = edit.reserved_high(&[&boot.old, &kernel.old], &[&boot.new, &kernel.new], boot.reserved);
        (at_boot(host, edit, &mut files, &boot, for_module, &mut access)?, boot, kernel)
    };
    let now = running(host, system, edit, &boot, &kernel, &mut access)?;
    // The running kernel is the last to grant, and the first to revoke.
    access.steps = if edit.grants() { [at_boot, now].concat() } else { [now, at_boot].concat() };
    Ok(access)
}

/// Refuses settings of the administrator's that leave the rules without effect, or ports open to everybody.
fn check_settings(host: &dyn Observe) -> Result<(), Refusal> {
    if sysctl_number(host, ENABLED)? == Some(0) {
        return Err(Refusal::PortaclSetting(format!(
            "{ENABLED} is 0, so mac_portacl enforces nothing; switch it on (`sysctl {ENABLED}=1`, and where it is set at boot), \
             then run this again"
        )));
    }
    if let Some(high) = sysctl_number(host, PORT_HIGH)?.filter(|high| *high < 1023) {
        return Err(Refusal::PortaclSetting(format!(
            "{PORT_HIGH} is {high}, so any user could bind the ports above it once the reserved range is lowered; set it back to \
             1023 (`sysctl {PORT_HIGH}=1023`, and where it is set at boot), then run this again"
        )));
    }
    // loader(8) reads the files of this folder after loader.conf, since 13.
    let folder = host.list(Path::new(LOADER_CONF_FOLDER))?;
    let more = folder.iter().filter(|name| name.ends_with(".conf")).map(|name| format!("{LOADER_CONF_FOLDER}/{name}"));
    let files = [LOADER_CONF, LOADER_CONF_LOCAL, SYSCTL_CONF, SYSCTL_CONF_LOCAL].map(str::to_owned);
    for file in files.into_iter().chain(more) {
        let Some(text) = host.read(Path::new(&file))? else { continue };
        let is_loaders = file.starts_with("/boot");
        let get =
            |name| if is_loaders { loader_conf::FILE.get(&text, name) } else { sysctl_conf::FILE.get(&text, name) };
        let number = |name| get(name).and_then(|value| portacl::number(&value));
        let overrides = is_loaders && file != LOADER_CONF;
        let what = if overrides && get(LOADER_VARIABLE).is_some_and(|value| !loader_conf::loads(&value)) {
            format!("{file} prevents {MODULE} from being loaded at boot")
        } else if number(ENABLED) == Some(0) {
            format!("{file} sets {ENABLED} to 0, so mac_portacl would enforce nothing after a boot")
        } else if number(PORT_HIGH).is_some_and(|high| high < 1023) {
            format!("{file} sets {PORT_HIGH} below 1023, which leaves the ports above it open to every user")
        } else {
            continue;
        };
        return Err(Refusal::PortaclSetting(format!("{what}; take that line out, then run this again")));
    }
    Ok(())
}

/// loader.conf with the line that loads the module.
fn loader_step(host: &dyn Observe) -> Result<Option<Step>, Refusal> {
    let path = Path::new(LOADER_CONF);
    let old = host.read(path)?;
    let text = old.clone().unwrap_or_default();
    if loader_conf::FILE.get(&text, LOADER_VARIABLE).is_some_and(|value| loader_conf::loads(&value)) {
        return Ok(None);
    }
    let new = loader_conf::FILE.set(&text, LOADER_VARIABLE, "YES").map_err(edit(path))?;
    edited(host, path, old.as_deref(), &new)
}

/// The present rules and the new ones, in the running kernel or at boot.
struct Lists {
    old: String,
    new: String,
    /// The highest reserved port there.
    reserved: i64,
}

/// The rules that sysctl.conf sets, and the reserved range as it is before the change.
fn boot(files: &SysctlFiles, edit: &RuleEdit) -> Result<Lists, Refusal> {
    let old = files.get(RULES).unwrap_or_default();
    let refused = refused(files.place(RULES));
    let new = edit.list(When::Boot, &old).map_err(&refused)?;
    // A list that was too long before is not made worse by taking something out of it.
    if new.len() > old.len() {
        portacl::check_sysctl_conf_limit(&new).map_err(refused)?;
    }
    Ok(Lists { old, new, reserved: files.number(RESERVED_HIGH).unwrap_or(RESERVED_BY_DEFAULT) })
}

/// The rules of the running kernel. `boot` is the list of the next boot.
fn kernel(host: &dyn Observe, edit: &RuleEdit, boot: &str) -> Result<Lists, Refusal> {
    let (old, new) = if host.module_loaded(MODULE)? {
        let old = host.sysctl(RULES)?.unwrap_or_default();
        let new = edit.list(When::Now, &old).map_err(refused("the running kernel"))?;
        (old, new)
    } else {
        // With the module come the rules that the boot would have set.
        (String::new(), if edit.grants() { boot.to_owned() } else { String::new() })
    };
    Ok(Lists { old, new, reserved: reserved_high(host)? })
}

/// The file of the rules for a module from `kld_list`, if this host keeps its rules there.
fn kept_for_module(host: &dyn Observe) -> Result<Option<&'static str>, HostError> {
    let settings = portacl_boot::settings(host)?;
    let sets = |lines: &[Assignment], variable| lines.iter().any(|line| line.variable == variable);
    let elsewhere = [Variable::Rules, Variable::ReservedHigh].iter().any(|it| sets(&settings.sysctl_conf, *it));
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
    if for_module.is_none() {
        // A module that the loader has loaded already would not get its file.
        if edit.grants() {
            steps.extend(loader_step(host)?);
        }
        if host.read(Path::new(SYSCTL_KLD))?.is_some_and(|bytes| String::from_utf8_lossy(&bytes).contains(RULES)) {
            access.warnings.push(format!(
                "{SYSCTL_KLD} sets rules too; they count only where rc(8) itself loads the module, which loader.conf now \
                 does before it. Move its rules to {SYSCTL_CONF}"
            ));
        }
    }
    files.set(RULES, &boot.new, "")?;
    if files.number(RESERVED_HIGH).unwrap_or(RESERVED_BY_DEFAULT) != boot.reserved {
        files.set(RESERVED_HIGH, &boot.reserved.to_string(), &RESERVED_BY_DEFAULT.to_string())?;
    }
    steps.extend(files.steps(host)?);
    Ok(steps)
}

/// The changes of the running kernel, as far as its securelevel allows them.
fn running(
    host: &dyn Observe,
    system: &System,
    edit: &RuleEdit,
    boot: &Lists,
    kernel: &Lists,
    access: &mut PortAccess,
) -> Result<Vec<Step>, Refusal> {
    let loads = edit.grants() && !host.module_loaded(MODULE)?;
    let mut steps = Vec::new();
    let mut target = edit.reserved_high(&[&boot.old, &kernel.old], &[&boot.new, &kernel.new], kernel.reserved);
    if loads {
        if system.securelevel > 0 {
            access.reboot.push(format!(
                "the module {MODULE} cannot be loaded at securelevel {}; the next boot loads it",
                system.securelevel
            ));
            return Ok(steps);
        }
        steps.push(Step::new(PART, Action::Load, LoadModule { name: MODULE.to_owned() }));
        access.warnings.extend(newly_closed(host, &boot.new)?);
        // The rules that come with the module are to have the effect that they have after a boot.
        target = target.min(boot.reserved.max(rule_edit::needed(&kernel.new)));
    }
    let rules = (kernel.new != kernel.old).then(|| set_sysctl(RULES, kernel.new.clone()));
    let reserved = reserved_step(host, system, |_| target, &mut access.reboot)?;
    // The range opens after the rules have come, and closes before they go.
    let [first, then] = if target > kernel.reserved { [reserved, rules] } else { [rules, reserved] };
    steps.extend(first.into_iter().chain(then));
    if edit.grants() && host.sysctl(SUSER_EXEMPT)?.is_some_and(|value| value.trim() == "0") {
        access.warnings.push(format!(
            "{SUSER_EXEMPT} is 0: not even root may bind a port without a rule, which prevents sshd and others from starting"
        ));
    }
    Ok(steps)
}

/// Warns of services of other users that hold low ports without mac_portacl, because the reserved range was lowered for them: once
/// the module is loaded they need a rule at their next start.
fn newly_closed(host: &dyn Observe, rules: &str) -> Result<Vec<String>, Refusal> {
    let reserved = reserved_high(host)?;
    let rules = effective(rules);
    let mut warnings = Vec::new();
    for (protocol, suffix) in [(Protocol::Tcp, ""), (Protocol::Udp, "/udp")] {
        let warning = |socket: &Listener| {
            let (uid, port) = (socket.uid.filter(|uid| *uid != 0)?, socket.port);
            let is_open = i64::from(port) > reserved && port < 1024;
            let rule = Rule { subject: Subject::Uid(uid), protocol, port };
            (is_open && !rules.contains(&rule)).then(|| {
                format!(
                    "{socket} has port {port}/{protocol} open, which {RESERVED_HIGH}={reserved} has let any user do. With {MODULE} in \
                     force it needs a rule at its next start: `gts-bootstrap portacl grant uid:{uid} {port}{suffix}`"
                )
            })
        };
        warnings.extend(host.sockets(protocol)?.iter().filter_map(warning));
    }
    Ok(warnings)
}
