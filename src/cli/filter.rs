//! `filter`: who is refused by the web server in front, which paths are for whom, how often one may ask.
//!
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::command;
use super::command::Terms;
use super::global::Global;
use super::open::Opened;
use super::report;
use super::screen::{Screen, Tone};
use super::surroundings::Surroundings;
use crate::deployment::Layout;
use crate::error_code::ErrorCode;
use crate::filter::{AgentPattern, ListName, Network, Outcome, Rate, Rule, Selector, UrlPath, dangerous, decide};
use crate::parts::filter::State;
use crate::run::filter::{self, FilterWish};
use crate::run::report::{Report, SCHEMA};
use crate::run::{Exit, Stop};

/// What `filter` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum FilterCommand {
    /// What only looks.
    #[command(flatten)]
    Look(FilterLook),
    /// What changes the rules.
    #[command(flatten)]
    Change(FilterChange),
}

/// What only looks.
#[derive(Debug, Clone, Subcommand)]
pub enum FilterLook {
    /// Show the rules, each with its line in the file
    List,
    /// Show what would happen to a request, and which rule decides
    Test(FilterRequest),
}

/// A request that might come.
#[derive(Debug, Clone, Args)]
pub struct FilterRequest {
    /// The client's address
    #[arg(value_name = "ADDRESS")]
    pub address: IpAddr,
    /// The client's User-Agent header
    #[arg(long, value_name = "AGENT", default_value = "")]
    pub agent: String,
    /// The requested path
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub path: String,
}

/// What changes the rules.
#[derive(Debug, Clone, Subcommand)]
pub enum FilterChange {
    /// Block addresses or networks
    Deny(Networks),
    /// Allow addresses or networks, whatever wider rules, lists and agent rules say
    Allow(Networks),
    /// Block clients whose User-Agent contains PATTERN; case does not matter, * matches anything
    DenyAgent {
        /// What is looked for
        #[arg(value_name = "PATTERN")]
        pattern: AgentPattern,
        /// See [`Force`].
        #[command(flatten)]
        force: Force,
    },
    /// Restrict a path, and everything below it, to some networks
    Protect {
        /// The path, like /settings or /api/v1/admin
        #[arg(value_name = "PATH")]
        path: UrlPath,
        /// The networks that have access
        #[arg(long, value_name = "NETWORK", num_args = 1.., required = true)]
        from: Vec<Network>,
        /// See [`Force`].
        #[command(flatten)]
        force: Force,
    },
    /// Limit how often each client may request a path and everything below it (nginx only)
    Rate {
        /// The path
        #[arg(value_name = "PATH")]
        path: UrlPath,
        /// How often, like 10/s or 30/m
        #[arg(value_name = "RATE")]
        rate: Rate,
        /// How many requests may exceed the rate at once (default: the number of RATE)
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..=i64::from(Rate::MOST_BURST)))]
        burst: Option<u32>,
        /// See [`Force`].
        #[command(flatten)]
        force: Force,
    },
    /// Remove a rule, by its line in `filter list` or by its text
    Remove {
        /// The line, or the rule as it is listed, in one argument
        #[arg(value_name = "LINE|RULE")]
        which: Selector,
        /// See [`Force`].
        #[command(flatten)]
        force: Force,
    },
    /// Block all addresses and networks of a plain list, one per line; replaces an earlier list of that name
    Import {
        /// The list
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The name of the list (default: that of the file)
        #[arg(long, value_name = "NAME")]
        name: Option<ListName>,
        /// See [`Force`].
        #[command(flatten)]
        force: Force,
    },
}

/// Addresses or networks.
#[derive(Debug, Clone, Args)]
pub struct Networks {
    /// Like 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32
    #[arg(value_name = "NETWORK", required = true)]
    pub networks: Vec<Network>,
    /// See [`Force`].
    #[command(flatten)]
    pub force: Force,
}

/// How a change is agreed to, and whether a danger is meant.
#[derive(Debug, Clone, Copy, Args)]
pub struct Force {
    /// How it is agreed to.
    #[command(flatten)]
    pub terms: Terms,
    /// Apply it even if it cuts the instance off from other servers
    #[arg(long)]
    pub force: bool,
}

impl FilterChange {
    /// The command as it is typed.
    fn command(&self) -> &'static str {
        match self {
            Self::Deny(_) => "filter deny",
            Self::Allow(_) => "filter allow",
            Self::DenyAgent { .. } => "filter deny-agent",
            Self::Protect { .. } => "filter protect",
            Self::Rate { .. } => "filter rate",
            Self::Remove { .. } => "filter remove",
            Self::Import { .. } => "filter import",
        }
    }

    /// How it is agreed to.
    fn terms(&self) -> Force {
        match self {
            Self::Deny(Networks { force, .. })
            | Self::Allow(Networks { force, .. })
            | Self::DenyAgent { force, .. }
            | Self::Protect { force, .. }
            | Self::Rate { force, .. }
            | Self::Remove { force, .. }
            | Self::Import { force, .. } => *force,
        }
    }

    /// The requested path.
    fn wish(&self, around: &Surroundings) -> FilterWish {
        FilterWish::Add(match self {
            Self::Remove { which, .. } => return FilterWish::Remove(which.clone()),
            Self::Import { file, name, .. } => return FilterWish::Import(around.typed(file), name.clone()),
            Self::Deny(Networks { networks, .. }) => networks.iter().copied().map(Rule::Deny).collect(),
            Self::Allow(Networks { networks, .. }) => networks.iter().copied().map(Rule::Allow).collect(),
            Self::DenyAgent { pattern, .. } => vec![Rule::DenyAgent(pattern.clone())],
            Self::Protect { path, from, .. } => {
                let mut networks: Vec<Network> = Vec::new();
                for network in from {
                    if !networks.contains(network) {
                        networks.push(*network);
                    }
                }
                vec![Rule::Protect { path: path.clone(), from: networks }]
            }
            Self::Rate { path, rate, burst, .. } => {
                vec![Rule::Rate { path: path.clone(), rate: *rate, burst: *burst }]
            }
        })
    }
}

/// Runs `filter`.
pub fn run(global: &Global, action: &FilterCommand, screen: &Screen) -> Exit {
    match action {
        FilterCommand::Look(it) => look(global, it, screen),
        FilterCommand::Change(it) => {
            let Force { terms, force } = it.terms();
            let wish = it.wish(screen.around());
            command::changing(global, screen, it.command(), terms, &|run| filter::change(run, &wish, force))
        }
    }
}

/// Runs what only looks.
pub fn look(global: &Global, look: &FilterLook, screen: &Screen) -> Exit {
    let command = match look {
        FilterLook::List => "filter list",
        FilterLook::Test(_) => "filter test",
    };
    let unusable = |why: String| Stop::new(Exit::Usage, ErrorCode::Filter, why);
    let state = Opened::open(global, screen)
        .and_then(|opened| State::read(opened.host(), &Layout::default()).map_err(unusable));
    let state = match state {
        Ok(state) => state,
        Err(stop) => return report::fail(Report::new(command), screen, &stop),
    };
    let (lines, mut object) = match look {
        FilterLook::List => listed(&state, screen),
        FilterLook::Test(question) => answered(&state, question, screen),
    };
    // The answer is what was asked for, so --quiet does not take it away.
    lines.iter().for_each(|line| screen.not_quiet().line(line));
    for (_, name) in state.filters.lists().filter(|(_, name)| !state.lists.0.contains_key(*name)) {
        screen.attention(&format!("The list {name} is missing; import it again, or remove its rule"));
    }
    if screen.json() {
        if let Some(object) = object.as_object_mut() {
            object.insert("schema".to_owned(), json!(SCHEMA));
            object.insert("command".to_owned(), json!(command));
        }
        screen.print_json(&object);
    }
    Exit::Done
}

/// The rules for people, and for programs.
fn listed(state: &State, screen: &Screen) -> (Vec<String>, Value) {
    let mut lines = Vec::new();
    let mut rules = Vec::new();
    for (line, rule) in state.filters.rules() {
        let mut object = json!({ "line": line, "rule": rule.to_string() });
        let mut text = format!("{line:>5}  {rule}");
        if let Rule::DenyFile(name) = rule {
            let count = state.lists.0.get(name).map(|list| list.networks().len());
            object["entries"] = json!(count);
            text.push_str(&match count {
                None => "  (missing)".to_owned(),
                Some(1) => "  (1 entry)".to_owned(),
                Some(count) => format!("  ({count} entries)"),
            });
        }
        lines.push(text);
        rules.push(object);
    }
    if lines.is_empty() {
        lines.push("There are no rules: every request passes.".to_owned());
    }
    let dangers = dangerous(&state.filters, &state.lists);
    lines.extend(dangers.iter().map(|danger| screen.paint(Tone::Caution, &format!("Mind: {}", danger.text))));
    let object = json!({
        "rules": rules,
        "dangers": dangers.iter().map(|danger| &danger.text).collect::<Vec<_>>(),
        "nginx_only": state.filters.rates().map(|(line, _)| line).collect::<Vec<_>>(),
    });
    (lines, object)
}

/// What would happen, for people and for programs.
fn answered(state: &State, question: &FilterRequest, screen: &Screen) -> (Vec<String>, Value) {
    let FilterRequest { address, agent, path } = question;
    let decision = decide(&state.filters, &state.lists, *address, agent, path);
    let (word, tone) = match decision.outcome {
        Outcome::Passed => ("passed", Tone::Good),
        Outcome::Limited { .. } => ("limited", Tone::Caution),
        Outcome::Refused => ("refused", Tone::Bad),
    };
    let who = if agent.is_empty() { address.to_string() } else { format!("{address} ({agent})") };
    let lines = vec![
        format!("{path} for {who} {}", screen.paint(tone, &decision.outcome.to_string())),
        format!("  {}", decision.reason),
    ];
    let object = json!({
        "address": address,
        "agent": agent,
        "path": path,
        "outcome": word,
        "line": decision.line,
        "reason": decision.reason,
    });
    (lines, object)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
