//! How a release gets onto the disk, against `curl | tee >(sha256sum) | tar xz`: the wall time of both, side by side, and
//! the memory of the program with its children. `cargo bench --bench release`.
//!
//! The aims are 0.8 of the time, and 24 MiB: the sum of the proportional set sizes of all processes, in which a page that
//! several share counts once. The data is made here: about 27 MB packed, 90 MB and 400 files unpacked.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use gts_bootstrap::child::{self, CHILD_ARGUMENT, Ids};
use gts_bootstrap::host::CHILD_ROLES;
use gts_bootstrap::release::{
    Arch, Fetcher, HttpSettings, Limits, LockedRelease, NoProgress, Sha256Digest, Source, Target, Variant, asset_name,
    fetch,
};
use semver::Version;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The hidden first argument that makes this the process that is measured.
const MEASURED: &str = "measured";
const VERSION: Version = Version::new(0, 19, 2);
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        // Its children are this program again.
        [CHILD_ARGUMENT, ..] => return child::main(CHILD_ROLES),
        [MEASURED, url, digest, folder] => install(url, digest, Path::new(folder)),
        _ => compare(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("release: {error}");
            ExitCode::FAILURE
        }
    }
}

fn install(url: &str, digest: &str, folder: &Path) -> Outcome<()> {
    let (arch, variant) = (Arch::Amd64, Variant::Default);
    let locked = LockedRelease {
        version: VERSION,
        variant,
        arch,
        asset: asset_name(&VERSION, arch, variant)?,
        url: url.to_owned(),
        size: None,
        sha256: digest.parse()?,
    };
    let nobody = Ids { uid: 65534, gid: 65534, groups: Vec::new() };
    let ids = nix::unistd::geteuid().is_root().then_some(nobody);
    let fetcher = Fetcher::new(HttpSettings::default(), ids, &NoProgress);
    let target = Target { directory: &folder.join("0.19.2"), partial: &folder.join("download") };
    Ok(fetch(&locked, &Source::mirror(url)?, target, &Limits::default(), &fetcher)?)
}

fn compare() -> Outcome<()> {
    let archive = archive()?;
    let digest = Sha256Digest::of(&archive).to_string();
    println!("archive: {:.1} MB", archive.len() as f64 / 1e6);
    let url = serve(archive)?;
    let ours = |folder: &Path| -> Outcome<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([MEASURED, &url, &digest]).arg(folder);
        Ok(command)
    };
    let pipeline = |folder: &Path| -> Outcome<Command> {
        let script = format!("set -o pipefail; curl -sS '{url}/v' | tee >(sha256sum >sum) | tar xz -C unpacked");
        let mut command = Command::new("bash");
        command.args(["-c", &script]).current_dir(folder);
        Ok(command)
    };
    let (mut own, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(timed(&ours)?);
        theirs.push(timed(&pipeline)?);
    }
    let (own, theirs) = (median(own), median(theirs));
    println!("fetch, verify, unpack: {:.0} ms (median of {ROUNDS})", own * 1000.0);
    println!("curl | tee >(sha256sum) | tar xz: {:.0} ms", theirs * 1000.0);
    println!("ratio: {:.2} (aim: 0.80 or less)", own / theirs);
    let folder = place()?;
    println!("memory: {:.1} MiB (aim: 24 or less)", peak(ours(folder.path())?.spawn()?)? as f64 / 1024.0);
    Ok(())
}

fn place() -> Outcome<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("unpacked"))?;
    Ok(folder)
}

fn timed(make: &dyn Fn(&Path) -> Outcome<Command>) -> Outcome<f64> {
    let folder = place()?;
    let mut command = make(folder.path())?;
    let began = Instant::now();
    let status = command.stdin(Stdio::null()).status()?;
    let seconds = began.elapsed().as_secs_f64();
    if status.success() { Ok(seconds) } else { Err(format!("{command:?} ended with {status}").into()) }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The largest proportional set size of a process and its children, in KiB. Linux tells it.
fn peak(mut measured: Child) -> Outcome<u64> {
    let mut peak = 0;
    while measured.try_wait()?.is_none() {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", measured.id())).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        peak = peak.max(children.chain([measured.id()]).filter_map(set_size).sum());
        thread::sleep(Duration::from_millis(2));
    }
    if peak == 0 { Err("this system does not tell proportional set sizes".into()) } else { Ok(peak) }
}

fn set_size(pid: u32) -> Option<u64> {
    let told = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    told.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse().ok())
}

/// Answers every request with the archive.
fn serve(archive: Vec<u8>) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let archive = Arc::new(archive);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let archive = Arc::clone(&archive);
            thread::spawn(move || {
                let asked = BufReader::new(&connection).lines().map_while(Result::ok);
                asked.take_while(|line| !line.is_empty()).for_each(drop);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", archive.len());
                let mut connection = &connection;
                let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&archive));
            });
        }
    });
    Ok(url)
}

/// One large program and 400 small files, as a release of GoToSocial has them.
fn archive() -> Outcome<Vec<u8>> {
    let mut chance = Chance(1);
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let sizes = [("gotosocial".to_owned(), 85_000_000)]
        .into_iter()
        .chain((0..400).map(|number| (format!("web/assets/{}/file{number}", number % 20), 500 + number * 60)));
    for (path, size) in sizes {
        let mut header = tar::Header::new_gnu();
        header.set_size(size as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, path, content(size, &mut chance).as_slice())?;
    }
    Ok(tar.into_inner()?.finish()?)
}

/// Some new bytes, then some that were there before, as in programs.
fn content(size: usize, chance: &mut Chance) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(size + 64);
    while bytes.len() < size {
        bytes.extend_from_slice(&chance.next().to_le_bytes()[..7]);
        let back = bytes.len().min(1 + chance.next() as usize % 30_000);
        let from = bytes.len() - back;
        let length = back.min(27);
        bytes.extend_from_within(from..from + length);
    }
    bytes.truncate(size);
    bytes
}

/// The same numbers each time (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
