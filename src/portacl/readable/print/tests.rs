use super::*;
use crate::portacl::names::NumbersOnly;
use crate::portacl::names::strategies::{FewNames, names};
use crate::portacl::readable::render;
use crate::portacl::state::strategies::state;
use crate::portacl::{Protocol, Request, may_bind};
use proptest::prelude::*;

fn loaded(list: &str, reservedhigh: i32) -> State {
    State::new(list, Policy { loaded: true, reservedhigh, ..Policy::default() }).unwrap()
}

fn some_names() -> FewNames {
    let service = |name: &str, port| (name.to_owned(), port, Protocol::Tcp);
    FewNames {
        users: vec![("root".to_owned(), 0), ("toor".to_owned(), 0), ("gotosocial".to_owned(), 209)],
        groups: vec![("www".to_owned(), 80)],
        services: vec![service("http", 80), service("https", 443)],
    }
}

fn shown(now: &State, next_boot: Option<&State>) -> String {
    render(&print(now, next_boot, &some_names(), false))
}

fn note_of(list: &str, policy: Policy) -> (bool, String) {
    let state = State::new(list, policy).unwrap();
    let line = print(&state, None, &NumbersOnly, true).swap_remove(0);
    (line.effective, line.note.unwrap_or_default())
}

const OURS: &str = "uid:209:tcp:80,uid:209:tcp:443";

#[test]
fn reads_as_pf_does() {
    assert_eq!(
        shown(&loaded(OURS, 79), None),
        "pass  proto tcp  port 80 (http)    user gotosocial (209)\n\
         pass  proto tcp  port 443 (https)  user gotosocial (209)\n\
         pass  proto any  port 1-1023       user root            # suser_exempt\n\
         block proto any  port 80-1023      all                  # mac_portacl default\n\
         block proto any  port 1-79         all                  # reservedhigh 79\n"
    );
}

#[test]
fn numbers_only_has_no_names() {
    assert_eq!(
        render(&print(&loaded(OURS, 79), None, &some_names(), true)),
        "pass  proto tcp  port 80       user 209\n\
         pass  proto tcp  port 443      user 209\n\
         pass  proto any  port 1-1023   user 0  # suser_exempt\n\
         block proto any  port 80-1023  all     # mac_portacl default\n\
         block proto any  port 1-79     all     # reservedhigh 79\n"
    );
}

#[test]
fn groups_udp_root_and_ids_that_nobody_has() {
    let rules = "gid:80:udp:80,uid:0:tcp:80,uid:5:tcp:81,gid:4294967376:tcp:443,uid:-1:tcp:82";
    assert_eq!(
        shown(&loaded(rules, 0), None),
        "pass  proto udp  port 80           group www (80)\n\
         pass  proto tcp  port 80 (http)    user root (0)\n\
         pass  proto tcp  port 81           user 5\n\
         pass  proto tcp  port 443 (https)  group 4294967376  # written \"gid:4294967376:tcp:443\", which the kernel takes for group 80\n\
         pass  proto tcp  port 82           user -1           # no effect: no user has an id outside 0-4294967295\n\
         pass  proto any  port 1-1023       user root         # suser_exempt\n\
         block proto any  port 1-1023       all               # mac_portacl default\n"
    );
}

#[test]
fn what_differs_from_the_next_boot_has_a_sign() {
    let now = loaded(OURS, 79);
    assert_eq!(shown(&now, Some(&now)), shown(&now, None));
    assert_eq!(
        shown(&now, Some(&loaded("uid:209:tcp:80,gid:80:tcp:81", 79))),
        "  pass  proto tcp  port 80 (http)    user gotosocial (209)\n\
         - pass  proto tcp  port 443 (https)  user gotosocial (209)\n\
         + pass  proto tcp  port 81           group www (80)\n  \
           pass  proto any  port 1-1023       user root            # suser_exempt\n  \
           block proto any  port 80-1023      all                  # mac_portacl default\n  \
           block proto any  port 1-79         all                  # reservedhigh 79\n"
    );
    let open = State::new("", Policy { reservedhigh: 79, ..Policy::default() }).unwrap();
    let lines = print(&now, Some(&open), &NumbersOnly, false);
    let signs: Vec<Sign> = lines.iter().map(|line| line.sign).collect();
    assert_eq!(lines.last().unwrap().note.as_deref(), Some("OPEN: mac_portacl is not loaded"));
    assert_eq!(signs.iter().filter(|&&sign| sign == Sign::Both).count(), 1);
}

#[test]
fn a_rule_without_effect_says_why() {
    let policy = || Policy { loaded: true, reservedhigh: 79, ..Policy::default() };
    for (list, policy, expected) in [
        ("uid:1:tcp:80", Policy { loaded: false, ..policy() }, "no effect: mac_portacl is not loaded"),
        ("uid:1:tcp:80", Policy { enabled: 0, ..policy() }, "no effect: mac_portacl is switched off"),
        ("uid:4294967296:tcp:80", policy(), "no effect: no user has an id outside 0-4294967295"),
        ("uid:1:tcp:0", policy(), "no effect: port 0 asks for any free port, which needs no rule"),
        ("uid:1:tcp:8080", policy(), "no effect: above port_high 1023"),
        ("uid:1:tcp:79", policy(), "no effect: reservedhigh 79 covers the port"),
        (
            "gid:1:tcp:50",
            Policy { reservedlow: 50, ..policy() },
            "no effect: reservedlow 50, reservedhigh 79 covers the port",
        ),
    ] {
        assert_eq!(note_of(list, policy), (false, expected.to_owned()), "{list}");
    }
    assert_eq!(note_of("uid:0:tcp:79", policy()), (true, String::new()));
    assert_eq!(note_of("uid:1:tcp:0", Policy { autoport_exempt: 0, ..policy() }), (true, String::new()));
    let strict = Policy { suser_exempt: 0, ..policy() };
    assert_eq!(note_of("gid:1:tcp:79", strict), (true, "for root alone: reservedhigh 79".to_owned()));
}

#[test]
fn an_odd_spelling_is_shown_if_it_means_something_else() {
    let policy = || Policy { loaded: true, reservedhigh: 0, ..Policy::default() };
    for text in ["uid:209:tcp:65616", "uid::tcp:80", "uid:209:tcp:-65456", "gid::tcp:80"] {
        assert_eq!(note_of(text, policy()).1, format!("written \"{text}\""));
    }
    for text in ["uid:209:tcp:80", "uid:+209:tcp:080", "uid: 209:tcp:80", "uid:-0:tcp:80", "uid:00:tcp:1"] {
        assert_eq!(note_of(text, policy()).1, "", "{text}");
    }
    assert_eq!(
        note_of("uid:\n209:tcp:", policy()).1,
        "no effect: port 0 asks for any free port, which needs no rule; written \"uid:\\n209:tcp:\""
    );
    assert!(note_of(&format!("uid:{}:tcp:80", "9".repeat(20)), policy()).1.contains("; written \"uid:999"));
    assert_eq!(
        note_of("gid:-1:tcp:80", policy()).1,
        "written \"gid:-1:tcp:80\", which the kernel takes for group 4294967295"
    );
}

#[test]
fn a_line_is_data_for_machines() {
    let line = print(&loaded(OURS, 79), None, &some_names(), false).swap_remove(0);
    assert_eq!(
        serde_json::to_string(&line).unwrap(),
        r#"{"sign":"both","action":"pass","protocol":"tcp","ports":{"first":80,"last":80},"service":"http","subject":{"kind":"user","id":209,"name":"gotosocial"},"note":null,"effective":true,"root_alone":false,"implied":false}"#
    );
}

/// Applies the table as the documentation of its module says.
fn table_allows(lines: &[Line], request: &Request<'_>) -> bool {
    let applies = |line: &&Line| {
        let protocol = line.protocol.is_none_or(|protocol| protocol == request.protocol);
        let subject = match line.subject {
            Whom::All => true,
            Whom::User { id, .. } => i64::from(request.uid) == id,
            Whom::Group { id, .. } => request.groups.contains(&(id as u32)),
        };
        line.effective
            && protocol
            && (line.ports.first..=line.ports.last).contains(&request.port)
            && subject
            && (!line.root_alone || request.uid == 0)
    };
    lines.iter().find(applies).is_none_or(|line| line.action == Action::Pass)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_table_says_what_the_evaluator_says(
        state in state(),
        names in names(),
        uid in prop_oneof![3 => 0..4_u32, 1 => any::<u32>()],
        groups in prop::collection::vec(prop_oneof![3 => 0..4_u32, 1 => any::<u32>()], 1..4),
        random in prop::collection::vec(any::<u16>(), 8),
    ) {
        let lines = print(&state, None, &names, false);
        let policy = &state.policy;
        // Every port at which anything can change, and the ports next to it.
        let bounds = [policy.port_high, policy.reservedlow, policy.reservedhigh, 0, 1023, 65535];
        let rules = policy.rules.iter().map(|rule| i32::from(rule.port));
        let near = bounds.into_iter().chain(rules).flat_map(|port| [port.saturating_sub(1), port, port.saturating_add(1)]);
        for port in near.filter_map(|port| u16::try_from(port).ok()).chain(random) {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let request = Request { uid, groups: &groups, protocol, port, privileged: uid == 0 };
                prop_assert_eq!(
                    table_allows(&lines, &request),
                    may_bind(policy, &request).errno().is_none(),
                    "{}/{:?}:\n{}", port, protocol, render(&lines)
                );
            }
        }
    }

    #[test]
    fn the_differences_hold_both_sides_in_order(now in state(), next in state(), turned in any::<bool>()) {
        let next = if turned { State { policy: Policy { rules: next.policy.rules, ..now.policy.clone() }, ..next } } else { next };
        let lines = print(&now, Some(&next), &NumbersOnly, false);
        let side = |other: Sign| -> Vec<Line> {
            lines.iter().filter(|line| line.sign != other).map(|line| Line { sign: Sign::Both, ..line.clone() }).collect()
        };
        prop_assert_eq!(side(Sign::NextBootOnly), print(&now, None, &NumbersOnly, false));
        prop_assert_eq!(side(Sign::NowOnly), print(&next, None, &NumbersOnly, false));
    }
}
