//! Rules for tcsh's builtin `complete` (tcsh(1)).
//!
//! A rule is `WORD/PATTERN/LIST/`: `n` looks at the word before the one being typed, `C` at its own beginning, `p` at its
//! number. tcsh takes the first rule that fits, and `n` is content if the word only begins so: longer patterns go first. No rule can look
//! at two words at once, so which options fit, after `filter deny` as opposed to `install`, cannot be written
//! down; for these tcsh runs the program, which finds the line in `COMMAND_LINE`.

use std::collections::BTreeMap;

use clap::builder::PossibleValue;
use clap::{Arg, Command, ValueHint};

/// The script to be sourced.
pub(super) fn script(command: &mut Command, program: &str) -> String {
    command.build();
    let mut next = BTreeMap::new();
    gather(command, &mut next);
    let mut next: Vec<(String, String)> = next.into_iter().collect();
    next.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    // Nothing after the last slash: tcsh adds no space after an equals sign.
    let rule =
        |(word, list): (String, String)| format!("'n/{word}/{list}/{}'", if list.contains("= ") { "/" } else { "" });
    let mut rules: Vec<String> = next.into_iter().map(rule).collect();
    rules.push(format!("'C/-/`{program} completions tcsh --options`/'"));
    rules.push(format!("'p/1/{}/'", group(names(command))));
    format!("# Completion of {program} for tcsh and csh.\ncomplete {program} \\\n\t{}\n", rules.join(" \\\n\t"))
}

/// The options that fit a line, one a line.
pub(super) fn options(command: &mut Command, line: &str) -> String {
    // Options of every command are put to each of them by this.
    command.build();
    let mut found = &*command;
    for word in line.split_whitespace().skip(1) {
        found = found.find_subcommand(word).unwrap_or(found);
    }
    let options = found.get_arguments().filter(|argument| !argument.is_hide_set());
    options.filter_map(Arg::get_long).map(|long| format!("--{long}\n")).collect()
}

/// What may follow a word: the commands below a command, or what its first argument can be; what an option can be.
fn gather(command: &Command, next: &mut BTreeMap<String, String>) {
    for option in command.get_arguments().filter(|option| option.get_action().takes_values() && !option.is_hide_set()) {
        let long = option.get_long().map(|long| format!("--{long}"));
        for word in long.into_iter().chain(option.get_short().map(|short| format!("-{short}"))) {
            next.entry(word).or_insert_with(|| values(option));
        }
    }
    for below in visible(command) {
        let name = below.get_name().to_owned();
        if below.has_subcommands() {
            next.insert(name, group(names(below)));
        } else if let Some(first) = below.get_positionals().next() {
            next.entry(name).or_insert_with(|| values(first));
        }
        gather(below, next);
    }
}

/// The list of a rule.
fn values(argument: &Arg) -> String {
    let possible = argument.get_possible_values();
    if !possible.is_empty() {
        return group(possible.iter().map(PossibleValue::get_name));
    }
    match argument.get_value_hint() {
        ValueHint::DirPath => "d".to_owned(),
        ValueHint::AnyPath | ValueHint::FilePath => "f".to_owned(),
        // Completes nothing, and shows what it should be.
        _ => {
            let name = argument.get_value_names().and_then(|names| names.first()).map_or("VALUE", |name| name.as_str());
            format!("x:<{name}>")
        }
    }
}

fn group<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    format!("({})", words.into_iter().collect::<Vec<_>>().join(" "))
}

fn names(command: &Command) -> impl Iterator<Item = &str> {
    visible(command).map(Command::get_name)
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn rules() -> String {
        script(&mut super::super::with_words(Cli::command()), "gts-bootstrap")
    }

    #[test]
    fn commands_options_and_values_have_their_rules() {
        let rules = rules();
        for rule in [
            "'n/--color/(auto always never)/'",
            "'n/--answers/f/'",
            "'n/--rehearse/d/'",
            "'n/--set/(host= exposure.mode=direct ",
            "'n/portacl/(show explain lint grant revoke apply)/'",
            "'n/switch-to-proxy/(nginx httpd)/'",
            "'n/import/f/'",
            "'n/completions/(bash fish tcsh zsh)/'",
            "'p/1/(install check ",
        ] {
            assert!(rules.contains(rule), "{rule} is not in:\n{rules}");
        }
    }

    #[test]
    fn of_two_words_that_begin_alike_the_longer_goes_first() {
        let rules = rules();
        let at = |rule: &str| rules.find(rule).unwrap_or_else(|| panic!("{rule} is not in:\n{rules}"));
        assert!(at("'n/deny-agent/") < at("'n/deny/"));
    }

    #[test]
    fn nothing_stands_in_a_rule_that_would_end_it() {
        for line in rules().lines().skip(2) {
            let rule = line.trim().trim_end_matches(" \\");
            assert_eq!(rule.matches('/').count(), if rule.contains("--set") { 4 } else { 3 }, "{rule}");
            assert_eq!(rule.matches('\'').count(), 2, "{rule}");
        }
    }

    #[test]
    fn options_are_those_of_the_command_in_the_line() {
        let of = |line: &str| -> Vec<String> {
            options(&mut super::super::with_words(Cli::command()), line).lines().map(str::to_owned).collect()
        };
        let has = |line: &str, option: &str| of(line).iter().any(|known| known == option);
        assert!(has("gts-bootstrap -", "--version") && !has("gts-bootstrap -", "--answers"));
        assert!(has("gts-bootstrap install --", "--answers") && has("gts-bootstrap install --", "--json"));
        assert!(has("gts-bootstrap --rehearse demo filter rate /api 5/s --b", "--burst"));
        assert!(!has("gts-bootstrap filter deny --", "--burst"));
        assert!(!has("gts-bootstrap completions --", "--options"), "it is hidden");
    }
}
