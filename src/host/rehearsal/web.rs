//! Web requests: to GoToSocial and the web servers on this machine, and to the outside world as the state describes it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::{Value, json};

use crate::front::Front;
use crate::gotosocial::Series;
use crate::gotosocial::oauth_server::OauthServer;
use crate::gotosocial::password_change::Question;
use crate::gotosocial::readiness::{HOST_META, LIVEZ, NODEINFO, READYZ};
use crate::release::Sha256Digest;
use crate::utc;

use super::super::{HostError, Listener, ServedCertificate, WebAnswer, WebFailure, WebRequest};
use super::machine::Machine;
use super::model::{Program, Tls};
use super::{certificate, gotosocial, gotosocial_database as database, kernel, web_servers};

pub(super) type Answer<T = WebAnswer> = Result<T, WebFailure>;

/// Answers one request.
pub(super) fn answer(machine: &mut Machine, request: &WebRequest) -> Answer {
    let address = match request.address {
        Some(address) => address,
        None => {
            if let Some(answer) = outside(machine, request) {
                return answer;
            }
            if machine.model.faults.resolver_fails {
                return Err(WebFailure::Unresolved);
            }
            let ip = *machine.model.addresses_of(&request.host).first().ok_or(WebFailure::Unresolved)?;
            SocketAddr::new(ip, if request.tls { 443 } else { 80 })
        }
    };
    if !address.ip().is_unspecified() && !machine.model.has_address(address.ip()) {
        return Err(WebFailure::TimedOut);
    }
    let listener = listener_at(machine, address).ok_or(WebFailure::Refused)?;
    let is =
        |front: &Front| listener.pid.is_some() && machine.model.services.get(front.service) == listener.pid.as_ref();
    if let Some(front) = Front::ALL.into_iter().find(is) {
        return web_servers::answer(machine, front, address, request);
    }
    let unknown = || format!("{} listens there, and a rehearsal does not know what it answers", listener.command);
    from_gotosocial(machine, &listener, request).unwrap_or_else(|| Err(WebFailure::Other(unknown())))
}

/// What a web server gets from the server behind it, which can only be GoToSocial.
pub(super) fn behind_a_front(machine: &mut Machine, at: SocketAddr, request: &WebRequest) -> Option<WebAnswer> {
    let listener = listener_at(machine, at)?;
    from_gotosocial(machine, &listener, request)?.ok()
}

/// The answer of the outside world, if the state has one for this host.
fn outside(machine: &Machine, request: &WebRequest) -> Option<Answer> {
    let (host, model) = (&request.host, &machine.model);
    let knows = |scheme: &str| {
        let start = format!("{scheme}://{host}/");
        model.outside.keys().any(|url| url.starts_with(&start))
    };
    let scheme = if request.tls { "https" } else { "http" };
    if !knows(scheme) {
        return (knows("https") || knows("http")).then_some(Err(WebFailure::Refused));
    }
    let certificate = request.tls.then(|| ServedCertificate {
        names: vec![host.clone()],
        issuer: "CN=Rehearsal of the outside world".into(),
        not_after: model.clock + 60 * 86_400,
        sha256: Sha256Digest::of(host.as_bytes()).to_string(),
    });
    let answer = match model.outside.get(&format!("{scheme}://{host}{}", request.path)).cloned() {
        Some(known) => WebAnswer {
            status: known.status,
            location: known.location,
            body: known.body.into(),
            ..WebAnswer::default()
        },
        None => WebAnswer::plain(404),
    };
    Some(Ok(WebAnswer { certificate, ..answer }))
}

/// Who gets a request: a socket for that address comes before one for every address.
fn listener_at(machine: &Machine, address: SocketAddr) -> Option<Listener> {
    let listens = |there: &Listener| {
        let family = if address.is_ipv4() { there.ipv4 } else { there.ipv6 && machine.model.ipv6 };
        there.port == address.port() && family && there.address.is_none_or(|ip| ip == address.ip())
    };
    let all = kernel::listeners(&machine.model).into_iter().filter(listens);
    all.min_by_key(|there| there.address.is_none())
}

/// The answer of GoToSocial; `None` if the socket is not one of its own.
fn from_gotosocial(machine: &mut Machine, listener: &Listener, request: &WebRequest) -> Option<Answer> {
    let program = machine.model.program().filter(|program| Some(program.pid) == listener.pid)?.clone();
    let redirects = matches!(program.tls, Tls::LetsEncrypt { .. }) && listener.port != program.port;
    if request.tls && (redirects || program.tls == Tls::Off) {
        return Some(Err(WebFailure::Tls("the server answers in plain http".into())));
    }
    Some(match request.path.starts_with("/.well-known/acme-challenge/") {
        true if redirects => Ok(WebAnswer::plain(404)),
        false if redirects => {
            let location = Some(format!("https://{}{}", request.host, request.path));
            Ok(WebAnswer { location, ..WebAnswer::plain(307) })
        }
        _ if !request.tls && program.tls != Tls::Off => {
            let why = "client sent an HTTP request to an HTTPS server";
            if let Err(error) = log_handshake(machine, &program, why) {
                return Some(Err(other(error)));
            }
            let body = b"Client sent an HTTP request to an HTTPS server.\n".to_vec();
            Ok(WebAnswer { body, ..WebAnswer::plain(400) })
        }
        _ => served(machine, &program, request),
    })
}

/// A connection to a port of this machine that its client closes at once. Where TLS is spoken, that is a failed handshake.
pub(super) fn closed_at_once(machine: &mut Machine, address: SocketAddr) -> Result<(), HostError> {
    let Some(listener) = listener_at(machine, address) else { return Ok(()) };
    let speaks_tls = |by: &&Program| Some(by.pid) == listener.pid && by.port == address.port() && by.tls != Tls::Off;
    match machine.model.program().filter(speaks_tls).cloned() {
        Some(program) => log_handshake(machine, &program, "EOF"),
        None => Ok(()),
    }
}

fn served(machine: &mut Machine, program: &Program, request: &WebRequest) -> Answer {
    let certificate = match &program.tls {
        Tls::Off => None,
        Tls::Files { chain } => certificate::in_file(machine, program.owner, chain).map_err(other)?,
        Tls::LetsEncrypt { folder, .. } => Some(lets_encrypt(machine, program, folder, &request.host)?),
    };
    if let Some(shown) = &certificate
        && let Err(why) = certificate::judge(shown, request, &machine.model)
    {
        // A request without secrets breaks no handshake off.
        if !request.is_own() {
            log_handshake(machine, program, "remote error: tls: bad certificate").map_err(other)?;
        }
        return Err(why);
    }
    if machine.model.clock >= program.ready_at && OauthServer::serves(&request.path) {
        return Ok(WebAnswer { certificate, ..logged_in(machine, request) });
    }
    let (status, body) = page(machine, program, &request.path);
    Ok(WebAnswer { certificate, body, ..WebAnswer::plain(status) })
}

/// A page or a call of OAuth, or one that needs a token.
fn logged_in(machine: &mut Machine, request: &WebRequest) -> WebAnswer {
    let failed = || WebAnswer::plain(500);
    let Some(content) = machine.model.program().and_then(|program| database::peek(machine, &program.database)) else {
        return failed();
    };
    let mut accounts = content.accounts;
    for account in &mut accounts {
        account.encrypted_password = machine.model.passwords.get(&account.username).cloned().unwrap_or_default();
    }
    let Some(program) = machine.model.gotosocial.as_mut().and_then(|service| service.program.as_mut()) else {
        return failed();
    };
    let question = Question { path: request.path.clone(), carries: request.carries.clone() };
    let reply = program.oauth.answer(&question, &program.host, &mut accounts);
    machine.model.keep_passwords(accounts);
    WebAnswer { location: reply.location, cookie: reply.cookie, body: reply.body, ..WebAnswer::plain(reply.status) }
}

fn other(error: HostError) -> WebFailure {
    WebFailure::Other(error.to_string())
}

/// The certificate for a handshake. A request for the host's own name fetches one if there is none that is valid.
fn lets_encrypt(machine: &mut Machine, program: &Program, folder: &Path, name: &str) -> Answer<ServedCertificate> {
    let fetched = if name.eq_ignore_ascii_case(&program.host) {
        let there = certificate::in_file(machine, program.owner, &folder.join(&program.host)).map_err(other)?;
        match there.filter(|certificate| certificate.not_after > machine.model.clock) {
            Some(valid) => Ok(valid),
            None => certificate::obtain(machine, program, folder),
        }
    } else {
        Err(format!("acme/autocert: host \"{name}\" not configured in HostWhitelist"))
    };
    fetched.or_else(|error| {
        log_handshake(machine, program, &error).map_err(other)?;
        Err(WebFailure::Tls("remote error: tls: internal error".into()))
    })
}

fn log_handshake(machine: &mut Machine, program: &Program, error: &str) -> Result<(), HostError> {
    let client = machine.model.addresses.first().copied().unwrap_or(Ipv4Addr::LOCALHOST.into());
    let text = format!("http: TLS handshake error from {}: {error}", SocketAddr::new(client, 65_024));
    match Series::of_text(&program.version) {
        Series::V0_19 => {
            let time = utc::go_log(machine.model.clock);
            gotosocial::append(machine, &program.log, &format!("{time} {text}\n"))
        }
        Series::V0_20 => {
            gotosocial::log(machine, &program.log, "router.(*Router).Start", "ERROR", &text.replace('"', "\\\""))
        }
    }
}

/// Status and body of a page.
fn page(machine: &Machine, program: &Program, path_and_query: &str) -> (u16, Vec<u8>) {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    if path == LIVEZ {
        return (200, Vec::new());
    }
    if machine.model.clock < program.ready_at {
        return (503, b"This server is starting.\n".to_vec());
    }
    let Program { host, account_domain, version, .. } = program;
    let ok = |value: Value| (200, value.to_string().into_bytes());
    let content = || database::peek(machine, &program.database).unwrap_or_default();
    match path {
        READYZ => (200, Vec::new()),
        "/" => (200, format!("<!DOCTYPE html><title>{host}</title>\n").into()),
        NODEINFO => ok(json!({
            "version": "2.0", "software": {"name": "gotosocial", "version": version}, "protocols": ["activitypub"],
        })),
        "/.well-known/nodeinfo" => ok(json!({"links": [{
            "rel": "http://nodeinfo.diaspora.software/ns/schema/2.0", "href": format!("https://{host}{NODEINFO}"),
        }]})),
        HOST_META => {
            let template = format!("https://{host}/.well-known/webfinger?resource={{uri}}");
            let link = format!("<Link rel=\"lrdd\" type=\"application/xrd+xml\" template=\"{template}\"></Link>");
            let open =
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><XRD xmlns=\"http://docs.oasis-open.org/ns/xri/xrd-1.0\">";
            (200, format!("{open}{link}</XRD>").into())
        }
        "/.well-known/webfinger" => {
            let resource = query.split('&').find_map(|pair| pair.strip_prefix("resource=")).unwrap_or_default();
            let resource = resource.replace("%3A", ":").replace("%3a", ":").replace("%40", "@");
            let Some((name, domain)) = resource.strip_prefix("acct:").and_then(|account| account.rsplit_once('@'))
            else {
                return (400, Vec::new());
            };
            let is_ours = domain == account_domain || domain == host;
            let exists = name == host || content().accounts.iter().any(|account| account.username == name);
            if !is_ours || !exists {
                return (404, Vec::new());
            }
            let href = format!("https://{host}/users/{name}");
            ok(json!({
                "subject": format!("acct:{name}@{account_domain}"),
                "links": [{"rel": "self", "type": "application/activity+json", "href": href}],
            }))
        }
        "/api/v1/instance" => {
            let (posts, users) = (content().posts.len(), content().accounts.len());
            ok(json!({
                "uri": host, "account_domain": account_domain, "title": "GoToSocial", "version": version,
                "stats": {"domain_count": 0, "status_count": posts, "user_count": users},
            }))
        }
        _ => {
            let Some(name) = path.strip_prefix("/@") else { return (404, Vec::new()) };
            let content = content();
            // A profile page fails for a half-made account, and on a database that a newer release has migrated.
            let is_newer = content.migrations > Series::of_text(version).migrations();
            match content.accounts.iter().find(|account| account.username == name) {
                None => (404, Vec::new()),
                Some(account) if is_newer || !account.has_user => (500, Vec::new()),
                Some(_) => (200, format!("<!DOCTYPE html><title>@{name}</title>\n").into()),
            }
        }
    }
}
