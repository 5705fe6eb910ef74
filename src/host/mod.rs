//! The boundary to the system: everything above it is safe, portable code.
//!
//! [`Observe`] only reads; parts that plan get nothing else. [`Host`] changes things and is used only by the executor.
//! There are two hosts: `freebsd` is the real one, `rehearsal` is a folder that is a FreeBSD root plus a model of the
//! parts of kernel and base system that the program touches. No other module names a FreeBSD command or asks which
//! system it was compiled for.
//!
//! All paths given to a host are absolute paths of the host (`/etc/rc.conf`), also on a rehearsal.

pub mod database;
pub mod error;
pub mod facts;
pub mod files;
pub mod freebsd;
mod lock;
pub mod look;
pub mod network;
pub mod operations;
pub mod processes;
pub mod rehearsal;

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::certificate::acme::ACME;
use crate::child::{self, Ids, Role};
use crate::front::Front;
use crate::portacl::Protocol;
use crate::release;

pub use crate::gotosocial::DatabaseState;
pub use database::DatabaseExamination;
pub use error::HostError;
pub use facts::{Entry, FileUser, Group, Jail, Listener, Listeners, Owner, ServiceState, Supervision, System, User};
pub use files::{CopiedFile, Onward, Visit, Whose, digest_of, is_temporary};
pub use look::{Look, Memory};
pub use network::{
    BindOutcome, BindProbe, Carried, Family, PortWatch, Refusals, Refused, ServedCertificate, WatchedPort, WebAnswer,
    WebFailure, WebRequest,
};
pub use operations::{Invocation, Output, ServiceAction};
pub use processes::{Activity, Process, Processes, hides_others};

/// What a child of this program can do.
pub const CHILD_ROLES: &[Role] = &[
    child::EXEC,
    release::FETCH,
    ACME,
    freebsd::WEB,
    freebsd::RESOLVE,
    freebsd::UNPACK,
    freebsd::BIND,
    freebsd::EXAMINE,
];

/// The largest file that [`Observe::read`] reads into memory, in bytes.
const READ_LIMIT: usize = 64 * 1024 * 1024;

/// The versions of the packages that are installed, by name and by origin.
pub type Packages = BTreeMap<String, String>;

/// Everything that can be read from a host without changing it.
///
/// A host reads itself again at every call: nothing is cached, so that the executor sees the effect of its own changes. Only a
/// [`Look`] remembers, and whoever plans, judges or checks takes one.
pub trait Observe {
    /// What has been seen, if this is a look.
    fn memory(&self) -> Option<Rc<Memory>> {
        None
    }

    /// Release, CPU, memory, privileges, securelevel and jail of the host.
    ///
    /// # Errors
    /// A sysctl that every supported FreeBSD has is missing or unreadable.
    fn system(&self) -> Result<System, HostError>;

    /// The object at `path` (a symbolic link itself is described, not its target); `None` if nothing exists there.
    ///
    /// # Errors
    /// The path cannot be looked up (permission, a file where a folder should be, I/O).
    fn entry(&self, path: &Path) -> Result<Option<Entry>, HostError>;

    /// Who children are that take apart bytes from outside: nobody, whom no file belongs to. `None`: whoever runs this
    /// program, on a rehearsal or without root's rights.
    ///
    /// # Errors
    /// There is no such user.
    fn stranger(&self) -> Result<Option<Ids>, HostError>;

    /// The bytes of the file at `path`, symbolic links followed; `None` if there is no such file. It must be where root
    /// alone can have put it.
    ///
    /// # Errors
    /// It is not a regular file, is refused, is over 64 MiB, or cannot be read.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        self.read_of(path, Whose::ROOT)
    }

    /// The same also where others than root can put something: there only a file of `whose` with one name is read, see
    /// [`files`].
    ///
    /// # Errors
    /// As for [`Observe::read`].
    fn read_of(&self, path: &Path, whose: Whose) -> Result<Option<Vec<u8>>, HostError> {
        // One byte more than allowed detects a file that grows while it is read.
        let bytes = self.read_from(path, whose, 0, READ_LIMIT + 1)?;
        if bytes.as_ref().is_some_and(|bytes| bytes.len() > READ_LIMIT) {
            let limit = READ_LIMIT / 1024 / 1024;
            let text = format!("it is larger than {limit} MiB, which no file of this kind should be");
            return Err(HostError::file("read", path)(io::Error::new(io::ErrorKind::FileTooLarge, text)));
        }
        Ok(bytes)
    }

    /// The bytes of the file at `path` from `offset` on, at most `limit` of them; `None` if there is no such file.
    /// An offset beyond the end gives an empty vector.
    ///
    /// # Errors
    /// As for [`Observe::read_of`].
    fn read_from(&self, path: &Path, whose: Whose, offset: u64, limit: usize) -> Result<Option<Vec<u8>>, HostError>;

    /// Names in the folder `path`, sorted; empty if there is no such folder.
    ///
    /// # Errors
    /// It is not a folder or cannot be read.
    fn list(&self, path: &Path) -> Result<Vec<String>, HostError>;

    /// Shows everything below the folder `top` to `visit`, in the order of names, a folder before what is in it. Nothing
    /// if there is no such folder. A folder costs the same at any depth.
    ///
    /// # Errors
    /// It is not a folder, cannot be read, or somebody has moved a folder in it meanwhile.
    fn tree(&self, top: &Path, visit: Visit<'_>) -> Result<(), HostError>;

    /// The account of that name, from the host's user database (`getpwnam(3)`).
    ///
    /// # Errors
    /// The user database cannot be read.
    fn user(&self, name: &str) -> Result<Option<User>, HostError>;

    /// The account with that uid (`getpwuid(3)`).
    ///
    /// # Errors
    /// The user database cannot be read.
    fn user_by_id(&self, uid: u32) -> Result<Option<User>, HostError>;

    /// The group of that name (`getgrnam(3)`).
    ///
    /// # Errors
    /// The group database cannot be read.
    fn group(&self, name: &str) -> Result<Option<Group>, HostError>;

    /// The group with that gid (`getgrgid(3)`).
    ///
    /// # Errors
    /// The group database cannot be read.
    fn group_by_id(&self, gid: u32) -> Result<Option<Group>, HostError>;

    /// The gids of the groups of this user (`getgrouplist(3)`): its primary one, and those that list it. Empty if there
    /// is no such user.
    ///
    /// # Errors
    /// The databases cannot be read.
    fn groups_of(&self, user: &str) -> Result<Vec<u32>, HostError>;

    /// A variable of the environment that children on the host get; a rehearsal has its own.
    fn environment(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    /// Whether the kernel module is loaded or compiled in (`kldstat -q -m NAME`).
    ///
    /// # Errors
    /// The kernel could not be queried.
    fn module_loaded(&self, name: &str) -> Result<bool, HostError>;

    /// The value of a sysctl as text; `None` if the kernel does not know the name.
    ///
    /// # Errors
    /// The sysctl exists but cannot be read.
    fn sysctl(&self, name: &str) -> Result<Option<String>, HostError>;

    /// The value that rc(8) sees for a variable (defaults and every rc.conf file); `None` if it is set nowhere.
    ///
    /// # Errors
    /// `sysrc(8)` failed.
    fn rc_variable(&self, name: &str) -> Result<Option<String>, HostError>;

    /// Whether rc(8) takes the variable for a yes; one that is set nowhere is none.
    ///
    /// # Errors
    /// As for [`Observe::rc_variable`].
    fn rc_is_yes(&self, name: &str) -> Result<bool, HostError> {
        Ok(self.rc_variable(name)?.is_some_and(|value| crate::sysconf::rc_conf::is_yes(&value)))
    }

    /// All packages that are installed; none if `pkg(8)` itself is not.
    ///
    /// # Errors
    /// `pkg(8)` is installed but failed.
    fn packages(&self) -> Result<Packages, HostError>;

    /// The installed version of a package given by origin or name.
    ///
    /// # Errors
    /// As for [`Observe::packages`].
    fn package(&self, name: &str) -> Result<Option<String>, HostError> {
        Ok(self.packages()?.get(name).cloned())
    }

    /// The processes.
    ///
    /// # Errors
    /// The process table cannot be read.
    fn processes(&self) -> Result<Processes, HostError>;

    /// Every TCP socket that listens, or every UDP socket, which can receive without that; IPv4 and IPv6 (`sockstat -46`). Each
    /// process that has a socket open counts.
    ///
    /// # Errors
    /// The table cannot be read. A row of it that makes no sense is none: its owner is then unknown.
    fn sockets(&self, protocol: Protocol) -> Result<Listeners, HostError>;

    /// Every TCP socket that listens, and then the processes.
    ///
    /// # Errors
    /// As for [`Observe::sockets`] and [`Observe::processes`].
    fn activity(&self) -> Result<Activity, HostError>;

    /// Every TCP socket that listens.
    ///
    /// # Errors
    /// As for [`Observe::sockets`].
    fn listeners(&self) -> Result<Listeners, HostError> {
        self.sockets(Protocol::Tcp)
    }

    /// The state that `service NAME onestatus` reports, told from the processes.
    ///
    /// # Errors
    /// It cannot be told.
    fn service_of(&self, processes: &Processes, name: &str) -> Result<ServiceState, HostError>;

    /// The same, of the processes that there are now.
    ///
    /// # Errors
    /// It cannot be told.
    fn service(&self, name: &str) -> Result<ServiceState, HostError> {
        self.service_of(&self.processes()?, name)
    }

    /// The state of a program and its supervisor that `service NAME onestatus` reports where the rc.d script is that of
    /// GoToSocial, told from the processes.
    ///
    /// # Errors
    /// It cannot be told.
    fn supervision_of(&self, processes: &Processes, name: &str) -> Result<Supervision, HostError>;

    /// The same, of the processes that there are now.
    ///
    /// # Errors
    /// It cannot be told.
    fn supervision(&self, name: &str) -> Result<Supervision, HostError> {
        self.supervision_of(&self.processes()?, name)
    }

    /// Bytes that root may still write on the file system that holds `path` (or its nearest existing parent).
    ///
    /// # Errors
    /// `statvfs(2)` failed.
    fn free_bytes(&self, path: &Path) -> Result<u64, HostError>;

    /// The addresses of a name from the host's resolver; empty if it has none.
    ///
    /// # Errors
    /// The resolver does not answer, or could not be asked.
    fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, HostError>;

    /// The addresses of this host's own interfaces, without loopback.
    ///
    /// # Errors
    /// The interface list cannot be read.
    fn addresses(&self) -> Result<Vec<IpAddr>, HostError>;

    /// Whether a socket for IPv6 can be had: a kernel may lack it, and so may a jail on a kernel that has it.
    ///
    /// # Errors
    /// It cannot be told.
    fn has_ipv6(&self) -> Result<bool, HostError>;

    /// Seconds since 1970-01-01 00:00:00 UTC by the host's clock.
    fn now(&self) -> u64;

    /// The location of the host's `path` on the operating system that this program runs on: the path itself on FreeBSD,
    /// within the folder on a rehearsal. For the two tasks that stream on their own: unpacking and verifying a release.
    fn local_path(&self, path: &Path) -> PathBuf;

    /// Tries to bind sockets as other users, in a child process for each user in turn that switches to the ids for good, and
    /// closes them again. One outcome for each probe.
    ///
    /// # Errors
    /// A probe itself could not be run; a refused bind is not an error but a [`BindOutcome`].
    fn binds(&self, probes: &[BindProbe]) -> Result<Vec<BindOutcome>, HostError>;

    /// Tries to bind one.
    ///
    /// # Errors
    /// As for [`Observe::binds`].
    fn bind(&self, probe: &BindProbe) -> Result<BindOutcome, HostError> {
        let outcomes = self.binds(std::slice::from_ref(probe))?;
        outcomes.first().copied().ok_or_else(|| HostError::Unreadable {
            what: "the outcome of a bind probe".to_owned(),
            text: "there is none".to_owned(),
        })
    }

    /// One web request from this host, to one of its own addresses or to the outside.
    ///
    /// # Errors
    /// There was no answer: see [`WebFailure`].
    fn web(&self, request: &WebRequest) -> Result<WebAnswer, WebFailure>;
}

/// Writes a file of any size, and may read it back.
pub type Build<'a> = &'a mut dyn FnMut(&mut File) -> io::Result<()>;

/// Is done while a service acts, and may ask whether that is over.
pub type Meanwhile<'a> = &'a mut dyn FnMut(&dyn Fn() -> bool);

/// Is asked whether to stop, and why.
pub type Ask<'a> = &'a dyn Fn() -> Option<String>;

/// Asks nobody: for what has to be done to its end.
pub const NEVER: Ask<'static> = &|| None;

/// Asks whether to stop, within a loop over many bytes or files.
///
/// # Errors
/// There is a reason to.
pub fn go_on(stop: Ask<'_>) -> io::Result<()> {
    // Not of the kind `Interrupted`: whoever copies tries again after one of these.
    stop().map_or(Ok(()), |why| Err(io::Error::other(error::Stopped(why))))
}

/// Takes the time that a program has run, and the newest line of its output.
pub type Tell<'a> = &'a mut dyn FnMut(Duration, Option<&str>);

/// A host that can be changed. Only the executor (`change::executor`) and the journal use it.
pub trait Host: Observe {
    /// Puts a file in place atomically: writes it next to its target, syncs it, renames it, and syncs the folder. No
    /// symbolic link in a folder that other users can write to is followed.
    ///
    /// # Errors
    /// Any step failed; the target is as it was.
    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> Result<(), HostError>;

    /// Appends bytes to a file (created with mode 0600 if it is missing) and syncs it.
    ///
    /// # Errors
    /// The file cannot be opened, written or synced.
    fn append_file(&self, path: &Path, bytes: &[u8]) -> Result<(), HostError>;

    /// Renames a file within one folder tree, over an existing one, and syncs both folders.
    ///
    /// # Errors
    /// `rename(2)` failed.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), HostError>;

    /// Creates one folder; its parent must exist. If the folder exists its mode and owner are set.
    ///
    /// # Errors
    /// The path holds something other than a folder, or a system call failed.
    fn make_directory(&self, path: &Path, mode: u32, owner: Owner) -> Result<(), HostError>;

    /// Creates a symbolic link, or replaces an existing one atomically.
    ///
    /// # Errors
    /// The path holds something other than a link, or a system call failed.
    fn make_symlink(&self, path: &Path, target: &Path) -> Result<(), HostError>;

    /// Removes a file, a symbolic link or an empty folder. Does nothing if nothing exists there.
    ///
    /// # Errors
    /// The folder is not empty, or a system call failed (EPERM also if the immutable flag is set).
    fn remove(&self, path: &Path) -> Result<(), HostError>;

    /// Removes a folder with its content, following no link. Does nothing if nothing exists there.
    ///
    /// # Errors
    /// A system call failed; what was removed before stays removed.
    fn remove_tree(&self, path: &Path) -> Result<(), HostError> {
        self.remove_tree_until(path, NEVER)
    }

    /// The same, and asks at short intervals whether to stop.
    ///
    /// # Errors
    /// `stop` had a reason, or as for [`Host::remove_tree`].
    fn remove_tree_until(&self, path: &Path, stop: Ask<'_>) -> Result<(), HostError>;

    /// `pw groupadd NAME -g GID`.
    ///
    /// # Errors
    /// Name or gid is taken, or `pw(8)` failed.
    fn add_group(&self, group: &Group) -> Result<(), HostError>;

    /// `pw groupdel NAME`. A group that is already gone (`pw userdel` removes a user's own group as well) is not an
    /// error.
    ///
    /// # Errors
    /// `pw(8)` failed.
    fn delete_group(&self, name: &str) -> Result<(), HostError>;

    /// `pw useradd`, with no password and without creating a home folder.
    ///
    /// # Errors
    /// Name or uid is taken, or `pw(8)` failed.
    fn add_user(&self, user: &User) -> Result<(), HostError>;

    /// `pw userdel NAME`. An account that is already gone is not an error.
    ///
    /// # Errors
    /// `pw(8)` failed.
    fn delete_user(&self, name: &str) -> Result<(), HostError>;

    /// `kldload -n NAME`.
    ///
    /// # Errors
    /// EPERM at securelevel > 0 or in a jail, ENOENT if there is no such module.
    fn load_module(&self, name: &str) -> Result<(), HostError>;

    /// `kldunload NAME`.
    ///
    /// # Errors
    /// EPERM at securelevel > 0 or in a jail, or the module is not loaded.
    fn unload_module(&self, name: &str) -> Result<(), HostError>;

    /// Sets a sysctl of the running kernel.
    ///
    /// # Errors
    /// Unknown name, EPERM (securelevel, jail), EINVAL (a rule list that does not parse).
    fn set_sysctl(&self, name: &str, value: &str) -> Result<(), HostError>;

    /// `sysrc NAME=VALUE`, or `sysrc -x NAME` for `None` (no error if it is not set).
    ///
    /// # Errors
    /// `sysrc(8)` failed.
    fn set_rc_variable(&self, name: &str, value: Option<&str>) -> Result<(), HostError>;

    /// `pkg install -y NAME`, without a question; `pkg(8)` itself is fetched first if it is not installed. A package
    /// that is already installed is not an error.
    ///
    /// # Errors
    /// No repository is reachable, it does not have the package, or `pkg(8)` failed.
    fn install_package(&self, name: &str) -> Result<(), HostError>;

    /// `pkg delete -y NAME`. An edited configuration file stays. A package that is already gone is not an error.
    ///
    /// # Errors
    /// `pkg(8)` failed.
    fn delete_package(&self, name: &str) -> Result<(), HostError>;

    /// Lets a web server test a configuration: `nginx -t -q -c PATH`, `httpd -t -f PATH`. Nothing that runs is touched.
    /// A successful test does not mean that a start would succeed: Apache reads keys only when it starts, and neither
    /// detects a port that another process holds.
    ///
    /// # Errors
    /// The program could not be started. A refused configuration is not an error but part of [`Output`].
    fn front_test(&self, front: Front, config: &Path) -> Result<Output, HostError>;

    /// Watches ports on 127.0.0.1 until the watch is finished, to measure how long connections are refused. It leaves
    /// nothing in the log of whoever listens there but, of TLS, a few requests.
    ///
    /// # Errors
    /// The watch could not be started.
    fn watch_ports(&self, ports: &[WatchedPort]) -> Result<Box<dyn PortWatch>, HostError>;

    /// `service NAME ACTION` (`onestop` and `onereload`, so that they also work for a service that is not enabled, or
    /// no longer).
    ///
    /// # Errors
    /// The script is missing or exited with a failure. A successful exit proves nothing yet.
    fn service_action(&self, name: &str, action: ServiceAction) -> Result<(), HostError>;

    /// The same, and does something `meanwhile`, which may ask whether the action is over. It is done once, whatever becomes of
    /// the action, and that is always waited for.
    ///
    /// # Errors
    /// As for [`Host::service_action`]; or the two cannot be done at once, and neither is.
    fn during(&self, name: &str, action: ServiceAction, meanwhile: Meanwhile<'_>) -> Result<(), HostError> {
        let acted = self.service_action(name, action);
        meanwhile(&|| true);
        acted
    }

    /// Runs a program as an unprivileged user with a clean environment, and waits for it. If `stop` has a reason meanwhile,
    /// the program is killed.
    ///
    /// # Errors
    /// The program could not be started, or was killed. A non-zero exit is not an error but part of [`Output`].
    fn run_as(&self, invocation: &Invocation, stop: Ask<'_>) -> Result<Output, HostError>;

    /// The same, to its end, and reports about once a second how long it has run and the newest line of its output. The program
    /// continues if this program is killed.
    ///
    /// # Errors
    /// As for [`Host::run_as`].
    fn run_watched(&self, invocation: &Invocation, tell: Tell<'_>) -> Result<Output, HostError>;

    /// The processes that have a file open, as far as the system reports them (`fstat FILE`).
    ///
    /// # Errors
    /// There is no such file, or the system could not be queried.
    fn file_users(&self, path: &Path) -> Result<Vec<FileUser>, HostError>;

    /// Copies a file of any size, and puts the copy in place like [`Host::write_file`]. Where the file system can share
    /// the bytes with the original (copy_file_range(2): block cloning on ZFS), it takes at most the time of reading
    /// them once for the digest. `stop` is asked at short intervals.
    ///
    /// # Errors
    /// `from` is not a regular file, is refused as by [`Observe::read_of`], or cannot be read; `stop` had a reason;
    /// otherwise as for [`Host::write_file`].
    fn copy_file(
        &self,
        from: &Path,
        whose: Whose,
        to: &Path,
        mode: u32,
        owner: Owner,
        stop: Ask<'_>,
    ) -> Result<CopiedFile, HostError>;

    /// Opens a file of any size for reading, by the same rules as [`Observe::read_of`]; `None` if there is no such file.
    ///
    /// # Errors
    /// It is not a regular file, is refused, or cannot be opened.
    fn open_file(&self, path: &Path, whose: Whose) -> Result<Option<File>, HostError>;

    /// Lets `build` write a file of any size, which it may read back as well, and on success puts it in place like
    /// [`Host::write_file`].
    ///
    /// # Errors
    /// The error of `build`, or as for [`Host::write_file`]. Nothing is left of the new file.
    fn build_file(&self, path: &Path, mode: u32, owner: Owner, build: Build<'_>) -> Result<(), HostError>;

    /// Opens an SQLite database that no other process has open, as the user that owns it, in a child process. For
    /// copies, and for a database whose program is stopped: on FreeBSD GoToSocial locks its database differently than
    /// other programs, and a second one in the same file can corrupt it. The content of a write-ahead log next to it
    /// becomes part of it. If `stop` has a reason meanwhile, the child is killed.
    ///
    /// # Errors
    /// It does not exist, cannot be read, or is not a database; or `stop` had a reason. Damage is not an error but part of
    /// [`DatabaseState`].
    fn examine_database(&self, examination: &DatabaseExamination, stop: Ask<'_>) -> Result<DatabaseState, HostError>;

    /// Takes the one lock that prevents two changing runs at the same time. It is released when the value is dropped or
    /// the process dies.
    ///
    /// # Errors
    /// [`HostError::Locked`] if another run holds it.
    fn lock(&self, path: &Path, note: &str) -> Result<Box<dyn Any>, HostError>;

    /// Waits. A rehearsal advances its model's clock instead.
    fn sleep(&self, time: Duration);
}

/// The host that this program runs on.
///
/// # Errors
/// [`HostError::NotFreeBsd`] on any other system.
pub fn this_machine() -> Result<Box<dyn Host>, HostError> {
    Ok(Box::new(freebsd::FreeBsd::new()?))
}
