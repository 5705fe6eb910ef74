//! Whether two machines are the same, but for what cannot be.
//!
//! Left out, and nothing else:
//! - `journal`, `receipts/`, `replaced/` and the list of restored media of the program itself: they tell what was done, and when;
//! - logs and pid files, the clock, pids, and how many certificates were issued;
//! - for a run that was gone on with, when backups and copies of the database were made, that there is one more of them, and the
//!   receipts in a backup;
//! - for a run that was taken back, old backups and releases that were one too many: they go in a run of their own, after all else
//!   was proved, and nobody gets them back;
//! - what the loader has left for the kernel at the last boot, and what a web server that does not run had read;
//! - of certificates, keys and accounts at the authority their bytes, which are new with each order;
//! - passwords and logins of GoToSocial's users, which are random;
//! - for an uninstallation that was taken back after whole trees had begun to go, these trees, and whether the service runs and is
//!   enabled: nothing brings the trees back, and without them the service must not run. It is proved that each is named;
//! - for a run that was taken back, the record of when a certificate was last ordered (it was), and what GoToSocial has written into folders of its own: that is never taken away.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gts_bootstrap::backup;
use gts_bootstrap::change::database::DESCRIPTION;
use gts_bootstrap::change::store;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::image::{Content, Image, Node, content};

const STATE: &str = ".rehearsal/state.json";

/// What is compared: a path with its mode and content, and the model as text.
pub type State = BTreeMap<PathBuf, (u32, Arc<Content>)>;

thread_local! {
    /// Whether a content is a certificate, a key or an account, by its digest.
    static KEYS: RefCell<HashMap<[u8; 32], bool>> = RefCell::default();
    /// Receipts without their times, by the digest of what they are with them.
    static UNTIMED: RefCell<HashMap<[u8; 32], Arc<Content>>> = RefCell::default();
}

fn is_key(content: &Content) -> bool {
    let look = || {
        let text = String::from_utf8_lossy(&content.bytes);
        text.contains("-----BEGIN ") || text.contains("\"key_pkcs8\"")
    };
    KEYS.with_borrow_mut(|keys| *keys.entry(content.digest).or_insert_with(look))
}

/// One digest for all of a state.
pub fn digest(state: &State) -> [u8; 32] {
    let mut digest = Sha256::new();
    for (path, (mode, content)) in state {
        digest.update(format!("{}\0{mode}\0", path.display()));
        digest.update(content.digest);
    }
    digest.finalize().into()
}

/// The state of a rehearsal.
pub fn state(image: &Image) -> State {
    let records = ["journal", "receipts", "replaced", "restored-media.json"]
        .map(|name| Path::new("var/db/gts-bootstrap").join(name));
    let mut state = state_with_records(image);
    state.retain(|path, _| !records.iter().any(|own| path.starts_with(own)));
    state
}

/// The same with the program's records, their times left out.
pub fn state_with_records(image: &Image) -> State {
    let own = Path::new("var/db/gts-bootstrap");
    let compared = |path: &Path| {
        let ends_in = |ending: &str| path.extension().is_some_and(|is| is == ending);
        let is_log = path.starts_with("var/log") && ends_in("log");
        let left_out = path.as_os_str().is_empty() || path.starts_with(".rehearsal") || path == own || is_log;
        !left_out && !ends_in("pid")
    };
    let nodes = image.0.iter().filter(|(path, _)| compared(path));
    let mut state: State = nodes
        .map(|(path, node)| {
            let is_archive = path.extension().is_some_and(|ending| ending == "tar");
            let seen = match node {
                Node::Folder(mode) => (*mode, content(Vec::new())),
                Node::Link(target) => (0, content(target.clone().into_os_string().into_encoded_bytes())),
                Node::File(mode, text) if path.starts_with(own.join("receipts")) => {
                    let untimed = || content(without_times(&String::from_utf8_lossy(&text.bytes)));
                    let untimed =
                        UNTIMED.with_borrow_mut(|all| Arc::clone(all.entry(text.digest).or_insert_with(untimed)));
                    (*mode, untimed)
                }
                Node::File(mode, text) if (!is_archive && is_key(text)) || path.ends_with("tls/renewal.json") => {
                    (*mode, content(b"a certificate, a key, an account or the time of an order".to_vec()))
                }
                Node::File(mode, content) => (*mode, Arc::clone(content)),
            };
            (path.clone(), seen)
        })
        .collect();
    state.insert(STATE.into(), (0, content(model(image).into_bytes())));
    state
}

/// A receipt without its times and pids.
fn without_times(receipt: &str) -> Vec<u8> {
    let lines = receipt.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if let Some(begin) = line.get_mut("begin") {
            begin["time"] = 0.into();
            let running = begin.get_mut("running").and_then(Value::as_array_mut);
            running.into_iter().flatten().for_each(|service| drop(service.as_object_mut().unwrap().remove("pid")));
        }
        format!("{line}\n")
    });
    lines.collect::<String>().into_bytes()
}

/// The model as text. A value is changed and printed by serde_json's own code, which a test build optimises.
fn model(image: &Image) -> String {
    let text = std::str::from_utf8(&image.file(STATE).unwrap().bytes).unwrap();
    let mut model: Value = text.parse().unwrap();
    reset(&mut model, &["clock", "next_pid", "issued", "passwords", "seen_passwords"]);
    model.as_object_mut().unwrap().shift_remove("millis");
    members(&mut model["kernel_environment"]).clear();
    // A value that is set and a value that is so by itself are the same.
    let by_itself = [("net.inet.ip.portrange.reservedhigh", "1023"), ("security.mac.portacl.rules", "")];
    members(&mut model["sysctls"])
        .retain(|name, value| !by_itself.iter().any(|known| *known == (name, text_of(value))));
    members(&mut model["services"]).values_mut().for_each(|pid| *pid = 0.into());
    if let supervisor @ Value::Object(_) = &mut model["gotosocial"] {
        reset(supervisor, &["pid", "restart_at"]);
        if let program @ Value::Object(_) = &mut supervisor["program"] {
            reset(program, &["oauth", "pid", "ready_at", "started_at"]);
        }
    }
    // What belongs to somebody and is not there any more, or is not compared.
    members(&mut model["owners"]).retain(|path, _| {
        let below = Path::new(path).strip_prefix("/").unwrap();
        image.0.contains_key(below) && !below.starts_with("var/db/gts-bootstrap/replaced")
    });
    without_orders(&mut model);
    format!("{model:#}")
}

fn members(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().unwrap()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Sets members, which have to be there, to nothing.
fn reset(value: &mut Value, names: &[&str]) {
    for name in names {
        *value.get_mut(name).unwrap() = Value::Null;
    }
}

/// Leaves out of what web servers serve which certificate it is: a new one with each order.
fn without_orders(value: &mut Value) {
    match value {
        Value::Object(members) => {
            ["not_before", "not_after", "sha256"].iter().for_each(|key| drop(members.remove(*key)));
            members.values_mut().for_each(without_orders);
        }
        Value::Array(items) => items.iter_mut().for_each(without_orders),
        _ => {}
    }
}

/// Without what GoToSocial keeps in folders of its own, and who owns that.
pub fn without_data(mut state: State) -> State {
    const OWN: [&str; 3] = ["var/db/gotosocial", "var/log/gotosocial", "var/run/gotosocial"];
    let own = |path: &Path| OWN.iter().any(|own| path.starts_with(own)) || path.ends_with("tls/renewal.json");
    state.retain(|path, _| !own(path));
    if let Some((_, text)) = state.get_mut(Path::new(STATE)) {
        let mut model: Value = std::str::from_utf8(&text.bytes).unwrap().parse().unwrap();
        model["owners"].as_object_mut().unwrap().retain(|path, _| !own(Path::new(path.trim_start_matches('/'))));
        *text = content(format!("{model:#}").into());
    }
    state
}

/// Without when backups and copies of the database were made: it is in their names and their contents, and another one for a run
/// that was gone on with. Of several backups of the same stand, which only such a run makes, the newest counts.
pub fn without_times_of_backups(state: State) -> State {
    let backup = |(path, (mode, found)): (PathBuf, (u32, Arc<Content>))| {
        if !path.starts_with("var/backups/gotosocial") {
            return (path, (mode, found));
        }
        let bytes = &found.bytes;
        let unstamped_content = match path.extension().and_then(|ending| ending.to_str()) {
            Some("tar") => {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(bytes).unwrap();
                let mut manifest = backup::open(&mut file).unwrap().manifest;
                manifest.head.created = 0;
                manifest.entries.retain(|entry| !entry.path.starts_with(backup::RECEIPTS));
                let timed = [DESCRIPTION, backup::POSTGRES];
                let timed = |path: &str| timed.iter().any(|timed| path.ends_with(timed));
                manifest.entries.iter_mut().filter(|entry| timed(&entry.path)).for_each(|entry| {
                    entry.sha256.clear();
                });
                serde_json::to_vec_pretty(&manifest).unwrap()
            }
            _ if path.ends_with(DESCRIPTION) => {
                let mut copy: Value = serde_json::from_slice(bytes).unwrap();
                copy["time"] = 0.into();
                if copy.get("content").is_some() {
                    copy["files"][0]["sha256"] = "of a dump with its time".into();
                }
                serde_json::to_vec_pretty(&copy).unwrap()
            }
            // The time of the model's dumps stands behind their first five bytes.
            Some("dump") => {
                bytes.iter().enumerate().filter(|(at, _)| !(5..17).contains(at)).map(|(_, byte)| *byte).collect()
            }
            _ => bytes.clone(),
        };
        let unstamped = |name: &str| match name.rsplit_once('-') {
            Some((head, stamp)) if is_stamp(stamp) => format!("{head}-STAMP"),
            _ => name.to_owned(),
        };
        let names = path.iter().map(|name| unstamped(name.to_str().unwrap()));
        (names.collect(), (mode, content(unstamped_content)))
    };
    state.into_iter().rev().map(backup).collect()
}

/// `20260101T000000Z`, whatever ending follows.
fn is_stamp(text: &str) -> bool {
    let mut characters = text.chars();
    "00000000T000000Z".chars().all(|wanted| {
        characters.next().is_some_and(|is| if wanted == '0' { is.is_ascii_digit() } else { is == wanted })
    })
}

/// Without the program's own folder, which a purge takes away when everything has ended.
pub fn without_record(mut state: State) -> State {
    state.retain(|path, _| !Path::new("/").join(path).to_string_lossy().starts_with(store::FOLDER));
    state
}

/// Without what was one too many.
pub fn without_superfluous(mut state: State, gone: &[PathBuf]) -> State {
    state.retain(|path, _| !gone.iter().any(|gone| Path::new("/").join(path).starts_with(gone)));
    state
}

/// Without trees that were removed for good, and without whether the service runs that needs them.
pub fn without_lost(mut state: State, lost: &[PathBuf]) -> State {
    let is_lost = |path: &Path| lost.iter().any(|lost| Path::new("/").join(path).starts_with(lost));
    state.retain(|path, _| !is_lost(path));
    if let Some((_, text)) = state.get_mut(Path::new("etc/rc.conf")) {
        let lines = String::from_utf8_lossy(&text.bytes).into_owned();
        let others = lines.lines().filter(|line| !line.starts_with("gotosocial_enable="));
        *text = content(others.collect::<Vec<_>>().join("\n").into_bytes());
    }
    if let Some((_, text)) = state.get_mut(Path::new(STATE)) {
        let mut model: Value = std::str::from_utf8(&text.bytes).unwrap().parse().unwrap();
        model["gotosocial"] = Value::Null;
        drop(model["services"].as_object_mut().unwrap().remove("gotosocial"));
        model["owners"].as_object_mut().unwrap().retain(|path, _| !is_lost(Path::new(path.trim_start_matches('/'))));
        *text = content(format!("{model:#}").into());
    }
    state
}

/// What is different, in words; empty if nothing is.
pub fn differences(wanted: &State, found: &State) -> String {
    let mut told = String::new();
    for path in wanted.keys().chain(found.keys().filter(|path| !wanted.contains_key(*path))) {
        let (one, other) = (wanted.get(path), found.get(path));
        if one == other {
            continue;
        }
        let show = |state: Option<&(u32, Arc<Content>)>| match state {
            None => "nothing".to_owned(),
            Some((mode, content)) => format!("{mode:o} {} bytes", content.bytes.len()),
        };
        told.push_str(&format!("{}: {} instead of {}\n", path.display(), show(other), show(one)));
        if let (Some((_, one)), Some((_, other))) = (one, other) {
            let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
            let (one, other) = (lines(&one.bytes), lines(&other.bytes));
            one.iter()
                .filter(|line| !other.contains(line))
                .take(8)
                .for_each(|line| told.push_str(&format!("  - {line}\n")));
            other
                .iter()
                .filter(|line| !one.contains(line))
                .take(8)
                .for_each(|line| told.push_str(&format!("  + {line}\n")));
        }
    }
    told
}
