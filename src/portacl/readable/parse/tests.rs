use super::*;
use crate::portacl::names::NumbersOnly;
use crate::portacl::names::strategies::{FewNames, names};
use crate::portacl::readable::{Line, print, render};
use crate::portacl::state::strategies::state;
use crate::portacl::{KernelRule, State};
use KernelId::{Gid, Uid};
use Protocol::{Tcp, Udp};
use proptest::prelude::*;

fn some_names() -> FewNames {
    FewNames {
        users: vec![("root".to_owned(), 0), ("gotosocial".to_owned(), 209), ("www".to_owned(), 80)],
        groups: vec![("www".to_owned(), 81)],
        services: vec![
            ("http".to_owned(), 80, Tcp),
            ("https".to_owned(), 443, Tcp),
            ("http".to_owned(), 8080, Udp),
            ("1-2".to_owned(), 12, Tcp),
        ],
    }
}

fn rules(text: &str) -> Vec<Meaning> {
    match parse_readable(text, &some_names()) {
        Ok(ruleset) => ruleset.rules.iter().map(|rule| rule.meaning).collect(),
        Err(errors) => panic!("{text}: {}", errors[0]),
    }
}

fn faults(text: &str) -> Vec<ReadableFault> {
    let errors = parse_readable(text, &some_names()).expect_err(text);
    errors.into_iter().map(|error| error.fault).collect()
}

fn fault(text: &str) -> ReadableFault {
    let mut faults = faults(text);
    assert_eq!(faults.len(), 1, "{text}");
    faults.swap_remove(0)
}

#[test]
fn one_rule_in_every_way_to_write_it() {
    for text in [
        "pass port 80 user 209",
        "pass proto tcp port 80 user gotosocial",
        "  pass   proto tcp\tport http user gotosocial(209)   # comment",
        "pass port { 80 } user gotosocial ( 209 )",
        "pass proto {tcp} port {http(80)} user 209 (209)",
        "pass port 80 (http) user nobody-here (209)",
        "pass port 80 (unheard-of) user 209",
        "pass port unheard-of (80) user 209",
        "pass port 080 user 0209\r\n\n   # nothing else\n",
    ] {
        assert_eq!(rules(text), [(Uid(209), Tcp, 80)], "{text}");
    }
    assert_eq!(rules("pass port 12 (1-2) user 0"), [(Uid(0), Tcp, 12)]);
    assert_eq!(rules("pass port 1-2 user 0"), [(Uid(0), Tcp, 12)]);
    assert_eq!(rules("pass proto udp port 53 group www"), [(Gid(81), Udp, 53)]);
    assert_eq!(rules("pass proto udp port 53 user www"), [(Uid(80), Udp, 53)]);
}

#[test]
fn several_ports_and_protocols_are_one_rule_each() {
    let both = [(Uid(209), Tcp, 80), (Uid(209), Tcp, 443)];
    for ports in ["80,443", "80 , 443", "{ 80 443 }", "{80,443}", "{ 80, https }", "http (80),443 (https)"] {
        assert_eq!(rules(&format!("pass port {ports} user gotosocial")), both, "{ports}");
    }
    for protocols in ["{ tcp udp }", "{tcp,udp}", "{ tcp, udp }"] {
        assert_eq!(
            rules(&format!("pass proto {protocols} port {{ http 443 }} group 5")),
            [(Gid(5), Tcp, 80), (Gid(5), Tcp, 443), (Gid(5), Udp, 8080), (Gid(5), Udp, 443)]
        );
    }
}

#[test]
fn lines_and_signs_are_kept() {
    let ruleset = parse_readable("# mine\n-pass port 80 user 1\n\n + pass port 1,2 user 1\n", &NumbersOnly).unwrap();
    let seen: Vec<_> = ruleset.rules.iter().map(|rule| (rule.line, rule.sign, rule.meaning.2)).collect();
    assert_eq!(seen, [(2, Sign::NowOnly, 80), (4, Sign::NextBootOnly, 1), (4, Sign::NextBootOnly, 2)]);
}

#[test]
fn what_only_the_kernel_would_hold_is_read() {
    assert_eq!(
        rules("pass port 0 user -1\npass port 1 group 4294967296"),
        [(Uid(-1), Tcp, 0), (Gid(4_294_967_296), Tcp, 1)]
    );
}

#[test]
fn implied_lines_are_recognised() {
    let text = "pass proto any port 1-1023 user root # suser_exempt\n\
                - pass proto any port 1 user 0\n\
                pass proto any port 1 user root (0)\n\
                block proto any port 80-1023 all\n\
                + pass proto any port 1-65535 all # OPEN";
    let ruleset = parse_readable(text, &NumbersOnly).unwrap();
    assert_eq!(ruleset.rules, []);
    let root = Whom::User { id: 0, name: None };
    let expected = [
        (1, Sign::Both, Action::Pass, (1, 1023), root.clone()),
        (2, Sign::NowOnly, Action::Pass, (1, 1), root.clone()),
        (3, Sign::Both, Action::Pass, (1, 1), root),
        (4, Sign::Both, Action::Block, (80, 1023), Whom::All),
        (5, Sign::NextBootOnly, Action::Pass, (1, 65535), Whom::All),
    ]
    .map(|(line, sign, action, (first, last), subject)| ImpliedStatement {
        line,
        sign,
        action,
        ports: PortRange { first, last },
        subject,
    });
    assert_eq!(ruleset.implied, expected);
}

#[test]
fn what_mac_portacl_cannot_do_is_explained() {
    assert_eq!(fault("block proto tcp port 80 user www"), ReadableFault::Block);
    assert_eq!(fault("block proto any port 1-70000 all"), ReadableFault::Block);
    assert_eq!(fault("pass proto any port 80 user www"), ReadableFault::AnyProtocol);
    let range = |found: &str| ReadableFault::Range { found: found.to_owned() };
    assert_eq!(fault("pass port 80-90 user www"), range("80-90"));
    assert_eq!(fault("pass port 80:90 user www"), range("80:90"));
    assert_eq!(fault("pass port 80 all"), ReadableFault::All);
    assert_eq!(faults("pass proto any port 1-2000 user www"), [ReadableFault::AnyProtocol, range("1-2000")]);
    assert_eq!(fault("pass in port 80 user www"), expected("“port”", "“in”"));
    assert_eq!(fault("allow port 80 user www"), ReadableFault::Action { found: "allow".to_owned() });
    assert_eq!(fault("pass proto sctp port 80 user www"), ReadableFault::Protocol { found: "sctp".to_owned() });
}

#[test]
fn names_and_numbers_must_exist_and_agree() {
    assert_eq!(fault("pass port 80 user nobody-here"), ReadableFault::UserUnknown { name: "nobody-here".to_owned() });
    assert_eq!(fault("pass port 80 group root"), ReadableFault::GroupUnknown { name: "root".to_owned() });
    assert_eq!(
        fault("pass proto { tcp udp } port https user www"),
        ReadableFault::ServiceUnknown { name: "https".to_owned(), protocol: Udp }
    );
    let contradiction = |bracket: &str, known, port| ReadableFault::PortContradiction {
        bracket: bracket.to_owned(),
        protocol: Tcp,
        known,
        port,
    };
    assert_eq!(fault("pass port 80 (https) user www"), contradiction("https", 443, 80));
    assert_eq!(fault("pass port http (443) user www"), contradiction("443", 443, 80));
    for text in ["pass port 65616 user www", "pass port http (65616) user www"] {
        assert_eq!(fault(text), ReadableFault::PortTooLarge { found: "65616".to_owned() });
    }
    assert_eq!(
        fault("pass proto { tcp udp } port 65616 user www"),
        ReadableFault::PortTooLarge { found: "65616".to_owned() }
    );
    for (word, known) in [("www", Uid(80)), ("7", Uid(7))] {
        assert_eq!(
            fault(&format!("pass port 80 user {word} (209)")),
            ReadableFault::IdContradiction { word: word.to_owned(), known, bracket: 209 }
        );
    }
    let large = "9".repeat(20);
    for subject in [large.clone(), format!("www ({large})")] {
        assert_eq!(fault(&format!("pass port 80 user {subject}")), ReadableFault::IdTooLarge { found: large.clone() });
    }
}

fn expected(expected: &'static str, found: &str) -> ReadableFault {
    ReadableFault::Expected { expected, found: found.to_owned() }
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    let end = "the end of the line";
    for (text, fault_expected) in [
        ("+", expected("“pass”", end)),
        ("pass", expected("“port”", end)),
        ("pass proto", expected("a protocol", end)),
        ("pass proto { } port 80 user www", expected("a protocol", "“}”")),
        ("pass proto { tcp ( port 80 user www", expected("a protocol or “}”", "“(”")),
        ("pass port", expected("a port", end)),
        ("pass port { 80", expected("a port or “}”", end)),
        ("pass port { 80, } user www", expected("a port", "“}”")),
        ("pass port 80, user www", expected("“user” or “group”", "“www”")),
        ("pass port 80 443 user www", expected("“user” or “group”", "“443”")),
        ("pass port 80 (http user www", expected("“)”", "“user”")),
        ("pass port 80 ) user www", expected("“user” or “group”", "“)”")),
        ("pass port 80 () user www", expected("a service or a number", "“)”")),
        ("pass port 80", expected("“user” or “group”", end)),
        ("pass port 80 user", expected("the name or id of a user", end)),
        ("pass port 80 group {", expected("the name or id of a group", "“{”")),
        ("pass port 80 user www (www)", expected("an id in the brackets", "“www”")),
        ("pass port 80 user www port 443", expected(end, "“port”")),
    ] {
        assert_eq!(fault(text), fault_expected, "{text}");
    }
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let text = "pass port 80 user www\npass port smtp,65536 user me # ours\n\n  block proto tcp port 80 all\n";
    let errors = parse_readable(text, &some_names()).unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "Line 2, “pass port smtp,65536 user me”: no user is called “me” here. Correct the name, or write the id of \
             the user.",
            "Line 2, “pass port smtp,65536 user me”: no service is called “smtp” for tcp. Write the number of the port.",
            "Line 2, “pass port smtp,65536 user me”: there is no port 65536. Write a number from 1 to 65535.",
            "Line 4, “block proto tcp port 80 all”: mac_portacl has only permissions: what no rule allows is refused \
             without being named. Leave the line out, and the “pass” rules that allow too much.",
        ]
    );
}

#[test]
fn messages_say_what_to_write() {
    assert_eq!(
        fault("pass port 80").to_string(),
        "here “user” or “group” must follow, not the end of the line. A rule is written like “pass proto tcp port { 80 \
         443 } user www”."
    );
    assert_eq!(
        fault("pass port 80 user www (209)").to_string(),
        "“www” is uid:80, not 209. Correct the one or the other."
    );
    assert_eq!(
        fault("pass port 80 (https) user www").to_string(),
        "“https” is tcp port 443, not 80. Correct the port or the value in brackets."
    );
}

/// A rule as it was printed.
fn printed_rule((number, line): (usize, &Line)) -> (usize, Sign, Meaning) {
    let id = match line.subject {
        Whom::User { id, .. } => Uid(id),
        Whom::Group { id, .. } => Gid(id),
        Whom::All => panic!("a rule for all"),
    };
    (number, line.sign, (id, line.protocol.unwrap(), line.ports.first))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_printed_reads_the_same(
        now in state(),
        next in prop::option::of(state()),
        names in names(),
        numbers_only in any::<bool>(),
    ) {
        let lines = print(&now, next.as_ref(), &names, numbers_only);
        let text = render(&lines);
        let ruleset = parse_readable(&text, &names).map_err(|errors| TestCaseError::fail(errors[0].to_string()))?;
        let numbered = || (1..).zip(&lines);
        let read: Vec<_> = ruleset.rules.iter().map(|rule| (rule.line, rule.sign, rule.meaning)).collect();
        let printed: Vec<_> = numbered().filter(|(_, line)| !line.implied).map(printed_rule).collect();
        prop_assert_eq!(read, printed, "{}", text);
        let read = ruleset.implied.iter().map(|it| (it.line, it.sign, it.action, it.ports, it.subject == Whom::All));
        let implied = |(number, line): (usize, &Line)| (number, line.sign, line.action, line.ports, line.subject == Whom::All);
        let printed: Vec<_> = numbered().filter(|(_, line)| line.implied).map(implied).collect();
        prop_assert_eq!(read.collect::<Vec<_>>(), printed, "{}", text);
        // And the rules are those of the lists, in their order.
        let side = |other: Sign| -> Vec<_> {
            ruleset.rules.iter().filter(|rule| rule.sign != other).map(|rule| rule.meaning).collect()
        };
        let of = |state: &State| -> Vec<_> { state.policy.rules.iter().map(KernelRule::meaning).collect() };
        prop_assert_eq!(side(Sign::NextBootOnly), of(&now));
        prop_assert_eq!(side(Sign::NowOnly), of(next.as_ref().unwrap_or(&now)));
    }

    #[test]
    fn no_text_is_too_odd(text in "((pass|block|proto|any|tcp|port|80|1-9|http|user|www|all|[-+{}(),# \n]) ?){0,12}") {
        if let Err(errors) = parse_readable(&text, &some_names()) {
            prop_assert!(!errors.is_empty());
            for error in errors {
                prop_assert!(text.lines().nth(error.line - 1).is_some_and(|line| line.contains(&error.statement)));
            }
        }
    }
}
