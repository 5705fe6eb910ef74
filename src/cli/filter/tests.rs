//! The commands, what they come to, and what is shown.

use clap::Parser;

use super::*;
use crate::cli::global::Global;
use crate::cli::surroundings::tests::nowhere;
use crate::filter::{Filters, Lists};
use crate::host::rehearsal::Rehearsal;
use crate::run::filter::{Edited, edit};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Parser)]
pub struct Line {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub action: FilterCommand,
}

pub fn parsed(words: &[&str]) -> Result<Line, clap::Error> {
    Line::try_parse_from(["filter"].iter().chain(words))
}

pub fn state(text: &str) -> State {
    State { filters: Filters::parse(text).unwrap(), lists: Lists::default() }
}

#[test]
fn what_is_no_command_is_refused() {
    for (words, said) in [
        (&["deny"][..], "<NETWORK>"),
        (&["deny", "192.0.2.1/24"], "The network is 192.0.2.0/24"),
        (&["deny-agent", ""], "the pattern is empty"),
        (&["protect", "/a"], "--from"),
        (&["protect", "a", "--from", "::1"], "is not a path"),
        (&["rate", "/a", "0/s"], "would block every client"),
        (&["rate", "/a", "1/s", "--burst", "1000001"], "1000000"),
        (&["remove", "what"], "a rule begins with"),
        (&["test", "nowhere"], "nowhere"),
    ] {
        let error = parsed(words).err().unwrap().to_string();
        assert!(error.contains(said), "{words:?}: {error}");
    }
}

#[test]
fn rules_are_read_from_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let layout = Layout::default();
    let machine = Rehearsal::open(&root).unwrap();
    assert_eq!(State::read(&machine, &layout).unwrap(), State::default());
    let write = |name: &str, content: &[u8]| {
        let path = root.join("usr/local/etc/gts-bootstrap").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write("filters.conf", b"# x\ndeny file drop\ndeny file gone\nrate /api 1/s\n");
    write("filters/drop.list", b"192.0.2.0/24\n");
    let state = State::read(&machine, &layout).unwrap();
    let screen = Screen::new(parsed(&["list"]).unwrap().global, Arc::new(nowhere()));
    let (lines, object) = listed(&state, &screen);
    assert_eq!(lines, ["    2  deny file drop  (1 entry)", "    3  deny file gone  (missing)", "    4  rate /api 1/s"]);
    assert_eq!(object["rules"][0], json!({ "line": 2, "rule": "deny file drop", "entries": 1 }));
    assert_eq!(object["nginx_only"], json!([4]));

    let request = parsed(&["test", "192.0.2.7", "--agent", "x"]).unwrap().action;
    let FilterCommand::Test { address, agent, path } = request else { panic!("no question") };
    let (lines, object) = answered(&state, address, (&agent, &path), &screen);
    assert_eq!(lines[0], "/ for 192.0.2.7 (x) is refused with 403");
    assert_eq!((&object["outcome"], &object["line"]), (&json!("refused"), &json!(2)));

    let looked = parsed(&["list", "--rehearse", root.to_str().unwrap()]).unwrap();
    let screen = Screen::new(looked.global, Arc::new(nowhere()));
    assert_eq!(run(FilterCommand::List, &screen), Exit::Done);
    write("filters.conf", b"deny\ndeny 1.1.1.1/1\n");
    let error = State::read(&machine, &layout).unwrap_err();
    assert!(error.contains("filters.conf: line 1, deny:") && error.contains("filters.conf: line 2,"), "{error}");
    assert_eq!(run(FilterCommand::List, &screen), Exit::Usage);
    write("filters.conf", b"\xff");
    assert!(State::read(&machine, &layout).unwrap_err().contains("filters.conf is not valid UTF-8"));
    write("filters.conf", b"deny file drop");
    write("filters/drop.list", b"what");
    assert!(State::read(&machine, &layout).unwrap_err().contains("drop.list: line 1: what is neither"));
}

#[test]
fn no_rules_are_told_of_as_such() {
    let screen = Screen::new(parsed(&["list"]).unwrap().global, Arc::new(nowhere()));
    assert_eq!(listed(&State::default(), &screen).0, ["There are no rules: every request passes."]);
    let (lines, _) = listed(&state("deny ::/0\n"), &screen);
    assert!(
        lines[1].as_str().contains("Mind: the rules and lists together refuse more than half of all IPv6"),
        "{lines:?}"
    );
}

fn edited(state: &State, words: &[&str]) -> Result<Edited, String> {
    let FilterCommand::Change(change) = parsed(words).unwrap_or_else(|error| panic!("{error}")).action else {
        panic!("{words:?} changes nothing");
    };
    let (_, Force { force, .. }, wish) = change.wish(&nowhere());
    edit(state, &wish, force, &Layout::default())
}

fn text(edited: &Edited) -> String {
    edited.state.filters.to_string()
}

#[test]
fn commands_become_rules() {
    for (words, rules) in [
        (&["deny", "192.0.2.1", "2001:db8::/32"][..], "deny 192.0.2.1\ndeny 2001:db8::/32\n"),
        (&["allow", "192.0.2.1"], "allow 192.0.2.1\n"),
        (&["deny-agent", "a b"], "deny agent \"a b\"\n"),
        (
            &["protect", "/settings", "--from", "10.0.0.0/8", "::1", "10.0.0.0/8"],
            "protect /settings from 10.0.0.0/8 ::1\n",
        ),
        (&["protect", "/settings", "--from", "10.0.0.0/8", "--from", "::1"], "protect /settings from 10.0.0.0/8 ::1\n"),
        (&["rate", "/api", "10/s"], "rate /api 10/s\n"),
        (&["rate", "/api", "10/s", "--burst", "0"], "rate /api 10/s burst 0\n"),
    ] {
        let edited = edited(&State::default(), words).unwrap();
        assert_eq!(text(&edited), rules);
        let path = PathBuf::from("/usr/local/etc/gts-bootstrap/filters.conf");
        assert_eq!(edited.files, [(path, Some(rules.as_bytes().to_vec()))]);
        assert!(edited.said.iter().all(|said| said.starts_with("Added: ")));
    }
}

#[test]
fn what_is_there_already_changes_nothing() {
    let edited = edited(&state("deny 192.0.2.1\n"), &["deny", "192.0.2.1"]).unwrap();
    assert_eq!((edited.files, edited.said), (vec![], vec!["Line 1 has it already: deny 192.0.2.1".to_owned()]));
    let error = super::tests::edited(&state("allow 192.0.2.1\n"), &["deny", "192.0.2.1"]);
    assert!(error.unwrap_err().contains("this contradicts line 1"));
}

#[test]
fn dangers_must_be_forced() {
    for words in [
        &["deny", "0.0.0.0/0"][..],
        &["deny-agent", "*"],
        &["protect", "/inbox", "--from", "10.0.0.0/8"],
        &["rate", "/users", "1/m"],
    ] {
        let error = edited(&State::default(), words).unwrap_err();
        assert!(error.contains("cut the instance off") && error.ends_with("add --force"), "{error}");
        let forced: Vec<&str> = words.iter().copied().chain(["--force"]).collect();
        assert!(!edited(&State::default(), &forced).unwrap().dangers.is_empty());
    }
    let told = edited(&State::default(), &["deny-agent", "Mastodon"]).unwrap();
    assert_eq!(told.dangers.len(), 1);
    let error = edited(&state("deny 0.0.0.0/0\nallow 0.0.0.0/1\n"), &["remove", "2"]).unwrap_err();
    assert!(error.contains("more than half of all IPv4"), "{error}");
    let old = edited(&state("deny 0.0.0.0/0\n"), &["deny", "192.0.2.1"]).unwrap();
    assert_eq!(old.dangers, [], "only new dangers have to be forced");
}

#[test]
fn lists_are_imported_replaced_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("drop.txt");
    std::fs::write(&file, "203.0.113.0/24\n198.51.100.1\n").unwrap();
    let file = file.to_str().unwrap();
    let first = edited(&State::default(), &["import", file]).unwrap();
    let list = PathBuf::from("/usr/local/etc/gts-bootstrap/filters/drop.list");
    assert_eq!(first.files[0], (list.clone(), Some(b"198.51.100.1\n203.0.113.0/24\n".to_vec())));
    assert_eq!(text(&first), "deny file drop\n");
    assert_eq!(edited(&first.state, &["import", file]).unwrap().files, []);

    std::fs::write(file, "198.51.100.2\n").unwrap();
    let second = edited(&first.state, &["import", file]).unwrap();
    assert_eq!(second.files, [(list.clone(), Some(b"198.51.100.2\n".to_vec()))]);
    let gone = edited(&second.state, &["remove", "deny file drop"]).unwrap();
    assert_eq!(gone.files[0], (list, None));
    assert_eq!(text(&gone), "");
}

#[test]
fn a_list_with_mistakes_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Drop List.txt");
    let path = file.to_str().unwrap();
    let import = |content: &[u8], words: &[&str]| {
        std::fs::write(&file, content).unwrap();
        edited(&State::default(), &[&["import", path], words].concat())
    };
    assert!(import(b"1.1.1.1", &[]).unwrap_err().contains("give it a name with --name"));
    let error = import(b"1.1.1.1\n10.0.0.1\nx\n", &["--name", "drop"]).unwrap_err();
    assert!(error.contains("line 2: 10.0.0.1") && error.contains("line 3: x"), "{error}");
    assert!(error.ends_with("Nothing was taken from it"), "{error}");
    assert!(import(b"10.0.0.1\n", &["--name", "drop", "--force"]).is_ok());
    assert!(import(&[0x1f, 0x8b, 0xff], &["--name", "drop"]).unwrap_err().contains("is not text"));
    assert!(import("x\n".repeat(60).as_bytes(), &["--name", "drop"]).unwrap_err().contains("and 10 more mistakes"));
    let error = edited(&State::default(), &["import", "/nowhere/drop"]).unwrap_err();
    assert!(error.contains("/nowhere/drop cannot be read"), "{error}");
    let error = import(b"0.0.0.0/1\n128.0.0.0/1\n", &["--name", "drop"]).unwrap_err();
    assert!(error.contains("overlaps with"), "{error}");
}
