//! `server start`, in the order of the real program: the maintenance page listens, the database is opened and migrated,
//! then the real pages take over, and a signal ends it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use super::client_address::TrustedProxies;
use super::database::Database;
use super::log::Logger;
use super::pages::Site;
use super::router::{Plan, Router};
use super::signals;
use super::trouble::Trouble;
use gts_bootstrap::gotosocial::loading::{Failure, Settings};

/// Runs the server until a signal ends it.
pub(super) fn start(version: &str, settings: Settings, trouble: &Trouble) -> Result<(), Failure> {
    check_settings(&settings)?;
    let proxies = check_web(&settings)?;
    let logger = Logger::of(&settings);
    let is_ready = Arc::new(AtomicBool::new(false));
    let (stop, stopped) = mpsc::channel();
    signals::watch(Arc::clone(&is_ready), stop).map_err(Failure::Error)?;

    let host = settings.text("host").to_owned();
    let domain = settings.text("account-domain");
    let mut site = Site {
        account_domain: if domain.is_empty() { host.clone() } else { domain.to_owned() },
        host: host.clone(),
        version: version.to_owned(),
        assets: settings.text("web-asset-base-dir").into(),
        database: None,
        oauth: Arc::default(),
    };
    logger.info("server.init.func2", &format!("starting gotosocial {version} (a stand-in)"));
    let plan = Plan::of(&settings, trouble.no_certificate.clone(), proxies)?;
    let maintenance = Router::start(&plan, site.clone(), logger)?;
    logger.info("cache.(*Caches).Start", "start: 0xc000a3e008");
    let database = Database::open(&settings, trouble, logger)?;
    let mut content = database.content()?;
    if content.instance.is_none() {
        content.instance = Some(host);
        database.save(&content)?;
    }
    open_storage(&settings)?;
    logger.info("server.init.func2", "compiling WebAssembly");
    thread::sleep(trouble.ready_after);
    maintenance.stop();
    site.database = Some(database.clone());
    let router = Router::start(&plan, site, logger)?;
    let fields = "delivery=0 federator=0 client=0 errors=0 ";
    is_ready.store(true, Ordering::SeqCst);
    logger.info_with("admin.(*Processor).FillWorkerQueues", fields, "recovered queued tasks");

    let ended = match trouble.die_after {
        Some(time) => stopped.recv_timeout(time),
        None => stopped.recv().map_err(|_| RecvTimeoutError::Disconnected),
    };
    if ended == Err(RecvTimeoutError::Timeout) {
        return Err(Failure::Panic("runtime error: the stand-in was asked to die".into()));
    }
    router.stop();
    database.end();
    logger.info("server.init.func2.1", "done! exiting...");
    Ok(())
}

/// What is refused by every command that opens the database.
pub(super) fn check_settings(settings: &Settings) -> Result<(), Failure> {
    let refuse = |text: String| Err(Failure::Error(text));
    let (host, domain, protocol) = (settings.text("host"), settings.text("account-domain"), settings.text("protocol"));
    if host.is_empty() {
        return refuse("invalid config: host must be set".into());
    }
    if !matches!(protocol, "http" | "https") {
        return refuse(format!(
            "invalid config: protocol must be set to either http or https, provided value was {protocol}"
        ));
    }
    if !(domain.is_empty() || domain == host || host.ends_with(&format!(".{domain}"))) {
        return refuse(format!("invalid config: account-domain {domain} is not a valid subdomain of host {host}"));
    }
    let level = settings.text("log-level");
    if !["trace", "debug", "info", "warn", "error", "fatal", "panic"].contains(&level.to_ascii_lowercase().as_str()) {
        return refuse(format!("error parsing log level: unknown log level: \"{level}\""));
    }
    if !settings.text("tls-certificate-chain").is_empty() || !settings.text("tls-certificate-key").is_empty() {
        return refuse("the stand-in does not know tls-certificate-chain and tls-certificate-key".into());
    }
    Ok(())
}

fn check_web(settings: &Settings) -> Result<TrustedProxies, Failure> {
    let refuse = |text: String| Err(Failure::Error(format!("error creating maintenance router: {text}")));
    let templates = Path::new(settings.text("web-template-base-dir"));
    let index = templates.join("index.tmpl");
    if fs::metadata(&index).is_err() {
        return refuse(format!(
            "LoadTemplates: cannot find index.tmpl in web template directory {}: stat {}: no such file or directory",
            templates.display(),
            index.display()
        ));
    }
    TrustedProxies::of(settings).or_else(refuse)
}

/// The storage folder is made if it is missing; that it cannot be written to is found out by the first upload only.
fn open_storage(settings: &Settings) -> Result<(), Failure> {
    let path = Path::new(settings.text("storage-local-base-path"));
    if settings.text("storage-backend") != "local" || path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|_| {
        Failure::Error(format!(
            "error opening storage backend: error opening disk storage: mkdir {}: permission denied",
            path.display()
        ))
    })
}
