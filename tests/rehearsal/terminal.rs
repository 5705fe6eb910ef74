//! A terminal to type at (a pty), and the real binary at it.
//!
//! expectrl was looked at and not taken: its process layer turns the echo off before the program starts, which is what plain
//! terminals show of an answer, closes every descriptor and allocates between fork and exec in a process of many threads, and
//! brings a second copy of nix. A pty that controls its session, with Ctrl-C as the kernel's own signal, is what tmux is for
//! (`pictures.rs`).

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{InputFlags, LocalFlags, tcgetattr};
use nix::unistd::Pid;

use crate::machine::Machine;

/// How long the program may take over anything before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program at a terminal of 80 columns and 24 lines.
pub struct Terminal {
    pub child: Child,
    pub keyboard: File,
    /// The program's end, to see in which state it leaves the terminal.
    line: OwnedFd,
    output: Receiver<Vec<u8>>,
    pub seen: String,
    all: String,
    /// Its modes before anybody touched them.
    modes: Modes,
}

/// How a terminal treats what is typed.
type Modes = (LocalFlags, InputFlags);

fn modes_of(line: &OwnedFd) -> Modes {
    let modes = tcgetattr(line).unwrap();
    (modes.local_flags, modes.input_flags)
}

/// Where these words end in a text, which may have broken its lines between them.
fn end_of(words: &str, text: &str) -> Option<usize> {
    let next = |rest: &str, word: &str| {
        let next_line = || Some(rest.strip_prefix("\r\n")?.trim_start_matches(' '));
        let blank = rest.strip_prefix(' ').or_else(next_line)?;
        Some(text.len() - blank.strip_prefix(word)?.len())
    };
    let (first, others) = words.split_once(' ').unwrap_or((words, ""));
    let others: Vec<&str> = others.split_terminator(' ').collect();
    text.match_indices(first)
        .find_map(|(at, _)| others.iter().try_fold(at + first.len(), |end, word| next(&text[end..], word)))
}

impl Terminal {
    pub fn start(machine: &Machine, arguments: &[&str]) -> Self {
        Self::of_type("xterm", machine, arguments)
    }

    /// A terminal of this type, `$TERM`.
    pub fn of_type(kind: &str, machine: &Machine, arguments: &[&str]) -> Self {
        Self::with(&[("TERM", kind)], machine, arguments)
    }

    /// A terminal whose program has this environment, and no other.
    pub fn with(environment: &[(&str, &str)], machine: &Machine, arguments: &[&str]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let modes = modes_of(&pty.slave);
        let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
            .arg("--rehearse")
            .arg(machine.root())
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .current_dir(machine.beside(""))
            .stdin(end(&pty.slave))
            .stdout(end(&pty.slave))
            .stderr(end(&pty.slave))
            .spawn()
            .unwrap();
        let (sender, output) = channel();
        let mut screen = File::from(pty.master.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of a pty is an error on some systems and an empty read on others.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            keyboard: File::from(pty.master),
            line: pty.slave,
            output,
            seen: String::new(),
            all: String::new(),
            modes,
        }
    }

    /// Waits until this text appears after what was expected last.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        self.expect_one_of(&[text]);
    }

    /// Waits until one of these texts appears, and tells which.
    #[track_caller]
    pub fn expect_one_of(&mut self, texts: &[&str]) -> usize {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = texts.iter().enumerate().filter_map(|(number, text)| Some((self.seen.find(text)?, number)));
            if let Some((at, number)) = found.min() {
                self.seen = self.seen[at + texts[number].len()..].to_owned();
                return number;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.take(&bytes),
                Err(_) => panic!("{texts:?} did not come; the screen says {:?}", self.seen),
            }
        }
    }

    /// As [`Self::expect`], wherever lines are broken.
    #[track_caller]
    pub fn expect_words(&mut self, words: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(end) = end_of(words, &self.seen) {
                self.seen = self.seen[end..].to_owned();
                return;
            }
            match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(_) => panic!("{words:?} did not come; the screen says {:?}", self.seen),
            }
        }
    }

    pub fn enter(&mut self, text: &str) {
        self.press(text.as_bytes());
        self.press(b"\r");
    }

    /// Types keys as they are.
    pub fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    /// Waits for the first text and types the second, again and again.
    #[track_caller]
    pub fn answer(&mut self, questions: &[(&str, &str)]) {
        for (question, answer) in questions {
            self.expect(question);
            self.enter(answer);
        }
    }

    /// Whether the terminal is as it was in the beginning.
    pub fn untouched(&self) -> bool {
        modes_of(&self.line) == self.modes
    }

    /// Everything that comes until nothing more is there for the moment.
    pub fn drain(&mut self) {
        while let Ok(bytes) = self.output.try_recv() {
            self.take(&bytes);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.seen.push_str(&text);
        self.all.push_str(&text);
    }

    /// Everything that has come so far.
    pub fn all(&mut self) -> &str {
        self.drain();
        &self.all
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Presses keys again and again until this text appears: what comes before the program reads single keys is the terminal's.
    #[track_caller]
    pub fn press_until(&mut self, keys: &str, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            assert!(Instant::now() < until, "{text:?} did not come; the screen says {:?}", self.seen);
            self.press(keys.as_bytes());
            // The echo of a key is no reason to press it again at once: that would leave no room for anything else.
            let next = Instant::now() + Duration::from_millis(50);
            while let Ok(bytes) = self.output.recv_timeout(next.saturating_duration_since(Instant::now())) {
                self.take(&bytes);
            }
        }
    }

    /// Closes the terminal, and waits until the program has ended.
    pub fn hang_up(mut self) {
        // The reader's end closes with the program; its signal is sent as the kernel would, were this its session.
        drop(std::mem::replace(&mut self.keyboard, File::open("/dev/null").unwrap()));
        self.signal(Signal::SIGHUP);
        let until = Instant::now() + PATIENCE;
        while self.ended().is_none() {
            assert!(Instant::now() < until, "the program goes on; the screen says {:?}", self.seen);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What was seen since what was expected last.
    pub fn seen(&mut self) -> &str {
        self.drain();
        &self.seen
    }

    pub fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }

    #[track_caller]
    pub fn exits(mut self, code: i32) {
        self.ends(code);
    }

    /// Waits for the end; the terminal is still there afterwards.
    #[track_caller]
    pub fn ends(&mut self, code: i32) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(ended) = self.ended() {
                self.drain();
                assert_eq!(ended, code, "{}", self.seen);
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the program goes on; the screen says {:?}", self.seen);
    }
}

impl Drop for Terminal {
    /// A test that gives up leaves no program behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
