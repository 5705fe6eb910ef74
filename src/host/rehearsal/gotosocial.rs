//! GoToSocial under its rc.d script: what the program does when it starts, and how it dies.
//!
//! The program is never executed. As on the real system, a start that the script does not refuse succeeds even if the
//! program dies; daemon(8) then keeps starting it again, and the service "is not running".

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use nix::errno::Errno;

use crate::gotosocial::SERVICE;
use crate::gotosocial::loading::{Failure, Settings, Sources};
use crate::gotosocial::oauth_server::OauthServer;
use crate::gotosocial::readiness::RECOVERED;
use crate::utc;

use super::super::{HostError, Listener, Owner, Whose};
use super::machine::{Access, Machine};
use super::model::{Model, Program, Supervisor, Tls};
use super::rc_script::{self, Service, refused};
use super::{gotosocial_database as database, kernel, postgres, rc_conf};

/// Time between two polls of a patient caller, seconds.
const POLL: u64 = 2;
/// How much of the program is searched for its version, in bytes.
const PROGRAM_HEAD: usize = 4096;

/// The sockets that it listens on: the wildcard is one socket for both families where there are two.
pub(super) fn listeners(model: &Model) -> Vec<Listener> {
    let Some(program) = model.program() else { return Vec::new() };
    let redirect = match program.tls {
        Tls::LetsEncrypt { port, .. } => Some(port),
        Tls::Off | Tls::Files { .. } => None,
    };
    let ports = [program.port].into_iter().chain(redirect);
    ports.map(|port| socket(model, (&program.user, program.owner.uid), program.pid, program.address, port)).collect()
}

fn socket(model: &Model, user: (&str, u32), pid: u32, address: Option<IpAddr>, port: u16) -> Listener {
    Listener {
        user: user.0.into(),
        uid: Some(user.1),
        command: SERVICE.into(),
        pid: Some(pid),
        address,
        ipv4: address.is_none_or(|address| address.is_ipv4()),
        ipv6: address.map_or(model.ipv6, |address| address.is_ipv6()),
        port,
        jail: None,
    }
}

/// `service gotosocial start`.
pub(super) fn start(machine: &mut Machine, command: &str) -> Result<(), HostError> {
    match &machine.model.gotosocial {
        Some(Supervisor { program: Some(program), .. }) => {
            return Err(refused(command, format!("not started: it already runs as pid {}.", program.pid)));
        }
        Some(Supervisor { pid, killed: false, .. }) => {
            let why =
                format!("not started: its supervisor already runs as pid {pid} and will start it again by itself.");
            return Err(refused(command, why));
        }
        // If the supervisor was killed and the program has died since, nothing starts it again.
        Some(_) | None => machine.model.gotosocial = None,
    }
    let service = rc_script::service(machine, command)?;
    rc_script::check_start(machine, command, &service)?;
    let rundir = rc_conf::get_or(machine, SERVICE, "gotosocial_rundir", "/var/run/gotosocial")?;
    machine.files.make_directory(Path::new(&rundir), 0o755, Owner::ROOT).map_err(|error| {
        refused(command, format!("not started: the folder {rundir} for the pid files cannot be made: {error}"))
    })?;
    if machine.files.entry(&service.log)?.is_none() {
        machine.write_as(Owner { uid: 0, gid: service.user.gid }, &service.log, b"", 0o640)?;
    }
    let pid = machine.model.take_pid();
    machine.model.gotosocial = Some(Supervisor { pid, restart_at: 0, killed: false, program: None });
    run(machine, &service)
}

/// Stops program and supervisor, if they run.
pub(super) fn stop(machine: &mut Machine) -> Result<(), HostError> {
    let Some(program) = machine.model.gotosocial.take().and_then(|supervisor| supervisor.program) else {
        return Ok(());
    };
    // Before it is ready, a TERM ends it at once and leaves its database open.
    if machine.model.clock >= program.ready_at {
        database::close(machine, &program.database)?;
        log(machine, &program.log, "server.init.func2.1", "INFO", "done! exiting...")?;
    }
    Ok(())
}

/// What time brings: a program becomes ready, or daemon(8) restarts one that died.
pub(super) fn tick(machine: &mut Machine) -> Result<(), HostError> {
    let clock = machine.model.clock;
    if let Some(migrating) = machine.model.migrating.take_if(|migrating| migrating.ends_at <= clock) {
        database::finish_migration(machine, &migrating.database)?;
    }
    let Some(supervisor) = &mut machine.model.gotosocial else { return Ok(()) };
    match &mut supervisor.program {
        Some(program) if !program.announced && program.ready_at <= clock => {
            program.announced = true;
            let program = program.clone();
            announce(machine, &program)
        }
        None if !supervisor.killed && supervisor.restart_at <= clock => match rc_script::service(machine, "daemon") {
            Ok(service) => run(machine, &service),
            // Without account, program or configuration daemon(8) keeps failing.
            Err(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

/// One run of the program under its supervisor, until it is ready or dead.
fn run(machine: &mut Machine, service: &Service) -> Result<(), HostError> {
    let started = launch(machine, service)?;
    if let Err(failure) = &started {
        if let Failure::Panic(text) = failure {
            log(machine, &service.log, "server.init.func2", "PANIC", text)?;
        }
        if let Some(words) = last_words(machine, failure) {
            append(machine, &service.log, &words)?;
        }
    }
    let restart_at = machine.model.clock + service.restart_delay;
    if let Some(supervisor) = &mut machine.model.gotosocial {
        (supervisor.restart_at, supervisor.program) = (restart_at, started.ok());
    }
    Ok(())
}

/// The output of a program that fails.
pub(super) fn last_words(machine: &Machine, failure: &Failure) -> Option<String> {
    match failure {
        Failure::Error(text) => Some(format!("{} error executing command: {text}\n", utc::go_log(machine.model.clock))),
        Failure::Panic(text) => Some(format!("panic: {text}\n\ngoroutine 1 [running]:\n")),
        Failure::Killed => None,
    }
}

/// The configuration in force for a command of the program, which runs as `who`.
pub(super) fn settings(
    machine: &Machine,
    version: &str,
    who: Owner,
    file: Option<&Path>,
    environment: &[(String, String)],
    flags: &[(String, String)],
) -> Result<Settings, Failure> {
    let read = |path: &Path| {
        machine.may(who, path, Access::Read).map_err(|errno| {
            let why = if errno == Errno::ENOENT { "no such file or directory" } else { "permission denied" };
            format!("open {}: {why}", path.display())
        })?;
        machine.text(path).map_err(|error| error.to_string())
    };
    Settings::load(version, Sources { file, environment, flags, read: &read })
}

/// `server start`, in the order in which the real program shows it to the outside.
fn launch(machine: &mut Machine, service: &Service) -> Result<Result<Program, Failure>, HostError> {
    let Some(version) = version_of(machine, &service.binary)? else {
        return Ok(Err(Failure::Error("exec format error".into())));
    };
    let started = settings(machine, &version, service.owner(), Some(&service.config), &service.environment, &[])
        .and_then(|settings| serve(machine, service, &version, &settings));
    let Ok(program) = &started else { return Ok(started) };
    // The maintenance page listens while the database is opened and migrated.
    log_listening(machine, program)?;
    let faults = &machine.model.faults;
    if faults.dies_after_start || faults.version_dies.as_ref() == Some(&version) {
        append(machine, &service.log, "panic: runtime error: died after its start\n\ngoroutine 1 [running]:\n")?;
        return Ok(Err(Failure::Killed));
    }
    if program.announced {
        announce(machine, program)?;
    }
    Ok(started)
}

/// The end of a start in the log: the real pages replace the maintenance page.
fn announce(machine: &Machine, program: &Program) -> Result<(), HostError> {
    log_listening(machine, program)?;
    log(machine, &program.log, "admin.(*Processor).FillWorkerQueues", "INFO", RECOVERED)
}

fn log_listening(machine: &Machine, program: &Program) -> Result<(), HostError> {
    let shown = program.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let text = format!("listening on {shown}:{}", program.port);
    log(machine, &program.log, "router.(*Router).Start.func1", "INFO", &text)?;
    if let Tls::LetsEncrypt { port, .. } = program.tls {
        let text = format!("letsencrypt listening on {shown}:{port}");
        log(machine, &program.log, "router.(*Router).letsEncryptTLS.func2", "INFO", &text)?;
    }
    Ok(())
}

fn serve(machine: &mut Machine, service: &Service, version: &str, settings: &Settings) -> Result<Program, Failure> {
    let owner = service.owner();
    if let Some(fault) = fault_of(machine, owner, settings) {
        return Err(Failure::Error(fault));
    }
    let address = bind_address(settings)?;
    let port = port(settings, "port")?;
    let tls = tls(settings)?;
    try_listen(machine, service, address, port).map_err(|error| Failure::Panic(format!("listen: {error}")))?;
    if let Tls::LetsEncrypt { port, .. } = tls {
        try_listen(machine, service, address, port)
            .map_err(|error| Failure::Panic(format!("letsencrypt: listen: {error}")))?;
    }
    let (path, mut content) = database::open(machine, settings, owner)?;
    let host = settings.text("host").to_string();
    if content.instance.is_none() {
        content.instance = Some(host.clone());
        database::save(machine, &path, &content, owner)?;
    }
    open_storage(machine, settings, owner)?;
    // The start moves what an unclean end left in the write-ahead log into the file.
    let unable = |_| Failure::Error("error creating dbservice: sqlite ping: sqlite3: disk I/O error".into());
    database::close(machine, &path).map_err(unable)?;
    if !postgres::is_place(&path) {
        for suffix in ["-wal", "-shm"] {
            machine.write_as(owner, &database::beside(&path, suffix), b"", 0o640).map_err(unable)?;
        }
    }
    let account_domain = Some(settings.text("account-domain")).filter(|name| !name.is_empty()).unwrap_or(&host);
    // The start itself advances the clock by one second.
    let ready_at = match machine.model.faults.polls_until_ready {
        0 => machine.model.clock,
        polls => machine.model.clock + 1 + u64::from(polls) * POLL,
    };
    Ok(Program {
        pid: machine.model.take_pid(),
        started_at: machine.model.clock,
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
        oauth: OauthServer::default(),
    })
}

/// Why the program ends before it opens anything.
fn fault_of(machine: &Machine, who: Owner, settings: &Settings) -> Option<String> {
    let [host, domain, protocol, level] =
        ["host", "account-domain", "protocol", "log-level"].map(|key| settings.text(key));
    let levels = ["trace", "debug", "info", "warn", "error", "fatal", "panic"];
    let [chain, key] = ["tls-certificate-chain", "tls-certificate-key"].map(|key| settings.text(key));
    let unreadable = |path: &Path| machine.may(who, path, Access::Read).is_err();
    let templates = Path::new(settings.text("web-template-base-dir"));
    let index = templates.join("index.tmpl");
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    let proxies = settings.list("trusted-proxies");
    let proxy = proxies.iter().find(|proxy| !is_address(proxy) && proxy.parse::<IpNet>().is_err());
    let kind = |proxy: &str| if proxy.split_once('/').is_some_and(|(ip, _)| is_address(ip)) { "CIDR" } else { "IP" };
    let faults = [
        (host.is_empty(), "invalid config: host must be set".into()),
        (
            !matches!(protocol, "http" | "https"),
            format!("invalid config: protocol must be set to either http or https, provided value was {protocol}"),
        ),
        (
            !(domain.is_empty() || domain == host || host.ends_with(&format!(".{domain}"))),
            format!("invalid config: account-domain {domain} is not a valid subdomain of host {host}"),
        ),
        (
            !levels.iter().any(|known| level.eq_ignore_ascii_case(known)),
            format!("error parsing log level: unknown log level: \"{level}\""),
        ),
        (
            chain.is_empty() != key.is_empty(),
            "invalid config: tls-certificate-chain and tls-certificate-key need to both be set or unset".into(),
        ),
        (
            !chain.is_empty() && settings.flag("letsencrypt-enabled"),
            "invalid config: letsencrypt-enabled cannot be true when tls-certificate-chain and/or tls-certificate-key \
             are also set"
                .into(),
        ),
        (
            !chain.is_empty() && [chain, key].iter().any(|path| unreadable(Path::new(path))),
            format!(
                "customTLS: failed to load keypair from {chain} and {key}, ensure they are PEM-encoded and can be read \
                 by this process"
            ),
        ),
        (
            unreadable(&index),
            format!(
                "error creating maintenance router: LoadTemplates: cannot find index.tmpl in web template directory {}: \
                 stat {}: no such file or directory",
                templates.display(),
                index.display()
            ),
        ),
        (
            proxy.is_some(),
            proxy.map_or_else(String::new, |proxy| {
                format!("error creating maintenance router: invalid {} address: {proxy}", kind(proxy))
            }),
        ),
    ];
    faults.into_iter().find_map(|(is_fault, text)| is_fault.then_some(text))
}

/// `bind-address`; `None` is the wildcard. 0.19 expects IPv6 in brackets, 0.20 without.
fn bind_address(settings: &Settings) -> Result<Option<IpAddr>, Failure> {
    let text = settings.text("bind-address");
    let fails = |why: &str| Failure::Panic(format!("listen: listen tcp: address {text}: {why}"));
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let plain = match (settings.series.adds_brackets(), inner) {
        (false, None) if text.contains(':') => return Err(fails("too many colons in address")),
        (true, Some(_)) => return Err(fails("missing port in address")),
        (_, inner) => inner.unwrap_or(text),
    };
    let address = match plain {
        "" => return Ok(None),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        other => other.parse::<IpAddr>().map_err(|_| fails("no such host"))?,
    };
    Ok((!address.is_unspecified()).then_some(address))
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
    Ok(match settings.text("tls-certificate-chain") {
        "" => Tls::Off,
        chain => Tls::Files { chain: PathBuf::from(chain) },
    })
}

/// Binds a port as the service's account; the error is in Go's words.
fn try_listen(machine: &Machine, service: &Service, address: Option<IpAddr>, port: u16) -> Result<(), String> {
    let Service { user, groups, .. } = service;
    let wanted = socket(&machine.model, (&user.name, user.uid), 0, address, port);
    kernel::listen(&machine.model, user.uid, groups, &wanted, None).map_err(|errno| {
        let shown = address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        format!("listen tcp {shown}:{port}: bind: {}", kernel::words(errno).to_lowercase())
    })
}

/// Creates the storage folder if it is missing. Only the first upload finds out that an existing one is not writable.
fn open_storage(machine: &mut Machine, settings: &Settings, who: Owner) -> Result<(), Failure> {
    let path = Path::new(settings.text("storage-local-base-path"));
    if settings.text("storage-backend") != "local"
        || matches!(machine.files.entry(path), Ok(Some(_)))
        || machine.make_directory_as(who, path, 0o750)
    {
        return Ok(());
    }
    Err(Failure::Error(format!(
        "error opening storage backend: error opening disk storage: mkdir {}: permission denied",
        path.display()
    )))
}

/// The version of the program at a path, links followed; `None` if it is no GoToSocial for this machine. The text of a
/// stand-in release names it, and the architecture; otherwise a file `VERSION` next to the program or the folder's name
/// does.
pub(super) fn version_of(machine: &Machine, program: &Path) -> Result<Option<String>, HostError> {
    let resolved = machine.resolve(program);
    let Some(folder) = resolved.parent().filter(|_| resolved.ends_with(SERVICE)) else { return Ok(None) };
    let head = machine.files.read_from(&resolved, Whose::Folder, 0, PROGRAM_HEAD)?.unwrap_or_default();
    let head = String::from_utf8_lossy(&head);
    let after = |mark: &str, end: [char; 2]| head.split_once(mark).and_then(|(_, rest)| rest.split(end).next());
    let arch = if machine.model.machine_arch == "aarch64" { "arm64" } else { machine.model.machine_arch.as_str() };
    if after("(freebsd, ", [',', ')']).is_some_and(|built_for| built_for != arch) {
        return Ok(None);
    }
    let written = machine.text(folder.join("VERSION"))?;
    let name = folder.file_name().and_then(|name| name.to_str());
    let candidates = [after("gotosocial version ", ['"', '\n']), Some(written.trim()), name];
    let mut versions = candidates.into_iter().flatten().map(|text| text.strip_prefix('v').unwrap_or(text));
    Ok(versions.find(|text| text.starts_with(|first: char| first.is_ascii_digit())).map(str::to_string))
}

/// Writes a line in the form of GoToSocial's own log.
pub(super) fn log(machine: &Machine, file: &Path, func: &str, level: &str, text: &str) -> Result<(), HostError> {
    let time = utc::gotosocial_log(machine.model.clock);
    append(machine, file, &format!("timestamp=\"{time}\" func={func} level={level} msg=\"{text}\"\n"))
}

/// Appends to the log, which daemon(8) keeps open.
pub(super) fn append(machine: &Machine, file: &Path, text: &str) -> Result<(), HostError> {
    machine.files.append_file(file, text.as_bytes())
}
