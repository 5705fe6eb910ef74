//! One permission, in the form that this program writes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The subject of a rule: a number, because the kernel knows no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A process whose effective user id is this one.
    Uid(u32),
    /// A process whose effective group, or one of whose supplementary groups, is this one.
    Gid(u32),
}

/// The transport protocol. A rule has no address family: it covers IPv4 and IPv6 alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Stream sockets.
    Tcp,
    /// Datagram sockets.
    Udp,
}

impl Protocol {
    /// The protocol of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp].into_iter().find(|protocol| protocol.name() == name)
    }

    /// The name, as in the kernel's list.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// One permission: this subject may bind this port of this protocol.
///
/// Displayed as the kernel reads it: `uid:209:tcp:80`. Port 0 is possible, because the kernel can hold it, but
/// [`parse_strict`](super::parse_strict) and [`with_rules`](super::with_rules) refuse it: it grants no port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    /// The user or group that may bind.
    pub subject: Subject,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port number.
    pub port: u16,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Uid(id) => write!(f, "uid:{id}"),
            Subject::Gid(id) => write!(f, "gid:{id}"),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.subject, self.protocol, self.port)
    }
}

#[cfg(test)]
pub(super) mod strategies {
    //! Random rules, for the property tests of this folder.

    use super::{Protocol, Rule, Subject};
    use proptest::prelude::*;

    /// Any rule that may be written: every id, either protocol, ports 1 to 65535.
    pub fn rule() -> impl Strategy<Value = Rule> {
        (any::<bool>(), any::<u32>(), any::<bool>(), 1..=u16::MAX).prop_map(|(uid, id, tcp, port)| Rule {
            subject: if uid { Subject::Uid(id) } else { Subject::Gid(id) },
            protocol: if tcp { Protocol::Tcp } else { Protocol::Udp },
            port,
        })
    }

    /// Rules as the kernel reads them: separated by commas, without spaces.
    pub fn list(rules: &[Rule]) -> String {
        rules.iter().map(Rule::to_string).collect::<Vec<_>>().join(",")
    }

    /// Elements that resemble the language: whole rules in every spelling, and pieces in wrong combinations.
    pub fn element() -> impl Strategy<Value = String> {
        let number = prop_oneof![
            4 => "(0|[1-9][0-9]{0,4})",
            1 => "[ \t]{0,2}[-+]?[0-9]{0,24}",
            1 => "[-+ 0-9a-fx]{0,6}",
        ];
        let kind = prop_oneof![8 => "uid|gid", 1 => "UID| uid|user|"];
        let protocol = prop_oneof![8 => "tcp|udp", 1 => "TCP|sctp|tcp |"];
        let port = number.clone();
        prop_oneof![
            8 => (kind, number, protocol, port).prop_map(|(k, i, t, p)| format!("{k}:{i}:{t}:{p}")),
            1 => Just(String::new()),
            1 => "[a-z0-9: ]{0,16}",
        ]
    }
}
