//! The kernel's own steps in its own order, for the tests only: the reference for [`parse_kernel`] and [`may_bind`].
//!
//! Follows `parse_rules()`, `parse_rule_element()`, `socket_check_bind()` and `rules_check()` in
//! `sys/security/mac_portacl/mac_portacl.c`, `strtol()` in `sys/libkern/strtol.c`, and the check of the reserved ports
//! in `in_pcbbind_setup()` of `sys/netinet/in_pcb.c`. It is written to be compared with those line by line, and shares
//! nothing with the code it verifies but the types of the requests.
//!
//! [`parse_kernel`]: super::parse_kernel
//!
//! [`may_bind`]: super::may_bind

use super::state::strategies::state;
use super::{Decision, Errno, KernelId, Policy, Protocol, Request, kernel, may_bind, parse_kernel};
use crate::portacl::rule::strategies;
use proptest::prelude::*;

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;

/// `struct rule`.
struct CRule {
    id: i64,
    idtype: IdType,
    port: u16,
    protocol: Protocol,
}

#[derive(Clone, Copy, PartialEq)]
enum IdType {
    Gid,
    Uid,
}

/// `strtol(text, &end, 10)`: the value, and the offset of `end`.
fn strtol(text: &[u8]) -> (i64, usize) {
    let at = |index: usize| text.get(index).copied().unwrap_or(0);
    let mut index = 0;
    let mut character;
    loop {
        character = at(index);
        index += 1;
        if !(character == b' ' || (b'\t'..=b'\r').contains(&character)) {
            break;
        }
    }
    let negative = character == b'-';
    if character == b'-' || character == b'+' {
        character = at(index);
        index += 1;
    }
    let limit: u64 = if negative { 1 << 63 } else { i64::MAX.unsigned_abs() };
    let (cutoff, cutlim) = (limit / 10, limit % 10);
    let (mut value, mut any) = (0_u64, 0);
    while character.is_ascii_digit() {
        let digit = u64::from(character - b'0');
        if any < 0 || value > cutoff || (value == cutoff && digit > cutlim) {
            any = -1;
        } else {
            any = 1;
            value = value * 10 + digit;
        }
        character = at(index);
        index += 1;
    }
    let value = match (any < 0, negative) {
        (true, true) => i64::MIN,
        (true, false) => i64::MAX,
        (false, true) => (value as i64).wrapping_neg(),
        (false, false) => value as i64,
    };
    (value, if any == 0 { 0 } else { index - 1 })
}

/// `strsep(&rest, delimiter)`.
fn strsep<'a>(rest: &mut Option<&'a [u8]>, delimiter: u8) -> Option<&'a [u8]> {
    let text = (*rest)?;
    match text.iter().position(|&byte| byte == delimiter) {
        Some(end) => {
            *rest = Some(&text[end + 1..]);
            Some(&text[..end])
        }
        None => {
            *rest = None;
            Some(text)
        }
    }
}

fn parse_rule_element(element: &[u8]) -> Result<CRule, i32> {
    let mut element = Some(element);
    let Some(idtype) = strsep(&mut element, b':') else { return Err(EINVAL) };
    let Some(id) = strsep(&mut element, b':') else { return Err(EINVAL) };
    let (r_id, end) = strtol(id);
    if end != id.len() {
        return Err(EINVAL);
    }
    let r_idtype = if idtype == b"uid" {
        IdType::Uid
    } else if idtype == b"gid" {
        IdType::Gid
    } else {
        return Err(EINVAL);
    };
    let Some(protocol) = strsep(&mut element, b':') else { return Err(EINVAL) };
    let r_protocol = if protocol == b"tcp" {
        Protocol::Tcp
    } else if protocol == b"udp" {
        Protocol::Udp
    } else {
        return Err(EINVAL);
    };
    let Some(portnumber) = element else { return Err(EINVAL) };
    let (r_port, end) = strtol(portnumber);
    if end != portnumber.len() {
        return Err(EINVAL);
    }
    Ok(CRule { id: r_id, idtype: r_idtype, port: (r_port & 0xffff) as u16, protocol: r_protocol })
}

/// `parse_rules()`, after the length check of `sysctl_handle_string()`.
fn parse_rules(string: &[u8]) -> Result<Vec<CRule>, i32> {
    if string.len() >= 1024 {
        return Err(EINVAL);
    }
    let mut head = Vec::new();
    let mut rest = Some(string);
    while let Some(element) = strsep(&mut rest, b',') {
        if element.is_empty() {
            continue;
        }
        head.push(parse_rule_element(element)?);
    }
    Ok(head)
}

/// `priv_check_cred(cred, PRIV_NETINET_RESERVEDPORT)`.
fn priv_check_cred(request: &Request<'_>) -> i32 {
    if request.privileged { 0 } else { EPERM }
}

fn rules_check(rules: &[CRule], sysctls: &Policy, request: &Request<'_>) -> i32 {
    let port = request.port;
    if i32::from(port) > sysctls.port_high {
        return 0;
    }
    let mut error = EPERM;
    for rule in rules {
        if request.protocol == Protocol::Udp && rule.protocol != Protocol::Udp {
            continue;
        }
        if request.protocol == Protocol::Tcp && rule.protocol != Protocol::Tcp {
            continue;
        }
        if port != rule.port {
            continue;
        }
        if rule.idtype == IdType::Uid {
            if i64::from(request.uid) == rule.id {
                error = 0;
                break;
            }
        } else if request.groups.first().is_some_and(|&cr_gid| i64::from(cr_gid) == rule.id) {
            error = 0;
            break;
        } else {
            // groupmember(gid_t gid, …)
            let gid = (rule.id & 0xffff_ffff) as u32;
            let mut member = false;
            for &group in request.groups {
                member |= group == gid;
            }
            if member {
                error = 0;
                break;
            }
        }
    }
    if error != 0 && sysctls.suser_exempt != 0 {
        error = priv_check_cred(request);
    }
    error
}

fn socket_check_bind(rules: &[CRule], sysctls: &Policy, request: &Request<'_>) -> i32 {
    if sysctls.enabled == 0 {
        return 0;
    }
    if sysctls.autoport_exempt != 0 && request.port == 0 {
        return 0;
    }
    rules_check(rules, sysctls, request)
}

/// The port check of `in_pcbbind_setup()`: `lport` is the requested port.
fn in_pcbbind_setup(sysctls: &Policy, request: &Request<'_>) -> i32 {
    let lport = i32::from(request.port);
    if lport != 0 && lport <= sysctls.reservedhigh && lport >= sysctls.reservedlow && priv_check_cred(request) != 0 {
        return EACCES;
    }
    0
}

/// bind(2), as far as permissions are concerned: an errno, 0 for success.
fn bind(rules: &[CRule], sysctls: &Policy, request: &Request<'_>) -> i32 {
    if sysctls.loaded {
        let error = socket_check_bind(rules, sysctls, request);
        if error != 0 {
            return error;
        }
    }
    in_pcbbind_setup(sysctls, request)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn numbers_are_read_as_in_c(text in "[ \t\n\r\x0b\x0c]{0,2}[-+]{0,2}[0-9]{0,22}[ a]{0,1}") {
        let (value, used) = strtol(text.as_bytes());
        let expected = (used == text.len()).then_some(value);
        prop_assert_eq!(kernel::strtol(&text), expected);
    }

    #[test]
    fn lists_are_read_as_in_c(elements in prop::collection::vec(strategies::element(), 0..6)) {
        let text = elements.join(",");
        match (parse_kernel(&text), parse_rules(text.as_bytes())) {
            (Ok(ours), Ok(theirs)) => {
                prop_assert_eq!(ours.len(), theirs.len());
                for (rule, c_rule) in ours.iter().zip(&theirs) {
                    let id = match c_rule.idtype {
                        IdType::Uid => KernelId::Uid(c_rule.id),
                        IdType::Gid => KernelId::Gid(c_rule.id),
                    };
                    prop_assert_eq!(rule.meaning(), (id, c_rule.protocol, c_rule.port));
                }
            }
            (Err(_), Err(error)) => prop_assert_eq!(error, EINVAL),
            (ours, theirs) => prop_assert!(false, "{}: {:?}, but in C {:?}", text, ours, theirs.map(|rules| rules.len())),
        }
    }

    #[test]
    fn bind_is_answered_as_in_c(
        state in state(),
        uid in prop_oneof![3 => 0..4_u32, 1 => any::<u32>()],
        groups in prop::collection::vec(prop_oneof![3 => 0..4_u32, 1 => any::<u32>()], 1..4),
        udp in any::<bool>(),
        port in prop_oneof![0..4_u16, 78..82_u16, 1022..1026_u16, any::<u16>()],
        privileged in any::<bool>(),
    ) {
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        let request = Request { uid, groups: &groups, protocol, port, privileged };
        let rules = parse_rules(state.list.as_bytes()).map_err(|_| TestCaseError::fail("refused in C"))?;
        let decision = may_bind(&state.policy, &request);
        let errno = match decision.errno() {
            None => 0,
            Some(Errno::Eperm) => EPERM,
            Some(Errno::Eacces) => EACCES,
        };
        prop_assert_eq!(errno, bind(&rules, &state.policy, &request));
        if let Decision::Rule { index } = decision {
            let rule = &state.policy.rules[index];
            prop_assert_eq!((rule.protocol, rule.port), (protocol, port));
        }
    }
}
