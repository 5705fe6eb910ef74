//! Kernel modules, with kldstat(8), kldload(8) and kldunload(8).

use super::command::Commands;
use crate::host::HostError;

const KLDSTAT: &str = "/sbin/kldstat";
const KLDLOAD: &str = "/sbin/kldload";
const KLDUNLOAD: &str = "/sbin/kldunload";

/// `-m` looks a module up by its own name, so that one compiled into the kernel counts; `-q` answers by exit status.
pub(super) fn loaded(commands: &Commands, name: &str) -> Result<bool, HostError> {
    let finished = commands.run(KLDSTAT, &["-q", "-m", name])?;
    match finished.code() {
        Some(0) => Ok(true),
        Some(1) if finished.is_silent() => Ok(false),
        _ => Err(finished.failure()),
    }
}

/// `-n`: a module that is already loaded is not an error.
pub(super) fn load(commands: &Commands, name: &str) -> Result<(), HostError> {
    commands.run(KLDLOAD, &["-n", name])?.succeeded().map(drop)
}

pub(super) fn unload(commands: &Commands, name: &str) -> Result<(), HostError> {
    commands.run(KLDUNLOAD, &[name])?.succeeded().map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;

    #[test]
    fn kldstat_answers_by_its_exit_status() {
        let tools = StandIns::new();
        tools.add(KLDSTAT, "test \"$*\" = '-q -m mac_portacl'");
        assert!(loaded(&tools.commands(), "mac_portacl").unwrap());
        assert!(!loaded(&tools.commands(), "mac_other").unwrap());
        tools.add(KLDSTAT, "echo 'kldstat: out of memory' >&2; exit 1");
        assert!(loaded(&tools.commands(), "mac_portacl").is_err());
    }

    #[test]
    fn a_refusal_is_told() {
        // As seen on FreeBSD 13.2 at securelevel 1.
        let tools = StandIns::new();
        tools.says(KLDLOAD, "kldload: can't load mac_portacl: Operation not permitted", 1);
        tools.says(KLDUNLOAD, "kldunload: can't unload file: Operation not permitted", 1);
        let error = load(&tools.commands(), "mac_portacl").unwrap_err().to_string();
        assert!(error.contains("kldload -n mac_portacl") && error.contains("not permitted"), "{error}");
        assert!(unload(&tools.commands(), "mac_portacl").is_err());
    }
}
