//! Ports change hands: one server is told to let go of them, and another takes them as soon as nobody has them.
//!
//! Everything that takes its time comes before: the one that takes them runs by then and is a signal away. GoToSocial closes
//! its sockets as soon as it is told to end (`Router.Stop` in `internal/router/router.go`), long before it has ended, which a
//! web server does not wait for. Nobody takes a port that is still taken: nginx would try again only half a second later, and
//! Apache end.

use std::time::Duration;

use crate::change::front::{PORTS, edited_file};
use crate::change::kind::prelude::*;
use crate::change::listening::{Rightful, unreadable};
use crate::change::thing;
use crate::front::Front;
use crate::host::{Entry, Listener, ServiceAction};
use crate::shown::Shown;

/// The time between two looks at the sockets, and later on, when requests are being finished.
const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_millis(200);
/// How many looks are close together.
const CLOSE_LOOKS: u32 = 100;
/// How long a port may be taken after all was done to free it, and how long a web server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who lets go of ports, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LetGo {
    /// A service that is stopped.
    Stop(String),
    /// A web server that reads its configuration again, in which the ports are not any more.
    Reload(Front),
}

/// Starts a web server before it may have its ports: with a configuration for that moment, which takes none. Then a signal is
/// enough for it to take them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandBy {
    /// Which.
    pub front: Front,
}

/// Has a web server take the ports from another server, with the proof that nobody else has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeOver {
    /// Which.
    pub front: Front,
    /// Whose ports they are.
    pub from: LetGo,
}

impl LetGo {
    fn service(&self) -> &str {
        match self {
            Self::Stop(name) => name,
            Self::Reload(front) => front.service,
        }
    }

    /// What happens to the ports, in words.
    pub(super) fn detail(&self, ports: &str) -> String {
        let name = Front::ALL.into_iter().find(|front| front.service == self.service()).map(|front| front.name);
        let (name, how) =
            (name.unwrap_or("GoToSocial"), if matches!(self, Self::Stop(_)) { "stops" } else { "reloads" });
        format!("{name} {how} and lets go of {ports}, which are taken at once")
    }

    /// Those who have the ports now.
    fn holder(&self, host: &dyn Host) -> Result<Option<Rightful>, HostError> {
        let front = Front::ALL.into_iter().find(|front| front.service == self.service());
        match front {
            Some(front) => Rightful::front(host, front).map(Some),
            None => Ok(host.user(self.service())?.map(|user| Rightful::service(user.uid))),
        }
    }

    /// Has the ports let go of, and `take` as soon as nobody has them. `to` may have some of them already.
    ///
    /// # Errors
    /// In words: somebody else has a port, or it is not let go of.
    pub(super) fn hand_over(
        &self,
        host: &dyn Host,
        to: &Rightful,
        ports: &[u16],
        take: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let holder = self.holder(host)?;
        // Whatever can be refused is while they are still served.
        is_free(host, holder.as_ref(), to, ports)?;
        let mut taken = Ok(());
        let action = match self {
            Self::Stop(_) => ServiceAction::Stop,
            Self::Reload(_) => ServiceAction::Reload,
        };
        let acted = host.during(self.service(), action, &mut |is_over| {
            taken = wait_until_free(host, holder.as_ref(), to, ports, is_over).and_then(|()| take());
        });
        acted?;
        taken
    }
}

/// Whether nobody but `to` has a socket on these ports.
fn is_free(host: &dyn Host, holder: Option<&Rightful>, to: &Rightful, ports: &[u16]) -> Result<bool, Failure> {
    let listeners = host.listeners()?;
    if let Some(unreadable) = unreadable(&listeners) {
        refuse!("{unreadable}. Run this again once that is known");
    }
    let there = |socket: &&Listener| ports.contains(&socket.port) && !to.have(socket);
    let (held, strange): (Vec<&Listener>, Vec<&Listener>) =
        listeners.iter().filter(there).partition(|socket| holder.is_some_and(|holder| holder.have(socket)));
    match strange.first() {
        Some(stranger) => refuse!("{}, and run this again", to.not(stranger)),
        None => Ok(held.is_empty()),
    }
}

fn wait_until_free(
    host: &dyn Host,
    holder: Option<&Rightful>,
    to: &Rightful,
    ports: &[u16],
    is_over: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    let (mut looks, mut over_for) = (0, Duration::ZERO);
    while !is_free(host, holder, to, ports)? {
        if over_for >= PATIENCE {
            let name = holder.map_or("its owner", |holder| holder.name);
            refuse!("{name} was told to let go of its ports and still listens there; its log may tell why");
        }
        looks += 1;
        let pause = if looks < CLOSE_LOOKS { SHORT } else { LONG };
        host.sleep(pause);
        if is_over() {
            over_for += pause;
        }
    }
    Ok(())
}

impl Kind for StandBy {
    named!(ErrorCode::Front, "service"; "for the time being without a port");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Service(self.front.service.to_owned()), Left::Unrecorded))
    }

    /// The main file as it is.
    fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        thing::prior_of(host, &edited_file(host, self.front)?)
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let (host, front) = (executor.host, self.front);
        let path = edited_file(host, self.front)?;
        let (Some(main), Some(Entry::File { mode, owner, .. })) = (host.read(&path)?, host.entry(&path)?) else {
            refuse!("{} is not there", path.shown())
        };
        let listeners = host.listeners()?;
        let free = (49_152..u16::MAX).find(|port| !listeners.iter().any(|there| there.port == *port));
        host.write_file(&path, &(front.standby)(&main, free.unwrap_or(u16::MAX)), mode, owner)?;
        let started = host.service_action(front.service, ServiceAction::StartOnce);
        host.write_file(&path, &main, mode, owner)?;
        if let Err(why) = started {
            // It may have parts that this program does not know: then it starts once it can have its ports.
            let name = front.name;
            executor
                .operator
                .note(&format!("{name} cannot start without its ports, so the switch takes longer: {why}"));
        }
        Ok(())
    }

    /// The main file first, so that nobody starts with what was there for a moment.
    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        if matches!(prior, Prior::File { .. }) {
            thing::restore(host, &edited_file(host, self.front)?, prior)?;
        }
        Thing::Service(self.front.service.to_owned()).restore(host, &Prior::Absent)
    }

    fn folders(&self) -> Vec<std::path::PathBuf> {
        vec![self.front.folder.into()]
    }
}

impl TakeOver {
    /// A port that the web server does not listen on.
    fn missing(&self, host: &dyn Host) -> Result<Option<u16>, HostError> {
        let (rightful, listeners) = (Rightful::front(host, self.front)?, host.listeners()?);
        let has = |port: &u16| listeners.iter().any(|there| there.port == *port && rightful.have(there));
        Ok(PORTS.into_iter().find(|port| !has(port)))
    }
}

impl Kind for TakeOver {
    named!(ErrorCode::Front, "service");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Service(self.front.service.to_owned()), Left::Unrecorded))
    }

    fn detail(&self) -> String {
        self.from.detail(&PORTS.map(|port| port.to_string()).join(" and "))
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let (host, front) = (executor.host, self.front);
        let action =
            if host.service(front.service)?.is_running() { ServiceAction::ReloadNow } else { ServiceAction::Start };
        let take = &mut || {
            host.service_action(front.service, action)?;
            let mut waited = Duration::ZERO;
            while let Some(port) = self.missing(host)? {
                if waited >= PATIENCE {
                    let (name, log) = (front.name, front.logs[1]);
                    refuse!("{name} was told to listen on port {port} and does not; its log ({log}) tells more");
                }
                host.sleep(SHORT);
                waited += SHORT;
            }
            Ok(())
        };
        self.from.hand_over(host, &Rightful::front(host, front)?, &PORTS, take)
    }
}
