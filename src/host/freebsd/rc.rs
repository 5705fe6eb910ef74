//! Variables of rc(8): all read with one sh(1), and written with sysrc(8).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::iter::Peekable;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::str::Chars;

use super::command::Commands;
use crate::host::HostError;
use crate::sysconf::rc_conf::refusal;

const SH: &str = "/bin/sh";
const SYSRC: &str = "/usr/sbin/sysrc";

/// The defaults, which name the other files (`rc_conf_files`) and know how to read them (`source_rc_confs`).
const DEFAULTS: &str = "/etc/defaults/rc.conf";

/// Reads the files as rc.subr(8) and sysrc(8) do. What they print themselves goes to standard error.
const READ: &str = "{ . \"$1\"; source_rc_confs; } >&2; set";

/// The variable that names the other files. It is in every output that is whole.
const NAMES: &str = "rc_conf_files";

/// What it has been in every release: what to look at before the first read.
const USUAL_NAMES: &str = "/etc/rc.conf /etc/rc.conf.local";

/// The output of sysrc(8), with exit status 1, for a variable that no file sets; seen on 13.2.
const UNKNOWN: &str = "unknown variable";

/// All variables, and the files as they were just before they were read last.
#[derive(Debug, Default)]
pub(super) struct Variables(RefCell<Option<(Files, BTreeMap<String, String>)>>);

/// The files, each with its inode, size and times: another file, or another content, has others.
type Files = Vec<(PathBuf, Option<[i64; 6]>)>;

impl Variables {
    /// The value that the defaults and all rc.conf(5) files together give a variable.
    pub(super) fn get(&self, commands: &Commands, name: &str) -> Result<Option<String>, HostError> {
        check(name, "")?;
        let mut read = self.0.borrow_mut();
        if let Some((files, values)) = read.as_ref()
            && *files == files_of(commands, &values[NAMES])
        {
            return Ok(values.get(name).cloned());
        }
        // Looked at before: whoever edits one while it is read has it read again.
        let last = read.take();
        let files = files_of(commands, last.as_ref().map_or(USUAL_NAMES, |(_, values)| values[NAMES].as_str()));
        let defaults = commands.local(DEFAULTS.as_ref());
        let finished = commands.run(SH, &["-c", READ, "sh", &defaults.to_string_lossy()])?.succeeded()?;
        let values = assignments(&finished.stdout).ok_or_else(|| finished.unreadable(&finished.stdout))?;
        if !values.contains_key(NAMES) {
            return Err(finished.unreadable("rc.conf ends the shell that reads it"));
        }
        let value = values.get(name).cloned();
        *read = Some((files, values));
        Ok(value)
    }

    /// Forgets them: something is about to change.
    pub(super) fn forget(&self) {
        self.0.take();
    }
}

fn files_of(commands: &Commands, names: &str) -> Files {
    let stat = |path: PathBuf| {
        let stat = fs::metadata(&path).ok().map(|it| {
            let inode = i64::try_from(it.ino()).unwrap_or(-1);
            let size = i64::try_from(it.size()).unwrap_or(-1);
            [inode, size, it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec()]
        });
        (path, stat)
    };
    [DEFAULTS].into_iter().chain(names.split_whitespace()).map(|path| stat(commands.local(path.as_ref()))).collect()
}

/// The output of `set`: names and values, quoted for sh(1). `None` if it is something else.
fn assignments(text: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        let name: String =
            std::iter::from_fn(|| rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '_')).collect();
        if name.is_empty() || rest.next() != Some('=') {
            return None;
        }
        found.insert(name, word(&mut rest)?);
    }
    Some(found)
}

/// A word up to the end of its line, without its quotes.
fn word(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut word = String::new();
    loop {
        match rest.next() {
            None | Some('\n') => return Some(word),
            Some('\'') => quoted(rest, &mut word, '\'', false)?,
            Some('"') => quoted(rest, &mut word, '"', true)?,
            // FreeBSD's sh(1) quotes in this way what has control characters or single quotes in it.
            Some('$') if rest.next_if_eq(&'\'').is_some() => ansi_quoted(rest, &mut word)?,
            Some('\\') => word.push(rest.next()?),
            Some(other) => word.push(other),
        }
    }
}

fn quoted(rest: &mut Peekable<Chars<'_>>, word: &mut String, end: char, escapes: bool) -> Option<()> {
    loop {
        match rest.next()? {
            next if next == end => return Some(()),
            '\\' if escapes => word.push(rest.next()?),
            next => word.push(next),
        }
    }
}

fn ansi_quoted(rest: &mut Peekable<Chars<'_>>, word: &mut String) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let byte = match rest.next()? {
            '\'' => {
                word.push_str(&String::from_utf8_lossy(&bytes));
                return Some(());
            }
            '\\' => match rest.next()? {
                'a' => 7,
                'b' => 8,
                't' => b'\t',
                'n' => b'\n',
                'v' => 11,
                'f' => 12,
                'r' => b'\r',
                'e' => 27,
                first @ '0'..='7' => {
                    let mut number = first.to_digit(8)?;
                    for _ in 0..2 {
                        let Some(digit) = rest.next_if(|next| next.is_digit(8)) else { break };
                        number = number * 8 + digit.to_digit(8)?;
                    }
                    u8::try_from(number).ok()?
                }
                other => u8::try_from(other).ok()?,
            },
            other => {
                bytes.extend(other.to_string().bytes());
                continue;
            }
        };
        bytes.push(byte);
    }
}

/// Sets a variable, or removes it from every file.
pub(super) fn set_variable(commands: &Commands, name: &str, value: Option<&str>) -> Result<(), HostError> {
    check(name, value.unwrap_or(""))?;
    match value {
        Some(value) => commands.done(SYSRC, &[&format!("{name}={value}")]),
        None => commands.run(SYSRC, &["-x", name])?.unless(1, UNKNOWN).map(drop),
    }
}

/// Neither sysrc(8) nor the sh(1) that reads rc.conf(5) may be misled.
fn check(name: &str, value: &str) -> Result<(), HostError> {
    let Some(why) = refusal(name, value) else { return Ok(()) };
    let source = io::Error::new(io::ErrorKind::InvalidInput, why);
    Err(HostError::Start { command: format!("{SYSRC} {name}"), source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;

    /// A system with these files, and with the sh(1) of this one.
    fn with_files(rc_conf: &str) -> StandIns {
        let tools = StandIns::new();
        let (defaults, conf) = (tools.path(DEFAULTS), tools.path("/etc/rc.conf"));
        let read =
            "source_rc_confs() { for file in $rc_conf_files; do [ ! -r \"ROOT$file\" ] || . \"ROOT$file\"; done; }";
        let read = read.replace("ROOT", &tools.path("").to_string_lossy());
        let text = format!(
            "syslogd_flags=\"-s\"\ncron_enable=\"YES\"\nrc_conf_files=\"/etc/rc.conf /etc/rc.conf.local\"\n{read}\n"
        );
        fs::create_dir_all(defaults.parent().unwrap()).unwrap();
        fs::write(defaults, text).unwrap();
        fs::write(conf, rc_conf).unwrap();
        tools.add(SH, &format!("echo >>'{}'; exec /bin/sh \"$@\"", tools.path("calls").display()));
        tools
    }

    #[test]
    fn one_shell_reads_all_variables_until_a_file_changes() {
        let tools = with_files(
            "gotosocial_enable=YES\nnote=\"it's \\\"two\n lines\\\"\"\ncron_enable=NO\n[ -e /nosuch ] && a=1\n",
        );
        let (variables, commands) = (Variables::default(), tools.commands());
        let get = |name: &str| variables.get(&commands, name).unwrap();
        let calls = || fs::read_to_string(tools.path("calls")).unwrap().len();
        assert_eq!(get("gotosocial_enable").as_deref(), Some("YES"));
        assert_eq!(get("note").as_deref(), Some("it's \"two\n lines\""));
        assert_eq!(get("cron_enable").as_deref(), Some("NO"));
        assert_eq!(get("syslogd_flags").as_deref(), Some("-s"));
        assert_eq!(get("nosuchvar"), None);
        assert_eq!(calls(), 1);
        fs::write(tools.path("/etc/rc.conf.local"), "gotosocial_enable=NO; empty=''\n").unwrap();
        assert_eq!((get("gotosocial_enable").as_deref(), get("empty").as_deref()), (Some("NO"), Some("")));
        assert_eq!(calls(), 2);
        variables.forget();
        get("empty");
        assert_eq!(calls(), 3);
        fs::write(tools.path("/etc/rc.conf"), "gotosocial_enable=\"YES\n").unwrap();
        let error = variables.get(&commands, "gotosocial_enable").unwrap_err().to_string();
        assert!(error.to_lowercase().contains("unterminated quoted string"), "{error}");
    }

    #[test]
    fn what_files_print_is_no_variable() {
        let tools = with_files("echo gotosocial_enable=NO\ngotosocial_enable=YES\n");
        let value = Variables::default().get(&tools.commands(), "gotosocial_enable").unwrap();
        assert_eq!(value.as_deref(), Some("YES"));
    }

    #[test]
    fn a_file_that_ends_the_shell_is_no_file_without_variables() {
        let tools = with_files("gotosocial_enable=YES\nexit 0\n");
        let error = Variables::default().get(&tools.commands(), "gotosocial_enable").unwrap_err().to_string();
        assert!(error.contains("rc.conf ends the shell that reads it"), "{error}");
    }

    #[test]
    fn what_is_edited_while_it_is_read_is_read_again() {
        let tools = with_files("gotosocial_enable=YES\n");
        let conf = tools.path("/etc/rc.conf");
        tools.add(SH, &format!("/bin/sh \"$@\"; echo gotosocial_enable=NO >'{}'", conf.display()));
        let (variables, commands) = (Variables::default(), tools.commands());
        assert_eq!(variables.get(&commands, "gotosocial_enable").unwrap().as_deref(), Some("YES"));
        assert_eq!(variables.get(&commands, "gotosocial_enable").unwrap().as_deref(), Some("NO"));
    }

    /// The forms of `outqstr` in FreeBSD's `bin/sh/output.c`, and those of other shells.
    #[test]
    fn quotes_of_every_kind_are_taken_off() {
        let text = "a=plain\nb=''\nc='two words'\nd=$'it\\'s\\tso\\303\\244\\\\'\ne='it'\"'\"'s'\nf='a\nb=c'\n";
        let found = assignments(text).unwrap();
        let expected =
            [("a", "plain"), ("b", ""), ("c", "two words"), ("d", "it's\tso\u{e4}\\"), ("e", "it's"), ("f", "a\nb=c")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        for wrong in ["no assignment", "a", "a='open", "=x", "a=$'\\", "a=$'\\777'"] {
            assert_eq!(assignments(wrong), None, "{wrong}");
        }
    }

    // The output of sysrc(8) is as seen on FreeBSD 13.2.

    #[test]
    fn a_variable_is_set_and_taken_out() {
        let tools = StandIns::new();
        tools.keeps(SYSRC);
        set_variable(&tools.commands(), "portacl_user_gotosocial_tcp", Some("http https")).unwrap();
        assert_eq!(tools.arguments(), ["portacl_user_gotosocial_tcp=http https"]);
        set_variable(&tools.commands(), "gotosocial_enable", None).unwrap();
        assert_eq!(tools.arguments(), ["-x", "gotosocial_enable"]);
        tools.says(SYSRC, "sysrc: unknown variable 'gotosocial_enable'", 1);
        set_variable(&tools.commands(), "gotosocial_enable", None).unwrap();
        assert!(set_variable(&tools.commands(), "gotosocial_enable", Some("YES")).is_err());
    }

    #[test]
    fn what_a_shell_would_read_differently_is_refused() {
        let tools = StandIns::new();
        tools.keeps(SYSRC);
        for name in ["", "a+", "a-", "9a", "-x", "a b", "a=b"] {
            let error = set_variable(&tools.commands(), name, Some("x")).unwrap_err().to_string();
            assert!(error.contains("shell variable"), "{error}");
        }
        for value in ["$(id)", "a\"b", "`id`", "a\\", "a\nb"] {
            let error = set_variable(&tools.commands(), "name", Some(value)).unwrap_err().to_string();
            assert!(error.contains("rc.conf(5)"), "{error}");
        }
    }
}
