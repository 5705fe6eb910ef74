//! The web server in front: does it hold ports 80 and 443, and is GoToSocial reachable through it, and only through it?

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{Check, certificate};
use crate::deployment::Deployment;
use crate::error_code::ErrorCode;
use crate::front::Front;
use crate::host::{HostError, Observe, Owner, WebAnswer, WebFailure, WebRequest};
use crate::parts::front::PORTS;

/// The time-out of one request.
const PATIENCE: Duration = Duration::from_secs(20);

/// Checks the web server, with requests over loopback under the instance's name.
///
/// # Errors
/// The host could not be read.
pub fn checks(
    host: &dyn Observe,
    deployment: &Deployment,
    front: Front,
    gotosocial: Owner,
) -> Result<Vec<Check>, HostError> {
    let name = front.name;
    let mut checks = vec![if host.service(front.service)?.is_running() {
        Check::pass("front", format!("{name} runs"))
    } else {
        Check::fail(
            ErrorCode::FrontDown,
            "front",
            format!("{name} does not run; `service {} start` shows why", front.service),
        )
    }];
    let listeners = host.listeners()?;
    for port in PORTS {
        let on_port: Vec<_> = listeners.iter().filter(|listener| listener.port == port).collect();
        let stranger = on_port.iter().find(|listener| listener.command != front.command);
        checks.push(match (on_port.is_empty(), stranger) {
            (true, _) => {
                Check::fail(ErrorCode::FrontDown, format!("listens {port}"), format!("nothing listens on port {port}"))
            }
            (false, Some(stranger)) => Check::fail(
                ErrorCode::FrontDown,
                format!("listens {port}"),
                format!("{} of the user {} listens on port {port}, not {name}", stranger.command, stranger.user),
            ),
            (false, None) => Check::pass(format!("listens {port}"), name.to_owned()),
        });
    }
    checks.push(backend(&listeners, deployment, gotosocial));
    checks.extend(answers(host, deployment));
    Ok(checks)
}

/// GoToSocial itself must not be reachable past the web server.
fn backend(listeners: &[crate::host::Listener], deployment: &Deployment, gotosocial: Owner) -> Check {
    const NAME: &str = "backend";
    let port = deployment.port().get();
    let ours: Vec<_> =
        listeners.iter().filter(|there| there.port == port && there.uid == Some(gotosocial.uid)).collect();
    let outside = ours.iter().find(|there| !there.address.is_some_and(|address| address.is_loopback()));
    match (ours.is_empty(), outside) {
        (true, _) => {
            Check::fail(ErrorCode::ServiceDown, NAME, format!("GoToSocial does not listen on port {port}; see its log"))
        }
        (false, Some(there)) => Check::fail(
            ErrorCode::Backend,
            NAME,
            format!(
                "GoToSocial listens on {}, port {port}: it can be reached past the web server and its filters. Take \
                 bind-address out of [config], or let it be a loopback address",
                there.address.map_or_else(|| "every address".to_owned(), |address| address.to_string())
            ),
        ),
        (false, None) => Check::pass(NAME, format!("GoToSocial listens on loopback alone, port {port}")),
    }
}

fn answers(host: &dyn Observe, deployment: &Deployment) -> Vec<Check> {
    let name = deployment.host.to_string();
    let ask = |tls: bool, path: &str, verify: bool| -> Result<WebAnswer, WebFailure> {
        let port = if tls { 443 } else { 80 };
        host.web(&WebRequest {
            tls,
            host: name.clone(),
            address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            path: path.to_owned(),
            verify,
            timeout: PATIENCE,
        })
    };
    let mut checks = Vec::new();
    match ask(true, "/nodeinfo/2.0", false) {
        Ok(answer) => {
            if let Some(shown) = &answer.certificate {
                let trusted = ask(true, "/nodeinfo/2.0", true).map(drop);
                checks.push(certificate::judge(shown, &name, host.now(), trusted));
            }
            checks.push(if answer.status == 200 {
                Check::pass("https", "GoToSocial answers through it")
            } else {
                Check::fail(
                    ErrorCode::FrontAnswer,
                    "https",
                    format!("/nodeinfo/2.0 answers {} through it, not 200", answer.status),
                )
            });
        }
        Err(why) => checks.push(Check::fail(
            ErrorCode::FrontAnswer,
            "https",
            format!("the request for https://{name} failed: {why}"),
        )),
    }
    checks.push(match ask(true, "/livez", false) {
        Ok(answer) if answer.status == 404 => Check::pass("hidden", "/livez and /readyz are hidden from outside"),
        Ok(answer) => Check::fail(
            ErrorCode::FrontAnswer,
            "hidden",
            format!("/livez answers {} from outside, not 404", answer.status),
        ),
        Err(why) => Check::fail(ErrorCode::FrontAnswer, "hidden", format!("/livez: {why}")),
    });
    let wanted = format!("https://{name}/");
    checks.push(match ask(false, "/", false) {
        Ok(answer) if answer.status == 301 && answer.location.as_deref() == Some(&wanted) => {
            Check::pass("http", format!("leads to {wanted}"))
        }
        Ok(answer) => Check::fail(
            ErrorCode::FrontAnswer,
            "http",
            format!("answers {} and does not lead to {wanted}", answer.status),
        ),
        Err(why) => Check::fail(ErrorCode::FrontAnswer, "http", format!("the request for http://{name} failed: {why}")),
    });
    checks
}
