//! nginx in front of GoToSocial: the part of its configuration that decides who answers a request.
//!
//! Read are `http`, `server`, `listen`, `server_name`, `ssl_certificate`, `location` with a prefix or `=`, `proxy_pass`
//! to an address, `return` and `include`. Other directives are passed over, regular expressions never match. Without
//! `/usr/local/etc/nginx/nginx.conf` nginx is a service like any other.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::portacl::{Errno, Protocol};

use super::super::{HostError, Listener, Owner, WebAnswer, WebFailure, WebRequest};
use super::machine::{Machine, command_failed};
use super::model::{Action, ListenOn, Model, Route, WebServer};
use super::{certificate, kernel};

const FOLDER: &str = "/usr/local/etc/nginx";
/// How deep includes may be nested before a file is taken to include itself.
const INCLUDE_DEPTH: u32 = 8;

/// The configuration that the package brings, shortened.
const FRESH: &str = "\
#user  nobody;
worker_processes  1;

events {
    worker_connections  1024;
}

http {
    include       mime.types;
    default_type  application/octet-stream;
    sendfile        on;
    keepalive_timeout  65;

    server {
        listen       80;
        server_name  localhost;

        location / {
            root   /usr/local/www/nginx;
            index  index.html index.htm;
        }
    }
}
";

/// Puts the package in place.
pub(super) fn install(machine: &mut Machine) -> Result<(), HostError> {
    for folder in ["/usr/local/etc", "/usr/local/etc/rc.d", FOLDER, "/var/log/nginx"] {
        machine.files.make_directory(Path::new(folder), 0o755, Owner::ROOT)?;
    }
    let script = "#!/bin/sh\n# Stands for the package's script. A rehearsal never runs it.\n";
    let files = [
        ("/usr/local/etc/rc.d/nginx".to_string(), 0o555, script),
        (format!("{FOLDER}/nginx.conf"), 0o644, FRESH),
        (format!("{FOLDER}/mime.types"), 0o644, "types {\n    text/html html htm;\n}\n"),
    ];
    for (path, mode, text) in files {
        machine.files.write_file(Path::new(&path), text.as_bytes(), mode, Owner::ROOT)?;
    }
    machine.model.packages.insert("nginx".into(), "1.26.2,3".into());
    Ok(())
}

/// One directive, with what stands between its braces.
struct Directive {
    words: Vec<String>,
    block: Vec<Directive>,
}

impl Directive {
    fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Directive> {
        self.block.iter().filter(move |directive| directive.name() == name)
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.block.iter().find(|directive| directive.name() == name)?.arguments().first().map(String::as_str)
    }
}

/// What the configuration says; `None` if there is none.
///
/// # Errors
/// What `nginx -t` would say: a syntax error, a file that is not there, a certificate that cannot be read.
fn configuration(machine: &Machine) -> Result<Option<Vec<WebServer>>, String> {
    let file = Path::new(FOLDER).join("nginx.conf");
    if !matches!(machine.files.entry(&machine.resolve(&file)), Ok(Some(_))) {
        return Ok(None);
    }
    let top = Directive { words: Vec::new(), block: read_file(machine, &file, 0)? };
    let mut servers = Vec::new();
    for directive in top.all("http").flat_map(|http| http.all("server")) {
        servers.push(server(machine, directive)?);
    }
    Ok(Some(servers))
}

fn read_file(machine: &Machine, file: &Path, depth: u32) -> Result<Vec<Directive>, String> {
    let shown = file.display();
    if depth > INCLUDE_DEPTH {
        return Err(format!("too many includes in {shown}"));
    }
    let bytes = machine.files.read(file).ok().flatten();
    let bytes = bytes.ok_or_else(|| format!("open() \"{shown}\" failed (2: No such file or directory)"))?;
    let tokens = tokens(&String::from_utf8_lossy(&bytes)).map_err(|error| format!("{error} in {shown}"))?;
    let mut rest = tokens.as_slice();
    let block = read_block(machine, &mut rest, depth, true).map_err(|error| format!("{error} in {shown}"))?;
    Ok(block)
}

/// Words; `{`, `}` and `;` that are not in quotes are marked by a leading NUL.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '#' => while characters.next_if(|c| *c != '\n').is_some() {},
            '{' | '}' | ';' => tokens.push(format!("\0{character}")),
            '"' | '\'' => {
                let mut word = String::new();
                loop {
                    match characters.next() {
                        None => return Err("unexpected end of file, expecting a closing quote".into()),
                        Some('\\') => word.extend(characters.next()),
                        Some(close) if close == character => break,
                        Some(other) => word.push(other),
                    }
                }
                tokens.push(word);
            }
            blank if blank.is_whitespace() => {}
            first => {
                let mut word = String::from(first);
                // Braces belong to a word only as in `${name}`.
                while let Some(next) = characters.next_if(|next| {
                    let variable = word.ends_with('$') || word.rfind("${") > word.rfind('}');
                    !next.is_whitespace() && *next != ';' && (variable || !matches!(next, '{' | '}'))
                }) {
                    word.push(next);
                }
                tokens.push(word);
            }
        }
    }
    Ok(tokens)
}

fn read_block(machine: &Machine, tokens: &mut &[String], depth: u32, top: bool) -> Result<Vec<Directive>, String> {
    let mut block = Vec::new();
    let mut words: Vec<String> = Vec::new();
    while let Some((token, rest)) = tokens.split_first() {
        *tokens = rest;
        match token.as_str() {
            "\0;" if words.is_empty() => return Err("unexpected \";\"".into()),
            "\0;" => {
                let directive = Directive { words: std::mem::take(&mut words), block: Vec::new() };
                if directive.name() == "include" {
                    for file in included(machine, &directive)? {
                        block.extend(read_file(machine, &file, depth + 1)?);
                    }
                } else {
                    block.push(directive);
                }
            }
            "\0{" => {
                let inner = read_block(machine, tokens, depth, false)?;
                block.push(Directive { words: std::mem::take(&mut words), block: inner });
            }
            "\0}" if words.is_empty() && !top => return Ok(block),
            "\0}" => return Err("unexpected \"}\"".into()),
            word => words.push(word.to_string()),
        }
    }
    if top && words.is_empty() {
        return Ok(block);
    }
    Err("unexpected end of file, expecting \"}\" or \";\"".into())
}

/// The files of an include; `*` may stand in the last part of the path, and then none at all is fine.
fn included(machine: &Machine, directive: &Directive) -> Result<Vec<PathBuf>, String> {
    let path = Path::new(FOLDER).join(directive.arguments().first().map_or("", String::as_str));
    let pattern = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((start, end)) = pattern.split_once('*') else { return Ok(vec![path]) };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let names = machine.files.list(folder).map_err(|error| error.to_string())?;
    let fits = |name: &String| name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
    Ok(names.into_iter().filter(fits).map(|name| folder.join(name)).collect())
}

fn server(machine: &Machine, directive: &Directive) -> Result<WebServer, String> {
    let mut listens = Vec::new();
    for listen in directive.all("listen") {
        listens.push(listen_on(listen.arguments())?);
    }
    if listens.is_empty() {
        listens.push(listen_on(&["80".to_string()])?);
    }
    let certificate = directive.first("ssl_certificate").map(|file| Path::new(FOLDER).join(file));
    if listens.iter().any(|listen| listen.tls) {
        let Some(file) = &certificate else {
            return Err("no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive".into());
        };
        let readable = certificate::in_file(machine, Owner::ROOT, file).map_err(|error| error.to_string())?;
        if readable.is_none() {
            return Err(format!("cannot load certificate \"{}\"", file.display()));
        }
    }
    let mut routes: Vec<Route> = Vec::new();
    for location in directive.all("location") {
        let (exact, prefix) = match location.arguments() {
            [prefix] => (false, prefix),
            [modifier, prefix] if modifier == "=" || modifier == "^~" => (modifier == "=", prefix),
            _ => continue,
        };
        routes.push(Route { prefix: prefix.clone(), exact, action: action(location) });
    }
    // A server's own return comes before any location.
    if directive.all("return").next().is_some() {
        routes = vec![Route { prefix: "/".into(), exact: false, action: action(directive) }];
    }
    let names = directive.all("server_name").flat_map(|names| names.arguments().to_vec()).collect();
    Ok(WebServer { names, listens, certificate, routes })
}

fn listen_on(arguments: &[String]) -> Result<ListenOn, String> {
    let (place, options) = arguments.split_first().ok_or("invalid number of arguments in \"listen\" directive")?;
    let invalid = || format!("invalid port in \"{place}\" of the \"listen\" directive");
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ if place.chars().all(|c| c.is_ascii_digit()) => ("*", place.as_str()),
        _ => (place.as_str(), "80"),
    };
    let port = port.parse().map_err(|_| invalid())?;
    let address: Option<IpAddr> = match host.trim_matches(['[', ']']) {
        "*" => None,
        name => Some(name.parse().map_err(|_| invalid())?),
    };
    let ipv6 = address.is_some_and(|address| address.is_ipv6());
    let has = |option: &str| options.iter().any(|there| there == option);
    Ok(ListenOn {
        address: address.filter(|address| !address.is_unspecified()),
        ipv6,
        port,
        tls: has("ssl"),
        default: has("default_server"),
    })
}

fn action(block: &Directive) -> Action {
    if let Some(answer) = block.all("return").next() {
        let status = answer.arguments().first().and_then(|status| status.parse().ok()).unwrap_or(302);
        return Action::Return { status, location: answer.arguments().get(1).cloned() };
    }
    match block.first("proxy_pass").and_then(|url| url.strip_prefix("http://")) {
        Some(target) => Action::Proxy { to: target.trim_end_matches('/').parse().ok() },
        None => Action::Other,
    }
}

/// Checks the configuration and takes it over, as a start (`pid` of the new process) or a reload does.
pub(super) fn configure(machine: &mut Machine, command: &str, pid: u32) -> Result<(), HostError> {
    let refused = |why: String| command_failed(command, 1, format!("nginx: [emerg] {why}"));
    let servers = configuration(machine).map_err(refused)?.unwrap_or_default();
    let others: Vec<Listener> =
        kernel::listeners(&machine.model).into_iter().filter(|there| there.command != "nginx").collect();
    for socket in sockets(&servers, pid) {
        let shown = socket.address.map_or_else(|| "0.0.0.0".into(), |address| address.to_string());
        let why = match kernel::verdict(&machine.model, 0, &[0], Protocol::Tcp, socket.port).errno {
            Some(Errno::Eperm) => "1: Operation not permitted",
            Some(Errno::Eacces) => "13: Permission denied",
            None if others.iter().any(|there| collide(there, &socket)) => "48: Address already in use",
            None => continue,
        };
        return Err(refused(format!("bind() to {shown}:{} failed ({why})", socket.port)));
    }
    machine.model.nginx = servers;
    Ok(())
}

fn collide(one: &Listener, other: &Listener) -> bool {
    let families = (one.ipv4 && other.ipv4) || (one.ipv6 && other.ipv6);
    let addresses = one.address.is_none() || other.address.is_none() || one.address == other.address;
    one.port == other.port && families && addresses
}

/// The sockets that it listens on.
pub(super) fn listeners(model: &Model) -> Vec<Listener> {
    model.services.get("nginx").map(|pid| sockets(&model.nginx, *pid)).unwrap_or_default()
}

fn sockets(servers: &[WebServer], pid: u32) -> Vec<Listener> {
    let mut sockets: Vec<Listener> = Vec::new();
    for listen in servers.iter().flat_map(|server| &server.listens) {
        let socket = Listener {
            user: "root".into(),
            uid: Some(0),
            command: "nginx".into(),
            pid: Some(pid),
            address: listen.address,
            ipv4: !listen.ipv6,
            ipv6: listen.ipv6,
            port: listen.port,
        };
        if !sockets.contains(&socket) {
            sockets.push(socket);
        }
    }
    sockets
}

/// Answers a request that came in at an address; `pass_on` asks the server behind.
pub(super) fn answer(
    machine: &mut Machine,
    at: SocketAddr,
    request: &WebRequest,
    pass_on: impl FnOnce(&mut Machine, SocketAddr, &WebRequest) -> Result<WebAnswer, WebFailure>,
) -> Result<WebAnswer, WebFailure> {
    let Some((server, tls)) = chosen(&machine.model.nginx, at, &request.host) else { return Err(WebFailure::Refused) };
    let mut certificate = None;
    match (request.tls, tls) {
        (true, false) => return Err(WebFailure::Tls("the server answers in plain http".into())),
        (false, true) => return Ok(WebAnswer { status: 400, location: None, body: Vec::new(), certificate: None }),
        (false, false) => {}
        (true, true) => {
            let file = server.certificate.clone().unwrap_or_default();
            certificate = certificate::in_file(machine, Owner::ROOT, &file)
                .map_err(|error| WebFailure::Other(error.to_string()))?;
            let clock = machine.model.clock;
            let fault = certificate.as_ref().and_then(|shown| certificate::fault(shown, &request.host, clock));
            if let Some(fault) = fault.filter(|_| request.verify) {
                return Err(WebFailure::Tls(fault));
            }
        }
    }
    let path = request.path.split('?').next().unwrap_or_default();
    let fits = |route: &&Route| if route.exact { path == route.prefix } else { path.starts_with(&route.prefix) };
    let route = server.routes.iter().filter(fits).max_by_key(|route| (route.exact, route.prefix.len()));
    let plain =
        |status: u16, location: Option<String>| WebAnswer { status, location, body: Vec::new(), certificate: None };
    let answer = match route.map(|route| route.action.clone()) {
        Some(Action::Return { status, location }) => {
            let fill = |text: String| {
                let name = server.names.first().map_or(request.host.as_str(), String::as_str);
                text.replace("$host", &request.host)
                    .replace("$server_name", name)
                    .replace("$request_uri", &request.path)
            };
            plain(status, location.map(fill))
        }
        Some(Action::Proxy { to: Some(to) }) => {
            let inner = WebRequest { tls: false, address: Some(to), ..request.clone() };
            pass_on(machine, to, &inner).unwrap_or_else(|_| plain(502, None))
        }
        Some(Action::Proxy { to: None }) => plain(502, None),
        Some(Action::Other) | None => plain(404, None),
    };
    Ok(WebAnswer { certificate, ..answer })
}

/// The server for a name at an address, and whether it speaks TLS there: by name, else the default one or the first.
fn chosen(servers: &[WebServer], at: SocketAddr, host: &str) -> Option<(WebServer, bool)> {
    let here: Vec<(&WebServer, &ListenOn)> = servers
        .iter()
        .flat_map(|server| server.listens.iter().map(move |listen| (server, listen)))
        .filter(|(_, listen)| listen.port == at.port() && listen.ipv6 == at.is_ipv6())
        .filter(|(_, listen)| listen.address.is_none_or(|address| address == at.ip()))
        .collect();
    let named = here.iter().find(|(server, _)| server.names.iter().any(|name| certificate::covers(name, host)));
    let default = here.iter().find(|(_, listen)| listen.default);
    named.or(default).or(here.first()).map(|(server, listen)| ((*server).clone(), listen.tls))
}
