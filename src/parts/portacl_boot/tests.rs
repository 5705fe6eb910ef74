//! The prediction held to what the rehearsal's reboot leaves, which knows nothing of it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::host::rehearsal::Rehearsal;
use crate::host::{Host, Owner};
use crate::portacl::next_boot;
use proptest::prelude::*;

const SCRIPTS: &str = "/usr/local/etc/rc.d";

/// A rehearsal in a temporary folder that goes with it.
struct Machine {
    host: Rehearsal,
    _folder: tempfile::TempDir,
}

impl Machine {
    fn fresh() -> Self {
        // In memory where that is to be had: every change is synced to disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Machine { host: Rehearsal::open(folder.path().join("root")).unwrap(), _folder: folder }
    }

    fn put(&self, path: &str, text: &str, mode: u32) {
        let folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        for folder in folders.into_iter().rev().filter(|folder| *folder != Path::new("/")) {
            if self.host.entry(folder).unwrap().is_none() {
                self.host.make_directory(folder, 0o755, Owner::ROOT).unwrap();
            }
        }
        self.host.write_file(Path::new(path), text.as_bytes(), mode, Owner::ROOT).unwrap();
    }

    fn write(&self, path: &str, text: &str) {
        self.put(path, text, 0o644);
    }

    fn append_rc(&self, lines: &str) {
        let old = self.host.read(Path::new("/etc/rc.conf")).unwrap().unwrap();
        self.write("/etc/rc.conf", &format!("{}{lines}", String::from_utf8(old).unwrap()));
    }

    fn guards(&self) {
        for name in rc_script::GUARDS {
            self.put(&format!("{SCRIPTS}/{name}"), "#!/bin/sh\n", 0o555);
        }
        self.append_rc("gts_portacl_guard_enable=\"YES\"\n");
    }

    fn portacl_rc(&self, variables: &str) {
        self.put(&format!("{SCRIPTS}/portacl"), "#!/bin/sh\n", 0o555);
        self.append_rc(&format!("portacl_enable=\"YES\"\n{variables}"));
    }

    /// What is predicted, checked against what a reboot leaves.
    #[track_caller]
    fn reboots_as_predicted(&self) -> State {
        let predicted = next_boot(&settings(&self.host).unwrap()).state;
        self.host.reboot().unwrap();
        assert_eq!(now(&self.host).unwrap(), predicted);
        predicted
    }
}

const TWO: &str = "security.mac.portacl.rules=uid:209:tcp:80,uid:209:tcp:443\n";
const HIGH: &str = "net.inet.ip.portrange.reservedhigh=79\n";

#[test]
fn a_fresh_system_is_as_it_comes() {
    let machine = Machine::fresh();
    assert_eq!(now(&machine.host).unwrap(), State::default());
    assert_eq!(machine.reboots_as_predicted(), State::default());
}

#[test]
fn an_installation_of_this_program() {
    let machine = Machine::fresh();
    machine.write("/boot/loader.conf", "mac_portacl_load=\"YES\"\n");
    machine.write("/etc/sysctl.conf", &format!("{TWO}{HIGH}"));
    machine.guards();
    let settings = settings(&machine.host).unwrap();
    assert!(settings.loader && settings.guard.early && settings.guard.late);
    assert_eq!(settings.guard.reservedhigh, Some(1023));
    assert_eq!(settings.sysctl_conf[1].place.to_string(), "/etc/sysctl.conf:2");
    let state = machine.reboots_as_predicted();
    assert_eq!((state.list.as_str(), state.policy.reservedhigh), ("uid:209:tcp:80,uid:209:tcp:443", 79));
}

#[test]
fn a_file_named_in_loader_conf_files_counts() {
    let machine = Machine::fresh();
    machine.write("/boot/loader.conf", "mac_portacl_load=\"YES\"\nloader_conf_files=\"/boot/mine\"\n");
    machine.write("/boot/mine", "# no\nmac_portacl_load=NO\nsecurity.mac.portacl.port_high=\"2000\"\n");
    assert!(!machine.reboots_as_predicted().policy.loaded);
    let settings = settings(&machine.host).unwrap();
    assert_eq!(settings.tunables[0].place.to_string(), "/boot/mine:3");
}

#[test]
fn portacl_rc_lists_users_services_and_rules_and_leaves_out_what_it_cannot_take() {
    let machine = Machine::fresh();
    machine.portacl_rc(
        "portacl_users=\"www 53 nobody ghost\"\nportacl_groups=\"www wheel\"\nportacl_user_www_tcp=\"https http 080\"\n\
         portacl_user_53_udp=\"domain\"\nportacl_group_www_tcp=\"81\"\nportacl_user_nobody_tcp=\"gopherx 70000\"\n\
         portacl_additional_rules=\"uid:70000:tcp:80,uid:80:tcp:80,gid:0:udp:53\"\nportacl_port_high=\"abc\"\n",
    );
    let rc = settings(&machine.host).unwrap().portacl_rc.unwrap();
    assert_eq!(rc.list, "gid:0:udp:53,gid:80:tcp:81,uid:53:udp:53,uid:80:tcp:080,uid:80:tcp:443,uid:80:tcp:80");
    assert_eq!(rc.port_high, "1023");
    let left: Vec<(&str, &str)> = rc.left_out.iter().map(|left| (left.variable.as_str(), left.what.as_str())).collect();
    assert_eq!(
        left,
        [
            ("portacl_user_nobody_tcp", "gopherx"),
            ("portacl_users", "ghost"),
            ("portacl_groups", "wheel"),
            ("portacl_user_nobody_tcp", "uid:65534:tcp:70000"),
            ("portacl_additional_rules", "uid:70000:tcp:80"),
        ]
    );
    let state = machine.reboots_as_predicted();
    assert_eq!((state.policy.loaded, state.policy.reservedhigh), (true, 0));
}

#[test]
fn portacl_rc_stops_at_1023_bytes_and_its_chain_at_a_failure() {
    let machine = Machine::fresh();
    let many: Vec<String> = (10_000..10_080).map(|port| format!("uid:80:tcp:{port}")).collect();
    machine.portacl_rc(&format!("portacl_additional_rules=\"{}\"\nportacl_port_high=\"08\"\n", many.join(",")));
    let rc = settings(&machine.host).unwrap().portacl_rc.unwrap();
    assert_eq!(rc.list.len(), 60 * 17 - 1);
    assert_eq!(rc.left_out.len(), 20);
    assert!(rc.left_out[0].why.contains("1023"));
    // “08” is no number to sysctl(8), and all that follows is not done.
    let state = machine.reboots_as_predicted();
    assert_eq!((state.policy.reservedhigh, state.policy.port_high), (1023, 1023));
}

#[test]
fn a_module_that_is_compiled_in_is_there_from_the_start() {
    let machine = Machine::fresh();
    machine.host.edit(|model| model.compiled_in = ["mac_portacl".into()].into()).unwrap();
    machine.write("/etc/sysctl.conf", &format!("{TWO}{HIGH}"));
    machine.write("/boot/loader.conf", "security.mac.portacl.suser_exempt=0\n");
    let state = machine.reboots_as_predicted();
    assert!(state.policy.loaded && state.policy.rules.len() == 2 && state.policy.suser_exempt == 0);
}

#[test]
fn the_guards_act_as_predicted() {
    let machine = Machine::fresh();
    machine.write("/boot/loader.conf", "mac_portacl_load=\"YES\"\n");
    // Every value but 0 is on to the kernel, and only 1 to the guard.
    machine.write("/etc/sysctl.conf", &format!("security.mac.portacl.enabled=2\n{HIGH}"));
    machine.guards();
    assert_eq!(machine.reboots_as_predicted().policy.reservedhigh, 1023);
    // The late one calls the other.
    machine.host.remove(&Path::new(SCRIPTS).join(rc_script::GUARDS[0])).unwrap();
    assert!(!settings(&machine.host).unwrap().guard.late);
    assert_eq!(machine.reboots_as_predicted().policy.reservedhigh, 79);
}

#[test]
fn a_list_that_cannot_be_in_the_kernel_is_an_error() {
    let machine = Machine::fresh();
    machine
        .host
        .edit(|model| {
            model.modules.insert("mac_portacl".into());
            model.sysctls.insert("security.mac.portacl.rules".into(), "uid:www:tcp:80".into());
        })
        .unwrap();
    let error = now(&machine.host).unwrap_err().to_string();
    assert!(error.contains("security.mac.portacl.rules") && error.contains("its id is not a number"), "{error}");
    machine.host.edit(|model| drop(model.sysctls.insert("security.mac.portacl.rules".into(), "".into()))).unwrap();
    machine.host.edit(|model| drop(model.sysctls.insert("security.mac.portacl.enabled".into(), "x".into()))).unwrap();
    assert!(now(&machine.host).unwrap_err().to_string().contains("enabled"));
}

#[test]
fn a_module_is_there_compressed_too_and_where_kld_list_says() {
    let machine = Machine::fresh();
    let missing = || settings(&machine.host).unwrap().missing_in;
    machine.host.remove(Path::new("/boot/kernel/mac_portacl.ko")).unwrap();
    machine.write("/opt/mods/mac_portacl.ko", "");
    machine.append_rc("kld_list=\"mac_portacl\"\n");
    assert_eq!(missing().as_deref(), Some("/boot/kernel, /boot/modules"));
    machine.append_rc("kld_list=\"/opt/mods/mac_portacl.ko\"\n");
    assert_eq!(missing(), None);
    machine.host.remove(Path::new("/opt/mods/mac_portacl.ko")).unwrap();
    assert!(missing().is_some());
    machine.write("/boot/modules/mac_portacl.ko.gz", "");
    assert_eq!(missing(), None);
}

#[derive(Debug, Clone)]
struct Configuration {
    loader: Vec<String>,
    loader_folder: Vec<String>,
    loader_local: Vec<String>,
    loader_mine: Vec<String>,
    old_defaults: bool,
    sysctl: Vec<String>,
    sysctl_local: Vec<String>,
    kld_conf: Vec<String>,
    rc: Vec<String>,
    guards: (bool, bool),
    portacl_script: bool,
    compiled_in: bool,
    osreldate: u32,
    jail: Jail,
    now: (bool, String, i32),
}

fn lines(line: impl Strategy<Value = String>, most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(line, 0..most)
}

fn value(variable: Variable) -> BoxedStrategy<String> {
    let number = prop_oneof![
        6 => prop::sample::select(vec!["0", "1", "79", "1023", "0x4f", "0117", "-1", "2000", "70000"]),
        1 => prop::sample::select(vec!["", "x", "08", "1k", " 1", "4294967296"]),
    ];
    let rules = prop_oneof![
        4 => prop::sample::select(vec![
            "", "uid:209:tcp:80", "uid:209:tcp:80,uid:80:udp:53", "uid:+1:tcp:080,,gid:-1:tcp:65616",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["uid:www:tcp:80", "uid:1:tcp:1, uid:1:tcp:2"]).prop_map(str::to_owned),
        1 => (980_usize..1010).prop_map(|length| format!("{:,>length$}", "uid:209:tcp:8080")),
    ];
    match variable {
        Variable::Rules => rules.boxed(),
        Variable::Securelevel => prop::sample::select(vec!["-1", "0", "1"]).prop_map(str::to_owned).boxed(),
        _ => number.prop_map(str::to_owned).boxed(),
    }
}

fn variable() -> impl Strategy<Value = Variable> {
    // The securelevel seldom: it ends the story early.
    prop_oneof![30 => prop::sample::select(Variable::all().take(7).collect::<Vec<_>>()), 1 => Just(Variable::Securelevel)]
}

fn sysctl_line() -> impl Strategy<Value = String> {
    let form = prop::sample::select(vec!["=", " = ", ": ", "=\"|\" # why", "='|'", "=|   ", "=| # it's"]);
    let line = variable()
        .prop_flat_map(|variable| (Just(variable), value(variable)))
        .prop_flat_map(move |pair| (Just(pair), form.clone()));
    let odd = prop::sample::select(vec!["# comment", "", "nonsense", "net.inet.ip.portrange.first=1024", "=1"]);
    prop_oneof![
        8 => line.prop_map(|((variable, value), form)| match form.split_once('|') {
            Some((before, after)) => format!("{variable}{before}{value}{after}"),
            None => format!("{variable}{form}{value}"),
        }),
        1 => odd.prop_map(str::to_owned),
    ]
}

fn loader_line() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "mac_portacl_load=\"YES\"",
        "mac_portacl_load=\"YES\" # \"always\"",
        "mac_portacl_load = yes #x",
        "mac_portacl_load=\"NO\"",
        "mac_portacl_load='YES'",
        "mac_portacl_name=\"mac_portacl\"",
        "module_blacklist=\"drm mac_portacl\"",
        "module_blacklist=\"\"",
        "loader_conf_files=\"/boot/mine\"",
        "loader_conf_dirs=\"\"",
        "autoboot_delay=\"3\"",
        "net.inet.ip.portrange.reservedhigh=\"0\"",
    ]);
    let tunable = variable().prop_flat_map(|variable| (Just(variable), value(variable)));
    prop_oneof![
        3 => fixed.prop_map(str::to_owned),
        2 => tunable.prop_map(|(variable, value)| format!("{variable}=\"{value}\"")),
    ]
}

fn rc_line() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "kld_list=\"mac_portacl\"",
        "kld_list=\"nosuch /boot/kernel/mac_portacl.ko\"",
        "portacl_enable=\"YES\"",
        "portacl_enable=\"YES\"",
        "portacl_users=\"www bind ghost\"",
        "portacl_groups=\"80\"",
        "portacl_user_www_tcp=\"http https 0\"",
        "portacl_user_bind_udp=\"domain 99999 nosuch\"",
        "portacl_group_80_tcp=\"81\"",
        "portacl_additional_rules=\"gid:5:tcp:25,,uid:x:tcp:1,uid:1:tcp:02\"",
        "portacl_port_high=\"2000\"",
        "portacl_port_high=\"09\"",
        "portacl_suser_exempt=\"NO\"",
        "portacl_autoport_exempt=\"off\"",
        "gts_portacl_guard_enable=\"YES\"",
        "gts_portacl_guard_enable=\"YES\"",
        "gts_portacl_guard_reservedhigh=\"500\"",
        "gts_portacl_guard_reservedhigh=\"all\"",
    ])
    .prop_map(str::to_owned)
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let files = (
        lines(loader_line(), 5),
        lines(loader_line(), 2),
        lines(loader_line(), 2),
        lines(loader_line(), 2),
        any::<bool>(),
        lines(sysctl_line(), 6),
        lines(sysctl_line(), 2),
        lines(sysctl_line(), 3),
        lines(rc_line(), 8),
    );
    let jail = prop_oneof![6 => Just(Jail::No), 1 => Just(Jail::Shared), 2 => Just(Jail::Vnet)];
    let now =
        (any::<bool>(), prop::sample::select(vec!["", "uid:209:tcp:80"]), prop::sample::select(vec![0, 79, 1023]));
    let rest = (
        any::<(bool, bool)>(),
        any::<bool>(),
        prop::bool::weighted(0.1),
        prop::sample::select(vec![1_302_000, 1_401_000]),
        jail,
        now,
    );
    (files, rest).prop_map(|(files, rest)| Configuration {
        loader: files.0,
        loader_folder: files.1,
        loader_local: files.2,
        loader_mine: files.3,
        old_defaults: files.4,
        sysctl: files.5,
        sysctl_local: files.6,
        kld_conf: files.7,
        rc: files.8,
        guards: rest.0,
        portacl_script: rest.1,
        compiled_in: rest.2,
        osreldate: rest.3,
        jail: rest.4,
        now: (rest.5.0, rest.5.1.to_owned(), rest.5.2),
    })
}

fn machine(configuration: &Configuration) -> Machine {
    let machine = Machine::fresh();
    let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    if configuration.old_defaults {
        machine.write(
            "/boot/defaults/loader.conf",
            "loader_conf_files=\"/boot/device.hints /boot/loader.conf /boot/loader.conf.local\"\n\
             loader_conf_dirs=\"/boot/loader.conf.d\"\n",
        );
    }
    machine.write("/boot/loader.conf", &text(&configuration.loader));
    machine.write("/boot/loader.conf.d/x.conf", &text(&configuration.loader_folder));
    machine.write("/boot/loader.conf.local", &text(&configuration.loader_local));
    machine.write("/boot/mine", &text(&configuration.loader_mine));
    machine.write("/etc/sysctl.conf", &text(&configuration.sysctl));
    machine.write("/etc/sysctl.conf.local", &text(&configuration.sysctl_local));
    machine.write("/etc/sysctl.kld.d/mac_portacl.conf", &text(&configuration.kld_conf));
    machine.append_rc(&text(&configuration.rc));
    let scripts = [
        (configuration.guards.0, rc_script::GUARDS[0]),
        (configuration.guards.1, rc_script::GUARDS[1]),
        (configuration.portacl_script, "portacl"),
    ];
    for (_, name) in scripts.into_iter().filter(|(there, _)| *there) {
        machine.put(&format!("{SCRIPTS}/{name}"), "#!/bin/sh\n", 0o555);
    }
    let (loaded, list, reservedhigh) = configuration.now.clone();
    machine
        .host
        .edit(|model| {
            model.osreldate = configuration.osreldate;
            model.jail = configuration.jail;
            if configuration.compiled_in {
                model.compiled_in.insert("mac_portacl".into());
            }
            if loaded {
                model.modules.insert("mac_portacl".into());
                model.sysctls.insert("security.mac.portacl.rules".into(), list);
            }
            model.sysctls.insert("net.inet.ip.portrange.reservedhigh".into(), reservedhigh.to_string());
        })
        .unwrap();
    machine
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_prediction_is_what_a_reboot_leaves(configuration in configuration()) {
        let machine = machine(&configuration);
        let predicted = next_boot(&settings(&machine.host).unwrap()).state;
        machine.host.reboot().unwrap();
        prop_assert_eq!(now(&machine.host).unwrap(), predicted);
    }
}
