//! What is answered at which path.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use gts_bootstrap::gotosocial::loading::Failure;
use gts_bootstrap::gotosocial::oauth_server::OauthServer;
use gts_bootstrap::gotosocial::password_change::Question;
use serde_json::{Value, json};

use super::database::Database;
use super::request::{Answer, Request};

/// What the pages are made from.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// `host`.
    pub(super) host: String,
    /// `account-domain`, or the host.
    pub(super) account_domain: String,
    /// Version of the program.
    pub(super) version: String,
    /// `web-asset-base-dir`.
    pub(super) assets: PathBuf,
    /// The database; `None` while it starts, when the maintenance page answers.
    pub(super) database: Option<Database>,
    /// Who is logged in.
    pub(super) oauth: Arc<Mutex<OauthServer>>,
}

impl Site {
    /// Answers a request to the server itself.
    pub(super) fn answer(&self, request: &Request) -> Answer {
        if !request.has_user_agent {
            return Answer::of(418, "application/json", r#"{"error":"I'm a teapot: no user-agent sent with request"}"#);
        }
        let (path, query) = request.path_and_query();
        if path == "/livez" {
            return Answer::bare(200);
        }
        match &self.database {
            Some(database) if OauthServer::serves(path) => {
                self.logged_in(database, request).unwrap_or_else(|_| Answer::bare(500))
            }
            Some(_) if request.carries.form.is_some() => Answer::bare(404),
            Some(database) => self.page(database, path, query),
            None => {
                Answer::of(503, "text/html; charset=utf-8", "<!DOCTYPE html><title>GoToSocial is starting</title>\n")
                    .with("Retry-After", "120")
                    .with("Retry-After", httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(120)))
                    .with("Cache-Control", "no-store")
            }
        }
    }

    fn logged_in(&self, database: &Database, request: &Request) -> Result<Answer, Failure> {
        let question = Question { path: request.target.clone(), carries: request.carries.clone() };
        let mut oauth = self.oauth.lock().unwrap_or_else(PoisonError::into_inner);
        let mut content = database.content()?;
        let before = content.accounts.clone();
        let reply = oauth.answer(&question, &self.host, &mut content.accounts);
        if content.accounts != before {
            database.save(&content)?;
        }
        let mut answer = Answer::of(reply.status, "application/json", reply.body);
        if let Some(location) = reply.location {
            answer = answer.with("Location", location);
        }
        if let Some(cookie) = reply.cookie {
            answer =
                answer.with("Set-Cookie", format!("{cookie}; Path=/; Domain={}; Max-Age=120; HttpOnly", self.host));
        }
        Ok(answer)
    }

    fn page(&self, database: &Database, path: &str, query: &str) -> Answer {
        let (host, domain, version) = (&self.host, &self.account_domain, &self.version);
        match path {
            "/" => Answer::of(200, "text/html; charset=utf-8", format!("<!DOCTYPE html><title>{host}</title>\n")),
            "/readyz" => Answer::bare(if database.content().is_ok() { 200 } else { 500 }),
            "/robots.txt" => Answer::of(200, "text/plain", "User-agent: *\nDisallow: /api\n"),
            "/.well-known/nodeinfo" => json_answer(&json!({"links": [{
                "rel": "http://nodeinfo.diaspora.software/ns/schema/2.0",
                "href": format!("https://{host}/nodeinfo/2.0"),
            }]})),
            "/nodeinfo/2.0" | "/nodeinfo/2.1" => json_answer(&json!({
                "version": path.trim_start_matches("/nodeinfo/"),
                "software": {"name": "gotosocial", "version": version},
                "protocols": ["activitypub"],
                "services": {"inbound": [], "outbound": []},
                "openRegistrations": false,
                "usage": {"users": {"total": database.content().map_or(0, |content| content.accounts.len())}},
                "metadata": {},
            })),
            "/.well-known/host-meta" => Answer::of(
                200,
                "application/xrd+xml",
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<XRD xmlns=\"http://docs.oasis-open.org/ns/xri/xrd-1.0\">\
                     <Link rel=\"lrdd\" type=\"application/xrd+xml\" \
                     template=\"https://{host}/.well-known/webfinger?resource={{uri}}\"/></XRD>\n"
                ),
            ),
            "/.well-known/webfinger" => self.webfinger(database, query),
            "/api/v1/instance" => {
                let (posts, users) =
                    database.content().map_or((0, 0), |content| (content.posts.len(), content.accounts.len()));
                json_answer(&json!({
                    "uri": host, "account_domain": domain, "title": "GoToSocial", "version": version,
                    "stats": {"domain_count": 0, "status_count": posts, "user_count": users},
                }))
            }
            "/stand-in/post" => Answer::bare(if database.post(query).is_ok() { 200 } else { 500 }),
            "/api/v2/instance" => json_answer(&json!({
                "domain": host, "account_domain": domain, "version": version,
                "configuration": {"urls": {"streaming": format!("wss://{host}")}},
            })),
            "/api/v1/streaming" => Answer::bare(401),
            _ if path.starts_with("/users/") => Answer::bare(401),
            _ => match (path.strip_prefix("/@"), path.strip_prefix("/assets/")) {
                (Some(username), _) => profile(database, username),
                (_, Some(asset)) => file(&self.assets, asset),
                _ => Answer::bare(404),
            },
        }
    }

    fn webfinger(&self, database: &Database, query: &str) -> Answer {
        let resource = query.split('&').find_map(|pair| pair.strip_prefix("resource=")).unwrap_or_default();
        let resource = resource.replace("%3A", ":").replace("%3a", ":").replace("%40", "@");
        let Some((name, domain)) = resource.strip_prefix("acct:").and_then(|account| account.rsplit_once('@')) else {
            return Answer::bare(400);
        };
        let accounts = database.content().map(|content| content.accounts).unwrap_or_default();
        let is_ours = domain == self.account_domain || domain == self.host;
        // The instance's own account is there from the first start on.
        let exists = name == self.host || accounts.iter().any(|account| account.username == name);
        if !is_ours || !exists {
            return Answer::bare(404);
        }
        let href = format!("https://{}/users/{name}", self.host);
        json_answer(&json!({
            "subject": format!("acct:{name}@{}", self.account_domain),
            "links": [{"rel": "self", "type": "application/activity+json", "href": href}],
        }))
    }
}

fn json_answer(value: &Value) -> Answer {
    Answer::of(200, "application/json", value.to_string())
}

/// A profile page. It fails for a half-made account, and on a database that a newer release has migrated.
fn profile(database: &Database, username: &str) -> Answer {
    let Ok(content) = database.content() else { return Answer::bare(500) };
    match content.accounts.iter().find(|account| account.username == username) {
        None => Answer::bare(404),
        Some(account) if !account.has_user || content.is_newer_than(database.series()) => Answer::bare(500),
        Some(_) => Answer::of(200, "text/html; charset=utf-8", format!("<!DOCTYPE html><title>@{username}</title>\n")),
    }
}

fn file(assets: &Path, name: &str) -> Answer {
    let path = Path::new(name);
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Answer::bare(404);
    }
    match fs::read(assets.join(path)) {
        Ok(bytes) => Answer::of(200, "application/octet-stream", bytes),
        Err(_) => Answer::bare(404),
    }
}
