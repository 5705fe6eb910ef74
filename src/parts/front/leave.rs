//! Leaving a web server: out of its configuration, and out of the next boot, before it gives its ports back.

use std::path::PathBuf;

use super::{FrontPlan, step, survey, test};
use crate::change::front as changes;
use crate::change::{
    Action, Change, IncludeSite, InstallPackage, Prior, ReloadFront, Remove, RemovePackage, SetRcVariable, Step,
    StopService, journal,
};
use crate::front::Front;
use crate::host::{HostError, Observe};
use crate::parts::Refusal;
use crate::sysconf::rc_conf::is_yes;

/// Plans the leaving of a front that is there and not wanted. `for_good`: GoToSocial itself goes, too, so that nobody waits for
/// the front's ports, and a web server that has other sites by now goes on serving them, whoever enabled it.
///
/// # Errors
/// It goes on with other sites and would keep a port, or its files cannot be read.
pub(in crate::parts) fn plan(
    host: &dyn Observe,
    front: Front,
    for_good: bool,
    planned: &mut FrontPlan,
) -> Result<(), Refusal> {
    let name = front.service;
    let running = host.service(name)?.is_running();
    let variable = front.rc_variable();
    let enabled = host.rc_is_yes(&variable)?;
    // Who has enabled it decides whether it goes on with what else it serves.
    // An earlier way back counts too: what was YES before it, or has been enabled since, is not ours.
    let before = journal::newest_prior(
        host,
        |change| matches!(change, Change::RcVariable(SetRcVariable { name, .. }) if *name == variable),
    )?;
    // One that is not enabled is not to go on: a run that was cut off may have come as far as that.
    let ours = !enabled || matches!(&before, Some(prior) if !matches!(prior, Prior::Value { value } if is_yes(value)));
    let reload = |when_undone| step(Action::Reload, ReloadFront { front, when_undone });
    let main = front.main_file();
    let now = host.read(&main)?;
    // A main file that somebody has taken away has nothing in it to be taken out.
    let without = match &now {
        Some(_) => Some(changes::edited(host, front, false).map_err(|why| Refusal::FrontConfig(why.to_string()))?),
        None => None,
    };
    let exclude = (now != without).then(|| step(Action::Update, IncludeSite { front, present: false }));
    let goes_on = for_good && running && !is_packages_own(host, front, without.as_deref())?;
    if ours && !goes_on {
        if running && !is_packages_own(host, front, without.as_deref())? {
            planned.warnings.push(format!(
                "{0} has other sites than GoToSocial's by now: they go down with it, as it was enabled by gts-bootstrap. It \
                 stays installed with their files; once they listen elsewhere than on ports 80 and 443, enable and start it",
                front.name
            ));
        }
        if enabled {
            let value = match before {
                Some(Prior::Value { value }) => Some(value),
                _ => None,
            };
            planned.unset.push(step(Action::Set, SetRcVariable { name: variable, value }));
        }
        if running {
            planned.leave.push(step(Action::Stop, StopService { name: name.to_owned() }));
        }
        planned.clear.extend(exclude);
        return Ok(());
    }
    if running {
        // It goes on with its other sites.
        if !for_good {
            gives_ports_back(host, front)?;
        }
        planned.prepare.push(test(front, false, &[]));
        planned.unset.push(reload(true));
    }
    planned.unset.extend(own_site(host, front)?);
    planned.unset.extend(exclude);
    if running {
        planned.leave.push(reload(false));
    }
    Ok(())
}

/// A site that is included without a line of ours in the main file has to go itself before the web server reads anew.
fn own_site(host: &dyn Observe, front: Front) -> Result<Option<Step>, HostError> {
    let path = front.site_file();
    let goes = front.reads_beside && host.entry(&path)?.is_some();
    Ok(goes.then(|| step(Action::Remove, Remove { path })))
}

/// Whether this main file is as the package has it, and no sites stand beside it.
fn is_packages_own(host: &dyn Observe, front: Front, main: Option<&[u8]>) -> Result<bool, HostError> {
    let packages = |path: &PathBuf| front.beside.is_some_and(|name| path.ends_with(name));
    let theirs = !sites_beside(host, front)?.iter().all(packages);
    Ok(!theirs && (main.is_none() || main == host.read(&front.sample_file())?.as_deref()))
}

/// What others have put beside our site, where the web server reads it: by our include line, or Apache's own.
///
/// # Errors
/// The folder cannot be read.
pub(in crate::parts) fn sites_beside(host: &dyn Observe, front: Front) -> Result<Vec<PathBuf>, HostError> {
    let own = front.site_file();
    let Some(folder) = own.parent().filter(|folder| folder.starts_with(front.folder)) else {
        return Ok(Vec::new());
    };
    if host.entry(folder)?.is_none() {
        return Ok(Vec::new());
    }
    let read = |name: &String| front.reads_beside || (name.ends_with(".conf") && !name.starts_with('.'));
    let paths = host.list(folder)?.into_iter().filter(read).map(|name| folder.join(name));
    Ok(paths.filter(|path| *path != own).collect())
}

/// A web server that goes on must leave ports 80 and 443 to whoever is to have them.
fn gives_ports_back(host: &dyn Observe, front: Front) -> Result<(), Refusal> {
    let (name, service) = (front.name, front.service);
    survey(host, front, &[])?.held.map_or(Ok(()), |(port, place)| {
        let place = place.map_or_else(String::new, |place| format!(" ({place})"));
        Err(Refusal::FrontConfig(format!(
            "{name} was not enabled by gts-bootstrap and continues with its other sites, one of which listens on port {port}\
             {place}, which is needed. Move that site to another port, or, if {name} may go, stop and disable it \
             (`service {service} stop`, `sysrc {service}_enable=NO`); then run this again"
        )))
    })
}

/// Packages that were installed for a front that is gone.
///
/// # Errors
/// The host could not be read.
pub fn tidy(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    for front in Front::ALL {
        let service = front.service;
        let about = |change: &Change| matches!(change, Change::Package(InstallPackage { name }) | Change::PackageRemoval(RemovePackage { name }) if name == service);
        let ours = journal::newest_prior(host, about)? == Some(Prior::Absent);
        let unused = host.entry(&front.site_file())?.is_none() && !host.service(service)?.is_running();
        let main = host.read(&front.main_file())?;
        // With sites of the administrator's it is theirs by now.
        if ours && unused && is_packages_own(host, front, main.as_deref())? && host.package(service)?.is_some() {
            steps.push(step(Action::Remove, RemovePackage { name: service.to_owned() }));
        }
    }
    Ok(steps)
}

/// The removal of the package of a front that we have installed, once the front has been left for good.
///
/// # Errors
/// The host could not be read.
pub(in crate::parts) fn package_for_good(
    host: &dyn Observe,
    front: Front,
    stops: bool,
) -> Result<Option<Step>, Refusal> {
    let service = front.service;
    let used = !stops && host.service(service)?.is_running();
    let without = match host.read(&front.main_file())? {
        Some(_) => Some(changes::edited(host, front, false).map_err(|why| Refusal::FrontConfig(why.to_string()))?),
        None => None,
    };
    let unused = !used && is_packages_own(host, front, without.as_deref())?;
    Ok(unused.then(|| step(Action::Remove, RemovePackage { name: service.to_owned() })))
}
