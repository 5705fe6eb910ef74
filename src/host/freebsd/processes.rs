//! The processes, with ps(1).

use super::command::{Commands, OUTPUT_LIMIT};
use crate::host::{HostError, Process, Processes};

const PS: &str = "/bin/ps";

/// The command comes last: ps(1) writes out the control characters in it, so that no process breaks out of its row.
const COLUMNS: [&str; 8] = ["pid=", "ppid=", "uid=", "ruid=", "svuid=", "jid=", "etimes=", "command="];

/// All processes that this user may see.
pub(super) fn list(commands: &Commands) -> Result<Processes, HostError> {
    let columns = COLUMNS.iter().flat_map(|column| ["-o", column]);
    let arguments: Vec<&str> = std::iter::once("-axww").chain(columns).collect();
    let finished = commands.run(PS, &arguments)?.succeeded()?;
    // ps(1) cuts a command at 2,048 characters (`_POSIX2_LINE_MAX`), so it takes many processes to fill that.
    if finished.stdout.len() as u64 >= OUTPUT_LIMIT {
        return Err(finished.unreadable("it is too long to be read whole"));
    }
    let listed: Processes = finished.stdout.lines().filter_map(process).collect();
    if listed.iter().any(|process| process.pid == std::process::id()) {
        return Ok(listed);
    }
    Err(finished.unreadable("it lacks this very process, and so may lack others"))
}

/// A row; `None` if it is none.
fn process(row: &str) -> Option<Process> {
    let mut rest = row;
    let mut column = || {
        rest = rest.trim_start_matches(' ');
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after;
        word
    };
    let mut number = || column().parse().ok();
    let (pid, parent, uids, jail) = (number()?, number()?, [number()?, number()?, number()?], number()?);
    // A dash where the kernel does not tell.
    let seconds = column().parse().ok();
    Some(Process { pid, parent, uids, jail, seconds, command: rest.trim_start_matches(' ').to_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;

    #[test]
    fn rows_are_read_from_the_left_and_the_command_may_hold_anything() {
        let tools = StandIns::new();
        tools.runs(
            "   11     1   209   209     0     3    86461 /bin/a  b 1 2\n 12 11 4294967294 0 0 0 - -\n13 1 0 0 0 0 5",
        );
        let found = list(&tools.commands()).unwrap();
        let first = Process {
            pid: 11,
            parent: 1,
            uids: [209, 209, 0],
            jail: 3,
            seconds: Some(86_461),
            command: "/bin/a  b 1 2".into(),
        };
        assert_eq!(found[0], first);
        assert_eq!((found[1].uids[0], found[1].seconds, found[1].command.as_str()), (4_294_967_294, None, "-"));
        assert_eq!((found[2].pid, found[2].command.as_str()), (13, ""));
        assert_eq!(process("PID PPID UID RUID SVUID JID ELAPSED COMMAND"), None);
    }

    #[test]
    fn a_list_without_this_process_is_not_the_whole_one() {
        let tools = StandIns::new();
        tools.says(PS, "11 1 0 0 0 0 5 init", 0);
        let error = list(&tools.commands()).unwrap_err().to_string();
        assert!(error.contains("lacks this very process"), "{error}");
        tools.add(PS, "echo $PPID 1 0 0 0 0 5 gts-bootstrap; head -c 16777216 /dev/zero | tr '\\0' x");
        let error = list(&tools.commands()).unwrap_err().to_string();
        assert!(error.contains("too long"), "{}", &error[..200]);
        tools.says(PS, "ps: kvm_getprocs: Operation not permitted", 1);
        assert!(list(&tools.commands()).is_err());
    }
}
