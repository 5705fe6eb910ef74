//! Predicts what the next boot will set: plays loader(8) and rc(8) on the settings that matter.
//!
//! The order is that of FreeBSD 13 to 15: the loader's module and tunables; rc.d/sysctl, which ignores names that the
//! kernel does not know (yet); rc.d/kld; portacl-rc; the boot guard; rc.d/sysctl_lastload, which applies the whole of
//! sysctl.conf again; the second pass of the guard. See `docs/facts.md`, `docs/rc.d.md` and `docs/portacl-rc.md`.
//!
//! rcorder(8) does not determine whether portacl-rc or the guard comes first. It makes no difference: where portacl-rc
//! works, mac_portacl enforces, and portacl-rc sets the reserved range itself.

use std::collections::BTreeMap;
use std::fmt;

use super::boot_settings::{Assignment, BootScope, BootSettings, Guard, Variable};
use super::evaluate::Policy;
use super::kernel::{clamped, parse_kernel, signed};
use super::state::State;

/// The first release whose rc.subr(8) applies `/etc/sysctl.kld.d/MODULE.conf` to a module that it loads.
const KLD_CONF_SINCE: u32 = 1_400_000;

/// A moment of the boot at which a variable is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// loader(8): modules and tunables.
    Loader,
    /// rc.d/sysctl, the first pass over sysctl.conf.
    Sysctl,
    /// rc.d/kld, the modules of `kld_list`.
    KldList,
    /// The script of security/portacl-rc.
    PortaclRc,
    /// The boot guard.
    Guard,
    /// rc.d/sysctl_lastload, the second pass over sysctl.conf.
    SysctlLastload,
    /// The boot guard again.
    GuardLate,
}

/// What loads the module into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadedBy {
    /// It is compiled in.
    Kernel,
    /// The host of the jail.
    JailHost,
    /// loader(8).
    Loader,
    /// rc.d/kld.
    KldList,
    /// rc.subr(8), because portacl-rc requires it.
    PortaclRc,
}

/// What gave a variable the value that it has after the boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetBy {
    /// A line of the loader's files or of those of sysctl(8).
    Line(Assignment),
    /// portacl-rc.
    PortaclRc,
    /// The boot guard.
    Guard,
}

impl fmt::Display for SetBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => line.place.fmt(f),
            Self::PortaclRc => f.write_str("portacl-rc's variables in rc.conf"),
            Self::Guard => f.write_str("the boot guard"),
        }
    }
}

/// Low ports that any user could bind from a moment of the boot on, at least until the next moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// The moment from which on they are open.
    pub after: Moment,
    /// The lowest and the highest of the ports.
    pub ports: (u16, u16),
}

/// The result of the next boot, and what happens on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NextBoot {
    /// What is in force at the end.
    pub state: State,
    /// What loads the module into the kernel; `None` if nothing does.
    pub loaded_by: Option<LoadedBy>,
    /// What has set each variable at the end. A variable that is not listed has the kernel's default.
    pub set_by: BTreeMap<Variable, SetBy>,
    /// Moments after which low ports are open to any user, including the last one.
    pub open: Vec<Open>,
    /// Whether `/etc/sysctl.kld.d/mac_portacl.conf` is applied.
    pub kld_conf_read: bool,
    /// `kern.securelevel`, if sysctl.conf raises it.
    pub securelevel: i32,
}

/// The lowest and the highest port below 1024 that any user may bind, without a rule and without privilege.
pub fn open_ports(policy: &Policy) -> Option<(u16, u16)> {
    let enforced_up_to = if policy.enforces() { policy.port_high } else { 0 };
    let is_open = |port: &u16| i32::from(*port) > enforced_up_to && !policy.reserves(*port);
    Some(((1..1024).find(is_open)?, (1..1024).rev().find(is_open)?))
}

/// Predicts what the next boot will set. A module whose file is there counts as one that can be loaded.
pub fn next_boot(settings: &BootSettings) -> NextBoot {
    play(settings, settings.missing_in.is_none())
}

/// Predicts what the next boot would set if the module were missing: not compiled in, not found, or not matching the
/// kernel.
pub fn next_boot_without_module(settings: &BootSettings) -> NextBoot {
    play(settings, false)
}

fn play(settings: &BootSettings, available: bool) -> NextBoot {
    let mut boot = Boot::begin(settings, available);
    if matches!(settings.scope, BootScope::SharedJail { .. }) {
        return boot.end;
    }
    if settings.scope == BootScope::Host {
        if settings.compiled_in {
            boot.load(LoadedBy::Kernel);
        }
        if settings.loader {
            boot.load(LoadedBy::Loader);
        }
    }
    boot.mark(Moment::Loader);
    boot.apply(&settings.sysctl_conf);
    boot.mark(Moment::Sysctl);
    if settings.scope == BootScope::Host {
        if let Some(word) = &settings.kld_list {
            boot.load_by_rc(LoadedBy::KldList, word == "mac_portacl");
            boot.mark(Moment::KldList);
        }
        if let Some(portacl_rc) = &settings.portacl_rc {
            boot.load_by_rc(LoadedBy::PortaclRc, true);
            if boot.end.state.policy.loaded {
                // A failing step ends the script's chain of &&.
                let mut steps = portacl_rc.assignments().into_iter();
                steps.all(|(variable, value)| boot.set(variable, value, SetBy::PortaclRc).is_some());
            }
            boot.mark(Moment::PortaclRc);
        }
    }
    if settings.guard.early {
        boot.guard(&settings.guard);
        boot.mark(Moment::Guard);
    }
    boot.apply(&settings.sysctl_conf);
    boot.mark(Moment::SysctlLastload);
    if settings.guard.late {
        boot.guard(&settings.guard);
        boot.mark(Moment::GuardLate);
    }
    boot.end
}

/// The state of the boot so far.
struct Boot<'a> {
    settings: &'a BootSettings,
    available: bool,
    end: NextBoot,
}

impl<'a> Boot<'a> {
    fn begin(settings: &'a BootSettings, available: bool) -> Self {
        let state = match &settings.scope {
            BootScope::SharedJail { now } => now.clone(),
            // The rules are the host's, the network stack is new.
            BootScope::VnetJail { now } if available => {
                let Policy { reservedlow, reservedhigh, .. } = Policy::default();
                let policy = Policy { reservedlow, reservedhigh, ..now.policy.clone() };
                State { policy, list: now.list.clone() }
            }
            BootScope::Host | BootScope::VnetJail { .. } => State::default(),
        };
        let loaded_by = state.policy.loaded.then_some(LoadedBy::JailHost);
        Boot { settings, available, end: NextBoot { state, loaded_by, securelevel: -1, ..NextBoot::default() } }
    }

    fn mark(&mut self, after: Moment) {
        self.end.open.extend(open_ports(&self.end.state.policy).map(|ports| Open { after, ports }));
    }

    /// The module attaches and takes its tunables. Returns whether it is new in the kernel.
    fn load(&mut self, by: LoadedBy) -> bool {
        if self.end.state.policy.loaded || !self.available {
            return false;
        }
        self.end.state.policy.loaded = true;
        self.end.loaded_by = Some(by);
        for variable in Variable::all().filter(|variable| variable.is_tunable()) {
            // The loader passes one text per name; only now is it checked to be a number.
            let last = self.settings.tunables.iter().rfind(|tunable| tunable.variable == variable);
            self.apply(last);
        }
        true
    }

    /// `load_kld` of rc.subr(8).
    fn load_by_rc(&mut self, by: LoadedBy, reads_kld_conf: bool) {
        if self.end.securelevel > 0 {
            return;
        }
        if self.load(by) && reads_kld_conf && self.settings.osreldate >= KLD_CONF_SINCE {
            self.end.kld_conf_read = true;
            self.apply(&self.settings.kld_conf);
        }
    }

    /// `sysctl -f`: a line that fails does not stop the next.
    fn apply<'l>(&mut self, lines: impl IntoIterator<Item = &'l Assignment>) {
        for line in lines {
            let _ = self.set(line.variable, &line.value, SetBy::Line(line.clone()));
        }
    }

    /// `None` if the kernel refuses it: then it stays as it was.
    fn set(&mut self, variable: Variable, value: &str, by: SetBy) -> Option<()> {
        let policy = &mut self.end.state.policy;
        let is_out_of_reach = !policy.loaded || self.settings.scope != BootScope::Host;
        if variable.is_portacls() && is_out_of_reach {
            return None;
        }
        if variable == Variable::Rules {
            policy.rules = parse_kernel(value).ok()?;
            self.end.state.list = value.to_owned();
        } else {
            let number = number(value)?;
            match variable.of(policy) {
                // `kern.securelevel` above 0 locks the reserved range, and is never lowered.
                Some(_) if self.end.securelevel > 0 && !variable.is_portacls() => return None,
                Some(setting) => *setting = number,
                None if number < self.end.securelevel => return None,
                None => self.end.securelevel = number,
            }
        }
        self.end.set_by.insert(variable, by);
        Some(())
    }

    /// What `rc.d/gts_portacl_guard` does. A bound that is not a number fails both of its comparisons, so the guard
    /// finds nothing to do.
    fn guard(&mut self, guard: &Guard) {
        let Some(bound) = guard.reservedhigh else { return };
        let policy = &self.end.state.policy;
        let enforcing = policy.loaded && policy.enabled == 1 && policy.port_high >= bound && policy.port_high >= 0;
        // The guard counts a value that is not a plain number as -1.
        let reserved = if policy.reservedhigh < 0 { -1 } else { policy.reservedhigh };
        if !enforcing && reserved < bound {
            let _ = self.set(Variable::ReservedHigh, &bound.to_string(), SetBy::Guard);
        }
    }
}

/// A number as sysctl(8) and the tunables read it: strtol(3) with base 0, truncated to an int.
pub fn number(text: &str) -> Option<i32> {
    let (sign, digits) = signed(text);
    let (digits, base) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    // The C program truncates to 32 bits, too.
    clamped(sign, digits, base).map(|number| number as i32)
}

#[cfg(test)]
mod tests {
    use super::super::boot_settings::Place;
    use super::*;

    fn line(variable: Variable, value: &str) -> Assignment {
        let place = Place { file: "/etc/sysctl.conf".to_owned(), line: 1 };
        Assignment { variable, value: value.to_owned(), place, overlong: None }
    }

    fn lowered() -> Vec<Assignment> {
        vec![line(Variable::Rules, "uid:209:tcp:80"), line(Variable::ReservedHigh, "79")]
    }

    fn moments(boot: &NextBoot) -> Vec<Moment> {
        boot.open.iter().map(|open| open.after).collect()
    }

    #[test]
    fn kld_list_leaves_ports_open_until_it_has_its_turn() {
        let late = BootSettings {
            kld_list: Some("mac_portacl".to_owned()),
            sysctl_conf: lowered(),
            osreldate: 1_401_000,
            ..BootSettings::default()
        };
        let boot = next_boot(&late);
        assert_eq!(boot.open, [Open { after: Moment::Sysctl, ports: (80, 1023) }]);
        assert_eq!(boot.loaded_by, Some(LoadedBy::KldList));
        assert_eq!(boot.set_by[&Variable::Rules], SetBy::Line(line(Variable::Rules, "uid:209:tcp:80")));
        let early = BootSettings { loader: true, ..late };
        assert_eq!(moments(&next_boot(&early)), []);
    }

    #[test]
    fn without_the_module_the_guards_close_what_each_pass_opens() {
        let mut settings = BootSettings { loader: true, sysctl_conf: lowered(), ..BootSettings::default() };
        let open = next_boot_without_module(&settings);
        assert_eq!((open.loaded_by, open.state.policy.loaded), (None, false));
        assert_eq!(moments(&open), [Moment::Sysctl, Moment::SysctlLastload]);
        settings.guard = Guard { early: true, late: false, reservedhigh: Some(1023) };
        let half = next_boot_without_module(&settings);
        assert_eq!((moments(&half).last(), half.state.policy.reservedhigh), (Some(&Moment::SysctlLastload), 79));
        settings.guard.late = true;
        let guarded = next_boot_without_module(&settings);
        assert_eq!((guarded.state.policy.reservedhigh, open_ports(&guarded.state.policy)), (1023, None));
        assert_eq!(guarded.set_by[&Variable::ReservedHigh], SetBy::Guard);
    }

    #[test]
    fn what_the_kernel_refuses_leaves_what_was_there() {
        let lines = ["uid:209:tcp:80", "uid:www:tcp:80"].map(|list| line(Variable::Rules, list));
        let settings = BootSettings { loader: true, sysctl_conf: lines.to_vec(), ..BootSettings::default() };
        let boot = next_boot(&settings);
        assert_eq!((boot.state.list.as_str(), boot.state.policy.rules.len()), ("uid:209:tcp:80", 1));
        assert_eq!(boot.set_by[&Variable::Rules], SetBy::Line(line(Variable::Rules, "uid:209:tcp:80")));
    }

    #[test]
    fn ports_are_open_outside_of_both_gates() {
        let policy = |loaded, enabled, port_high, reservedlow, reservedhigh| Policy {
            loaded,
            enabled,
            port_high,
            reservedlow,
            reservedhigh,
            ..Policy::default()
        };
        assert_eq!(open_ports(&Policy::default()), None);
        assert_eq!(open_ports(&policy(false, 1, 1023, 0, 79)), Some((80, 1023)));
        assert_eq!(open_ports(&policy(false, 1, 1023, 100, 1023)), Some((1, 99)));
        assert_eq!(open_ports(&policy(true, 1, 1023, 0, 0)), None);
        assert_eq!(open_ports(&policy(true, 0, 1023, 0, 0)), Some((1, 1023)));
        assert_eq!(open_ports(&policy(true, 1, 100, 0, 79)), Some((101, 1023)));
        assert_eq!(open_ports(&policy(true, 1, 100, 0, 1023)), None);
        assert_eq!(open_ports(&policy(false, 1, 1023, 0, -1)), Some((1, 1023)));
    }

    #[test]
    fn in_a_jail_only_its_own_range_is_its_own() {
        let policy = Policy { loaded: true, reservedhigh: 20, ..Policy::default() };
        let now = State { list: String::new(), policy };
        let scope = BootScope::SharedJail { now: now.clone() };
        let mut settings = BootSettings { scope, sysctl_conf: lowered(), ..BootSettings::default() };
        assert_eq!(next_boot(&settings).state, now);
        settings.scope = BootScope::VnetJail { now };
        let boot = next_boot(&settings);
        assert_eq!((boot.state.list.as_str(), boot.state.policy.reservedhigh), ("", 79));
        assert_eq!(boot.loaded_by, Some(LoadedBy::JailHost));
    }

    #[test]
    fn numbers_are_read_as_in_c() {
        for (text, value) in [
            ("79", Some(79)),
            (" -1", Some(-1)),
            ("+7", Some(7)),
            ("0x4F", Some(79)),
            ("0117", Some(79)),
            ("0", Some(0)),
            ("4294967296", Some(0)),
            ("99999999999999999999", Some(-1)),
            ("-99999999999999999999", Some(0)),
            ("08", None),
            ("1 ", None),
            ("1k", None),
            ("0x", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
    }
}
