//! The last command that changed the host, by its receipt.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::change::journal::{self, Line, Outcome};
use crate::change::store;
use crate::host::{HostError, Observe};

/// A command that changed the host, or started to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// The subcommand.
    pub command: String,
    /// When it started, seconds since 1970.
    pub time: u64,
    /// How it ended; `None` if it has not, and its journal still exists.
    pub outcome: Option<Outcome>,
    /// Why it was undone, if it was.
    pub reason: Option<String>,
    /// The content of the lock, which names the active run. A killed run leaves it behind.
    pub holder: Option<String>,
    /// Its journal or receipt.
    pub receipt: PathBuf,
}

/// Returns the last command: that of the journal, or else that of the newest receipt.
///
/// # Errors
/// The store cannot be read.
pub fn last(host: &dyn Observe) -> Result<Option<Operation>, HostError> {
    if let Some(operation) = operation(host, journal::path())? {
        let holder = host.read(&store::lock())?.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        let holder = holder.filter(|holder| !holder.is_empty());
        return Ok(Some(Operation { holder, ..operation }));
    }
    let folder = Path::new(store::FOLDER).join("receipts");
    let number = |name: &String| name.split('-').next()?.parse::<u32>().ok();
    let names = host.list(&folder)?;
    let newest = names.iter().filter_map(|name| Some((number(name)?, name))).max();
    newest.map_or(Ok(None), |(_, name)| operation(host, folder.join(name)))
}

fn operation(host: &dyn Observe, receipt: PathBuf) -> Result<Option<Operation>, HostError> {
    let Some(lines) = journal::read(host, &receipt)? else { return Ok(None) };
    let mut operation = Operation { command: "run".to_owned(), receipt, ..Operation::default() };
    for line in lines {
        match line {
            Line::Begin { command, time, .. } => (operation.command, operation.time) = (command, time),
            Line::Undoing { reason } | Line::Failed { reason, .. } => operation.reason = Some(reason),
            Line::End { outcome } => operation.outcome = Some(outcome),
            Line::Intent { .. } | Line::Done { .. } | Line::Undone { .. } => {}
        }
    }
    Ok(Some(operation))
}
