//! A plan as people see it: in groups on one screen, as a list of all changes, or as the differences of files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::report::wrap;
use super::screen::{Screen, Tone};
use super::text::Text;
use crate::change::{Action, Change, Plan, Remove, Step, WriteFile, store};
use crate::host::{Observe, Whose};
use crate::parts::secrets;
use crate::shown::Shown;

/// The largest file whose lines are shown, in bytes.
const LONGEST_SHOWN: usize = 64 * 1024;
/// The most lines of a plan that is shown in full to a user who is asked next; a longer one is shown in groups.
const LONG: usize = 14;
/// Where the third column of the groups begins: as far to the left as possible, so that most lines need no second one.
const COLUMN: usize = 16;
/// How many components of a path make a place, the root among them.
const DEPTH: usize = 3;
/// Columns of a line.
const WIDTH: usize = 78;

/// A plan as it is shown: every change, or groups if the user is asked next and the list is long.
pub fn view(screen: &Screen, host: &dyn Observe, plan: &Plan, is_asked: bool) -> Vec<Text<'static>> {
    let list = list(screen, host, plan);
    let is_long = !screen.global.verbose && list.iter().flat_map(Text::lines).count() > LONG;
    if is_asked && is_long { groups(screen, plan) } else { list }
}

/// Whether a step is the program's own bookkeeping: a copy of what was written last.
fn own_copy(step: &Step) -> bool {
    matches!(&step.change, Change::File(WriteFile { path, .. }) | Change::Removal(Remove { path }) if path.starts_with(store::FOLDER))
}

/// Whether a step only completes what another one of the plan creates: a placeholder becomes a certificate.
fn completes(plan: &Plan, step: &Step) -> bool {
    let what = |step: &Step| (step.change.kind().name(), step.change.kind().target());
    step.action == Action::Update
        && what(step).0 == "certificate"
        && plan.steps.iter().any(|other| other.action == Action::Create && what(other) == what(step))
}

/// Things by their key, in the order in which the keys first appear.
fn grouped<K: PartialEq, T>(things: impl IntoIterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for thing in things {
        let key = key(&thing);
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, group)) => group.push(thing),
            None => groups.push((key, vec![thing])),
        }
    }
    groups
}

/// A plan in groups: what is created, changed, started; a line or two for each kind of thing.
fn groups(screen: &Screen, plan: &Plan) -> Vec<Text<'static>> {
    const WORDS: [(&str, Tone, &[Action]); 6] = [
        ("create", Tone::GOOD, &[Action::Create, Action::Install]),
        ("change", Tone::CAUTION, &[Action::Update, Action::Set, Action::Load]),
        ("test", Tone::DIM, &[Action::Test]),
        ("stop", Tone::CAUTION, &[Action::Stop]),
        ("start", Tone::GOOD, &[Action::Start, Action::Reload]),
        ("remove", Tone::CAUTION, &[Action::Remove]),
    ];
    let mut lines = Vec::new();
    for (mut word, tone, actions) in WORDS {
        let is_shown = |step: &&Step| actions.contains(&step.action) && !own_copy(step) && !completes(plan, step);
        let steps = plan.steps.iter().filter(is_shown);
        for (heading, steps) in grouped(steps, |step| step.change.kind().heading()) {
            let targets = steps.iter().map(|step| step.change.kind().target().shown().into_owned()).collect();
            let text = wrap(&summarized(heading, targets), COLUMN);
            lines.push(" " + screen.paint(tone, format!("{word:<6}")) + format!(" {heading:<7} {text}"));
            word = "";
        }
    }
    lines
}

/// The targets of steps of one kind, in few words.
fn summarized(kind: &str, mut targets: Vec<String>) -> String {
    let paths: Vec<&Path> = targets.iter().map(Path::new).collect();
    match kind {
        "folder" if paths.len() > 3 => {
            let mut above: Vec<PathBuf> = Vec::new();
            for path in &paths {
                if !above.iter().any(|other| place(path).starts_with(other)) {
                    above.push(place(path));
                }
            }
            let above: Vec<String> = above.iter().map(|path| path.shown().to_string()).collect();
            format!("{}, in {}", paths.len(), above.join(", "))
        }
        // One line if that is enough, otherwise one for each place.
        "file" | "folder" | "link" => {
            let places = by_place(&paths);
            let line = places.join(", ");
            // After `in FOLDER:` a path of another folder needs its own line.
            let one = line.chars().count() + COLUMN < WIDTH && (places.len() == 1 || !line.contains("in /"));
            if one { line } else { places.join("\n") }
        }
        _ => {
            targets.dedup();
            targets.join(", ")
        }
    }
}

/// The place of a path, such as `/usr/local`.
fn place(path: &Path) -> PathBuf {
    path.components().take(DEPTH).collect()
}

/// Paths in short: several folders of one place are listed after the place.
fn by_place(paths: &[&Path]) -> Vec<String> {
    let in_short = |(_, within): (PathBuf, Vec<&Path>)| {
        let whole = braced(&within);
        if whole.len() == 1 {
            return whole.join(", ");
        }
        let holds_all = |above: &&Path| within.iter().all(|path| path.starts_with(above) && path != above);
        let above = within.iter().flat_map(|path| path.ancestors()).find(holds_all).unwrap_or(Path::new("/"));
        let below: Vec<&Path> = within.iter().filter_map(|path| path.strip_prefix(above).ok()).collect();
        format!("in {}: {}", above.shown(), braced(&below).join(", "))
    };
    grouped(paths.iter().copied(), |path| place(path)).into_iter().map(in_short).collect()
}

/// Paths with those of one folder together, as a shell would expand them.
fn braced(paths: &[&Path]) -> Vec<String> {
    let together = |(folder, paths): (Option<&Path>, Vec<&Path>)| match paths[..] {
        [only] => only.shown().to_string(),
        _ => {
            let names: Vec<_> = paths.iter().filter_map(|path| path.file_name()).map(OsStr::to_string_lossy).collect();
            folder.unwrap_or(Path::new("")).join(format!("{{{}}}", names.join(", "))).shown().to_string()
        }
    };
    grouped(paths.iter().copied(), |path| path.parent()).into_iter().map(together).collect()
}

/// Every change of a plan, part by part; for an edited file, the lines that change.
pub fn list(screen: &Screen, host: &dyn Observe, plan: &Plan) -> Vec<Text<'static>> {
    let mut lines = Vec::new();
    let mut part = "";
    for step in plan.steps.iter().filter(|step| !own_copy(step) || screen.global.verbose) {
        if step.part != part {
            part = step.part;
            lines.push("  " + screen.paint(Tone::HEADING, part));
        }
        let (sign, tone) = match step.action {
            Action::Create | Action::Install | Action::Load => ("+", Tone::GOOD),
            Action::Update | Action::Set => ("~", Tone::CAUTION),
            Action::Start | Action::Reload => (">", Tone::GOOD),
            Action::Stop => ("x", Tone::CAUTION),
            Action::Remove => ("-", Tone::CAUTION),
            Action::Test => ("?", Tone::DIM),
        };
        let kind = step.change.kind();
        let text = format!("{} {} {}  {}", step.action, kind.noun(), kind.target().shown(), kind.detail());
        lines.push("    " + screen.paint(tone, sign) + " " + wrap(&text, 8));
        for (sign, line) in changed_lines(host, step, screen.global.verbose) {
            let tone = if sign == '+' { Tone::GOOD } else { Tone::BAD };
            lines.push(screen.paint(tone, format!("        {sign} {line}")));
        }
    }
    lines
}

/// The lines of a text file that a step removes and adds; those of a new file only with `all`.
fn changed_lines(host: &dyn Observe, step: &Step, all: bool) -> Vec<(char, String)> {
    if step.action != Action::Update && !all {
        return Vec::new();
    }
    let Ok(Some((old, new))) = texts(host, step) else { return Vec::new() };
    let patch = diffy::create_patch(&old, &new);
    let changed = patch.hunks().iter().flat_map(diffy::Hunk::lines).filter_map(|line| match line {
        diffy::Line::Context(_) => None,
        diffy::Line::Delete(text) => Some(('-', text)),
        diffy::Line::Insert(text) => Some(('+', text)),
    });
    changed.map(|(sign, text)| (sign, secrets::hide_in_line(text.trim_end_matches('\n')))).collect()
}

/// The differences that a plan makes to files, as diff(1) prints them: three lines around each change, new files in full.
/// Secrets are left out.
pub fn differences(screen: &Screen, host: &dyn Observe, plan: &Plan) -> Vec<Text<'static>> {
    let mut lines = Vec::new();
    for step in plan.steps.iter().filter(|step| !own_copy(step)) {
        let Change::File(WriteFile { path, content, .. }) = &step.change else { continue };
        let name = path.shown();
        let (tone, why) = match texts(host, step) {
            Ok(Some((old, new))) => {
                let before = if old.is_empty() { "/dev/null".to_owned() } else { name.to_string() };
                lines.push(screen.paint(Tone::HEADING, format!("--- {before}")));
                lines.push(screen.paint(Tone::HEADING, format!("+++ {name}")));
                // The patch's own two lines of heading have no names.
                for line in diffy::create_patch(&old, &new).to_string().lines().skip(2) {
                    let (sign, rest) = line.split_at(line.len().min(1));
                    let tone = match sign {
                        "+" => Tone::GOOD,
                        "-" => Tone::BAD,
                        "@" => Tone::DIM,
                        _ => Tone::PLAIN,
                    };
                    lines.push(screen.paint(tone, format!("{sign}{}", secrets::hide_in_line(rest))));
                }
                continue;
            }
            Ok(None) => (Tone::HEADING, format!("{} bytes, not shown", content.bytes().len())),
            Err(why) => (Tone::BAD, why),
        };
        lines.push(screen.paint(tone, format!("+++ {name}: {why}")));
    }
    lines
}

/// What is in a file and what will be in it; `None` for what is too long to be read, or secret.
fn texts(host: &dyn Observe, step: &Step) -> Result<Option<(String, String)>, String> {
    let Change::File(WriteFile { path, content, owner, .. }) = &step.change else { return Ok(None) };
    // Such as a list of thousands of addresses.
    if content.bytes().len() > LONGEST_SHOWN {
        return Ok(None);
    }
    let old = host.read_of(path, Whose::of(*owner)).map_err(|error| error.to_string())?.unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (old, new) = (text(&old), text(content.bytes()));
    Ok((![&old, &new].iter().any(|text| text.contains("PRIVATE KEY-----"))).then_some((old, new)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::change::Content;
    use crate::cli::global::Global;
    use crate::cli::surroundings::tests::nowhere;
    use crate::host::rehearsal::Rehearsal;
    use crate::host::{Host, Owner};
    use std::sync::Arc;

    fn rehearsal(folder: &tempfile::TempDir) -> Rehearsal {
        Rehearsal::open(folder.path().join("root")).unwrap()
    }

    fn file(path: &str, action: Action, text: &str) -> Step {
        let change = WriteFile { path: path.into(), content: Content::new(text), mode: 0o600, owner: Owner::ROOT };
        Step::new("x", action, change)
    }

    fn plain() -> Screen {
        let global = Global {
            rehearse: None,
            json: false,
            color: crate::cli::global::Color::Never,
            verbose: false,
            quiet: false,
            on_interrupt: None,
        };
        Screen::new(global, Arc::new(nowhere()))
    }

    #[test]
    fn a_key_is_never_shown_with_a_plan() {
        let folder = tempfile::tempdir().unwrap();
        let host = rehearsal(&folder);
        let path = Path::new("/x");
        let step = |text: &str| file("/x", Action::Update, text);
        let key = "-----BEGIN EC PRIVATE KEY-----\nabc\n";
        assert_eq!(changed_lines(&host, &step("plain\n"), true), [('+', "plain".to_owned())]);
        assert_eq!(changed_lines(&host, &step(key), true), []);
        host.write_file(path, key.as_bytes(), 0o600, Owner::ROOT).unwrap();
        assert_eq!(changed_lines(&host, &step("plain\n"), true), []);
        let plan = Plan { steps: vec![step("plain\n")], ..Plan::default() };
        assert_eq!(differences(&plain(), &host, &plan), ["+++ /x: 6 bytes, not shown"]);
    }

    #[test]
    fn differences_are_those_of_diff_without_secrets_and_escapes() {
        let folder = tempfile::tempdir().unwrap();
        let host = rehearsal(&folder);
        host.write_file(Path::new("/old"), b"a\nsmtp-password: \"hunter1\"\nc\n", 0o600, Owner::ROOT).unwrap();
        let steps = vec![
            file("/old", Action::Update, "a\nsmtp-password: \"hunter2\"\nc\n"),
            file("/new", Action::Create, "x\u{1b}[2J\n"),
            file("/var/db/gts-bootstrap/written/new", Action::Create, "mine\n"),
        ];
        assert_eq!(
            differences(&plain(), &host, &Plan { steps, ..Plan::default() }),
            [
                "--- /old",
                "+++ /old",
                "@@ -1,3 +1,3 @@",
                " a",
                "-smtp-password: (hidden)",
                "+smtp-password: (hidden)",
                " c",
                "--- /dev/null",
                "+++ /new",
                "@@ -0,0 +1 @@",
                "+x\\u{1b}[2J",
            ]
        );
    }

    #[test]
    fn what_lies_in_one_place_is_told_with_the_place_in_front() {
        let told = |texts: &[&str]| by_place(&texts.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!(
            told(&["/usr/local/etc/a/b", "/usr/local/etc/rc.d/c", "/var/log/x/y", "/usr/local/etc/rc.d/d"]),
            ["in /usr/local/etc: a/b, rc.d/{c, d}", "/var/log/x/y"]
        );
        assert_eq!(told(&["/usr/local/bin/g", "/usr/local/libexec/g"]), ["in /usr/local: bin/g, libexec/g"]);
        assert_eq!(told(&["/usr/local/etc/rc.d/c", "/usr/local/etc/rc.d/d"]), ["/usr/local/etc/rc.d/{c, d}"]);
        assert_eq!(told(&["/usr/local/etc/x", "/usr/local/etc/rc.d/d"]), ["in /usr/local/etc: x, rc.d/d"]);
        assert_eq!(told(&["/boot/loader.conf", "/etc/sysctl.conf"]), ["/boot/loader.conf", "/etc/sysctl.conf"]);
        assert_eq!(told(&["/a"]), ["/a"]);
    }

    #[test]
    fn a_certificate_that_takes_the_place_of_the_placeholder_is_told_once() {
        use crate::change::CertificateChange;
        let step =
            |action, certificate| Step::new("tls", action, Change::Certificate { certificate: Box::new(certificate) });
        let name = || "a.example.org".parse().unwrap();
        let (chain, key) = (PathBuf::from("/c"), PathBuf::from("/k"));
        let shown_by = crate::change::ShownBy { service: "nginx".into(), https: "127.0.0.1:443".parse().unwrap() };
        let placeholder = CertificateChange::Placeholder { name: name(), chain: chain.clone(), key };
        let reload = CertificateChange::Reload { name: name(), chain, front: shown_by };
        let groups = |steps: Vec<Step>| groups(&plain(), &Plan { steps, ..Plan::default() });
        let update = step(Action::Update, reload);
        assert_eq!(groups(vec![update.clone()]), [" change tls     a.example.org"]);
        assert_eq!(groups(vec![step(Action::Create, placeholder), update]), [" create tls     a.example.org"]);
    }

    #[test]
    fn paths_in_one_folder_are_told_together() {
        assert_eq!(braced(&["/a/b", "/c", "/a/d"].map(Path::new)), ["/a/{b, d}", "/c"]);
        assert_eq!(braced(&["/a", "/b"].map(Path::new)), ["/{a, b}"]);
        assert_eq!(braced(&[]), Vec::<String>::new());
    }
}
