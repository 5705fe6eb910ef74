//! One change to a host, of any kind.

use serde::{Deserialize, Serialize};

use super::database::{DatabaseCopy, DatabaseRestore};
use super::kind::Kind;
use super::kinds::*;
use super::postgres::DatabaseTest;

/// Lists the kinds: the name of each in the journal, and its type. In the second list its members stand below one of their own.
macro_rules! kinds {
    ($($name:ident($kind:ty),)* ; $($inner_name:ident { $member:ident: $inner_kind:ty },)*) => {
        /// One change to a host.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "kebab-case")]
        #[allow(missing_docs)]
        pub enum Change {
            $($name($kind),)*
            $($inner_name { $member: Box<$inner_kind> },)*
        }

        impl Change {
            /// The change as what all kinds have in common.
            pub fn kind(&self) -> &dyn Kind {
                match self {
                    $(Self::$name(kind) => kind,)*
                    $(Self::$inner_name { $member } => &**$member,)*
                }
            }
        }

        $(impl From<$kind> for Change {
            fn from(kind: $kind) -> Self {
                Self::$name(kind)
            }
        })*

        $(impl From<$inner_kind> for Change {
            fn from(kind: $inner_kind) -> Self {
                Self::$inner_name { $member: Box::new(kind) }
            }
        })*
    };
}

kinds! {
    Directory(MakeDirectory),
    File(WriteFile),
    Symlink(MakeSymlink),
    Removal(Remove),
    TreeRemoval(RemoveTree),
    Discard(Discard),
    Group(AddGroup),
    GroupRemoval(RemoveGroup),
    User(AddUser),
    UserRemoval(RemoveUser),
    Module(LoadModule),
    ModuleRemoval(UnloadModule),
    Sysctl(SetSysctl),
    RcVariable(SetRcVariable),
    Package(InstallPackage),
    PackageRemoval(RemovePackage),
    FrontInclude(IncludeSite),
    FrontTest(TestFront),
    FrontStart(StartFront),
    FrontReload(ReloadFront),
    FrontStandby(StandBy),
    FrontTakeover(TakeOver),
    Release(InstallRelease),
    ServiceStop(StopService),
    ;
    ServiceStart { start: ServiceStart },
    ConfigTest { test: ConfigTest },
    DatabaseTest { test: DatabaseTest },
    DatabaseCopy { copy: DatabaseCopy },
    DatabaseRestore { restore: DatabaseRestore },
    Migration { migration: Migration },
    Account { account: Account },
    Backup { backup: BackupChange },
    Certificate { certificate: CertificateChange },
}
