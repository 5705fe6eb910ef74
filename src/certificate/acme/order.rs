//! The child's errands: an account, an order from the request to the certificate, and the question when a certificate should
//! be renewed.

use std::time::Duration;

use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error as Underlying,
    Identifier, Key, NewAccount, NewOrder, Order, OrderStatus,
};
use rustls::pki_types::CertificateDer;

use super::error::{detail, kind, translate};
use super::role::Root;
use super::transport::Transport;
use super::{AcmeError, Internet, is_token, persistently};
use crate::certificate::bundle::read_chain;
use crate::certificate::renewal::Window;
use crate::deployment::HostName;

/// The longest pause between two looks at an order, unless the authority asks for a longer one.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

fn builder(transport: &Transport) -> AccountBuilder {
    Account::builder_with_http(Box::new(transport.clone()))
}

/// Makes an account, agrees to the authority's terms of service, and returns the account's URL.
pub(super) async fn register(transport: &Transport, contact: Option<&str>) -> Result<String, AcmeError> {
    let wanted = NewAccount { contact: contact.as_slice(), terms_of_service_agreed: true, only_return_existing: false };
    let directory = &transport.directory;
    let made = persistently(async || builder(transport).create(&wanted, directory.clone(), None).await).await;
    made.map(|(account, _)| account.id().to_owned()).map_err(|error| translate(error, transport, None))
}

/// Opens an account for use, which fetches the directory. The library wants a key; the one that counts is root's.
async fn open(transport: &Transport, url: String) -> Result<Account, AcmeError> {
    let failed = |error| translate(error, transport, None);
    let (_, key) = Key::generate_pkcs8().map_err(failed)?;
    builder(transport).from_parts(url, key, transport.directory.clone()).await.map_err(failed)
}

/// When the authority would like a certificate renewed (ARI).
pub(super) async fn renewal_window(
    transport: &Transport,
    account: String,
    certificate: Vec<u8>,
) -> Result<Option<Window>, AcmeError> {
    // Without an authority key identifier a certificate cannot be asked about (RFC 9773, section 4.1).
    let Some(identifier) = identifier(certificate) else { return Ok(None) };
    match open(transport, account).await?.renewal_info(&identifier).await {
        Ok((info, ask_again)) => {
            let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
            Ok(Some(Window {
                start: seconds(info.suggested_window.start.unix_timestamp()),
                end: seconds(info.suggested_window.end.unix_timestamp()),
                ask_again: ask_again.as_secs(),
            }))
        }
        Err(Underlying::Unsupported(_)) => Ok(None),
        Err(error) => Err(translate(error, transport, Some("the renewal"))),
    }
}

/// What an authority calls a certificate (DER), RFC 9773, section 4.1.
fn identifier(certificate: Vec<u8>) -> Option<CertificateIdentifier<'static>> {
    CertificateIdentifier::try_from(&CertificateDer::from(certificate)).ok()
}

/// An order on its way.
pub(super) struct Course<'a> {
    internet: &'a Internet,
    transport: &'a Transport,
    root: &'a Root,
    name: &'a HostName,
    /// What is being done, in words.
    step: String,
}

impl<'a> Course<'a> {
    pub(super) fn new(internet: &'a Internet, transport: &'a Transport, root: &'a Root, name: &'a HostName) -> Self {
        Self { internet, transport, root, name, step: String::new() }
    }

    /// Orders a certificate for a certificate signing request (DER), and returns its chain (PEM).
    pub(super) async fn run(
        mut self,
        account: String,
        request: &[u8],
        replaces: Option<Vec<u8>>,
    ) -> Result<String, AcmeError> {
        let limit = self.internet.order;
        let whole = tokio::time::timeout(limit, self.steps(account, request, replaces)).await;
        whole.unwrap_or(Err(AcmeError::Slow(self.step, limit)))
    }

    async fn steps(&mut self, account: String, request: &[u8], replaces: Option<Vec<u8>>) -> Result<String, AcmeError> {
        self.step = "asking the certificate authority for its directory".into();
        let account = open(self.transport, account).await?;
        self.step = "placing the order".into();
        let mut order = self.place(&account, replaces).await?;
        self.answer(&mut order).await?;
        self.step = "waiting for the certificate authority to check the answer".into();
        self.wait(&mut order, |status| matches!(status, OrderStatus::Ready | OrderStatus::Valid)).await?;
        self.step = "waiting for the certificate authority to issue the certificate".into();
        self.issue(&mut order, request).await
    }

    fn refused(&self, error: Underlying) -> AcmeError {
        translate(error, self.transport, Some(self.name.as_str()))
    }

    fn invalid(&self, detail: String) -> AcmeError {
        AcmeError::Invalid(self.name.to_string(), detail)
    }

    /// Places the order. An authority may know nothing of the certificate to be replaced, or hold it for another account's:
    /// then it is ordered as if there were none.
    async fn place(&self, account: &Account, replaces: Option<Vec<u8>>) -> Result<Order, AcmeError> {
        let identifiers = [Identifier::Dns(self.name.to_string())];
        if let Some(old) = replaces.and_then(identifier) {
            let attempt = async || account.new_order(&NewOrder::new(&identifiers).replaces(old.clone())).await;
            match persistently(attempt).await {
                Ok(order) => return Ok(order),
                // No request was made: the authority's directory has no ARI.
                Err(Underlying::Unsupported(_)) => {}
                // The order was made, but without the mark that was asked for.
                Err(Underlying::Other(error)) if !error.is::<AcmeError>() => {}
                Err(Underlying::Api(problem)) if !matches!(kind(&problem), "rateLimited" | "accountDoesNotExist") => {}
                Err(error) => return Err(self.refused(error)),
            }
        }
        let order = persistently(async || account.new_order(&NewOrder::new(&identifiers)).await);
        order.await.map_err(|error| self.refused(error))
    }

    /// Publishes what the authority wants to see, and tells it to look.
    async fn answer(&mut self, order: &mut Order) -> Result<(), AcmeError> {
        // Fetched first and walked through then: a refused nonce in the middle would leave one out.
        let fetched = persistently(async || {
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                authorization?;
            }
            Ok(())
        });
        fetched.await.map_err(|error| self.refused(error))?;
        let mut refusal = None;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.refused(error))?;
            let name = authorization.identifier().to_string();
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                _ => return Err(self.invalid(format!("its authorization for {name} is no longer open"))),
            }
            let Some(mut wanted) = authorization.challenge(ChallengeType::Http01) else {
                return Err(AcmeError::NoHttp01(name));
            };
            let token = wanted.token.clone();
            if !is_token(&token) {
                return Err(AcmeError::Token(name));
            }
            self.step = format!("publishing the answer to the challenge for {name}");
            self.root.publish(&token)?;
            if let Err(error) = persistently(async || wanted.set_ready().await).await {
                refusal = Some(error);
                break;
            }
        }
        let Some(error) = refusal else { return Ok(()) };
        // An authority may be so quick that its answer already says what is wrong with ours.
        match persistently(async || order.refresh().await.map(|_| ())).await {
            Ok(()) if order.state().status == OrderStatus::Invalid => Err(self.why_invalid(order).await),
            _ => Err(self.refused(error)),
        }
    }

    /// Looks at the order until `done`.
    async fn wait(&self, order: &mut Order, done: impl Fn(OrderStatus) -> bool) -> Result<(), AcmeError> {
        let mut pause = self.internet.look;
        while !done(order.state().status) {
            if order.state().status == OrderStatus::Invalid {
                return Err(self.why_invalid(order).await);
            }
            tokio::time::sleep(self.transport.asked_wait().unwrap_or_default().max(pause)).await;
            pause = (pause * 2).min(LONGEST_LOOK);
            let looked = persistently(async || order.refresh().await.map(|_| ()));
            looked.await.map_err(|error| self.refused(error))?;
        }
        Ok(())
    }

    /// The authority's own words on what went wrong: they stand with the challenge, or with the order.
    async fn why_invalid(&self, order: &mut Order) -> AcmeError {
        let of_order = order.state().error.as_ref().map(detail);
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if persistently(async || authorization.refresh().await.map(|_| ())).await.is_err() {
                continue;
            }
            if let Some(problem) = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
                return AcmeError::Challenge(authorization.identifier().to_string(), detail(problem));
            }
        }
        self.invalid(of_order.unwrap_or_else(|| "it gives no reason".into()))
    }

    /// Has the certificate issued, and fetches it.
    async fn issue(&self, order: &mut Order, request: &[u8]) -> Result<String, AcmeError> {
        persistently(async || order.finalize_csr(request).await).await.map_err(|error| self.refused(error))?;
        self.wait(order, |status| status == OrderStatus::Valid).await?;
        let chain = persistently(async || order.certificate().await).await.map_err(|error| self.refused(error))?;
        Ok(read_chain(chain.unwrap_or_default().as_bytes())?)
    }
}
