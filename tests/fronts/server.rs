//! A real nginx or Apache httpd, started with the rendered configuration on ports of loopback.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gts_bootstrap::deployment::{Answers, HostName, Layout, PortNumber, Secrets};
use gts_bootstrap::front::{Certificate, ConfigFiles, Front, FrontSettings, version};
use gts_bootstrap::parts::front::settings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::client::{self, Answer};

pub const HOST: &str = "social.example.org";
pub const DOMAIN: &str = "example.org";

/// Longer than any start takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often free ports are looked for again when somebody else was quicker.
const ATTEMPTS: usize = 5;
/// Whom the web servers run as where the tests run as root: nobody, on every system.
const NOBODY: u32 = 65534;

/// A web server that is stopped when it is dropped.
pub struct Server {
    child: Child,
    front: Front,
    _folder: TempDir,
    pub settings: FrontSettings,
    pub root: CertificateDer<'static>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        // Not SIGKILL: the processes that serve would stay.
        kill(pid, Signal::SIGTERM).ok();
        self.child.wait().ok();
    }
}

impl Server {
    /// Starts a web server before a backend, with whatever settings the test changes.
    pub fn start(front: Front, backend: SocketAddr, change: impl Fn(&mut FrontSettings, &Path)) -> Self {
        Self::start_with(front, backend, "event", change)
    }

    /// The same, with one of Apache's ways to spread its work.
    pub fn start_with(
        front: Front,
        backend: SocketAddr,
        mpm: &str,
        change: impl Fn(&mut FrontSettings, &Path),
    ) -> Self {
        for _ in 0..ATTEMPTS {
            let prepared = Prepared::new(front, backend, mpm, &change);
            match prepared.run() {
                Ok(server) => return server,
                Err(said) if said.to_lowercase().contains("address already in use") => {}
                Err(said) => panic!("{} does not start: {said}", front.name),
            }
        }
        panic!("{} found its ports taken {ATTEMPTS} times in a row", front.name);
    }

    /// Starts a web server that is to have ports which another server has now, as the program does: for the moment of its start
    /// with a configuration that takes none. [`Self::reload`] has it take them.
    #[allow(dead_code, reason = "tests of the stand-in have this file, too")]
    pub fn stand_by(front: Front, backend: SocketAddr, change: impl Fn(&mut FrontSettings, &Path)) -> Self {
        let prepared = Prepared::new(front, backend, "event", &change);
        // A site that needs no line in the main file is not there yet.
        let site = prepared.settings.folder.join(front.site);
        let own = fs::read(&site).unwrap();
        let main = fs::read(&prepared.main).unwrap();
        fs::write(&site, "").unwrap();
        fs::write(&prepared.main, (front.standby)(&main, free_ports()[0].get())).unwrap();
        if front == Front::NGINX {
            let at = prepared.folder.path().display().to_string();
            let lines = format!("daemon off;\npid {at}/nginx.pid;\nerror_log {at}/log/main.log;\n");
            fs::write(&prepared.main, [lines.as_bytes(), &(front.standby)(&main, 0)].concat()).unwrap();
        }
        let mut command = prepared.command();
        if front == Front::HTTPD {
            command.arg("-DFOREGROUND");
        }
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while !prepared.folder.path().join(by_front(front, "nginx.pid", "httpd.pid")).exists() {
            assert!(begun.elapsed() < PATIENCE, "{} never stands by: {}", front.name, prepared.logs());
            sleep(Duration::from_millis(20));
        }
        fs::write(&site, own).unwrap();
        fs::write(&prepared.main, main).unwrap();
        let Prepared { folder, settings, root, .. } = prepared;
        Self { child, front, _folder: folder, settings, root }
    }

    /// Sends the signal upon which it reads its configuration again.
    #[allow(dead_code, reason = "tests of the stand-in have this file, too")]
    pub fn reload(&self) {
        let signal = self.front.reload_signal.parse::<Signal>().unwrap();
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    pub fn https(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.settings.https_port.get()).into()
    }

    pub fn http(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.settings.http_port.get()).into()
    }

    /// A connection to a name over TLS and HTTP/1.1.
    pub fn connect(&self, name: &str) -> impl client::Stream + use<> {
        client::tls(self.https(), name, &self.root, &["http/1.1"]).unwrap().0
    }

    /// Asks for a path over https.
    pub fn get(&self, name: &str, path: &str) -> Answer {
        self.get_with(name, path, &[])
    }

    pub fn get_with(&self, name: &str, path: &str, headers: &[&str]) -> Answer {
        let start = [format!("GET {path} HTTP/1.1"), format!("Host: {name}")];
        let head: Vec<&str> = start.iter().map(String::as_str).chain(headers.iter().copied()).collect();
        client::exchange(&mut self.connect(name), &[&head[..], &["Connection: close"]].concat(), &mut std::io::empty())
    }

    /// Asks for a path over http.
    pub fn get_plain(&self, name: &str, path: &str) -> Answer {
        self.get_plain_at(self.http(), name, path)
    }

    pub fn get_plain_at(&self, address: SocketAddr, name: &str, path: &str) -> Answer {
        let head = [&format!("GET {path} HTTP/1.1")[..], &format!("Host: {name}"), "Connection: close"];
        client::exchange(&mut client::plain(address), &head, &mut std::io::empty())
    }

    /// What stands behind `https://` in the redirects.
    pub fn origin(&self, name: &str) -> String {
        format!("{name}:{}", self.settings.https_port.get())
    }

    /// Tests a candidate of the site beside the live one, as the program does; the error is what the web server said.
    pub fn test_candidate(&self, edit: impl Fn(&str) -> String) -> Result<(), String> {
        let (folder, front) = (&self.settings.folder, self.front);
        let here = |path: PathBuf| folder.join(path.strip_prefix(front.folder).unwrap());
        fs::create_dir_all(here(front.candidate_folder())).unwrap();
        let main = here(front.main_file());
        let [_, (_, live)] = front.render(&self.settings).unwrap();
        fs::write(here(front.candidate_site()), edit(&(front.as_candidate)(live))).unwrap();
        let text = (front.with_candidate)(&main, &fs::read(&main).unwrap()).unwrap();
        fs::write(here(front.candidate_file()), text).unwrap();
        hand_over(folder);
        let mut command = command(front, self._folder.path());
        let output = command.args(front.test).arg(here(front.candidate_file())).output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// Waits until a file holds what is looked for.
    pub fn await_text(&self, file: &Path, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = fs::read_to_string(file).unwrap_or_default();
            if found.contains(text) {
                return found;
            }
            assert!(Instant::now() < deadline, "{} never says {text:?}: {found}", file.display());
            sleep(Duration::from_millis(20));
        }
    }
}

/// A folder with everything in it.
struct Prepared {
    front: Front,
    folder: TempDir,
    settings: FrontSettings,
    root: CertificateDer<'static>,
    main: PathBuf,
}

impl Prepared {
    fn new(front: Front, backend: SocketAddr, mpm: &str, change: impl Fn(&mut FrontSettings, &Path)) -> Self {
        let version = version(&program(front).1).unwrap();
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            "etc/Includes",
            "etc/gts-bootstrap",
            "tmp",
            "www",
            "log",
            "assets",
            "storage",
            "acme/.well-known/acme-challenge",
        ] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("etc/mime.types"), mime_types(front)).unwrap();
        fs::write(at("www/index.html"), "the package's own page\n").unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([HOST.to_owned(), DOMAIN.to_owned()]).unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        write_pem(&at("chain.pem"), "CERTIFICATE", &root, 0o644);
        write_pem(&at("key.pem"), "PRIVATE KEY", &key.serialize_der(), 0o600);

        let answers = format!("host = \"{HOST}\"\naccount-domain = \"{DOMAIN}\"\nexposure.mode = \"nginx\"\n");
        let deployment = Answers::parse(&answers, "test").unwrap().deployment(&Secrets::default()).unwrap();
        let certificate = Certificate { chain: at("chain.pem"), key: at("key.pem") };
        let mut settings = settings(front, &deployment, &Layout::default(), certificate, version);
        [settings.http_port, settings.https_port] = free_ports();
        settings.backend = backend;
        settings.addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        settings.folder = at("etc");
        settings.assets = at("assets");
        settings.acme_webroot = at("acme");
        settings.logs = [at("log/access.log"), at("log/error.log")];
        settings.modules = httpd_modules();
        settings.missing_listens = vec![settings.http_port, settings.https_port];
        change(&mut settings, folder.path());

        for (path, text) in front.render(&settings).unwrap() {
            assert!(path.starts_with(at("etc")), "{}", path.display());
            fs::write(path, text).unwrap();
        }
        let main = at("etc").join(front.main);
        let text =
            if front == Front::NGINX { nginx_main(folder.path(), &settings) } else { httpd_main(folder.path(), mpm) };
        fs::write(&main, &text).unwrap();
        let edited = (front.with_site)(&main, text.as_bytes(), &Here).unwrap();
        fs::write(&main, edited).unwrap();
        hand_over(folder.path());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { front, folder, settings, root, main }
    }

    fn command(&self) -> Command {
        let mut command = command(self.front, self.folder.path());
        command.arg(by_front(self.front, "-c", "-f")).arg(&self.main);
        command
    }

    /// Has the configuration tested, starts the web server, and waits until it takes connections.
    ///
    /// The error is what it said.
    fn run(self) -> Result<Server, String> {
        let test = self.command().arg("-t").output().unwrap();
        let said = String::from_utf8_lossy(&test.stderr).into_owned();
        if !test.status.success() {
            return Err(format!("the test of its configuration, {}: {said}{}", test.status, self.logs()));
        }
        if said.contains("ddress already in use") {
            return Err(said);
        }
        // Not anywhere in a line: the folder's name may have any letters in it.
        let doubts = |line: &str| line.contains("warn]") || line.starts_with("AH");
        assert!(!said.lines().any(doubts), "{} has doubts: {said}", self.front.name);
        let mut command = self.command();
        if self.front == Front::HTTPD {
            command.arg("-DFOREGROUND");
        }
        let output = fs::File::create(self.folder.path().join("log/output.log")).unwrap();
        let mut child = command.stdout(Stdio::null()).stderr(output).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.settings.https_port.get()));
        // With its own certificate: somebody else may have been quicker to take the port.
        let ours = || TcpStream::connect(address).is_ok() && client::tls(address, HOST, &self.root, &[]).is_ok();
        while !ours() {
            if let Some(status) = child.try_wait().unwrap() {
                return Err(format!("{status} {}", self.logs()));
            }
            assert!(Instant::now() < deadline, "{} never listens: {}", self.front.name, self.logs());
            sleep(Duration::from_millis(20));
        }
        Ok(Server { child, front: self.front, _folder: self.folder, settings: self.settings, root: self.root })
    }

    fn logs(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.path().join("log").join(name)).unwrap_or_default();
        ["output.log", "main.log", "error.log"].map(read).concat()
    }
}

/// One for nginx, the other for Apache.
pub fn by_front<T>(front: Front, nginx: T, httpd: T) -> T {
    if front == Front::NGINX { nginx } else { httpd }
}

/// The files of this machine.
struct Here;

impl ConfigFiles for Here {
    fn read(&self, file: &Path) -> Option<Vec<u8>> {
        fs::read(file).ok()
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// The web server, still without its main file.
fn command(front: Front, folder: &Path) -> Command {
    let mut command = Command::new(program(front).0);
    command.stdin(Stdio::null());
    if front == Front::NGINX {
        command.arg("-e").arg(folder.join("log/main.log"));
    }
    if Uid::effective().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    // Apache ends by a signal to its whole process group, which must not be that of the tests.
    command.process_group(0);
    command
}

/// Where the web server's program is, and its version.
fn program(front: Front) -> (PathBuf, String) {
    let httpd = (&["apache2", "httpd"][..], "apache2 (FreeBSD: apache24)");
    let (names, package) = by_front(front, (&["nginx"][..], "nginx"), httpd);
    let folders = ["/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"];
    let mut paths = names.iter().flat_map(|name| folders.iter().map(move |folder| Path::new(folder).join(name)));
    let Some(program) = paths.find(|path| path.exists()) else {
        panic!(
            "{} is not installed, and nothing here can be tested without it: install the package {package}",
            front.name
        )
    };
    let output = Command::new(&program).arg("-v").output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (program, said.split_once('/').expect("a version behind a slash").1.to_owned())
}

fn httpd_modules() -> PathBuf {
    let folders = ["/usr/local/libexec/apache24", "/usr/lib/apache2/modules"];
    folders.into_iter().map(PathBuf::from).find(|folder| folder.exists()).unwrap_or_else(|| folders[0].into())
}

/// Two ports that are free in both families, and not given to another test of this run.
fn free_ports() -> [PortNumber; 2] {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut held = Vec::new();
    while held.len() < 2 {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = four.local_addr().unwrap().port();
        let fresh = GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
        if let (true, Ok(six)) = (fresh, TcpListener::bind((Ipv6Addr::LOCALHOST, port))) {
            held.push((port, four, six));
        }
    }
    [held[0].0, held[1].0].map(|port| i64::from(port).try_into().unwrap())
}

fn write_pem(path: &Path, kind: &str, der: &[u8], mode: u32) {
    let lines: Vec<String> =
        STANDARD.encode(der).as_bytes().chunks(64).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
    fs::write(path, format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Gives a folder and all in it to the user that the web server runs as.
pub fn hand_over(path: &Path) {
    if !Uid::effective().is_root() {
        return;
    }
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| hand_over(&entry.unwrap().path()));
    }
}

fn mime_types(front: Front) -> &'static str {
    let nginx = "types { text/css css; image/webp webp; text/html html; }\n";
    by_front(front, nginx, "text/css css\nimage/webp webp\ntext/html html\n")
}

/// A main file in the shape of the package's, with what an unprivileged user needs.
fn nginx_main(folder: &Path, settings: &FrontSettings) -> String {
    let at = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {at}/tmp/{kind};\n"))
        .collect();
    format!(
        "worker_processes  1;\ndaemon off;\npid {at}/nginx.pid;\nevents {{\n    worker_connections  256;\n}}\n\nhttp {{\n    include       mime.types;\n    default_type  application/octet-stream;\n    access_log off;\n{temporary}\n    server {{\n        listen       127.0.0.1:{};\n        server_name  localhost;\n        location / {{\n            root   {at}/www;\n            index  index.html;\n        }}\n    }}\n}}\n",
        settings.http_port.get()
    )
}

fn httpd_main(folder: &Path, mpm: &str) -> String {
    let (at, modules) = (folder.display(), httpd_modules());
    let load = |name: &str| {
        format!(
            "<IfModule !{name}_module>\nLoadModule {name}_module {}/mod_{name}.so\n</IfModule>\n",
            modules.display()
        )
    };
    let loaded: String =
        ["unixd", "authz_core", "dir", "mime", "reqtimeout", "log_config", "setenvif"].map(load).concat();
    format!(
        "ServerRoot \"{at}\"\nPidFile \"{at}/httpd.pid\"\nDefaultRuntimeDir \"{at}/tmp\"\nServerName localhost\nLoadModule mpm_{mpm}_module {}/mod_mpm_{mpm}.so\n{loaded}TypesConfig etc/mime.types\nErrorLog \"{at}/log/main.log\"\n<Directory />\n    AllowOverride none\n    Require all denied\n</Directory>\nDocumentRoot \"{at}/www\"\n<Directory \"{at}/www\">\n    Require all granted\n</Directory>\nDirectoryIndex index.html\nInclude etc/Includes/*.conf\n",
        modules.display()
    )
}

pub fn domain() -> HostName {
    DOMAIN.parse().unwrap()
}
