//! What Apache does with a request: `RewriteRule`, `ProxyPass`, `Alias`, redirects, and headers of answers.

use super::httpd::target;
use super::httpd_syntax::{Configuration, Directive};
use super::model::Model;
use super::pattern::Pattern;
use super::web_servers::Rule;

/// Parameters of `ProxyPass` (`modules/proxy/mod_proxy.c`).
const WORKER_PARAMETERS: [&str; 33] = [
    "acquire",
    "addressttl",
    "connectiontimeout",
    "disablereuse",
    "enablereuse",
    "failonstatus",
    "failontimeout",
    "flushpackets",
    "flushwait",
    "forcerecovery",
    "growth",
    "iobuffersize",
    "keepalive",
    "lbset",
    "loadfactor",
    "max",
    "maxattempts",
    "min",
    "nofailover",
    "ping",
    "receivebuffersize",
    "redirect",
    "responsefieldsize",
    "retry",
    "route",
    "scolonpathdelim",
    "secret",
    "smax",
    "status",
    "stickysession",
    "timeout",
    "ttl",
    "upgrade",
];

/// The rules of a virtual host in the order in which Apache asks them: rewriting first, then the proxy, then the rest.
///
/// # Errors
/// Apache's words for what is wrong.
pub(super) fn rules(model: &Model, configuration: &Configuration, all: &[Directive]) -> Result<Vec<Rule>, String> {
    let (mut rewrites, mut passes, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let engine = all.iter().rfind(|directive| directive.is("RewriteEngine"));
    let rewriting = engine.is_some_and(|engine| engine.first().eq_ignore_ascii_case("on"));
    let (mut files, mut unknown) = (Vec::new(), false);
    for directive in all {
        let wrong = |what: &str| directive.wrong(what);
        match directive.name.to_ascii_lowercase().as_str() {
            "rewritecond" => match directive.arguments.as_slice() {
                [file, test, ..] if test == "-f" => files.push(file.clone()),
                [_, _, ..] => unknown = true,
                _ => return Err(wrong("RewriteCond: bad argument line")),
            },
            "rewriterule" => {
                let rule = rewrite(directive, std::mem::take(&mut files), std::mem::take(&mut unknown))?;
                if rewriting {
                    rewrites.push(rule);
                }
            }
            "proxypass" => passes.push(pass(model, directive)?),
            "alias" => match directive.arguments.as_slice() {
                [prefix, folder] => {
                    others.push(Rule::Alias { prefix: prefix.clone(), folder: configuration.root.join(folder) });
                }
                _ => return Err(wrong("Alias must have two arguments when used globally")),
            },
            "redirect" | "redirectmatch" | "redirecttemp" | "redirectpermanent" => others.push(redirect(directive)?),
            _ => {}
        }
    }
    Ok(rewrites.into_iter().chain(passes).chain(others).collect())
}

fn rewrite(directive: &Directive, files: Vec<String>, unknown: bool) -> Result<Rule, String> {
    let [pattern, to, flags @ ..] = directive.arguments.as_slice() else {
        let line = directive.arguments.join(" ");
        return Err(directive.wrong(&format!("RewriteRule: bad argument line '{line}'")));
    };
    Pattern::new(pattern.trim_start_matches('!'), false)
        .map_err(|_| directive.wrong(&format!("RewriteRule: cannot compile regular expression '{pattern}'")))?;
    let flags = flags.first().map_or("", String::as_str).trim_matches(['[', ']']);
    let status = flags.split(',').find_map(|flag| match flag.trim() {
        "F" | "forbidden" => Some(403),
        "G" | "gone" => Some(410),
        "R" | "redirect" => Some(302),
        other => other.strip_prefix("R=").or_else(|| other.strip_prefix("redirect="))?.parse().ok(),
    });
    // A pattern that must not fit is not modelled.
    let unknown = unknown || pattern.starts_with('!');
    Ok(Rule::Rewrite { pattern: pattern.clone(), files, unknown, to: to.clone(), status })
}

fn pass(model: &Model, directive: &Directive) -> Result<Rule, String> {
    let [prefix, url, parameters @ ..] = directive.arguments.as_slice() else {
        return Err(directive.wrong("ProxyPass|ProxyPassMatch needs a path when not defined in a location"));
    };
    for parameter in parameters {
        let known = match parameter.split_once('=') {
            Some((name, _)) => WORKER_PARAMETERS.iter().any(|known| known.eq_ignore_ascii_case(name)),
            None => ["nocanon", "interpolate", "noquery"].contains(&parameter.to_ascii_lowercase().as_str()),
        };
        if !known {
            return Err(directive.wrong("ProxyPass unknown Worker parameter"));
        }
    }
    if url == "!" {
        return Ok(Rule::Pass { prefix: prefix.clone(), to: None });
    }
    if !url.contains("://") {
        return Err(directive.wrong(&format!("ProxyPass URL must be absolute!: {url}")));
    }
    match target(model, url) {
        Some(to) => Ok(Rule::Pass { prefix: prefix.clone(), to: Some(to) }),
        None => Err(directive.wrong(&format!("ProxyPass Unable to parse URL: {url}"))),
    }
}

/// `Redirect [STATUS] PATH [URL]`.
fn redirect(directive: &Directive) -> Result<Rule, String> {
    let regex = directive.is("RedirectMatch");
    let first = directive.first();
    let named = match first.to_ascii_lowercase().as_str() {
        "permanent" => Some(301),
        "temp" => Some(302),
        "seeother" => Some(303),
        "gone" => Some(410),
        digits => digits.parse::<u16>().ok(),
    };
    let default = if directive.is("RedirectPermanent") { 301 } else { 302 };
    let rest = directive.arguments.get(usize::from(named.is_some())..).unwrap_or_default();
    let status = named.unwrap_or(default);
    let (pattern, to) = match rest {
        [pattern] => (pattern, None),
        [pattern, to] => (pattern, Some(to.clone())),
        _ => return Err(directive.wrong("Redirect URL missing")),
    };
    match (&to, (300..400).contains(&status)) {
        (Some(_), false) => return Err(directive.wrong("Redirect URL not valid for this status")),
        (None, true) => return Err(directive.wrong("URL to redirect to is missing")),
        _ => {}
    }
    if regex && Pattern::new(pattern, false).is_err() {
        return Err(directive.wrong("Regular expression could not be compiled."));
    }
    Ok(Rule::Redirect { pattern: pattern.clone(), regex, status, to })
}

/// Judges the verb of `Header [always] VERB …`.
pub(super) fn check_header(directive: &Directive) -> Result<(), String> {
    let verb = directive
        .arguments
        .iter()
        .map(|word| word.to_ascii_lowercase())
        .find(|word| !matches!(word.as_str(), "always" | "onsuccess"));
    let known = ["add", "set", "setifempty", "append", "merge", "unset", "echo", "note", "edit", "edit*"];
    if verb.is_some_and(|verb| known.contains(&verb.as_str())) {
        return Ok(());
    }
    Err(directive.wrong(
        "first argument must be 'add', 'set', 'setifempty', 'append', 'merge', 'unset', 'echo', 'note', 'edit', or \
         'edit*'.",
    ))
}

/// `Header always set Retry-After VALUE ["expr=%{REQUEST_STATUS} -eq 503 …"]`. Without `always` it goes into successes
/// alone.
pub(super) fn retry_after(arguments: &[String]) -> Option<(String, Option<u16>)> {
    let [always, verb, name, value, condition @ ..] = arguments else { return None };
    let is = |word: &str, expected: &str| word.eq_ignore_ascii_case(expected);
    if !is(always, "always") || !(is(verb, "set") || is(verb, "setifempty")) || !is(name, "Retry-After") {
        return None;
    }
    let status = match condition.first() {
        None => None,
        Some(expression) => {
            let after = expression.strip_prefix("expr=")?.split_once("%{REQUEST_STATUS} -eq ")?.1;
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            Some(digits.parse().ok()?)
        }
    };
    Some((value.clone(), status))
}
