//! `upgrade`: a newer release, with the database that fits it.

use semver::Version;

use super::inputs::Inputs;
use super::release_change::{Course, installed};
use super::{Exit, Run, Stop, install, lock};
use crate::deployment::{Deployment, VersionWish};
use crate::error_code::{Coded as _, ErrorCode};
use crate::gotosocial::Series;
use crate::gotosocial::config_keys::successor;
use crate::host::{Look, Observe};
use crate::parts::Refusal;
use crate::parts::answers;
use crate::parts::passage::{self, Ends, UPGRADE};
use crate::release::{self, Error, Fetcher, HttpSettings, Published, Request, WAYPOINTS, Waypoint, between};
use crate::shown::Shown;

pub use super::release_change::KEEP;

/// Upstream's release notes.
const NOTES: &str = "https://codeberg.org/superseriousbusiness/gotosocial/releases";
/// How many lines of the notes of one release are shown.
const LINES: usize = 60;

/// The options of an upgrade.
pub struct UpgradeOptions {
    /// The version; the newest without it.
    pub version: Option<Version>,
    /// A mirror to take the release from.
    pub mirror: Option<String>,
    /// The digest that its archive must have.
    pub sha256: Option<String>,
    /// How many old releases are kept.
    pub keep: u8,
}

/// Upgrades.
///
/// # Errors
/// The command was refused, or failed.
pub fn upgrade(run: &Run<'_>, options: &UpgradeOptions) -> Result<Exit, Stop> {
    run.settle()?;
    let (host, layout) = (run.host, &run.layout);
    let (from, earlier) = installed(run)?;
    let begun = passage::switched(host, layout)?;
    let unfinished = passage::unfinished(host, layout)?;
    if let Some(other) = unfinished.as_ref().filter(|other| other.command != UPGRADE) {
        return Err(Refusal::Unfinished { command: other.command.clone() }.into());
    }
    let answered = Inputs::of_host(run, Vec::new())?.deployment;

    // An interrupted upgrade continues to its version.
    let onward = (earlier.release.version != from || unfinished.is_some()).then(|| earlier.release.version.clone());
    let named = options.version.as_ref().or(onward.as_ref());
    let asked: Vec<Version> = options.version.iter().chain(&onward).chain([&from]).cloned().collect();
    let source = lock::chosen(run, options.mirror.as_deref(), &asked)?;
    let catalogue = {
        let progress = run.people.progress();
        let fetcher = Fetcher::new(HttpSettings::default(), host.stranger()?, progress.progress());
        release::catalogue(&source, &fetcher)
    };
    let to = named.cloned().map_or_else(|| newest(&answered, &catalogue), Ok)?;
    run.report().add("from", &from);
    run.report().add("to", &to);
    if to == from && begun.is_none() {
        run.line(&format!("GoToSocial {from} is installed, and there is nothing to upgrade to."));
        return Ok(Exit::Done);
    }
    if to < from && named.is_none() && begun.is_none() {
        // Usually a release candidate. The user did not ask for a downgrade.
        run.text(&format!(
            "GoToSocial {from} is installed, which is newer than the newest release, {to}: there is nothing to upgrade to."
        ));
        return Ok(Exit::Done);
    }
    if to < from {
        return Err(Refusal::Downgrade { installed: from, wanted: to }.into());
    }
    let was = begun.as_ref().filter(|_| to == from).map_or(&from, |begun| &begun.from);
    skips_nothing(WAYPOINTS, was, &to)?;

    let inputs = follow(run, &answered, options.sha256.as_deref(), &to)?;
    let deployment = &inputs.deployment;
    answers::check_identity(Some(&earlier), deployment)?;
    install::heading(run, &format!("GoToSocial for {}: {was} becomes {to}", deployment.host));
    show_notes(run, was, &to, &catalogue);
    let look = Look::at(host);
    install::preflight(run, &look, deployment, lock::is_over_https(Some(&source)), true, false)?;

    let mut request = Request {
        version: VersionWish::Exact(to.clone()),
        prereleases: true,
        ..lock::request(run, deployment, Some(&earlier))?
    };
    if let Some(text) = &options.sha256 {
        request.pinned = Some(text.parse().map_err(|error: Error| Stop::with(Exit::Usage, error))?);
    }
    let lock = lock::resolved(run, deployment, &request, &source)?;

    let course = Course { keep: options.keep.into(), ..Course::new(run, &inputs, &lock, &from, Some(&source))? };
    let make = |host: &dyn Observe| {
        let ends = Ends { deployment, layout, owner: course.owner, from: &from, to: &lock.release };
        let mut plan = course.plan(host, ends.upgrade(host)?)?;
        plan.warnings.extend(renamed(deployment, was, &to));
        plan.warnings.extend(
            between(WAYPOINTS, was, &to)
                .map(|waypoint| format!("GoToSocial {}: {} ({})", waypoint.version, waypoint.why, waypoint.source)),
        );
        Ok(plan)
    };
    let [forth, back] = &explanation(was, &to);
    course.carry_out(&look, &format!("Plan: from GoToSocial {was} to {to}"), &make, &[forth, back])
}

/// The newest release that the answers allow.
fn newest(deployment: &Deployment, catalogue: &Result<Vec<Published>, Error>) -> Result<Version, Stop> {
    let releases = catalogue.as_ref().map_err(|error| {
        let why = error.to_string();
        let why = why.trim_end_matches('.');
        Stop::refused(error.code(), format!("{why}. Or name the version with --release; nothing was changed"))
    })?;
    let mut allowed = releases.iter().filter(|release| deployment.release.prereleases || !release.prerelease);
    allowed.next().map(|release| release.version.clone()).ok_or_else(|| {
        Stop::refused(
            ErrorCode::ReleaseNotFound,
            "the source has no release; name a release candidate with --release if you want one",
        )
    })
}

/// Refuses to skip a release that must run first.
fn skips_nothing(waypoints: &[Waypoint], from: &Version, to: &Version) -> Result<(), Refusal> {
    match between(waypoints, from, to).find(|waypoint| waypoint.must && waypoint.version != *to) {
        None => Ok(()),
        Some(waypoint) => Err(Refusal::MustNotSkip {
            installed: Box::new(from.clone()),
            wanted: Box::new(to.clone()),
            first: Box::new(waypoint.version.clone()),
            why: waypoint.why,
            source_of_it: waypoint.source,
        }),
    }
}

/// The answers, with the new version if they name one.
fn follow(run: &Run<'_>, answered: &Deployment, sha256: Option<&str>, to: &Version) -> Result<Inputs, Stop> {
    let mut set = Vec::new();
    if let VersionWish::Exact(version) = &answered.release.version {
        set.push(format!("release.version=\"{to}\""));
        if sha256.is_none() && answered.release.sha256.is_some() && version != to {
            return Err(Stop::answers(format!(
                "the answers pin the SHA-256 of GoToSocial {version}; give that of {to} with --sha256, or take \
                 release.sha256 out of {}",
                run.layout.answers().shown()
            )));
        }
        set.extend(sha256.map(|digest| format!("release.sha256=\"{digest}\"")));
    }
    Inputs::of_host(run, set)
}

/// Shows what the notes of every release on the way say about upgrading.
fn show_notes(run: &Run<'_>, from: &Version, to: &Version, catalogue: &Result<Vec<Published>, Error>) {
    let releases = catalogue.as_deref().unwrap_or_default().iter();
    // Candidates of other releases are not on the way.
    let mut passed: Vec<&Published> = releases
        .filter(|it| *from < it.version && it.version <= *to && (!it.prerelease || it.version == *to))
        .collect();
    passed.sort_by(|a, b| a.version.cmp(&b.version));
    let mut notes = Vec::new();
    for Published { version, notes: text, .. } in passed {
        if text.is_empty() {
            continue;
        }
        run.heading(&format!("From the release notes of {version}"));
        let mut lines = text.lines().filter(|line| !line.is_empty());
        lines.by_ref().take(LINES).for_each(|line| run.line(&format!("  {line}")));
        if lines.next().is_some() {
            run.line(&format!("  … and more: {NOTES}/tag/v{version}"));
        }
        notes.push(serde_json::json!({"version": version.to_string(), "text": text}));
    }
    if notes.is_empty() {
        let why = match catalogue {
            // Such a source has none, which is no failure.
            Ok(_) | Err(Error::NoCatalogue { .. }) => String::new(),
            Err(error) => format!(": {}", error.to_string().trim_end_matches('.')),
        };
        run.text(&format!("This source has no notes about upgrading{why}. Read them first: {NOTES}"));
    }
    run.report().add("notes", notes);
}

/// Settings in the answers that the new release is known to ignore. The test of the configuration finds all of them.
fn renamed(deployment: &Deployment, from: &Version, to: &Version) -> Vec<String> {
    if Series::of(to) <= Series::of(from) {
        return Vec::new();
    }
    let warning = |key: &str| {
        successor(key).map(|now| format!("[config] {key}: GoToSocial {to} does not know it and will ignore it; {now}"))
    };
    deployment.config.iter().filter_map(|(key, _)| warning(key)).collect()
}

/// The text of "explain" at the consent.
fn explanation(from: &Version, to: &Version) -> [String; 2] {
    [
        format!(
            "GoToSocial {to} is downloaded, verified and tried with your configuration while {from} still serves. Then the service \
             stops, its database is copied and the copy opened, and only then the new release gets the database, which it \
             migrates. That can take from seconds to more than an hour; the instance is down as long, and must not be \
             interrupted."
        ),
        format!(
            "If anything fails the copy is restored and {from} started again, and the program checks that it serves. Later \
             `gts-bootstrap rollback` goes back, with the current database: what was posted in between is lost then."
        ),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_be_skipped_is_refused() {
        let must =
            [Waypoint { version: Version::new(0, 21, 0), must: true, why: "it moves things", source: "its notes" }];
        let go = |from: u64, to: u64| skips_nothing(&must, &Version::new(0, from, 0), &Version::new(0, to, 0));
        let why = go(20, 22).unwrap_err().to_string();
        assert!(why.contains("upgrade --release 0.21.0` first") && why.contains("it moves things"), "{why}");
        assert!(go(20, 21).is_ok() && go(21, 22).is_ok() && go(19, 20).is_ok());
    }
}
