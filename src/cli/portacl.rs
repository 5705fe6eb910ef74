//! `portacl`: mac_portacl(4) that can be read, checked and changed as pf can, on any FreeBSD host.

mod change;
mod explain;
mod lint;
mod show;
mod words;

use clap::Subcommand;

use super::Global;
use super::exit::Exit;
use super::screen::Screen;
use super::transaction::Stop;
use crate::host::Observe;
use crate::parts::host_names::HostNames;
use crate::parts::portacl_boot;
use crate::portacl::{self, BootSettings, NextBoot, State};

/// What `portacl` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Show who may bind which port now, a line a rule, and what the next boot will change
    Show(show::Arguments),
    /// Say whether a user may bind a port, now and after the next boot, and which rule or setting decides
    Explain(explain::Arguments),
    /// Look for rules and settings that do not do what they seem to
    Lint(lint::Arguments),
    /// Let a user or a group bind ports, now and after every boot
    Grant(change::Named),
    /// Take that back
    Revoke(change::Named),
    /// Make the rules of a file, written as `show` writes them, the rules of this host
    Apply(change::FromFile),
}

/// Runs `portacl`.
#[must_use]
pub fn run(global: &Global, action: &Action, screen: &Screen) -> Exit {
    match action {
        Action::Show(arguments) => show::run(global, *arguments, screen),
        Action::Explain(arguments) => explain::run(global, arguments, screen),
        Action::Lint(arguments) => lint::run(global, *arguments, screen),
        Action::Grant(arguments) => change::grant(global, arguments, screen),
        Action::Revoke(arguments) => change::revoke(global, arguments, screen),
        Action::Apply(arguments) => change::apply(global, arguments, screen),
    }
}

/// What every one of them looks at.
struct Picture<'a> {
    now: State,
    settings: BootSettings,
    next_boot: NextBoot,
    names: HostNames<'a>,
}

impl<'a> Picture<'a> {
    fn of(host: &'a dyn Observe) -> Result<Self, Stop> {
        let settings = portacl_boot::settings(host)?;
        let next_boot = portacl::next_boot(&settings);
        Ok(Self { now: portacl_boot::now(host)?, settings, next_boot, names: HostNames::new(host)? })
    }
}
