//! Log rotation by newsyslog(8), without a restart.

use std::path::Path;

use super::{Refusal, account, managed_file};
use crate::change::Step;
use crate::host::{Observe, Owner};

/// Where newsyslog(8) looks for the entries of ports, by newsyslog.conf(5).
pub const ENTRY: &str = "/usr/local/etc/newsyslog.conf.d/gotosocial.conf";

/// Plans the entry. The log's group is the service user's primary group. newsyslog(8) gives up on a group that it does not know,
/// and then rotates nothing on the whole host.
///
/// # Errors
/// See [`managed_file::plan`].
pub(super) fn plan(host: &dyn Observe, service: Owner) -> Result<Vec<Step>, Refusal> {
    let group = match host.group_by_id(service.gid)? {
        Some(group) => group.name,
        // Ours, which is about to be made.
        None if service.gid == account::ID => account::NAME.to_owned(),
        // It has no name, but newsyslog(8) understands numbers too.
        None => service.gid.to_string(),
    };
    let ours = format!("root:{}", account::NAME);
    let text = include_str!("../../templates/newsyslog.conf").replace(&ours, &format!("root:{group}"));
    Ok(managed_file::plan(host, "log-rotation", Path::new(ENTRY), text, 0o644, Owner::ROOT)?.steps)
}
