//! A listening socket, bound as Go binds it: the wildcard is one socket for both families, and an error reads as Go
//! writes it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, listen, setsockopt, socket, sockopt,
};

use gts_bootstrap::gotosocial::Series;
use gts_bootstrap::gotosocial::loading::{Failure, Settings};

/// `bind-address`; `None` is the wildcard. 0.19 wants IPv6 in brackets, 0.20 without.
pub(super) fn address(settings: &Settings) -> Result<Option<IpAddr>, Failure> {
    let text = settings.text("bind-address");
    let fails = |why: &str| Failure::Panic(format!("listen: listen tcp: address {text}: {why}"));
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let plain = match (settings.series, inner) {
        (Series::V0_19, None) if text.contains(':') => return Err(fails("too many colons in address")),
        (Series::V0_20, Some(_)) => return Err(fails("missing port in address")),
        (_, inner) => inner.unwrap_or(text),
    };
    let address = match plain {
        "" => return Ok(None),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        other => other.parse::<IpAddr>().map_err(|_| fails("no such host"))?,
    };
    Ok((!address.is_unspecified()).then_some(address))
}

/// A port number of the configuration.
pub(super) fn port(settings: &Settings, key: &str) -> Result<u16, Failure> {
    let number = settings.number(key);
    u16::try_from(number).map_err(|_| Failure::Panic(format!("listen: listen tcp: address {number}: invalid port")))
}

/// Opens it. Where a host has no IPv6 the wildcard is IPv4's.
pub(super) fn open(address: Option<IpAddr>, port: u16) -> Result<TcpListener, String> {
    let opened = match address {
        Some(address) => open_at(SocketAddr::new(address, port)),
        None => match open_at(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)) {
            Err(Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::EADDRNOTAVAIL) => {
                open_at(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
            }
            opened => opened,
        },
    };
    opened.map_err(|errno| {
        let shown = address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let why = errno.desc().to_ascii_lowercase();
        format!("listen tcp {}: bind: {why}", SocketAddr::new(shown, port))
    })
}

fn open_at(address: SocketAddr) -> Result<TcpListener, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let door = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&door, sockopt::ReuseAddr, &true)?;
    match address {
        SocketAddr::V4(address) => bind(door.as_raw_fd(), &SockaddrIn::from(address))?,
        SocketAddr::V6(address) => {
            setsockopt(&door, sockopt::Ipv6V6Only, &!address.ip().is_unspecified())?;
            bind(door.as_raw_fd(), &SockaddrIn6::from(address))?;
        }
    }
    listen(&door, Backlog::MAXCONN)?;
    Ok(door.into())
}
