//! The certificate authority of a rehearsal: it checks challenges through the model's web server, counts failures, and
//! issues real certificates that nobody trusts.

use std::time::Duration;

use pem::Pem;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SerialNumber};
use serde_json::json;
use x509_parser::time::ASN1Time;

use super::super::{Host, HostError, Observe, WebAnswer, WebFailure, WebRequest};
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
/// So many failed validations in [`HOUR`] are the limit.
const MOST_FAILURES: usize = 5;
const HOUR: u64 = 3600;
/// How long an order takes.
const ORDER: Duration = Duration::from_secs(5);
/// How long the directory is waited for where nobody answers.
const NO_ANSWER: Duration = Duration::from_secs(30);

impl CertificateAuthority for Rehearsal {
    fn register(&self, directory: &str, _email: Option<&EmailAddress>) -> Result<Account, AcmeError> {
        self.is_reached(directory)?;
        Account::from_json(
            &json!({ "directory": directory, "rehearsal": "stands for the key of an account" }).to_string(),
        )
    }

    fn order(
        &self,
        account: &Account,
        name: &HostName,
        _replaces: Option<&Bundle>,
        challenge: &mut dyn Challenge,
    ) -> Result<Bundle, AcmeError> {
        self.is_reached(account.directory())?;
        let bundle = issued(self, account, name, challenge);
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
}

fn internal(error: HostError) -> AcmeError {
    AcmeError::Internal(error.to_string())
}

/// Issues a certificate once the challenge has been answered.
fn issued(
    host: &Rehearsal,
    account: &Account,
    name: &HostName,
    challenge: &mut dyn Challenge,
) -> Result<Bundle, AcmeError> {
    host.sleep(ORDER);
    if let Some(refusal) = limit(host, name) {
        return Err(refusal);
    }
    let token = digest(&format!("{name} {}", host.machine.borrow().model.clock));
    let answer = format!("{token}.{}", digest(account.directory()));
    let published =
        challenge.publish(&token, &answer).map_err(|error| AcmeError::Publish(name.to_string(), error.to_string()));
    let checked = published.and_then(|()| check(host, name, &token, &answer));
    challenge.withdraw(&token);
    checked?;
    Ok(host.issue_counted(name.as_str()).map_err(internal)??)
}

fn digest(text: &str) -> String {
    Sha256Digest::of(text.as_bytes()).to_string()
}

/// The limits of the authority.
fn limit(host: &Rehearsal, name: &HostName) -> Option<AcmeError> {
    let model = &mut host.machine.borrow_mut().model;
    if model.authority == Authority::RateLimited {
        let detail = format!("too many certificates (5) already issued for this exact set of identifiers: [{name}]");
        return Some(AcmeError::RateLimited(detail, Some(Duration::from_secs(34 * HOUR))));
    }
    let clock = model.clock;
    model.failed_validations.retain(|time| time + HOUR > clock);
    let first = *model.failed_validations.first().filter(|_| model.failed_validations.len() >= MOST_FAILURES)?;
    let detail = format!("too many failed authorizations ({MOST_FAILURES}) for \"{name}\" in the last 1h0m0s");
    Some(AcmeError::RateLimited(detail, Some(Duration::from_secs(first + HOUR - clock))))
}

/// Looks for the answer at every address of the name.
fn check(host: &Rehearsal, name: &HostName, token: &str, answer: &str) -> Result<(), AcmeError> {
    let addresses = host.resolve(name.as_str());
    let path = format!("/.well-known/acme-challenge/{token}");
    let mut detail = addresses.is_empty().then(|| {
        format!("DNS problem: NXDOMAIN looking up A for {name} - check that a DNS record exists for this domain")
    });
    for address in addresses {
        let request = WebRequest {
            tls: false,
            host: name.to_string(),
            address: Some((address, 80).into()),
            path: path.clone(),
            verify: false,
            timeout: ORDER,
        };
        let wrong = match host.web(&request) {
            Ok(WebAnswer { status: 200, body, .. }) if body == answer.as_bytes() => continue,
            Ok(WebAnswer { status: 200, .. }) => "The key authorization file from the server did not match".to_owned(),
            Ok(WebAnswer { status, .. }) => format!("Invalid response from http://{name}{path}: {status}"),
            Err(WebFailure::Refused) => "Fetching the answer: Connection refused".to_owned(),
            Err(_) => "Fetching the answer: Timeout during connect (likely firewall problem)".to_owned(),
        };
        detail.get_or_insert(format!("{address}: {wrong}"));
    }
    let Some(detail) = detail else { return Ok(()) };
    let model = &mut host.machine.borrow_mut().model;
    model.failed_validations.push(model.clock);
    Err(AcmeError::Challenge(name.to_string(), detail))
}

/// Why GoToSocial's own order for `host` fails, in the words of its log.
pub(super) fn refuses_gotosocial(machine: &Machine, host: &str) -> Result<(), String> {
    match machine.model.authority {
        Authority::Unreachable => {
            return Err("Get \"https://acme-v02.api.letsencrypt.org/directory\": dial tcp: i/o timeout".into());
        }
        Authority::RateLimited => {
            return Err(format!(
                "429 urn:ietf:params:acme:error:rateLimited: too many certificates already issued for {host}"
            ));
        }
        Authority::Issues => {}
    }
    let addresses = machine.model.addresses_of(host);
    let here = !addresses.is_empty() && addresses.iter().all(|address| machine.model.addresses.contains(address));
    if !here {
        return Err(format!("acme: authorization error for {host}: 400 urn:ietf:params:acme:error:unauthorized"));
    }
    Ok(())
}

/// Issues a certificate, and counts it.
pub(super) fn issue(machine: &mut Machine, name: &str) -> Result<Bundle, BundleError> {
    let Model { clock, issued, .. } = &mut machine.model;
    *issued += 1;
    signed(name, *clock, *clock + VALIDITY, *issued)
}

/// A certificate with its key and chain, the same for the same arguments.
pub(super) fn signed(name: &str, not_before: u64, not_after: u64, serial: u64) -> Result<Bundle, BundleError> {
    let failed = |error: rcgen::Error| BundleError::Damaged(error.to_string());
    let time = |seconds: u64| {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        ASN1Time::from_timestamp(seconds)
            .map(|time| time.to_datetime())
            .map_err(|error| BundleError::Damaged(error.to_string()))
    };
    let keys: Vec<String> =
        pem::parse_many(KEYS).unwrap_or_default().iter().map(|block: &Pem| pem::encode(block)).collect();
    let (own, others) = keys.split_first().ok_or(BundleError::NoKey)?;
    let mut ca = CertificateParams::new(Vec::new()).map_err(failed)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.serial_number = Some(SerialNumber::from(1));
    ca.distinguished_name = DistinguishedName::new();
    ca.distinguished_name.push(DnType::CommonName, NAME);
    let own = KeyPair::from_pem(own).map_err(failed)?;
    let root = ca.self_signed(&own).map_err(failed)?;
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
    leaf.distinguished_name = DistinguishedName::new();
    leaf.serial_number = Some(SerialNumber::from(serial));
    leaf.use_authority_key_identifier_extension = true;
    (leaf.not_before, leaf.not_after) = (time(not_before)?, time(not_after)?);
    let index = usize::try_from(serial).unwrap_or(0).checked_rem(others.len()).ok_or(BundleError::NoKey)?;
    let key = others.get(index).ok_or(BundleError::NoKey)?;
    let key = KeyPair::from_pem(key).map_err(failed)?;
    let certificate = leaf.signed_by(&key, &Issuer::new(ca, own)).map_err(failed)?;
    Bundle::from_files(key.serialize_pem().as_bytes(), format!("{}{}", certificate.pem(), root.pem()).as_bytes())
}
