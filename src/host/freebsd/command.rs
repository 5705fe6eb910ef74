//! Runs the base system's commands.
//!
//! Commands always run by absolute path and never through a shell, with a clean environment, `/` as working folder and
//! empty standard input. Output goes to temporary files and not through pipes: what `service NAME start` leaves behind
//! may keep its inherited standard output open, and then the pipe never ends.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::child::{self, Confinement, Ids, Program};
use crate::host::{Ask, HostError, Invocation, Output, Owner, Tell, go_on};

/// Search path of every child, as in `/etc/login.conf` without the local folders.
const SEARCH_PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin";

/// The limit for the output of a command, in bytes for each stream. Any user can have sockstat(1) list some ten thousand sockets.
const OUTPUT_LIMIT: u64 = 16 * 1024 * 1024;

/// Replaces a secret argument in messages.
const SECRET: &str = "(secret)";

/// Runs commands of the system whose root is `prefix`.
#[derive(Debug, Clone)]
pub(super) struct Commands {
    prefix: PathBuf,
}

/// A command that has ended.
#[derive(Debug)]
pub(super) struct Finished {
    command: String,
    status: ExitStatus,
    /// Standard output.
    pub(super) stdout: String,
    /// Standard error.
    pub(super) stderr: String,
}

impl Commands {
    /// `prefix` is `/` except in tests, which keep fake commands in a folder.
    pub(super) fn new(prefix: impl Into<PathBuf>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// Whether there is such a program.
    pub(super) fn has(&self, program: &str) -> bool {
        self.local(Path::new(program)).is_file()
    }

    /// Runs a command to its end, whatever its result.
    pub(super) fn run(&self, program: &str, arguments: &[&str]) -> Result<Finished, HostError> {
        self.run_with(program, arguments, &[])
    }

    /// Runs a command that must exit with 0, and whose output does not matter.
    pub(super) fn done(&self, program: &str, arguments: &[&str]) -> Result<(), HostError> {
        self.run(program, arguments)?.succeeded().map(drop)
    }

    /// The same as [`Commands::run`] with more in the environment.
    pub(super) fn run_with(
        &self,
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Finished, HostError> {
        let line = shown(program, arguments.iter().copied());
        let mut command = clean(&self.local(Path::new(program)));
        command.args(arguments).envs(environment.iter().copied()).current_dir("/");
        let start = |stdout: Stdio, stderr: File| command.stdout(stdout).stderr(stderr).spawn();
        finish(line, OUTPUT_LIMIT, start, |mut child, _| child.wait())
    }

    /// Runs a program as another user, in a [`child`], which is killed if `stop` has a reason. The caller judges its exit
    /// status.
    pub(super) fn run_as(&self, invocation: &Invocation, groups: Vec<u32>, stop: Ask<'_>) -> Result<Output, HostError> {
        self.watched(invocation, groups, &mut |_, _| go_on(stop))
    }

    /// The same, to its end, and reports about once a second how long it has run and the newest line of its output.
    pub(super) fn run_watched(
        &self,
        invocation: &Invocation,
        groups: Vec<u32>,
        tell: Tell<'_>,
    ) -> Result<Output, HostError> {
        let mut told = Duration::ZERO;
        self.watched(invocation, groups, &mut |elapsed, stdout| {
            if elapsed >= told + Duration::from_secs(1) {
                told = elapsed;
                tell(elapsed, newest_line(stdout).ok().flatten().as_deref());
            }
            Ok(())
        })
    }

    fn watched(
        &self,
        invocation: &Invocation,
        groups: Vec<u32>,
        watch: &mut dyn FnMut(Duration, &File) -> io::Result<()>,
    ) -> Result<Output, HostError> {
        let arguments = invocation.arguments.iter().enumerate().map(|(index, argument)| {
            if invocation.secret_argument == Some(index) { SECRET } else { argument.as_str() }
        });
        let line = shown(&invocation.program.to_string_lossy(), arguments);
        let clean = [("LC_ALL", "C"), ("PATH", SEARCH_PATH), ("HOME", "/nonexistent")];
        let clean = clean.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let program = Program {
            path: self.local(&invocation.program),
            arguments: invocation.arguments.clone(),
            environment: clean.into_iter().chain(invocation.environment.iter().cloned()).collect(),
        };
        let Owner { uid, gid } = invocation.owner;
        let mut confinement = Confinement::of(Some(Ids { uid, gid, groups }));
        confinement.umask = 0o027;
        confinement.directory = self.local(&invocation.directory);
        let run =
            |stdout: Stdio, stderr: File| child::start(child::EXEC.0, &confinement, &program, &[], stdout, stderr);
        let finished = finish(line, OUTPUT_LIMIT, run, |mut child, stdout| {
            child.wait(invocation.limit, &mut |elapsed| watch(elapsed, stdout))
        })?;
        match child::refusal(finished.status, &finished.stderr) {
            Some(why) => Err(HostError::Start { command: finished.command, source: io::Error::other(why) }),
            None => Ok(finished.output()),
        }
    }

    pub(super) fn local(&self, path: &Path) -> PathBuf {
        self.prefix.join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Finished {
    /// Exit status; `None` if a signal ended it.
    pub(super) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Whether either stream contains `text`.
    pub(super) fn says(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    /// Whether standard error is empty.
    pub(super) fn is_silent(&self) -> bool {
        self.stderr.trim().is_empty()
    }

    /// Status and output, for a caller who judges them.
    pub(super) fn output(self) -> Output {
        Output { status: self.status.code(), stdout: self.stdout, stderr: self.stderr }
    }

    /// The command if it exited with 0, else its failure.
    pub(super) fn succeeded(self) -> Result<Self, HostError> {
        if self.status.success() { Ok(self) } else { Err(self.failure()) }
    }

    /// The command if it exited with 0; `None` if this status and these words say that there was nothing to do.
    pub(super) fn unless(self, status: i32, words: &str) -> Result<Option<Self>, HostError> {
        if self.code() == Some(status) && self.says(words) { Ok(None) } else { self.succeeded().map(Some) }
    }

    /// The failure of this command, with its own output.
    pub(super) fn failure(&self) -> HostError {
        let words = [&self.stderr, &self.stdout].into_iter().map(|text| text.trim()).find(|text| !text.is_empty());
        HostError::Command {
            command: self.command.clone(),
            status: self.status.to_string(),
            stderr: words.unwrap_or("it gave no reason").to_owned(),
        }
    }

    /// The error for output that does not have the expected form.
    pub(super) fn unreadable(&self, text: &str) -> HostError {
        HostError::Unreadable { what: format!("the output of `{}`", self.command), text: text.trim().to_owned() }
    }
}

fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").env("PATH", SEARCH_PATH).stdin(Stdio::null());
    // A Ctrl-C and a closed terminal reach the whole foreground process group. A child in the middle of a change must
    // not get them.
    command.process_group(0);
    command
}

fn finish<C>(
    line: String,
    limit: u64,
    start: impl FnOnce(Stdio, File) -> io::Result<C>,
    wait: impl FnOnce(C, &File) -> io::Result<ExitStatus>,
) -> Result<Finished, HostError> {
    let run = || -> io::Result<_> {
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let child = start(stdout.try_clone()?.into(), stderr.try_clone()?)?;
        let status = wait(child, &stdout)?;
        Ok((status, text_of(stdout, limit)?, text_of(stderr, limit)?))
    };
    match run() {
        Ok((status, stdout, stderr)) => Ok(Finished { command: line, status, stdout, stderr }),
        Err(source) => Err(HostError::Start { command: line, source }),
    }
}

/// The last line of what a child has written so far. The file position is shared with the child, and does not move.
fn newest_line(file: &File) -> io::Result<Option<String>> {
    const TAIL: u64 = 4096;
    let size = file.metadata()?.len();
    let mut bytes = vec![0; usize::try_from(size.min(TAIL)).unwrap_or(0)];
    let read = file.read_at(&mut bytes, size.saturating_sub(TAIL))?;
    bytes.truncate(read);
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned))
}

fn text_of(mut file: File, limit: u64) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A command line as it could be typed in sh(1).
fn shown<'a>(program: &'a str, arguments: impl Iterator<Item = &'a str>) -> String {
    std::iter::once(program).chain(arguments).map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_./:=,@%+-".contains(character);
    if !word.is_empty() && word.chars().all(plain) || word == SECRET {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;

    #[test]
    fn a_child_that_keeps_the_output_open_does_not_hold_us_up() {
        let tools = StandIns::new();
        // The child outlives its parent with both streams open, like a daemon, until the folder is removed.
        let start = tools.path("/sbin/start");
        tools.add("/sbin/start", &format!("(while [ -e '{}' ]; do sleep 0.1; done) & echo started", start.display()));
        let finished = tools.commands().run("/sbin/start", &[]).unwrap();
        assert_eq!(finished.stdout, "started\n");
    }

    #[test]
    fn a_failure_tells_command_status_and_words() {
        let tools = StandIns::new();
        tools.add("/sbin/fail", "echo on-output; echo on-error >&2; exit 65");
        let error = tools.commands().run("/sbin/fail", &["a b", "it's"]).unwrap().succeeded().unwrap_err();
        assert_eq!(error.to_string(), r"`/sbin/fail 'a b' 'it'\''s'` failed (exit status: 65): on-error");
        tools.add("/sbin/output-only", "echo on-output; exit 1");
        let error = tools.commands().run("/sbin/output-only", &[]).unwrap().succeeded().unwrap_err();
        assert!(error.to_string().ends_with("on-output"), "{error}");
        tools.add("/sbin/killed", "kill -9 $$");
        let error = tools.commands().run("/sbin/killed", &[]).unwrap().succeeded().unwrap_err();
        assert!(error.to_string().contains("signal: 9"), "{error}");
        let error = tools.commands().run("/sbin/missing", &[]).unwrap_err();
        assert!(matches!(error, HostError::Start { .. }));
        assert!(error.to_string().starts_with("cannot run /sbin/missing: "), "{error}");
    }

    #[test]
    fn a_signal_from_the_terminal_does_not_reach_a_command() {
        let tools = StandIns::new();
        tools.add("/sbin/group", "echo $$; ps -o pgid= -p $$");
        let output = tools.commands().run("/sbin/group", &[]).unwrap().stdout;
        let [pid, group] = output.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{output}") };
        assert_eq!(pid, group);
    }

    #[test]
    fn the_environment_is_clean() {
        let tools = StandIns::new();
        tools.add("/sbin/env", "/usr/bin/env; pwd; cat");
        let output = tools.commands().run("/sbin/env", &[]).unwrap().stdout;
        let mut lines: Vec<&str> = output
            .lines()
            // Shells add these on their own.
            .filter(|line| !["PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|own| line.starts_with(own)))
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, ["/", "LC_ALL=C", "PATH=/sbin:/bin:/usr/sbin:/usr/bin"]);
    }
}
