//! How a user gets another password over the server's API: OAuth 2.0 with an authorization code (RFC 6749, section 4.1), as
//! upstream documents it, then `/api/v1/user/password_change`, and then an end to every login that others made with the old
//! one. Requests and answers are data; the caller sends them.
//!
//! Read in `internal/api/auth`, `internal/api/client/user` and `…/tokens` of 0.19.2, 0.20.0-rc1 and October 2025: the same in
//! all. Of another release that differs, a step fails, and the old password stays. Two things outlive the change, and no
//! request lists or ends them: a session of a browser, in the server's memory until it restarts, and a code that was not
//! used yet, for ten minutes.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Registers a client.
pub const APPS: &str = "/api/v1/apps";
/// Asks for access (GET), and grants it (POST).
pub const AUTHORIZE: &str = "/oauth/authorize";
/// Takes mail address and password.
pub const SIGN_IN: &str = "/auth/sign_in";
/// Shows the code of a grant to a client that has no address of its own.
pub const SHOWN_CODE: &str = "/oauth/oob";
/// Gives a token for a code.
pub const TOKEN: &str = "/oauth/token";
/// Makes a token worthless.
pub const REVOKE: &str = "/oauth/revoke";
/// Changes the password.
pub const PASSWORD_CHANGE: &str = "/api/v1/user/password_change";
/// Lists the tokens of a user, and ends one (`/ID/invalidate`). New in 0.19.
pub const TOKENS: &str = "/api/v1/tokens";
/// The address of a client that has none: the code is shown.
pub const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";
/// The least that lists tokens, and that ends them and changes the password.
pub const SCOPE: &str = "read:accounts write:accounts";

/// How many tokens are listed at a time; the server gives no more.
const PAGE: usize = 100;
/// How often they are listed: as often as the server's rate limiter bears.
const ROUNDS: usize = 4;

/// What a request carries besides its path.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The fields of a form, encoded (`application/x-www-form-urlencoded`). The request is a POST with them, a GET without.
    pub form: Option<String>,
    /// The `Cookie` header.
    pub cookie: Option<String>,
    /// The token in the `Authorization` header.
    pub token: Option<String>,
}

/// It is all secret.
impl std::fmt::Debug for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Carried(..)")
    }
}

/// A request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Path and query.
    pub path: String,
    /// The rest.
    pub carries: Carried,
}

/// What is read of an answer; redirects are not followed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// Name and value of the cookie that is set.
    pub cookie: Option<String>,
    /// Body.
    pub body: Vec<u8>,
}

/// What became of the old password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The new one is in force.
    Replaced,
    /// The old one is, and why.
    Kept(String),
    /// One of them is, and why it is not known which.
    Unknown(String),
}

/// What became of the old password, and of the logins that others made with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Which password is in force.
    pub outcome: Outcome,
    /// How many logins of others were ended.
    pub ended: usize,
    /// Why it is not known whether there are more.
    pub unsure: Option<String>,
}

/// Sends a request. An error says in words why there was no answer.
pub type Ask<'a> = &'a mut dyn FnMut(Question) -> Result<Reply, String>;

/// A change of a password.
#[derive(Clone, Copy)]
pub struct PasswordChange<'a> {
    /// The mail address that the user logs in with.
    pub email: &'a str,
    /// The password in force.
    pub old: &'a str,
    /// The one that replaces it.
    pub new: &'a str,
    /// What this client is called. Nobody may know it beforehand: it tells this login from all others.
    pub client: &'a str,
}

/// One of the listed tokens.
#[derive(Deserialize)]
struct Listed {
    id: String,
    application: Application,
}

#[derive(Deserialize)]
struct Application {
    name: String,
}

/// What a login gives.
struct Grant {
    id: String,
    secret: String,
    token: String,
}

impl PasswordChange<'_> {
    /// Logs in, changes the password, and ends all logins, this one last. If the answer to the change does not say that it was
    /// made, a login with the new password tells.
    pub fn make(&self, ask: Ask<'_>) -> Changed {
        let Grant { id, secret, token } = match self.log_in(ask) {
            Ok(grant) => grant,
            Err(why) => return Changed { outcome: Outcome::Kept(why), ended: 0, unsure: None },
        };
        let passwords = form(&[("old_password", self.old), ("new_password", self.new)]);
        let outcome = match expect(200, PASSWORD_CHANGE, with_token(&token, Some(passwords)), ask) {
            Ok(_) => Outcome::Replaced,
            Err(why) => match self.sign_in(self.new, None, ask) {
                Ok(Reply { status: 302, .. }) => Outcome::Replaced,
                Ok(Reply { status: 401, .. }) => Outcome::Kept(why),
                _ => Outcome::Unknown(why),
            },
        };
        let mut ended = 0;
        let unsure = self.end_others(&token, &mut ended, ask).err();
        // A token that could not be revoked is known to nobody: it has never left this process but for the server.
        let _ = post(REVOKE, &[("client_id", &id), ("client_secret", &secret), ("token", &token)], None, ask);
        Changed { outcome, ended, unsure }
    }

    /// Ends every login of the user but this one, until only this one is listed.
    fn end_others(&self, token: &str, ended: &mut usize, ask: Ask<'_>) -> Result<(), String> {
        for _ in 0..ROUNDS {
            let page = expect(200, &format!("{TOKENS}?limit={PAGE}"), with_token(token, None), ask)?;
            let page: Vec<Listed> = serde_json::from_slice(&page.body).map_err(|_| format!("{TOKENS} gave no list"))?;
            // The newest come first. Once it is there, others can see its name and take it, but only for a newer one.
            let own = page.iter().rposition(|listed| listed.application.name == self.client);
            if own.is_some() && page.len() == 1 {
                return Ok(());
            }
            for (_, Listed { id, .. }) in page.iter().enumerate().filter(|(at, _)| Some(*at) != own) {
                let path = format!("{TOKENS}/{}/invalidate", encoded(id));
                let carries = with_token(token, Some(String::new()));
                match ask(Question { path: path.clone(), carries })?.status {
                    200 => *ended += 1,
                    // Whoever has it can end it meanwhile. The next list tells.
                    404 => {}
                    status => return Err(answered(&path, status)),
                }
            }
        }
        Err(format!("{TOKENS} does not list this login alone"))
    }

    fn log_in(&self, ask: Ask<'_>) -> Result<Grant, String> {
        let wanted = [("client_name", self.client), ("redirect_uris", OUT_OF_BAND), ("scopes", SCOPE)];
        let app = json(200, APPS, &wanted, ask)?;
        let (id, secret) = (text(&app, "client_id", APPS)?, text(&app, "client_secret", APPS)?);
        let query = [("response_type", "code"), ("client_id", &id), ("redirect_uri", OUT_OF_BAND), ("scope", SCOPE)];
        let page = expect(303, &format!("{AUTHORIZE}?{}", form(&query)), Carried::default(), ask)?;
        let session = page.cookie.ok_or_else(|| format!("{AUTHORIZE} began no session"))?;

        let signed = self.sign_in(self.old, Some(session.clone()), ask)?;
        match (signed.status, signed.location.as_deref()) {
            (302, Some(AUTHORIZE)) => {}
            (401, _) => return Err("the server does not know it before `service gotosocial restart`".into()),
            (status, _) => return Err(answered(SIGN_IN, status)),
        }
        let session = signed.cookie.unwrap_or(session);
        let carries = Carried { form: Some(String::new()), cookie: Some(session), ..Carried::default() };
        let granted = expect(302, AUTHORIZE, carries, ask)?.location.unwrap_or_default();
        let query = granted.strip_prefix(SHOWN_CODE).and_then(|rest| rest.strip_prefix('?'));
        // Still encoded, as the next form wants it.
        let code = query.into_iter().flat_map(|query| query.split('&')).find(|field| field.starts_with("code="));
        let code = code.ok_or_else(|| format!("{AUTHORIZE} gave no code"))?;

        let wanted = [
            ("grant_type", "authorization_code"),
            ("client_id", &id),
            ("client_secret", &secret),
            ("redirect_uri", OUT_OF_BAND),
            ("scope", SCOPE),
        ];
        let form = Some(format!("{}&{code}", form(&wanted)));
        let given = expect(200, TOKEN, Carried { form, ..Carried::default() }, ask)?;
        let token = text(&serde_json::from_slice(&given.body).unwrap_or_default(), "access_token", TOKEN)?;
        Ok(Grant { id, secret, token })
    }

    fn sign_in(&self, password: &str, session: Option<String>, ask: Ask<'_>) -> Result<Reply, String> {
        // The field is called so, and takes the mail address.
        post(SIGN_IN, &[("username", self.email), ("password", password)], session, ask)
    }
}

fn with_token(token: &str, form: Option<String>) -> Carried {
    Carried { form, token: Some(token.to_owned()), ..Carried::default() }
}

fn post(path: &str, fields: &[(&str, &str)], cookie: Option<String>, ask: Ask<'_>) -> Result<Reply, String> {
    let carries = Carried { form: Some(form(fields)), cookie, token: None };
    ask(Question { path: path.to_owned(), carries })
}

/// An answer that must have this status.
fn expect(status: u16, path: &str, carries: Carried, ask: Ask<'_>) -> Result<Reply, String> {
    let reply = ask(Question { path: path.to_owned(), carries })?;
    if reply.status == status { Ok(reply) } else { Err(answered(path, reply.status)) }
}

fn json(status: u16, path: &str, fields: &[(&str, &str)], ask: Ask<'_>) -> Result<Value, String> {
    let reply = expect(status, path, Carried { form: Some(form(fields)), ..Carried::default() }, ask)?;
    Ok(serde_json::from_slice(&reply.body).unwrap_or_default())
}

fn text(json: &Value, key: &str, path: &str) -> Result<String, String> {
    json[key].as_str().map(str::to_owned).ok_or_else(|| format!("{path} gave no {key}"))
}

fn answered(path: &str, status: u16) -> String {
    let path = path.split('?').next().unwrap_or_default();
    format!("{path} answered {status}")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A form, encoded.
fn form(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    fields.join("&")
}

#[cfg(test)]
mod tests;
