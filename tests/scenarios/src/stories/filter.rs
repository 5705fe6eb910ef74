//! Filters: kept where nobody filters, taken up by the web server in front, and taken along by it.

use crate::bench::{Bench, OWN_FOLDER, ensure};

const RULES: &str = "/usr/local/etc/gts-bootstrap/filters.conf";
const NGINX_FILE: &str = "/usr/local/etc/nginx/gts-bootstrap/filters/global/gts-bootstrap.conf";

/// Every kind of rule, made one by one.
fn make(bench: &Bench) -> Result<(), String> {
    let list = format!("{OWN_FOLDER}/drop.txt");
    bench.write(&list, "198.51.100.0/24\n203.0.113.9 # one of them\n")?;
    let local = bench.local(&list)?.display().to_string();
    for change in [
        &["deny", "192.0.2.0/24", "2001:db8::/32"][..],
        &["allow", "192.0.2.7"],
        &["deny-agent", "BadBot"],
        &["protect", "/settings", "--from", "10.0.0.0/8"],
        &["rate", "/api/v1", "10/s"],
        &["import", &local],
    ] {
        bench.run(&[&["filter"], change, &["--yes"]].concat())?.exits(0)?;
    }
    bench.remove(&list)
}

/// What they decide.
fn decide(bench: &Bench) -> Result<(), String> {
    bench.run(&["filter", "list"])?.exits(0)?.says("deny file drop (2 entries)")?.says("rate /api/v1 10/s")?;
    for (question, answer) in [
        (&["192.0.2.9"][..], "refused with 403"),
        (&["192.0.2.7"], "allow 192.0.2.7"),
        (&["2001:db8::1"], "refused with 403"),
        (&["203.0.113.9"], "deny file drop"),
        (&["8.8.8.8", "--agent", "x badbot/1"], "deny agent BadBot"),
        (&["8.8.8.8", "--path", "/settings"], "protect /settings"),
        (&["10.1.2.3", "--path", "/settings"], "passes"),
        (&["127.0.0.1", "--agent", "badbot"], "passes"),
    ] {
        bench.run(&[&["filter", "test"], question].concat())?.exits(0)?.says(answer)?;
    }
    Ok(())
}

pub(super) fn kept_in_direct_mode(bench: &Bench) -> Result<(), String> {
    make(bench)?;
    decide(bench)?;
    bench.run(&["filter", "deny", "0.0.0.0/0", "--yes"])?.exits(2)?.says("--force")?;
    bench.run(&["filter", "deny", "192.0.2.1/24", "--yes"])?.exits(2)?.says("192.0.2.0/24")?;
    bench.run(&["filter", "remove", "deny agent BadBot", "--yes"])?.exits(0)?;
    let rules = bench.text(RULES)?;
    ensure(rules.contains("deny 192.0.2.0/24\n") && !rules.contains("BadBot"), &rules)?;
    bench.run(&["check"])?.exits(0).map(drop)
}

pub(super) fn taken_up_by_nginx(bench: &Bench) -> Result<(), String> {
    make(bench)?;
    decide(bench)?;
    let rendered = bench.text(NGINX_FILE)?;
    ensure(rendered.contains("BadBot") || rendered.contains("limit_req_zone"), &rendered)?;
    bench.run(&["filter", "deny", "192.0.2.0/24", "--yes"])?.exits(0)?.says("Nothing to change")?;
    bench.run(&["check"])?.exits(0)?;
    bench.run(&["switch-to-direct", "--yes", "--trial", "15"])?.exits(0)?;
    ensure(!bench.exists(NGINX_FILE)?, "nginx still has the filters")?;
    ensure(bench.text(RULES)?.contains("deny 192.0.2.0/24\n"), "the rules have gone with nginx")
}
