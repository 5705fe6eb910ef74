//! Ports change hands: one server is told to let go of them, and another takes them as soon as nobody has them.
//!
//! Everything that takes its time comes before: the one that takes them runs by then and is a signal away. GoToSocial closes
//! its sockets as soon as it is told to end (`Router.Stop` in `internal/router/router.go`), long before it has ended, which a
//! web server does not wait for. Nobody is told to take a port before it is free: nginx would try again only half a second
//! later, and Apache end.

use std::time::Duration;

use crate::change::front::{PORTS, edited_file, wait_for_ports};
use crate::change::kind::prelude::*;
use crate::change::listening::{Rightful, unreadable};
use crate::change::thing;
use crate::front::Front;
use crate::gotosocial::SERVICE;
use crate::host::{Entry, Listener, ServiceAction, ServiceState, Whose};
use crate::shown::Shown;

/// The time between two looks at the sockets, and later on, when requests are being finished.
const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_millis(200);
/// How many looks are close together.
const CLOSE_LOOKS: u32 = 100;
/// How many seconds a web server may take until it listens no more: its reload returns before.
const PATIENCE: u64 = 20;
/// How many seconds the sockets of a service may outlive it.
const LINGERS: u64 = 1;

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

    fn front(&self) -> Option<Front> {
        Front::ALL.into_iter().find(|front| front.service == self.service())
    }

    /// What happens to the ports, in words.
    pub(super) fn detail(&self, ports: &str) -> String {
        let name = self.front().map_or("GoToSocial", |front| front.name);
        let how = if matches!(self, Self::Stop(_)) { "stops" } else { "reloads" };
        format!("{name} {how} and lets go of {ports}, which are taken at once")
    }

    /// Those who have the ports now.
    fn holder(&self, host: &dyn Host) -> Result<Option<Rightful>, HostError> {
        match self.front() {
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
        let ports = Ports { host, ports, holder: self.holder(host)?, to };
        // Whatever can be refused is while they are still served.
        ports.are_free()?;
        let (action, patience) = match self {
            Self::Stop(_) => (ServiceAction::Stop, LINGERS),
            Self::Reload(_) => (ServiceAction::Reload, PATIENCE),
        };
        if let (Self::Stop(name), ServiceState::Running { pid: Some(pid) }) = (self, host.service(self.service())?)
            && name == SERVICE
        {
            ports.are_of(pid)?;
        }
        let mut taken = Ok(());
        let acted = host.during(self.service(), action, &mut |is_over| {
            taken = ports.wait_until_free(is_over, patience).and_then(|()| take());
        });
        acted?;
        taken
    }
}

/// Ports that change hands.
struct Ports<'a> {
    host: &'a dyn Host,
    ports: &'a [u16],
    /// Who has them.
    holder: Option<Rightful>,
    /// Who gets them, and may have some already.
    to: &'a Rightful,
}

impl Ports<'_> {
    /// Those who have a socket there and are not the one who gets them: first the others, then the one who has them.
    fn taken(&self) -> Result<[Vec<Listener>; 2], Failure> {
        let listeners = self.host.listeners()?;
        if let Some(unreadable) = unreadable(&listeners) {
            refuse!("{unreadable}. Run this again once that is known");
        }
        let there = listeners.iter().filter(|it| self.ports.contains(&it.port) && !self.to.have(it)).cloned();
        let (held, strange) = there.partition(|it| self.holder.as_ref().is_some_and(|holder| holder.have(it)));
        Ok([strange, held])
    }

    /// Refuses to wait for a socket.
    fn end(&self, socket: &Listener) -> Result<(), Failure> {
        refuse!("{}, and run this again", self.to.not(socket))
    }

    /// Whether nobody has a socket there but the one who gets them.
    fn are_free(&self) -> Result<bool, Failure> {
        let [strange, held] = self.taken()?;
        strange.first().map_or(Ok(()), |stranger| self.end(stranger))?;
        Ok(held.is_empty())
    }

    /// Refuses what has the uid of the one who has them, and stays when that ends: it is another process.
    fn are_of(&self, pid: u32) -> Result<(), Failure> {
        let [_, held] = self.taken()?;
        held.iter().find(|socket| socket.pid != Some(pid)).map_or(Ok(()), |stranger| self.end(stranger))
    }

    fn wait_until_free(&self, is_over: &dyn Fn() -> bool, patience: u64) -> Result<(), Failure> {
        let (mut looks, mut over_since) = (0, None);
        while !self.are_free()? {
            if over_since.is_some_and(|since| self.host.now().saturating_sub(since) > patience) {
                let [_, held] = self.taken()?;
                return held.first().map_or(Ok(()), |socket| self.end(socket));
            }
            looks += 1;
            self.host.sleep(if looks < CLOSE_LOOKS { SHORT } else { LONG });
            if is_over() {
                over_since.get_or_insert_with(|| self.host.now());
            }
        }
        Ok(())
    }
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
        let (Some(main), Some(Entry::File { mode, owner, .. })) =
            (host.read_of(&path, Whose::Folder)?, host.entry(&path)?)
        else {
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
            if let Some(port) = wait_for_ports(host, front, &PORTS, SHORT)? {
                let (name, log) = (front.name, front.logs[1]);
                refuse!("{name} was told to listen on port {port} and does not; its log ({log}) tells more");
            }
            Ok(())
        };
        self.from.hand_over(host, &Rightful::front(host, front)?, &PORTS, take)
    }
}
