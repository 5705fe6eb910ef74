//! The arguments of `portacl`: subjects and ports, by name or by number.

use crate::portacl::{Names, Protocol, Subject};

/// Reads `USER`, `@GROUP`, `uid:N` or `gid:N`.
///
/// # Errors
/// In words: there is no such name, or the number is not valid.
pub fn subject(word: &str, names: &dyn Names) -> Result<Subject, String> {
    let number = |text: &str| {
        text.parse::<u32>().map_err(|_| format!("{word}: an id is a number from 0 to {}, such as uid:209", u32::MAX))
    };
    if let Some(id) = word.strip_prefix("uid:") {
        return number(id).map(Subject::Uid);
    }
    if let Some(id) = word.strip_prefix("gid:") {
        return number(id).map(Subject::Gid);
    }
    if let Some(group) = word.strip_prefix('@') {
        let known = names.gid(group).map(Subject::Gid);
        return known.ok_or_else(|| format!("there is no group {group} on this host; by number it is gid:NUMBER"));
    }
    names.uid(word).map(Subject::Uid).ok_or_else(|| {
        if word.parse::<u32>().is_ok() {
            format!("there is no user named {word} on this host; by number it is uid:{word}")
        } else if names.gid(word).is_some() {
            format!("there is no user {word} on this host; for the group of that name write @{word}")
        } else {
            format!("there is no user {word} on this host; create the account first, or write uid:NUMBER")
        }
    })
}

/// Reads ports: `80`, `http`, `53/udp`, `80,443`, several arguments.
///
/// # Errors
/// In words, each argument that is not a port.
pub fn ports(words: &[String], names: &dyn Names) -> Result<Vec<(Protocol, u16)>, String> {
    let (mut ports, mut wrong) = (Vec::new(), Vec::new());
    for word in words.iter().flat_map(|words| words.split(',')) {
        match port(word, names) {
            Ok(port) if ports.contains(&port) => {}
            Ok(port) => ports.push(port),
            Err(why) => wrong.push(format!("{word}: {why}")),
        }
    }
    if wrong.is_empty() { Ok(ports) } else { Err(wrong.join("\n")) }
}

fn port(word: &str, names: &dyn Names) -> Result<(Protocol, u16), String> {
    let (port, protocol) = match word.rsplit_once('/') {
        None => (word, Protocol::Tcp),
        Some((port, "tcp")) => (port, Protocol::Tcp),
        Some((port, "udp")) => (port, Protocol::Udp),
        Some((_, other)) => return Err(format!("mac_portacl knows the protocols tcp and udp, and not “{other}”")),
    };
    let number = if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() {
        let number = port.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| "a port is a number from 1 to 65535".to_owned())
    } else {
        names.port(port, protocol).ok_or_else(|| {
            format!(
                "/etc/services has no {protocol} service of that name; write a port number, such as 80, or several, \
                 such as 80,443"
            )
        })
    };
    Ok((protocol, number?))
}

/// A subject as people know it: `gotosocial (209)`, `group www (80)`, `uid 4711`.
pub fn describe(subject: Subject, names: &dyn Names) -> String {
    match subject {
        Subject::Uid(uid) => names.user(uid).map_or_else(|| format!("uid {uid}"), |name| format!("{name} ({uid})")),
        Subject::Gid(gid) => {
            names.group(gid).map_or_else(|| format!("gid {gid}"), |name| format!("group {name} ({gid})"))
        }
    }
}

/// A port as people know it: `tcp port 80 (http)`.
pub fn describe_port(protocol: Protocol, port: u16, names: &dyn Names) -> String {
    let name = names.service(port, protocol).map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{protocol} port {port}{name}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::host::rehearsal::Rehearsal;
    use crate::parts::host_names::HostNames;

    fn with_names(test: impl FnOnce(&dyn Names)) {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        let names = HostNames::new(&host).unwrap();
        test(&names);
        names.finish().unwrap();
    }

    #[test]
    fn subjects_by_name_and_number() {
        with_names(|names| {
            assert_eq!(subject("www", names), Ok(Subject::Uid(80)));
            assert_eq!(subject("@www", names), Ok(Subject::Gid(80)));
            assert_eq!(subject("uid:4711", names), Ok(Subject::Uid(4711)));
            assert_eq!(subject("gid:0", names), Ok(Subject::Gid(0)));
            for (word, why) in [
                ("nosuch", "there is no user nosuch"),
                ("@nosuch", "there is no group nosuch"),
                ("80", "by number it is uid:80"),
                ("wheel", "write @wheel"),
                ("uid:www", "an id is a number"),
                ("gid:-1", "an id is a number"),
                ("uid:4294967296", "an id is a number"),
            ] {
                let error = subject(word, names).unwrap_err();
                assert!(error.contains(why), "{word}: {error}");
            }
        });
    }

    #[test]
    fn ports_by_name_and_number() {
        with_names(|names| {
            let read = |words: &[&str]| ports(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), names);
            let tcp = |port| (Protocol::Tcp, port);
            assert_eq!(read(&["80,443"]), Ok(vec![tcp(80), tcp(443)]));
            assert_eq!(read(&["http", "80/tcp", "https/tcp"]), Ok(vec![tcp(80), tcp(443)]));
            assert_eq!(read(&["53/udp,53"]), Ok(vec![(Protocol::Udp, 53), tcp(53)]));
            for (word, why) in [
                ("0", "from 1 to 65535"),
                ("65616", "from 1 to 65535"),
                ("80/sctp", "tcp and udp"),
                ("nosuch", "no tcp service"),
                ("", "no tcp service"),
                ("-1", "no tcp service"),
                ("80 ", "no tcp service"),
            ] {
                let error = read(&[word]).unwrap_err();
                assert!(error.contains(why), "{word}: {error}");
            }
            // All mistakes at once.
            assert_eq!(read(&["0,nosuch"]).unwrap_err().lines().count(), 2);
        });
    }
}
