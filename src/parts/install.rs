//! The plan of `install`: every part's changes, in the order in which they can be made.

use super::answers::{self, Lock};
use super::{Refusal, account, admin, config_file, folders, log_rotation, port_access, rc_script, release, service};
use crate::change::{Plan, Step};
use crate::deployment::{Deployment, Layout, Mode, Secrets};
use crate::host::Observe;

/// What is wanted, in full.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The deployment.
    pub deployment: &'a Deployment,
    /// Text of the answers, for the record on the host.
    pub answers: &'a str,
    /// Secrets.
    pub secrets: &'a Secrets,
    /// Host name and release.
    pub lock: &'a Lock,
    /// Where everything goes.
    pub layout: &'a Layout,
}

/// Plans an installation, or what is missing of one. Only what differs becomes a change.
///
/// # Errors
/// A part refuses; nothing has been changed.
pub fn plan(host: &dyn Observe, wanted: &Wanted<'_>) -> Result<Plan, Refusal> {
    let Wanted { deployment, layout, .. } = *wanted;
    match deployment.exposure.mode {
        Mode::Direct => {}
        Mode::Nginx => return Err(Refusal::Front("nginx")),
        Mode::Httpd => return Err(Refusal::Front("httpd")),
    }
    answers::check_identity(Lock::of_host(host, layout)?.as_ref(), deployment)?;

    let system = host.system()?;
    let account = account::plan(host)?;
    let owner = account.owner;
    let ports = service::privileged_ports(deployment);
    let folders = folders::plan(host, layout, owner)?;
    let release = release::plan(host, layout, &wanted.lock.release)?;
    let record = answers::plan(host, layout, wanted.answers, wanted.secrets, wanted.lock)?;
    let version = &wanted.lock.release.version;
    let config =
        config_file::plan(host, layout, deployment, wanted.secrets, version, owner, !release.switch.is_empty())?;
    let script = rc_script::plan(host)?;
    let rotation = log_rotation::plan(host)?;
    let access = port_access::plan(host, &system, owner, &ports)?;
    let guards = if access.guard { rc_script::plan_guards(host)? } else { Vec::new() };
    let variables = service::variables(host, true, access.guard)?;
    let readiness = service::readiness(deployment, layout);
    let admin = admin::plan(host, layout, deployment, owner, &readiness)?;

    let running = host.service(rc_script::SERVICE)?.is_running();
    // What the running program has read or would read anew: with one of these changed it has to be restarted.
    let restart = running && (!release.switch.is_empty() || config.differs || script.differs);
    let startable = access.reboot.is_empty();

    let mut plan = Plan { warnings: access.warnings, reboot: access.reboot, ..Plan::default() };
    if let Some(from) = release.from.filter(|from| from != version) {
        plan.warnings.push(format!(
            "GoToSocial {from} becomes {version}: at its first start the new version migrates the database, and the old one \
             cannot use it afterwards. Have a backup of {} (made while the service is stopped) before you say yes",
            layout.data.display()
        ));
    }
    let mut add = |steps: Vec<Step>| plan.steps.extend(steps);
    add(account.steps);
    add(folders);
    add(release.prepare);
    add(config.test.into_iter().collect());
    if restart {
        add(vec![service::stop()]);
    }
    add(release.switch);
    add(config.steps);
    add(record);
    add(script.steps);
    add(rotation);
    add(guards);
    add(access.steps);
    add(variables);
    if startable && (restart || !running) {
        add(vec![service::start(owner, &ports, &readiness)]);
    }
    if startable {
        add(admin.into_iter().collect());
    }
    Ok(plan)
}
