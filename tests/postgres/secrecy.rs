//! Who gets to see the password and the dump.

use std::fs;
use std::path::Path;

use super::bench::{Bench, COPY, MIGRATED, TABLES};
use super::server::{PASSWORD, programs};

const NOW: &str = "/var/backups/gotosocial/0.20.0-to-0.19.2";

/// Has a program tell its arguments, its environment and its folder before and after it does its work.
fn watched(bench: &Bench, program: &str) {
    let real = programs().join(program);
    let text = format!(
        "log='{}'\n{{ echo \"{program} $*\"; env; ls -lan; }} >>\"$log\"\n'{}' \"$@\"\nstatus=$?\nls -lan >>\"$log\"\nexit $status",
        bench.path("/var/db/watched").display(),
        real.display()
    );
    bench.script(&format!("/usr/local/bin/{program}"), &text);
}

/// Everything in the files below a folder.
fn all_text(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_text(&path, text);
        } else {
            text.push_str(&String::from_utf8_lossy(&fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn a_password_is_in_no_argument_no_variable_and_no_journal_and_a_dump_is_nobody_elses() {
    let Some(bench) = Bench::new() else { return };
    bench.server.sql(TABLES);
    fs::write(bench.path("/var/db/watched"), "").unwrap();
    std::os::unix::fs::chown(bench.path("/var/db/watched"), Some(65534), Some(65534)).unwrap();
    ["pg_dump", "pg_restore", "psql"].iter().for_each(|program| watched(&bench, program));
    bench.apply([bench.test(bench.connection()), bench.copy(COPY)]).unwrap();
    bench.server.sql(MIGRATED);
    bench.apply([bench.copy(NOW), bench.restore(COPY, NOW)]).unwrap();
    let seen = fs::read_to_string(bench.path("/var/db/watched")).unwrap();
    for program in ["pg_dump", "pg_restore", "psql"] {
        assert!(seen.lines().any(|line| line.starts_with(&format!("{program} --"))), "{seen}");
    }
    let in_file = PASSWORD.replace('\\', "\\\\").replace(':', "\\:");
    let mut journal = String::new();
    all_text(&bench.path("/var/db/gts-bootstrap"), &mut journal);
    assert!(journal.contains("database-restore"), "{journal}");
    for text in [&seen, &journal] {
        assert!(!text.contains(PASSWORD) && !text.contains(&in_file) && !text.contains("wo\\\\rd"), "{text}");
    }
    // The folder is the service user's alone, and so are the password and what is loaded.
    let listed =
        |name: &'static str| seen.lines().filter(move |line| line.starts_with(['d', '-']) && line.ends_with(name));
    let folders: Vec<&str> = listed(" .").collect();
    assert!(
        !folders.is_empty() && folders.iter().all(|line| line.starts_with("drwx------") && line.contains(" 65534 ")),
        "{seen}"
    );
    for name in [" pgpass", " load.sql"] {
        let lines: Vec<&str> = listed(name).collect();
        assert!(
            !lines.is_empty() && lines.iter().all(|line| line.starts_with("-rw------- 1 65534 65534 ")),
            "{name}: {seen}"
        );
    }
}
