//! Whose request it is: the address of the connection, or what a trusted proxy says of it, found as gin finds it
//! (`Context.ClientIP`).

use std::net::IpAddr;

use super::request::Request;
use gts_bootstrap::gotosocial::loading::Settings;

/// `trusted-proxies`: networks, as an address and how many of its bits count.
#[derive(Debug, Clone, Default)]
pub(super) struct TrustedProxies(Vec<(IpAddr, u32)>);

impl TrustedProxies {
    /// Reads the setting. The error is Go's.
    pub(super) fn of(settings: &Settings) -> Result<Self, String> {
        settings.list("trusted-proxies").iter().map(|text| network(text)).collect::<Result<_, _>>().map(Self)
    }

    /// The client: of the last addresses in a header the first that is no proxy of ours. What anybody else than a proxy
    /// says does not count.
    pub(super) fn client(&self, peer: IpAddr, request: &Request) -> IpAddr {
        let told = || [&request.forwarded_for, &request.real_ip].into_iter().find_map(|header| self.first(header));
        if self.trusts(peer) { told().unwrap_or(peer) } else { peer }
    }

    fn first(&self, header: &str) -> Option<IpAddr> {
        let mut items = header.split(',').rev().peekable();
        while let Some(item) = items.next() {
            let address: IpAddr = item.trim().parse().ok()?;
            if items.peek().is_none() || !self.trusts(address) {
                return Some(address);
            }
        }
        None
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(network, bits)| {
            // Shifted by all of its bits, nothing is left of a number to compare.
            let same = |one: u128, other: u128, size: u32| (one ^ other).checked_shr(size - bits).unwrap_or(0) == 0;
            match (network, address) {
                (IpAddr::V4(network), IpAddr::V4(address)) => {
                    same(network.to_bits().into(), address.to_bits().into(), 32)
                }
                (IpAddr::V6(network), IpAddr::V6(address)) => same(network.to_bits(), address.to_bits(), 128),
                _ => false,
            }
        })
    }
}

fn network(text: &str) -> Result<(IpAddr, u32), String> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| format!("invalid IP address: {text}"))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), str::parse).ok().filter(|bits| *bits <= most);
    bits.map(|bits| (address, bits)).ok_or_else(|| format!("invalid CIDR address: {text}"))
}
