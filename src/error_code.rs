//! Error codes: a short, stable name for each kind of refusal and failure, under which `docs/troubleshooting.md` tells more.
//!
//! An error knows its own code ([`Coded`]). What is printed ends with the command that prints the entry.

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[$meaning:meta])* $name:ident = $text:literal,)*) => {
        /// A kind of refusal or failure.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ErrorCode {
            $($(#[$meaning])* $name,)*
        }

        impl ErrorCode {
            /// All of them, in the order of the page.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as it is printed.
            #[must_use]
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
    /// The command line asks for what does not fit.
    Usage = "USAGE",
    /// The answers cannot be used.
    Answers = "ANSWERS",
    /// The secrets cannot be used.
    Secrets = "SECRETS",
    /// A name that can never change would change.
    HostChanged = "HOST-CHANGED",
    /// Nobody can be asked.
    NoTerminal = "NO-TERMINAL",
    /// Somebody said no.
    NotConfirmed = "NOT-CONFIRMED",
    /// The plan is not the one that was shown.
    PlanChanged = "PLAN-CHANGED",

    // Who runs it, where, and beside whom.
    /// It has to be root.
    NotRoot = "NOT-ROOT",
    /// This is no FreeBSD.
    NotFreeBsd = "NOT-FREEBSD",
    /// The folder is no rehearsal.
    Rehearsal = "REHEARSAL",
    /// Nothing is installed here.
    NotInstalled = "NOT-INSTALLED",
    /// Another run is at work.
    Locked = "LOCKED",
    /// An earlier run was cut off.
    CutOff = "CUT-OFF",
    /// Ctrl-C, or another signal.
    Interrupted = "INTERRUPTED",

    // What the preflight looks at.
    /// Something has to be put right first.
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
    /// There is too little room on the disk.
    Disk = "DISK",
    /// The package net-im/gotosocial is installed.
    PackageThere = "PACKAGE-THERE",
    /// Somebody else listens on the port.
    PortTaken = "PORT-TAKEN",
    /// The log would not tell when the server is ready.
    LogLevel = "LOG-LEVEL",
    /// Another fediverse server answers under the name.
    OtherServer = "OTHER-SERVER",

    // What stands in the way of a plan.
    /// Uid or gid 209 belongs to somebody else.
    IdTaken = "ID-TAKEN",
    /// The user gotosocial is root.
    AccountIsRoot = "ACCOUNT-IS-ROOT",
    /// A file of somebody else is in the way.
    ForeignFile = "FOREIGN-FILE",
    /// Something else is in the way.
    WrongKind = "WRONG-KIND",
    /// An edit by hand and a new setting change the same lines.
    Conflict = "CONFLICT",
    /// A file cannot be edited safely.
    NotEditable = "NOT-EDITABLE",
    /// GoToSocial's configuration cannot be made.
    Config = "CONFIG",
    /// The mac_portacl rules that are there cannot be added to.
    Rules = "RULES",
    /// A setting makes mac_portacl useless.
    PortaclSetting = "PORTACL-SETTING",
    /// In a jail the host has to allow the ports.
    JailHost = "JAIL-HOST",
    /// `portacl lint` would complain of the result.
    Lint = "LINT",
    /// A reboot is needed first.
    Reboot = "REBOOT",
    /// The web server's configuration is in the way.
    FrontConfig = "FRONT-CONFIG",
    /// The web server is too old.
    FrontOld = "FRONT-OLD",
    /// The filters cannot be used.
    Filter = "FILTER",
    /// A certificate that the answers name cannot be used.
    TlsFiles = "TLS-FILES",
    /// There is no certificate for the name.
    NoCertificate = "NO-CERTIFICATE",

    // Releases.
    /// A release was asked for that cannot be.
    Release = "RELEASE",
    /// The source has no such release.
    ReleaseNotFound = "RELEASE-NOT-FOUND",
    /// The source does not answer as it should.
    ReleaseSource = "RELEASE-SOURCE",
    /// The connection to the source is not to be trusted.
    ReleaseUntrusted = "RELEASE-UNTRUSTED",
    /// The bytes are not those that they should be.
    ReleaseDigest = "RELEASE-DIGEST",
    /// The release was changed after it was locked.
    ReleaseChanged = "RELEASE-CHANGED",
    /// The release on the disk is damaged, or in the way.
    ReleaseFolder = "RELEASE-FOLDER",
    /// An older release on a newer database.
    Downgrade = "DOWNGRADE",
    /// Another release comes with `upgrade`.
    NeedsUpgrade = "NEEDS-UPGRADE",
    /// A release must not be skipped.
    MustNotSkip = "MUST-NOT-SKIP",
    /// A change of release was cut off in its midst.
    Unfinished = "UNFINISHED",
    /// There is no copy of a database to go back with.
    NoWayBack = "NO-WAY-BACK",

    // Backups.
    /// There is a backup of that name.
    BackupThere = "BACKUP-THERE",
    /// Others can write where the backup is to go.
    BackupFolder = "BACKUP-FOLDER",
    /// The backup is of another instance.
    BackupOfOther = "BACKUP-OF-OTHER",
    /// The backup cannot be used.
    BackupUnusable = "BACKUP-UNUSABLE",

    // What failed while it was done.
    /// A file operation failed.
    File = "FILE",
    /// A command of the system failed.
    Command = "COMMAND",
    /// What was read makes no sense.
    Unreadable = "UNREADABLE",
    /// The kernel refused.
    Kernel = "KERNEL",
    /// User or group could not be made or removed.
    Account = "ACCOUNT",
    /// rc.conf(5) could not be changed.
    RcConf = "RC-CONF",
    /// pkg(8) failed.
    Package = "PACKAGE",
    /// The release refuses the configuration.
    ConfigTest = "CONFIG-TEST",
    /// A service does not start, or does not stop.
    Service = "SERVICE",
    /// The web server refuses, does not start, or does not reload.
    Front = "FRONT",
    /// The first account was not made.
    Admin = "ADMIN",
    /// Something is wrong with the database.
    Database = "DATABASE",
    /// The migration of the database failed.
    Migration = "MIGRATION",
    /// No certificate was had from the authority.
    Acme = "ACME",
    /// The backup could not be written or put back.
    Backup = "BACKUP",
    /// The checks at the end of a switch or an upgrade failed.
    Trial = "TRIAL",
    /// The journal cannot be written.
    Journal = "JOURNAL",
    /// Not everything could be taken back.
    NotUndone = "NOT-UNDONE",
    /// Not everything of an uninstallation could be done.
    Incomplete = "INCOMPLETE",
    /// What was there before cannot be told.
    NoReceipts = "NO-RECEIPTS",

    // What the checks find.
    /// A port is open that must not be.
    PortOpen = "PORT-OPEN",
    /// The service may not bind its port.
    PortRefused = "PORT-REFUSED",
    /// The next boot will not set port access as it should be.
    PortBoot = "PORT-BOOT",
    /// GoToSocial does not run, or does not listen.
    ServiceDown = "SERVICE-DOWN",
    /// GoToSocial is not ready.
    NotReady = "NOT-READY",
    /// What answers is not what it should be.
    WrongAnswer = "WRONG-ANSWER",
    /// The certificate is not as it should be.
    Certificate = "CERTIFICATE",
    /// The page of a profile fails.
    Profile = "PROFILE",
    /// The web server in front does not run, or does not listen.
    FrontDown = "FRONT-DOWN",
    /// The web server in front does not do what it should.
    FrontAnswer = "FRONT-ANSWER",
    /// GoToSocial can be reached past the web server.
    Backend = "BACKEND",
    /// Something differs from what was installed.
    Drift = "DRIFT",
    /// The kernel does not do what was predicted.
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
