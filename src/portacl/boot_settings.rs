//! Every setting of a host that affects what the next boot sets, as data.

use std::fmt;

use super::evaluate::Policy;
use super::state::State;

/// A kernel setting that decides which user may bind which port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variable {
    /// `security.mac.portacl.rules`.
    Rules,
    /// `security.mac.portacl.enabled`.
    Enabled,
    /// `security.mac.portacl.suser_exempt`.
    SuserExempt,
    /// `security.mac.portacl.autoport_exempt`.
    AutoportExempt,
    /// `security.mac.portacl.port_high`.
    PortHigh,
    /// `net.inet.ip.portrange.reservedlow`.
    ReservedLow,
    /// `net.inet.ip.portrange.reservedhigh`.
    ReservedHigh,
    /// `kern.securelevel`: above 0 the reserved range cannot change and no module can be loaded.
    Securelevel,
}

impl Variable {
    /// All variables, with the names of their sysctls.
    const NAMES: [(Self, &'static str); 8] = [
        (Self::Rules, "security.mac.portacl.rules"),
        (Self::Enabled, "security.mac.portacl.enabled"),
        (Self::SuserExempt, "security.mac.portacl.suser_exempt"),
        (Self::AutoportExempt, "security.mac.portacl.autoport_exempt"),
        (Self::PortHigh, "security.mac.portacl.port_high"),
        (Self::ReservedLow, "net.inet.ip.portrange.reservedlow"),
        (Self::ReservedHigh, "net.inet.ip.portrange.reservedhigh"),
        (Self::Securelevel, "kern.securelevel"),
    ];

    /// All variables.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::NAMES.into_iter().map(|(variable, _)| variable)
    }

    /// The name of the sysctl.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    /// The variable of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|variable| variable.name() == name)
    }

    /// The number of the policy that it sets; `None` for the rules and the securelevel.
    pub fn of(self, policy: &mut Policy) -> Option<&mut i32> {
        Some(match self {
            Self::Enabled => &mut policy.enabled,
            Self::SuserExempt => &mut policy.suser_exempt,
            Self::AutoportExempt => &mut policy.autoport_exempt,
            Self::PortHigh => &mut policy.port_high,
            Self::ReservedLow => &mut policy.reservedlow,
            Self::ReservedHigh => &mut policy.reservedhigh,
            Self::Rules | Self::Securelevel => return None,
        })
    }

    /// Whether the sysctl belongs to the module.
    pub fn is_portacls(self) -> bool {
        !matches!(self, Self::ReservedLow | Self::ReservedHigh | Self::Securelevel)
    }

    /// Whether loader.conf can set it (`CTLFLAG_RWTUN` in `mac_portacl.c`).
    pub fn is_tunable(self) -> bool {
        self.is_portacls() && self != Self::Rules
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The place of a setting. Displayed as `FILE:LINE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as a path of the host.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A line that sets a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub variable: Variable,
    /// The value as sysctl(8) or the loader reads it. For a line that is too long, the rest after the cut.
    pub value: String,
    /// The place of the line.
    pub place: Place,
    /// The length of the line in bytes, if it is more than sysctl(8) reads at once (1023).
    pub overlong: Option<usize>,
}

/// As a finding names it: the variable, and where it is set.
impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.variable, self.place)
    }
}

/// What security/portacl-rc will set, see `docs/portacl-rc.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortaclRc {
    /// The list that it writes.
    pub list: String,
    /// Whether `portacl_suser_exempt` is a yes.
    pub suser_exempt: bool,
    /// Whether `portacl_autoport_exempt` is a yes.
    pub autoport_exempt: bool,
    /// `portacl_port_high`, or 1023 if that is not all digits.
    pub port_high: String,
    /// Entries of its variables that do not get into the list.
    pub left_out: Vec<LeftOut>,
}

impl PortaclRc {
    /// What `portacl_start` of the script sets, in its order.
    pub(super) fn assignments(&self) -> [(Variable, &str); 7] {
        let digit = |on: bool| if on { "1" } else { "0" };
        [
            (Variable::Rules, &self.list),
            (Variable::SuserExempt, digit(self.suser_exempt)),
            (Variable::AutoportExempt, digit(self.autoport_exempt)),
            (Variable::PortHigh, &self.port_high),
            (Variable::Enabled, "1"),
            (Variable::ReservedLow, "0"),
            (Variable::ReservedHigh, "0"),
        ]
    }
}

/// An entry that portacl-rc leaves out, with only a warning on the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The rc.conf variable.
    pub variable: String,
    /// The word or rule in it.
    pub what: String,
    /// Why it is left out; continues a sentence after “because”.
    pub why: String,
}

/// The boot guards of this program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Whether `gts_portacl_guard` is installed, executable and enabled.
    pub early: bool,
    /// Whether `gts_portacl_guard_late` is, too. It calls the other one.
    pub late: bool,
    /// `gts_portacl_guard_reservedhigh` (1023 if unset). `None` if it is not a number, in which case the guards do
    /// nothing.
    pub reservedhigh: Option<i32>,
}

/// Which system's kernel settings the boot affects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BootScope {
    /// The host itself.
    #[default]
    Host,
    /// A jail in the network stack of its host: nothing that the jail sets has an effect.
    SharedJail {
        /// What is in force.
        now: State,
    },
    /// A jail with its own network stack, VNET(9): the reserved range belongs to the jail, everything else to the host.
    VnetJail {
        /// What is in force.
        now: State,
    },
}

/// Every setting of the host that affects what the next boot sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootSettings {
    /// The system that boots.
    pub scope: BootScope,
    /// `kern.osreldate`.
    pub osreldate: u32,
    /// Whether the kernel has the module built in.
    pub compiled_in: bool,
    /// Where the kernel looks for the module (`kern.module_path`), if there is no such file in any of these folders,
    /// nor where `kld_list` names it with its path.
    pub missing_in: Option<String>,
    /// Whether the loader loads it (`mac_portacl_load`).
    pub loader: bool,
    /// The word in `kld_list` that loads it.
    pub kld_list: Option<String>,
    /// The lines of the loader's files that set one of the variables, in their order.
    pub tunables: Vec<Assignment>,
    /// Such lines of `/etc/sysctl.conf` and then of `/etc/sysctl.conf.local`.
    pub sysctl_conf: Vec<Assignment>,
    /// Such lines of `/etc/sysctl.kld.d/mac_portacl.conf`.
    pub kld_conf: Vec<Assignment>,
    /// What portacl-rc sets, if it is installed and enabled.
    pub portacl_rc: Option<PortaclRc>,
    /// The boot guards.
    pub guard: Guard,
}
