//! What an authority does for us: an account, an order from the request to the certificate, and the question when a
//! certificate should be renewed.

use std::time::Duration;

use instant_acme::{
    AuthorizationStatus, CertificateIdentifier, ChallengeType, Error as Underlying, Identifier, NewOrder, Order,
    OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::error::{detail, kind, translate};
use super::transport::Transport;
use super::{Account, AcmeError, Challenge, Internet, persistently, run};
use crate::certificate::renewal::Window;
use crate::certificate::{Bundle, CertificateAuthority};
use crate::deployment::{EmailAddress, HostName};

/// The longest pause between two looks at an order, unless the authority asks for a longer one.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

impl CertificateAuthority for Internet {
    fn register(&self, directory: &str, email: Option<&EmailAddress>) -> Result<Account, AcmeError> {
        run(Account::register(&Transport::new(self, directory)?, email))
    }

    fn order(
        &self,
        account: &Account,
        name: &HostName,
        replaces: Option<&Bundle>,
        challenge: &mut dyn Challenge,
    ) -> Result<Bundle, AcmeError> {
        let transport = &Transport::new(self, account.directory())?;
        let (published, step) = (Vec::new(), String::new());
        let mut course = Course { internet: self, transport, name, challenge, published, step };
        let result = run(async {
            let whole = tokio::time::timeout(self.order, course.run(account, replaces)).await;
            whole.unwrap_or_else(|_| Err(AcmeError::Slow(course.step.clone(), self.order)))
        });
        for token in &course.published {
            course.challenge.withdraw(token);
        }
        result
    }

    fn renewal_window(&self, account: &Account, bundle: &Bundle) -> Result<Option<Window>, AcmeError> {
        let Ok(identifier) = CertificateIdentifier::try_from(bundle.leaf_der()) else {
            // Without an authority key identifier a certificate cannot be asked about (RFC 9773, section 4.1).
            return Ok(None);
        };
        let transport = Transport::new(self, account.directory())?;
        run(async {
            match account.open(&transport).await?.renewal_info(&identifier).await {
                Ok((info, ask_again)) => {
                    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
                    Ok(Some(Window {
                        start: seconds(info.suggested_window.start.unix_timestamp()),
                        end: seconds(info.suggested_window.end.unix_timestamp()),
                        ask_again: ask_again.as_secs(),
                    }))
                }
                Err(Underlying::Unsupported(_)) => Ok(None),
                Err(error) => Err(translate(error, &transport, Some("the renewal"))),
            }
        })
    }
}

/// An order on its way.
struct Course<'a> {
    internet: &'a Internet,
    transport: &'a Transport,
    name: &'a HostName,
    challenge: &'a mut dyn Challenge,
    /// The tokens whose answers have to be withdrawn.
    published: Vec<String>,
    /// What is being done, in words.
    step: String,
}

impl Course<'_> {
    async fn run(&mut self, account: &Account, replaces: Option<&Bundle>) -> Result<Bundle, AcmeError> {
        self.step = "asking the certificate authority for its directory".into();
        let account = account.open(self.transport).await?;
        self.step = "placing the order".into();
        let mut order = self.place(&account, replaces).await?;
        self.answer(&mut order).await?;
        self.step = "waiting for the certificate authority to check the answer".into();
        self.wait(&mut order, |status| matches!(status, OrderStatus::Ready | OrderStatus::Valid)).await?;
        self.step = "waiting for the certificate authority to issue the certificate".into();
        self.issue(&mut order).await
    }

    fn refused(&self, error: Underlying) -> AcmeError {
        translate(error, self.transport, Some(self.name.as_str()))
    }

    fn invalid(&self, detail: String) -> AcmeError {
        AcmeError::Invalid(self.name.to_string(), detail)
    }

    /// Places the order. An authority may know nothing of the certificate to be replaced, or hold it for another account's:
    /// then it is ordered as if there were none.
    async fn place(&self, account: &instant_acme::Account, replaces: Option<&Bundle>) -> Result<Order, AcmeError> {
        let identifiers = [Identifier::Dns(self.name.to_string())];
        let old = replaces.and_then(|bundle| CertificateIdentifier::try_from(bundle.leaf_der()).ok());
        if let Some(old) = old {
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
            // Noted before, so that half a publication is withdrawn too.
            self.published.push(token.clone());
            let answer = wanted.key_authorization();
            if let Err(reason) = self.challenge.publish(&token, answer.as_str()) {
                return Err(AcmeError::Publish(name, reason.to_string()));
            }
            persistently(async || wanted.set_ready().await).await.map_err(|error| self.refused(error))?;
        }
        Ok(())
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

    /// Has the certificate issued for a key of its own, and fetches it.
    async fn issue(&self, order: &mut Order) -> Result<Bundle, AcmeError> {
        let (key, csr) = request_for(self.name).map_err(|error| AcmeError::Internal(error.to_string()))?;
        persistently(async || order.finalize_csr(&csr).await).await.map_err(|error| self.refused(error))?;
        self.wait(order, |status| status == OrderStatus::Valid).await?;
        let chain = persistently(async || order.certificate().await).await.map_err(|error| self.refused(error))?;
        let bundle = Bundle::from_files(key.as_bytes(), chain.unwrap_or_default().as_bytes())?;
        bundle.check(self.name, bundle.leaf().not_before)?;
        Ok(bundle)
    }
}

/// A new key (P-256), PEM, and a certificate signing request for it, DER.
fn request_for(name: &HostName) -> Result<(String, Vec<u8>), rcgen::Error> {
    let mut params = CertificateParams::new([name.to_string()])?;
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
        let name = "social.example.org".parse().unwrap();
        let (first, csr) = request_for(&name).unwrap();
        let (second, _) = request_for(&name).unwrap();
        assert_ne!(first, second);
        assert!(csr.windows(18).any(|window| window == b"social.example.org"));
    }
}
