//! The processes that have a file open, with fstat(1).
//!
//! Columns, as `usr.bin/fstat/fstat.c` prints them (`%-8.8s %-10s %5d`): user, truncated to eight characters, command,
//! pid, descriptor (a number, or `text`, `wd`, `mmap`, …), and then mount point, inode, mode, size, access and, if
//! files were named, the name. The command may contain spaces; the pid is the first number after it.

use std::path::Path;

use super::command::Commands;
use crate::host::{FileUser, HostError};

const FSTAT: &str = "/usr/bin/fstat";

/// The processes that have a file open. A process that has it open more than once is listed once.
pub(super) fn of(commands: &Commands, path: &Path) -> Result<Vec<FileUser>, HostError> {
    let finished = commands.run(FSTAT, &[&path.to_string_lossy()])?.succeeded()?;
    let mut users = Vec::new();
    for line in finished.stdout.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let user = row(line).ok_or_else(|| finished.unreadable(line))?;
        if !users.contains(&user) {
            users.push(user);
        }
    }
    Ok(users)
}

fn row(line: &str) -> Option<FileUser> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = (2..words.len()).find(|at| words[*at].parse::<u32>().is_ok())?;
    Some(FileUser { user: words[0].to_owned(), command: words[1..at].join(" "), pid: words[at].parse().ok()? })
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
        let user = |user: &str, command: &str, pid| FileUser { user: user.into(), command: command.into(), pid };
        assert_eq!(found, [user("gotosoci", "gotosocial", 1669), user("root", "my tail", 77)]);
    }

    #[test]
    fn nobody_and_nonsense() {
        let tools = StandIns::new();
        tools.says(FSTAT, HEAD, 0);
        assert_eq!(of(&tools.commands(), Path::new("/x")).unwrap(), []);
        tools.says(FSTAT, &format!("{HEAD}\nwords without any number"), 0);
        assert!(of(&tools.commands(), Path::new("/x")).is_err());
        tools.says(FSTAT, "fstat: /x: No such file or directory", 1);
        assert!(of(&tools.commands(), Path::new("/x")).is_err());
    }
}
