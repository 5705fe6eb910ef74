//! `rollback`: the release before, with its database.

use semver::Version;

use super::inputs::Inputs;
use super::release_change::{Course, KEEP, installed};
use super::report::counted;
use super::{Exit, Run, Stop, install, lock};
use crate::check::profile;
use crate::deployment::{Deployment, VersionWish};
use crate::error_code::ErrorCode;
use crate::parts::answers::Lock;
use crate::parts::install::Wanted;
use crate::parts::passage::{self, Ends, Kept, ROLLBACK};
use crate::parts::{Refusal, release};
use crate::release::Source;
use crate::utc::date;

/// Goes back to the release before.
///
/// # Errors
/// It was refused, or failed.
pub fn rollback(run: &Run<'_>) -> Result<Exit, Stop> {
    let settled = run.settle()?;
    let (host, layout) = (run.observe(), &run.layout);
    let (from, now) = installed(run)?;
    if passage::is_back(host).map_err(Stop::failed)? {
        // Cut off just before the tidying it has left no journal, but the copy that was put back.
        let kept = passage::kept(host, layout).map_err(Stop::failed)?;
        let is_untidy = put_back(&kept, &from).is_some();
        if is_untidy || settled.is_some_and(|settled| settled.command == ROLLBACK) {
            return finish(run, (&from, &now), &kept);
        }
    }
    let (was, kept) = target(run, &from)?;
    let goes_on = was != from;
    let lock = if goes_on { now } else { lock_of(run, &kept)? };
    let to = kept.from.clone();
    run.report().add("from", &was);
    run.report().add("to", &to);

    let inputs = follow(run, &lock)?;
    let deployment = &inputs.deployment;
    install::heading(run, &format!("GoToSocial for {}: back from {was} to {to}", deployment.host));
    // A release that was kept needs no source.
    let is_kept = release::intact(host, &layout.release(&to), &lock.release);
    let source = if is_kept { None } else { Some(lock::chosen(run, None, std::slice::from_ref(&to))?) };
    let course = course(run, &inputs, &lock, &was, source.as_ref(), Some(&kept))?;
    course.preflight()?;
    let lost = loss(run, deployment, &kept);
    let make = || {
        let ends = Ends { deployment, layout, owner: course.owner, from: &from, to: &lock.release };
        let mut plan = course.plan(ends.rollback(host, &kept).map_err(Stop::failed)?)?;
        plan.warnings.push(lost.clone());
        Ok(plan)
    };
    let about = format!(
        "An old release cannot use the database that a newer one has migrated, so GoToSocial {to} comes back with the copy that \
         was made of its database before {was} got it."
    );
    let copied = "The current database is copied first. If anything fails, everything is restored as it is now.";
    course.carry_out(&format!("Plan: back from GoToSocial {was} to {to}"), &make, &[&about, copied])
}

fn course<'a>(
    run: &'a Run<'a>,
    inputs: &'a Inputs,
    lock: &'a Lock,
    from: &'a Version,
    source: Option<&'a Source>,
    copy: Option<&'a Kept>,
) -> Result<Course<'a>, Stop> {
    let Inputs { deployment, answers, secrets, .. } = inputs;
    Ok(Course {
        run,
        wanted: Wanted { deployment, answers, secrets, lock, layout: &run.layout },
        from,
        owner: run.service_user()?,
        source,
        keep: KEEP.into(),
        done: copy.map(|copy| &*copy.folder),
    })
}

/// The rest of a rollback that was cut off when all its changes were made. Another one would undo it, which nobody has asked for.
fn finish(run: &Run<'_>, (current, lock): (&Version, &Lock), kept: &[Kept]) -> Result<Exit, Stop> {
    run.line(&format!(
        "The rollback to GoToSocial {current} was complete; the remaining cleanup is done now. To undo it, run \
             `gts-bootstrap rollback` again."
    ));
    let inputs = follow(run, lock)?;
    course(run, &inputs, lock, current, None, put_back(kept, current))?.finish()
}

/// The copy that a way back to this release has put in the database's place, and that goes with the tidying.
fn put_back<'a>(kept: &'a [Kept], current: &Version) -> Option<&'a Kept> {
    let was = &kept.first().filter(|newest| newest.to == *current)?.from;
    kept.iter().find(|copy| copy.from == *current && copy.to == *was)
}

/// The release that is left, and the copy that leads back.
fn target(run: &Run<'_>, current: &Version) -> Result<(Version, Kept), Stop> {
    let (host, layout) = (run.observe(), &run.layout);
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
fn lock_of(run: &Run<'_>, kept: &Kept) -> Result<Lock, Stop> {
    let path = kept.lock();
    let bytes = run.host.read(&path)?.ok_or_else(|| {
        let why = format!("{} is missing, so which bytes that release was is not known", path.display());
        Stop::refused(ErrorCode::NoWayBack, why)
    })?;
    Lock::parse(&String::from_utf8_lossy(&bytes))
        .map_err(|why| Stop::refused(ErrorCode::NoWayBack, format!("{}: {why}", path.display())))
}

/// The answers of now, with the version of then where they name one.
fn follow(run: &Run<'_>, lock: &Lock) -> Result<Inputs, Stop> {
    let answered = Inputs::of_host(run, Vec::new())?;
    let Deployment { release: wish, .. } = &answered.deployment;
    if !matches!(wish.version, VersionWish::Exact(_)) {
        return Ok(answered);
    }
    let mut set = vec![format!("release.version=\"{}\"", lock.release.version)];
    set.extend(wish.sha256.as_ref().map(|_| format!("release.sha256=\"{}\"", lock.release.sha256)));
    Inputs::of_host(run, set)
}

/// What will be lost.
fn loss(run: &Run<'_>, deployment: &Deployment, kept: &Kept) -> String {
    let then = kept.description.state.posts;
    let now = profile::posts(run.observe(), deployment, &run.layout);
    let copy = serde_json::json!({"folder": kept.folder, "time": kept.description.time, "posts": then});
    run.report().add("copy", copy);
    run.report().add("posts_now", now);
    let posts = match (then, now) {
        (Some(then), Some(now)) => match now.saturating_sub(then) {
            0 => format!("no post, by their number ({then} then, {now} now)"),
            lost => format!("{} ({then} then, {now} now)", counted(lost, "post")),
        },
        (Some(then), None) => {
            format!("every post since (there were {then}; the current number is unknown)")
        }
        (None, _) => "every post since".to_owned(),
    };
    format!(
        "the database becomes that of {}: what came after is lost here: {posts}, and with them \
         follows, likes, boosts, accounts and settings of that time. Other servers keep what they have seen of it and are not notified. The current database is kept, \
         so another rollback undoes this one",
        date(kept.description.time)
    )
}
