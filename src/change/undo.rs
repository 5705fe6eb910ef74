//! Taking a change back, from the prior state that was recorded with it.
//!
//! Undoing is idempotent, and right also for a change that was begun but not finished, or announced but not begun.

use std::path::Path;

use super::{Change, Prior, database, front, front_test, migration, store};
use crate::host::{Entry, Group, Host, HostError, ServiceAction};

/// Takes one change back. What it returns is something that stays on purpose: a folder or a file that somebody has
/// written into since (GoToSocial's database and log, above all), told in words.
///
/// An account in GoToSocial's database cannot be taken back, and is no error.
///
/// # Errors
/// The host refused.
pub fn undo(host: &dyn Host, change: &Change, prior: &Prior) -> Result<Option<String>, HostError> {
    if *prior == Prior::Absent
        && let Some(stays) = written_since(host, change)?
    {
        return Ok(Some(stays));
    }
    if let Change::DatabaseCopy { copy } = change {
        return database::take_back_copy(host, copy);
    }
    take_back(host, change, prior).map(|()| None)
}

/// The order in which changes are taken back, as places in `changes`: the last first. But a service that was stopped starts
/// again only when a web server that took its ports has read its old configuration, which is the first change of a front
/// that was there before.
pub(super) fn order(changes: &[&Change]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..changes.len()).rev().collect();
    let is = |what: fn(&Change) -> bool| changes.iter().position(|change| what(change));
    // Stopped for a copy of its database and running again: nothing that is taken back is any of its business.
    if let (Some(stop), Some(start)) = (
        is(|change| matches!(change, Change::ServiceStop { .. })),
        is(|change| matches!(change, Change::ServiceStart { .. })),
    ) && start + 1 < changes.len()
        && only_copied(changes.get(stop + 1..start).unwrap_or_default())
    {
        order.retain(|place| *place != stop && *place != start);
    }
    let is_reload = |change: &&Change| matches!(change, Change::FrontReload { when_undone: true, .. });
    let Some(reload) = changes.iter().position(is_reload) else { return order };
    let waits = |place: &usize| *place > reload && matches!(changes[*place], Change::ServiceStop { .. });
    let (stops, mut order): (Vec<usize>, Vec<usize>) = order.into_iter().partition(waits);
    let behind = order.iter().position(|place| *place == reload).map_or(order.len(), |at| at + 1);
    order.splice(behind..behind, stops);
    order
}

/// Whether these changes, made while a service was stopped, only copy its database.
pub(super) fn only_copied(changes: &[&Change]) -> bool {
    !changes.is_empty() && changes.iter().all(|change| matches!(change, Change::DatabaseCopy { .. }))
}

/// What somebody else has written into since.
fn written_since(host: &dyn Host, change: &Change) -> Result<Option<String>, HostError> {
    Ok(match change {
        Change::Directory { path, .. } if !host.list(path)?.is_empty() => {
            Some(format!("{} is not empty and stays", path.display()))
        }
        Change::File { path, content, .. } => host
            .read(path)?
            .filter(|bytes| super::digest(bytes) != content.sha256())
            .map(|_| format!("{} has been written to since and stays", path.display())),
        _ => None,
    })
}

fn take_back(host: &dyn Host, change: &Change, prior: &Prior) -> Result<(), HostError> {
    match change {
        Change::Removal { path } if *prior != Prior::Absent => restore(host, path, prior),
        Change::FrontInclude { front, .. } => restore(host, &front::edited_file(host.observe(), *front)?, prior),
        Change::Package { name } if *prior == Prior::Absent => host.delete_package(name),
        Change::PackageRemoval { name } if *prior == Prior::Present => host.install_package(name),
        Change::FrontTest { front, .. } => front_test::clear(host, *front),
        Change::FrontStart { front, .. } if *prior == Prior::Absent => {
            if host.service(front.service)? == crate::host::ServiceState::Missing {
                return Ok(());
            }
            host.service_action(front.service, ServiceAction::Stop)
        }
        Change::FrontReload { front, when_undone: true } if *prior == Prior::Present => {
            if !host.service(front.service)?.is_running() {
                return host.service_action(front.service, ServiceAction::Start);
            }
            host.service_action(front.service, ServiceAction::Reload)?;
            // It lets go of its ports a little later.
            host.sleep(std::time::Duration::from_secs(1));
            Ok(())
        }
        Change::Directory { path, .. } | Change::File { path, .. } | Change::Symlink { path, .. } => {
            restore(host, path, prior)
        }
        Change::Group { group } if *prior == Prior::Absent => host.delete_group(&group.name),
        Change::User { user } if *prior == Prior::Absent => host.delete_user(&user.name),
        Change::Module { name } if *prior == Prior::Absent && host.module_loaded(name)? => host.unload_module(name),
        Change::GroupRemoval { group } if *prior == Prior::Present && host.group(&group.name)?.is_none() => {
            host.add_group(group)
        }
        Change::UserRemoval { user } if *prior == Prior::Present && host.user(&user.name)?.is_none() => {
            // pw(8) has taken the group of that name along.
            if host.group_by_id(user.gid)?.is_none() {
                host.add_group(&Group { name: user.name.clone(), gid: user.gid })?;
            }
            host.add_user(user)
        }
        Change::ModuleRemoval { name, .. } if *prior == Prior::Present && !host.module_loaded(name)? => {
            host.load_module(name)
        }
        Change::Sysctl { name, .. } => match prior {
            Prior::Value { value } if host.sysctl(name)?.is_some_and(|now| now != *value) => {
                host.set_sysctl(name, value)
            }
            _ => Ok(()),
        },
        Change::RcVariable { name, .. } => match prior {
            Prior::Value { value } => host.set_rc_variable(name, Some(value)),
            _ => host.set_rc_variable(name, None),
        },
        Change::Release { directory, .. } => super::apply::take_back_release(host, directory),
        Change::ConfigTest { test } => host.remove(&test.candidate),
        Change::ServiceStart { start } if *prior == Prior::Absent => {
            if host.service(&start.name)? == crate::host::ServiceState::Missing {
                return Ok(());
            }
            host.service_action(&start.name, ServiceAction::Stop)
        }
        Change::ServiceStop { name } if *prior == Prior::Present && !host.service(name)?.is_running() => {
            // It ran; whether it is enabled is another change's to put right.
            host.service_action(name, ServiceAction::StartOnce)?;
            stays_up(host, name)
        }
        Change::Backup { backup } => backup.take_back(host, prior),
        Change::Certificate { certificate } => certificate.take_back(host, prior),
        Change::DatabaseRestore { restore } if *prior == Prior::Absent => database::take_away(host, restore),
        Change::DatabaseRestore { restore } => database::take_back_restore(host, restore),
        Change::Migration { migration } => migration::take_back(host, migration),
        Change::DatabaseTest { .. } => host.remove_tree(Path::new(database::OPENED)),
        // What has begun to go is of no use to anybody.
        Change::Discard { path } => host.remove_tree(&super::apply::discarded(path)),
        Change::Group { .. }
        | Change::User { .. }
        | Change::Module { .. }
        | Change::TreeRemoval { .. }
        | Change::GroupRemoval { .. }
        | Change::UserRemoval { .. }
        | Change::ModuleRemoval { .. }
        | Change::ServiceStart { .. }
        | Change::ServiceStop { .. }
        | Change::Removal { .. }
        | Change::Package { .. }
        | Change::PackageRemoval { .. }
        | Change::FrontStart { .. }
        | Change::FrontReload { .. }
        | Change::DatabaseCopy { .. }
        | Change::Account { .. } => Ok(()),
    }
}

/// Puts back what stood at a path.
fn restore(host: &dyn Host, path: &Path, prior: &Prior) -> Result<(), HostError> {
    match prior {
        Prior::Absent => host.remove(path),
        Prior::Directory { mode, owner } => host.make_directory(path, *mode, *owner),
        Prior::File { sha256, mode, owner } => {
            let bytes = store::recall(host, sha256)?;
            if matches!(host.entry(path)?, Some(Entry::Symlink { .. })) {
                host.remove(path)?;
            }
            host.write_file(path, &bytes, *mode, *owner)
        }
        Prior::Symlink { target } => {
            if matches!(host.entry(path)?, Some(Entry::File { .. })) {
                host.remove(path)?;
            }
            host.make_symlink(path, target)
        }
        Prior::Present | Prior::Value { .. } | Prior::Pair { .. } => Ok(()),
    }
}

/// Whether a service that was started again is still there a few seconds later: that its start returned proves nothing.
fn stays_up(host: &dyn Host, name: &str) -> Result<(), HostError> {
    const LOOKS: u32 = 3;
    for _ in 0..LOOKS {
        host.sleep(std::time::Duration::from_secs(2));
        if !host.service(name)?.is_running() {
            return Err(HostError::Died { service: name.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// The changes of these JSON texts, in the order in which they are taken back.
    fn order_of(changes: &[&str]) -> Vec<usize> {
        let changes: Vec<Change> = changes.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        order(&changes.iter().collect::<Vec<_>>())
    }

    const STOP: &str = r#"{"kind":"service-stop","name":"gotosocial"}"#;
    const START: &str = r#"{"kind":"service-start","start":{"name":"gotosocial","owner":{"uid":209,"gid":209},"ports":[],
        "readiness":{"host":"h.example.org","address":"127.0.0.1:8080","tls":false,"log":"/l","certificate":null}}}"#;
    const COPY: &str = r#"{"kind":"database-copy","copy":{"from":{"type":"sqlite","path":"/d"},"to":"/c","service":"gotosocial",
        "owner":{"uid":209,"gid":209},"thorough":false,"host":"h.example.org","version":"0.19.2","guards":false}}"#;
    const FILE: &str = r#"{"kind":"removal","path":"/f"}"#;
    const RELOAD: &str = r#"{"kind":"front-reload","front":"nginx","when_undone":true}"#;

    #[test]
    fn a_service_that_was_stopped_only_for_a_copy_is_left_alone() {
        assert_eq!(order_of(&[FILE, STOP, COPY, START, FILE]), [4, 2, 0]);
        // The start itself failed, or more than the database was copied meanwhile.
        assert_eq!(order_of(&[FILE, STOP, COPY, START]), [3, 2, 1, 0]);
        assert_eq!(order_of(&[STOP, COPY, FILE, START, FILE]), [4, 3, 2, 1, 0]);
    }

    #[test]
    fn a_service_starts_again_when_the_web_server_has_read_its_old_configuration() {
        assert_eq!(order_of(&[RELOAD, FILE, STOP, FILE, START]), [4, 3, 1, 0, 2]);
        assert_eq!(order_of(&[STOP, RELOAD, FILE]), [2, 1, 0], "stopped before");
        // Both rules at once.
        assert_eq!(order_of(&[RELOAD, STOP, COPY, START, FILE, STOP]), [4, 2, 0, 5]);
    }
}
