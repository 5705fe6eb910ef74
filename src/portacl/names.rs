//! Names for numbers: the kernel knows only ids and ports, people know users and services.
//!
//! The caller provides the names ([`Names`]). The text of services(5) is read here ([`Services`]).

use std::collections::BTreeMap;

use super::rule::Protocol;

/// A source of names for numbers, in both directions. If a number has several names, the first is the one to show.
pub trait Names {
    /// The name of the user with this id.
    fn user(&self, _uid: u32) -> Option<String> {
        None
    }
    /// The id of the user with this name.
    fn uid(&self, _name: &str) -> Option<u32> {
        None
    }
    /// The name of the group with this id.
    fn group(&self, _gid: u32) -> Option<String> {
        None
    }
    /// The id of the group with this name.
    fn gid(&self, _name: &str) -> Option<u32> {
        None
    }
    /// The name of the service on this port.
    fn service(&self, _port: u16, _protocol: Protocol) -> Option<String> {
        None
    }
    /// The port of the service with this name.
    fn port(&self, _name: &str, _protocol: Protocol) -> Option<u16> {
        None
    }
}

/// Knows no name at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NumbersOnly;

impl Names for NumbersOnly {}

/// The services of a services(5) text, usually `/etc/services`.
///
/// Read as getservbyname(3) and getservbyport(3) do (`servent_unpack()` in `lib/libc/net/getservent.c`): the first line
/// that matches decides, an alias counts like a name, case matters, and a line that does not parse is skipped.
/// Protocols other than TCP and UDP are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    names: BTreeMap<(Protocol, u16), String>,
    ports: BTreeMap<(Protocol, String), u16>,
}

impl Services {
    /// Reads the text. There are no errors: a line that is not a service is skipped.
    pub fn parse(text: &[u8]) -> Services {
        let mut services = Services::default();
        for line in text.split(|&byte| byte == b'\n') {
            let Some((protocol, port, names)) = parse_line(line) else { continue };
            services.names.entry((protocol, port)).or_insert_with(|| names[0].to_owned());
            for name in names {
                services.ports.entry((protocol, name.to_owned())).or_insert(port);
            }
        }
        services
    }

    /// The name of the service on this port.
    pub fn name(&self, port: u16, protocol: Protocol) -> Option<&str> {
        self.names.get(&(protocol, port)).map(String::as_str)
    }

    /// The port of the service with this name or alias.
    pub fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.ports.get(&(protocol, name.to_owned())).copied()
    }
}

/// Protocol and port of a service, its name and its aliases.
fn parse_line(line: &[u8]) -> Option<(Protocol, u16, Vec<&str>)> {
    // A NUL ends a text in C.
    let end = line.iter().position(|&byte| matches!(byte, b'#' | b'\0')).unwrap_or(line.len());
    let blanks = [' ', '\t'];
    let (name, rest) = std::str::from_utf8(&line[..end]).ok()?.split_once(blanks)?;
    // libc splits at a comma as well.
    let (port, rest) = rest.trim_start_matches(blanks).split_once(['/', ','])?;
    let mut words = rest.split(blanks);
    let protocol = Protocol::named(words.next()?)?;
    let names = std::iter::once(name).chain(words.filter(|word| !word.is_empty())).collect();
    (!name.is_empty()).then_some((protocol, port.parse().ok()?, names))
}

#[cfg(test)]
pub(super) mod strategies {
    //! Random names, valid and invalid, for the property tests of this folder.

    use super::{Names, Protocol};
    use proptest::prelude::*;

    /// A few names. If entries contradict each other, the first wins, as in the real files.
    #[derive(Debug, Clone, Default)]
    pub struct FewNames {
        pub users: Vec<(String, u32)>,
        pub groups: Vec<(String, u32)>,
        pub services: Vec<(String, u16, Protocol)>,
    }

    fn name_of<I: PartialEq>(entries: &[(String, I)], id: I) -> Option<String> {
        entries.iter().find(|entry| entry.1 == id).map(|entry| entry.0.clone())
    }

    fn id_of<I: Copy>(entries: &[(String, I)], name: &str) -> Option<I> {
        entries.iter().find(|entry| entry.0 == name).map(|entry| entry.1)
    }

    impl Names for FewNames {
        fn user(&self, uid: u32) -> Option<String> {
            name_of(&self.users, uid)
        }

        fn uid(&self, name: &str) -> Option<u32> {
            id_of(&self.users, name)
        }

        fn group(&self, gid: u32) -> Option<String> {
            name_of(&self.groups, gid)
        }

        fn gid(&self, name: &str) -> Option<u32> {
            id_of(&self.groups, name)
        }

        fn service(&self, port: u16, protocol: Protocol) -> Option<String> {
            let found = self.services.iter().find(|entry| entry.1 == port && entry.2 == protocol);
            found.map(|entry| entry.0.clone())
        }

        fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
            let found = self.services.iter().find(|entry| entry.0 == name && entry.2 == protocol);
            found.map(|entry| entry.1)
        }
    }

    /// Names for the ids and ports that [`state`](super::super::state::strategies::state) generates.
    pub fn names() -> impl Strategy<Value = FewNames> {
        let name = || {
            prop_oneof![
                8 => "[a-d]{1,3}",
                1 => prop_oneof!["", "root", "80", "-1", "user", "all", "a b", "#", "x,", "\\(80\\)", "[{}]", "\\+", "1-2", "ä"],
            ]
        };
        let ids = || prop::collection::vec((name(), prop_oneof![4 => 0..4_u32, 1 => any::<u32>()]), 0..4);
        let protocol = any::<bool>().prop_map(|udp| if udp { Protocol::Udp } else { Protocol::Tcp });
        let services = prop::collection::vec((name(), prop_oneof![0..4_u16, 78..82_u16], protocol), 0..4);
        (ids(), ids(), services).prop_map(|(users, groups, services)| FewNames { users, groups, services })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Tcp, Udp};
    use proptest::prelude::*;

    const TEXT: &[u8] = b"# Network services, Internet style\n\
        ftp\t\t 21/tcp\t#File Transfer [Control]\n\
        http\t\t 80/tcp\twww www-http\t#World Wide Web HTTP\n\
        http\t\t 80/udp\twww www-http\n\
        web\t80/tcp\n\
        http 8080/tcp\n\
        sctp-only 99/sctp\n\
        nothing\n\
        no-protocol 22\n\
        too-high 65536/tcp\n\
        no-number x/tcp\n\
        latin\xe9 23/tcp\n\
        commas 24,tcp\n\
        last 65535/udp";

    #[test]
    fn the_first_line_wins_both_ways() {
        let services = Services::parse(TEXT);
        assert_eq!(services.name(80, Tcp), Some("http"));
        assert_eq!(services.port("http", Tcp), Some(80));
        assert_eq!(services.name(8080, Tcp), Some("http"));
        assert_eq!(services.port("web", Tcp), Some(80));
        assert_eq!(services.name(80, Udp), Some("http"));
        assert_eq!(services.name(21, Udp), None);
        assert_eq!(services.port("commas", Tcp), Some(24));
        assert_eq!(services.name(65535, Udp), Some("last"));
    }

    #[test]
    fn an_alias_is_a_name_and_a_comment_is_none() {
        let services = Services::parse(TEXT);
        assert_eq!(services.port("www", Tcp), Some(80));
        assert_eq!(services.port("www-http", Udp), Some(80));
        assert_eq!(services.port("HTTP", Tcp), None);
        assert_eq!(services.port("#File", Tcp), None);
        assert_eq!(services.port("Wide", Tcp), None);
    }

    #[test]
    fn what_is_no_service_is_passed_over() {
        let services = Services::parse(TEXT);
        for name in ["sctp-only", "nothing", "no-protocol", "too-high", "no-number", "latin", ""] {
            assert_eq!((services.port(name, Tcp), services.port(name, Udp)), (None, None), "{name}");
        }
        assert_eq!(Services::parse(b"#http 80/tcp\n 81/tcp x\ndos 82/tcp\r\n"), Services::default());
    }

    #[test]
    fn numbers_only_knows_nothing() {
        let names = NumbersOnly;
        assert_eq!((names.user(0), names.uid("root"), names.group(0), names.gid("wheel")), (None, None, None, None));
        assert_eq!((names.service(80, Tcp), names.port("http", Tcp)), (None, None));
    }

    proptest! {
        #[test]
        fn every_name_that_is_shown_is_a_name_of_some_port(lines in prop::collection::vec(
            "[ab#]{0,2}[ \t]{1,2}[0-9]{1,5}[/,](tcp|udp)([ \t][ab]{1,2}){0,2}", 0..6)
        ) {
            let services = Services::parse(lines.join("\n").as_bytes());
            for ((protocol, _), name) in &services.names {
                prop_assert!(services.port(name, *protocol).is_some());
            }
        }
    }
}
