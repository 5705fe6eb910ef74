//! Pebble, and the DNS server of its package, which says that every name is on this machine.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::authority::{Authority, TestAuthority};

/// How a Pebble is to behave.
pub struct Wish {
    /// Where it finds the answers to its challenges.
    pub web: SocketAddr,
    /// Of a hundred good nonces, how many it refuses.
    pub refused_nonces: u8,
    /// How often it takes up an authorization again, of a hundred.
    pub reused_authorizations: u8,
    /// Whether it takes up to so many seconds for a check.
    pub slow: Option<u8>,
    /// More of its configuration.
    pub config: Value,
}

impl Wish {
    pub fn new(web: SocketAddr) -> Self {
        Self { web, refused_nonces: 0, reused_authorizations: 0, slow: None, config: json!({}) }
    }
}

pub struct Pebble {
    folder: TempDir,
    authority: TestAuthority,
    port: u16,
    dns: Child,
    pebble: Child,
    start: Box<dyn Fn() -> Child + Send>,
}

impl Pebble {
    pub fn start(wish: &Wish) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = TestAuthority::new();
        let own = authority.issue("localhost");
        let [port, dns_port] = free_ports();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("cert.pem"), &own.certificate).unwrap();
        fs::write(path("key.pem"), &own.key).unwrap();
        let mut config = json!({
            "listenAddress": format!("127.0.0.1:{port}"),
            "certificate": path("cert.pem"),
            "privateKey": path("key.pem"),
            "httpPort": wish.web.port(),
            "tlsPort": 9,
        });
        config.as_object_mut().unwrap().extend(wish.config.as_object().unwrap().clone());
        fs::write(path("config.json"), json!({ "pebble": config }).to_string()).unwrap();

        let log = |name: &str| File::options().create(true).append(true).open(path(name)).unwrap();
        let dns_address = format!("127.0.0.1:{dns_port}");
        let dns = Command::new("pebble-challtestsrv")
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", "127.0.0.1:0", "-defaultIPv6", ""])
            .args(["-dns01", &dns_address])
            .stdout(log("dns.log"))
            .stderr(log("dns.log"))
            .spawn()
            .unwrap_or_else(|error| missing("pebble-challtestsrv", &error));
        let mut command = Command::new("pebble");
        command
            .arg("-config")
            .arg(path("config.json"))
            .args(["-dnsserver", &dns_address])
            .env("PEBBLE_WFE_NONCEREJECT", wish.refused_nonces.to_string())
            .env("PEBBLE_AUTHZREUSE", wish.reused_authorizations.to_string());
        match wish.slow {
            Some(seconds) => command.env("PEBBLE_VA_SLEEPTIME", seconds.to_string()),
            None => command.env("PEBBLE_VA_NOSLEEP", "1"),
        };
        let log_file = path("pebble.log");
        let command = std::sync::Mutex::new(command);
        let start = Box::new(move || {
            let log = || File::options().create(true).append(true).open(&log_file).unwrap();
            let mut command = command.lock().unwrap();
            command
                .stdout(log())
                .stderr(log())
                .stdin(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| missing("pebble", &error))
        });
        let pebble = start();
        let mut this = Self { folder, authority, port, dns, pebble, start };
        this.wait_for(port);
        this.wait_for(dns_port);
        this
    }

    /// Ends it and starts it anew: it then knows no account.
    pub fn restart(&mut self) {
        self.stop();
        self.pebble = (self.start)();
        self.wait_for(self.port);
    }

    /// Ends it; nobody answers any more.
    pub fn stop(&mut self) {
        let _ = self.pebble.kill();
        let _ = self.pebble.wait();
    }

    /// It, as the program sees it.
    pub fn as_authority(&self) -> Authority {
        let (request, order, look) = (Duration::from_secs(20), Duration::from_secs(120), Duration::from_millis(100));
        self.distrusted().trusting(self.authority.root()).patient_for(request, order, look)
    }

    /// It, without its root certificate.
    pub fn distrusted(&self) -> Authority {
        Authority::new(format!("https://localhost:{}/dir", self.port))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("pebble.log")).unwrap_or_default()
    }

    fn wait_for(&mut self, port: u16) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if self.pebble.try_wait().unwrap().is_some() || begun.elapsed() > Duration::from_secs(60) {
                let dns = fs::read_to_string(self.folder.path().join("dns.log")).unwrap_or_default();
                panic!("Pebble does not come up on port {port}:\n{}\n{dns}", self.log());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
        let _ = self.dns.kill();
        let _ = self.dns.wait();
    }
}

fn missing(program: &str, error: &std::io::Error) -> ! {
    panic!("{program} cannot be started ({error}). It is in Debian's package `pebble`: apt-get install pebble")
}

/// Ports that nobody listens on at the moment.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
