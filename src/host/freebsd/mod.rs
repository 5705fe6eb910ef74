//! The real host: FreeBSD itself.
//!
//! `docs/freebsd-host.md` lists the command or system call behind each function.

mod accounts;
mod command;
mod file_users;
mod lasting;
mod names;
mod packages;
mod port_watch;
mod probe;
mod processes;
mod rc;
mod services;
mod sockets;
#[cfg(test)]
mod stand_in;
mod sysctls;
mod unpacking;
mod web;

use std::any::Any;
use std::collections::BTreeSet;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::child::Ids;
use crate::front::Front;
use crate::portacl::Protocol;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::unistd::geteuid;

pub use names::RESOLVE;
pub use probe::{BIND, EXAMINE};
pub use unpacking::UNPACK;
pub use web::WEB;

use super::files::{Owners, Root};
use super::{
    Activity, Ask, BindOutcome, BindProbe, Build, CopiedFile, DatabaseExamination, DatabaseState, Entry, FileUser,
    Group, Host, HostError, Invocation, Jail, Listeners, Meanwhile, Observe, Output, Owner, Packages, PortWatch,
    Processes, ServiceAction, ServiceState, Supervision, System, Tell, User, Visit, WatchedPort, WebAnswer, WebFailure,
    WebRequest, Whose, lock,
};
use command::{Commands, Finished};
use lasting::Lasting;
use services::Services;
use sockets::Sockstat;

/// `-m` looks a module up by its own name, so that one compiled into the kernel counts; `-q` answers by exit status.
const KLDSTAT: &str = "/sbin/kldstat";
/// `-n`: a module that is already loaded is not an error.
const KLDLOAD: &str = "/sbin/kldload";
const KLDUNLOAD: &str = "/sbin/kldunload";

/// A module that is in the kernel if the kernel knows this variable: without a process to ask.
const MODULE_BY_SYSCTL: (&str, &str) = ("mac_portacl", "security.mac.portacl.enabled");

/// The user of children that take apart bytes from outside, as it is that of pkg(8).
const NOBODY: &str = "nobody";

/// The FreeBSD system that this program runs on.
#[derive(Debug)]
pub struct FreeBsd {
    files: Root,
    commands: Commands,
    rc: rc::Variables,
    sockstat: Sockstat,
    /// The child that asks this host's own web servers, and the one that asks the resolver.
    web: Lasting,
    resolver: Lasting,
}

impl FreeBsd {
    /// This system.
    ///
    /// # Errors
    /// [`HostError::NotFreeBsd`] if it is another one.
    pub fn new() -> Result<Self, HostError> {
        if std::env::consts::OS == "freebsd" { Ok(Self::below("/")) } else { Err(HostError::NotFreeBsd) }
    }

    /// The files and programs below a folder, instead of those of this system, and this system for everything else: for
    /// tests that drive real programs on any system. Not in a build without debug assertions.
    #[cfg(debug_assertions)]
    pub fn rooted(folder: &Path) -> Self {
        Self::below(folder)
    }

    fn below(root: impl AsRef<Path>) -> Self {
        let (files, commands) = (Root::new(root.as_ref(), Owners::OnDisk), Commands::new(root.as_ref()));
        Self {
            files,
            commands,
            rc: rc::Variables::default(),
            sockstat: Sockstat::default(),
            web: Lasting::default(),
            resolver: Lasting::default(),
        }
    }

    fn services<'a>(&'a self, processes: &'a Processes) -> Services<'a> {
        Services { commands: &self.commands, rc: &self.rc, processes }
    }

    /// The supplementary groups of the user that is to run a program; none for a uid without an account.
    fn groups_of_owner(&self, invocation: &Invocation) -> Result<Vec<u32>, HostError> {
        let user = accounts::user_by_id(invocation.owner.uid)?;
        user.map_or_else(|| Ok(Vec::new()), |user| accounts::groups_of(&user.name))
    }
}

impl Observe for FreeBsd {
    fn local_path(&self, path: &Path) -> PathBuf {
        self.files.local_path(path)
    }

    fn system(&self) -> Result<System, HostError> {
        let jail = match (sysctls::number("security.jail.jailed")?, sysctls::number("security.jail.vnet")?) {
            (0_u32, _) => Jail::No,
            (_, 0_u32) => Jail::Shared,
            _ => Jail::Vnet,
        };
        Ok(System {
            release: sysctls::required("kern.osrelease")?,
            osreldate: sysctls::number("kern.osreldate")?,
            sse4_1: has_sse4_1(),
            machine_arch: sysctls::required("hw.machine_arch")?,
            euid: geteuid().as_raw(),
            securelevel: sysctls::number("kern.securelevel")?,
            jail,
            memory: sysctls::number("hw.physmem")?,
        })
    }

    fn entry(&self, path: &Path) -> Result<Option<Entry>, HostError> {
        self.files.entry(path)
    }

    fn read_from(&self, path: &Path, whose: Whose, offset: u64, limit: usize) -> Result<Option<Vec<u8>>, HostError> {
        self.files.read_from(path, whose, offset, limit)
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, HostError> {
        self.files.list(path)
    }

    fn tree(&self, top: &Path, visit: Visit<'_>) -> Result<(), HostError> {
        self.files.tree(top, visit)
    }

    fn user(&self, name: &str) -> Result<Option<User>, HostError> {
        accounts::user(name)
    }

    fn user_by_id(&self, uid: u32) -> Result<Option<User>, HostError> {
        accounts::user_by_id(uid)
    }

    fn group(&self, name: &str) -> Result<Option<Group>, HostError> {
        accounts::group(name)
    }

    fn group_by_id(&self, gid: u32) -> Result<Option<Group>, HostError> {
        accounts::group_by_id(gid)
    }

    fn groups_of(&self, user: &str) -> Result<Vec<u32>, HostError> {
        accounts::groups_of(user)
    }

    fn stranger(&self) -> Result<Option<Ids>, HostError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let user = accounts::user(NOBODY)?.ok_or_else(|| HostError::Unreadable {
            what: "the user database".to_owned(),
            text: format!(
                "there is no user {NOBODY}, whom every FreeBSD has; make it again: pwd_mkdb -p /etc/master.passwd"
            ),
        })?;
        Ok(Some(Ids { uid: user.uid, gid: user.gid, groups: Vec::new() }))
    }

    fn module_loaded(&self, name: &str) -> Result<bool, HostError> {
        if name == MODULE_BY_SYSCTL.0 {
            return Ok(sysctls::value(MODULE_BY_SYSCTL.1)?.is_some());
        }
        let finished = self.commands.run(KLDSTAT, &["-q", "-m", name])?;
        match finished.code() {
            Some(0) => Ok(true),
            Some(1) if finished.is_silent() => Ok(false),
            _ => Err(finished.failure()),
        }
    }

    fn sysctl(&self, name: &str) -> Result<Option<String>, HostError> {
        sysctls::value(name)
    }

    fn rc_variable(&self, name: &str) -> Result<Option<String>, HostError> {
        self.rc.get(&self.commands, name)
    }

    fn packages(&self) -> Result<Packages, HostError> {
        packages::installed(&self.commands)
    }

    fn processes(&self) -> Result<Processes, HostError> {
        processes::list(&self.commands)
    }

    fn activity(&self) -> Result<Activity, HostError> {
        self.sockstat.activity(&self.commands)
    }

    fn sockets(&self, protocol: Protocol) -> Result<Listeners, HostError> {
        self.sockstat.sockets(&self.commands, protocol)
    }

    fn service_of(&self, processes: &Processes, name: &str) -> Result<ServiceState, HostError> {
        self.services(processes).state(name)
    }

    fn supervision_of(&self, processes: &Processes, name: &str) -> Result<Supervision, HostError> {
        self.services(processes).supervision(name)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, HostError> {
        self.files.free_bytes(path)
    }

    fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, HostError> {
        names::resolve_as(self.stranger()?, name, &self.resolver)
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, HostError> {
        let interfaces = getifaddrs().map_err(|errno| HostError::Unreadable {
            what: "the list of network interfaces (getifaddrs(3))".to_owned(),
            text: errno.desc().to_owned(),
        })?;
        let address = |interface: InterfaceAddress| {
            let address = interface.address?;
            let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        };
        Ok(sorted(interfaces.filter_map(address).filter(|address| reaches_out(*address))))
    }

    fn has_ipv6(&self) -> Result<bool, HostError> {
        Ok(probe::has_ipv6())
    }

    fn now(&self) -> u64 {
        // A clock before 1970 is as wrong as one that says 1970.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn binds(&self, probes: &[BindProbe]) -> Result<Vec<BindOutcome>, HostError> {
        probe::binds(probes)
    }

    fn web(&self, request: &WebRequest) -> Result<WebAnswer, WebFailure> {
        let stranger = self.stranger().map_err(|error| WebFailure::Other(error.to_string()))?;
        web::get_as(stranger, request, &self.web)
    }
}

impl Host for FreeBsd {
    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> Result<(), HostError> {
        self.files.write_file(path, bytes, mode, owner)
    }

    fn append_file(&self, path: &Path, bytes: &[u8]) -> Result<(), HostError> {
        self.files.append_file(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), HostError> {
        self.files.rename(from, to)
    }

    fn make_directory(&self, path: &Path, mode: u32, owner: Owner) -> Result<(), HostError> {
        self.files.make_directory(path, mode, owner)
    }

    fn make_symlink(&self, path: &Path, target: &Path) -> Result<(), HostError> {
        self.files.make_symlink(path, target)
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.files.remove(path)
    }

    fn remove_tree_until(&self, path: &Path, stop: Ask<'_>) -> Result<(), HostError> {
        self.files.remove_tree(path, stop)
    }

    fn add_group(&self, group: &Group) -> Result<(), HostError> {
        accounts::add_group(&self.commands, group)
    }

    fn delete_group(&self, name: &str) -> Result<(), HostError> {
        accounts::delete_group(&self.commands, name)
    }

    fn add_user(&self, user: &User) -> Result<(), HostError> {
        accounts::add_user(&self.commands, user)
    }

    fn delete_user(&self, name: &str) -> Result<(), HostError> {
        accounts::delete_user(&self.commands, name)
    }

    fn load_module(&self, name: &str) -> Result<(), HostError> {
        self.commands.done(KLDLOAD, &["-n", name])
    }

    fn unload_module(&self, name: &str) -> Result<(), HostError> {
        self.commands.done(KLDUNLOAD, &[name])
    }

    fn set_sysctl(&self, name: &str, value: &str) -> Result<(), HostError> {
        sysctls::set(name, value)
    }

    fn set_rc_variable(&self, name: &str, value: Option<&str>) -> Result<(), HostError> {
        self.rc.forget();
        rc::set_variable(&self.commands, name, value)
    }

    fn install_package(&self, name: &str) -> Result<(), HostError> {
        packages::install(&self.commands, name)
    }

    fn delete_package(&self, name: &str) -> Result<(), HostError> {
        packages::delete(&self.commands, name)
    }

    fn front_test(&self, front: Front, config: &Path) -> Result<Output, HostError> {
        let config = config.to_string_lossy();
        // The configuration is a candidate, beside which what is live must not count.
        self.commands.run(front.program, &[front.test, &[config.as_ref()]].concat()).map(Finished::output)
    }

    fn watch_ports(&self, ports: &[WatchedPort]) -> Result<Box<dyn PortWatch>, HostError> {
        Ok(Box::new(port_watch::start(ports)?))
    }

    fn service_action(&self, name: &str, action: ServiceAction) -> Result<(), HostError> {
        let rundir = || {
            let (variable, usual) = services::RUNDIR;
            let set = self.rc.get(&self.commands, variable)?.filter(|set| !set.is_empty());
            Ok::<_, HostError>(PathBuf::from(set.unwrap_or_else(|| usual.to_owned())))
        };
        match action {
            ServiceAction::ReloadNow => services::signal(&self.services(&self.processes()?), name),
            ServiceAction::StartHeld => services::start_held(&self.commands, &self.files, name, &rundir()?),
            ServiceAction::Release => services::release(&self.files, &rundir()?),
            _ => services::act(&self.commands, name, action),
        }
    }

    fn during(&self, name: &str, action: ServiceAction, meanwhile: Meanwhile<'_>) -> Result<(), HostError> {
        let commands = &self.commands;
        std::thread::scope(|scope| {
            let command = || format!("service {name} {}", action.verb());
            let thread = std::thread::Builder::new().spawn_scoped(scope, move || services::act(commands, name, action));
            let acts = thread.map_err(|source| HostError::Start { command: command(), source })?;
            meanwhile(&|| acts.is_finished());
            acts.join().unwrap_or_else(|_| {
                let source = std::io::Error::other("its thread has ended in the midst");
                Err(HostError::Start { command: command(), source })
            })
        })
    }

    fn run_as(&self, invocation: &Invocation, stop: Ask<'_>) -> Result<Output, HostError> {
        self.commands.run_as(invocation, self.groups_of_owner(invocation)?, stop)
    }

    fn run_watched(&self, invocation: &Invocation, tell: Tell<'_>) -> Result<Output, HostError> {
        self.commands.run_watched(invocation, self.groups_of_owner(invocation)?, tell)
    }

    fn file_users(&self, path: &Path) -> Result<Vec<FileUser>, HostError> {
        file_users::of(&self.commands, path)
    }

    fn copy_file(
        &self,
        from: &Path,
        whose: Whose,
        to: &Path,
        mode: u32,
        owner: Owner,
        stop: Ask<'_>,
    ) -> Result<CopiedFile, HostError> {
        self.files.copy_file(from, whose, to, mode, owner, stop)
    }

    fn open_file(&self, path: &Path, whose: Whose) -> Result<Option<File>, HostError> {
        self.files.open_file(path, whose)
    }

    fn build_file(&self, path: &Path, mode: u32, owner: Owner, build: Build<'_>) -> Result<(), HostError> {
        self.files.build_file(path, mode, owner, build)
    }

    fn examine_database(&self, examination: &DatabaseExamination, stop: Ask<'_>) -> Result<DatabaseState, HostError> {
        probe::examine_as(examination, stop)
    }

    fn lock(&self, path: &Path, note: &str) -> Result<Box<dyn Any>, HostError> {
        Ok(Box::new(lock::take(&self.local_path(path), note)?))
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// The addresses in order, each once.
fn sorted(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    BTreeSet::from_iter(addresses).into_iter().collect()
}

/// Whether an address of an interface is reachable from beyond this host and its link.
fn reaches_out(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !is_link_local && !address.is_loopback() && !address.is_unspecified()
}

/// Read from the CPU itself: no sysctl reports it.
#[cfg(target_arch = "x86_64")]
fn has_sse4_1() -> bool {
    std::is_x86_feature_detected!("sse4.1")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_sse4_1() -> bool {
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::stand_in::StandIns;
    use super::*;

    #[test]
    fn only_freebsd_is_a_host() {
        match FreeBsd::new() {
            Ok(host) => assert!(host.system().unwrap().osreldate > 1_000_000),
            Err(error) => {
                assert!(matches!(error, HostError::NotFreeBsd));
                // What every FreeBSD has is missing here, and the error names it.
                let error = FreeBsd::below("/").system().unwrap_err().to_string();
                assert!(error.starts_with("sysctl "), "{error}");
            }
        }
    }

    #[test]
    fn addresses_that_only_this_host_or_its_cable_knows_are_left_out() {
        for inner in ["127.0.0.1", "::1", "fe80::1", "febf::1", "169.254.1.1", "0.0.0.0", "::"] {
            assert!(!reaches_out(inner.parse().unwrap()), "{inner}");
        }
        for outer in ["192.0.2.1", "10.0.2.15", "2001:db8::1", "fec0::1"] {
            assert!(reaches_out(outer.parse().unwrap()), "{outer}");
        }
        let host = FreeBsd::below("/");
        assert!(host.addresses().unwrap().into_iter().all(reaches_out));
    }

    #[test]
    fn files_and_lock_are_those_of_the_root() {
        let folder = tempfile::TempDir::new().unwrap();
        let host = FreeBsd::below(folder.path().to_str().unwrap());
        let file = Path::new("/file");
        host.append_file(file, b"x").unwrap_or_else(|error| assert!(!geteuid().is_root(), "{error}"));
        let _held = host.lock(Path::new("/lock"), "first").unwrap();
        assert!(matches!(host.lock(Path::new("/lock"), "second"), Err(HostError::Locked { .. })));
        assert!(host.entry(Path::new("/lock")).unwrap().is_some());
    }

    #[test]
    fn kldstat_answers_by_its_exit_status() {
        let tools = StandIns::new();
        tools.add(KLDSTAT, "test \"$*\" = '-q -m mac_bsdextended'");
        assert!(tools.host().module_loaded("mac_bsdextended").unwrap());
        assert!(!tools.host().module_loaded("mac_other").unwrap());
        tools.add(KLDSTAT, "echo 'kldstat: out of memory' >&2; exit 1");
        assert!(tools.host().module_loaded("mac_bsdextended").is_err());
    }

    #[test]
    fn a_refusal_is_told() {
        // As seen on FreeBSD 13.2 at securelevel 1.
        let tools = StandIns::new();
        tools.says(KLDLOAD, "kldload: can't load mac_portacl: Operation not permitted", 1);
        tools.says(KLDUNLOAD, "kldunload: can't unload file: Operation not permitted", 1);
        let error = tools.host().load_module("mac_portacl").unwrap_err().to_string();
        assert!(error.contains("kldload -n mac_portacl") && error.contains("not permitted"), "{error}");
        assert!(tools.host().unload_module("mac_portacl").is_err());
    }

    #[test]
    fn a_configuration_is_tested_where_it_stands() {
        let tools = StandIns::new();
        for (front, arguments) in [
            (Front::NGINX, vec!["-t", "-q", "-c", "/etc/a b.conf"]),
            (Front::HTTPD, vec!["-t", "-D", "GTS_BOOTSTRAP_TEST", "-f", "/etc/a b.conf"]),
        ] {
            tools.keeps(front.program);
            assert_eq!(tools.host().front_test(front, Path::new("/etc/a b.conf")).unwrap().status, Some(0));
            assert_eq!(tools.arguments(), arguments);
        }
    }

    #[test]
    fn what_the_web_server_refuses_is_told() {
        let tools = StandIns::new();
        let config = Path::new("/usr/local/etc/nginx/nginx.conf");
        assert!(matches!(tools.host().front_test(Front::NGINX, config), Err(HostError::Start { .. })));
        // As nginx 1.22 words it.
        tools.add(
            Front::NGINX.program,
            "echo 'nginx: [emerg] unknown directive \"foo\" in /usr/local/etc/nginx/nginx.conf:1' >&2; exit 1",
        );
        let output = tools.host().front_test(Front::NGINX, config).unwrap();
        assert!(output.status == Some(1) && output.stderr.contains("unknown directive"), "{output:?}");
    }
}
