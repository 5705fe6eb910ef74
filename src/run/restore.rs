//! `restore`: an instance out of a backup, on this host or on a fresh one.

use super::inputs::{self, of_host};
use super::report::{bytes, counted};
use super::verified::Verified;
use super::{Exit, Run, Stop, TypedPath, With, install, lock};
use crate::backup::DatabaseKind;
use crate::change::Action;
use crate::change::readiness::ask;
use crate::deployment::{Answers, Database, Deployment, Secrets, VersionWish};
use crate::host::DatabaseExamination;
use crate::parts::answers::Lock;
use crate::parts::install::Wanted;
use crate::parts::restore::{self, Restoring};
use crate::parts::{Refusal, rc_script, service};
use crate::utc::date;

/// What a restoration takes.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The backup.
    pub file: TypedPath,
    /// A mirror to take the release from.
    pub mirror: Option<String>,
    /// Leave out the checks on the running system afterwards.
    pub no_check: bool,
}

/// Restores an instance.
///
/// # Errors
/// It was refused, or failed.
pub fn restore(run: &Run<'_>, options: &RestoreOptions) -> Result<Exit, Stop> {
    run.settle()?;
    let (host, layout) = (run.observe(), &run.layout);
    let backup = Verified::read(&options.file)?;
    describe(run, &backup);

    let earlier = Lock::of_host(host, layout).map_err(Stop::failed)?;
    let fresh = earlier.is_none() || host.entry(&layout.config)?.is_none();
    if let Some(earlier) = &earlier {
        same_instance(&backup, &earlier.host, &earlier.account_domain)?;
    }
    let mut settings = Settings::gather(run, &backup, fresh)?;
    settings.release_of(&backup)?;
    let Settings { answers, secrets, deployment } = &settings;
    let answers = answers.to_text();
    let domain = deployment.effective_account_domain().to_string();
    same_instance(&backup, deployment.host.as_str(), &domain)?;
    let kind = match deployment.database {
        Database::Sqlite => DatabaseKind::Sqlite,
        Database::Postgres { .. } => DatabaseKind::Postgres,
    };
    if kind != backup.head.database {
        let why =
            "it holds the other kind of database than this host's answers ask for (SQLite, PostgreSQL)".to_owned();
        return Err(Stop::failed(Refusal::BackupUnusable { why }));
    }

    // Exactly the bytes of the backup's release; for another kind of CPU it is the same version.
    let known = Some(&backup.lock).filter(|known| lock::arch(host).is_ok_and(|arch| arch == known.release.arch));
    let source = lock::source(run, options.mirror.as_deref(), deployment, known)?;
    install::preflight(run, deployment, lock::is_over_https(source.as_ref()), !fresh, fresh)?;
    let lock = lock::resolve(run, deployment, known, source.as_ref())?;
    let wanted = Wanted { deployment, answers: &answers, secrets, lock: &lock, layout };
    let restoring = Restoring {
        wanted: &wanted,
        from: &backup.origin,
        head: &backup.head,
        small: &backup.small,
        fresh,
        time: run.host.now(),
    };
    let make = || restore::plan(host, &restoring).map_err(Stop::failed);
    let mut plan = make()?;
    plan.warnings.push(lost(run, &restoring)?);
    run.show(&plan, &format!("Plan: {} from its backup", backup.head.host), "");
    let stops = plan.steps.iter().any(|step| step.action == Action::Stop);
    let watched = [deployment.port().get()];
    let with = With { source: source.as_ref(), watched: if stops { &watched } else { &[] }, ..With::default() };
    if !run.carry_out(&plan, &EXPLANATION, &make, with)? {
        return Ok(Exit::Done);
    }
    let kept = restoring.kept();
    if host.entry(&kept)?.is_some() {
        run.text(&format!(
            "The previous database is kept in {}; remove it when you no longer need it.",
            kept.display()
        ));
        run.report().add("kept", kept);
    }
    install::conclude(run, &wanted, &plan, None, options.no_check)
}

/// What is wanted of this host.
struct Settings {
    answers: Answers,
    secrets: Secrets,
    deployment: Deployment,
}

impl Settings {
    /// Those of the backup on a fresh host, and else those of this host.
    fn gather(run: &Run<'_>, backup: &Verified, fresh: bool) -> Result<Self, Stop> {
        let (answers, secrets) = if fresh {
            (backup.answers()?, backup.secrets()?)
        } else {
            let path = run.layout.answers();
            let given = run.host.read(&path)?.unwrap_or_default();
            (inputs::parsed(&String::from_utf8_lossy(&given), &path)?, of_host(run)?)
        };
        let deployment = inputs::deployment(&answers, &secrets)?;
        Ok(Self { answers, secrets, deployment })
    }

    /// Asks for the release of the backup, whatever the answers name.
    fn release_of(&mut self, backup: &Verified) -> Result<(), Stop> {
        let version = &backup.head.version;
        if matches!(&self.deployment.release.version, VersionWish::Exact(named) if named != version) {
            let mut settings = vec![format!("release.version=\"{version}\"")];
            if self.deployment.release.sha256.is_some() {
                settings.push(format!("release.sha256=\"{}\"", backup.lock.release.sha256));
            }
            inputs::set(&mut self.answers, &settings)?;
            self.deployment = inputs::deployment(&self.answers, &self.secrets)?;
        }
        self.deployment.release.version = VersionWish::Exact(version.clone());
        Ok(())
    }
}

fn same_instance(backup: &Verified, host: &str, account_domain: &str) -> Result<(), Stop> {
    let head = &backup.head;
    for (backup, installed) in [(&head.host, host), (&head.account_domain, account_domain)] {
        if backup != installed {
            let refusal = Refusal::BackupOfOther { backup: backup.clone(), installed: installed.to_owned() };
            return Err(Stop::failed(refusal));
        }
    }
    Ok(())
}

/// Says what the backup is.
fn describe(run: &Run<'_>, backup: &Verified) {
    let head = &backup.head;
    run.heading(&format!("Backup of {}", head.host));
    let state = head.state.as_ref();
    let posts = state.and_then(|state| state.posts).map(|count| format!(", {}", counted(count, "post")));
    let posts = posts.unwrap_or_default();
    let media = if head.media { "with media" } else { "without media" };
    run.line(&format!(
        "  GoToSocial {}, made on {}, {}, {media}{posts}. All of it was read, and is as it was written.",
        head.version,
        date(head.created),
        bytes(backup.bytes)
    ));
    run.report().add("backup", head);
}

/// What is lost, and what to see to beforehand.
fn lost(run: &Run<'_>, restoring: &Restoring<'_>) -> Result<String, Stop> {
    if restoring.fresh {
        return Ok(format!(
            "two servers with the keys of {} must never run at the same time: stop the old machine for good before you say \
             yes, and let the name lead here",
            restoring.head.host
        ));
    }
    let then = restoring.head.state.as_ref().and_then(|state| state.posts);
    let now = posts(run, restoring)?;
    let counted = match (then, now) {
        (Some(then), Some(now)) if now > then => format!(
            "the backup has {} and this instance has {now} now: {} will be lost",
            counted(then, "post"),
            now - then
        ),
        (Some(then), Some(now)) => format!("the backup has {}, and this instance has {now} now", counted(then, "post")),
        _ => "the current number of posts is unknown".to_owned(),
    };
    Ok(format!(
        "everything since {} goes: {counted}, and with them follows, likes and new accounts. The current database is kept in {}",
        date(restoring.head.created),
        restoring.kept().display()
    ))
}

/// How many posts this instance has: asked of the server where it runs, since nobody else may open its database then.
fn posts(run: &Run<'_>, restoring: &Restoring<'_>) -> Result<Option<u64>, Stop> {
    let Wanted { deployment, layout, .. } = *restoring.wanted;
    let host = run.host;
    if host.service(rc_script::SERVICE)?.is_running() {
        let answer = ask(host, &service::readiness(deployment, layout), "/api/v1/instance").ok();
        let told: Option<serde_json::Value> = answer.and_then(|answer| serde_json::from_slice(&answer.body).ok());
        return Ok(told.and_then(|told| told["stats"]["status_count"].as_u64()));
    }
    if !matches!(deployment.database, Database::Sqlite) || host.entry(&layout.database())?.is_none() {
        return Ok(None);
    }
    let owner = run.service_user()?;
    let examination = DatabaseExamination { path: layout.database(), owner, thorough: false };
    Ok(host.examine_database(&examination).ok().and_then(|state| state.posts))
}

/// What the consent's "explain" says.
const EXPLANATION: [&str; 2] = [
    "The keys in the backup are what other servers know this instance by. With them it continues where it was: accounts, \
     followers and posts are there again, as they were when the backup was made.",
    "Every change is written to a journal before it is made. If one fails, the changes before it are undone, \
     and the current database is in its place again.",
];
