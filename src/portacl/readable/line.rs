//! One line of the readable form, as data.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::portacl::Protocol;

/// When a line applies, as in a diff from what is in force now to what the next boot sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// Now and after the next boot.
    Both,
    /// `-`: now, and gone after the next boot.
    NowOnly,
    /// `+`: only after the next boot.
    NextBootOnly,
}

/// The effect of a line on those to whom it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// They may bind.
    Pass,
    /// They may not.
    Block,
}

/// Ports from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port; the same as the first for a single one.
    pub last: u16,
}

/// To whom a line applies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Whom {
    /// A process with this effective user id.
    User {
        /// The id as the kernel stores it. Outside 32 bits it matches no user.
        id: i64,
        /// The name, if it is known and requested.
        name: Option<String>,
    },
    /// A process in this group.
    Group {
        /// The id as the kernel stores it. Its lower 32 bits count.
        id: i64,
        /// The name, if it is known and requested.
        name: Option<String>,
    },
    /// Every user.
    All,
}

/// One line: a rule from the list, or one that follows from the settings of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Line {
    /// When it applies.
    pub sign: Sign,
    /// Whether it permits or refuses.
    pub action: Action,
    /// The protocol; `None` for both.
    #[serde(serialize_with = "protocol_or_any")]
    pub protocol: Option<Protocol>,
    /// The ports.
    pub ports: PortRange,
    /// The name of the port in services(5), if it is known and requested.
    pub service: Option<String>,
    /// To whom it applies.
    pub subject: Whom,
    /// A note: the origin of an implied line, or why a rule has no effect.
    pub note: Option<String>,
    /// Whether it has an effect. A rule without effect is shown all the same.
    pub effective: bool,
    /// Whether it applies only to root among the users that it names.
    pub root_alone: bool,
    /// Whether it follows from the settings of the kernel instead of the list.
    pub implied: bool,
}

fn protocol_or_any<S: Serializer>(protocol: &Option<Protocol>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(protocol.map_or("any", Protocol::name))
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Action::Pass => "pass",
            Action::Block => "block",
        })
    }
}

/// `80`, or `1-1023`.
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}
