//! The kernel's form of the rules. Input: four bytes for the policy, then a list, and after a NUL the list of the next
//! boot.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::portacl::{KernelRule, State, parse_kernel, parse_strict, replace};
use parsers::{check_printed_reads_the_same, policy};

fuzz_target!(|data: &[u8]| {
    let Some((&switches, lists)) = data.split_first_chunk::<4>() else { return };
    let Ok(lists) = std::str::from_utf8(lists) else { return };
    let (now, next_boot) = lists.split_once('\0').unwrap_or((lists, ""));
    let kernel = parse_kernel(now);
    if let Ok(strict) = parse_strict(now) {
        let spelt: Vec<_> = strict.iter().map(ToString::to_string).collect();
        assert_eq!(spelt.join(","), now);
        let lenient: Vec<_> = kernel.iter().flatten().map(KernelRule::effective).collect();
        assert_eq!(lenient, strict.into_iter().map(Some).collect::<Vec<_>>());
    }
    let Ok(now) = State::new(now, policy(switches)) else {
        assert!(kernel.is_err());
        return;
    };
    let meaning = |state: &State| state.policy.rules.iter().map(KernelRule::meaning).collect::<Vec<_>>();
    assert_eq!(replace(&now.list, &meaning(&now)).as_deref(), Ok(now.list.as_str()));
    // The other policy has every switch the other way round.
    let Ok(next_boot) = State::new(next_boot, policy(switches.map(|byte| !byte))) else { return };
    if let Ok(list) = replace(&now.list, &meaning(&next_boot)) {
        let read: Vec<_> = parse_kernel(&list).iter().flatten().map(KernelRule::meaning).collect();
        assert_eq!(read, meaning(&next_boot));
    }
    check_printed_reads_the_same(&now, &next_boot);
});
