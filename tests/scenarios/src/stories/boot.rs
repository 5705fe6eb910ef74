//! The boot, in two halves with a real reboot between them.

use std::path::Path;

use gts_bootstrap::host::Owner;

use super::said;
use crate::bench::{ANSWERS, Bench, MODULE, OWN_FOLDER, RESERVED_HIGH, RULES, ensure};

/// Emptied at every boot (rc.d/cleanvar), so that a reboot is told from none.
const UNTIL_REBOOT: &str = "/var/run/gts-acceptance-not-rebooted";

fn awaiting() -> String {
    format!("{OWN_FOLDER}/awaiting-reboot")
}

/// Installs, and leaves it so.
pub(super) fn before(bench: &Bench) -> Result<(), String> {
    let host = bench.host()?;
    for file in [UNTIL_REBOOT, &awaiting()] {
        host.write_file(Path::new(file), b"", 0o600, Owner::ROOT).map_err(said)?;
    }
    println!("        now reboot this machine, and then: ./run --yes-change-this-machine --after-reboot");
    Ok(())
}

/// What the boot has made of it.
pub(super) fn after(bench: &Bench) -> Result<(), String> {
    ensure(bench.exists(&awaiting())?, "there was no --before-reboot, or it failed")?;
    // A rehearsal's reboot leaves /var/run as it is.
    ensure(bench.is_rehearsal() || !bench.exists(UNTIL_REBOOT)?, "this machine has not been rebooted since")?;
    let host = bench.host()?;
    host.remove(Path::new(&awaiting())).map_err(said)?;
    host.remove(Path::new(UNTIL_REBOOT)).map_err(said)?;
    ensure(host.module_loaded(MODULE).map_err(said)?, format!("{MODULE} was not loaded at boot"))?;
    drop(host);
    let (rules, high) = (bench.sysctl(RULES)?, bench.sysctl(RESERVED_HIGH)?);
    ensure(rules == "uid:209:tcp:80,uid:209:tcp:443", format!("the rules are {rules:?}"))?;
    ensure(high == "79", format!("{RESERVED_HIGH} is {high}"))?;
    bench.pid().map_err(|why| format!("it did not come up by itself: {why}"))?;
    bench.ports_are_guarded()?;
    bench.run(&["check"])?.exits(0)?.says("nobody (65534) 80 tcp4 ok may not")?;
    bench.run(&["portacl", "explain", "gotosocial", "80,443,25", "--prove"])?.exits(0)?;
    bench.run(&["portacl", "lint"])?.exits(0)?.says("Nothing found")?;
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change").map(drop)
}
