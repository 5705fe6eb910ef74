//! `help`: the commands, what each takes, what an error code means, and the pages of `docs/`, which are in the program so that
//! they can be read on a server without internet.

mod page;
mod topics;

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue};

use super::report;
use super::screen::{Screen, has_colors};
use super::surroundings::Surroundings;
use super::text::Text;
use crate::deployment::nearest;
use crate::error_code::ErrorCode;
use crate::run::{Exit, Report, Stop};

/// The narrowest and the widest line of a page, in columns.
const WIDTHS: (usize, usize) = (40, 100);
/// Columns where there is no terminal.
const USUAL: usize = 80;

/// Runs `help`.
pub(super) fn run(command: Command, words: &[String], screen: &Screen) -> Exit {
    if screen.global.json {
        let why = "`help` prints texts for people, so there is no --json of it; leave --json out";
        return report::finish(Report::new("help"), screen, Err(Stop::usage(why)));
    }
    match find(&command, words) {
        Ok(None) => {
            let listing = listing(&command);
            let printed = of_command(command, words, &screen.around);
            if words.is_empty() {
                screen.print(&listing);
            } else if let [name] = words
                && let Some(topic) = topics::named(name)
            {
                screen.print(format!("\nThe page \"{}\": gts-bootstrap help {name}.md\n", topics::title(topic)));
            }
            printed
        }
        Ok(Some(text)) => {
            let columns = screen.around.output.size().map_or(USUAL, |(_, columns)| columns).clamp(WIDTHS.0, WIDTHS.1);
            screen.print(page::render(text, columns - 1, screen));
            Exit::Done
        }
        Err(why) => {
            screen.error(ErrorCode::Usage, &why);
            Exit::Usage
        }
    }
}

/// The command that `portacl help` or `portacl help grant` means: `help` is a command of the program, and of no command.
pub(super) fn asked_below(command: &Command, error: &clap::Error, arguments: &[OsString]) -> Option<Vec<String>> {
    let unknown = error.get(ContextKind::InvalidSubcommand);
    if !matches!(unknown, Some(ContextValue::String(word)) if word == "help") {
        return None;
    }
    let mut at = command;
    let below = arguments.iter().skip(1).filter_map(|word| {
        at = at.find_subcommand(word)?;
        Some(at.get_name().to_owned())
    });
    Some(below.collect())
}

/// Every word that may follow `help`.
pub(super) fn words(command: &Command) -> Vec<String> {
    let commands = command.get_subcommands().filter(|below| !below.is_hide_set()).map(Command::get_name);
    let topics = topics::TOPICS.iter().map(|(name, _)| topic_word(command, name));
    commands.filter(|name| *name != "help").map(str::to_owned).chain(topics).collect()
}

/// The page or the entry of an error code that is meant; `None` for a command, or the list of all.
fn find(command: &Command, words: &[String]) -> Result<Option<&'static str>, String> {
    if let [word] = words
        && command.find_subcommand(word).is_none()
    {
        let name = word.strip_prefix("docs/").unwrap_or(word);
        let topic = topics::named(name.strip_suffix(".md").unwrap_or(name));
        if let Some(text) = topic.or_else(|| topics::on_code(word)) {
            return Ok(Some(text));
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
            let near = near(&asked, &known);
            let meant = if near.is_empty() { String::new() } else { format!(" Did you mean {}?", near.join(" or ")) };
            return Err(format!(
                "there is no command and no topic {word}.{meant} `gts-bootstrap help` lists them all."
            ));
        };
        at = below;
    }
    Ok(None)
}

/// The nearest known word, then those that contain the word or are contained in it; three at most.
fn near<'a>(word: &str, known: &'a [String]) -> Vec<&'a str> {
    let nearest = nearest(word, known.iter().map(String::as_str));
    let parts = known.iter().map(String::as_str).filter(|other| {
        Some(*other) != nearest
            && word.len() > 2
            && (other.contains(word) || word.contains(other.trim_end_matches(".md")))
    });
    nearest.into_iter().chain(parts).take(3).collect()
}

/// Prints what clap prints for `--help` of a command.
pub(super) fn of_command(command: Command, path: &[String], around: &Surroundings) -> Exit {
    let line = ["gts-bootstrap"].into_iter().chain(path.iter().map(String::as_str)).chain(["--help"]);
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
    let colors = stream.size().is_some() && has_colors(around);
    let text = if colors { Text::of_clap(&text.ansi().to_string()) } else { Text::from(text.to_string()) };
    if stream.write(&text).is_ok() { exit } else { Exit::Failed }
}

/// The word for a topic: its name, with the file's ending if there is a command of the same name.
fn topic_word(command: &Command, name: &str) -> String {
    let ending = if command.find_subcommand(name).is_some() { ".md" } else { "" };
    format!("{name}{ending}")
}

/// The list of topics.
fn listing(command: &Command) -> String {
    let words: Vec<String> = topics::TOPICS.iter().map(|(name, _)| topic_word(command, name)).collect();
    let width = words.iter().map(String::len).max().unwrap_or_default();
    let lines = topics::TOPICS.iter().zip(&words);
    let lines: String = lines.map(|((_, page), word)| format!("  {word:<width$}  {}\n", topics::title(page))).collect();
    format!(
        "\nTopics, to be read with `gts-bootstrap help TOPIC | less`:\n{lines}\nErrors have codes: `gts-bootstrap help GTSB-LOCKED` explains one \
         of them.\n"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn find_words(line: &str) -> Result<Option<&'static str>, String> {
        find(&Cli::command(), &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn commands_and_topics_are_found() {
        assert_eq!(find_words(""), Ok(None));
        for line in ["install", "portacl", "portacl grant", "help"] {
            assert_eq!(find_words(line), Ok(None), "{line}");
        }
        for (line, name) in [("answers", "answers"), ("install.md", "install"), ("docs/portacl.md", "portacl")] {
            assert_eq!(find_words(line), Ok(Some(topics::named(name).unwrap())), "{line}");
        }
        for line in ["GTSB-LOCKED", "gtsb-locked"] {
            assert!(find_words(line).unwrap().unwrap().starts_with("### GTSB-LOCKED"), "{line}");
        }
        assert!(find_words("GTSB-NOTHING").is_err());
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
            let why = find_words(line).unwrap_err();
            let begin = format!("there is no command and no topic {wrong}. Did you mean ");
            let near = why.strip_prefix(&begin).unwrap().split('?').next().unwrap();
            assert!(near.split(" or ").any(|near| near == expected), "{line}: {why}");
        }
        assert_eq!(
            find_words("xyzzyxyzzy").unwrap_err(),
            "there is no command and no topic xyzzyxyzzy. `gts-bootstrap help` lists them all."
        );
    }
}
