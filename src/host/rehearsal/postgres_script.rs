//! The SQL script of a GoToSocial database in PostgreSQL, written and played. SQLite keeps the tables meanwhile.

use rusqlite::{Connection, params_from_iter};

use super::gotosocial_database::Database;

/// The end of the part of a script that a dump holds.
pub(super) const END: &str = "--\n-- Data of all tables above\n--\n\n";

/// The columns that PostgreSQL writes as `t` and `f`.
const FLAGS: [&str; 4] = ["has_user", "admin", "moderator", "local"];

/// The script of a database, without what each program puts around it.
pub(super) fn of(database: &Database) -> rusqlite::Result<String> {
    let file = opened(database)?;
    let (mut text, mut data) = (String::new(), String::new());
    let mut tables = file.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY rowid")?;
    let mut tables = tables.query([])?;
    while let Some(table) = tables.next()? {
        let (name, sql): (String, String) = (table.get(0)?, table.get(1)?);
        text += &format!("{};\n\n", sql.replacen("TABLE ", "TABLE public.", 1));
        let columns = columns(&file, &name)?;
        let cell = |column: &String| match FLAGS.contains(&column.as_str()) {
            true => format!("iif({column}, 't', 'f')"),
            false => format!(r"replace(replace(replace({column}, '\', '\\'), char(10), '\n'), char(9), '\t')"),
        };
        let row = columns.iter().map(cell).collect::<Vec<_>>().join(" || char(9) || ");
        data += &format!("COPY public.{name} ({}) FROM stdin;\n", columns.join(", "));
        let mut rows = file.prepare(&format!("SELECT {row} FROM {name} ORDER BY id"))?;
        for row in rows.query_map([], |row| row.get::<_, String>(0))? {
            data += &format!("{}\n", row?);
        }
        data += "\\.\n\n\n";
    }
    Ok(text + &data + END)
}

/// A database that nobody has used yet has no tables.
fn opened(database: &Database) -> rusqlite::Result<Connection> {
    if database.migrations == 0 { Connection::open_in_memory() } else { database.connection() }
}

fn columns(file: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let named = file.prepare(&format!("SELECT * FROM {table}"))?;
    Ok(named.column_names().into_iter().map(str::to_owned).collect())
}

/// A cell, or a field of a password file, without its backslashes.
pub(super) fn unescaped(cell: &str) -> String {
    let mut characters = cell.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        text.extend(match character {
            '\\' => characters.next().map(|escaped| match escaped {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            other => Some(other),
        });
    }
    text
}

/// A session that plays a script.
pub(super) struct Session {
    /// Version of the server, as in `server_version_num`.
    pub(super) server: u32,
    /// Whether another session uses the tables.
    pub(super) locked: bool,
    /// Whether the server's disk is full after the first table.
    pub(super) fails: bool,
    /// The content of the database.
    pub(super) before: Database,
}

/// The result of a script.
pub(super) struct Played {
    /// The content of the database, if it has changed.
    pub(super) committed: Option<Database>,
    /// What psql(1) printed.
    pub(super) stdout: String,
    /// Number of the line that failed, and why.
    pub(super) error: Option<(usize, String)>,
}

impl Session {
    /// Plays a script. Outside a transaction every statement is committed on its own, and without ON_ERROR_STOP psql
    /// continues after an error.
    pub(super) fn play(&self, text: &str, stops: bool) -> rusqlite::Result<Played> {
        let file = opened(&self.before)?;
        let (mut stdout, mut error) = (String::new(), None);
        let (mut clearing, mut insert) = (false, None::<String>);
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(insert) = insert.as_ref().filter(|_| line != "\\.") {
                file.execute(insert, params_from_iter(line.split('\t').map(unescaped)))?;
                continue;
            }
            insert = None;
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let table = rest.split_once("public.").and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
            let mut failed = None;
            match word {
                "DO" => clearing = true,
                "$clear$;" if self.locked => failed = Some("canceling statement due to lock timeout".to_owned()),
                "$clear$;" => {
                    clearing = false;
                    let drops = "SELECT coalesce(group_concat('DROP TABLE ' || name, ';'), '') FROM sqlite_schema";
                    file.execute_batch(&file.query_row(drops, [], |row| row.get::<_, String>(0))?)?;
                }
                _ if clearing => {}
                "BEGIN;" | "COMMIT;" => file.execute_batch(line)?,
                "CREATE" if file.execute_batch(&line.replacen("public.", "", 1)).is_err() => {
                    failed = Some(format!("relation \"{table}\" already exists"));
                }
                "COPY" => {
                    let values = columns(&file, table)?.into_iter().zip(1..).map(|(column, at)| {
                        if FLAGS.contains(&column.as_str()) { format!("?{at} = 't'") } else { format!("?{at}") }
                    });
                    insert = Some(format!("INSERT INTO {table} VALUES ({})", values.collect::<Vec<_>>().join(", ")));
                }
                "\\." if self.fails => {
                    failed = Some("could not extend file \"base/16384/16420\": No space left on device".to_owned());
                }
                "SET" if rest == "transaction_timeout = 0;" && self.server < 170_000 => {
                    failed = Some("unrecognized configuration parameter \"transaction_timeout\"".to_owned());
                }
                "\\echo" => stdout += &format!("{rest}\n"),
                _ => {}
            }
            if let Some(why) = failed {
                error = Some((number, why));
                if stops || !file.is_autocommit() {
                    break;
                }
            }
        }
        if !file.is_autocommit() {
            file.execute_batch("ROLLBACK")?;
        }
        // A database without all of the tables is as good as an unused one.
        let now = Database::of(&file).unwrap_or_default();
        Ok(Played { committed: Some(now).filter(|now| *now != self.before), stdout, error })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::gotosocial::accounts::Account;

    fn furnished() -> Database {
        let account = Account {
            username: "alice".into(),
            email: "a@example.org".into(),
            has_user: true,
            admin: true,
            moderator: false,
            ..Account::default()
        };
        Database {
            migrations: 118,
            instance: Some("social.example.org".into()),
            accounts: vec![account],
            posts: vec!["one\ttwo\\\nthree".into()],
        }
    }

    fn session(before: Database) -> Session {
        Session { server: 160_004, locked: false, fails: false, before }
    }

    const CLEAR: &str = "DO $clear$\nBEGIN\nEND\n$clear$;\n";

    #[test]
    fn a_script_makes_the_database_that_it_was_made_of() {
        let text = format!("BEGIN;\n{CLEAR}{}COMMIT;\n\\echo done\n", of(&furnished()).unwrap());
        for before in [Database::default(), Database { migrations: 110, ..Database::default() }] {
            let played = session(before).play(&text, true).unwrap();
            assert_eq!((played.committed, played.stdout.as_str(), played.error), (Some(furnished()), "done\n", None));
        }
    }

    #[test]
    fn what_is_there_already_is_in_the_way() {
        let before = Database { migrations: 110, ..Database::default() };
        let text = format!("BEGIN;\n{}COMMIT;\n", of(&furnished()).unwrap());
        let played = session(before.clone()).play(&text, true).unwrap();
        assert_eq!(played.error.unwrap().1, "relation \"bun_migrations\" already exists");
        assert_eq!(played.committed, None);
        // Without a transaction everything before the failure stays.
        let torn = Session { fails: true, ..session(before) };
        let text = format!("{CLEAR}{}", of(&furnished()).unwrap());
        assert!(torn.play(&text, true).unwrap().committed.is_some());
    }

    #[test]
    fn without_its_end_nothing_is_committed() {
        let text = format!("BEGIN;\n{CLEAR}{}", of(&furnished()).unwrap());
        let played = session(Database::default()).play(&text, true).unwrap();
        assert_eq!((played.committed, played.error), (None, None));
        let locked = Session { locked: true, ..session(Database::default()) };
        let error = locked.play(&text, true).unwrap().error.unwrap().1;
        assert_eq!(error, "canceling statement due to lock timeout");
        let old = session(Database::default()).play("BEGIN;\nSET transaction_timeout = 0;\nCOMMIT;\n", true).unwrap();
        assert!(old.error.unwrap().1.starts_with("unrecognized configuration parameter"));
    }
}
