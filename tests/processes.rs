//! How many processes each command line starts, so that none starts more without anybody noticing.
//!
//! A rehearsal announces the processes that the real host would start for what it is asked (`src/host/rehearsal/processes.rs`),
//! and its own children. That the real host starts just these is held below, with programs that stand in for the system's.
//! What a process starts in its turn is not counted: sh(1), ps(1), sockstat(1), pkg(8) and the children of this program start
//! nothing where they only tell something, service(8) and sysrc(8) start some ten each.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use clap::{Command, CommandFactory};
use gts_bootstrap::cli::Cli;
use gts_bootstrap::host::freebsd::FreeBsd;
use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::host::{BindProbe, Family, Host, Invocation, Look, Observe, Owner, ServiceAction, WebRequest};
use gts_bootstrap::operation::started;
use gts_bootstrap::portacl::Protocol;

use crate::machine::{ANSWERS, Machine};

/// Behind nginx, with accounts under another name: everything that planning can ask for.
const BEHIND: &str = r#"host = "social.example.org"
account-domain = "example.org"

[exposure]
mode = "nginx"

[tls]
email = "admin@example.org"

[release]
version = "0.19.2"
"#;

const NEW: &str = "0.20.0";

/// The machine, the command line, and how many processes it starts. A real host has one more where its release came from the
/// internet and the newest one is asked for (`status`), or is to be downloaded.
const TABLE: &[(&str, &str, usize)] = &[
    // A run with nothing to do: at most 8. sh, ps, sockstat and pkg; two users who try to bind, the request, the resolver.
    ("direct", "install --answers answers.toml --yes", 7),
    ("behind", "install --answers answers.toml --yes", 8),
    ("direct", "install --answers answers.toml --plan", 4),
    ("behind", "install --answers answers.toml --plan", 5),
    ("direct", "switch-to-direct --yes", 7),
    ("behind", "switch-to-proxy nginx --yes", 8),
    // At most 6.
    ("direct", "status", 4),
    ("behind", "status", 4),
    ("behind", "status --brief", 4),
    ("behind", "status --offline", 4),
    ("behind", "status --diff", 4),
    // At most 6 besides the two that bind.
    ("direct", "check", 6),
    ("behind", "check", 6),
    ("behind", "check --brief", 6),
    ("direct", "portacl show", 1),
    ("direct", "portacl show --raw", 1),
    ("direct", "portacl lint", 1),
    ("direct", "portacl explain gotosocial 80 443", 1),
    ("direct", "portacl explain gotosocial 80 443 --prove", 2),
    // Whoever may lose a port is looked for among UDP sockets, too: sockstat and ps once more.
    ("direct", "portacl grant www 81 --plan", 5),
    ("direct", "portacl revoke gotosocial 80 --plan", 5),
    ("direct", "portacl apply rules --plan", 1),
    ("direct", "certificate status", 0),
    ("behind", "certificate status", 4),
    ("direct", "certificate renew", 0),
    ("behind", "certificate renew", 4),
    ("direct", "backup --plan", 3),
    ("direct", "upgrade --yes", 1),
    ("direct", "upgrade --release 0.20.0 --plan", 4),
    ("upgraded", "rollback --plan", 5),
    ("backed-up", "restore FILE --plan", 5),
    ("direct", "switch-to-proxy nginx --plan", 4),
    ("behind", "switch-to-direct --plan", 6),
    ("direct", "uninstall --plan", 3),
    ("behind", "uninstall --plan", 4),
    ("direct", "recover", 0),
    ("behind", "filter list", 0),
    ("behind", "filter test 192.0.2.1", 0),
    ("behind", "filter deny 192.0.2.0/24 --plan", 2),
    ("behind", "filter allow 192.0.2.7 --plan", 2),
    ("behind", "filter deny-agent BadBot --plan", 2),
    ("behind", "filter protect /settings --from 10.0.0.0/8 --plan", 2),
    ("behind", "filter rate /api/v1 10/s --plan", 2),
    ("filtered", "filter remove 1 --plan", 2),
    ("behind", "filter import drop.txt --plan", 2),
    ("direct", "rehearsal reboot", 0),
    ("direct", "rehearsal post hello", 0),
    ("direct", "completions fish", 0),
    ("direct", "help install", 0),
    ("direct", "--version", 0),
    ("direct", "--help", 0),
    // Those that change the host start what makes the changes.
    ("fresh", "install --answers answers.toml --yes", 37),
    ("direct", "portacl grant www 81 --yes", 15),
    ("direct", "backup --yes", 23),
    ("direct", "upgrade --release 0.20.0 --yes", 43),
    ("upgraded", "rollback --yes", 41),
    ("backed-up", "restore FILE --yes", 31),
    // While ports change hands, the sockets are looked at every 10 ms.
    ("direct", "switch-to-proxy nginx --yes", 116),
    ("behind", "switch-to-direct --yes", 90),
    ("behind", "filter deny 192.0.2.0/24 --yes", 13),
    ("behind", "certificate renew --force --yes", 11),
    ("direct", "uninstall --yes", 16),
];

fn machine(name: &str) -> (Machine, &'static str) {
    match name {
        "fresh" => (Machine::fresh(), ANSWERS),
        "direct" => (Machine::installed(ANSWERS), ANSWERS),
        "behind" => (Machine::installed(BEHIND), BEHIND),
        "upgraded" => (Machine::after(ANSWERS, &[&["upgrade", "--release", NEW, "--yes"]]), ANSWERS),
        "backed-up" => (Machine::after(ANSWERS, &[&["backup", "--yes"]]), ANSWERS),
        "filtered" => (Machine::after(BEHIND, &[&["filter", "deny", "192.0.2.0/24", "--yes"]]), BEHIND),
        other => panic!("{other}"),
    }
}

#[test]
fn no_command_line_starts_more_processes_than_it_did() {
    let mut wrong = Vec::new();
    for (name, line, most) in TABLE {
        let (machine, answers) = machine(name);
        fs::write(machine.beside("answers.toml"), answers).unwrap();
        fs::write(machine.beside("drop.txt"), "198.51.100.0/24\n").unwrap();
        fs::write(machine.beside("rules"), machine.run(&["portacl", "show"]).stdout).unwrap();
        let backups = fs::read_dir(machine.path("/var/backups/gotosocial")).into_iter().flatten();
        let file =
            backups.map(|it| it.unwrap().path().display().to_string()).find(|it| it.contains("social.example.org"));
        let line: Vec<&str> =
            line.split(' ').map(|word| if word == "FILE" { file.as_deref().unwrap() } else { word }).collect();
        started();
        let outcome = machine.run(&line);
        let all = started();
        outcome.exits(0);
        if all.len() != *most {
            wrong.push(format!("{name}: {line:?} starts {} and not {most}: {}", all.len(), all.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names of the commands that do something.
fn leaves(command: &Command, above: &str, found: &mut Vec<String>) {
    for one in command.get_subcommands() {
        let name = format!("{above}{}", one.get_name());
        if one.has_subcommands() { leaves(one, &format!("{name} "), found) } else { found.push(name) }
    }
}

#[test]
fn every_command_is_in_the_table() {
    let mut all = Vec::new();
    leaves(&Cli::command(), "", &mut all);
    assert!(all.len() > 20, "{all:?}");
    let is_in = |name: &String| TABLE.iter().any(|(_, line, _)| line.starts_with(name.as_str()));
    all.retain(|name| !is_in(name));
    assert_eq!(all, Vec::<String>::new());
}

/// The real host, with programs that stand in for the system's. A shell of its own writes them: one that is open for writing
/// in this process could not be run.
fn real(folder: &Path) -> FreeBsd {
    const PROGRAMS: &str = "/bin/ps /bin/sh /sbin/kldload /sbin/kldunload /usr/bin/fstat /usr/bin/sockstat \
                            /usr/local/sbin/nginx /usr/local/sbin/pkg /usr/sbin/pw /usr/sbin/service /usr/sbin/sysrc";
    const SCRIPT: &str = r#"#!/bin/sh
case ${0##*/} in
ps) echo "$PPID 1 0 0 0 0 9 integration" ;;
sockstat) echo '{"sockstat": {"socket": []}}' ;;
pkg) [ "$1" != query ] || echo "nginx www/nginx 1.28.0" ;;
sh) exec /bin/sh "$@" ;;
esac
"#;
    const WRITE: &str = r#"cd "$1"; for program in $2; do
        mkdir -p ".${program%/*}" && printf %s "$3" >".$program" && chmod 755 ".$program"; done"#;
    let written = std::process::Command::new("/bin/sh")
        .args(["-c", WRITE, "sh"])
        .args([folder.as_os_str(), PROGRAMS.as_ref(), SCRIPT.as_ref()])
        .status();
    assert!(written.unwrap().success());
    for (path, text) in [
        ("etc/defaults/rc.conf", "rc_conf_files='/etc/rc.conf /etc/rc.conf.local'\nsource_rc_confs() { :; }\n"),
        ("usr/local/etc/rc.d/gotosocial", include_str!("../rc.d/gotosocial")),
        ("usr/local/etc/rc.d/nginx", "#!/bin/sh\n"),
        ("usr/local/etc/rc.d/other", "#!/bin/sh\n"),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    FreeBsd::rooted(folder)
}

type Question<'a> = (&'a str, &'a dyn Fn(&dyn Host), &'a [&'a str]);

/// Everything that starts a process, with the processes, on both hosts alike: the table counts what a real host starts.
#[test]
fn both_hosts_start_the_same_processes_for_the_same_question() {
    gts_bootstrap::child::use_program(env!("CARGO_BIN_EXE_gts-bootstrap"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = WebRequest::to(listener.local_addr().unwrap(), false, "a.example", "/", Duration::from_millis(1));
    let outside = WebRequest { address: None, host: "a.invalid".into(), ..own.clone() };
    let probes = |uid: u32| {
        [Family::V4, Family::V6].map(|family| BindProbe {
            uid,
            gid: uid,
            groups: vec![uid],
            family,
            protocol: Protocol::Tcp,
            port: 81,
        })
    };
    let invocation = Invocation {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), "true".into()],
        environment: Vec::new(),
        owner: Owner { uid: 65_534, gid: 65_534 },
        directory: "/".into(),
        secret_argument: None,
        limit: None,
    };
    let examination = gts_bootstrap::host::DatabaseExamination {
        path: "/nosuch/sqlite.db".into(),
        owner: invocation.owner,
        thorough: false,
    };
    let group = gts_bootstrap::host::Group { name: "x".into(), gid: 4711 };
    let questions: &[Question<'_>] = &[
        ("rc variables", &|host| ["a", "b", "a"].iter().for_each(|name| drop(host.rc_variable(name))), &["sh"]),
        ("once more", &|host| drop(host.rc_is_yes("c_enable")), &[]),
        ("sysrc", &|host| drop(host.set_rc_variable("a", Some("b"))), &["sysrc"]),
        ("changed", &|host| drop(host.rc_variable("a")), &["sh"]),
        ("module", &|host| drop(host.module_loaded("mac_portacl")), &[]),
        ("sysctl", &|host| drop(host.sysctl("kern.securelevel")), &[]),
        ("accounts", &|host| drop((host.user("root"), host.group_by_id(0), host.groups_of("root"))), &[]),
        ("processes", &|host| drop(host.processes()), &["ps"]),
        ("gotosocial", &|host| drop(host.service("gotosocial")), &["ps"]),
        ("supervision", &|host| drop(host.supervision("gotosocial")), &["ps"]),
        ("nginx", &|host| drop(host.service("nginx")), &["ps"]),
        ("no such script", &|host| drop(host.service("apache24")), &["ps"]),
        ("another", &|host| drop(host.service("other")), &["ps", "service"]),
        ("listeners", &|host| drop(host.listeners()), &["sockstat", "ps"]),
        ("UDP", &|host| drop(host.sockets(Protocol::Udp)), &["sockstat", "ps"]),
        ("package", &|host| drop(host.package("nginx")), &["pkg"]),
        (
            "one look",
            &|host| {
                let look = Look::at(host);
                for name in ["nginx", "gotosocial", "apache24", "nginx"] {
                    drop((look.service(name), look.package(name), look.listeners(), look.supervision("gotosocial")));
                }
                drop((Look::at(&look).listeners(), look.processes()));
                drop((look.sockets(Protocol::Udp), Look::at(&look).sockets(Protocol::Udp)));
            },
            &["sockstat", "ps", "pkg", "sockstat", "ps"],
        ),
        ("resolver", &|host| ["a.invalid", "b.invalid"].iter().for_each(|name| drop(host.resolve(name))), &["resolve"]),
        ("own server", &|host| drop(host.web(&own)), &["web"]),
        ("once more", &|host| drop((host.web(&own), host.web(&own))), &[]),
        ("outside", &|host| drop((host.web(&outside), host.web(&outside))), &["web", "web"]),
        ("binds", &|host| drop(host.binds(&[probes(65_534), probes(65_533)].concat())), &["bind", "bind"]),
        ("bind", &|host| drop(host.bind(&probes(65_534)[0])), &["bind"]),
        ("IPv6", &|host| drop(host.has_ipv6()), &[]),
        ("addresses", &|host| drop((host.addresses(), host.free_bytes(Path::new("/")), host.system())), &[]),
        ("another user's", &|host| drop(host.run_as(&invocation, &|| None)), &["exec"]),
        ("database", &|host| drop(host.examine_database(&examination, &|| None)), &["examine"]),
        ("who has it open", &|host| drop(host.file_users(Path::new("/"))), &["fstat"]),
        ("front", &|host| drop(host.front_test(gts_bootstrap::front::Front::NGINX, Path::new("/x"))), &["nginx"]),
        ("groupadd", &|host| drop((host.add_group(&group), host.delete_group("x"))), &["pw", "pw"]),
        ("kld", &|host| drop((host.load_module("x"), host.unload_module("x"))), &["kldload", "kldunload"]),
        ("pkg install", &|host| drop(host.install_package("nginx")), &["pkg"]),
        ("pkg delete", &|host| drop(host.delete_package("nginx")), &["pkg", "pkg"]),
        ("service", &|host| drop(host.service_action("nginx", ServiceAction::Reload)), &["service"]),
    ];
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let rehearsal = Rehearsal::open(folders[0].path().join("root")).unwrap();
    rehearsal.edit(|model| model.pkg = true).unwrap();
    for (kind, host) in [("rehearsed", &rehearsal as &dyn Host), ("real", &real(folders[1].path()))] {
        started();
        for (name, ask, expected) in questions {
            ask(host);
            assert_eq!(started(), *expected, "{kind}: {name}");
        }
    }
}
