//! [`Rule`]: one line of the file.

use std::fmt;

use super::agent::AgentPattern;
use super::list::ListName;
use super::network::Network;
use super::path::UrlPath;
use super::rate::Rate;

/// One rule. It is displayed as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Refuse a network.
    Deny(Network),
    /// Let a network in, whatever a wider rule, a list or an agent rule says.
    Allow(Network),
    /// Refuse clients that call themselves so.
    DenyAgent(AgentPattern),
    /// Refuse the networks of a list.
    DenyFile(ListName),
    /// Keep a path to some networks.
    Protect {
        /// The path.
        path: UrlPath,
        /// Who may come; at least one.
        from: Vec<Network>,
    },
    /// Limit how often each client asks for a path.
    Rate {
        /// The path.
        path: UrlPath,
        /// How often.
        rate: Rate,
        /// How many at once beyond it, if it is given; without it, as many as the rate has in its time.
        burst: Option<u32>,
    },
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny(network) => write!(f, "deny {network}"),
            Self::Allow(network) => write!(f, "allow {network}"),
            Self::DenyAgent(pattern) => write!(f, "deny agent {pattern}"),
            Self::DenyFile(name) => write!(f, "deny file {name}"),
            Self::Protect { path, from } => {
                write!(f, "protect {path} from")?;
                from.iter().try_for_each(|network| write!(f, " {network}"))
            }
            Self::Rate { path, rate, burst } => {
                write!(f, "rate {path} {rate}")?;
                burst.map_or(Ok(()), |burst| write!(f, " burst {burst}"))
            }
        }
    }
}
