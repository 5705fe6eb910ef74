//! What becomes of a run that is interrupted, which the administrator decides: undo, keep, or continue.

use super::dialogue::console::Standard;
use super::dialogue::conversation::Console;
use super::screen::Screen;
use crate::change::Interruption;

/// How often a question that was not answered with one of its letters is put again.
const QUESTIONS: u32 = 3;

/// Where no answer can be had, or Ctrl-C is one, it is undone.
pub(super) fn ask(screen: &Screen) -> Interruption {
    for _ in 0..QUESTIONS {
        let question = "Interrupted. [u]ndo what was done, [k]eep it for the next run, [c]ontinue";
        let answer = Standard::open(screen.around()).and_then(|mut console| console.read(question, None));
        let Ok(answer) = answer else { return Interruption::Undo };
        match answer.trim().to_ascii_lowercase().as_str() {
            "u" | "undo" => return Interruption::Undo,
            "k" | "keep" => return Interruption::Keep,
            "c" | "continue" => return Interruption::Continue,
            _ => screen.line("Please type u, k or c."),
        }
    }
    Interruption::Undo
}
