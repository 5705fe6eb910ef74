//! The web servers of a rehearsal: their tests, starts and reloads, where they listen, and who answers a request.
//!
//! Their configuration is read with the readers of [`crate::front`]. What these do not know passes in silence: the real
//! servers judge it in `tests/fronts/` and `tests/filters/`. A request comes from this machine, which filters never
//! refuse. Without its main file a web server is a service like any other.

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::front::{ConfigFiles, Front, Listen, Served, Site, Socket};
use crate::portacl::{Errno, Protocol};

use super::super::{HostError, Listener, Output, Owner, ServedCertificate, WebAnswer, WebFailure, WebRequest};
use super::certificate::{self, PairFault};
use super::kernel;
use super::machine::{Access, ENOENT, Machine, command_failed};
use super::model::Model;

/// The account that serves, www: it reads files, and nothing that only root may read.
const WWW: Owner = Owner { uid: 80, gid: 80 };
/// What our site keeps from the world.
const HIDDEN: [&str; 2] = ["/livez", "/readyz"];

/// What a web server serves, as it read its configuration at its last start or reload: the part of `state.json` that is its.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serving {
    /// By its configuration.
    pub served: Served,
    /// The certificate of each site, as it was when it was read: a new one in the file counts from the next reload on.
    pub certificates: Vec<Option<ServedCertificate>>,
}

pub(super) struct Files<'a>(pub(super) &'a Machine);

impl ConfigFiles for Files<'_> {
    fn read(&self, file: &Path) -> Option<Vec<u8>> {
        self.0.files.read(file).ok().flatten()
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        self.0.files.list(folder).unwrap_or_default()
    }
}

/// Reads a configuration. `candidate`: one that is tested beside the live one. `start`: with all that a start finds out.
fn read(machine: &Machine, front: Front, main: &Path, candidate: bool, start: bool) -> Result<Serving, String> {
    let served = front.server.served(main, &Files(machine), candidate).map_err(|error| error.to_string())?;
    let there = |file: &Path| matches!(machine.files.read(file), Ok(Some(bytes)) if !bytes.is_empty());
    if let Some((place, file)) = served.needs.iter().find(|(_, file)| !there(file)) {
        return Err(format!("{place}: {} is not there", file.display()));
    }
    let mut certificates = Vec::new();
    for site in &served.sites {
        let Some([chain, key]) = &site.pair else {
            certificates.push(None);
            continue;
        };
        if let Some(missing) = [chain, key].into_iter().find(|file| !there(file)) {
            return Err(format!("{}: {} is not there, or is empty", site.place, missing.display()));
        }
        let loaded = certificate::pair(machine, chain, key);
        if let (Err(fault), true) = (&loaded, start || front.careful) {
            let what = match fault {
                PairFault::NoChain | PairFault::BadChain => format!("{} holds no certificate", chain.display()),
                PairFault::NoKey | PairFault::BadKey => format!("{} holds no key", key.display()),
                PairFault::Mismatch => format!("{} is not the key of {}", key.display(), chain.display()),
            };
            return Err(format!("{}: {what}", site.place));
        }
        certificates.push(loaded.ok());
    }
    Ok(Serving { served, certificates })
}

/// The test of a candidate.
pub(super) fn test(machine: &Machine, front: Front, main: &Path) -> Output {
    let (status, stderr) = match read(machine, front, main, true, false) {
        Ok(_) => (0, String::new()),
        Err(why) => (1, format!("{}: {why}\n", front.command)),
    };
    Output { status: Some(status), stdout: String::new(), stderr }
}

/// What bind(2) refuses of the sockets, but for those that the web server has already.
fn refusal(machine: &Machine, front: Front, sockets: &[Socket]) -> Option<String> {
    let others: Vec<Listener> =
        kernel::listeners(&machine.model).into_iter().filter(|there| there.command != front.command).collect();
    let wanted = sockets.iter().filter(|socket| !socket.optional || machine.model.ipv6);
    let refused = |socket: &Socket| {
        let here = |address: std::net::IpAddr| address.is_loopback() || machine.model.addresses.contains(&address);
        let why = match kernel::verdict(&machine.model, 0, &[0], Protocol::Tcp, socket.port).errno() {
            _ if socket.ipv6 && !machine.model.ipv6 => "Address family not supported by protocol family",
            Some(Errno::Eperm) => "Operation not permitted",
            Some(Errno::Eacces) => "Permission denied",
            None if !socket.address.is_none_or(here) => "Can't assign requested address",
            None if others.iter().any(|there| kernel::collide(there, &listener(front, socket, 0))) => {
                "Address already in use"
            }
            None => return None,
        };
        let any = if socket.ipv6 { "[::]" } else { "0.0.0.0" };
        let address = socket.address.map_or_else(|| any.to_owned(), |address| address.to_string());
        Some(format!("bind() to {address}:{} failed ({why})", socket.port))
    };
    wanted.filter_map(refused).next()
}

/// `service NAME start`.
pub(super) fn start(machine: &mut Machine, front: Front, command: &str) -> Result<(), HostError> {
    let main = front.main_file();
    if !has_configuration(machine, &main) {
        return Ok(());
    }
    let serving = read(machine, front, &main, false, true)
        .and_then(|serving| refusal(machine, front, &serving.served.sockets).map_or(Ok(serving), Err));
    match serving {
        Ok(serving) => {
            machine.model.web_servers.insert(front.service.to_owned(), serving);
            Ok(())
        }
        Err(why) => {
            let words = format!("{}: {why}\n/etc/rc.d: WARNING: failed to start {}", front.command, front.service);
            Err(command_failed(command, 1, words))
        }
    }
}

/// `service NAME reload`: refused where the test fails. What fails after it nobody is told: the web server goes on with what it
/// had, or ends.
pub(super) fn reload(machine: &mut Machine, front: Front, command: &str) -> Result<(), HostError> {
    let main = front.main_file();
    if !has_configuration(machine, &main) {
        return Ok(());
    }
    read(machine, front, &main, false, false)
        .map_err(|why| command_failed(command, 1, format!("{}: {why}", front.command)))?;
    let read = read(machine, front, &main, false, true).ok();
    match read.filter(|serving| refusal(machine, front, &serving.served.sockets).is_none()) {
        Some(serving) => drop(machine.model.web_servers.insert(front.service.to_owned(), serving)),
        None if front.careful => {}
        None => drop(machine.model.services.remove(front.service)),
    }
    Ok(())
}

fn has_configuration(machine: &Machine, main: &Path) -> bool {
    matches!(machine.files.entry(&machine.resolve(main)), Ok(Some(_)))
}

/// The sockets that the web servers listen on.
pub(super) fn listeners(model: &Model) -> Vec<Listener> {
    let running = Front::ALL
        .into_iter()
        .filter_map(|front| Some((front, model.services.get(front.service)?, model.web_servers.get(front.service)?)));
    let sockets = |(front, pid, serving): (Front, &u32, &Serving)| {
        let open = serving.served.sockets.iter().filter(|socket| !socket.ipv6 || model.ipv6);
        open.map(|socket| listener(front, socket, *pid)).collect::<Vec<_>>()
    };
    running.flat_map(sockets).collect()
}

/// The first process opens its sockets, as root.
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
    }
}

/// Asks the server behind.
type PassOn<'a> = &'a mut dyn FnMut(&mut Machine, SocketAddr, &WebRequest) -> Result<WebAnswer, WebFailure>;

/// Answers a request that came in at an address.
pub(super) fn answer(
    machine: &mut Machine,
    front: Front,
    at: SocketAddr,
    request: &WebRequest,
    pass_on: PassOn<'_>,
) -> Result<WebAnswer, WebFailure> {
    let serving = machine.model.web_servers.get(front.service).cloned().unwrap_or_default();
    let sites = &serving.served.sites;
    let Some(number) = chosen(sites, at, &request.host) else { return Err(WebFailure::Refused) };
    let site = &sites[number];
    match (request.tls, site.listens.iter().any(|listen| listen.tls && is_at(listen, at))) {
        (true, false) => return Err(WebFailure::Tls("the server answers in plain http".into())),
        (false, true) => return Ok(plain(400)),
        _ => {}
    }
    let shown = serving.certificates.get(number).cloned().flatten().filter(|_| request.tls);
    if request.tls {
        let Some(certificate) = &shown else {
            return Err(WebFailure::Tls("received fatal alert: UnrecognisedName".into()));
        };
        let fault = certificate::fault(certificate, &request.host, machine.model.clock);
        if let Some(fault) = fault.filter(|_| request.verify) {
            return Err(WebFailure::Tls(fault));
        }
    }
    Ok(WebAnswer { certificate: shown, ..serve(machine, site, request, pass_on) })
}

fn plain(status: u16) -> WebAnswer {
    WebAnswer { status, location: None, retry_after: None, body: Vec::new(), certificate: None }
}

fn serve(machine: &mut Machine, site: &Site, request: &WebRequest, pass_on: PassOn<'_>) -> WebAnswer {
    let path = request.path.split('?').next().unwrap_or_default();
    if site.turns_away {
        return plain(421);
    }
    let token = path.strip_prefix("/.well-known/acme-challenge/").filter(|token| !token.contains('/'));
    if let (Some(token), Some(folder)) = (token, &site.challenges) {
        return file(machine, &folder.join(token));
    }
    let fits = |(beginning, _): &&(String, String)| path.starts_with(beginning.as_str());
    if let Some((_, to)) = site.redirects.iter().filter(fits).max_by_key(|(beginning, _)| beginning.len()) {
        return WebAnswer { location: Some(format!("{to}{}", request.path)), ..plain(301) };
    }
    let Some(backend) = site.backend else {
        // What other sites have to say is not known here.
        return plain(if site.redirects.is_empty() { 200 } else { 404 });
    };
    if HIDDEN.contains(&path) {
        return plain(404);
    }
    let inner = WebRequest { tls: false, address: Some(backend), ..request.clone() };
    pass_on(machine, backend, &inner).unwrap_or_else(|_| WebAnswer {
        retry_after: Some("10".into()),
        body: b"Back soon\n".to_vec(),
        ..plain(503)
    })
}

/// A file as the account that serves gets it.
fn file(machine: &Machine, path: &Path) -> WebAnswer {
    match machine.may(WWW, path, Access::Read) {
        Err(ENOENT) => plain(404),
        Err(_) => plain(403),
        Ok(()) => match machine.files.read(path) {
            Ok(Some(body)) => WebAnswer { body, ..plain(200) },
            _ => plain(404),
        },
    }
}

fn is_at(listen: &Listen, at: SocketAddr) -> bool {
    let family = if at.is_ipv6() { listen.ipv6 } else { listen.ipv4 };
    let address = listen.address.is_none() || listen.ip() == Some(at.ip());
    family && address && listen.port.is_none_or(|port| port == at.port())
}

/// The site for a name at an address: of those with that very address, else of those with every one, the one with the name,
/// else the default one or the first; the main server where there is none.
fn chosen(sites: &[Site], at: SocketAddr, host: &str) -> Option<usize> {
    let at_all = |own: bool| {
        let mut found: Vec<(usize, bool)> = Vec::new();
        for (number, site) in sites.iter().enumerate() {
            let mut there = site.listens.iter().filter(|listen| is_at(listen, at) && listen.address.is_some() == own);
            if let Some(first) = there.next() {
                found.push((number, first.default || there.any(|listen| listen.default)));
            }
        }
        found
    };
    let here = Some(at_all(true)).filter(|own| !own.is_empty()).unwrap_or_else(|| at_all(false));
    let host = host.to_ascii_lowercase();
    let named = |fits: &dyn Fn(&str) -> bool| {
        here.iter().find(|(number, _)| sites[*number].names.iter().any(|(_, name)| fits(&name.to_ascii_lowercase())))
    };
    let below = |name: &str| name.strip_prefix('*').unwrap_or(name).to_owned();
    named(&|name| name.trim_start_matches('.') == host)
        .or_else(|| named(&|name| name.starts_with(['*', '.']) && host.ends_with(&below(name))))
        .or_else(|| here.iter().find(|(_, default)| *default))
        .or(here.first())
        .map(|(number, _)| *number)
        .or_else(|| sites.iter().position(|site| site.listens.is_empty()))
}
