//! An attempt to change a rehearsal: the faults it is set to have, what no user or file allows, and the time it takes.

use std::io;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use crate::certificate::{Bundle, BundleError};
use crate::host::HostError;
use crate::operation::{self, Operation};
use crate::sysconf::rc_conf::FILES;

use super::machine::{Machine, command_failed};
use super::{ChangeFault, Model, Rehearsal, authority, gotosocial, kernel, services};

/// A change, for the errors that it can be made to fail with.
pub(super) enum Change<'a> {
    /// A file operation: its verb, its path, and the number of bytes that it writes, if it writes.
    File(&'static str, &'a Path, Option<u64>),
    /// A sysctl.
    Sysctl(&'a str),
    /// A command of the base system.
    Command(String),
}

impl Change<'_> {
    pub(super) fn failed(&self, errno: i32) -> HostError {
        let source = io::Error::from_raw_os_error(errno);
        match self {
            Self::File(action, path, _) => HostError::File { action, path: path.to_path_buf(), source },
            Self::Sysctl(name) => HostError::Sysctl { name: (*name).to_string(), source },
            Self::Command(command) => command_failed(command, 1, kernel::words(Errno::from_raw(errno))),
        }
    }

    /// The error if any change of this kind fails now: no privilege, no space.
    fn refused(&self, model: &Model) -> Option<HostError> {
        let errno = match self {
            Self::File(..) if model.euid != 0 => Errno::EACCES,
            _ if model.euid != 0 => Errno::EPERM,
            Self::File(_, _, Some(bytes)) if model.faults.disk_full || *bytes > model.free_bytes => Errno::ENOSPC,
            _ => return None,
        };
        Some(self.failed(errno as i32))
    }
}

pub(super) type Done<T> = Result<T, HostError>;

impl Rehearsal {
    /// Makes one change: counts it against the faults, lets a second pass, and saves the result.
    pub(super) fn change<T>(&self, what: &Change<'_>, make: impl FnOnce(&mut Machine) -> Done<T>) -> Done<T> {
        if matches!(what, Change::File(_, path, _) if FILES.iter().any(|file| *path == Path::new(file))) {
            self.processes.forget_rc_conf();
        }
        let outcome = self.attempt(what, make);
        self.save()?;
        outcome
    }

    /// Runs a command of the base system.
    pub(super) fn command<T>(&self, command: String, run: impl FnOnce(&mut Machine) -> Done<T>) -> Done<T> {
        operation::starts(command.split(' ').next().unwrap_or_default());
        self.change(&Change::Command(command), run)
    }

    /// Has the authority issue a certificate, which counts as a change.
    pub(super) fn issue_counted(&self, name: &str) -> Done<Result<Bundle, BundleError>> {
        self.command(format!("ACME order for {name}"), |machine| Ok(authority::issue(machine, name)))
    }

    pub(super) fn attempt<T>(&self, what: &Change<'_>, make: impl FnOnce(&mut Machine) -> Done<T>) -> Done<T> {
        self.attempt_for(what, Duration::from_secs(1), make)
    }

    /// The same for a change that takes so long.
    pub(super) fn attempt_for<T>(
        &self,
        what: &Change<'_>,
        time: Duration,
        make: impl FnOnce(&mut Machine) -> Done<T>,
    ) -> Done<T> {
        let machine = &mut *self.machine.borrow_mut();
        if let Change::File(_, path, _) = what
            && machine.model.immutable.contains(*path)
        {
            return Err(what.failed(Errno::EPERM as i32));
        }
        let mut failure = None;
        match &mut machine.model.faults.change {
            Some(fault) if fault.after > 0 => fault.after -= 1,
            Some(fault) => {
                let ChangeFault { takes_effect, lasting, errno, .. } = *fault;
                fault.takes_effect = false;
                if !lasting {
                    machine.model.faults.change = None;
                }
                if !takes_effect {
                    return Err(what.failed(errno));
                }
                failure = Some(what.failed(errno));
            }
            None => {}
        }
        if let Some(refusal) = what.refused(&machine.model) {
            return Err(refusal);
        }
        let command = match what {
            Change::File(..) => None,
            Change::Sysctl(name) => Some(format!("sysctl {name}")),
            Change::Command(command) => Some(command.clone()),
        };
        let made = if let Some(command) = command {
            operation::about_to(Operation::Command, || command.into())
                .map_err(|error| what.failed(error.raw_os_error().unwrap_or(Errno::EPERM as i32)))?;
            operation::aside(|| make(machine))?
        } else {
            make(machine)?
        };
        self.elapse(machine, time)?;
        failure.map_or(Ok(made), Err)
    }

    /// Lets time pass, from one event to the next, while somebody may watch.
    pub(super) fn elapse(&self, machine: &mut Machine, time: Duration) -> Done<()> {
        let end = machine.model.now() + u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        loop {
            let now = machine.model.now();
            let next = machine.model.next_event().filter(|at| *at < end).unwrap_or(end);
            let span = Duration::from_millis(next - now);
            operation::aside(|| self.watches.borrow_mut().pass(machine, span))?;
            pass(machine, span)?;
            if next == end {
                return Ok(());
            }
        }
    }
}

/// Lets time pass, and with it what happens on its own.
pub(super) fn pass(machine: &mut Machine, time: Duration) -> Result<(), HostError> {
    let model = &mut machine.model;
    let millis = model.millis + u64::from(time.subsec_millis());
    model.clock += time.as_secs() + millis / 1000;
    model.millis = millis % 1000;
    operation::aside(|| {
        services::tick(machine)?;
        gotosocial::tick(machine)
    })
}
