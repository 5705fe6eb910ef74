//! A change of the filters: planned, tested by the web server, applied with a reload, and undone if anything fails.

use std::path::PathBuf;

use super::{Exit, Run, Stop, TypedPath, With};
use crate::change::Plan;
use crate::deployment::Layout;
use crate::error_code::ErrorCode;
use crate::filter::{Danger, List, ListName, Rule, Selector, dangerous};
use crate::parts::filter::{self, State, filters_file, list_file, told};
use crate::parts::front;
use crate::shown::Shown;

/// Changes the filters. `force` allows a change that cuts the instance off from other servers.
///
/// # Errors
/// The command was refused, or failed.
pub fn change(run: &Run<'_>, wish: &FilterWish, force: bool) -> Result<Exit, Stop> {
    run.for_root("change the filters")?;
    run.settle()?;
    let (host, layout) = (run.host, &run.layout);
    let make = || -> Result<(Edited, Plan), Stop> {
        let refused = |why: String| Stop::new(Exit::Usage, ErrorCode::Filter, why);
        let state = State::read(host, layout).map_err(refused)?;
        let edited = edit(&state, wish, force, layout).map_err(refused)?;
        let plan = filter::plan(host, layout, &edited.files, &edited.state, front::present(host)?)?;
        Ok((edited, plan))
    };
    let (edited, plan) = make()?;
    edited.dangers.iter().for_each(|danger| run.warn(&danger.text));
    run.show(&plan, "Plan: filters", "Nothing to change: the rules are so already.");
    if run.carry_out(&plan, &EXPLANATION, &|| Ok(make()?.1), With::default())? {
        edited.said.iter().for_each(|line| run.line(line));
    }
    Ok(Exit::Done)
}

/// The text of "explain" at the consent.
const EXPLANATION: [&str; 1] = [
    "The rules are stored in one file, whichever web server is in front. The web server tests \
     its new configuration before it reloads, without dropping a connection; if anything fails, the old rules are restored.",
];

/// The requested change of the rules.
#[derive(Debug, Clone)]
pub enum FilterWish {
    /// Add these.
    Add(Vec<Rule>),
    /// Remove this one.
    Remove(Selector),
    /// Import a list, under this name or the file's.
    Import(TypedPath, Option<ListName>),
}

/// The result of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The files that differ, with their new content; `None` for a removed one.
    pub files: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// The new rules and lists, to be rendered.
    pub state: State,
    /// What was done, one line each.
    pub said: Vec<String>,
    /// New dangers: those that were forced, and those that are only warnings.
    pub dangers: Vec<Danger>,
}

/// Applies a change to the rules and lists.
///
/// # Errors
/// In words: it contradicts the current rules, the file to import is unreadable or has mistakes, or it would cut the instance
/// off and is not forced.
pub fn edit(state: &State, wish: &FilterWish, force: bool, layout: &Layout) -> Result<Edited, String> {
    let mut after = state.clone();
    let mut files = Vec::new();
    let mut said = Vec::new();
    match wish {
        FilterWish::Remove(which) => {
            let (filters, rule) = state.filters.remove(which)?;
            after.filters = filters;
            if let Rule::DenyFile(name) = &rule {
                after.lists.0.remove(name);
                files.push((list_file(layout, name), None));
            }
            said.push(format!("Removed: {rule}"));
        }
        FilterWish::Import(file, name) => {
            let (name, list) = imported(file, name.as_ref(), force)?;
            let count = list.networks().len();
            let count = if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") };
            if state.lists.0.get(&name) == Some(&list) {
                said.push(format!("The list {name} is as it was: {count}"));
            } else {
                said.push(format!("Imported: {count} as {name}"));
                files.push((list_file(layout, &name), Some(list.to_string().into_bytes())));
            }
            after.lists.0.insert(name.clone(), list);
            add(&mut after, &[Rule::DenyFile(name)], &mut said)?;
        }
        FilterWish::Add(rules) => add(&mut after, rules, &mut said)?,
    }
    let before = dangerous(&state.filters, &state.lists);
    let mut dangers = dangerous(&after.filters, &after.lists);
    dangers.retain(|danger| !before.contains(danger));
    let forced: Vec<&str> =
        dangers.iter().filter(|danger| danger.must_be_forced).map(|danger| danger.text.as_str()).collect();
    if !force && !forced.is_empty() {
        return Err(format!(
            "this would cut the instance off from other servers, so nothing was changed:\n{}\nIf you mean it, add --force",
            forced.join("\n")
        ));
    }
    if after.filters != state.filters {
        files.push((filters_file(layout), Some(after.filters.to_string().into_bytes())));
    }
    Ok(Edited { files, state: after, said, dangers })
}

fn add(state: &mut State, rules: &[Rule], said: &mut Vec<String>) -> Result<(), String> {
    let added = state.filters.add(rules).map_err(|errors| errors.join("\n"))?;
    said.extend(added.new.iter().map(|rule| format!("Added: {rule}")));
    said.extend(added.there.iter().map(|(line, rule)| format!("Line {line} has it already: {rule}")));
    state.filters = added.filters;
    Ok(())
}

/// Reads a list to import.
fn imported(file: &TypedPath, name: Option<&ListName>, forced: bool) -> Result<(ListName, List), String> {
    let TypedPath { typed, path } = file;
    let name = match name {
        Some(name) => name.clone(),
        None => {
            let stem = typed.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            stem.parse().map_err(|error| format!("{error}; or give it a name with --name"))?
        }
    };
    let bytes = std::fs::read(path)
        .map_err(|error| format!("{} cannot be read: {error}. Name the file that has the list", typed.shown()))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("{} is not text. Unpack it if it is packed, and run this again", typed.shown()))?;
    let list = List::import(&text, forced).map_err(|errors| told(typed, &errors))?;
    Ok((name, list))
}
