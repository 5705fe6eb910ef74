//! portacl-basics A to H, portacl-parser, securelevel and jails.

use super::*;
use crate::host::Jail;

fn portacl_fails_with(host: &Fresh, value: &str, errno: i32) {
    let error = host.set_sysctl(RULES, value).expect_err(value);
    assert_eq!(error.errno(), Some(errno), "{value}: {error}");
}

#[test]
fn a_without_the_module_its_sysctls_are_unknown() {
    let host = fresh();
    assert!(!host.module_loaded("mac_portacl").unwrap());
    assert_eq!(host.sysctl(RULES).unwrap(), None);
    portacl_fails_with(&host, "uid:209:tcp:80", 2);
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("1023"));
    assert_eq!(host.sysctl("net.inet.ip.portrange.reservedlow").unwrap().as_deref(), Some("0"));
}

#[test]
fn b_by_default_low_ports_are_for_root() {
    let host = fresh();
    for (uid, port, outcome) in [
        (209, 80, BindOutcome::Reserved),
        (65534, 80, BindOutcome::Reserved),
        (209, 1023, BindOutcome::Reserved),
        (209, 1024, BindOutcome::Bound),
        (0, 80, BindOutcome::Bound),
    ] {
        assert_eq!(host.bind_as(uid, port), outcome, "uid {uid} port {port}");
    }
}

#[test]
fn c_loading_brings_the_sysctls() {
    let host = fresh();
    host.load_module("mac_portacl").unwrap();
    host.load_module("mac_portacl").unwrap();
    assert!(host.module_loaded("mac_portacl").unwrap());
    for (name, value) in
        [("rules", ""), ("port_high", "1023"), ("autoport_exempt", "1"), ("suser_exempt", "1"), ("enabled", "1")]
    {
        assert_eq!(host.sysctl(&format!("security.mac.portacl.{name}")).unwrap().as_deref(), Some(value), "{name}");
    }
    let error = host.load_module("nosuchmodule").unwrap_err();
    assert!(command_failure(&error).1.contains("can't load nosuchmodule: No such file or directory"), "{error}");
}

#[test]
fn d_loaded_without_rules_nobody_but_root_binds() {
    let host = fresh();
    host.load_module("mac_portacl").unwrap();
    assert_eq!(host.bind_as(209, 80), BindOutcome::NoRule);
    assert_eq!(host.bind_as(0, 80), BindOutcome::Bound);
    assert_eq!(host.bind_as(209, 8080), BindOutcome::Bound);
    assert_eq!(host.bind_as(209, 0), BindOutcome::Bound);
    // D2: a rule, but reservedhigh still covers the port
    host.set_sysctl(RULES, "uid:209:tcp:80").unwrap();
    assert_eq!(host.bind_as(209, 80), BindOutcome::Reserved);
    assert_eq!(host.bind_as(65534, 80), BindOutcome::NoRule);
}

#[test]
fn e_with_a_rule_and_reservedhigh_0_only_that_user_binds() {
    let host = fresh();
    host.load_module("mac_portacl").unwrap();
    host.set_sysctl(RULES, "uid:209:tcp:80").unwrap();
    host.set_sysctl(RESERVED_HIGH, "0").unwrap();
    for (uid, port, outcome) in [
        (209, 80, BindOutcome::Bound),
        (65534, 80, BindOutcome::NoRule),
        (209, 81, BindOutcome::NoRule),
        (209, 443, BindOutcome::NoRule),
        (65534, 22, BindOutcome::NoRule),
        (65534, 1023, BindOutcome::NoRule),
        (65534, 1024, BindOutcome::Bound),
        (0, 80, BindOutcome::Bound),
    ] {
        assert_eq!(host.bind_as(uid, port), outcome, "uid {uid} port {port}");
        if port == 80 {
            assert_eq!(host.bind_with(uid, uid, &[], port, Family::V6), outcome, "uid {uid} port {port} IPv6");
        }
    }
    host.edit(|model| model.ipv6 = false).unwrap();
    assert_eq!(host.bind_with(209, 209, &[], 80, Family::V6), BindOutcome::NoAddress);
    // E2: group rules
    host.set_sysctl(RULES, "gid:209:tcp:443").unwrap();
    let bind = |uid, gid, groups: &[u32]| host.bind_with(uid, gid, groups, 443, Family::V4);
    assert_eq!(bind(1001, 209, &[]), BindOutcome::Bound);
    assert_eq!(bind(1001, 1001, &[209]), BindOutcome::Bound);
    assert_eq!(bind(1001, 1001, &[]), BindOutcome::NoRule);
    assert_eq!(bind(209, 1001, &[]), BindOutcome::NoRule);
}

#[test]
fn f_what_the_kernel_refuses_leaves_the_old_list_and_what_it_takes_comes_back_verbatim() {
    let host = fresh();
    host.load_module("mac_portacl").unwrap();
    host.set_sysctl(RULES, "uid:209:tcp:80").unwrap();
    for refused in [
        "uid:gts:tcp:80",
        "uid:209:tcp",
        "uid",
        "foo",
        "uid:209:sctp:80",
        "uid:209:TCP:80",
        "UID:209:tcp:80",
        "uid:209:tcp:http",
        "uid:209:tcp:80:1",
        "uid:0x50:tcp:80",
        "uid:209 :tcp:80",
        "uid:209:tcp:80 ",
        "uid:209:tcp:80, uid:209:tcp:443",
        "uid:209:tcp:80;uid:209:tcp:443",
        "uid:209:tcp:80,bogus",
    ] {
        portacl_fails_with(&host, refused, 22);
        assert_eq!(host.sysctl(RULES).unwrap().as_deref(), Some("uid:209:tcp:80"), "{refused}");
    }
    for taken in [
        "uid::tcp:80",
        "uid:-1:tcp:80",
        "uid:209:tcp:65616",
        "uid: 209:tcp: 80",
        ",uid:209:tcp:80,,",
        ",",
        "uid:+209:tcp:080",
        "",
    ] {
        host.set_sysctl(RULES, taken).unwrap();
        assert_eq!(host.sysctl(RULES).unwrap().as_deref(), Some(taken));
    }
    // F4, F6
    host.set_sysctl(RESERVED_HIGH, "0").unwrap();
    host.set_sysctl(RULES, "uid:65534:tcp:65616").unwrap();
    assert_eq!(host.bind_as(65534, 80), BindOutcome::Bound);
    host.set_sysctl("security.mac.portacl.suser_exempt", "0").unwrap();
    assert_eq!(host.bind_as(0, 80), BindOutcome::NoRule);
    host.set_sysctl(RULES, "uid::tcp:80").unwrap();
    assert_eq!(host.bind_as(0, 80), BindOutcome::Bound);
    // F7
    host.set_sysctl("security.mac.portacl.port_high", "9000").unwrap();
    assert_eq!(host.bind_as(65534, 8080), BindOutcome::NoRule);
    assert_eq!(host.bind_as(65534, 9001), BindOutcome::Bound);
}

#[test]
fn g_at_most_1023_bytes() {
    let host = fresh();
    host.load_module("mac_portacl").unwrap();
    let list = |length: usize| format!("uid:209:tcp:80{}", ",".repeat(length - 14));
    host.set_sysctl(RULES, &list(1023)).unwrap();
    assert_eq!(host.sysctl(RULES).unwrap().unwrap().len(), 1023);
    for length in [1024, 1025, 4096] {
        portacl_fails_with(&host, &list(length), 22);
    }
    assert_eq!(host.sysctl(RULES).unwrap().unwrap().len(), 1023);
}

#[test]
fn h_others_than_root_change_nothing() {
    let host = fresh();
    host.load_module("mac_portacl").unwrap();
    host.edit(|model| model.euid = 1001).unwrap();
    portacl_fails_with(&host, "uid:209:tcp:443", 1);
    assert_eq!(host.set_sysctl(RESERVED_HIGH, "1023").unwrap_err().errno(), Some(1));
    assert!(command_failure(&host.load_module("mac_bsdextended").unwrap_err()).1.contains("Operation not permitted"));
    assert_eq!(host.write_file(Path::new("/etc/x"), b"", 0o644, Owner::ROOT).unwrap_err().errno(), Some(13));
}

#[test]
fn h2_integers_are_read_as_sysctl_reads_them() {
    let host = fresh();
    assert_eq!(host.set_sysctl(RESERVED_HIGH, "abc").unwrap_err().errno(), Some(22));
    for (value, now) in [("-1", "-1"), ("70000", "70000"), ("0x50", "80"), ("010", "8"), ("0", "0")] {
        host.set_sysctl(RESERVED_HIGH, value).unwrap();
        assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some(now));
    }
    host.load_module("mac_portacl").unwrap();
    host.set_sysctl("security.mac.portacl.enabled", "0").unwrap();
    assert_eq!(host.bind_as(65534, 80), BindOutcome::Bound);
    assert_eq!(host.set_sysctl("kern.osrelease", "15.0").unwrap_err().errno(), Some(1));
    assert_eq!(host.set_sysctl("kern.nosuch", "1").unwrap_err().errno(), Some(2));
}

#[test]
fn m_unloading_while_reservedhigh_is_lowered_opens_the_ports_to_everybody() {
    let host = fresh();
    host.load_module("mac_portacl").unwrap();
    host.set_sysctl(RULES, "uid:209:tcp:80").unwrap();
    host.set_sysctl(RESERVED_HIGH, "0").unwrap();
    host.unload_module("mac_portacl").unwrap();
    assert_eq!(host.sysctl(RULES).unwrap(), None);
    assert_eq!(host.bind_as(65534, 80), BindOutcome::Bound);
    let error = host.unload_module("mac_portacl").unwrap_err();
    assert!(command_failure(&error).1.contains("can't find file mac_portacl"));
    host.load_module("mac_portacl").unwrap();
    assert_eq!(host.sysctl(RULES).unwrap().as_deref(), Some(""));
}

#[test]
fn at_securelevel_1_only_the_rules_can_still_be_written() {
    let host = fresh();
    host.load_module("mac_portacl").unwrap();
    host.set_sysctl("kern.securelevel", "1").unwrap();
    assert_eq!(host.set_sysctl(RESERVED_HIGH, "0").unwrap_err().errno(), Some(1));
    host.set_sysctl(RULES, "uid:209:tcp:443").unwrap();
    for error in [host.load_module("mac_bsdextended").unwrap_err(), host.unload_module("mac_portacl").unwrap_err()] {
        assert!(command_failure(&error).1.contains("Operation not permitted"), "{error}");
    }
    host.load_module("mac_portacl").unwrap();
    assert_eq!(host.set_sysctl("kern.securelevel", "0").unwrap_err().errno(), Some(1));
    assert_eq!(host.system().unwrap().securelevel, 1);
}

#[test]
fn a_jail_reads_its_hosts_rules_and_writes_none() {
    let in_jail = |jail: Jail| {
        fresh_with(|model| {
            model.jail = jail;
            model.modules.insert("mac_portacl".into());
            model.sysctls.insert(RULES.into(), "uid:209:tcp:80".into());
            if jail == Jail::Shared {
                model.sysctls.insert(RESERVED_HIGH.into(), "79".into());
            }
        })
    };
    let shared = in_jail(Jail::Shared);
    assert_eq!(shared.sysctl("security.jail.jailed").unwrap().as_deref(), Some("1"));
    assert_eq!(shared.sysctl("security.jail.vnet").unwrap().as_deref(), Some("0"));
    portacl_fails_with(&shared, "uid:80:tcp:80", 1);
    assert_eq!(shared.set_sysctl(RESERVED_HIGH, "1023").unwrap_err().errno(), Some(1));
    assert!(command_failure(&shared.load_module("mac_bsdextended").unwrap_err()).1.contains("not permitted"));
    assert_eq!(shared.bind_as(209, 80), BindOutcome::Bound);
    assert_eq!(shared.bind_as(65534, 80), BindOutcome::NoRule);
    assert_eq!(shared.bind_as(0, 80), BindOutcome::Bound);

    let vnet = in_jail(Jail::Vnet);
    assert_eq!(vnet.sysctl("security.jail.vnet").unwrap().as_deref(), Some("1"));
    assert_eq!(vnet.bind_as(209, 80), BindOutcome::Reserved);
    assert_eq!(vnet.bind_as(65534, 80), BindOutcome::NoRule);
    vnet.set_sysctl(RESERVED_HIGH, "79").unwrap();
    assert_eq!(vnet.bind_as(209, 80), BindOutcome::Bound);
    assert_eq!(vnet.bind_as(65534, 25), BindOutcome::NoRule);
    portacl_fails_with(&vnet, "", 1);
    vnet.reboot().unwrap();
    assert_eq!(vnet.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("1023"));
    assert_eq!(vnet.sysctl(RULES).unwrap().as_deref(), Some("uid:209:tcp:80"));
}
