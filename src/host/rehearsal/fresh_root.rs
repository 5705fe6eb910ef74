//! The files of a freshly installed FreeBSD that the program looks at.
//!
//! As on the real system, there is no `/usr/local/etc` until something creates it.

use std::path::Path;

use super::super::files::Root;
use super::super::{HostError, Owner};
use super::accounts;
use super::packages::SCRIPT;

/// Folders by mode, parents first.
const FOLDERS: [(u32, &str); 4] = [
    (
        0o755,
        "/boot /boot/defaults /boot/kernel /boot/loader.conf.d /etc /etc/defaults /etc/newsyslog.conf.d /etc/periodic \
         /etc/periodic/daily /etc/periodic/weekly /etc/rc.conf.d /etc/rc.d /etc/ssl /etc/ssl/certs /usr /usr/local \
         /usr/sbin /var /var/db /var/log /var/run",
    ),
    (0o750, "/root /var/backups"),
    (0o555, "/var/empty"),
    (0o1777, "/tmp /var/tmp"),
];

const FILES: &[(&str, u32, &str)] = &[
    ("/boot/defaults/loader.conf", 0o644, DEFAULTS_LOADER_CONF),
    ("/boot/kernel/mac_bsdextended.ko", 0o555, ""),
    ("/boot/kernel/mac_portacl.ko", 0o555, ""),
    ("/boot/loader.conf", 0o644, "autoboot_delay=\"3\"\n"),
    ("/etc/defaults/rc.conf", 0o644, DEFAULTS_RC_CONF),
    ("/etc/group", 0o644, GROUP),
    ("/etc/master.passwd", 0o600, MASTER_PASSWD),
    ("/etc/newsyslog.conf", 0o644, NEWSYSLOG_CONF),
    ("/etc/rc.conf", 0o644, RC_CONF),
    ("/etc/rc.d/cron", 0o555, SCRIPT),
    ("/etc/rc.d/syslogd", 0o555, SCRIPT),
    ("/etc/services", 0o644, SERVICES),
    ("/etc/ssl/cert.pem", 0o644, CERT_PEM),
    ("/etc/sysctl.conf", 0o644, SYSCTL_CONF),
];

/// As of 14.1. Before it there is no `local_loader_conf_files`, and its file is the last of `loader_conf_files`.
const DEFAULTS_LOADER_CONF: &str = "\
# The defaults of loader.conf(5), as far as a rehearsal needs them.
loader_conf_files=\"/boot/device.hints /boot/loader.conf\"
loader_conf_dirs=\"/boot/loader.conf.d\"
local_loader_conf_files=\"/boot/loader.conf.local\"
module_blacklist=\"drm drm2 radeonkms i915kms amdgpu\"
";

const DEFAULTS_RC_CONF: &str = "\
# The defaults of rc.conf(5), as far as a rehearsal needs them.
kld_list=\"\"
kern_securelevel_enable=\"NO\"
kern_securelevel=\"-1\"
local_startup=\"/usr/local/etc/rc.d\"
cron_enable=\"YES\"
sendmail_enable=\"NONE\"
syslogd_enable=\"YES\"
syslogd_flags=\"-s\"
";

const RC_CONF: &str = "\
hostname=\"rehearsal\"
ifconfig_vtnet0=\"inet 203.0.113.10/24\"
ifconfig_vtnet0_ipv6=\"inet6 2001:db8::10/64\"
defaultrouter=\"203.0.113.1\"
ipv6_defaultrouter=\"2001:db8::1\"
dumpdev=\"NO\"
";

const MASTER_PASSWD: &str = "\
# $FreeBSD$
#
root::0:0::0:0:Charlie &:/root:/bin/sh
daemon:*:1:1::0:0:Owner of many system processes:/root:/usr/sbin/nologin
bind:*:53:53::0:0:Bind Sandbox:/:/usr/sbin/nologin
www:*:80:80::0:0:World Wide Web Owner:/nonexistent:/usr/sbin/nologin
nobody:*:65534:65534::0:0:Unprivileged user:/nonexistent:/usr/sbin/nologin
";

const GROUP: &str = "\
# $FreeBSD$
#
wheel:*:0:root
daemon:*:1:
bind:*:53:
www:*:80:
nogroup:*:65533:
nobody:*:65534:
";

const SERVICES: &str = "\
ssh\t\t 22/tcp\t   #Secure Shell Login
smtp\t\t 25/tcp\t   mail\t\t#Simple Mail Transfer
domain\t\t 53/tcp\t   #Domain Name Server
domain\t\t 53/udp\t   #Domain Name Server
http\t\t 80/tcp\t   www www-http\t   #World Wide Web HTTP
https\t\t443/tcp
";

const SYSCTL_CONF: &str = "\
#
#  This file is read when going to multi-user and its contents piped thru
#  ``sysctl'' to adjust kernel values.  ``man 5 sysctl.conf'' for details.
#

# Uncomment this to prevent users from seeing information about processes that
# are being run under another UID.
#security.bsd.see_other_uids=0
";

const NEWSYSLOG_CONF: &str = "\
# logfilename          [owner:group]    mode count size when  flags [/pid_file] [sig_num]
/var/log/messages\t\t\t644  5\t   1000 @0101T JC
<include> /etc/newsyslog.conf.d/[!.]*.conf
<include> /usr/local/etc/newsyslog.conf.d/[!.]*.conf
";

/// Stands for those that certctl(8) trusts. Nobody has its key.
const CERT_PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUPBI5UueOVglup4Bsny7YcHsJvEcwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOUmVoZWFyc2VkIHJvb3QwIBcNMjYxMTMwMTI0MDE1WhgPMjEy
NjExMDYxMjQwMTVaMBkxFzAVBgNVBAMMDlJlaGVhcnNlZCByb290MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEMHAF25+D0OzoE4TApk9NGHxFDJRsfiktGJrE7hcT
qT18w9AvI1STE992vHAXSyk9s+4ZNEitMIbW22DpBCylyaNTMFEwHQYDVR0OBBYE
FMbQLbSmSwQeK3RHAYp6hG1ign3GMB8GA1UdIwQYMBaAFMbQLbSmSwQeK3RHAYp6
hG1ign3GMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAIxkxv0m
eJQGFcLjujuQ6Owk0CzPyO2sZSbJtkcZN9+KAiBOGIoLQEagSZ51dlkIiO8Ip7av
6rKu1GF9+UYb5QeHmw==
-----END CERTIFICATE-----
";

/// Lays the files out in an empty folder.
pub(super) fn lay_out(root: &Root) -> Result<(), HostError> {
    for (mode, paths) in FOLDERS {
        for path in paths.split(' ') {
            root.make_directory(Path::new(path), mode, Owner::ROOT)?;
        }
    }
    let passwd = accounts::passwd(MASTER_PASSWD);
    for (path, mode, text) in FILES.iter().chain(&[("/etc/passwd", 0o644, passwd.as_str())]) {
        root.write_file(Path::new(path), text.as_bytes(), *mode, Owner::ROOT)?;
    }
    Ok(())
}
