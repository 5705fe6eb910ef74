//! The certificate of a front: whose files they are, how GoToSocial's own is carried over, and back again.
//!
//! Where there are several, this is the order: files that the answers name; complete and valid files of another ACME client;
//! of our own pair and the one in GoToSocial's cache the one that is valid for longer; a placeholder, until a certificate has
//! been ordered. What is kept by somebody else is used where it lies, never copied and never renewed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::acme_clients::{self, Found};
use super::{Refusal, periodic};
use crate::certificate::placeholder::is_placeholder;
use crate::certificate::renewal::Keeper;
use crate::certificate::{Bundle, BundleError, KeyType};
use crate::change::certificate::shown;
use crate::change::{
    Action, CertificateChange, CertificateOrder, Content, MakeDirectory, ShownBy, Step, WriteFile, digest,
};
use crate::deployment::{AcmeDirectory, Deployment, HostName, Layout, Mode, PortNumber};
use crate::front::{ACME_WEBROOT, Certificate};
use crate::host::{Entry, HostError, Observe, Owner};

const PART: &str = "certificate";
const ACCOUNT: &str = "account";

/// What a front is to show for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The name.
    pub name: HostName,
    /// The files.
    pub files: Certificate,
    /// Who renews them.
    pub keeper: Keeper,
    /// What has to be done for the files to be there.
    pub steps: Vec<Step>,
    /// Whether they are a placeholder, and a certificate must be ordered once the front answers ([`first_order`]).
    pub order: bool,
}

/// A pair that can be used, and who keeps it.
#[derive(Debug)]
pub struct Kept {
    /// The files.
    pub files: Certificate,
    /// Who renews them.
    pub keeper: Keeper,
    /// What is in them.
    pub bundle: Bundle,
}

/// Our own pair for a name.
pub fn own_pair(layout: &Layout, name: &HostName) -> Certificate {
    Certificate { chain: layout.tls().join(format!("{name}.pem")), key: layout.tls().join(format!("{name}.key")) }
}

/// Where failed renewals are remembered.
pub fn record(layout: &Layout) -> PathBuf {
    layout.tls().join("renewal.json")
}

/// The rc.d script of the front, and where it answers on this host; `None` in direct mode.
pub fn shown_by(mode: Mode) -> Option<ShownBy> {
    mode.front().map(|front| ShownBy { service: front.service.to_owned(), https: local(PortNumber::HTTPS) })
}

fn local(port: PortNumber) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port.get()).into()
}

/// Plans the certificate for a name; `None` for an account domain for which there is none.
///
/// # Errors
/// The files that the answers name cannot be used, or the host cannot be read.
pub fn plan(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
) -> Result<Option<Planned>, Refusal> {
    plan_ordering(host, layout, deployment, name, *name == deployment.host)
}

/// The same, where it is known whether one may be ordered.
///
/// # Errors
/// As for [`plan`].
pub fn plan_ordering(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
    may_order: bool,
) -> Result<Option<Planned>, Refusal> {
    if let Some(kept) = kept_by_others(host, deployment, name)? {
        let Kept { files, keeper, .. } = kept;
        return Ok(Some(Planned { name: name.clone(), files, keeper, steps: Vec::new(), order: false }));
    }
    let files = own_pair(layout, name);
    let planned = |steps: Vec<Step>, order: bool| {
        let (name, files) = (name.clone(), files.clone());
        Ok(Some(Planned { name, files, keeper: Keeper::Us, steps, order }))
    };
    let own = usable(host, &files, name)?;
    let cached = cached(host, layout, name)?;
    let ends = |bundle: &Bundle| bundle.leaf().not_after;
    // A renewed certificate is the one that is valid for longer, whoever renewed it.
    match (own, cached) {
        (Some(own), cached)
            if !is_placeholder(own.leaf()) && cached.as_ref().is_none_or(|it| ends(it) <= ends(&own)) =>
        {
            planned(permissions(host, layout, &files)?, false)
        }
        (_, Some(cached)) => planned(carried_over(host, layout, &files, &cached)?, false),
        (Some(_), None) => planned(permissions(host, layout, &files)?, may_order),
        (None, None) if may_order => {
            let mut steps = folder(host, layout)?;
            let Certificate { chain, key } = files.clone();
            let certificate = CertificateChange::Placeholder { name: name.clone(), chain, key };
            steps.push(Step::new(PART, Action::Create, certificate));
            planned(steps, true)
        }
        (None, None) => Ok(None),
    }
}

/// The certificate that the front shows for a name, or would if it read its files again: the pair that it shows now, or else
/// the first of those in the order that [`plan`] has.
///
/// # Errors
/// The files that the answers name cannot be used, or the host cannot be read.
pub fn in_service(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
) -> Result<Option<Kept>, Refusal> {
    let files = own_pair(layout, name);
    let own = parsed(host, &files)?.and_then(Result::ok).map(|bundle| Kept { files, keeper: Keeper::Us, bundle });
    // Another client may have been set up since: as long as the front shows ours, ours has to be renewed.
    let showing = showing(host, deployment, name)?;
    let shows_own = own.as_ref().is_some_and(|own| Some(digest(own.bundle.leaf_der())) == showing);
    if shows_own {
        return Ok(own);
    }
    Ok(kept_by_others(host, deployment, name)?.or(own))
}

/// The certificate that clients are shown for a name: in direct mode what GoToSocial has in its cache.
///
/// # Errors
/// A certificate cannot be used, or the host cannot be read.
pub fn kept(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
) -> Result<Option<Kept>, Refusal> {
    if deployment.exposure.mode != Mode::Direct {
        return in_service(host, layout, deployment, name);
    }
    let file = layout.certs().join(name.as_str());
    let Some(bytes) = host.read(&file)? else { return Ok(None) };
    let bundle = Bundle::from_pem(&bytes).map_err(|why| Refusal::CachedCertificate { path: file.clone(), why })?;
    let files = Certificate { chain: file.clone(), key: file };
    Ok(Some(Kept { files, keeper: Keeper::GoToSocial, bundle }))
}

/// Which certificate the front shows for a name: SHA-256 of the leaf. It is asked only if it runs: in its place GoToSocial may
/// listen, which would take the question for a reason to order a certificate.
///
/// # Errors
/// The services cannot be asked for.
pub fn showing(host: &dyn Observe, deployment: &Deployment, name: &HostName) -> Result<Option<String>, HostError> {
    let Some(front) = shown_by(deployment.exposure.mode) else { return Ok(None) };
    let running = host.service(&front.service)?.is_running();
    Ok(if running { shown(host, front.https, name) } else { None })
}

/// The order with which a first certificate takes the place of the placeholder, once the front answers.
pub fn first_order(layout: &Layout, deployment: &Deployment, name: &HostName) -> Option<Step> {
    // The instance does without its account domain's, and periodic(8) tries again.
    let spared = *name != deployment.host;
    order(layout, deployment, name, None, None, spared).map(|change| Step::new(PART, Action::Update, change))
}

/// A renewal, of which a failure is remembered. `directory` is an authority other than that of the answers.
pub fn renewal(
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
    directory: Option<&AcmeDirectory>,
) -> Option<Step> {
    let record = Some(record(layout));
    order(layout, deployment, name, directory, record, false).map(|change| Step::new(PART, Action::Update, change))
}

/// The reload with which the front takes up files that somebody else has renewed.
pub fn reload(deployment: &Deployment, name: &HostName, chain: &Path) -> Option<Step> {
    let front = shown_by(deployment.exposure.mode)?;
    let certificate = CertificateChange::Reload { name: name.clone(), chain: chain.to_owned(), front };
    Some(Step::new(PART, Action::Update, certificate))
}

/// What is ordered for a name.
pub fn certificate_order(
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
    directory: Option<&AcmeDirectory>,
) -> CertificateOrder {
    let usual = deployment.tls.acme_directory.clone().unwrap_or_else(AcmeDirectory::lets_encrypt);
    let directory = directory.cloned().unwrap_or_else(|| usual.clone());
    // An account is one at an authority: that of a trial must not take the place of the one that is needed every day.
    let account = if directory == usual {
        format!("{ACCOUNT}.json")
    } else {
        format!("{ACCOUNT}-{}.json", &digest(directory.as_str().as_bytes())[..16])
    };
    let Certificate { chain, key } = own_pair(layout, name);
    CertificateOrder {
        name: name.clone(),
        directory,
        email: deployment.tls.email.clone(),
        account: layout.tls().join(account),
        webroot: ACME_WEBROOT.into(),
        http: local(PortNumber::HTTP),
        chain,
        key,
    }
}

fn order(
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
    directory: Option<&AcmeDirectory>,
    record: Option<PathBuf>,
    spared: bool,
) -> Option<CertificateChange> {
    let front = shown_by(deployment.exposure.mode)?;
    let order = certificate_order(layout, deployment, name, directory);
    Some(CertificateChange::Order { order, front, record, spared })
}

/// Plans the way back to direct mode: the pair that the front shows goes into GoToSocial's cache, unless what is there is
/// valid for as long. Without a step GoToSocial goes on with its own, or orders one; [`back_warning`] tells.
///
/// # Errors
/// The host cannot be read.
pub fn back_to_autocert(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    service: Owner,
) -> Result<Vec<Step>, Refusal> {
    let name = &deployment.host;
    let Some(bundle) = best(host, layout, deployment, name)? else { return Ok(Vec::new()) };
    let cached = cached(host, layout, name)?;
    if cached.is_some_and(|cached| cached.leaf().not_after >= bundle.leaf().not_after) {
        return Ok(Vec::new());
    }
    // What GoToSocial has no place for it orders anew.
    let Ok(text) = bundle.autocert_pem() else { return Ok(Vec::new()) };
    let mut steps = Vec::new();
    let certs = layout.certs();
    if host.entry(&certs)?.is_none() {
        let change = MakeDirectory { path: certs.clone(), mode: 0o750, owner: service };
        steps.push(Step::new(PART, Action::Create, change));
    }
    let path = certs.join(name.as_str());
    steps.extend(file(host, &path, text.expose().as_bytes(), 0o600, service)?);
    Ok(steps)
}

/// What the administrator should know of the certificate before going back to direct mode.
///
/// # Errors
/// The host cannot be read.
pub fn back_warning(host: &dyn Observe, layout: &Layout, deployment: &Deployment) -> Result<Option<String>, Refusal> {
    let name = &deployment.host;
    if cached(host, layout, name)?.is_some() {
        return Ok(None);
    }
    let orders = "GoToSocial orders its own when the first https request comes in, and answers none until it has it";
    Ok(match best(host, layout, deployment, name)? {
        None => Some(format!("there is no certificate that could be handed back: {orders}")),
        Some(bundle) if bundle.autocert_pem().is_err() => {
            let kind = match bundle.leaf().key {
                KeyType::Rsa => "an RSA key",
                KeyType::Ec => "a key that does not name its curve",
                KeyType::Other => "a key of another kind than EC",
            };
            Some(format!(
                "the certificate that the web server shows has {kind}, which GoToSocial does not keep: {orders}"
            ))
        }
        Some(_) => None,
    })
}

/// What the front shows and a client would take, a placeholder left out.
fn best(
    host: &dyn Observe,
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
) -> Result<Option<Bundle>, Refusal> {
    let now = host.now();
    let kept = in_service(host, layout, deployment, name)?.map(|kept| kept.bundle);
    Ok(kept.filter(|bundle| !is_placeholder(bundle.leaf()) && bundle.check(name, now).is_ok()))
}

/// Every file of ours that is there for certificates behind a front, files before the folder that holds them: what goes when
/// the front goes.
///
/// # Errors
/// The host cannot be read.
pub fn own_files(host: &dyn Observe, layout: &Layout) -> Result<Vec<PathBuf>, HostError> {
    let mut paths = periodic::own_files(host)?;
    let folder = layout.tls();
    let names = host.list(&folder)?;
    let ours = |name: &String| {
        let ends = |ending: &str| name.ends_with(ending);
        ends(".pem") || ends(".key") || (name.starts_with(ACCOUNT) && ends(".json")) || name == "renewal.json"
    };
    paths.extend(names.iter().filter(|name| ours(name)).map(|name| folder.join(name)));
    if names.iter().all(ours) && host.entry(&folder)?.is_some() {
        paths.push(folder);
    }
    Ok(paths)
}

/// Files of the administrator's, or of another client.
fn kept_by_others(host: &dyn Observe, deployment: &Deployment, name: &HostName) -> Result<Option<Kept>, Refusal> {
    if let Some(named) = &deployment.tls.files {
        let files = Certificate { chain: named.certificate.clone(), key: named.key.clone() };
        match checked(host, &files, name) {
            Ok(bundle) => return Ok(Some(Kept { files, keeper: Keeper::Administrator, bundle })),
            // They need not be for the account domain too.
            Err(Refusal::Certificate { why: BundleError::OtherHost { .. }, .. }) if *name != deployment.host => {}
            Err(refusal) => return Err(refusal),
        }
    }
    let mut best: Option<Kept> = None;
    for Found { client, certificate, key, complete } in acme_clients::find(host, name)? {
        let files = Certificate { chain: certificate, key };
        if !complete {
            continue;
        }
        let Some(bundle) = usable(host, &files, name)? else { continue };
        if best.as_ref().is_none_or(|best| best.bundle.leaf().not_after < bundle.leaf().not_after) {
            best = Some(Kept { files, keeper: Keeper::Client(client.name().to_owned()), bundle });
        }
    }
    Ok(best)
}

/// A pair that must be good.
fn checked(host: &dyn Observe, files: &Certificate, name: &HostName) -> Result<Bundle, Refusal> {
    let refused = |why: BundleError| Refusal::Certificate { path: files.chain.clone(), why };
    for path in [&files.chain, &files.key] {
        if host.read_from(path, 0, 0)?.is_none() {
            return Err(Refusal::CertificateMissing { path: path.clone() });
        }
    }
    let bundle = parsed(host, files)?.unwrap_or(Err(BundleError::NoCertificate)).map_err(refused)?;
    bundle.check(name, host.now()).map_err(refused)?;
    Ok(bundle)
}

/// A pair, if it is there.
fn parsed(host: &dyn Observe, files: &Certificate) -> Result<Option<Result<Bundle, BundleError>>, HostError> {
    let (chain, key) = (host.read(&files.chain)?, host.read(&files.key)?);
    Ok(chain.zip(key).map(|(chain, key)| Bundle::from_files(&key, &chain)))
}

/// A pair that is there and good.
fn usable(host: &dyn Observe, files: &Certificate, name: &HostName) -> Result<Option<Bundle>, HostError> {
    let bundle = parsed(host, files)?.and_then(Result::ok);
    Ok(bundle.filter(|bundle| bundle.check(name, host.now()).is_ok()))
}

/// What GoToSocial has in its cache, if it is good.
fn cached(host: &dyn Observe, layout: &Layout, name: &HostName) -> Result<Option<Bundle>, HostError> {
    let bytes = host.read(&layout.certs().join(name.as_str()))?;
    let bundle = bytes.and_then(|bytes| Bundle::from_pem(&bytes).ok());
    Ok(bundle.filter(|bundle| bundle.check(name, host.now()).is_ok()))
}

fn folder(host: &dyn Observe, layout: &Layout) -> Result<Vec<Step>, Refusal> {
    let (path, mode, owner) = (layout.tls(), 0o700, Owner::ROOT);
    let action = match host.entry(&path)? {
        None => Action::Create,
        Some(Entry::Directory { mode: there, owner: whose }) if (there, whose) == (mode, owner) => {
            return Ok(Vec::new());
        }
        Some(Entry::Directory { .. }) => Action::Update,
        Some(_) => return Err(Refusal::WrongKind { path, found: "no folder", wanted: "a folder" }),
    };
    Ok(vec![Step::new(PART, action, MakeDirectory { path, mode, owner })])
}

fn carried_over(
    host: &dyn Observe,
    layout: &Layout,
    files: &Certificate,
    bundle: &Bundle,
) -> Result<Vec<Step>, Refusal> {
    let mut steps = folder(host, layout)?;
    steps.extend(file(host, &files.key, bundle.key_pem().expose().as_bytes(), 0o600, Owner::ROOT)?);
    steps.extend(file(host, &files.chain, bundle.chain_pem().as_bytes(), 0o644, Owner::ROOT)?);
    Ok(steps)
}

/// The pair as it is, for nobody but root to read the key.
fn permissions(host: &dyn Observe, layout: &Layout, files: &Certificate) -> Result<Vec<Step>, Refusal> {
    let mut steps = folder(host, layout)?;
    for (path, mode) in [(&files.key, 0o600), (&files.chain, 0o644)] {
        let bytes = host.read(path)?.unwrap_or_default();
        steps.extend(file(host, path, &bytes, mode, Owner::ROOT)?);
    }
    Ok(steps)
}

fn file(host: &dyn Observe, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> Result<Option<Step>, Refusal> {
    let entry = host.entry(path)?;
    let action = match entry {
        None => Action::Create,
        Some(Entry::File { mode: there, owner: whose, .. })
            if (there, whose) == (mode, owner) && host.read(path)?.as_deref() == Some(bytes) =>
        {
            return Ok(None);
        }
        Some(_) => Action::Update,
    };
    let change = WriteFile { path: path.to_owned(), content: Content::new(bytes), mode, owner };
    Ok(Some(Step::new(PART, action, change)))
}
