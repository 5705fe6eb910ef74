//! Which processes listen on ports 80 and 443 and on GoToSocial's own port, and which should.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Serialize;

use super::{Known, Unknown};
use crate::change::listening::{self, Rightful};
use crate::deployment::{Deployment, PortNumber};
use crate::gotosocial::SERVICE;
use crate::host::Listener;
use crate::parts::front;

/// A port and its listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// The port.
    pub port: u16,
    /// Who should listen.
    pub wanted: &'static str,
    /// Who listens.
    pub listeners: Vec<Listener>,
    /// The problem, if any.
    pub trouble: Option<String>,
}

/// Reads the listeners.
pub(super) fn look(known: &Known<'_>) -> Result<Vec<Port>, Unknown> {
    let host = known.host;
    // Users other than root may see only their own sockets, so that no process would seem to listen.
    known.sees_others()?;
    let mode = known.mode.clone()?;
    let front = mode.front().map(|front| Rightful::front(host, front)).transpose()?;
    let service = known.owner.as_ref().ok().map(|owner| Rightful::service(owner.uid));
    let listeners = host.listeners()?;
    let usual = || SocketAddr::from((Ipv4Addr::LOCALHOST, PortNumber::BEHIND_PROXY.get()));
    let own = known.deployment.as_ref().map_or_else(|_| usual(), Deployment::local_address);
    let mut ports = judged(&listeners, front.as_ref(), service.as_ref(), own);
    // Others than root may not be told whose a socket is.
    if !known.root && ports.iter().flat_map(|port| &port.listeners).any(|listener| listener.uid.is_none()) {
        return Err(Unknown::needs_root());
    }
    if let (Some(why), Some(port)) = (listening::unreadable(&listeners), ports.first_mut()) {
        port.trouble.get_or_insert(why);
    }
    Ok(ports)
}

/// `own` is where a web server in front reaches GoToSocial.
fn judged(listeners: &[Listener], front: Option<&Rightful>, service: Option<&Rightful>, own: SocketAddr) -> Vec<Port> {
    let behind = front.map(|_| (own.port(), service, Some(own)));
    let ports = front::PORTS.map(|port| (port, front.or(service), None)).into_iter().chain(behind);
    ports
        .map(|(port, by, behind)| {
            let there: Vec<Listener> = listeners.iter().filter(|it| it.port == port).cloned().collect();
            let wanted = by.map_or(SERVICE, |rightful| rightful.name);
            Port { port, wanted, trouble: trouble(&there, port, by, behind), listeners: there }
        })
        .collect()
}

fn trouble(there: &[Listener], port: u16, rightful: Option<&Rightful>, behind: Option<SocketAddr>) -> Option<String> {
    let stranger = |it: &Rightful| {
        let stranger = behind.map_or_else(|| it.stranger(there, port), |own| it.stranger_to(there, own))?;
        Some(it.not(stranger))
    };
    if let Some(told) = rightful.and_then(stranger) {
        return Some(told);
    }
    // Others may listen where no request of the web server goes.
    let mut theirs = there.iter().filter(|it| rightful.is_none_or(|rightful| rightful.have(it))).peekable();
    if theirs.peek().is_none() {
        let what = if there.is_empty() { "nothing listens" } else { "GoToSocial does not listen" };
        return Some(format!("{what} on port {port}"));
    }
    let is_outside = |listener: &Listener| !listener.address.is_some_and(|address| address.is_loopback());
    (behind.is_some() && theirs.any(is_outside)).then(|| {
        format!(
            "port {port} of GoToSocial can be reached past the web server in front: take bind-address out of [config]"
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::front::Front;
    use crate::host::rehearsal::Rehearsal;
    use std::net::IpAddr;

    fn listener(command: &str, uid: u32, port: u16, address: Option<[u8; 4]>) -> Listener {
        Listener {
            user: command.into(),
            uid: Some(uid),
            command: command.into(),
            pid: Some(7),
            address: address.map(IpAddr::from),
            ipv4: true,
            ipv6: true,
            port,
            jail: None,
        }
    }

    fn troubles(listeners: &[Listener], front: Option<Front>) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path()).unwrap();
        let front = front.map(|front| Rightful::front(&host, front).unwrap());
        let own = "127.0.0.1:8080".parse().unwrap();
        let ports = judged(listeners, front.as_ref(), Some(&Rightful::service(209)), own);
        ports.into_iter().filter_map(|port| port.trouble).collect()
    }

    #[test]
    fn each_port_has_its_rightful_listener() {
        let ours = |port| listener("gotosocial", 209, port, None);
        assert_eq!(troubles(&[ours(80), ours(443)], None), [""; 0]);
        assert_eq!(troubles(&[ours(443)], None), ["nothing listens on port 80"]);
        let told = troubles(&[ours(80), listener("nginx", 80, 443, None)], None);
        let says = "nginx (user nginx, uid 80, pid 7) listens on port 443, not gotosocial; end it with `kill 7`";
        assert_eq!(told, [says]);

        let front = Some(Front::NGINX);
        let nginx = |port| listener("nginx", 0, port, None);
        let worker = |port| listener("nginx", 80, port, None);
        let behind = listener("gotosocial", 209, 8080, Some([127, 0, 0, 1]));
        let well = [nginx(80), worker(80), nginx(443), worker(443), behind.clone()];
        assert_eq!(troubles(&well, front), [""; 0]);
        assert_eq!(troubles(&[ours(80), nginx(443), behind], front).len(), 1);
        let told = troubles(&[nginx(80), nginx(443), ours(8080)], front);
        assert!(told.len() == 1 && told.iter().all(|told| told.contains("past the web server")), "{told:?}");
        let elsewhere = listener("server", 1001, 8080, Some([203, 0, 113, 10]));
        assert_eq!(troubles(&[&well[..], std::slice::from_ref(&elsewhere)].concat(), front), [""; 0]);
        assert_eq!(troubles(&[&well[..4], &[elsewhere]].concat(), front), ["GoToSocial does not listen on port 8080"]);
        // A name is nobody's own, a second socket is one too many, and so is one whose owner nobody knows.
        let unknown = Listener { uid: None, user: "?".into(), pid: None, ..nginx(443) };
        for stranger in [
            listener("nginx", 209, 80, None),
            listener("nginx", 1001, 443, Some([127, 0, 0, 1])),
            listener("nginx", 209, 443, Some([203, 0, 113, 10])),
            unknown,
            listener("gotosocial", 1001, 8080, Some([127, 0, 0, 1])),
            listener("gotosocial", 1001, 8080, None),
        ] {
            let told = troubles(&[&well[..], &[stranger]].concat(), front);
            assert_eq!(told.len(), 1, "{told:?}");
        }
    }
}
