//! The dialogue: as few questions as can be, and the consent.

use std::io;

use dialoguer::{Input, theme::SimpleTheme};

use super::report::{self, wrap};
use super::screen::{Screen, Tone};
use crate::change::Plan;
use crate::deployment::{Answers, EmailAddress, HostName, UserName};
use crate::host::Observe;

/// What somebody said to a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Go on.
    Yes,
    /// Change nothing.
    No,
}

/// Asks for what has no good default, and puts it into the answers.
///
/// # Errors
/// The terminal went away, or the answers cannot take a value.
pub fn ask(screen: &Screen, answers: &mut Answers) -> Result<(), String> {
    screen.line(&wrap(
        "Three questions; everything else has a good default (see docs/answers.md). Ctrl-C leaves everything as it is.",
        0,
    ));
    screen.line(&screen.paint(Tone::Dim, "The name under which this server is reached. It can never be changed."));
    let host = question::<HostName>("Host name", false)?;
    set(answers, "host", &host)?;
    screen.line(
        &screen.paint(Tone::Dim, "Let's Encrypt writes to this address if something is wrong with the certificate."),
    );
    let email = question::<EmailAddress>("Mail address", false)?;
    set(answers, "tls.email", &email)?;
    screen.line(
        &screen.paint(Tone::Dim, "The first account gets administrator rights. Leave it empty to make it later."),
    );
    let username = question::<UserName>("User name of the administrator", true)?;
    if !username.is_empty() {
        set(answers, "admin.username", &username)?;
        set(answers, "admin.email", &email)?;
    }
    Ok(())
}

/// One question, asked again until the answer is valid.
fn question<T>(prompt: &str, may_be_empty: bool) -> Result<String, String>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    Input::<String>::with_theme(&SimpleTheme)
        .with_prompt(prompt)
        .allow_empty(may_be_empty)
        .validate_with(|text: &String| -> Result<(), String> {
            if may_be_empty && text.is_empty() {
                return Ok(());
            }
            text.parse::<T>().map(drop).map_err(|error| error.to_string())
        })
        .interact_text()
        .map_err(|error| format!("no answer could be had: {error}"))
}

fn set(answers: &mut Answers, key: &str, value: &str) -> Result<(), String> {
    let quoted = serde_json::to_string(value).map_err(|error| error.to_string())?;
    answers.set(&format!("{key}={quoted}")).map_err(|error| error.to_string())
}

/// Asks for consent to a plan.
///
/// # Errors
/// The terminal went away.
pub fn consent(screen: &Screen, host: &dyn Observe, plan: &Plan, explanation: &[String]) -> io::Result<Consent> {
    loop {
        let answer: String = Input::with_theme(&SimpleTheme)
            .with_prompt("Apply? [y]es [n]o [p]lan again [e]xplain")
            .allow_empty(true)
            .interact_text()
            .map_err(io::Error::from)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(Consent::Yes),
            "n" | "no" | "q" | "quit" => return Ok(Consent::No),
            "p" | "plan" => report::show_plan(screen, host, plan),
            "e" | "explain" => explain(screen, explanation),
            _ => screen.line("Please type y, n, p or e."),
        }
    }
}

/// Has somebody type a name, so that what cannot be undone is not done by habit; whether it was that name.
///
/// # Errors
/// The terminal went away.
pub fn typed(prompt: &str, name: &str) -> io::Result<bool> {
    let answer: String = Input::with_theme(&SimpleTheme)
        .with_prompt(prompt)
        .allow_empty(true)
        .interact_text()
        .map_err(io::Error::from)?;
    Ok(answer.trim() == name)
}

fn explain(screen: &Screen, explanation: &[String]) {
    let signs = "Signs: + is made, ~ is changed, ? is tried and leaves nothing, > is started, x is stopped.".to_owned();
    for paragraph in explanation.iter().chain([&signs]) {
        screen.line(&wrap(paragraph, 0));
        screen.line("");
    }
}
