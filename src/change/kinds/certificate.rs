//! Changes of the certificate that a front shows: a placeholder, an order, and the reload after somebody else has renewed it.
//!
//! The pair that was there is kept beside the new one, as `NAME.previous.pem` and `NAME.previous.key`, until the next order.
//! The journal has digests of it alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::webroot::{self, Webroot};
use crate::certificate::acme::{Account, AcmeError};
use crate::certificate::placeholder::placeholder;
use crate::certificate::record::Records;
use crate::certificate::renewal::Window;
use crate::certificate::{Bundle, CertificateAuthority};
use crate::change::kind::prelude::*;
use crate::deployment::{AcmeDirectory, EmailAddress, HostName};
use crate::host::{Observe, ServiceAction, WebRequest, Whose};
use crate::shown::Shown;

/// So often it is looked whether the front shows the new certificate, a second apart: its reload does not wait for the
/// processes that serve.
const LOOKS: u32 = 10;

/// A change of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum CertificateChange {
    /// A certificate that signs itself, with which a front can start.
    Placeholder {
        /// For which name.
        name: HostName,
        /// Where the certificate goes.
        chain: PathBuf,
        /// Where its key goes.
        key: PathBuf,
    },
    /// An order, be it the first or a renewal. The old pair is back in service if the new one does not come to be shown.
    Order {
        /// What is ordered; its `chain` and `key` are where the new ones go.
        order: CertificateOrder,
        /// Who shows it.
        front: ShownBy,
        /// Where a failure is remembered; `None` where the whole command will be taken back.
        record: Option<PathBuf>,
        /// Whether a failure is only told: what was there before is back, and the order can be made later.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        spared: bool,
    },
    /// A reload of the front for files that somebody else has renewed.
    Reload {
        /// For which name.
        name: HostName,
        /// The certificate that is to be shown then.
        chain: PathBuf,
        /// Who shows it.
        front: ShownBy,
    },
}

/// A certificate that is ordered (RFC 8555) with the challenge HTTP-01, for one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateOrder {
    /// The name.
    pub name: HostName,
    /// The authority.
    pub directory: AcmeDirectory,
    /// The address that the authority may write to; it learns of it when the account is made.
    pub email: Option<EmailAddress>,
    /// The account's file, mode 0600. Where there is none, an account is made, and kept there before anything is ordered.
    pub account: PathBuf,
    /// The folder of which the front serves `.well-known/acme-challenge/TOKEN`.
    pub webroot: PathBuf,
    /// Where the front answers http on this host: the challenge is tried there before the authority looks.
    pub http: SocketAddr,
    /// The certificate with its chain that is to be replaced; need not be there.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The front that shows a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownBy {
    /// Its rc.d script.
    pub service: String,
    /// Where it answers https on this host.
    pub https: SocketAddr,
}

/// What is in the files of a pair.
type Contents = [Option<Vec<u8>>; 2];

/// Two files: a certificate with its chain, and its key.
struct Pair([PathBuf; 2]);

impl Pair {
    fn new(chain: &Path, key: &Path) -> Self {
        Self([chain, key].map(Path::to_owned))
    }

    fn previous(&self) -> Self {
        Self(self.0.each_ref().map(|path| {
            let (stem, ending) = (path.file_stem().unwrap_or_default(), path.extension().unwrap_or_default());
            path.with_file_name(format!("{}.previous.{}", stem.display(), ending.display()))
        }))
    }

    fn read(&self, host: &dyn Observe) -> Result<Contents, HostError> {
        let Self([chain, key]) = self;
        Ok([host.read(chain)?, host.read(key)?])
    }

    /// Writes both, key first, or removes what there is none of.
    fn write(&self, host: &dyn Host, contents: [Option<&[u8]>; 2]) -> Result<(), HostError> {
        for ((path, bytes), mode) in self.0.iter().zip(contents).zip([0o644, 0o600]).rev() {
            match bytes {
                Some(bytes) => host.write_file(path, bytes, mode, Owner::ROOT)?,
                None => host.remove(path)?,
            }
        }
        Ok(())
    }

    fn put(&self, host: &dyn Host, bundle: &Bundle) -> Result<(), HostError> {
        self.write(host, [Some(bundle.chain_pem().as_bytes()), Some(bundle.key_pem().expose().as_bytes())])
    }

    /// Keeps a copy of the pair that is there, and returns it.
    fn keep(&self, host: &dyn Host) -> Result<Contents, HostError> {
        let there = self.read(host)?;
        self.previous().write(host, there.each_ref().map(Option::as_deref))?;
        Ok(there)
    }
}

/// The digests of a pair.
fn digests(contents: &Contents) -> [Option<String>; 2] {
    contents.each_ref().map(|bytes| bytes.as_deref().map(digest))
}

impl CertificateOrder {
    /// Orders the certificate. Nothing is written but the account, if it is new, and the answer to the challenge for as long as
    /// it is needed.
    fn place(&self, executor: &Executor<'_>) -> Result<Bundle, Failure> {
        let host = executor.host;
        let authority = executor.authority.ok_or("no authority to order a certificate from")?;
        let account = match self.kept_account(host)? {
            Some(account) => account,
            None => {
                let made = authority.register(self.directory.as_str(), self.email.as_ref())?;
                host.write_file(&self.account, made.to_json().expose().as_bytes(), 0o600, Owner::ROOT)?;
                made
            }
        };
        let old = self.replaced(host)?;
        let mut webroot = Webroot::new(host, &self.name, &self.webroot, self.http);
        Ok(authority.order(&account, &self.name, old.as_ref(), &mut webroot)?)
    }

    /// When the authority would like the certificate renewed (ARI); `None` where it has no opinion, or does not know us.
    ///
    /// # Errors
    /// A file cannot be read, or the authority not be asked.
    pub fn renewal_window(
        &self,
        host: &dyn Observe,
        authority: &dyn CertificateAuthority,
    ) -> Result<Option<Window>, Failure> {
        let (Some(account), Some(bundle)) = (self.kept_account(host)?, self.replaced(host)?) else { return Ok(None) };
        Ok(authority.renewal_window(&account, &bundle)?)
    }

    /// The account that is kept, if it is one at this authority: the answers may name another one meanwhile.
    fn kept_account(&self, host: &dyn Observe) -> Result<Option<Account>, Failure> {
        let Some(bytes) = host.read(&self.account)? else { return Ok(None) };
        let text = String::from_utf8(bytes)
            .map_err(|_| AcmeError::AccountFile(format!("{} is not text", self.account.shown())))?;
        Ok(Some(Account::from_json(&text)?).filter(|account| account.directory() == self.directory.as_str()))
    }

    /// What is to be replaced. A pair that cannot be read is none.
    fn replaced(&self, host: &dyn Observe) -> Result<Option<Bundle>, HostError> {
        let [chain, key] = self.pair().read(host)?;
        Ok(key.zip(chain).and_then(|(key, chain)| Bundle::from_files(&key, &chain).ok()))
    }

    fn pair(&self) -> Pair {
        Pair::new(&self.chain, &self.key)
    }

    /// Orders the certificate, and has the front show it. If it does not, the pair that was there before is back in service.
    fn renew(&self, executor: &Executor<'_>, front: &ShownBy) -> Result<(), Failure> {
        let host = executor.host;
        let bundle = self.place(executor)?;
        // The authority's clock may be a little ahead.
        bundle.check(&self.name, host.now().max(bundle.leaf().not_before))?;
        let pair = self.pair();
        let before = pair.keep(host)?;
        let leaf = digest(bundle.leaf_der());
        let shown =
            pair.put(host, &bundle).map_err(Failure::from).and_then(|()| reload(host, front, &self.name, &leaf));
        let Err(failure) = shown else { return Ok(()) };
        let back = pair.write(host, before.each_ref().map(Option::as_deref)).and_then(|()| {
            // Apache does not survive a reload that fails.
            let running = host.service(&front.service)?.is_running();
            host.service_action(&front.service, if running { ServiceAction::Reload } else { ServiceAction::Start })
        });
        Err(failure.and(match back {
            Ok(()) => "; the certificate that was there before is in service again".to_owned(),
            Err(error) => format!("; and the previous certificate could not be put back into service: {error}"),
        }))
    }
}

impl CertificateChange {
    /// The files that the change replaces.
    fn pair(&self) -> Option<Pair> {
        match self {
            Self::Placeholder { chain, key, .. } => Some(Pair::new(chain, key)),
            Self::Order { order, .. } => Some(order.pair()),
            Self::Reload { .. } => None,
        }
    }
}

impl Kind for CertificateChange {
    named!(ErrorCode::Acme, "certificate", "certificate", "tls");

    fn target(&self) -> String {
        match self {
            Self::Placeholder { name, .. } | Self::Reload { name, .. } => name.to_string(),
            Self::Order { order, .. } => order.name.to_string(),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Placeholder { .. } => {
                "a placeholder that no client trusts, until a certificate is obtained".to_owned()
            }
            Self::Order { order, front, .. } => {
                format!("ordered from {}; {} reloads and is checked to serve it", order.directory, front.service)
            }
            Self::Reload { chain, front, .. } => {
                format!("{} reloads and is checked to serve {}", front.service, chain.shown())
            }
        }
    }

    fn leaves(&self) -> Vec<(Thing, Left)> {
        self.pair().into_iter().flat_map(|pair| pair.0).map(|path| (Thing::Path(path), Left::Edited)).collect()
    }

    fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        let Some(pair) = self.pair() else { return Ok(Prior::Present) };
        let account = match self {
            Self::Order { order, .. } => host.entry(&order.account)?.is_some(),
            _ => true,
        };
        Ok(Prior::Pair { digests: Box::new(digests(&pair.read(host)?)), account })
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let host = executor.host;
        match self {
            Self::Placeholder { name, chain, key } => {
                let made = placeholder(name, host.now()).map_err(|error| error.to_string())?;
                let pair = Pair::new(chain, key);
                pair.keep(host)?;
                Ok(pair.put(host, &made)?)
            }
            Self::Order { order, front, record, spared } => {
                let renewed = order.renew(executor, front);
                let failure = renewed.as_ref().err();
                let noted = record.as_ref().map_or(Ok(()), |file| remember(host, file, order.name.as_str(), failure));
                match (renewed, noted) {
                    // The failure itself is what matters.
                    (Err(failure), Err(error)) => Err(failure.and(format!(" (and that could not be noted: {error})"))),
                    (Ok(()), Err(error)) => Err(error.into()),
                    (Err(failure), Ok(())) if *spared => {
                        executor.operator.note(&format!(
                            "there is no certificate for {} yet, and other servers do not trust the one served for it: \
                             {failure}. The program tries again each day; `gts-bootstrap certificate renew` tries at once",
                            order.name
                        ));
                        Ok(())
                    }
                    (renewed, Ok(())) => renewed,
                }
            }
            Self::Reload { name, chain, front } => {
                let bytes = host.read_of(chain, Whose::Folder)?.unwrap_or_default();
                let leaf = leaf_digest(&bytes).ok_or_else(|| format!("{} holds no certificate", chain.shown()))?;
                reload(host, front, name, &leaf)
            }
        }
    }

    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        let (Some(pair), Prior::Pair { digests: was, account }) = (self.pair(), prior) else { return Ok(()) };
        let (previous, had_one) = (pair.previous(), **was != [None, None]);
        let kept = previous.read(host)?;
        let kept_digests = digests(&kept);
        if digests(&pair.read(host)?) != **was {
            if !had_one {
                pair.write(host, [None, None])?;
            } else if kept_digests == **was {
                pair.write(host, kept.each_ref().map(Option::as_deref))?;
                if let Self::Order { front, .. } = self {
                    back_in_service(host, &front.service)?;
                }
            } else {
                let text = "it is not the certificate that was there before";
                return Err(HostError::unreadable(previous.0[0].shown(), text));
            }
        }
        // Also one of the two alone: the copying may have been cut off between them.
        for ((path, kept), was) in previous.0.iter().zip(&kept_digests).zip(was.iter()) {
            if kept.is_some() && kept == was {
                host.remove(path)?;
            }
        }
        let Self::Order { order, .. } = self else { return Ok(()) };
        // Answers to a challenge that nobody asks for any more.
        let challenges = webroot::challenges(&order.webroot);
        for name in host.list(&challenges)? {
            host.remove(&challenges.join(name))?;
        }
        if *account { Ok(()) } else { host.remove(&order.account) }
    }

    fn folders(&self) -> Vec<PathBuf> {
        let files: Vec<&Path> = match self {
            Self::Placeholder { chain, key, .. } => vec![chain, key],
            Self::Order { order, record, .. } => {
                [order.chain.as_path(), &order.key, &order.account].into_iter().chain(record.as_deref()).collect()
            }
            Self::Reload { .. } => Vec::new(),
        };
        files.into_iter().flat_map(above).collect()
    }
}

/// Has a front read the pair that was there before. After a power cut between the two files it could not start at the boot.
fn back_in_service(host: &dyn Host, service: &str) -> Result<(), HostError> {
    if host.service(service)?.is_running() {
        return host.service_action(service, ServiceAction::Reload);
    }
    if host.rc_is_yes(&format!("{service}_enable"))? {
        return host.service_action(service, ServiceAction::Start);
    }
    Ok(())
}

/// Notes how an order ended.
fn remember(host: &dyn Host, file: &Path, name: &str, failure: Option<&Failure>) -> Result<(), HostError> {
    let mut records = Records::read(host.read(file)?.as_deref());
    let asked_wait = |failure: &Failure| match failure {
        Failure::Acme(error) => error.retry_after().map(|wait| wait.as_secs()),
        _ => None,
    };
    records.note(name, host.now(), failure.map(|failure| (failure.to_string(), asked_wait(failure))));
    host.write_file(file, &records.write(), 0o600, Owner::ROOT)
}

/// SHA-256 of the first certificate of a chain.
pub fn leaf_digest(chain: &[u8]) -> Option<String> {
    let blocks = pem::parse_many(chain).ok()?;
    blocks.iter().find(|block| block.tag() == "CERTIFICATE").map(|block| digest(block.contents()))
}

/// Which certificate a front shows for a name: SHA-256 of the leaf. `None` if it shows none.
pub fn shown(host: &dyn Observe, https: SocketAddr, name: &HostName) -> Option<String> {
    let request = WebRequest::to(https, true, name.as_str(), "/", Duration::from_secs(10));
    host.web(&request).ok()?.certificate.map(|certificate| certificate.sha256)
}

/// Has the front reload, and waits until it shows the certificate.
fn reload(host: &dyn Host, front: &ShownBy, name: &HostName, leaf: &str) -> Result<(), Failure> {
    host.service_action(&front.service, ServiceAction::Reload)?;
    for look in 0..LOOKS {
        if look > 0 {
            host.sleep(Duration::from_secs(1));
        }
        if shown(host, front.https, name).as_deref() == Some(leaf) {
            return Ok(());
        }
    }
    let ShownBy { service, https } = front;
    refuse!(
        "{service} was reloaded but does not serve the new certificate for {name} at {https}; its error log says why"
    )
}
