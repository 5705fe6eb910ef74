//! Variables of rc(8), with sysrc(8).

use std::io;

use super::command::Commands;
use crate::host::HostError;

const SYSRC: &str = "/usr/sbin/sysrc";

/// The output of sysrc(8), with exit status 1, for a variable that no file sets; seen on 13.2.
const UNKNOWN: &str = "unknown variable";

/// The value that the defaults and all rc.conf(5) files together give a variable.
pub(super) fn variable(commands: &Commands, name: &str) -> Result<Option<String>, HostError> {
    check(name, "")?;
    let finished = commands.run(SYSRC, &["-n", name])?.unless(1, UNKNOWN)?;
    Ok(finished.map(|finished| finished.stdout.strip_suffix('\n').unwrap_or(&finished.stdout).to_owned()))
}

/// Sets a variable, or removes it from every file.
pub(super) fn set_variable(commands: &Commands, name: &str, value: Option<&str>) -> Result<(), HostError> {
    check(name, value.unwrap_or(""))?;
    match value {
        Some(value) => commands.done(SYSRC, &[&format!("{name}={value}")]),
        None => commands.run(SYSRC, &["-x", name])?.unless(1, UNKNOWN).map(drop),
    }
}

/// sysrc(8) takes the end of a name for an operator (`+=`), and sh(1) reads rc.conf(5): neither may be misled.
fn check(name: &str, value: &str) -> Result<(), HostError> {
    let in_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let why = if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() || !name.chars().all(in_name) {
        "this is not the name of a shell variable"
    } else if value.chars().any(|character| "\"\\`$".contains(character) || character.is_control()) {
        "the value has a quote, backslash, backquote, dollar sign or control character in it, which rc.conf(5) would \
         not give back as it is"
    } else {
        return Ok(());
    };
    let source = io::Error::new(io::ErrorKind::InvalidInput, why);
    Err(HostError::Start { command: format!("{SYSRC} {name}"), source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;

    // The output of sysrc(8) is as seen on FreeBSD 13.2.

    #[test]
    fn a_variable_is_read() {
        let tools = StandIns::new();
        tools.says(SYSRC, "YES", 0);
        assert_eq!(variable(&tools.commands(), "gotosocial_enable").unwrap().as_deref(), Some("YES"));
        tools.says(SYSRC, "", 0);
        assert_eq!(variable(&tools.commands(), "syslogd_flags").unwrap().as_deref(), Some(""));
        tools.says(SYSRC, "sysrc: unknown variable 'nosuchvar'", 1);
        assert_eq!(variable(&tools.commands(), "nosuchvar").unwrap(), None);
        tools.says(SYSRC, "/etc/rc.conf: 3: Syntax error: Unterminated quoted string", 2);
        assert!(variable(&tools.commands(), "nosuchvar").is_err());
    }

    #[test]
    fn a_variable_is_set_and_taken_out() {
        let tools = StandIns::new();
        tools.keeps(SYSRC);
        set_variable(&tools.commands(), "portacl_user_gotosocial_tcp", Some("http https")).unwrap();
        assert_eq!(tools.arguments(), ["portacl_user_gotosocial_tcp=http https"]);
        set_variable(&tools.commands(), "gotosocial_enable", None).unwrap();
        assert_eq!(tools.arguments(), ["-x", "gotosocial_enable"]);
        tools.says(SYSRC, "sysrc: unknown variable 'gotosocial_enable'", 1);
        set_variable(&tools.commands(), "gotosocial_enable", None).unwrap();
        assert!(set_variable(&tools.commands(), "gotosocial_enable", Some("YES")).is_err());
    }

    #[test]
    fn what_a_shell_would_read_differently_is_refused() {
        let tools = StandIns::new();
        tools.keeps(SYSRC);
        for name in ["", "a+", "a-", "9a", "-x", "a b", "a=b"] {
            let error = set_variable(&tools.commands(), name, Some("x")).unwrap_err().to_string();
            assert!(error.contains("shell variable"), "{error}");
        }
        for value in ["$(id)", "a\"b", "`id`", "a\\", "a\nb"] {
            let error = set_variable(&tools.commands(), "name", Some(value)).unwrap_err().to_string();
            assert!(error.contains("rc.conf(5)"), "{error}");
        }
    }
}
