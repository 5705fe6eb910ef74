//! Packages, with pkg(8).
//!
//! Only `/usr/local/sbin/pkg` is used for queries. `/usr/sbin/pkg` of the base system is a bootstrapper: if the real
//! one is not installed, it offers to download it. Without the real pkg(8) there are no packages. The bootstrapper is
//! called only before an installation.

use super::command::Commands;
use crate::host::{HostError, Packages};

const PKG: &str = "/usr/local/sbin/pkg";
const BOOTSTRAP: &str = "/usr/sbin/pkg";

/// `-y` answers the questions before a change, these answer the others: see pkg.conf(5) and pkg(7). There is no one to
/// answer.
const UNATTENDED: [(&str, &str); 2] = [("ASSUME_ALWAYS_YES", "yes"), ("BATCH", "yes")];

/// The versions of all installed packages, by name and by origin. Without a database pkg(8) lists none and exits with 0
/// (`exec_query` in its `src/query.c`).
pub(super) fn installed(commands: &Commands) -> Result<Packages, HostError> {
    if !commands.has(PKG) {
        return Ok(Packages::new());
    }
    let queried = commands.run(PKG, &["query", "-a", "%n %o %v"])?.succeeded()?;
    let mut packages = Packages::new();
    for line in queried.stdout.lines() {
        let [name, origin, version] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(queried.unreadable(line));
        };
        for key in [name, origin] {
            packages.insert(key.to_owned(), version.to_owned());
        }
    }
    Ok(packages)
}

/// Installs a package, and pkg(8) first if it is missing.
pub(super) fn install(commands: &Commands, name: &str) -> Result<(), HostError> {
    if !commands.has(PKG) {
        commands.run_with(BOOTSTRAP, &["bootstrap", "-y"], &UNATTENDED)?.succeeded()?;
    }
    commands.run_with(PKG, &["install", "-y", name], &UNATTENDED)?.succeeded().map(drop)
}

/// Deletes a package. It first checks that the package is installed: the exit status of `pkg delete` does not
/// distinguish a missing package from a failure.
pub(super) fn delete(commands: &Commands, name: &str) -> Result<(), HostError> {
    if !installed(commands)?.contains_key(name) {
        return Ok(());
    }
    commands.run_with(PKG, &["delete", "-y", name], &UNATTENDED)?.succeeded().map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;
    use crate::host::Observe;

    #[test]
    fn without_pkg_there_are_no_packages_and_nothing_is_run() {
        let tools = StandIns::new();
        tools.add("/usr/sbin/pkg", "echo 'The package management tool is not yet installed' >&2; exit 1");
        assert!(installed(&tools.commands()).unwrap().is_empty());
    }

    #[test]
    fn a_version_is_told() {
        let tools = StandIns::new();
        tools.add(PKG, "test \"$*\" = 'query -a %n %o %v' || exit 64; echo nginx www/nginx 1.28.0_3,3; echo pkg ports-mgmt/pkg 2.1");
        for name in ["nginx", "www/nginx"] {
            assert_eq!(tools.host().package(name).unwrap().as_deref(), Some("1.28.0_3,3"));
        }
        assert_eq!(tools.host().package("gotosocial").unwrap(), None);
    }

    #[test]
    fn a_failure_is_no_answer() {
        let tools = StandIns::new();
        tools.add(PKG, "echo 'pkg: sqlite error: database disk image is malformed' >&2; exit 1");
        assert!(installed(&tools.commands()).is_err());
        // Without a database.
        tools.add(PKG, "echo 'pkg: No packages installed' >&2");
        assert!(installed(&tools.commands()).unwrap().is_empty());
        tools.says(PKG, "nginx www/nginx", 0);
        let error = installed(&tools.commands()).unwrap_err();
        assert!(matches!(error, HostError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn a_package_is_installed_without_a_question() {
        let tools = StandIns::new();
        let seen = tools.path("seen").display().to_string();
        tools.add(PKG, &format!("echo \"$* $ASSUME_ALWAYS_YES $BATCH\" >>'{seen}'"));
        install(&tools.commands(), "nginx").unwrap();
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), "install -y nginx yes yes\n");
    }

    #[test]
    fn pkg_itself_is_fetched_first() {
        let tools = StandIns::new();
        let (seen, pkg) = (tools.path("seen").display().to_string(), tools.path(PKG).display().to_string());
        let script = format!("#!/bin/sh\necho \"$*\" >>\"{seen}\"");
        tools.add(PKG, "exit 9");
        std::fs::remove_file(&pkg).unwrap();
        let make = format!("printf '%s\\n' '{script}' >'{pkg}'; chmod 755 '{pkg}'");
        tools.add(BOOTSTRAP, &format!("echo \"$* $ASSUME_ALWAYS_YES\" >>'{seen}'; {make}"));
        install(&tools.commands(), "apache24").unwrap();
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), "bootstrap -y yes\ninstall -y apache24\n");
    }

    #[test]
    fn without_a_network_pkg_says_so() {
        let tools = StandIns::new();
        let words = "pkg: Error fetching https://pkg.FreeBSD.org/…/Latest/pkg.txz: Transient resolver failure";
        tools.says(BOOTSTRAP, words, 1);
        let error = install(&tools.commands(), "nginx").unwrap_err().to_string();
        assert!(error.contains("pkg bootstrap -y") && error.contains("resolver failure"), "{error}");
        tools.says(
            PKG,
            "pkg: No packages available to install matching 'nginx' have been found in the repositories",
            1,
        );
        let error = install(&tools.commands(), "nginx").unwrap_err().to_string();
        assert!(error.contains("pkg install -y nginx") && error.contains("No packages available"), "{error}");
    }

    #[test]
    fn a_package_is_deleted_and_one_that_is_gone_is_no_error() {
        let tools = StandIns::new();
        delete(&tools.commands(), "nginx").unwrap();
        let seen = tools.path("seen").display().to_string();
        let script = format!("echo \"$*\" >>'{seen}'; case $1 in query) echo nginx www/nginx 1.28.0;; esac");
        tools.add(PKG, &script);
        delete(&tools.commands(), "nginx").unwrap();
        delete(&tools.commands(), "apache24").unwrap();
        let seen = std::fs::read_to_string(&seen).unwrap();
        assert_eq!(seen, "query -a %n %o %v\ndelete -y nginx\nquery -a %n %o %v\n");
        tools.add(
            PKG,
            "case $1 in query) echo nginx www/nginx 1;; delete) echo 'pkg: nginx is locked' >&2; exit 7;; esac",
        );
        assert!(delete(&tools.commands(), "nginx").unwrap_err().to_string().contains("is locked"));
    }
}
