//! The lock: which bytes the answers come to.

use std::path::Path;

use semver::Version;

use super::super::exit::Exit;
use super::super::open::Opened;
use super::super::progress::Progress;
use super::super::screen::Screen;
use super::super::surroundings::Surroundings;
use super::{Arguments, Stop};
use crate::change::Operator;
use crate::deployment::{Deployment, Layout, Variant, VersionWish};
use crate::error_code::ErrorCode;
use crate::host::Host;
use crate::parts::answers::Lock;
use crate::parts::release::intact;
use crate::release::{self, Arch, LockedRelease, Request, Sha256Digest, Source, WantedVersion};

/// Where the release comes from in this run.
pub(in crate::cli) struct Chosen {
    source: Option<Source>,
}

impl Chosen {
    /// The source; `None` if the release is there already.
    pub(in crate::cli) fn release_source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Whether certificate authorities are needed to verify it.
    pub(in crate::cli) fn over_https(&self) -> bool {
        matches!(&self.source, Some(Source::Upstream { base_url } | Source::MirrorUrl { base_url }) if base_url.is_https())
    }
}

/// Chooses the source: the mirror that was named, upstream, or on a rehearsal the stand-in.
pub(in crate::cli) fn source(
    opened: &Opened,
    around: &Surroundings,
    arguments: &Arguments,
    deployment: &Deployment,
    earlier: Option<&Lock>,
) -> Result<Chosen, Stop> {
    // A release that is there and intact needs no source: a re-run works without network, and at once.
    if let Some(lock) = earlier {
        let directory = Layout::default().release(&lock.release.version);
        if satisfies(&lock.release, deployment, opened.host())?
            && intact(opened.host().observe(), &directory, &lock.release)
        {
            return Ok(Chosen { source: None });
        }
    }
    let asked: Vec<Version> = match &deployment.release.version {
        VersionWish::Exact(version) => vec![version.clone()],
        VersionWish::Latest => earlier.map(|lock| lock.release.version.clone()).into_iter().collect(),
    };
    chosen(opened, around, arguments.mirror.as_deref(), asked)
}

/// The mirror that was named, upstream, or on a rehearsal the stand-in, which has these versions besides its own.
pub(in crate::cli) fn chosen(
    opened: &Opened,
    around: &Surroundings,
    mirror: Option<&str>,
    asked: Vec<Version>,
) -> Result<Chosen, Stop> {
    if let Some(mirror) = mirror {
        let local = std::fs::canonicalize(around.path(Path::new(mirror))).ok().map(|path| path.display().to_string());
        let text = if mirror.contains("://") { mirror.to_owned() } else { local.unwrap_or_else(|| mirror.to_owned()) };
        let source = Source::mirror(&text).map_err(|error| Stop::with(Exit::Usage, error))?;
        return Ok(Chosen { source: Some(source) });
    }
    let source = opened.stand_in(&asked).unwrap_or_else(|| Ok(Source::upstream())).map_err(|error| {
        let why = format!("the rehearsal's stand-in release cannot be written: {error}");
        Stop::refused(ErrorCode::Rehearsal, why)
    })?;
    Ok(Chosen { source: Some(source) })
}

/// Turns the answers into a lock, or keeps the one that is there.
pub(in crate::cli) fn resolve(
    host: &dyn Host,
    layout: &Layout,
    deployment: &Deployment,
    earlier: Option<&Lock>,
    chosen: &Chosen,
    screen: &Screen,
) -> Result<Lock, Stop> {
    let Some(source) = &chosen.source else {
        return earlier
            .cloned()
            .ok_or_else(|| Stop::refused(ErrorCode::NotInstalled, format!("there is no {}", layout.lock().display())));
    };
    let pinned = pin(deployment)?;
    let request = Request {
        version: match &deployment.release.version {
            VersionWish::Latest => WantedVersion::Latest,
            VersionWish::Exact(version) => WantedVersion::Exact(version.clone()),
        },
        prereleases: deployment.release.prereleases,
        arch: arch(host)?,
        variant: variant(host, deployment)?,
        pinned,
        locked: earlier.map(|lock| &lock.release),
    };
    let progress = Progress::new(screen);
    let release = release::resolve(&request, source, &release::HttpClient::default(), progress.progress())
        .map_err(Stop::failed)?;
    Ok(Lock::new(deployment, release))
}

/// Whether a lock is what these answers come to.
fn satisfies(lock: &LockedRelease, deployment: &Deployment, host: &dyn Host) -> Result<bool, Stop> {
    let version = match &deployment.release.version {
        VersionWish::Latest => true,
        VersionWish::Exact(version) => *version == lock.version,
    };
    Ok(version
        && lock.arch == arch(host)?
        && lock.variant == variant(host, deployment)?
        && pin(deployment)?.is_none_or(|pin| pin == lock.sha256))
}

pub(in crate::cli) fn pin(deployment: &Deployment) -> Result<Option<Sha256Digest>, Stop> {
    deployment
        .release
        .sha256
        .as_ref()
        .map(|text| text.to_string().parse().map_err(|error: release::Error| Stop::with(Exit::Usage, error)))
        .transpose()
}

/// The CPU of a host.
pub(in crate::cli) fn arch(host: &dyn Host) -> Result<Arch, Stop> {
    let system = host.system()?;
    match system.machine_arch.as_str() {
        "aarch64" => Ok(Arch::Arm64),
        // The preflight has refused everything else by name.
        _ => Ok(Arch::Amd64),
    }
}

pub(in crate::cli) fn variant(host: &dyn Host, deployment: &Deployment) -> Result<release::Variant, Stop> {
    let system = host.system()?;
    let needs_nowasm = system.machine_arch == "amd64" && !system.sse4_1;
    Ok(match deployment.release.variant {
        Variant::NoWasm => release::Variant::Nowasm,
        Variant::Auto if needs_nowasm => release::Variant::Nowasm,
        Variant::Auto | Variant::Default => release::Variant::Default,
    })
}
