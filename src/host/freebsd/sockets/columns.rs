//! The columns of sockstat(1), which are made for people. Seen in `usr.bin/sockstat` of 13, 14 and 15:
//!
//! - Up to 14 each column is padded to a fixed position, and nothing separates two columns once that position is
//!   passed: a user of ten letters with a command of ten makes `gotosocial gotosocial1669 4 tcp46`, and with five
//!   digits in the pid the descriptor touches it as well. `-n` (numbers for users) prevents that below 10⁸.
//! - From 15 on the widths are computed (libxo), and there is always a space, but addresses are truncated at 21
//!   characters unless `-w` is given.
//! - The command may contain anything but a slash, up to ten bytes of it: spaces, digits, newlines. So a row is read from
//!   its right end, where no command can reach: foreign address, local address, protocol, descriptor, pid; then the user
//!   from the left. A row that a newline has cut is joined again.
//! - A socket that no process has open shows `?` (`??` from 15 on) for owner, command, pid and descriptor.

use super::{UNKNOWN, families, ip};
use crate::host::{Listener, Listeners};

/// Where sockstat(1) truncates a command.
const COMMAND_WIDTH: usize = 10;
/// The column of users, without the space behind it.
const USER_WIDTH: usize = 8;

/// Reads all rows, with the users as they are there.
pub(super) fn read(text: &str) -> Listeners {
    let mut listeners = Listeners::default();
    let mut begun = String::new();
    for line in text.split('\n').filter(|line| !line.trim().is_empty()) {
        let whole = if begun.is_empty() { line.to_owned() } else { format!("{begun}\u{fffd}{line}") };
        begun.clear();
        match row(&whole) {
            Some(listener) => listeners.sockets.push(listener),
            None if is_beginning(&whole) => begun = whole,
            None => listeners.unreadable += 1,
        }
    }
    // Cut off, there may have been more.
    listeners.unreadable += usize::from(!begun.is_empty() || !text.is_empty() && !text.ends_with('\n'));
    listeners
}

/// Whether this is no more than user and command, so that a newline in the command may have cut the row.
fn is_beginning(text: &str) -> bool {
    let user = text.split(' ').next().unwrap_or_default().chars().count();
    text.chars().count() < user.max(USER_WIDTH) + 1 + COMMAND_WIDTH
}

/// A row; `None` if not even its port can be read. Port 0 is `*`: the socket has no port yet.
fn row(line: &str) -> Option<Listener> {
    // No command is long enough to look like both.
    let (rest, _) = last_word(line).filter(|(_, foreign)| foreign.contains(':'))?;
    let (rest, local) = last_word(rest)?;
    let (address, port) = local.rsplit_once(':').filter(|(address, _)| !address.is_empty())?;
    let port = if port == "*" { 0 } else { port.parse().ok()? };
    let (before_protocol, protocol) = last_word(rest)?;
    // A descriptor of many digits touches the protocol.
    let name = protocol.trim_start_matches(|character: char| character.is_ascii_digit());
    let (ipv4, ipv6) = ["tcp", "toe", "udp"].iter().any(|known| name.starts_with(known)).then(|| families(name))?;
    let rest = if name.len() < protocol.len() { before_protocol } else { last_word(before_protocol)?.0 };
    let (user, rest) = rest.trim_start().split_once(' ').unwrap_or((rest.trim(), ""));
    let (command, pid) = command_and_pid(user, rest.trim());
    let known = |text: &str| Some(text).filter(|text| !text.is_empty()).unwrap_or(UNKNOWN).to_owned();
    let (user, command) = (known(user), known(command));
    Some(Listener { user, uid: None, command, pid, address: ip(address), ipv4, ipv6, port, jail: None })
}

fn last_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_end_matches(' ');
    let (rest, word) = text.split_at(text.rfind(' ').map_or(0, |blank| blank + 1));
    (!word.is_empty()).then_some((rest, word))
}

/// Where the user takes more than its column, command and pid may touch. The pid is known then only if the command has its
/// full width without the digits behind it: somebody may be told to end that process.
fn command_and_pid<'a>(user: &str, text: &'a str) -> (&'a str, Option<u32>) {
    if let Some(command) = text.strip_suffix('?') {
        return (command.trim_end_matches('?').trim_end(), None);
    }
    let (command, pid) = text.split_at(text.trim_end_matches(|character: char| character.is_ascii_digit()).len());
    let is_apart = user.chars().count() <= USER_WIDTH && (command.ends_with(' ') || command.is_empty());
    let is_known = is_apart || command.trim_end().chars().count() >= COMMAND_WIDTH;
    (command.trim_end(), pid.parse().ok().filter(|_| is_known))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
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
        // Pid and descriptor touch: only the pid is lost.
        let row = read("gotosocial gotosocial166904  tcp46  *:443                 *:*");
        assert_eq!((row.user.as_str(), row.pid, row.port), ("gotosocial", None, 443));
    }

    #[test]
    fn lines_as_the_sources_print_them() {
        // 14, with -n -w.
        let row = read("209      gotosocial 1669  4   tcp46  *:443                 *:*");
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
            assert_eq!(super::row(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_row_is_unknown_only_as_far_as_it_cannot_be_read() {
        let row = read("root     nc         1509  3  tcp6   not-an-address:80           *:*");
        assert_eq!((row.user.as_str(), row.pid, row.address, row.port), ("root", Some(1509), None, 80));
        let row = read("209 tcp4 *:80 *:*");
        assert_eq!((row.user.as_str(), row.pid, row.port), (UNKNOWN, None, 80));
        let good = "209      gotosocial 1669  4   tcp46  *:443                 *:*\n";
        for (rows, sockets, unreadable) in [
            (format!("root     nc         1509  3  tcp6   not-an-address              *:*\n{good}"), 1, 1),
            (format!("{good}root     nc         1509  3  tcp6   *:99999                     *:*\n{good}"), 2, 1),
            // Cut off in the midst of a row, and behind one.
            (format!("{good}209      gotoso"), 1, 1),
            (format!("{good}{}", good.trim_end()), 2, 1),
            (String::new(), 0, 0),
        ] {
            let found = super::read(&rows);
            assert_eq!((found.sockets.len(), found.unreadable), (sockets, unreadable), "{rows}");
        }
    }

    #[test]
    fn a_newline_in_a_name_does_not_lend_it_another_owner() {
        for name in [
            "x\n0 n",
            "\n0 nginx",
            "a\n\nb",
            "\n\n0 ng\n",
            "tcp :1 x\n0",
            "tcp4 *:1\n0",
            "x\r\n0 n",
            "123456789\n",
            "\n0 x 1 1",
        ] {
            let rows = format!(
                "80       nginx      901   7   tcp4   *:80                  *:*\n\
                 {}0        sshd       612   3   tcp4   *:22                  *:*\n",
                line_of_14(209, name, 1669, 4, "4", 443)
            );
            let found = super::read(&rows);
            let owners: Vec<_> = found.iter().map(|it| (it.user.as_str(), it.pid, it.port)).collect();
            let all = [("80", Some(901), 80), ("209", Some(1669), 443), ("0", Some(612), 22)];
            assert_eq!((&owners[..], found.unreadable), (&all[..], 0), "{name:?}");
        }
    }

    #[test]
    fn digits_of_a_name_do_not_become_another_pid() {
        // Uids of ten digits leave no room, so the command may touch the pid.
        for name in ["abcdefgh 1", "12345", "a 1234567"] {
            let row = read(line_of_14(3_999_999_999, name, 669, 4, "4", 443).trim_end());
            assert_eq!((row.user.as_str(), row.pid, row.port), ("3999999999", None, 443), "{name}");
        }
    }

    /// A line as 14 prints it, where every column but the user can touch the next.
    fn line_of_14(uid: u32, command: &str, pid: u32, fd: u32, family: &str, port: u16) -> String {
        let mut line = format!("{uid} ");
        line = format!("{line:9}{command}");
        line = format!("{line:20}{pid}");
        line = format!("{line:26}{fd:<3}");
        line = format!("{line:30}tcp{family}");
        line = format!("{line:37}*:{port} ");
        format!("{line:59}*:*\n")
    }

    proptest! {
        #[test]
        fn every_line_with_numbers_is_read_back(
            uid in 0u32..10_000_000, command in "[a-z][a-z0-9 :/-]{0,8}[a-z]", pid in 1u32..100_000, fd in 0u32..100_000,
            family in prop::sample::select(vec!["4", "6", "46"]), port in 1u16..,
        ) {
            let line = line_of_14(uid, &command, pid, fd, family, port);
            let row = row(line.trim_end());
            prop_assert!(row.is_some(), "{}", line);
            let row = row.unwrap();
            prop_assert_eq!(row.user, uid.to_string());
            prop_assert_eq!(row.command, command);
            prop_assert_eq!((row.pid, row.port), (Some(pid), port));
        }

        /// Whatever a process calls itself, its socket keeps its owner and its port, a pid that is told is the right one, and no
        /// other row is lost.
        #[test]
        fn no_name_hides_its_owner(
            uid in 0u32.., command in "[\\x01-\\x20\\x7f:*?0-9tcp4\\u{fffd}]{1,10}", pid in 1u32..100_000,
            fd in 0u32..1000, port in 1u16..,
        ) {
            let other = line_of_14(0, "sshd", 612, 3, "46", 22);
            let rows = format!("{other}{}{other}", line_of_14(uid, &command, pid, fd, "4", port));
            let found = super::read(&rows);
            prop_assert_eq!((found.sockets.len(), found.unreadable), (3, 0), "{}", rows);
            prop_assert_eq!((&found[1].user, found[1].port), (&uid.to_string(), port), "{}", rows);
            prop_assert!(found[1].pid.is_none_or(|told| told == pid), "{}", rows);
            prop_assert_eq!((found[0].pid, found[2].pid), (Some(612), Some(612)));
        }

        #[test]
        fn nothing_panics(text in "[\\PC\\n ]{0,120}") {
            let _ = super::read(&text);
        }
    }
}
