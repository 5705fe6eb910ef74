//! A password is changed over the API of a running server, in the very requests that an installation makes.

use gts_bootstrap::gotosocial::password_change::{
    Carried, Changed, Outcome, PASSWORD_CHANGE, PasswordChange, Question, REVOKE, Reply, SIGN_IN, TOKENS,
};
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};

use crate::instance::{HOST, Instance, client};

const FIRST: &str = "fQ9-mZ2_xLp7.Tw4";
const SECOND: &str = "second-mZ2_xLp7.Tw4";
const CHANGE: PasswordChange<'static> =
    PasswordChange { email: "alice@example.org", old: FIRST, new: SECOND, client: "gts-bootstrap tests" };

fn ask(instance: &Instance, scheme: &str, question: &Question) -> Reply {
    let url = format!("{scheme}://{HOST}:{}{}", instance.port, question.path);
    let client = client(HOST).user_agent("tests").build().unwrap();
    let carries = question.carries.clone();
    let mut request = match carries.form {
        Some(form) => client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form),
        None => client.get(url),
    };
    request = carries.cookie.into_iter().fold(request, |request, cookie| request.header(COOKIE, cookie));
    request = carries.token.into_iter().fold(request, |request, token| request.bearer_auth(token));
    let answer = request.send().unwrap();
    let header = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let cookie = header(SET_COOKIE).map(|set| set.split(';').next().unwrap().to_owned());
    let (status, location) = (answer.status().as_u16(), header(LOCATION));
    Reply { status, location, cookie, body: answer.bytes().unwrap().to_vec() }
}

fn create(instance: &Instance) {
    let words = ["admin", "account", "create", "--username", "alice", "--email", CHANGE.email, "--password", FIRST];
    assert!(instance.run_configured(&words).status.success());
}

fn signs_in(instance: &Instance, scheme: &str, password: &str) -> bool {
    let mut question = Question { path: SIGN_IN.to_owned(), ..Question::default() };
    question.carries.form = Some(format!("username={}&password={password}", CHANGE.email));
    ask(instance, scheme, &question).status == 302
}

/// Logs in with the first password, as somebody may who has seen it, and keeps the token.
fn stranger(instance: &Instance, scheme: &str) -> String {
    let mut token = None;
    let change = PasswordChange { client: "somebody", ..CHANGE };
    change.make(&mut |question| {
        if [PASSWORD_CHANGE, REVOKE].contains(&question.path.as_str()) || question.path.starts_with(TOKENS) {
            token = token.take().or(question.carries.token);
            return Err("not sent".to_owned());
        }
        Ok(ask(instance, scheme, &question))
    });
    token.unwrap()
}

#[test]
fn the_password_of_a_new_account_is_replaced_and_the_first_is_worthless() {
    for (instance, scheme) in [(Instance::direct("0.19.2"), "https"), (Instance::proxied("0.20.0-rc1"), "http")] {
        let server = instance.started();
        create(&instance);
        let token = stranger(&instance, scheme);
        let list = Question { path: TOKENS.to_owned(), carries: Carried { token: Some(token), ..Carried::default() } };
        assert_eq!(ask(&instance, scheme, &list).status, 200);
        let changed = CHANGE.make(&mut |question| Ok(ask(&instance, scheme, &question)));
        assert_eq!(changed, Changed { outcome: Outcome::Replaced, ended: 1, unsure: None });
        assert_eq!(ask(&instance, scheme, &list).status, 401);
        assert!(!signs_in(&instance, scheme, FIRST) && signs_in(&instance, scheme, SECOND));
        assert_eq!(server.stop(), 0);
        for secret in [FIRST, SECOND] {
            assert!(!instance.log().contains(secret), "{}", instance.log());
        }
        // It is in the database, too.
        let server = instance.started();
        assert!(!signs_in(&instance, scheme, FIRST) && signs_in(&instance, scheme, SECOND));
        assert_eq!(server.stop(), 0);
    }
}

#[test]
fn nobody_changes_a_password_without_a_login_or_with_another_type_of_body() {
    let instance = Instance::proxied("0.19.2");
    let server = instance.started();
    create(&instance);
    let mut question = Question { path: PASSWORD_CHANGE.to_owned(), ..Question::default() };
    question.carries.form = Some(format!("old_password={FIRST}&new_password={SECOND}"));
    assert_eq!(ask(&instance, "http", &question).status, 401);
    let url = format!("http://{HOST}:{}", instance.port);
    let client = client(HOST).user_agent("tests").build().unwrap();
    let form = format!("username={}&password={FIRST}", CHANGE.email);
    assert_eq!(client.post(format!("{url}{SIGN_IN}")).body(form).send().unwrap().status(), 400);
    assert_eq!(client.post(format!("{url}/readyz")).send().unwrap().status(), 404);
    // The server has looked for the user, and does not see what a command changes after that.
    assert!(signs_in(&instance, "http", FIRST));
    let words = ["admin", "account", "password", "--username", "alice", "--password", SECOND];
    assert!(instance.run_configured(&words).status.success());
    assert!(signs_in(&instance, "http", FIRST) && !signs_in(&instance, "http", SECOND));
    assert_eq!(server.stop(), 0);
}
