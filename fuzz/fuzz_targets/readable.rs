//! The readable form of the rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::portacl::{KERNEL_LIMIT, Policy, State, parse_readable};
use parsers::{SomeNames, check_printed_reads_the_same};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let ruleset = match parse_readable(text, &SomeNames) {
        Ok(ruleset) => ruleset,
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                let line = text.lines().nth(error.line - 1);
                assert!(line.is_some_and(|line| line.contains(&error.statement)), "{error}");
            }
            return;
        }
    };
    // What was understood is written as the kernel takes it, even where the kernel alone would have it so.
    let rules: Vec<_> = ruleset.rules.iter().map(|rule| rule.meaning).collect();
    let list: Vec<_> = rules.iter().map(|(id, protocol, port)| format!("{id}:{protocol}:{port}")).collect();
    let list = list.join(",");
    if list.len() > KERNEL_LIMIT {
        return;
    }
    let policy = || Policy { loaded: true, ..Policy::default() };
    let (Ok(now), Ok(next_boot)) = (State::new(list.as_str(), policy()), State::new("", policy())) else {
        panic!("the kernel would refuse {list}")
    };
    assert!(now.policy.rules.iter().map(|rule| rule.meaning()).eq(rules));
    check_printed_reads_the_same(&now, &next_boot);
    check_printed_reads_the_same(&next_boot, &now);
});
