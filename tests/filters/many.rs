//! A hundred thousand entries.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use gts_bootstrap::filter::{List, Lists};

use super::front::{BOTH, Front};

/// The entry with this number, and an address right behind it that is in none. Three quarters are single addresses or
/// small networks of IPv4, one quarter networks of IPv6.
fn entry(number: u32) -> (String, String, String) {
    if number % 4 == 3 {
        let first = (0x2a00_u128 << 112) + (u128::from(number) << 80);
        let inside = Ipv6Addr::from(first + 7).to_string();
        return (format!("{}/49", Ipv6Addr::from(first)), inside, Ipv6Addr::from(first + (1 << 79)).to_string());
    }
    // Spread over 16.0.0.0 to 98.255.255.255, eight addresses apart at least.
    let first = 0x1000_0000 + number * 13_888 / 8 * 8;
    let length = 32 - number % 3;
    let behind = first + (1 << (32 - length));
    (
        format!("{}/{length}", Ipv4Addr::from(first)),
        Ipv4Addr::from(first).to_string(),
        Ipv4Addr::from(behind).to_string(),
    )
}

#[test]
fn a_hundred_thousand_load_and_decide() {
    let mut text = String::new();
    for number in 0..100_000 {
        writeln!(text, "{}", entry(number).0).unwrap();
    }
    let list = List::import(&text, false).unwrap();
    assert_eq!(list.networks().len(), 100_000);
    for kind in BOTH {
        let lists = Lists([("many".parse().unwrap(), list.clone())].into());
        let begin = Instant::now();
        let front = Front::start_with(kind, "deny file many\n", lists);
        // Generous: it is there to notice minutes, not milliseconds.
        assert!(begin.elapsed() < Duration::from_secs(60), "{kind:?} took {:?}", begin.elapsed());
        for number in [0, 1, 2, 3, 49_999, 50_000, 99_996, 99_997, 99_998, 99_999] {
            let (_, inside, behind) = entry(number);
            assert_eq!(front.status(&inside, "", "/"), 403, "{kind:?} {inside}");
            assert_eq!(front.status(&behind, "", "/"), 200, "{kind:?} {behind}");
        }
        for address in ["8.8.8.8", "255.255.255.254", "0.0.0.1", "2001:4860:4860::8888"] {
            assert_eq!(front.status(address, "", "/"), 200, "{kind:?} {address}");
        }
    }
}
