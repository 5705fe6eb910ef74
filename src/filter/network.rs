//! [`Network`]: an IPv4 or IPv6 network, or one address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::rate::number;

/// A network without host bits, RFC 4632 and RFC 4291. Networks are ordered by family, then by their first address,
/// the wider before the narrower: those that lie in one follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(pub(super) IpNet);

/// Networks that are not of the public internet, with the reason: RFC 6890 and the IANA special-purpose registries.
const SPECIAL: [(&str, &str); 16] = [
    ("0.0.0.0/8", "“this network”"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared address space of providers"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "for benchmarks"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
    ("64:ff9b::/96", "how IPv6-only networks write every IPv4 address"),
];

impl Network {
    /// Whether it is an IPv6 network.
    pub fn is_six(&self) -> bool {
        self.0.addr().is_ipv6()
    }

    /// The prefix length in bits.
    pub fn length(&self) -> u8 {
        self.0.prefix_len()
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.0.addr()
    }

    /// Whether the other one lies within this one, or is the same.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the address lies within. IPv4 within IPv6 (`::ffff:192.0.2.1`) counts as IPv4, as in both web servers.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// The network's share of its family's addresses, in units of 2^-64, for sums over networks that do not overlap.
    /// Networks of IPv6 beyond /64 count as nothing.
    pub(super) fn share(&self) -> u128 {
        64_u8.checked_sub(self.length()).map_or(0, |bits| 1 << bits)
    }

    /// The prefix as hexadecimal digits, cut to whole digits, with the family before it (`4` or `6`): `4c00002` for
    /// 192.0.2.0/24.
    pub fn digits(&self) -> String {
        let hex = match self.address() {
            IpAddr::V4(address) => format!("4{:08x}", address.to_bits()),
            IpAddr::V6(address) => format!("6{:032x}", address.to_bits()),
        };
        hex.get(..=usize::from(self.length() / 4)).unwrap_or_default().to_owned()
    }

    /// The networks of whole hexadecimal digits that this one consists of: itself, or two, four or eight.
    pub fn whole_digits(self) -> impl Iterator<Item = Self> {
        self.0.subnets(self.length().next_multiple_of(4)).into_iter().flatten().map(Self)
    }

    /// Why this is no network of clients out in the internet, if it overlaps with one that is not.
    pub fn special(&self) -> Option<(Self, &'static str)> {
        let mut parsed = SPECIAL.iter().filter_map(|(text, why)| Some((text.parse::<Self>().ok()?, *why)));
        parsed.find(|(special, _)| special.covers(self) || self.covers(special))
    }

    /// The network with its length, also where it is one address: what nginx's `geo` wants.
    pub fn with_length(&self) -> String {
        self.0.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length() == self.0.max_prefix_len() { self.address().fmt(f) } else { self.0.fmt(f) }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (before, length) = text.split_once('/').map_or((text, None), |(before, length)| (before, Some(length)));
        let address: IpAddr = before.parse().map_err(|_| {
            format!(
                "{text} is neither an address nor a network. Write it like 192.0.2.7, 192.0.2.0/24, 2001:db8::7 or \
                 2001:db8::/32"
            )
        })?;
        let one = IpNet::from(address);
        let most = one.max_prefix_len();
        let net = length.map_or(Some(one), |digits| IpNet::new(address, number(digits)?).ok()).ok_or_else(|| {
            format!("{text} has a wrong prefix length: after the slash comes a plain number from 0 to {most}")
        })?;
        let (network, length) = (Self(net.trunc()), net.prefix_len());
        if address.to_canonical() != address && length >= 96 {
            return Err(format!(
                "{text} is an IPv4 address within an IPv6 one, and never seen by a web server like this. Write it as IPv4"
            ));
        }
        if network.address() != address {
            return Err(format!(
                "{text} has bits set after the first {length}. The network is {network}; write that, or leave the slash \
                 out for the one address"
            ));
        }
        Ok(network)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn any_network() -> impl Strategy<Value = Network> {
        // Few different bits, so that networks lie within each other.
        let address = prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            prop::array::uniform4(0..3_u8).prop_map(IpAddr::from),
            any::<[u16; 8]>().prop_map(IpAddr::from),
            (0..3_u16, 0..3_u16).prop_map(|(a, b)| IpAddr::from([0x2001, 0xdb8, a, 0, 0, 0, 0, b])),
        ];
        (address, 0..=128_u8)
            .prop_map(|(address, length)| {
                let length = if address.is_ipv4() { length % 33 } else { length };
                Network(IpNet::new(address, length).unwrap().trunc())
            })
            .prop_filter("IPv4 within IPv6", |network| network.to_string().parse::<Network>().is_ok())
    }

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn texts_are_read_strictly() {
        for text in ["192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::1", "::/0", "198.51.100.128/25"] {
            assert_eq!(network(text).to_string(), text);
        }
        assert_eq!(network("192.0.2.7/32").to_string(), "192.0.2.7");
        for text in ["", "a", "192.0.2", "192.0.2.07", "fe80::1%em0", "/8", " 10.0.0.0/8"] {
            assert!(text.parse::<Network>().unwrap_err().contains("is neither an address nor"), "{text}");
        }
        for text in ["192.0.2.0/", "192.0.2.0/33", "192.0.2.0/+24", "192.0.2.0/024", "::/129", "::/8/9"] {
            assert!(text.parse::<Network>().unwrap_err().contains("has a wrong prefix length"), "{text}");
        }
        for text in ["::ffff:192.0.2.1", "::ffff:192.0.2.0/120"] {
            assert!(text.parse::<Network>().unwrap_err().contains("is an IPv4 address within"), "{text}");
        }
    }

    #[test]
    fn host_bits_are_refused_with_the_network_that_was_meant() {
        let error = "192.0.2.7/24".parse::<Network>().unwrap_err();
        assert!(error.contains("The network is 192.0.2.0/24; write that"), "{error}");
        let error = "2001:db8::1/32".parse::<Network>().unwrap_err();
        assert!(error.contains("The network is 2001:db8::/32;"), "{error}");
    }

    #[test]
    fn networks_contain_their_addresses() {
        assert!(network("10.0.0.0/8").contains("10.255.0.1".parse().unwrap()));
        assert!(network("10.0.0.0/8").contains("::ffff:10.255.0.1".parse().unwrap()));
        assert!(!network("10.0.0.0/8").contains("11.0.0.0".parse().unwrap()));
        assert!(!network("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(network("::/0").contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn digits_are_those_of_the_prefix() {
        assert_eq!(network("192.0.2.0/24").digits(), "4c00002");
        assert_eq!(network("2001:db8::/32").digits(), "620010db8");
        assert_eq!(network("0.0.0.0/0").digits(), "4");
        let parts = |text: &str| network(text).whole_digits().map(|part| part.to_string()).collect::<Vec<_>>();
        assert_eq!(parts("192.0.2.0/23"), ["192.0.2.0/24", "192.0.3.0/24"]);
        assert_eq!(parts("192.0.2.0/29").len(), 8);
        assert_eq!(parts("0.0.0.0/0"), ["0.0.0.0/0"]);
        assert_eq!(parts("::/1").last().unwrap(), "7000::/4");
        assert_eq!(parts("192.0.2.7"), ["192.0.2.7"]);
    }

    #[test]
    fn special_networks_are_known() {
        for text in ["10.1.0.0/16", "127.0.0.1", "::1", "fd00::/8", "0.0.0.0/0", "192.0.0.0/4", "::/0"] {
            assert!(network(text).special().is_some(), "{text}");
        }
        assert_eq!(network("192.168.7.0/24").special(), Some((network("192.168.0.0/16"), "private")));
        for text in ["1.1.1.1", "2001:db8::/32", "203.0.113.0/24"] {
            assert_eq!(network(text).special(), None, "{text}");
        }
        for (text, _) in SPECIAL {
            assert!(text.parse::<Network>().is_ok(), "{text}");
        }
    }

    #[test]
    fn shares_add_up_to_all() {
        assert_eq!(network("0.0.0.0/0").share(), 1 << 64);
        assert_eq!(network("0.0.0.0/1").share() + network("128.0.0.0/1").share(), 1 << 64);
        assert_eq!(network("2001:db8::/64").share(), 1);
        assert_eq!(network("2001:db8::1").share(), 0);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(network in any_network()) {
            prop_assert_eq!(network.to_string().parse::<Network>().unwrap(), network);
            prop_assert_eq!(network.with_length().parse::<Network>().unwrap(), network);
        }

        #[test]
        fn the_parts_are_the_whole(network in any_network()) {
            let parts: Vec<_> = network.whole_digits().collect();
            prop_assert!(parts.iter().all(|part| network.covers(part) && part.length() % 4 == 0));
            let distinct: std::collections::BTreeSet<_> = parts.iter().collect();
            prop_assert_eq!(distinct.len(), 1 << (parts[0].length() - network.length()));
        }
    }
}
