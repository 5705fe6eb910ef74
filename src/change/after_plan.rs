//! A host as it will be once a plan has been applied, as far as that can be known beforehand: files, kernel variables,
//! modules and rc variables. With it what is checked on a host can be checked before anything is changed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::plan::Step;
use super::thing::{Left, Thing};
use crate::child::Ids;
use crate::host::{
    BindOutcome, BindProbe, Entry, Group, HostError, Listeners, Observe, ServiceState, Supervision, System, User,
    Visit, WebAnswer, WebFailure, WebRequest, Whose,
};
use crate::portacl::Protocol;

/// Methods of a trait that another value answers.
macro_rules! delegate {
    (to $to:ident; $(fn $name:ident(&self $(, $argument:ident: $type:ty)*) $(-> $result:ty)?;)+) => {
        $(fn $name(&self $(, $argument: $type)*) $(-> $result)? {
            self.$to.$name($($argument),*)
        })+
    };
}

pub(super) use delegate;

/// A host with a plan laid over it.
pub struct AfterPlan<'a> {
    host: &'a dyn Observe,
    /// What the last change of each thing leaves.
    left: BTreeMap<Thing, Left>,
}

impl<'a> AfterPlan<'a> {
    /// Lays the steps of a plan over the host.
    pub fn new(host: &'a dyn Observe, steps: &[Step]) -> Self {
        Self { host, left: steps.iter().flat_map(|step| step.change.kind().leaves()).collect() }
    }

    fn path(&self, path: &Path) -> Option<&Left> {
        self.left.get(&Thing::Path(path.to_owned()))
    }
}

impl Observe for AfterPlan<'_> {
    delegate! { to host;
        fn system(&self) -> Result<System, HostError>;
        fn stranger(&self) -> Result<Option<Ids>, HostError>;
        fn groups_of(&self, user: &str) -> Result<Vec<u32>, HostError>;
        fn package(&self, name: &str) -> Result<Option<String>, HostError>;
        fn service(&self, name: &str) -> Result<ServiceState, HostError>;
        fn supervision(&self, name: &str) -> Result<Supervision, HostError>;
        fn sockets(&self, protocol: Protocol) -> Result<Listeners, HostError>;
        fn free_bytes(&self, path: &Path) -> Result<u64, HostError>;
        fn tree(&self, top: &Path, visit: Visit<'_>) -> Result<(), HostError>;
        fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, HostError>;
        fn addresses(&self) -> Result<Vec<IpAddr>, HostError>;
        fn now(&self) -> u64;
        fn local_path(&self, path: &Path) -> PathBuf;
        fn bind(&self, probe: &BindProbe) -> Result<BindOutcome, HostError>;
        fn web(&self, request: &WebRequest) -> Result<WebAnswer, WebFailure>;
    }

    fn entry(&self, path: &Path) -> Result<Option<Entry>, HostError> {
        match self.path(path) {
            Some(Left::Absent) => Ok(None),
            Some(Left::File { content, mode, owner }) => {
                Ok(Some(Entry::File { size: content.size(), mode: *mode, owner: *owner }))
            }
            Some(Left::Directory { mode, owner }) => Ok(Some(Entry::Directory { mode: *mode, owner: *owner })),
            Some(Left::Symlink { target }) => Ok(Some(Entry::Symlink { target: target.clone() })),
            _ => self.host.entry(path),
        }
    }

    fn read_from(&self, path: &Path, whose: Whose, offset: u64, limit: usize) -> Result<Option<Vec<u8>>, HostError> {
        match self.path(path) {
            Some(Left::Absent) => Ok(None),
            Some(Left::File { content, .. }) => {
                let rest = content.bytes().get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
                Ok(Some(rest[..rest.len().min(limit)].to_vec()))
            }
            _ => self.host.read_from(path, whose, offset, limit),
        }
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, HostError> {
        let mut names = self.host.list(folder)?;
        for (thing, left) in &self.left {
            let Thing::Path(path) = thing else { continue };
            let Some(name) = path.file_name().filter(|_| path.parent() == Some(folder)) else { continue };
            match left {
                Left::Absent => names.retain(|there| name != there.as_str()),
                Left::File { .. } | Left::Directory { .. } | Left::Symlink { .. } => {
                    names.push(name.to_string_lossy().into_owned());
                }
                _ => {}
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn user(&self, name: &str) -> Result<Option<User>, HostError> {
        match self.left.get(&Thing::User(name.to_owned())) {
            Some(Left::Absent) => Ok(None),
            Some(Left::User(user)) => Ok(Some(user.clone())),
            _ => self.host.user(name),
        }
    }

    fn user_by_id(&self, uid: u32) -> Result<Option<User>, HostError> {
        let is_it = |left: &&Left| matches!(left, Left::User(user) if user.uid == uid);
        match self.left.values().find(is_it) {
            Some(Left::User(user)) => Ok(Some(user.clone())),
            _ => self.host.user_by_id(uid),
        }
    }

    fn group(&self, name: &str) -> Result<Option<Group>, HostError> {
        match self.left.get(&Thing::Group(name.to_owned())) {
            Some(Left::Absent) => Ok(None),
            Some(Left::Group(group)) => Ok(Some(group.clone())),
            _ => self.host.group(name),
        }
    }

    fn group_by_id(&self, gid: u32) -> Result<Option<Group>, HostError> {
        let is_it = |left: &&Left| matches!(left, Left::Group(group) if group.gid == gid);
        match self.left.values().find(is_it) {
            Some(Left::Group(group)) => Ok(Some(group.clone())),
            _ => self.host.group_by_id(gid),
        }
    }

    fn module_loaded(&self, name: &str) -> Result<bool, HostError> {
        match self.left.get(&Thing::Module(name.to_owned())) {
            Some(left) => Ok(*left == Left::Present),
            None => self.host.module_loaded(name),
        }
    }

    fn sysctl(&self, name: &str) -> Result<Option<String>, HostError> {
        match self.left.get(&Thing::Sysctl(name.to_owned())) {
            Some(Left::Value(value)) => Ok(Some(value.clone())),
            _ => self.host.sysctl(name),
        }
    }

    fn rc_variable(&self, name: &str) -> Result<Option<String>, HostError> {
        match self.left.get(&Thing::RcVariable(name.to_owned())) {
            Some(Left::Value(value)) => Ok(Some(value.clone())),
            Some(_) => Ok(None),
            None => self.host.rc_variable(name),
        }
    }
}
