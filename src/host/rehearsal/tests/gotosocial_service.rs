//! gotosocial-service, and the ways in which a start fails.

use std::time::Duration;

use super::*;
use crate::host::{DatabaseExamination, Look, ServiceState, Supervision};

/// Starts with a configuration and gives what the log says; the start itself must return well.
fn dies_with(version: &str, config: &str, prepare: impl FnOnce(&Fresh)) -> String {
    let host = fresh();
    host.install(version, config);
    prepare(&host);
    host.start().unwrap();
    assert!(!host.runs(), "{}", host.text(LOG));
    host.text(LOG)
}

fn nothing(_: &Fresh) {}

/// Killed in the midst of a start, the program saves no state; what GoToSocial had made by then is its own all the same.
#[cfg(debug_assertions)]
#[test]
fn what_the_server_has_made_is_its_own_even_if_the_program_is_killed_right_then() {
    use crate::operation::{Operation, watch};

    let host = fresh();
    host.install("0.19.2", &direct_config());
    host.open_ports();
    let killed = tempfile::tempdir().unwrap();
    let (from, to) = (host.folder.path().to_owned(), killed.path().to_owned());
    let (mut made, mut count) = (None, 0);
    watch(Box::new(move |step| {
        if let Some(name) = made.take() {
            count += 1;
            let copied =
                std::process::Command::new("cp").arg("-a").arg(&from).arg(to.join(format!("{count}-{name}"))).status();
            assert!(copied.unwrap().success());
        }
        made = match &step.operation {
            Operation::Rename(path) if step.aside && !path.ends_with("state.json") => {
                path.file_name().map(|name| name.to_string_lossy().into_owned())
            }
            _ => None,
        };
        Ok(())
    }));
    host.start().unwrap();
    watch(Box::new(|_| Ok(())));
    let copies: Vec<_> = std::fs::read_dir(killed.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(copies.iter().any(|copy| copy.to_string_lossy().ends_with("-sqlite.db")), "{copies:?}");
    for copy in copies {
        let host = Rehearsal::open(&copy).unwrap();
        host.service_action("gotosocial", ServiceAction::Start).unwrap();
        let log = std::fs::read_to_string(copy.join(LOG.trim_start_matches('/'))).unwrap();
        assert!(host.service("gotosocial").unwrap().is_running(), "{}: {log}", copy.display());
    }
}

/// As while a check waits for a certificate between the look at the processes and the one at the log.
#[test]
fn a_process_grows_older_while_a_look_lasts() {
    let host = fresh();
    host.install("0.19.2", &direct_config());
    host.open_ports();
    host.start().unwrap();
    let look = Look::at(&*host);
    assert!(look.service("gotosocial").unwrap().is_running());
    let age = || match look.supervision("gotosocial").unwrap() {
        Supervision::Running { seconds: Some(seconds), .. } => seconds,
        other => panic!("{other:?}"),
    };
    host.sleep(Duration::from_secs(57));
    let first = age();
    assert!(first >= 57, "{first}");
    host.sleep(Duration::from_secs(10));
    assert_eq!(age(), first + 10);
    assert_eq!(host.supervision("gotosocial").unwrap(), look.supervision("gotosocial").unwrap());
}

#[test]
fn a_start_without_portacl_returns_well_and_the_program_dies_in_a_loop() {
    let host = fresh();
    host.install("0.19.2", &direct_config());
    host.start().unwrap();
    assert_eq!(host.service("gotosocial").unwrap(), ServiceState::Stopped);
    assert!(host.text(LOG).contains("level=PANIC msg=\"listen: listen tcp 0.0.0.0:443: bind: permission denied\""));
    let before = host.text(LOG).matches("bind:").count();
    host.sleep(Duration::from_secs(20));
    assert!(host.text(LOG).matches("bind:").count() > before);
    let (_, text) = command_failure(&host.start().unwrap_err());
    assert!(text.contains("its supervisor already runs"), "{text}");
    // As soon as it may bind, the next try succeeds.
    host.open_ports();
    host.sleep(Duration::from_secs(5));
    assert!(host.runs(), "{}", host.text(LOG));
    host.stop();
    assert_eq!(host.service("gotosocial").unwrap(), ServiceState::Stopped);
    host.stop();
}

#[test]
fn with_portacl_it_listens_on_both_families_and_the_ports_are_in_use() {
    let host = fresh();
    host.install("0.19.2", &direct_config());
    host.open_ports();
    host.start().unwrap();
    let listeners = host.listeners().unwrap();
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.port).collect();
    assert_eq!(ports, [443, 80]);
    assert!(listeners.iter().all(|l| l.user == "gotosocial" && l.ipv4 && l.ipv6 && l.address.is_none()));
    assert_eq!(host.bind_as(209, 80), BindOutcome::InUse);
    assert_eq!(host.bind_as(65534, 80), BindOutcome::NoRule);
    assert_eq!(host.bind_as(0, 80), BindOutcome::InUse);
    assert_eq!(host.bind_with(209, 209, &[], 443, Family::V6), BindOutcome::InUse);
    let log = host.text(LOG);
    assert!(log.contains("timestamp=\"01/01/2026 00:00:"), "{log}");
    for words in ["listening on 0.0.0.0:443", "letsencrypt listening on 0.0.0.0:80", "recovered queued tasks"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    let (_, text) = command_failure(&host.start().unwrap_err());
    assert!(text.contains("already runs as pid"), "{text}");
    assert!(host.entry(Path::new("/var/db/gotosocial/sqlite.db-wal")).unwrap().is_some());
    host.stop();
    assert_eq!(host.entry(Path::new("/var/db/gotosocial/sqlite.db-wal")).unwrap(), None);
    assert!(host.text(LOG).trim_end().ends_with("msg=\"done! exiting...\""));
    assert!(host.service_action("gotosocial", ServiceAction::Reload).is_err());
}

#[test]
fn a_copy_of_a_database_in_use_is_an_older_one_unless_its_log_comes_along() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    host.start().unwrap();
    let owner = Owner { uid: 209, gid: 209 };
    let folder = Path::new("/var/db/gotosocial/copy");
    host.make_directory(folder, 0o700, owner).unwrap();
    let examine = |path: &Path| {
        host.examine_database(&DatabaseExamination { path: path.to_path_buf(), owner, thorough: true }, NEVER)
    };
    host.post("Good morning").unwrap();
    let [alone, whole] = ["alone.db", "whole.db"].map(|name| folder.join(name));
    let copy = |from: &Path, to: &Path| host.copy_file(from, Whose::of(owner), to, 0o600, owner, NEVER).unwrap();
    copy(Path::new(DATABASE), &alone);
    copy(Path::new(DATABASE), &whole);
    let copied = copy(&Path::new(DATABASE).with_extension("db-wal"), &folder.join("whole.db-wal"));
    assert_eq!(
        copied.sha256,
        crate::release::Sha256Digest::of(
            &host.read_of(&folder.join("whole.db-wal"), Whose::of(owner)).unwrap().unwrap()
        )
        .to_string()
    );
    let state = examine(&alone).unwrap();
    assert_eq!((state.migrations, state.posts, state.damage), (110, Some(0), None), "and nothing looks wrong");
    assert_eq!(examine(&whole).unwrap().posts, Some(1));
    let refused = examine(Path::new(DATABASE)).unwrap_err().to_string();
    assert!(refused.contains("GoToSocial has this very file open"), "{refused}");
    host.put("/root/mine.db", "", 0o600, Owner::ROOT);
    let refused = examine(Path::new("/root/mine.db")).unwrap_err().to_string();
    assert!(refused.contains("unable to open database file"), "{refused}");
    // What an unclean end left in the log is taken in at the next start.
    host.cut_power().unwrap();
    assert!(host.runs(), "the boot started it");
    host.stop();
    assert_eq!(examine(Path::new(DATABASE)).unwrap().posts, Some(1));
}

#[test]
fn a_power_cut_leaves_the_database_open() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    host.start().unwrap();
    host.set_rc_variable("gotosocial_enable", Some("NO")).unwrap();
    host.cut_power().unwrap();
    assert!(!host.runs());
    assert!(host.entry(Path::new("/var/db/gotosocial/sqlite.db-wal")).unwrap().is_some());
}

#[test]
fn a_taken_port_is_a_panic() {
    let nginx = |host: &Fresh| {
        host.edit(|model| {
            model.listeners.push(crate::host::Listener {
                user: "root".into(),
                uid: Some(0),
                command: "nginx".into(),
                pid: Some(700),
                address: None,
                ipv4: true,
                ipv6: false,
                port: 80,
                jail: None,
            });
        })
        .unwrap();
        host.open_ports();
    };
    let log = dies_with("0.19.2", &direct_config(), nginx);
    assert!(log.contains("letsencrypt: listen: listen tcp 0.0.0.0:80: bind: address already in use"), "{log}");
    let log = dies_with("0.19.2", &direct_config(), |host| {
        host.open_ports();
        host.set_sysctl(RULES, "uid:209:tcp:80").unwrap();
    });
    assert!(log.contains("listen tcp 0.0.0.0:443: bind: operation not permitted"), "{log}");
}

#[test]
fn the_reasons_why_a_start_fails_are_in_the_log_in_its_words() {
    let with = |key: &str, value: &str| {
        let kept: String =
            proxied_config().lines().filter(|line| !line.starts_with(key)).map(|l| format!("{l}\n")).collect();
        format!("{kept}{key}: {value}\n")
    };
    for (key, value, words) in [
        ("host", "\"\"", "invalid config: host must be set"),
        ("protocol", "ftp", "protocol must be set to either http or https, provided value was ftp"),
        ("account-domain", "other.test", "account-domain other.test is not a valid subdomain of host gts.example.org"),
        ("log-level", "loud", "unknown log level: \"loud\""),
        ("db-type", "mysql", "database type mysql not supported for bundb"),
        ("db-type", "postgres", "postgres ping"),
        ("db-address", "\"\"", "'db-address' was not set"),
        ("db-address", "/var/db/nosuch/sqlite.db", "sqlite3: unable to open database file"),
        ("db-address", "/var/db/sqlite.db", "sqlite3: unable to open database file"),
        ("storage-local-base-path", "/var/db/storage", "mkdir /var/db/storage: permission denied"),
        ("web-template-base-dir", "/nowhere", "cannot find index.tmpl in web template directory /nowhere"),
        ("trusted-proxies", "[localhost]", "invalid IP address: localhost"),
        ("trusted-proxies", "[10.0.0.0/99]", "invalid CIDR address: 10.0.0.0/99"),
        ("tls-certificate-chain", "/x", "need to both be set or unset"),
        ("tls-certificate-chain", "/x\ntls-certificate-key: /y", "failed to load keypair from /x and /y"),
        ("tls-certificate-chain", "/x\ntls-certificate-key: /y\nletsencrypt-enabled: true", "cannot be true when"),
        ("port", "70000", "invalid port"),
        ("port", "abc", "panic:"),
        ("bind-address", "192.0.2.1", "can't assign requested address"),
        ("bind-address", "\"::1\"", "too many colons in address"),
        ("port", "[1", "While parsing config: yaml: line 13: did not find expected ',' or ']'"),
    ] {
        let log = dies_with("0.19.2", &with(key, value), nothing);
        assert!(log.contains(words), "{key}: {value}: {log}");
    }
    let log = dies_with("0.20.0", &with("bind-address", "\"[::1]\""), nothing);
    assert!(log.contains("missing port in address"), "{log}");
    // 0.20 says nothing about a broken file, and runs on its defaults.
    let log = dies_with("0.20.0", &with("port", "[1"), nothing);
    assert!(log.contains("host must be set") && !log.contains("yaml"), "{log}");
    let log = dies_with("0.19.2", &proxied_config(), |host| host.edit(|model| model.allow_wx = false).unwrap());
    assert!(log.contains("allow_wx"), "{log}");
    let log = dies_with("0.19.2", &proxied_config(), |host| host.put(DATABASE, "scribble", 0o640, GTS));
    assert!(log.contains("file is not a database"), "{log}");
    let log = dies_with("0.19.2", &proxied_config(), |host| host.put(DATABASE, "", 0o600, Owner::ROOT));
    assert!(log.contains("unable to open database file"), "{log}");
}

#[test]
fn what_the_script_checks_first_is_a_failed_start() {
    let refused = |prepare: &dyn Fn(&Fresh)| {
        let host = fresh();
        host.install("0.19.2", &proxied_config());
        prepare(&host);
        let (status, text) = command_failure(&host.start().unwrap_err());
        assert_eq!(status, "exit status: 1");
        assert!(host.model().gotosocial.is_none());
        text
    };
    let current = Path::new("/usr/local/libexec/gotosocial/current");
    let config = proxied_config();
    for (prepare, words) in [
        (&(|host: &Fresh| host.remove(current).unwrap()) as &dyn Fn(&Fresh), "not there or not executable"),
        (&|host: &Fresh| host.remove(Path::new(CONFIG)).unwrap(), "the configuration file"),
        (&|host: &Fresh| host.put(CONFIG, &config, 0o600, Owner::ROOT), "gotosocial cannot read"),
        (&|host: &Fresh| host.set_rc_variable("gotosocial_config", Some("/etc/rc.conf")).unwrap(), "must end in .yaml"),
        (&|host: &Fresh| host.delete_user("gotosocial").unwrap(), "there is no account 'gotosocial'"),
        (&|host: &Fresh| host.remove(Path::new("/var/db/gotosocial/tmp")).unwrap(), "tmp is not there"),
        (
            &|host: &Fresh| host.make_directory(Path::new("/var/db/gotosocial/tmp"), 0o700, Owner::ROOT).unwrap(),
            "cannot write in /var/db/gotosocial/tmp",
        ),
        (
            &|host: &Fresh| host.make_directory(Path::new("/var/log/gotosocial"), 0o750, GTS).unwrap(),
            "may write in the log's",
        ),
        (
            &|host: &Fresh| host.remove(Path::new("/var/log/gotosocial")).unwrap(),
            "log's folder /var/log/gotosocial is not",
        ),
        (&|host: &Fresh| host.set_rc_variable("gotosocial_rundir", Some("/etc/rc.conf/x")).unwrap(), "cannot be made"),
    ] {
        let text = refused(prepare);
        assert!(text.contains(words), "{words}: {text}");
    }
    let direct = |more: &dyn Fn(&Fresh)| {
        refused(&|host: &Fresh| {
            host.set_rc_variable("gotosocial_direct", Some("YES")).unwrap();
            more(host);
        })
    };
    assert!(direct(&nothing).contains("mac_portacl is not loaded"));
    let off = |host: &Fresh| {
        host.open_ports();
        host.set_sysctl("security.mac.portacl.enabled", "0").unwrap();
    };
    assert!(direct(&off).contains("switched off"));
    assert!(direct(&|host: &Fresh| host.load_module("mac_portacl").unwrap()).contains("no mac_portacl rule"));
    let reserved = |host: &Fresh| {
        host.open_ports();
        host.set_sysctl(RESERVED_HIGH, "1023").unwrap();
    };
    assert!(direct(&reserved).contains("still reserved for root"));
}

#[test]
fn debug_config_echoes_what_was_read() {
    let host = fresh();
    host.install("0.19.2", &format!("{}http-client:\n  timeout: 30s\n", direct_config()));
    let printed = host.gotosocial(&["debug", "config"]);
    assert_eq!(printed.status, Some(0));
    let json: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(json["host"], "gts.example.org");
    assert_eq!(json["port"], 443);
    assert_eq!(json["media-local-max-size"], 41_943_040);
    assert_eq!(json["http-client"]["timeout"], 30_000_000_000_i64);
    assert!(printed.stdout.starts_with("{\n    \"account-domain\": \"example.org\","));
    // flag over file
    let json = host.gotosocial(&["--host", "other.test", "debug", "config"]).stdout;
    assert!(json.contains("\"host\": \"other.test\""), "{json}");

    let newer = fresh();
    newer.install("0.20.0-rc1", &proxied_config());
    let json = newer.gotosocial(&["debug", "config"]).stdout;
    assert!(
        json.contains("\"media-local-max-size\": \"40.0MiB\"") && json.contains("\"http-client-timeout\""),
        "{json}"
    );
    newer.put(CONFIG, "host: [", 0o640, Owner { uid: 0, gid: 209 });
    let silent = newer.gotosocial(&["debug", "config"]);
    assert_eq!(silent.status, Some(0));
    assert!(silent.stdout.contains("\"host\": \"\""));
}

#[test]
fn accounts_are_made_after_the_first_start_and_half_made_before_it() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    let early = host.create("alice");
    assert_eq!(early.status, Some(1));
    assert!(early.stderr.contains("NewSignup: instance application not yet created"), "{}", early.stderr);
    host.start().unwrap();
    assert!(host.create("alice").stderr.contains("username alice is already in use"));
    let promote = ["admin", "account", "promote", "--username"];
    assert!(host.gotosocial(&[&promote[..], &["alice"]].concat()).stderr.contains("sql: no rows in result set"));
    let made = host.create("bob");
    assert_eq!((made.status, made.stdout.as_str()), (Some(0), ""));
    assert_eq!(host.gotosocial(&[&promote[..], &["bob"]].concat()).status, Some(0));
    let list = host.gotosocial(&["--log-level", "warn", "admin", "account", "list"]).stdout;
    assert!(list.starts_with("user\taccount\tapproved\tadmin\tmoderator\tsuspended\tconfirmed\nbob\t"), "{list}");
    assert!(list.trim_end().ends_with("\tyes\tyes\tyes\tno\tyes") && !list.contains("alice"), "{list}");
    let raw =
        || String::from_utf8_lossy(&host.read_of(Path::new(DATABASE), Whose::of(GTS)).unwrap().unwrap()).into_owned();
    assert!(!raw().contains("bob"), "it is in the write-ahead log");
    host.stop();
    assert!(raw().contains("bob") && !raw().contains("fQ9-mZ2_xLp7.Tw4"));
    host.remove(Path::new(DATABASE)).unwrap();
    host.start().unwrap();
    assert!(!host.gotosocial(&["admin", "account", "list"]).stdout.contains("bob"));
}

#[test]
fn the_command_line_is_refused_as_the_program_refuses_it() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    host.start().unwrap();
    let create = |username: &str, email: &str, password: &str| {
        host.gotosocial(&[
            "admin",
            "account",
            "create",
            "--username",
            username,
            "--email",
            email,
            "--password",
            password,
        ])
    };
    let good = "fQ9-mZ2_xLp7.Tw4";
    assert_eq!(create("bob", "bob@example.org", good).status, Some(0));
    for (output, words) in [
        (create("Alice", "a@example.org", good), "given username Alice was invalid"),
        (create("alice", "nobody", good), "mail: missing '@'"),
        (create("alice", "bob@example.org", good), "email address bob@example.org is already in use"),
        (create("alice", "a@example.org", "secret"), "% strength, try including more special characters"),
        (
            host.gotosocial(&["admin", "account", "create", "--username", "x"]),
            "required flag(s) \"email\", \"password\" not set",
        ),
        (host.gotosocial(&["--nope"]), "unknown flag: --nope"),
        (host.gotosocial(&["--host"]), "flag needs an argument"),
        (host.gotosocial(&["sevrer"]), "unknown command \"sevrer\" for \"gotosocial\""),
        (host.gotosocial(&["migrations", "run"]), "unknown command \"migrations\""),
        (host.gotosocial(&["--host", "", "admin", "account", "list"]), "host must be set"),
        (host.gotosocial(&["--config-path", "/nosuch.yaml", "debug", "config"]), "open /nosuch.yaml: no such file"),
        (host.gotosocial(&["--config-path", "/etc/rc.conf", "debug", "config"]), "Unsupported Config Type \"conf\""),
    ] {
        assert_eq!(output.status, Some(1), "{words}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{words}: {}", output.stderr);
    }
    assert_eq!(host.gotosocial(&["--port", "x", "debug", "config"]).status, Some(2));
    for mistyped in [["server", "strat"].as_slice(), &["admin", "account", "nosuch"]] {
        let output = host.gotosocial(mistyped);
        assert!(output.status == Some(0) && output.stdout.starts_with("Usage:"), "{mistyped:?}");
    }
}

#[test]
fn programs_that_are_none_are_not_run() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    let run = |program: &str, directory: &str| {
        let error = host
            .run_as(
                &Invocation {
                    program: program.into(),
                    arguments: vec!["--password".into(), "hush".into()],
                    environment: Vec::new(),
                    owner: GTS,
                    directory: directory.into(),
                    secret_argument: Some(1),
                    limit: None,
                },
                NEVER,
            )
            .unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
        error.errno()
    };
    assert_eq!(run("/nosuch", "/"), Some(2));
    assert_eq!(run("/etc/rc.conf", "/"), Some(13));
    assert_eq!(run("/etc/rc.d/cron", "/"), Some(8));
    assert_eq!(run("/etc/rc.d/cron", "/root"), Some(13));
}

#[test]
fn an_older_program_does_not_notice_a_newer_database() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    host.start().unwrap();
    assert_eq!(host.create("alice").status, Some(0));
    let get = |path: &str| gotosocial_web::get(&host, 8080, path).unwrap().status;
    assert_eq!(get("/@alice"), 200);
    host.stop();
    host.put("/usr/local/libexec/gotosocial/0.20.0/gotosocial", "x", 0o755, Owner::ROOT);
    host.make_symlink(Path::new("/usr/local/libexec/gotosocial/current"), Path::new("0.20.0")).unwrap();
    assert_eq!(host.gotosocial(&["migrations", "run"]).status, Some(0));
    host.make_symlink(Path::new("/usr/local/libexec/gotosocial/current"), Path::new("0.19.2")).unwrap();
    host.start().unwrap();
    assert_eq!((get("/readyz"), get("/@alice")), (200, 500));
}

#[test]
fn the_program_tells_its_version_and_else_a_file_beside_it() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    host.write("/usr/local/libexec/gotosocial/0.19.2/VERSION", "0.20.0-rc1\n");
    assert_eq!(host.gotosocial(&["--version"]).stdout, "gotosocial version 0.20.0-rc1\n");
    let program = "/usr/local/libexec/gotosocial/0.19.2/gotosocial";
    let says =
        |arch: &str| format!("#!/bin/sh\n# Stand-in (freebsd, {arch}, default)\necho \"gotosocial version 0.21.0\"\n");
    host.put(program, &says("amd64"), 0o755, Owner::ROOT);
    assert_eq!(host.gotosocial(&["--version"]).stdout, "gotosocial version 0.21.0\n");
    host.put(program, &says("arm64"), 0o755, Owner::ROOT);
    host.start().unwrap();
    assert!(!host.runs() && host.text(LOG).contains("exec format error"), "{}", host.text(LOG));
    host.edit(|model| model.machine_arch = "aarch64".into()).unwrap();
    assert_eq!(host.gotosocial(&["--version"]).stdout, "gotosocial version 0.21.0\n");
}
