//! The consent to a plan: yes, no, or first a closer look.

use std::io::{self, Write};
use std::path::Path;

use super::conversation::{Console, no_answer};
use crate::cli::plan_view;
use crate::cli::report::wrap;
use crate::cli::screen::Screen;
use crate::cli::surroundings::Surroundings;
use crate::cli::text::Text;
use crate::host::Observe;
use crate::run::people::Unsaved;
use crate::run::{Proposal, Stop};
use crate::shown::Shown;

/// Asks for consent to a plan.
///
/// # Errors
/// There is no answer.
pub fn consent(
    console: &mut dyn Console,
    screen: &Screen,
    host: &dyn Observe,
    Proposal { plan, explanation, answers }: Proposal<'_>,
) -> Result<bool, Stop> {
    let (save, keys) = match answers {
        Some(_) => (" [s]ave answers", "y, n, d, e or s"),
        None => ("", "y, n, d or e"),
    };
    let prompt = format!("Apply? [y]es [n]o [d]iff [e]xplain{save}");
    loop {
        match (console.word(&prompt, None)?.as_str(), answers) {
            ("y" | "yes", _) => return Ok(true),
            ("n" | "no" | "q" | "quit", _) => return Ok(false),
            ("d" | "diff" | "p" | "plan", _) => {
                let screen = &screen.not_quiet();
                let mut lines = plan_view::list(screen, host, plan);
                let differences = plan_view::differences(screen, host, plan);
                if !differences.is_empty() {
                    lines.push(Text::default());
                    lines.extend(differences);
                }
                page(console, &lines)?;
            }
            ("e" | "explain" | "?", _) => {
                let signs = "In the list that `d` shows, + is made, ~ is changed, ? is tried and leaves nothing, > is started, x is stopped, \
                             - is taken away. After it comes what is changed in files.";
                for paragraph in explanation.iter().chain([&signs]) {
                    console.say(&(wrap(paragraph, 0) + "\n"));
                }
            }
            ("s" | "save", Some(saved)) => save_answers(console, &screen.around, saved)?,
            (other, _) if !console.patient() => {
                return Err(no_answer(other, "Apply?", &format!("it must be one of {keys}")));
            }
            _ => console.say(&format!("Please type {keys}.")),
        }
    }
}

/// Shows lines, a screen at a time if there is a screen.
fn page(console: &mut dyn Console, lines: &[Text<'_>]) -> Result<(), Stop> {
    let whole: Vec<Text<'_>> = lines.iter().flat_map(Text::lines).collect();
    let mut left = &whole[..];
    while !left.is_empty() {
        let fit = console.size().map_or(left.len(), |size| fitting(left, size));
        let mut text = left[0].clone();
        left[1..fit].iter().for_each(|line| text += "\n" + line.clone());
        console.show(text);
        left = &left[fit..];
        if left.is_empty() {
            break;
        }
        let shown = whole.len() - left.len();
        let prompt = format!("Lines 1 to {shown} of {}. Enter for more, f for the next file, q to end", whole.len());
        match console.word(&prompt, None)?.as_str() {
            "q" | "quit" | "n" | "no" | "<" | "back" => break,
            "f" | "file" => {
                // A file's difference begins so, in colours or without.
                let next =
                    left.iter().position(|line| line.as_str().trim_start_matches("\x1b[1m").starts_with("--- /"));
                left = &left[next.unwrap_or(left.len())..];
            }
            _ => {}
        }
    }
    Ok(())
}

/// How many of these lines fit on a screen, with two lines left for the question; one at least.
fn fitting(lines: &[Text<'_>], (rows, columns): (usize, usize)) -> usize {
    let mut room = rows.saturating_sub(2);
    let taken = lines.iter().take_while(|line| {
        let needed = line.width().div_ceil(columns.max(1)).max(1);
        let fits = needed <= room;
        room = room.saturating_sub(needed);
        fits
    });
    taken.count().max(1).min(lines.len())
}

/// Offers to save answers that are not stored, as nothing was installed with them.
///
/// # Errors
/// There is no answer.
pub fn offer_to_save(console: &mut dyn Console, around: &Surroundings, saved: &Unsaved) -> Result<(), Stop> {
    if !console.patient() {
        return Ok(());
    }
    console.say("Your answers are stored nowhere; saved to a file, they need not be typed again.");
    match console.word("[s]ave answers, or Enter to end", None)?.as_str() {
        "s" | "save" => save_answers(console, around, saved),
        _ => Ok(()),
    }
}

/// Writes the answers into a file that the user chooses.
fn save_answers(console: &mut dyn Console, around: &Surroundings, saved: &Unsaved) -> Result<(), Stop> {
    let typed = console.read("Save the answers to the file", Some(&saved.name))?;
    let path = match typed.trim() {
        "<" | "back" => return Ok(()),
        "" => &saved.name,
        path => path,
    };
    let file = around.path(Path::new(path));
    let overwrite = file.symlink_metadata().is_ok();
    let question = format!("{path} is there already. Overwrite it?");
    if overwrite && !["y", "yes"].contains(&console.word(&question, Some("no"))?.as_str()) {
        console.say("Nothing was saved.");
        return Ok(());
    }
    console.say(&match write(&file, &saved.answers, overwrite) {
        Ok(()) => format!(
            "Saved. To install from it, here or on another host:\n  gts-bootstrap install --answers {}",
            std::path::absolute(&file).unwrap_or(file).shown()
        ),
        Err(error) => wrap(
            &format!(
                "{path} cannot be written: {error}. Nothing was saved; choose another file, in a folder that is there."
            ),
            0,
        ),
    });
    Ok(())
}

/// Writes a file atomically, readable by its owner. Without `overwrite` it replaces nothing that has appeared meanwhile.
fn write(path: &Path, text: &str, overwrite: bool) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    if !folder.is_dir() {
        return Err(io::Error::other(format!("there is no folder {}", folder.shown())));
    }
    // The reason without the name of the temporary file, which means nothing to the user.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| io::Error::from(error.kind()))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    let put = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
    put.map(drop).map_err(|error| error.error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::cli::dialogue::conversation::ended;
    use crate::cli::surroundings::tests::nowhere;
    use crate::error_code::ErrorCode;
    use std::collections::VecDeque;

    struct Script {
        lines: VecDeque<&'static str>,
        size: Option<(usize, usize)>,
        said: Vec<String>,
    }

    impl Script {
        fn of(lines: &[&'static str]) -> Self {
            Self { lines: lines.iter().copied().collect(), size: None, said: Vec::new() }
        }
    }

    impl Console for Script {
        fn show(&mut self, text: Text<'_>) {
            self.said.push(text.as_str().to_owned());
        }

        fn read(&mut self, prompt: &str, _: Option<&str>) -> Result<String, Stop> {
            self.say(prompt);
            self.lines.pop_front().map(str::to_owned).ok_or_else(|| ended(ErrorCode::Interrupted, "interrupted"))
        }

        fn patient(&self) -> bool {
            true
        }

        fn size(&self) -> Option<(usize, usize)> {
            self.size
        }
    }

    #[test]
    fn answers_are_saved_whole_and_over_nothing_without_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my.toml");
        let name = path.to_str().unwrap().to_owned();
        let saved = Unsaved { answers: "host = \"a.example\"\n".into(), name: name.clone() };
        let mut console = Script::of(&["", "", "n", "", "yes", "<"]);
        save_answers(&mut console, &nowhere(), &saved).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), saved.answers);
        assert!(console.said.last().unwrap().contains(&format!("install --answers {name}")));
        let other = Unsaved { answers: "host = \"b.example\"\n".into(), name: name.clone() };
        save_answers(&mut console, &nowhere(), &other).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), saved.answers, "{:?}", console.said);
        assert_eq!(console.said.last().unwrap(), "Nothing was saved.");
        save_answers(&mut console, &nowhere(), &other).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), other.answers);
        let said = console.said.len();
        save_answers(&mut console, &nowhere(), &other).unwrap();
        assert_eq!(console.said.len(), said + 1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn answers_that_are_kept_nowhere_are_saved_if_somebody_wants_that() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("my.toml").to_str().unwrap().to_owned();
        let saved = Unsaved { answers: "host = \"a.example\"\n".into(), name: name.clone() };
        for typed in ["", "no", "<"] {
            offer_to_save(&mut Script::of(&[typed]), &nowhere(), &saved).unwrap();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{typed}");
        }
        offer_to_save(&mut Script::of(&["s", ""]), &nowhere(), &saved).unwrap();
        assert_eq!(std::fs::read_to_string(&name).unwrap(), saved.answers);
    }

    #[test]
    fn what_cannot_be_saved_is_said() {
        let folder = tempfile::Builder::new().prefix("answers").tempdir().unwrap();
        let missing = folder.path().join("no/such/my.toml").to_str().unwrap().to_owned();
        let mut console = Script::of(&["", ""]);
        save_answers(&mut console, &nowhere(), &Unsaved { answers: String::new(), name: missing }).unwrap();
        let said = console.said.last().unwrap();
        assert!(said.contains("cannot be written: there is no folder") && !said.contains(".tmp"), "{said}");
        assert!(write(folder.path(), "", true).is_err());
    }

    #[test]
    fn long_texts_come_a_screen_at_a_time() {
        let line = |number| if number == 25 { "--- /etc/x".to_owned() } else { format!("{number}") };
        let lines: Vec<Text<'_>> = (1..=30).map(|number| line(number).into()).collect();
        let show = |typed: &[&'static str]| {
            let mut console = Script { size: Some((12, 80)), ..Script::of(typed) };
            page(&mut console, &lines).unwrap();
            console.said
        };
        let all = show(&["", ""]);
        assert_eq!(all.iter().filter(|text| text.starts_with("Lines ")).count(), 2);
        assert_eq!(all.iter().filter(|text| !text.starts_with("Lines ")).flat_map(|text| text.lines()).count(), 30);
        assert!(all[1].starts_with("Lines 1 to 10 of 30."));
        assert_eq!(show(&["q"]).len(), 2);
        assert!(show(&["f"])[2].starts_with("--- /etc/x\n26"));
        let long = "x".repeat(81);
        let fitting =
            |lines: &[&str], size| fitting(&lines.iter().map(|line| (*line).into()).collect::<Vec<_>>(), size);
        assert_eq!(fitting(&[&long, "", "", ""], (5, 80)), 2);
        assert_eq!(fitting(&[&long, "", "", ""], (2, 1)), 1);
        assert_eq!(fitting(&["", ""], (25, 80)), 2);
        let mut unpaged = Script::of(&[]);
        page(&mut unpaged, &lines).unwrap();
        assert_eq!(unpaged.said.len(), 1);
    }
}
