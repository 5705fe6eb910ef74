//! The text of services(5).
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::portacl::{Protocol, Services};

fuzz_target!(|data: &[u8]| {
    let services = Services::parse(data);
    // The first line that is a service decides, whatever comes after it.
    let mut text = data.to_vec();
    text.extend_from_slice(b"\nlast 65535/tcp alias\nlast 65535/udp\n");
    let extended = Services::parse(&text);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for word in String::from_utf8_lossy(data).split([' ', '\t', '\n', '/', ',']) {
            if let Some(port) = services.port(word, protocol) {
                assert_eq!(extended.port(word, protocol), Some(port));
                assert!(services.name(port, protocol).is_some());
            }
            let Some(name) = word.parse().ok().and_then(|port| services.name(port, protocol)) else { continue };
            assert!(services.port(name, protocol).is_some(), "{name}");
        }
        assert!(extended.port("last", protocol).is_some() && extended.name(65535, protocol).is_some());
    }
});
