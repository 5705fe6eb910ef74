//! Services: changed with service(8), and told from the processes where that is certain.
//!
//! `service NAME onestatus` starts a shell, which loads rc.subr(8) and the configuration and starts ten other processes. What
//! it would say of three services is known beforehand: of GoToSocial by the rules of its rc.d script, if that is the one that
//! this program installs, and of the web servers by those of `check_pidfile` in rc.subr(8). Where anything is
//! otherwise (another script, a file in rc.conf.d, a web server that runs and is not the one of the pid file, as with
//! profiles or in a service jail) service(8) is asked.

mod gotosocial;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::command::{Commands, Finished};
use super::rc;
use crate::front::Front;
use crate::gotosocial::SERVICE;
use crate::host::files::Root;
use crate::host::{HostError, Owner, Process, ServiceAction, ServiceState, Supervision};

const SERVICE_COMMAND: &str = "/usr/sbin/service";

/// The variable for the folder in which rc.d/gotosocial has its pid files, and where that is if it is not set.
pub(super) const RUNDIR: (&str, &str) = ("gotosocial_rundir", "/var/run/gotosocial");
/// While this file is in it, what the script starts waits before it becomes GoToSocial.
const HOLD: &str = "held";

/// The output of service(8), with exit status 1, if there is no script; seen on 13.2.
const MISSING: &str = "does not exist in /etc/rc.d";

/// Where service(8) looks for scripts before the folders of this variable, and its default.
const SCRIPTS: &str = "/etc/rc.d";
const LOCAL_SCRIPTS: (&str, &str) = ("local_startup", "/usr/local/etc/rc.d");

/// The services of a system with these processes.
pub(super) struct Services<'a> {
    pub(super) commands: &'a Commands,
    pub(super) rc: &'a rc::Variables,
    pub(super) processes: &'a [Process],
}

impl Services<'_> {
    /// The result of `onestatus`; `one` because a service that is not enabled can still run.
    pub(super) fn state(&self, name: &str) -> Result<ServiceState, HostError> {
        if name == SERVICE {
            return Ok(match self.supervision(name)? {
                Supervision::Missing => ServiceState::Missing,
                Supervision::Running { pid, .. } | Supervision::Orphan { pid } => ServiceState::Running { pid },
                _ => ServiceState::Stopped,
            });
        }
        let Some(front) = Front::ALL.into_iter().find(|front| front.service == name) else {
            return Ok(told(&self.ask(name)?));
        };
        if self.script(name)?.is_none() {
            return Ok(ServiceState::Missing);
        }
        self.front(front)?.map_or_else(|| Ok(told(&self.ask(name)?)), Ok)
    }

    /// The result of `onestatus`, from the messages of GoToSocial's rc.d script (`gotosocial_status` in rc.d/gotosocial).
    pub(super) fn supervision(&self, name: &str) -> Result<Supervision, HostError> {
        let Some(script) = self.script(name)? else { return Ok(Supervision::Missing) };
        let is_known = name == SERVICE && !self.has_file_of_its_own(name)? && gotosocial::is_our_script(&script);
        if is_known { gotosocial::look(self) } else { Ok(supervised(&self.ask(name)?)) }
    }

    fn ask(&self, name: &str) -> Result<Finished, HostError> {
        self.commands.run(SERVICE_COMMAND, &[name, "onestatus"])
    }

    /// A variable; `None` also if it is empty.
    fn variable(&self, name: &str) -> Result<Option<String>, HostError> {
        Ok(self.rc.get(self.commands, name)?.filter(|value| !value.is_empty()))
    }

    fn local_folders(&self) -> Result<Vec<String>, HostError> {
        let folders = self.variable(LOCAL_SCRIPTS.0)?.unwrap_or_else(|| LOCAL_SCRIPTS.1.to_owned());
        Ok(folders.split_whitespace().map(str::to_owned).collect())
    }

    /// The script that service(8) runs.
    fn script(&self, name: &str) -> Result<Option<PathBuf>, HostError> {
        let folders = std::iter::once(SCRIPTS.to_owned()).chain(self.local_folders()?);
        Ok(folders.map(|folder| self.commands.local(folder.as_ref()).join(name)).find(|script| {
            let is_executable = |it: fs::Metadata| it.is_file() && it.permissions().mode() & 0o111 != 0;
            fs::metadata(script).is_ok_and(is_executable)
        }))
    }

    /// Whether there are variables for this service alone (`load_rc_config` in rc.subr(8)), which the others here do not know.
    fn has_file_of_its_own(&self, name: &str) -> Result<bool, HostError> {
        let local = self.local_folders()?;
        let folders = local.iter().map(|folder| folder.strip_suffix("/rc.d").unwrap_or(folder));
        let mut files = std::iter::once("/etc").chain(folders).map(|folder| format!("{folder}/rc.conf.d/{name}"));
        Ok(files.any(|file| self.commands.local(file.as_ref()).symlink_metadata().is_ok()))
    }

    /// The process that read the list.
    fn itself(&self) -> Option<&Process> {
        self.processes.iter().find(|process| process.pid == std::process::id())
    }

    /// `check_pidfile` and `_find_processes` of rc.subr(8) with the pid file and the program of a web server. `None` if its
    /// script may see it differently: variables give it another program or other pid files, or the process is in a jail.
    fn front(&self, front: Front) -> Result<Option<ServiceState>, HostError> {
        let mut is_as_usual = !self.has_file_of_its_own(front.service)?;
        for variable in ["program", "profiles"] {
            is_as_usual &= self.variable(&format!("{}_{variable}", front.service))?.is_none();
        }
        Ok(if is_as_usual { self.usual_front(front) } else { None })
    }

    fn usual_front(&self, front: Front) -> Option<ServiceState> {
        let short = front.program.rsplit('/').next().unwrap_or(front.program);
        let names = [front.program, short, &format!("{short}:"), &format!("({short})"), &format!("[{short}]")];
        let is_it = |process: &&Process| process.command.split(' ').next().is_some_and(|first| names.contains(&first));
        if !self.processes.iter().any(|process| is_it(&process)) {
            return Some(ServiceState::Stopped);
        }
        let text = fs::read(self.commands.local(front.pid_file.as_ref())).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let pid: u32 = text.lines().next()?.split_whitespace().next()?.parse().ok()?;
        let running = self.processes.iter().filter(is_it).find(|process| process.pid == pid)?;
        (running.jail == self.itself()?.jail).then_some(ServiceState::Running { pid: Some(pid) })
    }
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
    let finished = commands.run(SERVICE_COMMAND, &[name, verb])?;
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
    // In one step, as nobody sweeps this folder.
    files.append_file(&rundir.join(HOLD), b"")?;
    act(commands, name, ServiceAction::StartHeld)
}

/// Ends that wait.
pub(super) fn release(files: &Root, rundir: &Path) -> Result<(), HostError> {
    files.remove(&rundir.join(HOLD))
}

/// Sends a web server's first process what has it read its configuration again. Where that process is not certain, the script
/// does it.
pub(super) fn signal(services: &Services<'_>, name: &str) -> Result<(), HostError> {
    let front = Front::ALL.into_iter().find(|front| front.service == name);
    let certain = front.and_then(|front| {
        let Ok(Some(ServiceState::Running { pid: Some(pid) })) = services.front(front) else { return None };
        Some((Pid::from_raw(pid.try_into().ok()?), Signal::from_str(front.reload_signal).ok()?))
    });
    // One that has just gone is the script's to tell, too.
    match certain.map(|(pid, signal)| kill(pid, signal)) {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) | None => act(services.commands, name, ServiceAction::Reload),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::super::stand_in::StandIns;
    use super::*;
    use crate::host::{Host, Observe};

    // The output of service(8) is as seen on FreeBSD 13.2, unless noted otherwise.

    fn ask(tools: &StandIns) -> Finished {
        tools.commands().run(SERVICE_COMMAND, &["any", "onestatus"]).unwrap()
    }

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
            tools.says(SERVICE_COMMAND, words, status);
            assert_eq!(told(&ask(&tools)), expected, "{words}");
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
                "gotosocial: only root can tell whether it runs on this host (the kernel hides the processes of others).",
                1,
                Supervision::Hidden,
            ),
            ("gotosocial is not running.", 1, Supervision::Stopped),
        ];
        for (words, status, expected) in cases {
            tools.says(SERVICE_COMMAND, words, status);
            assert_eq!(supervised(&ask(&tools)), expected, "{words}");
        }
    }

    #[test]
    fn stopping_is_done_whether_enabled_or_not() {
        let tools = StandIns::new();
        tools.keeps(SERVICE_COMMAND);
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
        tools.says(SERVICE_COMMAND, words, 0);
        let error = act(&tools.commands(), "cron", ServiceAction::Start).unwrap_err().to_string();
        assert!(error.contains("cron_enable to YES"), "{error}");
        tools.says(SERVICE_COMMAND, NO_SCRIPT, 1);
        assert!(act(&tools.commands(), "gotosocial", ServiceAction::Start).is_err());
        assert!(act(&tools.commands(), "gotosocial", ServiceAction::Stop).is_err());
    }

    #[test]
    fn stopping_what_does_not_run_is_no_error() {
        let tools = StandIns::new();
        // rc.subr(8), _run_rc_notrunning.
        tools.says(SERVICE_COMMAND, "gotosocial not running? (check /var/run/gotosocial/gotosocial.pid).", 1);
        act(&tools.commands(), "gotosocial", ServiceAction::Stop).unwrap();
        assert!(act(&tools.commands(), "gotosocial", ServiceAction::Reload).is_err());
        tools.says(SERVICE_COMMAND, "gotosocial already running?  (pid=665).", 1);
        assert!(act(&tools.commands(), "gotosocial", ServiceAction::Start).is_err());
    }

    const MASTER: &str = "901 1 0 0 0 0 50 nginx: master process /usr/local/sbin/nginx";

    /// A system with scripts for these services, these processes, and a service(8) that says that 7 runs.
    fn with(names: &[&str], processes: &str) -> StandIns {
        let tools = StandIns::new();
        names.iter().for_each(|name| tools.add(&format!("/usr/local/etc/rc.d/{name}"), "exit 9"));
        tools.runs(processes);
        tools.has_rc_conf("");
        tools.says(SERVICE_COMMAND, "any is running as pid 7.", 0);
        tools
    }

    fn put(tools: &StandIns, path: &str, text: &str) {
        fs::create_dir_all(tools.path(path).parent().unwrap()).unwrap();
        fs::write(tools.path(path), text).unwrap();
    }

    fn state(tools: &StandIns, name: &str) -> ServiceState {
        tools.host().service(name).unwrap()
    }

    fn running(pid: u32) -> ServiceState {
        ServiceState::Running { pid: Some(pid) }
    }

    #[test]
    fn a_web_server_is_told_by_its_pid_file_and_its_process() {
        let tools = with(&["nginx", "apache24"], &format!("{MASTER}\n902 901 80 80 80 0 50 nginx: worker process"));
        put(&tools, "/var/run/nginx.pid", "901\n");
        assert_eq!(state(&tools, "nginx"), running(901));
        assert_eq!(state(&tools, "apache24"), ServiceState::Stopped);
        tools.runs("77 1 0 0 0 0 50 /usr/local/sbin/httpd -DNOHTTPACCEPT");
        assert_eq!(state(&tools, "nginx"), ServiceState::Stopped);
        put(&tools, "/var/run/httpd.pid", "77");
        assert_eq!(state(&tools, "apache24"), running(77));
        fs::remove_file(tools.path("/usr/local/etc/rc.d/apache24")).unwrap();
        assert_eq!(state(&tools, "apache24"), ServiceState::Missing);
    }

    #[test]
    fn a_web_server_is_signalled_only_where_its_first_process_is_certain() {
        let mut master = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let tools = with(&["nginx"], &format!("{} 1 0 0 0 0 50 nginx: master process", master.id()));
        tools.keeps(SERVICE_COMMAND);
        // The number of some other process.
        put(&tools, "/var/run/nginx.pid", &std::process::id().to_string());
        tools.host().service_action("nginx", ServiceAction::ReloadNow).unwrap();
        assert_eq!(tools.arguments(), ["nginx", "onereload"]);
        fs::remove_file(tools.path("arguments")).unwrap();
        put(&tools, "/var/run/nginx.pid", &master.id().to_string());
        tools.host().service_action("nginx", ServiceAction::ReloadNow).unwrap();
        assert_eq!(master.wait().unwrap().signal(), Some(Signal::SIGHUP as i32));
        assert!(!tools.path("arguments").exists(), "the script was run, too");
    }

    #[test]
    fn a_start_is_held_by_a_file_in_the_folder_of_pid_files() {
        let tools = StandIns::new();
        tools.keeps(SERVICE_COMMAND);
        fs::create_dir_all(tools.path("/var/run")).unwrap();
        fs::create_dir_all(tools.path("/other")).unwrap();
        for (setting, held) in [("", "/var/run/gotosocial/held"), ("/other/run", "/other/run/held")] {
            tools.has_rc_conf(&format!("gotosocial_rundir='{setting}'"));
            tools.host().service_action(SERVICE, ServiceAction::StartHeld).unwrap();
            assert_eq!(tools.arguments(), [SERVICE, "start"]);
            assert!(tools.path(held).exists(), "{held}");
            tools.host().service_action(SERVICE, ServiceAction::Release).unwrap();
            assert!(!tools.path(held).exists(), "{held}");
        }
    }

    #[test]
    fn something_is_done_while_a_service_stops_and_its_failure_is_told() {
        let tools = StandIns::new();
        tools.add(SERVICE_COMMAND, "sleep 1; echo broken >&2; exit 3");
        let mut seen = Vec::new();
        let failed = tools.host().during("nginx", ServiceAction::Stop, &mut |is_over| {
            seen.push(is_over());
            while !is_over() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            seen.push(is_over());
        });
        assert_eq!(seen, [false, true]);
        assert!(failed.unwrap_err().to_string().contains("broken"));
    }

    /// Everything else is service(8)'s to tell.
    #[test]
    fn in_doubt_service_is_asked() {
        let tools = with(&["nginx", "other"], MASTER);
        assert_eq!(state(&tools, "other"), running(7));
        for text in ["", "x", "902", "9011"] {
            put(&tools, "/var/run/nginx.pid", text);
            assert_eq!(state(&tools, "nginx"), running(7), "{text}");
        }
        put(&tools, "/var/run/nginx.pid", "901");
        assert_eq!(state(&tools, "nginx"), running(901));
        tools.runs(&MASTER.replace(" 0 50 ", " 4 50 "));
        assert_eq!(state(&tools, "nginx"), running(7));
        // A process of another name has the number.
        tools.runs("901 1 0 0 0 0 50 nginxd\n902 1 0 0 0 0 50 (nginx)");
        assert_eq!(state(&tools, "nginx"), running(7));
    }

    #[test]
    fn a_web_server_with_settings_of_its_own_is_service_s_to_tell() {
        let tools = with(&["nginx", "apache24"], "");
        for name in ["nginx", "apache24"] {
            assert_eq!(state(&tools, name), ServiceState::Stopped);
            for setting in ["program=/opt/server", "profiles='one two'"] {
                tools.has_rc_conf(&format!("{name}_{setting}"));
                assert_eq!(state(&tools, name), running(7), "{name} {setting}");
            }
            tools.has_rc_conf("");
            assert_eq!(state(&tools, name), ServiceState::Stopped);
            put(&tools, &format!("/usr/local/etc/rc.conf.d/{name}"), "");
            assert_eq!(state(&tools, name), running(7));
        }
    }

    #[test]
    fn an_rc_conf_that_cannot_be_read_stops_no_service() {
        let tools = with(&["nginx", SERVICE], MASTER);
        fs::write(tools.path("/usr/local/etc/rc.d/gotosocial"), include_str!("../../../rc.d/gotosocial")).unwrap();
        put(&tools, "/var/run/nginx.pid", "901");
        tools.add("/bin/sh", "echo 'Unterminated quoted string' >&2; exit 2");
        for name in ["nginx", "apache24", SERVICE] {
            let error = tools.host().service(name).unwrap_err().to_string();
            assert!(error.contains("Unterminated quoted string"), "{error}");
        }
        assert!(tools.host().supervision(SERVICE).is_err());
    }

    #[test]
    fn gotosocial_is_told_by_the_rules_of_its_own_script_alone() {
        let me = std::process::id();
        let server = format!(
            "5 {me} 0 0 0 0 60 daemon: gotosocial[6] (daemon)\n6 5 0 0 0 0 55 /opt/gts --config-path /c.yaml server start"
        );
        let tools = with(&["gotosocial"], &server);
        let path = "/usr/local/etc/rc.d/gotosocial";
        let supervision = || tools.host().supervision(SERVICE).unwrap();
        // Another script than ours.
        assert_eq!(supervision(), Supervision::Running { pid: Some(7), seconds: None });
        fs::write(tools.path(path), include_str!("../../../rc.d/gotosocial")).unwrap();
        assert_eq!(supervision(), Supervision::Stopped);
        assert_eq!(state(&tools, SERVICE), ServiceState::Stopped);
        let settings =
            "gotosocial_runas=root; gotosocial_binary=/opt/gts; gotosocial_config=/c.yaml; gotosocial_rundir=";
        tools.has_rc_conf(settings);
        assert_eq!(supervision(), Supervision::Running { pid: Some(6), seconds: Some(55) });
        assert_eq!(state(&tools, SERVICE), running(6));
        // Variables that only the script reads.
        put(&tools, "/usr/local/etc/rc.conf.d/gotosocial", "gotosocial_binary=/other");
        assert_eq!(supervision(), Supervision::Running { pid: Some(7), seconds: None });
        fs::remove_file(tools.path(path)).unwrap();
        assert_eq!(supervision(), Supervision::Missing);
        assert_eq!(state(&tools, SERVICE), ServiceState::Missing);
    }

    #[test]
    fn scripts_are_looked_for_where_service_does() {
        let tools = with(&[], "");
        assert_eq!(state(&tools, "nginx"), ServiceState::Missing);
        tools.add("/opt/rc.d/nginx", "exit 9");
        assert_eq!(state(&tools, "nginx"), ServiceState::Missing);
        tools.has_rc_conf("local_startup='/usr/local/etc/rc.d /opt/rc.d'");
        assert_eq!(state(&tools, "nginx"), ServiceState::Stopped);
        fs::set_permissions(tools.path("/opt/rc.d/nginx"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(state(&tools, "nginx"), ServiceState::Missing);
        tools.add("/etc/rc.d/nginx", "exit 9");
        assert_eq!(state(&tools, "nginx"), ServiceState::Stopped);
    }
}
