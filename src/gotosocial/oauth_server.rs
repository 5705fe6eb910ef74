//! OAuth as the server does it, as far as [a change of a password](super::password_change) needs it: for the rehearsal and the
//! stand-in. It is as strict as the real one, and like that one it keeps the users that it has looked up, and which ones there
//! are not: what a command changes in the database meanwhile, it does not see before it is restarted.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::accounts::{Account, check_password, encrypted};
use super::password_change::{
    APPS, AUTHORIZE, OUT_OF_BAND, PASSWORD_CHANGE, Question, REVOKE, Reply, SHOWN_CODE, SIGN_IN, TOKEN, TOKENS,
};

/// What the server has in memory; it is gone after a restart. The real one keeps clients and tokens in its database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthServer {
    /// How many ids were given.
    given: u64,
    /// By id.
    clients: BTreeMap<String, Client>,
    /// By the value of the cookie.
    sessions: BTreeMap<String, Session>,
    /// By code.
    codes: BTreeMap<String, Grant>,
    /// By token.
    tokens: BTreeMap<String, Grant>,
    /// By mail address, as they were when they were looked up.
    users: BTreeMap<String, Option<Account>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Client {
    #[serde(default)]
    name: String,
    secret: String,
    redirects: String,
    scopes: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    /// Empty before access was asked for, like the two that follow.
    client: String,
    redirect: String,
    scope: String,
    /// Mail address of who has signed in.
    user: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    client: String,
    scope: String,
    user: String,
}

/// The fields of a form or a query.
struct Fields(BTreeMap<String, String>);

impl Fields {
    fn read(text: &str) -> Self {
        let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (decoded(name), decoded(value))).collect())
    }

    fn required(&self, name: &str) -> Result<&str, u16> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or(400)
    }
}

impl OauthServer {
    /// Whether a path is one of those that are answered here.
    pub fn serves(path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let ours = [APPS, AUTHORIZE, SIGN_IN, TOKEN, REVOKE, PASSWORD_CHANGE, TOKENS];
        ours.contains(&path) || invalidated(path).is_some()
    }

    /// Whether nobody is logged in.
    pub fn has_no_tokens(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Answers a request to the server of `host`; 404 for what it does not serve. The accounts are to be saved afterwards.
    pub fn answer(&mut self, question: &Question, host: &str, accounts: &mut [Account]) -> Reply {
        let (path, query) = question.path.split_once('?').unwrap_or((&question.path, ""));
        let carries = &question.carries;
        let fields = Fields::read(carries.form.as_deref().unwrap_or(query));
        let name = format!("gotosocial-{host}=");
        let session = carries.cookie.as_deref().and_then(|cookie| cookie.strip_prefix(&name)).unwrap_or_default();
        let answered = match (path, carries.form.is_some()) {
            (APPS, true) => self.register(&fields),
            (AUTHORIZE, false) => self.asked(&fields, session),
            (SIGN_IN, true) => self.sign_in(&fields, session, accounts),
            (AUTHORIZE, true) => self.granted(session),
            (TOKEN, true) => self.token(&fields),
            (REVOKE, true) => self.revoke(&fields),
            (PASSWORD_CHANGE, true) => self.change_password(&fields, carries.token.as_deref(), accounts),
            (TOKENS, false) => self.listed(&fields, carries.token.as_deref()),
            (path, true) => invalidated(path).ok_or(404).and_then(|id| self.invalidate(id, carries.token.as_deref())),
            _ => Err(404),
        };
        let mut reply = answered.unwrap_or_else(|status| Reply { status, ..Reply::default() });
        reply.cookie = reply.cookie.map(|id| name + &id);
        reply
    }

    fn id(&mut self, kind: &str) -> String {
        self.given += 1;
        format!("{kind}-{:06}", self.given)
    }

    fn register(&mut self, fields: &Fields) -> Result<Reply, u16> {
        let name = fields.required("client_name")?.to_owned();
        let or = |name: &str, otherwise: &str| fields.required(name).unwrap_or(otherwise).to_owned();
        let (redirects, scopes) = (or("redirect_uris", OUT_OF_BAND), or("scopes", "read"));
        let (id, secret) = (self.id("CLIENT"), self.id("secret"));
        let body = json!({"client_id": id, "client_secret": secret});
        self.clients.insert(id, Client { name, secret, redirects, scopes });
        Ok(ok(&body))
    }

    /// Whoever has not signed in is sent to do so. Whether the client is known is looked at later.
    fn asked(&mut self, fields: &Fields, session: &str) -> Result<Reply, u16> {
        if self.sessions.get(session).is_some_and(|session| session.user.is_some()) {
            return Ok(Reply { status: 200, ..Reply::default() });
        }
        fields.required("response_type")?;
        let scope = fields.required("scope").unwrap_or("read").to_owned();
        let (client, redirect) =
            (fields.required("client_id")?.to_owned(), fields.required("redirect_uri")?.to_owned());
        Ok(self.keep(session, Session { client, redirect, scope, user: None }, 303, SIGN_IN))
    }

    fn keep(&mut self, id: &str, session: Session, status: u16, location: &str) -> Reply {
        let id = if self.sessions.contains_key(id) { id.to_owned() } else { self.id("session") };
        self.sessions.insert(id.clone(), session);
        Reply { status, location: Some(location.to_owned()), cookie: Some(id), ..Reply::default() }
    }

    fn sign_in(&mut self, fields: &Fields, session: &str, accounts: &[Account]) -> Result<Reply, u16> {
        let (email, password) = (fields.required("username")?, fields.required("password")?);
        let look_up = || accounts.iter().find(|account| account.has_user && account.email == email).cloned();
        let user = self.users.entry(email.to_owned()).or_insert_with(look_up);
        user.as_ref().filter(|user| is_password(user, password)).ok_or(401_u16)?;
        let signed = self.sessions.get(session).cloned().unwrap_or_default();
        Ok(self.keep(session, Session { user: Some(email.to_owned()), ..signed }, 302, AUTHORIZE))
    }

    fn granted(&mut self, session: &str) -> Result<Reply, u16> {
        let Session { client: id, redirect, scope, user } = self.sessions.get(session).cloned().ok_or(500_u16)?;
        let user = user.filter(|_| !id.is_empty()).ok_or(500_u16)?;
        let client = self.clients.get(&id).ok_or(401_u16)?;
        if !client.redirects.split('\n').any(|known| known == redirect) {
            return Err(401);
        }
        let is_allowed = scope.split(' ').all(|wanted| client.scopes.split(' ').any(|has| permits(has, wanted)));
        let query = if is_allowed {
            let code = self.id("CODE");
            self.codes.insert(code.clone(), Grant { client: id, scope, user });
            format!("code={code}")
        } else {
            "error=invalid_scope".to_owned()
        };
        let place = if is_allowed { redirect.replace(OUT_OF_BAND, SHOWN_CODE) } else { redirect };
        Ok(Reply { status: 302, location: Some(format!("{place}?{query}")), ..Reply::default() })
    }

    fn token(&mut self, fields: &Fields) -> Result<Reply, u16> {
        if fields.required("grant_type")? != "authorization_code" {
            return Err(400);
        }
        let (client, redirect) = (self.client(fields, 400)?.to_owned(), fields.required("redirect_uri")?);
        let code = fields.required("code")?;
        if !self.clients[&client].redirects.split('\n').any(|known| known == redirect) {
            return Err(403);
        }
        // It is good for once.
        let grant = self.codes.remove(code).filter(|grant| grant.client == client).ok_or(400_u16)?;
        let token = self.id("TOKEN");
        let body = json!({"access_token": token, "token_type": "Bearer", "scope": grant.scope});
        self.tokens.insert(token, grant);
        Ok(ok(&body))
    }

    /// The client that a form names, with its secret.
    fn client<'a>(&self, fields: &'a Fields, otherwise: u16) -> Result<&'a str, u16> {
        let (id, secret) = (fields.required("client_id")?, fields.required("client_secret")?);
        self.clients.get(id).filter(|client| client.secret == secret).map(|_| id).ok_or(otherwise)
    }

    fn revoke(&mut self, fields: &Fields) -> Result<Reply, u16> {
        let token = fields.required("token")?;
        let client = self.client(fields, 403)?;
        if self.tokens.get(token).is_some_and(|grant| grant.client != client) {
            return Err(403);
        }
        self.tokens.remove(token);
        Ok(ok(&json!({})))
    }

    fn authorized(&self, token: Option<&str>, scope: &str) -> Result<&Grant, u16> {
        let grant = token.and_then(|token| self.tokens.get(token)).ok_or(401_u16)?;
        grant.scope.split(' ').any(|has| permits(has, scope)).then_some(grant).ok_or(403)
    }

    /// The tokens of a user, the newest first, without themselves.
    fn listed(&self, fields: &Fields, token: Option<&str>) -> Result<Reply, u16> {
        let user = &self.authorized(token, "read:accounts")?.user;
        let limit: usize = fields.required("limit").unwrap_or("0").parse().map_err(|_| 400_u16)?;
        let limit = if limit == 0 { 25 } else { limit.min(100) };
        let is_older = |token: &str| fields.required("max_id").map_or(true, |than| id_of(token) < than);
        let own = self.tokens.iter().rev().filter(|(token, grant)| grant.user == *user && is_older(token)).take(limit);
        let shown = own.map(|(token, grant)| {
            let name = self.clients.get(&grant.client).map(|client| &client.name);
            json!({"id": id_of(token), "scope": grant.scope, "application": {"name": name}})
        });
        Ok(ok(&shown.collect()))
    }

    /// Somebody else's is not found.
    fn invalidate(&mut self, id: &str, token: Option<&str>) -> Result<Reply, u16> {
        let user = self.authorized(token, "write:accounts")?.user.clone();
        let is_it = |(token, grant): &(&String, &Grant)| id_of(token) == id && grant.user == user;
        let token = self.tokens.iter().find(is_it).map(|(token, _)| token.clone()).ok_or(404_u16)?;
        self.tokens.remove(&token);
        Ok(ok(&json!({"id": id})))
    }

    fn change_password(
        &mut self,
        fields: &Fields,
        token: Option<&str>,
        accounts: &mut [Account],
    ) -> Result<Reply, u16> {
        let grant = self.authorized(token, "write:accounts")?.clone();
        let (old, new) = (fields.required("old_password")?, fields.required("new_password")?);
        let user = self.users.get_mut(&grant.user).and_then(Option::as_mut).ok_or(401_u16)?;
        if !is_password(user, old) {
            return Err(401);
        }
        check_password(new).map_err(|_| 400_u16)?;
        if new == old {
            return Err(400);
        }
        user.encrypted_password = encrypted(&user.username, new);
        for account in accounts.iter_mut().filter(|account| account.username == user.username) {
            account.encrypted_password = user.encrypted_password.clone();
        }
        Ok(ok(&json!({"status": "OK"})))
    }
}

/// The id in a path that makes a token worthless.
fn invalidated(path: &str) -> Option<&str> {
    path.strip_prefix(TOKENS)?.strip_prefix('/')?.strip_suffix("/invalidate")
}

/// The id of a token, which is not the token itself. It grows.
fn id_of(token: &str) -> &str {
    token.trim_start_matches("TOKEN-")
}

fn ok(body: &serde_json::Value) -> Reply {
    Reply { status: 200, body: body.to_string().into_bytes(), ..Reply::default() }
}

fn is_password(user: &Account, password: &str) -> bool {
    user.encrypted_password == encrypted(&user.username, password)
}

/// `write` permits `write:accounts`.
fn permits(has: &str, wanted: &str) -> bool {
    wanted.strip_prefix(has).is_some_and(|rest| rest.is_empty() || (rest.starts_with(':') && !has.contains(':')))
}
