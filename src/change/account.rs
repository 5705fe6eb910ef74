//! The first account: created by GoToSocial's own command line, as the service user, after the service is ready.
//!
//! GoToSocial takes the password only as an argument, where every user of the host can see it for a second. So it is
//! always a random one, told once on the terminal; the administrator changes it at the first login.

use super::executor::Executor;
use super::{Account, service_start};
use crate::gotosocial::SERVICE;
use crate::gotosocial::commands::{self, Command, IN_USE, UNKNOWN_USER};
use crate::host::{Invocation, Output};

/// Letters and digits that cannot be taken for one another: 32 of them, so each carries five bits.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 26 letters of five bits each: 130 bits. GoToSocial asks for 60 and takes 72 bytes at most.
const LETTERS: usize = 26;

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
    let create = || commands::account_create(&account.config, &account.username, &account.email, &password);
    if account.repair {
        let renew = commands::account_password(&account.config, &account.username, &password);
        match run(executor, account, renew) {
            Err(why) if why.contains(UNKNOWN_USER) => run(executor, account, create())?,
            done => done?,
        };
    } else {
        match run(executor, account, create()) {
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
    run(executor, account, commands::account_promote(&account.config, &account.username)).map_err(|why| {
        format!(
            "{why}. The account {} was created but is not an administrator; run the same command again to finish it",
            account.username
        )
    })?;
    Ok(Vec::new())
}

fn run(executor: &Executor<'_>, account: &Account, command: Command) -> Result<Output, String> {
    let output = executor
        .host
        .run_as(&Invocation {
            program: account.program.clone(),
            arguments: command.arguments,
            secret_argument: command.secret_argument,
            environment: account.environment.clone(),
            owner: account.owner,
            directory: account.directory.clone(),
        })
        .map_err(|error| error.to_string())?;
    if output.status == Some(0) {
        return Ok(output);
    }
    let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    Err(format!("`gotosocial {}` failed: {}", command.name, said.trim()))
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
