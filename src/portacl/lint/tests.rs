//! Provokes each kind of finding, and shows that the healthy neighbour does not have it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::boot_settings::{Assignment, Guard, LeftOut, Place, PortaclRc, Variable};
use super::super::evaluate::Policy;
use super::super::kernel::parse_kernel;
use super::*;

struct Book;

impl Names for Book {
    fn user(&self, uid: u32) -> Option<String> {
        let name = match uid {
            0 => "root",
            80 => "www",
            209 => "gotosocial",
            _ => return None,
        };
        Some(name.to_owned())
    }

    fn group(&self, gid: u32) -> Option<String> {
        (gid == 80).then(|| "www".to_owned())
    }
}

const OURS: &str = "uid:209:tcp:80,uid:209:tcp:443";

fn line(file: &str, line: usize, variable: Variable, value: &str) -> Assignment {
    let place = Place { file: file.to_owned(), line };
    Assignment { variable, value: value.to_owned(), place, overlong: None }
}

fn sysctl(number: usize, variable: Variable, value: &str) -> Assignment {
    line("/etc/sysctl.conf", number, variable, value)
}

/// A host on which `list` and `reservedhigh` are set now and by sysctl.conf, as this program does it.
fn host(list: &str, reservedhigh: i32) -> (State, BootSettings) {
    let rules = parse_kernel(list).unwrap_or_default();
    let policy = Policy { loaded: true, rules, reservedhigh, ..Policy::default() };
    let settings = BootSettings {
        osreldate: 1_401_000,
        loader: true,
        sysctl_conf: vec![
            sysctl(1, Variable::Rules, list),
            sysctl(2, Variable::ReservedHigh, &reservedhigh.to_string()),
        ],
        guard: Guard { early: true, late: true, reservedhigh: Some(1023) },
        ..BootSettings::default()
    };
    (State { list: list.to_owned(), policy }, settings)
}

fn installed() -> (State, BootSettings) {
    host(OURS, 79)
}

fn with_portacl_rc(list: &str) -> (State, BootSettings) {
    let (mut now, mut settings) = host(list, 0);
    now.policy.reservedhigh = 79;
    settings.loader = false;
    settings.guard = Guard::default();
    settings.sysctl_conf.clear();
    settings.portacl_rc = Some(PortaclRc {
        list: list.to_owned(),
        suser_exempt: true,
        autoport_exempt: true,
        port_high: "1023".to_owned(),
        left_out: Vec::new(),
    });
    (now, settings)
}

fn codes((now, settings): &(State, BootSettings)) -> Vec<&'static str> {
    lint(Some(now), settings, &Book).into_iter().map(|finding| finding.code).collect()
}

/// The one finding of that kind.
#[track_caller]
fn one(host: &(State, BootSettings), code: &str) -> Finding {
    let findings = lint(Some(&host.0), &host.1, &Book);
    let mut of_kind = findings.iter().filter(|finding| finding.code == code);
    let found = of_kind.next().unwrap_or_else(|| panic!("no {code} in {findings:?}")).clone();
    assert_eq!(of_kind.next(), None);
    for text in [&found.subject, &found.what, &found.why, &found.mend] {
        assert!(!text.is_empty() && !text.contains('\n'), "{found:?}");
    }
    found
}

/// The only finding at all.
#[track_caller]
fn only(host: &(State, BootSettings), code: &str) -> Finding {
    assert_eq!(codes(host), [code]);
    one(host, code)
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let nothing: [&str; 0] = [];
    assert_eq!(codes(&(State::default(), BootSettings::default())), nothing);
    assert_eq!(codes(&installed()), nothing);
    assert_eq!(codes(&with_portacl_rc(OURS)), nothing);
    assert_eq!(lint(None, &installed().1, &Book), []);
    // If it is compiled in, it cannot be missing.
    let (now, mut settings) = installed();
    settings.compiled_in = true;
    settings.loader = false;
    settings.guard = Guard::default();
    assert_eq!(codes(&(now, settings)), nothing);
    // kld_list with its own file, on 14.
    let (now, mut settings) = installed();
    settings.loader = false;
    settings.kld_list = Some("mac_portacl".to_owned());
    settings.kld_conf = std::mem::take(&mut settings.sysctl_conf);
    assert_eq!(codes(&(now, settings)), nothing);
}

#[test]
fn a_rule_for_an_id_that_nobody_has() {
    let found = only(&host("uid:5000:tcp:80,gid:80:tcp:81,uid:80:tcp:82", 79), "unknown-id");
    assert_eq!(found.subject, "uid:5000:tcp:80 (/etc/sysctl.conf:1, the running kernel)");
    assert_eq!(found.what, "no account has uid 5000");
    assert_eq!(found.mend, "gts-bootstrap portacl revoke uid:5000 80/tcp");
    assert_eq!(only(&host("gid:5000:udp:80", 79), "unknown-id").mend, "gts-bootstrap portacl revoke gid:5000 80/udp");
    // A jail does not know the names of its host.
    let (now, _) = host("uid:5000:tcp:80", 79);
    let settings = BootSettings { scope: BootScope::SharedJail { now: now.clone() }, ..BootSettings::default() };
    assert_eq!(codes(&(now, settings)), Vec::<&str>::new());
}

#[test]
fn a_rule_above_port_high() {
    let found = only(&host("uid:209:tcp:80,uid:80:tcp:8080", 79), "above-port-high");
    assert_eq!(found.severity, Severity::Warning);
    assert_eq!(found.subject, "uid:80:tcp:8080 (/etc/sysctl.conf:1, the running kernel)");
    assert_eq!(found.what, "now and after the next boot, it has no effect: the port is above port_high, 1023");
    assert_eq!(found.mend, "gts-bootstrap portacl revoke www 8080/tcp");
    assert_eq!(codes(&host("uid:80:tcp:1023", 79)), Vec::<&str>::new());
}

#[test]
fn a_port_that_the_reserved_range_still_covers() {
    let found = only(&host("uid:209:tcp:80,gid:80:tcp:25", 79), "port-reserved");
    assert_eq!(found.what, "now and after the next boot, it has no effect: ports up to 79 are reserved for root");
    assert!(found.mend.starts_with("gts-bootstrap portacl grant @www 25/tcp,"), "{}", found.mend);
    // Not yet lowered: the boot does it.
    let mut staged = installed();
    staged.0.policy.reservedhigh = 1023;
    assert_eq!(codes(&staged), ["port-reserved", "port-reserved", "settings-differ"]);
    assert!(lint(Some(&staged.0), &staged.1, &Book)[0].what.starts_with("now, it has no effect"));
    // Root does not need a lowered range.
    assert_eq!(codes(&host("uid:0:tcp:25", 79)), Vec::<&str>::new());
}

#[test]
fn duplicates_whatever_the_spelling() {
    let found = only(&host("uid:209:tcp:80,uid:+209:tcp:080,uid:209:udp:80", 79), "duplicate");
    assert_eq!(codes(&host("uid:209:tcp:80,uid:209:udp:80,gid:80:tcp:80", 79)), Vec::<&str>::new());
    assert_eq!(found.what, "it says the same as “uid:209:tcp:80” before it");
}

#[test]
fn duplicates_are_found_in_each_list() {
    let mut twice = host("uid:80:tcp:80,uid:80:tcp:80", 79);
    let places = "uid:80:tcp:80 (/etc/sysctl.conf:1, the running kernel)";
    assert_eq!(only(&twice, "duplicate").subject, places);
    twice.0.list = "uid:80:tcp:80".to_owned();
    twice.0.policy.rules = parse_kernel(&twice.0.list).unwrap();
    assert_eq!(only(&twice, "duplicate").subject, "uid:80:tcp:80 (/etc/sysctl.conf:1)");
}

#[test]
fn an_empty_id_is_root() {
    let found = only(&host("uid::tcp:80", 79), "empty-id");
    assert_eq!(found.severity, Severity::Error);
    assert!(found.mend.starts_with("gts-bootstrap portacl revoke root 80/tcp;"), "{}", found.mend);
    assert_eq!(codes(&host("uid:0:tcp:80", 79)), Vec::<&str>::new());
}

#[test]
fn a_port_that_is_cut() {
    for (port, what) in [("65616", "80"), ("-1", "65535"), ("65536", "0"), ("99999999999999999999", "65535")] {
        let found = one(&host(&format!("uid:209:tcp:{port}"), 79), "port-cut");
        assert_eq!(found.what, format!("the kernel cuts port {port} to 16 bits: it is {what}"));
    }
    assert_eq!(codes(&host("uid:209:tcp: +080", 79)), Vec::<&str>::new());
}

#[test]
fn port_zero() {
    for list in ["uid:209:tcp:0", "uid:209:tcp:"] {
        assert!(
            only(&host(list, 79), "port-zero").mend.starts_with(&format!("take “{list}” out of /etc/sysctl.conf:1"))
        );
    }
}

#[test]
fn ids_that_do_not_fit() {
    for uid in ["4294967296", "-1"] {
        let found = only(&host(&format!("uid:{uid}:tcp:80"), 79), "uid-matches-nobody");
        assert!(found.what.contains("matches no user"));
    }
    let found = only(&host("gid:4294967376:tcp:81", 79), "gid-cut");
    assert_eq!(found.what, "the kernel cuts gid 4294967376 to 32 bits: it is 80");
    assert_eq!(found.mend, "gts-bootstrap portacl revoke @www 81/tcp");
}

#[test]
fn lists_that_the_kernel_will_refuse() {
    let refused = |list: &str| {
        let (_, settings) = host(list, 1023);
        (State { policy: Policy { loaded: true, ..Policy::default() }, ..State::default() }, settings)
    };
    let found = only(&refused("uid:209:tcp:80, uid:209:tcp:443"), "blank-in-list");
    assert_eq!(found.subject, "security.mac.portacl.rules (/etc/sysctl.conf:1)");
    assert_eq!(
        found.what,
        "the kernel will refuse the list: element 2, “ uid:209:tcp:443”: it begins with neither “uid” nor “gid”"
    );
    let found = only(&refused("uid:www:tcp:80"), "list-refused");
    assert!(found.what.ends_with("element 1, “uid:www:tcp:80”: its id is not a number"), "{}", found.what);
    assert_eq!(only(&refused("uid:209:tcp:80\0"), "line-cut").mend, "take it out of /etc/sysctl.conf:1");
    let long = only(&refused(&",".repeat(1024)), "list-too-long");
    assert_eq!(long.what, "the list has 1024 bytes, and the kernel takes at most 1023");
    assert_eq!(codes(&refused(&",".repeat(1023))), Vec::<&str>::new());
    // Text that is not printable in the file is not printed as such.
    assert!(!only(&refused("uid:1:tcp:1,\tx"), "blank-in-list").what.contains('\t'));
}

#[test]
fn a_line_that_is_cut() {
    let mut cut = installed();
    cut.1.sysctl_conf[0].overlong = Some(1100);
    let found = only(&cut, "line-cut");
    assert_eq!(found.subject, "security.mac.portacl.rules (/etc/sysctl.conf:1)");
    assert!(found.what.starts_with("the line has 1100 bytes"));
    assert!(found.mend.contains("996"));
}

#[test]
fn values_that_are_no_numbers_and_lines_that_are_no_tunables() {
    let mut odd = installed();
    odd.1.sysctl_conf.push(sysctl(3, Variable::PortHigh, "1023x"));
    assert_eq!(only(&odd, "value-refused").subject, "security.mac.portacl.port_high (/etc/sysctl.conf:3)");
    let mut loader = installed();
    loader.1.tunables = vec![
        line("/boot/loader.conf", 4, Variable::Rules, OURS),
        line("/boot/loader.conf", 5, Variable::PortHigh, "1023"),
    ];
    assert_eq!(only(&loader, "not-a-tunable").subject, "security.mac.portacl.rules (/boot/loader.conf:4)");
}

#[test]
fn suser_exempt_off() {
    let mut strict = installed();
    strict.0.policy.suser_exempt = 0;
    strict.1.tunables = vec![line("/boot/loader.conf", 2, Variable::SuserExempt, "0")];
    let found = only(&strict, "root-needs-rules");
    assert_eq!(found.subject, "security.mac.portacl.suser_exempt (/boot/loader.conf:2)");
    assert!(found.what.starts_with("now and after the next boot"));
}

#[test]
fn enabled_off() {
    let mut off = host("uid:209:tcp:80", 1023);
    off.0.policy.enabled = 0;
    off.1.sysctl_conf.push(sysctl(3, Variable::Enabled, "0"));
    assert_eq!(only(&off, "not-enforcing").subject, "security.mac.portacl.enabled (/etc/sysctl.conf:3)");
    // With the range lowered it is an alarm; here the guard closes the range at boot.
    let mut off = installed();
    off.0.policy.enabled = 0;
    off.1.sysctl_conf.push(sysctl(3, Variable::Enabled, "0"));
    let found = one(&off, "open-ports");
    assert_eq!(found.severity, Severity::Alarm);
    assert_eq!(found.what, "now, ANY user may bind the ports from 80 to 1023");
    assert!(found.mend.starts_with("close them now: sysctl net.inet.ip.portrange.reservedhigh=1023;"));
    off.1.guard = Guard::default();
    let found = one(&off, "open-ports");
    assert_eq!(found.what, "now and after the next boot, ANY user may bind the ports from 80 to 1023");
    assert!(found.mend.ends_with("take out what sets security.mac.portacl.enabled (/etc/sysctl.conf:3) to 0 at boot"));
}

#[test]
fn port_high_below_the_low_ports() {
    let mut low = installed();
    low.0.policy.port_high = 100;
    low.1.sysctl_conf.push(sysctl(3, Variable::PortHigh, "100"));
    low.1.guard = Guard::default();
    let findings = codes(&low);
    assert_eq!(findings[0], "port-high-low");
    let found = one(&low, "port-high-low");
    assert_eq!(found.what, "now and after the next boot, ANY user may bind the ports from 101 to 1023");
    assert_eq!(found.subject, "security.mac.portacl.port_high (/etc/sysctl.conf:3)");
    // With the range at its default it does no harm.
    let mut closed = host("", 1023);
    closed.0.policy.port_high = 100;
    closed.1.sysctl_conf.push(sysctl(3, Variable::PortHigh, "100"));
    assert_eq!(codes(&closed), Vec::<&str>::new());
}

#[test]
fn a_module_whose_file_is_not_there() {
    let mut missing = installed();
    missing.1.missing_in = Some("/boot/kernel, /boot/modules".into());
    let found = one(&missing, "module-missing");
    assert!(found.what.ends_with("there is no mac_portacl.ko in /boot/kernel, /boot/modules"), "{}", found.what);
    assert!(!codes(&missing).contains(&"module-differs"), "one finding is enough");
    // Where nothing needs it, nothing is missing.
    let nothing = BootSettings { missing_in: missing.1.missing_in, ..BootSettings::default() };
    assert_eq!(codes(&(State::default(), nothing)), Vec::<&str>::new());
}

#[test]
fn a_module_that_nobody_loads() {
    let mut none = installed();
    none.1.loader = false;
    let found = one(&none, "module-not-loaded");
    assert_eq!(found.subject, "/etc/sysctl.conf:1, /etc/sysctl.conf:2");
    assert_eq!(found.mend, "sysrc -f /boot/loader.conf mac_portacl_load=YES");
    assert!(!codes(&none).contains(&"open-ports"), "the guard closes them");
    none.1.guard.late = false;
    assert_eq!(one(&none, "open-ports").what, "after the next boot, ANY user may bind the ports from 80 to 1023");
    assert_eq!(codes(&none)[0], "open-ports");
    // Lowered without need is enough, other settings are not.
    let mut settings = BootSettings { sysctl_conf: vec![sysctl(1, Variable::ReservedHigh, "0")], ..none.1 };
    assert!(codes(&(State::default(), settings.clone())).contains(&"module-not-loaded"));
    settings.sysctl_conf = vec![sysctl(1, Variable::ReservedHigh, "1023"), sysctl(2, Variable::Securelevel, "-1")];
    assert_eq!(codes(&(State::default(), settings)), Vec::<&str>::new());
}

#[test]
fn a_module_from_kld_list_with_rules_in_sysctl_conf() {
    let mut late = installed();
    late.1.loader = false;
    late.1.kld_list = Some("mac_portacl".to_owned());
    let found = only(&late, "kld-list");
    assert_eq!(found.subject, "kld_list in rc.conf; /etc/sysctl.conf:1, /etc/sysctl.conf:2");
    late.1.loader = true;
    assert_eq!(codes(&late), Vec::<&str>::new());
}

#[test]
fn a_file_for_the_module_that_is_not_read() {
    let mut unread = installed();
    unread.1.kld_conf = vec![line("/etc/sysctl.kld.d/mac_portacl.conf", 1, Variable::PortHigh, "1023")];
    assert_eq!(only(&unread, "kld-conf-not-read").subject, "/etc/sysctl.kld.d/mac_portacl.conf");
    unread.1.loader = false;
    unread.1.kld_list = Some("mac_portacl".to_owned());
    assert!(!codes(&unread).contains(&"kld-conf-not-read"));
    unread.1.osreldate = 1_302_000;
    assert!(codes(&unread).contains(&"kld-conf-not-read"));
}

#[test]
fn rules_in_several_places() {
    let mut twice = installed();
    twice.1.sysctl_conf.insert(0, sysctl(1, Variable::Rules, "uid:80:tcp:81"));
    twice.1.sysctl_conf[1].place.line = 9;
    let found = only(&twice, "rules-in-several-places");
    assert_eq!(found.subject, "/etc/sysctl.conf:1, /etc/sysctl.conf:9");
    assert_eq!(found.what, "rules are in 2 places that override one another: the list in /etc/sysctl.conf:9 wins");
    assert_eq!(found.mend, "put all rules into /etc/sysctl.conf:9, and take the other lists out");
    // A list that is refused does not win.
    twice.1.sysctl_conf[0] = line("/etc/sysctl.conf.local", 1, Variable::Rules, "uid:www:tcp:1");
    twice.1.sysctl_conf.swap(0, 1);
    assert!(one(&twice, "rules-in-several-places").what.ends_with("the list in /etc/sysctl.conf:9 wins"));
    // Setting the same list twice does no harm.
    twice.1.sysctl_conf[1].value = "uid:209:tcp:443,uid:209:tcp:080".to_owned();
    assert_eq!(codes(&twice), Vec::<&str>::new());
}

#[test]
fn portacl_rc_and_sysctl_conf_for_the_same_thing() {
    let mut both = with_portacl_rc(OURS);
    both.1.sysctl_conf = vec![sysctl(4, Variable::Rules, "uid:80:tcp:81"), sysctl(5, Variable::ReservedHigh, "79")];
    let found = one(&both, "rules-in-several-places");
    assert_eq!(found.subject, "portacl-rc's variables in rc.conf, /etc/sysctl.conf:4");
    assert!(found.what.ends_with("the list in /etc/sysctl.conf:4 wins"));
    let found = one(&both, "portacl-rc-overwritten");
    assert_eq!(found.subject, "net.inet.ip.portrange.reservedhigh (/etc/sysctl.conf:5)");
    both.1.sysctl_conf = vec![sysctl(5, Variable::ReservedHigh, "0"), sysctl(6, Variable::Enabled, "1")];
    assert!(!codes(&both).contains(&"portacl-rc-overwritten"));
}

#[test]
fn what_portacl_rc_leaves_out() {
    let mut left = with_portacl_rc(OURS);
    let out =
        LeftOut { variable: "portacl_users".into(), what: "ghost".into(), why: "there is no user “ghost”".into() };
    left.1.portacl_rc.as_mut().unwrap().left_out.push(out);
    let found = only(&left, "portacl-rc-leaves-out");
    assert_eq!(found.subject, "ghost (portacl_users in rc.conf)");
    assert_eq!(found.what, "portacl-rc leaves it out: there is no user “ghost”");
}

#[test]
fn ports_that_are_open_on_the_way() {
    let mut way = with_portacl_rc(OURS);
    way.1.sysctl_conf = vec![sysctl(1, Variable::ReservedHigh, "0")];
    let findings = codes(&way);
    assert!(findings.contains(&"open-during-boot"), "{findings:?}");
    assert!(one(&way, "open-during-boot").what.contains("from 1 to 1023"));
    way.1.loader = true;
    assert!(!codes(&way).contains(&"open-during-boot"));
}

#[test]
fn a_boot_that_would_be_fail_open() {
    let mut open = installed();
    open.1.guard = Guard::default();
    let found = only(&open, "fail-open");
    assert_eq!(found.severity, Severity::Warning);
    assert_eq!(found.what, "a boot without mac_portacl would leave the ports from 80 to 1023 open to any user");
    for guard in [
        Guard { early: true, late: false, reservedhigh: Some(1023) },
        Guard { early: true, late: true, reservedhigh: None },
        Guard { early: true, late: true, reservedhigh: Some(500) },
    ] {
        open.1.guard = guard;
        assert_eq!(codes(&open), ["fail-open"]);
    }
    // A jail with its own reserved range needs one, too.
    let (now, mut settings) = installed();
    settings.scope = BootScope::VnetJail { now: now.clone() };
    assert_eq!(codes(&(now.clone(), settings.clone())), Vec::<&str>::new());
    settings.guard = Guard::default();
    assert_eq!(codes(&(now, settings)), ["fail-open"]);
}

#[test]
fn now_and_then_differ() {
    let mut differ = installed();
    differ.0.list = "uid:209:tcp:443,uid:+80:tcp:81,uid:209:tcp:80".to_owned();
    differ.0.policy.rules = parse_kernel(&differ.0.list).unwrap();
    let found = only(&differ, "rules-differ");
    assert_eq!(
        (found.subject.as_str(), found.what.as_str()),
        ("uid:80:tcp:81", "it is in force now, and will not be after the next boot",)
    );
    assert_eq!(found.mend, "gts-bootstrap portacl grant www 81/tcp; or gts-bootstrap portacl revoke www 81/tcp");
    differ.0.list = "uid:209:tcp:443".to_owned();
    differ.0.policy.rules = parse_kernel(&differ.0.list).unwrap();
    assert_eq!(only(&differ, "rules-differ").what, "it is not in force now, and will be after the next boot");
    // Order and spelling do not count.
    differ.0.list = "uid:209:tcp:0443,,uid: 209:tcp:80".to_owned();
    differ.0.policy.rules = parse_kernel(&differ.0.list).unwrap();
    assert_eq!(codes(&differ), Vec::<&str>::new());
}

#[test]
fn settings_that_differ() {
    let mut differ = installed();
    differ.0.policy.reservedhigh = 20;
    let found = only(&differ, "settings-differ");
    assert_eq!(found.subject, "net.inet.ip.portrange.reservedhigh (/etc/sysctl.conf:2)");
    assert_eq!(found.what, "it is 20 now, and 79 after the next boot");
    let mut differ = installed();
    differ.0.policy.port_high = 2000;
    assert_eq!(only(&differ, "settings-differ").subject, "security.mac.portacl.port_high");
}

#[test]
fn no_mend_opens_ports_to_everybody() {
    let high = "net.inet.ip.portrange.reservedhigh";
    let mend = |pair: &(State, BootSettings)| one(pair, "settings-differ").mend;
    let mut staged = installed();
    staged.0 = State::default();
    let load = "kldload -n mac_portacl; sysctl -f /etc/sysctl.conf";
    assert_eq!(mend(&staged), format!("{load}; then: sysctl {high}=79; or {high}=1023 in /etc/sysctl.conf:2"));
    // Without the module not even a reboot makes that safe.
    staged.1.loader = false;
    staged.1.guard = Guard::default();
    assert_eq!(mend(&staged), format!("{high}=1023 in /etc/sysctl.conf:2"));
    let mut off = installed();
    off.1.sysctl_conf.push(sysctl(3, Variable::Enabled, "0"));
    off.1.guard = Guard::default();
    assert_eq!(mend(&off), "security.mac.portacl.enabled=1 in /etc/sysctl.conf:3");
    let mut narrow = installed();
    narrow.0.policy.port_high = 500;
    assert_eq!(mend(&narrow), "sysctl security.mac.portacl.port_high=1023");
    // A fix that closes some of the open ports is offered.
    let mut lower = host("", 79);
    lower.0.policy.enabled = 0;
    lower.0.policy.reservedhigh = 20;
    assert!(
        lint(Some(&lower.0), &lower.1, &Book).iter().any(|found| found.mend.starts_with(&format!("sysctl {high}=79")))
    );
    let mut low = installed();
    low.0.policy.reservedlow = 10;
    assert_eq!(
        mend(&low),
        "sysctl net.inet.ip.portrange.reservedlow=0; or net.inet.ip.portrange.reservedlow=10 in /etc/sysctl.conf"
    );
}

#[test]
fn a_mend_names_the_file_that_counts() {
    let local = "/etc/sysctl.conf.local";
    let mut pair = installed();
    pair.1.sysctl_conf.push(line(local, 1, Variable::ReservedHigh, "20"));
    let high = "net.inet.ip.portrange.reservedhigh";
    assert_eq!(only(&pair, "settings-differ").mend, format!("sysctl {high}=20; or {high}=79 in {local}:1"));
    pair.0 = State::default();
    let all = "reboot, or: kldload -n mac_portacl; sysctl -f /etc/sysctl.conf; sysctl -f /etc/sysctl.conf.local";
    assert_eq!(one(&pair, "module-differs").mend, all);
    pair = with_portacl_rc(OURS);
    pair.0 = State::default();
    assert_eq!(one(&pair, "module-differs").mend, "reboot, or: service portacl start");
}

#[test]
fn a_module_that_comes_or_goes_with_the_boot() {
    let mut comes = installed();
    comes.0 = State::default();
    assert_eq!(codes(&comes), ["module-differs", "settings-differ"]);
    assert!(one(&comes, "module-differs").what.starts_with("it is not loaded now"));
    let (now, _) = host("", 1023);
    let goes = (now, BootSettings::default());
    assert_eq!(only(&goes, "module-differs").mend, "sysrc -f /boot/loader.conf mac_portacl_load=YES");
}

#[test]
fn the_worst_comes_first() {
    let mut many = host("uid:209:tcp:80,uid:209:tcp:80,uid::tcp:443", 79);
    many.1.guard = Guard::default();
    many.0.policy.enabled = 0;
    let severities: Vec<Severity> = lint(Some(&many.0), &many.1, &Book).iter().map(|found| found.severity).collect();
    assert!(severities.is_sorted() && severities[0] == Severity::Alarm && severities.contains(&Severity::Warning));
    assert_eq!(Severity::Alarm.to_string(), "alarm");
}
