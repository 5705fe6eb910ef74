//! Every command in README.md, CONTRIBUTING.md and `docs/` is run, on a rehearsal. The convention is in CONTRIBUTING.md, "Commands in
//! documents".
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod host;
mod page;
mod picture;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

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
    facts: "docs/facts.md",
    filters: "docs/filters.md",
    freebsd_host: "docs/freebsd-host.md",
    fronts: "docs/fronts.md",
    index: "docs/README.md",
    install: "docs/install.md",
    jails: "docs/jails.md",
    monitoring: "docs/monitoring.md",
    port: "docs/port.md",
    portacl: "docs/portacl.md",
    portacl_rc: "docs/portacl-rc.md",
    proxy: "docs/proxy.md",
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
    assert_eq!(there, played, "add the page to `pages!` in tests/documents/main.rs");
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

/// The name that a heading has in links.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
