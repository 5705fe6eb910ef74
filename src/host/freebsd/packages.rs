//! Installed packages, with pkg(8).
//!
//! Only `/usr/local/sbin/pkg` is asked. `/usr/sbin/pkg` of the base system is a bootstrapper: where the real one is
//! not installed it offers to download it. No real pkg(8), no packages.

use super::command::Commands;
use crate::host::HostError;

const PKG: &str = "/usr/local/sbin/pkg";

/// The version of an installed package, by name or origin.
pub(super) fn version(commands: &Commands, name: &str) -> Result<Option<String>, HostError> {
    if !commands.has(PKG) {
        return Ok(None);
    }
    let installed = commands.run(PKG, &["info", "-e", name])?;
    if installed.code() != Some(0) {
        // `-e` says nothing where the package is not there; words are a failure, such as a damaged database.
        return if installed.is_silent() { Ok(None) } else { Err(installed.failure()) };
    }
    let queried = commands.run(PKG, &["query", "%v", name])?.succeeded()?;
    match queried.stdout.lines().next().map(str::trim) {
        Some(version) if !version.is_empty() => Ok(Some(version.to_owned())),
        _ => Err(queried.unreadable(&queried.stdout)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;

    #[test]
    fn without_pkg_there_are_no_packages_and_nothing_is_run() {
        let tools = StandIns::new();
        tools.add("/usr/sbin/pkg", "echo 'The package management tool is not yet installed' >&2; exit 1");
        assert_eq!(version(&tools.commands(), "nginx").unwrap(), None);
    }

    #[test]
    fn a_version_is_told() {
        let tools = StandIns::new();
        tools.add(PKG, "test \"$3\" = nginx || exit 1; test \"$1\" = info || echo 1.28.0_3,3");
        assert_eq!(version(&tools.commands(), "nginx").unwrap().as_deref(), Some("1.28.0_3,3"));
        assert_eq!(version(&tools.commands(), "gotosocial").unwrap(), None);
    }

    #[test]
    fn a_failure_is_no_answer() {
        let tools = StandIns::new();
        tools.add(PKG, "echo 'pkg: sqlite error: database disk image is malformed' >&2; exit 1");
        assert!(version(&tools.commands(), "nginx").is_err());
        tools.add(PKG, "exit 0");
        let error = version(&tools.commands(), "nginx").unwrap_err();
        assert!(matches!(error, HostError::Unreadable { .. }), "{error}");
    }
}
