//! What a web server serves by its configuration, and what of it is in the way of our site.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::config_files::ConfigPlace;
use crate::net::{HostName, PortNumber};

/// Where ACME challenges are asked for.
pub(super) const CHALLENGES: &str = ".well-known/acme-challenge/";

/// What we want to serve, and others may be serving already.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The host, and the account domain if it is served here.
    pub names: &'a [&'a HostName],
    /// The ports for http and https.
    pub ports: [PortNumber; 2],
}

/// Another site that is in the way of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Conflict {
    /// It has our name.
    #[error(
        "{place}: this {block} answers for {name} on port {port} already. Take the name out there, or the whole block, and run this again"
    )]
    Name {
        /// Where its name stands.
        place: ConfigPlace,
        /// What it is called in the web server's language.
        block: &'static str,
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// It listens at one address of this host, where the web server will not look at ours for any name. No trouble if
    /// the instance's name leads to another address.
    #[error(
        "{place}: this {block} listens on {address} only, so it answers requests for the instance there. If the name of the instance resolves to this address, let the {block} listen on every address (port {port} without an address) and run this again"
    )]
    Address {
        /// Where the address stands.
        place: ConfigPlace,
        /// What it is called in the web server's language.
        block: &'static str,
        /// The address, without the port.
        address: String,
        /// The port.
        port: u16,
    },
    /// nginx: an IPv6 socket takes IPv4 as well, so that none for IPv4 can be opened beside it.
    #[error(
        "{place}: this listens for IPv4 and IPv6 in one (ipv6only=off), so nothing else can listen on port {port}. Write two lines, listen {port} and listen [::]:{port} without ipv6only, and run this again"
    )]
    BothFamilies {
        /// Where.
        place: ConfigPlace,
        /// The port.
        port: u16,
    },
}

impl Conflict {
    /// Where it stands.
    pub fn place(&self) -> &ConfigPlace {
        match self {
            Self::Name { place, .. } | Self::Address { place, .. } | Self::BothFamilies { place, .. } => place,
        }
    }
}

/// What else than our site stands in a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The sites that are in the way of ours, in the order in which the web server reads them.
    pub conflicts: Vec<Conflict>,
    /// The first wanted port on which something else listens, and where, as far as that is known.
    pub held: Option<(u16, Option<ConfigPlace>)>,
    /// The ports for which our site has to bring its own line to listen.
    pub missing_listens: Vec<PortNumber>,
    /// What the administrator should know.
    pub notes: Vec<&'static str>,
}

/// What a web server serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The sockets that it opens, none twice.
    pub sockets: Vec<Socket>,
    /// Its sites, in the order in which they were read.
    pub sites: Vec<Site>,
    /// The files besides certificates without which it refuses the configuration, with the place that names each.
    pub needs: Vec<(ConfigPlace, PathBuf)>,
}

/// A socket that a web server opens, of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// The address; `None` is the wildcard.
    pub address: Option<IpAddr>,
    /// Whether it is IPv6.
    pub ipv6: bool,
    /// The port.
    pub port: u16,
    /// Whether the web server can do without it where the host lacks the family.
    pub optional: bool,
}

/// A site: a server block of nginx, a virtual host of Apache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Where it begins.
    pub place: ConfigPlace,
    /// The names that it answers for as they are written, some of them patterns, and where they stand.
    pub names: Vec<(ConfigPlace, String)>,
    /// Where it listens.
    pub listens: Vec<Listen>,
    /// Certificate and key.
    pub pair: Option<[PathBuf; 2]>,
    /// Whether it turns every request away.
    pub turns_away: bool,
    /// The server that it passes requests on to.
    pub backend: Option<SocketAddr>,
    /// Beginnings of paths, and the `https://…` that they are redirected to.
    pub redirects: Vec<(String, String)>,
    /// The folder of the answers to ACME challenges.
    pub challenges: Option<PathBuf>,
}

impl Site {
    /// Where it listens on wanted ports for others than this host, with the port: the one for https if it listens on every
    /// port.
    pub(super) fn on<'a>(&'a self, wanted: &'a Wanted<'_>) -> impl Iterator<Item = (&'a Listen, u16)> {
        let ports = wanted.ports.map(PortNumber::get);
        let outside = self.listens.iter().filter(|listen| !listen.ip().is_some_and(|address| address.is_loopback()));
        outside
            .map(move |listen| (listen, listen.port.unwrap_or(ports[1])))
            .filter(move |(_, port)| ports.contains(port))
    }

    /// How it is in the way: it has a wanted name, as `ours` finds, or an address of its own.
    pub(super) fn conflicts<'w>(
        &self,
        wanted: &'w Wanted<'_>,
        block: &'static str,
        ours: impl Fn(&'w HostName, &str) -> bool,
    ) -> Vec<Conflict> {
        let Some((_, port)) = self.on(wanted).next() else { return Vec::new() };
        let named = self.names.iter().filter_map(|(place, name)| {
            let name = wanted.names.iter().find(|wanted| ours(wanted, name))?.to_string();
            Some(Conflict::Name { place: place.clone(), block, name, port })
        });
        let alone = self.on(wanted).filter_map(|(Listen { place, address, .. }, port)| {
            Some(Conflict::Address { place: place.clone(), block, address: address.clone()?, port })
        });
        named.chain(alone).collect()
    }
}

/// Where a site listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// Where that is written.
    pub place: ConfigPlace,
    /// The one address, or a name for it; `None` for every address.
    pub address: Option<String>,
    /// Whether it takes IPv4.
    pub ipv4: bool,
    /// Whether it takes IPv6.
    pub ipv6: bool,
    /// The port; `None` for every port.
    pub port: Option<u16>,
    /// Whether it speaks TLS there.
    pub tls: bool,
    /// Whether it takes the requests there for names that no site has.
    pub default: bool,
}

impl Listen {
    /// Reads `ADDRESS:PORT`, `ADDRESS` or `PORT`. Without an address, and with a name, it takes both families; without a
    /// port, or with a star for it, it is on every port.
    pub(super) fn at(place: &ConfigPlace, value: &str) -> Self {
        let (address, port) = address_and_port(value);
        let every = is_every(address);
        let ip = address.parse::<IpAddr>().ok().filter(|_| !every);
        Self {
            place: place.clone(),
            address: (!every).then(|| address.to_owned()),
            ipv4: ip.is_none_or(|ip| ip.is_ipv4()),
            ipv6: ip.is_none_or(|ip| ip.is_ipv6()),
            port: port.and_then(|port| port.parse().ok()),
            tls: false,
            default: false,
        }
    }

    /// The address, where it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        let address = self.address.as_deref()?;
        if address == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { address.parse().ok() }
    }
}

/// The address and the port of `ADDRESS:PORT`, `ADDRESS` or `PORT`, without brackets; a star where there is none, or one
/// that stands for all. The port is `None` where it is a star.
pub(super) fn address_and_port(value: &str) -> (&str, Option<&str>) {
    let (address, port) = match value.rsplit_once(':') {
        Some((address, port)) if !port.contains(']') => (address, Some(port)),
        _ if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => ("*", Some(value)),
        _ => (value, None),
    };
    (address.trim_start_matches('[').trim_end_matches(']'), port)
}

/// Whether an address stands for all of its family, or of both.
pub(super) fn is_every(address: &str) -> bool {
    matches!(address, "*" | "_default_" | "0.0.0.0" | "::")
}

/// What a redirect leads to, up to the variable for the path.
pub(super) fn target(url: &str) -> String {
    url.split('$').next().unwrap_or_default().trim_end_matches('/').to_owned()
}
