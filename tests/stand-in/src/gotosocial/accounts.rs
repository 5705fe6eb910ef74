//! `admin account …`.

use gts_bootstrap::gotosocial::accounts::{self, table};
use gts_bootstrap::gotosocial::loading::{Failure, Settings};

use super::database::Database;

/// Does it. The answer is what is printed.
pub(super) fn act(database: Database, settings: &Settings, action: &str) -> Result<String, Failure> {
    let mut content = database.content()?;
    if action == "list" {
        return Ok(table(&content.accounts));
    }
    let after = accounts::act(&mut content.accounts, content.instance.is_some(), settings, action)?;
    database.save(&content)?;
    after.map_or(Ok(String::new()), Err)
}
