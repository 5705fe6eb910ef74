//! The way back of port access: the reserved range up first, then the rules, the files of the boot, the module, the guard.
//!
//! A file that nobody else has edited since becomes byte for byte what it was. From others the editors take out what is ours. What
//! others have come to need since our first change stays: their rules, the module, the range, the guard.

use std::path::{Path, PathBuf};

use super::ledger::Trace;
use super::{Record, UninstallPlan, back};
use crate::change::{
    AfterPlan, Change, Left, Prior, SetRcVariable, SetSysctl, Step, Thing, UnloadModule, WriteFile, store,
};
use crate::host::{HostError, Jail, Observe, Owner};
use crate::parts::port_access;
use crate::parts::port_settings::{
    self, LOADER_CONF, LOADER_VARIABLE, MODULE, RESERVED_HIGH, RULES, SYSCTL_CONF, SYSCTL_CONF_LOCAL, SYSCTL_KLD,
};
use crate::parts::rule_edit::{self, RESERVED_BY_DEFAULT, RuleEdit};
use crate::parts::{Refusal, portacl_boot, portacl_rc, portacl_rc_list, rc_script};
use crate::portacl::{self, Rule, SetBy, Subject, Variable};
use crate::sysconf::{loader_conf, sysctl_conf};

/// The part: its steps rest on one another.
pub(super) const PART: &str = port_settings::PART;
/// Files that others edit, too.
pub(super) const SHARED: [&str; 4] = [LOADER_CONF, SYSCTL_CONF, SYSCTL_CONF_LOCAL, SYSCTL_KLD];
/// The prefix of portacl-rc's variables.
pub(super) const PORTACL_RC: &str = "portacl_";

/// The scripts of the boot guard.
pub(super) fn guards() -> [PathBuf; 2] {
    rc_script::GUARDS.map(rc_script::path)
}

impl Record<'_> {
    /// Plans the way back. `service` is the uid that GoToSocial runs as.
    ///
    /// # Errors
    /// The host cannot be read.
    pub(super) fn port_access(self, service: u32) -> Result<UninstallPlan, Refusal> {
        let Self { host, ledger, system, .. } = self;
        let mut planned = UninstallPlan::default();
        let in_jail = system.jail != Jail::No;
        // In a jail the rules belong to its host, and no receipt here records them.
        if !self.touched_ports() && (!in_jail || ledger.served.is_none()) {
            return Ok(planned);
        }
        let former = self.former_boot();
        let boot = boot_rules(&AfterPlan::new(host, &former))?;
        let kernel = match ledger.of(&Thing::Sysctl(RULES.to_owned())) {
            Some(trace) => effective(trace.origin.as_value().unwrap_or_default()),
            None if in_jail => Vec::new(),
            // Rules that a boot has read from the files since were not there.
            None => {
                let now = boot_rules(host)?;
                kernel_rules(host)?.into_iter().filter(|rule| boot.contains(rule) || !now.contains(rule)).collect()
            }
        };
        let origin = [kernel, boot].concat();
        let there = [kernel_rules(host)?, boot_rules(host)?].concat();
        let mut ours = self.brought_in(service);
        ours.retain(|rule| there.contains(rule) && !origin.contains(rule));
        let access = if ours.is_empty() {
            Ok(Default::default())
        } else {
            port_access::plan(host, system, &RuleEdit::Revoke(ours))
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
        planned.plan.reboot = access.reboot;
        let after = AfterPlan::new(host, &access.steps);
        let left = [kernel_rules(&after)?, boot_rules(&after)?].concat();
        let mut others: Vec<String> = Vec::new();
        for rule in left.iter().filter(|rule| !origin.contains(rule)).map(Rule::to_string) {
            if !others.contains(&rule) {
                others.push(rule);
            }
        }
        if !others.is_empty() {
            planned.needed.push(format!(
                "rules that have come in since: {}. With them stay the module {MODULE}, its line in {LOADER_CONF}, the lowered range \
                 as far as they need it, and the boot guard. `gts-bootstrap portacl revoke` takes a rule out; then run this again",
                others.join(", ")
            ));
            planned.plan.steps = access.steps;
            return Ok(planned);
        }
        // A rule that somebody has revoked since does not come back with the file that had it.
        let may_restore = origin.iter().all(|rule| left.contains(rule));
        let reserved = self.range(may_restore, &access.steps, &mut planned)?;
        for step in access.steps {
            // Those that nobody else has edited are decided below.
            let is_decided = match &step.change {
                Change::Sysctl(set) => set.name != RESERVED_HIGH,
                Change::File(WriteFile { path, .. }) => !may_restore || self.exact(path)?.is_none(),
                Change::RcVariable(set) => !may_restore || self.exact_variable(&set.name)?.is_none(),
                _ => true,
            };
            planned.plan.steps.extend(is_decided.then_some(step));
        }
        if may_restore {
            self.boot_files(&mut planned)?;
        }
        let loader = self.loader()?;
        if let Some(why) = self.opens(&former, &planned, &loader)? {
            planned.by_hand.push(why);
            return Ok(planned);
        }
        self.module(reserved, &loader, &mut planned)?;
        planned.add(loader);
        self.guard(&mut planned)?;
        Ok(planned)
    }

    fn touched_ports(self) -> bool {
        let ledger = self.ledger;
        let path = |path: &Path| ledger.path(path).is_some();
        SHARED.iter().any(|file| path(Path::new(file)))
            || guards().iter().any(|script| path(script))
            || [RULES, RESERVED_HIGH].iter().any(|name| ledger.of(&Thing::Sysctl((*name).to_owned())).is_some())
            || ledger.of(&Thing::Module(MODULE.to_owned())).is_some()
            || ledger.rc_variables().any(|(name, _)| name.starts_with(PORTACL_RC) || name == rc_script::GUARD_ENABLE)
    }

    /// The steps that would bring back everything that the boot reads, whoever has edited it since: they show the former state. If the
    /// bytes of a file are lost, all of the present file counts as theirs.
    fn former_boot(self) -> Vec<Step> {
        let file = |file| {
            let path = Path::new(file);
            Some(back(PART, self.former_file(path, self.ledger.path(path)?)?))
        };
        let variables = self.ledger.rc_variables().filter(|(name, _)| name.starts_with(PORTACL_RC));
        let value = |trace: &Trace| trace.origin.as_value().map(str::to_owned);
        let variables =
            variables.map(|(name, trace)| back(PART, SetRcVariable { name: name.to_owned(), value: value(trace) }));
        SHARED.into_iter().filter_map(file).chain(variables).collect()
    }

    /// Rules that our runs have brought in: those of the service for whatever reason, those of others only if nobody asked for them
    /// by name with `portacl`.
    fn brought_in(self, service: u32) -> Vec<Rule> {
        let mut rules = port_access::rules(Owner { uid: service, gid: service }, &[80, 443]);
        let trace = self.ledger.of(&Thing::Sysctl(RULES.to_owned()));
        for event in trace.into_iter().flat_map(|trace| &trace.events) {
            let Left::Value(new) = &event.left else { continue };
            let old = effective(event.prior.as_value().unwrap_or_default());
            for rule in effective(new) {
                let ours = !event.command.starts_with("portacl") || rule.subject == Subject::Uid(service);
                if ours && !old.contains(&rule) && !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
        rules
    }

    /// Plans the reserved range of the running kernel, and returns what it will be: if the former range `may_restore`, that.
    fn range(self, may_restore: bool, steps: &[Step], planned: &mut UninstallPlan) -> Result<i64, Refusal> {
        let now = port_settings::reserved_high(self.host)?;
        let edited = steps.iter().find_map(|step| match &step.change {
            Change::Sysctl(SetSysctl { name, value }) if name == RESERVED_HIGH => value.parse().ok(),
            _ => None,
        });
        let unedited = |trace: &&Trace| trace.unbroken && trace.left == Left::Value(now.to_string());
        let former = self.former_range().filter(|(trace, _)| may_restore && unedited(trace)).map(|(_, range)| range);
        let target = former.or(edited).unwrap_or(now);
        if planned.plan.reboot.is_empty() {
            let reboot = &mut planned.plan.reboot;
            planned.plan.steps.extend(port_settings::reserved_step(self.host, self.system, |_| target, reboot)?);
        }
        Ok(target)
    }

    /// The reserved range of the running kernel before us.
    fn former_range(&self) -> Option<(&Trace, i64)> {
        let trace = self.ledger.of(&Thing::Sysctl(RESERVED_HIGH.to_owned()))?;
        Some((trace, trace.origin.as_value()?.trim().parse().ok()?))
    }

    /// The change that makes a file what it was before us, if nobody else has edited it since our first change.
    fn exact(self, path: &Path) -> Result<Option<Change>, HostError> {
        let Some(trace) = self.ledger.path(path).filter(|trace| trace.unbroken) else { return Ok(None) };
        Ok(if self.is_unedited(path, trace)? { self.former_file(path, trace) } else { None })
    }

    /// Puts a file back if nobody else has edited it; returns whether that is so.
    fn put_back(self, path: &Path, planned: &mut UninstallPlan) -> Result<bool, HostError> {
        let Some(change) = self.exact(path)? else { return Ok(false) };
        let now = self.host.read(path)?;
        if !matches!(&change, Change::File(file) if now.as_deref() == Some(file.content.bytes())) {
            planned.step(back(PART, change));
        }
        Ok(true)
    }

    /// The record of a variable of portacl-rc's, if nobody else has changed it since.
    fn exact_variable(&self, name: &str) -> Result<Option<&Trace>, HostError> {
        let Some(trace) = self.ledger.of(&Thing::RcVariable(name.to_owned())) else { return Ok(None) };
        let left = self.host.rc_variable(name)?.map_or(Left::Absent, Left::Value);
        Ok(Some(trace).filter(|trace| trace.unbroken && trace.left == left))
    }

    /// Plans what sysctl(8) and portacl-rc read at boot.
    fn boot_files(self, planned: &mut UninstallPlan) -> Result<(), Refusal> {
        for (name, _) in self.ledger.rc_variables().filter(|(name, _)| name.starts_with(PORTACL_RC)) {
            if let Some(trace) = self.exact_variable(name)? {
                planned.plan.steps.extend(self.former(PART, name, trace)?);
            }
        }
        for file in [SYSCTL_CONF, SYSCTL_CONF_LOCAL, SYSCTL_KLD] {
            self.put_back(Path::new(file), planned)?;
        }
        Ok(())
    }

    /// Plans loader.conf, which loads the module.
    fn loader(self) -> Result<UninstallPlan, Refusal> {
        let mut planned = UninstallPlan::default();
        let path = Path::new(LOADER_CONF);
        let Some(trace) = self.ledger.path(path) else { return Ok(planned) };
        if self.put_back(path, &mut planned)? {
            return Ok(planned);
        }
        let Some(now) = self.host.read(path)? else { return Ok(planned) };
        let value = |text: &[u8]| loader_conf::FILE.get(text, LOADER_VARIABLE);
        let before = match &trace.origin {
            Prior::File { sha256, .. } => store::recall(self.host, sha256).ok().and_then(|text| value(&text)),
            _ => None,
        };
        let is_yes = |value: &Option<String>| value.as_deref().is_some_and(loader_conf::loads);
        if is_yes(&before) || !is_yes(&value(&now)) {
            return Ok(planned);
        }
        let new = match &before {
            Some(before) => loader_conf::FILE.set(&now, LOADER_VARIABLE, before).map_err(port_settings::edit(path))?,
            None => loader_conf::FILE.unset(&now, LOADER_VARIABLE, "YES"),
        };
        if value(&new) == before {
            planned.plan.steps.extend(port_settings::edited(self.host, path, Some(&now), &new)?);
        } else {
            planned.by_hand.push(format!(
                "{LOADER_CONF} was edited: remove the line that sets {LOADER_VARIABLE}, if nothing else needs the module"
            ));
        }
        Ok(planned)
    }

    /// Why module, loader line and guard have to stay: without them, a file that somebody has edited would open low ports to
    /// everybody at a boot. Ports that were open before us are not ours to close.
    fn opens(
        self,
        former: &[Step],
        planned: &UninstallPlan,
        loader: &UninstallPlan,
    ) -> Result<Option<String>, Refusal> {
        if self.system.jail != Jail::No {
            return Ok(None);
        }
        let settings = |steps: &[Step]| -> Result<_, HostError> {
            let mut settings = portacl_boot::settings(&AfterPlan::new(self.host, steps))?;
            settings.guard = portacl::Guard::default();
            Ok(settings)
        };
        let mut was = settings(former)?;
        // If the range was up in the kernel before us, a line in a file that we never touched has come in since.
        if self.former_range().is_some_and(|(_, was)| was >= RESERVED_BY_DEFAULT) {
            let touched = |line: &portacl::Assignment| self.ledger.path(Path::new(&line.place.file)).is_some();
            was.sysctl_conf.retain(|line| line.variable != Variable::ReservedHigh || touched(line));
        }
        let was_open = !portacl::next_boot(&was).open.is_empty();
        let settings = settings(&[&*planned.plan.steps, &loader.plan.steps].concat())?;
        // A line that the administrator is to take out by hand counts as gone.
        let next = match loader.by_hand[..] {
            [] => portacl::next_boot(&settings),
            _ => portacl::next_boot_without_module(&settings),
        };
        let Some(open) = next.open.last().filter(|_| !was_open) else { return Ok(None) };
        let place = match next.set_by.get(&Variable::ReservedHigh) {
            Some(SetBy::Line(line)) => format!(" ({}: {}={})", line.place, line.variable, line.value),
            _ => String::new(),
        };
        let (low, high) = open.ports;
        Ok(Some(format!(
            "the module {MODULE}, its line in {LOADER_CONF} and the boot guard stay: without them any user could bind the ports from \
             {low} to {high} after the next boot, as a later edit lowers the reserved \
             range{place}. Remove that line, then run this again"
        )))
    }

    /// Plans the module, if we have loaded it and the next boot would not.
    fn module(self, reserved: i64, loader: &UninstallPlan, planned: &mut UninstallPlan) -> Result<(), Refusal> {
        let Self { host, ledger, system, .. } = self;
        // At a raised securelevel the boot loaded it, because of our line.
        let by_us = match ledger.of(&Thing::Module(MODULE.to_owned())) {
            Some(trace) => trace.origin == Prior::Absent,
            None => ledger.path(Path::new(LOADER_CONF)).is_some(),
        };
        if !by_us || system.jail != Jail::No || !host.module_loaded(MODULE)? {
            return Ok(());
        }
        let steps = [&*planned.plan.steps, &loader.plan.steps].concat();
        if portacl::next_boot(&portacl_boot::settings(&AfterPlan::new(host, &steps))?).loaded_by.is_some() {
            return Ok(());
        }
        if system.securelevel > 0 {
            planned.plan.reboot.push(format!(
                "the module {MODULE} cannot be taken out at securelevel {}; the next boot comes without it",
                system.securelevel
            ));
            return Ok(());
        }
        if reserved < RESERVED_BY_DEFAULT {
            planned.plan.warnings.push(format!(
                "{RESERVED_HIGH} reverts to {reserved}, as it was before: without {MODULE} every user may bind the ports above it"
            ));
        }
        planned.plan.steps.push(back(PART, UnloadModule { name: MODULE.to_owned(), reserved }));
        Ok(())
    }

    /// Plans the boot guard, the last to go.
    fn guard(self, planned: &mut UninstallPlan) -> Result<(), Refusal> {
        if let Some(trace) = self.ledger.of(&Thing::RcVariable(rc_script::GUARD_ENABLE.to_owned())) {
            planned.plan.steps.extend(self.former(PART, rc_script::GUARD_ENABLE, trace)?);
        }
        for script in guards() {
            if let Some(trace) = self.ledger.path(&script) {
                self.take_back(PART, &script, trace, planned)?;
            }
        }
        Ok(())
    }
}

fn effective(list: &str) -> Vec<Rule> {
    rule_edit::effective(list).into_iter().filter(|rule| rule.port > 0).collect()
}

fn kernel_rules(host: &dyn Observe) -> Result<Vec<Rule>, HostError> {
    Ok(effective(&host.sysctl(RULES)?.unwrap_or_default()))
}

/// The rules that files and rc.conf have for the boot, whether it takes them or not.
fn boot_rules(host: &dyn Observe) -> Result<Vec<Rule>, HostError> {
    let mut rules = Vec::new();
    for file in [SYSCTL_CONF, SYSCTL_CONF_LOCAL, SYSCTL_KLD] {
        let text = host.read(Path::new(file))?.unwrap_or_default();
        rules.extend(effective(&sysctl_conf::FILE.get(&text, RULES).unwrap_or_default()));
    }
    if portacl_rc::enabled(host)? {
        rules.extend(effective(&portacl_rc_list::list(host)?));
    }
    Ok(rules)
}
