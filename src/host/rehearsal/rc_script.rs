//! What GoToSocial's rc.d script makes of the rc variables, and what it refuses before it starts anything.

use std::path::{Path, PathBuf};

use crate::portacl::{Errno, Protocol};

use super::super::{Entry, HostError, Owner, User};
use super::machine::{Access, Machine};
use super::{accounts, kernel, rc_conf};

const NAME: &str = "gotosocial";

/// What the rc.d script makes of the rc variables.
pub(super) struct Service {
    /// The account it runs as.
    pub(super) user: User,
    /// Its groups, its own one first.
    pub(super) groups: Vec<u32>,
    /// The program.
    pub(super) binary: PathBuf,
    /// Its configuration file.
    pub(super) config: PathBuf,
    /// Its log.
    pub(super) log: PathBuf,
    /// Seconds before daemon(8) starts it again.
    pub(super) restart_delay: u64,
    /// More environment.
    pub(super) environment: Vec<(String, String)>,
}

impl Service {
    /// The account in numbers.
    pub(super) fn owner(&self) -> Owner {
        Owner { uid: self.user.uid, gid: self.user.gid }
    }
}

/// The script's checks of its settings.
pub(super) fn service(machine: &Machine, refused: &dyn Fn(String) -> HostError) -> Result<Service, HostError> {
    let get = |name: &str, default: &str| rc_conf::get_or(machine, NAME, name, default);
    let runas = get("gotosocial_runas", NAME)?;
    let binary = PathBuf::from(get("gotosocial_binary", "/usr/local/libexec/gotosocial/current/gotosocial")?);
    let config = PathBuf::from(get("gotosocial_config", "/usr/local/etc/gotosocial/config.yaml")?);
    let log = PathBuf::from(get("gotosocial_logfile", "/var/log/gotosocial/gotosocial.log")?);
    let delay = get("gotosocial_restart_delay", "5")?;
    let environment = get("gotosocial_env", "")?;
    let Some(user) = accounts::users(machine)?.into_iter().find(|user| user.name == runas) else {
        return Err(refused(format!(
            "there is no account '{runas}'. Make it (pw useradd {runas}), or set gotosocial_runas."
        )));
    };
    if !machine.is_executable(&binary) {
        let shown = binary.display();
        return Err(refused(format!("the program {shown} is not there or not executable. Install a release first.")));
    }
    if machine.files.entry(&machine.resolve(&config))?.is_none() {
        let shown = config.display();
        return Err(refused(format!(
            "the configuration file {shown} is not there. Write it, or set gotosocial_config."
        )));
    }
    if !config.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
        return Err(refused(format!("the configuration file {} must end in .yaml", config.display())));
    }
    let owner = Owner { uid: user.uid, gid: user.gid };
    if machine.may(owner, &config, Access::Read).is_err() {
        return Err(refused(format!("{runas} cannot read {}.", config.display())));
    }
    let groups = [user.gid].into_iter().chain(accounts::supplementary_groups(machine, &user.name)?).collect();
    let environment = environment
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_string(), value.trim_matches(['\'', '"']).to_string()))
        .collect();
    Ok(Service { user, groups, binary, config, log, restart_delay: delay.parse().unwrap_or(5), environment })
}

/// The script's checks of its folders.
pub(super) fn check_folders(
    machine: &Machine,
    service: &Service,
    refused: &dyn Fn(String) -> HostError,
) -> Result<(), HostError> {
    let home = rc_conf::get_or(machine, NAME, "gotosocial_home", "/var/db/gotosocial")?;
    let temporary = rc_conf::get_or(machine, NAME, "gotosocial_tmpdir", &format!("{home}/tmp"))?;
    let cache = rc_conf::get_or(machine, NAME, "gotosocial_wazero_cache", &format!("{home}/wazero"))?;
    let (user, owner) = (&service.user.name, service.owner());
    for folder in [&home, &temporary, &cache] {
        if !is_folder(machine, Path::new(folder))? {
            return Err(refused(format!("the folder {folder} is not there.")));
        }
        let allowed = [Access::Write, Access::Execute]
            .iter()
            .all(|access| machine.may(owner, Path::new(folder), *access).is_ok());
        if !allowed {
            return Err(refused(format!("{user} cannot write in {folder}.")));
        }
    }
    let folder = service.log.parent().unwrap_or(Path::new("/"));
    let shown = folder.display();
    if !is_folder(machine, folder)? {
        return Err(refused(format!("the log's folder {shown} is not there.")));
    }
    if machine.may(owner, folder, Access::Write).is_ok() {
        return Err(refused(format!("{user} may write in the log's folder {shown}, where root opens the log.")));
    }
    Ok(())
}

fn is_folder(machine: &Machine, path: &Path) -> Result<bool, HostError> {
    Ok(matches!(machine.files.entry(&machine.resolve(path))?, Some(Entry::Directory { .. })))
}

/// The script's check, where `gotosocial_direct` is on, that the ports may be bound.
pub(super) fn check_direct(
    machine: &Machine,
    service: &Service,
    refused: &dyn Fn(String) -> HostError,
) -> Result<(), HostError> {
    let value = |name: &str| kernel::sysctl(&machine.model, name);
    match value("security.mac.portacl.enabled").as_deref() {
        Some("1") => {}
        None => return Err(refused("not started: the kernel module mac_portacl is not loaded.".into())),
        Some(_) => return Err(refused("not started: mac_portacl is loaded but switched off.".into())),
    }
    let ports = rc_conf::get_or(machine, NAME, "gotosocial_ports", "80 443")?;
    for port in ports.split_whitespace().filter_map(|port| port.parse::<u16>().ok()) {
        let user = &service.user.name;
        match kernel::verdict(&machine.model, service.user.uid, &service.groups, Protocol::Tcp, port).errno() {
            Some(Errno::Eperm) => {
                return Err(refused(format!("not started: no mac_portacl rule lets {user} use port {port}.")));
            }
            Some(Errno::Eacces) => {
                return Err(refused(format!("not started: port {port} is still reserved for root.")));
            }
            None => {}
        }
    }
    Ok(())
}
