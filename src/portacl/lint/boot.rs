//! Findings about the settings around the rules, the boot, and the differences between now and the boot.

use super::super::boot::{LoadedBy, SetBy, next_boot_without_module, number, open_ports};
use super::super::boot_settings::{Assignment, Variable};
use super::super::evaluate::Policy;
use super::super::kernel::parse_kernel;
use super::super::rule::Rule;
use super::places::{PORTACL_RC, joined, meaning};
use super::{Lint, Severity, when};

/// How to have the module loaded early enough.
const SYSCTL_CONF_LOCAL: &str = "/etc/sysctl.conf.local";
const LOAD_EARLY: &str = "sysrc -f /boot/loader.conf mac_portacl_load=YES";
/// No port above it needs privilege.
const LOW_PORTS: i32 = 1023;

fn enforces(policy: &Policy) -> bool {
    policy.loaded && policy.enabled != 0
}

impl Lint<'_> {
    /// Low ports that any user may bind: the most serious finding.
    pub(super) fn open_ports(&mut self) {
        let now = self.now.map(|now| now.policy.clone());
        let boot = self.next.state.policy.clone();
        for enforcing in [false, true] {
            let at = |policy: &Policy| open_ports(policy).filter(|_| enforces(policy) == enforcing);
            let (open_now, open_then) = (now.as_ref().and_then(at), at(&boot));
            let Some((low, high)) = open_then.or(open_now) else { continue };
            let when = when(open_now.is_some(), open_then.is_some());
            let what = format!("{when}, ANY user may bind the ports from {low} to {high}");
            let close = format!("sysctl {}=1023", Variable::ReservedHigh);
            if enforcing {
                self.found(
                    "port-high-low",
                    Severity::Alarm,
                    self.origin(Variable::PortHigh),
                    what,
                    "The reserved range is lowered, and mac_portacl does not look at ports above port_high.",
                    format!("sysctl {}=1023, and take out what sets it lower at boot", Variable::PortHigh),
                );
                continue;
            }
            let load = match (open_then.is_some(), boot.loaded) {
                (false, _) => format!("{} puts the rules in force", self.enforce_now()),
                (true, false) => LOAD_EARLY.to_owned(),
                (true, true) => format!("take out what sets {} to 0 at boot", self.origin(Variable::Enabled)),
            };
            self.found(
                "open-ports",
                Severity::Alarm,
                self.origin(Variable::ReservedHigh),
                what,
                "The reserved range is lowered, and mac_portacl is not loaded to restrict the ports that this opens.",
                if open_now.is_some() { format!("close them now: {close}; then: {load}") } else { load },
            );
        }
    }

    /// How to make the running kernel enforce the rules that the next boot would set.
    fn enforce_now(&self) -> String {
        if self.settings.portacl_rc.is_some() {
            "service portacl start".to_owned()
        } else if self.now.is_some_and(|now| now.policy.loaded) {
            format!("sysctl {}=1", Variable::Enabled)
        } else {
            self.load_now()
        }
    }

    /// How to load the module, with what the files set.
    fn load_now(&self) -> String {
        let mut commands = "kldload -n mac_portacl; sysctl -f /etc/sysctl.conf".to_owned();
        let local = |line: &Assignment| line.place.file == SYSCTL_CONF_LOCAL;
        if self.settings.sysctl_conf.iter().any(local) {
            commands.push_str(&format!("; sysctl -f {SYSCTL_CONF_LOCAL}"));
        }
        commands
    }

    /// Switches with wrong values.
    pub(super) fn switches(&mut self) {
        let then = self.next.state.policy.clone();
        let now = self.now.map(|now| now.policy.clone());
        let is = |test: fn(&Policy) -> bool| (now.as_ref().is_some_and(test), test(&then));
        let (off_now, off_then) = is(|policy| policy.loaded && policy.enabled == 0 && open_ports(policy).is_none());
        if off_now || off_then {
            self.found(
                "not-enforcing",
                Severity::Error,
                self.origin(Variable::Enabled),
                format!("{}, it is 0: mac_portacl enforces nothing", when(off_now, off_then)),
                "No rule has an effect, and a lowered reserved range would be open to everybody.",
                format!("sysctl {}=1, and take out what sets it to 0 at boot", Variable::Enabled),
            );
        }
        let (strict_now, strict_then) = is(|policy| enforces(policy) && policy.suser_exempt == 0);
        if strict_now || strict_then {
            self.found(
                "root-needs-rules",
                Severity::Warning,
                self.origin(Variable::SuserExempt),
                format!("{}, it is 0: not even root may bind a low port without a rule", when(strict_now, strict_then)),
                "That prevents sshd, syslogd and others from starting.",
                format!("sysctl {}=1, and take out what sets it to 0 at boot", Variable::SuserExempt),
            );
        }
    }

    /// The lines of sysctl.conf that need the module: rules and switches of its own, and a lowered reserved range.
    fn lines_that_need_the_module(&self) -> Vec<Assignment> {
        let lowers = |line: &Assignment| {
            line.variable == Variable::ReservedHigh && number(&line.value).is_some_and(|high| high < LOW_PORTS)
        };
        let lines = self.settings.sysctl_conf.iter();
        lines.filter(|line| line.variable.is_portacls() || lowers(line)).cloned().collect()
    }

    /// What loads the module, and whether that is early enough.
    pub(super) fn loading(&mut self) {
        if !self.is_host() {
            return;
        }
        let lines = self.lines_that_need_the_module();
        let places: Vec<String> = lines.iter().map(|line| line.place.to_string()).collect();
        match self.next.loaded_by {
            None if !lines.is_empty() => self.found(
                "module-not-loaded",
                Severity::Error,
                joined(&places),
                "nothing loads mac_portacl at boot",
                "Without it the rules are dropped without a word, and a lowered reserved range opens ports to everybody.",
                LOAD_EARLY,
            ),
            Some(LoadedBy::KldList) if !lines.is_empty() => self.found(
                "kld-list",
                Severity::Error,
                format!("kld_list in rc.conf; {}", joined(&places)),
                "kld_list loads mac_portacl only after sysctl.conf has been read",
                "The reserved range is lowered first, and the rules come with the late pass, after the services.",
                format!("{LOAD_EARLY}, and take mac_portacl out of kld_list"),
            ),
            _ => {}
        }
        if !self.next.kld_conf_read && !self.settings.kld_conf.is_empty() {
            let file = self.settings.kld_conf[0].place.file.clone();
            self.found(
                "kld-conf-not-read",
                Severity::Warning,
                file,
                "the file will not be read at boot",
                "It is for a module that rc(8) itself loads, from FreeBSD 14 on, and not for one that the loader loads.",
                "move its lines to /etc/sysctl.conf",
            );
        }
        let ends_open = open_ports(&self.next.state.policy).is_some();
        let first = self.next.open.first().map(|open| open.ports);
        if let Some((low, high)) =
            first.filter(|_| !ends_open && !self.has("kld-list") && !self.has("module-not-loaded"))
        {
            self.found(
                "open-during-boot",
                Severity::Warning,
                self.origin(Variable::ReservedHigh),
                format!("during the boot, any user may bind the ports from {low} to {high} for a while"),
                "The reserved range is lowered before mac_portacl is in force.",
                LOAD_EARLY,
            );
        }
    }

    /// Lists that override one another.
    pub(super) fn rules_in_several_places(&mut self) {
        let lists: Vec<_> = self.all_lists().into_iter().filter(|list| list.by.is_some()).collect();
        let meanings: Vec<Option<Vec<Rule>>> =
            lists.iter().map(|list| parse_kernel(&list.text).ok().map(|rules| meaning(&rules))).collect();
        if meanings.windows(2).all(|pair| pair[0] == pair[1]) {
            return;
        }
        let places: Vec<String> = lists.iter().map(|list| list.place.clone()).collect();
        let winner = lists.iter().find(|list| list.by.as_ref() == self.next.set_by.get(&Variable::Rules));
        let wins = winner.map_or_else(
            || "none of them gets into force".to_owned(),
            |list| format!("the list in {} wins", list.place),
        );
        let into = winner.map_or("/etc/sysctl.conf".to_owned(), |list| list.place.clone());
        self.found(
            "rules-in-several-places",
            Severity::Error,
            joined(&places),
            format!("rules are in {} places that override one another: {wins}", places.len()),
            "Each of them replaces the whole list; nothing is merged.",
            if self.settings.portacl_rc.is_some() {
                "keep one of the two: move the rules into portacl_users and portacl_additional_rules and take the lines out \
                 of the files, or set portacl_enable=NO"
                    .to_owned()
            } else {
                format!("put all rules into {into}, and take the other lists out")
            },
        );
    }

    /// What portacl-rc leaves out, and how sysctl.conf changes its settings.
    pub(super) fn portacl_rc(&mut self) {
        let Some(rc) = self.settings.portacl_rc.clone() else { return };
        for left in rc.left_out {
            self.found(
                "portacl-rc-leaves-out",
                Severity::Error,
                format!("{} ({} in rc.conf)", left.what, left.variable),
                format!("portacl-rc leaves it out: {}", left.why),
                "It reports this on the console at boot and continues without it.",
                if left.what.contains(':') {
                    format!("take it out of {} in rc.conf, or correct it", left.variable)
                } else {
                    format!("sysrc {}-=\"{}\", or correct it", left.variable, left.what)
                },
            );
        }
        for (index, line) in self.settings.sysctl_conf.clone().into_iter().enumerate() {
            let wins = self.next.set_by.get(&line.variable) == Some(&SetBy::SysctlConf(index));
            let by_script = match line.variable {
                Variable::ReservedHigh | Variable::ReservedLow => Some(0),
                Variable::Enabled => Some(1),
                Variable::SuserExempt => Some(i32::from(rc.suser_exempt)),
                Variable::AutoportExempt => Some(i32::from(rc.autoport_exempt)),
                Variable::PortHigh => number(&rc.port_high),
                Variable::Rules | Variable::Securelevel => None,
            };
            if wins && by_script.is_some() && by_script != number(&line.value) {
                self.found(
                    "portacl-rc-overwritten",
                    Severity::Error,
                    format!("{} ({})", line.variable, line.place),
                    format!("it overwrites what portacl-rc sets, with {}", line.value),
                    format!("sysctl.conf is read once more at the end of each boot, after {PORTACL_RC}."),
                    format!("take the line out of {}", line.place),
                );
            }
        }
    }

    /// A boot without the module.
    pub(super) fn fail_open(&mut self) {
        let is_needed = self.next.loaded_by.is_some_and(|by| by != LoadedBy::Kernel);
        if !is_needed || open_ports(&self.next.state.policy).is_some() {
            return;
        }
        let without = next_boot_without_module(self.settings);
        if let Some((low, high)) = open_ports(&without.state.policy) {
            self.found(
                "fail-open",
                Severity::Warning,
                self.origin(Variable::ReservedHigh),
                format!("a boot without mac_portacl would leave the ports from {low} to {high} open to any user"),
                "The module can be missing after an upgrade; the reserved range is lowered all the same, and no boot guard closes it.",
                "gts-bootstrap portacl grant, for a rule that is there already, puts the boot guard in place",
            );
        }
    }

    /// What is in force now but not after the boot, or the other way round.
    pub(super) fn differences(&mut self) {
        let Some(now) = self.now.cloned() else { return };
        let then = self.next.state.clone();
        if now.policy.loaded != then.policy.loaded {
            if !self.has("module-not-loaded") {
                let (what, mend) = if then.policy.loaded {
                    ("it is not loaded now, and the next boot loads it", format!("reboot, or: {}", self.enforce_now()))
                } else {
                    ("it is loaded now, but nothing loads it at boot", LOAD_EARLY.to_owned())
                };
                let why = "What is in force now is not what will be in force after the next boot.";
                self.found("module-differs", Severity::Warning, "mac_portacl", what, why, mend);
            }
        } else {
            self.rules_differ(&meaning(&now.policy.rules), &meaning(&then.policy.rules));
        }
        let both = now.policy.loaded && then.policy.loaded;
        for (variable, get) in [
            (Variable::Enabled, (|policy| policy.enabled) as fn(&Policy) -> i32),
            (Variable::PortHigh, |policy| policy.port_high),
            (Variable::SuserExempt, |policy| policy.suser_exempt),
            (Variable::ReservedHigh, |policy| policy.reservedhigh),
            (Variable::ReservedLow, |policy| policy.reservedlow),
        ] {
            let (is, will_be) = (get(&now.policy), get(&then.policy));
            // portacl-rc always opens the whole range, which is its decision.
            let is_its = matches!(variable, Variable::ReservedHigh | Variable::ReservedLow)
                && self.next.set_by.get(&variable) == Some(&SetBy::PortaclRc)
                && enforces(&now.policy);
            if is == will_be || is_its || (variable.is_portacls() && !both) {
                continue;
            }
            let mend = self.settle(variable, &now.policy, is, will_be);
            self.found(
                "settings-differ",
                Severity::Warning,
                self.origin(variable),
                format!("it is {is} now, and {will_be} after the next boot"),
                "What works now may not work then, and the other way round.",
                mend,
            );
        }
    }

    /// How to make a setting the same now and after the boot. A fix that would open low ports to every user is not
    /// offered.
    fn settle(&self, variable: Variable, now: &Policy, is: i32, will_be: i32) -> String {
        let then = &self.next.state.policy;
        let opens = |before: &Policy, value: i32| {
            let mut policy = before.clone();
            match variable {
                Variable::Enabled => policy.enabled = value,
                Variable::PortHigh => policy.port_high = value,
                Variable::ReservedHigh => policy.reservedhigh = value,
                Variable::ReservedLow => policy.reservedlow = value,
                _ => {}
            }
            let is_open = |(low, high): (u16, u16), (from, to): (u16, u16)| from <= low && high <= to;
            open_ports(&policy).is_some_and(|new| !open_ports(before).is_some_and(|old| is_open(new, old)))
        };
        let mut ways = Vec::new();
        if !opens(now, will_be) {
            ways.push(format!("sysctl {variable}={will_be}"));
        } else if variable == Variable::ReservedHigh && open_ports(then).is_none() && enforces(then) {
            ways.push(format!("{}; then: sysctl {variable}={will_be}", self.enforce_now()));
        }
        let place = match self.next.set_by.get(&variable) {
            Some(SetBy::SysctlConf(index)) => self.settings.sysctl_conf.get(*index),
            Some(SetBy::KldConf(index)) => self.settings.kld_conf.get(*index),
            Some(SetBy::Tunable(index)) => self.settings.tunables.get(*index),
            Some(SetBy::PortaclRc | SetBy::Guard) | None => None,
        };
        let is_free = !self.next.set_by.contains_key(&variable);
        let place = place.map(|line| line.place.to_string()).or_else(|| is_free.then(|| "/etc/sysctl.conf".to_owned()));
        if let Some(place) = place.filter(|_| !opens(then, is)) {
            ways.push(format!("{variable}={is} in {place}"));
        }
        if ways.is_empty() {
            return "first fix the other findings, then reboot".to_owned();
        }
        ways.join("; or ")
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
                let why = "The running kernel and the files do not say the same.";
                self.found("rules-differ", Severity::Warning, rule.to_string(), what, why, mend);
            }
        }
    }
}
