//! Children with less than root's rights: what they have, and what they have not. Most of it can be seen by root only.

use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gts_bootstrap::error_code::{Coded, ErrorCode};
use gts_bootstrap::host::freebsd::FreeBsd;
use gts_bootstrap::host::{
    BindOutcome, BindProbe, DatabaseExamination, DatabaseState, Family, Host, HostError, Invocation, NEVER, Observe,
    Output, Owner, WebFailure, WebRequest,
};
use gts_bootstrap::portacl::Protocol;
use serde_json::json;

use crate::acme::authority::CHILD_PROGRAM;
use crate::acme::refusals::again_with;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_gts-bootstrap");

/// Nobody, whose uid and gid are the same on FreeBSD and Debian.
pub const NOBODY: u32 = 65534;

/// Who is at the other end of an IPv4 connection of this machine. Only Linux has such a table.
pub fn peer_uid(stream: &TcpStream) -> Option<u32> {
    let hexadecimal = |address: SocketAddr| format!(":{:04X}", address.port());
    let [theirs, ours] = [stream.peer_addr(), stream.local_addr()].map(|address| address.ok().map(hexadecimal));
    let (theirs, ours) = (theirs?, ours?);
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        (columns.get(1)?.ends_with(&theirs) && columns.get(2)?.ends_with(&ours))
            .then(|| columns.get(7)?.parse().ok())?
    })
}

fn host() -> FreeBsd {
    gts_bootstrap::child::use_program(PROGRAM);
    FreeBsd::rooted(Path::new("/"))
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn shell(script: &str) -> Invocation {
    Invocation {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("NAME".into(), "value".into())],
        owner: Owner { uid: NOBODY, gid: NOBODY },
        directory: "/".into(),
        secret_argument: None,
        limit: None,
    }
}

fn run(script: &str) -> Result<Output, HostError> {
    host().run_as(&shell(script), NEVER)
}

/// An order for a child whose ids stay, as its standard input.
fn order_below(root: Option<&Path>, role: &str, task: &serde_json::Value) -> String {
    let confinement = json!({ "ids": null, "root": root, "directory": "/", "umask": 0o027, "largest_file": null });
    let order = json!({ "role": role, "confinement": confinement, "task": task }).to_string();
    format!("{:08x}{order}", order.len())
}

fn order(role: &str, task: &serde_json::Value) -> String {
    order_below(None, role, task)
}

fn exec(script: &str) -> String {
    order("exec", &json!({ "path": "/bin/sh", "arguments": ["-c", script], "environment": [] }))
}

#[test]
fn a_child_has_no_terminal_and_a_session_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let order = folder.path().join("order");
    fs::write(&order, exec("if (: </dev/tty) 2>/dev/null; then echo child-has-one; else echo child-has-none; fi"))
        .unwrap();
    // script(1) gives its command a terminal of its own, as a login does.
    let line = format!(
        "if (: </dev/tty) 2>/dev/null; then echo parent-has-one; fi; '{PROGRAM}' child <'{}'; ps -o sid= -p $$",
        order.display()
    );
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("parent-has-one") && said.contains("child-has-none"), "{said}");
    if !is_root() {
        return;
    }
    let output = run("ps -o sid= -o pid= -p $$").unwrap().stdout;
    let [session, pid] = output.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{output}") };
    assert_eq!(session, pid);
}

#[test]
fn a_child_has_its_users_ids_and_a_clean_slate() {
    if !is_root() {
        return;
    }
    let output = run("id -u; id -ru; id -G; umask; ulimit -c; pwd; cat; env").unwrap();
    let lines: Vec<&str> = output
        .stdout
        .lines()
        // Shells add these on their own.
        .filter(|line| !["PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|own| line.starts_with(own)))
        .collect();
    let (first, mut environment) = (lines[..6].to_vec(), lines[6..].to_vec());
    environment.sort_unstable();
    assert_eq!(first, ["65534", "65534", "65534", "0027", "0", "/"]);
    let path = "PATH=/sbin:/bin:/usr/sbin:/usr/bin";
    assert_eq!(environment, ["HOME=/nonexistent", "LC_ALL=C", "NAME=value", path]);
}

#[test]
fn a_child_inherits_no_descriptor() {
    let folder = tempfile::tempdir().unwrap();
    let order = folder.path().join("order");
    fs::write(
        &order,
        exec("for number in 3 7 9; do if (: <&$number) 2>/dev/null; then echo has $number; fi; done; ulimit -c"),
    )
    .unwrap();
    let line = format!(
        "ulimit -c unlimited; exec 7</etc/passwd 9>/dev/null; : <&7 && echo given; exec '{PROGRAM}' child <'{}'",
        order.display()
    );
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "given\n0\n");
}

/// A child that was given this on its standard input.
fn child(input: &str) -> std::process::Output {
    let mut child = Command::new(PROGRAM)
        .arg("child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn a_child_with_a_root_folder_of_its_own_sees_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let task = json!({ "path": "/bin/sh", "arguments": ["-c", "echo seen"], "environment": [] });
    let output = child(&order_below(Some(folder.path()), "exec", &task));
    let why = String::from_utf8_lossy(&output.stderr);
    // There is no /dev/null in there, and others than root may not go there.
    let expected = if is_root() { "cannot open /dev/null" } else { "the root folder: Operation not permitted" };
    assert!(output.status.code() == Some(125) && why.contains(expected), "{why}");
    assert_eq!(child(&order_below(Some(Path::new("/")), "exec", &task)).stdout.is_empty(), !is_root());
}

#[test]
fn output_status_and_secrets_of_another_users_program() {
    let mut invocation = shell("echo $2 >&2; exit 3");
    invocation.arguments.extend(["sh".into(), "--password".into(), "hunter2".into()]);
    invocation.secret_argument = Some(4);
    if is_root() {
        let output = host().run_as(&invocation, NEVER).unwrap();
        assert_eq!((output.status, output.stderr.as_str()), (Some(3), "hunter2\n"));
    }
    for broken in [
        Invocation { program: "/no/such/program".into(), ..invocation.clone() },
        Invocation { directory: "/no/such/folder".into(), ..invocation.clone() },
    ] {
        let error = host().run_as(&broken, NEVER).unwrap_err().to_string();
        assert!(error.contains("--password (secret)") && !error.contains("hunter2"), "{error}");
        let why = if is_root() { "/no/such/" } else { "cannot take on the groups" };
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_program_that_takes_long_is_told_of_meanwhile() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // It ends only after it was reported.
    let seen = folder.path().join("seen");
    let script =
        format!("echo first; echo 'second line'; while [ ! -e '{}' ]; do sleep 0.1; done; exit 3", seen.display());
    let mut told = Vec::new();
    let mut tell = |elapsed: Duration, line: Option<&str>| {
        told.push((elapsed, line.map(str::to_owned)));
        fs::write(&seen, "").unwrap();
    };
    let output = host().run_watched(&shell(&script), &mut tell).unwrap();
    assert_eq!((output.status, output.stdout.as_str()), (Some(3), "first\nsecond line\n"));
    assert_eq!(told[0].1.as_deref(), Some("second line"));
    assert!(told[0].0 >= Duration::from_secs(1));
}

#[test]
fn a_child_that_is_stopped_or_takes_too_long_holds_nobody_up() {
    if !is_root() {
        return;
    }
    // Its user stops it: it goes on.
    let output = run("kill -STOP $$; echo on").unwrap();
    assert_eq!((output.status, output.stdout.as_str()), (Some(0), "on\n"));
    let error = run("while :; do kill -STOP $$; done").unwrap_err().to_string();
    assert!(error.contains("over and over"), "{error}");
    let began = Instant::now();
    // `sleep` is a process of its own, which goes with the child.
    let late = Invocation { limit: Some(Duration::from_millis(300)), ..shell("sleep 4242; echo late") };
    let error = host().run_as(&late, NEVER).unwrap_err().to_string();
    assert!(error.contains("was killed") && began.elapsed() < Duration::from_secs(60), "{error}");
    // The kernel takes a moment to end what was killed.
    let is_left =
        || Command::new("pgrep").args(["-f", "^sleep 4242$"]).stdout(Stdio::null()).status().unwrap().success();
    for _ in 0..200 {
        if !is_left() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("what the child had started is left");
}

#[test]
fn a_database_program_that_hangs_or_is_stopped_ends_at_its_limit_and_at_once_when_told_to() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let psql = folder.path().join("psql");
    for script in
        ["exec sleep 4244", "kill -STOP $$; exec sleep 4244", "trap '' TERM INT HUP; while :; do sleep 1; done"]
    {
        fs::write(&psql, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&psql, fs::Permissions::from_mode(0o755)).unwrap();
        let invocation = Invocation { program: psql.clone(), arguments: Vec::new(), ..shell("") };
        let limited = Invocation { limit: Some(Duration::from_millis(300)), ..invocation.clone() };
        let error = host().run_as(&limited, &|| None).unwrap_err();
        assert!(
            matches!(&error, HostError::Start { source, .. } if source.kind() == std::io::ErrorKind::TimedOut),
            "{error}"
        );
        let began = Instant::now();
        let asked = || (began.elapsed() > Duration::from_millis(300)).then(|| "interrupted (SIGTERM)".to_owned());
        let error = host().run_as(&invocation, &asked).unwrap_err();
        assert!(began.elapsed() < Duration::from_millis(1300), "{:?}", began.elapsed());
        assert!(error.to_string().ends_with("interrupted (SIGTERM)"), "{error}");
    }
    let output = host().run_as(&shell("echo done"), &|| None).unwrap();
    assert_eq!((output.status, output.stdout.as_str()), (Some(0), "done\n"));
}

#[test]
fn nonsense_makes_no_child() {
    let long = format!("{:08x}", 1_u32 << 30);
    let truncated = &exec("echo no")[..40];
    let unknown = order("fly", &json!({}));
    let typed = order("bind", &json!({ "uid": NOBODY, "port": 65536 }));
    for input in ["", "x", "0000000x{}", "00000002{}", &long, truncated, &unknown, &typed] {
        let output = child(input);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{input}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("gts-bootstrap: child: "), "{input}");
    }
}

fn probe(family: Family, port: u16) -> BindProbe {
    BindProbe { uid: NOBODY, gid: NOBODY, groups: vec![8080, 9090], family, protocol: Protocol::Tcp, port }
}

#[test]
fn an_unprivileged_user_binds_a_free_port_and_not_a_taken_one() {
    if !is_root() {
        let error = host().bind(&probe(Family::V4, 80)).unwrap_err().to_string();
        assert!(error.contains("bind tcp port 80 as uid 65534") && error.contains("take on"), "{error}");
        return;
    }
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    assert_eq!(host().bind(&probe(Family::V4, port)).unwrap(), BindOutcome::InUse);
    let datagrams = BindProbe { protocol: Protocol::Udp, ..probe(Family::V4, port) };
    assert_eq!(host().bind(&datagrams).unwrap(), BindOutcome::Bound, "a port of TCP is another one than that of UDP");
    drop(taken);
    assert_eq!(host().bind(&probe(Family::V4, port)).unwrap(), BindOutcome::Bound);
    let six = host().bind(&probe(Family::V6, port)).unwrap();
    assert!(matches!(six, BindOutcome::Bound | BindOutcome::NoAddress), "{six:?}");
}

#[test]
fn what_the_kernel_reserves_is_refused() {
    // Only Linux has this file. Without it the reserved ports are unknown.
    let Ok(first_free) = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start") else { return };
    if !is_root() || first_free.trim().parse::<u16>().unwrap() <= 1 {
        return;
    }
    assert_eq!(host().bind(&probe(Family::V4, 1)).unwrap(), BindOutcome::Reserved);
    let root = BindProbe { uid: 0, gid: 0, groups: Vec::new(), ..probe(Family::V4, 1) };
    assert!(host().bind(&root).unwrap().permitted());
}

fn examine(path: &Path) -> Result<DatabaseState, HostError> {
    let owner = Owner { uid: NOBODY, gid: NOBODY };
    host().examine_database(&DatabaseExamination { path: path.to_path_buf(), owner, thorough: true }, NEVER)
}

#[test]
fn a_child_that_runs_when_a_stop_is_asked_for_is_killed() {
    if !is_root() {
        return;
    }
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        (asked.get() == 3).then(|| "interrupted (SIGTERM)".to_owned())
    };
    let error = host().run_as(&shell("exec sleep 600"), &stop).unwrap_err().to_string();
    assert!(error.contains("interrupted (SIGTERM)") && asked.get() == 3, "{error}");

    let folder = tempfile::tempdir().unwrap();
    chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let path = folder.path().join("sqlite.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE a (b);").unwrap();
    chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    let asked = DatabaseExamination { path, owner: Owner { uid: NOBODY, gid: NOBODY }, thorough: true };
    let error = host().examine_database(&asked, &|| Some("interrupted (SIGTERM)".to_owned())).unwrap_err().to_string();
    assert!(error.contains("interrupted (SIGTERM)"), "{error}");
    assert_eq!(host().examine_database(&asked, NEVER).unwrap().damage, None);
}

#[test]
fn the_child_opens_what_its_user_may_open_and_nothing_else() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let theirs = folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    let path = theirs.join("sqlite.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE bun_migrations (name); INSERT INTO bun_migrations VALUES ('1');")
        .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let refused = examine(&path).unwrap_err().to_string();
    assert!(refused.contains("open the database") && refused.contains("unable to open"), "{refused}");
    for path in [&theirs, &path] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    assert_eq!(examine(&path).unwrap().migrations, 1);
    // Its folder is all that it sees.
    std::os::unix::fs::symlink(&path, theirs.join("linked.db")).unwrap();
    let refused = examine(&theirs.join("linked.db")).unwrap_err().to_string();
    assert!(refused.contains("unable to open"), "{refused}");
    let letter = "a letter that is long enough to be looked at as if it were the header of a file, with a hundred bytes \
                  or more of it";
    fs::write(&path, letter).unwrap();
    let refused = examine(&path).unwrap_err().to_string();
    assert!(refused.contains("file is not a database"), "{refused}");
}

#[test]
fn nobody_asks_web_servers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let peer = peer_uid(&connection);
        let head = BufReader::new(&connection).lines().map(Result::unwrap);
        let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
        // No text, and as much as is read.
        let body = [b'{', 0, 0xff].repeat(400 * 1024);
        write!(connection, "HTTP/1.1 404 No\r\nRetry-After: 7\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
        // It hangs up at its limit.
        let _ = connection.write_all(&body);
        (peer, head)
    });
    let request = WebRequest::to(address, false, "social.example.org", "/x", Duration::from_secs(20));
    let answer = host().web(&request).unwrap();
    assert_eq!((answer.status, answer.retry_after.as_deref(), answer.body.len()), (404, Some("7"), 1024 * 1024));
    assert_eq!(answer.body[..6], [b'{', 0, 0xff, b'{', 0, 0xff]);
    let (peer, head) = server.join().unwrap();
    assert_eq!(head[0], "GET /x HTTP/1.1");
    let who = if is_root() { NOBODY } else { nix::unistd::geteuid().as_raw() };
    assert!(peer.is_none_or(|peer| peer == who), "{peer:?}");
    assert_eq!(host().web(&request), Err(WebFailure::Refused), "it answers one request only");
}

#[test]
fn root_itself_asks_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    if let Some(program) = std::env::var_os(CHILD_PROGRAM) {
        gts_bootstrap::child::use_program(program);
        let host = FreeBsd::rooted(Path::new("/"));
        let failure = host.resolve("127.0.0.1").unwrap_err();
        assert!(
            failure.to_string().starts_with("the name 127.0.0.1 could not be looked up: exit status: 1"),
            "{failure}"
        );
        assert_eq!(failure.code(), ErrorCode::NameLookup);
        let failure = host.web(&WebRequest::to(address, false, "a.example", "/", Duration::from_secs(9))).unwrap_err();
        assert!(failure.to_string().contains("the process that asks failed"), "{failure}");
        silent.set_nonblocking(true).unwrap();
        assert!(silent.accept().is_err(), "somebody came");
        return;
    }
    assert_eq!(host().resolve("127.0.0.1").unwrap(), [IpAddr::from([127, 0, 0, 1])]);
    assert_eq!(host().resolve("two words").unwrap(), Vec::<IpAddr>::new());
    // With children that do nothing, nothing is done.
    again_with("children::root_itself_asks_nobody", &[(CHILD_PROGRAM, "/bin/false")]);
}
