//! A child that answers one question after another, so that a round of checks starts one and not ten.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::probe::reply;
use crate::child::Conversation;

/// The child, once there is one. It ends with this.
#[derive(Debug, Default)]
pub(super) struct Lasting(RefCell<Option<Conversation>>);

impl Lasting {
    /// The answer to a question, each of which has its own `limit`. `begin` starts a child with it, where there is none, or the
    /// one from before has ended.
    pub(super) fn ask<A: DeserializeOwned>(
        &self,
        question: &impl Serialize,
        limit: Duration,
        begin: impl FnOnce() -> io::Result<Conversation>,
    ) -> io::Result<A> {
        if let Some(mut child) = self.0.take() {
            child.go_on(limit);
            match child.say(question).and_then(|()| child.hear()) {
                Ok(answer) => {
                    self.0.replace(Some(child));
                    return Ok(answer);
                }
                Err(late) if late.kind() == io::ErrorKind::TimedOut => return Err(late),
                Err(_) => {}
            }
        }
        let mut child = begin()?;
        let answer = child.hear()?;
        self.0.replace(Some(child));
        Ok(answer)
    }
}

/// The child's side: answers its task, and then every line of its input, until that ends.
pub(super) fn answers<T: DeserializeOwned, A: Serialize>(task: Value, answer: impl Fn(&T) -> A) -> Result<(), String> {
    reply(task, |question| Ok(answer(question)))?;
    for line in io::stdin().lines() {
        let question = line.map_err(|error| error.to_string())?;
        let question: Value = serde_json::from_str(&question).map_err(|error| error.to_string())?;
        reply(question, |question| Ok(answer(question)))?;
    }
    Ok(())
}
