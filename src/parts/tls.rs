//! The certificate of a front: whose files they are, how GoToSocial's own is carried over, and back again.
//!
//! Of several, the first in this order serves: files that the answers name; complete and valid files of another ACME client;
//! of our own pair and the one in GoToSocial's cache the one that is valid for longer; a placeholder, until a certificate has
//! been ordered. Files that somebody else keeps are used where they are, never copied and never renewed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{Instance, Refusal, account, acme_clients, periodic, put};
use crate::certificate::placeholder::is_placeholder;
use crate::certificate::renewal::Keeper;
use crate::certificate::{Bundle, BundleError, KeyType};
use crate::change::certificate::shown;
use crate::change::{Action, CertificateChange, CertificateOrder, MakeDirectory, ShownBy, Step, WriteFile, digest};
use crate::deployment::{AcmeDirectory, Deployment, HostName, Layout, Mode, PortNumber};
use crate::front::{ACME_WEBROOT, Certificate};
use crate::host::{HostError, Observe, Owner, Whose};

const PART: &str = "certificate";
const ACCOUNT: &str = "account";

/// The certificate that a front is to show for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairPlan {
    /// The name.
    pub name: HostName,
    /// The files.
    pub files: Certificate,
    /// Who renews them.
    pub keeper: Keeper,
    /// The changes that put the files in place.
    pub steps: Vec<Step>,
    /// Whether they are a placeholder, and a certificate must be ordered once the front answers ([`first_order`]).
    pub order: bool,
}

/// A usable pair, and who keeps it.
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

/// The record of failed renewals.
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

/// Plans the certificate for a name; `None` if there is none, and none may be ordered.
///
/// # Errors
/// The files that the answers name cannot be used, or the host cannot be read.
pub fn plan(wanted: Instance<'_>, name: &HostName, may_order: bool) -> Result<Option<PairPlan>, Refusal> {
    let Instance { host, layout, .. } = wanted;
    if let Some(Kept { files, keeper, .. }) = kept_by_others(wanted, name)? {
        return Ok(Some(PairPlan { name: name.clone(), files, keeper, steps: Vec::new(), order: false }));
    }
    let files = own_pair(layout, name);
    let own = usable(host, &files, name)?;
    let present = |path: &Path| host.read(path).map(Option::unwrap_or_default);
    let is_better = |cached: &Bundle, own: &Bundle| is_placeholder(own.leaf()) || outlasts(cached, own);
    let cached = match cached(host, layout, name) {
        // Whatever is planted there, a front with a pair of its own goes on.
        Err(error) if own.is_some() && error.refusal().is_some() => None,
        cached => cached?,
    };
    let (pair, order) = match (own, cached) {
        // The one that is valid for longer is the renewed one, whoever renewed it.
        (own, Some(cached)) if own.as_ref().is_none_or(|own| is_better(&cached, own)) => {
            (Some((cached.key_pem().expose().as_bytes().to_vec(), cached.chain_pem().into_bytes())), false)
        }
        // Only its permissions may need a change.
        (Some(own), _) => {
            (Some((present(&files.key)?, present(&files.chain)?)), is_placeholder(own.leaf()) && may_order)
        }
        (None, _) if may_order => (None, true),
        (None, _) => return Ok(None),
    };
    let mut steps = Vec::from_iter(put::folder(host, PART, put::root_folder(layout.tls(), 0o700))?);
    let Certificate { chain, key } = files.clone();
    if let Some((key_bytes, chain_bytes)) = pair {
        steps.extend(put::file(host, PART, WriteFile::new(key, key_bytes, 0o600, Owner::ROOT))?);
        steps.extend(put::file(host, PART, WriteFile::new(chain, chain_bytes, 0o644, Owner::ROOT))?);
    } else {
        let placeholder = CertificateChange::Placeholder { name: name.clone(), chain, key };
        steps.push(Step::new(PART, Action::Create, placeholder));
    }
    Ok(Some(PairPlan { name: name.clone(), files, keeper: Keeper::Us, steps, order }))
}

/// Whether one certificate is valid for longer than another.
fn outlasts(one: &Bundle, other: &Bundle) -> bool {
    one.leaf().not_after > other.leaf().not_after
}

/// The certificate that the front shows for a name, or would show if it read its files again: the pair that it shows now, or else
/// the first in the order of [`plan`].
fn in_service(wanted: Instance<'_>, name: &HostName) -> Result<Option<Kept>, Refusal> {
    let Instance { host, layout, deployment } = wanted;
    let files = own_pair(layout, name);
    let own = parsed(host, &files)?.and_then(Result::ok).map(|bundle| Kept { files, keeper: Keeper::Us, bundle });
    // Another client may have been set up since: as long as the front shows ours, ours has to be renewed.
    let showing = showing(host, deployment, name)?;
    if own.as_ref().is_some_and(|own| Some(digest(own.bundle.leaf_der())) == showing) {
        return Ok(own);
    }
    Ok(kept_by_others(wanted, name)?.or(own))
}

/// The certificate that clients see for a name: in direct mode the one in GoToSocial's cache.
///
/// # Errors
/// A certificate cannot be used, or the host cannot be read.
pub fn kept(wanted: Instance<'_>, name: &HostName) -> Result<Option<Kept>, Refusal> {
    if wanted.deployment.exposure.mode != Mode::Direct {
        return in_service(wanted, name);
    }
    let path = wanted.layout.certs().join(name.as_str());
    let Some(bytes) = wanted.host.read_of(&path, account::of_data(wanted.host)?)? else { return Ok(None) };
    let files = Certificate { chain: path.clone(), key: path.clone() };
    let bundle = Bundle::from_pem(&bytes).map_err(|why| Refusal::CachedCertificate { path, why })?;
    Ok(Some(Kept { files, keeper: Keeper::GoToSocial, bundle }))
}

/// Which certificate the front shows for a name: SHA-256 of the leaf. The front is asked only if it runs: in its place GoToSocial
/// may listen, for which the question would be a reason to order a certificate.
///
/// # Errors
/// The state of the front's service is unknown.
pub fn showing(host: &dyn Observe, deployment: &Deployment, name: &HostName) -> Result<Option<String>, HostError> {
    let Some(front) = shown_by(deployment.exposure.mode) else { return Ok(None) };
    let running = host.service(&front.service)?.is_running();
    Ok(if running { shown(host, front.https, name) } else { None })
}

/// The order that replaces the placeholder, once the front answers.
pub fn first_order(layout: &Layout, deployment: &Deployment, name: &HostName) -> Option<Step> {
    // The instance can do without the account domain's, and periodic(8) tries again.
    let spared = *name != deployment.host;
    order(deployment, certificate_order(layout, deployment, name, None), None, spared)
}

/// A renewal, whose failure goes on record. `directory` is an authority other than that of the answers.
pub fn renewal(
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
    directory: Option<&AcmeDirectory>,
) -> Option<Step> {
    order(deployment, certificate_order(layout, deployment, name, directory), Some(record(layout)), false)
}

fn order(deployment: &Deployment, order: CertificateOrder, record: Option<PathBuf>, spared: bool) -> Option<Step> {
    let front = shown_by(deployment.exposure.mode)?;
    Some(Step::new(PART, Action::Update, CertificateChange::Order { order, front, record, spared }))
}

/// The reload with which the front takes up files that somebody else has renewed.
pub fn reload(deployment: &Deployment, name: &HostName, chain: &Path) -> Option<Step> {
    let front = shown_by(deployment.exposure.mode)?;
    let reload = CertificateChange::Reload { name: name.clone(), chain: chain.to_owned(), front };
    Some(Step::new(PART, Action::Update, reload))
}

/// The order for a name.
pub fn certificate_order(
    layout: &Layout,
    deployment: &Deployment,
    name: &HostName,
    directory: Option<&AcmeDirectory>,
) -> CertificateOrder {
    let usual = deployment.tls.acme_directory.clone().unwrap_or_else(AcmeDirectory::lets_encrypt);
    let directory = directory.unwrap_or(&usual).clone();
    // An account belongs to one authority: that of a trial must not replace the one that is needed every day.
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

/// Plans the way back to direct mode: the pair that the front shows goes into GoToSocial's cache, unless the one there is valid
/// for as long. Where GoToSocial has to order its own, the second value warns of it.
///
/// # Errors
/// The host cannot be read.
pub fn back_to_autocert(wanted: Instance<'_>, service: Owner) -> Result<(Vec<Step>, Option<String>), Refusal> {
    let Instance { host, layout, deployment } = wanted;
    let name = &deployment.host;
    let cached = cached(host, layout, name)?;
    let shown = in_service(wanted, name)?.map(|kept| kept.bundle);
    let shown = shown.filter(|bundle| !is_placeholder(bundle.leaf()) && bundle.check(name, host.now()).is_ok());
    let pem = match shown {
        None => Err("there is no certificate that could be handed back".to_owned()),
        Some(shown) if cached.as_ref().is_some_and(|cached| !outlasts(&shown, cached)) => return Ok(Default::default()),
        Some(shown) => shown.autocert_pem().map_err(|_| {
            let kind = match shown.leaf().key {
                KeyType::Rsa => "an RSA key",
                KeyType::Ec => "a key that does not name its curve",
                KeyType::Other => "a key of another kind than EC",
            };
            format!("the certificate that the web server shows has {kind}, which GoToSocial does not keep")
        }),
    };
    let mut steps = Vec::new();
    match pem {
        Ok(pem) => {
            let certs = MakeDirectory { path: layout.certs(), mode: 0o750, owner: service };
            let file = WriteFile::new(certs.path.join(name.as_str()), pem.expose(), 0o600, service);
            steps.extend(put::missing_folder(host, PART, certs)?);
            steps.extend(put::file(host, PART, file)?);
            Ok((steps, None))
        }
        Err(_) if cached.is_some() => Ok((steps, None)),
        Err(why) => {
            let warning = format!(
                "{why}: GoToSocial orders its own when the first https request comes in, and answers none until it has it"
            );
            Ok((steps, Some(warning)))
        }
    }
}

/// Every file that we keep for certificates behind a front, before the folder that holds them: they go with the front.
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
fn kept_by_others(wanted: Instance<'_>, name: &HostName) -> Result<Option<Kept>, Refusal> {
    let Instance { host, deployment, .. } = wanted;
    if let Some(named) = &deployment.tls.files {
        let files = Certificate { chain: named.certificate.clone(), key: named.key.clone() };
        for path in [&files.chain, &files.key] {
            if host.read_from(path, Whose::Folder, 0, 0)?.is_none() {
                return Err(Refusal::CertificateMissing { path: path.clone() });
            }
        }
        let bundle = parsed(host, &files)?.unwrap_or(Err(BundleError::NoCertificate));
        match bundle.and_then(|bundle| bundle.check(name, host.now()).map(|()| bundle)) {
            Ok(bundle) => return Ok(Some(Kept { files, keeper: Keeper::Administrator, bundle })),
            // They need not be for the account domain too.
            Err(BundleError::OtherHost { .. }) if *name != deployment.host => {}
            Err(why) => return Err(Refusal::Certificate { path: files.chain, why }),
        }
    }
    let mut best: Option<Kept> = None;
    for (client, files) in acme_clients::find(host, name)? {
        let Some(bundle) = usable(host, &files, name)? else { continue };
        if best.as_ref().is_none_or(|best| outlasts(&bundle, &best.bundle)) {
            best = Some(Kept { files, keeper: Keeper::Client(client.to_owned()), bundle });
        }
    }
    Ok(best)
}

/// A pair, if both files exist.
fn parsed(host: &dyn Observe, files: &Certificate) -> Result<Option<Result<Bundle, BundleError>>, HostError> {
    let (chain, key) = (host.read_of(&files.chain, Whose::Folder)?, host.read_of(&files.key, Whose::Folder)?);
    Ok(chain.zip(key).map(|(chain, key)| Bundle::from_files(&key, &chain)))
}

/// A pair that exists and can serve.
fn usable(host: &dyn Observe, files: &Certificate, name: &HostName) -> Result<Option<Bundle>, HostError> {
    let bundle = parsed(host, files)?.and_then(Result::ok);
    Ok(bundle.filter(|bundle| bundle.check(name, host.now()).is_ok()))
}

/// The pair in GoToSocial's cache, if it can serve.
fn cached(host: &dyn Observe, layout: &Layout, name: &HostName) -> Result<Option<Bundle>, HostError> {
    let bytes = host.read_of(&layout.certs().join(name.as_str()), account::of_data(host)?)?;
    let bundle = bytes.and_then(|bytes| Bundle::from_pem(&bytes).ok());
    Ok(bundle.filter(|bundle| bundle.check(name, host.now()).is_ok()))
}
