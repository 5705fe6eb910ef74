//! The web servers of a rehearsal: their tests, starts and reloads, where they listen, and who answers a request.
//!
//! The readers of [`crate::front`] read their configuration. A directive that these do not know passes; the real servers
//! judge it in `tests/fronts/` and `tests/filters/`. A request comes from this machine, which filters never refuse.
//! Without its main file a web server is a service like any other.

use std::net::SocketAddr;
use std::path::Path;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::front::{ConfigFiles, Front, Listen, Served, Site, Socket};
use crate::gotosocial::readiness::{LIVEZ, READYZ};

use super::super::{HostError, Listener, Output, Owner, ServedCertificate, WebAnswer, WebFailure, WebRequest};
use super::machine::{Access, Machine, command_failed};
use super::model::Model;
use super::web::{self, Answer};
use super::{certificate, kernel};

/// The account www, which serves files: it cannot read what only root may read.
const WWW: Owner = Owner { uid: 80, gid: 80 };

/// What a web server serves, as it read its configuration at its last start or reload; a part of `state.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serving {
    /// The content of the configuration.
    pub served: Served,
    /// The certificate of each site at that time. A new one in the file counts from the next reload on.
    pub certificates: Vec<Option<ServedCertificate>>,
}

impl ConfigFiles for Machine {
    fn read(&self, file: &Path) -> Option<Vec<u8>> {
        Self::read(self, file).ok().flatten()
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        self.files.list(folder).unwrap_or_default()
    }
}

/// Reads a configuration. `candidate`: one that is tested next to the live one. `start`: with everything that only a
/// start finds out.
fn read(machine: &Machine, front: Front, main: &Path, candidate: bool, start: bool) -> Result<Serving, String> {
    let served = (front.served)(main, machine, candidate).map_err(|error| error.to_string())?;
    let there = |file: &Path| matches!(machine.read(file), Ok(Some(bytes)) if !bytes.is_empty());
    if let Some((place, file)) = served.needs.iter().find(|(_, file)| !there(file)) {
        return Err(format!("{place}: {} is not there", file.display()));
    }
    let certificates = served.sites.iter().map(|Site { place, pair, .. }| {
        let Some([chain, key]) = pair else { return Ok(None) };
        if let Some(missing) = [chain, key].into_iter().find(|file| !there(file)) {
            return Err(format!("{place}: {} is not there, or is empty", missing.display()));
        }
        match certificate::pair(machine, chain, key) {
            Err(fault) if start || front.careful => Err(format!("{place}: {fault}")),
            loaded => Ok(loaded.ok()),
        }
    });
    let certificates = certificates.collect::<Result<_, _>>()?;
    Ok(Serving { served, certificates })
}

/// Tests a candidate.
pub(super) fn test(machine: &Machine, front: Front, main: &Path) -> Output {
    let (status, stderr) = match read(machine, front, main, true, false) {
        Ok(_) => (0, String::new()),
        Err(why) => (1, format!("{}: {why}\n", front.command)),
    };
    Output { status: Some(status), stdout: String::new(), stderr }
}

/// The configuration with which a web server starts, once its sockets are bound. Those that it has already do not count.
fn opened(machine: &Machine, front: Front) -> Result<Serving, String> {
    let (model, serving) = (&machine.model, read(machine, front, &front.main_file(), false, true)?);
    let own = model.services.get(front.service).copied();
    for socket in serving.served.sockets.iter().filter(|socket| !socket.optional || model.ipv6) {
        kernel::listen(model, 0, &[0], &listener(front, socket, 0), own).map_err(|errno| {
            let any = if socket.ipv6 { "[::]" } else { "0.0.0.0" };
            let address = socket.address.map_or_else(|| any.to_owned(), |address| address.to_string());
            format!("bind() to {address}:{} failed ({})", socket.port, kernel::words(errno))
        })?;
    }
    Ok(serving)
}

/// `service NAME start`.
pub(super) fn start(machine: &mut Machine, front: Front, command: &str) -> Result<(), HostError> {
    if !has_configuration(machine, front) {
        return Ok(());
    }
    let serving = opened(machine, front).map_err(|why| {
        let words = format!("{}: {why}\n/etc/rc.d: WARNING: failed to start {}", front.command, front.service);
        command_failed(command, 1, words)
    })?;
    machine.model.web_servers.insert(front.service.to_owned(), serving);
    Ok(())
}

/// `service NAME reload`: refused if the test fails. Nobody is told what fails after that.
pub(super) fn reload(machine: &mut Machine, front: Front, command: &str) -> Result<(), HostError> {
    if has_configuration(machine, front) {
        read(machine, front, &front.main_file(), false, false)
            .map_err(|why| command_failed(command, 1, format!("{}: {why}", front.command)))?;
        read_again(machine, front, 0);
    }
    Ok(())
}

/// What a web server does upon the signal to read its configuration again. nginx tries ports that are taken again, five
/// times in all, half a second apart (`ngx_open_listening_sockets` in `src/core/ngx_connection.c`), and keeps what it had if
/// that fails; Apache ends.
pub(super) fn read_again(machine: &mut Machine, front: Front, tried: u32) {
    const TRIES: u32 = 5;
    const PAUSE: u64 = 500;
    if !has_configuration(machine, front) {
        return;
    }
    match opened(machine, front) {
        Ok(serving) => drop(machine.model.web_servers.insert(front.service.to_owned(), serving)),
        Err(why) if front.careful && why.contains("bind()") && tried + 1 < TRIES => {
            let at = machine.model.now() + PAUSE;
            machine.model.reloads.insert(front.service.to_owned(), (at, tried + 1));
        }
        Err(_) if front.careful => {}
        Err(_) => drop(machine.model.services.remove(front.service)),
    }
}

fn has_configuration(machine: &Machine, front: Front) -> bool {
    matches!(machine.files.entry(&machine.resolve(&front.main_file())), Ok(Some(_)))
}

/// The sockets that the web servers listen on.
pub(super) fn listeners(model: &Model) -> Vec<Listener> {
    let mut all = Vec::new();
    for front in Front::ALL {
        if let (Some(pid), Some(serving)) = (model.services.get(front.service), model.web_servers.get(front.service)) {
            let open = serving.served.sockets.iter().filter(|socket| !socket.ipv6 || model.ipv6);
            all.extend(open.map(|socket| listener(front, socket, *pid)));
        }
    }
    all
}

/// The processes that serve, which have inherited the sockets of the first one.
pub(super) fn workers(model: &Model, sockets: &[Listener]) -> Vec<Listener> {
    let of_front = |pid: &u32| Front::ALL.iter().any(|front| model.services.get(front.service) == Some(pid));
    let worker = |socket: &Listener| {
        let pid = socket.pid.filter(of_front)? + 1;
        Some(Listener { user: "www".into(), uid: Some(WWW.uid), pid: Some(pid), ..socket.clone() })
    };
    sockets.iter().filter_map(worker).collect()
}

/// The first process opens the sockets, as root.
fn listener(front: Front, socket: &Socket, pid: u32) -> Listener {
    Listener {
        user: "root".into(),
        uid: Some(0),
        command: front.command.into(),
        pid: Some(pid),
        address: socket.address,
        ipv4: !socket.ipv6,
        ipv6: socket.ipv6,
        port: socket.port,
        jail: None,
    }
}

/// Answers a request that came in at an address.
pub(super) fn answer(machine: &mut Machine, front: Front, at: SocketAddr, request: &WebRequest) -> Answer {
    let serving = machine.model.web_servers.get(front.service).cloned().unwrap_or_default();
    let sites = &serving.served.sites;
    let number = chosen(sites, at, &request.host).ok_or(WebFailure::Refused)?;
    let site = &sites[number];
    match (request.tls, site.listens.iter().any(|listen| listen.tls && is_at(listen, at))) {
        (true, false) => return Err(WebFailure::Tls("the server answers in plain http".into())),
        (false, true) => return Ok(WebAnswer::plain(400)),
        (false, false) => return Ok(serve(machine, site, request)),
        (true, true) => {}
    }
    let Some(Some(certificate)) = serving.certificates.get(number) else {
        return Err(WebFailure::Tls("received fatal alert: UnrecognisedName".into()));
    };
    certificate::judge(certificate, request, &machine.model)?;
    Ok(WebAnswer { certificate: Some(certificate.clone()), ..serve(machine, site, request) })
}

fn serve(machine: &mut Machine, site: &Site, request: &WebRequest) -> WebAnswer {
    let path = request.path.split('?').next().unwrap_or_default();
    if site.turns_away {
        return WebAnswer::plain(421);
    }
    let token = path.strip_prefix("/.well-known/acme-challenge/").filter(|token| !token.contains('/'));
    if let (Some(token), Some(folder)) = (token, &site.challenges) {
        let file = folder.join(token);
        return match machine.may(WWW, &file, Access::Read).map(|()| machine.read(&file)) {
            Ok(Ok(Some(body))) => WebAnswer { body, ..WebAnswer::plain(200) },
            Ok(_) | Err(Errno::ENOENT) => WebAnswer::plain(404),
            Err(_) => WebAnswer::plain(403),
        };
    }
    let fits = |(beginning, _): &&(String, String)| path.starts_with(beginning.as_str());
    if let Some((_, to)) = site.redirects.iter().filter(fits).max_by_key(|(beginning, _)| beginning.len()) {
        return WebAnswer { location: Some(format!("{to}{}", request.path)), ..WebAnswer::plain(301) };
    }
    let Some(backend) = site.backend else {
        // The model does not know what other sites answer.
        return WebAnswer::plain(if site.redirects.is_empty() { 200 } else { 404 });
    };
    if [LIVEZ, READYZ].contains(&path) {
        return WebAnswer::plain(404);
    }
    let inner = WebRequest { tls: false, address: Some(backend), ..request.clone() };
    web::behind_a_front(machine, backend, &inner).unwrap_or_else(|| WebAnswer {
        retry_after: Some("10".into()),
        body: b"Back soon\n".to_vec(),
        ..WebAnswer::plain(503)
    })
}

fn is_at(listen: &Listen, at: SocketAddr) -> bool {
    let family = if at.is_ipv6() { listen.ipv6 } else { listen.ipv4 };
    let address = listen.address.is_none() || listen.ip() == Some(at.ip());
    family && address && listen.port.is_none_or(|port| port == at.port())
}

/// The site for a name at an address. If sites listen on that very address, others do not count. A site with the name
/// comes first, then one with a pattern for it, the default one, the first one. Without any of them the main server
/// answers.
fn chosen(sites: &[Site], at: SocketAddr, host: &str) -> Option<usize> {
    let listening = |own: bool| -> Vec<(usize, bool)> {
        let all = sites.iter().enumerate().filter_map(|(number, site)| {
            let mut there = site.listens.iter().filter(|listen| is_at(listen, at) && listen.address.is_some() == own);
            there.next().map(|first| (number, first.default || there.any(|listen| listen.default)))
        });
        all.collect()
    };
    let here = Some(listening(true)).filter(|own| !own.is_empty()).unwrap_or_else(|| listening(false));
    let host = host.to_ascii_lowercase();
    let named = |fits: &dyn Fn(&str) -> bool| {
        here.iter().find(|(number, _)| sites[*number].names.iter().any(|(_, name)| fits(&name.to_ascii_lowercase())))
    };
    named(&|name| name.trim_start_matches('.') == host)
        .or_else(|| named(&|name| name.starts_with(['*', '.']) && host.ends_with(name.trim_start_matches('*'))))
        .or_else(|| here.iter().find(|(_, default)| *default))
        .or(here.first())
        .map(|(number, _)| *number)
        .or_else(|| sites.iter().position(|site| site.listens.is_empty()))
}
