//! The first account: created by GoToSocial's own command line, as the service user, after the service is ready.
//!
//! GoToSocial takes the password only as an argument, where every user of the host can see it for a second. So it is
//! always a random one, told once on the terminal; the administrator changes it at the first login.

use super::executor::Executor;
use super::{Account, service_start};
use crate::host::{Invocation, Output};
use crate::parts::rc_script::SERVICE;

/// Letters and digits that cannot be taken for one another: 32 of them, so each carries five bits.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 26 letters of five bits each: 130 bits. GoToSocial asks for 60 and takes 72 bytes at most.
const LETTERS: usize = 26;

/// What GoToSocial says of a user name that it does not know; seen with 0.19.2 and 0.20.0-rc1.
const UNKNOWN_USER: &str = "no rows in result set";

/// What GoToSocial says of a user name that is taken; seen with 0.19.2 and 0.20.0-rc1.
const IN_USE: &str = "is already in use";

/// Creates the account, or finishes one whose creation was cut off, and gives it administrator rights.
///
/// # Errors
/// In words: the server is not ready, or GoToSocial refused. The account may be there all the same: that is said.
pub(super) fn create(executor: &Executor<'_>, account: &Account) -> Result<Vec<String>, String> {
    if let Some(readiness) = &account.readiness
        && !service_start::wait_until_ready(executor, SERVICE, readiness)?
    {
        return Err(
            "GoToSocial still starts, and an account that is created before it is ready can never be used".into()
        );
    }
    let password = random_password()?;
    let name = ["--username", &account.username];
    let create = [&["admin", "account", "create"], &name[..], &["--email", &account.email, "--password", &password]];
    if account.repair {
        let renew = [&["admin", "account", "password"], &name[..], &["--password", &password]];
        match run(executor, account, &renew.concat(), true) {
            Err(why) if why.contains(UNKNOWN_USER) => run(executor, account, &create.concat(), true)?,
            done => done?,
        };
    } else {
        match run(executor, account, &create.concat(), true) {
            Err(why) if why.contains(IN_USE) && why.contains(&account.username) => {
                return Ok(vec![format!(
                    "there is an account {} already; it was left as it is, with its own password and rights",
                    account.username
                )]);
            }
            done => done?,
        };
    }
    executor.reporter.password(&account.username, &password);
    run(executor, account, &[&["admin", "account", "promote"], &name[..]].concat(), false).map_err(|why| {
        format!(
            "{why}. The account {} was created but is not an administrator; run the same command again to finish it",
            account.username
        )
    })?;
    Ok(Vec::new())
}

fn run(executor: &Executor<'_>, account: &Account, arguments: &[&str], secret_last: bool) -> Result<Output, String> {
    let mut all: Vec<String> =
        ["--config-path", &account.config.display().to_string(), "--log-level", "warn"].map(str::to_owned).into();
    all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let output = executor
        .host
        .run_as(&Invocation {
            program: account.program.clone(),
            secret_argument: secret_last.then(|| all.len() - 1),
            arguments: all,
            environment: account.environment.clone(),
            owner: account.owner,
            directory: account.directory.clone(),
        })
        .map_err(|error| error.to_string())?;
    if output.status == Some(0) {
        return Ok(output);
    }
    let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    Err(format!("`gotosocial {}` failed: {}", arguments[..3].join(" "), said.trim()))
}

/// A password of 130 random bits, in groups that can be read aloud.
fn random_password() -> Result<String, String> {
    let mut bytes = [0_u8; LETTERS];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers to be had: {error}"))?;
    let letters: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let groups: Vec<String> =
        letters.as_bytes().chunks(5).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    Ok(groups.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_130_bits_and_never_repeat() {
        let all: std::collections::BTreeSet<String> = (0..1000).filter_map(|_| random_password().ok()).collect();
        assert_eq!(all.len(), 1000);
        for password in all {
            assert_eq!(password.len(), LETTERS + 5, "{password}");
            assert!(password.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)), "{password}");
        }
    }

    #[test]
    fn every_letter_is_as_likely_as_any_other() {
        let distinct: std::collections::BTreeSet<u8> = ALPHABET.iter().copied().collect();
        assert_eq!(distinct.len(), 32);
    }
}
