//! Applying one change to a host.

use std::path::{Path, PathBuf};

use super::executor::{Executor, Interruption};
use super::{Change, account, database, front, front_test, migration, postgres, service_start, store};
use crate::deployment::nearest;
use crate::error_code::{Coded, ErrorCode};
use crate::gotosocial::{commands, config_keys, debug_config};
use crate::host::{Entry, Host, HostError, Invocation, Owner, ServiceAction};
use crate::release;

/// Why a change failed, in words.
#[derive(Debug)]
pub(super) struct Cause {
    /// The words.
    pub text: String,
    /// What tells more than that a change of its kind failed.
    pub code: Option<ErrorCode>,
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Self { text, code: None }
    }
}

/// Applies one change; what it returns are notes for the administrator.
///
/// # Errors
/// In words: the host refused, or what was read back is not what was set.
pub(super) fn apply(executor: &Executor<'_>, change: &Change) -> Result<Vec<String>, Cause> {
    let host = executor.host;
    let said = |error: HostError| error.to_string();
    match change {
        Change::Directory { path, mode, owner } => host.make_directory(path, *mode, *owner).map_err(said)?,
        Change::File { path, content, mode, owner } => {
            host.write_file(path, content.bytes(), *mode, *owner).map_err(said)?;
        }
        Change::Symlink { path, target } => host.make_symlink(path, target).map_err(said)?,
        Change::Group { group } => host.add_group(group).map_err(said)?,
        Change::User { user } => host.add_user(user).map_err(said)?,
        Change::Module { name } => {
            host.load_module(name).map_err(said)?;
            if !host.module_loaded(name).map_err(said)? {
                return Err(format!("the kernel took the module {name} and yet does not list it").into());
            }
        }
        Change::Sysctl { name, value } => set_sysctl(host, name, value)?,
        Change::RcVariable { name, value } => set_rc_variable(host, name, value.as_deref())?,
        Change::Removal { path } => remove(host, path)?,
        Change::TreeRemoval { path } => host.remove_tree(path).map_err(said)?,
        Change::GroupRemoval { group } => host.delete_group(&group.name).map_err(said)?,
        Change::UserRemoval { user } => host.delete_user(&user.name).map_err(said)?,
        Change::ModuleRemoval { name, reserved } => unload(host, name, *reserved)?,
        Change::Package { name } => {
            host.install_package(name).map_err(said)?;
            if host.package(name).map_err(said)?.is_none() {
                return Err(
                    format!("pkg(8) did what it was asked to, and yet the package {name} is not installed").into()
                );
            }
        }
        Change::PackageRemoval { name } => host.delete_package(name).map_err(said)?,
        Change::FrontInclude { front, present } => front::include(host, *front, *present)?,
        Change::FrontTest { front, present, files } => front_test::test(host, *front, *present, files)?,
        Change::FrontStart { front, ports } => front::start(host, *front, ports)?,
        Change::FrontReload { when_undone: true, .. } => {}
        Change::FrontReload { front, when_undone: false } => front::reload(host, *front)?,
        Change::Release { release, directory } => install_release(executor, release, directory)?,
        Change::ConfigTest { test } => return Ok(config_test(host, test)?),
        Change::ServiceStart { start } => return Ok(service_start::start(executor, start)?),
        Change::ServiceStop { name } => stop(host, name)?,
        Change::DatabaseTest { test } => postgres::test(host, test).map_err(said)?,
        Change::DatabaseCopy { copy } => {
            let copied = database::copy(host, copy).map_err(said)?;
            // Of a copy that goes again nobody has to know where it is.
            return Ok(if copy.guards { vec![copied.told(&copy.to)] } else { Vec::new() });
        }
        Change::DatabaseRestore { restore } => drop(database::restore(host, restore).map_err(said)?),
        Change::Migration { migration } => return Ok(migration::run(executor, migration)?),
        Change::Discard { path } => discard(host, path)?,
        Change::Account { account } => return Ok(account::create(executor, account)?),
        Change::Backup { backup } => return Ok(backup.apply(host)?),
        Change::Certificate { certificate } => return Ok(certificate.apply(host)?),
    }
    Ok(Vec::new())
}

/// Sets a sysctl and reads it back: a rule list that the kernel took differently must not go unnoticed.
fn set_sysctl(host: &dyn Host, name: &str, value: &str) -> Result<(), String> {
    host.set_sysctl(name, value).map_err(|error| error.to_string())?;
    match host.sysctl(name).map_err(|error| error.to_string())? {
        Some(now) if now == value => Ok(()),
        now => Err(format!(
            "{name} was set to `{value}` but reads back as `{}`; something else sets it too",
            now.unwrap_or_default()
        )),
    }
}

/// Takes a module out of the kernel, unless ports would be open to everybody without it.
fn unload(host: &dyn Host, name: &str, reserved: i64) -> Result<(), String> {
    const RESERVED_HIGH: &str = "net.inet.ip.portrange.reservedhigh";
    let said = |error: HostError| error.to_string();
    let now = host.sysctl(RESERVED_HIGH).map_err(said)?.unwrap_or_default();
    if now.trim().parse::<i64>().ok() != Some(reserved) {
        return Err(format!(
            "{RESERVED_HIGH} is {now} and not {reserved}, so that without {name} every user could bind the ports above; the \
             module stays"
        ));
    }
    if host.module_loaded(name).map_err(said)? {
        host.unload_module(name).map_err(said)?;
    }
    Ok(())
}

/// Takes a file, a link or an empty folder away; a folder in which somebody keeps something stays.
fn remove(host: &dyn Host, path: &Path) -> Result<(), String> {
    let said = |error: HostError| error.to_string();
    let is_folder = matches!(host.entry(path).map_err(said)?, Some(Entry::Directory { .. }));
    if is_folder && !host.list(path).map_err(said)?.is_empty() {
        return Ok(());
    }
    host.remove(path).map_err(said)
}

/// Takes a folder of ours away, under a name by which nobody takes what is left for the whole.
fn discard(host: &dyn Host, path: &Path) -> Result<(), String> {
    let said = |error: HostError| error.to_string();
    let leaving = discarded(path);
    host.remove_tree(&leaving).map_err(said)?;
    if host.entry(path).map_err(said)?.is_some() {
        host.rename(path, &leaving).map_err(said)?;
    }
    host.remove_tree(&leaving).map_err(said)
}

/// Under which name a folder goes.
pub(super) fn discarded(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".discarded-{name}"))
}

fn set_rc_variable(host: &dyn Host, name: &str, value: Option<&str>) -> Result<(), String> {
    host.set_rc_variable(name, value).map_err(|error| error.to_string())?;
    match host.rc_variable(name).map_err(|error| error.to_string())? {
        // One that was taken out may have a default.
        now if value.is_none() || now.as_deref() == value => Ok(()),
        now => Err(format!(
            "{name} was set to `{}` but rc(8) sees `{}`; look for it in /etc/rc.conf.local and /etc/rc.conf.d",
            value.unwrap_or_default(),
            now.unwrap_or_default()
        )),
    }
}

fn stop(host: &dyn Host, name: &str) -> Result<(), String> {
    host.service_action(name, ServiceAction::Stop).map_err(|error| error.to_string())?;
    if host.service(name).map_err(|error| error.to_string())?.is_running() {
        return Err(format!("the service {name} was stopped and still runs; see `service {name} status`"));
    }
    Ok(())
}

/// Where a release that is being replaced stands meanwhile.
fn replaced(directory: &Path) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    directory.with_file_name(format!(".replaced-{name}"))
}

fn install_release(executor: &Executor<'_>, release: &release::LockedRelease, directory: &Path) -> Result<(), Cause> {
    let host = executor.host;
    let said = |error: HostError| error.to_string();
    let Some(source) = executor.source else {
        return Err("no source to take the release from".to_owned().into());
    };
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
        return Err(format!("{} is no place for a release", directory.display()).into());
    };
    let old = replaced(directory);
    if host.entry(directory).map_err(said)?.is_some() {
        host.remove_tree(&old).map_err(said)?;
        host.rename(directory, &old).map_err(said)?;
    }
    let fetched = release::fetch(
        release,
        source,
        release::Target {
            parent: &host.local_path(parent),
            name: &name.to_string_lossy(),
            partial: Some(&host.local_path(&store::download())),
        },
        &release::Limits::default(),
        &release::HttpClient::default(),
        &Interruptible { executor },
    );
    match fetched {
        Ok(_) => Ok(host.remove_tree(&old).map_err(said)?),
        Err(error @ release::Error::Stopped) => {
            let text = (executor.stop)().unwrap_or_else(|| error.to_string());
            Err(Cause { text, code: Some(error.code()) })
        }
        Err(error) => Err(Cause { text: error.to_string(), code: Some(error.code()) }),
    }
}

/// A download during which it is asked whether to stop, as between two changes.
struct Interruptible<'a> {
    executor: &'a Executor<'a>,
}

impl release::Progress for Interruptible<'_> {
    fn begin(&self, what: &str, total: Option<u64>) {
        self.executor.reporter.progress().begin(what, total);
    }

    fn advance(&self, bytes: u64) {
        self.executor.reporter.progress().advance(bytes);
    }

    fn retry(&self, reason: &str, wait: std::time::Duration) {
        self.executor.reporter.progress().retry(reason, wait);
    }

    fn resumes(&self, bytes: u64) {
        self.executor.reporter.progress().resumes(bytes);
    }

    fn stops(&self) -> bool {
        (self.executor.stop)().is_some() && self.executor.reporter.interrupted() != Interruption::Continue
    }

    fn done(&self) {
        self.executor.reporter.progress().done();
    }
}

/// Removes a release, with what was downloaded of it, and puts back the one that it replaced.
///
/// # Errors
/// The host refused.
pub(super) fn take_back_release(host: &dyn Host, directory: &Path) -> Result<(), HostError> {
    host.remove_tree(&store::download())?;
    put_off_release(host, directory)
}

/// The same, but what was downloaded stays for the next run.
///
/// # Errors
/// The host refused.
pub(super) fn put_off_release(host: &dyn Host, directory: &Path) -> Result<(), HostError> {
    let old = replaced(directory);
    host.remove_tree(&release::staging(directory))?;
    if host.entry(&old)?.is_some() {
        host.remove_tree(directory)?;
        return host.rename(&old, directory);
    }
    host.remove_tree(directory)
}

/// Tries a configuration with the release itself, as the service user.
fn config_test(host: &dyn Host, test: &super::ConfigTest) -> Result<Vec<String>, String> {
    let owner = Owner { uid: 0, gid: test.owner.gid };
    host.write_file(&test.candidate, test.content.bytes(), 0o640, owner).map_err(|error| error.to_string())?;
    let command = commands::debug_config(&test.candidate);
    let output = host.run_as(&Invocation {
        program: test.program.clone(),
        arguments: command.arguments,
        environment: Vec::new(),
        owner: test.owner,
        directory: test.directory.clone(),
        secret_argument: command.secret_argument,
    });
    host.remove(&test.candidate).map_err(|error| error.to_string())?;
    let output = output.map_err(|error| error.to_string())?;
    if !debug_config::echoes_host(&output.stdout, &test.host) {
        let said = output.stderr.trim();
        return Err(format!(
            "GoToSocial does not read its new configuration: `debug config` does not give back host \"{}\"{}{said}. \
             Look at the [config] table of the answers and at what was edited in config.yaml; the old configuration \
             is still in place",
            test.host,
            if said.is_empty() { "" } else { ". It says: " },
        ));
    }
    let known = debug_config::printed_keys(&output.stdout).map_err(|error| error.to_string())?;
    let unknown = test.keys.difference(&known);
    Ok(unknown
        .map(|key| {
            let meant = || nearest(key, known.iter().map(String::as_str));
            let hint = match config_keys::successor(key) {
                Some(now) => format!("; {now}"),
                None => meant().map(|key| format!("; did you mean `{key}`?")).unwrap_or_default(),
            };
            format!("this version of GoToSocial does not know `{key}` and will ignore it{hint}")
        })
        .collect())
}
