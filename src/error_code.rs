//! Error codes: a short, stable name for each kind of refusal and failure. `docs/troubleshooting.md` explains each.
//!
//! An error knows its own code ([`Coded`]). Every printed error ends with the command that prints the entry.

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[$meaning:meta])* $name:ident = $text:literal,)*) => {
        /// A kind of refusal or failure.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ErrorCode {
            $($(#[$meaning])* $name,)*
        }

        impl ErrorCode {
            /// All codes, in the order of the page.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as it is printed.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("GTSB-", $text),)*
                }
            }
        }
    };
}

codes! {
    // The command line, the answers, the consent.
    /// The options or arguments are invalid.
    Usage = "USAGE",
    /// The answers are unusable.
    Answers = "ANSWERS",
    /// The secrets are unusable.
    Secrets = "SECRETS",
    /// A name that can never change would change.
    HostChanged = "HOST-CHANGED",
    /// There is no terminal to ask at.
    NoTerminal = "NO-TERMINAL",
    /// The answer was no.
    NotConfirmed = "NOT-CONFIRMED",
    /// The plan is not the one that was shown.
    PlanChanged = "PLAN-CHANGED",

    // Privileges and place.
    /// The command needs root.
    NotRoot = "NOT-ROOT",
    /// This is not FreeBSD.
    NotFreeBsd = "NOT-FREEBSD",
    /// The folder is not a rehearsal.
    Rehearsal = "REHEARSAL",
    /// Nothing is installed here.
    NotInstalled = "NOT-INSTALLED",
    /// Another run is active.
    Locked = "LOCKED",
    /// An earlier run was interrupted by a crash, a kill or a power cut.
    CutOff = "CUT-OFF",
    /// Ctrl-C, or another signal.
    Interrupted = "INTERRUPTED",

    // What the preflight finds.
    /// Something must be fixed first.
    Preflight = "PREFLIGHT",
    /// FreeBSD is too old.
    System = "SYSTEM",
    /// There is no release for this CPU.
    Cpu = "CPU",
    /// Pages that are writable and executable are forbidden.
    AllowWx = "ALLOW-WX",
    /// No certificate authority is trusted.
    CaCertificates = "CA-CERTIFICATES",
    /// The clock is wrong.
    Clock = "CLOCK",
    /// There is too little memory.
    Memory = "MEMORY",
    /// There is too little free space.
    Disk = "DISK",
    /// The package net-im/gotosocial is installed.
    PackageThere = "PACKAGE-THERE",
    /// Another process listens on the port.
    PortTaken = "PORT-TAKEN",
    /// The log would not show when the server is ready.
    LogLevel = "LOG-LEVEL",
    /// A name could not be looked up.
    NameLookup = "NAME-LOOKUP",
    /// Another fediverse server answers under the name.
    OtherServer = "OTHER-SERVER",

    // What prevents a plan.
    /// Uid or gid 209 belongs to another account.
    IdTaken = "ID-TAKEN",
    /// The user gotosocial is root.
    AccountIsRoot = "ACCOUNT-IS-ROOT",
    /// A file that is not ours is in the place of one of ours.
    ForeignFile = "FOREIGN-FILE",
    /// An object of another kind is in the place of one of ours.
    WrongKind = "WRONG-KIND",
    /// A manual edit and a new setting change the same lines.
    Conflict = "CONFLICT",
    /// A file cannot be edited safely.
    NotEditable = "NOT-EDITABLE",
    /// GoToSocial's configuration cannot be created.
    Config = "CONFIG",
    /// The existing mac_portacl rules cannot be extended.
    Rules = "RULES",
    /// A setting makes mac_portacl useless.
    PortaclSetting = "PORTACL-SETTING",
    /// In a jail the host must allow the ports first.
    JailHost = "JAIL-HOST",
    /// `portacl lint` would report the result.
    Lint = "LINT",
    /// A reboot is needed first.
    Reboot = "REBOOT",
    /// The web server's configuration prevents the plan.
    FrontConfig = "FRONT-CONFIG",
    /// The web server is too old.
    FrontOld = "FRONT-OLD",
    /// The filters are unusable.
    Filter = "FILTER",
    /// A certificate that the answers name is unusable.
    TlsFiles = "TLS-FILES",
    /// There is no certificate for the name.
    NoCertificate = "NO-CERTIFICATE",

    // Releases.
    /// The requested release is invalid.
    Release = "RELEASE",
    /// The source has no such release.
    ReleaseNotFound = "RELEASE-NOT-FOUND",
    /// The source does not answer correctly.
    ReleaseSource = "RELEASE-SOURCE",
    /// The connection to the source cannot be trusted.
    ReleaseUntrusted = "RELEASE-UNTRUSTED",
    /// The bytes do not match their digest.
    ReleaseDigest = "RELEASE-DIGEST",
    /// The release was changed after it was locked.
    ReleaseChanged = "RELEASE-CHANGED",
    /// The release on the disk is damaged, or blocks the new one.
    ReleaseFolder = "RELEASE-FOLDER",
    /// The release is older than the one in use.
    Downgrade = "DOWNGRADE",
    /// Another release requires `upgrade`.
    NeedsUpgrade = "NEEDS-UPGRADE",
    /// A release must not be skipped.
    MustNotSkip = "MUST-NOT-SKIP",
    /// A change of release was interrupted partway.
    Unfinished = "UNFINISHED",
    /// There is no copy of a database for a rollback.
    NoWayBack = "NO-WAY-BACK",

    // Backups.
    /// There is a backup of that name.
    BackupThere = "BACKUP-THERE",
    /// Users other than root can write to the backup's folder.
    BackupFolder = "BACKUP-FOLDER",
    /// The backup belongs to another instance.
    BackupOfOther = "BACKUP-OF-OTHER",
    /// The backup is unusable.
    BackupUnusable = "BACKUP-UNUSABLE",

    // What failed during the changes.
    /// A file operation failed.
    File = "FILE",
    /// A command of the system failed.
    Command = "COMMAND",
    /// The content that was read has the wrong form.
    Unreadable = "UNREADABLE",
    /// The kernel refused.
    Kernel = "KERNEL",
    /// User or group could not be created or removed.
    Account = "ACCOUNT",
    /// rc.conf(5) could not be changed.
    RcConf = "RC-CONF",
    /// pkg(8) failed.
    Package = "PACKAGE",
    /// The release refuses the configuration.
    ConfigTest = "CONFIG-TEST",
    /// A service does not start, or does not stop.
    Service = "SERVICE",
    /// The web server refuses its configuration, does not start, or does not reload.
    Front = "FRONT",
    /// The first account was not created.
    Admin = "ADMIN",
    /// The database is damaged or cannot be used.
    Database = "DATABASE",
    /// The migration of the database failed.
    Migration = "MIGRATION",
    /// The authority issued no certificate.
    Acme = "ACME",
    /// The backup could not be written or restored.
    Backup = "BACKUP",
    /// The checks at the end of a switch or an upgrade failed.
    Trial = "TRIAL",
    /// The journal cannot be written.
    Journal = "JOURNAL",
    /// Not everything could be undone.
    NotUndone = "NOT-UNDONE",
    /// Not everything of an uninstallation could be done.
    Incomplete = "INCOMPLETE",
    /// The previous state of the host is unknown.
    NoReceipts = "NO-RECEIPTS",

    // What the checks find.
    /// A port is open that must not be.
    PortOpen = "PORT-OPEN",
    /// The service may not bind its port.
    PortRefused = "PORT-REFUSED",
    /// The next boot will not set port access correctly.
    PortBoot = "PORT-BOOT",
    /// GoToSocial does not run, or does not listen.
    ServiceDown = "SERVICE-DOWN",
    /// GoToSocial is not ready.
    NotReady = "NOT-READY",
    /// The server that answers is the wrong one.
    WrongAnswer = "WRONG-ANSWER",
    /// The certificate is wrong.
    Certificate = "CERTIFICATE",
    /// A profile page fails.
    Profile = "PROFILE",
    /// The web server in front does not run, or does not listen.
    FrontDown = "FRONT-DOWN",
    /// The web server in front answers incorrectly.
    FrontAnswer = "FRONT-ANSWER",
    /// GoToSocial is reachable past the web server.
    Backend = "BACKEND",
    /// The installation differs from what was installed.
    Drift = "DRIFT",
    /// The kernel did not do what was predicted.
    Prediction = "PREDICTION",
    /// A check could not be run.
    CheckFailed = "CHECK-FAILED",
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An error that knows its code.
pub trait Coded {
    /// The code.
    fn code(&self) -> ErrorCode;
}
