//! Listening sockets, with sockstat(1).
//!
//! Its columns are made for people. Seen in `usr.bin/sockstat` of 13, 14 and 15:
//!
//! - Up to 14 each column is padded to a fixed position, and nothing separates two columns once that position is
//!   passed: a user of ten letters with a command of ten makes `gotosocial gotosocial1669 4 tcp46`, and with five
//!   digits in the pid the descriptor touches it as well. `-n` (numbers for users) prevents that. If a release does not
//!   have `-n`, the command is assumed to be ten characters long, its limit.
//! - From 15 on the widths are computed (libxo), and there is always a space, but addresses are truncated at 21
//!   characters unless `-w` is given.
//! - The command may contain spaces. So a line is read from its right end, where no column can: foreign address, local
//!   address, protocol, descriptor, pid; then the user from the left.
//! - A socket that no process has open shows `?` (`??` from 15 on) for owner, command, pid and descriptor.

use std::net::IpAddr;

use super::accounts;
use super::command::Commands;
use crate::host::{HostError, Listener};

const SOCKSTAT: &str = "/usr/bin/sockstat";

/// Where sockstat(1) truncates a command.
const COMMAND_WIDTH: usize = 10;

/// Every TCP socket that is bound and not connected.
pub(super) fn listeners(commands: &Commands) -> Result<Vec<Listener>, HostError> {
    let mut finished = commands.run(SOCKSTAT, &["-46lnqw", "-P", "tcp"])?;
    if finished.code() == Some(1) && finished.says("usage:") {
        finished = commands.run(SOCKSTAT, &["-46lqw", "-P", "tcp"])?;
    }
    let finished = finished.succeeded()?;
    let mut listeners = Vec::new();
    for line in finished.stdout.lines().filter(|line| !line.trim().is_empty()) {
        let row = row(line).ok_or_else(|| finished.unreadable(line))?;
        if row.port != 0 {
            listeners.push(named(row));
        }
    }
    Ok(listeners)
}

/// With the name and the uid of its owner, of which the line has only one. A name that cannot be looked up now is shown
/// as in sockstat(1): the listener is still known.
fn named(mut listener: Listener) -> Listener {
    match listener.user.parse() {
        Ok(uid) => {
            listener.uid = Some(uid);
            if let Ok(Some(user)) = accounts::user_by_id(uid) {
                listener.user = user.name;
            }
        }
        Err(_) => listener.uid = accounts::user(&listener.user).ok().flatten().map(|user| user.uid),
    }
    listener
}

/// A line of sockstat(1), with the user as it is there. Port 0 is `*`: the socket has no port yet.
fn row(line: &str) -> Option<Listener> {
    let (rest, _foreign) = last_word(line)?;
    let (rest, local) = last_word(rest)?;
    let (before_protocol, protocol) = last_word(rest)?;
    // A descriptor of many digits touches the protocol.
    let name = protocol.trim_start_matches(|character: char| character.is_ascii_digit());
    let rest = if name.len() < protocol.len() { before_protocol } else { last_word(before_protocol)?.0 };
    // `toe` is TCP that the network card handles.
    let (ipv4, ipv6) = match name.strip_prefix("tcp").or_else(|| name.strip_prefix("toe"))? {
        "4" => (true, false),
        "6" => (false, true),
        "46" => (true, true),
        _ => return None,
    };
    let (address, port) = endpoint(local)?;
    let (user, rest) = rest.trim_start().split_once(' ')?;
    let (command, pid) = command_and_pid(rest)?;
    Some(Listener { user: user.to_owned(), uid: None, command: command.to_owned(), pid, address, ipv4, ipv6, port })
}

fn last_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_end();
    let (rest, word) = text.split_at(text.rfind(' ').map_or(0, |blank| blank + 1));
    (!word.is_empty()).then_some((rest, word))
}

/// `*:80`, `127.0.0.1:80`, `::1:80`, `[::1]:80`, `fe80::1%em0:80`, `*:*`.
fn endpoint(text: &str) -> Option<(Option<IpAddr>, u16)> {
    let (address, port) = text.rsplit_once(':')?;
    let port = if port == "*" { 0 } else { port.parse().ok()? };
    if address == "*" {
        return Some((None, port));
    }
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address = address.split_once('%').map_or(address, |(address, _scope)| address);
    Some((Some(address.parse().ok()?), port))
}

fn command_and_pid(text: &str) -> Option<(&str, Option<u32>)> {
    let text = text.trim();
    let (command, pid) = match text.rsplit_once(' ') {
        Some((command, pid)) if pid.chars().all(|character| character.is_ascii_digit() || character == '?') => {
            (command, pid)
        }
        _ => {
            let (end, _) = text.char_indices().nth(COMMAND_WIDTH)?;
            text.split_at_checked(end)?
        }
    };
    let pid = if pid.starts_with('?') { None } else { Some(pid.parse().ok()?) };
    Some((command.trim(), pid))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Listener {
        row(line).unwrap_or_else(|| panic!("{line}"))
    }

    #[test]
    fn lines_of_13_2() {
        // As seen on FreeBSD 13.2, without -n.
        let row = read("root     inetd      477   6  tcp4   *:2222                *:*");
        assert_eq!((row.user.as_str(), row.command.as_str(), row.pid, row.port), ("root", "inetd", Some(477), 2222));
        assert_eq!((row.ipv4, row.ipv6, row.address), (true, false, None));
        let row = read("root     nc         1509  3  tcp6   ::1:8082              *:*");
        assert_eq!((row.ipv4, row.ipv6), (false, true));
        assert_eq!((row.address, row.port), ("::1".parse().ok(), 8082));
        let row = read("gotosocial gotosocial1669 4  tcp46  *:443                 *:*");
        assert_eq!((row.user.as_str(), row.command.as_str(), row.pid), ("gotosocial", "gotosocial", Some(1669)));
        assert_eq!((row.ipv4, row.ipv6, row.port), (true, true, 443));
        // The same column widths with a space in the command.
        let row = read("gotosocial Web Conten1669 4  tcp46  *:443                 *:*");
        assert_eq!((row.command.as_str(), row.pid), ("Web Conten", Some(1669)));
        let row = read("gts      nc         612   3  tcp4   *:80                  *:*");
        assert_eq!((row.user.as_str(), row.command.as_str(), row.pid, row.port), ("gts", "nc", Some(612), 80));
    }

    #[test]
    fn lines_as_the_sources_print_them() {
        // 14, with -n -w.
        let row = read("209      gotosocial  1669 4   tcp46  *:443                 *:*");
        assert_eq!((row.user.as_str(), row.command.as_str(), row.pid), ("209", "gotosocial", Some(1669)));
        // 14: a socket that no process has open.
        let row = read("?        ?          ?     ?   tcp4   192.0.2.1:80          *:*");
        assert_eq!((row.user.as_str(), row.pid, row.address), ("?", None, "192.0.2.1".parse().ok()));
        // 15.
        let row = read("??   ??          ??  ?? tcp6  [2001:db8::1]:443                 *:*");
        assert_eq!((row.user.as_str(), row.pid, row.address), ("??", None, "2001:db8::1".parse().ok()));
        let row = read("80   nginx      901   7 tcp6  fe80::1%vtnet0:80                 *:*");
        assert_eq!(row.address, "fe80::1".parse().ok());
        // Spaces and digits in a command, a descriptor of five digits, no port yet.
        let row = read("1001     Web Conten 12345 10234tcp4 127.0.0.1:*           *:*");
        assert_eq!((row.command.as_str(), row.pid, row.port), ("Web Conten", Some(12345), 0));
        let row = read("1001     node 18    777   3   tcp4   *:3000                *:*");
        assert_eq!((row.command.as_str(), row.pid), ("node 18", Some(777)));
        for unknown in ["USER     COMMAND    PID   FD PROTO  LOCAL ADDRESS         FOREIGN ADDRESS", "", "x", "root nc"]
        {
            assert_eq!(row_of(unknown), None, "{unknown}");
        }
    }

    fn row_of(line: &str) -> Option<Listener> {
        super::row(line)
    }

    #[test]
    fn numbers_become_names() {
        let tools = StandIns::new();
        let lines = "0        sshd         612 3   tcp4   *:22                  *:*\n\
                     3999999999 x         613 3   tcp4   *:23                  *:*\n\
                     ?        ?          ?     ?   tcp6   *:80                  *:*\n\
                     0        sshd         612 4   tcp4   *:*                   *:*";
        tools.says(SOCKSTAT, lines, 0);
        let listeners = listeners(&tools.commands()).unwrap();
        let owners: Vec<(&str, Option<u32>, u16)> =
            listeners.iter().map(|found| (found.user.as_str(), found.uid, found.port)).collect();
        assert_eq!(owners, [("root", Some(0), 22), ("3999999999", Some(3_999_999_999), 23), ("?", None, 80)]);
    }

    #[test]
    fn without_the_number_option_names_are_looked_up() {
        let tools = StandIns::new();
        tools.add(
            SOCKSTAT,
            "case $1 in *n*) echo 'usage: sockstat [-46cLlSsUuvw]' >&2; exit 1;; esac\n\
             echo 'root     inetd      477   6  tcp4   *:2222                *:*'",
        );
        let listeners = listeners(&tools.commands()).unwrap();
        assert_eq!((listeners[0].user.as_str(), listeners[0].uid), ("root", Some(0)));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_an_error() {
        let tools = StandIns::new();
        tools.says(SOCKSTAT, "root     nc         1509  3  tcp6   not-an-address              *:*", 0);
        let error = listeners(&tools.commands()).unwrap_err();
        assert!(matches!(&error, HostError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains("not-an-address"), "{error}");
        tools.says(SOCKSTAT, "sockstat: struct xinpgen size mismatch", 1);
        assert!(matches!(listeners(&tools.commands()).unwrap_err(), HostError::Command { .. }));
    }

    proptest! {
        /// The padding of 14, where every column but the user can touch the next.
        #[test]
        fn every_line_with_numbers_is_read_back(
            uid in 0u32..10_000_000, command in "[a-z][a-z0-9 :/-]{0,8}[a-z]", pid in 1u32..100_000, fd in 0u32..100_000,
            family in prop::sample::select(vec!["4", "6", "46"]), port in 1u16..,
        ) {
            let mut line = format!("{uid} ");
            line = format!("{line:9}{command} ");
            line = format!("{line:20}{pid:5} ");
            line = format!("{line:26}{fd:<3}");
            line = format!("{line:30}tcp{family} ");
            line = format!("{line:37}*:{port} ");
            line = format!("{line:59}*:*");
            let row = row(&line);
            prop_assert!(row.is_some(), "{}", line);
            let row = row.unwrap();
            prop_assert_eq!(row.user, uid.to_string());
            prop_assert_eq!(row.command, command);
            prop_assert_eq!((row.pid, row.port), (Some(pid), port));
        }

        #[test]
        fn nothing_panics(line in "\\PC{0,80}") {
            let _ = row(&line);
        }
    }
}
