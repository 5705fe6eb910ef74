//! The web servers, started with rendered filters and as little around them as possible.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use gts_bootstrap::filter::{Decision, Filters, Lists, Outcome, decide};
use tempfile::TempDir;

use super::backend;
use super::client::{self, Answer};

/// Which web server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Httpd,
}

/// Both.
pub const BOTH: [Kind; 2] = [Kind::Nginx, Kind::Httpd];

impl Kind {
    /// Where its program is. A machine without it cannot run these tests, and they fail.
    fn program(self) -> PathBuf {
        let (names, package): (&[&str], _) = match self {
            Self::Nginx => (&["/usr/sbin/nginx", "/usr/local/sbin/nginx"], "nginx"),
            Self::Httpd => {
                (&["/usr/sbin/apache2", "/usr/local/sbin/httpd", "/usr/sbin/httpd"], "apache2 (apache24 on FreeBSD)")
            }
        };
        let found = names.iter().map(PathBuf::from).find(|path| path.exists());
        found.unwrap_or_else(|| {
            panic!("none of {names:?} is there; install the package {package} and run the tests again")
        })
    }
}

/// A web server that runs.
pub struct Front {
    pub kind: Kind,
    pub port: u16,
    filters: Filters,
    lists: Lists,
    child: Child,
    folder: TempDir,
}

impl Front {
    /// Starts one with these filters.
    pub fn start(kind: Kind, filters: &str) -> Self {
        Self::start_with(kind, filters, Lists::default())
    }

    /// Starts one with these filters and lists. Its configuration must pass its own test.
    pub fn start_with(kind: Kind, filters: &str, lists: Lists) -> Self {
        let filters = Filters::parse(filters).unwrap();
        let folder = TempDir::new().unwrap();
        // The workers are somebody else if the tests are root's.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let front =
            if kind == Kind::Nginx { gts_bootstrap::front::Front::NGINX } else { gts_bootstrap::front::Front::HTTPD };
        for (path, content) in (front.filters)(&filters, &lists, &folder.path().join("filters")).unwrap() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let backend = backend::start();
        // Between looking for a free port and taking it, another test may have it.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let main = folder.path().join("main.conf");
            let text = match kind {
                Kind::Nginx => nginx(folder.path(), port, backend),
                Kind::Httpd => httpd(folder.path(), port, backend),
            };
            fs::write(&main, text).unwrap();
            let run = |arguments: &[&str]| {
                let mut command = Command::new(kind.program());
                command.args(match kind {
                    Kind::Nginx => ["-p", folder.path().to_str().unwrap(), "-c", main.to_str().unwrap()],
                    Kind::Httpd => ["-d", folder.path().to_str().unwrap(), "-f", main.to_str().unwrap()],
                });
                command.args(arguments).stdin(Stdio::null());
                command
            };
            let test = run(&["-t"]).output().unwrap();
            assert!(test.status.success(), "{kind:?}: {}", String::from_utf8_lossy(&test.stderr));
            let arguments: &[&str] = if kind == Kind::Nginx { &[] } else { &["-DFOREGROUND"] };
            let mut child = run(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            if serves(&mut child, port) {
                return Self { kind, port, filters, lists, child, folder };
            }
            child.wait().unwrap();
        }
        panic!("{kind:?} does not start: {}", log(folder.path()));
    }

    /// What the web server answers. [`decide`] must say the same beforehand.
    #[track_caller]
    pub fn get(&self, address: &str, agent: &str, path: &str) -> Answer {
        let answer = client::get(self.port, address, agent, path);
        let Decision { outcome, reason, .. } =
            decide(&self.filters, &self.lists, address.parse().unwrap(), agent, path);
        let fits = match outcome {
            Outcome::Passed => answer.status == 200,
            Outcome::Limited { .. } => [200, 429].contains(&answer.status),
            Outcome::Refused => answer.status == 403,
        };
        assert!(
            fits,
            "{:?}: {path} for {address} “{agent}” was to be “{outcome}” ({reason}), and is {}\n{}\n{}",
            self.kind,
            answer.status,
            answer.body,
            log(self.folder.path())
        );
        answer
    }

    /// What it logged as wrong.
    pub fn log(&self) -> String {
        log(self.folder.path())
    }

    /// The status alone.
    #[track_caller]
    pub fn status(&self, address: &str, agent: &str, path: &str) -> u16 {
        self.get(address, agent, path).status
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // TERM, so that it takes its workers along.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Waits until the port answers; not if the server has ended.
fn serves(child: &mut Child, port: u16) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("error.log")).unwrap_or_default()
}

fn nginx(folder: &Path, port: u16, backend: SocketAddr) -> String {
    let folder = folder.display();
    let user = if nix::unistd::geteuid().is_root() { "user nobody nogroup;" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {folder}/temporary-{kind};\n"))
        .collect();
    format!(
        "{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{
}}
http {{
    access_log off;
{temporary}
    include \"{folder}/filters/global/*.conf\";
    server {{
        listen 127.0.0.1:{port};
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Test-Address;
        include \"{folder}/filters/site/*.conf\";
        location / {{
            proxy_pass http://{backend};
        }}
        location = /livez {{
            return 404;
        }}
    }}
}}
"
    )
}

fn httpd(folder: &Path, port: u16, backend: SocketAddr) -> String {
    let modules = ["/usr/lib/apache2/modules", "/usr/local/libexec/apache24"];
    let modules = modules.iter().find(|folder| Path::new(folder).exists()).expect("Apache's modules");
    let names = ["mpm_event", "unixd", "authz_core", "log_config", "rewrite", "proxy", "proxy_http", "remoteip"];
    let load = |name: &&str| {
        format!("<IfModule !{name}_module>\nLoadModule {name}_module {modules}/mod_{name}.so\n</IfModule>\n")
    };
    let load: String = names.iter().map(load).collect();
    let folder = folder.display();
    let user = if nix::unistd::geteuid().is_root() { "User nobody\nGroup nogroup" } else { "" };
    format!(
        "{load}
{user}
ServerName social.example.org
DefaultRuntimeDir {folder}
PidFile {folder}/pid
ErrorLog {folder}/error.log
Listen 127.0.0.1:{port}
RemoteIPHeader X-Test-Address
RemoteIPInternalProxy 127.0.0.1
IncludeOptional \"{folder}/filters/global/*.conf\"
<VirtualHost *:{port}>
    AllowEncodedSlashes NoDecode
    IncludeOptional \"{folder}/filters/site/*.conf\"
    RewriteEngine On
    RewriteRule \"^/+livez$\" - [R=404,L]
    ProxyPass \"/\" \"http://{backend}/\" retry=0 disablereuse=on nocanon
</VirtualHost>
"
    )
}
