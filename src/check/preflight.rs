//! Preflight: finds every foreseeable problem and reports all findings together.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::{Check, Matter, Status, hard_links};
use crate::change::listening::{self, Rightful};
use crate::deployment::{ConfigValue, Deployment, HostName, Layout, Mode, Variant};
use crate::error_code::{Coded, ErrorCode};
use crate::gotosocial::SERVICE;
use crate::host::{Carried, HostError, Jail, Listener, Observe, Supervision, WebRequest};
use crate::parts::install::obstacles;
use crate::parts::port_settings::{MODULE, RESERVED_HIGH};
use crate::parts::{account, front, portacl_boot, service};
use crate::shown::Shown;

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
    let Subject { deployment, layout, .. } = *subject;
    let mut checks = system(host, deployment.release.variant == Variant::NoWasm, subject.download)?;
    checks.extend(disk(host, layout)?);
    checks.push(package(host));
    let own_ports = service::privileged_ports(deployment);
    checks.extend(ports(host, deployment.exposure.mode, &own_ports, deployment.bind_address())?);
    checks.extend(log_level(subject));
    if !own_ports.is_empty() {
        checks.extend(module(host)?);
    }
    let obstacles = obstacles(host, deployment, layout).into_iter();
    checks.extend(obstacles.map(|(part, refusal)| Matter(part, refusal.code()).fail(refusal.to_string())));
    // A host that already serves this instance answers under the name itself. What `status` notes it need not hear again.
    if !subject.installed {
        const HARD_LINKS: Matter<'static> = Matter("hard links", ErrorCode::Preflight);
        checks.push(match hard_links::advice(host)? {
            Some(advice) => HARD_LINKS.warn(advice),
            None => HARD_LINKS.pass("nobody may link files of others"),
        });
        let [address, other] = name(host, &deployment.host)?;
        let other = if subject.moves_here { still_elsewhere(other, &deployment.host) } else { other };
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
    let resolved = match host.resolve(name) {
        Ok(resolved) => resolved,
        Err(error) => {
            let advice =
                format!("`getent hosts {name}` and resolv.conf(5) show why. Whether it leads here is not known");
            let name = Matter("host name", error.code()).warn(format!("{error}. {advice}"));
            return Ok([name, OTHER_SERVER.skip(error.to_string())]);
        }
    };
    Ok([resolves(name, &resolved, &host.addresses()?), other_server(host, name, &resolved)])
}

/// What the system is: release, CPU, privileges, kernel, certificate authorities, clock and memory.
fn system(host: &dyn Observe, nowasm: bool, download: bool) -> Result<Vec<Check>, HostError> {
    const RELEASE: Matter<'static> = Matter("system", ErrorCode::System);
    const CPU: Matter<'static> = Matter("cpu", ErrorCode::Cpu);
    const ROOT: Matter<'static> = Matter("root", ErrorCode::NotRoot);
    const SECURELEVEL: Matter<'static> = Matter("securelevel", ErrorCode::Preflight);
    const JAIL: Matter<'static> = Matter("jail", ErrorCode::Preflight);
    const ALLOW_WX: Matter<'static> = Matter("kern.elf64.allow_wx", ErrorCode::AllowWx);
    const CLOCK: Matter<'static> = Matter("clock", ErrorCode::Clock);
    const MEMORY: Matter<'static> = Matter("memory", ErrorCode::Memory);
    let system = host.system()?;
    let release = format!("FreeBSD {}", system.release);
    let memory = format!("{} MiB", system.memory >> 20);
    Ok(vec![
        match system.osreldate {
            ..OLDEST_POSSIBLE => RELEASE.fail(format!("{release} is too old; FreeBSD 14 or later is needed")),
            OLDEST_POSSIBLE..OLDEST_TESTED => RELEASE.warn(format!(
                "{release} has reached its end of life and gets no security fixes; upgrade to 14 or later"
            )),
            _ => RELEASE.pass(release),
        },
        match system.machine_arch.as_str() {
            "amd64" if system.sse4_1 => CPU.pass("amd64 with SSE4.1"),
            "amd64" if nowasm => CPU.pass("amd64 without SSE4.1: the nowasm build is used, as requested"),
            "amd64" => CPU.warn(
                "amd64 without SSE4.1: the nowasm build is used, which upstream does not support and which needs the \
                 package ffmpeg",
            ),
            "aarch64" if nowasm => CPU.fail("there is no nowasm build for arm64; leave [release] variant out"),
            "aarch64" => CPU.pass("arm64"),
            other => CPU.fail(format!("GoToSocial has no release for FreeBSD on {other}; amd64 and arm64 have one")),
        },
        match system.euid {
            0 => ROOT.pass("runs as root"),
            uid => ROOT.fail(format!("runs as uid {uid}; run it as root (doas or sudo)")),
        },
        match system.securelevel {
            level @ 1.. => SECURELEVEL.warn(format!(
                "{level}: the kernel accepts neither {MODULE} nor a lower {RESERVED_HIGH} now, \
                 so the changes go into files and need a reboot"
            )),
            level => SECURELEVEL.pass(level.to_string()),
        },
        match system.jail {
            Jail::No => JAIL.pass("not a jail"),
            Jail::Shared => JAIL.warn("a jail that shares its host's network: port access is the host's to give"),
            Jail::Vnet => JAIL.warn("a jail with VNET: the mac_portacl rules are the host's to give"),
        },
        match host.sysctl(ALLOW_WX.0)?.as_deref().map(str::trim) {
            Some("0") => ALLOW_WX.fail(
                "0: GoToSocial maps code that it compiles writable and executable, and could not start; \
                 `sysctl kern.elf64.allow_wx=1`, and take the line out of sysctl.conf",
            ),
            _ => ALLOW_WX.pass("writable and executable mappings are allowed"),
        },
        authorities(host, download)?,
        match host.now() {
            ..EARLIEST => {
                CLOCK.fail("the clock is years behind, which breaks certificates and federation; set it (`ntpd -gq`)")
            }
            _ => CLOCK.pass("not obviously wrong"),
        },
        match system.memory {
            ..MEMORY_NEEDED => MEMORY.fail(format!("{memory}: GoToSocial needs 512 MiB, and then with swap")),
            MEMORY_NEEDED..MEMORY_ADVISED => {
                MEMORY.warn(format!("{memory}: 1 GiB is advised; with less have swap ready"))
            }
            _ => MEMORY.pass(memory),
        },
    ])
}

/// A kernel module that cannot be loaded now, or not at the next boot.
fn module(host: &dyn Observe) -> Result<Option<Check>, HostError> {
    const FILE: Matter<'static> = Matter("mac_portacl", ErrorCode::Kernel);
    let Some(folders) = portacl_boot::settings(host)?.missing_in else { return Ok(None) };
    let what = format!("there is no {MODULE}.ko in {folders}");
    let mend =
        "put the modules of the running kernel there, for example with `freebsd-update install` or `pkg upgrade`";
    Ok(Some(if host.module_loaded(MODULE)? {
        FILE.warn(format!("{what}: it is loaded now, and will be missing after the next boot; {mend}"))
    } else {
        FILE.fail(format!("{what}, and it is not in the kernel, so nothing can give GoToSocial its ports; {mend}"))
    }))
}

fn authorities(host: &dyn Observe, download: bool) -> Result<Check, HostError> {
    const AUTHORITIES: Matter<'static> = Matter("certificate authorities", ErrorCode::CaCertificates);
    for file in CA_FILES.into_iter().filter(|file| !(download && *file == NOT_FOR_DOWNLOADS)) {
        // A link into a package counts only if its target exists.
        if host.read(Path::new(file))?.is_some_and(|bytes| !bytes.is_empty()) {
            return Ok(AUTHORITIES.pass(file));
        }
    }
    for folder in CA_FOLDERS {
        if !host.list(Path::new(folder))?.is_empty() {
            return Ok(AUTHORITIES.pass(folder));
        }
    }
    let mend = "run `certctl rehash`, or install the package ca_root_nss";
    Ok(if download {
        AUTHORITIES.fail(format!("this host trusts none, so the download cannot be verified; {mend}"))
    } else {
        AUTHORITIES.warn(format!(
            "this host trusts none, so GoToSocial can reach neither Let's Encrypt nor other servers; {mend}"
        ))
    })
}

fn disk(host: &dyn Observe, layout: &Layout) -> Result<[Check; 2], HostError> {
    const RELEASE: Matter<'static> = Matter("disk for the release", ErrorCode::Disk);
    const DATA: Matter<'static> = Matter("disk for the data", ErrorCode::Disk);
    let free = |path: &Path| -> Result<(u64, String), HostError> {
        let free = host.free_bytes(path)?;
        Ok((free, format!("{} MiB free for {}", free >> 20, path.shown())))
    };
    let release = match free(&layout.releases)? {
        (..RELEASE_BYTES, text) => RELEASE.fail(format!("{text}: {} MiB are needed; make room", RELEASE_BYTES >> 20)),
        (_, text) => RELEASE.pass(text),
    };
    let data = match free(&layout.data)? {
        (..DATA_BYTES_NEEDED, text) => DATA.fail(format!("{text}: at least 1 GiB is needed; make room")),
        (DATA_BYTES_NEEDED..DATA_BYTES_ADVISED, text) => {
            DATA.warn(format!("{text}: 15 to 20 GiB are advised, media take most of it"))
        }
        (_, text) => DATA.pass(text),
    };
    Ok([release, data])
}

/// Without a certificate only the log shows that the server is ready, so the log level must include that message.
fn log_level(subject: &Subject<'_>) -> Option<Check> {
    let ConfigValue::Text(level) = subject.deployment.config.get("log-level")? else { return None };
    let silent = !["trace", "debug", "info"].contains(&level.to_ascii_lowercase().as_str());
    (silent && !subject.installed && subject.deployment.exposure.mode == Mode::Direct).then(|| {
        Matter("log-level", ErrorCode::LogLevel).fail(format!(
            "[config] log-level = \"{level}\" hides from the log when the server is ready, and \
             without a certificate nothing else shows it; leave it out, and set it after the first installation"
        ))
    })
}

fn package(host: &dyn Observe) -> Check {
    const PACKAGE: Matter<'static> = Matter("package net-im/gotosocial", ErrorCode::PackageThere);
    match host.package("gotosocial") {
        Err(why) => PACKAGE.warn(format!("cannot be told: {why}")),
        Ok(None) => PACKAGE.pass("not installed"),
        Ok(Some(version)) => PACKAGE.fail(format!(
            "version {version} is installed and owns /usr/local/bin/gotosocial and the rc.d script; nothing of it is \
             overwritten. Keep using it, or `pkg delete gotosocial` (its data in /var/db/gotosocial stay) and run this \
             again"
        )),
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
    let clashes = |listener: &Listener| {
        front.is_some()
            || address.is_unspecified()
            || listener.address.is_none_or(|other| other == address || other.is_unspecified())
    };
    let present = front::all_present(host)?;
    let ours = host.user(account::NAME)?.map(|user| user.uid);
    // Where a web server is in front already, only the program itself may still have its ports, after an interrupted switch.
    let is_behind = front.is_some() && !present.is_empty();
    let itself = match is_behind.then(|| host.supervision(SERVICE)).transpose()? {
        Some(Supervision::Running { pid, .. } | Supervision::Orphan { pid }) => pid,
        _ => None,
    };
    // The web server that is in front or will be: its package may be installed and serve other sites.
    let fronts = present.into_iter().chain(front).map(|front| Rightful::front(host, front));
    let fronts = fronts.collect::<Result<Vec<_>, _>>()?;
    let listeners = host.listeners()?;
    let ports = if front.is_some() { &front::PORTS[..] } else { wanted };
    let check = |port: &u16| {
        let name = format!("port {port}");
        let matter = Matter(&name, ErrorCode::PortTaken);
        let on_port = || listeners.iter().filter(|listener| listener.port == *port);
        let is_ours = |by: &Listener| {
            ours.is_some()
                && by.uid == ours
                && by.jail.is_none()
                && (!is_behind || by.pid.is_some() && by.pid == itself)
        };
        let is_other = |by: &&Listener| clashes(by) && !is_ours(by) && !fronts.iter().any(|front| front.have(by));
        match (on_port().find(is_other), on_port().next()) {
            (Some(by), _) => {
                matter.fail(format!("taken by {by}; stop it and disable it in rc.conf, or have it serve in front"))
            }
            (None, Some(by)) if is_ours(by) => matter.pass("in use by GoToSocial itself"),
            (None, Some(by)) if clashes(by) => {
                matter.pass(format!("in use by {}, the web server in front", by.command.shown()))
            }
            (None, _) => matter.pass("free"),
        }
    };
    let unreadable = listening::unreadable(&listeners).map(|why| Matter("listeners", ErrorCode::PortTaken).fail(why));
    Ok(ports.iter().map(check).chain(unreadable).collect())
}

fn resolves(name: &str, resolved: &[IpAddr], own: &[IpAddr]) -> Check {
    const NAME: Matter<'static> = Matter("host name", ErrorCode::Preflight);
    let list = |addresses: &[IpAddr]| addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    let elsewhere: Vec<IpAddr> = resolved.iter().copied().filter(|address| !own.contains(address)).collect();
    if resolved.is_empty() {
        NAME.warn(format!(
            "{name} has no address yet; without A and AAAA records there is no certificate and no federation"
        ))
    } else if elsewhere.is_empty() {
        NAME.pass(format!("{name} is this host ({})", list(resolved)))
    } else {
        NAME.warn(format!(
            "{name} resolves to {}, which is not an address of this host ({}); that is right only behind NAT",
            list(&elsewhere),
            list(own)
        ))
    }
}

const OTHER_SERVER: Matter<'static> = Matter("other fediverse server", ErrorCode::OtherServer);

/// A name that other fediverse software has used is unusable for GoToSocial: other servers know its old keys.
fn other_server(host: &dyn Observe, name: &str, resolved: &[IpAddr]) -> Check {
    if resolved.is_empty() {
        return OTHER_SERVER.skip(format!("{name} has no address to ask"));
    }
    let answer = host.web(&WebRequest {
        tls: true,
        host: name.to_owned(),
        address: None,
        path: "/.well-known/nodeinfo".to_owned(),
        carries: Carried::default(),
        verify: false,
        timeout: Duration::from_secs(5),
    });
    if !answer.is_ok_and(|answer| answer.status == 200 && is_nodeinfo(&answer.body)) {
        return OTHER_SERVER.pass(format!("none answers for {name}"));
    }
    OTHER_SERVER.fail(format!(
        "a fediverse server answers for {name} already. A name can never be used again by other software, or by a \
         new server with other keys: choose another host name"
    ))
}

/// For an instance that moves, the other server is the instance itself, or has replaced it.
fn still_elsewhere(other: Check, name: &HostName) -> Check {
    if other.status != Status::Fail {
        return other;
    }
    OTHER_SERVER.fail(format!(
        "a fediverse server still answers for {name}. If that is this instance on its old machine, stop it there for good \
         (`service gotosocial stop`, gotosocial_enable=\"NO\" in rc.conf), and make a new backup if anything was posted since \
         this one. Two servers with the same keys must never run at the same time"
    ))
}

/// Whether a body is a nodeinfo document: a provider's catch-all page may contain the word as well.
fn is_nodeinfo(body: &[u8]) -> bool {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else { return false };
    json["links"].as_array().is_some_and(|links| {
        let texts = links.iter().flat_map(|link| [link["rel"].as_str(), link["href"].as_str()]).flatten();
        texts.into_iter().any(|text| text.contains("nodeinfo"))
    })
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
