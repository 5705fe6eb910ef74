//! What is done to a web server in front: its include line, its start and its reload.

use std::time::Duration;

use crate::change::front::{PORTS, edited, edited_file, takes_free_ports, wait_for_ports, wait_for_release};
use crate::change::kind::prelude::*;
use crate::change::listening::Rightful;
use crate::change::thing;
use crate::front::Front;
use crate::host::{Entry, ServiceAction, Whose};
use crate::shown::Shown;

/// Puts the line that includes our site into a front's main configuration file, or takes it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncludeSite {
    /// Whose file.
    pub front: Front,
    /// Whether the line is to be there.
    pub present: bool,
}

/// Starts a front, with the proof afterwards that it has its ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFront {
    /// Which front.
    pub front: Front,
    /// TCP ports that it must listen on.
    pub ports: Vec<u16>,
}

/// Has a front read its configuration again, without dropping a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadFront {
    /// Which front.
    pub front: Front,
    /// Only where the changes after this one are taken back: once they are, the front has to read what it had before.
    pub when_undone: bool,
}

impl Kind for IncludeSite {
    named!(ErrorCode::Front, "front-include", "include in", "include");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Path(self.front.main_file()), Left::Edited))
    }

    fn detail(&self) -> String {
        let with = if self.present { "one line that includes" } else { "without the line that includes" };
        format!("{with} GoToSocial's site")
    }

    fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        thing::prior_of(host, &edited_file(host, self.front)?)
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let host = executor.host;
        let path = edited_file(host, self.front)?;
        let new = edited(host, self.front, self.present)?;
        if host.read_of(&path, Whose::Folder)?.as_deref() == Some(&new) {
            return Ok(());
        }
        // It is a file: it has just been read.
        let Some(Entry::File { mode, owner, .. }) = host.entry(&path)? else { refuse!("{} is gone", path.shown()) };
        Ok(host.write_file(&path, &new, mode, owner)?)
    }

    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        thing::restore(host, &edited_file(host, self.front)?, prior)
    }
}

impl Kind for StartFront {
    named!(ErrorCode::Front, "service");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Service(self.front.service.to_owned()), Left::Unrecorded))
    }

    fn detail(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        format!("and see that it listens on {}", ports.join(" and "))
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let (host, service) = (executor.host, self.front.service);
        wait_for_release(host, &self.ports)?;
        Rightful::front(host, self.front)?.are_alone(host, &self.ports)?;
        host.service_action(service, ServiceAction::Start)?;
        if let Some(port) = wait_for_ports(host, self.front, &self.ports, Duration::from_secs(1))? {
            let name = self.front.name;
            refuse!(
                "{name} was started and does not listen on port {port}; its log, and `service {service} start`, tell more"
            );
        }
        Ok(())
    }
}

impl Kind for ReloadFront {
    named!(ErrorCode::Front, "service");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Service(self.front.service.to_owned()), Left::Unrecorded))
    }

    fn detail(&self) -> String {
        if self.when_undone { "only if what follows is undone" } else { "without dropping a connection" }.to_owned()
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        if !self.when_undone {
            takes_free_ports(executor.host, self.front, &PORTS)?;
            executor.host.service_action(self.front.service, ServiceAction::Reload)?;
        }
        Ok(())
    }

    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        let service = self.front.service;
        if !self.when_undone || *prior != Prior::Present {
            return Ok(());
        }
        if !host.service(service)?.is_running() {
            return host.service_action(service, ServiceAction::Start);
        }
        host.service_action(service, ServiceAction::Reload)?;
        // It lets go of its ports a little later.
        host.sleep(Duration::from_secs(1));
        Ok(())
    }
}
