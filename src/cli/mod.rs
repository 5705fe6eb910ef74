//! The command line: what a user can ask for, and what people and other programs read.

pub mod certificate;
pub mod changes;
pub mod check;
mod command;
pub mod completions;
pub mod dialogue;
pub mod filter;
pub mod global;
pub mod help;
pub mod open;
mod people;
pub mod plan_view;
pub mod portacl;
pub mod progress;
pub mod rehearsal;
pub mod report;
pub mod screen;
pub mod status;
pub mod surroundings;
pub mod text;
mod wrap;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::deployment::Mode;
use crate::run::Exit;
use crate::shown::Shown;
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
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, or nothing to do; 1 failed and undone (or, said plainly, not undone); 2 usage \
                          or bad answers; 3 a check failed; 4 not confirmed; 5 a reboot is needed; 6 another run is active";

/// The subcommands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Install GoToSocial, or the parts that are missing
    Install(changes::Install),
    /// Verify the running system: bind check, health, certificate
    Check {
        /// Print one line, for monitoring
        #[arg(long)]
        brief: bool,
    },
    /// Show the state of the installation on one screen, and what differs from what was installed
    Status(status::Arguments),
    /// Put a web server in front of GoToSocial, with seconds of interruption
    SwitchToProxy(changes::ToProxy),
    /// Let GoToSocial face the internet itself again
    SwitchToDirect(changes::OnTrial),
    /// Upgrade GoToSocial, with a copy of the database and a way to roll back
    Upgrade(changes::Upgrade),
    /// Roll back to the release before the last upgrade, with its database
    Rollback(command::Terms),
    /// Back up the whole instance to one file: database, keys, media, settings
    Backup(changes::Backup),
    /// Restore an instance from a backup, on its own host or on a fresh one
    Restore(changes::Restore),
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
    Uninstall(changes::Uninstall),
    /// Clean up after a run interrupted by a crash or a power cut, or undo it as a whole
    Recover {
        /// Undo everything that the interrupted run did
        #[arg(long)]
        undo: bool,
        /// How the changes are agreed to.
        #[command(flatten)]
        terms: command::Terms,
    },
    /// Act on the model of a rehearsal
    #[command(subcommand)]
    Rehearsal(rehearsal::RehearsalCommand),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: completions::Shell,
        /// Print the options that fit the line in COMMAND_LINE: what the rules for tcsh ask back with
        #[arg(long, hide = true)]
        options: bool,
    },
    /// Print this list, the arguments of a command, or a page of the documentation
    Help {
        /// A command, a topic, or an error code; without it, commands and topics are listed
        #[arg(value_name = "COMMAND|TOPIC|CODE")]
        words: Vec<String>,
    },
}

/// Runs the program with these arguments, as the process that it is.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::from(run_with(arguments, Surroundings::of_process()) as u8)
}

/// Runs the program with these arguments and surroundings.
pub fn run_with(arguments: impl IntoIterator<Item = impl Into<OsString>>, around: Surroundings) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let around = Arc::new(around);
    let parse = |arguments: &[OsString]| {
        let matches = help::as_wide_as(&around, Cli::command()).try_get_matches_from(arguments);
        matches.and_then(|matches| Cli::from_arg_matches(&matches))
    };
    let parsed = parse(&arguments).map_err(|error| {
        // clap repeats what was typed, between its own colours.
        let shown: Vec<OsString> = arguments.iter().map(|word| (&*word.shown()).into()).collect();
        if shown == arguments {
            return error;
        }
        let unseen = "a control character, or another one that cannot be seen, cannot stand there\n";
        parse(&shown).err().unwrap_or_else(|| Cli::command().error(error.kind(), unseen))
    });
    let Cli { global, command } = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            return match help::asked_below(&Cli::command(), &error, &arguments) {
                Some(path) => help::of_command(Cli::command(), &path, &around),
                None => help::by_clap(&error, &around),
            };
        }
    };
    let screen = &Screen::new(global, around);
    match command {
        Command::Install(it) => changes::install(it, screen),
        Command::Check { brief } => check::run(brief, screen),
        Command::Status(it) => status::run(it, screen),
        Command::SwitchToProxy(it) => changes::switch("switch-to-proxy", Mode::Behind(it.front), it.on_trial, screen),
        Command::SwitchToDirect(it) => changes::switch("switch-to-direct", Mode::Direct, it, screen),
        Command::Upgrade(it) => changes::upgrade(it, screen),
        Command::Rollback(terms) => changes::rollback(terms, screen),
        Command::Backup(it) => changes::backup(it, screen),
        Command::Restore(it) => changes::restore(it, screen),
        Command::Filter(it) => filter::run(it, screen),
        Command::Portacl(it) => portacl::run(it, screen),
        Command::Certificate(it) => certificate::run(it, screen),
        Command::Uninstall(it) => changes::uninstall(it, screen),
        Command::Recover { undo, terms } => changes::recover(undo, terms, screen),
        Command::Rehearsal(it) => rehearsal::run(&it, screen),
        Command::Completions { shell, options } => completions::run(Cli::command(), shell, options, screen),
        Command::Help { words } => help::run(Cli::command(), &words, screen),
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
}
