//! The people at a run: those who read a screen and may type.

use super::dialogue::conversation::{Console, Conversation};
use super::dialogue::{consent, outlook};
use super::plan_view;
use super::progress::{Progress, Trial};
use super::report::{self, wrap, wrap_message};
use super::screen::{Level, Screen, Tone, indented};
use super::surroundings::Surroundings;
use crate::change::{Operator, Plan};
use crate::check::Check;
use crate::check::bind::Row;
use crate::deployment::{Answers, Deployment, Layout, Mode};
use crate::error_code::ErrorCode;
use crate::host::Observe;
use crate::run::people::Asked;
use crate::run::{Manner, People, Proposal, Stop, TrialView};

/// Those who read a screen.
pub(super) struct Attendants<'a> {
    pub(super) screen: &'a Screen,
    /// Whether lines are taken for answers even if there is no terminal.
    pub(super) asks: bool,
}

impl Attendants<'_> {
    fn console(&self) -> &Surroundings {
        &self.screen.around
    }
}

impl People for Attendants<'_> {
    fn tell(&self, manner: Manner, text: &str) {
        let screen = self.screen;
        let marked = |mark: &str| {
            let text = wrap_message(&format!("{mark} {text}"), 2);
            screen.attention(screen.paint(Tone::CAUTION, mark) + text.strip_prefix(mark).unwrap_or(&text));
        };
        match manner {
            Manner::Heading => screen.line(screen.paint(Tone::HEADING, indented(text))),
            Manner::Line => screen.line(indented(text)),
            Manner::Text(indent) => screen.line(wrap_message(text, indent)),
            Manner::Good => screen.line(screen.paint(Tone::GOOD, wrap_message(text, 0))),
            Manner::Result => screen.line_at(Level::Quiet, indented(text)),
            Manner::Attention => screen.attention(indented(text)),
            Manner::Notice => screen.attention(wrap_message(text, 0)),
            Manner::Warning => marked("warning:"),
            Manner::Reboot => marked("reboot needed:"),
            Manner::Concern => screen.attention(screen.paint(Tone::CAUTION, indented(text))),
            Manner::Item => screen.attention(format!("    {}", wrap(text, 4))),
        }
    }

    fn error(&self, code: ErrorCode, text: &str) {
        self.screen.error(code, text);
    }

    fn show_plan(&self, host: &dyn Observe, plan: &Plan, heading: &str, is_asked: bool) {
        self.tell(Manner::Heading, heading);
        plan_view::view(self.screen, host, plan, is_asked).into_iter().for_each(|line| self.screen.line(line));
    }

    fn show_checks(&self, heading: &str, checks: &[Check]) {
        report::show_checks(self.screen, heading, checks, false);
    }

    fn show_matrix(&self, rows: &[Row]) {
        report::show_matrix(self.screen, rows);
    }

    fn show_installation(&self, deployment: &Deployment, layout: &Layout, password: Option<&str>) {
        report::show_installation(self.screen, deployment, layout, password);
    }

    fn can_answer(&self) -> bool {
        self.asks || self.screen.around.can_ask()
    }

    fn agree(&self, host: &dyn Observe, proposal: Proposal<'_>) -> Result<bool, Stop> {
        consent::consent(&mut self.console(), self.screen, host, proposal)
    }

    fn typed(&self, prompt: &str) -> Result<String, Stop> {
        Ok(self.console().read(prompt, None)?.trim().to_owned())
    }

    fn answers(&self, host: &dyn Observe, asked: Asked<'_>) -> Result<Answers, Stop> {
        let outlook = &|key: &str, value: &str| outlook::look(host, key, value);
        Conversation { console: &mut self.console(), outlook, asked }.hold()
    }

    fn progress(&self) -> Box<dyn Operator + '_> {
        Box::new(Progress::new(self.screen))
    }

    fn trial(&self, mode: Mode, seconds: u64, can_keep: bool) -> Box<dyn TrialView + '_> {
        Box::new(Trial::new(self.screen, mode, seconds, can_keep))
    }
}
