//! The child that talks with the authority: who it is, what it has not, and what becomes of one that somebody has taken over.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use gts_bootstrap::certificate::acme::{Account, AcmeError, Challenge};
use gts_bootstrap::certificate::{Bundle, BundleError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;

use super::authority::{Authority, CHILD_PROGRAM, TestAuthority, order, register, renewal_window};
use super::orders::host;
use super::pebble::{Pebble, Wish};
use super::refusals::{again_with, bundle};
use super::stand_in::{Answer, StandIn};
use super::webroot::{Answers, Webroot};
use crate::children::{NOBODY, PROGRAM};

/// The children of this process that are at work. Only Linux lists them so.
fn children() -> Vec<Pid> {
    let parent = format!("PPid:\t{}", std::process::id());
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_ours = |pid: &i32| {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        read("status").lines().any(|line| line == parent) && read("cmdline").contains("\0child\0")
    };
    pids.filter(is_ours).map(Pid::from_raw).collect()
}

/// Answers challenges as a web server does, and has a look at the moment in between.
struct Watched<F> {
    webroot: Webroot,
    look: F,
}

impl<F: FnMut()> Challenge for Watched<F> {
    fn publish(&mut self, token: &str, key_authorization: &str) -> Result<(), Box<dyn Error>> {
        self.webroot.publish(token, key_authorization)?;
        (self.look)();
        Ok(())
    }

    fn withdraw(&mut self, token: &str) {
        self.webroot.withdraw(token);
    }
}

#[test]
fn nobody_talks_with_the_authority() {
    let stand_in = StandIn::start();
    let authority = stand_in.as_authority().patient_for(
        Duration::from_secs(20),
        Duration::from_millis(500),
        Duration::from_millis(10),
    );
    let account = register(&authority, None).unwrap();
    let error = order(&authority, &account, None, &mut Webroot::new(Answers::Right)).unwrap_err();
    assert!(matches!(error, AcmeError::Slow(..)), "{error}");
    renewal_window(&authority, &account, &bundle(&stand_in)).unwrap();
    let peers: Vec<u32> = stand_in.peers().into_iter().flatten().collect();
    let who = if geteuid().is_root() { NOBODY } else { geteuid().as_raw() };
    // Without Linux's table nothing is known.
    assert!(peers.iter().all(|uid| *uid == who), "{peers:?}");
    assert!(peers.len() > 5 || !Path::new("/proc/net/tcp").exists());
}

#[test]
fn no_key_is_in_the_childs_arguments_environment_or_memory() {
    let mut webroot = Webroot::new(Answers::Right);
    let pebble = Pebble::start(&Wish::new(webroot.serve()));
    let authority = pebble.as_authority();
    let account = register(&authority, None).unwrap();
    let kept: Value = serde_json::from_str(account.to_json().expose()).unwrap();
    let [url, key] = ["id", "key_pkcs8"].map(|name| kept[name].as_str().unwrap().to_owned());
    let mut looked = 0;
    let look = || {
        for pid in children() {
            let whole = memory(pid);
            // Other tests have children too, and where memory cannot be read the rest still counts.
            looked += usize::from(whole.windows(url.len()).any(|window| window == url.as_bytes()));
            assert!(!whole.windows(key.len()).any(|window| window == key.as_bytes()), "the account's key");
            let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let (arguments, environment) = (read("cmdline"), read("environ"));
            assert!(arguments.is_empty() || arguments == format!("{PROGRAM}\0child\0"), "{arguments:?}");
            let is_known = |name: &str| name.to_uppercase().ends_with("_PROXY") || name.starts_with("SSL_CERT_");
            let names = environment.split_terminator('\0').map(|variable| variable.split('=').next().unwrap());
            assert_eq!(names.filter(|name| !is_known(name)).collect::<Vec<_>>(), [""; 0]);
        }
    };
    let mut watched = Watched { webroot, look };
    order(&authority, &account, None, &mut watched).unwrap();
    webroot = watched.webroot;
    assert_eq!((webroot.published, webroot.left()), (1, 0));
    assert!(looked > 0 || !geteuid().is_root() || !Path::new("/proc/self/mem").exists(), "the child was not found");
}

/// What a process has in writable memory, as far as we may see it.
fn memory(pid: Pid) -> Vec<u8> {
    let mut whole = Vec::new();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let Ok(mut file) = fs::File::open(format!("/proc/{pid}/mem")) else { return whole };
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        if file.seek(SeekFrom::Start(from)).is_ok() {
            // A hole ends it early.
            let _ = (&mut file).take(to - from).read_to_end(&mut whole);
        }
    }
    whole
}

#[test]
fn a_child_that_is_killed_leaves_no_challenge() {
    const NAME: &str = "acme::child::a_child_that_is_killed_leaves_no_challenge";
    // In a process of its own, whose only child is the one to be killed.
    if std::env::var_os("ALONE").is_none() {
        return again_with(NAME, &[("ALONE", "1")]);
    }
    let stand_in = StandIn::start();
    let account = register(&stand_in.as_authority(), None).unwrap();
    let mut killed = 0;
    let look = || {
        for pid in children() {
            kill(pid, Signal::SIGKILL).unwrap();
            killed += 1;
        }
    };
    let mut watched = Watched { webroot: Webroot::new(Answers::Right), look };
    let error = order(&stand_in.as_authority(), &account, None, &mut watched).unwrap_err();
    assert!(matches!(&error, AcmeError::Child(why) if why.contains("SIGKILL")), "{error}");
    assert_eq!((watched.webroot.published, watched.webroot.left()), (1, 0));
    assert_eq!(killed, 1);
    assert_eq!(children(), []);
}

#[test]
fn a_child_whose_root_is_gone_goes_too() {
    const NAME: &str = "acme::child::a_child_whose_root_is_gone_goes_too";
    let long = Duration::from_secs(600);
    if let Ok(url) = std::env::var("ALONE") {
        let authority = Authority::new(url).patient_for(long, long, long);
        let _ = std::thread::spawn(move || register(&authority, None));
        while children().is_empty() {
            sleep(Duration::from_millis(20));
        }
        println!("child={}", children()[0]);
        // Time to get its order.
        sleep(Duration::from_secs(1));
        std::process::abort();
    }
    // One that takes a connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/dir", silent.local_addr().unwrap().port());
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", NAME, "--nocapture"]).env("ALONE", url).stderr(Stdio::null());
    let output = test.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let pid = said.lines().find_map(|line| line.split_once("child=")?.1.trim().parse().ok()).expect(&said);
    let began = Instant::now();
    // One that nobody has reaped is gone as well.
    let is_there = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        kill(Pid::from_raw(pid), None).is_ok() && !status.contains("State:\tZ")
    };
    while is_there() {
        assert!(began.elapsed() < Duration::from_secs(20), "the child is still there");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_child_goes_through_roots_proxy() {
    const NAME: &str = "acme::child::the_child_goes_through_roots_proxy";
    if std::env::var_os("ALONE").is_some() {
        // Some root, so that the test needs none of the system's.
        let authority = Authority::new("https://ca.example.org/dir".into()).trusting(TestAuthority::new().root());
        let error = register(&authority, None).unwrap_err();
        assert!(matches!(error, AcmeError::Unreachable(..)), "{error}");
        return;
    }
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let url = format!("http://{address}");
    let asked = std::thread::spawn(move || {
        let (connection, _) = proxy.accept().unwrap();
        BufReader::new(connection).lines().next().map(Result::unwrap)
    });
    again_with(NAME, &[("ALONE", "1"), ("HTTPS_PROXY", &url), ("NO_PROXY", "")]);
    // If nobody has come until now, nobody will.
    let _ = TcpStream::connect(address);
    assert_eq!(asked.join().unwrap().as_deref(), Some("CONNECT ca.example.org:443 HTTP/1.1"));
}

/// A child that somebody has taken over, and which does what the name of its authority says.
const TAKEN_OVER: &str = r#"#!/bin/sh
length=$(dd bs=1 count=8 2>/dev/null)
order=$(dd bs=1 count=$((0x$length)) 2>/dev/null)
say() { printf '%s\n' "$1"; }
publish() { say "{\"Publish\":\"$1\"}"; read -r answer; }
sign() { say "{\"Sign\":{\"nonce\":\"${2:-n}\",\"url\":\"https://ca.example/x\",\"payload\":\"$1\"}}"; read -r answer; }
case $order in
*//path.*) publish ../../../etc/cron.d/job ;;
*//answer.*) publish token.of-somebody-else ;;
*//newline.*) publish 'token\nX' ;;
*//many.*) for token in a b c d e f; do publish "$token"; done ;;
*//deactivate.*) sign '{\"status\":\"deactivated\"}' ;;
*//key.*) sign '{\"csr\":\"AAAA\"}' ;;
*//name.*) sign '{\"identifiers\":[{\"type\":\"dns\",\"value\":\"bank.example.org\"}]}' ;;
*//often.*) while :; do sign ''; done ;;
*//long.*) sign '' "$(printf %04096d 0)" ;;
*//dies.*) publish good; echo 'out of memory' >&2; exit 9 ;;
*//hangs.*) publish good; exec sleep 4243 ;;
*//endless.*) publish good; while :; do printf %065536d 0; done ;;
*//nonsense.*) publish good; say '<html>' ;;
*//chain.*) publish good; say '{"Done":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}' ;;
*//links.*)
    links=$(for link in 1 2 3 4 5 6 7 8 9 10 11; do
        printf %s '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
    done)
    say "{\"Done\":\"$links\"}" ;;
*//none.*) say '{"Done":""}' ;;
*//url.*) say '{"Done":"https://ca.example/\u001b[2J"}' ;;
esac
sleep 5
"#;

/// What is published, and what has been.
#[derive(Default)]
struct Noted {
    there: Vec<String>,
    answers: Vec<String>,
}

impl Challenge for Noted {
    fn publish(&mut self, token: &str, key_authorization: &str) -> Result<(), Box<dyn Error>> {
        self.there.push(token.to_owned());
        self.answers.push(key_authorization.to_owned());
        Ok(())
    }

    fn withdraw(&mut self, token: &str) {
        self.there.retain(|published| published != token);
    }
}

#[test]
fn a_child_that_was_taken_over_gains_nothing() {
    const NAME: &str = "acme::child::a_child_that_was_taken_over_gains_nothing";
    if std::env::var_os(CHILD_PROGRAM).is_none() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, TAKEN_OVER).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        return again_with(NAME, &[(CHILD_PROGRAM, program.to_str().unwrap())]);
    }
    let second = Duration::from_secs(1);
    let at = |what: &str| Authority::new(format!("https://{what}.example/dir")).patient_for(second, second, second);
    let own = rcgen::KeyPair::generate().unwrap().serialize_der();
    let own = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, own);
    let course = |what: &str| {
        let json =
            serde_json::json!({ "id": "https://ca.example/1", "key_pkcs8": own, "directory": at(what).directory });
        let account = Account::from_json(&json.to_string()).unwrap();
        let mut noted = Noted::default();
        let error = order(&at(what), &account, None, &mut noted).map(drop).unwrap_err();
        assert_eq!(noted.there, Vec::<String>::new(), "{what}: {error}");
        (error, noted.answers)
    };
    for what in ["path", "answer", "newline"] {
        let (error, answers) = course(what);
        assert!(matches!(error, AcmeError::Token(_)) && answers.is_empty(), "{what}: {error} {answers:?}");
    }
    let (error, answers) = course("many");
    assert!(matches!(error, AcmeError::Child(_)) && answers.len() == 4, "{error} {answers:?}");
    let thumbprint = answers[0].strip_prefix("a.").unwrap();
    assert!(thumbprint.len() == 43 && answers[3] == format!("d.{thumbprint}"), "the answer is root's own: {answers:?}");
    for what in ["deactivate", "key", "name", "often", "long"] {
        let (error, _) = course(what);
        assert!(error.to_string().contains("asked for what its errand does not need"), "{what}: {error}");
    }
    for (what, why) in [
        ("dies", "exit status: 9) out of memory"),
        ("hangs", "was killed"),
        ("endless", "more than it should"),
        ("nonsense", "something else than it should"),
    ] {
        let (error, answers) = course(what);
        assert!(matches!(&error, AcmeError::Child(text) if text.contains(why)), "{what}: {error}");
        assert_eq!(answers.len(), 1, "{what}");
    }
    let (error, _) = course("chain");
    assert!(matches!(error, AcmeError::Issued(BundleError::Certificate(1, _))), "{error}");
    let (error, _) = course("links");
    assert!(matches!(error, AcmeError::Issued(BundleError::Certificate(11, _))), "{error}");
    let (error, _) = course("none");
    assert!(matches!(error, AcmeError::Issued(BundleError::NoCertificate)), "{error}");
    let error = register(&at("url"), None).map(drop).unwrap_err();
    assert!(matches!(error, AcmeError::NotAcme(..)) && !error.to_string().contains('\u{1b}'), "{error}");
    // A question for which nothing has to be signed or published.
    let stand_in = StandIn::start();
    for what in ["key", "many"] {
        let json =
            serde_json::json!({ "id": "https://ca.example/1", "key_pkcs8": own, "directory": at(what).directory });
        let account = Account::from_json(&json.to_string()).unwrap();
        let error = renewal_window(&at(what), &account, &bundle(&stand_in)).unwrap_err();
        assert!(matches!(error, AcmeError::Child(_)), "{what}: {error}");
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let stand_in = StandIn::start();
    let url = stand_in.url();
    let answer = Answer::json(201, &stand_in.order("ready"));
    stand_in.answer("/order", answer.with("Location", &format!("{url}/order/1")));
    let valid = stand_in.authorization("valid", "http-01", "a-token");
    stand_in.answer("/authz", Answer::json(200, &valid));
    stand_in.answer("/finalize", Answer::json(200, &stand_in.order("valid")));
    let account = register(&stand_in.as_authority(), None).unwrap();
    let place = || order(&stand_in.as_authority(), &account, None, &mut Webroot::new(Answers::Right));
    let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let [one, two] = [(); 2].map(|()| stand_in.issuer().issue(host().as_str()).certificate);
    for (body, is_right) in [
        ("nothing".to_owned(), (|error| matches!(error, BundleError::NoCertificate)) as fn(&BundleError) -> bool),
        (block.to_owned(), |error| matches!(error, BundleError::Certificate(1, _))),
        (one + &two, |error| matches!(error, BundleError::Order(1, _))),
    ] {
        stand_in.answer("/certificate", Answer { body, ..Answer::html(200) });
        let error = place().map(|_: Bundle| ()).unwrap_err();
        assert!(matches!(&error, AcmeError::Issued(error) if is_right(error)), "{error}");
    }
}
