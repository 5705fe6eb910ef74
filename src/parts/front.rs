//! A web server in front of GoToSocial: its package, our site in its configuration, its start, and the way back.
//!
//! What can be prepared is prepared while GoToSocial still serves by itself, and tested by the web server. Only then does
//! it go live. Going away again takes out what was put in, and nothing else.

use std::path::{Path, PathBuf};

use super::managed_file::{self, ManagedFile, written};
use super::{Refusal, filter, periodic, service, tls};
use crate::change::front::{self as changes, HostFiles};
use crate::change::{Action, Change, Prior, Step, journal};
use crate::deployment::{Deployment, HostName, Layout, Mode, PortNumber};
use crate::front::{
    AccountDomain, Conflict, Front, FrontSettings, FrontVersion, Wanted, httpd_conf, nginx_conf, render,
};
use crate::host::{BindOutcome, BindProbe, Entry, Family, FrontProgram, HostError, Observe, Owner};
use crate::portacl::Protocol;

const PART: &str = "front";
/// Both, in the order in which they are looked for.
pub(super) const PROGRAMS: [FrontProgram; 2] = [FrontProgram::Nginx, FrontProgram::Httpd];
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
pub struct Planned {
    /// While GoToSocial still serves as it did: nothing here changes what is served.
    pub prepare: Vec<Step>,
    /// As soon as ports 80 and 443 are free: the front goes live.
    pub enter: Vec<Step>,
    /// A front that is there and not wanted gives ports 80 and 443 back.
    pub leave: Vec<Step>,
    /// Once the ports have their new owner: what is left of the other front is taken away.
    pub clear: Vec<Step>,
    /// Once all is up: a certificate has to be ordered through the front, for this name.
    pub order: Option<HostName>,
    /// What the administrator should know.
    pub warnings: Vec<String>,
}

/// The program of a mode; none for direct.
#[must_use]
pub fn program(mode: Mode) -> Option<FrontProgram> {
    match mode {
        Mode::Direct => None,
        Mode::Nginx => Some(FrontProgram::Nginx),
        Mode::Httpd => Some(FrontProgram::Httpd),
    }
}

/// Our site in a front's configuration.
#[must_use]
pub fn site_file(program: FrontProgram) -> PathBuf {
    let folder = changes::of(program).folder();
    match program {
        FrontProgram::Nginx => folder.join("gts-bootstrap/gotosocial.conf"),
        FrontProgram::Httpd => folder.join(httpd_conf::OWN_FILE),
    }
}

/// The front that serves our site on this host, if one does.
///
/// # Errors
/// The host could not be read.
pub fn present(host: &dyn Observe) -> Result<Option<FrontProgram>, HostError> {
    for program in PROGRAMS {
        if is_there(host, program)? {
            return Ok(Some(program));
        }
    }
    Ok(None)
}

/// Whether a front is there, or was not left to the end: the site may have gone before the web server has read that, the
/// settings beside it go last.
pub(super) fn is_there(host: &dyn Observe, program: FrontProgram) -> Result<bool, HostError> {
    Ok(host.entry(&site_file(program))?.is_some() || host.entry(&tls_file(program))?.is_some())
}

fn tls_file(program: FrontProgram) -> PathBuf {
    changes::of(program).folder().join(crate::front::OWN_FOLDER).join("tls.inc")
}

/// Plans the front that the deployment wants, and the leaving of any other.
///
/// # Errors
/// Another site is in the way, the web server is too old, or a file cannot be read or edited.
pub fn plan(host: &dyn Observe, layout: &Layout, deployment: &Deployment) -> Result<Planned, Refusal> {
    let wanted = program(deployment.exposure.mode);
    let mut planned = Planned::default();
    for other in PROGRAMS.into_iter().filter(|program| Some(*program) != wanted) {
        if is_there(host, other)? {
            leave(host, other, false, &mut planned)?;
        }
        let gone = |planned: &Planned, path: &Path| {
            planned.leave.iter().any(|step| matches!(&step.change, Change::Removal { path: gone } if gone == path))
        };
        for path in own_files(host, other)? {
            if !gone(&planned, &path) {
                planned.clear.push(step(Action::Remove, Change::Removal { path }));
            }
        }
    }
    if wanted.is_none() {
        planned
            .clear
            .extend(shared_files(host, layout)?.into_iter().map(|path| step(Action::Remove, Change::Removal { path })));
    }
    if let Some(program) = wanted {
        enter(host, layout, deployment, program, &mut planned)?;
    }
    Ok(planned)
}

fn enter(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    program: FrontProgram,
    planned: &mut Planned,
) -> Result<(), Refusal> {
    let (front, name) = (changes::of(program), changes::service(program));
    let package = host.package(name)?;
    if package.is_none() {
        planned.prepare.push(step(Action::Install, Change::Package { name: name.to_owned() }));
    }
    let running = host.service(name)?.is_running();
    let mut files = certificates(host, layout, deployment, planned)?;
    planned.prepare.extend(periodic::plan_periodic(host)?);
    let own = tls::plan(host, layout, deployment, &deployment.host)?;
    let certificate =
        own.map(|pair| pair.files).ok_or_else(|| Refusal::NoCertificate { name: deployment.host.to_string() })?;
    let mut settings = FrontSettings::new(front, deployment, layout, certificate, version(front, package.as_deref())?);
    settings.hsts = deployment.tls.hsts;
    if !has_ipv6(host)? {
        settings.addresses.retain(std::net::IpAddr::is_ipv4);
    }
    if let Some(domain) = &deployment.account_domain
        && domain != &deployment.host
        && let Some(pair) = tls::plan(host, layout, deployment, domain)?
    {
        settings.account_domain = Some(AccountDomain { name: domain.clone(), certificate: pair.files });
    }
    if package.is_some() {
        look_around(host, program, &mut settings, planned)?;
    }

    let mut folders: Vec<PathBuf> = WEBROOT.iter().map(PathBuf::from).collect();
    folders.push(settings.own_folder());
    for folder in folders {
        if host.entry(&folder)?.is_none() {
            let change = Change::Directory { path: folder, mode: 0o755, owner: Owner::ROOT };
            files.push(step(Action::Create, change));
        }
    }
    let filters = filter::State::read(host, layout).map_err(Refusal::Filter)?;
    if filters != filter::State::default() || host.entry(&settings.own_folder().join("filters"))?.is_some() {
        files.extend(
            filter::rendered(host, program, &filters)?
                .into_iter()
                .filter(|step| !files.contains(step))
                .collect::<Vec<_>>(),
        );
    }
    for file in render(front, &settings).map_err(|error| Refusal::Render(error.to_string()))? {
        files.extend(managed(host, &file.path, file.text)?);
    }
    let include = changes::edited(host, program, true).ok();
    let included = include.is_some() && host.read(&changes::main_file(program))? == include;
    // A run that was cut off may have written what the web server has not read.
    let unread = running && !changes::has_read(host, program)?;
    let changed = !files.is_empty() || !included || package.is_none() || unread;
    let reload = |when_undone| step(Action::Reload, Change::FrontReload { front: program, when_undone });
    if changed && running {
        planned.prepare.push(reload(true));
    }
    planned.prepare.extend(files);
    planned.prepare.extend(managed(host, Path::new(ROTATION), rotation(program, &settings))?);
    if changed {
        planned.prepare.push(step(Action::Test, Change::FrontTest { front: program, present: true }));
    }
    if !included {
        let include = step(Action::Update, Change::FrontInclude { front: program, present: true });
        // Nobody reads the file before the start.
        if running { planned.enter.push(include) } else { planned.prepare.push(include) }
    }
    planned.enter.extend(service::variable(host, PART, &format!("{name}_enable"), "YES")?);
    if !running {
        let change = Change::FrontStart { front: program, ports: PORTS.to_vec() };
        planned.enter.push(step(Action::Start, change));
    } else if changed {
        planned.enter.push(reload(false));
    }
    Ok(())
}

/// Whether a socket of IPv6 can be had: a kernel may be without, and so may a jail on a kernel that has it.
fn has_ipv6(host: &dyn Observe) -> Result<bool, HostError> {
    let nobody = 65_534;
    let (family, protocol) = (Family::V6, Protocol::Tcp);
    let probe = BindProbe { uid: nobody, gid: nobody, groups: Vec::new(), family, protocol, port: 0 };
    Ok(host.bind(&probe)? != BindOutcome::NoAddress)
}

/// The certificates' steps; what has to be ordered is noted.
fn certificates(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    planned: &mut Planned,
) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    let names =
        [Some(&deployment.host), deployment.account_domain.as_ref().filter(|domain| **domain != deployment.host)];
    for name in names.into_iter().flatten() {
        if let Some(pair) = tls::plan(host, layout, deployment, name)? {
            steps.extend(pair.steps);
            if pair.order {
                planned.order = Some(name.clone());
            }
        }
    }
    Ok(steps)
}

/// The version of the package; one that is not installed yet will be as new as FreeBSD's packages are.
fn version(front: Front, package: Option<&str>) -> Result<FrontVersion, Refusal> {
    let Some(package) = package else {
        return Ok(match front {
            Front::Nginx => FrontVersion::new(1, 26, 0),
            Front::Httpd => FrontVersion::new(2, 4, 60),
        });
    };
    let version = package.parse::<FrontVersion>().map_err(|error| Refusal::Render(error.to_string()))?;
    if version < front.oldest() {
        return Err(Refusal::FrontTooOld {
            front: front.name(),
            version: version.to_string(),
            oldest: front.oldest().to_string(),
        });
    }
    Ok(version)
}

/// Other sites of the web server: those in the way are refused, and Apache's `Listen` lines decide on ours.
fn look_around(
    host: &dyn Observe,
    program: FrontProgram,
    settings: &mut FrontSettings,
    planned: &mut Planned,
) -> Result<(), Refusal> {
    let names: Vec<&HostName> =
        std::iter::once(&settings.host).chain(settings.account_domain.as_ref().map(|domain| &domain.name)).collect();
    let wanted = Wanted { names: &names, ports: [PortNumber::HTTP, PortNumber::HTTPS] };
    let (main, files) = (changes::main_file(program), HostFiles(host));
    let refused = |error: crate::front::ConfigError| Refusal::FrontConfig(error.to_string());
    let found = match program {
        FrontProgram::Nginx => nginx_conf::conflicts(&main, &files, &wanted).map_err(refused)?,
        FrontProgram::Httpd => {
            let survey = httpd_conf::survey(&main, &files, &wanted, &site_file(program)).map_err(refused)?;
            if !survey.speaks_http2() {
                planned.warnings.push(
                    "Apache runs its prefork module here, with which it does not speak HTTP/2; everything else works"
                        .to_owned(),
                );
            }
            settings.httpd_listens = survey.missing_listens(wanted.ports);
            survey.conflicts
        }
    };
    let mut in_the_way = Vec::new();
    for conflict in found {
        match conflict {
            // Our own site, on a later run.
            Conflict::Name { ref place, .. }
            | Conflict::Address { ref place, .. }
            | Conflict::BothFamilies { ref place, .. }
                if place.file == site_file(program) => {}
            Conflict::Address { .. } => planned.warnings.push(conflict.to_string()),
            Conflict::Name { .. } | Conflict::BothFamilies { .. } => in_the_way.push(conflict.to_string()),
        }
    }
    if in_the_way.is_empty() { Ok(()) } else { Err(Refusal::FrontConfig(in_the_way.join("\n"))) }
}

/// Plans the leaving of a front. `for_good`: GoToSocial itself goes, too, so that nobody waits for the front's ports, and a web
/// server that has other sites by now goes on serving them, whoever enabled it.
pub(super) fn leave(
    host: &dyn Observe,
    program: FrontProgram,
    for_good: bool,
    planned: &mut Planned,
) -> Result<(), Refusal> {
    let name = changes::service(program);
    let running = host.service(name)?.is_running();
    let variable = format!("{name}_enable");
    // Who has enabled it decides whether it goes on with what else it serves.
    // An earlier way back counts too: what was YES before it, or has been enabled since, is not ours.
    let before =
        journal::newest_prior(host, |change| matches!(change, Change::RcVariable { name, .. } if *name == variable))?;
    let ours =
        matches!(&before, Some(prior) if !matches!(prior, Prior::Value { value } if value.eq_ignore_ascii_case("yes")));
    let reload = |when_undone| step(Action::Reload, Change::FrontReload { front: program, when_undone });
    let main = changes::main_file(program);
    let now = host.read(&main)?;
    // A main file that somebody has taken away has nothing in it to be taken out.
    let without = match &now {
        Some(_) => Some(changes::edited(host, program, false).map_err(Refusal::FrontConfig)?),
        None => None,
    };
    let exclude =
        (now != without).then(|| step(Action::Update, Change::FrontInclude { front: program, present: false }));
    let goes_on = for_good && running && !is_packages_own(host, program, without.as_deref())?;
    if (ours && !goes_on) || !running {
        if running && !is_packages_own(host, program, without.as_deref())? {
            planned.warnings.push(format!(
                "{0} has other sites than GoToSocial's by now: they go down with it, as it was enabled by gts-bootstrap. It \
                 stays installed with their files; once they listen elsewhere than on ports 80 and 443, enable and start it",
                changes::of(program).name()
            ));
        }
        if running {
            planned.leave.push(step(Action::Stop, Change::ServiceStop { name: name.to_owned() }));
        }
        if ours {
            let value = match before {
                Some(Prior::Value { value }) => Some(value),
                _ => None,
            };
            planned.leave.push(step(Action::Set, Change::RcVariable { name: variable, value }));
        }
        planned.clear.extend(exclude);
    } else {
        // It goes on with its other sites.
        if !for_good {
            gives_ports_back(host, program)?;
        }
        planned.leave.push(reload(true));
        planned.leave.extend(own_site(host, program)?);
        planned.leave.extend(exclude);
        planned.leave.push(step(Action::Test, Change::FrontTest { front: program, present: false }));
        planned.leave.push(reload(false));
    }
    Ok(())
}

/// Apache includes our site without a line in its main file, so the site itself has to go before it reads anew.
fn own_site(host: &dyn Observe, program: FrontProgram) -> Result<Option<Step>, HostError> {
    let path = site_file(program);
    let goes = program == FrontProgram::Httpd && host.entry(&path)?.is_some();
    Ok(goes.then(|| step(Action::Remove, Change::Removal { path })))
}

/// Everything of ours that is there for one front alone, files before the folders that hold them.
fn own_files(host: &dyn Observe, program: FrontProgram) -> Result<Vec<PathBuf>, HostError> {
    let folder = changes::of(program).folder().join(crate::front::OWN_FOLDER);
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in [site_file(program), folder.join("tls.inc")] {
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
        let made = |change: &Change| matches!(change, Change::Directory { path: there, .. } if *there == path);
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

/// Whether this main file is as the package has it, and no sites stand beside it.
fn is_packages_own(host: &dyn Observe, program: FrontProgram, main: Option<&[u8]>) -> Result<bool, HostError> {
    let ending = match program {
        FrontProgram::Nginx => "-dist",
        FrontProgram::Httpd => ".sample",
    };
    let mut sample = changes::main_file(program).into_os_string();
    sample.push(ending);
    let sites = match program {
        FrontProgram::Nginx => Vec::new(),
        FrontProgram::Httpd => host.list(&changes::of(program).folder().join("Includes"))?,
    };
    let own = site_file(program);
    let theirs = sites.iter().any(|name| name != "no-accf.conf" && Some(name.as_ref()) != own.file_name());
    Ok(!theirs && (main.is_none() || main == host.read(Path::new(&sample))?.as_deref()))
}

/// A web server that goes on must leave ports 80 and 443 to whoever is to have them.
fn gives_ports_back(host: &dyn Observe, program: FrontProgram) -> Result<(), Refusal> {
    let (main, files) = (changes::main_file(program), HostFiles(host));
    let wanted = Wanted { names: &[], ports: [PortNumber::HTTP, PortNumber::HTTPS] };
    let refused = |error: crate::front::ConfigError| Refusal::FrontConfig(error.to_string());
    let held = match program {
        FrontProgram::Nginx => nginx_conf::listening(&main, &files, &wanted)
            .map_err(refused)?
            .map(|(place, port)| (format!(" ({place})"), port)),
        FrontProgram::Httpd => {
            let survey = httpd_conf::survey(&main, &files, &wanted, &site_file(program)).map_err(refused)?;
            PORTS.into_iter().find(|port| survey.listens.contains(port)).map(|port| (String::new(), port))
        }
    };
    let (name, service) = (changes::of(program).name(), changes::service(program));
    held.map_or(Ok(()), |(place, port)| {
        Err(Refusal::FrontConfig(format!(
            "{name} was enabled by somebody else and goes on with its other sites, and one of these listens on port {port}\
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
    for program in PROGRAMS {
        let service = changes::service(program);
        let about = |change: &Change| matches!(change, Change::Package { name } | Change::PackageRemoval { name } if name == service);
        let ours = journal::newest_prior(host, about)? == Some(Prior::Absent);
        let unused = host.entry(&site_file(program))?.is_none() && !host.service(service)?.is_running();
        let main = host.read(&changes::main_file(program))?;
        // With sites of the administrator's it is theirs by now.
        if ours && unused && is_packages_own(host, program, main.as_deref())? && host.package(service)?.is_some() {
            steps.push(step(Action::Remove, Change::PackageRemoval { name: service.to_owned() }));
        }
    }
    Ok(steps)
}

/// The removal of the package of a front that we have installed, once the front has been left for good.
///
/// # Errors
/// The host could not be read.
pub(super) fn package_for_good(
    host: &dyn Observe,
    program: FrontProgram,
    stops: bool,
) -> Result<Option<Step>, Refusal> {
    let service = changes::service(program);
    let used = !stops && host.service(service)?.is_running();
    let without = match host.read(&changes::main_file(program))? {
        Some(_) => Some(changes::edited(host, program, false).map_err(Refusal::FrontConfig)?),
        None => None,
    };
    let unused = !used && is_packages_own(host, program, without.as_deref())?;
    Ok(unused.then(|| step(Action::Remove, Change::PackageRemoval { name: service.to_owned() })))
}

/// Rotation of the front's logs: a pid file, and the signal upon which it opens them again.
fn rotation(program: FrontProgram, settings: &FrontSettings) -> String {
    // SIGUSR1 is 30: nginx opens its logs again, Apache restarts gracefully.
    let pid = match program {
        FrontProgram::Nginx => "/var/run/nginx.pid",
        FrontProgram::Httpd => "/var/run/httpd.pid",
    };
    let mut text =
        "# newsyslog.conf(5): the logs of the web server in front of GoToSocial, written by gts-bootstrap.\n"
            .to_owned();
    for log in [&settings.logs.access, &settings.logs.error] {
        text.push_str(&format!("{}  root:wheel  640  14  20000  @T00  JC  {pid}  30\n", log.display()));
    }
    text
}

fn managed(host: &dyn Observe, path: &Path, text: String) -> Result<Vec<Step>, Refusal> {
    let file = ManagedFile { part: PART, path, text, mode: 0o644, owner: Owner::ROOT };
    Ok(managed_file::plan(host, &file)?.steps)
}

fn step(action: Action, change: Change) -> Step {
    Step::new(PART, action, change)
}
