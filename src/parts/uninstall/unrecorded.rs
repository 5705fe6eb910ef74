//! A host without receipts: what is ours there by name, and how to remove it by hand. Nothing is guessed.

use std::path::{Path, PathBuf};

use crate::change::database::OPENED;
use crate::deployment::Layout;
use crate::front::Front;
use crate::host::{HostError, Observe};
use crate::parts::{log_rotation, periodic, port_access, rc_script};
use crate::portacl;

/// What a host without receipts has that only gts-bootstrap puts there, each with the commands that remove it.
///
/// # Errors
/// The host cannot be read.
pub fn unrecorded(host: &dyn Observe, layout: &Layout) -> Result<Vec<String>, HostError> {
    let mut found = Vec::new();
    let scripts = Path::new("/usr/local/etc/rc.d");
    let own_script = scripts.join(rc_script::SERVICE);
    if host.entry(&own_script)?.is_some() {
        let name = rc_script::SERVICE;
        found.push(format!(
            "the service: service {name} onestop; rm {}; sysrc -x {name}_enable {name}_direct",
            own_script.display()
        ));
    }
    for front in Front::ALL {
        let site = front.site_file();
        if host.entry(&site)?.is_some() {
            found.push(format!(
                "the site of {}: take the line that includes gts-bootstrap out of {}; rm {}; service {} reload",
                front.name,
                front.main_file().display(),
                site.display(),
                front.service
            ));
        }
    }
    let rules = host.sysctl(port_access::RULES)?.unwrap_or_default();
    let uid = host.user(crate::parts::account::NAME)?.map(|user| user.uid);
    let own = portacl::parse_kernel(&rules)
        .unwrap_or_default()
        .iter()
        .filter_map(|rule| rule.effective())
        .any(|rule| uid.is_some_and(|uid| rule.subject == portacl::Subject::Uid(uid)));
    if own {
        found.push(format!(
            "its ports: gts-bootstrap portacl revoke {} 80,443 (and, if no rule is left, the line {}=\"YES\" in {})",
            crate::parts::account::NAME,
            port_access::LOADER_VARIABLE,
            port_access::LOADER_CONF
        ));
    }
    let guards: Vec<PathBuf> = rc_script::GUARDS.iter().map(|name| scripts.join(name)).collect();
    if host.entry(&guards[0])?.is_some() {
        found.push(format!(
            "the boot guard, if no rule is left: rm {} {}; sysrc -x {}_enable",
            guards[0].display(),
            guards[1].display(),
            rc_script::GUARDS[0]
        ));
    }
    for (path, what) in [
        (PathBuf::from(log_rotation::ENTRY), "the log rotation: rm"),
        (PathBuf::from(periodic::SCRIPT), "the daily script of the certificate: rm"),
        (PathBuf::from(periodic::STATUS), "the daily script of the status: rm"),
        (PathBuf::from(periodic::BACKUP), "the weekly script of the backup: rm"),
        (layout.command.clone(), "the command: rm"),
        (layout.releases.clone(), "the releases: rm -r"),
        (layout.config_folder(), "the configuration: rm -r"),
        (layout.records.clone(), "answers, secrets and certificates: rm -r"),
        (layout.data.clone(), "the data, database and keys included, which cannot be made again: rm -r"),
        (layout.logs.clone(), "the log: rm -r"),
        (PathBuf::from(OPENED), "a copy of the database that was left half proved: rm -r"),
        (layout.backups.clone(), "backups, and copies of the database from before upgrades: rm -r"),
    ] {
        if host.entry(&path)?.is_some() {
            found.push(format!("{what} {}", path.display()));
        }
    }
    if let Some(user) = host.user(crate::parts::account::NAME)? {
        found.push(format!("the account, once nothing belongs to it: pw userdel {}", user.name));
    }
    Ok(found)
}
