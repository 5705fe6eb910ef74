//! A host without receipts: what is ours there by name, and how to remove it by hand. Nothing is guessed.

use std::path::PathBuf;

use crate::change::database::OPENED;
use crate::deployment::Layout;
use crate::front::Front;
use crate::host::{HostError, Observe};
use crate::parts::account::NAME;
use crate::parts::port_settings::{LOADER_CONF, LOADER_VARIABLE, RULES};
use crate::parts::rc_script::{GUARD_ENABLE, GUARDS, SERVICE, path};
use crate::parts::rule_edit::effective;
use crate::parts::{log_rotation, periodic};
use crate::portacl::Subject;
use crate::shown::Shown;

/// What only gts-bootstrap puts on a host, and a host without receipts has, each with the commands that remove it.
///
/// # Errors
/// The host cannot be read.
pub fn unrecorded(host: &dyn Observe, layout: &Layout) -> Result<Vec<String>, HostError> {
    let mut found = Vec::new();
    let script = path(SERVICE);
    if host.entry(&script)?.is_some() {
        found.push(format!(
            "the service: service {SERVICE} onestop; rm {}; sysrc -x {SERVICE}_enable {SERVICE}_direct",
            script.shown()
        ));
    }
    for front in Front::ALL {
        let site = front.site_file();
        if host.entry(&site)?.is_some() {
            found.push(format!(
                "the site of {}: take the line that includes gts-bootstrap out of {}; rm {}; service {} onereload",
                front.name,
                front.main_file().shown(),
                site.shown(),
                front.service
            ));
        }
    }
    let rules = effective(&host.sysctl(RULES)?.unwrap_or_default());
    let user = host.user(NAME)?;
    if user.as_ref().is_some_and(|user| rules.iter().any(|rule| rule.subject == Subject::Uid(user.uid))) {
        found.push(format!(
            "its ports: gts-bootstrap portacl revoke {NAME} 80,443 (and, if no rule is left, the line \
             {LOADER_VARIABLE}=\"YES\" in {LOADER_CONF})"
        ));
    }
    let [early, late] = GUARDS.map(path);
    if host.entry(&early)?.is_some() {
        found.push(format!(
            "the boot guard, if no rule is left: rm {} {}; sysrc -x {GUARD_ENABLE}",
            early.shown(),
            late.shown()
        ));
    }
    for (path, what) in [
        (log_rotation::ENTRY.into(), "the log rotation: rm"),
        (periodic::SCRIPT.into(), "the daily script of the certificate: rm"),
        (periodic::STATUS.into(), "the daily script of the status: rm"),
        (periodic::BACKUP.into(), "the weekly script of the backup: rm"),
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
            found.push(format!("{what} {}", path.shown()));
        }
    }
    if let Some(user) = user {
        found.push(format!("the account, once nothing belongs to it: pw userdel {}", user.name));
    }
    Ok(found)
}
