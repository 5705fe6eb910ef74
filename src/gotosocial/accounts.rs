//! The accounts of an instance, as `admin account …` changes them.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::loading::{Failure, Settings};

/// An account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Login name.
    pub username: String,
    /// Address.
    pub email: String,
    /// Whether it has a user row. One made before the first start has none, and never gets one.
    pub has_user: bool,
    /// Whether it is an administrator.
    pub admin: bool,
    /// Whether it is a moderator.
    pub moderator: bool,
    /// What [`encrypted`] makes of the password; empty if it is not known.
    pub encrypted_password: String,
}

/// A password as it is stored: a salted digest. The real program uses bcrypt.
pub fn encrypted(username: &str, password: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(format!("{username}:{password}")))
}

/// The flags that an action takes from the command line only; `None` if there is no such action.
pub fn required_flags(action: &str) -> Option<&'static [&'static str]> {
    Some(match action {
        "create" => &["email", "password", "username"],
        "password" => &["password", "username"],
        "confirm" | "promote" | "demote" => &["username"],
        "list" => &[],
        _ => return None,
    })
}

/// Does any action but `list`. `has_started` says whether the server has run on this database. The accounts are to be saved
/// afterwards; then comes the failure that is returned, if there is one.
///
/// # Errors
/// The action is refused, and nothing has changed.
pub fn act(
    accounts: &mut Vec<Account>,
    has_started: bool,
    settings: &Settings,
    action: &str,
) -> Result<Option<Failure>, Failure> {
    change(accounts, has_started, settings, action).map_err(Failure::Error)?;
    // The account is left behind half made, as the real program leaves it.
    let why = "NewSignup: instance application not yet created, run the server at least once *before* creating users";
    Ok((action == "create" && !has_started).then(|| Failure::Error(why.into())))
}

fn change(accounts: &mut Vec<Account>, has_started: bool, settings: &Settings, action: &str) -> Result<(), String> {
    let (username, email, password) = (settings.text("username"), settings.text("email"), settings.text("password"));
    check_username(username)?;
    if action != "create" {
        let found = accounts.iter_mut().find(|account| account.username == username && account.has_user);
        let found = found.ok_or("sql: no rows in result set")?;
        match action {
            "promote" => (found.admin, found.moderator) = (true, true),
            "demote" => (found.admin, found.moderator) = (false, false),
            "password" => {
                check_password(password)?;
                found.encrypted_password = encrypted(username, password);
            }
            _ => {}
        }
        return Ok(());
    }
    if accounts.iter().any(|account| account.username == username) {
        return Err(format!("username {username} is already in use"));
    }
    if !email.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty()) {
        return Err("mail: missing '@' or angle-addr".into());
    }
    if accounts.iter().any(|account| account.has_user && account.email == email) {
        return Err(format!("email address {email} is already in use"));
    }
    check_password(password)?;
    let encrypted_password = encrypted(username, password);
    let (username, email) = (username.into(), email.into());
    accounts.push(Account { username, email, has_user: has_started, encrypted_password, ..Account::default() });
    Ok(())
}

fn check_username(username: &str) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !username.is_empty() && username.len() <= 64 && username.chars().all(valid) {
        return Ok(());
    }
    Err(format!(
        "given username {username} was invalid: must contain only lowercase letters, numbers, and underscores, max 64 \
         characters"
    ))
}

/// At least 60 bits of entropy and at most 72 bytes. The bits are those of the alphabet times the length, where a
/// character repeated more than twice counts twice; the real program also knows keyboard rows.
pub(super) fn check_password(password: &str) -> Result<(), String> {
    if password.len() > 72 {
        return Err("password should be no more than 72 bytes".into());
    }
    let kinds: [(f64, &dyn Fn(char) -> bool); 6] = [
        (26.0, &|c| c.is_ascii_lowercase()),
        (26.0, &|c| c.is_ascii_uppercase()),
        (10.0, &|c| c.is_ascii_digit()),
        (5.0, &|c| "!@$&*".contains(c)),
        (5.0, &|c| "_-., ".contains(c)),
        (22.0, &|c| !c.is_ascii_alphanumeric() && !"!@$&*_-., ".contains(c)),
    ];
    let base: f64 = kinds.iter().filter(|(_, is)| password.chars().any(is)).map(|(size, _)| size).sum();
    let characters: Vec<char> = password.chars().collect();
    let repeated = characters.windows(3).filter(|three| three.iter().all(|letter| *letter == three[0])).count();
    let bits = base.max(1.0).log2() * (characters.len() - repeated) as f64;
    if bits >= 60.0 {
        return Ok(());
    }
    Err(format!(
        "password is only {:.0}% strength, try including more special characters, using lowercase letters, using \
         uppercase letters, using numbers or using a longer password",
        bits * 100.0 / 60.0
    ))
}

/// What `admin account list` prints.
pub fn table(accounts: &[Account]) -> String {
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let mut text = String::from("user\taccount\tapproved\tadmin\tmoderator\tsuspended\tconfirmed\n");
    for (number, account) in accounts.iter().enumerate().filter(|(_, account)| account.has_user) {
        let (username, admin, moderator) = (&account.username, yes(account.admin), yes(account.moderator));
        text += &format!("{username}\t01REHEARSAL{number:015}\tyes\t{admin}\t{moderator}\tno\tyes\n");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_long_passwords_are_refused() {
        assert!(check_password("password").is_err());
        assert!(check_password("aaaaaaaaaaaaaaaaaaaaaaaaaaaa").is_err());
        assert!(check_password(&"aB3$".repeat(19)).is_err());
        assert_eq!(check_password("fQ9-mZ2_xLp7.Tw4"), Ok(()));
    }
}
