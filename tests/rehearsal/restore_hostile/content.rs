//! Backups whose form is right, with contents that are not.

use std::fs;
use std::path::{Path, PathBuf};

use gts_bootstrap::backup;
use gts_bootstrap::change::digest;

use super::forged::scene;
use super::{LOCK, MEDIUM, refused, restore};
use crate::machine::{Machine, differences};
use crate::rehearsal::backup::{DATABASE, PICTURE, STORAGE, backups, posts, runs};

const RECEIPT: &str = "receipts/0001-install.jsonl";
const DESCRIPTION: &str = "database/database.json";

#[test]
fn what_cannot_be_parsed_and_cannot_be_done_without_is_refused() {
    let (machine, base) = scene();
    let text = |path: &str| String::from_utf8(base.content(path)).unwrap();
    let lock = |text: String| base.replaced(LOCK, text).bytes();
    let describes = |text: String| base.replaced(DESCRIPTION, text).bytes();
    let told = "the files of its database are not those that it tells of";
    let no_database = "is not an SQLite database";
    let database = base.content(backup::SQLITE);
    let with_byte = |at: usize, byte: u8| {
        let mut bytes = database.clone();
        bytes[at] = byte;
        base.replaced(backup::SQLITE, bytes).bytes()
    };
    let newer = text(DESCRIPTION).replacen("\"schema\": 1", "\"schema\": 9", 1);
    refused(
        &machine,
        [
            ("no lock", base.without(LOCK).bytes(), "it has no lock file"),
            ("a lock that is no TOML", lock("[".into()), "its lock file"),
            ("a lock with a key that none has", lock(format!("run = \"sh\"\n{}", text(LOCK))), "its lock file"),
            ("a lock that is no text", base.replaced(LOCK, b"\xff").bytes(), "it is not UTF-8 text"),
            (
                "a lock that moves the cursor",
                lock(format!("#\u{1b}[2J\n{}", text(LOCK))),
                "holds the control character",
            ),
            ("another's lock", lock(text(LOCK).replace("social.", "other.")), "are of different instances or versions"),
            ("no description", base.without(DESCRIPTION).bytes(), told),
            ("a description that is none", describes("{".into()), DESCRIPTION),
            ("a newer description", describes(newer), "written by a newer gts-bootstrap"),
            (
                "one of other files",
                describes(text(DESCRIPTION).replace("sqlite.db", "../sqlite.db")),
                "no copy of a database has",
            ),
            ("one of another file", describes(text(DESCRIPTION).replace("\"sha256\": \"", "\"sha256\": \"0")), told),
            (
                "one of a special mode",
                describes(text(DESCRIPTION).replace("\"mode\": ", "\"mode\": 2048")),
                "a special mode",
            ),
            ("a log that nobody tells of", base.with("database/sqlite.db-wal", b"\x37\x7f\x06\x82").bytes(), told),
            ("a log that is none", base.with("database/sqlite.db-wal", "hi").bytes(), no_database),
            ("a dump beside it", base.with(backup::POSTGRES, "PGDMP").bytes(), told),
            ("a dump that is none", base.with(backup::POSTGRES, "\\! sh\n").bytes(), "is not a dump of pg_dump(1)"),
            ("a database that is none", base.replaced(backup::SQLITE, "SELECT 1;").bytes(), no_database),
            ("half a header", base.replaced(backup::SQLITE, &database[..90]).bytes(), no_database),
            ("pages of no size", with_byte(16, 0x11), no_database),
            ("another fraction", with_byte(21, 65), no_database),
            (
                "another manifest",
                base.bytes()[..].to_vec().iter().map(|byte| if *byte == b'{' { b'[' } else { *byte }).collect(),
                "makes no sense",
            ),
        ],
    );
    let fresh = Machine::fresh();
    let before = fresh.snapshot();
    for (path, content, code) in [
        ("records/deployment.toml", "host = [", "help GTSB-ANSWERS"),
        ("records/deployment.toml", "host = \"social.example.org\"\ncolour = \"red\"\n", "help GTSB-ANSWERS"),
        ("records/deployment.toml", "host = \"\u{7}\"", "help GTSB-BACKUP-UNUSABLE"),
    ] {
        let outcome = restore(&fresh, &base.replaced(path, content).bytes());
        assert!(outcome.code != 0 && outcome.said().contains(code), "{}", outcome.said());
        assert!(differences(&before, &fresh.snapshot()).is_empty(), "{content}");
    }
    let secrets = base.with("records/deployment.secrets.toml", "smtp-password = [").bytes();
    restore(&fresh, &secrets).exits(2).says("help GTSB-SECRETS");
    restore(&fresh, &base.without("records/deployment.toml").bytes())
        .exits(1)
        .says("there are no answers in the backup");
    assert!(differences(&before, &fresh.snapshot()).is_empty());
}

/// What an older program took into a backup because it lay in one of its folders, or what somebody put there, is not restored.
#[test]
fn what_has_no_place_is_left_out_and_named() {
    let (_, base) = scene();
    let strays = [
        ("records/deployment.toml~", "/usr/local/etc/gts-bootstrap/deployment.toml~"),
        ("records/Deployment.toml", "/usr/local/etc/gts-bootstrap/Deployment.toml"),
        ("records/rc.d/evil", "/usr/local/etc/gts-bootstrap/rc.d/evil"),
        ("tls/Social.example.org.pem", "/usr/local/etc/gts-bootstrap/tls/Social.example.org.pem"),
        ("certificates/social.example.org+token", "/var/db/gotosocial/storage/certs/social.example.org+token"),
        ("receipts/evil", "/var/db/gts-bootstrap/receipts/evil"),
        // It would be a certificate that nobody has parsed.
        ("storage/certs/other.example.org", "/var/db/gotosocial/storage/certs/other.example.org"),
        ("storage/.gts-bootstrap-0123456789abcdef", "/var/db/gotosocial/storage/.gts-bootstrap-0123456789abcdef"),
    ];
    let unparsed = [
        ("certificates/acme_account+key", "/var/db/gotosocial/storage/certs/acme_account+key"),
        ("certificates/example.org", "/var/db/gotosocial/storage/certs/example.org"),
        ("tls/example.org.pem", "/usr/local/etc/gts-bootstrap/tls/example.org.pem"),
        ("tls/example.org.key", "/usr/local/etc/gts-bootstrap/tls/example.org.key"),
        ("tls/account.json", "/usr/local/etc/gts-bootstrap/tls/account.json"),
        ("tls/renewal.json", "/usr/local/etc/gts-bootstrap/tls/renewal.json"),
        ("records/filters.conf", "/usr/local/etc/gts-bootstrap/filters.conf"),
        ("records/filters/drop.list", "/usr/local/etc/gts-bootstrap/filters/drop.list"),
    ];
    for (files, why) in [(&strays, "it has no name that gts-bootstrap or GoToSocial gives"), (&unparsed, "will not be")]
    {
        let forged =
            files.iter().fold(base.without("certificates/acme_account+key"), |base, (path, _)| base.with(path, "odd"));
        let fresh = Machine::fresh();
        let outcome = restore(&fresh, &forged.bytes()).exits(0);
        outcome.says("8 files of the backup will not be restored").says(why);
        for (path, on_host) in files {
            assert!(!fresh.exists(on_host) || fresh.read(on_host) != "odd", "{path}");
        }
        assert_eq!((posts(&fresh), runs(&fresh)), (1, true));
        assert_eq!(fresh.read(PICTURE), "not much of a picture");
    }
    // Before anything is said yes to, it is told which; until then nothing is changed.
    for (path, content, why) in [
        ("config.yaml", "host: [\"a\"", "config.yaml (yaml: line 1: did not find expected ',' or ']')"),
        (
            "config.yaml",
            "host: a\nhost: b\n",
            "config.yaml (yaml: unmarshal errors: line 2: mapping key \"host\" already defined)",
        ),
        ("config.yaml", "just text", "config.yaml (yaml: line 1: could not find expected ':')"),
        ("config.yaml", "host: \u{85}x", "config.yaml (it holds the control character \\u{85})"),
        (
            "config.written.yaml",
            "\tport: 1",
            "config.written.yaml (yaml: line 1: found character that cannot start any token)",
        ),
        (RECEIPT, "{\"schema\":1}\nnot json", "(it is not a receipt: "),
    ] {
        let fresh = Machine::fresh();
        let before = fresh.snapshot();
        fs::write(fresh.beside("forged.backup"), base.replaced(path, content).bytes()).unwrap();
        fresh.run(&["restore", "forged.backup", "--plan"]).says("of the backup will not be restored").says(why);
        assert_eq!(differences(&before, &fresh.snapshot()), Vec::<PathBuf>::new(), "{path}");
    }
    // Edits that cannot be read are lost; the installation is not.
    let fresh = Machine::fresh();
    restore(&fresh, &base.replaced("config.yaml", "host: \"\u{1b}[2J\"").bytes())
        .exits(0)
        .says("config.yaml (it holds the control character \\u{1b})")
        .says("config.written.yaml (its other version is missing)");
    assert!(
        runs(&fresh) && fresh.read("/usr/local/etc/gotosocial/config.yaml").contains("host: \"social.example.org\"")
    );
}

/// A database with the header of one, and nothing else: it is opened, as the service user and as a copy, before the service stops
/// and before anything of the backup is in place.
#[test]
fn a_database_that_does_not_open_costs_nothing() {
    let (machine, base) = scene();
    let mut database = base.content(backup::SQLITE);
    let sha256 = digest(&database);
    database[100..].fill(0xff);
    let description = String::from_utf8(base.content(DESCRIPTION)).unwrap().replace(&sha256, &digest(&database));
    let bytes = base.replaced(backup::SQLITE, &database).replaced(DESCRIPTION, description).bytes();
    fs::remove_file(machine.path(PICTURE)).unwrap();
    let started = machine.model().gotosocial.unwrap().program.unwrap().pid;
    let before = machine.system_files();
    restore(&machine, &bytes).exits(1).says("help GTSB-BACKUP");
    assert_eq!(differences(&before, &machine.system_files()), Vec::<PathBuf>::new());
    assert_eq!(machine.model().gotosocial.unwrap().program.unwrap().pid, started, "it was not stopped");
    assert!(backups(&machine).is_empty() && !machine.exists(PICTURE));

    let fresh = Machine::fresh();
    restore(&fresh, &bytes).exits(1).says("help GTSB-BACKUP");
    for path in [DATABASE, STORAGE, "/usr/local/etc/gotosocial/config.yaml", "/usr/local/etc/gts-bootstrap"] {
        assert!(!fresh.exists(path), "{path}");
    }
}

/// All that a restoration writes is in the places of the instance, whatever the backup holds.
#[test]
fn nothing_is_written_outside_the_places_of_the_instance() {
    let (machine, base) = scene();
    fs::remove_file(machine.path(PICTURE)).unwrap();
    let before = machine.snapshot();
    restore(&machine, &base.with(MEDIUM, "new").with("storage/x", "odd").bytes()).exits(0);
    for path in differences(&before, &machine.snapshot()) {
        let own = [
            "var/db/gotosocial",
            "var/backups/gotosocial",
            "var/db/gts-bootstrap",
            "var/log/gotosocial",
            "var/run",
            ".rehearsal",
        ];
        let is_above = ["var/db", "var/backups"].iter().any(|above| path == Path::new(above));
        assert!(is_above || own.iter().any(|own| path.starts_with(own)), "{}", path.display());
    }
    assert_eq!(machine.read(&format!("/var/db/gotosocial/{MEDIUM}")), "new");
    assert!(!machine.exists(&format!("{STORAGE}/x")));
}
