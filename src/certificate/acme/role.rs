//! The child's side: it talks with the authority, and takes its answers apart.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{process, thread};

use data_encoding::BASE64URL_NOPAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key::Unsigned;
use super::task::{Errand, Said, Task};
use super::transport::Transport;
use super::{AcmeError, order};
use crate::child::{NETWORK, Role};

/// Talks with a certificate authority.
pub const ACME: Role = ("acme", NETWORK, act);

fn act(task: Value) -> Result<(), String> {
    let Task { internet, directory, errand } = serde_json::from_value(task).map_err(|error| error.to_string())?;
    let root = Root::listen();
    let transport = Transport::new(&internet, &directory, root.clone());
    let done = match (transport, errand) {
        (Err(error), _) => Err(error),
        (Ok(transport), Errand::Register { contact }) => {
            run(order::register(&transport, contact.as_deref())).map(Value::from)
        }
        (Ok(transport), Errand::Order { account, name, request, replaces }) => {
            let course = order::Course::new(&internet, &transport, &root, &name);
            run(course.run(account, &request, replaces)).map(Value::from)
        }
        (Ok(transport), Errand::RenewalWindow { account, certificate }) => {
            let window = run(order::renewal_window(&transport, account, certificate));
            window.and_then(|window| serde_json::to_value(window).map_err(|error| internal(&error)))
        }
    };
    say(&done.map_or_else(Said::Failed, Said::Done)).map_err(|error| error.to_string())
}

/// Runs `work` to its end, here and now.
fn run<T>(work: impl Future<Output = Result<T, AcmeError>>) -> Result<T, AcmeError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| internal(&error))?;
    runtime.block_on(work)
}

fn internal(error: &dyn std::error::Error) -> AcmeError {
    AcmeError::Internal(error.to_string())
}

fn say(said: &Said<Value>) -> io::Result<()> {
    let line = serde_json::to_string(said)? + "\n";
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}

/// Who does for us what we have no right to.
#[derive(Clone)]
pub(super) struct Root(Arc<Mutex<Receiver<String>>>);

impl Root {
    /// Listens to it from now on. Without it there is nobody to work for: an order would go on, and nobody would withdraw its
    /// challenge.
    fn listen() -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in io::stdin().lines() {
                if line.ok().and_then(|line| sender.send(line).ok()).is_none() {
                    break;
                }
            }
            process::exit(1);
        });
        Self(Arc::new(Mutex::new(receiver)))
    }

    fn ask<A: DeserializeOwned>(&self, said: &Said<Value>) -> Result<A, AcmeError> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        say(said).map_err(|error| internal(&error))?;
        let line = answers.recv().map_err(|error| internal(&error))?;
        serde_json::from_str(&line).map_err(|error| internal(&error))
    }

    /// Has the answer to a challenge published.
    pub(super) fn publish(&self, token: &str) -> Result<(), AcmeError> {
        self.ask(&Said::Publish(token.to_owned()))
    }

    /// Has a request signed that the ACME library has signed with a key that nobody knows.
    pub(super) fn sign(&self, body: &[u8]) -> Result<String, AcmeError> {
        #[derive(Serialize, Deserialize)]
        struct Signed {
            protected: String,
            payload: String,
        }
        #[derive(Deserialize)]
        struct Protected {
            nonce: String,
            url: String,
        }
        let Signed { protected, payload } = serde_json::from_slice(body).map_err(|error| internal(&error))?;
        let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|error| internal(&error));
        let Protected { nonce, url } =
            serde_json::from_slice(&decode(&protected)?).map_err(|error| internal(&error))?;
        let payload = String::from_utf8(decode(&payload)?).map_err(|error| internal(&error))?;
        self.ask(&Said::Sign(Unsigned { nonce, url, payload }))
    }
}
