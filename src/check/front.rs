//! The web server in front: does it hold ports 80 and 443, and is GoToSocial reachable through it, and only through it?

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{Check, Matter, certificate};
use crate::change::listening::Rightful;
use crate::deployment::Deployment;
use crate::error_code::ErrorCode;
use crate::front::Front;
use crate::gotosocial::SERVICE;
use crate::host::{Carried, HostError, Listener, Observe, Owner, WebRequest};
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
    const RUNS: Matter<'static> = Matter("front", ErrorCode::FrontDown);
    let name = front.name;
    let mut checks = vec![if host.service(front.service)?.is_running() {
        RUNS.pass(format!("{name} runs"))
    } else {
        RUNS.fail(format!("{name} does not run; `service {} start` shows why", front.service))
    }];
    let listeners = host.listeners()?;
    let rightful = Rightful::front(host, front)?;
    let held = |port| super::listens(ErrorCode::FrontDown, (&listeners, port), &rightful, "", &|_| name.to_owned());
    checks.extend(PORTS.map(held));
    checks.push(backend(&listeners, deployment, gotosocial));
    checks.extend(answers(host, deployment));
    Ok(checks)
}

/// GoToSocial itself must not be reachable past the web server.
fn backend(listeners: &[Listener], deployment: &Deployment, gotosocial: Owner) -> Check {
    const BACKEND: Matter<'static> = Matter("backend", ErrorCode::Backend);
    let own = deployment.local_address();
    let port = own.port();
    let mut ours = listeners.iter().filter(|by| by.port == port && by.uid == Some(gotosocial.uid)).peekable();
    if ours.peek().is_none() {
        let why = format!("GoToSocial does not listen on port {port}; see its log");
        return Matter(BACKEND.0, ErrorCode::ServiceDown).fail(why);
    }
    let service = Rightful::service(gotosocial.uid);
    // What others have on another address gets no request of the web server's.
    if let Some(stranger) = service.stranger_to(listeners, own) {
        return BACKEND.fail(format!("{}, then `service {SERVICE} restart`", service.not(stranger)));
    }
    match ours.find(|by| !by.address.is_some_and(|address| address.is_loopback())) {
        Some(outside) => BACKEND.fail(format!(
            "GoToSocial listens on {}, port {port}: it can be reached past the web server and its filters. Take \
             bind-address out of [config], or let it be a loopback address",
            outside.address.map_or_else(|| "every address".to_owned(), |address| address.to_string())
        )),
        None => BACKEND.pass(format!("GoToSocial listens on loopback alone, port {port}")),
    }
}

fn answers(host: &dyn Observe, deployment: &Deployment) -> Vec<Check> {
    const HTTPS: Matter<'static> = Matter("https", ErrorCode::FrontAnswer);
    const HIDDEN: Matter<'static> = Matter("hidden", ErrorCode::FrontAnswer);
    const HTTP: Matter<'static> = Matter("http", ErrorCode::FrontAnswer);
    let name = deployment.host.as_str();
    let ask = |tls: bool, path: &str, verify: bool| {
        host.web(&WebRequest {
            tls,
            host: name.to_owned(),
            address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, if tls { 443 } else { 80 }))),
            path: path.to_owned(),
            carries: Carried::default(),
            verify,
            timeout: PATIENCE,
        })
    };
    let mut checks = Vec::new();
    match ask(true, "/nodeinfo/2.0", false) {
        Ok(answer) => {
            if let Some(shown) = &answer.certificate {
                let trusted = ask(true, "/nodeinfo/2.0", true).map(drop);
                checks.push(certificate::judge(shown, name, host.now(), trusted));
            }
            checks.push(match answer.status {
                200 => HTTPS.pass("GoToSocial answers through it"),
                status => HTTPS.fail(format!("/nodeinfo/2.0 answers {status} through it, not 200")),
            });
        }
        Err(why) => checks.push(HTTPS.fail(format!("the request for https://{name} failed: {why}"))),
    }
    checks.push(match ask(true, "/livez", false).map(|answer| answer.status) {
        Ok(404) => HIDDEN.pass("/livez and /readyz are hidden from outside"),
        Ok(status) => HIDDEN.fail(format!("/livez answers {status} from outside, not 404")),
        Err(why) => HIDDEN.fail(format!("/livez: {why}")),
    });
    let wanted = format!("https://{name}/");
    checks.push(match ask(false, "/", false) {
        Ok(answer) if answer.status == 301 && answer.location.as_deref() == Some(&wanted) => {
            HTTP.pass(format!("leads to {wanted}"))
        }
        Ok(answer) => HTTP.fail(format!("answers {} and does not lead to {wanted}", answer.status)),
        Err(why) => HTTP.fail(format!("the request for http://{name} failed: {why}")),
    });
    checks
}
