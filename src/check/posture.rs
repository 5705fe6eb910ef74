//! Posture: is anything open that should not be, now or after the next boot?

use super::{Check, Matter};
use crate::error_code::ErrorCode;
use crate::host::{HostError, Jail, Observe, Owner};
use crate::parts::port_settings::{ENABLED, MODULE, PORT_HIGH, RESERVED_HIGH};
use crate::parts::{port_access, portacl_boot, rule_edit};
use crate::portacl;

/// Checks the gates of the running kernel and what the next boot will set.
///
/// # Errors
/// The host could not be read.
pub fn checks(host: &dyn Observe, service: Owner, ports: &[u16]) -> Result<Vec<Check>, HostError> {
    let mut checks = vec![gates(host, ports)?];
    let jail = host.system()?.jail;
    if jail == Jail::No {
        checks.push(boot(host, service, ports)?);
    }
    if jail != Jail::Shared {
        checks.push(guard(host, ports)?);
    }
    Ok(checks)
}

/// The reserved range must not be lowered while nothing else keeps the ports closed.
fn gates(host: &dyn Observe, ports: &[u16]) -> Result<Check, HostError> {
    const GATES: Matter<'static> = Matter("port gates", ErrorCode::PortOpen);
    let policy = portacl_boot::now(host)?.policy;
    let reserved = policy.reservedhigh;
    let enforcing = policy.loaded && policy.enabled != 0;
    Ok(if let Some((low, high)) = portacl::open_ports(&policy) {
        let why = if enforcing {
            format!("{PORT_HIGH} is {}, and {RESERVED_HIGH} {reserved}", policy.port_high)
        } else {
            format!("{RESERVED_HIGH} is {reserved} and {MODULE} does not enforce")
        };
        GATES.fail(format!(
            "ANY user of this host may bind the ports from {low} to {high}: {why}. Close them now: `sysctl \
             {RESERVED_HIGH}=1023`; then run `gts-bootstrap install`"
        ))
    } else if enforcing {
        GATES.pass(format!("{MODULE} enforces its rules; ports up to {reserved} are root's alone"))
    } else if ports.is_empty() {
        GATES.pass("all ports below 1024 are root's alone")
    } else {
        GATES.warn(format!("{MODULE} does not enforce; all ports below 1024 are root's alone"))
    })
}

fn boot(host: &dyn Observe, service: Owner, ports: &[u16]) -> Result<Check, HostError> {
    const BOOT: Matter<'static> = Matter("port access at boot", ErrorCode::PortBoot);
    let settings = portacl_boot::settings(host)?;
    let next = portacl::next_boot(&settings);
    let policy = &next.state.policy;
    let open = portacl::open_ports(policy);
    if ports.is_empty() {
        return Ok(match open {
            None => BOOT.pass("no port below 1024 is open to everybody"),
            Some((low, high)) => BOOT.fail(format!(
                "ANY user will be able to bind the ports from {low} to {high}; `gts-bootstrap portacl lint` shows more"
            )),
        });
    }
    let mut missing = Vec::new();
    if let Some(folders) = &settings.missing_in {
        missing.push(format!("there is no {MODULE}.ko in {folders} of the running kernel, so the boot cannot load it"));
    } else if !policy.loaded {
        missing.push(format!("nothing loads {MODULE} (loader.conf should)"));
    }
    let wanted = port_access::rules(service, ports);
    if portacl::with_rules(&next.state.list, &wanted).map_or(true, |merged| merged != next.state.list) {
        missing.push("the rules will not be in force".to_owned());
    } else if policy.enabled == 0 {
        missing.push(format!("{ENABLED} will be 0, so the rules will not be enforced"));
    }
    missing.extend(open.map(|(low, high)| format!("ANY user may bind the ports from {low} to {high}")));
    if i64::from(policy.reservedhigh) > rule_edit::below(wanted.iter().map(|rule| rule.port)) {
        missing.push(format!("{RESERVED_HIGH} will be {}, which is too high", policy.reservedhigh));
    }
    Ok(if !missing.is_empty() {
        let missing = missing.join("; ");
        BOOT.fail(format!("{missing}; `gts-bootstrap portacl lint` shows more, `gts-bootstrap install` fixes it"))
    } else if settings.portacl_rc.is_some() {
        BOOT.pass("portacl-rc sets the rules from rc.conf")
    } else {
        BOOT.pass("loader.conf and sysctl.conf set it again")
    })
}

fn guard(host: &dyn Observe, ports: &[u16]) -> Result<Check, HostError> {
    const GUARD: Matter<'static> = Matter("boot guard", ErrorCode::PortBoot);
    let settings = portacl_boot::settings(host)?;
    Ok(if settings.guard.early {
        GUARD.pass("closes the ports again on a boot where mac_portacl does not enforce")
    } else if settings.portacl_rc.is_some() {
        GUARD.skip("portacl-rc is in charge of the ports")
    } else if ports.is_empty() {
        GUARD.skip("GoToSocial needs no port below 1024")
    } else {
        GUARD.fail("it is missing or not enabled; run `gts-bootstrap install`")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::check::Status;
    use crate::host::Host;
    use crate::host::rehearsal::Rehearsal;
    use std::path::Path;

    #[test]
    fn the_boot_is_judged_by_every_file_that_has_a_say_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path()).unwrap();
        let write = |path: &str, text: &str| {
            host.write_file(Path::new(path), text.as_bytes(), 0o644, Owner::ROOT).unwrap();
        };
        let judged = || boot(&host, Owner { uid: 209, gid: 209 }, &[80, 443]).unwrap();
        write("/boot/loader.conf", "mac_portacl_load=\"YES\"\n");
        let rules = "security.mac.portacl.rules=uid:209:tcp:80,uid:209:tcp:443\n";
        write("/etc/sysctl.conf", &format!("{rules}{RESERVED_HIGH}=79\n"));
        assert_eq!(judged().status, Status::Pass);
        for (path, text, word) in [
            ("/boot/loader.conf.local", "loader_conf_files=\"/boot/mine\"\n", "nothing loads mac_portacl"),
            ("/etc/sysctl.conf.local", "security.mac.portacl.rules=uid:80:tcp:80\n", "the rules will not be in force"),
            ("/etc/sysctl.conf.local", "security.mac.portacl.enabled=0\n", "will not be enforced"),
            ("/etc/sysctl.conf.local", "security.mac.portacl.port_high=500\n", "from 501 to 1023"),
            ("/etc/sysctl.conf.local", "net.inet.ip.portrange.reservedhigh=80\n", "reservedhigh will be 80"),
        ] {
            write("/boot/mine", "mac_portacl_load=\"NO\"\n");
            write(path, text);
            let check = judged();
            assert_eq!(check.status, Status::Fail, "{text}");
            assert!(check.detail.contains(word), "{}", check.detail);
            host.remove(Path::new(path)).unwrap();
        }
        assert_eq!(judged().status, Status::Pass);
    }

    #[test]
    fn ports_that_any_user_may_bind_are_told_whatever_opens_them() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path()).unwrap();
        let is = |status: Status, word: &str| {
            let check = gates(&host, &[80]).unwrap();
            assert!(check.status == status && check.detail.contains(word), "{}", check.detail);
        };
        is(Status::Warn, "does not enforce");
        host.set_sysctl(RESERVED_HIGH, "79").unwrap();
        is(Status::Fail, "from 80 to 1023");
        host.load_module(MODULE).unwrap();
        is(Status::Pass, "up to 79");
        host.set_sysctl(PORT_HIGH, "500").unwrap();
        is(Status::Fail, "from 501 to 1023: security.mac.portacl.port_high is 500");
    }
}
