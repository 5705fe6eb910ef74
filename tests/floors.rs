//! The floors of `docs/architecture.md`: a room of `src/` uses rooms below it only.
//!
//! The compiler cannot say this of modules of one crate, and packages would make every visibility public. So this test
//! reads the paths in the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room, from the roof down. A room may use those after it.
const ROOMS: &[&str] = &[
    "cli",
    "run",
    "status",
    "check",
    "parts",
    "change",
    "host",
    // The ground: knows nothing of hosts.
    "backup",
    "release",
    "certificate",
    "deployment",
    "front",
    "filter",
    "net",
    "child",
    "gotosocial",
    "sysconf",
    "portacl",
    "templates",
    "error_code",
    "descent",
    "operation",
    "shown",
    "utc",
];

/// The two implementations of a host, and the one place that chooses between them.
const CHOICE: &str = "src/cli/open.rs";

/// Where a path is meant to the byte, in an argument, in a file or for a key: `Path::display`. Everywhere else it is for people:
/// `shown`, which writes out what a terminal would obey.
const EXACT: &[&str] = &[
    "src/change/database.rs",
    "src/change/kinds/backup.rs",
    "src/change/kinds/certificate.rs",
    "src/change/kinds/database.rs",
    "src/change/kinds/front_candidate.rs",
    "src/cli/surroundings.rs",
    "src/front/httpd/main_file.rs",
    "src/gotosocial/commands.rs",
    "src/gotosocial/loading.rs",
    "src/host/freebsd/stand_in.rs",
    "src/host/rehearsal/",
    "src/parts/backup.rs",
    "src/parts/front.rs",
    "src/parts/managed_file.rs",
    "src/release/source.rs",
    "src/status/drift.rs",
];

#[test]
fn a_path_is_shown_to_people() {
    let raw = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        text.split("\nmod tests {").next().is_some_and(|program| program.contains(".display()"))
    };
    let is_exact = |file: &PathBuf| EXACT.iter().any(|exact| file.to_str().unwrap().starts_with(exact));
    let wrong: Vec<PathBuf> = sources().into_iter().filter(|file| !is_exact(file) && raw(file)).collect();
    assert_eq!(wrong, Vec::<PathBuf>::new(), "in a message a path is `shown()`; see src/shown.rs");
}

#[test]
fn arrows_only_go_down() {
    let mut wrong = Vec::new();
    for file in sources() {
        let from = room_of(&file);
        for path in paths_used(&file) {
            let to = path[0].as_str();
            if to == from || from == "main" {
                continue;
            }
            let (Some(above), Some(below)) = (floor(&from), floor(to)) else {
                wrong.push(format!("{}: crate::{} is in no room of the list", file.display(), path.join("::")));
                continue;
            };
            if above >= below {
                wrong.push(format!("{}: {from} uses crate::{}", file.display(), path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} arrows go up:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn one_place_names_the_two_hosts() {
    let named: Vec<String> = sources()
        .into_iter()
        .filter(|file| room_of(file) != "host" && file != Path::new(CHOICE))
        .filter(|file| {
            paths_used(file).iter().any(|path| {
                path[0] == "host" && path.get(1).is_some_and(|next| next == "freebsd" || next == "rehearsal")
            })
        })
        .map(|file| file.display().to_string())
        .collect();
    assert_eq!(named, Vec::<String>::new(), "only {CHOICE} may name an implementation of a host");
}

#[test]
fn every_room_is_there() {
    let rooms: BTreeSet<String> =
        sources().iter().map(|file| room_of(file)).filter(|room| room != "main" && room != "lib").collect();
    let listed: BTreeSet<String> = ROOMS.iter().map(|room| (*room).to_owned()).collect();
    assert_eq!(rooms, listed);
}

#[test]
fn the_page_on_the_architecture_has_the_same_rooms() {
    let page = include_str!("../docs/architecture.md");
    let rows: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |").map(|(room, _)| room)).collect();
    assert_eq!(rows, ROOMS);
}

fn floor(room: &str) -> Option<usize> {
    ROOMS.iter().position(|listed| *listed == room)
}

/// The first folder or file below `src`.
fn room_of(file: &Path) -> String {
    let first = file.components().nth(1).unwrap();
    Path::new(first.as_os_str()).file_stem().unwrap().to_string_lossy().into_owned()
}

/// Every file of the program itself, without those that hold tests only.
fn sources() -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "tests" {
                    collect(&path, found);
                }
            } else if name.ends_with(".rs") && name != "tests.rs" {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    collect(&root.join("src"), &mut found);
    found.sort();
    found.iter().map(|path| path.strip_prefix(root).unwrap().to_owned()).collect()
}

/// The paths within the crate that a file's code names, each from the crate's root on. Test modules are left out.
fn paths_used(file: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let module = module_of(file);
    let mut found = Vec::new();
    let mut inner: Vec<usize> = Vec::new();
    for line in code(&text) {
        // A module within the file is one step further from the root, for as long as its indentation lasts.
        let indent = line.len() - line.trim_start().len();
        if inner.last() == Some(&indent) && line.trim() == "}" {
            inner.pop();
        } else if line.trim_end().ends_with('{') && line.split_whitespace().any(|word| word == "mod") {
            inner.push(indent);
        }
        let mut rest = line;
        while let Some(at) = rest.find("::") {
            let head = word_before(&rest[..at]);
            let tail = &rest[at + 2..];
            rest = tail;
            match head {
                "crate" | "gts_bootstrap" => found.push(words(tail)),
                "super" => {
                    let mut base = module.clone();
                    base.extend(inner.iter().map(|_| "a module within".to_owned()));
                    base.pop();
                    let mut path = words(tail);
                    while path.first().is_some_and(|word| word == "super") {
                        base.pop();
                        path.remove(0);
                    }
                    base.extend(path);
                    // The walk goes over each `super` of a chain; only the first one is at its start.
                    rest = tail.trim_start_matches("super::");
                    found.push(base);
                }
                _ => {}
            }
        }
    }
    found.retain(|path| path.first().is_some_and(|word| !word.is_empty()));
    found
}

/// The lines of code, without comments and without items that only tests see. rustfmt's indentation tells where an item ends.
fn code(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut all = text.lines();
    while let Some(line) = all.next() {
        if line.trim() != "#[cfg(test)]" {
            lines.push(line.split("//").next().unwrap_or_default());
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let item = all.by_ref().find(|next| !next.trim_start().starts_with("#[")).unwrap_or_default();
        if !item.ends_with([';', '}', ',']) {
            all.by_ref().find(|next| *next == end || next.strip_prefix(&end).is_some_and(|rest| rest == ";"));
        }
    }
    lines
}

/// The module that a file is, as its path from the crate's root.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> = file
        .with_extension("")
        .components()
        .skip(1)
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib" || last == "main") {
        parts.pop();
    }
    parts
}

fn word_before(text: &str) -> &str {
    let start = text.rfind(|next: char| !(next.is_alphanumeric() || next == '_')).map_or(0, |at| at + 1);
    &text[start..]
}

/// The words of a path, up to what is no word: `host::files::{…}` has two.
fn words(text: &str) -> Vec<String> {
    let end = text.find(|next: char| !(next.is_alphanumeric() || next == '_' || next == ':')).unwrap_or(text.len());
    text[..end].split("::").filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
