//! A host whose files are a rehearsal's, and whose web server and certificate authority are real.

use std::any::Any;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use gts_bootstrap::change::digest;
use gts_bootstrap::change::front::HostFiles;
use gts_bootstrap::child::Ids;
use gts_bootstrap::deployment::{Answers, HostName, Layout, PortNumber, Secrets};
use gts_bootstrap::front::{AccountDomain, Certificate, Front};
use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::host::{
    Ask, BindOutcome, BindProbe, CopiedFile, DatabaseExamination, DatabaseState, Entry, FileUser, Group, Host,
    HostError, Invocation, Listeners, Observe, Output, Owner, PortWatch, ServedCertificate, ServiceAction,
    ServiceState, Supervision, System, User, Visit, WebAnswer, WebFailure, WebRequest, Whose,
};
use gts_bootstrap::parts::front::settings;
use gts_bootstrap::parts::tls;
use gts_bootstrap::portacl::Protocol;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use tempfile::TempDir;

use super::authority::Authority;
use super::orders::host as name;

const MAIN: &str = "/usr/local/etc/nginx/nginx.conf";
const PATIENCE: Duration = Duration::from_secs(30);

/// The host. nginx runs from [`RealFront::start`] on until it is dropped.
pub struct RealFront {
    files: Rehearsal,
    nginx: Option<Child>,
    pub http: SocketAddr,
    pub https: SocketAddr,
    /// Who is asked for certificates.
    pub authority: Authority,
    _folder: TempDir,
}

impl RealFront {
    /// With the rendered configuration of nginx, and nothing started yet.
    pub fn new(authority: Authority) -> Self {
        Self::answering_for(authority, None)
    }

    /// The same, which answers for an account domain too.
    pub fn answering_for(authority: Authority, domain: Option<HostName>) -> Self {
        let folder = TempDir::new().unwrap();
        // The processes that serve are another user's, and have to get through to the answers.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let files = Rehearsal::open(folder.path().join("root")).unwrap();
        let [http, https] = free_ports();
        let here = |path: &str| files.local_path(Path::new(path));
        for path in ["/usr/local/etc/nginx/gts-bootstrap", "/usr/local/www/gts-bootstrap", "/var/log/nginx"] {
            fs::create_dir_all(here(path)).unwrap();
        }
        let answers = format!("host = \"{}\"\nexposure.mode = \"nginx\"\n", name());
        let deployment = Answers::parse(&answers, "test").unwrap().deployment(&Secrets::default()).unwrap();
        let layout = Layout::default();
        files.make_directory(&layout.records, 0o755, Owner::ROOT).unwrap();
        files.make_directory(&layout.tls(), 0o700, Owner::ROOT).unwrap();
        let pair = tls::own_pair(&layout, &name());
        let pair = Certificate { chain: files.local_path(&pair.chain), key: files.local_path(&pair.key) };
        let mut settings = settings(Front::NGINX, &deployment, &layout, pair, version());
        [settings.http_port, settings.https_port] =
            [http, https].map(|port| PortNumber::try_from(i64::from(port)).unwrap());
        settings.addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        settings.account_domain = domain.map(|name| {
            let pair = tls::own_pair(&layout, &name);
            let certificate = Certificate { chain: files.local_path(&pair.chain), key: files.local_path(&pair.key) };
            AccountDomain { name, certificate }
        });
        settings.folder = here("/usr/local/etc/nginx");
        settings.acme_webroot = here("/usr/local/www/gts-bootstrap");
        settings.assets = here("/usr/local/www");
        let log = here("/var/log/nginx");
        settings.logs = [log.join("access.log"), log.join("error.log")];
        for (path, text) in Front::NGINX.render(&settings).unwrap() {
            fs::write(path, text).unwrap();
        }
        let main = here(MAIN);
        let text = (Front::NGINX.with_site)(&main, main_file(&log).as_bytes(), &HostFiles(&files)).unwrap();
        fs::write(main, text).unwrap();
        let [http, https] = [http, https].map(|port| (Ipv4Addr::LOCALHOST, port).into());
        Self { files, nginx: None, http, https, authority, _folder: folder }
    }

    /// Starts nginx, which reads the certificate.
    pub fn start(&mut self) {
        let log = self.local_path(Path::new("/var/log/nginx")).join("main.log");
        let child = Command::new("nginx")
            .arg("-c")
            .arg(self.local_path(Path::new(MAIN)))
            .arg("-e")
            .arg(&log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("nginx cannot be started ({error}): apt-get install nginx"));
        self.nginx = Some(child);
        let begun = Instant::now();
        while TcpStream::connect(self.https).is_err() {
            assert!(begun.elapsed() < PATIENCE, "nginx does not come up: {}", fs::read_to_string(&log).unwrap());
            sleep(Duration::from_millis(20));
        }
    }

    /// Where a file is, for the test to read and to break.
    pub fn main_file(&self) -> PathBuf {
        self.local_path(Path::new(MAIN))
    }

    fn signal(&self, signal: Signal) -> bool {
        let pid = self.nginx.as_ref().map(|child| Pid::from_raw(i32::try_from(child.id()).unwrap()));
        pid.is_some_and(|pid| kill(pid, signal).is_ok())
    }
}

impl Drop for RealFront {
    fn drop(&mut self) {
        // Not SIGKILL: the processes that serve would stay.
        self.signal(Signal::SIGTERM);
        if let Some(child) = &mut self.nginx {
            child.wait().ok();
        }
    }
}

fn main_file(log: &Path) -> String {
    let log = log.display();
    let user = if Uid::effective().is_root() { "user nobody nogroup;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {log}/{kind};\n"))
        .collect();
    format!(
        "{user}worker_processes 1;\ndaemon off;\npid {log}/nginx.pid;\nevents {{\n    worker_connections 256;\n}}\nhttp {{\n    access_log off;\n{temporary}}}\n"
    )
}

fn version() -> semver::Version {
    let output = Command::new("nginx").arg("-v").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    gts_bootstrap::front::version(said.split_once('/').unwrap().1).unwrap()
}

fn free_ports() -> [u16; 2] {
    let held: [TcpListener; 2] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// What the files answer.
macro_rules! from_files {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> $answer { self.files.$name($($argument),*) })*
    };
}

impl Observe for RealFront {
    from_files! {
        system() -> Result<System, HostError>;
        entry(path: &Path) -> Result<Option<Entry>, HostError>;
        read_from(path: &Path, whose: Whose, offset: u64, limit: usize) -> Result<Option<Vec<u8>>, HostError>;
        list(path: &Path) -> Result<Vec<String>, HostError>;
        tree(top: &Path, visit: Visit<'_>) -> Result<(), HostError>;
        user(name: &str) -> Result<Option<User>, HostError>;
        user_by_id(uid: u32) -> Result<Option<User>, HostError>;
        group(name: &str) -> Result<Option<Group>, HostError>;
        group_by_id(gid: u32) -> Result<Option<Group>, HostError>;
        stranger() -> Result<Option<Ids>, HostError>;
        groups_of(user: &str) -> Result<Vec<u32>, HostError>;
        module_loaded(name: &str) -> Result<bool, HostError>;
        sysctl(name: &str) -> Result<Option<String>, HostError>;
        rc_variable(name: &str) -> Result<Option<String>, HostError>;
        package(name: &str) -> Result<Option<String>, HostError>;
        supervision(name: &str) -> Result<Supervision, HostError>;
        sockets(protocol: Protocol) -> Result<Listeners, HostError>;
        free_bytes(path: &Path) -> Result<u64, HostError>;
        resolve(name: &str) -> Result<Vec<IpAddr>, HostError>;
        addresses() -> Result<Vec<IpAddr>, HostError>;
        local_path(path: &Path) -> PathBuf;
        bind(probe: &BindProbe) -> Result<BindOutcome, HostError>;
    }

    fn now(&self) -> u64 {
        super::orders::now()
    }

    fn service(&self, _name: &str) -> Result<ServiceState, HostError> {
        let pid = self.nginx.as_ref().map(Child::id);
        Ok(pid.map_or(ServiceState::Stopped, |pid| ServiceState::Running { pid: Some(pid) }))
    }

    fn web(&self, request: &WebRequest) -> Result<WebAnswer, WebFailure> {
        ask(request)
    }
}

fn ask(request: &WebRequest) -> Result<WebAnswer, WebFailure> {
    let address = request.address.unwrap();
    let scheme = if request.tls { "https" } else { "http" };
    // Whichever test comes first sets it; the others find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_info(true)
        .tls_danger_accept_invalid_certs(true)
        .resolve(&request.host, address)
        .timeout(request.timeout)
        .build()
        .unwrap();
    let url = format!("{scheme}://{}:{}{}", request.host, address.port(), request.path);
    let answer = client.get(url).header("Host", &request.host).send();
    let answer = answer
        .map_err(|error| if error.is_connect() { WebFailure::Refused } else { WebFailure::Other(error.to_string()) })?;
    let info = answer.extensions().get::<reqwest::tls::TlsInfo>().and_then(|info| info.peer_certificate());
    let certificate = info.map(|der| ServedCertificate {
        names: Vec::new(),
        issuer: String::new(),
        not_after: 0,
        sha256: digest(der),
    });
    let status = answer.status().as_u16();
    let body = answer.bytes().unwrap().to_vec();
    Ok(WebAnswer { status, location: None, retry_after: None, cookie: None, body, certificate })
}

impl Host for RealFront {
    from_files! {
        write_file(path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> Result<(), HostError>;
        append_file(path: &Path, bytes: &[u8]) -> Result<(), HostError>;
        rename(from: &Path, to: &Path) -> Result<(), HostError>;
        make_directory(path: &Path, mode: u32, owner: Owner) -> Result<(), HostError>;
        make_symlink(path: &Path, target: &Path) -> Result<(), HostError>;
        remove(path: &Path) -> Result<(), HostError>;
        remove_tree_until(path: &Path, stop: Ask<'_>) -> Result<(), HostError>;
        add_group(group: &Group) -> Result<(), HostError>;
        delete_group(name: &str) -> Result<(), HostError>;
        add_user(user: &User) -> Result<(), HostError>;
        delete_user(name: &str) -> Result<(), HostError>;
        load_module(name: &str) -> Result<(), HostError>;
        unload_module(name: &str) -> Result<(), HostError>;
        set_sysctl(name: &str, value: &str) -> Result<(), HostError>;
        set_rc_variable(name: &str, value: Option<&str>) -> Result<(), HostError>;
        install_package(name: &str) -> Result<(), HostError>;
        delete_package(name: &str) -> Result<(), HostError>;
        front_test(front: Front, config: &Path) -> Result<Output, HostError>;
        watch_ports(ports: &[u16]) -> Result<Box<dyn PortWatch>, HostError>;
        run_as(invocation: &Invocation, stop: Ask<'_>) -> Result<Output, HostError>;
        run_watched(invocation: &Invocation, tell: &mut dyn FnMut(Duration, Option<&str>)) -> Result<Output, HostError>;
        file_users(path: &Path) -> Result<Vec<FileUser>, HostError>;
        copy_file(
            from: &Path, whose: Whose, to: &Path, mode: u32, owner: Owner, stop: Ask<'_>
        ) -> Result<CopiedFile, HostError>;
        examine_database(examination: &DatabaseExamination, stop: Ask<'_>) -> Result<DatabaseState, HostError>;
        open_file(path: &Path, whose: Whose) -> Result<Option<std::fs::File>, HostError>;
        build_file(
            path: &Path, mode: u32, owner: Owner, build: &mut dyn FnMut(&mut std::fs::File) -> std::io::Result<()>
        ) -> Result<(), HostError>;
        lock(path: &Path, note: &str) -> Result<Box<dyn Any>, HostError>;
    }

    fn service_action(&self, _name: &str, action: ServiceAction) -> Result<(), HostError> {
        assert_eq!(action, ServiceAction::Reload);
        assert!(self.signal(Signal::SIGHUP), "nginx is gone");
        Ok(())
    }

    fn sleep(&self, time: Duration) {
        sleep(time);
    }
}
