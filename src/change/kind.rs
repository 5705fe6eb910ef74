//! What every kind of change can do.

use std::path::{Path, PathBuf};

use super::executor::Executor;
use super::failure::Failure;
use super::prior::Prior;
use super::thing::{Left, Thing};
use crate::error_code::ErrorCode;
use crate::host::{Host, HostError, Owner};

/// A kind of change. Most kinds change one [`Thing`] and need little more than to name it and to apply the change: the state
/// before, the way back and the place in the ledger follow from the thing.
pub trait Kind {
    /// The name in `--json`.
    fn name(&self) -> &'static str;

    /// The name in a plan that people read; empty where the target says it all.
    fn noun(&self) -> &'static str {
        self.name()
    }

    /// The name in the groups of a long plan, at most seven letters.
    fn heading(&self) -> &'static str {
        self.noun().rsplit(' ').next().unwrap_or_default()
    }

    /// Where to read more if such a change fails and its cause has no code that says more.
    fn code(&self) -> ErrorCode;

    /// What is changed, where it is one thing, and what the change leaves of it.
    fn effect(&self) -> Option<(Thing, Left)> {
        None
    }

    /// Everything that the change leaves, for the ledger of an uninstallation and for a look at the host after the plan. Whether
    /// a service runs is not in it, nor is data.
    fn leaves(&self) -> Vec<(Thing, Left)> {
        self.effect().into_iter().filter(|(_, left)| *left != Left::Unrecorded).collect()
    }

    /// What is changed, a path or a name, as people and `--json` see it.
    fn target(&self) -> String {
        self.effect().map(|(thing, _)| thing.to_string()).unwrap_or_default()
    }

    /// The change in a few words, without its target.
    fn detail(&self) -> String {
        String::new()
    }

    /// What stands there before the change. The bytes of a file that is about to be replaced go into the store.
    ///
    /// # Errors
    /// The host cannot be read, or the store cannot be written.
    fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        self.effect().map_or(Ok(Prior::Absent), |(thing, _)| thing.prior(host))
    }

    /// Makes the change.
    ///
    /// # Errors
    /// The host refused, or what was read back is not what was set.
    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure>;

    /// What stays when the change is taken back, in words: a folder or a file that somebody else has written into since.
    ///
    /// # Errors
    /// The host cannot be read.
    fn stays(&self, _host: &dyn Host, _prior: &Prior) -> Result<Option<String>, HostError> {
        Ok(None)
    }

    /// Takes the change back. It can be called again, and also for a change that was begun but not finished, or announced
    /// but not begun.
    ///
    /// # Errors
    /// The host refused.
    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        match (self.effect(), prior) {
            // The change changed nothing.
            (None, _) | (Some((_, Left::Absent)), Prior::Absent) => Ok(()),
            (Some((_, Left::Present | Left::User(_) | Left::Group(_))), Prior::Present) => Ok(()),
            (Some((thing, _)), _) => thing.restore(host, prior),
        }
    }

    /// Takes the change back, unless something has to stay, which is returned in words.
    ///
    /// # Errors
    /// The host refused.
    fn take_back(&self, host: &dyn Host, prior: &Prior) -> Result<Option<String>, HostError> {
        match self.stays(host, prior)? {
            Some(stays) => Ok(Some(stays)),
            None => self.undo(host, prior).map(|()| None),
        }
    }

    /// Takes the change back, but leaves what the next run can go on with.
    ///
    /// # Errors
    /// The host refused.
    fn put_off(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        self.take_back(host, prior).map(drop)
    }

    /// The folders in which the change puts files in place, and may leave a temporary one when it is cut off.
    fn folders(&self) -> Vec<PathBuf> {
        match self.effect() {
            Some((Thing::Path(path), _)) => above(&path),
            _ => Vec::new(),
        }
    }

    /// Whether a change that was cut off is left to go on, and looked at by the next plan.
    ///
    /// # Errors
    /// The host cannot be asked.
    fn is_left_to_run(&self, _host: &dyn Host) -> Result<bool, HostError> {
        Ok(false)
    }

    /// What nobody can bring back once its removal has begun.
    fn gone_for_good(&self) -> Option<&Path> {
        None
    }
}

/// The folder above a path.
pub(super) fn above(path: &Path) -> Vec<PathBuf> {
    path.parent().map(Path::to_path_buf).into_iter().collect()
}

/// An owner as ls(1) would show it, as far as it is known before the account is there.
pub(super) fn owned_by(owner: Owner) -> String {
    let name = |id: u32, root: &str| if id == 0 { root.to_owned() } else { id.to_string() };
    format!("{}:{}", name(owner.uid, "root"), name(owner.gid, "wheel"))
}

/// What a kind is called: its error code, its name in `--json`, and in a plan, where they differ, its noun and its heading. Behind
/// a semicolon its detail, where that is always the same.
macro_rules! named {
    (ErrorCode::$code:ident, $name:literal $(, $noun:literal $(, $heading:literal)?)? $(; $detail:literal)?) => {
        fn name(&self) -> &'static str {
            $name
        }
        fn code(&self) -> $crate::error_code::ErrorCode {
            $crate::error_code::ErrorCode::$code
        }
        $(
            fn noun(&self) -> &'static str {
                $noun
            }
            $(
                fn heading(&self) -> &'static str {
                    $heading
                }
            )?
        )?
        $(
            fn detail(&self) -> String {
                $detail.to_owned()
            }
        )?
    };
}

pub(super) use named;

/// What every file of `kinds/` uses.
pub(super) mod prelude {
    pub(in crate::change) use serde::{Deserialize, Serialize};

    pub(in crate::change) use super::super::content::{Content, digest};
    pub(in crate::change) use super::super::executor::Executor;
    pub(in crate::change) use super::super::failure::{Failure, refuse};
    pub(in crate::change) use super::super::prior::Prior;
    pub(in crate::change) use super::super::thing::{Left, Thing};
    pub(in crate::change) use super::{Kind, above, named, owned_by};
    pub(in crate::change) use crate::host::{Host, HostError, Owner};
}
