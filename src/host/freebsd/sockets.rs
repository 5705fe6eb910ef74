//! Listening sockets, with sockstat(1).
//!
//! Which user a socket belongs to decides what may be said of it, and that user chooses the name of the command. So no name
//! may lead the reader astray: a row that makes no sense is a socket of an unknown owner, or a row that is counted as
//! unreadable, and never the end of the list.
//!
//! From 15 on sockstat(1) writes JSON, by libxo(3) (`usr.bin/sockstat/main.c`): `{"sockstat": {"socket": [{"user": 0,
//! "command": "nginx", "pid": 7, "fd": 6, "proto": "tcp4", "local": {"address": "*", "port": 80}, …}, …]}}`. A socket that
//! no process has open lacks the first four, and port 0 is none. Older releases have no `--libxo`; see [`columns`].

mod columns;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::accounts;
use super::command::Commands;
use super::processes;
use super::sysctls;
use crate::host::{Activity, HostError, Listener, Listeners, Process};
use crate::portacl::Protocol;

const SOCKSTAT: &str = "/usr/bin/sockstat";

const ROOT: u32 = 0;
/// The jail of those that are in none.
const HOST: u32 = 0;

/// The owner and the command that are not known.
const UNKNOWN: &str = "?";

/// The first release that has it.
const WITH_JSON: u32 = 1_500_000;

/// sockstat(1) of this system. One that should have JSON is asked for it until it has said that it has none.
#[derive(Debug, Default)]
pub(super) struct Sockstat {
    has_no_json: AtomicBool,
}

impl Sockstat {
    /// Every TCP socket that is bound and not connected, or every UDP socket: a connected one keeps its port just as well, and
    /// its process can take the connection away.
    pub(super) fn sockets(&self, commands: &Commands, protocol: Protocol) -> Result<Listeners, HostError> {
        let listed = self.listed(commands, protocol)?;
        Ok(named(listed, &processes::list(commands)?))
    }

    /// Every TCP socket that is bound and not connected, and the processes just after it.
    pub(super) fn activity(&self, commands: &Commands) -> Result<Activity, HostError> {
        let listed = self.listed(commands, Protocol::Tcp)?;
        let processes = processes::list(commands)?;
        Ok(Activity { listeners: named(listed, &processes), processes })
    }

    fn listed(&self, commands: &Commands, protocol: Protocol) -> Result<Listeners, HostError> {
        let (which, name) = if protocol == Protocol::Udp { ("-46", "udp") } else { ("-46l", "tcp") };
        let run = |form: &[&str]| commands.run(SOCKSTAT, &[form, &["-P", name]].concat());
        let [numbers, names] = ["nqw", "qw"].map(|rest| format!("{which}{rest}"));
        let is_old = sysctls::number::<u32>("kern.osreldate").is_ok_and(|release| release < WITH_JSON);
        if !is_old && !self.has_no_json.load(Ordering::Relaxed) {
            let finished = run(&["--libxo", "json", &numbers])?;
            if finished.code() != Some(1) || !finished.says("usage:") {
                return Ok(of_json(&finished.succeeded()?.stdout));
            }
            self.has_no_json.store(true, Ordering::Relaxed);
        }
        let mut finished = run(&[&numbers])?;
        if finished.code() == Some(1) && finished.says("usage:") {
            finished = run(&[&names])?;
        }
        Ok(columns::read(&finished.succeeded()?.stdout))
    }
}

/// With the names and the uids of the owners, of which a row has only one. A name that cannot be looked up now is shown as in
/// sockstat(1): the listener is still known.
fn named(mut listeners: Listeners, processes: &[Process]) -> Listeners {
    // Port 0: the socket has no port yet.
    listeners.sockets.retain(|listener| listener.port != 0);
    for listener in &mut listeners.sockets {
        match listener.user.parse() {
            Ok(uid) => {
                listener.uid = Some(uid);
                listener.user = name_of(uid);
            }
            Err(_) => listener.uid = accounts::user(&listener.user).ok().flatten().map(|user| user.uid),
        }
    }
    let of = |pid: u32| processes.iter().find(|process| process.pid == pid);
    let own = of(std::process::id()).map_or(HOST, |process| process.jail);
    for listener in &mut listeners.sockets {
        // A process that is not among them has ended meanwhile, and its socket with it.
        let Some(process) = listener.pid.and_then(of) else { continue };
        listener.jail = Some(process.jail).filter(|jail| *jail != own);
        if let (Some(ROOT), Some(uid)) = (listener.uid, borrower(process)) {
            listener.uid = Some(uid);
            listener.user = name_of(uid);
        }
    }
    listeners
}

fn name_of(uid: u32) -> String {
    accounts::user_by_id(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// Whose a process is that is not root's through and through. sockstat(1) tells the effective uid, which a set-user-ID program
/// of root has whoever starts it, even with a socket that is open already.
fn borrower(process: &Process) -> Option<u32> {
    let [_, real, saved] = process.uids;
    [real, saved].into_iter().find(|uid| *uid != ROOT)
}

/// Reads the rows of a list one by one, so that one that is no JSON does not take the others with it.
fn of_json(text: &str) -> Listeners {
    // libxo(3) writes control characters of a name as they are, which is no JSON; only newlines it escapes.
    let text = text.replace(|character: char| character.is_control() && character != '\n', "\u{fffd}");
    let mut listeners = Listeners::default();
    let Some((_, mut rest)) = text.split_once('[') else {
        // Without a socket there may be no list.
        listeners.unreadable = usize::from(!text.trim_end().ends_with('}'));
        return listeners;
    };
    while let Some(start) = rest.find('{') {
        rest = rest.get(start..).unwrap_or_default();
        let mut rows = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        if let Some(Ok(row)) = rows.next() {
            rest = rest.get(rows.byte_offset()..).unwrap_or_default();
            match of_row(&row) {
                Some(listener) => listeners.sockets.push(listener),
                None => listeners.unreadable += 1,
            }
        } else {
            listeners.unreadable += 1;
            // No name contains the beginning of the next row: its quotes are escaped.
            let next = rest.match_indices("{\"").find(|(at, _)| rest[..*at].trim_end().ends_with(','));
            rest = next.map_or("", |(at, _)| &rest[at..]);
        }
    }
    // Cut off, there may have been more.
    listeners.unreadable += usize::from(!rest.trim_start().starts_with(']'));
    listeners
}

/// A row of JSON; `None` if not even its port can be read. An address that makes no sense is taken for the widest.
fn of_row(row: &Value) -> Option<Listener> {
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let port = number(&row["local"]["port"]).and_then(|port| port.try_into().ok())?;
    let address = row["local"]["address"].as_str().unwrap_or_default();
    let (ipv4, ipv6) = families(row["proto"].as_str().unwrap_or_default());
    let user = match &row["user"] {
        Value::Number(uid) => uid.to_string(),
        user => user.as_str().unwrap_or(UNKNOWN).to_owned(),
    };
    Some(Listener {
        user,
        uid: None,
        command: row["command"].as_str().unwrap_or(UNKNOWN).to_owned(),
        pid: number(&row["pid"]).and_then(|pid| pid.try_into().ok()),
        address: ip(address),
        ipv4,
        ipv6,
        port,
        jail: None,
    })
}

/// The families of a protocol like `tcp4`, `udp46` or `toe6` (TCP that the network card handles); both where that makes no sense.
fn families(protocol: &str) -> (bool, bool) {
    let digits = protocol.trim_start_matches(|character: char| character.is_ascii_alphabetic());
    (digits != "6", digits != "4")
}

/// `*`, `127.0.0.1`, `::1`, `[::1]`, `fe80::1%em0`.
fn ip(text: &str) -> Option<IpAddr> {
    let address = text.trim_start_matches('[').trim_end_matches(']');
    address.split_once('%').map_or(address, |(address, _scope)| address).parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;
    use proptest::prelude::*;

    /// As 15 writes it, with -n.
    const JSON: &str = r#"{"__version": "1", "sockstat": {"socket": [{"user":0,"command":"nginx","pid":901,"fd":6,"proto":"tcp4","local":{"address":"*","port":80},"foreign":{"address":"*","port":0}}, {"user":209,"command":"gotosocial","pid":1669,"fd":7,"proto":"tcp46","local":{"address":"fe80::1%vtnet0","port":443},"foreign":{"address":"*","port":0}}, {"proto":"tcp6","local":{"address":"::1","port":8080},"foreign":{"address":"*","port":0}}, {"user":0,"command":"sshd","pid":612,"fd":4,"proto":"tcp4","local":{"address":"*","port":0},"foreign":{"address":"*","port":0}}]}}
"#;

    fn listeners(tools: &StandIns) -> Result<Listeners, HostError> {
        Ok(Sockstat::default().activity(&tools.commands())?.listeners)
    }

    type Owner<'a> = (&'a str, Option<u32>, Option<u32>, u16);

    fn owners(listeners: &Listeners) -> Vec<Owner<'_>> {
        listeners.iter().map(|it| (it.user.as_str(), it.uid, it.pid, it.port)).collect()
    }

    /// Says this on FreeBSD 15; before it, the columns.
    fn says(tools: &StandIns, json: &str) -> Listeners {
        tools.says(SOCKSTAT, json, 0);
        tools.runs("  612 1 0 0 0 0 9 sshd\n  901 1 0 0 0 0 9 nginx\n 1669 1 209 209 209 3 9 gotosocial");
        listeners(tools).unwrap()
    }

    #[test]
    fn json_tells_who_listens() {
        let tools = StandIns::new();
        let found = says(&tools, JSON.trim_end());
        let gts = found.sockets[1].user.clone();
        assert_eq!(
            owners(&found),
            [("root", Some(0), Some(901), 80), (gts.as_str(), Some(209), Some(1669), 443), ("?", None, None, 8080)]
        );
        assert_eq!(found.unreadable, 0);
        assert_eq!((found[0].address, found[0].ipv4, found[0].ipv6), (None, true, false));
        assert_eq!((found[1].address, found[1].ipv4, found[1].ipv6), ("fe80::1".parse().ok(), true, true));
        assert_eq!((found[2].command.as_str(), found[2].ipv4, found[2].ipv6), ("?", false, true));
        assert_eq!([found[0].jail, found[1].jail, found[2].jail], [None, Some(3), None]);
        for nobody in ["{\"sockstat\": {\"socket\": []}}", "{\"__version\": \"1\", \"sockstat\": {}}"] {
            assert_eq!(says(&tools, nobody), Listeners::default());
        }
    }

    #[test]
    fn a_name_cannot_break_out_of_its_row() {
        let name = r#"\", \"user\": 0}, {\"user\":0"#;
        let text = JSON.replace("gotosocial", &format!("{name}\u{1b}[2J\t\u{7f}"));
        let found = of_json(&text);
        assert_eq!((found.sockets.len(), found.unreadable), (4, 0));
        assert_eq!((found[1].user.as_str(), found[1].pid, found[1].port), ("209", Some(1669), 443));
    }

    #[test]
    fn a_row_that_is_no_json_or_has_no_port_is_counted_and_the_rest_read() {
        for (from, to, sockets) in [
            ("\"gotosocial\"", "gotosocial\"", 3),
            ("\"port\":443", "\"port\":\"http\"", 3),
            ("\"port\":443", "\"port\":70000", 3),
            ("\"pid\":1669", "\"pid\":1e99x", 3),
        ] {
            let found = of_json(&JSON.replace(from, to));
            assert_eq!((found.sockets.len(), found.unreadable), (sockets, 1), "{to}");
            assert_eq!(found.sockets.last().unwrap().command, "sshd");
        }
        let found = of_json(&JSON.replace("\"pid\":1669", "\"pid\":\"?\"").replace("\"user\":209", "\"user\":[]"));
        assert_eq!((found[1].user.as_str(), found[1].pid, found.unreadable), ("?", None, 0));
    }

    #[test]
    fn a_list_that_is_cut_off_or_is_none_hides_nothing() {
        let rows: Vec<usize> = JSON.match_indices("{\"user\"").map(|(at, _)| at).collect();
        for end in [rows[1], rows[1] - 1, rows[1] + 9, JSON.find(", {\"proto\"").unwrap() + 1] {
            let found = of_json(&JSON[..end]);
            assert!(found.unreadable > 0 && found.len() < 4, "{}", &JSON[..end]);
        }
        assert_eq!(of_json("").unreadable, 1);
        assert_eq!(of_json("nothing of the kind").unreadable, 1);
    }

    #[test]
    fn a_system_without_json_is_asked_for_it_once() {
        let tools = StandIns::new();
        let log = tools.path("log");
        tools.runs("477 1 0 0 0 0 9 inetd");
        tools.add(
            SOCKSTAT,
            &format!(
                "echo \"$*\" >>'{}'\n\
                 case $1 in --libxo) echo 'sockstat: illegal option -- -' >&2; echo 'usage: sockstat [-46]' >&2; exit 1;; esac\n\
                 echo '0        inetd      477   6   tcp4   *:2222                *:*'",
                log.display()
            ),
        );
        let sockstat = Sockstat::default();
        for _ in 0..3 {
            assert_eq!(
                owners(&sockstat.activity(&tools.commands()).unwrap().listeners),
                [("root", Some(0), Some(477), 2222)]
            );
        }
        let asked = std::fs::read_to_string(log).unwrap();
        assert_eq!(asked.lines().count(), 4, "{asked}");
        assert_eq!(asked.lines().filter(|line| line.contains("--libxo")).count(), 1, "{asked}");
    }

    #[test]
    fn numbers_become_names() {
        let tools = StandIns::new();
        tools.runs("612 1 0 0 0 0 9 sshd");
        let lines = "0        sshd       612   3   tcp4   *:22                  *:*\n\
                     3999999999 x         613 3   tcp4   *:23                  *:*\n\
                     ?        ?          ?     ?   tcp6   *:80                  *:*\n\
                     0        sshd       612   4   tcp4   *:*                   *:*";
        tools.add(SOCKSTAT, &format!("case $1 in --libxo) echo usage: >&2; exit 1;; esac\ncat <<'END'\n{lines}\nEND"));
        let found = listeners(&tools).unwrap();
        let owners: Vec<_> = owners(&found).into_iter().map(|(user, uid, _, port)| (user, uid, port)).collect();
        assert_eq!(owners, [("root", Some(0), 22), ("3999999999", Some(3_999_999_999), 23), ("?", None, 80)]);
    }

    #[test]
    fn without_the_number_option_names_are_looked_up() {
        let tools = StandIns::new();
        tools.runs("477 1 0 0 0 0 9 inetd");
        tools.add(
            SOCKSTAT,
            "case $* in *json*|*n*) echo 'usage: sockstat [-46cLlSsUuvw]' >&2; exit 1;; esac\n\
             echo 'root     inetd      477   6  tcp4   *:2222                *:*'",
        );
        let found = listeners(&tools).unwrap();
        assert_eq!(owners(&found), [("root", Some(0), Some(477), 2222)]);
    }

    #[test]
    fn udp_sockets_are_told_connected_or_not() {
        let tools = StandIns::new();
        tools.runs("53 1 53 53 53 0 9 named\n 54 1 0 0 0 0 9 ntpd");
        // As 14 prints it; a row of another protocol is none of these.
        tools.add(
            SOCKSTAT,
            "case $* in *json*|*l*) echo usage: >&2; exit 1;; '-46nqw -P udp') ;; *) exit 9;; esac\n\
             echo '53       named      53    20  udp46  *:53                  *:*'\n\
             echo '0        ntpd       54    21  udp4   192.0.2.1:123         198.51.100.1:123'\n\
             echo '0        x          55    21  tcpx   *:9'",
        );
        let found = Sockstat::default().sockets(&tools.commands(), Protocol::Udp).unwrap();
        let all: Vec<_> = found.iter().map(|it| (it.uid, it.port, it.ipv4, it.ipv6, it.address.is_some())).collect();
        assert_eq!(all, [(Some(53), 53, true, true, false), (Some(0), 123, true, false, true)]);
        assert_eq!(found.unreadable, 1);
        let row = r#"{"user":53,"command":"named","pid":53,"fd":9,"proto":"udp6","local":{"address":"::1","port":53}}"#;
        tools.says(SOCKSTAT, &format!(r#"{{"sockstat": {{"socket": [{row}]}}}}"#), 0);
        let found = Sockstat::default().sockets(&tools.commands(), Protocol::Udp).unwrap();
        assert_eq!((found[0].uid, found[0].ipv4, found[0].ipv6), (Some(53), false, true));
    }

    #[test]
    fn a_process_in_a_jail_is_told_and_one_beside_this_one_is_not() {
        let tools = StandIns::new();
        let own = std::process::id();
        for (jail, told) in [(0, [None, Some(7)]), (7, [Some(0), None])] {
            let others = "901 1 0 0 0 0 9 nginx\n1669 1 209 209 209 7 9 gotosocial\n 612 1 0 0 0 0 9 sshd";
            tools.says(SOCKSTAT, JSON.trim_end(), 0);
            tools.says("/bin/ps", &format!("{own} 1 0 0 0 {jail} 9 gts-bootstrap\n{others}"), 0);
            let found = listeners(&tools).unwrap();
            assert_eq!([found[0].jail, found[1].jail], told);
        }
    }

    #[test]
    fn what_a_set_user_id_program_has_is_not_roots() {
        let tools = StandIns::new();
        let row = |uid: u32, pid: u32| {
            format!(
                r#"{{"user":{uid},"command":"nginx","pid":{pid},"fd":6,"proto":"tcp4","local":{{"address":"*","port":80}}}}"#
            )
        };
        let list = |rows: &[String]| format!(r#"{{"sockstat": {{"socket": [{}]}}}}"#, rows.join(", "));
        let others = [row(209, 17), row(0, 18), row(0, 19)];
        tools.says(SOCKSTAT, &list(&[&[11, 12, 13, 14].map(|pid| row(0, pid))[..], &others].concat()), 0);
        // The last row cannot be read, and 19 has ended.
        let rows =
            ["11 1 0 0 0", "12 1 0 209 0", "13 1 0 0 209", "14 1 0 3999999999 3999999999", "17 1 0 0 0", "18 1 0 - 0"];
        tools.runs(&rows.map(|row| format!("  {row} 0 9 nginx")).join("\n"));
        let found = listeners(&tools).unwrap();
        let uids: Vec<u32> = found.iter().filter_map(|it| it.uid).collect();
        assert_eq!(uids, [0, 209, 209, 3_999_999_999, 209, 0, 0]);
        assert_eq!((found[0].user.as_str(), found[3].user.as_str()), ("root", "3999999999"));
    }

    #[test]
    fn a_command_that_fails_is_an_error() {
        let tools = StandIns::new();
        tools.says(SOCKSTAT, "sockstat: struct xinpgen size mismatch", 1);
        let error = listeners(&tools).unwrap_err();
        assert!(matches!(error, HostError::Command { .. }), "{error}");
    }

    proptest! {
        /// Whatever a process calls itself, its row keeps its owner, and no other row is lost.
        #[test]
        fn no_name_hides_its_owner_in_json(name in "[\\x01-\\x1f\"\\\\{}\\[\\],: a-z\\u{80}-\\u{ff}]{1,19}", uid in 0u32..) {
            // As libxo(3) escapes text.
            let escaped = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
            let text = JSON.replace("\"gotosocial\"", &format!("\"{escaped}\"")).replace(":209", &format!(":{uid}"));
            let found = of_json(&text);
            prop_assert_eq!((found.sockets.len(), found.unreadable), (4, 0));
            prop_assert_eq!((&found[1].user, found[1].pid, found[1].port), (&uid.to_string(), Some(1669), 443));
        }

        #[test]
        fn no_json_panics(text in "[\\PC\"\\[{},:]{0,80}") {
            let _ = of_json(&text);
        }
    }
}
