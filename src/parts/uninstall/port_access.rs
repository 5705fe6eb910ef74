//! The way back of port access: the reserved range up first, then the rules, the files of the boot, the module, the guard.
//!
//! Where nobody else has edited a file since, it becomes byte for byte what it was. Where somebody has, the editors take out
//! what is ours. What others have come to need since our first touch stays: their rules, the module, the range, the guard.

use std::path::{Path, PathBuf};

use super::files::{self, Fate};
use super::ledger::{Ledger, Trace};
use crate::change::{
    Action, AfterPlan, Change, Content, Left, Plan, Prior, Remove, SetRcVariable, SetSysctl, Step, Thing, UnloadModule,
    WriteFile, store,
};
use crate::host::{HostError, Jail, Observe, Owner, System};
use crate::parts::port_access::{
    self, LOADER_CONF, LOADER_VARIABLE, MODULE, RESERVED_HIGH, RULES, SYSCTL_CONF, SYSCTL_CONF_LOCAL, SYSCTL_KLD,
};
use crate::parts::rule_edit::{RESERVED_BY_DEFAULT, RuleEdit};
use crate::parts::{Refusal, portacl_boot, portacl_rc, portacl_rc_list, rc_script};
use crate::portacl::{self, Rule, Subject};
use crate::sysconf::{loader_conf, sysctl_conf};

/// The part: its steps rest on one another.
pub(super) const PART: &str = "port-access";
/// Files that others edit, too.
pub(super) const SHARED: [&str; 4] = [LOADER_CONF, SYSCTL_CONF, SYSCTL_CONF_LOCAL, SYSCTL_KLD];
/// Variables of portacl-rc begin so.
pub(super) const PORTACL_RC: &str = "portacl_";

/// The way back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) steps: Vec<Step>,
    pub(super) warnings: Vec<String>,
    pub(super) reboot: Vec<String>,
    /// What only the administrator can do.
    pub(super) by_hand: Vec<String>,
    /// What stays because others need it.
    pub(super) needed: Vec<String>,
}

/// The scripts of the boot guard.
pub(super) fn guards() -> [PathBuf; 2] {
    rc_script::GUARDS.map(|name| Path::new("/usr/local/etc/rc.d").join(name))
}

/// The variable that switches the guard on.
pub(super) fn guard_variable() -> String {
    format!("{}_enable", rc_script::GUARDS[0])
}

/// Plans the way back. `service` is the uid that GoToSocial runs as, `all` takes edited scripts away, too.
///
/// # Errors
/// The host cannot be read.
pub(super) fn plan(host: &dyn Observe, ledger: &Ledger, service: u32, all: bool) -> Result<Planned, Refusal> {
    let mut planned = Planned::default();
    let system = host.system()?;
    // In a jail the rules are its host's, and no record here tells of them.
    if !is_touched(ledger) && (system.jail == Jail::No || ledger.served.is_none()) {
        return Ok(planned);
    }
    let before = Plan { steps: before(host, ledger)?, ..Plan::default() };
    let origin = {
        let boot = boot_rules(&AfterPlan::new(host, &before))?;
        let kernel = match ledger.of(&Thing::Sysctl(RULES.to_owned())) {
            Some(Trace { origin: Prior::Value { value }, .. }) => effective(value),
            Some(_) => Vec::new(),
            None if system.jail != Jail::No => Vec::new(),
            // What a boot has brought in since, from the files, was not there.
            None => {
                let now = boot_rules(host)?;
                kernel_rules(host)?.into_iter().filter(|rule| boot.contains(rule) || !now.contains(rule)).collect()
            }
        };
        [kernel, boot].concat()
    };
    let there = [kernel_rules(host)?, boot_rules(host)?].concat();
    let ours: Vec<Rule> =
        brought_in(ledger, service).into_iter().filter(|rule| there.contains(rule) && !origin.contains(rule)).collect();
    let access = if ours.is_empty() {
        Ok(port_access::PortAccess::default())
    } else {
        port_access::plan(host, &system, &RuleEdit::Revoke(ours))
    };
    let access = match access {
        Ok(access) => access,
        Err(Refusal::Host(error)) => return Err(error.into()),
        Err(refusal) => {
            planned.by_hand.push(format!(
                "the permission to bind ports, with everything that makes it safe, stays until this is done. {refusal}"
            ));
            return Ok(planned);
        }
    };
    planned.reboot = access.reboot;
    let after = Plan { steps: access.steps.clone(), ..Plan::default() };
    let after = AfterPlan::new(host, &after);
    let left = [kernel_rules(&after)?, boot_rules(&after)?].concat();
    let mut others: Vec<Rule> = Vec::new();
    for rule in left.iter().copied() {
        if !origin.contains(&rule) && !others.contains(&rule) {
            others.push(rule);
        }
    }
    if !others.is_empty() {
        let rules: Vec<String> = others.iter().map(Rule::to_string).collect();
        planned.needed.push(format!(
            "rules that have come in since: {}. With them stay the module {MODULE}, its line in {LOADER_CONF}, the lowered range as \
             far as they need it, and the boot guard. `gts-bootstrap portacl revoke` takes a rule out; then run this again",
            rules.join(", ")
        ));
        planned.steps = access.steps;
        return Ok(planned);
    }
    // A rule that somebody has revoked since does not come back with the file that had it.
    let may_restore = origin.iter().all(|rule| left.contains(rule));
    let target = range(host, may_restore.then_some(ledger), &system, &access.steps, &mut planned)?;
    for step in access.steps {
        match &step.change {
            Change::Sysctl(SetSysctl { name, .. }) if name == RESERVED_HIGH => {}
            Change::Sysctl(_) => planned.steps.push(step),
            // Decided below, together with those that were not edited.
            Change::File(WriteFile { path, .. }) if may_restore && exact(host, ledger, path)?.is_some() => {}
            Change::RcVariable(SetRcVariable { name, .. })
                if may_restore && exact_variable(host, ledger, name)?.is_some() => {}
            _ => planned.steps.push(step),
        }
    }
    if may_restore {
        boot_files(host, ledger, &mut planned)?;
    }
    if let Some(why) = opens(host, ledger, &system, &before, &planned)? {
        planned.by_hand.push(why);
        return Ok(planned);
    }
    module(host, ledger, &system, target, &mut planned)?;
    loader(host, ledger, &mut planned)?;
    guard(host, ledger, all, &mut planned)?;
    Ok(planned)
}

fn is_touched(ledger: &Ledger) -> bool {
    let path = |path: &Path| ledger.path(path).is_some();
    SHARED.iter().any(|file| path(Path::new(file)))
        || guards().iter().any(|script| path(script))
        || [RULES, RESERVED_HIGH].iter().any(|name| ledger.of(&Thing::Sysctl((*name).to_owned())).is_some())
        || ledger.of(&Thing::Module(MODULE.to_owned())).is_some()
        || ledger.rc_variables().any(|(name, _)| name.starts_with(PORTACL_RC) || name == guard_variable())
}

/// The steps that would bring back all that the boot reads, whoever has edited it since: to look at what there was.
fn before(host: &dyn Observe, ledger: &Ledger) -> Result<Vec<Step>, HostError> {
    let mut steps = Vec::new();
    for file in SHARED {
        let path = PathBuf::from(file);
        match ledger.path(&path).map(|trace| &trace.origin) {
            Some(Prior::Absent) => steps.push(step(Action::Remove, Remove { path })),
            Some(Prior::File { sha256, .. }) => {
                // Without the bytes everything that is there now counts as theirs.
                if let Ok(bytes) = store::recall(host, sha256) {
                    steps.push(step(Action::Update, whole(&path, bytes)));
                }
            }
            _ => {}
        }
    }
    for (name, trace) in ledger.rc_variables().filter(|(name, _)| name.starts_with(PORTACL_RC)) {
        let change = SetRcVariable { name: name.to_owned(), value: value(&trace.origin) };
        steps.push(step(Action::Set, change));
    }
    Ok(steps)
}

/// Rules that our runs have brought in: of the service whatever they were asked for, of others only what was not asked for by
/// name with `portacl`.
fn brought_in(ledger: &Ledger, service: u32) -> Vec<Rule> {
    let mut rules = port_access::rules(Owner { uid: service, gid: service }, &[80, 443]);
    let events = ledger.of(&Thing::Sysctl(RULES.to_owned())).map(|trace| trace.events.as_slice()).unwrap_or_default();
    for event in events {
        let (Left::Value(new), old) = (&event.left, value(&event.prior).unwrap_or_default()) else { continue };
        let old = effective(&old);
        for rule in effective(new) {
            let ours = !event.command.starts_with("portacl") || rule.subject == Subject::Uid(service);
            if ours && !old.contains(&rule) && !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    rules
}

fn effective(list: &str) -> Vec<Rule> {
    let rules = portacl::parse_kernel(list).unwrap_or_default();
    rules.iter().filter_map(|rule| rule.effective()).filter(|rule| rule.port > 0).collect()
}

fn kernel_rules(host: &dyn Observe) -> Result<Vec<Rule>, HostError> {
    Ok(effective(&host.sysctl(RULES)?.unwrap_or_default()))
}

/// The rules that files and rc.conf have for the boot, whether it takes them or not.
fn boot_rules(host: &dyn Observe) -> Result<Vec<Rule>, HostError> {
    let mut rules = Vec::new();
    for file in [SYSCTL_CONF, SYSCTL_CONF_LOCAL, SYSCTL_KLD] {
        let text = host.read(Path::new(file))?.unwrap_or_default();
        rules.extend(effective(&sysctl_conf::get(&text, RULES).unwrap_or_default()));
    }
    if portacl_rc::enabled(host)? {
        rules.extend(effective(&portacl_rc_list::list(host)?));
    }
    Ok(rules)
}

/// Plans the reserved range of the running kernel, and says what it will be: with a ledger, what it was before us.
fn range(
    host: &dyn Observe,
    ledger: Option<&Ledger>,
    system: &System,
    steps: &[Step],
    planned: &mut Planned,
) -> Result<i64, Refusal> {
    let now = port_access::reserved_high(host)?;
    let edited = steps.iter().find_map(|step| match &step.change {
        Change::Sysctl(SetSysctl { name, value }) if name == RESERVED_HIGH => value.parse::<i64>().ok(),
        _ => None,
    });
    let trace = ledger.and_then(|ledger| ledger.of(&Thing::Sysctl(RESERVED_HIGH.to_owned())));
    let origin = trace.and_then(|trace| {
        let unedited = trace.unbroken && trace.left == Left::Value(now.to_string());
        value(&trace.origin).filter(|_| unedited)?.trim().parse::<i64>().ok()
    });
    let target = origin.or(edited).unwrap_or(now);
    if planned.reboot.is_empty() {
        planned.steps.extend(port_access::reserved_step(host, system, |_| target, &mut planned.reboot)?);
    }
    Ok(target)
}

/// The content that a file had before us, where nobody else has touched it since our first change. `None` inside is no file.
#[allow(clippy::option_option)]
fn exact(host: &dyn Observe, ledger: &Ledger, path: &Path) -> Result<Option<Option<Change>>, HostError> {
    let Some(trace) = ledger.path(path).filter(|trace| trace.unbroken) else { return Ok(None) };
    if !files::is_unedited(host, path, trace)? {
        return Ok(None);
    }
    Ok(match &trace.origin {
        Prior::Absent => Some(None),
        Prior::File { sha256, mode, owner } => store::recall(host, sha256).ok().map(|bytes| {
            let (mode, owner) = (*mode, *owner);
            Some(Change::File(WriteFile { path: path.to_owned(), content: Content::new(bytes), mode, owner }))
        }),
        _ => None,
    })
}

/// Puts a file back where nobody else has edited it; whether that is so.
fn put_back(host: &dyn Observe, ledger: &Ledger, path: &Path, planned: &mut Planned) -> Result<bool, HostError> {
    let Some(before) = exact(host, ledger, path)? else { return Ok(false) };
    let now = host.read(path)?;
    match before {
        None => planned.steps.push(step(Action::Remove, Remove { path: path.to_owned() })),
        Some(Change::File(WriteFile { ref content, .. })) if now.as_deref() == Some(content.bytes()) => {}
        Some(change) => planned.steps.push(step(Action::Update, change)),
    }
    Ok(true)
}

/// The value of a variable of portacl-rc's before us, where nobody else has changed it since.
#[allow(clippy::option_option)]
fn exact_variable(host: &dyn Observe, ledger: &Ledger, name: &str) -> Result<Option<Option<String>>, HostError> {
    let Some(trace) = ledger.of(&Thing::RcVariable(name.to_owned())) else { return Ok(None) };
    let unedited = trace.unbroken && host.rc_variable(name)?.map_or(Left::Absent, Left::Value) == trace.left;
    Ok(unedited.then(|| value(&trace.origin)))
}

/// What sysctl(8) and portacl-rc read at boot.
fn boot_files(host: &dyn Observe, ledger: &Ledger, planned: &mut Planned) -> Result<(), Refusal> {
    for (name, _) in ledger.rc_variables().filter(|(name, _)| name.starts_with(PORTACL_RC)) {
        if let Some(before) = exact_variable(host, ledger, name)?
            && host.rc_variable(name)? != before
        {
            planned.steps.push(step(Action::Set, SetRcVariable { name: name.to_owned(), value: before }));
        }
    }
    for file in [SYSCTL_CONF, SYSCTL_CONF_LOCAL, SYSCTL_KLD] {
        put_back(host, ledger, Path::new(file), planned)?;
    }
    Ok(())
}

/// loader.conf, which loads the module.
fn loader(host: &dyn Observe, ledger: &Ledger, planned: &mut Planned) -> Result<(), Refusal> {
    let path = Path::new(LOADER_CONF);
    let Some(trace) = ledger.path(path) else { return Ok(()) };
    if put_back(host, ledger, path, planned)? {
        return Ok(());
    }
    let before = match &trace.origin {
        Prior::File { sha256, .. } => {
            store::recall(host, sha256).ok().and_then(|text| loader_conf::get(&text, LOADER_VARIABLE))
        }
        _ => None,
    };
    let Some(now) = host.read(path)? else { return Ok(()) };
    let is_yes = |value: &Option<String>| value.as_deref().is_some_and(loader_conf::loads);
    let value = loader_conf::get(&now, LOADER_VARIABLE);
    if is_yes(&before) || !is_yes(&value) {
        return Ok(());
    }
    let new = match &before {
        Some(before) => loader_conf::set(&now, LOADER_VARIABLE, before).map_err(port_access::edit(path))?,
        None => loader_conf::unset(&now, LOADER_VARIABLE, "YES"),
    };
    if loader_conf::get(&new, LOADER_VARIABLE) != before {
        planned.by_hand.push(format!(
            "{LOADER_CONF} was edited: remove the line that sets {LOADER_VARIABLE}, if nothing else needs the module"
        ));
        return Ok(());
    }
    planned.steps.extend(port_access::edited(host, path, Some(&now), &new)?);
    Ok(())
}

/// Why module, loader line and guard have to stay: a file that somebody has edited would open low ports to everybody at a boot
/// without them. What was so before us is not ours to mend.
fn opens(
    host: &dyn Observe,
    ledger: &Ledger,
    system: &System,
    before: &Plan,
    planned: &Planned,
) -> Result<Option<String>, Refusal> {
    if system.jail != Jail::No {
        return Ok(None);
    }
    let mut ahead = Planned::default();
    loader(host, ledger, &mut ahead)?;
    // A line that is left to be taken out by hand is as good as taken out.
    let module_goes = !ahead.by_hand.is_empty();
    let settings = |steps: Vec<Step>| -> Result<_, HostError> {
        let mut settings = portacl_boot::settings(&AfterPlan::new(host, &Plan { steps, ..Plan::default() }))?;
        settings.guard = portacl::Guard::default();
        Ok(settings)
    };
    let mut was = settings(before.steps.clone())?;
    // Where the range was up in the kernel before us, a line in a file that we never touched has come in since.
    let origin = ledger.of(&Thing::Sysctl(RESERVED_HIGH.to_owned())).and_then(|trace| value(&trace.origin));
    if origin.and_then(|value| value.trim().parse::<i64>().ok()).is_some_and(|was| was >= RESERVED_BY_DEFAULT) {
        let touched = |line: &portacl::Assignment| ledger.path(Path::new(&line.place.file)).is_some();
        was.sysctl_conf.retain(|line| line.variable != portacl::Variable::ReservedHigh || touched(line));
    }
    let was_open = !portacl::next_boot(&was).open.is_empty();
    let settings = settings([planned.steps.clone(), ahead.steps].concat())?;
    let next = match module_goes {
        true => portacl::next_boot_without_module(&settings),
        false => portacl::next_boot(&settings),
    };
    let Some(open) = next.open.last().filter(|_| !was_open) else { return Ok(None) };
    let place = match next.set_by.get(&portacl::Variable::ReservedHigh) {
        Some(portacl::SetBy::Line(line)) => format!(" ({}: {}={})", line.place, line.variable, line.value),
        _ => String::new(),
    };
    let (low, high) = open.ports;
    Ok(Some(format!(
        "the module {MODULE}, its line in {LOADER_CONF} and the boot guard stay: without them any user could bind the ports from \
         {low} to {high} after the next boot, as a later edit lowers the reserved \
         range{place}. Remove that line, then run this again"
    )))
}

/// The module, if we have loaded it and the next boot would not.
fn module(
    host: &dyn Observe,
    ledger: &Ledger,
    system: &System,
    reserved: i64,
    planned: &mut Planned,
) -> Result<(), Refusal> {
    let was_there = ledger.of(&Thing::Module(MODULE.to_owned())).map(|trace| trace.origin != Prior::Absent);
    // At a raised securelevel it was the boot that loaded it, for our line.
    let by_us = was_there.map_or_else(|| ledger.path(Path::new(LOADER_CONF)).is_some(), |was_there| !was_there);
    if !by_us || system.jail != Jail::No || !host.module_loaded(MODULE)? {
        return Ok(());
    }
    let mut ahead = Planned::default();
    loader(host, ledger, &mut ahead)?;
    let steps = [planned.steps.clone(), ahead.steps].concat();
    let after = Plan { steps, ..Plan::default() };
    if portacl::next_boot(&portacl_boot::settings(&AfterPlan::new(host, &after))?).loaded_by.is_some() {
        return Ok(());
    }
    if system.securelevel > 0 {
        planned.reboot.push(format!(
            "the module {MODULE} cannot be taken out at securelevel {}; the next boot comes without it",
            system.securelevel
        ));
        return Ok(());
    }
    if reserved < RESERVED_BY_DEFAULT {
        planned.warnings.push(format!(
            "{RESERVED_HIGH} reverts to {reserved}, as it was before: without {MODULE} every user may bind the ports above it"
        ));
    }
    planned.steps.push(step(Action::Remove, UnloadModule { name: MODULE.to_owned(), reserved }));
    Ok(())
}

/// The boot guard, the last to go.
fn guard(host: &dyn Observe, ledger: &Ledger, all: bool, planned: &mut Planned) -> Result<(), Refusal> {
    let variable = guard_variable();
    if let Some(trace) = ledger.of(&Thing::RcVariable(variable.clone())) {
        let before = value(&trace.origin);
        if host.rc_variable(&variable)? != before {
            planned.steps.push(step(Action::Set, SetRcVariable { name: variable, value: before }));
        }
    }
    for script in guards() {
        let Some(trace) = ledger.path(&script) else { continue };
        match files::fate(host, &script, trace, all)? {
            Fate::Nothing => {}
            Fate::Change(action, change) => planned.steps.push(step(action, change)),
            Fate::Left(why) => planned.by_hand.push(why),
        }
    }
    Ok(())
}

fn value(prior: &Prior) -> Option<String> {
    if let Prior::Value { value } = prior { Some(value.clone()) } else { None }
}

fn whole(path: &Path, bytes: Vec<u8>) -> Change {
    Change::File(WriteFile { path: path.to_owned(), content: Content::new(bytes), mode: 0o644, owner: Owner::ROOT })
}

fn step(action: Action, change: impl Into<Change>) -> Step {
    Step::new(PART, action, change)
}
