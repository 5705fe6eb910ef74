//! What ends a start, with the exit status and the words of the real program.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use crate::instance::Instance;

/// A start ends with this status and these words.
#[track_caller]
fn refused(instance: &Instance, status: i32, words: &str) {
    let ended = instance.start(&[]).end();
    let log = instance.log();
    assert!(log.contains(words), "{words:?} is not in:\n{log}");
    assert_eq!(ended, status, "{log}");
}

#[test]
fn a_port_in_use_is_a_panic() {
    let instance = Instance::direct("0.19.2");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, instance.port)).unwrap();
    let text = format!("listen: listen tcp 127.0.0.1:{}: bind: address already in use", instance.port);
    refused(&instance, 2, &format!("level=PANIC msg=\"{text}\"\npanic: {text}\n\ngoroutine 1"));
    drop(taken);
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, instance.plain_port)).unwrap();
    let plain = instance.plain_port;
    refused(&instance, 2, &format!("letsencrypt: listen: listen tcp 127.0.0.1:{plain}: bind: address already in use"));
}

#[test]
fn an_address_of_another_machine_is_a_panic() {
    let instance = Instance::proxied("0.19.2");
    instance.edit("bind-address: \"127.0.0.1\"", "bind-address: \"192.0.2.1\"");
    refused(&instance, 2, "assign requested address");
}

#[test]
fn the_two_series_write_ipv6_in_their_own_way() {
    for (version, written, words) in
        [("0.19.2", "::1", "too many colons in address"), ("0.20.0-rc1", "[::1]", "missing port in address")]
    {
        let instance = Instance::proxied(version);
        instance.edit("bind-address: \"127.0.0.1\"", &format!("bind-address: \"{written}\""));
        refused(&instance, 2, words);
    }
}

#[test]
fn values_that_cannot_be_are_refused() {
    for (from, to, status, words) in [
        ("host: \"social.example.org\"", "host: \"\"", 1, "invalid config: host must be set"),
        ("protocol: \"https\"", "protocol: \"ftp\"", 1, "protocol must be set to either http or https"),
        ("db-type: \"sqlite\"", "db-type: \"mysql\"", 1, "database type mysql not supported for bundb"),
        ("trusted-proxies: [", "trusted-proxies: [\"localhost\", ", 1, "invalid IP address: localhost"),
        ("trusted-proxies: [", "trusted-proxies: [\"10.0.0.0/99\", ", 1, "invalid CIDR address: 10.0.0.0/99"),
        ("port: ", "port: 70000 # ", 2, "invalid port"),
        ("port: ", "port: abc # ", 2, "goroutine 1"),
    ] {
        let instance = Instance::proxied("0.19.2");
        instance.edit(from, to);
        refused(&instance, status, words);
    }
    for (line, words) in [
        ("account-domain: other.test", "account-domain other.test is not a valid subdomain of host"),
        ("log-level: loud", "unknown log level: \"loud\""),
        ("tls-certificate-chain: /x", "the stand-in does not know tls-certificate-chain"),
    ] {
        let instance = Instance::proxied("0.19.2");
        instance.add(line);
        refused(&instance, 1, words);
    }
}

#[test]
fn missing_folders_and_files_are_refused() {
    let instance = Instance::proxied("0.19.2");
    fs::remove_dir(instance.layout().data).unwrap();
    refused(&instance, 1, "error creating dbservice: sqlite ping: sqlite3: unable to open database file");

    let instance = Instance::proxied("0.19.2");
    fs::remove_file(instance.layout().web_templates().join("index.tmpl")).unwrap();
    refused(&instance, 1, "LoadTemplates: cannot find index.tmpl in web template directory");

    let instance = Instance::proxied("0.19.2");
    fs::write(instance.layout().database(), "no database").unwrap();
    refused(&instance, 1, "file is not a database");
}

#[test]
fn a_broken_file_is_told_by_0_19_and_ignored_by_0_20() {
    for (version, words) in
        [("0.19.2", "error reloading config: While parsing config: yaml: line"), ("0.20.0-rc1", "host must be set")]
    {
        let instance = Instance::proxied(version);
        instance.add("\thost: [");
        refused(&instance, 1, words);
        fs::remove_file(instance.config()).unwrap();
        let missing = if version == "0.19.2" { "error reloading config: open " } else { words };
        refused(&instance, 1, missing);
    }
}

#[test]
fn a_migration_fails_when_asked_to_and_never_for_a_database_that_needs_none() {
    let instance = Instance::proxied("0.19.2");
    let trouble = [("STAND_IN_FAIL_MIGRATION", "1")];
    assert_eq!(instance.start(&trouble).end(), 1);
    assert!(instance.log().contains("db migration error"), "{}", instance.log());
    assert_eq!(instance.started().stop(), 0);
    let server = instance.start(&trouble);
    server.wait_for("recovered queued tasks");
    assert_eq!(server.stop(), 0);
}

#[test]
fn trouble_that_is_not_known_is_refused() {
    for (name, value) in [("STAND_IN_READY_AFTER", "soon"), ("STAND_IN_NO_CERTIFICATE", "bad weather")] {
        let instance = Instance::proxied("0.19.2");
        assert_eq!(instance.start(&[(name, value)]).end(), 1);
        assert!(instance.log().contains(value), "{}", instance.log());
    }
}
