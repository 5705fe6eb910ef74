//! The filters as configuration of Apache httpd 2.4: `mod_rewrite` alone, within the instance's virtual host.
//!
//! Apache has nothing like nginx's `geo`: a `Require ip` of 100,000 networks is gone through from the first to the last
//! for each request. So the networks go into a table of keys on disk ([`sdbm`]), one key for each prefix in
//! hexadecimal digits, and a request's address is looked up digit by digit from the longest prefix that there is to the
//! shortest: at most 8 looks for IPv4 and 32 for IPv6, however many networks there are. A network whose prefix ends
//! within a digit is written as the two, four or eight that it consists of.
//!
//! How often one asks cannot be limited: `mod_ratelimit` limits the bandwidth of an answer, and modules that count
//! requests (`mod_qos`, `mod_evasive`) do not come with Apache.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::sdbm;
use crate::filter::{Filters, Lists, Network, Rule, UrlPath, table};
use crate::front::filters::{FilterFile, FilterFileError, GLOBAL, HEAD, SITE, dots, protected, ready};

/// The table of networks, without the endings of its two files.
const NETWORKS: &str = "networks";

/// The hexadecimal digits of the numbers 0 to 255.
const OCTETS: &str = "octets.txt";

/// A `RewriteRule` that does not change the path, with its conditions.
struct Step {
    conditions: Vec<String>,
    flags: String,
}

impl Step {
    fn new(conditions: Vec<String>, flags: impl Into<String>) -> Self {
        Self { conditions, flags: flags.into() }
    }
}

/// The files for Apache, below the folder `filters` of our own configuration folder: `global/*.conf` for outside any
/// virtual host, which has nothing in it, `site/*.conf` for the instance's, and the tables, which the workers read
/// while they serve. They are always the same files, also if there is no rule.
///
/// # Errors
/// A list is missing, a rule is one that Apache cannot follow, or the folder's name cannot be written down.
pub(super) fn render(
    name: &'static str,
    filters: &Filters,
    lists: &Lists,
    folder: &Path,
) -> Result<Vec<FilterFile>, FilterFileError> {
    let rules: Vec<_> = filters.rates().map(|(line, rule)| (line, rule.clone())).collect();
    if !rules.is_empty() {
        return Err(FilterFileError::Rates { name, rules });
    }
    let folder_text = ready(filters, lists, folder)?;
    // Those that are more specific come later, and take the place of what a wider one has put there.
    let mut keys = BTreeMap::new();
    let mut lengths = BTreeSet::new();
    for (network, verdict) in table(filters, lists) {
        for part in network.whole_digits() {
            lengths.insert((part.is_six(), part.length()));
            keys.insert(part.digits(), verdict.word());
        }
    }
    let database = sdbm::write(keys.iter().map(|(key, verdict)| (key.as_str(), *verdict)))?;
    let octets: String = (0..=255).map(|octet| format!("{octet} {octet:02x}\n")).collect();

    let mut steps = Vec::new();
    steps.extend(address_digits(&lengths));
    steps.extend(verdict(&lengths));
    steps.push(Step::new(vec![condition("%{ENV:gts_bootstrap_verdict}", "=deny")], "F"));
    steps.extend(agents(filters));
    steps.extend(protection(&protected(filters)));
    let local = Step::new(vec![condition("%{REMOTE_ADDR}", r"^(?:127\.|::1$)")], format!("S={}", steps.len()));

    let mut site = HEAD.to_owned();
    let _ = write!(
        site,
        "RewriteEngine On
RewriteMap gts_bootstrap_octet \"txt:{folder_text}/{OCTETS}\"
RewriteMap gts_bootstrap_network \"dbm=sdbm:{folder_text}/{NETWORKS}\"
"
    );
    for step in [local].iter().chain(&steps) {
        for condition in &step.conditions {
            let _ = writeln!(site, "RewriteCond {condition}");
        }
        let _ = writeln!(site, "RewriteRule \"^\" \"-\" \"[{}]\"", step.flags);
    }
    let file = |name: &str, content: Vec<u8>| FilterFile { path: folder.join(name), content };
    Ok(vec![
        file(OCTETS, octets.into_bytes()),
        file(&format!("{NETWORKS}.pag"), database.pages),
        file(&format!("{NETWORKS}.dir"), database.directory),
        file(GLOBAL, HEAD.into()),
        file(SITE, site.into_bytes()),
    ])
}

fn condition(what: &str, pattern: &str) -> String {
    format!("\"{what}\" \"{pattern}\"")
}

/// Puts the client's address into `gts_bootstrap_digits`: its family and all of its hexadecimal digits.
fn address_digits(lengths: &BTreeSet<(bool, u8)>) -> Vec<Step> {
    let mut steps = Vec::new();
    let octets: String = (1..=4).map(|octet| format!("${{gts_bootstrap_octet:%{octet}}}")).collect();
    steps.push(Step::new(
        vec![condition("%{REMOTE_ADDR}", r"^(\d+)\.(\d+)\.(\d+)\.(\d+)$")],
        format!("E=gts_bootstrap_digits:4{octets}"),
    ));
    if !lengths.iter().any(|(six, _)| *six) {
        return steps;
    }
    // RFC 5952: lower case, no leading zeros, and one :: for the longest row of zeros. As many are put back as are
    // missing from eight. What stands behind % is the interface of a link-local address.
    steps.push(Step::new(
        vec![condition("%{REMOTE_ADDR}", "^((?:[0-9a-f]+:){7}[0-9a-f]+)(?:%.*)?$")],
        "E=gts_bootstrap_groups:%1",
    ));
    for there in 0..8 {
        let zeros = "0:".repeat(8 - there);
        steps.push(Step::new(
            vec![condition(
                "%{REMOTE_ADDR}",
                &format!("^(?=(?::*+[0-9a-f]++){{{there}}}:*+(?:%.*)?$)([0-9a-f:]*?)::([0-9a-f:]*)(?:%.*)?$"),
            )],
            format!("E=gts_bootstrap_groups:%1:{zeros}%2"),
        ));
    }
    let groups: Vec<&str> = vec!["([0-9a-f]+)"; 8];
    let padded: String = (1..=8).map(|group| format!("000%{group}:")).collect();
    steps.push(Step::new(
        vec![condition("%{ENV:gts_bootstrap_groups}", &format!("^:?{}:?$", groups.join(":")))],
        format!("E=gts_bootstrap_groups:{padded}"),
    ));
    let all: String = (1..=8).map(|group| format!("%{group}")).collect();
    steps.push(Step::new(
        vec![condition("%{ENV:gts_bootstrap_groups}", &format!("^{}$", "0*?([0-9a-f]{4}):".repeat(8)))],
        format!("E=gts_bootstrap_digits:6{all}"),
    ));
    steps
}

/// Looks the address up, the longest prefix first, and puts what is found into `gts_bootstrap_verdict`.
fn verdict(lengths: &BTreeSet<(bool, u8)>) -> Vec<Step> {
    let count = lengths.len();
    let step = |(index, (six, length)): (usize, &(bool, u8))| {
        let family = if *six { 6 } else { 4 };
        let conditions = vec![
            condition("%{ENV:gts_bootstrap_digits}", &format!("^({family}.{{{}}})", length / 4)),
            condition("${gts_bootstrap_network:%1}", "^(.+)$"),
        ];
        let rest = match count - index - 1 {
            0 => String::new(),
            rest => format!(",S={rest}"),
        };
        Step::new(conditions, format!("E=gts_bootstrap_verdict:%1{rest}"))
    };
    lengths.iter().rev().enumerate().map(step).collect()
}

/// Clients by the name they give themselves.
fn agents(filters: &Filters) -> Option<Step> {
    let patterns = filters.rules().filter_map(|(_, rule)| match rule {
        Rule::DenyAgent(pattern) => Some(condition("%{HTTP_USER_AGENT}", &pattern.regex())),
        _ => None,
    });
    let patterns: Vec<String> = patterns.collect();
    let (last, others) = patterns.split_last()?;
    let mut conditions = vec![condition("%{ENV:gts_bootstrap_verdict}", "!=allow")];
    conditions.extend(others.iter().map(|pattern| format!("{pattern} [NC,OR]")));
    conditions.push(format!("{last} [NC]"));
    Some(Step::new(conditions, "F"))
}

/// The condition that the client is outside a network. Apache takes no prefix of length 0.
fn outside(network: &Network) -> String {
    match (network.length(), network.is_six()) {
        (0, false) => condition("%{REMOTE_ADDR}", ":"),
        (0, true) => condition("%{REMOTE_ADDR}", "!:"),
        _ => format!("expr \"! -R '{}'\"", network.with_length()),
    }
}

/// Paths for some networks.
fn protection(protected: &[(&UrlPath, &[Network])]) -> Vec<Step> {
    let mut steps = Vec::new();
    if !protected.is_empty() {
        // Apache resolves . and .. in a path, GoToSocial gets it as it came: what passes here for one path may be
        // another there.
        steps.push(Step::new(vec![format!("{} [NC]", condition("%{THE_REQUEST}", &dots("[^ ]+ ", "#| |$")))], "F"));
    }
    for (index, (path, from)) in protected.iter().enumerate() {
        let path = condition("%{REQUEST_URI}", &path.regex());
        let mut conditions = vec![path.clone()];
        conditions.extend(from.iter().map(outside));
        steps.push(Step::new(conditions, "F"));
        // Past the shorter paths: two steps each, one for the last.
        let shorter = protected.len() - index - 1;
        if shorter > 0 {
            steps.push(Step::new(vec![path], format!("S={}", 2 * shorter - 1)));
        }
    }
    steps
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Vec<FilterFile> {
        render("Apache httpd", &Filters::parse(text).unwrap(), &Lists::default(), Path::new("/f")).unwrap()
    }

    fn site(text: &str) -> String {
        String::from_utf8(rendered(text).pop().unwrap().content).unwrap()
    }

    #[test]
    fn the_files_are_always_the_same() {
        for text in ["", "deny 192.0.2.0/24\nprotect / from ::1"] {
            let paths: Vec<_> = rendered(text).into_iter().map(|file| file.path).collect();
            let names =
                ["octets.txt", "networks.pag", "networks.dir", "global/gts-bootstrap.conf", "site/gts-bootstrap.conf"];
            assert_eq!(paths, names.map(|name| Path::new("/f").join(name)));
        }
    }

    #[test]
    fn rates_are_refused() {
        let filters = Filters::parse("deny 192.0.2.1\nrate /api 10/s\n").unwrap();
        let error = render("Apache httpd", &filters, &Lists::default(), Path::new("/f")).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("Apache httpd cannot limit") && error.ends_with("  line 2: rate /api 10/s"),
            "{error}"
        );
    }

    #[test]
    fn only_lengths_that_there_are_get_looked_up() {
        let text = site("deny 192.0.2.0/23\nallow 192.0.2.7\n");
        assert_eq!(text.matches("${gts_bootstrap_network:").count(), 2);
        assert!(text.find("^(4.{8})").unwrap() < text.find("^(4.{6})").unwrap());
        assert!(!text.contains("gts_bootstrap_groups"));
        assert!(site("deny 2001:db8::/29").contains("^(6.{8})"));
    }

    /// Skips are counted in rules; one too many would jump over what comes behind the filters.
    #[test]
    fn skips_end_with_the_filters() {
        let text = site(
            "deny 192.0.2.0/23\ndeny 192.0.2.7\ndeny 2001:db8::/32\ndeny agent x\nprotect /a from ::1\nprotect /a/b from ::1\nprotect /c from ::1\n",
        );
        let rules: Vec<&str> = text.lines().filter(|line| line.starts_with("RewriteRule")).collect();
        let skip =
            |line: &str| line.split("S=").nth(1).map(|rest| rest.trim_end_matches("]\"").parse::<usize>().unwrap());
        assert_eq!(skip(rules[0]), Some(rules.len() - 1));
        for (index, rule) in rules.iter().enumerate() {
            assert!(index + skip(rule).unwrap_or(0) < rules.len(), "{rule}");
        }
    }

    #[test]
    fn nothing_breaks_out() {
        let text = site("deny agent \"a' } # \\ $b ${c} %{ENV:d} <e>\"\n");
        assert!(!text.contains("${c}") && !text.contains("%{ENV:d}") && !text.contains("<e>"), "{text}");
    }
}
