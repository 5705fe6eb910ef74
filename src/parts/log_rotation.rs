//! Log rotation by newsyslog(8), without a restart.

use std::path::Path;

use super::Refusal;
use super::managed_file::{self, ManagedFile};
use crate::change::Step;
use crate::host::{Observe, Owner};

/// Where newsyslog(8) looks for the entries of ports, by newsyslog.conf(5).
pub const ENTRY: &str = "/usr/local/etc/newsyslog.conf.d/gotosocial.conf";

/// Plans the entry.
///
/// # Errors
/// See [`managed_file::plan`].
pub fn plan(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    let file = ManagedFile {
        part: "log-rotation",
        path: Path::new(ENTRY),
        text: include_str!("../../templates/newsyslog.conf").to_owned(),
        mode: 0o644,
        owner: Owner::ROOT,
    };
    Ok(managed_file::plan(host, &file)?.steps)
}
