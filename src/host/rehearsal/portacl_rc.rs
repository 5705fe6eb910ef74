//! The script of security/portacl-rc 0.9.0: what its `start` and `stop` do. See `docs/portacl-rc.md`.

use super::super::HostError;
use super::machine::{Machine, command_failed};
use super::{accounts, kernel, rc_conf, services};

/// The name of the script.
pub(super) const NAME: &str = "portacl";

/// `portacl_start`, if the script exists and is enabled.
pub(super) fn run_at_boot(machine: &mut Machine) -> Result<(), HostError> {
    if services::has_script(machine, NAME) && rc_conf::is_yes(machine, NAME, "portacl_enable")? {
        // A failure does not stop rc(8).
        let _ = start(machine, "service portacl start");
    }
    Ok(())
}

/// `service portacl start`: the module first (`required_modules`), then a chain of sysctl(8) that ends at a failure.
pub(super) fn start(machine: &mut Machine, command: &str) -> Result<(), HostError> {
    kernel::load_by_rc(machine, "mac_portacl")?;
    let rules = rules(machine)?;
    let port_high = Some(rc_conf::get_or(machine, NAME, "portacl_port_high", "")?).filter(|text| is_integer(text));
    let switch = |name: &str| -> Result<&str, HostError> {
        let unset = rc_conf::get_for(machine, NAME, name)?.is_none();
        Ok(if unset || rc_conf::is_yes(machine, NAME, name)? { "1" } else { "0" })
    };
    let (suser, autoport) = (switch("portacl_suser_exempt")?, switch("portacl_autoport_exempt")?);
    let settings = [
        ("security.mac.portacl.rules", rules.as_str()),
        ("security.mac.portacl.suser_exempt", suser),
        ("security.mac.portacl.autoport_exempt", autoport),
        ("security.mac.portacl.port_high", port_high.as_deref().unwrap_or("1023")),
        ("security.mac.portacl.enabled", "1"),
        (kernel::RESERVED_LOW, "0"),
        (kernel::RESERVED_HIGH, "0"),
    ];
    set(machine, command, &settings)
}

/// `service portacl onestop`.
pub(super) fn stop(machine: &mut Machine, command: &str) -> Result<(), HostError> {
    let settings =
        [(kernel::RESERVED_LOW, "0"), (kernel::RESERVED_HIGH, "1023"), ("security.mac.portacl.enabled", "0")];
    set(machine, command, &settings)
}

fn set(machine: &mut Machine, command: &str, settings: &[(&str, &str)]) -> Result<(), HostError> {
    settings.iter().try_for_each(|(name, value)| {
        kernel::set_sysctl(&mut machine.model, name, value)
            .map_err(|errno| command_failed(command, 1, kernel::sysctl_failed(name, errno).to_string()))
    })
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
    services.lines().filter(|line| !line.starts_with([' ', '\t'])).find_map(|line| {
        // FS = "[ \t]+|/"
        let spaced = line.split('#').next()?.replace('/', " ");
        match spaced.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
            [name, number, its, aliases @ ..] if *its == protocol && (*name == port || aliases.contains(&port)) => {
                Some((*number).to_string())
            }
            _ => None,
        }
    })
}

/// `validate_rules`.
fn validated(lines: &[String]) -> String {
    let number = |text: &str| is_integer(text) && text.parse::<f64>().is_ok_and(|number| number <= 65535.0);
    let mut valid = String::new();
    for line in lines {
        let separator = if valid.is_empty() { "" } else { "," };
        if valid.len() + separator.len() + line.len() > 1023 {
            break;
        }
        if let ["uid" | "gid", id, "tcp" | "udp", port] = line.split(':').collect::<Vec<_>>()[..]
            && number(id)
            && number(port)
        {
            valid += &format!("{separator}{line}");
        }
    }
    valid
}
