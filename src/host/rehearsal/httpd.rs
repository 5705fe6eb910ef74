//! Apache httpd 2.4 in front of GoToSocial: what its configuration says, its test, its start and its reload.
//!
//! Read is what decides who answers a request: `Listen`, virtual hosts with their names, certificates, `ProxyPass`,
//! `RewriteRule`, `Alias`, redirects, `DocumentRoot`, `Require all`, and the `Retry-After` of `Header`. Every other
//! directive must be one of a module that is loaded, and is then passed over, filters (`Require ip`, `<If>`) too: a
//! rehearsal's requests come from nowhere.
//!
//! As with the real one, `httpd -t` does not look into certificates, and a graceful restart with one that cannot be used
//! ends Apache.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::front::httpd_conf::TESTING;
use crate::portacl::{Errno, Protocol};

use super::super::{Entry, HostError, Listener, Output, ServedCertificate};
use super::certificate::{self, PairFault};
use super::httpd_directives::{self as directives, Place};
use super::httpd_rules;
use super::httpd_syntax::{self, Configuration, Directive};
use super::kernel;
use super::machine::{Machine, command_failed};
use super::model::Model;
use super::web_servers::{Httpd, ListenOn, VirtualHost};

/// The program itself.
pub(super) const PROGRAM: &str = "/usr/local/sbin/httpd";
/// The main file.
const MAIN: &str = "/usr/local/etc/apache24/httpd.conf";
/// The port's own `DocumentRoot`.
const DOCUMENTS: &str = "/usr/local/www/apache24/data";
/// The service, and the command of its sockets.
const SERVICE: &str = "apache24";
const COMMAND: &str = "httpd";

/// What was read, and what a start finds out.
struct Read {
    httpd: Httpd,
    /// Certificates and keys of the hosts with TLS, which are loaded only at a start.
    pairs: Vec<Option<(PathBuf, PathBuf)>>,
}

/// Reads the configuration as `httpd -t` does.
fn configuration(machine: &Machine, main: &Path, defined: &[&str]) -> Result<Read, String> {
    let configuration = httpd_syntax::read(machine, main, defined)?;
    if !configuration.modules.iter().any(|module| module.starts_with("mpm_")) {
        return Err("AH00534: httpd: Configuration error: No MPM loaded.".into());
    }
    let mut read = Read { httpd: Httpd::default(), pairs: Vec::new() };
    let all = &configuration.directives;
    check(machine, &configuration, all, Place::Main, "")?;
    for listen in all.iter().filter(|directive| directive.is("Listen")) {
        for socket in listen_on(listen).map_err(|what| listen.wrong(what))? {
            let same = |there: &ListenOn| {
                (there.address, there.ipv6, there.port) == (socket.address, socket.ipv6, socket.port)
            };
            // A family of its own beside a listener for both is what the system decides about at the bind.
            if read.httpd.sockets.iter().any(same)
                && (listen.first().parse::<u16>().is_ok() || socket.address.is_some())
            {
                return Err(listen.wrong("Cannot define multiple Listeners on the same IP:port"));
            }
            if !read.httpd.sockets.iter().any(same) {
                read.httpd.sockets.push(socket);
            }
        }
    }
    let (mut main_host, _) = host(machine, &configuration, None, all)?;
    main_host.root = main_host.root.or_else(|| Some(DOCUMENTS.into()));
    let grants = main_host.grants.clone();
    read.httpd.hosts.push(main_host);
    read.pairs.push(None);
    for section in all.iter().filter(|directive| directive.is("<VirtualHost")) {
        let (mut found, pair) = host(machine, &configuration, Some(section), &section.section)?;
        found.grants.splice(0..0, grants.iter().cloned());
        found.root = found.root.or_else(|| read.httpd.hosts[0].root.clone());
        read.httpd.hosts.push(found);
        read.pairs.push(pair);
    }
    Ok(read)
}

/// Judges every directive: whether a loaded module brings it, whether it may stand there, and some of the arguments.
fn check(
    machine: &Machine,
    configuration: &Configuration,
    all: &[Directive],
    place: Place,
    section: &str,
) -> Result<(), String> {
    for directive in all {
        let name = &directive.name;
        if !directives::is_known(name, |module| configuration.modules.contains(module)) {
            return Err(directive.wrong(&format!(
                "Invalid command '{name}', perhaps misspelled or defined by a module not included in the server \
                 configuration"
            )));
        }
        directives::check_place(name, place, section).map_err(|what| directive.wrong(&what))?;
        check_arguments(machine, configuration, directive).map_err(|what| directive.wrong(&what))?;
        if let Some(inner) = name.strip_prefix('<') {
            let within = if directive.is("<VirtualHost") { Place::Host } else { Place::Section };
            // What stands in a virtual host's section is still within the virtual host.
            let shown = if place == Place::Host { section } else { inner };
            check(machine, configuration, &directive.section, within, shown)?;
        }
    }
    Ok(())
}

fn check_arguments(machine: &Machine, configuration: &Configuration, directive: &Directive) -> Result<(), String> {
    let name = directive.name.to_ascii_lowercase();
    let (first, count) = (directive.first(), directive.arguments.len());
    let path = configuration.root.join(first);
    let there = || machine.files.entry(&machine.resolve(&path)).ok().flatten();
    match name.as_str() {
        "listen" if !matches!(count, 1 | 2) => Err("Listen requires 1 or 2 arguments.".into()),
        "servername" if count != 1 => Err("ServerName takes one argument, The hostname and port of the server".into()),
        "sslengine" if !["on", "off", "optional"].iter().any(|flag| first.eq_ignore_ascii_case(flag)) => {
            Err("Argument must be On or Off".into())
        }
        "rewriteengine" | "proxypreservehost" | "proxyrequests" | "sslhonorcipherorder" | "sslsessiontickets"
            if !["on", "off"].iter().any(|flag| first.eq_ignore_ascii_case(flag)) =>
        {
            Err(format!("{} must be On or Off", directive.name))
        }
        "sslcertificatefile" | "sslcertificatekeyfile" if !matches!(there(), Some(Entry::File { size: 1.., .. })) => {
            Err(format!("{}: file '{}' does not exist or is empty", directive.name, path.display()))
        }
        "documentroot" if !matches!(there(), Some(Entry::Directory { .. })) => {
            Err(format!("DocumentRoot '{}' is not a directory, or is not readable", path.display()))
        }
        "limitrequestbody" if first.parse::<u64>().is_err() => {
            Err("LimitRequestBody requires a non-negative integer.".into())
        }
        "errordocument" if !first.parse::<u16>().is_ok_and(|status| (100..600).contains(&status)) => {
            Err(format!("Unsupported HTTP response code {first}"))
        }
        "sslprotocol" => {
            let known = ["all", "tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3", "sslv3"];
            let plain = |word: &str| word.trim_start_matches(['+', '-']).to_ascii_lowercase();
            match directive.arguments.iter().find(|word| !known.contains(&plain(word).as_str())) {
                Some(word) => Err(format!("SSLProtocol: Illegal protocol '{}'", word.trim_start_matches(['+', '-']))),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// `Listen [ADDRESS:]PORT [PROTOCOL]`. Without an address it takes both families.
fn listen_on(directive: &Directive) -> Result<Vec<ListenOn>, &'static str> {
    let value = directive.first();
    let socket =
        |address: Option<IpAddr>, ipv6: bool, port: u16| ListenOn { address, ipv6, port, tls: false, default: false };
    let (address, port) = match value.rsplit_once(':') {
        Some((address, port)) => (Some(address), port),
        None => (None, value),
    };
    let Ok(number) = port.parse::<u32>() else { return Err("Port must be specified") };
    let port = u16::try_from(number).ok().filter(|port| *port > 0).ok_or("Invalid address or port")?;
    match address {
        None | Some("*") => Ok(vec![socket(None, true, port), socket(None, false, port)]),
        Some(text) => {
            let address: IpAddr = text.trim_matches(['[', ']']).parse().map_err(|_| "Invalid address or port")?;
            Ok(vec![socket(Some(address).filter(|a| !a.is_unspecified()), address.is_ipv6(), port)])
        }
    }
}

/// A certificate's file and its key's.
type Pair = (PathBuf, PathBuf);

/// What a virtual host (or the main server, without a section) does.
fn host(
    machine: &Machine,
    configuration: &Configuration,
    section: Option<&Directive>,
    all: &[Directive],
) -> Result<(VirtualHost, Option<Pair>), String> {
    let path = |directive: &Directive| configuration.root.join(directive.first());
    let last = |name: &str| all.iter().rfind(|directive| directive.is(name));
    let mut host = VirtualHost {
        addresses: section
            .map(|at| at.arguments.iter().filter_map(|value| address(value)).collect())
            .unwrap_or_default(),
        tls: last("SSLEngine").is_some_and(|engine| engine.first().eq_ignore_ascii_case("on")),
        root: last("DocumentRoot").map(path),
        ..VirtualHost::default()
    };
    for directive in all {
        if directive.is("ServerName") || directive.is("ServerAlias") {
            let bare = |name: &String| {
                let name = name.split_once("://").map_or(name.as_str(), |(_, name)| name);
                name.split(':').next().unwrap_or_default().to_string()
            };
            host.names.extend(directive.arguments.iter().map(bare));
        } else if directive.is("ErrorDocument") {
            let text = directive.arguments.get(1).filter(|text| text.contains(' '));
            host.error_texts.extend(directive.first().parse().ok().zip(text.cloned()));
        } else if directive.is("Header") {
            httpd_rules::check_header(directive)?;
            host.retry_after.extend(httpd_rules::retry_after(&directive.arguments));
        } else if directive.is("<Directory") {
            let said = directive.section.iter().rfind(|inner| inner.is("Require"));
            let words: Vec<String> =
                said.map(|at| at.arguments.iter().map(|w| w.to_ascii_lowercase()).collect()).unwrap_or_default();
            match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["all", "granted"] => host.grants.push((path(directive), true)),
                ["all", "denied"] => host.grants.push((path(directive), false)),
                _ => {}
            }
        }
    }
    host.rules = httpd_rules::rules(&machine.model, configuration, all)?;
    let pair = last("SSLCertificateFile").filter(|_| host.tls).map(|chain| {
        let key = last("SSLCertificateKeyFile").unwrap_or(chain);
        (path(chain), path(key))
    });
    Ok((host, pair))
}

/// An address of `<VirtualHost>`: `*:443`, `[::1]:80`, `_default_:443`.
fn address(value: &str) -> Option<(Option<IpAddr>, Option<u16>)> {
    let (address, port) = match value.rsplit_once(':') {
        Some((address, port)) if !port.contains(']') => (address, port.parse().ok()),
        _ => (value, None),
    };
    match address {
        "*" | "_default_" => Some((None, port)),
        // A name that has no address is ignored, with a line in the log.
        other => other.trim_matches(['[', ']']).parse().ok().map(|address| (Some(address), port)),
    }
}

/// Loads the certificates, as a start does after the test.
fn load(machine: &Machine, read: Read) -> Result<Httpd, String> {
    let Read { mut httpd, pairs } = read;
    for (host, pair) in httpd.hosts.iter_mut().zip(pairs).filter(|(host, _)| host.tls) {
        host.certificate = Some(certificate_of(machine, host, pair)?);
    }
    Ok(httpd)
}

fn certificate_of(machine: &Machine, host: &VirtualHost, pair: Option<Pair>) -> Result<ServedCertificate, String> {
    let name = host.names.first().map_or("", String::as_str);
    let at = format!("{name}:{}", host.addresses.first().and_then(|(_, port)| *port).unwrap_or(443));
    let Some((chain, key)) = pair else {
        return Err(format!("AH02572: Failed to configure at least one certificate and key for {at}"));
    };
    let (shown, key_shown) = (chain.display(), key.display());
    certificate::pair(machine, &chain, &key).map_err(|fault| match fault {
        PairFault::NoChain | PairFault::BadChain => {
            format!("AH02562: Failed to configure certificate {at}:0 (with chain), check {shown}")
        }
        PairFault::NoKey | PairFault::BadKey => {
            format!("AH02564: Failed to configure encrypted (?) private key {at}:0, check {key_shown}")
        }
        PairFault::Mismatch => {
            format!("AH02565: Certificate and private key {at}:0 from {shown} and {key_shown} do not match")
        }
    })
}

/// What bind(2) refuses of the sockets, but for those that Apache has already.
fn refusal(machine: &Machine, sockets: &[ListenOn]) -> Option<String> {
    let others: Vec<Listener> =
        kernel::listeners(&machine.model).into_iter().filter(|there| there.command != COMMAND).collect();
    sockets.iter().filter(|listen| !listen.ipv6 || machine.model.ipv6).find_map(|listen| {
        let any = if listen.ipv6 { "[::]".to_string() } else { "0.0.0.0".to_string() };
        let shown = match listen.address {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            Some(address) => address.to_string(),
            None => any,
        };
        let here = |address: IpAddr| address.is_loopback() || machine.model.addresses.contains(&address);
        let why = match kernel::verdict(&machine.model, 0, &[0], Protocol::Tcp, listen.port).errno {
            Some(Errno::Eperm) => "(1)Operation not permitted",
            Some(Errno::Eacces) => "(13)Permission denied",
            None if !listen.address.is_none_or(here) => "(49)Can't assign requested address",
            None if others.iter().any(|there| kernel::collide(there, &socket(listen, 0))) => {
                "(48)Address already in use"
            }
            None => return None,
        };
        Some(format!("{why}: AH00072: make_sock: could not bind to address {shown}:{}", listen.port))
    })
}

/// `httpd -t -D GTS_BOOTSTRAP_TEST -f PATH`.
pub(super) fn test(machine: &Machine, main: &Path) -> Output {
    let (status, stderr) = match configuration(machine, main, &[TESTING]) {
        Ok(_) => (0, "Syntax OK\n".to_string()),
        Err(error) => (1, format!("{error}\n")),
    };
    Output { status: Some(status), stdout: String::new(), stderr }
}

/// `service apache24 start`: the script tests the configuration and starts Apache whatever came of it.
pub(super) fn start(machine: &mut Machine, command: &str) -> Result<(), HostError> {
    let failed =
        |words: String| command_failed(command, 1, format!("{words}\n/etc/rc.d: WARNING: failed to start apache24"));
    if !has_configuration(machine) {
        return Ok(());
    }
    let read = configuration(machine, Path::new(MAIN), &[]).map_err(failed)?;
    if read.httpd.sockets.is_empty() {
        return Err(failed("no listening sockets available, shutting down\nAH00015: Unable to open logs".into()));
    }
    if let Some(words) = refusal(machine, &read.httpd.sockets) {
        return Err(failed(format!(
            "{words}\nno listening sockets available, shutting down\nAH00015: Unable to open logs"
        )));
    }
    // What is wrong with a certificate stands in the error log; the terminal gets this alone.
    match load(machine, read) {
        Ok(httpd) => {
            machine.model.httpd = httpd;
            Ok(())
        }
        Err(logged) => {
            log(machine, &logged)?;
            Err(failed("AH00016: Configuration Failed".into()))
        }
    }
}

/// `service apache24 reload`, a graceful restart: refused where the test fails. What fails after it ends Apache, and the
/// script does not notice.
pub(super) fn reload(machine: &mut Machine, command: &str) -> Result<(), HostError> {
    if !has_configuration(machine) {
        return Ok(());
    }
    let read = configuration(machine, Path::new(MAIN), &[]).map_err(|words| command_failed(command, 1, words))?;
    let refused = refusal(machine, &read.httpd.sockets).or_else(|| {
        let none = read.httpd.sockets.is_empty();
        none.then(|| "no listening sockets available, shutting down".to_string())
    });
    match refused.map_or_else(|| load(machine, read), Err) {
        Ok(httpd) => machine.model.httpd = httpd,
        Err(logged) => {
            log(machine, &format!("{logged}\nAH00020: Configuration Failed, exiting"))?;
            machine.model.services.remove(SERVICE);
        }
    }
    Ok(())
}

/// Adds to the main error log.
fn log(machine: &Machine, text: &str) -> Result<(), HostError> {
    machine.files.append_file(Path::new("/var/log/httpd-error.log"), format!("{text}\n").as_bytes())
}

fn has_configuration(machine: &Machine) -> bool {
    matches!(machine.files.entry(&machine.resolve(Path::new(MAIN))), Ok(Some(_)))
}

/// The sockets that it listens on. The first process opens them, as root.
pub(super) fn listeners(model: &Model) -> Vec<Listener> {
    let Some(pid) = model.services.get(SERVICE) else { return Vec::new() };
    model.httpd.sockets.iter().filter(|listen| !listen.ipv6 || model.ipv6).map(|listen| socket(listen, *pid)).collect()
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

/// The address that a `ProxyPass` goes to, and the path there.
pub(super) fn target(model: &Model, url: &str) -> Option<(SocketAddr, String)> {
    let rest = url.strip_prefix("http://")?;
    let (place, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (name, port) = match place.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()?),
        _ => (place, 80),
    };
    let literal = name.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let address = literal.or_else(|| model.addresses_of(name).first().copied())?;
    Some((SocketAddr::new(address, port), path.to_string()))
}
