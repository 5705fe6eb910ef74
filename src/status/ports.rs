//! Which processes listen on ports 80 and 443 and on GoToSocial's own port, and which should.

use serde::Serialize;

use super::{Known, Unknown};
use crate::deployment::{Mode, PortNumber};
use crate::front::Front;
use crate::gotosocial::SERVICE;
use crate::host::{Listener, Owner};
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
    // Users other than root then see only their own sockets, so no process would seem to listen.
    if !known.root && known.host.sysctl("security.bsd.see_other_uids").is_ok_and(|see| see.as_deref() == Some("0")) {
        return Err(Unknown::needs_root());
    }
    let mode = known.mode.clone()?;
    Ok(judged(&known.host.listeners()?, mode, known.owner.as_ref().ok().copied()))
}

fn judged(listeners: &[Listener], mode: Mode, owner: Option<Owner>) -> Vec<Port> {
    let front = mode.front();
    let own = front.map(|_| (PortNumber::BEHIND_PROXY.get(), None));
    let ports = front::PORTS.map(|port| (port, front)).into_iter().chain(own);
    ports
        .map(|(port, by)| {
            let listeners: Vec<Listener> = listeners.iter().filter(|it| it.port == port).cloned().collect();
            let wanted = by.map_or(SERVICE, |front| front.name);
            let trouble = trouble(&listeners, port, by, front.is_some() && by.is_none(), owner);
            Port { port, wanted, listeners, trouble }
        })
        .collect()
}

fn trouble(there: &[Listener], port: u16, front: Option<Front>, behind: bool, owner: Option<Owner>) -> Option<String> {
    let is_stranger = |listener: &&Listener| match (front, owner) {
        (Some(front), _) => listener.command != front.command,
        // sockstat(1) does not always show the owner of a socket.
        (None, Some(owner)) => listener.uid.is_some_and(|uid| uid != owner.uid),
        (None, None) => false,
    };
    if there.is_empty() {
        return Some(format!("nothing listens on port {port}"));
    }
    if let Some(stranger) = there.iter().find(is_stranger) {
        let wanted = front.map_or(SERVICE, |front| front.name);
        return Some(format!("{} (user {}) listens on port {port}, not {wanted}", stranger.command, stranger.user));
    }
    let is_outside = |listener: &Listener| !listener.address.is_some_and(|address| address.is_loopback());
    (behind && there.iter().any(is_outside)).then(|| {
        format!(
            "port {port} of GoToSocial can be reached past the web server in front: take bind-address out of [config]"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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
        }
    }

    fn troubles(listeners: &[Listener], mode: Mode) -> Vec<String> {
        let owner = Some(Owner { uid: 209, gid: 209 });
        judged(listeners, mode, owner).into_iter().filter_map(|port| port.trouble).collect()
    }

    #[test]
    fn each_port_has_its_rightful_listener() {
        let ours = |port| listener("gotosocial", 209, port, None);
        assert_eq!(troubles(&[ours(80), ours(443)], Mode::Direct), [""; 0]);
        assert_eq!(troubles(&[ours(443)], Mode::Direct), ["nothing listens on port 80"]);
        let told = troubles(&[ours(80), listener("nginx", 80, 443, None)], Mode::Direct);
        assert_eq!(told, ["nginx (user nginx) listens on port 443, not gotosocial"]);

        let nginx = |port| listener("nginx", 0, port, None);
        let behind = listener("gotosocial", 209, 8080, Some([127, 0, 0, 1]));
        assert_eq!(troubles(&[nginx(80), nginx(443), behind.clone()], Mode::Behind(Front::NGINX)), [""; 0]);
        assert_eq!(troubles(&[ours(80), nginx(443), behind], Mode::Behind(Front::NGINX)).len(), 1);
        let told = troubles(&[nginx(80), nginx(443), ours(8080)], Mode::Behind(Front::NGINX));
        assert!(told.len() == 1 && told.iter().all(|told| told.contains("past the web server")), "{told:?}");
    }
}
