//! A process of the service's user that calls itself nginx and listens on a port: a copy of nc(1), or a socket of a model.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use gts_bootstrap::host::Listener;

use super::bench::{Bench, NGINX, USER};

/// Where its program lies: the service's user has to reach it.
const PROGRAM: &str = "/var/tmp/nginx";
/// Where it listens: a single address comes before whoever listens on all of them.
const ADDRESS: [u8; 4] = [127, 0, 0, 1];
/// Its pid in a model.
const PID: u32 = 4711;

/// The process. It ends with this.
#[derive(Debug)]
pub struct Impostor<'a> {
    bench: &'a Bench,
    process: Option<Child>,
}

impl<'a> Impostor<'a> {
    /// Starts it, and waits until it listens.
    pub fn on(bench: &'a Bench, port: u16) -> Result<Self, String> {
        let user = bench.host()?.user(USER).map_err(|error| error.to_string())?.ok_or("there is no user gotosocial")?;
        if let Some(rehearsal) = bench.rehearsal()? {
            let socket = Listener {
                user: USER.into(),
                uid: Some(user.uid),
                command: NGINX.command.into(),
                pid: Some(PID),
                address: Some(ADDRESS.into()),
                ipv4: true,
                ipv6: false,
                port,
                jail: None,
            };
            rehearsal.edit(|model| model.listeners.push(socket)).map_err(|error| error.to_string())?;
            return Ok(Self { bench, process: None });
        }
        fs::copy("/usr/bin/nc", PROGRAM).map_err(|error| format!("{PROGRAM} cannot be written: {error}"))?;
        let mut command = Command::new(PROGRAM);
        command.args(["-lk", "127.0.0.1", &port.to_string()]).uid(user.uid).gid(user.gid).stdin(Stdio::null());
        let process = command.spawn().map_err(|error| format!("{PROGRAM} cannot be run: {error}"))?;
        let impostor = Self { bench, process: Some(process) };
        for _ in 0..50 {
            let listeners = bench.host()?.listeners().map_err(|error| error.to_string())?;
            if listeners.iter().any(|there| there.port == port && there.pid == Some(impostor.pid())) {
                return Ok(impostor);
            }
            sleep(Duration::from_millis(100));
        }
        Err(format!("{PROGRAM} does not listen on port {port}"))
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(PID, Child::id)
    }
}

impl Drop for Impostor<'_> {
    fn drop(&mut self) {
        if let Ok(Some(rehearsal)) = self.bench.rehearsal() {
            drop(rehearsal.edit(|model| model.listeners.retain(|socket| socket.pid != Some(PID))));
        }
        if let Some(process) = &mut self.process {
            drop(process.kill().and_then(|()| process.wait()));
            drop(fs::remove_file(PROGRAM));
        }
    }
}
