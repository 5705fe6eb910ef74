//! `portacl`: rules that can be read, checked and changed, for any server on the host.

use gts_bootstrap::host::ServiceAction;

use super::said;
use crate::bench::{Bench, MODULE, NOBODY, OWN_FOLDER, RESERVED_HIGH, RULES, SERVICE, ensure};
use crate::outcome::Outcome;
use crate::snapshot::Snapshot;

/// A user of the base system.
const WWW: u32 = 80;
/// Another one.
const BIND: u32 = 53;

const INSTALLED: &str = "\
pass  proto tcp  port 80 (http)    user gotosocial (209)
pass  proto tcp  port 443 (https)  user gotosocial (209)
pass  proto any  port 1-1023       user root            # suser_exempt
block proto any  port 80-1023      all                  # mac_portacl default
block proto any  port 1-79         all                  # reservedhigh 79
";

fn prints(outcome: Outcome, text: &str) -> Result<(), String> {
    let outcome = outcome.exits(0)?;
    ensure(outcome.stdout == text, format!("it prints\n{}and not\n{text}", outcome.stdout))
}

fn show(bench: &Bench, text: &str) -> Result<(), String> {
    prints(bench.run(&["portacl", "show"])?, text)
}

fn rules_are(bench: &Bench, rules: &str, high: &str) -> Result<(), String> {
    let now = (bench.sysctl(RULES)?, bench.sysctl(RESERVED_HIGH)?);
    ensure(now == (rules.to_owned(), high.to_owned()), format!("the rules and the reserved range are {now:?}"))
}

/// Applies a text that is put into a file for it.
fn apply(bench: &Bench, text: &str, more: &[&str]) -> Result<Outcome, String> {
    let file = format!("{OWN_FOLDER}/rules");
    bench.write(&file, text)?;
    let local = bench.local(&file)?.display().to_string();
    let outcome = bench.run(&[&["portacl", "apply", &local], more].concat())?;
    bench.remove(&file)?;
    Ok(outcome)
}

fn set(bench: &Bench, name: &str, value: &str) -> Result<(), String> {
    bench.host()?.set_sysctl(name, value).map_err(said)
}

pub(super) fn rules_can_be_read(bench: &Bench) -> Result<(), String> {
    show(bench, INSTALLED)?;
    let numbers = "\
pass  proto tcp  port 80      user 209
pass  proto tcp  port 443     user 209
pass  proto any  port 1-1023  user 0    # suser_exempt
block proto any  port 80-1023  all       # mac_portacl default
";
    let shown = bench.run(&["portacl", "show", "-n"])?.exits(0)?;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    ensure(words(&shown.stdout).starts_with(&words(numbers)), &shown.stdout)?;
    prints(bench.run(&["portacl", "show", "--raw"])?, "uid:209:tcp:80,uid:209:tcp:443\n")?;
    let json = bench.run(&["portacl", "show", "--json"])?.exits(0)?.json()?;
    ensure(
        json["list"] == "uid:209:tcp:80,uid:209:tcp:443" && json["next_boot_list"] == json["list"],
        json.to_string(),
    )?;
    ensure(json["lines"][0]["ports"]["first"] == 80 && json["lines"][4]["implied"] == true, json.to_string())?;
    bench.run(&["portacl", "lint"])?.exits(0)?.says("Nothing found").map(drop)
}

pub(super) fn what_a_boot_changes_is_signed(bench: &Bench) -> Result<(), String> {
    set(bench, RULES, "uid:209:tcp:80,uid:80:tcp:81")?;
    let shown = bench.run(&["portacl", "show"])?.exits(0)?;
    let lines: Vec<Vec<&str>> = shown.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let has = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        ensure(lines.contains(&words), format!("{line:?} is not in\n{}", shown.stdout))
    };
    has("pass proto tcp port 80 (http) user gotosocial (209)")?;
    has("- pass proto tcp port 81 user www (80)")?;
    has("+ pass proto tcp port 443 (https) user gotosocial (209)")?;
    bench.run(&["portacl", "lint"])?.exits(3)?;
    bench
        .run(&["portacl", "explain", "www", "81"])?
        .exits(0)?
        .says("now yes rule 2, uid:80:tcp:81")?
        .says("after a boot no EPERM: no mac_portacl rule allows tcp port 81")?;
    // Read in again, it is what it was: in the kernel and in the files.
    let before = Snapshot::take(bench)?.system();
    apply(bench, &shown.stdout, &["--yes"])?.exits(0)?.says("Nothing to change")?;
    rules_are(bench, "uid:209:tcp:80,uid:80:tcp:81", "79")?;
    before.is_still(&Snapshot::take(bench)?.system())?;
    // And what is in force now can be made to stay.
    let now: String =
        shown.stdout.lines().filter(|line| !line.starts_with('+')).map(|line| format!("{line}\n")).collect();
    // The running service keeps the port that its rule has gone from.
    apply(bench, &now.replace("- ", "  "), &["--yes"])?.exits(3)?.says("socket 443/tcp")?;
    let sysctl = bench.text("/etc/sysctl.conf")?;
    ensure(sysctl.contains("security.mac.portacl.rules=uid:209:tcp:80,uid:80:tcp:81\n"), &sysctl)?;
    bench.run(&["portacl", "lint"])?.exits(0).map(drop)
}

pub(super) fn shown_and_applied_is_the_same(bench: &Bench) -> Result<(), String> {
    // As odd as the kernel takes it.
    let odd = "uid: 209:tcp:080,,gid:80:udp:53,uid:209:tcp:65616,uid:4711:tcp:0,uid:209:tcp:443,uid:209:tcp:443";
    set(bench, RULES, odd)?;
    let before = Snapshot::take(bench)?.system();
    for more in [&[][..], &["-n"], &["--color", "always"]] {
        let shown = bench.run(&[&["portacl", "show"], more].concat())?.exits(0)?;
        ensure(shown.stdout.contains('\x1b') == more.contains(&"always"), "it is coloured, or is not")?;
        apply(bench, &shown.stdout, &["--yes"])?.exits(0)?.says("Nothing to change")?;
        rules_are(bench, odd, "79")?;
        before.is_still(&Snapshot::take(bench)?.system())?;
    }
    Ok(())
}

pub(super) fn explained_and_proved(bench: &Bench) -> Result<(), String> {
    set(bench, RULES, "uid:209:tcp:80,uid:209:tcp:443,gid:80:tcp:81,uid:53:udp:53,uid:53:tcp:22")?;
    for (user, port, words) in [
        ("gotosocial", "80", "now yes rule 1, uid:209:tcp:80"),
        ("gotosocial", "https", "now yes rule 2, uid:209:tcp:443"),
        ("nobody", "80", "now no EPERM: no mac_portacl rule allows tcp port 80 (http)"),
        ("www", "81", "now yes rule 3, gid:80:tcp:81"),
        ("bind", "22", "now no EACCES: mac_portacl has no objection, but the port is reserved for root"),
        ("bind", "53/udp", "now no EACCES: mac_portacl has no objection"),
        ("root", "25", "now yes no rule is needed by root"),
        ("uid:65534", "8080", "now yes security.mac.portacl.port_high is 1023"),
    ] {
        let outcome = bench.run(&["portacl", "explain", user, port, "--prove"])?.exits(0)?.says(words)?;
        outcome.says("tried, ")?.says("as predicted")?.does_not_say("NOT AS PREDICTED")?;
    }
    // A group that lists the user counts as well.
    let groups = bench.text("/etc/group")?;
    let with_member: String = groups
        .lines()
        .map(|line| if line.starts_with("www:") { format!("{line}bind\n") } else { format!("{line}\n") })
        .collect();
    bench.write("/etc/group", &with_member)?;
    let outcome = bench.run(&["portacl", "explain", "bind", "81", "--prove"]);
    bench.write("/etc/group", &groups)?;
    outcome?.exits(0)?.says("now yes rule 3, gid:80:tcp:81")?.does_not_say("NOT AS PREDICTED")?;
    let json = bench.run(&["portacl", "explain", "bind", "53/udp", "--json"])?.exits(0)?.json()?;
    let answer = &json["answers"][0];
    ensure(answer["now"]["errno"] == "EACCES" && answer["now"]["decided_by"] == "reserved-range", json.to_string())?;
    for (user, port, words) in [
        ("nosuch", "80", "there is no user nosuch"),
        ("@www", "80", "is a group"),
        ("www", "65616", "from 1 to 65535"),
        ("www", "nosuch", "no tcp service"),
    ] {
        bench.run(&["portacl", "explain", user, port])?.exits(2)?.says(words)?;
    }
    Ok(())
}

pub(super) fn granted_and_revoked(bench: &Bench) -> Result<(), String> {
    let fresh = "pass  proto any  port 1-1023  user root  # reservedhigh 1023\n\
                 block proto any  port 1-1023  all        # reservedhigh 1023\n";
    show(bench, fresh)?;
    bench.run(&["portacl", "lint"])?.exits(0)?.says("Nothing found")?;
    let (sysctl, loader) = (bench.text("/etc/sysctl.conf")?, bench.text("/boot/loader.conf")?);
    let before = Snapshot::take(bench)?.system();
    bench.run(&["portacl", "grant", "www", "80,443", "--plan"])?.exits(0)?.says("nothing was changed")?;
    bench.run(&["portacl", "grant", "www", "80,443"])?.exits(4)?.says("nothing was changed")?;
    before.is_still(&Snapshot::take(bench)?.system())?;

    let granted = bench.run(&["portacl", "grant", "www", "80,443", "--yes"])?.exits(0)?;
    granted.says("www (80) 80 tcp4 ok can bind")?.says("nobody (65534) 443 tcp4 ok may not")?;
    rules_are(bench, "uid:80:tcp:80,uid:80:tcp:443", "79")?;
    for (user, port, wanted) in [(WWW, 80, true), (WWW, 443, true), (WWW, 81, false), (NOBODY, 80, false)] {
        bench.may_bind(user, port, wanted)?;
    }
    let conf = bench.text("/etc/sysctl.conf")?;
    ensure(conf.starts_with(&sysctl), &conf)?;
    ensure(conf.contains("rules=uid:80:tcp:80,uid:80:tcp:443\nnet.inet.ip.portrange.reservedhigh=79\n"), &conf)?;
    let conf = bench.text("/boot/loader.conf")?;
    ensure(conf.contains("mac_portacl_load=\"YES\"\n"), &conf)?;
    ensure(bench.exists("/usr/local/etc/rc.d/gts_portacl_guard")?, "there is no boot guard")?;
    ensure(bench.text("/etc/rc.conf")?.contains("gts_portacl_guard_enable=\"YES\""), "the boot guard is not enabled")?;
    bench.run(&["portacl", "lint"])?.exits(0)?;
    let before = Snapshot::take(bench)?.system();
    bench.run(&["portacl", "grant", "www", "http", "443/tcp", "--yes"])?.exits(0)?.says("Nothing to change")?;
    before.is_still(&Snapshot::take(bench)?.system())?;

    // Another server on the same host, and the range goes no lower than it needs, and no higher than it may.
    bench.run(&["portacl", "grant", "bind", "53,53/udp", "--yes"])?.exits(0)?.says("bind (53) 53 udp4 ok can bind")?;
    rules_are(bench, "uid:80:tcp:80,uid:80:tcp:443,uid:53:tcp:53,uid:53:udp:53", "52")?;
    bench.run(&["portacl", "revoke", "bind", "53", "--yes"])?.exits(0)?;
    rules_are(bench, "uid:80:tcp:80,uid:80:tcp:443,uid:53:udp:53", "52")?;
    bench.run(&["portacl", "revoke", "bind", "53/udp", "--yes"])?.exits(0)?;
    rules_are(bench, "uid:80:tcp:80,uid:80:tcp:443", "79")?;
    bench.may_bind(BIND, 53, false)?;
    let json = bench.run(&["portacl", "revoke", "www", "80", "--yes", "--json"])?.exits(0)?.json()?;
    ensure(json["changed"] == true && json["command"] == "portacl revoke", json.to_string())?;
    rules_are(bench, "uid:80:tcp:443", "442")?;
    bench.run(&["portacl", "revoke", "www", "443", "--yes"])?.exits(0)?.says("www (80) 443 tcp4 ok may not")?;
    rules_are(bench, "", "1023")?;
    ensure(bench.text("/etc/sysctl.conf")? == sysctl, "sysctl.conf is not what it was")?;
    ensure(loader.is_empty() || bench.text("/boot/loader.conf")?.starts_with(loader.trim_end()), "lines were lost")?;
    bench.run(&["portacl", "lint"])?.exits(0)?;
    bench.run(&["portacl", "revoke", "www", "443", "--yes"])?.exits(0)?.says("Nothing to change").map(drop)
}

pub(super) fn groups_are_granted(bench: &Bench) -> Result<(), String> {
    bench.run(&["portacl", "grant", "@www", "80", "--yes"])?.exits(0)?.says("@www (80) 80 tcp4 ok can bind")?;
    rules_are(bench, "gid:80:tcp:80", "79")?;
    bench.may_bind(WWW, 80, true)?;
    bench.may_bind(NOBODY, 80, false)?;
    bench.run(&["portacl", "revoke", "gid:80", "80", "--yes"])?.exits(0)?;
    bench.may_bind(WWW, 80, false)
}

pub(super) fn what_makes_no_sense_is_refused(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?.system();
    for (arguments, code, words) in [
        (&["grant", "nosuch", "80"][..], 2, "there is no user nosuch"),
        (&["grant", "@nosuch", "80"], 2, "there is no group nosuch"),
        (&["grant", "80", "80"], 2, "by number it is uid:80"),
        (&["grant", "www", "0"], 2, "from 1 to 65535"),
        (&["grant", "www", "65616"], 2, "from 1 to 65535"),
        (&["grant", "www", "nosuch"], 2, "has no tcp service"),
        (&["grant", "www", "80/sctp"], 2, "tcp and udp"),
        (&["grant", "www", "8080"], 2, "needs no rule"),
        (&["grant", "root", "80"], 2, "root may bind every port"),
        (&["grant", "uid:4711", "80"], 1, "lint` would complain of that"),
        (&["grant", "www"], 2, "PORT"),
        (&["apply", "/no/such/file"], 2, "cannot be read"),
    ] {
        let arguments = [&["portacl"], arguments, &["--yes"]].concat();
        bench.run(&arguments)?.exits(code)?.says(words)?;
        before.is_still(&Snapshot::take(bench)?.system()).map_err(|why| format!("{arguments:?}: {why}"))?;
    }
    let wrong = "pass port 80 user nosuch\nblock port 80 all\n\n+ pass port 80 user www\npass port 80-90 user www\n";
    let outcome = apply(bench, wrong, &["--yes"])?.exits(2)?;
    for words in ["Line 1", "Line 2", "only permissions", "Line 5"] {
        ensure(outcome.stderr.contains(words), &outcome.stderr)?;
    }
    apply(bench, "+ pass port 80 user www\n", &["--yes"])?.exits(2)?.says("line 1: a rule with a sign")?;
    // A list that would be cut at boot.
    let long: String = (1..=72).map(|port| format!("pass proto {{ tcp udp }} port {port} user www\n")).collect();
    apply(bench, &long, &["--yes"])?.exits(1)?.says("kernel takes at most 1023")?;
    before.is_still(&Snapshot::take(bench)?.system())?;
    // Numbers of a jail's users, for example.
    bench.run(&["portacl", "grant", "uid:4711", "80", "--allow-unknown", "--yes"])?.exits(0)?;
    bench.may_bind(4711, 80, true)?;
    bench.run(&["portacl", "lint"])?.exits(3)?.says("4711").map(drop)
}

pub(super) fn rules_are_applied_from_a_file(bench: &Bench) -> Result<(), String> {
    let text = "# two servers\npass proto tcp port { http https } user www\npass proto { tcp udp } port 53 user bind\n";
    apply(bench, text, &["--plan"])?.exits(0)?.says("nothing was changed")?;
    rules_are(bench, "", "1023")?;
    apply(bench, text, &["--yes"])?.exits(0)?.says("bind (53) 53 udp4 ok can bind")?;
    rules_are(bench, "uid:80:tcp:80,uid:80:tcp:443,uid:53:tcp:53,uid:53:udp:53", "52")?;
    bench.may_bind(BIND, 53, true)?;
    // What is not in the file goes.
    let fewer = "pass port 443 user www\nblock proto any port 80-1023 all\n";
    apply(bench, fewer, &["--yes"])?.exits(0)?.says("line 2 says what will not be so")?;
    rules_are(bench, "uid:80:tcp:443", "442")?;
    bench.may_bind(BIND, 53, false)?;
    bench.may_bind(WWW, 80, false)?;
    bench.may_bind(WWW, 443, true)?;
    bench.run(&["portacl", "lint"])?.exits(0).map(drop)
}

pub(super) fn what_is_wrong_is_found(bench: &Bench) -> Result<(), String> {
    bench.run(&["portacl", "lint"])?.exits(0)?.says("Nothing found")?;
    let finds = |words: &[&str]| -> Result<(), String> {
        let outcome = bench.run(&["portacl", "lint"])?.exits(3)?.says("why:")?.says("fix:")?;
        words.iter().try_fold(outcome, |outcome, words| outcome.says(words)).map(drop)
    };
    let rules = "uid:209:tcp:80,uid:209:tcp:443";
    for (list, word) in [
        ("uid:4711:tcp:80", "4711"),
        ("uid:209:tcp:8080", "8080"),
        ("uid:209:tcp:25", "25"),
        ("uid:209:tcp:80", "uid:209:tcp:80"),
        ("uid::tcp:80", "uid::tcp:80"),
        ("uid:209:tcp:65616", "65616"),
    ] {
        set(bench, RULES, &format!("{rules},{list}"))?;
        finds(&[word])?;
    }
    set(bench, RULES, rules)?;
    bench.run(&["portacl", "lint"])?.exits(0)?;
    // The loudest one.
    let host = bench.host()?;
    host.service_action(SERVICE, ServiceAction::Stop).map_err(said)?;
    host.unload_module(MODULE).map_err(said)?;
    drop(host);
    finds(&["ALARM", "ANY user may bind the ports from 80 to 1023"])?;
    bench.run(&["portacl", "show"])?.exits(0)?.says("OPEN: mac_portacl is not loaded")?;
    bench.run(&["portacl", "explain", "nobody", "80", "--prove"])?.exits(0)?.says("so ANY user may bind it")?;
    let json = bench.run(&["portacl", "lint", "--json"])?.exits(3)?.json()?;
    ensure(json["findings"][0]["severity"] == "alarm", json.to_string())
}

pub(super) fn owned_by_portacl_rc(bench: &Bench) -> Result<(), String> {
    let host = bench.host()?;
    for (name, value) in [("portacl_enable", "YES"), ("portacl_users", "www"), ("portacl_user_www_tcp", "http 81")] {
        host.set_rc_variable(name, Some(value)).map_err(said)?;
    }
    host.service_action("portacl", ServiceAction::Start).map_err(said)?;
    drop(host);
    let sysctl = bench.text("/etc/sysctl.conf")?;
    bench.run(&["portacl", "lint"])?.exits(0)?;
    bench.run(&["portacl", "grant", "bind", "53/udp", "--yes"])?.exits(0)?.says("portacl-rc is enabled and owns")?;
    bench.may_bind(WWW, 80, true)?;
    let has = |line: &str| -> Result<(), String> {
        let rc = bench.text("/etc/rc.conf")?;
        ensure(rc.contains(line), format!("{line} is not in\n{rc}"))
    };
    has("portacl_users=\"www bind\"")?;
    has("portacl_user_bind_udp=\"53\"")?;
    bench.run(&["portacl", "grant", "@www", "25", "--yes"])?.exits(0)?;
    has("portacl_additional_rules=\"gid:80:tcp:25\"")?;
    bench.run(&["portacl", "revoke", "www", "80", "--yes"])?.exits(0)?;
    has("portacl_user_www_tcp=\"81\"")?;
    bench.may_bind(WWW, 80, false)?;
    bench.run(&["portacl", "revoke", "www", "81", "--yes"])?.exits(0)?;
    has("portacl_users=\"bind\"")?;
    bench.run(&["portacl", "lint"])?.exits(0)?;
    ensure(bench.text("/etc/sysctl.conf")? == sysctl, "sysctl.conf was changed")
}
