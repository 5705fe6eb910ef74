//! The lock: which bytes the answers come to.

use semver::Version;

use super::{Exit, Run, Stop};
use crate::deployment::{Deployment, Variant, VersionWish};
use crate::error_code::ErrorCode;
use crate::host::Observe;
use crate::parts::answers::Lock;
use crate::parts::release::intact;
use crate::release::{self, Arch, HttpClient, HttpSettings, LockedRelease, Request, Sha256Digest, Source};

/// Whether certificate authorities are needed to verify what comes from a source.
pub(super) fn is_over_https(source: Option<&Source>) -> bool {
    matches!(source, Some(Source::Upstream(url) | Source::MirrorUrl(url)) if url.is_https())
}

/// Where the release comes from; `None` if it is there already.
pub(super) fn source(
    run: &Run<'_>,
    mirror: Option<&str>,
    deployment: &Deployment,
    earlier: Option<&Lock>,
) -> Result<Option<Source>, Stop> {
    // A release that is there and intact needs no source: a re-run works without network, and at once.
    if let Some(lock) = earlier {
        let directory = run.layout.release(&lock.release.version);
        if satisfies(&lock.release, deployment, run.observe())? && intact(run.observe(), &directory, &lock.release) {
            return Ok(None);
        }
    }
    let asked: Vec<Version> = match &deployment.release.version {
        VersionWish::Exact(version) => vec![version.clone()],
        VersionWish::Latest => earlier.map(|lock| lock.release.version.clone()).into_iter().collect(),
    };
    chosen(run, mirror, &asked).map(Some)
}

/// The mirror that was named, or where releases come from here, which has these versions.
pub(super) fn chosen(run: &Run<'_>, mirror: Option<&str>, versions: &[Version]) -> Result<Source, Stop> {
    match mirror {
        Some(mirror) => Source::mirror(mirror).map_err(|error| Stop::with(Exit::Usage, error)),
        None => run.releases.source(versions),
    }
}

/// Turns the answers into a lock, or keeps the one that is there.
pub(super) fn resolve(
    run: &Run<'_>,
    deployment: &Deployment,
    earlier: Option<&Lock>,
    source: Option<&Source>,
) -> Result<Lock, Stop> {
    let Some(source) = source else {
        return earlier.cloned().ok_or_else(|| {
            Stop::refused(ErrorCode::NotInstalled, format!("there is no {}", run.layout.lock().display()))
        });
    };
    let wanted = (deployment.release.version.clone(), deployment.release.prereleases);
    resolve_version(run, deployment, earlier, source, wanted, pin(deployment)?)
}

/// The lock of this version, and of a prerelease if that is allowed.
pub(super) fn resolve_version(
    run: &Run<'_>,
    deployment: &Deployment,
    earlier: Option<&Lock>,
    source: &Source,
    (version, prereleases): (VersionWish, bool),
    pinned: Option<Sha256Digest>,
) -> Result<Lock, Stop> {
    let host = run.observe();
    let request = Request {
        version,
        prereleases,
        arch: arch(host)?,
        variant: variant(host, deployment)?,
        pinned,
        locked: earlier.map(|lock| &lock.release),
    };
    let progress = run.people.progress();
    let http = HttpClient::new(HttpSettings::default(), progress.progress());
    let release = release::resolve(&request, source, &http).map_err(Stop::failed)?;
    Ok(Lock::new(deployment, release))
}

/// Whether a lock is what these answers come to.
fn satisfies(lock: &LockedRelease, deployment: &Deployment, host: &dyn Observe) -> Result<bool, Stop> {
    Ok(deployment.release.version.is_met_by(&lock.version)
        && lock.arch == arch(host)?
        && lock.variant == variant(host, deployment)?
        && pin(deployment)?.is_none_or(|pin| pin == lock.sha256))
}

pub(super) fn pin(deployment: &Deployment) -> Result<Option<Sha256Digest>, Stop> {
    deployment
        .release
        .sha256
        .as_ref()
        .map(|text| text.to_string().parse().map_err(|error: release::Error| Stop::with(Exit::Usage, error)))
        .transpose()
}

/// The CPU of a host.
pub(super) fn arch(host: &dyn Observe) -> Result<Arch, Stop> {
    let system = host.system()?;
    match system.machine_arch.as_str() {
        "aarch64" => Ok(Arch::Arm64),
        // The preflight has refused everything else by name.
        _ => Ok(Arch::Amd64),
    }
}

fn variant(host: &dyn Observe, deployment: &Deployment) -> Result<release::Variant, Stop> {
    let system = host.system()?;
    let needs_nowasm = system.machine_arch == "amd64" && !system.sse4_1;
    Ok(match deployment.release.variant {
        Variant::NoWasm => release::Variant::Nowasm,
        Variant::Auto if needs_nowasm => release::Variant::Nowasm,
        Variant::Auto | Variant::Default => release::Variant::Default,
    })
}
