//! base-commands: pw, sysrc, service.

use super::*;
use crate::host::ServiceState;

#[test]
fn pw_refuses_in_the_words_and_with_the_status_seen() {
    let host = fresh();
    let group = |name: &str| Group { name: name.into(), gid: 209 };
    let fails = |error: HostError, status: &str, text: &str| {
        assert_eq!(command_failure(&error), (status.to_string(), text.to_string()));
    };
    let no_group = host.add_user(&service_user()).unwrap_err();
    fails(no_group, "exit status: 67", "pw: group `209' is not defined");
    host.add_group(&group("gotosocial")).unwrap();
    let taken = host.add_group(&group("gotosocial")).unwrap_err();
    fails(taken, "exit status: 65", "pw: group name `gotosocial' already exists");
    let taken = host.add_group(&group("other")).unwrap_err();
    fails(taken, "exit status: 65", "pw: gid `209' has already been allocated");
    host.add_user(&service_user()).unwrap();
    let taken = host.add_user(&service_user()).unwrap_err();
    fails(taken, "exit status: 65", "pw: login name `gotosocial' already exists");
    let second = User { name: "second".into(), ..service_user() };
    fails(host.add_user(&second).unwrap_err(), "exit status: 65", "pw: uid `209' has already been allocated");
    for name in ["a b", "", "-x", &"x".repeat(33)] {
        let user = User { name: name.to_string(), uid: 300, ..service_user() };
        assert_eq!(command_failure(&host.add_user(&user).unwrap_err()).0, "exit status: 65", "{name}");
    }
    let gecos = User { name: "third".into(), uid: 300, gecos: "a:b".into(), ..service_user() };
    assert_eq!(command_failure(&host.add_user(&gecos).unwrap_err()).0, "exit status: 65");
}

#[test]
fn accounts_are_lines_of_the_files_and_userdel_takes_the_users_own_group_along() {
    let host = fresh();
    host.add_group(&Group { name: "gotosocial".into(), gid: 209 }).unwrap();
    host.add_user(&service_user()).unwrap();
    let line = "gotosocial:*:209:209::0:0:Gotosocial user:/nonexistent:/usr/sbin/nologin\n";
    assert!(host.text("/etc/master.passwd").ends_with(line));
    assert!(
        host.text("/etc/passwd").ends_with("gotosocial:*:209:209:Gotosocial user:/nonexistent:/usr/sbin/nologin\n")
    );
    assert!(host.text("/etc/group").ends_with("gotosocial:*:209:\n"));
    assert_eq!(host.user("gotosocial").unwrap(), Some(service_user()));
    assert_eq!(host.user_by_id(209).unwrap(), Some(service_user()));
    assert_eq!(host.group_by_id(209).unwrap().unwrap().name, "gotosocial");
    assert_eq!(host.user("root").unwrap().unwrap().uid, 0);
    host.delete_user("gotosocial").unwrap();
    assert_eq!(host.group("gotosocial").unwrap(), None);
    host.delete_group("gotosocial").unwrap();
    host.delete_user("gotosocial").unwrap();
    assert_eq!(host.text("/etc/group"), fresh().text("/etc/group"));
    assert_eq!(host.text("/etc/master.passwd"), fresh().text("/etc/master.passwd"));
}

#[test]
fn a_group_with_other_members_outlives_its_user() {
    let host = fresh();
    let groups = host.text("/etc/group");
    host.write("/etc/group", &format!("{groups}gotosocial:*:209:www,gotosocial\nmedia:*:300:gotosocial,www\n"));
    host.add_user(&service_user()).unwrap();
    host.delete_user("gotosocial").unwrap();
    assert_eq!(host.text("/etc/group"), format!("{groups}gotosocial:*:209:www\nmedia:*:300:www\n"));
    host.delete_group("gotosocial").unwrap();
    assert_eq!(host.group("gotosocial").unwrap(), None);
}

#[test]
fn rc_conf_is_edited_in_place() {
    let host = fresh();
    let before = host.text("/etc/rc.conf");
    host.set_rc_variable("gotosocial_enable", Some("YES")).unwrap();
    assert_eq!(host.text("/etc/rc.conf"), format!("{before}gotosocial_enable=\"YES\"\n"));
    assert_eq!(host.rc_variable("gotosocial_enable").unwrap().as_deref(), Some("YES"));
    host.set_rc_variable("gotosocial_enable", Some("NO")).unwrap();
    assert_eq!(host.text("/etc/rc.conf"), format!("{before}gotosocial_enable=\"NO\"\n"));
    host.set_rc_variable("gotosocial_enable", None).unwrap();
    host.set_rc_variable("gotosocial_enable", None).unwrap();
    assert_eq!(host.text("/etc/rc.conf"), before);
    assert_eq!(host.rc_variable("nosuchvar").unwrap(), None);
    assert_eq!(host.rc_variable("kern_securelevel").unwrap().as_deref(), Some("-1"));
    // As on a real host, where sysrc(8) is not even started.
    let refused = |name: &str, value: &str| host.set_rc_variable(name, Some(value)).unwrap_err().to_string();
    for name in ["", "9a", "a-b"] {
        assert!(refused(name, "x").contains("this is not the name of a shell variable"), "{name:?}");
    }
    for value in ["x\ny", "a\"b", "$x"] {
        assert!(refused("a", value).contains("rc.conf(5) would not give back"), "{value:?}");
    }
}

#[test]
fn the_last_assignment_of_the_last_file_counts_and_is_the_one_edited() {
    let host = fresh();
    host.write("/etc/rc.conf", "a='1' # first\nb=x;\n\ta=\"2\" # second\n");
    assert_eq!(host.rc_variable("a").unwrap().as_deref(), Some("2"));
    assert_eq!(host.rc_variable("b").unwrap().as_deref(), Some("x"));
    host.set_rc_variable("a", Some("it's x")).unwrap();
    assert_eq!(host.rc_variable("a").unwrap().as_deref(), Some("it's x"));
    assert!(host.text("/etc/rc.conf").ends_with(" # second\n"));
    host.write("/etc/rc.conf.local", "a=3");
    host.set_rc_variable("a", Some("4")).unwrap();
    assert_eq!(host.text("/etc/rc.conf.local"), "a=\"4\"\n");
    assert_eq!(host.rc_variable("a").unwrap().as_deref(), Some("4"));
    host.set_rc_variable("a", None).unwrap();
    assert_eq!(host.rc_variable("a").unwrap(), None);
}

#[test]
fn services_need_a_script_that_can_be_executed() {
    let host = fresh();
    assert_eq!(host.service("gotosocial").unwrap(), ServiceState::Missing);
    assert_eq!(host.service("syslogd").unwrap(), ServiceState::Running { pid: Some(413) });
    let error = host.service_action("nosuch", ServiceAction::Start).unwrap_err();
    let (status, text) = command_failure(&error);
    assert_eq!(status, "exit status: 1");
    assert!(text.contains("nosuch does not exist in /etc/rc.d or the local startup directories"), "{text}");
    host.put("/usr/local/etc/rc.d/nginx", "#!/bin/sh\n", 0o644, Owner::ROOT);
    assert_eq!(host.service("nginx").unwrap(), ServiceState::Missing);
    host.put("/usr/local/etc/rc.d/nginx", "#!/bin/sh\n", 0o555, Owner::ROOT);
    let (status, text) = command_failure(&host.service_action("nginx", ServiceAction::Start).unwrap_err());
    assert_eq!(status, "exit status: 0");
    assert!(text.starts_with("Cannot 'start' nginx. Set nginx_enable to YES in /etc/rc.conf"), "{text}");
    assert_eq!(host.service("nginx").unwrap(), ServiceState::Stopped);
    host.set_rc_variable("nginx_enable", Some("YES")).unwrap();
    assert_eq!(command_failure(&host.service_action("nginx", ServiceAction::Reload).unwrap_err()).0, "exit status: 1");
    host.service_action("nginx", ServiceAction::Start).unwrap();
    assert!(host.service("nginx").unwrap().is_running());
    host.service_action("nginx", ServiceAction::Reload).unwrap();
    let again = host.service_action("nginx", ServiceAction::Start).unwrap_err();
    assert!(command_failure(&again).1.starts_with("nginx already running?"));
    host.set_rc_variable("nginx_enable", Some("NO")).unwrap();
    host.service_action("nginx", ServiceAction::Stop).unwrap();
    host.service_action("nginx", ServiceAction::Stop).unwrap();
    assert!(host.service_action("gts_portacl_guard", ServiceAction::Stop).is_err());
}

#[test]
fn packages_are_found_by_name_and_by_origin() {
    let host = fresh_with(|model| drop(model.packages.insert("nginx".into(), "1.26.2".into())));
    assert_eq!(host.package("nginx").unwrap().as_deref(), Some("1.26.2"));
    assert_eq!(host.package("www/nginx").unwrap().as_deref(), Some("1.26.2"));
    assert_eq!(host.package("gotosocial").unwrap(), None);
}
