//! `completions`: what a shell needs to complete the command line. bash, fish and zsh come from clap's own generator,
//! tcsh, which FreeBSD has had as root's shell for long, from ours.

mod tcsh;

use std::io::Write;

use clap::builder::PossibleValuesParser;
use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::{generate, shells};

use super::exit::Exit;
use super::report::Report;
use super::screen::Screen;
use super::{Cli, help};

/// The program, as it is typed.
const PROGRAM: &str = "gts-bootstrap";

/// What `completions` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Arguments {
    /// The shell that is to complete
    pub shell: Shell,
    /// Print the options that fit the line in COMMAND_LINE: what the rules for tcsh ask back with
    #[arg(long, hide = true)]
    pub options: bool,
}

/// A shell with programmable completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// fish.
    Fish,
    /// tcsh, which is also FreeBSD's csh.
    Tcsh,
    /// zsh.
    Zsh,
}

/// Runs `completions`.
#[must_use]
pub fn run(arguments: Arguments, screen: &Screen) -> Exit {
    if screen.json() {
        let why = "`completions` prints a script for a shell, so there is no --json of it; leave --json out";
        return Report::new("completions").fail(screen, Exit::Usage, why);
    }
    let text = if arguments.options {
        tcsh::options(&command(), &std::env::var("COMMAND_LINE").unwrap_or_default()).into_bytes()
    } else {
        script(arguments.shell)
    };
    // A reader that has gone away is no failure of ours.
    let _ = std::io::stdout().write_all(&text);
    Exit::Done
}

/// The script for a shell.
fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let mut command = command();
    match shell {
        Shell::Bash => generate(shells::Bash, &mut command, PROGRAM, &mut script),
        Shell::Fish => generate(shells::Fish, &mut command, PROGRAM, &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut command, PROGRAM, &mut script),
        Shell::Tcsh => script = tcsh::script(&command, PROGRAM).into_bytes(),
    }
    script
}

/// The command line as clap knows it, with the words that `help` knows.
fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    let words = help::words(&command);
    command.mut_subcommand("help", |help| {
        help.mut_arg("words", |words_of_help| words_of_help.value_parser(PossibleValuesParser::new(words)))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for name in Cli::command().get_subcommands().map(Command::get_name) {
                assert!(script.contains(name), "{shell:?}: {name}");
            }
        }
    }
}
