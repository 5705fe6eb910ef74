//! What FreeBSD 15.1 was seen to do, table by table, and what 13 and 14 do instead where that is another thing. sockstat(1), fstat(1)
//! and pw(8) as the real host reads them: `host/freebsd/{sockets,file_users,accounts}.rs`; daemon(8): `tests/rc.d/`.

use super::*;
use crate::host::ServiceState;

const LOADER_CONF: &str = "/boot/loader.conf";

fn on(osreldate: u32) -> Fresh {
    fresh_with(|model| model.osreldate = osreldate)
}

fn on_15() -> Fresh {
    on(1_501_000)
}

/// What `sysrc NAME=VALUE`, or `sysrc -x NAME` without a value, makes of an rc.conf, and of the text of its failure.
fn sysrc(osreldate: u32, before: &str, name: &str, value: Option<&str>) -> (String, Option<String>) {
    let host = on(osreldate);
    host.write("/etc/rc.conf", before);
    let failed = host.set_rc_variable(name, value).err().map(|error| {
        let (status, text) = command_failure(&error);
        format!("{status}: {text}")
    });
    (host.text("/etc/rc.conf"), failed)
}

#[test]
fn sysrc_on_a_file() {
    for (before, after) in [
        ("foo=\"a\"\nx=1\nfoo=\"b\"\n", "foo=\"a\"\nx=1\nfoo=\"new\"\n"),
        ("foo=\"a\" # why\n", "foo=\"new\" # why\n"),
        ("foo='a b'\n", "foo='new'\n"),
        ("foo=\"a \\\n b\"\n", "foo=\"new\n b\"\n"),
        ("foo=\"a\"; bar=\"b\"\n", "foo=\"new\"; bar=\"b\"\n"),
        ("last=1", "last=1\nfoo=\"new\"\n"),
        (": ${foo:=dflt}\n", ": ${foo:=dflt}\nfoo=\"new\"\n"),
        ("if false; then\n  foo=\"in\"\nfi\n", "if false; then\n  foo=\"new\"\nfi\n"),
        ("export foo=\"e\"\n", "export foo=\"e\"\nfoo=\"new\"\n"),
        // By the source: what 13 to 15 have in common besides.
        ("foo=a\n", "foo=\"new\"\n"),
        ("foo=a; bar=b\n", "foo=\"new\" bar=b\n"),
        ("foo=\n", "foo=new\n"),
        ("foo=;x=1\n", "foo=\"new\";x=1\n"),
        ("foo=$(id)\n", "foo=$(id)\nfoo=\"new\"\n"),
        ("\n\nx=1\nfoo=1\n\n", "x=1\nfoo=\"new\"\n\n"),
        // `tail -r` makes one line of two, and x is lost.
        ("x=1\nfoo=1", "foo=\"new\"\n"),
    ] {
        assert_eq!(sysrc(1_501_000, before, "foo", Some("new")), (after.to_owned(), None), "{before:?}");
    }
}

#[test]
fn sysrc_on_a_last_line_without_end_is_another_thing_before_15() {
    let before = "x=1\nlast=1";
    for (osreldate, after) in [(1_302_001, "x=1\nlast=1foo=\"new\"\n"), (1_501_000, "x=1\nlast=1\nfoo=\"new\"\n")] {
        assert_eq!(sysrc(osreldate, before, "foo", Some("new")).0, after, "{osreldate}");
    }
}

#[test]
fn sysrc_on_a_file_that_is_immutable() {
    let host = fresh_with(|model| model.immutable = ["/etc/rc.conf".into()].into());
    let before = host.text("/etc/rc.conf");
    for (name, value) in [("foo", Some("new")), ("hostname", Some("new")), ("hostname", None)] {
        let (status, text) = command_failure(&host.set_rc_variable(name, value).unwrap_err());
        assert_eq!(
            (status.as_str(), text.as_str()),
            ("exit status: 1", "sysrc: cannot create /etc/rc.conf: Operation not permitted")
        );
    }
    let error = host.write_file(Path::new("/etc/rc.conf"), b"", 0o644, Owner::ROOT).unwrap_err().to_string();
    assert!(error.contains("Operation not permitted") && error.contains("chflags(1)"), "{error}");
    assert_eq!(host.text("/etc/rc.conf"), before);
    assert_eq!(host.list(Path::new("/etc")).unwrap().iter().filter(|name| name.starts_with('.')).count(), 0);
}

#[test]
fn sysrc_takes_whole_lines_out_and_reads_defaults() {
    for (before, after) in [
        ("foo=\"a\"\nx=1\n  foo=\"b\" # why\nexport foo=1\n", "x=1\nexport foo=1\n"),
        ("foo=\"a\"; bar=\"b\"\nx=1", "x=1\n"),
    ] {
        assert_eq!(sysrc(1_501_000, before, "foo", None), (after.to_owned(), None), "{before:?}");
    }
    let (kept, failed) = sysrc(1_501_000, "foo=\"a \\\n b\"\n", "foo", None);
    assert_eq!(kept, "foo=\"a \\\n b\"\n");
    assert!(failed.unwrap().contains("previous syntax errors"));
    let host = on_15();
    assert_eq!(host.rc_variable("nosuch").unwrap(), None);
    // That only /etc/defaults/rc.conf sets.
    assert_eq!(host.rc_variable("syslogd_flags").unwrap().as_deref(), Some("-s"));
}

#[test]
fn rc_reads_what_sysrc_does_not_see() {
    for (text, value) in [
        ("foo=\"a\"; bar=\"b\"\n", Some("b")),
        (": ${bar:=dflt}\n", Some("dflt")),
        ("bar=x\n: ${bar:=dflt}\n", Some("x")),
        ("export bar=\"e\"\n", Some("e")),
        ("if false; then\n  bar=\"in\"\nfi\n", None),
        ("bar=\"a \\\n b\"\n", Some("a  b")),
        ("bar=\"new\n b\"\n", Some("new\n b")),
    ] {
        let host = on_15();
        host.write("/etc/rc.conf", text);
        assert_eq!(host.rc_variable("bar").unwrap().as_deref(), value, "{text:?}");
    }
    let host = on_15();
    host.write("/etc/rc.conf", "bar=\"a\n");
    assert!(host.rc_variable("bar").unwrap_err().to_string().contains("Unterminated quoted string"));
}

/// The reserved range and another variable after a boot with these lines.
fn sysctls_after(lines: &str) -> [String; 2] {
    let host = on_15();
    host.write("/etc/sysctl.conf", lines);
    host.reboot().unwrap();
    [RESERVED_HIGH, "security.bsd.see_other_uids"].map(|name| host.sysctl(name).unwrap().unwrap())
}

#[test]
fn sysctl_f_takes_these_lines() {
    for line in [
        "net.inet.ip.portrange.reservedhigh=79\r\n",
        "net.inet.ip.portrange.reservedhigh=79",
        "  \tnet.inet.ip.portrange.reservedhigh=79\n",
        "net.inet.ip.portrange.reservedhigh = 79\n",
        "net.inet.ip.portrange.reservedhigh=\"79\"\n",
        "net.inet.ip.portrange.reservedhigh=79 # comment\n",
        "net.inet.ip.portrange.reservedhigh=500\nnet.inet.ip.portrange.reservedhigh=79\n",
    ] {
        assert_eq!(sysctls_after(line)[0], "79", "{line:?}");
    }
    // A line that fails does not keep the others from being set.
    for wrong in ["net.inet.ip.portrange.reservedhigh+=5\n", "nosuch.name=1\n", "nonsense\n"] {
        assert_eq!(sysctls_after(&format!("{wrong}security.bsd.see_other_uids=0\n")), ["1023", "0"], "{wrong:?}");
    }
    let names: Vec<String> =
        crate::sysconf::sysctl_conf::FILE.settings(b"name+=5\n").into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["name+"]);
}

#[test]
fn sysctl_sets_the_rules_to_nothing() {
    let host = on_15();
    host.open_ports();
    host.set_sysctl(RULES, "").unwrap();
    assert_eq!(host.sysctl(RULES).unwrap().as_deref(), Some(""));
    assert_eq!(host.bind_as(209, 80), BindOutcome::NoRule);
}

/// What the loader has left of the variable `x.y` and whether it has loaded the module, after a boot with this loader.conf.
fn loaded(text: &str) -> (Option<String>, bool) {
    let host = on_15();
    host.write(LOADER_CONF, text);
    host.reboot().unwrap();
    let mut value = None;
    host.edit(|model| value = model.kernel_environment.get("x.y").cloned()).unwrap();
    (value, host.module_loaded("mac_portacl").unwrap())
}

#[test]
fn the_loader_takes_or_leaves_out_a_line() {
    for (line, value) in [
        ("x.y = \"1\"\n", Some("1")),
        ("x.y=1\n", Some("1")),
        ("x.y=yes\n", Some("yes")),
        ("  x.y=\"1\"\n", Some("1")),
        ("x.y=\"1\" # c\n", Some("1")),
        ("x.y=\"1\"# c\n", Some("1")),
        ("x.y=\"\"\n", Some("")),
        ("x.y=\"1\"\r\n", Some("1")),
        ("x.y=\"1\"", Some("1")),
        ("x.y='1'\n", None),
        ("x.y=\"a\\\"b\"\n", None),
        ("x.y=\"1\"; z=\"2\"\n", None),
        ("this makes no sense\nx.y=\"1\"\n", Some("1")),
        ("x.y=\"1\"\nx.y=\"2\"\n", Some("2")),
    ] {
        assert_eq!(loaded(line).0.as_deref(), value, "{line:?}");
    }
}

#[test]
fn the_loader_loads_a_module_or_not() {
    for (line, is_loaded) in [
        ("mac_portacl_load=\"yes\"\n", true),
        ("mac_portacl_load=YES\n", true),
        ("mac_portacl_load = \"YES\"\n", true),
        ("mac_portacl_load='YES'\n", false),
        ("mac_portacl_load=\"NO\"\n", false),
    ] {
        assert_eq!(loaded(line).1, is_loaded, "{line:?}");
    }
}

#[test]
fn the_loader_reads_its_files_in_order() {
    let host = on_15();
    let value = || {
        host.reboot().unwrap();
        let mut value = None;
        host.edit(|model| value = model.kernel_environment.get("x.y").cloned()).unwrap();
        value
    };
    host.write(LOADER_CONF, "x.y=\"main\"\n");
    assert_eq!(value().as_deref(), Some("main"));
    host.write("/boot/loader.conf.d/z.other", "x.y=\"not read\"\n");
    assert_eq!(value().as_deref(), Some("main"));
    host.write("/boot/loader.conf.d/b.conf", "x.y=\"b\"\n");
    host.write("/boot/loader.conf.d/a.conf", "x.y=\"a\"\n");
    assert_eq!(value().as_deref(), Some("b"));
    host.write("/boot/loader.conf.local", "x.y=\"local\"\n");
    assert_eq!(value().as_deref(), Some("local"));
}

#[test]
fn service_of_what_does_not_exist_and_of_what_cannot_reload() {
    let host = on_15();
    assert_eq!(host.service("nosuch").unwrap(), ServiceState::Missing);
    let (status, text) = command_failure(&host.service_action("nosuch", ServiceAction::Stop).unwrap_err());
    assert_eq!(status, "exit status: 1");
    assert_eq!(
        text,
        "nosuch does not exist in /etc/rc.d or the local startup directories (/usr/local/etc/rc.d), or is not executable"
    );
    let (status, text) = command_failure(&host.service_action("cron", ServiceAction::Reload).unwrap_err());
    assert_eq!((status.as_str(), text.as_str()), ("exit status: 1", "unknown directive 'reload'."));
    host.service_action("syslogd", ServiceAction::Reload).unwrap();
}

#[test]
fn pw_says_what_is_taken_or_unknown_by_its_status() {
    let host = on_15();
    let status = |error: HostError| command_failure(&error).0;
    host.add_group(&Group { name: "gotosocial".into(), gid: 209 }).unwrap();
    host.add_user(&service_user()).unwrap();
    assert!(host.text("/etc/master.passwd").contains("gotosocial:*:209:"), "no password, but none that fits");
    assert_eq!(host.entry(Path::new("/nonexistent")).unwrap(), None);
    let taken = User { name: "other".into(), ..service_user() };
    assert_eq!(status(host.add_user(&taken).unwrap_err()), "exit status: 65");
    // userdel and groupdel of what is unknown are 67 and 65, which both hosts take for done.
    host.delete_user("nosuch").unwrap();
    host.delete_group("nosuch").unwrap();
}

#[test]
fn fstat_of_a_file_that_nobody_has_open_and_of_one_that_does_not_exist() {
    let host = on_15();
    assert_eq!(host.file_users(Path::new("/etc/rc.conf")).unwrap(), []);
    host.write("/tmp/a b", "");
    assert_eq!(host.file_users(Path::new("/tmp/a b")).unwrap(), []);
    let (status, text) = command_failure(&host.file_users(Path::new("/nosuch")).unwrap_err());
    assert_eq!((status.as_str(), text.as_str()), ("exit status: 1", "fstat: /nosuch: No such file or directory"));
}

#[test]
fn portacl_counts_a_supplementary_group_and_root_needs_a_rule_without_suser_exempt() {
    let host = on_15();
    host.load_module("mac_portacl").unwrap();
    host.set_sysctl(RULES, "gid:300:tcp:81").unwrap();
    host.set_sysctl(RESERVED_HIGH, "79").unwrap();
    let bind = |uid, gid, groups: &[u32], port| {
        let groups = groups.to_vec();
        host.bind(&BindProbe { uid, gid, groups, protocol: Protocol::Tcp, family: Family::V4, port }).unwrap()
    };
    assert_eq!(bind(209, 209, &[300], 81), BindOutcome::Bound);
    assert_eq!(bind(209, 209, &[], 81), BindOutcome::NoRule);
    assert_eq!(bind(0, 0, &[], 82), BindOutcome::Bound);
    host.set_sysctl("security.mac.portacl.suser_exempt", "0").unwrap();
    assert_eq!(bind(0, 0, &[], 82), BindOutcome::NoRule);
}

#[test]
fn defaults_of_the_kernel() {
    let host = on_15();
    for (name, value) in [
        ("security.bsd.hardlink_check_uid", "0"),
        ("security.bsd.see_other_uids", "1"),
        ("security.bsd.unprivileged_proc_debug", "1"),
        ("kern.elf64.allow_wx", "1"),
    ] {
        assert_eq!(host.sysctl(name).unwrap().as_deref(), Some(value), "{name}");
    }
    assert_eq!(host.system().unwrap().osreldate, 1_501_000);
}

#[test]
fn a_boot_without_the_module_ends_guarded_and_without_gotosocial() {
    let host = on_15();
    host.install("0.21.2", &direct_config());
    for name in ["gts_portacl_guard", "gts_portacl_guard_late"] {
        host.put(&format!("/usr/local/etc/rc.d/{name}"), "#!/bin/sh\n", 0o555, Owner::ROOT);
    }
    host.set_rc_variable("gts_portacl_guard_enable", Some("YES")).unwrap();
    host.write(LOADER_CONF, "mac_portacl_load=\"YES\"\n");
    host.write("/etc/sysctl.conf", &format!("{RULES}=uid:209:tcp:80,uid:209:tcp:443\n{RESERVED_HIGH}=79\n"));
    host.remove(Path::new("/boot/kernel/mac_portacl.ko")).unwrap();
    host.reboot().unwrap();
    assert!(!host.module_loaded("mac_portacl").unwrap());
    assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some("1023"));
    assert!(!host.runs());
}

#[test]
fn the_server_writes_on_into_the_new_log_after_a_rotation() {
    let host = on_15();
    host.install("0.21.2", &direct_config());
    host.open_ports();
    host.start().unwrap();
    let old = host.text(LOG);
    host.rename(Path::new(LOG), Path::new("/var/log/gotosocial/gotosocial.log.0")).unwrap();
    host.put(LOG, "", 0o640, Owner { uid: 0, gid: 209 });
    host.service_action("gotosocial", ServiceAction::Stop).unwrap();
    assert!(host.text("/var/log/gotosocial/gotosocial.log.0").starts_with(&old));
    assert!(host.text(LOG).contains("done! exiting..."), "{}", host.text(LOG));
}

#[test]
fn settings_of_a_module_that_rc_loads_are_of_14_and_later() {
    for (osreldate, high) in [(1_302_001, "1023"), (1_501_000, "79")] {
        let host = on(osreldate);
        host.set_rc_variable("kld_list", Some("mac_portacl")).unwrap();
        host.write("/etc/sysctl.kld.d/mac_portacl.conf", &format!("{RESERVED_HIGH}=79\n"));
        host.reboot().unwrap();
        assert_eq!(host.sysctl(RESERVED_HIGH).unwrap().as_deref(), Some(high), "{osreldate}");
    }
}
