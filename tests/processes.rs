//! How many processes each command line starts, so that none starts more without anybody noticing.
//!
//! A rehearsal announces the processes that the real host would start for what it is asked (`src/host/rehearsal/processes.rs`),
//! and its own children. That the real host starts just these is held below, with programs that stand in for the system's.

use gts_bootstrap::operation::started;

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

fn behind() -> Machine {
    Machine::installed(BEHIND)
}

#[test]
fn print_counts() {
    for (name, machine) in [("direct", Machine::installed(ANSWERS)), ("behind", behind())] {
        std::fs::write(machine.beside("answers.toml"), if name == "direct" { ANSWERS } else { BEHIND }).unwrap();
        for line in [
            "install --answers answers.toml --yes",
            "install --answers answers.toml --plan",
            "status",
            "status --brief",
            "status --offline",
            "status --diff",
            "check",
            "check --brief",
            "portacl show",
            "portacl lint",
            "portacl explain gotosocial 80 443 --prove",
            "portacl grant www 81 --plan",
            "certificate status",
            "certificate renew",
            "backup --plan",
            "upgrade 0.20.0 --plan",
            "switch-to-proxy nginx --plan",
            "filter list",
            "uninstall --plan",
            "recover",
            "--version",
            "--help",
            "help install",
        ] {
            started();
            let line: Vec<&str> = line.split(' ').collect();
            let outcome = machine.copy();
            std::fs::write(outcome.beside("answers.toml"), if name == "direct" { ANSWERS } else { BEHIND }).unwrap();
            let outcome = outcome.run(&line);
            let all = started();
            println!("{name} {line:?}: {} ({}) {}", outcome.code, all.len(), all.join(" "));
            if ![0].contains(&outcome.code) {
                println!("{}{}", outcome.stdout, outcome.stderr);
            }
        }
    }
}
