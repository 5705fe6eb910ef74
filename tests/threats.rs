//! The table of threats in `SECURITY.md` names tests that are there.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a file may be whose path the table shortens.
const ABOVE: [&str; 3] = ["", "src", "tests/stand-in/tests"];

fn texts(folder: &Path, all: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match path.extension().and_then(|ending| ending.to_str()) {
            _ if path.is_dir() => texts(&path, all),
            Some("rs" | "sh") => all.push(fs::read_to_string(path).unwrap()),
            _ => {}
        }
    }
}

/// What marks a test of that name in a file: a function of Rust or of sh(1), a story, or a module for all that is in it.
fn marks(name: &str) -> Vec<String> {
    let last = name.split("::").filter(|part| !["*", "tests"].contains(part)).last().unwrap_or_default();
    match last.strip_prefix('…') {
        _ if name.ends_with('*') => vec![format!("mod {last};")],
        Some(end) => vec![format!("_{end}("), format!("fn {end}(")],
        None => vec![format!("fn {last}("), format!("\n{last}()"), format!("(\"{last}\",")],
    }
}

#[test]
fn the_table_of_threats_names_tests_that_are_there() {
    let page = fs::read_to_string("SECURITY.md").unwrap();
    let mut all = Vec::new();
    ["src", "tests"].iter().for_each(|folder| texts(Path::new(folder), &mut all));
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |"));
    let columns = rows.map(|row| row.trim_end_matches(" |").rsplit(" | ").next().unwrap());
    let names: Vec<&str> = columns.flat_map(|tests| tests.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 70, "{names:?}");
    let is_there = |name: &&&str| match name.contains('/') {
        true => ABOVE.iter().any(|above| [above, **name].iter().collect::<PathBuf>().exists()),
        false => marks(name).iter().any(|mark| all.iter().any(|text| text.contains(mark.as_str()))),
    };
    let missing: Vec<&&str> = names.iter().filter(|name| !is_there(name)).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}
