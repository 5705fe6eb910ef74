//! A web server in front of GoToSocial: its package, our site in its configuration, its start, and the way back.
//!
//! What can be prepared is prepared while GoToSocial still serves by itself, and tested by the web server. Only then does
//! it go live. Going away again takes out what was put in, and nothing else.

mod account_domain;
mod body_limit;
pub(super) mod leave;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use semver::Version;

use super::managed_file::{self, ManagedFile, written};
use super::{Refusal, filter, periodic, service, tls};
use crate::change::front::{self as changes, HostFiles};
use crate::change::{
    Action, Change, IncludeSite, InstallPackage, MakeDirectory, NewFile, Prior, ReloadFront, Remove, StartFront, Step,
    TestFront, WriteFile, journal,
};
use crate::deployment::{Deployment, HostName, Layout, PortNumber};
use crate::front::{AccountDomain, Certificate, Conflict, Front, FrontSettings, Survey, Wanted};
use crate::host::{BindOutcome, BindProbe, Entry, Family, HostError, Observe, Owner};
use crate::portacl::Protocol;

pub use leave::tidy;

const PART: &str = "front";
/// The ports that a front serves.
pub const PORTS: [u16; 2] = [80, 443];
/// The folder of ACME challenges and those above it, outermost first.
const WEBROOT: [&str; 4] = [
    "/usr/local/www",
    "/usr/local/www/gts-bootstrap",
    "/usr/local/www/gts-bootstrap/.well-known",
    "/usr/local/www/gts-bootstrap/.well-known/acme-challenge",
];
/// What newsyslog(8) is told of the front's logs.
const ROTATION: &str = "/usr/local/etc/newsyslog.conf.d/gts-bootstrap-front.conf";

/// What is to be done for the front.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrontPlan {
    /// While GoToSocial still serves as it did: nothing here changes what is served.
    pub prepare: Vec<Step>,
    /// As soon as ports 80 and 443 are free, and GoToSocial will not want them at the next boot: the front goes live.
    pub enter: Vec<Step>,
    /// A front that is there and not wanted will not have ports 80 and 443 at the next boot; it still serves.
    pub unset: Vec<Step>,
    /// It gives the ports back.
    pub leave: Vec<Step>,
    /// Once the ports have their new owner: what is left of the other front is taken away.
    pub clear: Vec<Step>,
    /// Once all is up: certificates have to be ordered through the front, for these names.
    pub order: Vec<HostName>,
    /// What the administrator should know.
    pub warnings: Vec<String>,
}

/// The front that serves our site on this host, if one does.
///
/// # Errors
/// The host could not be read.
pub fn present(host: &dyn Observe) -> Result<Option<Front>, HostError> {
    Ok(all_present(host)?.first().copied())
}

/// All of them: after a switch between two that was cut off both may be there.
///
/// # Errors
/// The host could not be read.
pub fn all_present(host: &dyn Observe) -> Result<Vec<Front>, HostError> {
    let mut present = Vec::new();
    for front in Front::ALL {
        if is_there(host, front)? {
            present.push(front);
        }
    }
    Ok(present)
}

/// Whether a front is there, or was not left to the end: the site may have gone before the web server has read that, the
/// settings beside it go last.
pub(super) fn is_there(host: &dyn Observe, front: Front) -> Result<bool, HostError> {
    Ok(host.entry(&front.site_file())?.is_some() || host.entry(&front.tls_file())?.is_some())
}

/// Plans the front that the deployment wants, and the leaving of any other.
///
/// # Errors
/// Another site is in the way, the web server is too old, or a file cannot be read or edited.
pub fn plan(host: &dyn Observe, layout: &Layout, deployment: &Deployment) -> Result<FrontPlan, Refusal> {
    let wanted = deployment.exposure.mode.front();
    let mut planned = FrontPlan::default();
    for other in Front::ALL.into_iter().filter(|front| Some(*front) != wanted) {
        if is_there(host, other)? {
            leave::plan(host, other, false, &mut planned)?;
        }
        let gone = |planned: &FrontPlan, path: &Path| {
            planned
                .unset
                .iter()
                .any(|step| matches!(&step.change, Change::Removal(Remove { path: gone }) if gone == path))
        };
        for path in own_files(host, other)? {
            if !gone(&planned, &path) {
                planned.clear.push(step(Action::Remove, Remove { path }));
            }
        }
    }
    if wanted.is_none() {
        planned.clear.extend(shared_files(host, layout)?.into_iter().map(|path| step(Action::Remove, Remove { path })));
    }
    if let Some(front) = wanted {
        enter(host, layout, deployment, front, &mut planned)?;
    }
    Ok(planned)
}

fn enter(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    front: Front,
    planned: &mut FrontPlan,
) -> Result<(), Refusal> {
    let name = front.service;
    let package = host.package(name)?;
    if package.is_none() {
        planned.prepare.push(step(Action::Install, InstallPackage { name: name.to_owned() }));
    }
    let running = host.service(name)?.is_running();
    let own = tls::plan(host, layout, deployment, &deployment.host)?
        .ok_or_else(|| Refusal::NoCertificate { name: deployment.host.to_string() })?;
    let domain = account_domain::plan(host, layout, deployment, front, package.is_some(), &own, planned)?;
    planned.prepare.extend(periodic::plan_periodic(host)?);
    let version = version(front, package.as_deref())?;
    let mut settings = settings(front, deployment, layout, own.files.clone(), version);
    settings.hsts = deployment.tls.hsts;
    if !has_ipv6(host)? {
        settings.addresses.retain(std::net::IpAddr::is_ipv4);
    }
    settings.account_domain =
        domain.as_ref().map(|pair| AccountDomain { name: pair.name.clone(), certificate: pair.files.clone() });
    // What nobody reads before our site does, and our own files, which are tested before they are written.
    let (mut unread, mut files): (Vec<Step>, Vec<Step>) = Default::default();
    for pair in std::iter::once(own).chain(domain) {
        // Both lie in one folder.
        let steps: Vec<Step> = pair.steps.into_iter().filter(|step| !unread.contains(step)).collect();
        unread.extend(steps);
        planned.order.extend(pair.order.then_some(pair.name));
    }
    if package.is_some() {
        changes::edited_file(host, front)?;
        look_around(host, front, &mut settings, planned)?;
    }

    let missing = |path: PathBuf| -> Result<Option<Step>, HostError> {
        let change = MakeDirectory { path: path.clone(), mode: 0o755, owner: Owner::ROOT };
        Ok(host.entry(&path)?.is_none().then(|| step(Action::Create, change)))
    };
    for folder in WEBROOT {
        unread.extend(missing(folder.into())?);
    }
    files.extend(missing(front.own_folder())?);
    let filters = filter::State::read(host, layout).map_err(Refusal::Filter)?;
    if filters != filter::State::default() || host.entry(&front.own_folder().join("filters"))?.is_some() {
        files.extend(
            filter::rendered(host, front, &filters)?
                .into_iter()
                .filter(|step| !files.contains(step))
                .collect::<Vec<_>>(),
        );
    }
    for (path, text) in front.render(&settings).map_err(Refusal::Render)? {
        files.extend(managed(host, &path, text)?);
    }
    let include = changes::edited(host, front, true).ok();
    let included = include.is_some() && host.read(&front.main_file())? == include;
    // A run that was cut off may have written what the web server has not read.
    let behind = running && !journal::has_read(host, front)?;
    let changed = !unread.is_empty() || !files.is_empty() || !included || package.is_none() || behind;
    let reload = |when_undone| step(Action::Reload, ReloadFront { front, when_undone });
    if changed && running {
        planned.prepare.push(reload(true));
    }
    planned.prepare.extend(unread);
    if changed {
        planned.prepare.push(test(front, true, &files));
    }
    // A new site that needs no line in the main file goes live with it, and at the next boot too: not before its ports are
    // free.
    let site = front.site_file();
    let enters = front.reads_beside && host.entry(&site)?.is_none();
    let (site, files): (Vec<Step>, Vec<Step>) = files.into_iter().partition(|step| {
        enters
            && matches!(&step.change, Change::File(WriteFile { path, .. }) if *path == site || *path == written(&site))
    });
    planned.prepare.extend(files);
    planned.prepare.extend(managed(host, Path::new(ROTATION), rotation(front, &settings))?);
    planned.enter.extend(site);
    if !included {
        planned.enter.push(step(Action::Update, IncludeSite { front, present: true }));
    }
    planned.enter.extend(service::variable(host, PART, &front.rc_variable(), "YES")?);
    if !running {
        let change = StartFront { front, ports: PORTS.to_vec() };
        planned.enter.push(step(Action::Start, change));
    } else if changed {
        planned.enter.push(reload(false));
    }
    Ok(())
}

/// Whether a step changes a file that the front reads, or one of the folders that hold them.
fn is_read(front: Front, step: &Step) -> bool {
    let own = front.own_folder();
    match &step.change {
        Change::File(WriteFile { path, .. })
        | Change::Removal(Remove { path })
        | Change::Directory(MakeDirectory { path, .. }) => path.starts_with(&own) || *path == front.site_file(),
        _ => false,
    }
}

/// The test of a front's configuration as it will be after these steps.
pub(super) fn test(front: Front, present: bool, steps: &[Step]) -> Step {
    let new = |step: &Step| match &step.change {
        Change::File(WriteFile { path, content, .. }) if is_read(front, step) => {
            Some(NewFile { path: path.clone(), content: Some(content.clone()) })
        }
        Change::Removal(Remove { path }) if is_read(front, step) => Some(NewFile { path: path.clone(), content: None }),
        _ => None,
    };
    let files = steps.iter().filter_map(new).collect();
    step(Action::Test, TestFront { front, present, files })
}

/// Whether a socket of IPv6 can be had: a kernel may be without, and so may a jail on a kernel that has it.
fn has_ipv6(host: &dyn Observe) -> Result<bool, HostError> {
    let nobody = 65_534;
    let (family, protocol) = (Family::V6, Protocol::Tcp);
    let probe = BindProbe { uid: nobody, gid: nobody, groups: Vec::new(), family, protocol, port: 0 };
    Ok(host.bind(&probe)? != BindOutcome::NoAddress)
}

/// The version of the package; one that is not installed yet will be as new as FreeBSD's packages are.
fn version(front: Front, package: Option<&str>) -> Result<Version, Refusal> {
    let Some(package) = package else {
        return Ok(front.packaged.clone());
    };
    let version = crate::front::version(package).map_err(Refusal::Render)?;
    if version < front.oldest {
        return Err(Refusal::FrontTooOld {
            front: front.name,
            version: version.to_string(),
            oldest: front.oldest.to_string(),
        });
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

/// Other sites of the web server: those in the way are refused, and where they listen decides on our lines.
fn look_around(
    host: &dyn Observe,
    front: Front,
    settings: &mut FrontSettings,
    planned: &mut FrontPlan,
) -> Result<(), Refusal> {
    let names: Vec<&HostName> =
        std::iter::once(&settings.host).chain(settings.account_domain.as_ref().map(|domain| &domain.name)).collect();
    let survey = survey(host, front, &names)?;
    settings.missing_listens = survey.missing_listens;
    planned.warnings.extend(survey.notes.into_iter().map(str::to_owned));
    // Our own site is none of them, on a later run.
    let others = survey.conflicts.into_iter().filter(|conflict| conflict.place().file != front.site_file());
    let (alone, in_the_way): (Vec<_>, Vec<_>) =
        others.partition(|conflict| matches!(conflict, Conflict::Address { .. }));
    planned.warnings.extend(alone.iter().map(ToString::to_string));
    if in_the_way.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = in_the_way.iter().map(ToString::to_string).collect();
    Err(Refusal::FrontConfig(told.join("\n")))
}

/// Everything of ours that is there for one front alone, files before the folders that hold them.
fn own_files(host: &dyn Observe, front: Front) -> Result<Vec<PathBuf>, HostError> {
    let folder = front.own_folder();
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in [front.site_file(), front.tls_file()] {
        paths.extend([written(&path), path]);
    }
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
    there(host, paths)
}

/// Everything of ours that is there for any front.
fn shared_files(host: &dyn Observe, layout: &Layout) -> Result<Vec<PathBuf>, HostError> {
    let mut paths = vec![written(Path::new(ROTATION)), PathBuf::from(ROTATION)];
    paths.extend(tls::own_files(host, layout)?);
    for path in WEBROOT.iter().rev().map(PathBuf::from) {
        let made =
            |change: &Change| matches!(change, Change::Directory(MakeDirectory { path: there, .. }) if *there == path);
        if journal::newest_prior(host, made)? == Some(Prior::Absent) {
            paths.push(path);
        }
    }
    there(host, paths)
}

fn there(host: &dyn Observe, paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, HostError> {
    let mut there = Vec::new();
    for path in paths {
        if host.entry(&path)?.is_some() {
            there.push(path);
        }
    }
    Ok(there)
}

/// Rotation of the front's logs: a pid file, and the signal upon which it opens them again.
fn rotation(front: Front, settings: &FrontSettings) -> String {
    // SIGUSR1 is 30: nginx opens its logs again, Apache restarts gracefully.
    let pid = front.pid_file;
    let mut text =
        "# newsyslog.conf(5): the logs of the web server in front of GoToSocial, written by gts-bootstrap.\n"
            .to_owned();
    for log in &settings.logs {
        text.push_str(&format!("{}  root:wheel  640  14  20000  @T00  JC  {pid}  30\n", log.display()));
    }
    text
}

fn managed(host: &dyn Observe, path: &Path, text: String) -> Result<Vec<Step>, Refusal> {
    let file = ManagedFile { part: PART, path, text, mode: 0o644, owner: Owner::ROOT };
    Ok(managed_file::plan(host, &file)?.steps)
}

fn step(action: Action, change: impl Into<Change>) -> Step {
    Step::new(PART, action, change)
}
