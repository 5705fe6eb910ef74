//! The parsers under test, compiled from their own files.
//!
//! They are pure and need next to nothing, so the rest of the program and all that it depends on stay out of the
//! instrumented build: that takes seconds instead of minutes, and only the parsers count for the coverage.

#[path = "../src/portacl/mod.rs"]
pub mod portacl;
#[path = "../src/sysconf/mod.rs"]
pub mod sysconf;

use portacl::{KernelRule, Names, NumbersOnly, Policy, Protocol, Sign, State};

/// A handful of names, so that the fuzzer can meet them.
pub struct SomeNames;

const IDS: [(&str, u32); 4] = [("root", 0), ("toor", 0), ("www", 80), ("gotosocial", 209)];
const SERVICES: [(&str, u16); 3] = [("http", 80), ("https", 443), ("domain", 53)];

fn name_of<N: PartialEq + Copy>(names: &[(&str, N)], number: N) -> Option<String> {
    names.iter().find(|entry| entry.1 == number).map(|entry| entry.0.to_owned())
}

fn number_of<N: Copy>(names: &[(&str, N)], name: &str) -> Option<N> {
    names.iter().find(|entry| entry.0 == name).map(|entry| entry.1)
}

impl Names for SomeNames {
    fn user(&self, uid: u32) -> Option<String> {
        name_of(&IDS, uid)
    }

    fn uid(&self, name: &str) -> Option<u32> {
        number_of(&IDS, name)
    }

    fn group(&self, gid: u32) -> Option<String> {
        name_of(&IDS, gid)
    }

    fn gid(&self, name: &str) -> Option<u32> {
        number_of(&IDS, name)
    }

    fn service(&self, port: u16, _protocol: Protocol) -> Option<String> {
        name_of(&SERVICES, port)
    }

    fn port(&self, name: &str, _protocol: Protocol) -> Option<u16> {
        number_of(&SERVICES, name)
    }
}

/// Prints what is in force and what will be, and checks that it reads back as the same rules with the same signs.
pub fn check_printed_reads_the_same(now: &State, next_boot: &State) {
    for (names, numbers_only) in [(&SomeNames as &dyn Names, false), (&SomeNames, true), (&NumbersOnly, false)] {
        let lines = portacl::print(now, Some(next_boot), names, numbers_only);
        let text = portacl::render(&lines);
        let ruleset = match portacl::parse_readable(&text, names) {
            Ok(ruleset) => ruleset,
            Err(errors) => panic!("what was printed is refused: {}\n{text}", errors[0]),
        };
        assert_eq!(ruleset.rules.len() + ruleset.implied.len(), lines.len(), "{text}");
        for (state, other) in [(now, Sign::NextBootOnly), (next_boot, Sign::NowOnly)] {
            let read = ruleset.rules.iter().filter(|rule| rule.sign != other).map(|rule| rule.meaning);
            assert!(read.eq(state.policy.rules.iter().map(KernelRule::meaning)), "{text}");
        }
    }
}

/// A policy from four bytes: the switches, and bounds near the ports that matter.
pub fn policy(bytes: [u8; 4]) -> Policy {
    let [switches, high, reserved, low] = bytes;
    let bound = |byte: u8| match byte {
        255 => 1023,
        254 => i32::MAX,
        253 => -1,
        byte => i32::from(byte),
    };
    Policy {
        loaded: switches & 1 == 0,
        enabled: i32::from(switches & 2 == 0),
        suser_exempt: i32::from(switches & 4 == 0),
        autoport_exempt: i32::from(switches & 8 == 0),
        port_high: bound(high),
        rules: Vec::new(),
        reservedlow: bound(low),
        reservedhigh: bound(reserved),
    }
}
