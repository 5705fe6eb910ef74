//! What Apache answers: the virtual host for a name, and what its rules make of the path.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::super::{WebAnswer, WebFailure, WebRequest};
use super::certificate;
use super::machine::Machine;
use super::nginx_answer::read;
use super::pattern::Pattern;
use super::request_path::normalised;
use super::web_servers::{Rule, VirtualHost};

/// Asks the server behind.
type PassOn<'a> = &'a mut dyn FnMut(&mut Machine, SocketAddr, &WebRequest) -> Result<WebAnswer, WebFailure>;

/// Answers a request that came in at an address.
pub(super) fn answer(
    machine: &mut Machine,
    at: SocketAddr,
    request: &WebRequest,
    pass_on: PassOn<'_>,
) -> Result<WebAnswer, WebFailure> {
    let Some(host) = chosen(&machine.model.httpd.hosts, at, &request.host) else { return Err(WebFailure::Refused) };
    match (request.tls, host.tls) {
        (true, false) => return Err(WebFailure::Tls("the server answers in plain http".into())),
        (false, true) => return Ok(plain(400)),
        _ => {}
    }
    let shown = host.certificate.clone();
    if let Some(certificate) = shown.as_ref().filter(|_| request.verify)
        && let Some(fault) = certificate::fault(certificate, &request.host, machine.model.clock)
    {
        return Err(WebFailure::Tls(fault));
    }
    let mut answer = serve(machine, &host, request, pass_on);
    let status = answer.status;
    let text = host.error_texts.iter().rfind(|(of, _)| *of == status);
    if let Some((_, text)) = text.filter(|_| answer.body.is_empty()) {
        answer.body = text.clone().into_bytes();
    }
    if answer.retry_after.is_none() {
        let fits = |(_, of): &&(String, Option<u16>)| of.is_none_or(|of| of == status);
        answer.retry_after = host.retry_after.iter().rfind(fits).map(|(value, _)| value.clone());
    }
    Ok(WebAnswer { certificate: shown, ..answer })
}

fn plain(status: u16) -> WebAnswer {
    WebAnswer { status, location: None, retry_after: None, body: Vec::new(), certificate: None }
}

fn serve(machine: &mut Machine, host: &VirtualHost, request: &WebRequest, pass_on: PassOn<'_>) -> WebAnswer {
    let (raw, query) = match request.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path.as_str(), None),
    };
    let Some(mut path) = normalised(raw, true) else { return plain(400) };
    let with_query = |text: String| query.map_or_else(|| text.clone(), |query| format!("{text}?{query}"));
    let mut proxied = true;
    for rule in &host.rules {
        match rule {
            Rule::Rewrite { pattern, files, unknown, to, status } => {
                let groups = Pattern::new(pattern, false).ok().and_then(|pattern| pattern.find(&path));
                let Some(groups) = groups.filter(|_| !unknown) else { continue };
                let is_file = |file: &String| read(machine, Path::new(&fill(file, &groups))).is_ok();
                if !files.iter().all(is_file) {
                    continue;
                }
                match status {
                    Some(status @ 300..=399) => {
                        return WebAnswer { location: Some(with_query(fill(to, &groups))), ..plain(*status) };
                    }
                    Some(status) => return plain(*status),
                    None if to == "-" => {}
                    None => {
                        let file = fill(to, &groups);
                        // A path that stands in the file system is one; the proxy is not asked.
                        if !files.is_empty() {
                            return file_at(machine, host, Path::new(&file));
                        }
                        path = file;
                    }
                }
            }
            Rule::Pass { prefix, to } if proxied && begins(&path, prefix) => match to {
                None => proxied = false,
                Some((address, there)) => {
                    // `nocanon`: as it came, where it came so.
                    let rest = raw.strip_prefix(prefix.as_str()).or_else(|| path.strip_prefix(prefix.as_str()));
                    let rest = rest.unwrap_or_default();
                    let path = with_query(format!("{there}{rest}"));
                    let inner = WebRequest { tls: false, address: Some(*address), path, ..request.clone() };
                    return match pass_on(machine, *address, &inner) {
                        Ok(answer) => answer,
                        Err(WebFailure::TimedOut) => plain(504),
                        Err(_) => plain(503),
                    };
                }
            },
            Rule::Pass { .. } => {}
            Rule::Alias { prefix, folder } if begins(&path, prefix) => {
                let rest = path.strip_prefix(prefix.as_str()).unwrap_or_default();
                return file_at(machine, host, &folder.join(rest.trim_start_matches('/')));
            }
            Rule::Alias { .. } => {}
            Rule::Redirect { pattern, regex, status, to } => {
                let target = if *regex {
                    let groups = Pattern::new(pattern, false).ok().and_then(|pattern| pattern.find(&path));
                    groups.map(|groups| to.as_ref().map(|to| fill(to, &groups)))
                } else {
                    let rest = begins(&path, pattern).then(|| path.strip_prefix(pattern.as_str()).unwrap_or_default());
                    rest.map(|rest| to.as_ref().map(|to| format!("{to}{rest}")))
                };
                if let Some(target) = target {
                    return WebAnswer { location: target.map(with_query), ..plain(*status) };
                }
            }
        }
    }
    match &host.root {
        Some(root) if path.ends_with('/') => {
            file_at(machine, host, &root.join(format!("{}index.html", path.trim_start_matches('/'))))
        }
        Some(root) => file_at(machine, host, &root.join(path.trim_start_matches('/'))),
        None => plain(404),
    }
}

/// Apache's prefixes end at a slash: `/a` is that of `/a` and `/a/b`, and not of `/ab`.
fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// A file as www gets it, where its folder is one that may be served: what the innermost section says counts.
fn file_at(machine: &Machine, host: &VirtualHost, file: &Path) -> WebAnswer {
    let of = |(folder, _): &&(PathBuf, bool)| file.starts_with(folder);
    // Of two sections for the same folder the later one counts, and so does a virtual host's.
    let granted = host.grants.iter().filter(of).max_by_key(|(folder, _)| folder.components().count());
    // Where nothing is said, everything may be served.
    if granted.is_some_and(|(_, granted)| !granted) {
        return plain(403);
    }
    match read(machine, file) {
        Ok(body) => WebAnswer { body, ..plain(200) },
        Err(status) => plain(status),
    }
}

/// Puts the groups in for `$0` to `$9`.
fn fill(text: &str, groups: &[String]) -> String {
    let mut filled = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let digit = characters.peek().and_then(|c| c.to_digit(10)).filter(|_| character == '$');
        match digit {
            Some(digit) => {
                characters.next();
                filled.push_str(groups.get(digit as usize).map_or("", String::as_str));
            }
            None => filled.push(character),
        }
    }
    filled
}

/// The virtual host for a name at an address: of those with that address, else of those for every one, the first with
/// the name, else the first; the main server where there is none.
fn chosen(hosts: &[VirtualHost], at: SocketAddr, name: &str) -> Option<VirtualHost> {
    let (main, hosts) = hosts.split_first()?;
    let on = |address: Option<std::net::IpAddr>| {
        let fits = move |host: &&VirtualHost| {
            host.addresses.iter().any(|(there, port)| *there == address && port.is_none_or(|port| port == at.port()))
        };
        hosts.iter().filter(fits).collect::<Vec<_>>()
    };
    let own = on(Some(at.ip()));
    let here = if own.is_empty() { on(None) } else { own };
    let named = |host: &&&VirtualHost| host.names.iter().any(|there| matches(there, name));
    here.iter().find(named).or(here.first()).map_or_else(|| Some(main.clone()), |host| Some((*host).clone()))
}

/// `ServerAlias` may have `*` and `?` in it.
fn matches(pattern: &str, name: &str) -> bool {
    let escaped: String = pattern
        .chars()
        .map(|c| match c {
            '*' => ".*".to_string(),
            '?' => ".".to_string(),
            '.' => "\\.".to_string(),
            other => other.to_string(),
        })
        .collect();
    Pattern::new(&format!("^{escaped}$"), true).is_ok_and(|pattern| pattern.fits(name))
}
