//! sysctl.conf(5) and loader.conf(5): what is set is read back, and nothing else changes. Input: a value, a NUL, a text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::sysconf::{loader_conf, sysctl_conf};

const RULES: &str = "security.mac.portacl.rules";
const OTHER: &str = "net.inet.ip.portrange.reservedhigh";
const LOAD: &str = "mac_portacl_load";

fuzz_target!(|data: &[u8]| {
    let Some(nul) = data.iter().position(|&byte| byte == 0) else { return };
    let text = &data[nul + 1..];
    let Ok(value) = std::str::from_utf8(&data[..nul]) else { return };
    if let Ok(set) = sysctl_conf::FILE.set(text, RULES, value) {
        assert_eq!(sysctl_conf::FILE.get(&set, RULES).as_deref(), Some(value));
        assert_eq!(sysctl_conf::FILE.get(&set, OTHER), sysctl_conf::FILE.get(text, OTHER));
        assert_eq!(sysctl_conf::FILE.set(&set, RULES, value).as_deref(), Ok(set.as_slice()));
    }
    if let Ok(set) = loader_conf::FILE.set(text, LOAD, value) {
        assert_eq!(loader_conf::FILE.get(&set, LOAD).as_deref(), Some(value));
        assert_eq!(loader_conf::FILE.get(&set, OTHER), loader_conf::FILE.get(text, OTHER));
        assert_eq!(loader_conf::FILE.set(&set, LOAD, value).as_deref(), Ok(set.as_slice()));
    }
});
