//! A folder with the stand-in, and a configuration that the program under test has rendered.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use gts_bootstrap::deployment::{Answers, Layout, Secrets};
use gts_bootstrap::parts::config;
use reqwest::blocking::{Client, Response};
use tempfile::TempDir;

pub const HOST: &str = "social.example.org";
/// No test is meant to wait that long; it ends one that would wait for ever.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Instance {
    folder: TempDir,
    version: String,
    /// With TLS.
    pub port: u16,
    /// Redirects.
    pub plain_port: u16,
}

impl Instance {
    /// Facing the internet itself, on free ports of 127.0.0.1.
    pub fn direct(version: &str) -> Self {
        Self::new(version, "")
    }

    /// Behind a web server: plain http.
    pub fn proxied(version: &str) -> Self {
        Self::new(version, "\n[exposure]\nmode = \"nginx\"\n")
    }

    fn new(version: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let release = folder.path().join(version);
        fs::create_dir_all(release.join("web/template")).unwrap();
        fs::create_dir_all(release.join("web/assets")).unwrap();
        fs::write(release.join("web/template/index.tmpl"), "").unwrap();
        fs::write(release.join("web/assets/logo.svg"), "<svg/>").unwrap();
        copy_program(Path::new(env!("CARGO_BIN_EXE_gotosocial")), &release.join("gotosocial"));
        std::os::unix::fs::symlink(version, folder.path().join("current")).unwrap();
        let (port, plain_port) = free_ports();
        let instance = Self { version: version.to_owned(), port, plain_port, folder };
        fs::create_dir(instance.layout().data).unwrap();
        let answers = format!("host = \"{HOST}\"\ntls.email = \"admin@example.org\"\n{more}");
        let deployment = Answers::parse(&answers, "answers").unwrap().deployment(&Secrets::default()).unwrap();
        let version = version.parse().unwrap();
        let text = config::render(&deployment, &Secrets::default(), &instance.layout(), &version).unwrap();
        let text = text
            .replace("port: 443", &format!("port: {port}"))
            .replace("port: 8080", &format!("port: {port}"))
            .replace("letsencrypt-port: 80", &format!("letsencrypt-port: {plain_port}"))
            .replace("\"0.0.0.0\"", "\"127.0.0.1\"");
        fs::write(instance.config(), text).unwrap();
        instance
    }

    pub fn layout(&self) -> Layout {
        let base = self.folder.path();
        Layout {
            releases: base.to_owned(),
            data: base.join("data"),
            config: base.join("config.yaml"),
            ..Layout::default()
        }
    }

    pub fn config(&self) -> PathBuf {
        self.layout().config
    }

    /// Replaces text in the configuration.
    pub fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "{from:?} is not in {text}");
        fs::write(self.config(), text.replace(from, to)).unwrap();
    }

    /// Adds a line to the configuration.
    pub fn add(&self, line: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), format!("{text}{line}\n")).unwrap();
    }

    pub fn program(&self) -> PathBuf {
        self.folder.path().join(&self.version).join("gotosocial")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command.args(arguments).env_clear().current_dir("/").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command with this configuration to its end.
    pub fn run_configured(&self, arguments: &[&str]) -> Output {
        let config = self.config();
        self.run(&[&["--config-path", config.to_str().unwrap()], arguments].concat())
    }

    /// Starts the server, its output in a log.
    pub fn start(&self, environment: &[(&str, &str)]) -> Server<'_> {
        let log = File::create(self.log_path()).unwrap();
        let child = self
            .command(&["--config-path", self.config().to_str().unwrap(), "server", "start"])
            .envs(environment.iter().copied())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Server { instance: self, child }
    }

    /// Starts it and waits until it is ready.
    pub fn started(&self) -> Server<'_> {
        let server = self.start(&[]);
        server.wait_for("recovered queued tasks");
        server
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap()
    }

    /// GET over https, without judging the certificate.
    pub fn https(&self, path: &str) -> reqwest::Result<Response> {
        self.get(&format!("https://{HOST}:{}{path}", self.port))
    }

    pub fn get(&self, url: &str) -> reqwest::Result<Response> {
        client(HOST).user_agent("tests").build().unwrap().get(url).send()
    }

    pub fn wal(&self) -> bool {
        let database = self.layout().database();
        Path::new(&format!("{}-wal", database.display())).exists()
    }
}

/// Copies a program that is going to be run. Another process does it: a file that this one has open for writing would be
/// inherited by whatever another test starts at that moment, and could then not be run (ETXTBSY).
pub fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

/// A client that takes `host` for this machine.
pub fn client(host: &str) -> reqwest::blocking::ClientBuilder {
    // Another test may have been faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .resolve(host, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(true)
        .tls_info(true)
}

fn free_ports() -> (u16, u16) {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (one, two) = (bind(), bind());
    (one.local_addr().unwrap().port(), two.local_addr().unwrap().port())
}

/// A server that runs; killed when it is dropped.
pub struct Server<'a> {
    instance: &'a Instance,
    child: Child,
}

impl Server<'_> {
    /// Waits until the log says something.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let began = Instant::now();
        while !self.instance.log().contains(text) {
            assert!(began.elapsed() < PATIENCE, "{text:?} is not in:\n{}", self.instance.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Waits for the end: the exit status, or 128 and the signal as a shell tells it.
    #[track_caller]
    pub fn end(mut self) -> i32 {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it has not ended:\n{}", self.instance.log());
            thread::sleep(Duration::from_millis(10));
        };
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }

    /// Stops it with a TERM.
    pub fn stop(self) -> i32 {
        self.signal("-TERM");
        self.end()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
