//! The rc.d scripts: GoToSocial's own, and the boot guards of port access.

use std::path::PathBuf;

use super::managed_file::{self, ManagedFile, Planned};
use super::{Refusal, service};
use crate::change::Step;
use crate::host::{Observe, Owner};

/// Name of the service.
pub use crate::gotosocial::SERVICE;
/// The boot guard, and its second run after the late pass over sysctl.conf.
pub const GUARDS: [&str; 2] = ["gts_portacl_guard", "gts_portacl_guard_late"];

const SCRIPTS: [(&str, &str); 3] = [
    (SERVICE, include_str!("../../rc.d/gotosocial")),
    (GUARDS[0], include_str!("../../rc.d/gts_portacl_guard")),
    (GUARDS[1], include_str!("../../rc.d/gts_portacl_guard_late")),
];

/// Plans GoToSocial's rc.d script.
///
/// # Errors
/// See [`managed_file::plan`].
pub fn plan(host: &dyn Observe) -> Result<Planned, Refusal> {
    script(host, "rc-script", SCRIPTS[0])
}

/// Plans the boot guards.
///
/// # Errors
/// See [`managed_file::plan`].
pub fn plan_guards(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    for guard in &SCRIPTS[1..] {
        steps.extend(script(host, "port-access", *guard)?.steps);
    }
    Ok(steps)
}

/// Plans the rc.conf(5) variable that switches both guards on.
///
/// # Errors
/// It cannot be read.
pub fn enable_guards(host: &dyn Observe, part: &'static str) -> Result<Option<Step>, Refusal> {
    service::variable(host, part, &format!("{}_enable", GUARDS[0]), "YES")
}

fn script(host: &dyn Observe, part: &'static str, (name, text): (&str, &str)) -> Result<Planned, Refusal> {
    let path = PathBuf::from("/usr/local/etc/rc.d").join(name);
    let file = ManagedFile { part, path: &path, text: text.to_owned(), mode: 0o555, owner: Owner::ROOT };
    managed_file::plan(host, &file)
}
