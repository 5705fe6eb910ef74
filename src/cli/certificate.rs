//! `certificate`: who keeps the certificate that clients are shown, how long it is valid, and its renewal.

mod status;

use clap::{Args, Subcommand};

use super::command::{self, Terms};
use super::global::Global;
use super::report;
use super::screen::Screen;
use crate::deployment::AcmeDirectory;
use crate::run::renew;
use crate::run::{Exit, Report, Stop};

/// What `certificate renew` takes.
#[derive(Debug, Clone, Args)]
pub struct Renewal {
    /// Renew now, whether due or not; waits only if the authority has requested it
    #[arg(long)]
    pub force: bool,
    /// Renew without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
    /// Use this authority for this renewal, such as Let's Encrypt's staging environment
    #[arg(long, value_name = "URL")]
    pub acme_directory: Option<String>,
}

/// What `certificate` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum CertificateCommand {
    /// Show each certificate: names, issuer, manager, days left, next renewal, last failure
    Status(status::Arguments),
    /// Renew certificates that are due, behind a web server
    Renew(Renewal),
}

/// Runs `certificate`.
pub fn run(global: &Global, action: &CertificateCommand, screen: &Screen) -> Exit {
    match action {
        CertificateCommand::Status(arguments) => status::run(global, *arguments, screen),
        CertificateCommand::Renew(arguments) => renew(global, arguments, screen),
    }
}

fn renew(global: &Global, arguments: &Renewal, screen: &Screen) -> Exit {
    let command = "certificate renew";
    let directory: Option<AcmeDirectory> = match arguments.acme_directory.as_deref().map(str::parse).transpose() {
        Ok(directory) => directory,
        Err(error) => {
            let stop = Stop::usage(format!("--acme-directory: {error}"));
            return report::fail(Report::new(command), screen, &stop);
        }
    };
    let Renewal { force, yes, plan, .. } = *arguments;
    let directory = directory.as_ref();
    command::changing(global, screen, command, Terms { yes, plan }, &|run| renew::renew(run, force, directory))
}
