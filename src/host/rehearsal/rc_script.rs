//! GoToSocial's rc.d script: its settings from the rc variables, and what it refuses before it starts anything.

use std::path::{Path, PathBuf};

use crate::gotosocial::SERVICE;
use crate::portacl::{Errno, Protocol};

use super::super::{Entry, HostError, Owner, User};
use super::machine::{Access, Machine, command_failed};
use super::{accounts, kernel, rc_conf};

/// The settings of the script.
pub(super) struct Service {
    /// The account that it runs as.
    pub(super) user: User,
    /// Its groups, its own one first.
    pub(super) groups: Vec<u32>,
    /// The program.
    pub(super) binary: PathBuf,
    /// Its configuration file.
    pub(super) config: PathBuf,
    /// Its log.
    pub(super) log: PathBuf,
    /// Seconds before daemon(8) restarts it.
    pub(super) restart_delay: u64,
    /// Additional environment.
    pub(super) environment: Vec<(String, String)>,
}

impl Service {
    /// The account in numbers.
    pub(super) fn owner(&self) -> Owner {
        Owner { uid: self.user.uid, gid: self.user.gid }
    }
}

/// A refusal by the script.
pub(super) fn refused(command: &str, why: impl std::fmt::Display) -> HostError {
    command_failed(command, 1, format!("{SERVICE}: {why}"))
}

fn variable(machine: &Machine, name: &str, default: &str) -> Result<String, HostError> {
    rc_conf::get_or(machine, SERVICE, &format!("gotosocial_{name}"), default)
}

/// Reads the settings and checks them.
pub(super) fn service(machine: &Machine, command: &str) -> Result<Service, HostError> {
    let get = |name: &str, default: &str| variable(machine, name, default);
    let runas = get("runas", SERVICE)?;
    let binary = PathBuf::from(get("binary", "/usr/local/libexec/gotosocial/current/gotosocial")?);
    let config = PathBuf::from(get("config", "/usr/local/etc/gotosocial/config.yaml")?);
    let log = PathBuf::from(get("logfile", "/var/log/gotosocial/gotosocial.log")?);
    let restart_delay = get("restart_delay", "5")?.parse().unwrap_or(5);
    let environment = get("env", "")?;
    let Some(user) = accounts::users(machine)?.into_iter().find(|user| user.name == runas) else {
        let why = format!("there is no account '{runas}'. Make it (pw useradd {runas}), or set gotosocial_runas.");
        return Err(refused(command, why));
    };
    let (program, file) = (binary.display(), config.display());
    let owner = Owner { uid: user.uid, gid: user.gid };
    let faults = [
        (
            !machine.is_executable(&binary),
            format!("the program {program} is not there or not executable. Install a release first."),
        ),
        (
            machine.files.entry(&machine.resolve(&config))?.is_none(),
            format!("the configuration file {file} is not there. Write it, or set gotosocial_config."),
        ),
        (
            !config.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"),
            format!("the configuration file {file} must end in .yaml"),
        ),
        (machine.may(owner, &config, Access::Read).is_err(), format!("{runas} cannot read {file}.")),
    ];
    if let Some((_, why)) = faults.into_iter().find(|(is_fault, _)| *is_fault) {
        return Err(refused(command, why));
    }
    let groups = accounts::groups_of(machine, &user)?;
    let environment = environment
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_string(), value.trim_matches(['\'', '"']).to_string()))
        .collect();
    Ok(Service { user, groups, binary, config, log, restart_delay, environment })
}

/// Checks folders and, if `gotosocial_direct` is on, that the ports may be bound.
pub(super) fn check_start(machine: &Machine, command: &str, service: &Service) -> Result<(), HostError> {
    let home = variable(machine, "home", "/var/db/gotosocial")?;
    let temporary = variable(machine, "tmpdir", &format!("{home}/tmp"))?;
    let cache = variable(machine, "wazero_cache", &format!("{home}/wazero"))?;
    let (user, owner) = (&service.user.name, service.owner());
    let may = |folder: &Path, access: Access| machine.may(owner, folder, access).is_ok();
    for folder in [&home, &temporary, &cache] {
        if !is_folder(machine, Path::new(folder))? {
            return Err(refused(command, format!("the folder {folder} is not there.")));
        }
        if ![Access::Write, Access::Execute].iter().all(|access| may(Path::new(folder), *access)) {
            return Err(refused(command, format!("{user} cannot write in {folder}.")));
        }
    }
    let folder = service.log.parent().unwrap_or(Path::new("/"));
    let shown = folder.display();
    if !is_folder(machine, folder)? {
        return Err(refused(command, format!("the log's folder {shown} is not there.")));
    }
    if may(folder, Access::Write) {
        let why = format!("{user} may write in the log's folder {shown}, where root opens the log.");
        return Err(refused(command, why));
    }
    if !rc_conf::is_yes(machine, SERVICE, "gotosocial_direct")? {
        return Ok(());
    }
    match kernel::sysctl(&machine.model, "security.mac.portacl.enabled").as_deref() {
        Some("1") => {}
        None => return Err(refused(command, "not started: the kernel module mac_portacl is not loaded.")),
        Some(_) => return Err(refused(command, "not started: mac_portacl is loaded but switched off.")),
    }
    let ports = variable(machine, "ports", "80 443")?;
    for port in ports.split_whitespace().filter_map(|port| port.parse::<u16>().ok()) {
        let why = match kernel::verdict(&machine.model, owner.uid, &service.groups, Protocol::Tcp, port).errno() {
            Some(Errno::Eperm) => format!("not started: no mac_portacl rule lets {user} use port {port}."),
            Some(Errno::Eacces) => format!("not started: port {port} is still reserved for root."),
            None => continue,
        };
        return Err(refused(command, why));
    }
    Ok(())
}

fn is_folder(machine: &Machine, path: &Path) -> Result<bool, HostError> {
    Ok(matches!(machine.files.entry(&machine.resolve(path))?, Some(Entry::Directory { .. })))
}
