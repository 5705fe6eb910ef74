//! Errors in rules in the readable form.

use crate::portacl::{KernelId, Protocol};

/// One mistake, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Line {line}, “{statement}”: {fault}")]
pub struct ReadableError {
    /// The line number, counted from 1.
    pub line: usize,
    /// The line as it was given, without surrounding spaces and without its comment.
    pub statement: String,
    /// What is wrong with it.
    pub fault: ReadableFault,
}

/// What is wrong with a line, why, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadableFault {
    /// The line begins with another word than `pass` or `block`.
    #[error("a rule begins with “pass”, not with “{found}”. Write it like “pass proto tcp port 80 user www”.")]
    Action {
        /// The word.
        found: String,
    },
    /// A `block` that does not follow from the settings of the kernel.
    #[error(
        "mac_portacl has only permissions: what no rule allows is refused without being named. Leave the line out, and the “pass” rules that allow too much."
    )]
    Block,
    /// `proto any` in a rule.
    #[error("a rule of mac_portacl is for one protocol, not for any. Write “proto {{ tcp udp }}” for both.")]
    AnyProtocol,
    /// A protocol that mac_portacl does not know.
    #[error("the protocol must be “tcp” or “udp”, not “{found}”: mac_portacl knows no others.")]
    Protocol {
        /// The word.
        found: String,
    },
    /// A range of ports in a rule.
    #[error("a rule of mac_portacl is for one port, not for the range “{found}”. List the ports, like “{{ 80 443 }}”.")]
    Range {
        /// The range.
        found: String,
    },
    /// A port number over 65535.
    #[error("there is no port {found}. Write a number from 1 to 65535.")]
    PortTooLarge {
        /// The number.
        found: String,
    },
    /// A service that services(5) does not have.
    #[error("no service is called “{name}” for {protocol}. Write the number of the port.")]
    ServiceUnknown {
        /// The name.
        name: String,
        /// For which protocol it was looked up.
        protocol: Protocol,
    },
    /// The bracket after a port means another port.
    #[error("“{bracket}” is {protocol} port {known}, not {port}. Correct the port or the value in brackets.")]
    PortContradiction {
        /// The content of the bracket.
        bracket: String,
        /// For which protocol it was looked up.
        protocol: Protocol,
        /// The meaning of the bracket.
        known: u16,
        /// The port before it.
        port: u16,
    },
    /// `all` in a rule.
    #[error("mac_portacl cannot permit a port to everybody. Name a user or a group, like “user www” or “group www”.")]
    All,
    /// A user that the system does not have.
    #[error("no user is called “{name}” here. Correct the name, or write the id of the user.")]
    UserUnknown {
        /// The name.
        name: String,
    },
    /// A group that the system does not have.
    #[error("no group is called “{name}” here. Correct the name, or write the id of the group.")]
    GroupUnknown {
        /// The name.
        name: String,
    },
    /// The bracket after a name or an id is another id.
    #[error("“{word}” is {known}, not {bracket}. Correct the one or the other.")]
    IdContradiction {
        /// The word before the bracket.
        word: String,
        /// The id that it stands for.
        known: KernelId,
        /// The id in the bracket.
        bracket: i64,
    },
    /// An id that even the kernel could not store.
    #[error("the id {found} is too large. Write an id from 0 to 4294967295.")]
    IdTooLarge {
        /// The number.
        found: String,
    },
    /// Something is missing, or something else is in its place.
    #[error(
        "here {expected} must follow, not {found}. A rule is written like “pass proto tcp port {{ 80 443 }} user www”."
    )]
    Expected {
        /// What is expected there.
        expected: &'static str,
        /// What is there: a word in quotes, or the end of the line.
        found: String,
    },
}
