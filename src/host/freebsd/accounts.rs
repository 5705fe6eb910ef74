//! Users and groups: read from the user database, changed with pw(8).
//!
//! The user database is read with the functions of the `users` crate that keep nothing: its cache would hide what
//! pw(8) has just done.

use users::os::unix::UserExt;

use super::command::Commands;
use crate::host::{Group, HostError, User};

const PW: &str = "/usr/sbin/pw";

/// pw(8): "unknown group" (EX_DATAERR of sysexits(3)), seen on 13.2.
const NO_SUCH_GROUP: i32 = 65;
/// pw(8): "no such user" (EX_NOUSER), seen on 13.2.
const NO_SUCH_USER: i32 = 67;

pub(super) fn user(name: &str) -> Option<User> {
    users::get_user_by_name(name).as_ref().map(described_user)
}

pub(super) fn user_by_id(uid: u32) -> Option<User> {
    users::get_user_by_uid(uid).as_ref().map(described_user)
}

pub(super) fn group(name: &str) -> Option<Group> {
    users::get_group_by_name(name).as_ref().map(described_group)
}

pub(super) fn group_by_id(gid: u32) -> Option<Group> {
    users::get_group_by_gid(gid).as_ref().map(described_group)
}

/// The groups of a user: its primary one first, then those that list it. A gid without an entry of its own in the group
/// database is left out, but for the primary one.
pub(super) fn groups_of(name: &str) -> Vec<u32> {
    let Some(user) = users::get_user_by_name(name) else { return Vec::new() };
    let primary = user.primary_group_id();
    let others = users::get_user_groups(name, primary).unwrap_or_default();
    let others = others.iter().map(users::Group::gid).filter(|gid| *gid != primary);
    std::iter::once(primary).chain(others).collect()
}

fn described_user(user: &users::User) -> User {
    User {
        name: user.name().to_string_lossy().into_owned(),
        uid: user.uid(),
        gid: user.primary_group_id(),
        gecos: user.gecos().to_string_lossy().into_owned(),
        home: user.home_dir().to_path_buf(),
        shell: user.shell().to_path_buf(),
    }
}

fn described_group(group: &users::Group) -> Group {
    Group { name: group.name().to_string_lossy().into_owned(), gid: group.gid() }
}

pub(super) fn add_group(commands: &Commands, group: &Group) -> Result<(), HostError> {
    commands.run(PW, &["groupadd", &group.name, "-g", &group.gid.to_string()])?.succeeded().map(drop)
}

pub(super) fn delete_group(commands: &Commands, name: &str) -> Result<(), HostError> {
    let finished = commands.run(PW, &["groupdel", name])?;
    if finished.code() == Some(NO_SUCH_GROUP) && finished.says("unknown group") {
        return Ok(());
    }
    finished.succeeded().map(drop)
}

pub(super) fn add_user(commands: &Commands, user: &User) -> Result<(), HostError> {
    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    let (home, shell) = (user.home.to_string_lossy(), user.shell.to_string_lossy());
    // -w no: no password is set, so that nobody can log in with one. No -m: no home folder is made.
    let arguments =
        ["useradd", &user.name, "-u", &uid, "-g", &gid, "-c", &user.gecos, "-d", &home, "-s", &shell, "-w", "no"];
    commands.run(PW, &arguments)?.succeeded().map(drop)
}

pub(super) fn delete_user(commands: &Commands, name: &str) -> Result<(), HostError> {
    let finished = commands.run(PW, &["userdel", name])?;
    if finished.code() == Some(NO_SUCH_USER) && finished.says("no such user") {
        return Ok(());
    }
    finished.succeeded().map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;

    #[test]
    fn the_user_database_is_read() {
        let root = user("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(root.home.to_str(), Some("/root"));
        assert_eq!(user_by_id(0).unwrap().uid, 0);
        let group_of_root = group_by_id(0).unwrap();
        assert_eq!(group(&group_of_root.name), Some(group_of_root));
        assert!(groups_of("root").contains(&root.gid));
        assert_eq!(groups_of("no-such-user-here"), Vec::<u32>::new());
        assert_eq!(user("no\0such"), None);
        assert_eq!(user("no-such-user-here"), None);
        assert_eq!(group("no-such-group-here"), None);
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

    // What pw(8) says is as seen on FreeBSD 13.2.

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
