//! The rc.d scripts: GoToSocial's own, and the boot guards of port access.

use std::path::{Path, PathBuf};

use super::Refusal;
use super::managed_file::{self, FilePlan};
use crate::change::Step;
use crate::host::{Observe, Owner};

/// Name of the service.
pub use crate::gotosocial::SERVICE;
/// The boot guard, and its second run after the late pass over sysctl.conf.
pub const GUARDS: [&str; 2] = ["gts_portacl_guard", "gts_portacl_guard_late"];
/// The rc.conf(5) variable that switches both guards on.
pub(super) const GUARD_ENABLE: &str = "gts_portacl_guard_enable";

/// Where a script is.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new("/usr/local/etc/rc.d").join(name)
}

/// Plans GoToSocial's rc.d script.
///
/// # Errors
/// See [`managed_file::plan`].
pub(super) fn plan(host: &dyn Observe) -> Result<FilePlan, Refusal> {
    script(host, "rc-script", SERVICE, include_str!("../../rc.d/gotosocial"))
}

/// Plans the boot guards.
///
/// # Errors
/// See [`managed_file::plan`].
pub(super) fn plan_guards(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    let early = script(host, "port-access", GUARDS[0], include_str!("../../rc.d/gts_portacl_guard"))?;
    let late = script(host, "port-access", GUARDS[1], include_str!("../../rc.d/gts_portacl_guard_late"))?;
    Ok([early.steps, late.steps].concat())
}

fn script(host: &dyn Observe, part: &'static str, name: &str, text: &str) -> Result<FilePlan, Refusal> {
    managed_file::plan(host, part, &path(name), text, 0o555, Owner::ROOT)
}
