//! The man page against the program: whatever `--help` names stands in it, and it names nothing that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::process::Command;

use gts_bootstrap::deployment::{SECRET_KEYS, environment_name};

const PAGE: &str = include_str!("../man/gts-bootstrap.8");
/// The subsection of the options that belong to no single command.
const GLOBAL: &str = "Options of every command";

/// An option, as far as page and help both tell it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Flag {
    short: Option<String>,
    long: String,
    takes_value: bool,
}

/// The options of each command.
type Commands = BTreeMap<String, BTreeSet<Flag>>;

fn help(path: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gts-bootstrap")).args(path).arg("--help").output().unwrap();
    assert!(output.status.success(), "{path:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Options stand on lines of their own, two or (without a short form) six blanks in.
fn options_in_help(text: &str) -> BTreeSet<Flag> {
    text.lines()
        .filter(|line| line.starts_with("  -") || line.starts_with("      --"))
        .map(|line| {
            let mut words = line.split_whitespace().map(|word| word.trim_end_matches(','));
            let first = words.next().unwrap();
            let (short, long) = match first.strip_prefix("--") {
                Some(long) => (None, long),
                None => (Some(first[1..].to_owned()), words.next().unwrap().strip_prefix("--").unwrap()),
            };
            let takes_value = words.next().is_some_and(|word| word.starts_with('<'));
            Flag { short, long: long.to_owned(), takes_value }
        })
        .collect()
}

fn subcommands_in_help(text: &str) -> Vec<String> {
    text.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect()
}

/// The program's commands that do something, each with the options that only it has.
fn of_program() -> Commands {
    let global = options_in_help(&help(&[]));
    let mut commands = Commands::from([(GLOBAL.to_owned(), global.clone())]);
    let mut waiting = vec![Vec::new()];
    while let Some(path) = waiting.pop() {
        let text = help(&path);
        let below = subcommands_in_help(&text);
        if below.is_empty() {
            let own = options_in_help(&text).difference(&global).cloned().collect();
            commands.insert(path.join(" "), own);
        }
        for name in below {
            // Every level has its `help`, and asking that for help gives the level above.
            if name == "help" {
                commands.insert(name, BTreeSet::new());
            } else {
                waiting.push([path.clone(), vec![name]].concat());
            }
        }
    }
    commands
}

/// The lines of one section of the page.
fn section(title: &str) -> Vec<&'static str> {
    let heading = format!(".Sh {title}");
    let lines: Vec<&str> =
        PAGE.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with(".Sh ")).collect();
    assert!(!lines.is_empty(), "there is no section {title}");
    lines
}

/// The arguments of a macro in a line: of `.It Fl v , Fl -verbose` those of `Fl` are `v` and `-verbose`.
fn arguments<'a>(line: &'a str, name: &str) -> Vec<&'a str> {
    let Some(line) = line.strip_prefix('.') else { return Vec::new() };
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(2).filter(|pair| pair[0] == name).map(|pair| pair[1]).collect()
}

fn of_page() -> Commands {
    let mut commands = Commands::new();
    let mut title = String::new();
    for line in section("DESCRIPTION") {
        if let Some(next) = line.strip_prefix(".Ss ") {
            title = next.to_owned();
            assert!(commands.insert(title.clone(), BTreeSet::new()).is_none(), "{title} stands there twice");
        } else if line.starts_with(".It Fl ") {
            let names = arguments(line, "Fl");
            let long = names.last().unwrap().strip_prefix('-').unwrap().to_owned();
            let short = (names.len() == 2).then(|| names[0].to_owned());
            let flag = Flag { short, long, takes_value: !arguments(line, "Ar").is_empty() };
            assert!(commands.get_mut(&title).unwrap().insert(flag), "{line} stands there twice");
        }
    }
    commands
}

#[test]
fn commands_and_options_are_those_of_the_program() {
    assert_eq!(of_page(), of_program());
}

#[test]
fn the_synopsis_has_every_command_with_its_own_options() {
    let mut synopsis: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut command = String::new();
    for line in section("SYNOPSIS") {
        // A word that can only be one of several stands with bars between.
        if let Some(name) = line.strip_prefix(".Cm ").filter(|name| !name.contains('|')) {
            command = name.to_owned();
            synopsis.insert(command.clone(), BTreeSet::new());
        }
        for flag in arguments(line, "Fl") {
            synopsis.get_mut(&command).unwrap().insert(flag.strip_prefix('-').unwrap().to_owned());
        }
    }
    let program: BTreeMap<String, BTreeSet<String>> = of_program()
        .into_iter()
        .filter(|(name, _)| name != GLOBAL)
        .map(|(name, flags)| (name, flags.into_iter().map(|flag| flag.long).collect()))
        .collect();
    assert_eq!(synopsis, program);
}

#[test]
fn nowhere_an_option_is_named_that_does_not_exist() {
    let known: BTreeSet<String> = of_program()
        .into_values()
        .flatten()
        .flat_map(|flag| flag.short.into_iter().chain([format!("-{}", flag.long)]))
        .collect();
    for line in PAGE.lines() {
        for flag in arguments(line, "Fl") {
            assert!(known.contains(flag), "there is no option -{flag}: {line}");
        }
    }
    // The examples are literal text.
    let examples = section("EXAMPLES").join(" ");
    for word in examples.split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(known.contains(&word[1..]), "there is no option {word}");
    }
}

#[test]
fn the_environment_has_every_secret_and_no_other() {
    let on_page: BTreeSet<&str> = section("ENVIRONMENT")
        .iter()
        .filter(|line| line.starts_with(".It Ev "))
        .flat_map(|line| line.split_whitespace().skip(2))
        .filter(|word| word.starts_with("GTS_"))
        .collect();
    let secrets: Vec<String> = SECRET_KEYS.iter().map(|key| environment_name(key)).collect();
    assert_eq!(on_page, secrets.iter().map(String::as_str).collect());
}

#[test]
fn the_exit_statuses_are_those_of_the_help() {
    let on_page: Vec<&str> = section("EXIT STATUS").iter().filter_map(|line| line.strip_prefix(".It ")).collect();
    let text = help(&[]).split_whitespace().collect::<Vec<_>>().join(" ");
    let told = text.split_once("Exit codes: ").unwrap().1;
    let codes: Vec<&str> = told.split("; ").map(|code| code.split(' ').next().unwrap()).collect();
    assert_eq!(on_page, codes);
    assert_eq!(codes.first(), Some(&"0"));
}

#[test]
fn every_file_that_an_installation_writes_is_among_the_files() {
    let named: Vec<&str> = section("FILES")
        .iter()
        .filter_map(|line| line.strip_prefix(".It Pa "))
        .flat_map(|paths| paths.split(" , "))
        .collect();
    for mode in ["direct", "nginx", "httpd"] {
        for path in written_in(mode) {
            assert!(named.iter().any(|name| std::path::Path::new(&path).starts_with(name)), "{path} is not in FILES");
        }
    }
}

/// The files that an installation in this mode writes.
fn written_in(mode: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
        .args(["install", "--plan", "--json", "--set", "host=a.example", "--set", "tls.email=admin@a.example"])
        .args(["--set", &format!("exposure.mode={mode}"), "--rehearse"])
        .arg(folder.path())
        .env("GTS_SMTP_PASSWORD", "hunter2")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let written: Vec<String> = report["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| ["file", "symlink", "release"].contains(&change["kind"].as_str().unwrap()))
        .map(|change| change["target"].as_str().unwrap().to_owned())
        .collect();
    assert!(written.iter().any(|path| path.ends_with("deployment.secrets.toml")), "{written:?}");
    written
}

#[test]
fn mandoc_has_nothing_to_say_about_it() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/gts-bootstrap.8");
    match Command::new("mandoc").args(["-Tlint", "-Wwarning", page]).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
        }
        // tests/run installs it; who runs `cargo test` alone need not have it.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("mandoc is not installed: the page was not linted")
        }
        Err(error) => panic!("mandoc: {error}"),
    }
}
