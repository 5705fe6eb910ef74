//! The lock: the release, to the byte, that the answers resolve to.

use semver::Version;

use super::{Exit, Run, Stop};
use crate::deployment::{Deployment, Variant, VersionWish};
use crate::error_code::ErrorCode;
use crate::parts::answers::Lock;
use crate::parts::release::intact;
use crate::release::{self, Arch, HttpClient, HttpSettings, Request, Source};
use crate::shown::Shown;

/// Whether certificate authorities are needed to verify what comes from a source.
pub(super) fn is_over_https(source: Option<&Source>) -> bool {
    matches!(source, Some(Source::Upstream(url) | Source::MirrorUrl(url)) if url.is_https())
}

/// What the answers request from a source of releases.
pub(super) fn request<'a>(
    run: &Run<'_>,
    deployment: &Deployment,
    earlier: Option<&'a Lock>,
) -> Result<Request<'a>, Stop> {
    let system = run.host.system()?;
    let wish = &deployment.release;
    let needs_nowasm = system.machine_arch == "amd64" && !system.sse4_1;
    Ok(Request {
        version: wish.version.clone(),
        prereleases: wish.prereleases,
        // The preflight has refused everything else by name.
        arch: if system.machine_arch == "aarch64" { Arch::Arm64 } else { Arch::Amd64 },
        variant: match wish.variant {
            Variant::NoWasm => release::Variant::Nowasm,
            Variant::Auto if needs_nowasm => release::Variant::Nowasm,
            Variant::Auto | Variant::Default => release::Variant::Default,
        },
        pinned: wish.sha256.as_ref().map(|text| text.to_string().parse::<release::Sha256Digest>()).transpose()?,
        locked: earlier.map(|lock| &lock.release),
    })
}

/// The source of the release; `None` if it is already there.
pub(super) fn source(
    run: &Run<'_>,
    mirror: Option<&str>,
    deployment: &Deployment,
    earlier: Option<&Lock>,
) -> Result<Option<Source>, Stop> {
    let request = request(run, deployment, earlier)?;
    // An intact release needs no source: running this again works without network, and at once.
    let satisfies = |lock: &&release::LockedRelease| {
        request.is_met_by(lock) && intact(run.host, &run.layout.release(&lock.version), lock)
    };
    if request.locked.filter(satisfies).is_some() {
        return Ok(None);
    }
    let asked: Vec<Version> = match &deployment.release.version {
        VersionWish::Exact(version) => vec![version.clone()],
        VersionWish::Latest => earlier.map(|lock| lock.release.version.clone()).into_iter().collect(),
    };
    chosen(run, mirror, &asked).map(Some)
}

/// The named mirror, or the default source, which has these versions.
pub(super) fn chosen(run: &Run<'_>, mirror: Option<&str>, versions: &[Version]) -> Result<Source, Stop> {
    match mirror {
        Some(mirror) => Source::mirror(mirror).map_err(|error| Stop::with(Exit::Usage, error)),
        None => run.releases.source(versions),
    }
}

/// Turns the answers into a lock, or keeps the existing one.
pub(super) fn resolve(
    run: &Run<'_>,
    deployment: &Deployment,
    earlier: Option<&Lock>,
    source: Option<&Source>,
) -> Result<Lock, Stop> {
    match source {
        Some(source) => resolved(run, deployment, &request(run, deployment, earlier)?, source),
        None => earlier.cloned().ok_or_else(|| {
            Stop::refused(ErrorCode::NotInstalled, format!("there is no {}", run.layout.lock().shown()))
        }),
    }
}

/// The lock for a request.
pub(super) fn resolved(
    run: &Run<'_>,
    deployment: &Deployment,
    request: &Request<'_>,
    source: &Source,
) -> Result<Lock, Stop> {
    let progress = run.people.progress();
    let http = HttpClient::new(HttpSettings::default(), progress.progress());
    let release = release::resolve(request, source, &http)?;
    Ok(Lock::new(deployment, release))
}
