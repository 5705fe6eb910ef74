//! `filter`: which requests the web server in front blocks, which paths are restricted, and how often a client may ask.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::command::{Terms, changing};
use super::open::Opened;
use super::report;
use super::screen::{Screen, Tone};
use super::surroundings::Surroundings;
use super::text::Text;
use crate::deployment::Layout;
use crate::error_code::ErrorCode;
use crate::filter::{AgentPattern, ListName, Network, Outcome, Rate, Rule, Selector, UrlPath, dangerous, decide};
use crate::parts::filter::State;
use crate::run::filter::{self, FilterWish};
use crate::run::report::{Report, SCHEMA};
use crate::run::{Exit, Stop};
use crate::shown::Shown;

/// What `filter` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum FilterCommand {
    /// Show the rules, each with its line in the file
    List,
    /// Show what would happen to a request, and which rule decides
    Test {
        /// The client's address
        address: IpAddr,
        /// The client's User-Agent header
        #[arg(long, value_name = "AGENT", default_value = "")]
        agent: String,
        /// The requested path
        #[arg(long, value_name = "PATH", default_value = "/")]
        path: String,
    },
    /// What changes the rules.
    #[command(flatten)]
    Change(FilterChange),
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
        pattern: AgentPattern,
        /// See [`Force`].
        #[command(flatten)]
        force: Force,
    },
    /// Restrict a path, and everything below it, to some networks
    Protect {
        /// The path, like /settings or /api/v1/admin
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
        path: UrlPath,
        /// How often, like 10/s or 30/m
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

/// How a change is agreed to, and whether a danger is accepted.
#[derive(Debug, Clone, Copy, Args)]
pub struct Force {
    /// How the changes are agreed to.
    #[command(flatten)]
    pub terms: Terms,
    /// Apply it even if it cuts the instance off from other servers
    #[arg(long)]
    pub force: bool,
}

impl FilterChange {
    /// The command as it is typed, how it is agreed to, and what it asks for.
    fn wish(self, around: &Surroundings) -> (&'static str, Force, FilterWish) {
        let all = |networks: Vec<Network>, rule: fn(Network) -> Rule| {
            FilterWish::Add(networks.into_iter().map(rule).collect())
        };
        let one = |rule| FilterWish::Add(vec![rule]);
        match self {
            Self::Deny(Networks { networks, force }) => ("filter deny", force, all(networks, Rule::Deny)),
            Self::Allow(Networks { networks, force }) => ("filter allow", force, all(networks, Rule::Allow)),
            Self::DenyAgent { pattern, force } => ("filter deny-agent", force, one(Rule::DenyAgent(pattern))),
            Self::Protect { path, from, force } => {
                let mut networks = Vec::new();
                for network in from {
                    if !networks.contains(&network) {
                        networks.push(network);
                    }
                }
                ("filter protect", force, one(Rule::Protect { path, from: networks }))
            }
            Self::Rate { path, rate, burst, force } => ("filter rate", force, one(Rule::Rate { path, rate, burst })),
            Self::Remove { which, force } => ("filter remove", force, FilterWish::Remove(which)),
            Self::Import { file, name, force } => {
                ("filter import", force, FilterWish::Import(around.typed(&file), name))
            }
        }
    }
}

/// Runs `filter`.
pub(super) fn run(command: FilterCommand, screen: &Screen) -> Exit {
    match command {
        FilterCommand::List => look("filter list", listed, screen),
        FilterCommand::Test { address, agent, path } => {
            look("filter test", |state, screen| answered(state, address, (&agent, &path), screen), screen)
        }
        FilterCommand::Change(change) => {
            let (command, Force { terms, force }, wish) = change.wish(&screen.around);
            changing(screen, command, terms, &|run| filter::change(run, &wish, force))
        }
    }
}

/// Runs what only reads: shows what `answer` gives for people, or for programs.
fn look(
    command: &'static str,
    answer: impl Fn(&State, &Screen) -> (Vec<Text<'static>>, Value),
    screen: &Screen,
) -> Exit {
    let unusable = |why: String| Stop::new(Exit::Usage, ErrorCode::Filter, why);
    let state =
        Opened::open(screen).and_then(|opened| State::read(opened.host(), &Layout::default()).map_err(unusable));
    let state = match state {
        Ok(state) => state,
        Err(stop) => return report::finish(Report::new(command), screen, Err(stop)),
    };
    let (lines, mut object) = answer(&state, screen);
    // The answer is what was asked for, so --quiet does not hide it.
    lines.iter().for_each(|line| screen.not_quiet().line(line));
    for (_, name) in state.filters.lists().filter(|(_, name)| !state.lists.0.contains_key(*name)) {
        screen.attention(format!("The list {name} is missing; import it again, or remove its rule"));
    }
    if screen.global.json {
        object["schema"] = json!(SCHEMA);
        object["command"] = json!(command);
        screen.print_exact(&format!("{object}\n"));
    }
    Exit::Done
}

/// The rules for people, and for programs.
fn listed(state: &State, screen: &Screen) -> (Vec<Text<'static>>, Value) {
    let mut lines = Vec::new();
    let mut rules = Vec::new();
    for (line, rule) in state.filters.rules() {
        let mut object = json!({ "line": line, "rule": rule.to_string() });
        let mut text = format!("{line:>5}  {rule}");
        if let Rule::DenyFile(name) = rule {
            let count = state.lists.0.get(name).map(|list| list.networks().len());
            object["entries"] = json!(count);
            text += &match count {
                None => "  (missing)".to_owned(),
                Some(1) => "  (1 entry)".to_owned(),
                Some(count) => format!("  ({count} entries)"),
            };
        }
        lines.push(Text::from(text));
        rules.push(object);
    }
    if lines.is_empty() {
        lines.push(Text::from("There are no rules: every request passes."));
    }
    let dangers: Vec<String> = dangerous(&state.filters, &state.lists).into_iter().map(|danger| danger.text).collect();
    lines.extend(dangers.iter().map(|danger| screen.paint(Tone::CAUTION, format!("Mind: {danger}"))));
    let rates: Vec<_> = state.filters.rates().map(|(line, _)| line).collect();
    (lines, json!({ "rules": rules, "dangers": dangers, "nginx_only": rates }))
}

/// What would happen, for people and for programs.
fn answered(
    state: &State,
    address: IpAddr,
    (agent, path): (&str, &str),
    screen: &Screen,
) -> (Vec<Text<'static>>, Value) {
    let decision = decide(&state.filters, &state.lists, address, agent, path);
    let (word, tone) = match decision.outcome {
        Outcome::Passed => ("passed", Tone::GOOD),
        Outcome::Limited { .. } => ("limited", Tone::CAUTION),
        Outcome::Refused => ("refused", Tone::BAD),
    };
    let who = if agent.is_empty() { address.to_string() } else { format!("{address} ({agent})") };
    let lines = vec![
        Text::from(format!("{} for {} ", path.shown(), who.shown())) + screen.paint(tone, decision.outcome.to_string()),
        Text::from(format!("  {}", decision.reason)),
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
