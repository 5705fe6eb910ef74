//! GoToSocial under its rc.d script: what the program does when it starts, and how it dies.
//!
//! The program is never executed. As on the real system, a start that the script does not refuse succeeds even if the
//! program dies; then daemon(8) lives on and tries again and again, and the service "is not running".

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use crate::gotosocial::Series;
use crate::gotosocial::loading::{Failure, Settings};
use crate::gotosocial::readiness::RECOVERED;
use crate::portacl::{Errno, Protocol};
use crate::utc;

use super::super::{HostError, Listener, Owner};
use super::machine::{Access, Machine, command_failed};
use super::model::{Model, Program, Supervisor, Tls};
use super::rc_script::{self, Service};
use super::{gotosocial_config, gotosocial_database as database, kernel, postgres, rc_conf};

const NAME: &str = "gotosocial";
/// Time between two polls of a patient caller, seconds.
const POLL: u64 = 2;
/// So many bytes at the start of the program are looked at, for what it says of itself.
const PROGRAM_HEAD: usize = 4096;

/// Pid of the running program.
pub(super) fn pid(model: &Model) -> Option<u32> {
    model.gotosocial.as_ref()?.program.as_ref().map(|program| program.pid)
}

/// The sockets that it listens on: the wildcard is one socket for both families where there are two.
pub(super) fn listeners(model: &Model) -> Vec<Listener> {
    let Some(program) = model.gotosocial.as_ref().and_then(|supervisor| supervisor.program.as_ref()) else {
        return Vec::new();
    };
    let redirect = match program.tls {
        Tls::LetsEncrypt { port, .. } => Some(port),
        Tls::Off | Tls::Files { .. } => None,
    };
    let socket = |port| Listener {
        user: program.user.clone(),
        uid: Some(program.owner.uid),
        command: NAME.into(),
        pid: Some(program.pid),
        address: program.address,
        ipv4: program.address.is_none_or(|address| address.is_ipv4()),
        ipv6: program.address.map_or(model.ipv6, |address| address.is_ipv6()),
        port,
    };
    [program.port].into_iter().chain(redirect).map(socket).collect()
}

/// `service gotosocial start`.
pub(super) fn start(machine: &mut Machine, command: &str) -> Result<(), HostError> {
    let refused = |why: String| command_failed(command, 1, format!("{NAME}: {why}"));
    // Nobody is left who would start it again: once the program is dead, too, nothing runs.
    if machine.model.gotosocial.as_ref().is_some_and(|supervisor| supervisor.killed && supervisor.program.is_none()) {
        machine.model.gotosocial = None;
    }
    match machine.model.gotosocial.as_ref().map(|supervisor| (supervisor.pid, &supervisor.program)) {
        Some((_, Some(program))) => {
            return Err(refused(format!("not started: it already runs as pid {}.", program.pid)));
        }
        Some((pid, None)) => {
            let why =
                format!("not started: its supervisor already runs as pid {pid} and will start it again by itself.");
            return Err(refused(why));
        }
        None => {}
    }
    let service = rc_script::service(machine, &refused)?;
    rc_script::check_folders(machine, &service, &refused)?;
    if rc_conf::is_yes(machine, NAME, "gotosocial_direct")? {
        rc_script::check_direct(machine, &service, &refused)?;
    }
    let rundir = rc_conf::get_or(machine, NAME, "gotosocial_rundir", "/var/run/gotosocial")?;
    machine.files.make_directory(Path::new(&rundir), 0o755, Owner::ROOT).map_err(|error| {
        refused(format!("not started: the folder {rundir} for the pid files cannot be made: {error}"))
    })?;
    if machine.files.entry(&service.log)?.is_none() {
        machine.write_as(Owner { uid: 0, gid: service.user.gid }, &service.log, b"", 0o640)?;
    }
    let supervisor = machine.model.take_pid();
    machine.model.gotosocial = Some(Supervisor { pid: supervisor, restart_at: 0, killed: false, program: None });
    run(machine, &service)
}

/// Stops program and supervisor. Nothing running is fine.
pub(super) fn stop(machine: &mut Machine) -> Result<(), HostError> {
    let Some(program) = machine.model.gotosocial.take().and_then(|supervisor| supervisor.program) else {
        return Ok(());
    };
    // A TERM before it is ready ends it at once, its database left open.
    if machine.model.clock >= program.ready_at {
        database::close(machine, &program.database)?;
        log(machine, &program.log, "server.init.func2.1", "INFO", "done! exiting...")?;
    }
    Ok(())
}

/// What happens by itself when time has passed: a program becomes ready, or daemon(8) starts one again that died.
pub(super) fn tick(machine: &mut Machine) -> Result<(), HostError> {
    let clock = machine.model.clock;
    if let Some(migrating) = machine.model.migrating.take_if(|migrating| migrating.ends_at <= clock) {
        database::finish_migration(machine, &migrating.database)?;
    }
    if let Some(program) = machine.model.gotosocial.as_mut().and_then(|supervisor| supervisor.program.as_mut())
        && !program.announced
        && program.ready_at <= clock
    {
        program.announced = true;
        let program = program.clone();
        return announce(machine, &program);
    }
    let due =
        machine.model.gotosocial.as_ref().is_some_and(|s| s.program.is_none() && !s.killed && s.restart_at <= clock);
    if !due {
        return Ok(());
    }
    match rc_script::service(machine, &|why| command_failed("daemon", 1, why)) {
        Ok(service) => run(machine, &service),
        // Without account, program or configuration daemon(8) goes on failing.
        Err(_) => Ok(()),
    }
}

/// One run of the program under its supervisor, up to its being ready or dead.
fn run(machine: &mut Machine, service: &Service) -> Result<(), HostError> {
    let outcome = launch(machine, service)?;
    let mut program = None;
    match outcome {
        Ok(started) => program = Some(started),
        Err(Failure::Error(text)) => {
            let time = utc::go_log(machine.model.clock);
            append(machine, &service.log, &format!("{time} error executing command: {text}\n"))?;
        }
        Err(Failure::Panic(text)) => {
            log(machine, &service.log, "server.init.func2", "PANIC", &text)?;
            append(machine, &service.log, &format!("panic: {text}\n\ngoroutine 1 [running]:\n"))?;
        }
        Err(Failure::Killed) => {}
    }
    if program.as_ref().is_some_and(|program| dies(&machine.model, &program.version)) && program.take().is_some() {
        append(machine, &service.log, "panic: runtime error: died after its start\n\ngoroutine 1 [running]:\n")?;
    }
    let restart_at = machine.model.clock + service.restart_delay;
    if let Some(supervisor) = &mut machine.model.gotosocial {
        supervisor.restart_at = restart_at;
        supervisor.program = program;
    }
    Ok(())
}

/// Whether a release is one that starts and dies.
fn dies(model: &Model, version: &str) -> bool {
    model.faults.dies_after_start || model.faults.version_dies.as_deref() == Some(version)
}

/// `server start`, in the order of the real program as far as it can be seen from outside.
fn launch(machine: &mut Machine, service: &Service) -> Result<Result<Program, Failure>, HostError> {
    let Some(version) = version_of(machine, &service.binary)? else {
        return Ok(Err(Failure::Error("exec format error".into())));
    };
    let caller = gotosocial_config::Caller {
        who: service.owner(),
        file: Some(&service.config),
        environment: &service.environment,
        flags: &[],
    };
    let started = gotosocial_config::load(machine, &version, &caller)
        .and_then(|settings| serve(machine, service, &version, &settings));
    if let Ok(program) = &started {
        // The maintenance page listens while the database is opened and migrated.
        log_listening(machine, program)?;
        if program.announced && !dies(&machine.model, &version) {
            announce(machine, program)?;
        }
    }
    Ok(started)
}

/// The log's end of a start: the real pages take over from the maintenance page.
fn announce(machine: &mut Machine, program: &Program) -> Result<(), HostError> {
    log_listening(machine, program)?;
    log(machine, &program.log, "admin.(*Processor).FillWorkerQueues", "INFO", RECOVERED)
}

fn log_listening(machine: &mut Machine, program: &Program) -> Result<(), HostError> {
    let shown = service_address(program);
    let text = format!("listening on {shown}:{}", program.port);
    log(machine, &program.log, "router.(*Router).Start.func1", "INFO", &text)?;
    if let Tls::LetsEncrypt { port, .. } = program.tls {
        let text = format!("letsencrypt listening on {shown}:{port}");
        log(machine, &program.log, "router.(*Router).letsEncryptTLS.func2", "INFO", &text)?;
    }
    Ok(())
}

/// The address as it stands in log lines.
fn service_address(program: &Program) -> String {
    program.address.map_or_else(|| "0.0.0.0".to_string(), |address| address.to_string())
}

fn serve(machine: &mut Machine, service: &Service, version: &str, settings: &Settings) -> Result<Program, Failure> {
    let owner = service.owner();
    check_settings(machine, owner, settings)?;
    let address = bind_address(machine, settings)?;
    let port = port(settings, "port")?;
    let tls = tls(settings)?;
    try_listen(machine, service, address, port).map_err(|error| Failure::Panic(format!("listen: {error}")))?;
    if let Tls::LetsEncrypt { port, .. } = tls {
        let tried = try_listen(machine, service, address, port);
        tried.map_err(|error| Failure::Panic(format!("letsencrypt: listen: {error}")))?;
    }
    let (path, mut content) = database::open(machine, settings, owner)?;
    let host = settings.text("host").to_string();
    if content.instance.is_none() {
        content.instance = Some(host.clone());
        database::save(machine, &path, &content, owner)?;
    }
    open_storage(machine, settings, owner)?;
    // What an unclean end left in the write-ahead log is taken in first.
    let unable = |_| Failure::Error("error creating dbservice: sqlite ping: sqlite3: disk I/O error".into());
    database::close(machine, &path).map_err(unable)?;
    let beside: &[&str] = if postgres::is_place(&path) { &[] } else { &["-wal", "-shm"] };
    for suffix in beside {
        let beside = database::beside(&path, suffix);
        let made = machine.write_as(owner, &beside, b"", 0o640);
        made.map_err(unable)?;
    }
    let account_domain = Some(settings.text("account-domain")).filter(|name| !name.is_empty()).unwrap_or(&host);
    // The start itself moves the clock by one second.
    let ready_at = match machine.model.faults.polls_until_ready {
        0 => machine.model.clock,
        polls => machine.model.clock + 1 + u64::from(polls) * POLL,
    };
    Ok(Program {
        pid: machine.model.take_pid(),
        started_at: Some(machine.model.clock),
        ready_at,
        announced: ready_at <= machine.model.clock,
        version: version.to_string(),
        owner,
        user: service.user.name.clone(),
        account_domain: account_domain.to_string(),
        host,
        address,
        port,
        tls,
        database: path,
        log: service.log.clone(),
        assets: PathBuf::from(settings.text("web-asset-base-dir")),
    })
}

/// What is refused before anything is opened.
fn check_settings(machine: &Machine, who: Owner, settings: &Settings) -> Result<(), Failure> {
    let invalid = |text: String| Err(Failure::Error(text));
    let (host, domain, protocol) = (settings.text("host"), settings.text("account-domain"), settings.text("protocol"));
    if host.is_empty() {
        return invalid("invalid config: host must be set".into());
    }
    if !matches!(protocol, "http" | "https") {
        return invalid(format!(
            "invalid config: protocol must be set to either http or https, provided value was {protocol}"
        ));
    }
    if !(domain.is_empty() || domain == host || host.ends_with(&format!(".{domain}"))) {
        return invalid(format!("invalid config: account-domain {domain} is not a valid subdomain of host {host}"));
    }
    let level = settings.text("log-level");
    if !["trace", "debug", "info", "warn", "error", "fatal", "panic"].contains(&level.to_ascii_lowercase().as_str()) {
        return invalid(format!("error parsing log level: unknown log level: \"{level}\""));
    }
    let (chain, key) = (settings.text("tls-certificate-chain"), settings.text("tls-certificate-key"));
    if chain.is_empty() != key.is_empty() {
        return invalid(
            "invalid config: tls-certificate-chain and tls-certificate-key need to both be set or unset".into(),
        );
    }
    if !chain.is_empty() && settings.flag("letsencrypt-enabled") {
        return invalid(
            "invalid config: letsencrypt-enabled cannot be true when tls-certificate-chain and/or tls-certificate-key \
             are also set"
                .into(),
        );
    }
    let unreadable = |path: &str| machine.may(who, Path::new(path), Access::Read).is_err();
    if !chain.is_empty() && (unreadable(chain) || unreadable(key)) {
        return invalid(format!(
            "customTLS: failed to load keypair from {chain} and {key}, ensure they are PEM-encoded and can be read by \
             this process"
        ));
    }
    let templates = Path::new(settings.text("web-template-base-dir"));
    if machine.may(who, &templates.join("index.tmpl"), Access::Read).is_err() {
        let shown = templates.display();
        return invalid(format!(
            "error creating maintenance router: LoadTemplates: cannot find index.tmpl in web template directory {shown}: \
             stat {}: no such file or directory",
            templates.join("index.tmpl").display()
        ));
    }
    for proxy in settings.list("trusted-proxies") {
        let (address, bits) = proxy.split_once('/').map_or((proxy.as_str(), None), |(a, bits)| (a, Some(bits)));
        match (address.parse::<IpAddr>(), bits) {
            (Err(_), _) => return invalid(format!("error creating maintenance router: invalid IP address: {proxy}")),
            (Ok(address), Some(bits)) => {
                let most = if address.is_ipv4() { 32 } else { 128 };
                if !bits.parse::<u8>().is_ok_and(|bits| bits <= most) {
                    return invalid(format!("error creating maintenance router: invalid CIDR address: {proxy}"));
                }
            }
            (Ok(_), None) => {}
        }
    }
    Ok(())
}

/// `bind-address`; `None` is the wildcard. 0.19 wants IPv6 in brackets, 0.20 without.
fn bind_address(machine: &Machine, settings: &Settings) -> Result<Option<IpAddr>, Failure> {
    let text = settings.text("bind-address");
    let fails = |why: &str| Failure::Panic(format!("listen: listen tcp: address {text}: {why}"));
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let plain = match (settings.series, inner) {
        (Series::V0_19, None) if text.contains(':') => return Err(fails("too many colons in address")),
        (Series::V0_20, Some(_)) => return Err(fails("missing port in address")),
        (_, inner) => inner.unwrap_or(text),
    };
    let address = match plain {
        "" => return Ok(None),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        other => other.parse::<IpAddr>().map_err(|_| fails("no such host"))?,
    };
    if address.is_unspecified() {
        return Ok(None);
    }
    let here = address.is_loopback() || machine.model.addresses.contains(&address);
    if !here || (address.is_ipv6() && !machine.model.ipv6) {
        return Err(Failure::Panic(format!("listen: listen tcp {address}: bind: can't assign requested address")));
    }
    Ok(Some(address))
}

fn port(settings: &Settings, key: &str) -> Result<u16, Failure> {
    let number = settings.number(key);
    u16::try_from(number).map_err(|_| Failure::Panic(format!("listen: listen tcp: address {number}: invalid port")))
}

fn tls(settings: &Settings) -> Result<Tls, Failure> {
    if settings.flag("letsencrypt-enabled") {
        let folder = PathBuf::from(settings.text("letsencrypt-cert-dir"));
        return Ok(Tls::LetsEncrypt { port: port(settings, "letsencrypt-port")?, folder });
    }
    match settings.text("tls-certificate-chain") {
        "" => Ok(Tls::Off),
        chain => Ok(Tls::Files { chain: PathBuf::from(chain) }),
    }
}

/// Binds a port as the service's account, or gives Go's words.
fn try_listen(machine: &Machine, service: &Service, address: Option<IpAddr>, port: u16) -> Result<(), String> {
    let model = &machine.model;
    let why = match kernel::verdict(model, service.user.uid, &service.groups, Protocol::Tcp, port).errno() {
        Some(Errno::Eperm) => "operation not permitted",
        Some(Errno::Eacces) => "permission denied",
        None => {
            let overlaps = |there: &Listener| match (there.address, address) {
                (Some(one), Some(other)) => one == other,
                (None, Some(other)) if other.is_ipv6() => there.ipv6,
                (None, Some(_)) => there.ipv4,
                (_, None) => true,
            };
            if !kernel::listeners(model).iter().any(|there| there.port == port && overlaps(there)) {
                return Ok(());
            }
            "address already in use"
        }
    };
    let shown = address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    Err(format!("listen tcp {shown}:{port}: bind: {why}"))
}

/// The storage folder is made if it is missing; that it cannot be written to is found out by the first upload only.
fn open_storage(machine: &mut Machine, settings: &Settings, who: Owner) -> Result<(), Failure> {
    let path = Path::new(settings.text("storage-local-base-path"));
    if settings.text("storage-backend") != "local" || matches!(machine.files.entry(path), Ok(Some(_))) {
        return Ok(());
    }
    let failed = || {
        let shown = path.display();
        Failure::Error(format!(
            "error opening storage backend: error opening disk storage: mkdir {shown}: permission denied"
        ))
    };
    let parent = path.parent().ok_or_else(failed)?;
    machine.may(who, parent, Access::Write).map_err(|_| failed())?;
    machine.make_directory_as(who, path, 0o750).map_err(|_| failed())
}

/// The version of the program at a path, links followed; `None` if that is no GoToSocial for this machine. The program's
/// own text tells it (a stand-in release is a script that names its version and what it is built for), else a file
/// `VERSION` beside it, else the name of its folder.
pub(super) fn version_of(machine: &Machine, program: &Path) -> Result<Option<String>, HostError> {
    let resolved = machine.resolve(program);
    if resolved.file_name().is_none_or(|name| name != NAME) {
        return Ok(None);
    }
    let Some(folder) = resolved.parent() else { return Ok(None) };
    let head = machine.files.read_from(&resolved, 0, PROGRAM_HEAD)?.unwrap_or_default();
    let head = String::from_utf8_lossy(&head);
    let built_for = head.split_once("(freebsd, ").and_then(|(_, rest)| rest.split([',', ')']).next());
    let arch = if machine.model.machine_arch == "aarch64" { "arm64" } else { machine.model.machine_arch.as_str() };
    if built_for.is_some_and(|built_for| built_for != arch) {
        return Ok(None);
    }
    let said = head.split_once("gotosocial version ").and_then(|(_, rest)| rest.split(['"', '\n']).next());
    let written = machine.text(folder.join("VERSION"))?;
    let name = folder.file_name().and_then(|name| name.to_str());
    let candidates = [said, Some(written.trim()), name];
    let versions = candidates.into_iter().flatten().map(|text| text.strip_prefix('v').unwrap_or(text));
    let mut versions = versions.filter(|text| text.starts_with(|first: char| first.is_ascii_digit()));
    Ok(versions.next().map(str::to_string))
}

/// A line in the form of GoToSocial's own log.
pub(super) fn log(
    machine: &mut Machine,
    file: &Path,
    function: &str,
    level: &str,
    text: &str,
) -> Result<(), HostError> {
    let time = utc::gotosocial_log(machine.model.clock);
    append(machine, file, &format!("timestamp=\"{time}\" func={function} level={level} msg=\"{text}\"\n"))
}

/// Adds to the log, whose file daemon(8) keeps open.
pub(super) fn append(machine: &mut Machine, file: &Path, text: &str) -> Result<(), HostError> {
    machine.files.append_file(file, text.as_bytes())
}
