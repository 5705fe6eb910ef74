//! Leaving a web server: out of its configuration, and out of the next boot, before it gives its ports back.

use std::path::PathBuf;

use super::{FrontPlan, step, survey, test};
use crate::change::front as changes;
use crate::change::{
    Action, Change, IncludeSite, InstallPackage, Prior, ReloadFront, Remove, RemovePackage, SetRcVariable, Step,
    StopService, journal,
};
use crate::front::Front;
use crate::host::{HostError, Observe, Whose};
use crate::parts::Refusal;
use crate::sysconf::rc_conf::is_yes;

/// Plans the leaving of an unwanted front. With `for_good`, GoToSocial goes too: nobody waits for the front's ports, and a web
/// server that has other sites by now continues to serve them, whoever enabled it.
///
/// # Errors
/// It continues with other sites and would keep a port, or its files cannot be read.
pub fn plan(host: &dyn Observe, front: Front, for_good: bool, planned: &mut FrontPlan) -> Result<(), Refusal> {
    let name = front.service;
    let running = host.service(name)?.is_running();
    let variable = front.rc_variable();
    let enabled = host.rc_is_yes(&variable)?;
    // Whoever enabled it decides whether it continues with its other sites. An earlier way back counts too: what was YES before
    // it, or has been enabled since, is not ours.
    let sets = |change: &Change| matches!(change, Change::RcVariable(SetRcVariable { name, .. }) if *name == variable);
    let before = journal::newest_prior(host, sets)?;
    // One that is not enabled does not continue: an interrupted run may have disabled it.
    let ours = !enabled || before.as_ref().is_some_and(|before| !before.as_value().is_some_and(is_yes));
    let reload = |when_undone| step(Action::Reload, ReloadFront { front, when_undone });
    let without = without_us(host, front)?;
    let included = host.read_of(&front.main_file(), Whose::Folder)? != without;
    let exclude = included.then(|| step(Action::Update, IncludeSite { front, present: false }));
    let has_others = running && !is_packages_own(host, front, without.as_deref())?;
    if ours && !(for_good && has_others) {
        if has_others {
            planned.warnings.push(format!(
                "{0} has other sites than GoToSocial's by now: they go down with it, as it was enabled by gts-bootstrap. It \
                 stays installed with their files; once they listen elsewhere than on ports 80 and 443, enable and start it",
                front.name
            ));
        }
        if enabled {
            let value = before.as_ref().and_then(Prior::as_value).map(str::to_owned);
            planned.unset.push(step(Action::Set, SetRcVariable { name: variable, value }));
        }
        if running {
            planned.leave.push(step(Action::Stop, StopService { name: name.to_owned() }));
        }
        planned.clear.extend(exclude);
        return Ok(());
    }
    if running {
        if !for_good {
            gives_ports_back(host, front)?;
        }
        planned.prepare.push(test(front, false, &[]));
        planned.unset.push(reload(true));
        planned.leave.push(reload(false));
    }
    // A site that is included without a line of ours in the main file has to go before the web server reads its files again.
    let site = front.site_file();
    if front.reads_beside && host.entry(&site)?.is_some() {
        planned.unset.push(step(Action::Remove, Remove { path: site }));
    }
    planned.unset.extend(exclude);
    Ok(())
}

/// The main file without our line; `None` if there is no main file.
fn without_us(host: &dyn Observe, front: Front) -> Result<Option<Vec<u8>>, Refusal> {
    if host.read_of(&front.main_file(), Whose::Folder)?.is_none() {
        return Ok(None);
    }
    changes::edited(host, front, false).map(Some).map_err(|why| Refusal::FrontConfig(why.to_string()))
}

/// Whether this main file is the one of the package, with no sites beside it.
fn is_packages_own(host: &dyn Observe, front: Front, main: Option<&[u8]>) -> Result<bool, HostError> {
    let packages = |path: &PathBuf| front.beside.is_some_and(|name| path.ends_with(name));
    let theirs = !sites_beside(host, front)?.iter().all(packages);
    Ok(!theirs && (main.is_none() || main == host.read(&front.sample_file())?.as_deref()))
}

/// What others have put beside our site, where the web server reads it: by our include line, or Apache's own.
///
/// # Errors
/// The folder cannot be read.
pub fn sites_beside(host: &dyn Observe, front: Front) -> Result<Vec<PathBuf>, HostError> {
    let own = front.site_file();
    let Some(folder) = own.parent().filter(|folder| folder.starts_with(front.folder)) else {
        return Ok(Vec::new());
    };
    let read = |name: &String| front.reads_beside || (name.ends_with(".conf") && !name.starts_with('.'));
    let names = host.list(folder)?.into_iter().filter(read);
    Ok(names.map(|name| folder.join(name)).filter(|path| *path != own).collect())
}

/// A web server that continues must leave ports 80 and 443 to GoToSocial or another front.
fn gives_ports_back(host: &dyn Observe, front: Front) -> Result<(), Refusal> {
    let (name, service) = (front.name, front.service);
    survey(host, front, &[])?.held.map_or(Ok(()), |(port, place)| {
        let place = place.map_or_else(String::new, |place| format!(" ({place})"));
        Err(Refusal::FrontConfig(format!(
            "{name} was not enabled by gts-bootstrap and continues with its other sites, one of which listens on port {port}\
             {place}, which is needed. Move that site to another port, or, if {name} may go, stop and disable it \
             (`service {service} onestop`, `sysrc {service}_enable=NO`); then run this again"
        )))
    })
}

/// Removes packages that we installed for a front that has been left.
///
/// # Errors
/// The host could not be read.
pub fn tidy(host: &dyn Observe) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    for front in Front::ALL {
        let service = front.service;
        let about = |change: &Change| match change {
            Change::Package(InstallPackage { name }) | Change::PackageRemoval(RemovePackage { name }) => {
                name == service
            }
            _ => false,
        };
        let ours = journal::newest_prior(host, about)? == Some(Prior::Absent);
        let unused = host.entry(&front.site_file())?.is_none() && !host.service(service)?.is_running();
        let main = host.read_of(&front.main_file(), Whose::Folder)?;
        // With sites of the administrator's it is theirs by now.
        if ours && unused && is_packages_own(host, front, main.as_deref())? && host.package(service)?.is_some() {
            steps.push(remove_package(front));
        }
    }
    Ok(steps)
}

/// The removal of a front's package that we have installed, once the front has been left for good; `None` if it is still used.
///
/// # Errors
/// The host could not be read.
pub fn package_for_good(host: &dyn Observe, front: Front, stops: bool) -> Result<Option<Step>, Refusal> {
    let used = !stops && host.service(front.service)?.is_running();
    let unused = !used && is_packages_own(host, front, without_us(host, front)?.as_deref())?;
    Ok(unused.then(|| remove_package(front)))
}

fn remove_package(front: Front) -> Step {
    step(Action::Remove, RemovePackage { name: front.service.to_owned() })
}
