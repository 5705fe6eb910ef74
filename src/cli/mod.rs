//! The command line: what can be asked for, and what the program says to people and to other programs.

pub mod backup;
pub mod certificate;
pub mod check;
mod command;
pub mod completions;
pub mod dialogue;
pub mod filter;
pub mod global;
pub mod help;
pub mod install;
pub mod interrupt;
pub mod open;
mod people;
pub mod plan_view;
pub mod portacl;
pub mod progress;
pub mod recover;
pub mod rehearsal;
pub mod report;
pub mod restore;
pub mod screen;
pub mod status;
mod summary;
pub mod surroundings;
pub mod switch;
mod trial;
pub mod uninstall;
pub mod upgrade;
mod wrap;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::run::Exit;
use global::Global;
use screen::Screen;
use surroundings::Surroundings;

/// Installs GoToSocial on FreeBSD, and proves that it can be trusted there.
#[derive(Debug, Parser)]
#[command(name = "gts-bootstrap", version, max_term_width = 100, arg_required_else_help = true, after_help = EXIT_CODES)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub global: Global,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, or nothing to do; 1 failed and undone (or, said plainly, not undone); 2 usage \
                          or bad answers; 3 a check failed; 4 not confirmed; 5 a reboot is needed; 6 another run is active";

/// The subcommands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Install GoToSocial, or the parts that are missing
    Install(install::Arguments),
    /// Verify the running system: bind check, health, certificate
    Check(check::Arguments),
    /// Show the state of the installation on one screen, and what differs from what was installed
    Status(status::Arguments),
    /// Put a web server in front of GoToSocial, with seconds of interruption
    SwitchToProxy(switch::ToProxy),
    /// Let GoToSocial face the internet itself again
    SwitchToDirect(switch::ToDirect),
    /// Upgrade GoToSocial, with a copy of the database and a way to roll back
    Upgrade(upgrade::Arguments),
    /// Roll back to the release before the last upgrade, with its database
    Rollback(upgrade::Back),
    /// Back up the whole instance to one file: database, keys, media, settings
    Backup(backup::Arguments),
    /// Restore an instance from a backup, on its own host or on a fresh one
    Restore(restore::Arguments),
    /// Filter requests in the web server in front: addresses, clients, paths, rates
    #[command(subcommand)]
    Filter(filter::FilterCommand),
    /// Read, check and change which user may bind which port: mac_portacl rules, as readable as pf's
    #[command(subcommand)]
    Portacl(portacl::PortaclCommand),
    /// The certificate that clients see: its manager, its validity, and its renewal
    #[command(subcommand)]
    Certificate(certificate::CertificateCommand),
    /// Undo what gts-bootstrap has done to this host; the data stay unless purged
    Uninstall(uninstall::Arguments),
    /// Clean up after a run interrupted by a crash or a power cut, or undo it as a whole
    Recover(recover::Arguments),
    /// Act on the model of a rehearsal
    #[command(subcommand)]
    Rehearsal(rehearsal::RehearsalCommand),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Print this list, the arguments of a command, or a page of the documentation
    Help(help::Arguments),
}

/// Runs the program with these arguments, as the process that it is.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::from(run_with(arguments, Surroundings::of_process()) as u8)
}

/// Runs the program with these arguments and surroundings.
pub fn run_with(arguments: impl IntoIterator<Item = impl Into<OsString>>, around: Surroundings) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let around = Arc::new(around);
    let parsed = help::as_wide_as(&around, Cli::command())
        .try_get_matches_from(&arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            return match help::asked_below(&Cli::command(), &error, &arguments) {
                Some(path) => help::of_command(Cli::command(), &path, &around),
                None => help::by_clap(&error, &around),
            };
        }
    };
    let screen = Screen::new(&cli.global, &around);
    match &cli.command {
        Command::Install(arguments) => install::run(&cli.global, arguments, &screen),
        Command::Check(arguments) => check::run(&cli.global, arguments, &screen),
        Command::Status(arguments) => status::run(&cli.global, arguments, &screen),
        Command::SwitchToProxy(arguments) => switch::to_proxy(&cli.global, arguments, &screen),
        Command::SwitchToDirect(arguments) => switch::to_direct(&cli.global, arguments, &screen),
        Command::Upgrade(arguments) => upgrade::run(&cli.global, arguments, &screen),
        Command::Rollback(arguments) => upgrade::rollback(&cli.global, *arguments, &screen),
        Command::Backup(arguments) => backup::run(&cli.global, arguments, &screen),
        Command::Restore(arguments) => restore::run(&cli.global, arguments, &screen),
        Command::Filter(action) => filter::run(&cli.global, action, &screen),
        Command::Portacl(action) => portacl::run(&cli.global, action, &screen),
        Command::Certificate(action) => certificate::run(&cli.global, action, &screen),
        Command::Uninstall(arguments) => uninstall::run(&cli.global, arguments, &screen),
        Command::Recover(arguments) => recover::run(&cli.global, *arguments, &screen),
        Command::Rehearsal(action) => rehearsal::run(&cli.global, action, &screen),
        Command::Completions(arguments) => completions::run(Cli::command(), *arguments, &screen),
        Command::Help(arguments) => help::run(Cli::command(), arguments, &screen),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use surroundings::Captured;

    #[test]
    fn two_runs_in_one_process_know_nothing_of_each_other() {
        let run = |host: &str| {
            let folder = tempfile::tempdir().unwrap();
            let (output, errors) = (Captured::default(), Captured::default());
            let answers = format!("host = \"{host}\"\ntls.email = \"a@b.net\"\n");
            std::fs::write(folder.path().join("answers.toml"), answers).unwrap();
            let around = Surroundings::piped("", &output, &errors).at(folder.path());
            let line = "gts-bootstrap --rehearse root install --answers answers.toml --plan";
            let exit = run_with(line.split(' '), around);
            (exit, output.text(), errors.text(), folder.path().join("root/etc/rc.conf").exists())
        };
        let hosts = ["one.example.org", "two.example.org"];
        std::thread::scope(|scope| {
            let runs = hosts.map(|host| scope.spawn(move || run(host)));
            for (host, done) in hosts.into_iter().zip(runs) {
                let (exit, output, errors, is_there) = done.join().unwrap();
                assert_eq!((exit, is_there), (Exit::Done, true), "{output}{errors}");
                assert!(output.starts_with(&format!("GoToSocial for {host}\n")), "{output}");
            }
        });
    }

    #[test]
    fn at_a_terminal_that_moves_no_cursor_questions_are_answered_with_lines() {
        let folder = tempfile::tempdir().unwrap();
        let (output, errors) = (Captured::default(), Captured::default());
        let around = Surroundings::at_terminal("one.example.org\n\na@b.net\n\n\nn\n", &output, &errors, (24, 80))
            .at(folder.path());
        let exit = run_with(["gts-bootstrap", "--rehearse", "root", "install"], around);
        assert_eq!(exit, Exit::NotConfirmed, "{}{}", output.text(), errors.text());
        assert!(errors.text().contains("Apply? [y]es [n]o"), "{}", errors.text());
    }
}
