//! `help`: the commands, what each takes, what an error code means, and the pages of `docs/`, which are in the program so that
//! they can be read on a server without internet.

mod page;
mod topics;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Command};

use super::report;
use super::screen::{Screen, has_colors};
use super::surroundings::Surroundings;
use crate::deployment::nearest;
use crate::error_code::ErrorCode;
use crate::run::{Exit, Report, Stop};
use topics::Topic;

/// The narrowest and the widest line of a page, in columns.
const WIDTHS: (usize, usize) = (40, 100);
/// Columns where there is no terminal.
const USUAL: usize = 80;

/// What `help` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// A command, a topic, or an error code; without it, commands and topics are listed
    #[arg(value_name = "COMMAND|TOPIC|CODE")]
    pub words: Vec<String>,
}

/// Runs `help`.
pub fn run(mut command: Command, arguments: &Arguments, screen: &Screen) -> Exit {
    if screen.json() {
        let why = "`help` prints texts for people, so there is no --json of it; leave --json out";
        return report::fail(Report::new("help"), screen, &Stop::usage(why));
    }
    let raw = command.clone();
    command.build();
    match find(&command, &arguments.words) {
        Found::All => {
            let printed = of_command(raw, &[], screen.around());
            screen.print(&listing(&command));
            printed
        }
        Found::Command(path) => {
            let printed = of_command(raw, &path, screen.around());
            if let [name] = path.as_slice()
                && let Some(topic) = topics::named(name)
            {
                screen.print(&format!("\nThe page \"{}\": gts-bootstrap help {name}.md\n", topic.title()));
            }
            printed
        }
        Found::Topic(topic) => in_print(topic.text, screen),
        Found::Code(entry) => in_print(entry, screen),
        Found::Nothing { word, near } => {
            screen.error(ErrorCode::Usage, &unknown(&word, &near));
            Exit::Usage
        }
    }
}

/// The command that is meant by `portacl help`, or `portacl help grant`: `help` is a command of its own, and of no other.
pub(super) fn asked_below(command: &Command, error: &clap::Error, arguments: &[OsString]) -> Option<Vec<String>> {
    let unknown = error.get(ContextKind::InvalidSubcommand);
    if !matches!(unknown, Some(ContextValue::String(word)) if word == "help") {
        return None;
    }
    let (mut at, mut path) = (command, Vec::new());
    for word in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(below) = at.find_subcommand(word) {
            at = below;
            path.push(word.to_owned());
        }
    }
    Some(path)
}

/// Every word that may follow `help`.
pub(super) fn words(command: &Command) -> Vec<String> {
    let commands =
        command.get_subcommands().filter(|below| !below.is_hide_set()).map(|below| below.get_name().to_owned());
    let topics = topics::TOPICS.iter().map(|topic| topic_word(command, topic));
    commands.filter(|name| name != "help").chain(topics).collect()
}

/// What was asked for.
#[derive(Debug)]
enum Found {
    All,
    Command(Vec<String>),
    Topic(&'static Topic),
    /// An entry of the page on error codes.
    Code(&'static str),
    Nothing {
        word: String,
        near: Vec<String>,
    },
}

fn find(command: &Command, words: &[String]) -> Found {
    let Some(first) = words.first() else { return Found::All };
    if words.len() == 1 && command.find_subcommand(first).is_none() {
        let name = first.strip_prefix("docs/").unwrap_or(first);
        if let Some(topic) = topics::named(name.strip_suffix(".md").unwrap_or(name)) {
            return Found::Topic(topic);
        }
        if let Some(entry) = topics::on_code(first) {
            return Found::Code(entry);
        }
    }
    let mut at = command;
    for word in words {
        let Some(below) = at.find_subcommand(word) else {
            let (asked, known) = if topics::is_code(word) {
                (word.to_ascii_uppercase(), topics::codes())
            } else if std::ptr::eq(at, command) {
                (word.clone(), self::words(command))
            } else {
                (word.clone(), at.get_subcommands().map(|below| below.get_name().to_owned()).collect())
            };
            return Found::Nothing { word: word.clone(), near: near(&asked, &known) };
        };
        at = below;
    }
    Found::Command(words.to_vec())
}

/// The nearest of the words that are known, then those that it is a part of or that are a part of it; three at most.
fn near(word: &str, known: &[String]) -> Vec<String> {
    let nearest = nearest(word, known.iter().map(String::as_str));
    let parts = known.iter().map(String::as_str).filter(|other| {
        Some(*other) != nearest
            && word.len() > 2
            && (other.contains(word) || word.contains(other.trim_end_matches(".md")))
    });
    nearest.into_iter().chain(parts).take(3).map(str::to_owned).collect()
}

fn unknown(word: &str, near: &[String]) -> String {
    let meant = match near {
        [] => String::new(),
        near => format!(" Did you mean {}?", near.join(" or ")),
    };
    format!("there is no command and no topic {word}.{meant} `gts-bootstrap help` lists them all.")
}

/// What clap says of a command at `--help`.
pub(super) fn of_command(command: Command, path: &[String], around: &Surroundings) -> Exit {
    let line = ["gts-bootstrap".to_owned()].into_iter().chain(path.iter().cloned()).chain(["--help".to_owned()]);
    match as_wide_as(around, command).try_get_matches_from(line) {
        Err(told) => by_clap(&told, around),
        Ok(_) => Exit::Failed,
    }
}

/// Has clap break its lines for the terminal that is there, if one is.
pub(super) fn as_wide_as(around: &Surroundings, command: Command) -> Command {
    let size = around.output.size().or_else(|| around.errors.size());
    let columns = size.map(|(_, columns)| columns).or_else(|| around.variable("COLUMNS").parse().ok());
    command.term_width(columns.map_or(WIDTHS.1, |columns| columns.clamp(1, WIDTHS.1)))
}

/// Prints what clap has to say: help and version are "errors" too, with exit code 0.
pub(super) fn by_clap(told: &clap::Error, around: &Surroundings) -> Exit {
    let (stream, exit) = if told.use_stderr() { (&around.errors, Exit::Usage) } else { (&around.output, Exit::Done) };
    let text = told.render();
    let text = if stream.size().is_some() && has_colors(around) { text.ansi().to_string() } else { text.to_string() };
    if stream.write(text.as_bytes()).is_ok() { exit } else { Exit::Failed }
}

/// The word that leads to a topic: its name, with the file's ending if there is a command of the same name.
fn topic_word(command: &Command, topic: &Topic) -> String {
    let taken = command.find_subcommand(topic.name).is_some();
    format!("{}{}", topic.name, if taken { ".md" } else { "" })
}

/// The list of topics.
fn listing(command: &Command) -> String {
    let words: Vec<String> = topics::TOPICS.iter().map(|topic| topic_word(command, topic)).collect();
    let width = words.iter().map(String::len).max().unwrap_or_default();
    let lines = topics::TOPICS.iter().zip(&words);
    let lines: String = lines.map(|(topic, word)| format!("  {word:<width$}  {}\n", topic.title())).collect();
    format!(
        "\nTopics, to be read with `gts-bootstrap help TOPIC | less`:\n{lines}\nErrors have codes: `gts-bootstrap help GTSB-LOCKED` explains one \
         of them.\n"
    )
}

/// A piece of a page, as wide as the terminal.
fn in_print(text: &str, screen: &Screen) -> Exit {
    let columns = screen.around().output.size().map_or(USUAL, |(_, columns)| columns).clamp(WIDTHS.0, WIDTHS.1);
    screen.print(&page::render(text, columns - 1, screen));
    Exit::Done
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn find_words(line: &str) -> Found {
        let mut command = Cli::command();
        command.build();
        find(&command, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn commands_and_topics_are_found() {
        assert!(matches!(find_words(""), Found::All));
        for line in ["install", "portacl", "portacl grant", "help"] {
            assert!(matches!(find_words(line), Found::Command(path) if path.join(" ") == line), "{line}");
        }
        for (line, name) in [("answers", "answers"), ("install.md", "install"), ("docs/portacl.md", "portacl")] {
            assert!(matches!(find_words(line), Found::Topic(topic) if topic.name == name), "{line}");
        }
        for line in ["GTSB-LOCKED", "gtsb-locked"] {
            assert!(matches!(find_words(line), Found::Code(entry) if entry.starts_with("### GTSB-LOCKED")), "{line}");
        }
        assert!(matches!(find_words("GTSB-NOTHING"), Found::Nothing { .. }));
    }

    #[test]
    fn help_below_a_command_is_help_of_that_command() {
        let asked = |line: &str| {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let error = Cli::command().try_get_matches_from(&arguments).unwrap_err();
            asked_below(&Cli::command(), &error, &arguments).map(|path| path.join(" "))
        };
        assert_eq!(asked("gts-bootstrap portacl help"), Some("portacl".to_owned()));
        assert_eq!(asked("gts-bootstrap --rehearse x portacl help grant"), Some("portacl grant".to_owned()));
        assert_eq!(asked("gts-bootstrap portacl nothing"), None);
        assert_eq!(asked("gts-bootstrap install --nothing"), None);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is_near() {
        for (line, wrong, expected) in [
            ("anwsers", "anwsers", "answers"),
            ("portalc", "portalc", "portacl"),
            ("portacl gant", "gant", "grant"),
            ("acl", "acl", "portacl"),
            ("gtsb-lockd", "gtsb-lockd", "GTSB-LOCKED"),
            ("GTSB-PORT", "GTSB-PORT", "GTSB-PORT-TAKEN"),
        ] {
            let Found::Nothing { word, near } = find_words(line) else { panic!("{line} was found") };
            assert_eq!(word, wrong);
            assert!(near.iter().any(|near| near == expected), "{line}: {near:?}");
        }
        let Found::Nothing { word, near } = find_words("xyzzyxyzzy") else { panic!("it was found") };
        assert_eq!(
            unknown(&word, &near),
            "there is no command and no topic xyzzyxyzzy. `gts-bootstrap help` lists them all."
        );
    }
}
