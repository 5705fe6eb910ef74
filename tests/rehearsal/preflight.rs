//! Everything that can be known beforehand is told beforehand, all at once, and nothing is changed.

use std::os::unix::fs::PermissionsExt;

use gts_bootstrap::host::{Jail, Listener};

use crate::machine::{ANSWERS, Machine, differences};

/// The machine is refused with these words, and nothing in it changes.
#[track_caller]
fn refused(machine: &Machine, words: &[&str]) {
    let before = machine.snapshot();
    let mut outcome = machine.install(ANSWERS).exits(1);
    for word in words {
        outcome = outcome.says(word);
    }
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
}

fn listener(port: u16, command: &str, user: &str, uid: u32) -> Listener {
    Listener {
        user: user.into(),
        uid: Some(uid),
        command: command.into(),
        pid: Some(912),
        address: None,
        ipv4: true,
        ipv6: false,
        port,
        jail: None,
    }
}

#[test]
fn all_findings_come_at_once() {
    let machine = Machine::with(|model| {
        model.euid = 1001;
        model.allow_wx = false;
        model.memory = 256 << 20;
        model.free_bytes = 100 << 20;
        model.packages.insert("gotosocial".into(), "0.18.1".into());
        model.listeners.push(listener(80, "nginx", "www", 80));
        model.clock = 86_400;
    });
    refused(
        &machine,
        &[
            "root: runs as uid 1001",
            "kern.elf64.allow_wx: 0",
            "memory: 256 MiB",
            "disk for the release: 100 MiB",
            "disk for the data: 100 MiB",
            "package net-im/gotosocial: version 0.18.1",
            "port 80: taken by nginx (user www, uid 80, pid 912)",
            "clock: the clock is years behind",
        ],
    );
}

#[test]
fn systems_and_processors_without_a_release() {
    refused(&Machine::with(|model| model.machine_arch = "riscv64".into()), &["no release for FreeBSD on riscv64"]);
    refused(
        &Machine::with(|model| {
            model.osreldate = 1_204_000;
            model.release = "12.4-RELEASE".into();
        }),
        &["FreeBSD 12.4-RELEASE is too old"],
    );
    let old = Machine::with(|model| {
        model.osreldate = 1_302_001;
        model.release = "13.2-RELEASE".into();
    });
    old.install(ANSWERS).exits(0).says("end of life");
}

#[test]
fn a_processor_without_sse4_1_gets_the_build_for_it() {
    let machine = Machine::with(|model| model.sse4_1 = false);
    machine.install(ANSWERS).exits(0).says("without SSE4.1: the nowasm build");
    assert!(machine.read("/usr/local/etc/gts-bootstrap/deployment.lock").contains("freebsd_amd64_nowasm.tar.gz"));
}

#[test]
fn arm64_gets_its_own_release() {
    let machine = Machine::with(|model| {
        model.machine_arch = "aarch64".into();
        model.sse4_1 = false;
    });
    machine.install(ANSWERS).exits(0);
    assert!(machine.read("/usr/local/etc/gts-bootstrap/deployment.lock").contains("freebsd_arm64.tar.gz"));
    let on_request = Machine::with(|model| model.machine_arch = "aarch64".into());
    on_request
        .install_with(ANSWERS, &["--yes", "--set", "release.variant=nowasm"])
        .exits(1)
        .says("no nowasm build for arm64");
}

#[test]
fn a_name_that_other_fediverse_software_answers_for() {
    let machine = Machine::with(|model| {
        model.dns.insert("social.example.org".into(), vec!["198.51.100.7".parse().unwrap()]);
        model.outside.insert(
            "https://social.example.org/.well-known/nodeinfo".into(),
            gts_bootstrap::host::rehearsal::OutsideAnswer {
                body: r#"{"links":[{"href":"https://social.example.org/nodeinfo/2.0"}]}"#.into(),
                ..Default::default()
            },
        );
    });
    refused(&machine, &["a fediverse server answers for social.example.org already", "resolves to 198.51.100.7"]);
}

#[test]
fn a_name_without_address_is_a_warning() {
    let machine = Machine::with(|model| {
        model.dns.insert("social.example.org".into(), Vec::new());
    });
    // Without an address there is no certificate: the installation stands, and the check says what is missing.
    machine.install(ANSWERS).exits(3).says("has no address yet").says("certificate");
}

#[test]
fn a_resolver_that_does_not_answer_is_not_taken_for_a_name_without_address() {
    let machine = Machine::with(|model| model.faults.resolver_fails = true);
    let told = machine.install_with(ANSWERS, &["--plan"]).exits(0).does_not_say("has no address");
    told.says(
        "warn host name: the name social.example.org could not be looked up: Name could not be resolved at this time",
    )
    .says("`getent hosts social.example.org`")
    .says("skip other fediverse server: the name social.example.org could not be looked up");
}

#[test]
fn no_certificate_authorities_is_a_warning_without_a_download() {
    let machine = Machine::fresh();
    std::fs::remove_file(machine.path("/etc/ssl/cert.pem")).unwrap();
    machine.install(ANSWERS).exits(0).says("certificate authorities").says("certctl rehash");
}

/// What the preflight says of certificate authorities on a host with these links (`-> TARGET`), folders (`/`) and files.
fn authorities(osreldate: u32, files: &[(&str, &str, u32)]) -> String {
    let machine = Machine::with(|model| model.osreldate = osreldate);
    let certificate = machine.read("/etc/ssl/cert.pem");
    std::fs::remove_file(machine.path("/etc/ssl/cert.pem")).unwrap();
    for (path, what, mode) in files {
        let local = machine.path(path);
        std::fs::create_dir_all(local.parent().unwrap()).unwrap();
        match what.strip_prefix("-> ") {
            Some(target) => std::os::unix::fs::symlink(target, local).unwrap(),
            None => {
                machine.write(path, &what.replace("CERTIFICATE", &certificate));
                std::fs::set_permissions(local, std::fs::Permissions::from_mode(*mode)).unwrap();
            }
        }
    }
    let json = machine.install_with(ANSWERS, &["--plan", "--json"]).json();
    let checks = json["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "certificate authorities").unwrap();
    format!("{}: {}", check["status"].as_str().unwrap(), check["detail"].as_str().unwrap())
}

#[test]
fn the_place_of_the_ca_certificates_is_named_with_their_number() {
    let says = |files: &[(&str, &str, u32)]| authorities(1_501_000, files);
    assert_eq!(says(&[("/etc/ssl/cert.pem", "CERTIFICATE", 0o444)]), "pass: /etc/ssl/cert.pem, 1 certificate");
    // The folder of 13 and 14, with links into the base system.
    let of_base = ("/usr/share/certs/trusted/Root.pem", "# a text before it\nCERTIFICATE", 0o444);
    let link = ("/etc/ssl/certs/0123abcd.0", "-> ../../../usr/share/certs/trusted/Root.pem", 0);
    let dangling = ("/etc/ssl/certs/4567abcd.0", "-> /usr/share/certs/trusted/Gone.pem", 0);
    assert_eq!(says(&[of_base, link, dangling]), "pass: /etc/ssl/certs, 1 certificate");
    // The package on 13 and 14.
    let bundle = ("/usr/local/share/certs/ca-root-nss.crt", "CERTIFICATE", 0o444);
    let by_package = ("/etc/ssl/cert.pem", "-> /usr/local/share/certs/ca-root-nss.crt", 0);
    assert_eq!(says(&[bundle, by_package]), "pass: /etc/ssl/cert.pem, 1 certificate");
    assert_eq!(
        says(&[bundle, dangling]),
        "warn: /usr/local/share/certs/ca-root-nss.crt, 1 certificate; passed over: /etc/ssl/certs holds no certificate that \
         can be read: 4567abcd.0 is a link to what is not there"
    );
    for (file, why) in [
        (("/usr/local/etc/ssl/cert.pem", "", 0o444), "holds no certificate"),
        (
            ("/usr/local/etc/ssl/cert.pem", "CERTIFICATE", 0o440),
            "can be read by root alone; nobody and GoToSocial have to",
        ),
        (("/usr/local/etc/ssl/cert.pem", "-> /nowhere", 0), "is a link to what is not there"),
    ] {
        let said = says(&[file, ("/etc/ssl/cert.pem", "CERTIFICATE", 0o444)]);
        let told = format!("warn: /etc/ssl/cert.pem, 1 certificate; passed over: /usr/local/etc/ssl/cert.pem {why}");
        assert_eq!(said, told);
    }
}

#[test]
fn what_variables_name_counts_alone_and_is_said_to_be_of_this_shell() {
    let with = |variable: &str, value: &str| {
        let machine = Machine::with(|model| drop(model.environment.insert(variable.into(), value.into())));
        machine.write("/root/ca.pem", &machine.read("/etc/ssl/cert.pem"));
        std::fs::set_permissions(machine.path("/root"), std::fs::Permissions::from_mode(0o750)).unwrap();
        machine.install_with(ANSWERS, &["--yes", "-v"]).exits(0).said()
    };
    let named = with("SSL_CERT_FILE", "/etc/ssl/cert.pem");
    assert!(named.contains("/etc/ssl/cert.pem, 1 certificate (named by this shell"), "{named}");
    let private = with("SSL_CERT_FILE", "/root/ca.pem");
    assert!(
        private.contains("no CA certificates") && private.contains("/root/ca.pem can be read by root alone"),
        "{private}"
    );
    assert!(with("SSL_CERT_DIR", "/etc/ssl").contains("/etc/ssl, 1 certificate (named by this shell"));
}

/// The children read it there, and ask nobody who has put it there.
#[test]
fn a_file_of_certificates_counts_where_others_may_put_files() {
    for (variable, value) in [
        ("SSL_CERT_FILE", "/home/admin/ca.pem"),
        ("SSL_CERT_FILE", "/home/admin/link.pem"),
        ("SSL_CERT_FILE", "/home/admin/way/ca.pem"),
        ("SSL_CERT_DIR", "/home/admin"),
    ] {
        let machine = Machine::with(|model| drop(model.environment.insert(variable.into(), value.into())));
        machine.write("/home/admin/ca.pem", &machine.read("/etc/ssl/cert.pem"));
        for (target, link) in [("ca.pem", "link.pem"), (".", "way")] {
            std::os::unix::fs::symlink(target, machine.path(&format!("/home/admin/{link}"))).unwrap();
        }
        let mode = std::fs::Permissions::from_mode(0o1777);
        std::fs::set_permissions(machine.path("/home/admin"), mode).unwrap();
        let said = machine.install_with(ANSWERS, &["--yes", "-v"]).exits(0).said();
        assert!(said.contains(&format!("{value}, 1 certificate (named by this shell")), "{said}");
    }
}

#[test]
fn a_folder_on_the_way_that_others_may_not_enter_closes_the_place() {
    let machine = Machine::fresh();
    let mode =
        |bits| std::fs::set_permissions(machine.path("/etc/ssl"), std::fs::Permissions::from_mode(bits)).unwrap();
    mode(0o750);
    let outcome = machine.install(ANSWERS).exits(0);
    outcome.says("no CA certificates").says("/etc/ssl/cert.pem can be read by root alone");
}

#[test]
fn without_ca_certificates_the_remedy_is_that_of_the_release() {
    let on_15 = authorities(1_501_000, &[]);
    assert!(on_15.starts_with("warn: no CA certificates, so GoToSocial can reach neither"), "{on_15}");
    assert!(on_15.contains("/etc/ssl/certs is empty, /usr/local/etc/ssl/cert.pem is not there"), "{on_15}");
    assert!(on_15.ends_with("run `certctl rehash`, or `pkg install ca_root_nss`"), "{on_15}");
    assert!(authorities(1_302_000, &[]).ends_with("; run `pkg install ca_root_nss`"));
}

#[test]
fn an_account_that_is_root_is_refused() {
    let machine = Machine::fresh();
    machine.write(
        "/etc/master.passwd",
        &(machine.read("/etc/master.passwd") + "gotosocial:*:0:0::0:0:Evil:/root:/bin/sh\n"),
    );
    machine.write("/etc/passwd", &(machine.read("/etc/passwd") + "gotosocial:*:0:0:Evil:/root:/bin/sh\n"));
    refused(&machine, &["has uid 0 here"]);
}

#[test]
fn a_jail_is_told_what_its_host_has_to_do_word_for_word() {
    let machine = Machine::with(|model| model.jail = Jail::Shared);
    refused(
        &machine,
        &[
            "sysrc -f /boot/loader.conf mac_portacl_load=YES",
            "kldload -n mac_portacl",
            "sysctl security.mac.portacl.rules=uid:209:tcp:80,uid:209:tcp:443",
            "sysctl net.inet.ip.portrange.reservedhigh=79",
        ],
    );
}

#[test]
fn refusals_of_every_part_are_among_the_findings() {
    let machine = Machine::with(|model| model.euid = 1001);
    machine.write("/etc/group", &(machine.read("/etc/group") + "backup:*:209:\n"));
    machine.write("/usr/local/etc/rc.d/gotosocial", "#!/bin/sh\n");
    machine.write("/etc/sysctl.conf", "security.mac.portacl.enabled=0\n");
    refused(
        &machine,
        &["root: runs as uid 1001", "account: gid 209", "rc-script: /usr/local/etc/rc.d/gotosocial", "port-access:"],
    );
}

#[test]
fn only_a_listener_on_the_same_address_is_in_the_way() {
    let machine = Machine::with(|model| {
        let other = Listener { address: Some("203.0.113.99".parse().unwrap()), ..listener(443, "nginx", "www", 80) };
        model.addresses.push("203.0.113.99".parse().unwrap());
        model.listeners.push(other);
    });
    refused(&machine, &["port 443: taken by nginx"]);
    let answers = format!("{ANSWERS}\n[config]\nbind-address = \"203.0.113.10\"\n");
    machine.install_with(&answers, &["--plan"]).exits(0).does_not_say("taken by nginx");
}
