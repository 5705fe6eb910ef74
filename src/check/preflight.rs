//! Preflight: finds every foreseeable problem and reports all findings together.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::{Check, Status};
use crate::deployment::{ConfigValue, Deployment, HostName, Layout, Mode};
use crate::error_code::{Coded, ErrorCode};
use crate::host::{HostError, Jail, Listener, Observe, Owner, System, WebRequest};
use crate::parts::install::obstacles;
use crate::parts::port_settings::{MODULE, RESERVED_HIGH};
use crate::parts::{account, front};

/// `kern.osreldate` of the oldest release that is still maintained and tested: 14.0.
const OLDEST_TESTED: u32 = 1_400_000;
/// Older releases lack features that the program needs: daemon(8)'s `-H` came with 13.0.
const OLDEST_POSSIBLE: u32 = 1_300_000;
/// 2026-01-01: a clock before it is wrong, and a wrong clock breaks certificates and federation.
const EARLIEST: u64 = 1_767_225_600;
/// The unpacked release, and its archive during the download.
const RELEASE_BYTES: u64 = 500 << 20;
/// The space that GoToSocial's documentation recommends for the data.
const DATA_BYTES_ADVISED: u64 = 15 << 30;
/// Below this the database and the compiled ffmpeg do not fit.
const DATA_BYTES_NEEDED: u64 = 1 << 30;
/// GoToSocial's documentation recommends 1 GB and allows 512 MB with swap. A machine sold with 1 GiB reports some 5 %
/// less in `hw.physmem`.
const MEMORY_ADVISED: u64 = 900 << 20;
const MEMORY_NEEDED: u64 = 480 << 20;
/// Where Go programs look for certificate authorities on FreeBSD (`crypto/x509/root_bsd.go`).
const CA_FILES: [&str; 3] =
    ["/usr/local/etc/ssl/cert.pem", "/etc/ssl/cert.pem", "/usr/local/share/certs/ca-root-nss.crt"];
const CA_FOLDERS: [&str; 2] = ["/etc/ssl/certs", "/usr/local/share/certs"];
/// The only one that this program itself does not read (`openssl-probe` has no such entry for FreeBSD).
const NOT_FOR_DOWNLOADS: &str = "/etc/ssl/cert.pem";

/// The input of the preflight.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What is wanted.
    pub deployment: &'a Deployment,
    /// Where everything goes.
    pub layout: &'a Layout,
    /// Whether the release will be downloaded over https.
    pub download: bool,
    /// Whether the build without WebAssembly compiler was requested.
    pub nowasm: bool,
    /// The ports that GoToSocial itself will bind.
    pub ports: &'a [u16],
    /// Whether this host already runs this very instance.
    pub installed: bool,
    /// Whether the instance moves here from another machine, with its keys.
    pub moves_here: bool,
}

/// Checks everything. Any [`Status::Fail`] among the findings means: do not continue.
///
/// # Errors
/// The host could not be read at all.
pub fn checks(host: &dyn Observe, subject: &Subject<'_>) -> Result<Vec<Check>, HostError> {
    let system = host.system()?;
    let mut checks = vec![
        release(&system),
        cpu(&system, subject.nowasm),
        root(&system),
        securelevel(&system),
        jail(&system),
        allow_wx(host)?,
        authorities(host, subject.download)?,
        clock(host.now()),
        memory(&system),
    ];
    checks.extend(disk(host, subject.layout)?);
    checks.push(package(host));
    checks.extend(ports(host, subject.deployment.exposure.mode, subject.ports, subject.deployment.bind_address())?);
    checks.extend(log_level(subject));
    checks.extend(
        obstacles(host, subject.deployment, subject.layout)
            .into_iter()
            .map(|(part, refusal)| Check::fail(refusal.code(), part, refusal.to_string())),
    );
    // A host that already serves this instance answers under the name itself.
    if !subject.installed {
        let [address, other] = name(host, &subject.deployment.host)?;
        let other = if subject.moves_here { still_elsewhere(other, &subject.deployment.host) } else { other };
        checks.extend([address, other]);
    }
    Ok(checks)
}

/// Whether a name resolves to this host, and whether another fediverse server already uses it.
///
/// # Errors
/// The host's addresses cannot be read.
pub fn name(host: &dyn Observe, name: &HostName) -> Result<[Check; 2], HostError> {
    let name = name.as_str();
    let resolved = host.resolve(name);
    Ok([resolves(name, &resolved, &host.addresses()?), other_server(host, name, &resolved)])
}

fn release(system: &System) -> Check {
    const NAME: &str = "system";
    let text = format!("FreeBSD {}", system.release);
    if system.osreldate < OLDEST_POSSIBLE {
        Check::fail(ErrorCode::System, NAME, format!("{text} is too old; FreeBSD 14 or later is needed"))
    } else if system.osreldate < OLDEST_TESTED {
        Check::warn(
            NAME,
            format!("{text} has reached its end of life and gets no security fixes; upgrade to 14 or later"),
        )
    } else {
        Check::pass(NAME, text)
    }
}

fn cpu(system: &System, nowasm: bool) -> Check {
    const NAME: &str = "cpu";
    match system.machine_arch.as_str() {
        "amd64" if system.sse4_1 => Check::pass(NAME, "amd64 with SSE4.1"),
        "amd64" if nowasm => Check::pass(NAME, "amd64 without SSE4.1: the nowasm build is used, as requested"),
        "amd64" => Check::warn(
            NAME,
            "amd64 without SSE4.1: the nowasm build is used, which upstream does not support and which needs the package \
             ffmpeg",
        ),
        "aarch64" if nowasm => {
            Check::fail(ErrorCode::Cpu, NAME, "there is no nowasm build for arm64; leave [release] variant out")
        }
        "aarch64" => Check::pass(NAME, "arm64"),
        other => Check::fail(
            ErrorCode::Cpu,
            NAME,
            format!("GoToSocial has no release for FreeBSD on {other}; amd64 and arm64 have one"),
        ),
    }
}

fn root(system: &System) -> Check {
    if system.euid == 0 {
        Check::pass("root", "runs as root")
    } else {
        Check::fail(ErrorCode::NotRoot, "root", format!("runs as uid {}; run it as root (doas or sudo)", system.euid))
    }
}

fn securelevel(system: &System) -> Check {
    if system.securelevel > 0 {
        Check::warn(
            "securelevel",
            format!(
                "{}: the kernel accepts neither {MODULE} nor a lower {RESERVED_HIGH} now, \
                 so the changes go into files and need a reboot",
                system.securelevel
            ),
        )
    } else {
        Check::pass("securelevel", system.securelevel.to_string())
    }
}

fn jail(system: &System) -> Check {
    match system.jail {
        Jail::No => Check::pass("jail", "not a jail"),
        Jail::Shared => Check::warn("jail", "a jail that shares its host's network: port access is the host's to give"),
        Jail::Vnet => Check::warn("jail", "a jail with VNET: the mac_portacl rules are the host's to give"),
    }
}

fn allow_wx(host: &dyn Observe) -> Result<Check, HostError> {
    const OID: &str = "kern.elf64.allow_wx";
    Ok(match host.sysctl(OID)?.as_deref().map(str::trim) {
        Some("0") => Check::fail(
            ErrorCode::AllowWx,
            OID,
            "0: GoToSocial maps code that it compiles writable and executable, and could not start; \
             `sysctl kern.elf64.allow_wx=1`, and take the line out of sysctl.conf",
        ),
        _ => Check::pass(OID, "writable and executable mappings are allowed"),
    })
}

fn authorities(host: &dyn Observe, download: bool) -> Result<Check, HostError> {
    const NAME: &str = "certificate authorities";
    for file in CA_FILES {
        // A link into a package counts only if its target exists.
        let usable = !(download && file == NOT_FOR_DOWNLOADS);
        if usable && host.read(Path::new(file))?.is_some_and(|bytes| !bytes.is_empty()) {
            return Ok(Check::pass(NAME, file));
        }
    }
    for folder in CA_FOLDERS {
        if !host.list(Path::new(folder))?.is_empty() {
            return Ok(Check::pass(NAME, folder));
        }
    }
    let mend = "run `certctl rehash`, or install the package ca_root_nss";
    Ok(if download {
        Check::fail(
            ErrorCode::CaCertificates,
            NAME,
            format!("this host trusts none, so the download cannot be verified; {mend}"),
        )
    } else {
        Check::warn(
            NAME,
            format!("this host trusts none, so GoToSocial can reach neither Let's Encrypt nor other servers; {mend}"),
        )
    })
}

fn clock(now: u64) -> Check {
    if now < EARLIEST {
        Check::fail(
            ErrorCode::Clock,
            "clock",
            "the clock is years behind, which breaks certificates and federation; set it (`ntpd -gq`)",
        )
    } else {
        Check::pass("clock", "not obviously wrong")
    }
}

fn memory(system: &System) -> Check {
    let text = format!("{} MiB", system.memory >> 20);
    if system.memory < MEMORY_NEEDED {
        Check::fail(ErrorCode::Memory, "memory", format!("{text}: GoToSocial needs 512 MiB, and then with swap"))
    } else if system.memory < MEMORY_ADVISED {
        Check::warn("memory", format!("{text}: 1 GiB is advised; with less have swap ready"))
    } else {
        Check::pass("memory", text)
    }
}

fn disk(host: &dyn Observe, layout: &Layout) -> Result<Vec<Check>, HostError> {
    let program = host.free_bytes(&layout.releases)?;
    let data = host.free_bytes(&layout.data)?;
    let text = |free: u64, path: &Path| format!("{} MiB free for {}", free >> 20, path.display());
    let mut checks = Vec::new();
    checks.push(if program < RELEASE_BYTES {
        Check::fail(
            ErrorCode::Disk,
            "disk for the release",
            format!("{}: {} MiB are needed; make room", text(program, &layout.releases), RELEASE_BYTES >> 20),
        )
    } else {
        Check::pass("disk for the release", text(program, &layout.releases))
    });
    let data_text = text(data, &layout.data);
    checks.push(if data < DATA_BYTES_NEEDED {
        Check::fail(ErrorCode::Disk, "disk for the data", format!("{data_text}: at least 1 GiB is needed; make room"))
    } else if data < DATA_BYTES_ADVISED {
        Check::warn("disk for the data", format!("{data_text}: 15 to 20 GiB are advised, media take most of it"))
    } else {
        Check::pass("disk for the data", data_text)
    });
    Ok(checks)
}

/// Without a certificate only the log shows that the server is ready, so the log level must include that message.
fn log_level(subject: &Subject<'_>) -> Option<Check> {
    let level = subject.deployment.config.get("log-level")?;
    let ConfigValue::Text(level) = level else { return None };
    let silent = !["trace", "debug", "info"].contains(&level.to_ascii_lowercase().as_str());
    (silent && !subject.installed && subject.deployment.exposure.mode == Mode::Direct).then(|| {
        Check::fail(
            ErrorCode::LogLevel,
            "log-level",
            format!(
                "[config] log-level = \"{level}\" hides from the log when the server is ready, and \
                 without a certificate nothing else shows it; leave it out, and set it after the first installation"
            ),
        )
    })
}

fn package(host: &dyn Observe) -> Check {
    const NAME: &str = "package net-im/gotosocial";
    match host.package("gotosocial") {
        Err(why) => Check::warn(NAME, format!("cannot be told: {why}")),
        Ok(None) => Check::pass(NAME, "not installed"),
        Ok(Some(version)) => Check::fail(
            ErrorCode::PackageThere,
            NAME,
            format!(
                "version {version} is installed and owns /usr/local/bin/gotosocial and the rc.d script; nothing of it is \
                 overwritten. Keep using it, or `pkg delete gotosocial` (its data in /var/db/gotosocial stay) and run this \
                 again"
            ),
        ),
    }
}

/// Checks which process holds the ports that this mode needs. `wanted` are those that GoToSocial itself will bind on
/// `address`.
///
/// # Errors
/// The host cannot list its listeners.
pub fn ports(host: &dyn Observe, mode: Mode, wanted: &[u16], address: IpAddr) -> Result<Vec<Check>, HostError> {
    // A web server in front listens on every address.
    let front = mode.front();
    let clashes = |listener: &&Listener| {
        front.is_some()
            || address.is_unspecified()
            || listener.address.is_none_or(|other| other == address || other.is_unspecified())
    };
    let ours = host.user(account::NAME)?.map(|user| Owner { uid: user.uid, gid: user.gid }.uid);
    // The web server that is in front or will be: its package may be installed and serve other sites.
    let fronts: Vec<&str> = front::all_present(host)?.into_iter().chain(front).map(|front| front.command).collect();
    let listeners = host.listeners()?;
    let ports = if front.is_some() { &front::PORTS[..] } else { wanted };
    Ok(ports
        .iter()
        .map(|port| {
            let name = format!("port {port}");
            let taken = listeners
                .iter()
                .filter(clashes)
                .filter(|listener| !fronts.contains(&listener.command.as_str()))
                .find(|listener| listener.port == *port && (ours.is_none() || listener.uid != ours));
            match taken {
                None if ours.is_some() && listeners.iter().any(|listener| listener.port == *port) => {
                    Check::pass(name, "in use by GoToSocial itself")
                }
                None => match listeners.iter().find(|listener| listener.port == *port) {
                    Some(by) => Check::pass(name, format!("in use by {}, the web server in front", by.command)),
                    None => Check::pass(name, "free"),
                },
                Some(by) => Check::fail(
                    ErrorCode::PortTaken,
                    name,
                    format!(
                        "taken by {} (user {}, pid {}); stop it and disable it in rc.conf, or have it serve in front",
                        by.command,
                        by.user,
                        by.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string())
                    ),
                ),
            }
        })
        .collect())
}

fn resolves(name: &str, resolved: &[IpAddr], own: &[IpAddr]) -> Check {
    const NAME: &str = "host name";
    let list = |addresses: &[IpAddr]| addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    if resolved.is_empty() {
        return Check::warn(
            NAME,
            format!("{name} has no address yet; without A and AAAA records there is no certificate and no federation"),
        );
    }
    let elsewhere: Vec<IpAddr> = resolved.iter().copied().filter(|address| !own.contains(address)).collect();
    if elsewhere.is_empty() {
        Check::pass(NAME, format!("{name} is this host ({})", list(resolved)))
    } else {
        Check::warn(
            NAME,
            format!(
                "{name} resolves to {}, which is not an address of this host ({}); that is right only behind NAT",
                list(&elsewhere),
                list(own)
            ),
        )
    }
}

/// A name that other fediverse software has used is unusable for GoToSocial: other servers know its old keys.
fn other_server(host: &dyn Observe, name: &str, resolved: &[IpAddr]) -> Check {
    const NAME: &str = "other fediverse server";
    if resolved.is_empty() {
        return Check::skip(NAME, format!("{name} has no address to ask"));
    }
    let answer = host.web(&WebRequest {
        tls: true,
        host: name.to_owned(),
        address: None,
        path: "/.well-known/nodeinfo".to_owned(),
        verify: false,
        timeout: Duration::from_secs(5),
    });
    match answer {
        Ok(answer) if answer.status == 200 && is_nodeinfo(&answer.body) => Check::fail(
            ErrorCode::OtherServer,
            NAME,
            format!(
                "a fediverse server answers for {name} already. A name can never be used again by other software, or by a \
                 new server with other keys: choose another host name"
            ),
        ),
        Ok(_) | Err(_) => Check::pass(NAME, format!("none answers for {name}")),
    }
}

/// For an instance that moves, the other server is the instance itself, or has replaced it.
fn still_elsewhere(other: Check, name: &HostName) -> Check {
    if other.status != Status::Fail {
        return other;
    }
    Check::fail(
        ErrorCode::OtherServer,
        other.name,
        format!(
            "a fediverse server still answers for {name}. If that is this instance on its old machine, stop it there for good              (`service gotosocial stop`, gotosocial_enable=\"NO\" in rc.conf), and make a new backup if anything was posted since              this one. Two servers with the same keys must never run at the same time"
        ),
    )
}

/// Whether a body is a nodeinfo document: a provider's catch-all page may contain the word as well.
fn is_nodeinfo(body: &[u8]) -> bool {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else { return false };
    json.get("links").and_then(serde_json::Value::as_array).is_some_and(|links| {
        let texts = links.iter().flat_map(|link| [link.get("rel"), link.get("href")]).flatten();
        texts.filter_map(serde_json::Value::as_str).any(|text| text.contains("nodeinfo"))
    })
}

/// Whether the findings forbid continuing.
pub fn refused(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.status == Status::Fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_nodeinfo_document_is_another_server() {
        let real = br#"{"links":[{"rel":"http://nodeinfo.diaspora.software/ns/schema/2.0","href":"https://a.example/nodeinfo/2.0"}]}"#;
        assert!(is_nodeinfo(real));
        assert!(!is_nodeinfo(b"<html>Nothing at /.well-known/nodeinfo yet: this name is parked</html>"));
        assert!(!is_nodeinfo(br#"{"error":"no nodeinfo"}"#));
    }
}
