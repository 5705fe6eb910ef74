//! What a change makes of the rules and lists, as the new content of files.

use std::path::{Path, PathBuf};

use super::{Change, Networks};
use crate::cli::surroundings::Surroundings;
use crate::deployment::Layout;
use crate::filter::{Danger, EditError, List, ListName, Network, Rule, dangerous};
use crate::parts::filter::{State, filters_file, list_file, told};

/// What a change comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The files that differ, with their new content; `None` for one that is to go. Nothing if nothing changes.
    pub files: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// The rules and lists as they are then, to be rendered.
    pub state: State,
    /// What was done, a line each, for people.
    pub said: Vec<String>,
    /// New dangers: those that were forced, and those that are only told.
    pub dangers: Vec<Danger>,
}

/// What a change makes of the rules and lists.
///
/// # Errors
/// In words: it contradicts what is there, the file to be imported cannot be read or has mistakes in it, or it would
/// cut the instance off and is not forced.
pub fn edit(state: &State, change: &Change, layout: &Layout, around: &Surroundings) -> Result<Edited, String> {
    let mut after = state.clone();
    let mut files = Vec::new();
    let mut said = Vec::new();
    match change {
        Change::Remove { which, .. } => {
            let (filters, rule) = state.filters.remove(which).map_err(|error| error.to_string())?;
            after.filters = filters;
            if let Rule::DenyFile(name) = &rule {
                after.lists.0.remove(name);
                files.push((list_file(layout, name), None));
            }
            said.push(format!("Removed: {rule}"));
        }
        Change::Import { file, name, force } => {
            let (name, list) = imported(file, &around.path(file), name.as_ref(), force.force)?;
            let count = match list.networks().len() {
                1 => "1 entry".to_owned(),
                count => format!("{count} entries"),
            };
            if state.lists.0.get(&name) == Some(&list) {
                said.push(format!("The list {name} is as it was: {count}"));
            } else {
                said.push(format!("Imported: {count} as {name}"));
                files.push((list_file(layout, &name), Some(list.to_string().into_bytes())));
            }
            after.lists.0.insert(name.clone(), list);
            add(&mut after, &[Rule::DenyFile(name)], &mut said)?;
        }
        Change::Deny(Networks { networks, .. }) => {
            add(&mut after, &networks.iter().copied().map(Rule::Deny).collect::<Vec<_>>(), &mut said)?;
        }
        Change::Allow(Networks { networks, .. }) => {
            add(&mut after, &networks.iter().copied().map(Rule::Allow).collect::<Vec<_>>(), &mut said)?;
        }
        Change::DenyAgent { pattern, .. } => add(&mut after, &[Rule::DenyAgent(pattern.clone())], &mut said)?,
        Change::Protect { path, from, .. } => {
            let mut networks: Vec<Network> = Vec::new();
            from.iter().for_each(|network| {
                if !networks.contains(network) {
                    networks.push(*network);
                }
            });
            add(&mut after, &[Rule::Protect { path: path.clone(), from: networks }], &mut said)?;
        }
        Change::Rate { path, rate, burst, .. } => {
            add(&mut after, &[Rule::Rate { path: path.clone(), rate: *rate, burst: *burst }], &mut said)?;
        }
    }
    let before = dangerous(&state.filters, &state.lists);
    let mut dangers = dangerous(&after.filters, &after.lists);
    dangers.retain(|danger| !before.contains(danger));
    if !change.forced() && dangers.iter().any(Danger::must_be_forced) {
        let told: Vec<String> =
            dangers.iter().filter(|danger| danger.must_be_forced()).map(Danger::to_string).collect();
        return Err(format!(
            "this would cut the instance off from other servers, so nothing was changed:\n{}\nIf you mean it, add --force",
            told.join("\n")
        ));
    }
    if after.filters != state.filters {
        files.push((filters_file(layout), Some(after.filters.to_string().into_bytes())));
    }
    Ok(Edited { files, state: after, said, dangers })
}

fn add(state: &mut State, rules: &[Rule], said: &mut Vec<String>) -> Result<(), String> {
    let lines = |errors: Vec<EditError>| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let added = state.filters.add(rules).map_err(lines)?;
    said.extend(added.new.iter().map(|rule| format!("Added: {rule}")));
    said.extend(added.there.iter().map(|(line, rule)| format!("Line {line} has it already: {rule}")));
    state.filters = added.filters;
    Ok(())
}

/// Reads a list that comes from elsewhere.
fn imported(file: &Path, path: &Path, name: Option<&ListName>, forced: bool) -> Result<(ListName, List), String> {
    let name = match name {
        Some(name) => name.clone(),
        None => {
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            stem.parse().map_err(|error| format!("{error}; or give it a name with --name"))?
        }
    };
    let bytes = std::fs::read(path)
        .map_err(|error| format!("{} cannot be read: {error}. Name the file that has the list", file.display()))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("{} is not text. Unpack it if it is packed, and run this again", file.display()))?;
    let list = List::import(&text, forced).map_err(|errors| told(file, &errors))?;
    Ok((name, list))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::Action;
    use super::super::tests::{parsed, state};
    use super::*;
    use crate::cli::surroundings::tests::nowhere;

    fn change(words: &[&str]) -> Change {
        match parsed(words).unwrap_or_else(|error| panic!("{error}")).action {
            Action::Change(change) => change,
            Action::Look(look) => panic!("{look:?}"),
        }
    }

    fn edited(state: &State, words: &[&str]) -> Result<Edited, String> {
        edit(state, &change(words), &Layout::default(), &nowhere())
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
            (
                &["protect", "/settings", "--from", "10.0.0.0/8", "--from", "::1"],
                "protect /settings from 10.0.0.0/8 ::1\n",
            ),
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
        let error = edit(&state("allow 192.0.2.1\n"), &change(&["deny", "192.0.2.1"]), &Layout::default(), &nowhere());
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
}
