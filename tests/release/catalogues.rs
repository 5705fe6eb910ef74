//! Catalogues in Forgejo's form, good and bad.

use gts_bootstrap::release::{Error, Published, Source, catalogue, newest};
use serde_json::{Value, json};

use super::places::hasty;
use super::server::{Asked, Reply, Server};

fn source(server: &Server) -> Source {
    Source::Upstream(server.url().parse().unwrap())
}

fn list(server: &Server) -> Result<Vec<Published>, Error> {
    catalogue(&source(server), &hasty(2))
}

fn release(tag: &str, draft: bool, prerelease: bool) -> Value {
    json!({ "tag_name": tag, "draft": draft, "prerelease": prerelease, "name": "x", "assets": [
        { "name": "a.tar.gz", "size": 7, "browser_download_url": "https://example.org/" },
    ]})
}

/// The page that a request is for, from pages of three.
fn page(asked: &Asked, releases: &[Value]) -> Reply {
    let number: usize = asked.target().rsplit_once("page=").unwrap().1.parse().unwrap();
    let page: Vec<_> = releases.iter().skip((number - 1) * 3).take(3).collect();
    Reply::ok(serde_json::to_string(&page).unwrap().as_bytes())
}

#[test]
fn all_pages_are_read_and_versions_compared_as_versions() {
    // By date, as the server has them: a fix for an old branch came last.
    let releases = [
        release("v0.18.4", false, false),
        release("v0.21.0", true, false),
        release("v0.20.0-rc1", false, false),
        release("v0.9.0", false, false),
        release("nightly", false, false),
        release("v0.19.2", false, false),
        release("v0.20.5", false, true),
    ];
    let server = Server::start(move |asked, _| page(asked, &releases));
    let versions: Vec<String> = list(&server).unwrap().iter().map(|release| release.version.to_string()).collect();
    assert_eq!(versions, ["0.20.5", "0.20.0-rc1", "0.19.2", "0.18.4", "0.9.0"]);
    let asked = server.requests();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[1].target(), "/api/v1/repos/superseriousbusiness/gotosocial/releases?limit=50&page=2");
    let newest = |prereleases| newest(&source(&server), prereleases, &hasty(1)).unwrap();
    assert_eq!(newest(false).version.to_string(), "0.19.2");
    assert_eq!(newest(false).assets["a.tar.gz"], 7);
    assert_eq!(newest(true).version.to_string(), "0.20.5");
}

#[test]
fn whole_pages_up_to_the_end_end_too() {
    let releases = ["v0.1.0", "v0.2.0", "v0.3.0"].map(|tag| release(tag, false, false));
    let server = Server::start(move |asked, _| page(asked, &releases));
    assert_eq!(list(&server).unwrap().len(), 3);
}

#[test]
fn an_empty_catalogue_is_told_in_words() {
    let server = Server::start(|_, _| Reply::ok(b"[]"));
    let error = newest(&source(&server), true, &hasty(1)).unwrap_err();
    assert!(matches!(error, Error::CatalogueEmpty { .. }), "{error}");
}

#[test]
fn what_is_no_catalogue_is_told_in_words() {
    for body in ["<!DOCTYPE html><title>Maintenance</title>", "{\"message\":\"x\"}", "[{}]", ""] {
        let server = Server::start(move |_, _| Reply::ok(body.as_bytes()));
        let error = list(&server).unwrap_err();
        assert!(matches!(error, Error::CatalogueUnreadable { .. }), "{body}: {error}");
    }
}

#[test]
fn statuses_of_the_catalogue_are_told_in_words() {
    for (status, attempts) in [("404 Not Found", 1), ("429 Too Many Requests", 2), ("502 Bad Gateway", 2)] {
        let server = Server::start(move |_, _| Reply::status(status).body(b""));
        let error = list(&server).unwrap_err();
        let code = &status[..3];
        assert!(
            matches!(
                (&error, code),
                (Error::Status { status: 404, .. }, "404")
                    | (Error::Status { status: 429, .. }, "429")
                    | (Error::Status { status: 502, .. }, "502")
            ),
            "{error}"
        );
        assert_eq!(server.requests().len(), attempts);
    }
}
