//! The model held to what was seen on FreeBSD, and to the facts about GoToSocial.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod base_system;
mod boot;
mod faults;
mod folder;
mod gotosocial_service;
mod gotosocial_web;
mod kernel;
mod packages;
mod port_watch;
mod web_servers;

use std::path::Path;
use std::time::Duration;

use crate::portacl::Protocol;

use super::super::{
    BindOutcome, BindProbe, Carried, Family, Group, Host, HostError, Invocation, NEVER, Observe, Output, Owner,
    ServiceAction, User, WebAnswer, WebFailure, WebRequest, Whose,
};
use super::{Model, Rehearsal};

const RULES: &str = "security.mac.portacl.rules";
const RESERVED_HIGH: &str = "net.inet.ip.portrange.reservedhigh";
const CONFIG: &str = "/usr/local/etc/gotosocial/config.yaml";
const DATABASE: &str = "/var/db/gotosocial/sqlite.db";
const LOG: &str = "/var/log/gotosocial/gotosocial.log";
const GTS: Owner = Owner { uid: 209, gid: 209 };

/// A rehearsal in a temporary folder that goes with it.
struct Fresh {
    host: Rehearsal,
    folder: tempfile::TempDir,
}

impl std::ops::Deref for Fresh {
    type Target = Rehearsal;

    fn deref(&self) -> &Rehearsal {
        &self.host
    }
}

fn fresh() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    Fresh { host: Rehearsal::open(folder.path()).unwrap(), folder }
}

fn fresh_with(edit: impl FnOnce(&mut Model)) -> Fresh {
    let host = fresh();
    host.edit(edit).unwrap();
    host
}

impl Fresh {
    fn write(&self, path: &str, text: &str) {
        self.put(path, text, 0o644, Owner::ROOT);
    }

    fn put(&self, path: &str, text: &str, mode: u32, owner: Owner) {
        let folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        for folder in folders.into_iter().rev().filter(|folder| *folder != Path::new("/")) {
            if self.entry(folder).unwrap().is_none() {
                self.make_directory(folder, 0o755, Owner::ROOT).unwrap();
            }
        }
        self.write_file(Path::new(path), text.as_bytes(), mode, owner).unwrap();
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.read_of(Path::new(path), Whose::Folder).unwrap().unwrap_or_default()).unwrap()
    }

    /// Everything that an installation puts in place but accounts, ports and configuration, and then those.
    fn install(&self, version: &str, config: &str) {
        self.add_group(&Group { name: "gotosocial".into(), gid: 209 }).unwrap();
        self.add_user(&service_user()).unwrap();
        let release = format!("/usr/local/libexec/gotosocial/{version}");
        self.put(&format!("{release}/gotosocial"), "never executed", 0o755, Owner::ROOT);
        self.write(&format!("{release}/web/template/index.tmpl"), "<html>");
        self.write(&format!("{release}/web/assets/logo.webp"), "logo");
        self.make_symlink(Path::new("/usr/local/libexec/gotosocial/current"), Path::new(version)).unwrap();
        self.put("/usr/local/etc/rc.d/gotosocial", "#!/bin/sh\n", 0o555, Owner::ROOT);
        for folder in ["", "/tmp", "/wazero", "/storage"] {
            self.make_directory(Path::new(&format!("/var/db/gotosocial{folder}")), 0o750, GTS).unwrap();
        }
        self.make_directory(Path::new("/var/log/gotosocial"), 0o750, Owner { uid: 0, gid: 209 }).unwrap();
        self.put(CONFIG, config, 0o640, Owner { uid: 0, gid: 209 });
        self.set_rc_variable("gotosocial_enable", Some("YES")).unwrap();
    }

    /// Rules for 80 and 443, and the reserved range out of the way.
    fn open_ports(&self) {
        self.load_module("mac_portacl").unwrap();
        self.set_sysctl(RULES, "uid:209:tcp:80,uid:209:tcp:443").unwrap();
        self.set_sysctl(RESERVED_HIGH, "79").unwrap();
    }

    /// A certificate with its key, both valid from now on.
    fn put_certificate(&self, folder: &str, name: &str) {
        let bundle = super::authority::signed(name, self.now(), self.now() + 1_000_000, 1).unwrap();
        self.write(&format!("{folder}/chain.pem"), &bundle.chain_pem());
        self.put(&format!("{folder}/key.pem"), bundle.key_pem().expose(), 0o600, Owner::ROOT);
    }

    fn ask(&self, tls: bool, name: &str, path: &str) -> Result<WebAnswer, WebFailure> {
        self.web(&request(tls, name, path, true))
    }

    fn ask_unverified(&self, name: &str, path: &str) -> Result<WebAnswer, WebFailure> {
        self.web(&request(true, name, path, false))
    }

    fn start(&self) -> Result<(), HostError> {
        self.service_action("gotosocial", ServiceAction::Start)
    }

    fn stop(&self) {
        self.service_action("gotosocial", ServiceAction::Stop).unwrap();
    }

    fn runs(&self) -> bool {
        self.service("gotosocial").unwrap().is_running()
    }

    fn bind_as(&self, uid: u32, port: u16) -> BindOutcome {
        self.bind_with(uid, uid, &[], port, Family::V4)
    }

    fn bind_with(&self, uid: u32, gid: u32, groups: &[u32], port: u16, family: Family) -> BindOutcome {
        self.bind(&BindProbe { uid, gid, groups: groups.to_vec(), family, protocol: Protocol::Tcp, port }).unwrap()
    }

    fn gotosocial(&self, arguments: &[&str]) -> Output {
        let first = ["--config-path", CONFIG];
        let arguments = first.iter().chain(arguments).map(|argument| (*argument).to_string()).collect();
        self.run_as(
            &Invocation {
                program: "/usr/local/libexec/gotosocial/current/gotosocial".into(),
                arguments,
                environment: Vec::new(),
                owner: GTS,
                directory: "/var/db/gotosocial".into(),
                secret_argument: None,
                limit: None,
            },
            NEVER,
        )
        .unwrap()
    }

    fn create(&self, username: &str) -> Output {
        let email = format!("{username}@example.org");
        let password = "fQ9-mZ2_xLp7.Tw4";
        self.gotosocial(&[
            "admin",
            "account",
            "create",
            "--username",
            username,
            "--email",
            &email,
            "--password",
            password,
        ])
    }
}

fn request(tls: bool, host: &str, path: &str, verify: bool) -> WebRequest {
    let (host, path, timeout) = (host.into(), path.into(), Duration::from_secs(5));
    WebRequest { tls, host, address: None, path, carries: Carried::default(), verify, timeout }
}

/// The key of another certificate.
fn other_key() -> String {
    super::authority::signed("other.example.org", 0, 1, 2).unwrap().key_pem().expose().to_owned()
}

fn service_user() -> User {
    User {
        name: "gotosocial".into(),
        uid: 209,
        gid: 209,
        gecos: "Gotosocial user".into(),
        home: "/nonexistent".into(),
        shell: "/usr/sbin/nologin".into(),
    }
}

/// The configuration of a server that listens on 80 and 443 and fetches its certificate itself.
fn direct_config() -> String {
    config("bind-address: \"0.0.0.0\"\nport: 443\nletsencrypt-enabled: true\nletsencrypt-port: 80\n")
}

/// One behind a proxy.
fn proxied_config() -> String {
    config("bind-address: \"127.0.0.1\"\nport: 8080\n")
}

fn config(more: &str) -> String {
    format!(
        "# comment\nhost: \"gts.example.org\"\naccount-domain: \"example.org\"\ndb-type: \"sqlite\"\ndb-address: \
         \"{DATABASE}\"\nstorage-local-base-path: \"/var/db/gotosocial/storage\"\nletsencrypt-cert-dir: \
         \"/var/db/gotosocial/certs\"\nletsencrypt-email-address: \"admin@example.org\"\nweb-template-base-dir: \
         \"/usr/local/libexec/gotosocial/current/web/template/\"\nweb-asset-base-dir: \
         \"/usr/local/libexec/gotosocial/current/web/assets/\"\ntrusted-proxies: [\"127.0.0.1/32\", \"::1\"]\n{more}"
    )
}

/// Command, status and words of a failed command.
fn command_failure(error: &HostError) -> (String, String) {
    match error {
        HostError::Command { status, stderr, .. } => (status.clone(), stderr.clone()),
        other => panic!("not a failed command: {other}"),
    }
}
