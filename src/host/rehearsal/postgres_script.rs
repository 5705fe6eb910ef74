//! The SQL script of a GoToSocial database in PostgreSQL, written and played.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::gotosocial_database::Database;
use crate::gotosocial::accounts::Account;

/// How the part of a script ends that a dump holds.
pub(super) const END: &str = "--\n-- Data of all tables above\n--\n\n";

const TABLES: [(&str, &str); 6] = [
    ("bun_migrations", "id, name, group_id"),
    ("instances", "id, domain"),
    ("accounts", "id, username"),
    ("emails", "account_id, email"),
    ("users", "account_id, email, admin, moderator"),
    ("statuses", "id, text, local"),
];
/// What a newer release's migrations add.
const NEWER: (&str, &str) = ("account_settings", "account_id");

type Rows = Vec<Vec<String>>;

/// The script of a database, without what each program puts around it.
pub(super) fn of(database: &Database) -> String {
    if database.migrations == 0 {
        return END.to_owned();
    }
    let tables = rows(database);
    let newer = database.migrations > 110;
    let all = TABLES.into_iter().chain(newer.then_some(NEWER));
    let mut text = String::new();
    for (name, columns) in all.clone() {
        let _ = writeln!(text, "CREATE TABLE public.{name} ({columns});\n");
    }
    for (name, columns) in all {
        let _ = writeln!(text, "COPY public.{name} ({columns}) FROM stdin;");
        for row in tables.get(name).into_iter().flatten() {
            let _ = writeln!(text, "{}", row.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join("\t"));
        }
        text.push_str("\\.\n\n\n");
    }
    text + END
}

fn rows(database: &Database) -> BTreeMap<&'static str, Rows> {
    let mut tables: BTreeMap<&str, Rows> = BTreeMap::new();
    let mut add =
        |table, row: &[&str]| tables.entry(table).or_default().push(row.iter().map(|&cell| cell.to_owned()).collect());
    let flag = |is: bool| if is { "t" } else { "f" };
    for number in 1..=database.migrations {
        let group = if number > 110 { "2" } else { "1" };
        add("bun_migrations", &[&number.to_string(), &format!("2021{number:010}"), group]);
    }
    if let Some(host) = &database.instance {
        add("instances", &["1", host]);
    }
    for (id, account) in (1..).map(|id: u32| id.to_string()).zip(&database.accounts) {
        add("accounts", &[&id, &account.username]);
        add("emails", &[&id, &account.email]);
        if account.has_user {
            add("users", &[&id, &account.email, flag(account.admin), flag(account.moderator)]);
        }
    }
    for (id, post) in (1..).map(|id: u32| id.to_string()).zip(&database.posts) {
        add("statuses", &[&id, post, "t"]);
    }
    tables
}

fn database(tables: &BTreeMap<String, Rows>) -> Database {
    let cell = |row: &[String], at: usize| row.get(at).cloned().unwrap_or_default();
    let of = |table: &str| tables.get(table).cloned().unwrap_or_default();
    let accounts = of("accounts").into_iter().map(|row| {
        let id = cell(&row, 0);
        let by_id = |table: &str| of(table).into_iter().find(|other| cell(other, 0) == id);
        let user = by_id("users");
        let is = |at: usize| user.as_ref().is_some_and(|user| cell(user, at) == "t");
        Account {
            username: cell(&row, 1),
            email: by_id("emails").map(|row| cell(&row, 1)).unwrap_or_default(),
            has_user: user.is_some(),
            admin: is(2),
            moderator: is(3),
        }
    });
    Database {
        migrations: u32::try_from(of("bun_migrations").len()).unwrap_or_default(),
        instance: of("instances").first().map(|row| cell(row, 1)),
        accounts: accounts.collect(),
        posts: of("statuses").iter().map(|row| cell(row, 1)).collect(),
    }
}

fn escaped(cell: &str) -> String {
    cell.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")
}

fn unescaped(cell: &str) -> String {
    let mut characters = cell.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        text.push(match (character, if character == '\\' { characters.next() } else { None }) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('t')) => '\t',
            ('\\', Some(other)) => other,
            (character, _) => character,
        });
    }
    text
}

/// A session in which a script is played.
pub(super) struct Session {
    /// Version of the server, as in `server_version_num`.
    pub(super) server: u32,
    /// Whether somebody else uses the tables.
    pub(super) locked: bool,
    /// Whether the server's disk is full after the first rows.
    pub(super) fails: bool,
    /// What is in the database.
    pub(super) before: Database,
}

/// What came of it.
pub(super) struct Played {
    /// What is in the database now, if that was written.
    pub(super) committed: Option<Database>,
    /// What psql(1) printed.
    pub(super) stdout: String,
    /// Number of the line that failed, and why.
    pub(super) error: Option<(usize, String)>,
}

impl Session {
    /// Plays a script. Outside a transaction every statement is committed by itself, and without ON_ERROR_STOP psql goes on.
    pub(super) fn play(&self, text: &str, stops: bool) -> Played {
        let mut tables = self.tables();
        let mut committed = None;
        let (mut stdout, mut error) = (String::new(), None);
        let (mut open, mut clearing, mut filling) = (false, false, None::<String>);
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(table) = &filling {
                if line == "\\." {
                    filling = None;
                } else {
                    let row = line.split('\t').map(unescaped).collect();
                    tables.entry(table.clone()).or_default().push(row);
                    continue;
                }
            }
            let failed = match line {
                "BEGIN;" => {
                    open = true;
                    None
                }
                "COMMIT;" => {
                    open = false;
                    None
                }
                "DO $clear$" => {
                    clearing = true;
                    None
                }
                "$clear$;" if clearing && self.locked => Some("canceling statement due to lock timeout".to_owned()),
                "$clear$;" if clearing => {
                    clearing = false;
                    tables.clear();
                    None
                }
                _ if clearing => None,
                "SET transaction_timeout = 0;" if self.server < 170_000 => {
                    Some("unrecognized configuration parameter \"transaction_timeout\"".to_owned())
                }
                "\\." if self.fails => {
                    Some("could not extend file \"base/16384/16420\": No space left on device".to_owned())
                }
                _ => {
                    let named = |prefix: &str| line.strip_prefix(prefix).and_then(|rest| rest.split(' ').next());
                    if let Some(echoed) = line.strip_prefix("\\echo ") {
                        stdout.push_str(echoed);
                        stdout.push('\n');
                        None
                    } else if let Some(table) = named("CREATE TABLE public.") {
                        let there = tables.insert(table.to_owned(), Rows::new()).is_some();
                        there.then(|| format!("relation \"{table}\" already exists"))
                    } else if let Some(table) = named("COPY public.") {
                        filling = Some(table.to_owned());
                        None
                    } else {
                        None
                    }
                }
            };
            if let Some(why) = failed {
                error = Some((number, why));
                if stops || open {
                    break;
                }
            }
            if !open && filling.is_none() {
                committed = Some(database(&tables));
            }
        }
        Played { committed: committed.filter(|database| *database != self.before), stdout, error }
    }

    fn tables(&self) -> BTreeMap<String, Rows> {
        if self.before.migrations == 0 {
            return BTreeMap::new();
        }
        let filled = rows(&self.before).into_iter().map(|(name, rows)| (name.to_owned(), rows));
        let newer = (self.before.migrations > 110).then_some(NEWER);
        let empty = TABLES.into_iter().chain(newer).map(|(name, _)| (name.to_owned(), Rows::new()));
        empty.chain(filled).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn furnished() -> Database {
        let account = Account {
            username: "alice".into(),
            email: "a@example.org".into(),
            has_user: true,
            admin: true,
            moderator: false,
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
        let text = format!("BEGIN;\n{CLEAR}{}COMMIT;\n\\echo done\n", of(&furnished()));
        for before in [Database::default(), Database { migrations: 110, ..Database::default() }] {
            let played = session(before).play(&text, true);
            assert_eq!((played.committed, played.stdout.as_str(), played.error), (Some(furnished()), "done\n", None));
        }
    }

    #[test]
    fn what_is_there_already_is_in_the_way() {
        let before = Database { migrations: 110, ..Database::default() };
        let played = session(before.clone()).play(&format!("BEGIN;\n{}COMMIT;\n", of(&furnished())), true);
        assert_eq!(played.error.unwrap().1, "relation \"bun_migrations\" already exists");
        assert_eq!(played.committed, None);
        // Without a transaction what came before the failure stays.
        let torn = Session { fails: true, ..session(before) };
        assert!(torn.play(&format!("{CLEAR}{}", of(&furnished())), true).committed.is_some());
    }

    #[test]
    fn without_its_end_nothing_is_committed() {
        let text = format!("BEGIN;\n{CLEAR}{}", of(&furnished()));
        let played = session(Database::default()).play(&text, true);
        assert_eq!((played.committed, played.error), (None, None));
        let locked = Session { locked: true, ..session(Database::default()) };
        assert_eq!(locked.play(&text, true).error.unwrap().1, "canceling statement due to lock timeout");
        let old = session(Database::default()).play("BEGIN;\nSET transaction_timeout = 0;\nCOMMIT;\n", true);
        assert!(old.error.unwrap().1.starts_with("unrecognized configuration parameter"));
    }
}
