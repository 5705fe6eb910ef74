//! Every kind of rule but `rate`, hit and missed, on both web servers.

use gts_bootstrap::filter::{List, Lists};

use super::client;
use super::front::{BOTH, Front};

const STRANGER: &str = "198.51.100.9";
const BROWSER: &str = "Mozilla/5.0 (X11; FreeBSD amd64; rv:140.0) Gecko/20100101 Firefox/140.0";

#[test]
fn without_rules_everything_passes() {
    for kind in BOTH {
        let front = Front::start(kind, "");
        for (address, agent, path) in [
            (STRANGER, BROWSER, "/"),
            ("2001:db8::1", "", "/users/alice/inbox"),
            ("10.0.0.1", "GPTBot", "/a/../settings"),
        ] {
            assert_eq!(front.status(address, agent, path), 200, "{kind:?} {address} {path}");
        }
    }
}

#[test]
fn addresses_and_networks() {
    let rules = "deny 192.0.2.7\ndeny 198.51.100.0/23\nallow 198.51.100.64/27\ndeny 198.51.100.65\ndeny 203.0.113.128/25\ndeny 64.0.0.0/3\n\
                 deny 2001:db8::/33\nallow 2001:db8:42::/48\ndeny 2001:db8:42::7\ndeny 2400::/12\ndeny 2a01:4f8:0:a000::/51\n";
    for kind in BOTH {
        let front = Front::start(kind, rules);
        for (address, status) in [
            ("192.0.2.7", 403),
            ("192.0.2.6", 200),
            ("192.0.2.70", 200),
            ("198.51.100.0", 403),
            ("198.51.101.255", 403),
            ("198.51.102.0", 200),
            ("198.51.100.63", 403),
            ("198.51.100.64", 200),
            ("198.51.100.65", 403),
            ("198.51.100.95", 200),
            ("198.51.100.96", 403),
            ("203.0.113.127", 200),
            ("203.0.113.128", 403),
            ("95.255.255.255", 403),
            ("96.0.0.0", 200),
            ("63.255.255.255", 200),
            ("2001:db8::", 403),
            ("2001:db8:7fff:ffff:ffff:ffff:ffff:ffff", 403),
            ("2001:db8:8000::", 200),
            ("2001:db8:42::1", 200),
            ("2001:db8:42::7", 403),
            ("2001:db8:42:0:1:2:3:4", 200),
            ("2001:db8:41:1:2:3:4:5", 403),
            ("2001:db8:0:1::5", 403),
            ("2400::1", 403),
            ("240f:1:2:3:4:5:6:7", 403),
            ("2410::1", 200),
            ("2a01:4f8:0:a000::", 403),
            ("2a01:4f8:0:bfff::1", 403),
            ("2a01:4f8:0:c000::1", 200),
            ("::2", 200),
            ("1::", 200),
        ] {
            assert_eq!(front.status(address, BROWSER, "/@alice"), status, "{kind:?} {address}");
        }
    }
}

/// Every length of a prefix, its first and last address, and those beside it.
#[test]
fn every_length_of_a_prefix() {
    let four = |bits: u32| std::net::Ipv4Addr::from(bits).to_string();
    let six = |bits: u128| std::net::Ipv6Addr::from(bits).to_string();
    let mut rules = String::new();
    let mut asked: Vec<(String, u16)> = Vec::new();
    for length in 8..=32_u32 {
        // Each in a network of its own: 64.0.0.0/8 to 88.0.0.0/8.
        let first = (56 + length) << 24;
        let last = first + u32::try_from((1_u64 << (32 - length)) - 1).unwrap();
        rules.push_str(&format!("deny {}/{length}\n", four(first)));
        asked.extend([(four(first), 403), (four(last), 403), (four(first - 1), if length == 9 { 403 } else { 200 })]);
        if length > 8 {
            asked.push((four(last + 1), 200));
        }
    }
    for length in (16..=128_u32).step_by(3) {
        let first = u128::from(0x2100 + length) << 112;
        let last = first + (u128::MAX >> length);
        rules.push_str(&format!("deny {}/{length}\n", six(first)));
        asked.extend([(six(first), 403), (six(last), 403), (six(first - 1), 200)]);
        if length > 16 {
            asked.push((six(last + 1), 200));
        }
    }
    for kind in BOTH {
        let front = Front::start(kind, &rules);
        for (address, status) in &asked {
            assert_eq!(front.status(address, "", "/"), *status, "{kind:?} {address}");
        }
    }
}

#[test]
fn everybody() {
    for kind in BOTH {
        let front = Front::start(kind, "deny 0.0.0.0/0\ndeny ::/0\nallow 192.0.2.0/24\n");
        for (address, status) in [("1.1.1.1", 403), ("192.0.2.1", 200), ("2606:4700::1111", 403), ("ff::", 403)] {
            assert_eq!(front.status(address, BROWSER, "/"), status, "{kind:?} {address}");
        }
    }
}

#[test]
fn this_machine_is_never_refused() {
    let rules = "deny 0.0.0.0/0\ndeny ::/0\ndeny agent *\nprotect / from 192.0.2.1\nprotect /settings from 192.0.2.1\n";
    for kind in BOTH {
        let front = Front::start(kind, rules);
        for address in ["127.0.0.1", "127.200.1.1", "::1"] {
            for path in ["/", "/settings", "/a/../b"] {
                assert_eq!(front.status(address, "GPTBot", path), 200, "{kind:?} {address} {path}");
            }
            // What stands behind the filters is still done.
            assert_eq!(client::get(front.port, address, "", "/livez").status, 404, "{kind:?}");
        }
    }
}

#[test]
fn what_stands_behind_the_filters_is_done_for_everybody() {
    let rules = "deny 192.0.2.0/24\nallow 192.0.2.1\ndeny 2001:db8::/32\nprotect /a from 10.0.0.0/8\nprotect /b from ::1\nprotect /c from ::1\n";
    for kind in BOTH {
        let front = Front::start(kind, rules);
        for address in [STRANGER, "192.0.2.1", "2001:db9::1"] {
            assert_eq!(client::get(front.port, address, "", "/livez").status, 404, "{kind:?} {address}");
        }
    }
}

#[test]
fn agents() {
    let rules = "deny agent GPTBot\ndeny agent \"Foo (x; # 1.0\"\ndeny agent 'it''s*{2}$\\d^|[a]\ndeny agent one*two*three\nallow 192.0.2.0/24\n";
    for kind in BOTH {
        let front = Front::start(kind, rules);
        for (agent, status) in [
            (BROWSER, 200),
            ("", 200),
            ("Mozilla/5.0 AppleWebKit/537.36 (compatible; gptbot/1.2; +https://openai.com/gptbot)", 403),
            ("GPT Bot", 200),
            ("a foo (x; # 1.0)", 403),
            ("Foo (x; # 1x0", 200),
            ("'it''s{2}$\\d^|[a]", 403),
            ("'it''ss2", 200),
            ("ONE and two and three", 403),
            ("two one three", 200),
            ("onetwothree", 403),
        ] {
            assert_eq!(front.status(STRANGER, agent, "/"), status, "{kind:?} {agent}");
            assert_eq!(front.status("192.0.2.9", agent, "/"), 200, "{kind:?} {agent}: the address is allowed");
        }
    }
}

/// A pattern with many stars must not keep the web server busy until it gives up, which nginx logs as a failure. The last
/// letter is there, so that it cannot see at once that the pattern does not fit.
#[test]
fn a_long_agent_is_answered() {
    for kind in BOTH {
        let front = Front::start(kind, "deny agent a*a*a*a*a*a*a*a*a*a*xb\n");
        let agent = "a".repeat(7000);
        assert_eq!(front.status(STRANGER, &format!("{agent}yb"), "/"), 200, "{kind:?}");
        assert_eq!(front.status(STRANGER, &format!("{agent}xb"), "/"), 403, "{kind:?}");
        assert!(!front.log().contains("failed"), "{kind:?}: {}", front.log());
    }
}

#[test]
fn protected_paths() {
    let rules = "protect /settings from 10.0.0.0/8 192.0.2.7 fd00::/8\nprotect /settings/open from 0.0.0.0/0 ::/0\nprotect /api/v1/admin from 10.0.0.0/8\n";
    for kind in BOTH {
        let front = Front::start(kind, rules);
        for (path, stranger) in [
            ("/", 200),
            ("/settings", 403),
            ("/settings/", 403),
            ("/settings/user?x=1", 403),
            ("/settingsx", 200),
            ("/settings.css", 200),
            ("/x/settings", 200),
            ("/%73ettings", 403),
            ("/settings%2Fuser", 403),
            ("/settings%2fuser", 403),
            ("//settings", 403),
            ("/settings//user", 403),
            ("/%2Fsettings", 403),
            ("/settings?", 403),
            ("/?/settings", 200),
            ("/settings/open", 200),
            ("/settings/open/x", 200),
            ("/settings/opened", 403),
            ("/api/v1/admin/accounts", 403),
            ("/api%2Fv1%2fadmin/accounts", 403),
            ("/api/v1/instance", 200),
            // GoToSocial does not resolve these, and would take the first for /settings.
            ("/settings/../x", 403),
            ("/settings/%2e%2E/x", 403),
            ("/settings/.%2e/x", 403),
            ("/settings/..", 403),
            ("/settings%2F..%2Fx", 403),
            ("/x/../settings", 403),
            ("/x/./y", 403),
            ("/x?y=/../settings", 200),
            ("/.well-known/webfinger?resource=acct:a@b", 200),
            ("/x/...", 200),
        ] {
            assert_eq!(front.status(STRANGER, "", path), stranger, "{kind:?} {path}");
            assert_eq!(front.status("2001:db8::1", "", path), stranger, "{kind:?} {path}");
            if !path.split('?').next().unwrap().to_lowercase().replace("%2e", ".").replace("%2f", "/").contains("/.")
                || stranger == 200
            {
                assert_eq!(front.status("10.1.2.3", "", path), 200, "{kind:?} {path}");
            }
        }
        for (address, path, status) in [
            ("192.0.2.7", "/settings/x", 200),
            ("192.0.2.8", "/settings/x", 403),
            ("192.0.2.7", "/api/v1/admin", 403),
            ("fd00::1", "/settings", 200),
            ("fe00::1", "/settings", 403),
        ] {
            assert_eq!(front.status(address, "", path), status, "{kind:?} {address} {path}");
        }
    }
}

#[test]
fn a_path_reaches_the_backend_as_it_came() {
    for kind in BOTH {
        let front = Front::start(kind, "protect /settings from ::1\ndeny 192.0.2.1\n");
        let answer = front.get(STRANGER, "", "/a%2Fb/%7Ec?d=%20");
        assert!(answer.body.starts_with("GET /a%2Fb/%7Ec?d=%20 HTTP/1"), "{kind:?} {}", answer.body);
    }
}

#[test]
fn lists() {
    let list = List::import("203.0.113.0/24\n198.51.100.9\n2001:db8::/32\n", false).unwrap();
    for kind in BOTH {
        let lists = Lists([("drop".parse().unwrap(), list.clone())].into());
        let front = Front::start_with(kind, "deny file drop\nallow 203.0.113.128/25\nallow 2001:db8:1::/48\n", lists);
        for (address, status) in [
            (STRANGER, 403),
            ("198.51.100.8", 200),
            ("203.0.113.1", 403),
            ("203.0.113.200", 200),
            ("2001:db8::1", 403),
            ("2001:db8:1::1", 200),
        ] {
            assert_eq!(front.status(address, "", "/"), status, "{kind:?} {address}");
        }
    }
}
