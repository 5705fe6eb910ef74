//! What nginx answers: the server for a name, the location for a path, and what is done there.

use std::net::SocketAddr;
use std::path::Path;

use super::super::{Entry, Owner, WebAnswer, WebFailure, WebRequest};
use super::certificate;
use super::machine::{Access, ENOENT, Machine};
use super::nginx::file_of;
use super::pattern::Pattern;
use super::request_path::normalised;
use super::web_servers::{Action, ListenOn, Route, RouteKind, WebServer};

/// The account that serves, www: it reads files, and nothing that only root may read.
pub(super) const WWW: Owner = Owner { uid: 80, gid: 80 };
/// nginx closes the connection without an answer.
const NO_ANSWER: u16 = 444;
/// `add_header` without `always` goes into these alone.
const SUCCESSES: [u16; 10] = [200, 201, 204, 206, 301, 302, 303, 304, 307, 308];

/// Asks the server behind.
type PassOn<'a> = &'a mut dyn FnMut(&mut Machine, SocketAddr, &WebRequest) -> Result<WebAnswer, WebFailure>;

/// Answers a request that came in at an address.
pub(super) fn answer(
    machine: &mut Machine,
    at: SocketAddr,
    request: &WebRequest,
    pass_on: PassOn<'_>,
) -> Result<WebAnswer, WebFailure> {
    let Some((server, tls)) = chosen(&machine.model.nginx, at, &request.host) else { return Err(WebFailure::Refused) };
    let mut shown = None;
    match (request.tls, tls) {
        (true, false) => return Err(WebFailure::Tls("the server answers in plain http".into())),
        (false, true) => return Ok(plain(400)),
        (false, false) => {}
        (true, true) => {
            shown = server.certificate.clone().filter(|_| !server.rejects_handshake);
            let Some(certificate) = &shown else {
                return Err(WebFailure::Tls("received fatal alert: UnrecognisedName".into()));
            };
            let fault = certificate::fault(certificate, &request.host, machine.model.clock);
            if let Some(fault) = fault.filter(|_| request.verify) {
                return Err(WebFailure::Tls(fault));
            }
        }
    }
    let Some(path) = normalised(request.path.split('?').next().unwrap_or_default(), false) else {
        return Ok(WebAnswer { certificate: shown, ..plain(400) });
    };
    let mut serving = Serving { server: &server, request, path: &path, pass_on };
    let mut answer = match &server.answer {
        Some(action) => serving.act(machine, action, "", false),
        None => serving.locate(machine),
    };
    if answer.status == NO_ANSWER {
        return Err(WebFailure::Other("connection closed before message completed".into()));
    }
    answer.certificate = shown;
    Ok(answer)
}

fn plain(status: u16) -> WebAnswer {
    WebAnswer { status, location: None, retry_after: None, body: Vec::new(), certificate: None }
}

struct Serving<'a> {
    server: &'a WebServer,
    request: &'a WebRequest,
    /// What its path means, without the query.
    path: &'a str,
    pass_on: PassOn<'a>,
}

impl Serving<'_> {
    fn locate(&mut self, machine: &mut Machine) -> WebAnswer {
        match location(&self.server.routes, self.path) {
            Some(route) if route.internal => self.with_page(machine, plain(404), false),
            Some(route) => self.go(machine, route, false),
            None => {
                let server = self.server;
                self.act(machine, &server.otherwise, "", false)
            }
        }
    }

    /// `page`: whether this is an error page already, which has none of its own.
    fn go(&mut self, machine: &mut Machine, route: &Route, page: bool) -> WebAnswer {
        let prefix =
            if matches!(route.kind, RouteKind::Prefix | RouteKind::FirmPrefix) { route.pattern.as_str() } else { "" };
        let mut answer = self.act(machine, &route.action, prefix, page);
        if let Some((value, always)) = &route.retry_after
            && (*always || SUCCESSES.contains(&answer.status))
        {
            answer.retry_after = Some(value.clone());
        }
        answer
    }

    fn act(&mut self, machine: &mut Machine, action: &Action, prefix: &str, page: bool) -> WebAnswer {
        match action {
            Action::Return { status, location, body } => {
                let location = location.as_ref().map(|text| self.fill(text));
                let body = body.as_ref().map(|text| self.fill(text));
                let has_text = body.is_some();
                let answer = WebAnswer { location, body: body.unwrap_or_default().into_bytes(), ..plain(*status) };
                // A text of its own takes the place of an error page.
                if has_text { answer } else { self.with_page(machine, answer, page) }
            }
            Action::Proxy { to } => {
                let inner = WebRequest { tls: false, address: Some(*to), ..self.request.clone() };
                match (self.pass_on)(machine, *to, &inner) {
                    Ok(answer) => answer,
                    Err(WebFailure::TimedOut) => self.with_page(machine, plain(504), page),
                    Err(_) => self.with_page(machine, plain(502), page),
                }
            }
            Action::Files { folder, alias, otherwise } => {
                let found = read(machine, &file_of(folder, *alias, prefix, self.path));
                match (found, otherwise.as_deref()) {
                    (Ok(body), _) => WebAnswer { body, ..plain(200) },
                    (Err(404), Some(name)) if name.starts_with('@') => self.named(machine, name, page),
                    (Err(404), Some(status)) => {
                        let status = status.strip_prefix('=').and_then(|status| status.parse().ok()).unwrap_or(404);
                        self.with_page(machine, plain(status), page)
                    }
                    (Err(status), _) => self.with_page(machine, plain(status), page),
                }
            }
            Action::Other => plain(502),
        }
    }

    fn named(&mut self, machine: &mut Machine, name: &str, page: bool) -> WebAnswer {
        let route = self.server.routes.iter().find(|route| route.kind == RouteKind::Named && route.pattern == name);
        match route {
            Some(route) => self.go(machine, route, page),
            None => plain(500),
        }
    }

    /// The error page for an answer of nginx's own.
    fn with_page(&mut self, machine: &mut Machine, answer: WebAnswer, page: bool) -> WebAnswer {
        let there = self.server.error_pages.iter().find(|there| there.of.contains(&answer.status));
        let Some(there) = there.filter(|_| !page) else { return answer };
        let mut shown = if there.page.starts_with('@') {
            self.named(machine, &there.page, true)
        } else if there.page.starts_with('/') {
            match location(&self.server.routes, &there.page) {
                Some(route) => self.go(machine, route, true),
                None => plain(404),
            }
        } else {
            return WebAnswer { location: Some(self.fill(&there.page)), ..plain(there.status.unwrap_or(302)) };
        };
        match there.status {
            None => shown.status = answer.status,
            Some(0) => {}
            Some(status) => shown.status = status,
        }
        shown
    }

    fn fill(&self, text: &str) -> String {
        let query = self.request.path.split_once('?').map_or("", |(_, query)| query);
        let scheme = if self.request.tls { "https" } else { "http" };
        let name = self.server.names.first().map_or("", String::as_str);
        text.replace("$host", &self.request.host)
            .replace("$server_name", name)
            .replace("$request_uri", &self.request.path)
            .replace("$scheme", scheme)
            .replace("$is_args", if query.is_empty() { "" } else { "?" })
            .replace("$args", query)
            .replace("$uri", self.path)
    }
}

/// A file as www gets it; the error is an HTTP status.
pub(super) fn read(machine: &Machine, path: &Path) -> Result<Vec<u8>, u16> {
    match machine.may(WWW, path, Access::Read) {
        Ok(()) => {}
        Err(ENOENT) => return Err(404),
        Err(_) => return Err(403),
    }
    match machine.files.entry(&machine.resolve(path)) {
        Ok(Some(Entry::File { .. })) => machine.files.read(path).ok().flatten().ok_or(404),
        Ok(Some(_)) => Err(403),
        _ => Err(404),
    }
}

/// The location for a path, as `ngx_http_core_find_location()` has it.
fn location<'a>(routes: &'a [Route], path: &str) -> Option<&'a Route> {
    if let Some(exact) = routes.iter().find(|route| route.kind == RouteKind::Exact && route.pattern == path) {
        return Some(exact);
    }
    let begins = |route: &&Route| {
        matches!(route.kind, RouteKind::Prefix | RouteKind::FirmPrefix) && path.starts_with(&route.pattern)
    };
    let prefix = routes.iter().filter(begins).max_by_key(|route| route.pattern.len());
    if prefix.is_some_and(|route| route.kind == RouteKind::FirmPrefix) {
        return prefix;
    }
    let fits = |route: &&Route| {
        let any_case = route.kind == RouteKind::RegexAnyCase;
        (any_case || route.kind == RouteKind::Regex)
            && Pattern::new(&route.pattern, any_case).is_ok_and(|pattern| pattern.fits(path))
    };
    routes.iter().find(fits).or(prefix)
}

/// The server for a name at an address, and whether TLS is spoken there: by name, else the default one or the first.
fn chosen(servers: &[WebServer], at: SocketAddr, host: &str) -> Option<(WebServer, bool)> {
    let all = || servers.iter().flat_map(|server| server.listens.iter().map(move |listen| (server, listen)));
    let on_port = |listen: &ListenOn| listen.port == at.port() && listen.ipv6 == at.is_ipv6();
    // A socket of its own for the address takes all requests for it.
    let own = all().any(|(_, listen)| on_port(listen) && listen.address == Some(at.ip()));
    let address = own.then(|| at.ip());
    let here: Vec<(&WebServer, &ListenOn)> =
        all().filter(|(_, listen)| on_port(listen) && listen.address == address).collect();
    let tls = here.iter().any(|(_, listen)| listen.tls);
    let named = |fits: &dyn Fn(&str) -> Option<usize>| {
        let mut best: Option<(usize, &WebServer)> = None;
        for (server, _) in &here {
            let length = server.names.iter().filter_map(|name| fits(name)).max();
            if let Some(length) = length.filter(|length| best.is_none_or(|(longest, _)| *length > longest)) {
                best = Some((length, server));
            }
        }
        best.map(|(_, server)| server)
    };
    let host = host.to_ascii_lowercase();
    let exact = |name: &str| name.eq_ignore_ascii_case(&host).then_some(1);
    let before = |name: &str| {
        let end = name.strip_prefix('*').or_else(|| name.starts_with('.').then_some(name))?.to_ascii_lowercase();
        let whole = name.starts_with('.') && host == end[1..];
        (end.starts_with('.') && (host.ends_with(&end) || whole)).then_some(end.len())
    };
    let after = |name: &str| {
        let start = name.strip_suffix('*').filter(|start| start.ends_with('.'))?.to_ascii_lowercase();
        host.starts_with(&start).then_some(start.len())
    };
    let regex = |name: &str| Pattern::new(name.strip_prefix('~')?, true).ok()?.fits(&host).then_some(1);
    let found = named(&exact).or_else(|| named(&before)).or_else(|| named(&after)).or_else(|| named(&regex));
    let default = here.iter().find(|(_, listen)| listen.default).or(here.first()).map(|(server, _)| *server);
    found.or(default).map(|server| (server.clone(), tls))
}
