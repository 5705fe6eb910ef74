//! The script of security/portacl-rc 0.9.0: what its `start` and `stop` do. See `docs/portacl-rc.md`.

use super::super::HostError;
use super::machine::{Machine, command_failed};
use super::{accounts, kernel, rc_conf, services};

/// The name of the script.
pub(super) const NAME: &str = "portacl";

/// `portacl_start`, if the script is there and enabled.
pub(super) fn run_at_boot(machine: &mut Machine) -> Result<(), HostError> {
    if services::has_script(machine, NAME) && rc_conf::is_yes(machine, NAME, "portacl_enable")? {
        // rc(8) goes on, whatever becomes of it.
        let _ = start(machine, "service portacl start");
    }
    Ok(())
}

/// `service portacl start`: the module first (`required_modules`), then a chain of sysctl(8) that ends at a failure.
pub(super) fn start(machine: &mut Machine, command: &str) -> Result<(), HostError> {
    kernel::load_by_rc(machine, "mac_portacl")?;
    let rules = rules(machine)?;
    let mut port_high = rc_conf::get_or(machine, NAME, "portacl_port_high", "1023")?;
    if !is_integer(&port_high) {
        port_high = "1023".to_string();
    }
    let switch = |name: &str| -> Result<&str, HostError> {
        let unset = rc_conf::get_for(machine, NAME, name)?.is_none();
        Ok(if unset || rc_conf::is_yes(machine, NAME, name)? { "1" } else { "0" })
    };
    let (suser, autoport) = (switch("portacl_suser_exempt")?, switch("portacl_autoport_exempt")?);
    for (name, value) in [
        ("security.mac.portacl.rules", rules.as_str()),
        ("security.mac.portacl.suser_exempt", suser),
        ("security.mac.portacl.autoport_exempt", autoport),
        ("security.mac.portacl.port_high", &port_high),
        ("security.mac.portacl.enabled", "1"),
        (kernel::RESERVED_LOW, "0"),
        (kernel::RESERVED_HIGH, "0"),
    ] {
        set(machine, command, name, value)?;
    }
    Ok(())
}

/// `service portacl onestop`.
pub(super) fn stop(machine: &mut Machine, command: &str) -> Result<(), HostError> {
    set(machine, command, kernel::RESERVED_LOW, "0")?;
    set(machine, command, kernel::RESERVED_HIGH, "1023")?;
    set(machine, command, "security.mac.portacl.enabled", "0")
}

fn set(machine: &mut Machine, command: &str, name: &str, value: &str) -> Result<(), HostError> {
    kernel::set_sysctl(&mut machine.model, name, value)
        .map_err(|errno| command_failed(command, 1, kernel::sysctl_failed(name, errno).to_string()))
}

fn is_integer(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_ascii_digit())
}

/// `generate_rules`.
fn rules(machine: &Machine) -> Result<String, HostError> {
    let services = machine.text("/etc/services")?;
    let mut lines = Vec::new();
    for (kind, key) in [("user", "uid"), ("group", "gid")] {
        for ident in rc_conf::get_or(machine, NAME, &format!("portacl_{kind}s"), "")?.split_whitespace() {
            let users = accounts::users(machine)?;
            // id(1): a name first, then a number; with -g the primary group of that user.
            let user = users.iter().find(|user| user.name == ident);
            let Some(user) = user.or_else(|| users.iter().find(|user| user.uid.to_string() == ident)) else { continue };
            let id = if kind == "user" { user.uid } else { user.gid };
            for protocol in ["tcp", "udp"] {
                let ports = rc_conf::get_or(machine, NAME, &format!("portacl_{kind}_{ident}_{protocol}"), "")?;
                let ports = ports.split_whitespace().filter_map(|port| resolve_port(&services, port, protocol));
                lines.extend(ports.map(|port| format!("{key}:{id}:{protocol}:{port}")));
            }
        }
    }
    let additional = rc_conf::get_or(machine, NAME, "portacl_additional_rules", "")?;
    lines.extend(additional.split(',').map(str::to_string).filter(|_| !additional.is_empty()));
    lines.sort();
    lines.dedup();
    Ok(validated(&lines))
}

fn resolve_port(services: &str, port: &str, protocol: &str) -> Option<String> {
    if is_integer(port) {
        return Some(port.to_string());
    }
    for line in services.lines() {
        let line = line.split('#').next().unwrap_or_default();
        // FS = "[ \t]+|/"
        let spaced = line.replace('/', " ");
        let fields: Vec<&str> = spaced.split_ascii_whitespace().collect();
        if fields.len() < 3 || line.starts_with([' ', '\t']) || fields[2] != protocol {
            continue;
        }
        if fields[0] == port || fields[3..].contains(&port) {
            return Some(fields[1].to_string());
        }
    }
    None
}

/// `validate_rules`.
fn validated(lines: &[String]) -> String {
    let mut valid: Vec<&str> = Vec::new();
    let mut length = -1_i64;
    for line in lines {
        let longer = length + line.len() as i64 + 1;
        if longer > 1023 {
            break;
        }
        let fields: Vec<&str> = line.split(':').collect();
        let number = |text: &str| is_integer(text) && text.parse::<f64>().is_ok_and(|number| number <= 65535.0);
        let fits = fields.len() == 4
            && ["uid", "gid"].contains(&fields[0])
            && number(fields[1])
            && ["tcp", "udp"].contains(&fields[2])
            && number(fields[3]);
        if fits {
            valid.push(line);
            length = longer;
        }
    }
    valid.join(",")
}
