//! Receipts stay readable for ever: real ones of every schema are kept in `tests/fixtures/receipts/SCHEMA/`, and every kind of
//! line of the present one in `tests/fixtures/receipts/SCHEMA-every-kind.jsonl`.
//!
//! A change of the form that makes these tests fail needs a new [`SCHEMA`], a reader for the old one, and fixtures of the new one
//! beside the old, which are never edited. Until a first version is out, a new kind of change adds a line to the file, and
//! `cargo test --test integration -- --ignored receipts_are_recorded` makes the real ones again.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use gts_bootstrap::change::certificate::CertificateChange;
use gts_bootstrap::change::journal::{self, Line, Outcome, SCHEMA};
use gts_bootstrap::change::{BackupChange, Change, Prior, SetRcVariable, TestFront, Thing};
use gts_bootstrap::host::rehearsal::{ChangeFault, Rehearsal};
use gts_bootstrap::parts::uninstall::ledger::Ledger;

use super::backup::backups;
use crate::machine::{ANSWERS, Machine};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/receipts")
}

fn names(schema: u32) -> Vec<String> {
    let folder = fixtures().join(schema.to_string());
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Puts the receipts of a schema on a machine.
fn with_receipts(machine: &Machine, schema: u32) {
    let folder = machine.path("/var/db/gts-bootstrap/receipts");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for name in names(schema) {
        fs::copy(fixtures().join(schema.to_string()).join(&name), folder.join(name)).unwrap();
    }
}

/// What the recorded receipts tell of, from the first to the last but two, which fail: `PATH` is the backup.
const STORY: &[&[&str]] = &[
    &["portacl", "grant", "bind", "53"],
    &["filter", "deny", "203.0.113.0/24"],
    &["switch-to-proxy"],
    &["filter", "deny-agent", "BadBot"],
    &["certificate", "renew", "--force"],
    &["switch-to-proxy", "httpd"],
    &["switch-to-direct"],
    &["portacl", "revoke", "bind", "53"],
    &["backup"],
    &["upgrade", "--release", "0.20.0-rc1"],
    &["rollback"],
    &["restore", "PATH"],
];

#[test]
#[ignore = "writes the fixtures, which are settled once a first version is out"]
fn receipts_are_recorded() {
    let mut machine = Machine::fresh();
    machine.install(&format!("{ANSWERS}\n[admin]\nusername = \"someone\"\nemail = \"someone@example.org\"\n")).exits(0);
    for command in STORY {
        let path = if command.contains(&"PATH") { backups(&machine).pop().unwrap() } else { PathBuf::new() };
        let words: Vec<&str> =
            command.iter().map(|word| if *word == "PATH" { path.to_str().unwrap() } else { word }).collect();
        machine.run(&[&words[..], &["--yes"]].concat()).exits(0);
    }
    let root = machine.root();
    for (command, word) in [("switch-to-proxy", "\"undone\":"), ("uninstall", "\"failed\":")] {
        // What fails may be the journal, too, which then has no word for it.
        let failed = |after| {
            let machine = machine.copy();
            let fault = ChangeFault { after, takes_effect: false, lasting: false, errno: 5 };
            machine.edit(|model| model.faults.change = Some(fault));
            machine.run(&[command, "--yes"]).exits(1);
            machine.edit(|model| model.faults.change = None);
            let receipts = fs::read_dir(machine.path("/var/db/gts-bootstrap/receipts")).unwrap();
            let newest = receipts.map(|entry| entry.unwrap().path()).max().unwrap();
            fs::read_to_string(newest).unwrap().contains(word).then_some(machine)
        };
        machine = (20..).find_map(failed).unwrap();
    }
    let folder = fixtures().join(SCHEMA.to_string());
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(machine.path("/var/db/gts-bootstrap/receipts")).unwrap() {
        let entry = entry.unwrap();
        // The backup is where the rehearsal is.
        let text = fs::read_to_string(entry.path()).unwrap().replace(root.to_str().unwrap(), "");
        fs::write(folder.join(entry.file_name()), text).unwrap();
    }
}

#[test]
fn receipts_of_every_schema_can_be_read() {
    for schema in 1..=SCHEMA {
        let machine = Machine::fresh();
        with_receipts(&machine, schema);
        let host = Rehearsal::open(machine.root()).unwrap();
        let receipts = journal::receipts(&host).unwrap();
        assert!(receipts.len() >= 10 && receipts.len() == names(schema).len(), "schema {schema}");
        for (name, lines) in &receipts {
            assert!(matches!(lines.first(), Some(Line::Begin { schema: of, .. }) if *of == schema), "{name}");
            assert!(matches!(lines.last(), Some(Line::End { .. })), "{name}");
        }
        // They tell of an installation that was taken back in the end, but for the data.
        let ledger = Ledger::read(&host).unwrap();
        assert_eq!(ledger.served.as_deref(), Some("social.example.org"));
        assert!(ledger.of(&Thing::Path("/var/db/gotosocial".into())).is_some());
        assert!(ledger.of(&Thing::Path("/usr/local/etc/rc.d/gotosocial".into())).is_none());
    }
}

#[test]
fn an_uninstallation_can_be_planned_from_receipts_of_every_schema() {
    for schema in 1..=SCHEMA {
        let machine = Machine::installed(ANSWERS);
        with_receipts(&machine, schema);
        for name in names(schema).iter().filter(|name| name.ends_with("uninstall.jsonl")) {
            fs::remove_file(machine.path(&format!("/var/db/gts-bootstrap/receipts/{name}"))).unwrap();
        }
        let json = machine.run(&["uninstall", "--purge", "--plan", "--json"]).exits(0).json();
        let targets: BTreeSet<&str> =
            json["changes"].as_array().unwrap().iter().map(|change| change["target"].as_str().unwrap()).collect();
        for target in [
            "gotosocial",
            "gotosocial_enable",
            "gts_portacl_guard_enable",
            "mac_portacl",
            "net.inet.ip.portrange.reservedhigh",
            "/usr/local/bin/gotosocial",
            "/usr/local/etc/rc.d/gotosocial",
            "/usr/local/libexec/gotosocial/0.19.2",
            "/var/db/gotosocial/storage",
        ] {
            assert!(targets.contains(target), "schema {schema}: {target} is not in {targets:?}");
        }
    }
}

/// Every kind of change. Whoever adds one adds a line to the file as well.
fn kind(change: &Change) -> &'static str {
    match change {
        Change::Directory(_) => "directory",
        Change::File(_) => "file",
        Change::Symlink(_) => "symlink",
        Change::Group(_) => "group",
        Change::User(_) => "user",
        Change::Module(_) => "module",
        Change::Sysctl(_) => "sysctl",
        Change::RcVariable(SetRcVariable { value: Some(_), .. }) => "rc-variable",
        Change::RcVariable(SetRcVariable { value: None, .. }) => "rc-variable taken out",
        Change::Removal(_) => "removal",
        Change::TreeRemoval(_) => "tree-removal",
        Change::GroupRemoval(_) => "group-removal",
        Change::UserRemoval(_) => "user-removal",
        Change::ModuleRemoval(_) => "module-removal",
        Change::Package(_) => "package",
        Change::PackageRemoval(_) => "package-removal",
        Change::FrontInclude(_) => "front-include",
        Change::FrontTest(TestFront { files, .. }) if files.is_empty() => "front-test",
        Change::FrontTest(_) => "front-test of files",
        Change::FrontStart(_) => "front-start",
        Change::FrontReload(_) => "front-reload",
        Change::FrontStandby(_) => "front-standby",
        Change::FrontTakeover(_) => "front-takeover",
        Change::Release(_) => "release",
        Change::ConfigTest { .. } => "config-test",
        Change::ServiceStart { start } if start.migrates => "service-start that migrates",
        Change::ServiceStart { start } if start.from.is_some() => "service-start that takes ports over",
        Change::ServiceStart { .. } => "service-start",
        Change::ServiceStop(stop) if stop.when_undone => "service-stop when undone",
        Change::ServiceStop(_) => "service-stop",
        Change::DatabaseTest { .. } => "database-test",
        Change::DatabaseCopy { copy } if copy.from.of_server().is_some() => "database-copy of a server",
        Change::DatabaseCopy { .. } => "database-copy",
        Change::DatabaseRestore { restore } if restore.to.of_server().is_some() => "database-restore of a server",
        Change::DatabaseRestore { .. } => "database-restore",
        Change::Migration { migration } if migration.database.of_server().is_some() => "migration of a server",
        Change::Migration { .. } => "migration",
        Change::Discard(_) => "discard",
        Change::Account { .. } => "account",
        Change::Backup { backup } => match **backup {
            BackupChange::Write { .. } => "backup written",
            BackupChange::Prune { .. } => "backup removed",
            BackupChange::Database { .. } => "database out of a backup",
            BackupChange::Media { .. } => "media out of a backup",
            BackupChange::Dump { .. } => "dump",
            BackupChange::Load { .. } => "load",
        },
        Change::Certificate { certificate } => match **certificate {
            CertificateChange::Placeholder { .. } => "placeholder",
            CertificateChange::Order { spared: true, .. } => "order that may fail",
            CertificateChange::Order { .. } => "order",
            CertificateChange::Reload { .. } => "certificate reload",
        },
    }
}

fn was(prior: &Prior) -> &'static str {
    match prior {
        Prior::Absent => "absent",
        Prior::Present => "present",
        Prior::File { .. } => "a file",
        Prior::Directory { .. } => "a directory",
        Prior::Symlink { .. } => "a symlink",
        Prior::Pair { .. } => "a pair",
        Prior::Value { .. } => "a value",
    }
}

fn word(line: &Line) -> Vec<&'static str> {
    match line {
        Line::Begin { running, .. } if running.is_empty() => vec!["begin"],
        Line::Begin { running, .. } if running.iter().all(|one| one.pid.is_none()) => vec!["begin with what ran"],
        Line::Begin { .. } => vec!["begin with a process"],
        Line::Intent { change, prior, .. } => vec![kind(change), was(prior)],
        Line::Done { .. } => vec!["done"],
        Line::Failed { .. } => vec!["failed"],
        Line::Undoing { .. } => vec!["undoing"],
        Line::Undone { .. } => vec!["undone"],
        Line::End { outcome } => vec![match outcome {
            Outcome::Complete => "complete",
            Outcome::Undone => "end undone",
            Outcome::NotUndone => "not-undone",
            Outcome::Incomplete => "incomplete",
            Outcome::Interrupted => "interrupted",
        }],
    }
}

/// How many words [`word`] can give: one for each arm of its matches.
const WORDS: usize = 49 + 7 + 7 + 5;

#[test]
fn no_kind_of_line_changes_its_form_without_a_new_schema() {
    let every_kind = fs::read_to_string(fixtures().join(format!("{SCHEMA}-every-kind.jsonl"))).unwrap();
    let mut words = BTreeSet::new();
    for text in every_kind.lines() {
        let line: Line = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
        assert_eq!(serde_json::to_string(&line).unwrap(), text, "the form has changed");
        words.extend(word(&line));
    }
    assert_eq!(words.len(), WORDS, "a kind has no line in {SCHEMA}-every-kind.jsonl: {words:?}");
    for name in names(SCHEMA) {
        for text in fs::read_to_string(fixtures().join(SCHEMA.to_string()).join(&name)).unwrap().lines() {
            let line: Line = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&line).unwrap(), text, "{name}");
        }
    }
}
