//! An order on a host: with the account that is kept there, and the challenge answered from the front's folder.

use super::Bundle;
use super::acme::{self, Account, AcmeError, Authority};
use super::renewal::Window;
use super::webroot::Webroot;
use crate::host::{CertificateOrder, Host, HostError, IssuedCertificate, Observe, Owner};

/// Orders a certificate from the authority that the order names. Nothing is written but the account, if it is new, and the
/// answer to the challenge for as long as it is needed.
///
/// # Errors
/// See [`AcmeError`]; or a file cannot be read or written.
pub fn order(host: &dyn Host, order: &CertificateOrder) -> Result<IssuedCertificate, HostError> {
    order_from(host, &Authority::new(order.directory.as_str())?, order)
}

/// The same with an authority that is to be talked to in a way of its own.
///
/// # Errors
/// As for [`order`].
pub fn order_from(
    host: &dyn Host,
    authority: &Authority,
    order: &CertificateOrder,
) -> Result<IssuedCertificate, HostError> {
    let account = match kept(host, authority, order)? {
        Some(account) => account,
        None => {
            let made = acme::register(authority, order.email.as_ref())?;
            host.write_file(&order.account, made.to_json().expose().as_bytes(), 0o600, Owner::ROOT)?;
            made
        }
    };
    let old = replaced(host, order)?;
    let mut webroot = Webroot::new(host, &order.name, &order.webroot, order.http);
    let names = [order.name.clone()];
    let issued = acme::order(authority, &account, &names, old.as_ref(), &mut webroot, &mut |_| {})?;
    Ok(IssuedCertificate { chain: issued.chain_pem(), key: issued.key_pem() })
}

/// When the authority would like the certificate at the order's `chain` renewed (ARI); `None` where it has no opinion, or
/// does not know us.
///
/// # Errors
/// As for [`order`].
pub fn window(host: &dyn Observe, order: &CertificateOrder) -> Result<Option<Window>, HostError> {
    let authority = Authority::new(order.directory.as_str())?;
    let (Some(account), Some(bundle)) = (kept(host, &authority, order)?, replaced(host, order)?) else {
        return Ok(None);
    };
    Ok(acme::renewal_window(&authority, &account, &bundle)?)
}

/// The account that is kept, if it is one at this authority.
fn kept(host: &dyn Observe, authority: &Authority, order: &CertificateOrder) -> Result<Option<Account>, HostError> {
    let Some(bytes) = host.read(&order.account)? else { return Ok(None) };
    let text = String::from_utf8(bytes)
        .map_err(|_| AcmeError::AccountFile { reason: format!("{} is not text", order.account.display()) })?;
    let account = Account::from_json(&text)?;
    // The answers may name another authority meanwhile.
    Ok(Some(account).filter(|account| account.directory() == authority.directory()))
}

/// What is to be replaced. A pair that cannot be read is none.
fn replaced(host: &dyn Observe, order: &CertificateOrder) -> Result<Option<Bundle>, HostError> {
    let (key, chain) = (host.read(&order.key)?, host.read(&order.chain)?);
    Ok(key.zip(chain).and_then(|(key, chain)| Bundle::from_files(&key, &chain).ok()))
}
