//! `upgrade` and `rollback`: another release, with the database that fits it.

mod course;
mod rollback;

use clap::Args;
use semver::Version;

use super::Global;
use super::exit::Exit;
use super::install::inputs::Inputs;
use super::install::{self, lock};
use super::open::Opened;
use super::progress::Progress;
use super::report::{self, Report, wrap};
use super::screen::{Screen, Tone};
use super::surroundings::Surroundings;
use super::transaction::{Stop, Transaction};
use crate::change::Operator as _;
use crate::check::preflight;
use crate::deployment::{Deployment, Layout, Variant, VersionWish};
use crate::error_code::{Coded as _, ErrorCode};
use crate::gotosocial::Series;
use crate::gotosocial::config_keys::successor;
use crate::host::{Host, Owner};
use crate::parts::answers::{self, Lock};
use crate::parts::install::Wanted;
use crate::parts::passage::{self, Ends, UPGRADE};
use crate::parts::{Refusal, account, release as parts_release, service};
use crate::release::{self, Error, Published, WAYPOINTS, WantedVersion, Waypoint, about_upgrading, between};
use course::{Course, make_plan};

pub use rollback::rollback;

/// Where upstream's release notes can be read.
const NOTES: &str = "https://codeberg.org/superseriousbusiness/gotosocial/releases";
/// So many lines of the notes of one release are shown.
const LINES: usize = 60;

/// What `upgrade` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Go to this version instead of the newest; a release candidate only if it is named
    #[arg(long, value_name = "VERSION")]
    pub release: Option<VersionWish>,
    /// Make the changes without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
    /// Take the release from a mirror laid out as upstream's: an https address or a folder
    #[arg(long, value_name = "URL|DIR")]
    pub mirror: Option<String>,
    /// Take the release only if its archive has this SHA-256
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// How many old releases to keep, with the copies of their databases
    #[arg(long, value_name = "N", default_value_t = KEEP, value_parser = clap::value_parser!(u8).range(1..))]
    pub keep: u8,
}

/// How many old releases are kept.
const KEEP: u8 = 2;

/// What `rollback` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Back {
    /// Make the changes without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
}

/// Runs `upgrade`.
#[must_use]
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new(UPGRADE);
    let screen = &if arguments.yes { screen.clone() } else { screen.not_quiet() };
    match upgrade(global, arguments, screen, &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop),
    }
}

/// What is installed: its version and its lock.
pub(super) fn installed(host: &dyn Host, layout: &Layout) -> Result<(Version, Lock), Stop> {
    let version = parts_release::installed(host.observe(), layout).map_err(Stop::failed)?;
    let lock = Lock::of_host(host.observe(), layout).map_err(Stop::failed)?;
    version.zip(lock).ok_or_else(|| {
        Stop::refused(
            ErrorCode::NotInstalled,
            "GoToSocial was not installed here by gts-bootstrap; run `gts-bootstrap install`",
        )
    })
}

/// The service user.
pub(super) fn owner(host: &dyn Host) -> Result<Owner, Stop> {
    let user = host
        .user(account::NAME)?
        .ok_or_else(|| Stop::refused(ErrorCode::NotInstalled, "the user gotosocial is not there"))?;
    Ok(Owner { uid: user.uid, gid: user.gid })
}

/// The arguments of an installation that takes its answers from the host, with these settings.
pub(super) fn as_installation(set: Vec<String>, yes: bool, plan: bool, mirror: Option<String>) -> install::Arguments {
    install::Arguments {
        answers: None,
        set,
        ask: false,
        yes,
        plan,
        mirror,
        release: None,
        sha256: None,
        no_check: false,
    }
}

fn upgrade(global: &Global, arguments: &Arguments, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let opened = Opened::open(global, screen)?;
    let host = opened.host();
    let layout = Layout::default();
    let transaction = Transaction {
        command: UPGRADE,
        host,
        authority: opened.authority(),
        screen,
        yes: arguments.yes,
        plan_only: arguments.plan,
        ask: false,
    };
    transaction.settle()?;
    let (from, earlier) = installed(host, &layout)?;
    let begun = passage::switched(host.observe(), &layout).map_err(Stop::failed)?;
    if let Some(other) = passage::unfinished(host.observe(), &layout).map_err(Stop::failed)?
        && other.command != UPGRADE
    {
        return Err(Stop::failed(Refusal::Unfinished { command: other.command }));
    }
    let as_is = as_installation(Vec::new(), true, arguments.plan, arguments.mirror.clone());
    let answered = Inputs::gather(host, screen.around(), &layout, &as_is, None, false)?;

    let named = match &arguments.release {
        Some(VersionWish::Exact(version)) => Some(version.clone()),
        Some(VersionWish::Latest) | None => None,
    };
    // One that was cut off goes on to where it was going.
    let unfinished = passage::unfinished(host.observe(), &layout).map_err(Stop::failed)?;
    let onward = (earlier.release.version != from || unfinished.is_some()).then(|| earlier.release.version.clone());
    let asked: Vec<Version> = named.iter().chain(&onward).chain([&from]).cloned().collect();
    let chosen = lock::chosen(&opened, screen.around(), arguments.mirror.as_deref(), asked)?;
    let progress = Progress::new(screen);
    let catalogue = chosen
        .release_source()
        .map(|source| release::catalogue(source, &release::HttpClient::default(), progress.progress()));
    let newest_of_all = named.is_none() && onward.is_none();
    let to = match (named, onward) {
        (Some(named), _) => named,
        (None, Some(onward)) => onward,
        (None, None) => newest(&answered.deployment, catalogue.as_ref())?,
    };
    report.add("from", serde_json::json!(from.to_string()));
    report.add("to", serde_json::json!(to.to_string()));
    if to == from && begun.is_none() {
        screen.line(&format!("GoToSocial {from} is installed, and there is nothing to upgrade to."));
        return Ok(Exit::Done);
    }
    if to < from && newest_of_all && begun.is_none() {
        // A release candidate, most often. Nobody has asked for a way down.
        screen.line(&wrap(
            &format!(
                "GoToSocial {from} is installed, which is newer than the newest release, {to}: there is nothing to upgrade to."
            ),
            0,
        ));
        return Ok(Exit::Done);
    }
    if to < from {
        return Err(Stop::failed(Refusal::Downgrade { installed: from, wanted: to }));
    }
    let was = begun.as_ref().filter(|_| to == from).map_or(&from, |begun| &begun.from).clone();
    skips_nothing(WAYPOINTS, &was, &to).map_err(Stop::failed)?;

    let inputs = follow(host, screen.around(), &layout, &answered, arguments, &to)?;
    let deployment = &inputs.deployment;
    answers::check_identity(Some(&earlier), deployment).map_err(Stop::failed)?;
    screen.line(&screen.paint(Tone::Heading, &format!("GoToSocial for {}: {was} becomes {to}", deployment.host)));
    if opened.is_rehearsal() {
        screen.line(install::REHEARSED);
    }
    show_notes(screen, report, &was, &to, catalogue.as_ref());
    before_all(host, &layout, deployment, chosen.over_https(), screen, report)?;

    let pinned = match &arguments.sha256 {
        Some(text) => Some(text.parse().map_err(|error: Error| Stop::with(Exit::Usage, error))?),
        None => lock::pin(deployment)?,
    };
    let request = release::Request {
        version: WantedVersion::Exact(to.clone()),
        prereleases: true,
        arch: lock::arch(host)?,
        variant: lock::variant(host, deployment)?,
        pinned,
        locked: Some(&earlier.release),
    };
    let source = chosen
        .release_source()
        .ok_or_else(|| Stop::refused(ErrorCode::ReleaseNotFound, "there is no source to take the release from"))?;
    let locked = release::resolve(&request, source, &release::HttpClient::default(), progress.progress())
        .map_err(Stop::failed)?;
    let lock = Lock::new(deployment, locked);

    let course = Course {
        wanted: Wanted { deployment, answers: &inputs.answers, secrets: &inputs.secrets, lock: &lock, layout: &layout },
        from: &from,
        owner: owner(host)?,
        source: Some(source),
        keep: arguments.keep.into(),
        done: None,
    };
    let make = || {
        let ends = Ends { deployment, layout: &layout, owner: course.owner, from: &from, to: &lock.release };
        let passage = ends.upgrade(host.observe()).map_err(Stop::failed)?;
        let mut plan = make_plan(host, &course, passage)?;
        plan.warnings.extend(renamed(deployment, &was, &to));
        plan.warnings.extend(
            between(WAYPOINTS, &was, &to)
                .map(|waypoint| format!("GoToSocial {}: {} ({})", waypoint.version, waypoint.why, waypoint.source)),
        );
        Ok(plan)
    };
    let heading = format!("Plan: from GoToSocial {was} to {to}");
    course.run(&transaction, &heading, &make, &explanation(&was, &to), report)
}

/// The newest release that the answers allow.
fn newest(deployment: &Deployment, catalogue: Option<&Result<Vec<Published>, Error>>) -> Result<Version, Stop> {
    match catalogue {
        Some(Ok(releases)) => releases
            .iter()
            .find(|release| deployment.release.prereleases || !release.prerelease)
            .map(|release| release.version.clone())
            .ok_or_else(|| {
                Stop::refused(
                    ErrorCode::ReleaseNotFound,
                    "the source has no release; name a release candidate with --release if you want one",
                )
            }),
        Some(Err(error)) => Err(Stop::refused(
            error.code(),
            format!(
                "{}. Or name the version with --release; nothing was changed",
                error.to_string().trim_end_matches('.')
            ),
        )),
        None => Err(Stop::refused(
            ErrorCode::ReleaseNotFound,
            "there is no source to ask for the newest release; name the version with --release",
        )),
    }
}

/// Refuses to pass by a release that has to be run first.
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

/// The answers with the new version in them, where they name one.
fn follow(
    host: &dyn Host,
    around: &Surroundings,
    layout: &Layout,
    answered: &Inputs,
    arguments: &Arguments,
    to: &Version,
) -> Result<Inputs, Stop> {
    let mut set = Vec::new();
    if let VersionWish::Exact(version) = &answered.deployment.release.version {
        set.push(format!("release.version=\"{to}\""));
        match (&arguments.sha256, &answered.deployment.release.sha256) {
            (Some(digest), _) => set.push(format!("release.sha256=\"{digest}\"")),
            (None, Some(_)) if version != to => {
                return Err(Stop::new(
                    Exit::Usage,
                    ErrorCode::Answers,
                    format!(
                        "the answers pin the SHA-256 of GoToSocial {version}; give that of {to} with --sha256, or take \
                         release.sha256 out of {}",
                        layout.answers().display()
                    ),
                ));
            }
            (None, _) => {}
        }
    }
    let arguments = as_installation(set, true, arguments.plan, arguments.mirror.clone());
    Inputs::gather(host, around, layout, &arguments, None, false)
}

/// The preflight, as before an installation.
pub(super) fn before_all(
    host: &dyn Host,
    layout: &Layout,
    deployment: &Deployment,
    download: bool,
    screen: &Screen,
    report: &mut Report,
) -> Result<(), Stop> {
    let subject = preflight::Subject {
        deployment,
        layout,
        download,
        nowasm: deployment.release.variant == Variant::NoWasm,
        ports: &service::privileged_ports(deployment),
        installed: true,
        moves_here: false,
    };
    let findings = preflight::checks(host, &subject)?;
    report.checks.extend(findings.iter().cloned());
    report::show_checks(screen, "Preflight", &findings, false);
    if preflight::refused(&findings) {
        return Err(Stop::refused(
            ErrorCode::Preflight,
            "the preflight found what has to be put right first (marked FAIL above); nothing was changed",
        ));
    }
    Ok(())
}

/// Shows what the notes of every release on the way say about upgrading.
fn show_notes(
    screen: &Screen,
    report: &mut Report,
    from: &Version,
    to: &Version,
    catalogue: Option<&Result<Vec<Published>, Error>>,
) {
    let mut passed: Vec<&Published> = match catalogue {
        Some(Ok(releases)) => releases
            .iter()
            // Candidates of others than the one that is wanted are not passed through.
            .filter(|it| *from < it.version && it.version <= *to && (!it.prerelease || it.version == *to))
            .collect(),
        _ => Vec::new(),
    };
    passed.sort_by(|a, b| a.version.cmp(&b.version));
    let mut told = Vec::new();
    for release in &passed {
        let text = about_upgrading(&release.notes);
        if text.is_empty() {
            continue;
        }
        screen.line(&screen.paint(Tone::Heading, &format!("From the release notes of {}", release.version)));
        let lines = text.lines().filter(|line| !line.is_empty());
        for line in lines.clone().take(LINES) {
            screen.line(&wrap(&format!("  {line}"), 2));
        }
        if lines.count() > LINES {
            screen.line(&format!("  … and more: {NOTES}/tag/v{}", release.version));
        }
        told.push(serde_json::json!({"version": release.version.to_string(), "text": text}));
    }
    if told.is_empty() {
        let why = match catalogue {
            // That such a source has none is nothing that has gone wrong.
            None | Some(Ok(_) | Err(Error::NoCatalogue { .. })) => String::new(),
            Some(Err(error)) => format!(": {}", error.to_string().trim_end_matches('.')),
        };
        screen.line(&wrap(
            &format!("No notes about upgrading are to be had from this source{why}. Read them first: {NOTES}"),
            0,
        ));
    }
    report.add("notes", serde_json::Value::Array(told));
}

/// Settings of ours that the new release is known not to know any more; the trial of the configuration finds all of them.
fn renamed(deployment: &Deployment, from: &Version, to: &Version) -> Vec<String> {
    if Series::of(to) <= Series::of(from) {
        return Vec::new();
    }
    let told = |key: &str| {
        successor(key).map(|now| format!("[config] {key}: GoToSocial {to} does not know it and will ignore it; {now}"))
    };
    deployment.config.iter().filter_map(|(key, _)| told(key)).collect()
}

/// What the consent's "explain" says.
fn explanation(from: &Version, to: &Version) -> [String; 2] {
    [
        format!(
            "GoToSocial {to} is downloaded, verified and tried with your configuration while {from} still serves. Then the service \
             stops, its database is copied and the copy opened, and only then the new release gets the database, which it \
             migrates. That can take from seconds to more than an hour; the instance is down as long, and must not be \
             interrupted."
        ),
        format!(
            "If anything fails the copy is put back and {from} started again, and that it serves is proved. Later \
             `gts-bootstrap rollback` goes back, with the database of now: what was posted in between is lost then."
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
