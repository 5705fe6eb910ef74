//! The first account: created by GoToSocial's own command line, as the service user, after the service is ready.
//!
//! GoToSocial takes the password only as an argument, where every user of the host can see it for a second. So it is
//! always a random one, told once on the terminal; the administrator changes it at the first login.

use std::path::PathBuf;

use super::service::wait_until_ready;
use crate::change::kind::prelude::*;
use crate::change::readiness::Readiness;
use crate::gotosocial::SERVICE;
use crate::gotosocial::commands::{self, Command, IN_USE, UNKNOWN_USER};
use crate::host::Invocation;

/// Letters and digits that cannot be taken for one another: 32 of them, so each carries five bits.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 26 letters of five bits each: 130 bits. GoToSocial asks for 60 and takes 72 bytes at most.
const LETTERS: usize = 26;

/// Creates the first account, with administrator rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Login name.
    pub username: String,
    /// Mail address.
    pub email: String,
    /// The release's program.
    pub program: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// The service user.
    pub owner: Owner,
    /// Working folder.
    pub directory: PathBuf,
    /// Environment of the program, as the rc.d script sets it.
    pub environment: Vec<(String, String)>,
    /// An earlier run began with the account and did not finish: give it a new password if it is there, create it if not, and
    /// promote it.
    pub repair: bool,
    /// How to tell that the server is ready. An account that is created before that can never be used.
    #[serde(default)]
    pub readiness: Option<Box<Readiness>>,
}

impl Kind for Account {
    named!(ErrorCode::Admin, "account", "GoToSocial account");

    fn target(&self) -> String {
        self.username.clone()
    }

    fn detail(&self) -> String {
        if self.repair {
            return "finish it: new password, administrator".to_owned();
        }
        format!("{}, administrator, with a random password", self.email)
    }

    /// Creates the account, or finishes one whose creation was cut off, and gives it administrator rights. If this fails, the
    /// account may be there all the same, and the failure says so.
    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        if let Some(readiness) = &self.readiness
            && !wait_until_ready(executor, SERVICE, readiness)?
        {
            refuse!("GoToSocial still starts, and an account that is created before it is ready can never be used");
        }
        let (username, password) = (&self.username, random_password()?);
        let create = || self.run(executor, commands::account_create(&self.config, username, &self.email, &password));
        if self.repair {
            match self.run(executor, commands::account_password(&self.config, username, &password)) {
                Err(why) if why.to_string().contains(UNKNOWN_USER) => create()?,
                done => done?,
            }
        } else {
            match create() {
                Err(why) if [IN_USE, username].iter().all(|words| why.to_string().contains(words)) => {
                    executor.operator.note(&format!(
                        "there is an account {username} already; it was left as it is, with its own password and rights"
                    ));
                    return Ok(());
                }
                done => done?,
            }
        }
        executor.operator.password(username, &password);
        self.run(executor, commands::account_promote(&self.config, username)).map_err(|why| {
            why.and(format!(
                ". The account {username} was created but is not an administrator; run the same command again to finish it"
            ))
        })
    }
}

impl Account {
    fn run(&self, executor: &Executor<'_>, command: Command) -> Result<(), Failure> {
        let Self { program, environment, owner, directory, .. } = self.clone();
        let Command { name, arguments, secret_argument } = command;
        let invocation = Invocation {
            program,
            arguments,
            environment,
            owner,
            directory,
            secret_argument,
            limit: Some(commands::LIMIT),
        };
        let output = executor.host.run_as(&invocation)?;
        if output.status != Some(0) {
            refuse!("`gotosocial {name}` failed: {}", output.reason());
        }
        Ok(())
    }
}

/// A password of 130 random bits, in groups that can be read aloud.
fn random_password() -> Result<String, String> {
    let mut bytes = [0_u8; LETTERS];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers available: {error}"))?;
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte % 32)]);
    let groups: Vec<String> = bytes.chunks(5).map(|group| group.iter().map(letter).collect()).collect();
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
