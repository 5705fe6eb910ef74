//! A web server in front of GoToSocial: its package, our site in its configuration, its start, and the way back.
//!
//! Everything that can be is prepared while GoToSocial still serves by itself, and tested by the web server. Only then does it
//! go live. The way back takes out what we put in, and nothing else.

mod account_domain;
mod body_limit;
pub(super) mod leave;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use semver::Version;

use super::managed_file::{self, written};
use super::{Instance, Refusal, filter, periodic, put, service, tls};
use crate::change::front::{self as changes, HostFiles};
use crate::change::{
    Action, Change, IncludeSite, InstallPackage, LetGo, Prior, ReloadFront, Remove, StandBy, StartFront, Step,
    TakeOver, TestFront, journal,
};
use crate::deployment::{Deployment, HostName, Layout, PortNumber};
use crate::front::{AccountDomain, Certificate, Conflict, Front, FrontSettings, Survey, Wanted};
use crate::host::{Entry, HostError, Observe, Owner, Whose};

pub use crate::change::front::PORTS;
pub use leave::tidy;

const PART: &str = "front";
/// The folder of ACME challenges and those above it, outermost first.
const WEBROOT: [&str; 4] = [
    "/usr/local/www",
    "/usr/local/www/gts-bootstrap",
    "/usr/local/www/gts-bootstrap/.well-known",
    "/usr/local/www/gts-bootstrap/.well-known/acme-challenge",
];
/// The entry of newsyslog(8) for the front's logs.
const ROTATION: &str = "/usr/local/etc/newsyslog.conf.d/gts-bootstrap-front.conf";

/// What becomes of the front.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FrontPlan {
    /// While GoToSocial still serves as it did: nothing here changes what is served.
    pub(super) prepare: Vec<Step>,
    /// It is readied to take its ports in a moment, and whoever has them to run again if that is taken back.
    pub(super) ready: Vec<Step>,
    /// It takes them in that moment, after all that is in `enter`.
    pub(super) take: Vec<Step>,
    /// The front goes live, as soon as ports 80 and 443 are free and GoToSocial does not claim them at the next boot.
    pub(super) enter: Vec<Step>,
    /// An unwanted front gives up the ports for the next boot, and still serves.
    pub(super) unset: Vec<Step>,
    /// It gives the ports back.
    pub(super) leave: Vec<Step>,
    /// The rest of an unwanted front is removed, once the ports have their new owner.
    pub(super) clear: Vec<Step>,
    /// Names to order certificates for through the front, once all is up.
    pub(super) order: Vec<HostName>,
    /// What the administrator should know.
    pub(super) warnings: Vec<String>,
}

impl FrontPlan {
    /// Has the front that enters take its ports from another server, in one step, as soon as that has let go of them.
    pub(super) fn take_from(&mut self, from: &LetGo) {
        let goes_live = |step: &Step| match &step.change {
            Change::FrontStart(start) => Some((start.front, false)),
            Change::FrontReload(ReloadFront { front, when_undone: false }) => Some((*front, true)),
            _ => None,
        };
        let Some((at, (front, runs))) =
            self.enter.iter().enumerate().find_map(|(at, step)| Some((at, goes_live(step)?)))
        else {
            return;
        };
        self.enter.remove(at);
        self.take.push(step(Action::Reload, TakeOver { front, from: from.clone() }));
        if !runs {
            self.ready.push(step(Action::Start, StandBy { front }));
        }
    }

    /// Whether a front goes live.
    pub(super) fn enters(&self) -> bool {
        self.enter.iter().any(|step| matches!(step.change, Change::FrontStart(_) | Change::FrontReload(_)))
    }

    /// How the front that leaves lets go of its ports, if it is to do so only when they are taken: not as a step of its own. What
    /// remains has it run again if the rest is taken back.
    pub(super) fn lets_go(&mut self) -> Option<LetGo> {
        let last = self.leave.pop()?;
        match &last.change {
            Change::ServiceStop(stop) => {
                self.ready.push(service::runs_when_undone(PART, &stop.name));
                Some(LetGo::Stop(stop.name.clone()))
            }
            Change::FrontReload(ReloadFront { front, .. }) => Some(LetGo::Reload(*front)),
            _ => {
                self.leave.push(last);
                None
            }
        }
    }
}

/// The front that serves our site on this host, if one does.
///
/// # Errors
/// The host could not be read.
pub fn present(host: &dyn Observe) -> Result<Option<Front>, HostError> {
    Ok(all_present(host)?.first().copied())
}

/// All of them: an interrupted switch between two may leave both.
///
/// # Errors
/// The host could not be read.
pub fn all_present(host: &dyn Observe) -> Result<Vec<Front>, HostError> {
    let there = |front| is_there(host, front).map(|it| it.then_some(front)).transpose();
    Front::ALL.into_iter().filter_map(there).collect()
}

/// Whether a front exists, or was not left completely: the site may have gone before the web server has read that. The settings
/// beside it go last.
pub(super) fn is_there(host: &dyn Observe, front: Front) -> Result<bool, HostError> {
    Ok(host.entry(&front.site_file())?.is_some() || host.entry(&front.tls_file())?.is_some())
}

/// Plans the front that the deployment wants, and the leaving of any other.
///
/// # Errors
/// Another site is in the way, the web server is too old, or a file cannot be read or edited.
pub(super) fn plan(instance: Instance<'_>) -> Result<FrontPlan, Refusal> {
    let Instance { host, layout, deployment } = instance;
    let wanted = deployment.exposure.mode.front();
    let mut planned = FrontPlan::default();
    let remove = |path| step(Action::Remove, Remove { path });
    for other in Front::ALL.into_iter().filter(|front| Some(*front) != wanted) {
        if is_there(host, other)? {
            leave::plan(host, other, false, &mut planned)?;
        }
        let removals = own_files(host, other)?.into_iter().map(remove);
        planned.clear.extend(removals.filter(|step| !planned.unset.contains(step)));
    }
    match wanted {
        Some(front) => enter(instance, front, &mut planned)?,
        None => planned.clear.extend(shared_files(host, layout)?.into_iter().map(remove)),
    }
    Ok(planned)
}

fn enter(instance: Instance<'_>, front: Front, planned: &mut FrontPlan) -> Result<(), Refusal> {
    let Instance { host, layout, deployment } = instance;
    let name = front.service;
    let package = host.package(name)?;
    if package.is_none() {
        planned.prepare.push(step(Action::Install, InstallPackage { name: name.to_owned() }));
    }
    let running = host.service(name)?.is_running();
    let own = tls::plan(instance, &deployment.host, true)?
        .ok_or_else(|| Refusal::NoCertificate { name: deployment.host.to_string() })?;
    let domain = account_domain::plan(instance, front, package.is_some(), &own.keeper, planned)?;
    planned.prepare.extend(periodic::plan_periodic(host)?);
    let version = version(front, package.as_deref())?;
    let mut settings = settings(front, deployment, layout, own.files.clone(), version);
    settings.hsts = deployment.tls.hsts;
    if !host.has_ipv6()? {
        settings.addresses.retain(IpAddr::is_ipv4);
    }
    settings.account_domain =
        domain.as_ref().map(|pair| AccountDomain { name: pair.name.clone(), certificate: pair.files.clone() });
    // Our own files are tested before they are written; what nobody reads before our site does need not be.
    let (mut unread, mut files) = (Vec::new(), Vec::new());
    for pair in std::iter::once(own).chain(domain) {
        // Both lie in one folder.
        unread = with_new(unread, pair.steps);
        planned.order.extend(pair.order.then_some(pair.name));
    }
    if package.is_some() {
        changes::edited_file(host, front)?;
        look_around(host, front, &mut settings, planned)?;
    }

    for folder in WEBROOT {
        unread.extend(put::missing_folder(host, PART, put::root_folder(folder, 0o755))?);
    }
    let folder = front.own_folder();
    files.extend(put::missing_folder(host, PART, put::root_folder(&folder, 0o755))?);
    let filters = filter::State::read(host, layout).map_err(Refusal::Filter)?;
    if filters != filter::State::default() || host.entry(&folder.join("filters"))?.is_some() {
        files = with_new(files, filter::rendered(host, front, &filters)?);
    }
    for (path, text) in front.render(&settings).map_err(Refusal::Render)? {
        files.extend(managed(host, &path, text)?);
    }
    let include = changes::edited(host, front, true).ok();
    let included = include.is_some() && host.read_of(&front.main_file(), Whose::Folder)? == include;
    // An interrupted run may have written what the web server has not read.
    let behind = running && !journal::has_read(host, front)?;
    let changed = !unread.is_empty() || !files.is_empty() || !included || package.is_none() || behind;
    let reload = |when_undone| (changed && running).then(|| step(Action::Reload, ReloadFront { front, when_undone }));
    planned.prepare.extend(reload(true));
    planned.prepare.extend(unread);
    if changed {
        planned.prepare.push(test(front, true, &files));
    }
    // A new site that needs no line in the main file goes live with it, and at the next boot too: not before its ports are
    // free.
    let site = front.site_file();
    let enters = front.reads_beside && host.entry(&site)?.is_none();
    let (site, files): (Vec<Step>, Vec<Step>) = files.into_iter().partition(|step| {
        enters && matches!(&step.change, Change::File(file) if file.path == site || file.path == written(&site))
    });
    planned.prepare.extend(files);
    planned.prepare.extend(managed(host, Path::new(ROTATION), rotation(front, &settings))?);
    planned.enter.extend(site);
    if !included {
        planned.enter.push(step(Action::Update, IncludeSite { front, present: true }));
    }
    planned.enter.extend(service::variable(host, PART, &front.rc_variable(), "YES")?);
    planned.enter.extend(reload(false));
    if !running {
        planned.enter.push(step(Action::Start, StartFront { front, ports: PORTS.to_vec() }));
    }
    Ok(())
}

/// The steps, and those of the others that are not among them.
fn with_new(mut steps: Vec<Step>, others: Vec<Step>) -> Vec<Step> {
    let new: Vec<Step> = others.into_iter().filter(|step| !steps.contains(step)).collect();
    steps.extend(new);
    steps
}

/// The test of a front's configuration as it will be after these steps.
fn test(front: Front, present: bool, steps: &[Step]) -> Step {
    step(Action::Test, TestFront::after(front, present, steps))
}

/// The version of the package; before its installation, that of FreeBSD's packages.
fn version(front: Front, package: Option<&str>) -> Result<Version, Refusal> {
    let Some(package) = package else { return Ok(front.packaged.clone()) };
    let version = crate::front::version(package).map_err(Refusal::Render)?;
    if version < front.oldest {
        let (version, oldest) = (version.to_string(), front.oldest.to_string());
        return Err(Refusal::FrontTooOld { front: front.name, version, oldest });
    }
    Ok(version)
}

/// The settings for a web server from FreeBSD's packages.
pub fn settings(
    front: Front,
    deployment: &Deployment,
    layout: &Layout,
    certificate: Certificate,
    version: Version,
) -> FrontSettings {
    // The answers may ask for direct mode still, as before a switch.
    let backend = SocketAddr::new(deployment.local_address().ip(), PortNumber::BEHIND_PROXY.get());
    let (host, limit) = (deployment.host.clone(), body_limit::body_limit(&deployment.config));
    front.settings(version, host, certificate, backend, limit, layout.web_assets())
}

/// Looks at the other sites.
fn survey(host: &dyn Observe, front: Front, names: &[&HostName]) -> Result<Survey, Refusal> {
    let wanted = Wanted { names, ports: [PortNumber::HTTP, PortNumber::HTTPS] };
    let found = (front.survey)(&front.main_file(), &HostFiles(host), &wanted);
    found.map_err(|error| Refusal::FrontConfig(error.to_string()))
}

/// Refuses other sites of the web server that are in the way. Where the others listen decides on our lines.
fn look_around(
    host: &dyn Observe,
    front: Front,
    settings: &mut FrontSettings,
    planned: &mut FrontPlan,
) -> Result<(), Refusal> {
    let domain = settings.account_domain.iter().map(|domain| &domain.name);
    let survey = survey(host, front, &[&settings.host].into_iter().chain(domain).collect::<Vec<_>>())?;
    settings.missing_listens = survey.missing_listens;
    planned.warnings.extend(survey.notes.into_iter().map(str::to_owned));
    // On a later run our own site is one of them.
    let others = survey.conflicts.into_iter().filter(|conflict| conflict.place().file != front.site_file());
    let (alone, in_the_way): (Vec<_>, Vec<_>) = others.partition(|it| matches!(it, Conflict::Address { .. }));
    planned.warnings.extend(alone.iter().map(Conflict::to_string));
    let in_the_way: Vec<String> = in_the_way.iter().map(Conflict::to_string).collect();
    if in_the_way.is_empty() { Ok(()) } else { Err(Refusal::FrontConfig(in_the_way.join("\n"))) }
}

/// Every file of ours for one front alone, before the folders that hold them.
fn own_files(host: &dyn Observe, front: Front) -> Result<Vec<PathBuf>, HostError> {
    let folder = front.own_folder();
    let (site, tls) = (front.site_file(), front.tls_file());
    let mut paths = vec![written(&site), site, written(&tls), tls];
    let filters = folder.join("filters");
    for below in [filters.join("global"), filters.join("site"), filters.clone()] {
        for name in host.list(&below)? {
            let path = below.join(name);
            if !matches!(host.entry(&path)?, Some(Entry::Directory { .. })) {
                paths.push(path);
            }
        }
        paths.push(below);
    }
    paths.push(folder);
    put::there(host, paths)
}

/// Every file of ours for any front.
fn shared_files(host: &dyn Observe, layout: &Layout) -> Result<Vec<PathBuf>, HostError> {
    let mut paths = vec![written(Path::new(ROTATION)), PathBuf::from(ROTATION)];
    paths.extend(tls::own_files(host, layout)?);
    for path in WEBROOT.iter().rev().map(PathBuf::from) {
        let made = |change: &Change| matches!(change, Change::Directory(folder) if folder.path == path);
        if journal::newest_prior(host, made)? == Some(Prior::Absent) {
            paths.push(path);
        }
    }
    put::there(host, paths)
}

/// Rotation of the front's logs: its pid file, and the signal upon which it opens them again.
fn rotation(front: Front, settings: &FrontSettings) -> String {
    // SIGUSR1 is 30: nginx opens its logs again, Apache restarts gracefully.
    let pid = front.pid_file;
    let entry = |log: &Path| format!("{}  root:wheel  640  14  20000  @T00  JC  {pid}  30\n", log.display());
    format!(
        "# newsyslog.conf(5): the logs of the web server in front of GoToSocial, written by gts-bootstrap.\n{}{}",
        entry(&settings.logs[0]),
        entry(&settings.logs[1])
    )
}

fn managed(host: &dyn Observe, path: &Path, text: String) -> Result<Vec<Step>, Refusal> {
    Ok(managed_file::plan(host, PART, path, text, 0o644, Owner::ROOT)?.steps)
}

fn step(action: Action, change: impl Into<Change>) -> Step {
    Step::new(PART, action, change)
}
