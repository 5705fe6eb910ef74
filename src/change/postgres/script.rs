//! The SQL script that pg_restore(1) makes of a dump: what is in it, and what psql(1) is given of it.
//!
//! Its data are the lines between `COPY … FROM stdin;` and `\.`, where a tab, a line break and a backslash are escaped
//! (PostgreSQL's documentation, COPY, "Text Format"). So no line of them can be taken for one of the script's own.

use std::io::{self, BufRead, Write};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::host::DatabaseState;

/// What is in a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// SHA-256 of all that it says of the database, as 64 hexadecimal digits.
    pub sha256: String,
    /// What of it tells which release the database is for.
    pub state: DatabaseState,
    /// Whether psql(1) takes no command of its own from it: all of it stands between `\restrict WORD` and `\unrestrict WORD`,
    /// with a word that pg_restore(1) makes up each time.
    pub is_fenced: bool,
}

/// What the last line but for blanks says of a script that is all there.
const COMPLETE: &[u8] = b"-- PostgreSQL database dump complete";
/// What psql(1) prints once all is committed.
pub(super) const COMMITTED: &str = "committed";
/// Takes away what the database holds before the script fills it.
const CLEAR: &str = include_str!("clear.sql");

/// The columns of the table whose data are being read.
enum Table {
    Migrations { name: usize },
    Posts { local: usize },
    Other,
}

impl Table {
    /// That of a line `COPY schema.table (column, …) FROM stdin;`; `None` if it is no such line.
    fn begun_by(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line.strip_prefix(b"COPY ")?.strip_suffix(b" FROM stdin;")?).ok()?;
        let (table, columns) = line.split_once(" (").unwrap_or((line, ""));
        let table = table.rsplit('.').next().unwrap_or(table).trim_matches('"');
        let place = |wanted: &str| {
            let mut names = columns.trim_end_matches(')').split(", ").map(|name| name.trim_matches('"'));
            names.position(|name| name == wanted)
        };
        Some(match (table, place("name"), place("local")) {
            ("bun_migrations", Some(name), _) => Self::Migrations { name },
            ("statuses", _, Some(local)) => Self::Posts { local },
            _ => Self::Other,
        })
    }
}

/// Has each line of a script, and itself without its end.
fn each_line(mut script: impl BufRead, mut with: impl FnMut(&[u8], &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut line = Vec::new();
    while script.read_until(b'\n', &mut line)? > 0 {
        with(&line, line.strip_suffix(b"\n").unwrap_or(&line))?;
        line.clear();
    }
    Ok(())
}

/// Reads a script to its end.
///
/// # Errors
/// It cannot be read, or is cut off.
pub fn read(script: impl BufRead) -> io::Result<Contents> {
    let mut digest = Sha256::new();
    let mut state = DatabaseState { migrations: 0, newest_migration: None, posts: None, damage: None };
    let (mut table, mut complete) = (None, false);
    let (mut fence, mut is_fenced) = (None, false);
    each_line(script, |line, text| {
        match &table {
            None => {
                complete |= text == COMPLETE;
                if !text.is_empty() && !text.starts_with(b"--") {
                    let begun = fence.get_or_insert_with(|| text.strip_prefix(br"\restrict ").map(<[u8]>::to_vec));
                    // The last one counts.
                    is_fenced = begun.is_some() && text.strip_prefix(br"\unrestrict ") == begun.as_deref();
                }
                // Which program wrote it is in comments, and in two lines with a word that is new each time.
                if text.is_empty() || text.starts_with(b"--") || is_restriction(text) {
                    return Ok(());
                }
                table = Table::begun_by(text);
                if let Some(Table::Posts { .. }) = table {
                    state.posts = Some(0);
                }
            }
            Some(_) if text == br"\." => table = None,
            Some(Table::Migrations { name }) => {
                state.migrations += 1;
                let name = column(text, *name).map(|name| String::from_utf8_lossy(name).into_owned());
                state.newest_migration = state.newest_migration.take().max(name);
            }
            Some(Table::Posts { local }) if column(text, *local) == Some(b"t") => {
                state.posts = state.posts.map(|posts| posts + 1);
            }
            Some(Table::Posts { .. } | Table::Other) => {}
        }
        digest.update(line);
        Ok(())
    })?;
    if !complete || table.is_some() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off"));
    }
    Ok(Contents { sha256: HEXLOWER.encode(&digest.finalize()), state, is_fenced })
}

/// One column of a line of data.
fn column(line: &[u8], at: usize) -> Option<&[u8]> {
    line.split(|byte| *byte == b'\t').nth(at)
}

/// `\restrict WORD` and `\unrestrict WORD`, within which psql(1) takes no other command of its own.
fn is_restriction(line: &[u8]) -> bool {
    line.starts_with(br"\restrict ") || line.starts_with(br"\unrestrict ")
}

/// Writes what psql(1) is to run, so that the database is what the script makes and nothing else, or what it was.
///
/// The transaction is written out: up to version 14 `psql --single-transaction` commits what it has done so far if it is stopped
/// by anything but an error of the server. It begins here, and ends where `pg_restore --single-transaction` has ended it, without
/// which a script commits before and after its large objects. A file without its end commits nothing, and is told by what is
/// missing in the output.
///
/// # Errors
/// The script cannot be read, or this not be written.
pub fn write_load(script: impl BufRead, server: u32, to: &mut dyn Write) -> io::Result<()> {
    to.write_all(b"\\set ON_ERROR_STOP on\nBEGIN;\n")?;
    to.write_all(CLEAR.as_bytes())?;
    let (mut data, mut begun) = (false, false);
    each_line(script, |line, text| {
        if data {
            data = text != br"\.";
        } else if !begun && text == b"BEGIN;" {
            begun = true;
            return Ok(());
        } else if is_left_out(text, server) {
            return Ok(());
        } else {
            data = Table::begun_by(text).is_some();
        }
        to.write_all(line)
    })?;
    to.write_all(format!("\\echo {COMMITTED}\n").as_bytes())?;
    to.flush()
}

/// What a client says that a server older than itself does not know, and what only the owner of an extension may do, who most
/// often is a superuser.
fn is_left_out(line: &[u8], server: u32) -> bool {
    (server < 170_000 && line == b"SET transaction_timeout = 0;") || line.starts_with(b"COMMENT ON EXTENSION ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const SCRIPT: &str = r#"--
-- PostgreSQL database dump
--

\restrict abc

-- Dumped from database version 15.1

BEGIN;

SET transaction_timeout = 0;
CREATE TABLE public.statuses (id character(26), local boolean);
COMMENT ON EXTENSION pgcrypto IS 'functions';
COPY public.bun_migrations (id, name, group_id) FROM stdin;
1	20210101	1
2	20250101	1
3	20240101	2
\.


COPY public.statuses (id, "local", content) FROM stdin;
01A	t	one\ntwo \\. SET transaction_timeout = 0;
01B	f	t
01C	\N	-- no comment
01D	t	
\.


COPY public."user" (x) FROM stdin;
BEGIN;
\.


COMMIT;

--
-- PostgreSQL database dump complete
--

\unrestrict abc

"#;

    #[test]
    fn what_a_script_holds_is_counted() {
        let contents = read(SCRIPT.as_bytes()).unwrap();
        let newest_migration = Some("20250101".to_owned());
        let wanted = DatabaseState { migrations: 3, newest_migration, posts: Some(2), damage: None };
        assert_eq!(contents.state, wanted);
    }

    #[test]
    fn a_script_is_fenced_from_its_first_line_to_its_last() {
        let is_fenced = |text: &str| read(text.as_bytes()).unwrap().is_fenced;
        assert!(is_fenced(SCRIPT));
        let [begin, end] = [r"\restrict abc", r"\unrestrict abc"];
        for text in [
            SCRIPT.replace(begin, "").replace(end, ""),
            SCRIPT.replace(end, ""),
            SCRIPT.replace(end, r"\unrestrict abd"),
            SCRIPT.replace(begin, &format!("SELECT 1;\n{begin}")),
            format!("{SCRIPT}SELECT 1;\n"),
        ] {
            assert!(!is_fenced(&text), "{text}");
        }
    }

    #[test]
    fn which_program_wrote_it_makes_no_difference_and_all_else_does() {
        let digest = |text: &str| read(text.as_bytes()).unwrap().sha256;
        let by_another = SCRIPT.replace("restrict abc", "restrict xyz").replace("version 15.1", "version 16.0");
        assert_eq!(digest(&by_another), digest(SCRIPT));
        for (old, new) in [("-- no comment", "-- another"), ("1\t20210101", "4\t20210101"), ("character(26)", "text")] {
            assert_ne!(digest(&SCRIPT.replace(old, new)), digest(SCRIPT), "{old}");
        }
    }

    #[test]
    fn one_that_is_cut_off_is_none() {
        let whole = SCRIPT.find("-- PostgreSQL database dump complete").unwrap();
        let before = [&SCRIPT[..whole], &SCRIPT[..SCRIPT.find("01C").unwrap()], ""];
        for text in before {
            assert_eq!(read(text.as_bytes()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    fn load(server: u32) -> String {
        let mut written = Vec::new();
        write_load(SCRIPT.as_bytes(), server, &mut written).unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_load_is_one_transaction_that_begins_by_clearing() {
        let text = load(170_002);
        assert!(text.starts_with("\\set ON_ERROR_STOP on\nBEGIN;\n--"), "{text}");
        assert!(text.ends_with("\\unrestrict abc\n\n\\echo committed\n"), "{text}");
        let lines = |wanted: &str| text.lines().filter(|line| *line == wanted).count();
        // One is among the data, and that of the script is gone.
        assert_eq!((lines("BEGIN;"), lines("COMMIT;")), (2, 1));
        let [clear, filled] = ["DROP SCHEMA", "CREATE TABLE public.statuses"].map(|part| text.find(part).unwrap());
        assert!(clear < filled);
    }

    #[test]
    fn what_an_older_server_does_not_know_is_left_out() {
        let setting = "\nSET transaction_timeout = 0;\n";
        assert!(load(170_002).contains(setting) && !load(150_018).contains(setting));
        for server in [150_018, 170_002] {
            assert!(!load(server).contains("COMMENT ON EXTENSION"));
            assert!(load(server).contains("one\\ntwo \\\\. SET transaction_timeout = 0;"), "data stay as they are");
        }
    }
}
