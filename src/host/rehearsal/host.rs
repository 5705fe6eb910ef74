//! [`Observe`] and [`Host`] on a rehearsal.

use std::any::Any;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certificate::{Bundle, BundleError};
use crate::front::Front;
use crate::operation::{self, Operation};

use super::super::{
    BindOutcome, BindProbe, CopiedFile, DatabaseExamination, DatabaseState, Entry, FileUser, Group, Host, HostError,
    Invocation, Listener, Observe, Output, Owner, PortWatch, ServiceAction, ServiceState, Supervision, System, User,
    WebAnswer, WebFailure, WebRequest, lock,
};
use super::machine::{Access, EACCES, EIO, ENOENT, ENOSPC, EPERM, Machine, command_failed, errno_text};
use super::{
    Rehearsal, STATE_FOLDER, accounts, authority, gotosocial, gotosocial_admin, gotosocial_database, kernel, packages,
    postgres, rc_conf, services, web, web_servers,
};

/// A change, for the errors that it can be made to fail with.
enum Change<'a> {
    /// Writing to the file system; with the number of bytes.
    Write(&'static str, &'a Path, usize),
    /// Taking something away, or moving it.
    Remove(&'static str, &'a Path),
    /// A sysctl.
    Sysctl(&'a str),
    /// A command of the base system.
    Command(String),
}

impl Change<'_> {
    fn failed(&self, errno: i32) -> HostError {
        let source = io::Error::from_raw_os_error(errno);
        match self {
            Self::Write(action, path, _) | Self::Remove(action, path) => {
                HostError::File { action, path: path.to_path_buf(), source }
            }
            Self::Sysctl(name) => HostError::Sysctl { name: (*name).to_string(), source },
            Self::Command(command) => command_failed(command.clone(), 1, errno_text(errno)),
        }
    }

    /// What it is called.
    fn told(&self) -> String {
        match self {
            Self::Write(action, path, _) | Self::Remove(action, path) => format!("{action} {}", path.display()),
            Self::Sysctl(name) => format!("sysctl {name}"),
            Self::Command(command) => command.clone(),
        }
    }

    /// What stops it whatever it is about: no privilege, no space.
    fn refused(&self, machine: &Machine) -> Option<HostError> {
        let model = &machine.model;
        if model.euid != 0 {
            let errno = if matches!(self, Self::Write(..) | Self::Remove(..)) { EACCES } else { EPERM };
            return Some(self.failed(errno));
        }
        let Self::Write(_, _, bytes) = self else { return None };
        let full = model.faults.disk_full || *bytes as u64 > model.free_bytes;
        full.then(|| self.failed(ENOSPC))
    }
}

impl Rehearsal {
    /// Makes one change: counts it against the faults, lets a second pass, and saves what came of it.
    fn change<T>(
        &self,
        what: &Change<'_>,
        make: impl FnOnce(&mut Machine) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        let outcome = self.attempt(what, make);
        self.save()?;
        outcome
    }

    /// Has the authority issue a certificate, which counts as a change.
    pub(super) fn issue_counted(&self, name: &str) -> Result<Result<Bundle, BundleError>, HostError> {
        self.change(&Change::Command(format!("ACME order for {name}")), |machine| Ok(authority::issue(machine, name)))
    }

    fn attempt<T>(
        &self,
        what: &Change<'_>,
        make: impl FnOnce(&mut Machine) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        let machine = &mut *self.machine.borrow_mut();
        let mut failure = None;
        if let Some(fault) = &mut machine.model.faults.change {
            if fault.after > 0 {
                fault.after -= 1;
            } else {
                let takes_effect = std::mem::replace(&mut fault.takes_effect, false);
                failure = Some(what.failed(fault.errno));
                if !fault.lasting {
                    machine.model.faults.change = None;
                }
                if !takes_effect {
                    return Err(failure.unwrap_or_else(|| what.failed(EPERM)));
                }
            }
        }
        if let Some(refusal) = what.refused(machine) {
            return Err(refusal);
        }
        let made = match what {
            Change::Write(..) | Change::Remove(..) => make(machine)?,
            Change::Sysctl(_) | Change::Command(_) => {
                let told = || PathBuf::from(what.told());
                operation::about_to(Operation::Command, told)
                    .map_err(|error| what.failed(error.raw_os_error().unwrap_or(EPERM)))?;
                operation::aside(|| make(machine))?
            }
        };
        self.watches.borrow_mut().pass(&machine.model, 1);
        pass(machine, 1)?;
        match failure {
            Some(failure) => Err(failure),
            None => Ok(made),
        }
    }
}

/// Lets time pass, and what happens by itself happen.
fn pass(machine: &mut Machine, seconds: u64) -> Result<(), HostError> {
    machine.model.clock += seconds;
    operation::aside(|| {
        services::tick(machine)?;
        gotosocial::tick(machine)
    })
}

/// Whoever runs the program reads only what its modes let be read. In the model that is root, or a user who owns nothing.
fn may(machine: &Machine, action: &'static str, path: &Path, what: &Path, access: Access) -> Result<(), HostError> {
    let uid = machine.model.euid;
    if uid == 0 {
        return Ok(());
    }
    match machine.may(Owner { uid, gid: uid }, what, access) {
        Err(EACCES) => {
            Err(HostError::File { action, path: path.to_path_buf(), source: io::Error::from_raw_os_error(EACCES) })
        }
        // What is not there is told by the question itself.
        _ => Ok(()),
    }
}

impl Observe for Rehearsal {
    fn local_path(&self, path: &Path) -> PathBuf {
        self.machine.borrow().files.local_path(path)
    }

    fn system(&self) -> Result<System, HostError> {
        let model = &self.machine.borrow().model;
        Ok(System {
            release: model.release.clone(),
            osreldate: model.osreldate,
            machine_arch: model.machine_arch.clone(),
            sse4_1: model.sse4_1 && model.machine_arch == "amd64",
            euid: model.euid,
            securelevel: model.securelevel,
            jail: model.jail,
            memory: model.memory,
        })
    }

    fn entry(&self, path: &Path) -> Result<Option<Entry>, HostError> {
        let machine = self.machine.borrow();
        if let Some(folder) = path.parent() {
            may(&machine, "look up", path, folder, Access::Execute)?;
        }
        machine.files.entry(path)
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        let machine = self.machine.borrow();
        may(&machine, "read", path, path, Access::Read)?;
        machine.files.read(path)
    }

    fn read_from(&self, path: &Path, offset: u64, limit: usize) -> Result<Option<Vec<u8>>, HostError> {
        let machine = self.machine.borrow();
        may(&machine, "read", path, path, Access::Read)?;
        machine.files.read_from(path, offset, limit)
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, HostError> {
        may(&self.machine.borrow(), "list", path, path, Access::Read)?;
        let mut names = self.machine.borrow().files.list(path)?;
        if path == Path::new("/") {
            names.retain(|name| Path::new("/").join(name) != Path::new(STATE_FOLDER));
        }
        Ok(names)
    }

    fn user(&self, name: &str) -> Result<Option<User>, HostError> {
        Ok(accounts::users(&self.machine.borrow())?.into_iter().find(|user| user.name == name))
    }

    fn user_by_id(&self, uid: u32) -> Result<Option<User>, HostError> {
        Ok(accounts::users(&self.machine.borrow())?.into_iter().find(|user| user.uid == uid))
    }

    fn group(&self, name: &str) -> Result<Option<Group>, HostError> {
        Ok(accounts::groups(&self.machine.borrow())?.into_iter().find(|group| group.name == name))
    }

    fn group_by_id(&self, gid: u32) -> Result<Option<Group>, HostError> {
        Ok(accounts::groups(&self.machine.borrow())?.into_iter().find(|group| group.gid == gid))
    }

    fn groups_of(&self, user: &str) -> Result<Vec<u32>, HostError> {
        let machine = self.machine.borrow();
        let Some(primary) = accounts::users(&machine)?.into_iter().find(|there| there.name == user) else {
            return Ok(Vec::new());
        };
        let others = accounts::supplementary_groups(&machine, user)?.into_iter().filter(|gid| *gid != primary.gid);
        Ok(std::iter::once(primary.gid).chain(others).collect())
    }

    fn module_loaded(&self, name: &str) -> Result<bool, HostError> {
        Ok(self.machine.borrow().model.modules.contains(name))
    }

    fn sysctl(&self, name: &str) -> Result<Option<String>, HostError> {
        Ok(kernel::sysctl(&self.machine.borrow().model, name))
    }

    fn rc_variable(&self, name: &str) -> Result<Option<String>, HostError> {
        rc_conf::get(&self.machine.borrow(), name)
    }

    fn package(&self, name: &str) -> Result<Option<String>, HostError> {
        Ok(self.machine.borrow().model.packages.get(packages::base_name(name)).cloned())
    }

    fn service(&self, name: &str) -> Result<ServiceState, HostError> {
        services::state(&self.machine.borrow(), name)
    }

    fn supervision(&self, name: &str) -> Result<Supervision, HostError> {
        services::supervision(&self.machine.borrow(), name)
    }

    fn listeners(&self) -> Result<Vec<Listener>, HostError> {
        Ok(kernel::listeners(&self.machine.borrow().model))
    }

    fn free_bytes(&self, _path: &Path) -> Result<u64, HostError> {
        let model = &self.machine.borrow().model;
        Ok(if model.faults.disk_full { 0 } else { model.free_bytes })
    }

    fn resolve(&self, name: &str) -> Vec<IpAddr> {
        self.machine.borrow().model.addresses_of(name)
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, HostError> {
        Ok(self.machine.borrow().model.addresses.clone())
    }

    fn now(&self) -> u64 {
        self.machine.borrow().model.clock
    }

    fn bind(&self, probe: &BindProbe) -> Result<BindOutcome, HostError> {
        Ok(kernel::bind(&self.machine.borrow().model, probe))
    }

    fn web(&self, request: &WebRequest) -> Result<WebAnswer, WebFailure> {
        let answer = operation::aside(|| web::answer(&mut self.machine.borrow_mut(), request));
        // A first request can make the certificate authority issue a certificate, which is a file with an owner.
        self.save().map_err(|error| WebFailure::Other(error.to_string()))?;
        let model = &self.machine.borrow().model;
        let faults = &model.faults;
        let counts = faults.web_status_when.is_none_or(|(from, until)| (from..until).contains(&model.clock));
        let what = format!("{}{}", if request.tls { "https" } else { "http" }, request.path);
        answer.map(|mut answer| {
            answer.status = faults.web_status.get(&what).copied().filter(|_| counts).unwrap_or(answer.status);
            if let Some(certificate) = answer.certificate.as_mut().filter(|_| faults.shows_expired) {
                certificate.not_after = 0;
            }
            answer
        })
    }
}

impl Host for Rehearsal {
    fn observe(&self) -> &dyn Observe {
        self
    }

    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> Result<(), HostError> {
        let what = Change::Write("write", path, bytes.len());
        self.change(&what, |machine| machine.files.write_file(path, bytes, mode, owner))
    }

    fn append_file(&self, path: &Path, bytes: &[u8]) -> Result<(), HostError> {
        let what = Change::Write("append to", path, bytes.len());
        let outcome = self.attempt(&what, |machine| machine.files.append_file(path, bytes));
        self.save_unless_only_later()?;
        outcome
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), HostError> {
        self.change(&Change::Remove("rename", from), |machine| machine.files.rename(from, to))
    }

    fn make_directory(&self, path: &Path, mode: u32, owner: Owner) -> Result<(), HostError> {
        let what = Change::Write("make the folder", path, 0);
        self.change(&what, |machine| machine.files.make_directory(path, mode, owner))
    }

    fn make_symlink(&self, path: &Path, target: &Path) -> Result<(), HostError> {
        let what = Change::Write("make the link", path, 0);
        self.change(&what, |machine| machine.files.make_symlink(path, target))
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.change(&Change::Remove("remove", path), |machine| machine.files.remove(path))
    }

    fn remove_tree(&self, path: &Path) -> Result<(), HostError> {
        self.change(&Change::Remove("remove", path), |machine| machine.files.remove_tree(path))
    }

    fn add_group(&self, group: &Group) -> Result<(), HostError> {
        let what = Change::Command(format!("pw groupadd {} -g {}", group.name, group.gid));
        self.change(&what, |machine| accounts::add_group(machine, group))
    }

    fn delete_group(&self, name: &str) -> Result<(), HostError> {
        let what = Change::Command(format!("pw groupdel {name}"));
        self.change(&what, |machine| accounts::delete_group(machine, name))
    }

    fn add_user(&self, user: &User) -> Result<(), HostError> {
        let what = Change::Command(format!("pw useradd {} -u {}", user.name, user.uid));
        self.change(&what, |machine| accounts::add_user(machine, user))
    }

    fn delete_user(&self, name: &str) -> Result<(), HostError> {
        let what = Change::Command(format!("pw userdel {name}"));
        self.change(&what, |machine| accounts::delete_user(machine, name))
    }

    fn load_module(&self, name: &str) -> Result<(), HostError> {
        let what = Change::Command(format!("kldload -n {name}"));
        self.change(&what, |machine| kernel::load_module(&mut machine.model, name))
    }

    fn unload_module(&self, name: &str) -> Result<(), HostError> {
        let what = Change::Command(format!("kldunload {name}"));
        self.change(&what, |machine| kernel::unload_module(&mut machine.model, name))
    }

    fn set_sysctl(&self, name: &str, value: &str) -> Result<(), HostError> {
        self.change(&Change::Sysctl(name), |machine| {
            kernel::set_sysctl(&mut machine.model, name, value).map_err(|errno| kernel::sysctl_failed(name, errno))
        })
    }

    fn set_rc_variable(&self, name: &str, value: Option<&str>) -> Result<(), HostError> {
        let what = match value {
            Some(value) => Change::Command(format!("sysrc {name}={value}")),
            None => Change::Command(format!("sysrc -x {name}")),
        };
        self.change(&what, |machine| rc_conf::set(machine, name, value))
    }

    fn install_package(&self, name: &str) -> Result<(), HostError> {
        let what = Change::Command(format!("pkg install -y {name}"));
        self.change(&what, |machine| packages::install(machine, name))
    }

    fn delete_package(&self, name: &str) -> Result<(), HostError> {
        let what = Change::Command(format!("pkg delete -y {name}"));
        self.change(&what, |machine| packages::delete(machine, name))
    }

    /// Only looks, so it neither counts against the faults nor moves the clock.
    fn front_test(&self, front: Front, config: &Path) -> Result<Output, HostError> {
        let machine = self.machine.borrow();
        if !machine.is_executable(Path::new(front.program)) {
            let source = io::Error::from_raw_os_error(ENOENT);
            return Err(HostError::Start { command: front.program.into(), source });
        }
        Ok(web_servers::test(&machine, front, config))
    }

    fn watch_ports(&self, ports: &[u16]) -> Result<Box<dyn PortWatch>, HostError> {
        Ok(self.watches.borrow_mut().begin(ports))
    }

    fn service_action(&self, name: &str, action: ServiceAction) -> Result<(), HostError> {
        let what = Change::Command(format!("service {name} {}", action.verb()));
        self.change(&what, |machine| services::act(machine, name, action))
    }

    fn run_as(&self, invocation: &Invocation) -> Result<Output, HostError> {
        if postgres::is_program(&invocation.program) {
            if postgres::only_looks(&invocation.arguments) {
                return postgres::run(&mut self.machine.borrow_mut(), invocation);
            }
            let what = Change::Command(invocation.program.display().to_string());
            return self.change(&what, |machine| postgres::run(machine, invocation));
        }
        if gotosocial_admin::only_looks(&invocation.arguments) {
            let outcome = operation::aside(|| gotosocial_admin::run(&mut self.machine.borrow_mut(), invocation));
            self.save()?;
            return outcome;
        }
        let what = Change::Command(invocation.program.display().to_string());
        self.change(&what, |machine| gotosocial_admin::run(machine, invocation))
    }

    fn run_watched(
        &self,
        invocation: &Invocation,
        tell: &mut dyn FnMut(Duration, Option<&str>),
    ) -> Result<Output, HostError> {
        let what = Change::Command(invocation.program.display().to_string());
        self.change(&what, |machine| {
            for poll in 1..=machine.model.faults.polls_while_migrating {
                pass(machine, 2)?;
                tell(Duration::from_secs(2 * u64::from(poll)), Some("func=bundb.doMigration msg=\"migrating\""));
            }
            if machine.model.faults.migration_outlives {
                gotosocial_admin::outlive(machine, invocation)?;
                return Err(what.failed(EIO));
            }
            gotosocial_admin::run(machine, invocation)
        })
    }

    fn file_users(&self, path: &Path) -> Result<Vec<FileUser>, HostError> {
        if self.entry(path)?.is_none() {
            let why = format!("fstat: {}: No such file or directory", path.display());
            return Err(command_failed(format!("/usr/bin/fstat {}", path.display()), 1, why));
        }
        Ok(gotosocial_database::file_users(&self.machine.borrow(), path))
    }

    fn copy_file(&self, from: &Path, to: &Path, mode: u32, owner: Owner) -> Result<CopiedFile, HostError> {
        let size = match self.entry(from)? {
            Some(Entry::File { size, .. }) => usize::try_from(size).unwrap_or(usize::MAX),
            _ => 0,
        };
        let what = Change::Write("copy to", to, size);
        self.change(&what, |machine| machine.files.copy_file(from, to, mode, owner))
    }

    fn open_file(&self, path: &Path) -> Result<Option<File>, HostError> {
        self.machine.borrow().files.open_file(path)
    }

    fn build_file(
        &self,
        path: &Path,
        mode: u32,
        owner: Owner,
        build: &mut dyn FnMut(&mut File) -> io::Result<()>,
    ) -> Result<(), HostError> {
        let mut begun = self.machine.borrow().files.begin_file(path)?;
        // Whoever writes it asks this host for what is to be in it.
        let built = build(&mut begun.file).and_then(|()| begun.file.metadata());
        let mut begun = Some(begun);
        let outcome = built.map_err(HostError::file("write", path)).and_then(|built| {
            let what = Change::Write("write", path, usize::try_from(built.len()).unwrap_or(usize::MAX));
            self.change(&what, |machine| match begun.take() {
                Some(begun) => machine.files.finish_file(begun, mode, owner),
                None => Ok(()),
            })
        });
        if let Some(begun) = begun {
            self.machine.borrow().files.give_up(&begun);
        }
        outcome
    }

    /// Only looks, so it neither counts against the faults nor moves the clock.
    fn examine_database(&self, examination: &DatabaseExamination) -> Result<DatabaseState, HostError> {
        let state = operation::aside(|| gotosocial_database::examine(&mut self.machine.borrow_mut(), examination));
        self.save()?;
        state
    }

    /// The lock is beside the state, and `path` is not used. Holding it, the rehearsal takes over what another command has left
    /// in the state.
    fn lock(&self, _path: &Path, note: &str) -> Result<Box<dyn Any>, HostError> {
        let lock = lock::take(&self.folder().join(STATE_FOLDER.trim_start_matches('/')).join("lock"), note)?;
        self.reload()?;
        Ok(Box::new(lock))
    }

    fn sleep(&self, time: Duration) {
        // A wait of less than a second still moves the clock, so that whoever polls gets somewhere.
        let seconds = time.as_millis().div_ceil(1000).max(1);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX / 2);
        self.watches.borrow_mut().pass(&self.machine.borrow().model, seconds);
        let passed = pass(&mut self.machine.borrow_mut(), seconds);
        if self.machine.borrow().model.faults.waits_last {
            std::thread::sleep(time);
        }
        // Waiting cannot fail; what could not be written now shows at the next change.
        let _ = passed.and_then(|()| self.save());
    }
}
