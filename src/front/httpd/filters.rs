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
use std::path::Path;

use super::{NAME, sdbm};
use crate::filter::{Filters, Lists, Network, PathRule, Rule, table};
use crate::front::filters::{GLOBAL, HEAD, RenderedFilters, SITE, dots, ready};

/// The table of networks, without the endings of its two files.
const NETWORKS: &str = "networks";

/// The hexadecimal digits of the numbers 0 to 255.
const OCTETS: &str = "octets.txt";

/// The files for Apache, below the folder `filters` of our own configuration folder: `global/*.conf` for outside any
/// virtual host, which has nothing in it, `site/*.conf` for the instance's, and the tables, which the workers read
/// while they serve. They are always the same files, also if there is no rule.
///
/// # Errors
/// In words: a list is missing, a rule is one that Apache cannot follow, or the folder's name cannot be written down.
pub(super) fn render(filters: &Filters, lists: &Lists, folder: &Path) -> RenderedFilters {
    let rates: Vec<String> = filters.rates().map(|(line, rule)| format!("  line {line}: {rule}")).collect();
    if !rates.is_empty() {
        return Err(format!(
            "{NAME} cannot limit how often a client asks; take these rules out (`gts-bootstrap filter remove LINE`), or \
             use nginx (`gts-bootstrap switch-to-proxy nginx`):\n{}",
            rates.join("\n")
        ));
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
    let database = sdbm::write(&keys)?;
    let octets: String = (0..=255).map(|octet| format!("{octet} {octet:02x}\n")).collect();

    let mut steps = address_digits(&lengths);
    steps.extend(verdict(&lengths));
    steps.push(step(&[condition("%{ENV:gts_bootstrap_verdict}", "=deny")], "F"));
    steps.extend(agents(filters));
    steps.extend(protection(&filters.protected()));
    let local = step(&[condition("%{REMOTE_ADDR}", r"^(?:127\.|::1$)")], &format!("S={}", steps.len()));
    let site = format!(
        "{HEAD}RewriteEngine On
RewriteMap gts_bootstrap_octet \"txt:{folder_text}/{OCTETS}\"
RewriteMap gts_bootstrap_network \"dbm=sdbm:{folder_text}/{NETWORKS}\"
{local}{}",
        steps.concat()
    );
    Ok(vec![
        (folder.join(OCTETS), octets.into_bytes()),
        (folder.join(format!("{NETWORKS}.pag")), database.pages),
        (folder.join(format!("{NETWORKS}.dir")), database.directory),
        (folder.join(GLOBAL), HEAD.into()),
        (folder.join(SITE), site.into_bytes()),
    ])
}

/// A `RewriteRule` that does not change the path, with its conditions.
fn step(conditions: &[String], flags: &str) -> String {
    let conditions: String = conditions.iter().map(|condition| format!("RewriteCond {condition}\n")).collect();
    format!("{conditions}RewriteRule \"^\" \"-\" \"[{flags}]\"\n")
}

fn condition(what: &str, pattern: &str) -> String {
    format!("\"{what}\" \"{pattern}\"")
}

/// Puts the client's address into `gts_bootstrap_digits`: its family and all of its hexadecimal digits.
fn address_digits(lengths: &BTreeSet<(bool, u8)>) -> Vec<String> {
    let repeated = |count, text: &dyn Fn(usize) -> String| (1..=count).map(text).collect::<String>();
    let address = |pattern: &str, flags: &str| step(&[condition("%{REMOTE_ADDR}", pattern)], flags);
    let groups = |pattern: &str, flags: &str| step(&[condition("%{ENV:gts_bootstrap_groups}", pattern)], flags);
    let octets = repeated(4, &|octet| format!("${{gts_bootstrap_octet:%{octet}}}"));
    let mut steps = vec![address(r"^(\d+)\.(\d+)\.(\d+)\.(\d+)$", &format!("E=gts_bootstrap_digits:4{octets}"))];
    if !lengths.iter().any(|(six, _)| *six) {
        return steps;
    }
    // RFC 5952: lower case, no leading zeros, and one :: for the longest row of zeros. As many are put back as are
    // missing from eight. What stands behind % is the interface of a link-local address.
    steps.push(address("^((?:[0-9a-f]+:){7}[0-9a-f]+)(?:%.*)?$", "E=gts_bootstrap_groups:%1"));
    steps.extend((0..8).map(|there| {
        let zeros = "0:".repeat(8 - there);
        address(
            &format!("^(?=(?::*+[0-9a-f]++){{{there}}}:*+(?:%.*)?$)([0-9a-f:]*?)::([0-9a-f:]*)(?:%.*)?$"),
            &format!("E=gts_bootstrap_groups:%1:{zeros}%2"),
        )
    }));
    let padded = repeated(8, &|group| format!("000%{group}:"));
    let all = repeated(8, &|group| format!("%{group}"));
    steps.push(groups(&format!("^:?{}:?$", ["([0-9a-f]+)"; 8].join(":")), &format!("E=gts_bootstrap_groups:{padded}")));
    steps.push(groups(&format!("^{}$", "0*?([0-9a-f]{4}):".repeat(8)), &format!("E=gts_bootstrap_digits:6{all}")));
    steps
}

/// Looks the address up, the longest prefix first, and puts what is found into `gts_bootstrap_verdict`.
fn verdict(lengths: &BTreeSet<(bool, u8)>) -> impl Iterator<Item = String> {
    let shorter = (0..lengths.len()).rev();
    lengths.iter().rev().zip(shorter).map(|((six, length), shorter)| {
        let family = if *six { 6 } else { 4 };
        let rest = if shorter == 0 { String::new() } else { format!(",S={shorter}") };
        let conditions = [
            condition("%{ENV:gts_bootstrap_digits}", &format!("^({family}.{{{}}})", length / 4)),
            condition("${gts_bootstrap_network:%1}", "^(.+)$"),
        ];
        step(&conditions, &format!("E=gts_bootstrap_verdict:%1{rest}"))
    })
}

/// Clients by the name they give themselves.
fn agents(filters: &Filters) -> Option<String> {
    let patterns = filters.rules().filter_map(|(_, rule)| match rule {
        Rule::DenyAgent(pattern) => Some(condition("%{HTTP_USER_AGENT}", &pattern.regex())),
        _ => None,
    });
    let patterns: Vec<String> = patterns.collect();
    let (last, others) = patterns.split_last()?;
    let mut conditions = vec![condition("%{ENV:gts_bootstrap_verdict}", "!=allow")];
    conditions.extend(others.iter().map(|pattern| format!("{pattern} [NC,OR]")));
    conditions.push(format!("{last} [NC]"));
    Some(step(&conditions, "F"))
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
fn protection(protected: &[PathRule<'_, &[Network]>]) -> Vec<String> {
    let mut steps = Vec::new();
    if !protected.is_empty() {
        // Apache resolves . and .. in a path, GoToSocial gets it as it came: what passes here for one path may be
        // another there.
        steps.push(step(&[format!("{} [NC]", condition("%{THE_REQUEST}", &dots("[^ ]+ ", "#| |$")))], "F"));
    }
    for ((_, _, path, from), shorter) in protected.iter().zip((0..protected.len()).rev()) {
        let path = condition("%{REQUEST_URI}", &path.regex());
        let conditions: Vec<String> = std::iter::once(path.clone()).chain(from.iter().map(outside)).collect();
        steps.push(step(&conditions, "F"));
        // Past the shorter paths: two steps each, one for the last.
        if shorter > 0 {
            steps.push(step(&[path], &format!("S={}", 2 * shorter - 1)));
        }
    }
    steps
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn rendered(text: &str) -> Vec<(PathBuf, Vec<u8>)> {
        render(&Filters::parse(text).unwrap(), &Lists::default(), Path::new("/f")).unwrap()
    }

    fn site(text: &str) -> String {
        String::from_utf8(rendered(text).pop().unwrap().1).unwrap()
    }

    #[test]
    fn the_files_are_always_the_same() {
        for text in ["", "deny 192.0.2.0/24\nprotect / from ::1"] {
            let paths: Vec<_> = rendered(text).into_iter().map(|(path, _)| path).collect();
            let names =
                ["octets.txt", "networks.pag", "networks.dir", "global/gts-bootstrap.conf", "site/gts-bootstrap.conf"];
            assert_eq!(paths, names.map(|name| Path::new("/f").join(name)));
        }
    }

    #[test]
    fn rates_are_refused() {
        let filters = Filters::parse("deny 192.0.2.1\nrate /api 10/s\n").unwrap();
        let error = render(&filters, &Lists::default(), Path::new("/f")).unwrap_err();
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
