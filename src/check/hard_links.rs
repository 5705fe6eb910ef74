//! Whether a user may make a hard link to a file of somebody else's, and so put it among files of its own.

use crate::host::{HostError, Jail, Observe};

/// The kernel's two checks, both off on a FreeBSD that nobody has changed, security(7).
const CHECKS: [&str; 2] = ["security.bsd.hardlink_check_uid", "security.bsd.hardlink_check_gid"];

/// What to advise; `None` if the kernel checks both, or has no such variable.
///
/// # Errors
/// The kernel cannot be asked.
pub fn advice(host: &dyn Observe) -> Result<Option<String>, HostError> {
    let mut off = Vec::new();
    for name in CHECKS {
        if host.sysctl(name)?.is_some_and(|value| value.trim() == "0") {
            off.push(format!("{name}=1"));
        }
    }
    if off.is_empty() {
        return Ok(None);
    }
    let place = if host.system()?.jail == Jail::No { "" } else { " on the jail's host" };
    Ok(Some(format!(
        "users may link files of others into their own folders. `sysctl {}`{place} forbids that, and the same in \
         /etc/sysctl.conf keeps it so",
        off.join(" ")
    )))
}
