//! The program at a terminal, a pty.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::machine::Machine;

/// How long the program may take over anything before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program at a terminal of 80 columns and 24 lines.
pub struct Terminal {
    pub child: Child,
    pub keyboard: File,
    output: Receiver<Vec<u8>>,
    pub seen: String,
}

impl Terminal {
    pub fn start(machine: &Machine, arguments: &[&str]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
            .arg("--rehearse")
            .arg(machine.root())
            .args(arguments)
            .env_clear()
            .env("TERM", "xterm")
            .stdin(end(&pty.slave))
            .stdout(end(&pty.slave))
            .stderr(end(&pty.slave))
            .spawn()
            .unwrap();
        drop(pty.slave);
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
        Self { child, keyboard: File::from(pty.master), output, seen: String::new() }
    }

    /// Waits until this text appears after what was expected last.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some((_, rest)) = self.seen.split_once(text) {
                self.seen = rest.to_owned();
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{text:?} did not come; the screen says {:?}", self.seen),
            }
        }
    }

    pub fn enter(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.write_all(b"\r").unwrap();
    }

    /// Presses keys again and again until this text appears: what comes before the program reads single keys is the terminal's.
    #[track_caller]
    pub fn press_until(&mut self, keys: &str, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            assert!(Instant::now() < until, "{text:?} did not come; the screen says {:?}", self.seen);
            self.keyboard.write_all(keys.as_bytes()).unwrap();
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(50)) {
                self.seen.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }

    /// Closes the terminal, and waits until the program has ended.
    pub fn hang_up(mut self) {
        // The reader's end closes with the program; its signal is sent as the kernel would, were this its session.
        drop(std::mem::replace(&mut self.keyboard, File::open("/dev/null").unwrap()));
        self.signal(Signal::SIGHUP);
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the program goes on; the screen says {:?}", self.seen);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    #[track_caller]
    pub fn exits(mut self, code: i32) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(status.code(), Some(code), "{}", self.seen);
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
