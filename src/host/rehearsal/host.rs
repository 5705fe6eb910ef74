//! [`Observe`] and [`Host`] on a rehearsal.

use std::any::Any;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use crate::child::{self, Ids};
use crate::front::Front;
use crate::operation;
use crate::portacl::Protocol;

use super::super::{
    Activity, Ask, BindOutcome, BindProbe, Build, CopiedFile, DatabaseExamination, DatabaseState, Entry, Family,
    FileUser, Group, Host, HostError, Invocation, Listeners, Meanwhile, Observe, Onward, Output, Owner, Packages,
    PortWatch, Processes, ServiceAction, ServiceState, Supervision, System, Tell, User, Visit, WatchedPort, WebAnswer,
    WebFailure, WebRequest, Whose, go_on, lock,
};
use super::attempt::{Change, pass};
use super::machine::{Access, Machine, command_failed};
use super::{
    Rehearsal, STATE_FOLDER, accounts, gotosocial_admin, gotosocial_database, kernel, packages, postgres, rc_conf,
    services, sysrc, web, web_servers,
};

impl Rehearsal {
    /// The status that a web request is to be answered with whatever it asks.
    fn refusal(&self, request: &WebRequest) -> Option<u16> {
        let model = &self.machine.borrow().model;
        let faults = &model.faults;
        let counts = faults.web_status_when.is_none_or(|(from, until)| (from..until).contains(&model.clock));
        let what = format!("{}{}", if request.tls { "https" } else { "http" }, request.path);
        faults.web_status.get(&what).copied().filter(|_| counts)
    }
}

/// Runs one of PostgreSQL's programs, or GoToSocial from an unpacked release.
fn run(machine: &mut Machine, invocation: &Invocation) -> Result<Output, HostError> {
    let cannot = |errno: Errno| {
        let arguments = invocation.arguments.iter().enumerate();
        let shown = arguments.map(|(index, it)| if Some(index) == invocation.secret_argument { "…" } else { it });
        let command = [&*invocation.program.to_string_lossy()].into_iter().chain(shown).collect::<Vec<_>>().join(" ");
        HostError::Start { command, source: errno.into() }
    };
    for path in [&invocation.directory, &invocation.program] {
        machine.may(invocation.owner, path, Access::Execute).map_err(cannot)?;
    }
    if !machine.is_executable(&invocation.program) {
        return Err(cannot(Errno::EACCES));
    }
    let output = if postgres::is_program(&invocation.program) {
        postgres::run(machine, invocation)
    } else {
        gotosocial_admin::run(machine, invocation)?
    };
    output.ok_or_else(|| cannot(Errno::ENOEXEC))
}

/// Refuses what the user who runs the program may not do with `object`. In the model that user is root, or owns nothing.
fn may(machine: &Machine, action: &'static str, path: &Path, object: &Path, access: Access) -> Result<(), HostError> {
    let uid = machine.model.euid;
    // The operation itself finds out that something is missing.
    if uid == 0 || machine.may(Owner { uid, gid: uid }, object, access) != Err(Errno::EACCES) {
        return Ok(());
    }
    Err(HostError::File { action, path: path.to_path_buf(), source: Errno::EACCES.into() })
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

    fn read_from(&self, path: &Path, whose: Whose, offset: u64, limit: usize) -> Result<Option<Vec<u8>>, HostError> {
        let machine = self.machine.borrow();
        may(&machine, "read", path, path, Access::Read)?;
        machine.files.read_from(path, whose, offset, limit)
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, HostError> {
        may(&self.machine.borrow(), "list", path, path, Access::Read)?;
        let mut names = self.machine.borrow().files.list(path)?;
        if path == Path::new("/") {
            names.retain(|name| Path::new("/").join(name) != Path::new(STATE_FOLDER));
        }
        Ok(names)
    }

    fn tree(&self, top: &Path, visit: Visit<'_>) -> Result<(), HostError> {
        let machine = self.machine.borrow();
        may(&machine, "list", top, top, Access::Read)?;
        let mut refused = None;
        machine.files.tree(top, &mut |path, entry| {
            let onward = visit(path, entry);
            if onward == Onward::In && matches!(entry, Entry::Directory { .. }) {
                refused = may(&machine, "list", path, path, Access::Read).err();
            }
            if refused.is_some() { Onward::End } else { onward }
        })?;
        refused.map_or(Ok(()), Err)
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
        let user = self.user(user)?;
        user.map_or(Ok(Vec::new()), |user| accounts::groups_of(&self.machine.borrow(), &user))
    }

    fn stranger(&self) -> Result<Option<Ids>, HostError> {
        Ok(None)
    }

    fn environment(&self, name: &str) -> Option<OsString> {
        self.machine.borrow().model.environment.get(name).map(OsString::from)
    }

    fn module_loaded(&self, name: &str) -> Result<bool, HostError> {
        Ok(self.machine.borrow().model.modules.contains(name))
    }

    fn sysctl(&self, name: &str) -> Result<Option<String>, HostError> {
        Ok(kernel::sysctl(&self.machine.borrow().model, name))
    }

    fn rc_variable(&self, name: &str) -> Result<Option<String>, HostError> {
        self.processes.rc_variable();
        rc_conf::get(&self.machine.borrow(), name)
    }

    fn packages(&self) -> Result<Packages, HostError> {
        let model = &self.machine.borrow().model;
        if model.pkg {
            operation::starts("pkg");
        }
        let both = |(name, version): (&String, &String)| {
            [name.clone(), packages::origin(name)].map(|key| (key, version.clone()))
        };
        Ok(model.packages.iter().flat_map(both).collect())
    }

    fn processes(&self) -> Result<Processes, HostError> {
        operation::starts("ps");
        self.processes.listed_at.set(self.now());
        Ok(Processes::new())
    }

    fn activity(&self) -> Result<Activity, HostError> {
        let listeners = self.sockets(Protocol::Tcp)?;
        self.processes.listed_at.set(self.now());
        Ok(Activity { listeners, processes: Processes::new() })
    }

    fn service_of(&self, _processes: &Processes, name: &str) -> Result<ServiceState, HostError> {
        self.processes.service(name);
        services::state(&self.machine.borrow(), name)
    }

    fn supervision_of(&self, _processes: &Processes, name: &str) -> Result<Supervision, HostError> {
        self.processes.service(name);
        services::supervision(&self.machine.borrow(), name, self.processes.listed_at.get())
    }

    fn sockets(&self, protocol: Protocol) -> Result<Listeners, HostError> {
        operation::starts("sockstat");
        operation::starts("ps");
        let model = &self.machine.borrow().model;
        let mut sockets = kernel::sockets(model, protocol);
        sockets.extend(web_servers::workers(model, &sockets));
        Ok(Listeners { sockets, unreadable: model.faults.unreadable_rows })
    }

    fn free_bytes(&self, _path: &Path) -> Result<u64, HostError> {
        let model = &self.machine.borrow().model;
        Ok(if model.faults.disk_full { 0 } else { model.free_bytes })
    }

    fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, HostError> {
        self.processes.resolve();
        let model = &self.machine.borrow().model;
        match model.faults.resolver_fails {
            true => {
                Err(HostError::Lookup { name: name.to_owned(), why: "Name could not be resolved at this time".into() })
            }
            false => Ok(model.addresses_of(name)),
        }
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, HostError> {
        Ok(self.machine.borrow().model.addresses.clone())
    }

    fn now(&self) -> u64 {
        self.machine.borrow().model.clock
    }

    fn has_ipv6(&self) -> Result<bool, HostError> {
        let nobody = BindProbe {
            uid: 65_534,
            gid: 65_534,
            groups: Vec::new(),
            family: Family::V6,
            protocol: Protocol::Tcp,
            port: 0,
        };
        Ok(kernel::bind(&self.machine.borrow().model, &nobody) != BindOutcome::NoAddress)
    }

    fn binds(&self, probes: &[BindProbe]) -> Result<Vec<BindOutcome>, HostError> {
        self.processes.binds(probes);
        let model = &self.machine.borrow().model;
        Ok(probes.iter().map(|probe| kernel::bind(model, probe)).collect())
    }

    fn web(&self, request: &WebRequest) -> Result<WebAnswer, WebFailure> {
        self.processes.web(request.is_own());
        let refusal = self.refusal(request);
        if let Some(status) = refusal.filter(|_| request.carries.form.is_some()) {
            return Ok(WebAnswer::plain(status));
        }
        let answer = operation::aside(|| web::answer(&mut self.machine.borrow_mut(), request));
        // The first request can make the authority issue a certificate, which is a file with an owner.
        self.save().map_err(|error| WebFailure::Other(error.to_string()))?;
        let shows_expired = self.machine.borrow().model.faults.shows_expired;
        answer.map(|mut answer| {
            answer.status = refusal.unwrap_or(answer.status);
            if let Some(certificate) = answer.certificate.as_mut().filter(|_| shows_expired) {
                certificate.not_after = 0;
            }
            answer
        })
    }
}

impl Host for Rehearsal {
    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> Result<(), HostError> {
        let what = Change::File("write", path, Some(bytes.len() as u64));
        self.change(&what, |machine| machine.files.write_file(path, bytes, mode, owner))
    }

    fn append_file(&self, path: &Path, bytes: &[u8]) -> Result<(), HostError> {
        let what = Change::File("append to", path, Some(bytes.len() as u64));
        let outcome = self.attempt(&what, |machine| machine.files.append_file(path, bytes));
        self.save_unless_only_later()?;
        outcome
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), HostError> {
        self.change(&Change::File("rename", from, None), |machine| machine.files.rename(from, to))
    }

    fn make_directory(&self, path: &Path, mode: u32, owner: Owner) -> Result<(), HostError> {
        let what = Change::File("make the folder", path, Some(0));
        self.change(&what, |machine| machine.files.make_directory(path, mode, owner))
    }

    fn make_symlink(&self, path: &Path, target: &Path) -> Result<(), HostError> {
        let what = Change::File("make the link", path, Some(0));
        self.change(&what, |machine| machine.files.make_symlink(path, target))
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.change(&Change::File("remove", path, None), |machine| machine.files.remove(path))
    }

    fn remove_tree_until(&self, path: &Path, stop: Ask<'_>) -> Result<(), HostError> {
        self.change(&Change::File("remove", path, None), |machine| machine.files.remove_tree(path, stop))
    }

    fn add_group(&self, group: &Group) -> Result<(), HostError> {
        let command = format!("pw groupadd {} -g {}", group.name, group.gid);
        self.command(command, |machine| accounts::add_group(machine, group))
    }

    fn delete_group(&self, name: &str) -> Result<(), HostError> {
        self.command(format!("pw groupdel {name}"), |machine| accounts::delete_group(machine, name))
    }

    fn add_user(&self, user: &User) -> Result<(), HostError> {
        let command = format!("pw useradd {} -u {}", user.name, user.uid);
        self.command(command, |machine| accounts::add_user(machine, user))
    }

    fn delete_user(&self, name: &str) -> Result<(), HostError> {
        self.command(format!("pw userdel {name}"), |machine| accounts::delete_user(machine, name))
    }

    fn load_module(&self, name: &str) -> Result<(), HostError> {
        self.command(format!("kldload -n {name}"), |machine| kernel::load_module(machine, name))
    }

    fn unload_module(&self, name: &str) -> Result<(), HostError> {
        self.command(format!("kldunload {name}"), |machine| kernel::unload_module(&mut machine.model, name))
    }

    fn set_sysctl(&self, name: &str, value: &str) -> Result<(), HostError> {
        self.change(&Change::Sysctl(name), |machine| {
            kernel::set_sysctl(&mut machine.model, name, value).map_err(|errno| kernel::sysctl_failed(name, errno))
        })
    }

    fn set_rc_variable(&self, name: &str, value: Option<&str>) -> Result<(), HostError> {
        self.processes.forget_rc_conf();
        let arguments = value.map_or_else(|| format!("-x {name}"), |value| format!("{name}={value}"));
        self.command(format!("sysrc {arguments}"), |machine| sysrc::set(machine, name, value))
    }

    fn install_package(&self, name: &str) -> Result<(), HostError> {
        self.command(format!("pkg install -y {name}"), |machine| packages::install(machine, name))
    }

    fn delete_package(&self, name: &str) -> Result<(), HostError> {
        // It looks first whether there is one.
        self.packages()?;
        self.command(format!("pkg delete -y {name}"), |machine| packages::delete(machine, name))
    }

    /// Only looks, so it neither counts against the faults nor advances the clock.
    fn front_test(&self, front: Front, config: &Path) -> Result<Output, HostError> {
        operation::starts(front.command);
        let machine = self.machine.borrow();
        if !machine.is_executable(Path::new(front.program)) {
            return Err(HostError::Start { command: front.program.into(), source: Errno::ENOENT.into() });
        }
        Ok(web_servers::test(&machine, front, config))
    }

    fn watch_ports(&self, ports: &[WatchedPort]) -> Result<Box<dyn PortWatch>, HostError> {
        let began = operation::aside(|| self.watches.borrow_mut().begin(&mut self.machine.borrow_mut(), ports))?;
        self.save()?;
        Ok(began)
    }

    fn service_action(&self, name: &str, action: ServiceAction) -> Result<(), HostError> {
        // What belongs to a handover of ports takes its own time.
        let time = match action {
            ServiceAction::ReloadNow | ServiceAction::Release => Duration::from_millis(5),
            _ => {
                operation::starts("service");
                Duration::from_secs(1)
            }
        };
        let what = Change::Command(format!("service {name} {}", action.verb()));
        let outcome = self.attempt_for(&what, time, |machine| services::act(machine, name, action));
        self.save()?;
        outcome
    }

    fn during(&self, name: &str, action: ServiceAction, meanwhile: Meanwhile<'_>) -> Result<(), HostError> {
        operation::starts("service");
        let what = Change::Command(format!("service {name} {}", action.verb()));
        let begun = self.attempt_for(&what, Duration::from_millis(5), |machine| services::begin(machine, name, action));
        let rest = || services::rest(&self.machine.borrow().model, name);
        let failed = begun.is_err();
        meanwhile(&|| failed || rest() == 0);
        let left = Duration::from_millis(rest());
        let ended = self.elapse(&mut self.machine.borrow_mut(), left);
        self.save()?;
        begun.and(ended)
    }

    fn run_as(&self, invocation: &Invocation, stop: Ask<'_>) -> Result<Output, HostError> {
        if let Some(hanging) = self.machine.borrow_mut().hanging(invocation, stop) {
            return Err(hanging);
        }
        let Invocation { program, arguments, .. } = invocation;
        go_on(stop).map_err(|source| HostError::Start { command: program.display().to_string(), source })?;
        let only_looks = match postgres::is_program(program) {
            true => postgres::only_looks(arguments),
            false => gotosocial_admin::only_looks(arguments),
        };
        operation::starts(child::EXEC.0);
        if !only_looks {
            let what = Change::Command(program.display().to_string());
            return self.change(&what, |machine| run(machine, invocation));
        }
        self.aside(|machine| run(machine, invocation))
    }

    fn run_watched(&self, invocation: &Invocation, tell: Tell<'_>) -> Result<Output, HostError> {
        operation::starts(child::EXEC.0);
        let what = Change::Command(invocation.program.display().to_string());
        self.change(&what, |machine| {
            for poll in 1..=machine.model.faults.polls_while_migrating {
                pass(machine, Duration::from_secs(2))?;
                tell(Duration::from_secs(2 * u64::from(poll)), Some("func=bundb.doMigration msg=\"migrating\""));
            }
            if machine.model.faults.migration_outlives {
                gotosocial_admin::outlive(machine, invocation)?;
                return Err(what.failed(Errno::EIO as i32));
            }
            run(machine, invocation)
        })
    }

    fn file_users(&self, path: &Path) -> Result<Vec<FileUser>, HostError> {
        operation::starts("fstat");
        if self.entry(path)?.is_none() {
            let why = format!("fstat: {}: No such file or directory", path.display());
            return Err(command_failed(format!("/usr/bin/fstat {}", path.display()), 1, why));
        }
        Ok(gotosocial_database::file_users(&self.machine.borrow(), path))
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
        let size = match self.entry(from)? {
            Some(Entry::File { size, .. }) => size,
            _ => 0,
        };
        let what = Change::File("copy to", to, Some(size));
        self.change(&what, |machine| machine.files.copy_file(from, whose, to, mode, owner, stop))
    }

    fn open_file(&self, path: &Path, whose: Whose) -> Result<Option<File>, HostError> {
        self.machine.borrow().files.open_file(path, whose)
    }

    fn build_file(&self, path: &Path, mode: u32, owner: Owner, build: Build<'_>) -> Result<(), HostError> {
        // `build` may ask this host something, so it runs before the machine is borrowed for the change.
        let mut built = || {
            let mut file = tempfile::tempfile_in(self.state_folder())?;
            build(&mut file)?;
            file.rewind()?;
            Ok((file.metadata()?.len(), file))
        };
        let (size, mut built) = built().map_err(HostError::file("write", path))?;
        self.change(&Change::File("write", path, Some(size)), |machine| {
            machine.files.build_file(path, mode, owner, &mut |file| io::copy(&mut built, file).map(drop))
        })
    }

    /// Only looks, so it neither counts against the faults nor advances the clock.
    fn examine_database(&self, examination: &DatabaseExamination, stop: Ask<'_>) -> Result<DatabaseState, HostError> {
        operation::starts("examine");
        go_on(stop).map_err(HostError::file("open", &examination.path))?;
        self.aside(|machine| gotosocial_database::examine(machine, examination))
    }

    /// The lock is next to the state; `path` is not used. Once it is held, the state that another command may have
    /// left is read again.
    fn lock(&self, _path: &Path, note: &str) -> Result<Box<dyn Any>, HostError> {
        let lock = lock::take(&self.state_folder().join("lock"), note)?;
        self.reload()?;
        Ok(Box::new(lock))
    }

    fn sleep(&self, time: Duration) {
        // A wait of no time advances the clock as well: a poll must come to an end.
        let passed = self.elapse(&mut self.machine.borrow_mut(), time.max(Duration::from_millis(1)));
        if self.machine.borrow().model.faults.waits_last {
            std::thread::sleep(time);
        }
        // Waiting cannot fail. The next change reports a state that cannot be written.
        let _ = passed.and_then(|()| self.save());
    }
}
