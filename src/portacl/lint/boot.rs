//! Findings about the settings around the rules, the boot, and the differences between now and the boot.

use super::super::boot::{LoadedBy, SetBy, next_boot_without_module, number, open_ports};
use super::super::boot_settings::{Assignment, Variable};
use super::super::evaluate::Policy;
use super::super::kernel::parse_kernel;
use super::super::rule::Rule;
use super::places::meaning;
use super::{Lint, when};

/// How to have the module loaded early enough.
const LOAD_EARLY: &str = "sysrc -f /boot/loader.conf mac_portacl_load=YES";
/// How to get back a module of the base system that is not there.
const INSTALL_MODULES: &str = "put the modules of the running kernel back, for example with `freebsd-update install` or \
                               `pkg upgrade`, before the next reboot";
const SYSCTL_CONF_LOCAL: &str = "/etc/sysctl.conf.local";
/// No port above it needs privilege.
const LOW_PORTS: i32 = 1023;

impl<'a> Lint<'a> {
    fn policy_now(&self) -> Option<&'a Policy> {
        self.now.map(|now| &now.policy)
    }

    /// Low ports that any user may bind: the most serious finding.
    pub(super) fn open_ports(&mut self) {
        let (now, boot) = (self.policy_now(), &self.next.state.policy);
        for enforcing in [false, true] {
            let at = |policy: &Policy| open_ports(policy).filter(|_| policy.enforces() == enforcing);
            let (open_now, open_then) = (now.and_then(at), at(boot));
            let Some((low, high)) = open_then.or(open_now) else { continue };
            let when = when(open_now.is_some(), open_then.is_some());
            let what = format!("{when}, ANY user may bind the ports from {low} to {high}");
            if enforcing {
                let mend = format!("sysctl {}=1023, and take out what sets it lower at boot", Variable::PortHigh);
                self.found("port-high-low", self.origin(Variable::PortHigh), what, mend);
                continue;
            }
            let mut mend = match (open_then.is_some(), boot.loaded) {
                (false, _) => format!("{} puts the rules in force", self.enforce_now()),
                (true, false) => LOAD_EARLY.to_owned(),
                (true, true) => format!("take out what sets {} to 0 at boot", self.origin(Variable::Enabled)),
            };
            if open_now.is_some() {
                mend = format!("close them now: sysctl {}=1023; then: {mend}", Variable::ReservedHigh);
            }
            self.found("open-ports", self.origin(Variable::ReservedHigh), what, mend);
        }
    }

    /// How to make the running kernel enforce the rules that the next boot would set.
    fn enforce_now(&self) -> String {
        if self.settings.portacl_rc.is_some() {
            return "service portacl start".to_owned();
        }
        if self.policy_now().is_some_and(|now| now.loaded) {
            return format!("sysctl {}=1", Variable::Enabled);
        }
        let local = |line: &Assignment| line.place.file == SYSCTL_CONF_LOCAL;
        let local = self.settings.sysctl_conf.iter().any(local).then(|| format!("; sysctl -f {SYSCTL_CONF_LOCAL}"));
        format!("kldload -n mac_portacl; sysctl -f /etc/sysctl.conf{}", local.unwrap_or_default())
    }

    /// Switches with wrong values.
    pub(super) fn switches(&mut self) {
        let is_off: fn(&Policy) -> bool = |policy| policy.loaded && !policy.enforces() && open_ports(policy).is_none();
        for (code, variable, is_wrong, effect) in [
            ("not-enforcing", Variable::Enabled, is_off, "mac_portacl enforces nothing"),
            (
                "root-needs-rules",
                Variable::SuserExempt,
                |policy| policy.enforces() && policy.suser_exempt == 0,
                "not even root may bind a low port without a rule",
            ),
        ] {
            let (now, then) = (self.policy_now().is_some_and(is_wrong), is_wrong(&self.next.state.policy));
            if now || then {
                let what = format!("{}, it is 0: {effect}", when(now, then));
                let mend = format!("sysctl {variable}=1, and take out what sets it to 0 at boot");
                self.found(code, self.origin(variable), what, mend);
            }
        }
    }

    /// What loads the module, and whether that is early enough.
    pub(super) fn loading(&mut self) {
        if !self.is_host() {
            return;
        }
        // Lines that need the module: rules and switches of its own, and a lowered reserved range.
        let lowers = |line: &Assignment| {
            line.variable == Variable::ReservedHigh && number(&line.value).is_some_and(|high| high < LOW_PORTS)
        };
        let needs_it = |line: &&Assignment| line.variable.is_portacls() || lowers(line);
        let lines = self.settings.sysctl_conf.iter().filter(needs_it);
        let places = lines.map(|line| line.place.to_string()).collect::<Vec<_>>().join(", ");
        if let Some(line) = self.settings.kld_conf.first().filter(|_| !self.next.kld_conf_read) {
            let what = "the file will not be read at boot";
            self.found("kld-conf-not-read", &line.place.file, what, "move its lines to /etc/sysctl.conf");
        }
        let first_open = self.next.open.first().filter(|_| open_ports(&self.next.state.policy).is_none());
        let names_it = self.settings.loader || self.settings.kld_list.is_some() || self.settings.portacl_rc.is_some();
        match (self.next.loaded_by, first_open) {
            _ if self.settings.missing_in.is_some() && (names_it || !places.is_empty()) => {
                let folders = self.settings.missing_in.as_deref().unwrap_or_default();
                let what = format!("the next boot cannot load mac_portacl: there is no mac_portacl.ko in {folders}");
                self.found("module-missing", "kern.module_path", what, INSTALL_MODULES);
            }
            (None, _) if !places.is_empty() => {
                self.found("module-not-loaded", places, "nothing loads mac_portacl at boot", LOAD_EARLY);
            }
            (Some(LoadedBy::KldList), _) if !places.is_empty() => self.found(
                "kld-list",
                format!("kld_list in rc.conf; {places}"),
                "kld_list loads mac_portacl only after sysctl.conf has been read",
                format!("{LOAD_EARLY}, and take mac_portacl out of kld_list"),
            ),
            (_, Some(open)) => {
                let (low, high) = open.ports;
                let what = format!("during the boot, any user may bind the ports from {low} to {high} for a while");
                self.found("open-during-boot", self.origin(Variable::ReservedHigh), what, LOAD_EARLY);
            }
            _ => {}
        }
    }

    /// Lists that override one another.
    pub(super) fn rules_in_several_places(&mut self) {
        let mut lists = self.all_lists();
        lists.retain(|list| list.by.is_some());
        let rules = |text| parse_kernel(text).ok().map(|rules| meaning(&rules));
        if lists.windows(2).all(|pair| rules(pair[0].text) == rules(pair[1].text)) {
            return;
        }
        let places: Vec<String> = lists.iter().map(|list| list.place()).collect();
        let winner = self.next.set_by.get(&Variable::Rules);
        let winner = lists.iter().find(|list| list.by.as_ref() == winner).map(|list| list.place());
        let wins = match &winner {
            Some(place) => format!("the list in {place} wins"),
            None => "none of them gets into force".to_owned(),
        };
        let mend = if self.settings.portacl_rc.is_some() {
            "keep one of the two: move the rules into portacl_users and portacl_additional_rules and take the lines out of \
             the files, or set portacl_enable=NO"
                .to_owned()
        } else {
            let into = winner.as_deref().unwrap_or("/etc/sysctl.conf");
            format!("put all rules into {into}, and take the other lists out")
        };
        let what = format!("rules are in {} places that override one another: {wins}", places.len());
        self.found("rules-in-several-places", places.join(", "), what, mend);
    }

    /// What portacl-rc leaves out, and how sysctl.conf changes its settings.
    pub(super) fn portacl_rc(&mut self) {
        let Some(rc) = &self.settings.portacl_rc else { return };
        for left in &rc.left_out {
            self.found(
                "portacl-rc-leaves-out",
                format!("{} ({} in rc.conf)", left.what, left.variable),
                format!("portacl-rc leaves it out: {}", left.why),
                if left.what.contains(':') {
                    format!("take it out of {} in rc.conf, or correct it", left.variable)
                } else {
                    format!("sysrc {}-=\"{}\", or correct it", left.variable, left.what)
                },
            );
        }
        for line in &self.settings.sysctl_conf {
            let is_its = |(variable, _): &(Variable, &str)| *variable == line.variable && *variable != Variable::Rules;
            let by_script = rc.assignments().into_iter().find(is_its).and_then(|(_, value)| number(value));
            let wins = self.next.set_by.get(&line.variable) == Some(&SetBy::Line(line.clone()));
            if wins && by_script.is_some() && by_script != number(&line.value) {
                let what = format!("it overwrites what portacl-rc sets, with {}", line.value);
                self.found("portacl-rc-overwritten", line, what, format!("take the line out of {}", line.place));
            }
        }
    }

    /// A boot without the module.
    pub(super) fn fail_open(&mut self) {
        let is_needed = self.next.loaded_by.is_some_and(|by| by != LoadedBy::Kernel);
        if !is_needed || open_ports(&self.next.state.policy).is_some() {
            return;
        }
        if let Some((low, high)) = open_ports(&next_boot_without_module(self.settings).state.policy) {
            self.found(
                "fail-open",
                self.origin(Variable::ReservedHigh),
                format!("a boot without mac_portacl would leave the ports from {low} to {high} open to any user"),
                "gts-bootstrap portacl grant, for a rule that is there already, puts the boot guard in place",
            );
        }
    }

    /// What is in force now but not after the boot, or the other way round.
    pub(super) fn differences(&mut self) {
        let (Some(now), then) = (self.policy_now(), &self.next.state.policy) else { return };
        if now.loaded == then.loaded {
            self.rules_differ(&meaning(&now.rules), &meaning(&then.rules));
        } else if !self.has("module-not-loaded") && !self.has("module-missing") {
            let (what, mend) = if then.loaded {
                ("it is not loaded now, and the next boot loads it", format!("reboot, or: {}", self.enforce_now()))
            } else {
                ("it is loaded now, but nothing loads it at boot", LOAD_EARLY.to_owned())
            };
            self.found("module-differs", "mac_portacl", what, mend);
        }
        for variable in [
            Variable::Enabled,
            Variable::PortHigh,
            Variable::SuserExempt,
            Variable::ReservedHigh,
            Variable::ReservedLow,
        ] {
            let value = |policy: &Policy| variable.of(&mut policy.clone()).copied().unwrap_or_default();
            let (is, will_be) = (value(now), value(then));
            // portacl-rc always opens the whole range, which is its decision.
            let is_its =
                !variable.is_portacls() && self.next.set_by.get(&variable) == Some(&SetBy::PortaclRc) && now.enforces();
            let is_unknown = variable.is_portacls() && !(now.loaded && then.loaded);
            if is != will_be && !is_its && !is_unknown {
                let what = format!("it is {is} now, and {will_be} after the next boot");
                self.found("settings-differ", self.origin(variable), what, self.settle(variable, now, is, will_be));
            }
        }
    }

    /// How to make a setting the same now and after the boot. A fix that would open low ports to every user is not
    /// offered.
    fn settle(&self, variable: Variable, now: &Policy, is: i32, will_be: i32) -> String {
        let then = &self.next.state.policy;
        let opens = |before: &Policy, value: i32| {
            let mut after = before.clone();
            if let Some(setting) = variable.of(&mut after) {
                *setting = value;
            }
            let is_open = |(low, high): (u16, u16), (from, to): (u16, u16)| from <= low && high <= to;
            open_ports(&after).is_some_and(|new| !open_ports(before).is_some_and(|old| is_open(new, old)))
        };
        let mut ways = Vec::new();
        if !opens(now, will_be) {
            ways.push(format!("sysctl {variable}={will_be}"));
        } else if variable == Variable::ReservedHigh && open_ports(then).is_none() && then.enforces() {
            ways.push(format!("{}; then: sysctl {variable}={will_be}", self.enforce_now()));
        }
        let place = match self.next.set_by.get(&variable) {
            Some(SetBy::Line(line)) => Some(line.place.to_string()),
            Some(SetBy::PortaclRc | SetBy::Guard) => None,
            None => Some("/etc/sysctl.conf".to_owned()),
        };
        ways.extend(place.filter(|_| !opens(then, is)).map(|place| format!("{variable}={is} in {place}")));
        if ways.is_empty() { "first fix the other findings, then reboot".to_owned() } else { ways.join("; or ") }
    }

    fn rules_differ(&mut self, now: &[Rule], then: &[Rule]) {
        for (rules, others, what) in [
            (now, then, "it is in force now, and will not be after the next boot"),
            (then, now, "it is not in force now, and will be after the next boot"),
        ] {
            for rule in rules.iter().filter(|rule| !others.contains(rule)) {
                let mend = if rule.port == 0 {
                    format!("take it out of {}", self.origin(Variable::Rules))
                } else {
                    format!("{}; or {}", self.grant(*rule), self.revoke(*rule))
                };
                self.found("rules-differ", rule, what, mend);
            }
        }
    }
}
