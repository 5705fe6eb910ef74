//! `admin account …`.

use super::database::{Account, Database};
use super::gotosocial_config::{Failure, Settings};

/// The flags that an action takes from the command line only; `None` if there is no such action.
pub(super) fn requires(action: &str) -> Option<&'static [&'static str]> {
    Some(match action {
        "create" => &["email", "password", "username"],
        "password" => &["password", "username"],
        "promote" | "demote" | "confirm" => &["username"],
        "list" => &[],
        _ => return None,
    })
}

/// Does it. The answer is what is printed.
pub(super) fn act(database: Database, settings: &Settings, action: &str) -> Result<String, Failure> {
    let mut content = database.content()?;
    if action == "list" {
        return Ok(table(&content.accounts));
    }
    let (username, email, password) = (settings.text("username"), settings.text("email"), settings.text("password"));
    check_username(username)?;
    if action != "create" {
        let found = content.accounts.iter_mut().find(|account| account.has_user && account.username == username);
        let account = found.ok_or_else(|| refused("sql: no rows in result set"))?;
        match action {
            "promote" => account.admin = true,
            "demote" => account.admin = false,
            "password" => check_password(password)?,
            _ => {}
        }
        return database.save(&content).map(|()| String::new());
    }
    if content.accounts.iter().any(|account| account.username == username) {
        return Err(refused(&format!("username {username} is already in use")));
    }
    if !email.contains('@') {
        return Err(refused("mail: missing '@' or angle-addr"));
    }
    if content.accounts.iter().any(|account| account.has_user && account.email == email) {
        return Err(refused(&format!("email address {email} is already in use")));
    }
    check_password(password)?;
    let has_user = content.instance.is_some();
    content.accounts.push(Account { username: username.into(), email: email.into(), has_user, admin: false });
    database.save(&content)?;
    if has_user {
        return Ok(String::new());
    }
    // The account is left behind half made, as the real program leaves it.
    Err(refused(
        "NewSignup: instance application not yet created, run the server at least once *before* creating users",
    ))
}

fn refused(text: &str) -> Failure {
    Failure::Error(text.to_owned())
}

fn check_username(username: &str) -> Result<(), Failure> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if (1..=64).contains(&username.len()) && username.chars().all(valid) {
        return Ok(());
    }
    Err(refused(&format!(
        "given username {username} was invalid: must contain only lowercase letters, numbers, and underscores, max 64 \
         characters"
    )))
}

/// At least 60 bits and at most 72 bytes. The bits are counted coarsely: six a character at most.
fn check_password(password: &str) -> Result<(), Failure> {
    if password.len() > 72 {
        return Err(refused("password should be no more than 72 bytes"));
    }
    let mut different: Vec<char> = password.chars().collect();
    different.sort_unstable();
    different.dedup();
    let bits = different.len() * 6;
    if bits >= 60 {
        return Ok(());
    }
    Err(refused(&format!(
        "password is only {}% strength, try including more special characters, using lowercase letters, using uppercase \
         letters, using numbers or using a longer password",
        bits * 100 / 60
    )))
}

fn table(accounts: &[Account]) -> String {
    let mut text = String::from("user\taccount\tapproved\tadmin\tmoderator\tsuspended\tconfirmed\n");
    for (number, account) in accounts.iter().enumerate().filter(|(_, account)| account.has_user) {
        let admin = if account.admin { "yes" } else { "no" };
        text += &format!("{}\t01STANDIN{number:017}\tyes\t{admin}\t{admin}\tno\tyes\n", account.username);
    }
    text
}
