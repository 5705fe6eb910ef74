//! The plans. One line adds one.

use super::machine::{ANSWERS, Machine};
use super::stops;

fn fresh() -> Machine {
    with_answers(ANSWERS)
}

fn with_answers(answers: &str) -> Machine {
    let machine = Machine::fresh();
    std::fs::write(machine.beside("answers.toml"), answers).unwrap();
    machine
}

fn for_a_front() -> Machine {
    with_answers(&format!("{ANSWERS}\n[exposure]\nmode = \"nginx\"\n"))
}

fn direct() -> Machine {
    let machine = fresh();
    machine.run(INSTALL).exits(0);
    machine
}

fn behind(front: &str) -> Machine {
    let machine = direct();
    machine.run(&["switch-to-proxy", front, "--yes"]).exits(0);
    machine
}

fn behind_nginx() -> Machine {
    behind("nginx")
}

fn behind_httpd() -> Machine {
    behind("httpd")
}

fn granted() -> Machine {
    let machine = direct();
    machine.run(GRANT).exits(0);
    machine
}

const INSTALL: &[&str] = &["install", "--answers", "answers.toml", "--yes"];
const GRANT: &[&str] = &["portacl", "grant", "www", "81", "--yes"];

macro_rules! plans {
    ($($name:ident: $before:expr, $command:expr;)*) => {
        $(
            #[test]
            fn $name() {
                stops::at_every_operation(stringify!($name), &$before(), $command);
            }
        )*
    };
}

plans! {
    install: fresh, INSTALL;
    install_behind_nginx: for_a_front, INSTALL;
    switch_to_nginx: direct, &["switch-to-proxy", "nginx", "--yes"];
    switch_to_httpd: direct, &["switch-to-proxy", "httpd", "--yes"];
    nginx_to_direct: behind_nginx, &["switch-to-direct", "--yes"];
    httpd_to_direct: behind_httpd, &["switch-to-direct", "--yes"];
    nginx_to_httpd: behind_nginx, &["switch-to-proxy", "httpd", "--yes"];
    httpd_to_nginx: behind_httpd, &["switch-to-proxy", "nginx", "--yes"];
    filter: behind_nginx, &["filter", "deny", "203.0.113.0/24", "--yes"];
    certificate: behind_nginx, &["certificate", "renew", "--force", "--yes"];
    portacl_grant: direct, GRANT;
    portacl_revoke: granted, &["portacl", "revoke", "www", "81", "--yes"];
}
