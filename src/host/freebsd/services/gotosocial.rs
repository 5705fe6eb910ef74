//! GoToSocial and its supervisor, by the rules of `gts_look` and `gotosocial_status` in rc.d/gotosocial: who runs is told by
//! the process table, as a pid file can be stale, or gone too early.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::unistd::geteuid;

use super::Services;
use crate::gotosocial::SERVICE;
use crate::host::freebsd::{accounts, sysctls};
use crate::host::{HostError, Process, Supervision, hides_others};

const ROOT: u32 = 0;

/// Whether a script is the one that this program installs. Another one may know other rules.
pub(super) fn is_our_script(script: &Path) -> bool {
    fs::read(script).is_ok_and(|text| text == include_bytes!("../../../../rc.d/gotosocial"))
}

/// What the script says of a user's view of the processes.
pub(super) fn look(services: &Services<'_>) -> Result<Supervision, HostError> {
    let is_root = geteuid().is_root();
    if !is_root && hides_others(&sysctls::value)? {
        return Ok(Supervision::Hidden);
    }
    let setting = |name: &str, default: &str| {
        let value = services.variable(&format!("{SERVICE}_{name}"))?;
        Ok::<_, HostError>(value.unwrap_or(default.to_owned()))
    };
    let folder = setting("rundir", "/var/run/gotosocial")?;
    let local = |name: &str| services.commands.local(folder.as_ref()).join(name);
    let binary = setting("binary", "/usr/local/libexec/gotosocial/current/gotosocial")?;
    let config = setting("config", "/usr/local/etc/gotosocial/config.yaml")?;
    let pid_file = local("daemon.pid");
    let seen = Seen {
        uid: uid_of(&setting("runas", "gotosocial")?)?,
        command: format!("{binary} --config-path {config} server start"),
        // Others than root cannot read the pid file, and trust the title.
        known: if is_root {
            Known::These(pid_of_root(&local(""), &pid_file))
        } else {
            Known::any_if(pid_file.exists())
        },
        is_held: local("stopping").exists(),
    };
    Ok(seen.among(services.processes, services.itself()))
}

/// `id -u`, which takes a number for a name first.
fn uid_of(account: &str) -> Result<Option<u32>, HostError> {
    let found = accounts::user(account)?;
    let found = found.map_or_else(|| account.parse().map_or(Ok(None), accounts::user_by_id), |user| Ok(Some(user)))?;
    Ok(found.map(|user| user.uid))
}

/// The number in the pid file, if only root can have written it.
fn pid_of_root(folder: &Path, file: &Path) -> Option<u32> {
    let is_roots = |path: &Path, is_right: fn(&fs::Metadata) -> bool| {
        let found = path.symlink_metadata().ok();
        found.is_some_and(|it| it.uid() == ROOT && it.permissions().mode() & 0o022 == 0 && is_right(&it))
    };
    // Without the slash at its end, behind which a link would be followed.
    let folder = folder.components().as_path();
    (is_roots(folder, fs::Metadata::is_dir) && is_roots(file, |it| it.is_file() && it.nlink() == 1))
        .then(|| fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok())?
}

/// The supervisors that are known by more than their title.
enum Known {
    /// All with the title.
    Any,
    /// This one, or none.
    These(Option<u32>),
}

impl Known {
    fn any_if(any: bool) -> Self {
        if any { Self::Any } else { Self::These(None) }
    }

    fn has(&self, pid: u32) -> bool {
        matches!(self, Self::Any) || matches!(self, Self::These(Some(known)) if *known == pid)
    }
}

/// What tells the server and its supervisor among the processes.
struct Seen {
    /// The account; `None`: there is none.
    uid: Option<u32>,
    /// The server's exact command line: the account's admin commands differ.
    command: String,
    known: Known,
    /// Whether a stop holds the next start back.
    is_held: bool,
}

impl Seen {
    fn among(&self, processes: &[Process], itself: Option<&Process>) -> Supervision {
        // daemon(8) titled by our -t, which anybody can choose.
        const TITLE: &str = "daemon: gotosocial[";
        let ours: BTreeMap<u32, &Process> =
            processes.iter().filter(|it| itself.is_some_and(|me| me.jail == it.jail)).map(|it| (it.pid, it)).collect();
        let titled: BTreeSet<u32> =
            ours.values().filter(|it| it.uids == [ROOT; 3] && it.command.starts_with(TITLE)).map(|it| it.pid).collect();
        let is_server = |it: &Process| self.uid.is_some_and(|uid| it.uids == [uid; 3]) && it.command == self.command;
        let servers: Vec<&Process> = ours.values().copied().filter(|it| is_server(it)).collect();
        // A child that has not yet become another program still carries the title of its parent.
        let is_supervisor = |pid: u32| {
            let parent = ours.get(&pid).map_or(0, |it| it.parent);
            titled.contains(&pid)
                && !titled.contains(&parent)
                && (self.known.has(pid) || servers.iter().any(|it| it.parent == pid))
        };
        if let Some(orphan) = servers.iter().find(|it| !is_supervisor(it.parent)) {
            return Supervision::Orphan { pid: Some(orphan.pid) };
        }
        if let Some(server) = servers.first() {
            return Supervision::Running { pid: Some(server.pid), seconds: Some(server.seconds.unwrap_or(0)) };
        }
        match titled.iter().any(|pid| is_supervisor(*pid)) {
            false => Supervision::Stopped,
            true if self.is_held => Supervision::Stopping,
            true => Supervision::Restarting,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const SERVER: &str = "/usr/local/libexec/gotosocial/current/gotosocial --config-path /usr/local/etc/gotosocial/config.yaml server start";
    const TITLE: &str = "daemon: gotosocial[1669] (daemon)";
    const GTS: [u32; 3] = [209; 3];
    const ROOTS: [u32; 3] = [0; 3];

    fn process(pid: u32, parent: u32, uids: [u32; 3], command: &str) -> Process {
        Process { pid, parent, uids, jail: 0, seconds: Some(60), command: command.into() }
    }

    fn seen(known: Known, processes: &[Process]) -> Supervision {
        let me = process(1, 0, ROOTS, "gts-bootstrap status");
        let seen = Seen { uid: Some(209), command: SERVER.into(), known, is_held: false };
        seen.among(processes, Some(&me))
    }

    fn none() -> Known {
        Known::These(None)
    }

    /// The processes as they were seen on FreeBSD 13.2, and what tests/rc.d provokes one by one.
    #[test]
    fn server_and_supervisor_are_told_apart_as_by_the_script() {
        let (supervisor, server) = (process(1667, 1, ROOTS, TITLE), process(1669, 1667, GTS, SERVER));
        let both = [supervisor.clone(), server.clone()];
        let running = Supervision::Running { pid: Some(1669), seconds: Some(60) };
        let orphan = Supervision::Orphan { pid: Some(1669) };
        assert_eq!(seen(none(), &both), running);
        assert_eq!(seen(none(), &[]), Supervision::Stopped);
        assert_eq!(seen(none(), std::slice::from_ref(&server)), orphan);
        // The supervisor alone is known by its pid file, and by nothing else.
        let alone = std::slice::from_ref(&supervisor);
        assert_eq!(seen(none(), alone), Supervision::Stopped);
        assert_eq!(seen(Known::These(Some(1668)), alone), Supervision::Stopped);
        assert_eq!(seen(Known::These(Some(1667)), alone), Supervision::Restarting);
        assert_eq!(seen(Known::Any, alone), Supervision::Restarting);
        let me = process(1, 0, ROOTS, "");
        let held = Seen { uid: Some(209), command: SERVER.into(), known: Known::Any, is_held: true };
        assert_eq!(held.among(alone, Some(&me)), Supervision::Stopping);
        assert_eq!(held.among(&both, Some(&me)), running);
        // A title that others than root have chosen, whether real, effective or saved, and a set-user-ID program.
        for uids in [GTS, [0, 209, 0], [0, 0, 209], [209, 0, 0]] {
            let forged = process(1667, 1, uids, TITLE);
            assert_eq!(seen(Known::Any, &[forged.clone(), server.clone()]), orphan, "{uids:?}");
            assert_eq!(seen(Known::Any, &[forged]), Supervision::Stopped, "{uids:?}");
        }
        // Another user's, and the account's other commands.
        for other in [process(1669, 1667, [209, 209, 0], SERVER), process(1669, 1667, GTS, &format!("{SERVER} x"))] {
            assert_eq!(seen(Known::Any, &[supervisor.clone(), other]), Supervision::Restarting);
        }
        // Another jail's, whose pids this one can see.
        let jailed = both.clone().map(|process| Process { jail: 3, ..process });
        assert_eq!(seen(Known::Any, &jailed), Supervision::Stopped);
        // A child of the supervisor that is about to become GoToSocial.
        let forked = process(1700, 1667, ROOTS, TITLE);
        assert_eq!(seen(Known::Any, &[supervisor, forked.clone()]), Supervision::Restarting);
        assert_eq!(seen(Known::These(Some(1700)), &[both[0].clone(), forked]), Supervision::Stopped);
        // Without the account nothing can be its own.
        let nobody = Seen { uid: None, command: SERVER.into(), known: none(), is_held: false };
        assert_eq!(nobody.among(&both, Some(&me)), Supervision::Stopped);
        let young = [both[0].clone(), Process { seconds: None, ..server }];
        assert_eq!(seen(none(), &young), Supervision::Running { pid: Some(1669), seconds: Some(0) });
    }

    #[test]
    fn a_pid_file_counts_if_only_root_can_have_written_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("daemon.pid");
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let pid = || pid_of_root(folder.path(), &file);
        mode(folder.path(), 0o755);
        assert_eq!(pid(), None);
        fs::write(&file, "1667").unwrap();
        mode(&file, 0o600);
        if !geteuid().is_root() {
            assert_eq!(pid(), None);
            return;
        }
        assert_eq!(pid(), Some(1667));
        for (path, wrong, right) in [(folder.path(), 0o775, 0o755), (&file, 0o620, 0o600), (&file, 0o602, 0o600)] {
            mode(path, wrong);
            assert_eq!(pid(), None, "{wrong:o}");
            mode(path, right);
        }
        fs::hard_link(&file, folder.path().join("other")).unwrap();
        assert_eq!(pid(), None);
        fs::remove_file(folder.path().join("other")).unwrap();
        fs::write(&file, "16a67\n").unwrap();
        assert_eq!(pid(), None);
        fs::rename(&file, folder.path().join("other")).unwrap();
        fs::write(folder.path().join("other"), "1667").unwrap();
        std::os::unix::fs::symlink("other", &file).unwrap();
        assert_eq!(pid(), None);
    }
}
