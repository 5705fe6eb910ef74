//! Which members a backup has: one table, which the writer and the reader share.
//!
//! The writer leaves out a file whose name is not in the table, and names it. So did no writer before the table was made:
//! it took whatever lay in the folders. A stray file there, an editor's copy or a medium that is none of
//! GoToSocial's, does not spoil such a backup. But it is never put in place. Outside these folders no writer has ever had
//! another name, so the reader refuses the backup.
//!
//! No two names of the table differ in case alone, and none is the folder of another: what is restored on a file system
//! that ignores case is the same.

use crate::filter::{FILE as FILTERS, LISTS, ListName};
use crate::net::HostName;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An SQLite database, its write-ahead log or its journal.
    Sqlite,
    /// What the copy of an SQLite database says of itself.
    Description,
    /// A dump of a PostgreSQL database.
    Postgres,
    /// GoToSocial's configuration.
    Config,
    /// What this program wrote last of it.
    ConfigWritten,
    /// The answers.
    Answers,
    /// The secrets beside them.
    Secrets,
    /// The release that they resolved to.
    Lock,
    /// The filters.
    Filters,
    /// A list of addresses.
    List,
    /// The chain of a certificate of the web server in front.
    Chain,
    /// Its key.
    Key,
    /// An account at a certificate authority.
    Account,
    /// The record of failed renewals.
    Renewals,
    /// A certificate with its key, as GoToSocial keeps it.
    Cached,
    /// The key of GoToSocial's account at its certificate authority.
    CachedAccount,
    /// A receipt, which is never restored.
    Receipt,
    /// A medium.
    Medium,
}

/// A kind of member: the folder, the names in it, and the greatest size in bytes.
type Row = (Kind, &'static str, fn(&str) -> bool, u64);

const TABLE: [Row; 18] = [
    (Kind::Sqlite, "database/", |name| ["sqlite.db", "sqlite.db-wal", "sqlite.db-journal"].contains(&name), TIB),
    (Kind::Description, "database/", |name| name == "database.json", 64 * KIB),
    (Kind::Postgres, "database/", |name| name == "postgres.dump", TIB),
    (Kind::Config, "", |name| name == super::CONFIG, MIB),
    (Kind::ConfigWritten, "", |name| name == super::CONFIG_WRITTEN, MIB),
    (Kind::Answers, super::RECORDS, |name| name == "deployment.toml", MIB),
    (Kind::Secrets, super::RECORDS, |name| name == "deployment.secrets.toml", MIB),
    (Kind::Lock, super::RECORDS, |name| name == "deployment.lock", 64 * KIB),
    (Kind::Filters, super::RECORDS, |name| name == FILTERS, 16 * MIB),
    (Kind::List, super::RECORDS, is_list, 16 * MIB),
    (Kind::Chain, super::TLS, |name| is_of_pair(name, ".pem"), 128 * KIB),
    (Kind::Key, super::TLS, |name| is_of_pair(name, ".key"), 128 * KIB),
    (Kind::Account, super::TLS, is_account, 128 * KIB),
    (Kind::Renewals, super::TLS, |name| name == "renewal.json", MIB),
    (Kind::Cached, super::CERTIFICATES, |name| is_host(name.strip_suffix("+rsa").unwrap_or(name)), 128 * KIB),
    (Kind::CachedAccount, super::CERTIFICATES, |name| name == "acme_account+key", 128 * KIB),
    (Kind::Receipt, super::RECEIPTS, is_receipt, TIB),
    (Kind::Medium, super::STORAGE, is_medium, TIB),
];

/// The folders of which the first writers took every file.
const FOLDERS: [&str; 5] = [super::RECORDS, super::TLS, super::CERTIFICATES, super::RECEIPTS, super::STORAGE];

impl Kind {
    /// What the member of this path is; `None` if no backup of today has it.
    pub fn of(path: &str) -> Option<Self> {
        TABLE.iter().find(|(_, folder, named, _)| path.strip_prefix(folder).is_some_and(named)).map(|row| row.0)
    }

    /// The greatest size in bytes.
    pub fn largest(self) -> u64 {
        TABLE.iter().find(|row| row.0 == self).map_or(0, |row| row.3)
    }

    /// Whether it belongs to the service user, where it is found.
    pub fn is_services(self) -> bool {
        matches!(self, Self::Cached | Self::CachedAccount | Self::Medium)
    }

    /// Whether it is read into memory, parsed, and put in place by the plan.
    pub fn is_small(self) -> bool {
        !matches!(self, Self::Sqlite | Self::Postgres | Self::Receipt | Self::Medium)
    }
}

/// Whether a backup from before the table may have this member, which is not in it.
pub(super) fn is_stray(path: &str) -> bool {
    FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// `filters/NAME.list`.
fn is_list(name: &str) -> bool {
    let name = name.strip_prefix(LISTS).and_then(|name| name.strip_prefix('/')?.strip_suffix(".list"));
    name.is_some_and(|name| name.parse::<ListName>().is_ok())
}

fn is_host(name: &str) -> bool {
    name.parse::<HostName>().is_ok_and(|host| host.as_str() == name)
}

/// The chain or the key of a host, or of the certificate that it had before.
fn is_of_pair(name: &str, ending: &str) -> bool {
    name.strip_suffix(ending).is_some_and(|name| is_host(name.strip_suffix(".previous").unwrap_or(name)))
}

/// `account.json`, or that of another authority than the usual one.
fn is_account(name: &str) -> bool {
    let Some(which) = name.strip_prefix("account").and_then(|name| name.strip_suffix(".json")) else { return false };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    which.is_empty() || which.strip_prefix('-').is_some_and(|hash| hash.len() == 16 && hash.bytes().all(is_digit))
}

/// `0001-install.jsonl`.
fn is_receipt(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.strip_suffix(".jsonl").is_some_and(|name| !name.is_empty() && name.bytes().all(plain))
}

/// What GoToSocial takes for a key of its storage, and serves: `FilePath` in its `internal/regexes`. What has another name
/// it calls "unexpected storage item" (`PruneOrphaned` in `internal/cleaner`).
fn is_medium(name: &str) -> bool {
    let is_id = |id: &str| id.len() == 26 && id.bytes().all(|byte| b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(&byte));
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_ending =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    match name.split('/').collect::<Vec<_>>()[..] {
        [account, kind, size, file] => {
            is_id(account)
                && is_word(kind)
                && is_word(size)
                && file.split_once('.').is_some_and(|(id, ending)| is_id(id) && is_ending(ending))
        }
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::deployment::Layout;

    const MEDIUM: &str = "storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X7.gif";

    /// A name of each kind.
    const KNOWN: [(&str, Kind); 22] = [
        (crate::backup::SQLITE, Kind::Sqlite),
        ("database/sqlite.db-wal", Kind::Sqlite),
        ("database/sqlite.db-journal", Kind::Sqlite),
        ("database/database.json", Kind::Description),
        (crate::backup::POSTGRES, Kind::Postgres),
        ("config.yaml", Kind::Config),
        ("config.written.yaml", Kind::ConfigWritten),
        ("records/deployment.toml", Kind::Answers),
        ("records/deployment.secrets.toml", Kind::Secrets),
        ("records/deployment.lock", Kind::Lock),
        ("records/filters.conf", Kind::Filters),
        ("records/filters/drop-v4.list", Kind::List),
        ("tls/social.example.org.pem", Kind::Chain),
        ("tls/social.example.org.previous.key", Kind::Key),
        ("tls/account.json", Kind::Account),
        ("tls/account-0123456789abcdef.json", Kind::Account),
        ("tls/renewal.json", Kind::Renewals),
        ("certificates/social.example.org", Kind::Cached),
        ("certificates/social.example.org+rsa", Kind::Cached),
        ("certificates/acme_account+key", Kind::CachedAccount),
        ("receipts/0001-switch-to-proxy.jsonl", Kind::Receipt),
        (MEDIUM, Kind::Medium),
    ];

    #[test]
    fn what_a_backup_has_is_known() {
        for (path, kind) in KNOWN {
            assert_eq!(Kind::of(path), Some(kind), "{path}");
            assert!(kind.largest() > 0);
        }
        let layout = Layout::default();
        for (path, kind) in
            [(layout.answers(), Kind::Answers), (layout.secrets(), Kind::Secrets), (layout.lock(), Kind::Lock)]
        {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(Kind::of(&format!("records/{name}")), Some(kind));
        }
    }

    #[test]
    fn what_no_backup_has_is_not() {
        for path in [
            "manifest.json",
            "database/sqlite.db-shm",
            "database/x/sqlite.db",
            "etc/passwd",
            "config.yaml/x",
            "config.yaml~",
            "records/deployment.toml~",
            "records/filters/../deployment.toml",
            "records/filters/a/b.list",
            "records/tls/a.example.pem",
            "tls/../x.key",
            "tls/Social.example.org.key",
            "tls/account-0123456789ABCDEF.json",
            "tls/.json",
            "certificates/Social.Example.org",
            "certificates/social.example.org+token",
            "certificates/a/b",
            "certificates/",
            "receipts/0001-install.jsonl.gz",
            "storage/certs/social.example.org",
            "storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X7",
            "storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X7.a.b",
            "storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/x/01FPST9QK4V5XWS3F9Z4F2G1X7.gif",
            "storage/01FPST95B8FC3HG3AGCDKPQNQI/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X7.gif",
            "storage/../../../01FPST9QK4V5XWS3F9Z4F2G1X7.gif",
        ] {
            assert_eq!(Kind::of(path), None, "{path}");
        }
        assert!(is_stray("records/deployment.toml~") && !is_stray("database/x") && !is_stray("etc/passwd"));
    }

    proptest! {
        #[test]
        fn no_two_names_differ_in_case_alone(which in 0..KNOWN.len(), at in any::<prop::sample::Index>()) {
            let path = KNOWN[which].0;
            let at = at.index(path.len());
            let letter = path.as_bytes()[at] as char;
            let other = if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
            prop_assume!(other != letter);
            let changed = format!("{}{other}{}", &path[..at], &path[at + 1..]);
            prop_assert_eq!(Kind::of(&changed), None, "{}", changed);
        }
    }
}
