//! `filter`: who is refused by the web server in front, which paths are for whom, how often one may ask.
//!
//! [`Look`]ing is done here. A [`Change`] becomes an [`Edited`] by [`edit()`]: the new content of files, for a plan.

mod change;
mod edit;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Global;
use super::exit::Exit;
use super::open::Opened;
use super::report::{Report, SCHEMA};
use super::screen::{Screen, Tone};
use super::transaction::Stop;
use crate::deployment::Layout;
use crate::error_code::ErrorCode;
use crate::filter::{
    AgentPattern, Danger, LineError, ListName, Network, Outcome, Rate, Reason, Rule, Selector, UrlPath, dangerous,
    decide,
};
use crate::parts::filter::State;
pub use edit::{Edited, edit};

/// What `filter` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// What only looks.
    #[command(flatten)]
    Look(Look),
    /// What changes the rules.
    #[command(flatten)]
    Change(Change),
}

/// What only looks.
#[derive(Debug, Clone, Subcommand)]
pub enum Look {
    /// Show the rules, each with its line in the file
    List,
    /// Say what would happen to a request, and which rule decides
    Test(Question),
}

/// A request that might come.
#[derive(Debug, Clone, Args)]
pub struct Question {
    /// Where it comes from
    #[arg(value_name = "ADDRESS")]
    pub address: IpAddr,
    /// What the client calls itself (its User-Agent header)
    #[arg(long, value_name = "AGENT", default_value = "")]
    pub agent: String,
    /// What it asks for
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub path: String,
}

/// What changes the rules.
#[derive(Debug, Clone, Subcommand)]
pub enum Change {
    /// Refuse addresses or networks
    Deny(Networks),
    /// Let addresses or networks in, whatever wider rules, lists and agent rules say
    Allow(Networks),
    /// Refuse clients whose User-Agent has PATTERN in it; capitals do not matter, * stands for anything
    DenyAgent {
        /// What is looked for
        #[arg(value_name = "PATTERN")]
        pattern: AgentPattern,
        /// See [`Force`].
        #[command(flatten)]
        force: Force,
    },
    /// Keep a path, and everything below it, to some networks
    Protect {
        /// The path, like /settings or /api/v1/admin
        #[arg(value_name = "PATH")]
        path: UrlPath,
        /// Who may come
        #[arg(long, value_name = "NETWORK", num_args = 1.., required = true)]
        from: Vec<Network>,
        /// See [`Force`].
        #[command(flatten)]
        force: Force,
    },
    /// Limit how often each client asks for a path and everything below it (nginx only)
    Rate {
        /// The path
        #[arg(value_name = "PATH")]
        path: UrlPath,
        /// How often, like 10/s or 30/m
        #[arg(value_name = "RATE")]
        rate: Rate,
        /// How many may come at once beyond it (without: as many as RATE has in its time)
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..=i64::from(LineError::MOST_BURST)))]
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
    /// Refuse all addresses and networks of a plain list, one a line; replaces what was imported by that name before
    Import {
        /// The list
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What to call it (without: as the file is called)
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
    /// Make the changes without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
    /// Do it even if it cuts the instance off from other servers
    #[arg(long)]
    pub force: bool,
}

impl Change {
    /// Whether dangers are meant.
    #[must_use]
    pub fn forced(&self) -> bool {
        self.terms().force
    }

    /// How it is agreed to.
    #[must_use]
    pub fn terms(&self) -> Force {
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
}

/// Runs `filter`.
#[must_use]
pub fn run(global: &Global, action: &Action, screen: &Screen) -> Exit {
    match action {
        Action::Look(it) => look(global, it, screen),
        Action::Change(it) => change::run(global, it, screen),
    }
}

/// Runs what only looks.
#[must_use]
pub fn look(global: &Global, look: &Look, screen: &Screen) -> Exit {
    let command = match look {
        Look::List => "filter list",
        Look::Test(_) => "filter test",
    };
    let unusable = |why: String| Stop::new(Exit::Usage, ErrorCode::Filter, why);
    let state = Opened::open(global, screen)
        .and_then(|opened| State::read(opened.host().observe(), &Layout::default()).map_err(unusable));
    let state = match state {
        Ok(state) => state,
        Err(stop) => return Report::new(command).fail(screen, stop),
    };
    let (lines, mut object) = match look {
        Look::List => listed(&state, screen),
        Look::Test(question) => answered(&state, question, screen),
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
        lines.push("There are no rules: everything passes.".to_owned());
    }
    let dangers = dangerous(&state.filters, &state.lists);
    lines.extend(dangers.iter().map(|danger| screen.paint(Tone::Caution, &format!("Mind: {danger}"))));
    let told = |dangers: &[Danger]| dangers.iter().map(ToString::to_string).collect::<Vec<_>>();
    let object = json!({
        "rules": rules,
        "dangers": told(&dangers),
        "nginx_only": state.filters.rates().map(|(line, _)| line).collect::<Vec<_>>(),
    });
    (lines, object)
}

/// What would happen, for people and for programs.
fn answered(state: &State, question: &Question, screen: &Screen) -> (Vec<String>, Value) {
    let Question { address, agent, path } = question;
    let decision = decide(&state.filters, &state.lists, *address, agent, path);
    let (word, tone) = match decision.outcome {
        Outcome::Passed => ("passed", Tone::Good),
        Outcome::Limited { .. } => ("limited", Tone::Caution),
        Outcome::Refused => ("refused", Tone::Bad),
    };
    let line = match &decision.reason {
        Reason::Rule { line, .. } | Reason::List { line, .. } => Some(*line),
        Reason::Loopback | Reason::Dots | Reason::NoRule => None,
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
        "line": line,
        "reason": decision.reason.to_string(),
    });
    (lines, object)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::surroundings::tests::nowhere;
    use crate::filter::{Filters, Lists};
    use crate::host::rehearsal::Rehearsal;
    use std::sync::Arc;

    #[derive(Parser)]
    pub struct Line {
        #[command(flatten)]
        pub global: Global,
        #[command(subcommand)]
        pub action: Action,
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
            (&["rate", "/a", "0/s"], "would let nobody in"),
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
        let global = parsed(&["list"]).unwrap().global;
        let screen = Screen::new(&global, &Arc::new(nowhere()));
        let (lines, object) = listed(&state, &screen);
        assert_eq!(
            lines,
            ["    2  deny file drop  (1 entry)", "    3  deny file gone  (missing)", "    4  rate /api 1/s"]
        );
        assert_eq!(object["rules"][0], json!({ "line": 2, "rule": "deny file drop", "entries": 1 }));
        assert_eq!(object["nginx_only"], json!([4]));

        let Action::Look(Look::Test(question)) = parsed(&["test", "192.0.2.7", "--agent", "x"]).unwrap().action else {
            panic!("no question");
        };
        let (lines, object) = answered(&state, &question, &screen);
        assert_eq!(lines[0], "/ for 192.0.2.7 (x) is refused with 403");
        assert_eq!((&object["outcome"], &object["line"]), (&json!("refused"), &json!(2)));

        let looked = parsed(&["list", "--rehearse", root.to_str().unwrap()]).unwrap();
        assert_eq!(look(&looked.global, &Look::List, &screen), Exit::Done);
        write("filters.conf", b"deny\ndeny 1.1.1.1/1\n");
        let error = State::read(&machine, &layout).unwrap_err();
        assert!(error.contains("filters.conf: line 1, deny:") && error.contains("filters.conf: line 2,"), "{error}");
        assert_eq!(look(&looked.global, &Look::List, &screen), Exit::Usage);
        write("filters.conf", b"\xff");
        assert!(State::read(&machine, &layout).unwrap_err().contains("filters.conf is not valid UTF-8"));
        write("filters.conf", b"deny file drop");
        write("filters/drop.list", b"what");
        assert!(State::read(&machine, &layout).unwrap_err().contains("drop.list: line 1: what is neither"));
    }

    #[test]
    fn no_rules_are_told_of_as_such() {
        let screen = Screen::new(&parsed(&["list"]).unwrap().global, &Arc::new(nowhere()));
        assert_eq!(listed(&State::default(), &screen).0, ["There are no rules: everything passes."]);
        let (lines, _) = listed(&state("deny ::/0\n"), &screen);
        assert!(lines[1].contains("Mind: the rules and lists together refuse more than half of all IPv6"), "{lines:?}");
    }
}
