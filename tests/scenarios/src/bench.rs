//! The bench: the program under test, its mirror, and the host that it works on.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gts_bootstrap::host::rehearsal::{Authority, Rehearsal};
use gts_bootstrap::host::{
    BindOutcome, BindProbe, Carried, Entry, Family, Host, HostError, Jail, Owner, ServiceState, WebRequest, Whose,
    this_machine,
};
use gts_bootstrap::portacl::Protocol;

use super::arguments::Arguments;
use super::meter::{self, METER};
use super::mirror::Mirror;
use super::outcome::Outcome;
use super::snapshot::Snapshot;
use super::transcript::Transcript;

/// The name that is installed. It resolves nowhere (RFC 2606), so nobody answers for it.
pub const HOST: &str = "social.example.org";
/// The service user.
pub const USER: &str = "gotosocial";
/// The service.
pub const SERVICE: &str = "gotosocial";
/// Its log.
pub const LOG: &str = "/var/log/gotosocial/gotosocial.log";
/// Its configuration.
pub const CONFIG: &str = "/usr/local/etc/gotosocial/config.yaml";
/// Where this keeps what it needs itself, on the host.
pub const OWN_FOLDER: &str = "/var/db/gts-acceptance";
/// Every command line that a story has run the program with, one JSON list a line.
pub const COMMANDS: &str = "/var/db/gts-acceptance/commands.jsonl";
/// uid and gid of nobody.
pub const NOBODY: u32 = 65534;
/// The rule list of the kernel.
pub const RULES: &str = "security.mac.portacl.rules";
/// The highest port that only root may bind.
pub const RESERVED_HIGH: &str = "net.inet.ip.portrange.reservedhigh";
/// The kernel module.
pub const MODULE: &str = "mac_portacl";

/// Answers with everything in them that most stories need.
pub const ANSWERS: &str =
    "host = \"social.example.org\"\n\n[tls]\nemail = \"admin@example.org\"\n\n[release]\nversion = \"{middle}\"\n";
/// What stands in answers for the usual release.
pub const MIDDLE: &str = "{middle}";
/// The same for the oldest one.
pub const OLDEST: &str = "{oldest}";

/// A web server that can stand in front.
#[derive(Debug)]
pub struct WebServer {
    /// What it is called on the command line and in the answers.
    pub name: &'static str,
    /// Its package, and its script in rc.d.
    pub service: &'static str,
    /// What sockstat(1) calls it.
    pub command: &'static str,
    /// Our site in its configuration.
    pub site: &'static str,
}

/// nginx.
pub const NGINX: WebServer = WebServer {
    name: "nginx",
    service: "nginx",
    command: "nginx",
    site: "/usr/local/etc/nginx/gts-bootstrap/gotosocial.conf",
};
/// Apache httpd.
pub const HTTPD: WebServer = WebServer {
    name: "httpd",
    service: "apache24",
    command: "httpd",
    site: "/usr/local/etc/apache24/Includes/zz-gts-bootstrap.conf",
};

/// What the stories work with.
#[derive(Debug)]
pub struct Bench {
    program: PathBuf,
    /// The mirror.
    pub mirror: Mirror,
    /// Where certificates can be ordered.
    pub acme: Option<AcmeServer>,
    /// The authority of a rehearsal, while nothing is wrong with it.
    pub authority: Authority,
    /// What the program was told, and what it said.
    pub transcript: RefCell<Transcript>,
    rehearse: Option<PathBuf>,
    peak: Cell<u64>,
    found: RefCell<Option<Snapshot>>,
}

/// A server that issues certificates (ACME), such as Pebble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeServer {
    /// The URL of its directory.
    pub directory: String,
    /// The certificates that it is to be trusted by; those of the system without it.
    pub trusted: Option<PathBuf>,
}

impl Bench {
    /// Looks whether everything is there that is needed, and whether this is a machine to do it on.
    pub fn new(arguments: &Arguments) -> Result<Self, String> {
        let there = |path: &Path, what: &str| {
            path.canonicalize().map_err(|error| format!("{what} {} cannot be used: {error}", path.display()))
        };
        let mut bench = Self {
            program: there(&arguments.program, "the program")?,
            mirror: Mirror::open(there(&arguments.mirror, "the mirror")?)?,
            acme: arguments.acme()?,
            authority: Authority::default(),
            transcript: RefCell::default(),
            rehearse: arguments.rehearse.clone(),
            peak: Cell::new(0),
            found: RefCell::default(),
        };
        if let Some(rehearsal) = bench.rehearsal()?
            && rehearsal.model().authority == Authority::Private
        {
            bench.authority = Authority::Private;
        }
        let system = bench.host()?.system().map_err(|error| error.to_string())?;
        if system.euid != 0 {
            return Err("run this as root".to_owned());
        }
        if system.jail != Jail::No || system.securelevel > 0 {
            return Err("run this on a machine of its own, not in a jail, and with securelevel -1 or 0".to_owned());
        }
        Ok(bench)
    }

    /// Keeps the machine as it was found.
    pub fn keep_found(&self, found: &Snapshot) {
        self.found.replace(Some(found.clone()));
    }

    /// The machine as it was found.
    pub fn found(&self) -> Result<Snapshot, String> {
        self.found.borrow().clone().ok_or_else(|| "nobody has kept how the machine was found".to_owned())
    }

    /// Whether it is a rehearsal.
    pub fn is_rehearsal(&self) -> bool {
        self.rehearse.is_some()
    }

    /// The host as it is now: a rehearsal is opened anew each time, as the program changes it in a process of its own.
    pub fn host(&self) -> Result<Box<dyn Host>, String> {
        match self.rehearsal()? {
            None => this_machine().map_err(|error| error.to_string()),
            Some(rehearsal) => Ok(Box::new(rehearsal)),
        }
    }

    /// The rehearsal, if it is one.
    pub fn rehearsal(&self) -> Result<Option<Rehearsal>, String> {
        self.rehearse.as_ref().map(Rehearsal::open).transpose().map_err(|error| error.to_string())
    }

    /// Where this system keeps a path of the host.
    pub fn local(&self, path: &str) -> Result<PathBuf, String> {
        Ok(self.host()?.local_path(Path::new(path)))
    }

    /// The program with these arguments, in a clean environment and without a terminal. That it is run with them goes into
    /// the record.
    pub fn command(&self, arguments: &[&str]) -> Result<Command, String> {
        self.started_by(Command::new(&self.program), arguments)
    }

    fn started_by(&self, mut command: Command, arguments: &[&str]) -> Result<Command, String> {
        let record = self.local(COMMANDS)?;
        let line = format!("{}\n", serde_json::json!(arguments));
        let opened = fs::File::options().create(true).append(true).open(&record);
        let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
        written.map_err(|error| format!("cannot write {}: {error}", record.display()))?;
        if let Some(folder) = &self.rehearse {
            command.arg("--rehearse").arg(folder);
        }
        command.args(arguments).env_clear().env("PATH", "/sbin:/bin:/usr/sbin:/usr/bin").current_dir("/");
        // Whoever rehearses the stories may be root, and the stories are not about that.
        command.env("GTSB_REHEARSE_AS_ROOT", "yes");
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Result<Outcome, String> {
        self.run_with(arguments, &[])
    }

    /// Runs the program with variables in its environment.
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Outcome, String> {
        let secrets = environment.iter().filter(|(name, _)| name.starts_with("GTS_"));
        secrets.for_each(|(_, value)| {
            self.transcript.borrow_mut().keep_secret(value);
        });
        self.outcome(arguments, |command| {
            command.envs(environment.iter().copied());
        })
    }

    /// Runs the program below a parent that measures it.
    fn outcome(&self, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Result<Outcome, String> {
        let found = self.local(OWN_FOLDER)?.join("run.json");
        let own = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
        let mut command = Command::new(own);
        command.arg(METER).arg(&found).arg(&self.program);
        let mut command = self.started_by(command, arguments)?;
        prepare(&mut command);
        let output = command.output();
        let output = output.map_err(|error| format!("{} cannot be run: {error}", self.program.display()))?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let run = meter::read(&found).map_err(|why| format!("{why}\n{stderr}"))?;
        self.peak.set(self.peak.get().max(run.peak));
        let outcome = Outcome {
            command: format!("gts-bootstrap {}", arguments.join(" ")),
            code: run.code,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr,
        };
        self.transcript.borrow_mut().add(&outcome);
        Ok(outcome)
    }

    /// The largest memory of a run of the program in this story, in KiB.
    pub fn peak(&self) -> u64 {
        self.peak.get()
    }

    /// The same, at its end.
    pub fn take_peak(&self) -> u64 {
        self.peak.take()
    }

    /// Runs the program with these lines on its standard input.
    pub fn run_typed(&self, arguments: &[&str], lines: &[&str]) -> Result<Outcome, String> {
        let file = self.local(OWN_FOLDER)?.join("typed");
        fs::write(&file, lines.join("\n") + "\n")
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        let typed = fs::File::open(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        self.outcome(arguments, |command| {
            command.stdin(typed);
        })
    }

    /// Installs these answers from the mirror.
    pub fn install(&self, answers: &str) -> Result<Outcome, String> {
        self.install_with(answers, &["--yes"])
    }

    /// Installs these answers from the mirror, with more arguments.
    pub fn install_with(&self, answers: &str, more: &[&str]) -> Result<Outcome, String> {
        self.install_from(&self.mirror.place(), answers, more)
    }

    /// Installs these answers from a mirror.
    pub fn install_from(&self, mirror: &str, answers: &str, more: &[&str]) -> Result<Outcome, String> {
        let file = self.answers(answers)?;
        self.run(&[&["install", "--answers", &file, "--mirror", mirror], more].concat())
    }

    /// Installs what the host keeps on record.
    pub fn install_with_record(&self) -> Result<Outcome, String> {
        self.run(&["install", "--yes"])
    }

    /// Has somebody write a post on the instance.
    pub fn post(&self, text: &str) -> Result<(), String> {
        if let Some(rehearsal) = self.rehearsal()? {
            return rehearsal.post(text).map_err(|error| error.to_string());
        }
        let request = WebRequest {
            tls: true,
            host: HOST.into(),
            address: Some(([127, 0, 0, 1], 443).into()),
            path: format!("/stand-in/post?{}", text.replace(' ', "+")),
            carries: Carried::default(),
            verify: false,
            timeout: std::time::Duration::from_secs(10),
        };
        let answer = self.host()?.web(&request).map_err(|error| error.to_string())?;
        ensure(answer.status == 200, format!("a post was answered with {}", answer.status))
    }

    /// Writes a file of answers, and says where.
    pub fn answers(&self, text: &str) -> Result<String, String> {
        let file = self.local(OWN_FOLDER)?.join("answers.toml");
        let text = text.replace(MIDDLE, &self.mirror.middle).replace(OLDEST, &self.mirror.oldest);
        fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        Ok(file.display().to_string())
    }

    /// The text of a file of the host.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let (host, said) = (self.host()?, |error: HostError| error.to_string());
        // Whoever's it is: a story only looks.
        let whose = match host.entry(Path::new(path)).map_err(said)? {
            Some(Entry::File { owner, .. }) => Whose::User(owner.uid),
            _ => Whose::ROOT,
        };
        let bytes = host.read_of(Path::new(path), whose).map_err(said)?;
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).ok_or_else(|| format!("there is no {path}"))
    }

    /// Writes a file of the host, and its folders where they are missing; mode and owner stay as they are.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> Result<(), String> {
        let host = self.host()?;
        let (mode, owner) = match host.entry(Path::new(path)).map_err(|error| error.to_string())? {
            Some(Entry::File { mode, owner, .. }) => (mode, owner),
            _ => (0o644, Owner::ROOT),
        };
        let folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        for folder in folders.into_iter().rev() {
            if host.entry(folder).map_err(|error| error.to_string())?.is_none() {
                host.make_directory(folder, 0o755, Owner::ROOT).map_err(|error| error.to_string())?;
            }
        }
        host.write_file(Path::new(path), text.as_ref(), mode, owner).map_err(|error| error.to_string())
    }

    /// Removes what stands at a path of the host, with all that is in it.
    pub fn remove(&self, path: &str) -> Result<(), String> {
        remove(self.host()?.as_ref(), path).map_err(|error| error.to_string())
    }

    /// Adds text to a file of the host.
    pub fn add(&self, path: &str, text: &str) -> Result<(), String> {
        let old = self.host()?.read(Path::new(path)).map_err(|error| error.to_string())?.unwrap_or_default();
        self.write(path, &(String::from_utf8_lossy(&old).into_owned() + text))
    }

    /// Whether something stands at a path.
    pub fn exists(&self, path: &str) -> Result<bool, String> {
        Ok(self.host()?.entry(Path::new(path)).map_err(|error| error.to_string())?.is_some())
    }

    /// A sysctl; empty where the kernel has none of that name.
    pub fn sysctl(&self, name: &str) -> Result<String, String> {
        let value = self.host()?.sysctl(name).map_err(|error| error.to_string())?;
        Ok(value.unwrap_or_default().trim().to_owned())
    }

    /// The pid of the running service.
    pub fn pid(&self) -> Result<u32, String> {
        match self.host()?.service(SERVICE).map_err(|error| error.to_string())? {
            ServiceState::Running { pid: Some(pid) } => Ok(pid),
            other => Err(format!("{SERVICE} is not running as it should: {other:?}")),
        }
    }

    /// Tries a bind as a user.
    pub fn bind(&self, uid: u32, port: u16, family: Family) -> Result<BindOutcome, String> {
        let probe = BindProbe { uid, gid: uid, groups: Vec::new(), family, protocol: Protocol::Tcp, port };
        self.host()?.bind(&probe).map_err(|error| error.to_string())
    }

    /// Whether a user may bind a port, over both families as far as the host has them.
    pub fn may_bind(&self, uid: u32, port: u16, wanted: bool) -> Result<(), String> {
        for family in [Family::V4, Family::V6] {
            let outcome = self.bind(uid, port, family)?;
            if outcome != BindOutcome::NoAddress && outcome.permitted() != wanted {
                let may = if wanted { "may not" } else { "may" };
                return Err(format!("uid {uid} {may} bind port {port} over {family:?}: {outcome:?}"));
            }
        }
        Ok(())
    }

    /// Port access as it is meant to be while the service is installed.
    pub fn ports_are_guarded(&self) -> Result<(), String> {
        let user = self.host()?.user(USER).map_err(|error| error.to_string())?;
        let uid = user.ok_or("there is no user gotosocial")?.uid;
        for (uid, port, wanted) in [
            (uid, 80, true),
            (uid, 443, true),
            (uid, 25, false),
            (NOBODY, 80, false),
            (NOBODY, 443, false),
            (NOBODY, 25, false),
        ] {
            self.may_bind(uid, port, wanted)?;
        }
        Ok(())
    }
}

/// Removes what stands at a path of a host, with all that is in it.
pub fn remove(host: &dyn Host, path: &str) -> Result<(), HostError> {
    let path = Path::new(path);
    match host.entry(path)? {
        Some(Entry::Directory { .. }) => host.remove_tree(path),
        _ => host.remove(path),
    }
}

/// Refuses with a reason unless something holds.
pub fn ensure(holds: bool, otherwise: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}
