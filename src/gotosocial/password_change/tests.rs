//! The course against the imitation of the server, which is shown to be strict.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::accounts::{Account, encrypted};
use super::super::oauth_server::OauthServer;
use super::*;

const HOST: &str = "social.example.org";
const FIRST: &str = "fQ9-mZ2_xLp7.Tw4";
const SECOND: &str = "second-mZ2_xLp7.Tw4";
const CHANGE: PasswordChange<'static> =
    PasswordChange { email: "alice@example.org", old: FIRST, new: SECOND, client: "gts-bootstrap tests" };

struct Server {
    oauth: OauthServer,
    accounts: Vec<Account>,
    asked: Vec<Question>,
}

impl Server {
    fn new() -> Self {
        let alice = Account {
            username: "alice".into(),
            email: "alice@example.org".into(),
            has_user: true,
            encrypted_password: encrypted("alice", FIRST),
            ..Account::default()
        };
        Self { oauth: OauthServer::default(), accounts: vec![alice], asked: Vec::new() }
    }

    fn answer(&mut self, question: Question) -> Reply {
        let reply = self.oauth.answer(&question, HOST, &mut self.accounts);
        self.asked.push(question);
        reply
    }

    fn post(&mut self, path: &str, fields: &[(&str, &str)], cookie: Option<&str>, token: Option<&str>) -> Reply {
        let [cookie, token] = [cookie, token].map(|text| text.map(str::to_owned));
        self.answer(Question { path: path.into(), carries: Carried { form: Some(form(fields)), cookie, token } })
    }

    fn is_in_force(&self, password: &str) -> bool {
        self.accounts[0].encrypted_password == encrypted("alice", password)
    }

    /// A client with a scope: its id and its secret.
    fn client(&mut self, scope: &str) -> (String, String) {
        let app = self.post(APPS, &[("client_name", "tests"), ("scopes", scope)], None, None);
        let json = serde_json::from_slice(&app.body).unwrap();
        (text(&json, "client_id", APPS).unwrap(), text(&json, "client_secret", APPS).unwrap())
    }

    /// A session in which a client has asked for access.
    fn session(&mut self, client: &str, scope: &str) -> String {
        let query =
            form(&[("response_type", "code"), ("client_id", client), ("redirect_uri", OUT_OF_BAND), ("scope", scope)]);
        let asked = self.answer(Question { path: format!("{AUTHORIZE}?{query}"), carries: Carried::default() });
        assert_eq!((asked.status, asked.location.as_deref()), (303, Some(SIGN_IN)));
        asked.cookie.unwrap()
    }

    /// Where a signed in user is sent who grants access.
    fn granted(&mut self, client: &str, scope: &str) -> String {
        let session = self.session(client, scope);
        let signed = self.post(SIGN_IN, &credentials(FIRST), Some(&session), None);
        assert_eq!((signed.status, signed.location.as_deref()), (302, Some(AUTHORIZE)));
        let granted = self.post(AUTHORIZE, &[], Some(&session), None);
        assert_eq!(granted.status, 302);
        granted.location.unwrap()
    }

    /// A token of somebody who knows the first password.
    fn stranger(&mut self, client: (&str, &str)) -> String {
        let location = self.granted(client.0, "read");
        let given = self.token(client, location.strip_prefix("/oauth/oob?code=").unwrap());
        text(&serde_json::from_slice(&given.body).unwrap(), "access_token", TOKEN).unwrap()
    }

    fn with_token(&mut self, path: &str, form: Option<&str>, token: &str) -> Reply {
        self.answer(Question { path: path.into(), carries: with_token(token, form.map(str::to_owned)) })
    }

    fn token(&mut self, client: (&str, &str), code: &str) -> Reply {
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", client.0),
            ("client_secret", client.1),
            ("redirect_uri", OUT_OF_BAND),
            ("code", code),
        ];
        self.post(TOKEN, &fields, None, None)
    }
}

fn replaced(ended: usize, unsure: Option<&str>) -> Changed {
    Changed { outcome: Outcome::Replaced, ended, unsure: unsure.map(str::to_owned) }
}

fn credentials(password: &str) -> [(&str, &str); 2] {
    [("username", CHANGE.email), ("password", password)]
}

#[test]
fn the_old_password_is_worthless_afterwards_and_so_is_the_login() {
    let mut server = Server::new();
    assert_eq!(CHANGE.make(&mut |question| Ok(server.answer(question))), replaced(0, None));
    assert!(server.is_in_force(SECOND) && server.oauth.has_no_tokens());
    assert_eq!(server.post(SIGN_IN, &credentials(FIRST), None, None).status, 401);
    assert_eq!(server.post(SIGN_IN, &credentials(SECOND), None, None).status, 302);
    // Paths are logged, and in messages.
    let all = &server.asked[..8];
    assert!(all.iter().all(|question| ![FIRST, SECOND].iter().any(|secret| question.path.contains(secret))));
    assert!(!format!("{all:?}").contains(FIRST), "{all:?}");
}

#[test]
fn whoever_has_logged_in_with_the_old_password_is_logged_out_and_counted() {
    // More than the server lists at once, by clients that all take the name of this one, as far as it can be known.
    for (before, while_it_is_listed) in [(1, 0), (230, 0), (0, 1), (120, 1)] {
        let mut server = Server::new();
        let (id, secret) = server.client("read write:accounts");
        let mut theirs: Vec<String> = (0..before).map(|_| server.stranger((&id, &secret))).collect();
        let changed = CHANGE.make(&mut |question| {
            if question.path == PASSWORD_CHANGE {
                let name = [("client_name", CHANGE.client), ("scopes", "read")];
                let app: Value = serde_json::from_slice(&server.post(APPS, &name, None, None).body).unwrap();
                let client = (app["client_id"].as_str().unwrap(), app["client_secret"].as_str().unwrap());
                theirs.extend((0..while_it_is_listed).map(|_| server.stranger(client)));
            }
            Ok(server.answer(question))
        });
        assert_eq!(changed, replaced(before + while_it_is_listed, None));
        assert!(server.oauth.has_no_tokens());
        assert!(theirs.iter().all(|token| server.with_token(TOKENS, None, token).status == 401));
    }
}

#[test]
fn whoever_ends_a_login_meanwhile_saves_no_other() {
    let mut server = Server::new();
    let (id, secret) = server.client("read");
    for _ in 0..5 {
        server.stranger((&id, &secret));
    }
    let changed = CHANGE.make(&mut |question| {
        // Just before this client, its holder ends the one that is next.
        if question.path.ends_with("/000005/invalidate") {
            server.answer(question.clone());
        }
        Ok(server.answer(question))
    });
    assert_eq!(changed, replaced(4, None));
    assert!(server.oauth.has_no_tokens());
}

#[test]
fn what_keeps_logins_from_being_ended_is_told() {
    for (path, body, ended, unsure) in [
        (TOKENS, None, 0, "/api/v1/tokens answered 500"),
        ("/api/v1/tokens/", None, 0, "/api/v1/tokens/000005/invalidate answered 500"),
        (TOKENS, Some("{}"), 0, "/api/v1/tokens gave no list"),
        (TOKENS, Some("[]"), 0, "/api/v1/tokens does not list this login alone"),
        // It is never the only one.
        ("/api/v1/tokens/", Some("{}"), ROUNDS, "/api/v1/tokens does not list this login alone"),
    ] {
        let mut server = Server::new();
        let (id, secret) = server.client("read");
        server.stranger((&id, &secret));
        let changed = CHANGE.make(&mut |question| match question.path.strip_prefix(path) {
            Some(rest) if rest.is_empty() || !rest.starts_with('/') => {
                let status = if body.is_some() { 200 } else { 500 };
                Ok(Reply { status, body: body.unwrap_or_default().into(), ..Reply::default() })
            }
            _ => Ok(server.answer(question)),
        });
        assert_eq!(changed, replaced(ended, Some(unsure)));
    }
}

#[test]
fn the_imitation_lists_and_ends_what_is_the_users_own() {
    let mut server = Server::new();
    let (id, secret) = server.client("read write:accounts");
    for _ in 0..30 {
        server.stranger((&id, &secret));
    }
    let location = server.granted(&id, SCOPE);
    let given = server.token((&id, &secret), location.strip_prefix("/oauth/oob?code=").unwrap());
    let token = text(&serde_json::from_slice(&given.body).unwrap(), "access_token", TOKEN).unwrap();
    let reader = server.stranger((&id, &secret));
    let ids = |reply: Reply| -> Vec<String> {
        let listed: Vec<Listed> = serde_json::from_slice(&reply.body).unwrap();
        assert!(listed.iter().all(|listed| listed.application.name == "tests"));
        listed.into_iter().map(|listed| listed.id).collect()
    };
    for (query, count) in [("", 25), ("?limit=0", 25), ("?limit=7", 7), ("?limit=1000", 32)] {
        let listed = ids(server.with_token(&format!("{TOKENS}{query}"), None, &token));
        assert!(listed.len() == count && listed.is_sorted_by(|newer, older| newer > older), "{query}: {listed:?}");
    }
    let all = ids(server.with_token(&format!("{TOKENS}?limit=100"), None, &token));
    let rest = ids(server.with_token(&format!("{TOKENS}?limit=100&max_id={}", all[9]), None, &token));
    assert_eq!(rest, all[10..]);
    assert_eq!(server.with_token(&format!("{TOKENS}?limit=many"), None, &token).status, 400);
    assert_eq!(server.answer(Question { path: TOKENS.into(), ..Question::default() }).status, 401);
    let end = format!("{TOKENS}/{}/invalidate", all[0]);
    assert_eq!(server.with_token(&end, Some(""), &reader).status, 403, "it may read only");
    assert_eq!(server.with_token(&end, None, &token).status, 404, "it is no page");
    assert_eq!(server.with_token(&format!("{TOKENS}/000099/invalidate"), Some(""), &token).status, 404);
    assert_eq!(server.with_token(&end, Some(""), &token).status, 200);
    assert_eq!(server.with_token(&end, Some(""), &token).status, 404, "it is gone");
    assert_eq!(server.with_token(TOKENS, None, &reader).status, 401);
}

#[test]
fn a_step_that_is_refused_leaves_the_old_password_and_says_which() {
    for refused in [APPS, AUTHORIZE, SIGN_IN, TOKEN, PASSWORD_CHANGE] {
        for form_only in [false, true] {
            let mut server = Server::new();
            let Changed { outcome, .. } = CHANGE.make(&mut |question| {
                let is_it = question.path.starts_with(refused) && (question.carries.form.is_some() || !form_only);
                // The proof by a login is answered.
                if is_it && !question.carries.form.as_deref().unwrap_or_default().contains("second") {
                    return Ok(Reply { status: 503, ..Reply::default() });
                }
                if is_it && refused == PASSWORD_CHANGE {
                    return Ok(Reply { status: 422, ..Reply::default() });
                }
                Ok(server.answer(question))
            });
            let Outcome::Kept(why) = outcome else { panic!("{refused}: {outcome:?}") };
            assert!(why.starts_with(&format!("{refused} answered ")), "{why}");
            assert!(server.is_in_force(FIRST) && server.oauth.has_no_tokens(), "{refused}");
        }
    }
}

#[test]
fn silence_after_the_change_is_resolved_by_a_login() {
    for (arrives, speaks_again, outcome) in [
        (true, true, Outcome::Replaced),
        (false, true, Outcome::Kept("no answer".into())),
        (true, false, Outcome::Unknown("no answer".into())),
    ] {
        let (mut server, mut is_silent) = (Server::new(), false);
        let told = CHANGE.make(&mut |question| {
            if question.path == PASSWORD_CHANGE {
                if arrives {
                    server.answer(question);
                }
                is_silent = !speaks_again;
                return Err("no answer".into());
            }
            if is_silent { Err("connection refused".into()) } else { Ok(server.answer(question)) }
        });
        assert_eq!(told.outcome, outcome);
        assert_eq!(told.unsure.is_some(), !speaks_again);
        assert_eq!(server.is_in_force(SECOND), arrives);
    }
}

#[test]
fn an_answer_that_makes_no_sense_is_a_refusal() {
    for body in ["", "[]", "<html>", "{\"client_id\": 7}"] {
        let Changed { outcome, .. } =
            CHANGE.make(&mut |_| Ok(Reply { status: 200, body: body.into(), ..Reply::default() }));
        assert_eq!(outcome, Outcome::Kept("/api/v1/apps gave no client_id".into()), "{body}");
    }
    let mut server = Server::new();
    let Changed { outcome, .. } = CHANGE.make(&mut |question| Ok(Reply { cookie: None, ..server.answer(question) }));
    assert_eq!(outcome, Outcome::Kept("/oauth/authorize began no session".into()));
    let mut server = Server::new();
    let Changed { outcome, .. } = CHANGE.make(&mut |question| {
        let reply = server.answer(question);
        // A second factor.
        let location = reply.location.map(|place| if place == AUTHORIZE { "/auth/2fa".into() } else { place });
        Ok(Reply { location, ..reply })
    });
    assert_eq!(outcome, Outcome::Kept("/auth/sign_in answered 302".into()));
}

#[test]
fn a_password_that_a_command_has_set_is_not_known_before_a_restart() {
    let mut server = Server::new();
    assert_eq!(server.post(SIGN_IN, &credentials("wrong"), None, None).status, 401);
    let third = "third-mZ2_xLp7.Tw4";
    server.accounts[0].encrypted_password = encrypted("alice", third);
    let change = PasswordChange { old: third, ..CHANGE };
    let Changed { outcome, .. } = change.make(&mut |question| Ok(server.answer(question)));
    assert!(matches!(&outcome, Outcome::Kept(why) if why.contains("service gotosocial restart")), "{outcome:?}");
    server.oauth = OauthServer::default();
    assert_eq!(change.make(&mut |question| Ok(server.answer(question))), replaced(0, None));
}

#[test]
fn the_imitation_wants_the_right_session_client_code_and_scope() {
    let mut server = Server::new();
    let (id, secret) = server.client("read write:accounts");
    let (other, other_secret) = server.client("read");

    // Without a session, in one that is made up, and before or without the other half of it.
    for cookie in [None, Some("gotosocial-social.example.org=session-000099"), Some("other=session-000001")] {
        assert_eq!(server.post(AUTHORIZE, &[], cookie, None).status, 500, "{cookie:?}");
    }
    let session = server.session(&id, SCOPE);
    assert_eq!(server.post(AUTHORIZE, &[], Some(&session), None).status, 500, "nobody has signed in");
    let signed = server.post(SIGN_IN, &credentials(FIRST), None, None).cookie.unwrap();
    assert_eq!(server.post(AUTHORIZE, &[], Some(&signed), None).status, 500, "no client has asked");
    assert_eq!(server.post(SIGN_IN, &[("username", CHANGE.email)], Some(&session), None).status, 400);
    assert_eq!(server.post(SIGN_IN, &credentials(SECOND), Some(&session), None).status, 401);

    // More than the client may ask for, and an address that is not the client's.
    assert!(server.granted(&other, SCOPE).ends_with("?error=invalid_scope"));
    let location = server.granted(&id, SCOPE);
    let code = location.strip_prefix("/oauth/oob?code=").unwrap();
    assert_eq!(server.token((&other, &other_secret), code).status, 400, "another client's code");
    assert_eq!(server.token((&id, &secret), code).status, 400, "which is used up by that");

    let location = server.granted(&id, "read");
    let code = location.strip_prefix("/oauth/oob?code=").unwrap().to_owned();
    assert_eq!(server.token((&id, "wrong"), &code).status, 400);
    let given = server.token((&id, &secret), &code);
    let token = text(&serde_json::from_slice(&given.body).unwrap(), "access_token", TOKEN).unwrap();
    assert_eq!(server.token((&id, &secret), &code).status, 400, "a code is good for once");
    let passwords = [("old_password", FIRST), ("new_password", SECOND)];
    assert_eq!(server.post(PASSWORD_CHANGE, &passwords, None, None).status, 401);
    assert_eq!(server.post(PASSWORD_CHANGE, &passwords, None, Some("TOKEN-000099")).status, 401);
    assert_eq!(server.post(PASSWORD_CHANGE, &passwords, None, Some(&token)).status, 403, "it may read only");
    assert_eq!(server.post(REVOKE, &[("token", &token)], None, None).status, 400);
    let others = [("client_id", other.as_str()), ("client_secret", &other_secret), ("token", &token)];
    assert_eq!(server.post(REVOKE, &others, None, None).status, 403);

    let location = server.granted(&id, SCOPE);
    let given = server.token((&id, &secret), location.strip_prefix("/oauth/oob?code=").unwrap());
    let token = text(&serde_json::from_slice(&given.body).unwrap(), "access_token", TOKEN).unwrap();
    for (old, new, status) in [("wrong", SECOND, 401), (FIRST, "weak", 400), (FIRST, FIRST, 400), (FIRST, "", 400)] {
        let fields = [("old_password", old), ("new_password", new)];
        assert_eq!(server.post(PASSWORD_CHANGE, &fields, None, Some(&token)).status, status, "{old} {new}");
    }
    assert!(server.is_in_force(FIRST));
    assert_eq!(server.post(PASSWORD_CHANGE, &passwords, None, Some(&token)).status, 200);
    let mine = [("client_id", id.as_str()), ("client_secret", &secret), ("token", &token)];
    assert_eq!(server.post(REVOKE, &mine, None, None).status, 200);
    assert_eq!(server.post(PASSWORD_CHANGE, &passwords, None, Some(&token)).status, 401);
}
