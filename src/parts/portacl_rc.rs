//! Cooperation with the package security/portacl-rc, which sets mac_portacl(4) from rc.conf(5) at boot.
//!
//! Where it is enabled it owns the rules: ours go into its variables, by name, and never into sysctl.conf. In the running kernel
//! they are merged with the present list, because `service portacl start` would replace the whole list and lose what others have
//! set since. `docs/portacl-rc.md` describes the package, with sources.

use std::path::Path;

use super::host_names::HostNames;
use super::port_settings::{PortAccess, RESERVED_HIGH, RULES, SYSCTL_CONF, SYSCTL_CONF_LOCAL};
use super::rule_edit::{RuleEdit, effective};
use super::{Refusal, account, portacl_rc_list};
use crate::change::{Action, SetRcVariable, Step};
use crate::host::{Entry, HostError, Observe};
use crate::portacl::{Names, Protocol, Rule, Subject};
use crate::sysconf::sysctl_conf;

/// The largest id that the script takes; it leaves out rules for larger ones.
const LARGEST_ID: u32 = 65_535;
const SCRIPT: &str = "/usr/local/etc/rc.d/portacl";
const USERS: &str = "portacl_users";
const ADDITIONAL: &str = "portacl_additional_rules";

/// Whether portacl-rc sets the rules at boot.
///
/// # Errors
/// The host could not be read.
pub fn enabled(host: &dyn Observe) -> Result<bool, HostError> {
    // rc(8) skips a script that is not executable.
    let is_executable = |entry: Entry| match entry {
        Entry::File { mode, .. } => mode & 0o111 != 0,
        entry => matches!(entry, Entry::Symlink { .. }),
    };
    Ok(host.rc_is_yes("portacl_enable")? && host.entry(Path::new(SCRIPT))?.is_some_and(is_executable))
}

/// Whether portacl-rc is in charge; its variables and sysctl.conf must not both set the rules.
///
/// # Errors
/// They do: the late pass over sysctl.conf would undo what portacl-rc has set.
pub(super) fn in_charge(host: &dyn Observe) -> Result<bool, Refusal> {
    if !enabled(host)? {
        return Ok(false);
    }
    for file in [SYSCTL_CONF, SYSCTL_CONF_LOCAL] {
        let Some(text) = host.read(Path::new(file))? else { continue };
        if let Some(name) = [RULES, RESERVED_HIGH].into_iter().find(|name| sysctl_conf::FILE.get(&text, name).is_some())
        {
            return Err(Refusal::PortaclSetting(format!(
                "portacl-rc is enabled, and {file} sets {name} too, which at the end of each boot undoes what portacl-rc has \
                 set; keep one of the two: move the rules into {USERS} and {ADDITIONAL} and take the line out, or set \
                 portacl_enable=NO; then run this again"
            )));
        }
    }
    Ok(true)
}

/// Plans portacl-rc's variables. Rules for accounts go into `portacl_user_NAME_…`, in numbers; those for groups, and for names that
/// cannot be part of a shell variable, into `portacl_additional_rules`.
///
/// # Errors
/// An id is larger than the script takes, or a variable cannot be read.
pub(super) fn plan(host: &dyn Observe, edit: &RuleEdit, access: &mut PortAccess) -> Result<Vec<Step>, Refusal> {
    access.warnings.push(
        "portacl-rc is enabled and owns the mac_portacl rules: what is changed goes into its rc.conf variables"
            .to_owned(),
    );
    let mut variables = Variables { host, names: HostNames::new(host)?, values: Vec::new() };
    for rule in edit.revoked() {
        variables.revoke(*rule)?;
    }
    let there = effective(&portacl_rc_list::list(host)?);
    for rule in edit.granted().iter().filter(|rule| !there.contains(rule)) {
        variables.grant(*rule)?;
    }
    variables.steps()
}

/// The variables that are to change, in the order in which they were touched.
struct Variables<'a> {
    host: &'a dyn Observe,
    names: HostNames<'a>,
    values: Vec<(String, String)>,
}

impl Variables<'_> {
    fn get(&self, name: &str) -> Result<String, HostError> {
        match self.values.iter().find(|(there, _)| there == name) {
            Some((_, value)) => Ok(value.clone()),
            None => Ok(self.host.rc_variable(name)?.unwrap_or_default()),
        }
    }

    fn set(&mut self, name: &str, value: String) {
        match self.values.iter_mut().find(|(there, _)| there == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name.to_owned(), value)),
        }
    }

    fn grant(&mut self, rule: Rule) -> Result<(), Refusal> {
        let (Subject::Uid(id) | Subject::Gid(id)) = rule.subject;
        if id > LARGEST_ID {
            return Err(Refusal::PortaclSetting(format!(
                "portacl-rc leaves out rules for ids above {LARGEST_ID}, and this one is {id}; give the account a smaller id, or \
                 set portacl_enable=NO; then run this again"
            )));
        }
        let Some(name) = account_of(self.host, rule.subject)? else {
            let old = self.get(ADDITIONAL)?;
            let comma = if old.is_empty() || old.ends_with(',') { "" } else { "," };
            self.set(ADDITIONAL, format!("{old}{comma}{rule}"));
            return Ok(());
        };
        self.set(USERS, with_word(&self.get(USERS)?, &name, |word| word == name));
        let variable = format!("portacl_user_{name}_{}", rule.protocol);
        self.set(&variable, with_word(&self.get(&variable)?, &rule.port.to_string(), |word| self.is_port(word, rule)));
        Ok(())
    }

    fn revoke(&mut self, rule: Rule) -> Result<(), Refusal> {
        let old = self.get(ADDITIONAL)?;
        // The script looks at each one separately, and what it leaves out stays here.
        let kept: Vec<&str> = old.split(',').filter(|element| !effective(element).contains(&rule)).collect();
        self.set(ADDITIONAL, kept.join(","));
        let kind = if matches!(rule.subject, Subject::Uid(_)) { "user" } else { "group" };
        let list = format!("portacl_{kind}s");
        for name in self.names_in(&list, rule.subject)? {
            let variable = format!("portacl_{kind}_{name}_{}", rule.protocol);
            let ports = without_words(&self.get(&variable)?, |word| self.is_port(word, rule));
            self.set(&variable, ports);
            let ports = |protocol| self.get(&format!("portacl_{kind}_{name}_{protocol}"));
            if [ports(Protocol::Tcp)?, ports(Protocol::Udp)?].concat().trim().is_empty() {
                let names = without_words(&self.get(&list)?, |word| word == name);
                self.set(&list, names);
            }
        }
        Ok(())
    }

    /// The words of `portacl_users` or `portacl_groups` that the script takes for the subject, by name or number.
    fn names_in(&self, list: &str, subject: Subject) -> Result<Vec<String>, HostError> {
        let own = account_of(self.host, subject)?;
        let mut names = Vec::new();
        for word in self.get(list)?.split_whitespace() {
            let is_it = portacl_rc_list::account(self.host, word)?.is_some_and(|account| match subject {
                Subject::Uid(uid) => account.uid == uid,
                Subject::Gid(gid) => account.gid == gid,
            });
            if is_it || own.as_deref() == Some(word) {
                names.push(word.to_owned());
            }
        }
        Ok(names)
    }

    /// Whether a word of `portacl_user_NAME_…` stands for the rule's port: its number, or a name of services(5).
    fn is_port(&self, word: &str, rule: Rule) -> bool {
        word.parse() == Ok(rule.port) || self.names.port(word, rule.protocol) == Some(rule.port)
    }

    fn steps(self) -> Result<Vec<Step>, Refusal> {
        let mut steps = Vec::new();
        for (name, value) in self.values {
            let old = self.host.rc_variable(&name)?.unwrap_or_default();
            if value.split_whitespace().ne(old.split_whitespace()) {
                steps.push(Step::new("port-access", Action::Set, SetRcVariable { name, value: Some(value) }));
            }
        }
        Ok(steps)
    }
}

/// The name of the account, if it can be part of a shell variable; also of the one that this program is about to make. `None` for
/// groups, whose names portacl-rc takes for those of users.
fn account_of(host: &dyn Observe, subject: Subject) -> Result<Option<String>, HostError> {
    let Subject::Uid(uid) = subject else { return Ok(None) };
    let name = match host.user_by_id(uid)? {
        Some(user) => user.name,
        None if uid == account::ID => account::NAME.to_owned(),
        None => return Ok(None),
    };
    Ok(Some(name).filter(|name| portacl_rc_list::fits_variable(name)))
}

fn with_word(list: &str, word: &str, is_there: impl Fn(&str) -> bool) -> String {
    let mut words: Vec<&str> = list.split_whitespace().collect();
    if !words.iter().any(|there| is_there(there)) {
        words.push(word);
    }
    words.join(" ")
}

fn without_words(list: &str, goes: impl Fn(&str) -> bool) -> String {
    list.split_whitespace().filter(|word| !goes(word)).collect::<Vec<_>>().join(" ")
}
