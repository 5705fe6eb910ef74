//! A host as it will be once a plan has been applied, as far as that can be known beforehand: files, kernel variables,
//! modules and rc variables. With it what is checked on a host can be checked before anything is changed.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{Change, Plan};
use crate::host::{
    BindOutcome, BindProbe, Entry, Group, HostError, Listener, Observe, ServiceState, Supervision, System, User,
    WebAnswer, WebFailure, WebRequest,
};

/// A host with a plan laid over it.
pub struct AfterPlan<'a> {
    host: &'a dyn Observe,
    plan: &'a Plan,
}

impl<'a> AfterPlan<'a> {
    /// Lays the plan over the host.
    #[must_use]
    pub fn new(host: &'a dyn Observe, plan: &'a Plan) -> Self {
        Self { host, plan }
    }

    /// What the last change that has something to say on it says.
    fn planned<T>(&self, says: impl Fn(&'a Change) -> Option<T>) -> Option<T> {
        self.plan.steps.iter().rev().find_map(|step| says(&step.change))
    }

    /// Whether the last change of this path takes it away.
    fn is_removed(&self, at: &Path) -> bool {
        let last = self.planned(|change| match change {
            Change::Removal { path } | Change::TreeRemoval { path } => (path == at).then_some(true),
            Change::File { path, .. } | Change::Directory { path, .. } | Change::Symlink { path, .. } => {
                (path == at).then_some(false)
            }
            _ => None,
        });
        last == Some(true)
    }

    fn content(&self, at: &Path) -> Option<&'a [u8]> {
        self.planned(|change| match change {
            Change::File { path, content, .. } if path == at => Some(content.bytes()),
            _ => None,
        })
    }
}

impl Observe for AfterPlan<'_> {
    fn system(&self) -> Result<System, HostError> {
        self.host.system()
    }

    fn entry(&self, at: &Path) -> Result<Option<Entry>, HostError> {
        let planned = self.planned(|change| match change {
            Change::File { path, content, mode, owner } if path == at => {
                Some(Entry::File { size: content.bytes().len() as u64, mode: *mode, owner: *owner })
            }
            Change::Directory { path, mode, owner } if path == at => {
                Some(Entry::Directory { mode: *mode, owner: *owner })
            }
            Change::Symlink { path, target } if path == at => Some(Entry::Symlink { target: target.clone() }),
            _ => None,
        });
        if planned.is_none() && self.is_removed(at) {
            return Ok(None);
        }
        planned.map_or_else(|| self.host.entry(at), |entry| Ok(Some(entry)))
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        if self.is_removed(path) {
            return Ok(None);
        }
        self.content(path).map_or_else(|| self.host.read(path), |bytes| Ok(Some(bytes.to_vec())))
    }

    fn read_from(&self, path: &Path, offset: u64, limit: usize) -> Result<Option<Vec<u8>>, HostError> {
        let Some(bytes) = self.content(path) else { return self.host.read_from(path, offset, limit) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok(Some(bytes[start..bytes.len().min(start.saturating_add(limit))].to_vec()))
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, HostError> {
        let mut names = self.host.list(path)?;
        let planned = self.plan.steps.iter().filter_map(|step| match &step.change {
            Change::File { path: there, .. }
            | Change::Directory { path: there, .. }
            | Change::Symlink { path: there, .. } => Some(there),
            _ => None,
        });
        let within = planned.filter(|there| there.parent() == Some(path));
        names.retain(|name| !self.is_removed(&path.join(name)));
        names.extend(within.filter_map(|there| Some(there.file_name()?.to_string_lossy().into_owned())));
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn user(&self, name: &str) -> Result<Option<User>, HostError> {
        let planned = self.planned(|change| match change {
            Change::User { user } if user.name == name => Some(user.clone()),
            _ => None,
        });
        planned.map_or_else(|| self.host.user(name), |user| Ok(Some(user)))
    }

    fn user_by_id(&self, uid: u32) -> Result<Option<User>, HostError> {
        let planned = self.planned(|change| match change {
            Change::User { user } if user.uid == uid => Some(user.clone()),
            _ => None,
        });
        planned.map_or_else(|| self.host.user_by_id(uid), |user| Ok(Some(user)))
    }

    fn group(&self, name: &str) -> Result<Option<Group>, HostError> {
        let planned = self.planned(|change| match change {
            Change::Group { group } if group.name == name => Some(group.clone()),
            _ => None,
        });
        planned.map_or_else(|| self.host.group(name), |group| Ok(Some(group)))
    }

    fn group_by_id(&self, gid: u32) -> Result<Option<Group>, HostError> {
        let planned = self.planned(|change| match change {
            Change::Group { group } if group.gid == gid => Some(group.clone()),
            _ => None,
        });
        planned.map_or_else(|| self.host.group_by_id(gid), |group| Ok(Some(group)))
    }

    fn groups_of(&self, user: &str) -> Result<Vec<u32>, HostError> {
        self.host.groups_of(user)
    }

    fn module_loaded(&self, module: &str) -> Result<bool, HostError> {
        let planned = self.planned(|change| match change {
            Change::Module { name } if name == module => Some(true),
            Change::ModuleRemoval { name, .. } if name == module => Some(false),
            _ => None,
        });
        planned.map_or_else(|| self.host.module_loaded(module), Ok)
    }

    fn sysctl(&self, variable: &str) -> Result<Option<String>, HostError> {
        let planned = self.planned(|change| match change {
            Change::Sysctl { name, value } if name == variable => Some(value.clone()),
            _ => None,
        });
        planned.map_or_else(|| self.host.sysctl(variable), |value| Ok(Some(value)))
    }

    fn rc_variable(&self, variable: &str) -> Result<Option<String>, HostError> {
        let planned = self.planned(|change| match change {
            Change::RcVariable { name, value } if name == variable => Some(value.clone()),
            _ => None,
        });
        planned.map_or_else(|| self.host.rc_variable(variable), Ok)
    }

    fn package(&self, name: &str) -> Result<Option<String>, HostError> {
        self.host.package(name)
    }

    fn service(&self, name: &str) -> Result<ServiceState, HostError> {
        self.host.service(name)
    }

    fn supervision(&self, name: &str) -> Result<Supervision, HostError> {
        self.host.supervision(name)
    }

    fn listeners(&self) -> Result<Vec<Listener>, HostError> {
        self.host.listeners()
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, HostError> {
        self.host.free_bytes(path)
    }

    fn resolve(&self, name: &str) -> Vec<IpAddr> {
        self.host.resolve(name)
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, HostError> {
        self.host.addresses()
    }

    fn now(&self) -> u64 {
        self.host.now()
    }

    fn local_path(&self, path: &Path) -> PathBuf {
        self.host.local_path(path)
    }

    fn bind(&self, probe: &BindProbe) -> Result<BindOutcome, HostError> {
        self.host.bind(probe)
    }

    fn web(&self, request: &WebRequest) -> Result<WebAnswer, WebFailure> {
        self.host.web(request)
    }
}
