//! Log rotation by newsyslog(8), without a restart.

use std::path::Path;

use super::managed_file::{self, ManagedFile};
use super::{Refusal, account};
use crate::change::Step;
use crate::host::{Observe, Owner};

/// Where newsyslog(8) looks for the entries of ports, by newsyslog.conf(5).
pub const ENTRY: &str = "/usr/local/etc/newsyslog.conf.d/gotosocial.conf";

/// Plans the entry. The log's group is the service user's primary group; newsyslog(8) gives up on a group that it does not
/// know, and then rotates nothing on the whole host.
///
/// # Errors
/// See [`managed_file::plan`].
pub fn plan(host: &dyn Observe, service: Owner) -> Result<Vec<Step>, Refusal> {
    let template = include_str!("../../templates/newsyslog.conf");
    let text = match host.group_by_id(service.gid)? {
        Some(group) if group.name != account::NAME => {
            template.replace(&format!("root:{}", account::NAME), &format!("root:{}", group.name))
        }
        // Unnamed, but numbers are understood too; or ours, which is about to be made.
        None if service.gid != account::ID => {
            template.replace(&format!("root:{}", account::NAME), &format!("root:{}", service.gid))
        }
        _ => template.to_owned(),
    };
    let file = ManagedFile { part: "log-rotation", path: Path::new(ENTRY), text, mode: 0o644, owner: Owner::ROOT };
    Ok(managed_file::plan(host, &file)?.steps)
}
