//! How the server shows that it is up: its own pages, and the marks in its log.

use serde_json::Value;

/// Answers 200 as soon as the program runs, even while it migrates its database.
pub const LIVEZ: &str = "/livez";
/// Answers 200 once the server is ready.
pub const READYZ: &str = "/readyz";
/// Names the software and its version.
pub const NODEINFO: &str = "/nodeinfo/2.0";
/// Points other servers to webfinger.
pub const HOST_META: &str = "/.well-known/host-meta";

/// The first line of a start in the log (seen with 0.19.2 to 0.21.2), in the form of logfmt and in that of JSON, which 0.20 brought
/// (`log-format`).
const START: [&str; 2] = ["func=cache.(*Caches).Start ", "\"func\":\"cache.(*Caches).Start\""];
/// How a listener that is opened is told, in both forms.
const LISTENS: [&str; 2] = ["msg=\"listening on ", "\"msg\":\"listening on "];
/// The message of a finished start.
pub const RECOVERED: &str = "recovered queued tasks";

/// Where webfinger tells of an account.
pub fn webfinger(username: &str, domain: &str) -> String {
    format!("/.well-known/webfinger?resource=acct:{username}@{domain}")
}

/// The two marks of a finished start: queued tasks were recovered, or a second listener was opened (the first one is of
/// the maintenance page). Both were seen with 0.19.2 and 0.20.0-rc1.
///
/// Of a log that reaches further back only the newest start counts.
pub fn ready_by_log(log: &str) -> bool {
    let log = newest_start(log);
    let listens = |line: &&str| LISTENS.iter().any(|mark| line.contains(mark));
    log.contains(RECOVERED) || log.lines().filter(listens).count() >= 2
}

/// The log from the line on that begins the newest start; all of it if there is none.
pub(super) fn newest_start(log: &str) -> &str {
    let Some(at) = START.iter().filter_map(|mark| log.rfind(mark)).max() else { return log };
    &log[log[..at].rfind('\n').map_or(0, |newline| newline + 1)..]
}

/// Starts since the last one that was finished. With a log level above info neither mark is written.
pub fn unready_starts(log: &str) -> u32 {
    let since = log.rsplit_once(RECOVERED).map_or(log, |(_, since)| since);
    u32::try_from(START.iter().map(|mark| since.matches(mark).count()).sum::<usize>()).unwrap_or(u32::MAX)
}

/// The message of a log line, or the whole line where it has none.
pub fn message(line: &str) -> String {
    if let Some(message) = field(line, "msg").filter(|_| line.starts_with('{')) {
        return message;
    }
    line.split_once("msg=").map_or(line, |(_, message)| message).trim_matches('"').to_owned()
}

/// A field of a log line in either form, up to the next quote.
pub(super) fn field(line: &str, name: &str) -> Option<String> {
    if line.starts_with('{') {
        return Some(serde_json::from_str::<Value>(line).ok()?.get(name)?.as_str()?.to_owned());
    }
    let (_, value) = line.split_once(&format!("{name}=\""))?;
    Some(value.split('"').next()?.to_owned())
}

/// The name and the version of the software that nodeinfo tells of.
pub fn software(nodeinfo: &[u8]) -> Option<(String, String)> {
    let json: Value = serde_json::from_slice(nodeinfo).ok()?;
    let software = json.get("software")?;
    Some((software.get("name")?.as_str()?.to_owned(), software.get("version")?.as_str()?.to_owned()))
}

/// Whether a version as a program prints it is this one. Builds add the commit after a blank or a plus sign.
pub fn is_version(printed: &str, version: &semver::Version) -> bool {
    printed.split([' ', '+']).next() == Some(&version.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: &str =
        "timestamp=\"22/11/2026 18:30:16.000\" func=cache.(*Caches).Start level=INFO msg=\"start: 0x1\"\n";
    const READY: &str = "func=admin.(*Processor).FillWorkerQueues level=INFO msg=\"recovered queued tasks\"\n";

    #[test]
    fn an_earlier_start_does_not_make_this_one_ready() {
        assert!(ready_by_log(&format!("{STARTS}{READY}")));
        assert!(!ready_by_log(&format!("{STARTS}{READY}{STARTS}")));
        assert!(ready_by_log(&format!("{STARTS}{READY}{STARTS}{READY}")));
        assert!(
            ready_by_log("msg=\"listening on a\"\nmsg=\"listening on a\"\n")
                && !ready_by_log("msg=\"listening on a\"\n")
        );
        assert_eq!(message(STARTS.trim_end()), "start: 0x1");
    }

    #[test]
    fn the_form_of_json_says_the_same() {
        let starts =
            "{\"timestamp\":\"x\", \"func\":\"cache.(*Caches).Start\", \"level\":\"INFO\", \"msg\":\"start: 0x1\"}\n";
        let listens =
            "{\"func\":\"router.(*Router).Start.func1\", \"level\":\"INFO\", \"msg\":\"listening on 0.0.0.0:443\"}\n";
        let ready = "{\"func\":\"a\", \"level\":\"INFO\", \"errors\":0, \"msg\":\"recovered queued tasks\"}\n";
        assert!(!ready_by_log(&format!("{listens}{starts}{listens}")));
        assert!(ready_by_log(&format!("{starts}{listens}{ready}")) && ready_by_log(&format!("{listens}{listens}")));
        assert!(!ready_by_log(&format!("{starts}{ready}{starts}")));
        assert_eq!(unready_starts(&format!("{starts}{ready}{starts}{starts}")), 2);
        assert_eq!((message(starts.trim_end()), message("{broken")), ("start: 0x1".to_owned(), "{broken".to_owned()));
    }

    #[test]
    fn starts_that_came_to_nothing_are_counted_from_the_last_good_one() {
        for (log, count) in [
            (String::new(), 0),
            (format!("{STARTS}{READY}"), 0),
            (format!("{STARTS}{READY}{STARTS}"), 1),
            (format!("{STARTS}{STARTS}{READY}{STARTS}panic: x\n{STARTS}panic: x\n"), 2),
        ] {
            assert_eq!(unready_starts(&log), count, "{log}");
        }
    }

    #[test]
    fn a_version_is_recognised_with_and_without_its_commit() {
        let version = semver::Version::new(0, 20, 3);
        assert!(is_version("0.20.3", &version) && is_version("0.20.3+git-87b026d", &version));
        assert!(is_version("0.20.3 87b026d", &version) && !is_version("0.20.30", &version));
        let told = software(br#"{"software":{"name":"gotosocial","version":"0.20.3"}}"#);
        assert_eq!(told, Some(("gotosocial".to_owned(), "0.20.3".to_owned())));
        assert_eq!(software(b"{}"), None);
    }
}
