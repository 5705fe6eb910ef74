//! A plan as people see it: in groups on one screen, as a list of all changes, or as the differences of files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::report::wrap;
use super::screen::{Level, Screen, Tone};
use crate::change::{Action, Change, Plan, Remove, Step, WriteFile, store};
use crate::host::Observe;
use crate::parts::secrets;

/// The largest file of which the lines are shown, in bytes.
const LONGEST_SHOWN: usize = 64 * 1024;
/// A plan of more lines than this is shown in groups to somebody who is going to be asked.
const LONG: usize = 14;
/// Where the third column of the groups begins: as far to the left as it can be, so that most lines need no second one.
const COLUMN: usize = 16;
/// How far down the paths are told where there are many folders.
const DEPTH: usize = 2;
/// Columns of a line.
const WIDTH: usize = 78;

/// A plan as it is shown: every change, or in groups to somebody who is going to be asked and has little room.
pub fn view(screen: &Screen, host: &dyn Observe, plan: &Plan, is_asked: bool) -> Vec<String> {
    let list = list(screen, host, plan);
    let is_long = !screen.says(Level::Verbose) && list.iter().flat_map(|line| line.lines()).count() > LONG;
    if is_asked && is_long { groups(screen, plan) } else { list }
}

/// Whether a step is the program's own bookkeeping: a copy of what was written last.
fn own_copy(step: &Step) -> bool {
    matches!(&step.change, Change::File(WriteFile { path, .. }) | Change::Removal(Remove { path }) if path.starts_with(store::FOLDER))
}

/// Whether a step only goes on with what another one of the plan creates: a placeholder becomes a certificate.
fn completes(plan: &Plan, step: &Step) -> bool {
    let kind = step.change.kind();
    let same =
        |other: &Step| other.change.kind().name() == kind.name() && other.change.kind().target() == kind.target();
    step.action == Action::Update
        && kind.name() == "certificate"
        && plan.steps.iter().any(|other| other.action == Action::Create && same(other))
}

/// A plan in groups: what is created, changed, started; a line or two for each kind of thing.
fn groups(screen: &Screen, plan: &Plan) -> Vec<String> {
    const WORDS: [(&str, Tone, &[Action]); 6] = [
        ("create", Tone::Good, &[Action::Create, Action::Install]),
        ("change", Tone::Caution, &[Action::Update, Action::Set, Action::Load]),
        ("test", Tone::Dim, &[Action::Test]),
        ("stop", Tone::Caution, &[Action::Stop]),
        ("start", Tone::Good, &[Action::Start, Action::Reload]),
        ("remove", Tone::Caution, &[Action::Remove]),
    ];
    let mut lines = Vec::new();
    for (word, tone, actions) in WORDS {
        let steps: Vec<&Step> = plan
            .steps
            .iter()
            .filter(|step| actions.contains(&step.action) && !own_copy(step) && !completes(plan, step))
            .collect();
        let mut kinds: Vec<&str> = Vec::new();
        for step in &steps {
            let kind = step.change.kind().heading();
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        for (number, kind) in kinds.into_iter().enumerate() {
            let of_kind: Vec<&Step> =
                steps.iter().copied().filter(|step| step.change.kind().heading() == kind).collect();
            let head = if number == 0 { word } else { "" };
            let text = wrap(&told(kind, &of_kind), COLUMN);
            lines.push(format!(" {} {kind:<7} {text}", screen.paint(tone, &format!("{head:<6}"))));
        }
    }
    lines
}

/// The targets of steps of one kind, in as few words as they can be told.
fn told(kind: &str, steps: &[&Step]) -> String {
    let paths = || steps.iter().map(|step| PathBuf::from(step.change.kind().target())).collect::<Vec<_>>();
    match kind {
        "folder" if steps.len() > 3 => {
            let mut above: Vec<PathBuf> = Vec::new();
            for path in paths() {
                let short: PathBuf = path.components().take(DEPTH + 1).collect();
                if !above.iter().any(|other| short.starts_with(other)) {
                    above.push(short);
                }
            }
            let above: Vec<String> = above.iter().map(|path| path.display().to_string()).collect();
            format!("{}, in {}", steps.len(), above.join(", "))
        }
        // One line if that is enough, else one for each place.
        "file" | "folder" | "link" => {
            let places = by_place(&paths());
            let line = places.join(", ");
            // After `in FOLDER:` a path of another folder needs a line of its own.
            let one = line.chars().count() + COLUMN < WIDTH && (places.len() == 1 || !line.contains("in /"));
            if one { line } else { places.join("\n") }
        }
        _ => {
            let mut names: Vec<String> = steps.iter().map(|step| step.change.kind().target()).collect();
            names.dedup();
            names.join(", ")
        }
    }
}

/// Paths in short: what is in several folders of one place, such as `/usr/local/etc`, is told with the place in front.
fn by_place(paths: &[PathBuf]) -> Vec<String> {
    let place = |path: &PathBuf| -> PathBuf { path.components().take(DEPTH + 1).collect() };
    let mut places: Vec<PathBuf> = Vec::new();
    for path in paths {
        let place = place(path);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let told = |here: &PathBuf| {
        let within: Vec<PathBuf> = paths.iter().filter(|path| place(path) == *here).cloned().collect();
        let mut above = within.first().and_then(|path| path.parent()).unwrap_or(here);
        while !within.iter().all(|path| path.starts_with(above) && path != above) {
            above = above.parent().unwrap_or(Path::new("/"));
        }
        let whole = braced(&within);
        if whole.len() == 1 {
            return whole.join(", ");
        }
        let below: Vec<PathBuf> =
            within.iter().filter_map(|path| path.strip_prefix(above).ok()).map(Path::to_path_buf).collect();
        format!("in {}: {}", above.display(), braced(&below).join(", "))
    };
    places.iter().map(told).collect()
}

/// Paths with what is in the same folder put together, as a shell would expand it.
fn braced(paths: &[PathBuf]) -> Vec<String> {
    let mut folders: Vec<&Path> = Vec::new();
    let mut within: BTreeMap<&Path, Vec<String>> = BTreeMap::new();
    for path in paths {
        let folder = path.parent().unwrap_or(Path::new(""));
        if !folders.contains(&folder) {
            folders.push(folder);
        }
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        within.entry(folder).or_default().push(name);
    }
    let text = |folder: &&Path| match within.get(folder).map(Vec::as_slice) {
        Some([only]) => folder.join(only).display().to_string(),
        Some(names) => folder.join(format!("{{{}}}", names.join(", "))).display().to_string(),
        None => String::new(),
    };
    folders.iter().map(text).collect()
}

/// Every change of a plan, part by part; of a file that is edited, the lines that change.
pub fn list(screen: &Screen, host: &dyn Observe, plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    let mut part = "";
    for step in &plan.steps {
        if own_copy(step) && !screen.says(Level::Verbose) {
            continue;
        }
        if step.part != part {
            part = step.part;
            lines.push(format!("  {}", screen.paint(Tone::Heading, part)));
        }
        let (sign, tone) = match step.action {
            Action::Create | Action::Install | Action::Load => ("+", Tone::Good),
            Action::Update | Action::Set => ("~", Tone::Caution),
            Action::Start | Action::Reload => (">", Tone::Good),
            Action::Stop => ("x", Tone::Caution),
            Action::Remove => ("-", Tone::Caution),
            Action::Test => ("?", Tone::Dim),
        };
        let kind = step.change.kind();
        let text = format!("{} {} {}", step.action, kind.noun(), kind.target());
        let detail = kind.detail();
        let one_line = format!("{text}  {detail}");
        lines.push(format!("    {} {}", screen.paint(tone, sign), wrap(&one_line, 8)));
        for (sign, line) in changed_lines(host, step, screen.says(Level::Verbose)) {
            let tone = if sign == '+' { Tone::Good } else { Tone::Bad };
            lines.push(screen.paint(tone, &format!("        {sign} {line}")));
        }
    }
    lines
}

/// The lines of a text file that a step takes out and puts in; of a new file only if `all`.
fn changed_lines(host: &dyn Observe, step: &Step, all: bool) -> Vec<(char, String)> {
    if step.action != Action::Update && !all {
        return Vec::new();
    }
    let Some((old, new)) = texts(host, step).ok().flatten() else { return Vec::new() };
    let patch = diffy::create_patch(&old, &new);
    let lines = patch.hunks().iter().flat_map(diffy::Hunk::lines).filter_map(|line| match line {
        diffy::Line::Context(_) => None,
        diffy::Line::Delete(text) => Some(('-', text.trim_end_matches('\n'))),
        diffy::Line::Insert(text) => Some(('+', text.trim_end_matches('\n'))),
    });
    lines.map(|(sign, line)| (sign, shown(line))).collect()
}

/// The differences that a plan makes to files, as diff(1) has them: of a changed file with three lines around, a new one whole.
/// Secrets are left out.
pub fn differences(screen: &Screen, host: &dyn Observe, plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &plan.steps {
        let Change::File(WriteFile { path, content, .. }) = &step.change else { continue };
        if own_copy(step) {
            continue;
        }
        let name = path.display();
        match texts(host, step) {
            Ok(Some((old, new))) => {
                let before = if old.is_empty() { "/dev/null".to_owned() } else { name.to_string() };
                lines.push(screen.paint(Tone::Heading, &format!("--- {before}")));
                lines.push(screen.paint(Tone::Heading, &format!("+++ {name}")));
                let patch = diffy::create_patch(&old, &new).to_string();
                // Its own two lines of heading have no names.
                for line in patch.lines().skip(2) {
                    let (sign, rest) = line.split_at(line.len().min(1));
                    let tone = match sign {
                        "+" => Tone::Good,
                        "-" => Tone::Bad,
                        "@" => Tone::Dim,
                        _ => Tone::Plain,
                    };
                    lines.push(screen.paint(tone, &format!("{sign}{}", shown(rest))));
                }
            }
            Ok(None) => {
                let size = content.bytes().len();
                lines.push(screen.paint(Tone::Heading, &format!("+++ {name}: {size} bytes, not shown")));
            }
            Err(why) => lines.push(screen.paint(Tone::Bad, &format!("+++ {name}: {why}"))),
        }
    }
    lines
}

/// What is in a file and what is to be in it; `None` for what nobody wants to read, or should.
fn texts(host: &dyn Observe, step: &Step) -> Result<Option<(String, String)>, String> {
    let Change::File(WriteFile { path, content, .. }) = &step.change else { return Ok(None) };
    // Of a list of thousands of addresses nobody reads the difference.
    if content.bytes().len() > LONGEST_SHOWN {
        return Ok(None);
    }
    let old = host.read(path).map_err(|error| error.to_string())?.unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (old, new) = (text(&old), text(content.bytes()));
    Ok((![&old, &new].iter().any(|text| text.contains("PRIVATE KEY-----"))).then_some((old, new)))
}

/// A line of a file, without secrets, and without what a terminal would obey.
fn shown(line: &str) -> String {
    let plain = |character: char| if character.is_control() && character != '\t' { '\u{fffd}' } else { character };
    secrets::hide_in_line(line).chars().map(plain).collect()
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
        Screen::new(&global, &Arc::new(nowhere()))
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
                "+x\u{fffd}[2J",
            ]
        );
    }

    #[test]
    fn what_lies_in_one_place_is_told_with_the_place_in_front() {
        let told = |texts: &[&str]| by_place(&texts.iter().map(PathBuf::from).collect::<Vec<_>>());
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
        let paths = |texts: &[&str]| texts.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(braced(&paths(&["/a/b", "/c", "/a/d"])), ["/a/{b, d}", "/c"]);
        assert_eq!(braced(&paths(&["/a", "/b"])), ["/{a, b}"]);
        assert_eq!(braced(&[]), Vec::<String>::new());
    }
}
