//! The first account: created by GoToSocial's own command line, as the service user, after the service is ready.
//!
//! GoToSocial takes the password only as an argument, where every user of the host can see it for a second. So that one is
//! used once: to log in over the loopback and to set another one. Both are random, and only the one in force at the end is
//! told, once, on the terminal. Whoever else has logged in with the first one is logged out, and the administrator is told
//! of that. Where no other one could be set, the administrator is told so and changes it at the first login.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::service::wait_until_ready;
use crate::change::kind::prelude::*;
use crate::change::readiness::{FIRST_CERTIFICATE_TIMEOUT, PAGE_TIMEOUT, Readiness, has_certificate};
use crate::gotosocial::SERVICE;
use crate::gotosocial::commands::{self, Command, IN_USE, UNKNOWN_USER};
use crate::gotosocial::password_change::{Changed, Outcome, PasswordChange, Question, Reply};
use crate::gotosocial::readiness::LIVEZ;
use crate::host::{Invocation, Listener, NEVER, WebAnswer, WebRequest};

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
        let (username, password, second) = (&self.username, random_password()?, random_password()?);
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
        // Before the login: the server would keep what it has read of the account by then.
        let promoted = self.run(executor, commands::account_promote(&self.config, username)).map_err(|why| {
            why.and(format!(
                ". The account {username} was created but is not an administrator; run the same command again to finish it"
            ))
        });
        let kept = |why| Changed { outcome: Outcome::Kept(why), ended: 0, unsure: None };
        let Changed { outcome, ended, unsure } = match &promoted {
            Ok(()) => self.replace(executor, &password, &second).unwrap_or_else(kept),
            Err(_) => kept("the account is not finished".to_owned()),
        };
        match outcome {
            Outcome::Replaced => executor.operator.password(username, &second, None),
            Outcome::Kept(why) => executor.operator.password(username, &password, Some(&why)),
            Outcome::Unknown(why) => {
                let why = format!("{why}, and if it is refused, {second} is in force");
                executor.operator.password(username, &password, Some(&why));
            }
        }
        if let Some(about) = about_others(username, ended, unsure.as_deref()) {
            executor.operator.note(&about);
        }
        promoted
    }
}

impl Account {
    /// Logs in with one password, and sets the other. An error says why nobody could.
    fn replace(&self, executor: &Executor<'_>, old: &str, new: &str) -> Result<Changed, String> {
        let host = executor.host;
        let Some(readiness) = &self.readiness else {
            return Err("it is not known where the server listens".to_owned());
        };
        if !has_certificate(host, readiness) {
            executor.operator.waiting("GoToSocial orders its first certificate", Duration::ZERO, None);
            // It does so at the first connection. If that fails the check of the certificate says why.
            let _ = host.web(&readiness.request(LIVEZ, FIRST_CERTIFICATE_TIMEOUT));
            if !has_certificate(host, readiness) {
                return Err("the server has no certificate yet, so nobody can log in".to_owned());
            }
        }
        listens_alone(host, self.owner.uid, readiness.address)?;
        let client = format!("gts-bootstrap {}", random_password()?);
        let change = PasswordChange { email: &self.email, old, new, client: &client };
        Ok(change.make(&mut |Question { path, carries }| {
            let request = WebRequest { carries, ..readiness.request(&path, PAGE_TIMEOUT) };
            let WebAnswer { status, location, cookie, body, .. } =
                host.web(&request).map_err(|why| format!("{}: {why}", path.split('?').next().unwrap_or_default()))?;
            Ok(Reply { status, location, cookie, body })
        }))
    }

    fn run(&self, executor: &Executor<'_>, command: Command) -> Result<(), Failure> {
        let (name, environment) = (command.name, self.environment.clone());
        let invocation =
            Invocation { environment, ..Invocation::of(&self.program, command, self.owner, &self.directory) };
        let output = executor.host.run_as(&invocation, NEVER)?;
        if output.status != Some(0) {
            refuse!("`gotosocial {name}` failed: {}", output.reason());
        }
        Ok(())
    }
}

/// What to tell of those who were quick enough to log in with the first password.
fn about_others(username: &str, ended: usize, unsure: Option<&str>) -> Option<String> {
    let what = match (ended, unsure) {
        (0, None) => return None,
        (0, Some(why)) => {
            format!("whether somebody else has logged in as {username} with the first password is not known: {why}")
        }
        (_, why) => {
            let why = why.map(|why| format!("; whether there are more is not known: {why}")).unwrap_or_default();
            format!(
                "somebody read the first password of {username} on this host and logged in with it. Logins that were ended: \
                 {ended}{why}. Look for what they may have changed, and who has an account on this host"
            )
        }
    };
    Some(format!(
        "{what}. To be sure that nobody stays, run `service gotosocial restart`, and ten minutes later end what is not yours under \
         Settings, Access Tokens"
    ))
}

/// Whether the passwords get to the service and to nobody else.
fn listens_alone(host: &dyn Host, uid: u32, address: SocketAddr) -> Result<(), String> {
    let (ip, port) = (address.ip(), address.port());
    let is_there = |listener: &&Listener| {
        let family = if ip.is_ipv4() { listener.ipv4 } else { listener.ipv6 };
        listener.port == port && family && listener.address.is_none_or(|own| own == ip)
    };
    let listeners = host.listeners().map_err(|error| format!("who listens on port {port} is not known: {error}"))?;
    let mut there = listeners.iter().filter(is_there).peekable();
    if there.peek().is_some() && there.all(|listener| listener.uid == Some(uid) && listener.jail.is_none()) {
        return Ok(());
    }
    Err(format!("it is not the service alone that listens on port {port}"))
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
    use crate::host::rehearsal::Rehearsal;

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
    #[allow(clippy::unwrap_used)]
    fn a_stranger_on_the_port_gets_no_password() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        let owner = Owner { uid: 209, gid: 209 };
        let listener = |uid, address: Option<[u8; 4]>, port| Listener {
            user: "gotosocial".into(),
            uid,
            command: "gotosocial".into(),
            pid: Some(7),
            address: address.map(Into::into),
            ipv4: true,
            ipv6: address.is_none(),
            port,
            jail: None,
        };
        let own = listener(Some(209), None, 443);
        for (others, is_alone) in [
            (vec![], false),
            (vec![own.clone()], true),
            (vec![own.clone(), listener(Some(80), Some([127, 0, 0, 1]), 80)], true),
            (vec![own.clone(), listener(Some(80), Some([203, 0, 113, 10]), 443)], true),
            (vec![own.clone(), listener(Some(1001), Some([127, 0, 0, 1]), 443)], false),
            (vec![listener(None, None, 443), own], false),
        ] {
            host.edit(|model| model.listeners = others.clone()).unwrap();
            let told = listens_alone(&host, owner.uid, ([127, 0, 0, 1], 443).into());
            assert_eq!(told.is_ok(), is_alone, "{others:?}");
        }
    }

    #[test]
    fn every_letter_is_as_likely_as_any_other() {
        let distinct: std::collections::BTreeSet<u8> = ALPHABET.iter().copied().collect();
        assert_eq!(distinct.len(), 32);
    }
}
