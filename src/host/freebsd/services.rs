//! Services, with service(8).

use std::path::Path;
use std::str::FromStr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::command::{Commands, Finished};
use crate::front::Front;
use crate::host::files::Root;
use crate::host::{HostError, Owner, ServiceAction, ServiceState, Supervision, Whose};

const COMMAND: &str = "/usr/sbin/service";

/// The variable for the folder in which rc.d/gotosocial has its pid files, and where that is if it is not set.
pub(super) const RUNDIR: (&str, &str) = ("gotosocial_rundir", "/var/run/gotosocial");
/// While this file is in it, what the script starts waits before it becomes GoToSocial.
const HOLD: &str = "held";

/// The output of service(8), with exit status 1, if there is no script; seen on 13.2.
const MISSING: &str = "does not exist in /etc/rc.d";

/// The result of `onestatus`; `one` because a service that is not enabled can still run.
pub(super) fn state(commands: &Commands, name: &str) -> Result<ServiceState, HostError> {
    Ok(told(&commands.run(COMMAND, &[name, "onestatus"])?))
}

fn told(finished: &Finished) -> ServiceState {
    const AS_PID: &str = " is running as pid ";
    if finished.says(MISSING) {
        return ServiceState::Missing;
    }
    // A script may have its own messages for its state. The exit status is common to all.
    let succeeded = finished.code() == Some(0) && !finished.says("is not running");
    if succeeded || finished.stdout.contains(AS_PID) {
        ServiceState::Running { pid: number_after(finished, AS_PID) }
    } else {
        ServiceState::Stopped
    }
}

fn number_after<N: FromStr>(finished: &Finished, words: &str) -> Option<N> {
    let (_, after) = finished.stdout.split_once(words)?;
    after.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// The same, from the messages of GoToSocial's rc.d script (`gotosocial_status` in rc.d/gotosocial).
pub(super) fn supervision(commands: &Commands, name: &str) -> Result<Supervision, HostError> {
    Ok(supervised(&commands.run(COMMAND, &[name, "onestatus"])?))
}

fn supervised(finished: &Finished) -> Supervision {
    match told(finished) {
        ServiceState::Missing => Supervision::Missing,
        ServiceState::Running { pid } if finished.says(" WITHOUT its supervisor") => Supervision::Orphan { pid },
        ServiceState::Running { pid } => Supervision::Running { pid, seconds: number_after(finished, " (since ") },
        ServiceState::Stopped if finished.says("only root can tell") => Supervision::Hidden,
        ServiceState::Stopped if finished.says("is about to start it again") => Supervision::Restarting,
        ServiceState::Stopped if finished.says("it is being stopped") => Supervision::Stopping,
        ServiceState::Stopped => Supervision::Stopped,
    }
}

/// Starts, stops or reloads a service. Stopping one that does not run is not an error.
pub(super) fn act(commands: &Commands, name: &str, action: ServiceAction) -> Result<(), HostError> {
    let verb = action.verb();
    let finished = commands.run(COMMAND, &[name, verb])?;
    // rc.subr(8) for a service that is not enabled: "Cannot 'start' NAME. Set NAME_enable to YES …", exit status 0.
    if finished.says(&format!("Cannot '{verb}'")) {
        return Err(finished.failure());
    }
    match action {
        ServiceAction::Stop => finished.unless(1, " not running?").map(drop),
        _ => finished.succeeded().map(drop),
    }
}

/// Starts a service up to the moment before its program is run, which waits for [`release`].
pub(super) fn start_held(commands: &Commands, files: &Root, name: &str, rundir: &Path) -> Result<(), HostError> {
    files.make_directory(rundir, 0o755, Owner::ROOT)?;
    files.write_file(&rundir.join(HOLD), b"", 0o644, Owner::ROOT)?;
    act(commands, name, ServiceAction::StartHeld)
}

/// Ends that wait.
pub(super) fn release(files: &Root, rundir: &Path) -> Result<(), HostError> {
    files.remove(&rundir.join(HOLD))
}

/// Sends a web server's first process, by the number that it has written down, what has it read its configuration again.
pub(super) fn signal(files: &Root, name: &str) -> Result<(), HostError> {
    let front = Front::ALL.into_iter().find(|front| front.service == name);
    let Some((front, signal)) = front.and_then(|front| Some((front, Signal::from_str(front.reload_signal).ok()?)))
    else {
        return Err(HostError::unreadable(name, "it is no web server, and knows no signal"));
    };
    let file = Path::new(front.pid_file);
    let text = files.read_from(file, Whose::ROOT, 0, 32)?.unwrap_or_default();
    let pid = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()).filter(|pid| *pid > 1);
    let Some(pid) = pid else { return Err(HostError::unreadable(front.pid_file, "there is no process number in it")) };
    kill(Pid::from_raw(pid), signal).map_err(|errno| HostError::File {
        action: "signal the process of",
        path: file.to_owned(),
        source: errno.into(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;

    // The output of service(8) is as seen on FreeBSD 13.2, unless noted otherwise.

    const NO_SCRIPT: &str = "gotosocial does not exist in /etc/rc.d or the local startup\n\
                             directories (/usr/local/etc/rc.d), or is not executable";

    #[test]
    fn a_state_is_told() {
        let tools = StandIns::new();
        let cases = [
            (NO_SCRIPT, 1, ServiceState::Missing),
            ("syslogd is running as pid 413.", 0, ServiceState::Running { pid: Some(413) }),
            // The master and the workers of a web server.
            ("nginx is running as pid 901 902 903.", 0, ServiceState::Running { pid: Some(901) }),
            ("apache24 is running as pid 1234.", 0, ServiceState::Running { pid: Some(1234) }),
            ("apache24 is not running.", 1, ServiceState::Stopped),
            ("gotosocial is not running.", 1, ServiceState::Stopped),
            // Scripts with their own status messages.
            ("ipfw is enabled", 0, ServiceState::Running { pid: None }),
            ("ipfw is disabled", 1, ServiceState::Stopped),
            ("something is not running.", 0, ServiceState::Stopped),
        ];
        for (words, status, expected) in cases {
            tools.says(COMMAND, words, status);
            assert_eq!(state(&tools.commands(), "any").unwrap(), expected, "{words}");
        }
    }

    /// The messages of rc.d/gotosocial, which tests/rc.d provokes one by one.
    #[test]
    fn program_and_supervisor_are_told_apart() {
        let tools = StandIns::new();
        let cases = [
            (NO_SCRIPT, 1, Supervision::Missing),
            (
                "gotosocial is running as pid 501 (since 86461 s).",
                0,
                Supervision::Running { pid: Some(501), seconds: Some(86_461) },
            ),
            (
                "gotosocial is running as pid 501 WITHOUT its supervisor: it is not restarted when it dies and its output is \
                 lost. Correct it with: service gotosocial stop; service gotosocial start",
                0,
                Supervision::Orphan { pid: Some(501) },
            ),
            (
                "gotosocial is not running: it died, and its supervisor (pid 500) is about to start it again. Why is in \
                 /var/log/gotosocial/gotosocial.log. To end that: service gotosocial stop",
                1,
                Supervision::Restarting,
            ),
            (
                "gotosocial is not running: it is being stopped (supervisor pid 500). If nobody is stopping it any more: \
                 service gotosocial stop",
                1,
                Supervision::Stopping,
            ),
            (
                "gotosocial: only root can tell whether it runs on this host (security.bsd.see_other_uids is 0).",
                1,
                Supervision::Hidden,
            ),
            ("gotosocial is not running.", 1, Supervision::Stopped),
        ];
        for (words, status, expected) in cases {
            tools.says(COMMAND, words, status);
            assert_eq!(supervision(&tools.commands(), "gotosocial").unwrap(), expected, "{words}");
        }
    }

    #[test]
    fn stopping_is_done_whether_enabled_or_not() {
        let tools = StandIns::new();
        tools.keeps(COMMAND);
        for (action, verb) in [
            (ServiceAction::Start, "start"),
            (ServiceAction::StartOnce, "onestart"),
            (ServiceAction::Stop, "onestop"),
            (ServiceAction::Reload, "onereload"),
        ] {
            act(&tools.commands(), "gotosocial", action).unwrap();
            assert_eq!(tools.arguments(), ["gotosocial", verb]);
        }
    }

    #[test]
    fn a_service_that_is_not_enabled_or_not_there_is_not_started() {
        let tools = StandIns::new();
        let words = "Cannot 'start' cron. Set cron_enable to YES in /etc/rc.conf or use 'onestart' instead of 'start'.";
        tools.says(COMMAND, words, 0);
        let error = act(&tools.commands(), "cron", ServiceAction::Start).unwrap_err().to_string();
        assert!(error.contains("cron_enable to YES"), "{error}");
        tools.says(COMMAND, NO_SCRIPT, 1);
        assert!(act(&tools.commands(), "gotosocial", ServiceAction::Start).is_err());
        assert!(act(&tools.commands(), "gotosocial", ServiceAction::Stop).is_err());
    }

    #[test]
    fn stopping_what_does_not_run_is_no_error() {
        let tools = StandIns::new();
        // rc.subr(8), _run_rc_notrunning.
        tools.says(COMMAND, "gotosocial not running? (check /var/run/gotosocial/gotosocial.pid).", 1);
        act(&tools.commands(), "gotosocial", ServiceAction::Stop).unwrap();
        assert!(act(&tools.commands(), "gotosocial", ServiceAction::Reload).is_err());
        tools.says(COMMAND, "gotosocial already running?  (pid=665).", 1);
        assert!(act(&tools.commands(), "gotosocial", ServiceAction::Start).is_err());
    }
}
