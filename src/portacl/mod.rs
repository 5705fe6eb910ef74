//! The rule language of mac_portacl(4): writes it, reads it as the kernel does, and decides which user may bind which
//! port.
//!
//! FreeBSD's `mac_portacl` module has a list of rules, in the sysctl `security.mac.portacl.rules`, that says which user
//! or group may bind which port. The kernel's parser is more lenient than a writer should be: an empty id is root, port
//! 65616 is port 80. So there are two parsers here:
//!
//! - [`parse_strict`] accepts only what this program itself would write;
//! - [`parse_kernel`] accepts and refuses exactly what the kernel does, and returns what each element really means.
//!
//! [`may_bind`] decides like bind(2), and names the rule or the gate that decided. [`with_rules`], [`without_rules`]
//! and [`replace`] change a list without touching other rules.
//!
//! For people there is the [`readable`] form, in the style of pf: [`print()`] shows what is in force (a [`State`]) and
//! what the next boot will change, [`parse_readable`] reads it back. [`Names`] provides the names of ids and ports;
//! [`Services`] reads services(5).
//!
//! [`next_boot`] plays the boot on every setting that matters, and [`lint()`] finds what is wrong, now and after the
//! boot.
//!
//! Everything here is a pure function of text and numbers. Nothing depends on the rest of this program, and nothing
//! needs FreeBSD to run. The facts come from `sys/security/mac_portacl/mac_portacl.c`, `sys/libkern/strtol.c` and
//! `sys/netinet/in_pcb.c` of FreeBSD 12 to 15, and from measurements on FreeBSD 13.2. The tests compare parser and
//! evaluator with a transcription of that code.

mod boot;
mod boot_settings;
mod evaluate;
mod kernel;
mod lint;
mod merge;
mod names;
pub mod readable;
mod rule;
mod state;
mod strict;
#[cfg(test)]
mod transcription;

pub use boot::{LoadedBy, Moment, NextBoot, Open, SetBy, next_boot, next_boot_without_module, number, open_ports};
pub use boot_settings::{Assignment, BootScope, BootSettings, Guard, LeftOut, Place, PortaclRc, Variable};
pub use evaluate::{Decision, Errno, Policy, Request, may_bind};
pub use kernel::{KernelFault, KernelId, KernelRefusal, KernelRule, Meaning, effective, parse_kernel};
pub use lint::{Finding, Severity, lint};
pub use merge::{
    KERNEL_LIMIT, MergeError, SYSCTL_CONF_LIMIT, check_sysctl_conf_limit, replace, with_rules, without_rules,
};
pub use names::{Names, NumbersOnly, Services};
pub use readable::{
    Action, ImpliedStatement, Line, PortRange, ReadableError, ReadableFault, RuleStatement, Ruleset, Sign, Whom,
    parse_readable, print, render,
};
pub use rule::{Protocol, Rule, Subject};
pub use state::State;
pub use strict::{StrictError, parse_strict};
