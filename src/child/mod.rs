//! Child processes with less than this process's rights: the one way to start them.
//!
//! Whatever runs as somebody else, or takes apart bytes that somebody else wrote, runs in a child. The child is this
//! program again. It reads an order from its standard input, gives up what it does not need ([`Confinement`]), and takes on
//! a role: it does one thing, or becomes another program ([`EXEC`]).
//!
//! An order is its length (eight hexadecimal digits) and one JSON object. It is no argument, so it may hold secrets. What
//! follows on standard input belongs to the role.

mod confinement;
mod conversation;
mod exchange;
mod exec;
mod ids;
mod may;
mod running;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use confinement::Confinement;
pub use conversation::Conversation;
pub use exchange::Meanwhile;
pub use exec::{EXEC, Program};
pub use ids::Ids;
pub use may::{ANOTHER_PROGRAM, BIND, EXAMINE, May, NETWORK, UNPACK, no_processes};
pub use running::{Running, refusal};

/// The hidden first argument that makes this program a child.
pub const CHILD_ARGUMENT: &str = "child";

/// The exit status of a child that could not take on its role. Its last line on standard error says why, after
/// [`REFUSAL`].
const REFUSED: u8 = 125;
const REFUSAL: &str = "gts-bootstrap: child: ";

/// The longest order in bytes.
const LONGEST_ORDER: usize = 16 * 1024 * 1024;

/// One thing that a child can do: its name, what it may have, and the function that does it with what the order specifies. An
/// error is reported on standard error in words.
pub type Role = (&'static str, May, fn(Value) -> Result<(), String>);

/// What a child is told to do.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    role: String,
    confinement: Confinement,
    task: Value,
}

/// The program of the children, if it is not this one.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Has another program be the children's: for tests, which are programs of their own. Not in a build without debug
/// assertions.
#[cfg(debug_assertions)]
pub fn use_program(program: impl Into<PathBuf>) {
    // Every test says the same.
    let _ = PROGRAM.set(program.into());
}

/// Starts a child for a role. Its environment is empty but for `environment`. Its standard error goes into a file.
///
/// # Errors
/// The process cannot be started, or ended before it read its order.
pub fn start(
    role: &str,
    confinement: &Confinement,
    task: &impl Serialize,
    environment: &[(String, String)],
    stdout: Stdio,
    stderr: File,
) -> io::Result<Running> {
    let program = PROGRAM.get().cloned().map_or_else(std::env::current_exe, Ok)?;
    let order = Order { role: role.to_owned(), confinement: confinement.clone(), task: serde_json::to_value(task)? };
    let order = serde_json::to_string(&order)?;
    let mut command = Command::new(program);
    command.arg(CHILD_ARGUMENT).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    command.current_dir("/").stdin(Stdio::piped()).stdout(stdout).stderr(stderr.try_clone()?);
    let mut running = Running::of(command.spawn()?, stderr);
    if let Some(stdin) = &mut running.stdin {
        // A child that has died says why on standard error.
        match stdin.write_all(format!("{:08x}{order}", order.len()).as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    Ok(running)
}

/// The child's side, for `main`.
pub fn main(roles: &[Role]) -> ExitCode {
    let why = match order() {
        Err(why) => why,
        Ok(order) => match roles.iter().find(|(name, ..)| *name == order.role) {
            None => format!("there is no role {}", order.role),
            Some((_, may, run)) => match order.confinement.enter(may).and_then(|()| run(order.task)) {
                Ok(()) => return ExitCode::SUCCESS,
                Err(why) => why,
            },
        },
    };
    // If this fails too, there is nobody left to report to.
    let _ = writeln!(io::stderr(), "{REFUSAL}{why}");
    ExitCode::from(REFUSED)
}

fn order() -> Result<Order, String> {
    const MISUSE: &str = "this argument is for the program's own use only";
    let mut length = [0; 8];
    // Not buffered, as `Stdin` is: the rest of the input is the role's.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(|_| MISUSE)?);
    input.read_exact(&mut length).map_err(|_| MISUSE)?;
    let length = std::str::from_utf8(&length).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
    let length = length.filter(|length| *length <= LONGEST_ORDER).ok_or(MISUSE)?;
    let mut order = vec![0; length];
    input.read_exact(&mut order).map_err(|_| MISUSE)?;
    serde_json::from_slice(&order).map_err(|_| MISUSE.to_owned())
}
