//! A client that judges the server's certificate, but breaks no handshake off over it: of each one that is, a server written in
//! Go logs a line. That is for requests without secrets, whose answer is not believed after a bad verdict.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::net::authorities::Authorities;

/// What is wrong with the certificate that the server has shown; empty if nothing is.
pub(super) type Verdict = Arc<OnceLock<Error>>;

/// A client that leaves its verdict in `verdict`.
///
/// # Errors
/// In words: there are no CA certificates.
pub(super) fn client(verdict: &Verdict) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(Authorities::of_this_process()?.certificates);
    let judge = WebPkiServerVerifier::builder(Arc::new(roots)).build().map_err(|error| error.to_string())?;
    let verifier = LateVerdict { judge, verdict: Arc::clone(verdict) };
    let client = ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut client = client.with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

/// Takes any certificate, if the server has its key.
#[derive(Debug)]
struct LateVerdict {
    judge: Arc<WebPkiServerVerifier>,
    verdict: Verdict,
}

impl ServerCertVerifier for LateVerdict {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if let Err(why) = judged {
            // One that is there already is of the same server.
            let _ = self.verdict.set(why);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
