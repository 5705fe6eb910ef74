//! `rollback`: the release before, with its database.

use semver::Version;

use super::super::Global;
use super::super::exit::Exit;
use super::super::install::inputs::Inputs;
use super::super::install::lock;
use super::super::open::Opened;
use super::super::report::Report;
use super::super::screen::{Screen, Tone};
use super::super::surroundings::Surroundings;
use super::super::transaction::{Stop, Transaction};
use super::course::{Course, make_plan};
use super::{Back, KEEP, as_installation, before_all, installed, owner};
use crate::certificate::date;
use crate::check::profile;
use crate::deployment::{Deployment, Layout, VersionWish};
use crate::error_code::ErrorCode;
use crate::host::Host;
use crate::parts::answers::Lock;
use crate::parts::install::Wanted;
use crate::parts::passage::{self, Ends, Kept, ROLLBACK};
use crate::parts::{Refusal, release};

/// Runs `rollback`.
#[must_use]
pub fn rollback(global: &Global, arguments: &Back, screen: &Screen) -> Exit {
    let mut report = Report::new(ROLLBACK);
    let screen = &if arguments.yes { screen.clone() } else { screen.not_quiet() };
    match back(global, *arguments, screen, &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop),
    }
}

fn back(global: &Global, arguments: Back, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let opened = Opened::open(global, screen)?;
    let host = opened.host();
    let layout = Layout::default();
    let transaction = Transaction {
        command: ROLLBACK,
        host,
        authority: opened.authority(),
        screen,
        yes: arguments.yes,
        plan_only: arguments.plan,
        ask: false,
    };
    let settled = transaction.settle()?;
    let (from, now) = installed(host, &layout)?;
    if passage::is_back(host.observe()).map_err(Stop::failed)? {
        // Cut off just before the tidying it has left no journal, but the copy that was put back.
        let kept = passage::kept(host.observe(), &layout).map_err(Stop::failed)?;
        let is_untidy = put_back(&kept, &from).is_some();
        if is_untidy || settled.is_some_and(|settled| settled.command == ROLLBACK) {
            return finish(&transaction, &layout, arguments, (&from, &now), &kept, report);
        }
    }
    let (was, kept) = target(host, &layout, &from)?;
    let goes_on = was != from;
    let lock = if goes_on { now } else { lock_of(host, &kept)? };
    let to = kept.from.clone();
    report.add("from", serde_json::json!(was.to_string()));
    report.add("to", serde_json::json!(to.to_string()));

    let inputs = follow(host, screen.around(), &layout, arguments, &lock)?;
    let deployment = &inputs.deployment;
    screen.line(&screen.paint(Tone::Heading, &format!("GoToSocial for {}: back from {was} to {to}", deployment.host)));
    if opened.is_rehearsal() {
        screen.line(super::install::REHEARSED);
    }
    // A release that was kept needs no source.
    let chosen = if release::intact(host.observe(), &layout.release(&to), &lock.release) {
        None
    } else {
        Some(lock::chosen(&opened, screen.around(), None, vec![to.clone()])?)
    };
    before_all(host, &layout, deployment, chosen.as_ref().is_some_and(lock::Chosen::over_https), screen, report)?;
    let lost = loss(host, deployment, &layout, &kept, report);
    let course = Course {
        wanted: Wanted { deployment, answers: &inputs.answers, secrets: &inputs.secrets, lock: &lock, layout: &layout },
        from: &was,
        owner: owner(host)?,
        source: chosen.as_ref().and_then(lock::Chosen::release_source),
        keep: KEEP.into(),
        done: Some(&kept.folder),
    };
    let make = || {
        let ends = Ends { deployment, layout: &layout, owner: course.owner, from: &from, to: &lock.release };
        let passage = ends.rollback(host.observe(), &kept).map_err(Stop::failed)?;
        let mut plan = make_plan(host, &course, passage)?;
        plan.warnings.push(lost.clone());
        Ok(plan)
    };
    let heading = format!("Plan: back from GoToSocial {was} to {to}");
    course.run(&transaction, &heading, &make, &explanation(&was, &to), report)
}

/// The rest of a rollback that was cut off when all its changes were made. Another one would undo it, which nobody has asked for.
fn finish(
    transaction: &Transaction<'_>,
    layout: &Layout,
    arguments: Back,
    (current, lock): (&Version, &Lock),
    kept: &[Kept],
    report: &mut Report,
) -> Result<Exit, Stop> {
    let (host, screen) = (transaction.host, transaction.screen);
    screen.line(&format!(
        "The way back to GoToSocial {current} had been made; what was left of it is done now. To undo it, run `gts-bootstrap \
         rollback` again."
    ));
    let inputs = follow(host, screen.around(), layout, arguments, lock)?;
    let course = Course {
        wanted: Wanted {
            deployment: &inputs.deployment,
            answers: &inputs.answers,
            secrets: &inputs.secrets,
            lock,
            layout,
        },
        from: current,
        owner: owner(host)?,
        source: None,
        keep: KEEP.into(),
        done: put_back(kept, current).map(|copy| &*copy.folder),
    };
    course.finish(transaction, report)
}

/// The copy that a way back to this release has put in the database's place, and that goes with the tidying.
fn put_back<'a>(kept: &'a [Kept], current: &Version) -> Option<&'a Kept> {
    let was = &kept.first().filter(|newest| newest.to == *current)?.from;
    kept.iter().find(|copy| copy.from == *current && copy.to == *was)
}

/// The release that is left, and the copy that leads back.
fn target(host: &dyn Host, layout: &Layout, current: &Version) -> Result<(Version, Kept), Stop> {
    let host = host.observe();
    let kept = passage::kept(host, layout).map_err(Stop::failed)?;
    let begun = passage::switched(host, layout).map_err(Stop::failed)?;
    let was = match begun {
        // `current` is the old release already.
        Some(unfinished) if unfinished.command == ROLLBACK => unfinished.from,
        _ => current.clone(),
    };
    let goes_on = was != *current;
    let found = kept.into_iter().find(|copy| copy.to == was && (!goes_on || copy.from == *current));
    match found {
        Some(copy) => Ok((was, copy)),
        None => Err(Stop::failed(Refusal::NoWayBack { installed: current.clone(), backups: layout.backups.clone() })),
    }
}

/// The lock of then.
fn lock_of(host: &dyn Host, kept: &Kept) -> Result<Lock, Stop> {
    let path = kept.lock();
    let bytes = host.read(&path)?.ok_or_else(|| {
        let why = format!("{} is missing, so which bytes that release was is not known", path.display());
        Stop::refused(ErrorCode::NoWayBack, why)
    })?;
    Lock::parse(&String::from_utf8_lossy(&bytes))
        .map_err(|why| Stop::refused(ErrorCode::NoWayBack, format!("{}: {why}", path.display())))
}

/// The answers of now, with the version of then where they name one.
fn follow(
    host: &dyn Host,
    around: &Surroundings,
    layout: &Layout,
    arguments: Back,
    lock: &Lock,
) -> Result<Inputs, Stop> {
    let as_is = as_installation(Vec::new(), true, arguments.plan, None);
    let answered = Inputs::gather(host, around, layout, &as_is, None, false)?;
    let mut set = Vec::new();
    if matches!(answered.deployment.release.version, VersionWish::Exact(_)) {
        set.push(format!("release.version=\"{}\"", lock.release.version));
        if answered.deployment.release.sha256.is_some() {
            set.push(format!("release.sha256=\"{}\"", lock.release.sha256));
        }
    }
    Inputs::gather(host, around, layout, &as_installation(set, true, arguments.plan, None), None, false)
}

/// What will be lost.
fn loss(host: &dyn Host, deployment: &Deployment, layout: &Layout, kept: &Kept, report: &mut Report) -> String {
    let then = kept.description.state.posts;
    let now = profile::posts(host.observe(), deployment, layout);
    report.add("copy", serde_json::json!({"folder": kept.folder, "time": kept.description.time, "posts": then}));
    report.add("posts_now", serde_json::json!(now));
    let posts = match (then, now) {
        (Some(then), Some(now)) => match now.saturating_sub(then) {
            0 => format!("no post, by their number ({then} then, {now} now)"),
            1 => format!("1 post ({then} then, {now} now)"),
            lost => format!("{lost} posts ({then} then, {now} now)"),
        },
        (Some(then), None) => {
            format!("every post since (there were {then}; how many there are now could not be asked)")
        }
        (None, _) => "every post since".to_owned(),
    };
    format!(
        "the database becomes that of {}: what came after is lost here: {posts}, and with them \
         follows, likes, boosts, accounts and settings of that time. Other servers keep what they have seen of it and will not be told. The database of now is \
         kept, so another rollback undoes this one",
        date(kept.description.time)
    )
}

/// What the consent's "explain" says.
fn explanation(from: &Version, to: &Version) -> [String; 2] {
    [
        format!(
            "An old release cannot use the database that a newer one has migrated, so GoToSocial {to} comes back with the copy that \
             was made of its database before {from} got it."
        ),
        "The database of now is copied first. If anything fails, all is put back as it is now.".to_owned(),
    ]
}
