//! The certificate authority of a rehearsal: it checks challenges through the model's web servers, counts failures, and
//! issues real certificates that nobody trusts.

use std::net::IpAddr;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use pem::Pem;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SerialNumber};
use serde_json::json;
use x509_parser::time::ASN1Time;

use super::super::{Carried, Host, HostError, Observe, WebAnswer, WebFailure, WebRequest};
use super::Rehearsal;
use super::machine::Machine;
use super::model::{Authority, Model};
use crate::certificate::acme::{Account, AcmeError, Challenge};
use crate::certificate::renewal::Window;
use crate::certificate::{Bundle, BundleError, CertificateAuthority};
use crate::deployment::{EmailAddress, HostName};
use crate::release::Sha256Digest;

/// Its name.
const NAME: &str = "Rehearsal of Let's Encrypt";
const KEYS: &str = include_str!("authority-keys.pem");
/// How long Let's Encrypt's certificates are valid, seconds.
const VALIDITY: u64 = 90 * 86_400;
/// The limit of failed validations per [`HOUR`].
const MOST_FAILURES: usize = 5;
const HOUR: u64 = 3600;
/// How long an order takes.
const ORDER: Duration = Duration::from_secs(5);
/// How long a client waits for a directory that does not answer.
const NO_ANSWER: Duration = Duration::from_secs(30);

/// The key of GoToSocial's own account, PEM.
pub(super) fn cached_account_key() -> Result<String, pem::PemError> {
    Ok(pem::parse_many(KEYS)?.last().map(pem::encode).unwrap_or_default())
}

impl CertificateAuthority for Rehearsal {
    fn register(&self, directory: &str, _email: Option<&EmailAddress>) -> Result<Account, AcmeError> {
        self.is_reached(directory)?;
        let key = KeyPair::generate().map_err(|error| AcmeError::Internal(error.to_string()))?.serialize_der();
        let (id, key) = (format!("{directory}/account/1"), BASE64URL_NOPAD.encode(&key));
        Account::from_json(&json!({ "id": id, "key_pkcs8": key, "directory": directory }).to_string())
    }

    fn order(
        &self,
        account: &Account,
        name: &HostName,
        _replaces: Option<&Bundle>,
        challenge: &mut dyn Challenge,
    ) -> Result<Bundle, AcmeError> {
        self.is_reached(account.directory())?;
        let bundle = self.issued(account, name, challenge);
        self.save().map_err(internal)?;
        bundle
    }

    fn renewal_window(&self, _account: &Account, _bundle: &Bundle) -> Result<Option<Window>, AcmeError> {
        Ok(self.machine.borrow().model.renewal_window.clone())
    }
}

impl Rehearsal {
    fn is_reached(&self, directory: &str) -> Result<(), AcmeError> {
        if self.machine.borrow().model.authority != Authority::Unreachable {
            return Ok(());
        }
        self.sleep(NO_ANSWER);
        Err(AcmeError::Unreachable(directory.to_owned(), "connection timed out".into()))
    }

    /// Issues a certificate after a challenge.
    fn issued(&self, account: &Account, name: &HostName, challenge: &mut dyn Challenge) -> Result<Bundle, AcmeError> {
        self.sleep(ORDER);
        self.check_limits(name)?;
        let token = digest(&format!("{name} {}", self.machine.borrow().model.clock));
        let answer = format!("{token}.{}", digest(account.directory()));
        let published =
            challenge.publish(&token, &answer).map_err(|error| AcmeError::Publish(name.to_string(), error.to_string()));
        let checked = published.and_then(|()| self.check(name, &token, &answer));
        challenge.withdraw(&token);
        checked?;
        Ok(self.issue_counted(name.as_str()).map_err(internal)??)
    }

    fn check_limits(&self, name: &HostName) -> Result<(), AcmeError> {
        let Model { authority, clock, failed_validations: failed, .. } = &mut self.machine.borrow_mut().model;
        failed.retain(|time| *time + HOUR > *clock);
        let (detail, wait) = match failed.first() {
            _ if *authority == Authority::RateLimited => {
                let what =
                    format!("too many certificates (5) already issued for this exact set of identifiers: [{name}]");
                (what, 34 * HOUR)
            }
            Some(first) if failed.len() >= MOST_FAILURES => {
                let what =
                    format!("too many failed authorizations ({MOST_FAILURES}) for \"{name}\" in the last 1h0m0s");
                (what, first + HOUR - *clock)
            }
            _ => return Ok(()),
        };
        Err(AcmeError::RateLimited(detail, Some(Duration::from_secs(wait))))
    }

    /// Looks for the answer at every address of the name.
    fn check(&self, name: &HostName, token: &str, answer: &str) -> Result<(), AcmeError> {
        if self.machine.borrow().model.authority == Authority::Private {
            return Ok(());
        }
        let addresses = self.machine.borrow().model.addresses_of(name.as_str());
        let path = format!("/.well-known/acme-challenge/{token}");
        let wrong = |address: IpAddr| {
            let request = WebRequest {
                tls: false,
                host: name.to_string(),
                address: Some((address, 80).into()),
                path: path.clone(),
                carries: Carried::default(),
                verify: false,
                timeout: ORDER,
            };
            let wrong = match self.web(&request) {
                Ok(WebAnswer { status: 200, body, .. }) if body == answer.as_bytes() => return None,
                Ok(WebAnswer { status: 200, .. }) => "The key authorization file from the server did not match".into(),
                Ok(WebAnswer { status, .. }) => format!("Invalid response from http://{name}{path}: {status}"),
                Err(WebFailure::Refused) => "Fetching the answer: Connection refused".into(),
                Err(_) => "Fetching the answer: Timeout during connect (likely firewall problem)".into(),
            };
            Some(format!("{address}: {wrong}"))
        };
        let unknown = addresses.is_empty().then(|| {
            format!("DNS problem: NXDOMAIN looking up A for {name} - check that a DNS record exists for this domain")
        });
        let Some(detail) = unknown.or(addresses.into_iter().find_map(wrong)) else { return Ok(()) };
        let model = &mut self.machine.borrow_mut().model;
        model.failed_validations.push(model.clock);
        Err(AcmeError::Challenge(name.to_string(), detail))
    }
}

fn internal(error: HostError) -> AcmeError {
    AcmeError::Internal(error.to_string())
}

fn digest(text: &str) -> String {
    Sha256Digest::of(text.as_bytes()).to_string()
}

/// Why GoToSocial's own order for `host` fails, in the words of its log.
pub(super) fn refuses_gotosocial(machine: &Machine, host: &str) -> Result<(), String> {
    let model = &machine.model;
    let addresses = model.addresses_of(host);
    match model.authority {
        Authority::Unreachable => {
            Err("Get \"https://acme-v02.api.letsencrypt.org/directory\": dial tcp: i/o timeout".into())
        }
        Authority::RateLimited => {
            Err(format!("429 urn:ietf:params:acme:error:rateLimited: too many certificates already issued for {host}"))
        }
        Authority::Issues if addresses.is_empty() || !addresses.iter().all(|it| model.addresses.contains(it)) => {
            Err(format!("acme: authorization error for {host}: 400 urn:ietf:params:acme:error:unauthorized"))
        }
        Authority::Issues | Authority::Private => Ok(()),
    }
}

/// Issues a certificate, and counts it.
pub(super) fn issue(machine: &mut Machine, name: &str) -> Result<Bundle, BundleError> {
    let Model { clock, issued, .. } = &mut machine.model;
    *issued += 1;
    signed(name, *clock, *clock + VALIDITY, *issued)
}

/// A certificate with its key and chain, the same for the same arguments.
pub(super) fn signed(name: &str, not_before: u64, not_after: u64, serial: u64) -> Result<Bundle, BundleError> {
    fn failed(error: impl ToString) -> BundleError {
        BundleError::Damaged(error.to_string())
    }
    let time = |seconds: u64| {
        let time = ASN1Time::from_timestamp(i64::try_from(seconds).unwrap_or(i64::MAX)).map_err(failed)?;
        Ok::<_, BundleError>(time.to_datetime())
    };
    let keys = pem::parse_many(KEYS).map_err(failed)?;
    let (own, others) = keys.split_first().ok_or(BundleError::NoKey)?;
    let key = |block: &Pem| KeyPair::from_pem(&pem::encode(block)).map_err(failed);
    let mut ca = CertificateParams::new(Vec::new()).map_err(failed)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.serial_number = Some(SerialNumber::from(1));
    ca.distinguished_name = DistinguishedName::new();
    ca.distinguished_name.push(DnType::CommonName, NAME);
    let own = key(own)?;
    let root = ca.self_signed(&own).map_err(failed)?;
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
    leaf.distinguished_name = DistinguishedName::new();
    leaf.serial_number = Some(SerialNumber::from(serial));
    leaf.use_authority_key_identifier_extension = true;
    (leaf.not_before, leaf.not_after) = (time(not_before)?, time(not_after)?);
    let key = key(&others[usize::try_from(serial).map_err(failed)? % others.len()])?;
    let certificate = leaf.signed_by(&key, &Issuer::new(ca, own)).map_err(failed)?;
    Bundle::from_files(key.serialize_pem().as_bytes(), format!("{}{}", certificate.pem(), root.pem()).as_bytes())
}
