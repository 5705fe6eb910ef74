//! The processes that have a file open, with fstat(1).
//!
//! Columns, as `usr.bin/fstat/fstat.c` prints them (`%-8.8s %-10s %5d`): user, truncated to eight characters, command,
//! pid, descriptor (a number, or `text`, `wd`, `mmap`, …), and then mount point, inode, mode, size, access and, if
//! files were named, the name. The command may contain anything but a slash, so the mount point is the first word that
//! begins with one; a row that a newline in the command has cut is joined again.

use std::path::Path;

use super::command::Commands;
use crate::host::{FileUser, HostError};

const FSTAT: &str = "/usr/bin/fstat";

/// The processes that have a file open. A process that has it open more than once is listed once. A row that cannot be read is
/// somebody unknown.
pub(super) fn of(commands: &Commands, path: &Path) -> Result<Vec<FileUser>, HostError> {
    let finished = commands.run(FSTAT, &[&path.to_string_lossy()])?.succeeded()?;
    let mut users = Vec::new();
    let mut begun = String::new();
    for line in finished.stdout.split('\n').skip(1).filter(|line| !line.trim().is_empty()) {
        begun = if begun.is_empty() { line.to_owned() } else { format!("{begun}\u{fffd}{line}") };
        if let Some(user) = row(&begun) {
            begun.clear();
            if !users.contains(&user) {
                users.push(user);
            }
        }
    }
    if !begun.is_empty() {
        users.push(FileUser { user: "?".to_owned(), command: begun.trim().to_owned(), pid: None });
    }
    Ok(users)
}

fn row(line: &str) -> Option<FileUser> {
    let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    // User, pid and descriptor at least stand before it.
    let mount = words.iter().position(|word| word.starts_with('/')).filter(|mount| *mount > 2)?;
    Some(FileUser {
        user: words[0].to_owned(),
        command: words[1..mount - 2].join(" "),
        pid: words[mount - 2].parse().ok(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;

    const HEAD: &str = "USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W NAME";

    #[test]
    fn who_has_it_open_is_told_once() {
        let tools = StandIns::new();
        let rows = "\n\
                    gotosoci gotosocial  1669    7 /var       1234 -rw-r-----  4096 rw  /var/db/gotosocial/sqlite.db\n\
                    gotosoci gotosocial  1669    9 /var       1234 -rw-r-----  4096 rw  /var/db/gotosocial/sqlite.db\n\
                    root     my tail      77 text /var       1234 -rw-r-----  4096  r  /var/db/gotosocial/sqlite.db";
        tools.says(FSTAT, &format!("{HEAD}{rows}"), 0);
        let found = of(&tools.commands(), Path::new("/var/db/gotosocial/sqlite.db")).unwrap();
        let user =
            |user: &str, command: &str, pid| FileUser { user: user.into(), command: command.into(), pid: Some(pid) };
        assert_eq!(found, [user("gotosoci", "gotosocial", 1669), user("root", "my tail", 77)]);
    }

    #[test]
    fn no_name_hides_a_process_or_shows_another() {
        let tools = StandIns::new();
        for name in ["1 2 text x", "x\n root 1", "77 text", "\n", "a\u{1b}[2J"] {
            let rows = format!(
                "{HEAD}\n{:<8.8} {name:<10} {:5}    7 /var       1234 -rw-r-----  4096 rw  /x\n\
                 root     tail          77 text /var       1234 -rw-r-----  4096  r  /x",
                "gotosocial", 1669
            );
            tools.says(FSTAT, &rows, 0);
            let found = of(&tools.commands(), Path::new("/x")).unwrap();
            let who: Vec<_> = found.iter().map(|user| (user.user.as_str(), user.pid)).collect();
            assert_eq!(who, [("gotosoci", Some(1669)), ("root", Some(77))], "{name:?}");
        }
        // A row that makes no sense is somebody whom nobody knows.
        for nonsense in ["words without any number", "root 12"] {
            tools.says(FSTAT, &format!("{HEAD}\n{nonsense}"), 0);
            let found = of(&tools.commands(), Path::new("/x")).unwrap();
            assert_eq!((found[0].user.as_str(), found[0].pid, found.len()), ("?", None, 1));
        }
    }

    #[test]
    fn nobody_and_nonsense() {
        let tools = StandIns::new();
        tools.says(FSTAT, HEAD, 0);
        assert_eq!(of(&tools.commands(), Path::new("/x")).unwrap(), []);
        tools.says(FSTAT, "fstat: /x: No such file or directory", 1);
        assert!(of(&tools.commands(), Path::new("/x")).is_err());
    }
}
