//! Filters of a front: the rules and lists of a host, and what a front is told of them.
//!
//! The administrator's file is the one source of truth. It is kept in direct mode, too, where nobody reads it.

use std::path::{Path, PathBuf};

use super::Refusal;
use crate::change::{Action, Change, Content, MakeDirectory, Plan, ReloadFront, Remove, Step, WriteFile};
use crate::deployment::Layout;
use crate::filter::{FILE, Filters, LISTS, List, ListName, Lists};
use crate::front::Front;
use crate::host::{Entry, Observe, Owner};

const PART: &str = "filter";

/// The rules and lists of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The rules.
    pub filters: Filters,
    /// The lists that they name, as far as they are there.
    pub lists: Lists,
}

impl State {
    /// Reads them. A host without the file has no rules.
    ///
    /// # Errors
    /// In words: a file cannot be read, or everything that is wrong with it.
    pub fn read(host: &dyn Observe, layout: &Layout) -> Result<Self, String> {
        let text = |path: &Path| -> Result<Option<String>, String> {
            let bytes = host.read(path).map_err(|error| error.to_string())?;
            let text = bytes.map(String::from_utf8).transpose();
            text.map_err(|_| format!("{} is not valid UTF-8; correct it and run this again", path.display()))
        };
        let path = filters_file(layout);
        let filters = Filters::parse(&text(&path)?.unwrap_or_default()).map_err(|errors| told(&path, &errors))?;
        let mut lists = Lists::default();
        for (_, name) in filters.lists() {
            let path = list_file(layout, name);
            if let Some(text) = text(&path)? {
                lists.0.insert(name.clone(), List::parse(&text).map_err(|errors| told(&path, &errors))?);
            }
        }
        Ok(Self { filters, lists })
    }
}

/// The rules: `/usr/local/etc/gts-bootstrap/filters.conf`.
pub fn filters_file(layout: &Layout) -> PathBuf {
    layout.records.join(FILE)
}

/// A list: `/usr/local/etc/gts-bootstrap/filters/NAME.list`.
pub fn list_file(layout: &Layout, name: &ListName) -> PathBuf {
    layout.records.join(LISTS).join(name.file())
}

/// The mistakes of a file, the first of them if there are very many.
pub(crate) fn told(file: &Path, errors: &[impl std::fmt::Display]) -> String {
    const MOST: usize = 50;
    let mut lines: Vec<String> = errors.iter().take(MOST).map(|error| format!("{}: {error}", file.display())).collect();
    if errors.len() > MOST {
        lines.push(format!("{}: and {} more mistakes", file.display(), errors.len() - MOST));
    }
    lines.push("Nothing was taken from it".to_owned());
    lines.join("\n")
}

/// Plans new rules: the files themselves, and what the front that is there is told of them, tested before it goes live.
///
/// # Errors
/// The front cannot do what a rule asks for, or the host cannot be read.
pub fn plan(
    host: &dyn Observe,
    layout: &Layout,
    files: &[(PathBuf, Option<Vec<u8>>)],
    state: &State,
    served_by: Option<Front>,
) -> Result<Plan, Refusal> {
    let mut plan = Plan::default();
    let mut steps = Vec::new();
    let lists = layout.records.join(LISTS);
    if files.iter().any(|(path, bytes)| bytes.is_some() && path.starts_with(&lists)) {
        steps.extend(folder(host, &lists)?);
    }
    for (path, bytes) in files {
        match bytes {
            Some(bytes) => steps.extend(file(host, path, bytes)?),
            None if host.entry(path)?.is_some() => {
                steps.push(step(Action::Remove, Remove { path: path.clone() }));
            }
            None => {}
        }
    }
    let Some(front) = served_by else {
        if !steps.is_empty() {
            plan.warnings.push(
                "GoToSocial faces the internet itself here, and nothing filters: the rules \
                 take effect once `gts-bootstrap switch-to-proxy` puts a web server in front"
                    .to_owned(),
            );
        }
        plan.steps = steps;
        return Ok(plan);
    };
    let rendered = rendered(host, front, state)?;
    let reload = |when_undone| step(Action::Reload, ReloadFront { front, when_undone });
    if rendered.is_empty() {
        plan.steps = steps;
        return Ok(plan);
    }
    let running = host.service(front.service)?.is_running();
    if running {
        plan.steps.push(reload(true));
    }
    plan.steps.extend(steps);
    plan.steps.push(super::front::test(front, true, &rendered));
    plan.steps.extend(rendered);
    if running {
        plan.steps.push(reload(false));
    }
    Ok(plan)
}

/// What a front is told of the rules: its files, as far as they differ from what is there.
///
/// # Errors
/// It cannot do what a rule asks for, or the host cannot be read.
pub fn rendered(host: &dyn Observe, front: Front, state: &State) -> Result<Vec<Step>, Refusal> {
    let own = front.own_folder();
    let folder_of_rules = own.join("filters");
    let files = (front.filters)(&state.filters, &state.lists, &folder_of_rules).map_err(Refusal::Filter)?;
    let mut steps = Vec::new();
    let mut folders: Vec<PathBuf> = vec![own, folder_of_rules.clone()];
    for (path, _) in &files {
        if let Some(parent) = path.parent()
            && !folders.iter().any(|folder| folder == parent)
        {
            folders.push(parent.to_path_buf());
        }
    }
    for path in folders {
        steps.extend(folder(host, &path)?);
    }
    for (path, content) in &files {
        steps.extend(file(host, path, content)?);
    }
    Ok(steps)
}

fn folder(host: &dyn Observe, path: &Path) -> Result<Option<Step>, Refusal> {
    Ok(match host.entry(path)? {
        None => {
            let change = MakeDirectory { path: path.to_owned(), mode: 0o755, owner: Owner::ROOT };
            Some(step(Action::Create, change))
        }
        Some(_) => None,
    })
}

fn file(host: &dyn Observe, path: &Path, bytes: &[u8]) -> Result<Option<Step>, Refusal> {
    let action = match host.entry(path)? {
        None => Action::Create,
        Some(Entry::File { .. }) if host.read(path)?.as_deref() == Some(bytes) => return Ok(None),
        Some(Entry::File { .. }) => Action::Update,
        Some(_) => {
            return Err(Refusal::WrongKind { path: path.to_owned(), found: "not a regular file", wanted: "a file" });
        }
    };
    let change = WriteFile { path: path.to_owned(), content: Content::new(bytes), mode: 0o644, owner: Owner::ROOT };
    Ok(Some(step(action, change)))
}

fn step(action: Action, change: impl Into<Change>) -> Step {
    Step::new(PART, action, change)
}
