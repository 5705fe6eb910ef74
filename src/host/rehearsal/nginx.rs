//! nginx in front of GoToSocial: what its configuration says, its test, its start and its reload.
//!
//! Read is what decides who answers a request: `server`, `listen`, `server_name`, certificates, `location`,
//! `proxy_pass`, `return`, `root`, `alias`, `try_files`, `error_page`, and the `Retry-After` of `add_header`. Every other
//! directive of nginx must stand in its place with its number of arguments, and is then passed over, filters (`allow`,
//! `deny`, `if`, `limit_req`) too: a rehearsal's requests come from nowhere. What nginx does not know is refused.
//! Without `/usr/local/etc/nginx/nginx.conf` nginx is a service like any other.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::portacl::{Errno, Protocol};

use super::super::{HostError, Listener, Output, ServedCertificate};
use super::certificate::{self, PairFault};
use super::kernel;
use super::machine::{Machine, command_failed};
use super::model::Model;
use super::nginx_syntax::{self, Directive};
use super::nginx_variables;
use super::pattern::Pattern;
use super::web_servers::{Action, ErrorPage, ListenOn, Route, RouteKind, WebServer};

/// The program itself.
pub(super) const PROGRAM: &str = "/usr/local/sbin/nginx";
/// The main file.
const MAIN: &str = "/usr/local/etc/nginx/nginx.conf";
/// The command of its sockets.
const COMMAND: &str = "nginx";
/// So often it tries to bind before it gives up, half a second apart (`ngx_open_listening_sockets()`).
const TRIES: usize = 5;

/// Options of `listen` without a value.
const LISTEN_FLAGS: [&str; 8] =
    ["ssl", "http2", "default_server", "default", "bind", "deferred", "reuseport", "proxy_protocol"];
/// And with one.
const LISTEN_VALUES: [&str; 8] =
    ["ipv6only", "backlog", "rcvbuf", "sndbuf", "accept_filter", "so_keepalive", "fastopen", "setfib"];

/// What the configuration says.
///
/// # Errors
/// What `nginx -t` would say behind `[emerg]`.
fn configuration(machine: &Machine, main: &Path) -> Result<Vec<WebServer>, String> {
    let top = nginx_syntax::read(machine, main)?;
    let folder = main.parent().unwrap_or(Path::new("/"));
    let mut servers = Vec::new();
    for http in top.all("http") {
        for directive in http.all("server") {
            servers.push(server(machine, folder, http, directive)?);
        }
        check_defaults(http, &servers)?;
        nginx_variables::check(http)?;
    }
    if top.all("events").next().is_none() {
        return Err("no \"events\" section in configuration".into());
    }
    Ok(servers)
}

fn server(machine: &Machine, folder: &Path, http: &Directive, block: &Directive) -> Result<WebServer, String> {
    let mut listens: Vec<ListenOn> = Vec::new();
    for listen in block.all("listen") {
        if listen.arguments().first().is_some_and(|place| place.starts_with("unix:")) {
            continue;
        }
        let found = listen_on(listen.arguments()).map_err(|error| format!("{error}{}", listen.place))?;
        if listens.iter().any(|there| same_socket(there, &found)) {
            return Err(format!("a duplicate listen {}{}", shown(&found), listen.place));
        }
        listens.push(found);
    }
    if block.all("listen").next().is_none() {
        listens.push(listen_on(&["80".to_string()])?);
    }
    let rejects_handshake = [block, http].iter().find_map(|at| at.first("ssl_reject_handshake")) == Some("on");
    let certificate = pair(machine, folder, http, block, &listens, rejects_handshake)?;
    let mut routes: Vec<Route> = Vec::new();
    for location in block.all("location") {
        let route = route(machine, folder, http, block, location)?;
        let same = |there: &Route| there.pattern == route.pattern && there.kind == route.kind;
        if !matches!(route.kind, RouteKind::Regex | RouteKind::RegexAnyCase) && routes.iter().any(same) {
            return Err(format!("duplicate location \"{}\"{}", route.pattern, location.place));
        }
        routes.push(route);
    }
    let names = block.all("server_name").flat_map(|names| names.arguments().to_vec()).collect();
    let answer = block.all("return").next().map(returned);
    let otherwise = files(folder, [&Directive::default(), block, http]);
    let pages = if block.all("error_page").next().is_some() { block } else { http };
    let error_pages = pages.all("error_page").filter_map(error_page).collect();
    Ok(WebServer { names, listens, certificate, rejects_handshake, answer, otherwise, error_pages, routes })
}

/// Loads a server's certificate and key, as nginx does whenever they are named.
fn pair(
    machine: &Machine,
    folder: &Path,
    http: &Directive,
    block: &Directive,
    listens: &[ListenOn],
    rejects: bool,
) -> Result<Option<ServedCertificate>, String> {
    let named = |name: &str| [block, http].iter().find_map(|at| at.first(name)).map(|file| folder.join(file));
    let Some(chain) = named("ssl_certificate") else {
        if listens.iter().any(|listen| listen.tls) && !rejects {
            let words = "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive";
            return Err(format!("{words}{}", block.place));
        }
        return Ok(None);
    };
    let Some(key) = named("ssl_certificate_key") else {
        return Err(format!("no \"ssl_certificate_key\" is defined for certificate \"{}\"", chain.display()));
    };
    let (shown, key) = (chain.display(), key);
    let lacks = |file: &Path| {
        let file = file.display();
        format!(
            "BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory:calling fopen({file}, r) error:10000080:BIO routines::no such file)"
        )
    };
    certificate::pair(machine, &chain, &key).map(Some).map_err(|fault| match fault {
        PairFault::NoChain => format!("cannot load certificate \"{shown}\": {}", lacks(&chain)),
        PairFault::BadChain => format!(
            "cannot load certificate \"{shown}\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE)"
        ),
        PairFault::NoKey => format!("cannot load certificate key \"{}\": {}", key.display(), lacks(&key)),
        PairFault::BadKey => format!(
            "cannot load certificate key \"{}\": PEM_read_bio_PrivateKey() failed (SSL: error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM)",
            key.display()
        ),
        PairFault::Mismatch => format!(
            "SSL_CTX_use_PrivateKey(\"{}\") failed (SSL: error:05800074:x509 certificate routines::key values mismatch)",
            key.display()
        ),
    })
}

fn check_defaults(http: &Directive, servers: &[WebServer]) -> Result<(), String> {
    let mut seen: Vec<&ListenOn> = Vec::new();
    for (server, block) in servers.iter().zip(http.all("server")) {
        for listen in server.listens.iter().filter(|listen| listen.default) {
            if seen.iter().any(|there| same_socket(there, listen)) {
                return Err(format!("a duplicate default server for {}{}", shown(listen), block.place));
            }
            seen.push(listen);
        }
    }
    Ok(())
}

fn same_socket(one: &ListenOn, other: &ListenOn) -> bool {
    (one.address, one.ipv6, one.port) == (other.address, other.ipv6, other.port)
}

/// A socket's address as nginx prints it.
fn shown(listen: &ListenOn) -> String {
    let any = if listen.ipv6 { "::".to_string() } else { "0.0.0.0".to_string() };
    let address = listen.address.map_or(any, |address| address.to_string());
    if listen.ipv6 { format!("[{address}]:{}", listen.port) } else { format!("{address}:{}", listen.port) }
}

fn listen_on(arguments: &[String]) -> Result<ListenOn, String> {
    let (place, options) = arguments.split_first().ok_or("invalid number of arguments in \"listen\" directive")?;
    let invalid = |what: &str| format!("{what} in \"{place}\" of the \"listen\" directive");
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ if place.chars().all(|c| c.is_ascii_digit()) => ("*", place.as_str()),
        _ => (place.as_str(), "80"),
    };
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| invalid("invalid port"))?;
    let address: Option<IpAddr> = match host.trim_matches(['[', ']']) {
        "*" => None,
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        name => Some(name.parse().map_err(|_| invalid("host not found"))?),
    };
    for option in options {
        let known = match option.split_once('=') {
            Some((name, _)) => LISTEN_VALUES.contains(&name),
            None => LISTEN_FLAGS.contains(&option.as_str()),
        };
        if !known {
            return Err(format!("invalid parameter \"{option}\""));
        }
    }
    let ipv6 = address.is_some_and(|address| address.is_ipv6());
    let has = |option: &str| options.iter().any(|there| there == option);
    Ok(ListenOn {
        address: address.filter(|address| !address.is_unspecified()),
        ipv6,
        port,
        tls: has("ssl"),
        default: has("default_server") || has("default"),
    })
}

fn route(
    machine: &Machine,
    folder: &Path,
    http: &Directive,
    server: &Directive,
    location: &Directive,
) -> Result<Route, String> {
    let (kind, pattern) = match location.arguments() {
        [name] if name.starts_with('@') => (RouteKind::Named, name),
        [prefix] => (RouteKind::Prefix, prefix),
        [modifier, pattern] => match modifier.as_str() {
            "=" => (RouteKind::Exact, pattern),
            "^~" => (RouteKind::FirmPrefix, pattern),
            "~" => (RouteKind::Regex, pattern),
            "~*" => (RouteKind::RegexAnyCase, pattern),
            other => return Err(format!("invalid location modifier \"{other}\"{}", location.place)),
        },
        _ => return Err(format!("invalid number of arguments in \"location\" directive{}", location.place)),
    };
    if matches!(kind, RouteKind::Regex | RouteKind::RegexAnyCase) {
        let read = Pattern::new(pattern, false);
        read.map_err(|why| format!("pcre2_compile() failed: {why} in \"{pattern}\"{}", location.place))?;
    }
    // What is set at a level replaces all that the levels above have set.
    let headers = [location, server, http].into_iter().find(|at| at.all("add_header").next().is_some());
    let retry_after = headers.and_then(|at| {
        let mut all = at.all("add_header").map(Directive::arguments);
        let found = all.find(|words| words.first().is_some_and(|name| name.eq_ignore_ascii_case("Retry-After")))?;
        Some((found.get(1)?.clone(), found.get(2).is_some_and(|word| word == "always")))
    });
    let internal = location.all("internal").next().is_some();
    let action = action(machine, folder, [location, server, http])?;
    Ok(Route { kind, pattern: pattern.clone(), internal, action, retry_after })
}

fn action(machine: &Machine, folder: &Path, levels: [&Directive; 3]) -> Result<Action, String> {
    let [location, _, http] = levels;
    if let Some(answer) = location.all("return").next() {
        return Ok(returned(answer));
    }
    if let Some(pass) = location.all("proxy_pass").next() {
        return proxy(machine, http, pass);
    }
    Ok(files(folder, levels))
}

/// Files below `root` or `alias`, which levels further out may set.
fn files(folder: &Path, levels: [&Directive; 3]) -> Action {
    let [location, server, _] = levels;
    let alias = location.first("alias");
    let root = levels.iter().find_map(|at| at.first("root")).unwrap_or("html");
    let tries = [location, server].into_iter().find_map(|at| at.all("try_files").next());
    let otherwise = tries.and_then(|tries| tries.arguments().last().cloned());
    Action::Files { folder: folder.join(alias.unwrap_or(root)), alias: alias.is_some(), otherwise }
}

/// `proxy_pass` to an address, a name, or an `upstream` of which the first server counts.
fn proxy(machine: &Machine, http: &Directive, pass: &Directive) -> Result<Action, String> {
    let url = pass.arguments().first().map_or("", String::as_str);
    if url.contains('$') || url.starts_with("https://") {
        return Ok(Action::Other);
    }
    let Some(target) = url.strip_prefix("http://") else { return Err(format!("invalid URL prefix{}", pass.place)) };
    if target.starts_with("unix:") {
        return Ok(Action::Other);
    }
    let target = target.split('/').next().unwrap_or_default();
    let upstream =
        http.all("upstream").find(|upstream| upstream.arguments().first().is_some_and(|name| name == target));
    let target = match upstream {
        Some(upstream) => upstream.first("server").unwrap_or_default(),
        None => target,
    };
    if let Ok(to) = target.parse::<SocketAddr>() {
        return Ok(Action::Proxy { to });
    }
    let (name, port) = target.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).unwrap_or((target, "80"));
    let Ok(port) = port.parse::<u16>() else {
        return Err(format!("invalid port in upstream \"{target}\"{}", pass.place));
    };
    let literal = name.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    match literal.or_else(|| machine.model.addresses_of(name).first().copied()) {
        Some(address) => Ok(Action::Proxy { to: SocketAddr::new(address, port) }),
        None => Err(format!("host not found in upstream \"{target}\"{}", pass.place)),
    }
}

fn returned(directive: &Directive) -> Action {
    let (first, second) = (directive.arguments().first(), directive.arguments().get(1).cloned());
    match first.and_then(|status| status.parse::<u16>().ok()) {
        Some(status @ (301 | 302 | 303 | 307 | 308)) => Action::Return { status, location: second, body: None },
        Some(status) => Action::Return { status, location: None, body: second },
        None => Action::Return { status: 302, location: first.cloned(), body: None },
    }
}

fn error_page(directive: &Directive) -> Option<ErrorPage> {
    let (page, words) = directive.arguments().split_last()?;
    let status = words.iter().find_map(|word| word.strip_prefix('=')).map(|digits| digits.parse().unwrap_or(0));
    let of = words.iter().filter_map(|word| word.parse().ok()).collect();
    Some(ErrorPage { of, status, page: page.clone() })
}

/// `nginx -t -q -c PATH`: also tries to bind, and does not mind a port that is taken.
pub(super) fn test(machine: &Machine, main: &Path) -> Output {
    let failed = |why: Vec<String>| {
        let lines: String = why.iter().map(|line| format!("nginx: [emerg] {line}\n")).collect();
        let stderr = format!("{lines}nginx: configuration file {} test failed\n", main.display());
        Output { status: Some(1), stdout: String::new(), stderr }
    };
    match configuration(machine, main) {
        Err(error) => failed(vec![error]),
        Ok(servers) => {
            let refused: Vec<String> =
                refusals(machine, &servers).into_iter().filter(|(taken, _)| !taken).map(|(_, words)| words).collect();
            if refused.is_empty() {
                Output { status: Some(0), stdout: String::new(), stderr: String::new() }
            } else {
                failed(refused)
            }
        }
    }
}

/// What bind(2) refuses, and whether that is only because somebody else has the port.
fn refusals(machine: &Machine, servers: &[WebServer]) -> Vec<(bool, String)> {
    let others: Vec<Listener> =
        kernel::listeners(&machine.model).into_iter().filter(|there| there.command != COMMAND).collect();
    let mut seen = BTreeSet::new();
    let listens = servers.iter().flat_map(|server| &server.listens).filter(|listen| seen.insert(shown(listen)));
    let refused = |listen: &ListenOn| {
        let socket = socket(listen, 0);
        let taken = others.iter().any(|there| kernel::collide(there, &socket));
        let here = |address: IpAddr| address.is_loopback() || machine.model.addresses.contains(&address);
        let why = match kernel::verdict(&machine.model, 0, &[0], Protocol::Tcp, listen.port).errno {
            _ if listen.ipv6 && !machine.model.ipv6 => {
                let why = "47: Address family not supported by protocol family";
                return Some((false, format!("socket() {} failed ({why})", shown(listen))));
            }
            Some(Errno::Eperm) => "1: Operation not permitted",
            Some(Errno::Eacces) => "13: Permission denied",
            None if !listen.address.is_none_or(here) => "49: Can't assign requested address",
            None if taken => "48: Address already in use",
            None => return None,
        };
        Some((why.starts_with("48"), format!("bind() to {} failed ({why})", shown(listen))))
    };
    listens.filter_map(refused).collect()
}

/// `service nginx start`: the script tests the configuration and starts nginx whatever came of it.
pub(super) fn start(machine: &mut Machine, command: &str) -> Result<(), HostError> {
    let failed = |words: String| command_failed(command, 1, words);
    if !has_configuration(machine) {
        return Ok(());
    }
    let servers = match configuration(machine, Path::new(MAIN)) {
        Ok(servers) => servers,
        Err(error) => return Err(failed(format!("nginx: [emerg] {error}\n/etc/rc.d: WARNING: failed to start nginx"))),
    };
    let refused = refusals(machine, &servers);
    if refused.is_empty() {
        machine.model.nginx = servers;
        return Ok(());
    }
    let once: String = refused.iter().map(|(_, words)| format!("nginx: [emerg] {words}\n")).collect();
    // It tries again only where the port may still become free.
    let tries = if refused.iter().all(|(taken, _)| *taken) { TRIES } else { 1 };
    let end = if tries > 1 { "nginx: [emerg] still could not bind()\n" } else { "" };
    Err(failed(format!("{}{end}/etc/rc.d: WARNING: failed to start nginx", once.repeat(tries))))
}

/// `service nginx reload`: refused where the test fails. What fails after it is only logged, and what was served before
/// goes on.
pub(super) fn reload(machine: &mut Machine, command: &str) -> Result<(), HostError> {
    if !has_configuration(machine) {
        return Ok(());
    }
    let tested = test(machine, Path::new(MAIN));
    if tested.status != Some(0) {
        return Err(command_failed(command, 1, tested.stderr.trim_end()));
    }
    let read = configuration(machine, Path::new(MAIN)).unwrap_or_default();
    if refusals(machine, &read).is_empty() {
        machine.model.nginx = read;
    }
    Ok(())
}

fn has_configuration(machine: &Machine) -> bool {
    matches!(machine.files.entry(&machine.resolve(Path::new(MAIN))), Ok(Some(_)))
}

/// The sockets that it listens on. The first process opens them, as root.
pub(super) fn listeners(model: &Model) -> Vec<Listener> {
    let Some(pid) = model.services.get(COMMAND) else { return Vec::new() };
    let mut sockets: Vec<Listener> = Vec::new();
    for listen in model.nginx.iter().flat_map(|server| &server.listens) {
        let socket = socket(listen, *pid);
        if !sockets.contains(&socket) {
            sockets.push(socket);
        }
    }
    sockets
}

fn socket(listen: &ListenOn, pid: u32) -> Listener {
    Listener {
        user: "root".into(),
        uid: Some(0),
        command: COMMAND.into(),
        pid: Some(pid),
        address: listen.address,
        ipv4: !listen.ipv6,
        ipv6: listen.ipv6,
        port: listen.port,
    }
}

/// Where a rehearsal's nginx keeps a file that a `location` names, for a request's path.
pub(super) fn file_of(folder: &Path, alias: bool, prefix: &str, path: &str) -> PathBuf {
    let rest = if alias { path.strip_prefix(prefix).unwrap_or(path) } else { path };
    folder.join(rest.trim_start_matches('/'))
}
