//! Every command in README.md, CONTRIBUTING.md and `docs/` is run, on a rehearsal. The convention is in CONTRIBUTING.md, "Commands in
//! documents".

mod host;
mod page;
mod picture;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use gts_bootstrap::change::{Action, Change};
use gts_bootstrap::cli::Cli;
use page::{Block, COMMANDS, Order, blocks};
use stage::Stage;

/// How many blocks are not run, by page. A new one is to be thought about twice, so its number is to be raised here.
const NOT_RUN: [(&str, usize); 2] = [("docs/backup.md", 1), ("docs/port.md", 1)];

/// Plays a page from its beginning to its end.
#[track_caller]
fn play(name: &str) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let mut stage = None;
    for block in blocks(&text).unwrap_or_else(|why| panic!("{name}, {why}")) {
        if let Err(why) = play_block(&mut stage, &block) {
            panic!("{name}:{}: {why}", block.line);
        }
    }
}

/// Plays a block on the machine that the blocks before it have left, or on a new one.
fn play_block(stage: &mut Option<Stage>, block: &Block) -> Result<(), String> {
    if block.not_run.is_some() || (!COMMANDS.contains(&block.language.as_str()) && block.orders.is_empty()) {
        return Ok(());
    }
    for order in &block.orders {
        if let Order::On(machine) = order {
            *stage = Some(Stage::on(machine)?);
        }
    }
    match stage {
        Some(stage) => stage.play(block),
        None => stage.insert(Stage::on("a fresh machine")?).play(block),
    }
}

macro_rules! pages {
    ($($test:ident: $name:literal),* $(,)?) => {
        const PAGES: &[&str] = &[$($name),*];
        $(#[test] fn $test() { play($name); })*
    };
}

pages! {
    acceptance: "docs/acceptance.md",
    air_gapped: "docs/air-gapped.md",
    ansible: "docs/ansible.md",
    answers: "docs/answers.md",
    architecture: "docs/architecture.md",
    backup: "docs/backup.md",
    certificates: "docs/certificates.md",
    changelog: "CHANGELOG.md",
    contributing: "CONTRIBUTING.md",
    decisions: "docs/decisions.md",
    facts: "docs/facts.md",
    files: "docs/files.md",
    filters: "docs/filters.md",
    freebsd_host: "docs/freebsd-host.md",
    fronts: "docs/fronts.md",
    index: "docs/README.md",
    install: "docs/install.md",
    jails: "docs/jails.md",
    journal: "docs/journal.md",
    json: "docs/json.md",
    monitoring: "docs/monitoring.md",
    package: "docs/package.md",
    port: "docs/port.md",
    portacl: "docs/portacl.md",
    portacl_rc: "docs/portacl-rc.md",
    promises: "docs/promises.md",
    proxy: "docs/proxy.md",
    questions: "docs/questions.md",
    rc_d: "docs/rc.d.md",
    readme: "README.md",
    recovery: "docs/recovery.md",
    troubleshooting: "docs/troubleshooting.md",
    rehearsal: "docs/rehearsal.md",
    security: "SECURITY.md",
    tutorial: "docs/tutorial.md",
    uninstall: "docs/uninstall.md",
    upgrade: "docs/upgrade.md",
}

fn markdown(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}{name}")).collect()
}

#[test]
fn every_page_is_played() {
    let there: BTreeSet<String> = markdown("docs/").into_iter().chain(markdown("")).collect();
    let played: BTreeSet<String> = PAGES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(there, played, "add the page to `pages!` in tests/documents/mod.rs");
}

#[test]
fn what_is_not_run_is_known() {
    let mut found = BTreeMap::new();
    for name in PAGES {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        let count = blocks(&text).unwrap().iter().filter(|block| block.not_run.is_some()).count();
        if count > 0 {
            found.insert(*name, count);
        }
    }
    assert_eq!(found, BTreeMap::from(NOT_RUN));
}

/// A link that leads nowhere is found by whoever follows it, unless this finds it first.
#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut lost = Vec::new();
    for name in PAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let has_anchor = || {
                let page = fs::read_to_string(&file).unwrap();
                page.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor)
            };
            if !file.exists() || !(anchor.is_empty() || has_anchor()) {
                lost.push(format!("{name}: {target}"));
            }
        }
    }
    assert_eq!(lost, Vec::<String>::new());
}

/// Other programs rely on what `docs/json.md` says about `--json`.
#[test]
fn every_kind_of_change_is_in_the_page_on_json() {
    let of_repository = |name: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let page = of_repository("docs/json.md");
    let list = page.split("`kind` is one of ").nth(1).unwrap().split_once(". `action` is one of ").unwrap();
    let words = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<String>>();
    // A line of each, which tests/rehearsal/receipts.rs sees to.
    let mut kinds = BTreeSet::new();
    for line in of_repository("tests/fixtures/receipts/1-every-kind.jsonl").lines() {
        changes(&serde_json::from_str(line).unwrap(), &mut |change| {
            kinds.insert(serde_json::from_value::<Change>(change.clone()).unwrap().kind().name().to_owned());
        });
    }
    assert_eq!(words(list.0), kinds);
    let actions = words(list.1.split(".\n").next().unwrap());
    for action in &actions {
        assert!(serde_json::from_value::<Action>(action.as_str().into()).is_ok(), "there is no action {action}");
    }
    assert_eq!(actions.len(), 10);
}

/// Finds the changes in a line of a receipt.
fn changes(value: &serde_json::Value, found: &mut dyn FnMut(&serde_json::Value)) {
    match value {
        serde_json::Value::Object(members) => members.iter().for_each(|(name, member)| match name.as_str() {
            "change" => found(member),
            _ => changes(member, found),
        }),
        serde_json::Value::Array(items) => items.iter().for_each(|item| changes(item, found)),
        _ => {}
    }
}

/// A command in the midst of a sentence is typed as well by whoever reads it.
#[test]
fn every_command_in_a_sentence_or_a_file_exists() {
    let mut wrong = Vec::new();
    for name in PAGES {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        let data = blocks(&text).unwrap().into_iter().filter(|block| !COMMANDS.contains(&block.language.as_str()));
        let in_data: Vec<String> =
            data.flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        let in_sentences = in_code(&text);
        for code in in_sentences.iter().chain(&in_data) {
            // "another gts-bootstrap is at work" is what is printed.
            for command in code.split("gts-bootstrap ").skip(1).filter(|command| !command.starts_with("is ")) {
                if let Err(why) = exists(command) {
                    wrong.push(format!("{name}: {code}: {why}"));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(exists("portacl grand www").is_err() && exists("install --answer x").is_err());
    assert!(exists("--rehearse DIR portacl grant www 80,443 --yes").is_ok());
}

/// What stands between backquotes outside of blocks, with its lines joined.
fn in_code(page: &str) -> Vec<String> {
    let outside: String = page.split("```").step_by(2).collect();
    outside.split('`').skip(1).step_by(2).map(|code| code.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Whether the commands and options of a line are those of the program.
fn exists(line: &str) -> Result<(), String> {
    let program = Cli::command();
    let (mut at, mut takes_value) = (&program, false);
    for word in line.split([' ', '"', '`', ')', ';', '|']).take_while(|word| !word.is_empty() && *word != "#") {
        let named = |argument: &&clap::Arg| {
            let long = word.split('=').next().and_then(|word| word.strip_prefix("--"));
            long.map_or_else(
                || word.strip_prefix('-').and_then(|short| short.chars().next()) == argument.get_short(),
                |long| argument.get_long() == Some(long),
            )
        };
        if std::mem::take(&mut takes_value) {
            continue;
        }
        if word.starts_with('-') && !["--help", "--version", "-h"].contains(&word) {
            let known = at.get_arguments().chain(program.get_arguments()).find(named);
            let known = known.ok_or_else(|| format!("there is no option {word}"))?;
            takes_value = known.get_action().takes_values() && !word.contains('=');
        } else if at.has_subcommands() {
            let beneath = word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !word.starts_with('-');
            match at.find_subcommand(word) {
                Some(below) => at = below,
                None if beneath => return Err(format!("there is no command {word}")),
                None => {}
            }
        }
    }
    Ok(())
}

/// The name that a heading has in links.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
