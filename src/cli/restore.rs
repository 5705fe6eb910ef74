//! `restore`: an instance out of a backup, on this host or on a fresh one.

mod verified;

use std::path::PathBuf;

use clap::Args;

use super::Global;
use super::backup::{bytes, posts_in_words, service_user};
use super::exit::Exit;
use super::install::{self, lock};
use super::open::Opened;
use super::report::{self, Report, wrap};
use super::screen::{Screen, Tone};
use super::transaction::{Stop, Transaction, With};
use crate::backup::DatabaseKind;
use crate::certificate::date;
use crate::change::Action;
use crate::change::readiness::ask;
use crate::check::preflight;
use crate::deployment::{Answers, Database, Deployment, Layout, Secrets, Variant, VersionWish};
use crate::error_code::ErrorCode;
use crate::host::{DatabaseExamination, Host};
use crate::parts::answers::Lock;
use crate::parts::install::Wanted;
use crate::parts::restore::{self, Restoring};
use crate::parts::{Refusal, rc_script, service};
use verified::Verified;

/// What `restore` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Make the changes without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Verify the backup, show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
    /// Take the release from a mirror laid out as upstream's: an https address or a folder
    #[arg(long, value_name = "URL|DIR")]
    pub mirror: Option<String>,
    /// Leave out the checks on the running system afterwards
    #[arg(long)]
    pub no_check: bool,
}

/// Runs `restore`.
#[must_use]
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new("restore");
    let screen = &if arguments.yes { screen.clone() } else { screen.not_quiet() };
    match restored(global, arguments, screen, &mut report) {
        Ok(exit) => report.finish(screen, exit),
        Err(stop) => report.fail(screen, stop),
    }
}

fn restored(global: &Global, arguments: &Arguments, screen: &Screen, report: &mut Report) -> Result<Exit, Stop> {
    let opened = Opened::open(global, screen)?;
    let host = opened.host();
    let layout = Layout::default();
    let transaction = Transaction {
        command: "restore",
        host,
        authority: opened.authority(),
        screen,
        yes: arguments.yes,
        plan_only: arguments.plan,
        ask: false,
    };
    transaction.settle()?;
    let backup = Verified::read(&arguments.file, &screen.around().path(&arguments.file))?;
    describe(screen, &backup, report);

    let earlier = Lock::of_host(host, &layout).map_err(Stop::failed)?;
    let fresh = earlier.is_none() || host.entry(&layout.config)?.is_none();
    if let Some(earlier) = &earlier {
        same_instance(&backup, &earlier.host, &earlier.account_domain)?;
    }
    let mut settings = Settings::gather(host, &layout, &backup, fresh)?;
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

    let from = install::Arguments {
        ask: false,
        answers: None,
        set: Vec::new(),
        yes: arguments.yes,
        plan: arguments.plan,
        mirror: arguments.mirror.clone(),
        release: None,
        sha256: None,
        no_check: arguments.no_check,
    };
    // Exactly the bytes of the backup's release; for another kind of CPU it is the same version.
    let known = Some(&backup.lock).filter(|known| lock::arch(host).is_ok_and(|arch| arch == known.release.arch));
    let source = lock::source(&opened, screen.around(), &from, deployment, known)?;
    let subject = preflight::Subject {
        deployment,
        layout: &layout,
        download: source.over_https(),
        nowasm: deployment.release.variant == Variant::NoWasm,
        ports: &service::privileged_ports(deployment),
        installed: !fresh,
        moves_here: fresh,
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
    let lock = lock::resolve(host, &layout, deployment, known, &source, screen)?;
    let wanted = Wanted { deployment, answers: &answers, secrets, lock: &lock, layout: &layout };
    let restoring = Restoring {
        wanted: &wanted,
        from: &backup.origin,
        head: &backup.head,
        small: &backup.small,
        fresh,
        time: host.now(),
    };
    let make = || restore::plan(host.observe(), &restoring).map_err(Stop::failed);
    let mut plan = make()?;
    plan.warnings.extend(lost(host, &restoring)?);
    transaction.show(&plan, &format!("Plan: {} from its backup", backup.head.host), "", report);
    if transaction.ends_with(&plan, report) {
        return Ok(Exit::Done);
    }
    transaction.consent(&plan, &explanation())?;
    let stops = plan.steps.iter().any(|step| step.action == Action::Stop);
    let watched = [deployment.port().get()];
    let with = With { source: source.release_source(), watched: if stops { &watched } else { &[] }, ..With::default() };
    transaction.apply(&plan, make, with, report)?;
    kept(host, &restoring, screen, report)?;
    if !plan.reboot.is_empty() {
        return Ok(install::reboot_first(screen, report));
    }
    if arguments.no_check {
        return Ok(Exit::Done);
    }
    install::prove(host, &wanted, None, screen, report)
}

/// What is wanted of this host.
struct Settings {
    answers: Answers,
    secrets: Secrets,
    deployment: Deployment,
}

impl Settings {
    /// Those of the backup on a fresh host, and else those of this host.
    fn gather(host: &dyn Host, layout: &Layout, backup: &Verified, fresh: bool) -> Result<Self, Stop> {
        let (answers, secrets) = if fresh {
            (backup.answers()?, backup.secrets()?)
        } else {
            let text = |path: &std::path::Path| -> Result<Option<String>, Stop> {
                Ok(host.read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
            };
            let (path, secret) = (layout.answers(), layout.secrets());
            let given = text(&path)?.unwrap_or_default();
            let answers = Answers::parse(&given, &path.display().to_string())
                .map_err(|error| Stop::answers(error.to_string()))?;
            let hidden = text(&secret)?.unwrap_or_default();
            (answers, secrets(&hidden, &secret.display().to_string())?)
        };
        let deployment = deployment(&answers, &secrets)?;
        Ok(Self { answers, secrets, deployment })
    }

    /// Asks for the release of the backup, whatever the answers name.
    fn release_of(&mut self, backup: &Verified) -> Result<(), Stop> {
        let version = &backup.head.version;
        let usage = |error: crate::deployment::SetError| Stop::answers(error.to_string());
        if matches!(&self.deployment.release.version, VersionWish::Exact(named) if named != version) {
            self.answers.set(&format!("release.version=\"{version}\"")).map_err(usage)?;
            if self.deployment.release.sha256.is_some() {
                let sha256 = backup.lock.release.sha256;
                self.answers.set(&format!("release.sha256=\"{sha256}\"")).map_err(usage)?;
            }
            self.deployment = deployment(&self.answers, &self.secrets)?;
        }
        self.deployment.release.version = VersionWish::Exact(version.clone());
        Ok(())
    }
}

fn deployment(answers: &Answers, secrets: &Secrets) -> Result<Deployment, Stop> {
    answers.deployment(secrets).map_err(|errors| {
        let list: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
        Stop::answers(format!("the answers cannot be used:\n{}", list.join("\n")))
    })
}

/// Secrets out of a text.
fn secrets(text: &str, name: &str) -> Result<Secrets, Stop> {
    Secrets::parse(text, name).map_err(Stop::secrets)
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
fn describe(screen: &Screen, backup: &Verified, report: &mut Report) {
    let head = &backup.head;
    screen.line(&screen.paint(Tone::Heading, &format!("Backup of {}", head.host)));
    let state = head.state.as_ref();
    let posts = state.and_then(|state| state.posts).map(|count| format!(", {}", posts_in_words(count)));
    let posts = posts.unwrap_or_default();
    let media = if head.media { "with media" } else { "without media" };
    screen.line(&wrap(
        &format!(
            "  GoToSocial {}, made on {}, {}, {media}{posts}. All of it was read, and is as it was written.",
            head.version,
            date(head.created),
            bytes(backup.bytes)
        ),
        2,
    ));
    report.add("backup", serde_json::json!(head));
}

/// What is lost, and what to see to beforehand.
fn lost(host: &dyn Host, restoring: &Restoring<'_>) -> Result<Vec<String>, Stop> {
    if restoring.fresh {
        return Ok(vec![format!(
            "two servers with the keys of {} must never run at the same time: stop the old machine for good before you say \
             yes, and let the name lead here",
            restoring.head.host
        )]);
    }
    let then = restoring.head.state.as_ref().and_then(|state| state.posts);
    let now = posts(host, restoring)?;
    let counted = match (then, now) {
        (Some(then), Some(now)) if now > then => format!(
            "the backup has {} and this instance has {now} now: {} will be lost",
            posts_in_words(then),
            now - then
        ),
        (Some(then), Some(now)) => format!("the backup has {}, and this instance has {now} now", posts_in_words(then)),
        _ => "how many posts there are now cannot be told".to_owned(),
    };
    Ok(vec![format!(
        "everything since {} goes: {counted}, and with them follows, likes and new accounts. The database of now is kept in {}",
        date(restoring.head.created),
        restoring.kept().display()
    )])
}

/// How many posts this instance has: asked of the server where it runs, since nobody else may open its database then.
fn posts(host: &dyn Host, restoring: &Restoring<'_>) -> Result<Option<u64>, Stop> {
    let Wanted { deployment, layout, .. } = *restoring.wanted;
    if host.service(rc_script::SERVICE)?.is_running() {
        let answer = ask(host.observe(), &service::readiness(deployment, layout), "/api/v1/instance").ok();
        let told: Option<serde_json::Value> = answer.and_then(|answer| serde_json::from_slice(&answer.body).ok());
        return Ok(told.and_then(|told| told["stats"]["status_count"].as_u64()));
    }
    if !matches!(deployment.database, Database::Sqlite) || host.entry(&layout.database())?.is_none() {
        return Ok(None);
    }
    let owner = service_user(host)?;
    let examination = DatabaseExamination { path: layout.database(), owner, thorough: false };
    Ok(host.examine_database(&examination).ok().and_then(|state| state.posts))
}

/// Tells where the database of before is.
fn kept(host: &dyn Host, restoring: &Restoring<'_>, screen: &Screen, report: &mut Report) -> Result<(), Stop> {
    let kept = restoring.kept();
    if host.entry(&kept)?.is_none() {
        return Ok(());
    }
    report.add("kept", serde_json::json!(kept));
    screen.line(&wrap(
        &format!("The database of before is kept in {}; remove it when you no longer need it.", kept.display()),
        0,
    ));
    Ok(())
}

/// What the consent's "explain" says.
fn explanation() -> [String; 2] {
    [
        "The keys in the backup are what other servers know this instance by. With them it goes on where it was: accounts, \
         followers and posts are there again, as they were when the backup was made."
            .to_owned(),
        "Every change is written to a journal before it is made. If one fails, all before it are taken back, and the database of \
         now is in its place again."
            .to_owned(),
    ]
}
