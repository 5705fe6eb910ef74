//! An order, from the request to the certificate; and the question when one should be renewed.

use std::cell::RefCell;
use std::time::Duration;

use instant_acme::{
    AuthorizationStatus, CertificateIdentifier, ChallengeType, Error as Underlying, Identifier, NewOrder, Order,
    OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::error::{Doing, detail, kind, translate};
use super::transport::Transport;
use super::{Account, AcmeError, Authority, Challenge, Step, persistently, run};
use crate::certificate::Bundle;
use crate::certificate::renewal::Window;
use crate::deployment::HostName;

/// The longest pause between two looks at an order, unless the authority asks for a longer one.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// Orders a certificate for `names`, with a new key (P-256). `replaces` is the certificate that it is to take the place of,
/// which the authority is told if it wants to know (ARI: such orders are exempt from some of Let's Encrypt's limits).
///
/// # Errors
/// The authority cannot be reached, refuses, or did not get the right answer to its challenge. Nothing has changed but that
/// the answer to the challenge was served for a while.
pub fn order(
    authority: &Authority,
    account: &Account,
    names: &[HostName],
    replaces: Option<&Bundle>,
    challenge: &mut dyn Challenge,
    progress: &mut dyn FnMut(&Step),
) -> Result<Bundle, AcmeError> {
    let transport = Transport::new(authority)?;
    let last = RefCell::new(Step::Directory);
    let mut published = Vec::new();
    let mut told = |step: Step| {
        progress(&step);
        last.replace(step);
    };
    let joined = names.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ");
    let mut course = Course {
        authority,
        transport: &transport,
        names,
        joined: &joined,
        challenge,
        published: &mut published,
        told: &mut told,
    };
    let limit = authority.timeouts.order;
    let result = run(async {
        let whole = tokio::time::timeout(limit, course.run(account, replaces)).await;
        whole.unwrap_or_else(|_| Err(AcmeError::Slow { step: last.borrow().clone(), after: limit }))
    });
    for token in &published {
        challenge.withdraw(token);
    }
    result
}

/// When the authority would like the certificate renewed (ARI, RFC 9773); `None` where it has no opinion.
///
/// # Errors
/// The authority cannot be reached, or does not answer as it should. The certificate is then due by its age.
pub fn renewal_window(authority: &Authority, account: &Account, bundle: &Bundle) -> Result<Option<Window>, AcmeError> {
    let Ok(identifier) = CertificateIdentifier::try_from(bundle.leaf_der()) else {
        // Without an authority key identifier a certificate cannot be asked about (section 4.1).
        return Ok(None);
    };
    let transport = Transport::new(authority)?;
    run(async {
        let account = account.open(authority, &transport).await?;
        match account.renewal_info(&identifier).await {
            Ok((info, ask_again)) => {
                let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
                Ok(Some(Window {
                    start: seconds(info.suggested_window.start.unix_timestamp()),
                    end: seconds(info.suggested_window.end.unix_timestamp()),
                    ask_again: ask_again.as_secs(),
                }))
            }
            Err(Underlying::Unsupported(_)) => Ok(None),
            Err(error) => {
                Err(translate(error, &authority.directory, &Doing::Order("the renewal"), transport.asked_wait()))
            }
        }
    })
}

/// What an order needs on its way.
struct Course<'a, 'c> {
    authority: &'a Authority,
    transport: &'a Transport,
    names: &'a [HostName],
    joined: &'a str,
    challenge: &'c mut dyn Challenge,
    published: &'c mut Vec<String>,
    told: &'c mut dyn FnMut(Step),
}

impl Course<'_, '_> {
    async fn run(&mut self, account: &Account, replaces: Option<&Bundle>) -> Result<Bundle, AcmeError> {
        (self.told)(Step::Directory);
        let account = account.open(self.authority, self.transport).await?;
        (self.told)(Step::Order);
        let mut order = self.place(&account, replaces).await?;
        self.answer(&mut order).await?;
        (self.told)(Step::Validation);
        self.wait(&mut order, |status| matches!(status, OrderStatus::Ready | OrderStatus::Valid)).await?;
        (self.told)(Step::Issuance);
        self.issue(&mut order).await
    }

    fn refused(&self, error: Underlying) -> AcmeError {
        translate(error, &self.authority.directory, &Doing::Order(self.joined), self.transport.asked_wait())
    }

    /// Places the order. An authority may know nothing of the certificate to be replaced, or hold it for another account's:
    /// then it is ordered as if there were none.
    async fn place(&self, account: &instant_acme::Account, replaces: Option<&Bundle>) -> Result<Order, AcmeError> {
        let identifiers: Vec<Identifier> =
            self.names.iter().map(|name| Identifier::Dns(name.as_str().to_owned())).collect();
        let old = replaces.and_then(|bundle| CertificateIdentifier::try_from(bundle.leaf_der()).ok());
        if let Some(old) = old {
            let attempt = async || account.new_order(&NewOrder::new(&identifiers).replaces(old.clone())).await;
            match persistently(attempt).await {
                Ok(order) => return Ok(order),
                // No request was made: the authority's directory has no ARI.
                Err(Underlying::Unsupported(_)) => {}
                // The order was made, but without the mark that was asked for.
                Err(Underlying::Other(error)) if !error.is::<super::transport::TransportError>() => {}
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
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.refused(error))?;
            let name = authorization.identifier().to_string();
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                _ => {
                    let detail = format!("its authorization for {name} is no longer open");
                    return Err(AcmeError::Invalid { names: self.joined.to_owned(), detail });
                }
            }
            let Some(mut wanted) = authorization.challenge(ChallengeType::Http01) else {
                return Err(AcmeError::NoHttp01 { name });
            };
            let token = wanted.token.clone();
            if !is_token(&token) {
                return Err(AcmeError::Token { name });
            }
            (self.told)(Step::Publishing(name.clone()));
            // Noted before, so that half a publication is withdrawn too.
            self.published.push(token.clone());
            let answer = wanted.key_authorization();
            if let Err(reason) = self.challenge.publish(&token, answer.as_str()) {
                return Err(AcmeError::Publish { name, reason: reason.to_string() });
            }
            persistently(async || wanted.set_ready().await).await.map_err(|error| self.refused(error))?;
        }
        Ok(())
    }

    /// Looks at the order until `done`.
    async fn wait(&self, order: &mut Order, done: impl Fn(OrderStatus) -> bool) -> Result<(), AcmeError> {
        let mut pause = self.authority.timeouts.look;
        loop {
            let state = order.state();
            if done(state.status) {
                return Ok(());
            }
            if state.status == OrderStatus::Invalid {
                return Err(self.why_invalid(order).await);
            }
            tokio::time::sleep(self.transport.asked_wait().unwrap_or_default().max(pause)).await;
            pause = (pause * 2).min(LONGEST_LOOK);
            let looked = persistently(async || order.refresh().await.map(|_| ()));
            looked.await.map_err(|error| self.refused(error))?;
        }
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
                return AcmeError::Challenge { name: authorization.identifier().to_string(), detail: detail(problem) };
            }
        }
        let detail = of_order.unwrap_or_else(|| "it gives no reason".into());
        AcmeError::Invalid { names: self.joined.to_owned(), detail }
    }

    /// Has the certificate issued for a key of its own, and fetches it.
    async fn issue(&self, order: &mut Order) -> Result<Bundle, AcmeError> {
        let (key, csr) = request_for(self.names).map_err(|error| AcmeError::Internal { reason: error.to_string() })?;
        persistently(async || order.finalize_csr(&csr).await).await.map_err(|error| self.refused(error))?;
        self.wait(order, |status| status == OrderStatus::Valid).await?;
        let chain = persistently(async || order.certificate().await).await.map_err(|error| self.refused(error))?;
        let bundle = Bundle::from_files(key.as_bytes(), chain.unwrap_or_default().as_bytes())?;
        for name in self.names {
            bundle.check(name, bundle.leaf().not_before)?;
        }
        Ok(bundle)
    }
}

/// A new key, PEM, and a certificate signing request for it, DER.
fn request_for(names: &[HostName]) -> Result<(String, Vec<u8>), rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| name.as_str().to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    let csr = params.serialize_request(&key)?;
    Ok((key.serialize_pem(), csr.der().to_vec()))
}

/// RFC 8555, section 8.3: only characters of base64url.
fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_can_be_nothing_but_a_name() {
        assert!(is_token("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA_"));
        for token in ["", "..", "a/b", "a.b", "a b", "a\n", "\u{e9}"] {
            assert!(!is_token(token), "{token}");
        }
    }

    #[test]
    fn every_request_has_a_key_of_its_own() {
        let names = ["social.example.org".parse().unwrap()];
        let (first, csr) = request_for(&names).unwrap();
        let (second, _) = request_for(&names).unwrap();
        assert_ne!(first, second);
        assert!(csr.windows(18).any(|window| window == b"social.example.org"));
    }
}
