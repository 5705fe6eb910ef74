//! Web requests: to GoToSocial and the web servers on this machine, and to the outside world as the model knows it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::{Value, json};

use crate::front::Front;
use crate::gotosocial::Series;
use crate::release::Sha256Digest;
use crate::utc;

use super::super::{HostError, Listener, ServedCertificate, WebAnswer, WebFailure, WebRequest};
use super::machine::{Access, Machine};
use super::model::{Program, Tls};
use super::{certificate, gotosocial, gotosocial_database as database, kernel, web_servers};

/// Answers one request.
pub(super) fn answer(machine: &mut Machine, request: &WebRequest) -> Result<WebAnswer, WebFailure> {
    let address = match request.address {
        Some(address) => address,
        None => match outside(machine, request) {
            Some(answer) => return answer,
            None => {
                let ip = machine.model.addresses_of(&request.host).first().copied().ok_or(WebFailure::Unresolved)?;
                SocketAddr::new(ip, if request.tls { 443 } else { 80 })
            }
        },
    };
    if !is_here(machine, address.ip()) {
        return Err(WebFailure::TimedOut);
    }
    let Some(listener) = listener_at(machine, address) else { return Err(WebFailure::Refused) };
    let is =
        |front: &Front| listener.pid.is_some() && machine.model.services.get(front.service).copied() == listener.pid;
    if let Some(front) = Front::ALL.into_iter().find(is) {
        return web_servers::answer(machine, front, address, request, &mut behind_a_front);
    }
    match program_of(machine, &listener) {
        Some(program) => from_gotosocial(machine, &program, address, request),
        None => {
            let command = listener.command;
            Err(WebFailure::Other(format!("{command} listens there, and a rehearsal does not know what it answers")))
        }
    }
}

/// What a web server is answered by the server behind it, which can only be GoToSocial.
fn behind_a_front(machine: &mut Machine, address: SocketAddr, request: &WebRequest) -> Result<WebAnswer, WebFailure> {
    let listener = listener_at(machine, address).ok_or(WebFailure::Refused)?;
    let program = program_of(machine, &listener).ok_or(WebFailure::Refused)?;
    from_gotosocial(machine, &program, address, request)
}

fn program_of(machine: &Machine, listener: &Listener) -> Option<Program> {
    let program = machine.model.gotosocial.as_ref()?.program.clone()?;
    (Some(program.pid) == listener.pid).then_some(program)
}

/// The answer of the outside world, if the model has one for this host.
fn outside(machine: &Machine, request: &WebRequest) -> Option<Result<WebAnswer, WebFailure>> {
    let host = &request.host;
    let of_host = |scheme: &str| {
        let start = format!("{scheme}://{host}/");
        machine.model.outside.keys().any(move |url| url.starts_with(&start))
    };
    let scheme = if request.tls { "https" } else { "http" };
    if !of_host(scheme) {
        return (of_host("https") || of_host("http")).then_some(Err(WebFailure::Refused));
    }
    let certificate = request.tls.then(|| ServedCertificate {
        names: vec![host.clone()],
        issuer: "CN=Rehearsal of the outside world".into(),
        not_after: machine.model.clock + 60 * 86_400,
        sha256: Sha256Digest::of(host.as_bytes()).to_string(),
    });
    let known = machine.model.outside.get(&format!("{scheme}://{host}{}", request.path));
    Some(Ok(match known {
        Some(answer) => WebAnswer {
            status: answer.status,
            location: answer.location.clone(),
            retry_after: None,
            body: answer.body.clone().into_bytes(),
            certificate,
        },
        None => WebAnswer { status: 404, location: None, retry_after: None, body: Vec::new(), certificate },
    }))
}

fn is_here(machine: &Machine, ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || machine.model.addresses.contains(&ip)
}

fn listener_at(machine: &Machine, address: SocketAddr) -> Option<Listener> {
    kernel::listeners(&machine.model).into_iter().find(|there| {
        let family = if address.is_ipv4() { there.ipv4 } else { there.ipv6 && machine.model.ipv6 };
        there.port == address.port() && family && there.address.is_none_or(|ip| ip == address.ip())
    })
}

fn from_gotosocial(
    machine: &mut Machine,
    program: &Program,
    address: SocketAddr,
    request: &WebRequest,
) -> Result<WebAnswer, WebFailure> {
    let is_redirect =
        matches!(program.tls, Tls::LetsEncrypt { port, .. } if port == address.port() && port != program.port);
    if request.tls && (is_redirect || program.tls == Tls::Off) {
        return Err(WebFailure::Tls("the server answers in plain http".into()));
    }
    if is_redirect {
        let is_challenge = request.path.starts_with("/.well-known/acme-challenge/");
        let location = (!is_challenge).then(|| format!("https://{}{}", request.host, request.path));
        return Ok(WebAnswer {
            status: if is_challenge { 404 } else { 307 },
            location,
            retry_after: None,
            body: Vec::new(),
            certificate: None,
        });
    }
    if !request.tls && program.tls != Tls::Off {
        let body = b"Client sent an HTTP request to an HTTPS server.\n".to_vec();
        return Ok(WebAnswer { status: 400, location: None, retry_after: None, body, certificate: None });
    }
    let certificate = match &program.tls {
        Tls::Off => None,
        Tls::Files { chain } => certificate::in_file(machine, program.owner, chain).map_err(other)?,
        Tls::LetsEncrypt { folder, .. } => Some(lets_encrypt(machine, program, folder, &request.host)?),
    };
    if let Some(fault) =
        certificate.as_ref().and_then(|shown| certificate::fault(shown, &request.host, machine.model.clock))
        && request.verify
    {
        return Err(WebFailure::Tls(fault));
    }
    let (status, body) = page(machine, program, &request.path).map_err(other)?;
    Ok(WebAnswer { status, location: None, retry_after: None, body, certificate })
}

fn other(error: HostError) -> WebFailure {
    WebFailure::Other(error.to_string())
}

/// The certificate for a handshake: fetched when the host's own name is asked for and there is none that is valid.
fn lets_encrypt(
    machine: &mut Machine,
    program: &Program,
    folder: &Path,
    name: &str,
) -> Result<ServedCertificate, WebFailure> {
    let refused = || WebFailure::Tls("remote error: tls: internal error".into());
    let fetched = if name.eq_ignore_ascii_case(&program.host) {
        let there = certificate::in_file(machine, program.owner, &folder.join(&program.host)).map_err(other)?;
        if let Some(valid) = there.filter(|certificate| certificate.not_after > machine.model.clock) {
            return Ok(valid);
        }
        certificate::obtain(machine, program, folder)
    } else {
        Err(format!("acme/autocert: host \"{name}\" not configured in HostWhitelist"))
    };
    fetched.or_else(|error| {
        log_handshake(machine, program, &error).map_err(other)?;
        Err(refused())
    })
}

fn log_handshake(machine: &mut Machine, program: &Program, error: &str) -> Result<(), HostError> {
    let client = machine.model.addresses.first().copied().unwrap_or(Ipv4Addr::LOCALHOST.into());
    let text = format!("http: TLS handshake error from {}: {error}", SocketAddr::new(client, 65_024));
    if Series::of_text(&program.version) == Series::V0_19 {
        let time = utc::go_log(machine.model.clock);
        return gotosocial::append(machine, &program.log, &format!("{time} {text}\n"));
    }
    gotosocial::log(machine, &program.log, "router.(*Router).Start", "ERROR", &text.replace('"', "\\\""))
}

/// Status and body of a page.
fn page(machine: &Machine, program: &Program, path_and_query: &str) -> Result<(u16, Vec<u8>), HostError> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    if path == "/livez" {
        return Ok((200, Vec::new()));
    }
    if machine.model.clock < program.ready_at {
        return Ok((503, b"This server is starting.\n".to_vec()));
    }
    let Program { host, account_domain, version, .. } = program;
    let ok = |value: Value| (200, value.to_string().into_bytes());
    Ok(match path {
        "/readyz" => (200, Vec::new()),
        "/" => (200, format!("<!DOCTYPE html><title>{host}</title>\n").into_bytes()),
        "/robots.txt" => (200, b"User-agent: *\n".to_vec()),
        "/nodeinfo/2.0" | "/nodeinfo/2.1" => ok(json!({
            "version": path.trim_start_matches("/nodeinfo/"),
            "software": {"name": "gotosocial", "version": version},
            "protocols": ["activitypub"],
        })),
        "/.well-known/nodeinfo" => ok(json!({"links": [{
            "rel": "http://nodeinfo.diaspora.software/ns/schema/2.0", "href": format!("https://{host}/nodeinfo/2.0"),
        }]})),
        "/.well-known/host-meta" => {
            let template = format!("https://{host}/.well-known/webfinger?resource={{uri}}");
            let link = format!("<Link rel=\"lrdd\" type=\"application/xrd+xml\" template=\"{template}\"></Link>");
            let open =
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><XRD xmlns=\"http://docs.oasis-open.org/ns/xri/xrd-1.0\">";
            (200, format!("{open}{link}</XRD>").into_bytes())
        }
        "/.well-known/webfinger" => webfinger(machine, program, query),
        "/api/v1/instance" => ok(json!({
            "uri": host, "account_domain": account_domain, "title": "GoToSocial", "version": version,
            "stats": {
                "domain_count": 0, "status_count": posts(machine, program), "user_count": accounts(machine, program).len(),
            },
        })),
        "/api/v2/instance" => ok(json!({
            "domain": account_domain, "version": version,
            "configuration": {"urls": {"streaming": format!("wss://{host}")}},
        })),
        "/api/v1/streaming" => (401, Vec::new()),
        _ if path.starts_with("/users/") => (401, Vec::new()),
        _ => match (path.strip_prefix("/@"), path.strip_prefix("/assets/")) {
            (Some(username), _) => profile(machine, program, username),
            (_, Some(asset)) => file(machine, program, &program.assets.join(asset))?,
            _ => (404, Vec::new()),
        },
    })
}

fn webfinger(machine: &Machine, program: &Program, query: &str) -> (u16, Vec<u8>) {
    let resource = query.split('&').find_map(|pair| pair.strip_prefix("resource=")).unwrap_or_default();
    let resource = resource.replace("%3A", ":").replace("%3a", ":").replace("%40", "@");
    let Some((name, domain)) = resource.strip_prefix("acct:").and_then(|account| account.rsplit_once('@')) else {
        return (400, Vec::new());
    };
    let ours = domain == program.account_domain || domain == program.host;
    let exists = name == program.host || accounts(machine, program).iter().any(|(username, _)| username == name);
    if !ours || !exists {
        return (404, Vec::new());
    }
    let href = format!("https://{}/users/{name}", program.host);
    let answer = json!({
        "subject": format!("acct:{name}@{}", program.account_domain),
        "links": [{"rel": "self", "type": "application/activity+json", "href": href}],
    });
    (200, answer.to_string().into_bytes())
}

/// Names of the accounts, and whether they are whole.
fn accounts(machine: &Machine, program: &Program) -> Vec<(String, bool)> {
    let accounts = database::peek(machine, &program.database).map(|content| content.accounts).unwrap_or_default();
    accounts.into_iter().map(|account| (account.username, account.has_user)).collect()
}

fn posts(machine: &Machine, program: &Program) -> usize {
    database::peek(machine, &program.database).map_or(0, |content| content.posts.len())
}

/// A profile page. It fails for a half-made account, and on a database that a newer release has migrated.
fn profile(machine: &Machine, program: &Program, username: &str) -> (u16, Vec<u8>) {
    let series = Series::of_text(&program.version);
    let newer = database::peek(machine, &program.database).is_some_and(|content| content.is_newer_than(series));
    match accounts(machine, program).into_iter().find(|(name, _)| name == username) {
        None => (404, Vec::new()),
        Some((_, whole)) if newer || !whole => (500, Vec::new()),
        Some(_) => (200, format!("<!DOCTYPE html><title>@{username}</title>\n").into_bytes()),
    }
}

fn file(machine: &Machine, program: &Program, path: &Path) -> Result<(u16, Vec<u8>), HostError> {
    let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
    if climbs || machine.may(program.owner, path, Access::Read).is_err() {
        return Ok((404, Vec::new()));
    }
    Ok((200, machine.files.read(path)?.unwrap_or_default()))
}
