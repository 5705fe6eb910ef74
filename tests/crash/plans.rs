//! The plans. One line adds one.

use gts_bootstrap::host::rehearsal::{Postgres, Rehearsal};
use gts_bootstrap::host::{Host, ServiceAction};

use super::stops;
use crate::machine::{ANSWERS, Machine};

pub fn fresh() -> Machine {
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
    Machine::installed(ANSWERS)
}

fn behind(front: &str) -> Machine {
    Machine::after(ANSWERS, &[&["switch-to-proxy", front, "--yes"]])
}

pub fn behind_nginx() -> Machine {
    behind("nginx")
}

fn behind_httpd() -> Machine {
    behind("httpd")
}

fn granted() -> Machine {
    Machine::after(ANSWERS, &[GRANT])
}

/// An instance with a post and a picture, whose database is complete: what was in the log got into it.
fn furnished(version: &str) -> Machine {
    let admin = "\n[admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n";
    let answers = format!("{}{admin}", ANSWERS.replace("0.19.2", version));
    let machine = Machine::after(&answers, &[&["rehearsal", "post", "hello"]]);
    machine.write(PICTURE, "not much of a picture");
    let host = Rehearsal::open(machine.root()).unwrap();
    for action in [ServiceAction::Stop, ServiceAction::Start] {
        host.service_action("gotosocial", action).unwrap();
    }
    machine
}

pub fn instance() -> Machine {
    furnished("0.19.2")
}

fn older() -> Machine {
    furnished("0.19.1")
}

fn upgraded() -> Machine {
    let machine = instance();
    machine.run(UPGRADE).exits(0);
    machine
}

/// An instance whose database is in PostgreSQL.
pub fn in_postgres() -> Machine {
    Machine::prepared("an instance in PostgreSQL", in_postgres_for_the_first_time)
}

fn in_postgres_for_the_first_time() -> Machine {
    let admin = "\n[admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n";
    let machine = with_answers(&format!("{ANSWERS}{POSTGRES}{admin}"));
    machine.edit(|model| model.postgres = Some(Postgres::default()));
    machine.install_package("postgresql16-client");
    let secrets = machine.beside("answers.secrets.toml");
    std::fs::write(&secrets, "db-password = \"secret\"\n").unwrap();
    std::fs::set_permissions(&secrets, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    machine.run(INSTALL).exits(0);
    machine.run(&["rehearsal", "post", "hello"]).exits(0);
    machine
}

fn upgraded_in_postgres() -> Machine {
    let machine = in_postgres();
    machine.run(UPGRADE).exits(0);
    machine
}

/// One on which there has been something since the backup.
fn gone_on_in_postgres() -> Machine {
    let machine = in_postgres();
    machine.run(BACKUP).exits(0);
    let made = std::fs::read_dir(machine.path("/var/backups/gotosocial")).unwrap().next().unwrap().unwrap().path();
    std::fs::rename(made, machine.root().parent().unwrap().join(KEPT)).unwrap();
    machine.run(&["rehearsal", "post", "more"]).exits(0);
    machine
}

/// One with two backups, the second of which makes the first one too many.
fn backed_up() -> Machine {
    let machine = instance();
    machine.run(BACKUP).exits(0);
    machine
}

/// One on which there has been something since the backup.
fn gone_on() -> Machine {
    let machine = backed_up();
    let made = std::fs::read_dir(machine.path("/var/backups/gotosocial")).unwrap().next().unwrap().unwrap().path();
    std::fs::rename(made, machine.root().parent().unwrap().join(KEPT)).unwrap();
    machine.run(&["rehearsal", "post", "more"]).exits(0);
    machine.write(PICTURE, "another picture");
    machine
}

const POSTGRES: &str =
    "\n[database]\ntype = \"postgres\"\naddress = \"127.0.0.1\"\nuser = \"gotosocial\"\ndatabase = \"gotosocial\"\n";
const PICTURE: &str =
    "/var/db/gotosocial/storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X7.png";
/// A backup below the machine's root, as the system that the test runs on names it.
const KEPT: &str = "root/var/tmp/kept.tar";
pub const UPGRADE: &[&str] = &["upgrade", "--release", "0.20.0-rc1", "--yes"];
pub const BACKUP: &[&str] = &["backup", "--keep", "1", "--yes"];
pub const INSTALL: &[&str] = &["install", "--answers", "answers.toml", "--yes"];
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
    upgrade: instance, UPGRADE;
    upgrade_by_start: older, &["upgrade", "--yes"];
    rollback: upgraded, &["rollback", "--yes"];
    upgrade_in_postgres: in_postgres, UPGRADE;
    rollback_in_postgres: upgraded_in_postgres, &["rollback", "--yes"];
    backup: backed_up, BACKUP;
    backup_of_postgres: in_postgres, BACKUP;
    restore: gone_on, &["restore", KEPT, "--yes"];
    restore_in_postgres: gone_on_in_postgres, &["restore", KEPT, "--yes"];
    uninstall: instance, &["uninstall", "--yes"];
    uninstall_behind_nginx: behind_nginx, &["uninstall", "--yes"];
    uninstall_purge: instance, &["uninstall", "--purge", "--yes", "--host-name", "social.example.org"];
}
