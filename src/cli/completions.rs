//! `completions`: what a shell needs to complete the command line. clap's own generator writes the scripts for bash, fish and
//! zsh; ours writes that for tcsh, which was root's shell on FreeBSD for many years.

mod tcsh;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, ValueEnum};
use clap_complete::{Generator, generate, shells};

use super::help;
use super::report;
use super::screen::Screen;
use crate::deployment::{AnswerType, FIELDS};
use crate::run::{Exit, Report, Stop};

/// The program, as it is typed.
const PROGRAM: &str = "gts-bootstrap";
/// The same, as a part of names of functions.
const UNHYPHENED: &str = "gts_bootstrap";

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
pub(super) fn run(command: Command, shell: Shell, options: bool, screen: &Screen) -> Exit {
    if screen.global.json {
        let why = "`completions` prints a script for a shell, so there is no --json of it; leave --json out";
        return report::finish(Report::new("completions"), screen, Err(Stop::usage(why)));
    }
    let mut command = with_words(command);
    let text = if options {
        tcsh::options(&mut command, screen.around.variable("COMMAND_LINE"))
    } else {
        script(&mut command, shell)
    };
    screen.print_exact(&text);
    Exit::Done
}

/// The script for a shell. Those for bash and zsh are changed so that they add no space after the equals sign of an answer.
fn script(command: &mut Command, shell: Shell) -> String {
    match shell {
        // clap_complete 4.6.11 writes a hyphen in the program's name in two ways, and then its functions do not find each other.
        Shell::Bash => by_clap(command, shells::Bash, UNHYPHENED)
            .replace(&format!("default {UNHYPHENED}\n"), &format!("default {PROGRAM}\n"))
            .replace("--set)\n", "--set)\ncompopt -o nospace 2>/dev/null\n"),
        Shell::Fish => by_clap(command, shells::Fish, PROGRAM),
        Shell::Zsh => {
            let settings = settings().join(" ");
            by_clap(command, shells::Zsh, PROGRAM)
                .replace(&format!("({settings})"), &format!("{{compadd -S \"\" - {settings}}}"))
        }
        Shell::Tcsh => tcsh::script(command, PROGRAM),
    }
}

fn by_clap(command: &mut Command, shell: impl Generator, name: &str) -> String {
    let mut script = Vec::new();
    generate(shell, command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The command line as clap knows it, with the words that `help` and `--set` take.
fn with_words(command: Command) -> Command {
    let words = help::words(&command);
    let takes = |argument: Arg, words: Vec<String>| argument.value_parser(PossibleValuesParser::new(words));
    command.mut_subcommands(|below| match below.get_name() {
        "install" => below.mut_arg("set", |set| takes(set, settings())),
        "help" => below.mut_arg("words", |of_help| takes(of_help, words.clone())),
        _ => below,
    })
}

/// What can stand behind `--set`: each answer with its equals sign, and with each word of a choice.
fn settings() -> Vec<String> {
    let settings = FIELDS.iter().flat_map(|field| {
        let words: Vec<&str> = match field.value {
            AnswerType::Choice(words) => words.iter().map(|(word, _)| *word).collect(),
            AnswerType::Boolean => vec!["true", "false"],
            _ => vec![""],
        };
        words.into_iter().map(|word| format!("{}={word}", field.key))
    });
    settings.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn every_shell_gets_every_command() {
        for shell in Shell::value_variants() {
            let script = script(&mut with_words(Cli::command()), *shell);
            for name in Cli::command().get_subcommands().map(Command::get_name) {
                assert!(script.contains(name), "{shell:?}: {name}");
            }
        }
    }
}
