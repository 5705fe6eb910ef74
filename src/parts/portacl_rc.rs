//! Cooperation with the package security/portacl-rc, which sets mac_portacl(4) from rc.conf(5) at boot.
//!
//! Where it is enabled it owns the rules: ours go into its variables, by name, and never into sysctl.conf. The running
//! kernel is told directly, merged with what is there, because `service portacl start` would replace the whole list and
//! lose what others have set since. `docs/portacl-rc.md` says what the package does, with sources.

use std::path::Path;

use super::port_access::{PortAccess, RESERVED_HIGH, RULES};
use super::{Refusal, sysctl_conf};
use crate::change::{Action, Change, Step};
use crate::host::{HostError, Observe, Owner};

use super::account::NAME;

/// The largest id that the script takes; rules for others it leaves out.
const LARGEST_ID: u32 = 65_535;
const SCRIPT: &str = "/usr/local/etc/rc.d/portacl";

/// Whether portacl-rc sets the rules at boot.
///
/// # Errors
/// The host could not be read.
pub fn enabled(host: &dyn Observe) -> Result<bool, HostError> {
    let on = host
        .rc_variable("portacl_enable")?
        .is_some_and(|value| ["yes", "true", "on", "1"].iter().any(|word| value.trim().eq_ignore_ascii_case(word)));
    Ok(on && host.entry(Path::new(SCRIPT))?.is_some())
}

/// Whether portacl-rc is in charge; its variables and sysctl.conf must not both set the rules.
///
/// # Errors
/// They do: the late pass over sysctl.conf would undo what portacl-rc has set.
pub(super) fn in_charge(host: &dyn Observe) -> Result<bool, Refusal> {
    if !enabled(host)? {
        return Ok(false);
    }
    for file in ["/etc/sysctl.conf", "/etc/sysctl.conf.local"] {
        let Some(text) = host.read(Path::new(file))? else { continue };
        if let Some(name) = [RULES, RESERVED_HIGH].into_iter().find(|name| sysctl_conf::get(&text, name).is_some()) {
            return Err(Refusal::PortaclSetting {
                what: format!(
                    "portacl-rc is enabled, and {file} sets {name} too, which at the end of each boot undoes what portacl-rc \
                     has set"
                ),
                mend:
                    "keep one of the two: move the rules into portacl_users and portacl_additional_rules and take the \
                       line out, or set portacl_enable=NO; then run this again"
                        .to_owned(),
            });
        }
    }
    Ok(true)
}

/// Plans portacl-rc's variables.
///
/// # Errors
/// The service user's uid is larger than the script takes.
pub(super) fn plan(host: &dyn Observe, service: Owner, ports: &[u16]) -> Result<PortAccess, Refusal> {
    if service.uid > LARGEST_ID {
        return Err(Refusal::PortaclSetting {
            what: format!("portacl-rc leaves out rules for ids above {LARGEST_ID}, and {NAME} has uid {}", service.uid),
            mend: format!("give {NAME} a smaller uid, or set portacl_enable=NO; then run this again"),
        });
    }
    let mut access = PortAccess::default();
    access.warnings.push(
        "portacl-rc is enabled and owns the mac_portacl rules: the rules for gotosocial go into its rc.conf variables"
            .to_owned(),
    );
    let words: Vec<String> = ports.iter().map(u16::to_string).collect();
    for (variable, wanted, same) in [
        ("portacl_users".to_owned(), vec![NAME.to_owned()], (|_| None) as fn(&str) -> Option<&'static str>),
        (format!("portacl_user_{NAME}_tcp"), words, service_name as fn(&str) -> Option<&'static str>),
    ] {
        let old = host.rc_variable(&variable)?.unwrap_or_default();
        let mut list: Vec<&str> = old.split_whitespace().collect();
        for word in &wanted {
            if !list.iter().any(|there| *there == word || Some(*there) == same(word)) {
                list.push(word);
            }
        }
        let value = list.join(" ");
        if value.split_whitespace().ne(old.split_whitespace()) {
            access.steps.push(Step::new("port-access", Action::Set, Change::RcVariable { name: variable, value }));
        }
    }
    Ok(access)
}

/// The name under which an administrator may have entered the port already.
fn service_name(port: &str) -> Option<&'static str> {
    match port {
        "80" => Some("http"),
        "443" => Some("https"),
        _ => None,
    }
}
