//! The ids of another user, taken on for good.
//!
//! setgroups(2) differs: up to FreeBSD 14 the first entry of its list becomes the effective gid, from 15 on all entries
//! are supplementary groups, as on other systems. The primary gid therefore comes first, which is right for both.

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, getgroups, getresgid, getresuid, setgid, setgroups, setuid};
use serde::{Deserialize, Serialize};

/// Who a child is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// Effective, real and saved uid.
    pub uid: u32,
    /// Effective, real and saved gid.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Ids {
    /// Takes them on: groups, then gid, then uid, because after the last there is no privilege left to change the others.
    ///
    /// # Errors
    /// In words: they could not be set, or not for good.
    pub(super) fn take_on(&self) -> Result<(), String> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let mut groups = vec![gid];
        groups.extend(self.groups.iter().copied().map(Gid::from_raw).filter(|group| *group != gid));
        let refused = |what: String| move |errno: Errno| format!("cannot {what}: {}", errno.desc());
        setgroups(&groups).map_err(refused(format!("take on the groups of uid {uid}")))?;
        setgid(gid).map_err(refused(format!("take on gid {gid}")))?;
        setuid(uid).map_err(refused(format!("take on uid {uid}")))?;

        // Trust nothing: a child with the wrong ids would prove the wrong thing.
        let user = getresuid().map_err(refused("read back the uid".to_owned()))?;
        let group = getresgid().map_err(refused("read back the gid".to_owned()))?;
        let mut taken = getgroups().map_err(refused("read back the groups".to_owned()))?;
        for list in [&mut groups, &mut taken] {
            // Whether the list contains the gid itself depends on the release.
            list.push(gid);
            list.sort_unstable_by_key(|group| group.as_raw());
            list.dedup();
        }
        let as_asked = [user.real, user.effective, user.saved].iter().all(|id| *id == uid)
            && [group.real, group.effective, group.saved].iter().all(|id| *id == gid)
            && groups == taken;
        if !as_asked {
            return Err(format!("uid {uid} and gid {gid} were not taken on completely"));
        }
        if !uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
            return Err(format!("uid {uid} could become root again"));
        }
        Ok(())
    }
}
