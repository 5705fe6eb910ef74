//! `portacl`: mac_portacl(4) that can be read, checked and changed as pf can, on any FreeBSD host.

mod explain;
mod lint;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::command::{self, Terms};
use super::global::Global;
use super::screen::Screen;
use crate::run::Exit;
use crate::run::port_rules::{self, RuleWish};

/// What `portacl` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum PortaclCommand {
    /// Show which user may bind which port, one line per rule, and what the next boot will change
    Show(show::Arguments),
    /// Show whether a user may bind a port, now and after the next boot, and which rule or setting decides
    Explain(explain::Arguments),
    /// Look for rules and settings that do not do what they seem to
    Lint(lint::Arguments),
    /// Let a user or a group bind ports, now and after every boot
    Grant(Named),
    /// Remove such rules again
    Revoke(Named),
    /// Make the rules of a file, written as `show` writes them, the rules of this host
    Apply(FromFile),
}

/// How changes are agreed to.
#[derive(Debug, Clone, Copy, Args)]
pub struct Agreement {
    /// How they are agreed to.
    #[command(flatten)]
    pub terms: Terms,
    /// Allow ids that no user has on this host, for example those of a jail's users
    #[arg(long)]
    pub allow_unknown: bool,
}

/// What `portacl grant` and `portacl revoke` take.
#[derive(Debug, Clone, Args)]
pub struct Named {
    /// Who: a user, a group as @GROUP, or a number as uid:N or gid:N
    #[arg(value_name = "USER|@GROUP|uid:N|gid:N")]
    pub subject: String,
    /// Ports by number or name, followed by /udp for UDP: 80,443 or 53/udp
    #[arg(value_name = "PORT[/PROTO]", required = true)]
    pub ports: Vec<String>,
    /// How the changes are agreed to.
    #[command(flatten)]
    pub agreement: Agreement,
}

/// What `portacl apply` takes.
#[derive(Debug, Clone, Args)]
pub struct FromFile {
    /// The rules, as `portacl show` prints them; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How the changes are agreed to.
    #[command(flatten)]
    pub agreement: Agreement,
}

/// Runs `portacl`.
pub fn run(global: &Global, action: &PortaclCommand, screen: &Screen) -> Exit {
    let of = |Named { subject, ports, .. }: &Named| (subject.clone(), ports.clone());
    let (command, agreement, wish) = match action {
        PortaclCommand::Show(arguments) => return show::run(global, *arguments, screen),
        PortaclCommand::Explain(arguments) => return explain::run(global, arguments, screen),
        PortaclCommand::Lint(arguments) => return lint::run(global, *arguments, screen),
        PortaclCommand::Grant(named) => {
            let (subject, ports) = of(named);
            ("portacl grant", named.agreement, RuleWish::Grant(subject, ports))
        }
        PortaclCommand::Revoke(named) => {
            let (subject, ports) = of(named);
            ("portacl revoke", named.agreement, RuleWish::Revoke(subject, ports))
        }
        PortaclCommand::Apply(FromFile { file, agreement }) => {
            let around = screen.around();
            // Standard input can be read only once.
            let input = (file.as_os_str() == "-").then(|| around.rest());
            ("portacl apply", *agreement, RuleWish::Apply(port_rules::read(&around.typed(file), input)))
        }
    };
    let Agreement { terms, allow_unknown } = agreement;
    command::changing(global, screen, command, terms, &|run| port_rules::change(run, &wish, allow_unknown))
}
