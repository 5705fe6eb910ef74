//! Filters of a front: the rules and lists of a host, and what they become in the front's configuration.
//!
//! The administrator's file is the one source of truth. It is kept in direct mode, too, where nobody reads it.

use std::path::{Path, PathBuf};

use super::{Refusal, put};
use crate::change::{Action, Change, Plan, ReloadFront, Remove, Step, TestFront, WriteFile};
use crate::deployment::Layout;
use crate::filter::{FILE, Filters, LISTS, List, ListName, Lists};
use crate::front::Front;
use crate::host::{Entry, Observe, Owner};
use crate::shown::Shown;

const PART: &str = "filter";

/// The rules and lists of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The rules.
    pub filters: Filters,
    /// The lists that they name, as far as they exist.
    pub lists: Lists,
}

impl State {
    /// Reads them. A host without the file has no rules.
    ///
    /// # Errors
    /// A file cannot be read, or the list of its mistakes, in words.
    pub fn read(host: &dyn Observe, layout: &Layout) -> Result<Self, String> {
        let text = |path: &Path| {
            let text = host.read(path).map_err(|error| error.to_string())?.map(String::from_utf8).transpose();
            text.map_err(|_| format!("{} is not valid UTF-8; correct it and run this again", path.shown()))
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

/// The mistakes of a file, or the first of them if there are very many.
pub(crate) fn told(file: &Path, errors: &[impl std::fmt::Display]) -> String {
    const MOST: usize = 50;
    let mut lines: Vec<String> = errors.iter().take(MOST).map(|error| format!("{}: {error}", file.shown())).collect();
    if errors.len() > MOST {
        lines.push(format!("{}: and {} more mistakes", file.shown(), errors.len() - MOST));
    }
    lines.push("Nothing was taken from it".to_owned());
    lines.join("\n")
}

/// Plans new rules: the files themselves, and those of the present front, tested before they go live.
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
        steps.extend(put::missing_folder(host, PART, put::root_folder(&lists, 0o755))?);
    }
    for (path, bytes) in files {
        match bytes {
            Some(bytes) => steps.extend(file(host, path, bytes)?),
            None if host.entry(path)?.is_some() => steps.push(step(Action::Remove, Remove { path: path.clone() })),
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
        return Ok(Plan { steps, ..plan });
    };
    let rendered = rendered(host, front, state)?;
    if rendered.is_empty() {
        return Ok(Plan { steps, ..plan });
    }
    let running = host.service(front.service)?.is_running();
    let reload = |when_undone| running.then(|| step(Action::Reload, ReloadFront { front, when_undone }));
    plan.steps.extend(reload(true));
    plan.steps.extend(steps);
    plan.steps.push(Step::new("front", Action::Test, TestFront::after(front, true, &rendered)));
    plan.steps.extend(rendered);
    plan.steps.extend(reload(false));
    Ok(plan)
}

/// The rules in a front's configuration: its files, as far as they differ.
///
/// # Errors
/// The front cannot do what a rule asks for, or the host cannot be read.
pub(super) fn rendered(host: &dyn Observe, front: Front, state: &State) -> Result<Vec<Step>, Refusal> {
    let own = front.own_folder();
    let rules = own.join("filters");
    let files = (front.filters)(&state.filters, &state.lists, &rules).map_err(Refusal::Filter)?;
    let mut folders = vec![&*own, &*rules];
    for parent in files.iter().filter_map(|(path, _)| path.parent()) {
        if !folders.contains(&parent) {
            folders.push(parent);
        }
    }
    let mut steps = Vec::new();
    for folder in folders {
        steps.extend(put::missing_folder(host, PART, put::root_folder(folder, 0o755))?);
    }
    for (path, content) in &files {
        steps.extend(file(host, path, content)?);
    }
    Ok(steps)
}

/// A file with these bytes. One that has them keeps its mode and owner.
fn file(host: &dyn Observe, path: &Path, bytes: &[u8]) -> Result<Option<Step>, Refusal> {
    let action = match host.entry(path)? {
        None => Action::Create,
        Some(Entry::File { .. }) if host.read(path)?.as_deref() == Some(bytes) => return Ok(None),
        Some(Entry::File { .. }) => Action::Update,
        Some(other) => return Err(Refusal::wrong_kind(path, &other, "a file")),
    };
    Ok(Some(step(action, WriteFile::new(path, bytes, 0o644, Owner::ROOT))))
}

fn step(action: Action, change: impl Into<Change>) -> Step {
    Step::new(PART, action, change)
}
