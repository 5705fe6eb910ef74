//! Users and groups: read from the user database, changed with pw(8).

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{self, Gid, getgrouplist};

use super::command::Commands;
use crate::host::{Group, HostError, User};

const PW: &str = "/usr/sbin/pw";

/// pw(8): "unknown group" (EX_DATAERR of sysexits(3)), seen on 13.2.
const NO_SUCH_GROUP: i32 = 65;
/// pw(8): "no such user" (EX_NOUSER), seen on 13.2.
const NO_SUCH_USER: i32 = 67;

/// What the user database says. It is no answer if the database itself does not answer (a directory service, by
/// nsswitch.conf(5)). POSIX lets getpwnam_r(3) and related functions report a missing name with some errnos, too; its
/// APPLICATION USAGE lists them.
pub(super) fn found<T, U: From<T>>(
    asked: Result<Option<T>, Errno>,
    what: &str,
    name: &str,
) -> Result<Option<U>, HostError> {
    match asked {
        Ok(found) => Ok(found.map(U::from)),
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        Err(errno) => Err(unanswered(what, name, errno)),
    }
}

pub(super) fn user(name: &str) -> Result<Option<User>, HostError> {
    found(unistd::User::from_name(name), "user", name)
}

pub(super) fn user_by_id(uid: u32) -> Result<Option<User>, HostError> {
    found(unistd::User::from_uid(uid.into()), "uid", &uid.to_string())
}

/// The groups of a user: its primary one first, then those that list it.
pub(super) fn groups_of(name: &str) -> Result<Vec<u32>, HostError> {
    let Some(user) = user(name)? else { return Ok(Vec::new()) };
    let failed = |errno: Errno| unanswered("groups of the user", name, errno);
    let text = CString::new(name).map_err(|_| failed(Errno::EINVAL))?;
    let groups = getgrouplist(&text, Gid::from_raw(user.gid)).map_err(failed)?;
    let others = groups.into_iter().map(Gid::as_raw).filter(|gid| *gid != user.gid);
    Ok(std::iter::once(user.gid).chain(others).collect())
}

fn unanswered(what: &str, name: &str, errno: Errno) -> HostError {
    HostError::Unreadable {
        what: format!("the user database, which was asked for the {what} {name}"),
        text: format!(
            "{}; if accounts come from a directory service (nsswitch.conf(5)), see whether it answers: `getent passwd`",
            errno.desc()
        ),
    }
}

impl From<unistd::User> for User {
    fn from(user: unistd::User) -> Self {
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        let gecos = user.gecos.to_string_lossy().into_owned();
        Self { name: user.name, uid, gid, gecos, home: user.dir, shell: user.shell }
    }
}

impl From<unistd::Group> for Group {
    fn from(group: unistd::Group) -> Self {
        Self { name: group.name, gid: group.gid.as_raw() }
    }
}

pub(super) fn add_group(commands: &Commands, group: &Group) -> Result<(), HostError> {
    commands.done(PW, &["groupadd", &group.name, "-g", &group.gid.to_string()])
}

pub(super) fn delete_group(commands: &Commands, name: &str) -> Result<(), HostError> {
    commands.run(PW, &["groupdel", name])?.unless(NO_SUCH_GROUP, "unknown group").map(drop)
}

pub(super) fn add_user(commands: &Commands, user: &User) -> Result<(), HostError> {
    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    let (home, shell) = (user.home.to_string_lossy(), user.shell.to_string_lossy());
    // -w no: sets no password, so that logging in with one is impossible. No -m: creates no home folder.
    let arguments =
        ["useradd", &user.name, "-u", &uid, "-g", &gid, "-c", &user.gecos, "-d", &home, "-s", &shell, "-w", "no"];
    commands.done(PW, &arguments)
}

pub(super) fn delete_user(commands: &Commands, name: &str) -> Result<(), HostError> {
    commands.run(PW, &["userdel", name])?.unless(NO_SUCH_USER, "no such user").map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::FreeBsd;
    use super::super::stand_in::StandIns;
    use super::*;
    use crate::host::Observe;

    #[test]
    fn the_user_database_is_read() {
        let root = user("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(root.home.to_str(), Some("/root"));
        assert_eq!(user_by_id(0).unwrap().unwrap().uid, 0);
        let host = FreeBsd::below("/");
        let group_of_root = host.group_by_id(0).unwrap().unwrap();
        assert_eq!(host.group(&group_of_root.name).unwrap(), Some(group_of_root));
        assert_eq!(groups_of("root").unwrap().first(), Some(&root.gid));
        assert_eq!(groups_of("no-such-user-here").unwrap(), Vec::<u32>::new());
        assert_eq!(user("no\0such").unwrap(), None);
        assert_eq!(user("no-such-user-here").unwrap(), None);
        assert_eq!(host.group("no\0such").unwrap(), None);
        assert_eq!(host.group("no-such-group-here").unwrap(), None);
    }

    #[test]
    fn a_database_that_does_not_answer_is_not_one_without_the_name() {
        for errno in [Errno::ENOENT, Errno::ESRCH] {
            assert_eq!(found::<(), ()>(Err(errno), "user", "www").unwrap(), None);
        }
        let error = found::<(), ()>(Err(Errno::EIO), "user", "www").unwrap_err().to_string();
        assert!(error.contains("user database") && error.contains("user www") && error.contains("error"), "{error}");
    }

    #[test]
    fn accounts_are_made_without_password_and_home_folder() {
        let tools = StandIns::new();
        tools.keeps(PW);
        let user = User {
            name: "gotosocial".into(),
            uid: 209,
            gid: 209,
            gecos: "Gotosocial user".into(),
            home: "/nonexistent".into(),
            shell: "/usr/sbin/nologin".into(),
        };
        add_user(&tools.commands(), &user).unwrap();
        let expected = "useradd gotosocial -u 209 -g 209 -c Gotosocial_user -d /nonexistent -s /usr/sbin/nologin -w no";
        let expected: Vec<String> = expected.split(' ').map(|word| word.replace('_', " ")).collect();
        assert_eq!(tools.arguments(), expected);
        add_group(&tools.commands(), &Group { name: "gotosocial".into(), gid: 209 }).unwrap();
        assert_eq!(tools.arguments(), ["groupadd", "gotosocial", "-g", "209"]);
    }

    // The output of pw(8) is as seen on FreeBSD 13.2.

    #[test]
    fn what_is_gone_already_is_no_error() {
        let tools = StandIns::new();
        tools.says(PW, "pw: unknown group `gotosocial'", 65);
        delete_group(&tools.commands(), "gotosocial").unwrap();
        tools.says(PW, "pw: no such user `gotosocial'", 67);
        delete_user(&tools.commands(), "gotosocial").unwrap();
    }

    #[test]
    fn what_pw_refuses_is_told() {
        let tools = StandIns::new();
        tools.says(PW, "pw: gid `209' has already been allocated", 65);
        let group = Group { name: "other".into(), gid: 209 };
        let error = add_group(&tools.commands(), &group).unwrap_err().to_string();
        assert!(error.contains("pw groupadd other -g 209") && error.contains("already been allocated"), "{error}");
        assert!(delete_group(&tools.commands(), "other").is_err());
        tools.says(PW, "pw: /etc/master.passwd: Permission denied", 67);
        assert!(delete_user(&tools.commands(), "other").is_err());
    }
}
