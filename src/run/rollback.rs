//! `rollback`: the previous release, with its database.

use semver::Version;

use super::inputs::Inputs;
use super::release_change::{Course, installed};
use super::report::counted;
use super::{Exit, Run, Stop, install, lock};
use crate::check::health;
use crate::deployment::Deployment;
use crate::error_code::ErrorCode;
use crate::host::{Look, Observe};
use crate::parts::answers::Lock;
use crate::parts::passage::{self, Ends, Kept, ROLLBACK};
use crate::parts::{Refusal, release};
use crate::shown::Shown;
use crate::utc::date;

/// Rolls back to the previous release.
///
/// # Errors
/// The command was refused, or failed.
pub fn rollback(run: &Run<'_>) -> Result<Exit, Stop> {
    let settled = run.settle()?;
    let (host, layout) = (run.host, &run.layout);
    let (from, now) = installed(run)?;
    if passage::is_back(host)? {
        // A rollback that was interrupted just before its cleanup left no journal, but the copy that it restored.
        let kept = passage::kept(host, layout)?;
        let put_back = put_back(&kept, &from);
        if put_back.is_some() || settled.is_some_and(|settled| settled.command == ROLLBACK) {
            // Another rollback would undo it, which the user did not ask for.
            run.line(&format!(
                "The rollback to GoToSocial {from} was complete; the remaining cleanup is done now. To undo it, run \
                 `gts-bootstrap rollback` again."
            ));
            let inputs = Inputs::of_host(run, Vec::new())?.of_release(&now)?;
            let done = put_back.map(|copy| &*copy.folder);
            return Course { done, ..Course::new(run, &inputs, &now, &from, None)? }.finish();
        }
    }
    let (was, kept) = target(run, &from)?;
    let lock = if was == from { lock_of(run, &kept)? } else { now };
    let to = &kept.from;
    run.report().add("from", &was);
    run.report().add("to", to);

    let inputs = Inputs::of_host(run, Vec::new())?.of_release(&lock)?;
    let deployment = &inputs.deployment;
    install::heading(run, &format!("GoToSocial for {}: back from {was} to {to}", deployment.host));
    // A stored release needs no source.
    let is_kept = release::intact(host, &layout.release(to), &lock.release);
    let source = if is_kept { None } else { Some(lock::chosen(run, None, std::slice::from_ref(to))?) };
    let done = Some(&*kept.folder);
    let course = Course { done, ..Course::new(run, &inputs, &lock, &was, source.as_ref())? };
    let look = Look::at(host);
    install::preflight(run, &look, deployment, lock::is_over_https(source.as_ref()), true, false)?;
    let lost = loss(run, deployment, &kept);
    let make = |host: &dyn Observe| {
        let ends = Ends { deployment, layout, owner: course.owner, from: &from, to: &lock.release };
        let mut plan = course.plan(host, ends.rollback(host, &kept)?)?;
        plan.warnings.push(lost.clone());
        Ok(plan)
    };
    let about = format!(
        "An old release cannot use the database that a newer one has migrated, so GoToSocial {to} comes back with the copy that \
         was made of its database before {was} got it."
    );
    let copied = "The current database is copied first. If anything fails, everything is restored as it is now.";
    course.carry_out(&look, &format!("Plan: back from GoToSocial {was} to {to}"), &make, &[&about, copied])
}

/// The copy that a rollback to this release has restored, and that the cleanup removes.
fn put_back<'a>(kept: &'a [Kept], current: &Version) -> Option<&'a Kept> {
    let was = &kept.first().filter(|newest| newest.to == *current)?.from;
    kept.iter().find(|copy| copy.from == *current && copy.to == *was)
}

/// The release to leave, and the copy to restore.
fn target(run: &Run<'_>, current: &Version) -> Result<(Version, Kept), Stop> {
    let (host, layout) = (run.host, &run.layout);
    let was = match passage::switched(host, layout)? {
        // `current` is already the old release.
        Some(unfinished) if unfinished.command == ROLLBACK => unfinished.from,
        _ => current.clone(),
    };
    let leads_back = |copy: &Kept| copy.to == was && (was == *current || copy.from == *current);
    match passage::kept(host, layout)?.into_iter().find(leads_back) {
        Some(copy) => Ok((was, copy)),
        None => Err(Refusal::NoWayBack { installed: current.clone(), backups: layout.backups.clone() }.into()),
    }
}

/// The lock of that time.
fn lock_of(run: &Run<'_>, kept: &Kept) -> Result<Lock, Stop> {
    let path = kept.lock();
    let refuse = |why: String| Stop::refused(ErrorCode::NoWayBack, format!("{}{why}", path.shown()));
    let missing = || refuse(" is missing, so which bytes that release was is not known".to_owned());
    let bytes = run.host.read(&path)?.ok_or_else(missing)?;
    Lock::parse(&String::from_utf8_lossy(&bytes)).map_err(|why| refuse(format!(": {why}")))
}

/// What will be lost.
fn loss(run: &Run<'_>, deployment: &Deployment, kept: &Kept) -> String {
    let then = kept.description.state.posts;
    let now = health::posts(run.host, deployment, &run.layout);
    let copy = serde_json::json!({"folder": kept.folder, "time": kept.description.time, "posts": then});
    run.report().add("copy", copy);
    run.report().add("posts_now", now);
    let posts = match (then, now) {
        (Some(then), Some(now)) => match now.saturating_sub(then) {
            0 => format!("no post, by their number ({then} then, {now} now)"),
            lost => format!("{} ({then} then, {now} now)", counted(lost, "post")),
        },
        (Some(then), None) => format!("every post since (there were {then}; the current number is unknown)"),
        (None, _) => "every post since".to_owned(),
    };
    format!(
        "the database becomes that of {}: what came after is lost here: {posts}, and with them \
         follows, likes, boosts, accounts and settings of that time. Other servers keep what they have seen of it and are not notified. The current database is kept, \
         so another rollback undoes this one",
        date(kept.description.time)
    )
}
