//! Downloads from servers that break, lie and dawdle.

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::time::Duration;

use gts_bootstrap::deployment::VersionWish;
use gts_bootstrap::release::{
    Error, Fetcher, HttpSettings, Limits, NoProgress, Progress, Request, Retry, Sha256Digest, Source, Target, fetch,
    resolve, verify,
};
use tempfile::TempDir;

use super::archives::honest;
use super::places::{ASSET, fetcher, hasty, install_from, lock, names_in, watched};
use super::server::{Asked, Reply, Server};

fn mirror_at(server: &Server) -> Source {
    Source::mirror(&server.url()).unwrap()
}

/// Installs the honest archive from a server.
fn download(server: &Server, attempts: u32) -> Result<TempDir, Error> {
    install_from(&mirror_at(server), &lock(&honest()), &Limits::default(), &hasty(attempts)).map(
        |(parent, unpacked)| {
            assert!(verify(&unpacked.path).unwrap().is_intact());
            parent
        },
    )
}

/// A server that has no shortcomings but those that `script` gives it.
fn serve(script: impl Fn(&Asked, usize, &[u8]) -> Reply + Send + 'static) -> Server {
    let archive = honest();
    Server::start(move |asked, number| script(asked, number, &archive))
}

#[derive(Default)]
struct Watch {
    begun: RefCell<Vec<(String, Option<u64>)>>,
    bytes: Cell<u64>,
    retries: RefCell<Vec<String>>,
    is_done: Cell<bool>,
}

impl Progress for Watch {
    fn begin(&self, what: &str, total: Option<u64>) {
        self.begun.borrow_mut().push((what.to_owned(), total));
    }
    fn advance(&self, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
    }
    fn retry(&self, reason: &str, _wait: Duration) {
        self.retries.borrow_mut().push(reason.to_owned());
    }
    fn done(&self) {
        self.is_done.set(true);
    }
}

#[test]
fn a_broken_download_goes_on_where_it_was() {
    let server = serve(|asked, number, archive| {
        match asked.range_start() {
            None => Reply::ok(archive),
            Some(start) => Reply::partial(archive, start),
        }
        .header("ETag", "\"one\"")
        .cut(if number < 3 { 9000 } else { usize::MAX })
    });
    let parent = tempfile::tempdir().unwrap();
    let watch = Watch::default();
    let target = Target { directory: &parent.path().join("0.19.2"), partial: &parent.path().join("download") };
    fetch(&lock(&honest()), &mirror_at(&server), target, &Limits::default(), &watched(4, &watch)).unwrap();
    assert_eq!(names_in(parent.path()), ["0.19.2"]);
    let total = honest().len() as u64;
    assert_eq!(*watch.begun.borrow(), [(ASSET.to_owned(), Some(total))]);
    assert_eq!(watch.bytes.get(), total);
    assert_eq!(watch.retries.borrow().len(), 3);
    assert!(watch.is_done.get());
    let asked = server.requests();
    assert_eq!(asked[0].target(), format!("/v0.19.2/{ASSET}"));
    assert_eq!(asked[0].headers["user-agent"], concat!("gts-bootstrap/", env!("CARGO_PKG_VERSION")));
    let starts: Vec<_> = asked.iter().map(Asked::range_start).collect();
    assert_eq!(starts, [None, Some(9000), Some(18_000), Some(27_000)]);
    assert!(asked[1..].iter().all(|asked| asked.headers["if-range"] == "\"one\""));
}

#[test]
fn a_server_without_ranges_is_read_again_from_the_start() {
    let server = serve(|_, number, archive| Reply::ok(archive).cut(if number == 0 { 9000 } else { usize::MAX }));
    download(&server, 2).unwrap();
    let asked = server.requests();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].range_start(), Some(9000));
    assert!(!asked[1].headers.contains_key("if-range"));
}

#[test]
fn a_break_while_skipping_is_a_break_like_another() {
    let server = serve(|_, number, archive| Reply::ok(archive).cut([9000, 4000, usize::MAX][number]));
    download(&server, 3).unwrap();
}

#[test]
fn the_attempts_come_to_an_end() {
    let server = serve(|asked, _, archive| match asked.range_start() {
        None => Reply::ok(archive).cut(9000),
        Some(start) => Reply::partial(archive, start).cut(0),
    });
    let error = download(&server, 4).unwrap_err();
    assert!(matches!(error, Error::BrokenOff { received: 9000, .. }), "{error}");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_file_that_was_replaced_in_between_is_noticed() {
    let by_etag = serve(|_, number, archive| Reply::ok(archive).header("ETag", &format!("\"{number}\"")).cut(9000));
    let by_size = serve(|_, number, archive| Reply::ok(&archive[number..]).cut(9000));
    let by_range_total = serve(|asked, _, archive| match asked.range_start() {
        None => Reply::ok(archive).cut(9000),
        Some(start) => Reply::partial(&archive[1..], start),
    });
    let by_being_shorter = serve(|_, number, archive| match number {
        0 => Reply::ok(archive).cut(9000),
        _ => Reply::status("200 OK").bare_body(&archive[..8000]),
    });
    for server in [by_etag, by_size, by_range_total, by_being_shorter] {
        let error = download(&server, 3).unwrap_err();
        assert!(matches!(error, Error::ChangedMeanwhile { .. }), "{error}");
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_server_that_muddles_ranges_is_not_believed() {
    let elsewhere = serve(|asked, _, archive| match asked.range_start() {
        None => Reply::ok(archive).cut(9000),
        Some(start) => Reply::partial(archive, start + 1),
    });
    let unasked = serve(|_, _, archive| Reply::partial(archive, 0));
    let not_told = serve(|asked, _, archive| match asked.range_start() {
        None => Reply::ok(archive).cut(9000),
        Some(start) => Reply::status("206 Partial Content").body(&archive[start..]),
    });
    let refused = serve(|asked, _, archive| match asked.range_start() {
        None => Reply::ok(archive).cut(9000),
        Some(_) => Reply::status("416 Range Not Satisfiable").body(b""),
    });
    for server in [elsewhere, unasked, not_told, refused] {
        let error = download(&server, 3).unwrap_err();
        assert!(matches!(error, Error::BadRange { .. }), "{error}");
    }
}

#[test]
fn a_truncated_answer_is_noticed_whatever_length_it_claims() {
    let claims_what_it_has = serve(|_, _, archive| Reply::ok(&archive[..9000]));
    let claims_nothing = serve(|_, _, archive| Reply::status("200 OK").bare_body(&archive[..9000]));
    for server in [claims_what_it_has, claims_nothing] {
        let error = download(&server, 2).unwrap_err();
        assert!(matches!(error, Error::Truncated(_, 9000)), "{error}");
    }
    let claims_all = serve(|_, _, archive| Reply::ok(archive).cut(9000));
    let error = download(&claims_all, 1).unwrap_err();
    assert!(matches!(error, Error::BrokenOff { received: 9000, .. }), "{error}");
}

#[test]
fn an_answer_without_a_length_is_taken_if_it_is_complete() {
    let server = serve(|_, _, archive| Reply::status("200 OK").bare_body(archive));
    download(&server, 1).unwrap();
}

#[test]
fn a_size_that_is_not_the_locked_one_is_refused() {
    let announced = serve(|_, _, archive| Reply::ok(archive));
    let unannounced = serve(|_, _, archive| Reply::status("200 OK").bare_body(archive));
    for server in [announced, unannounced] {
        let mut lock = lock(&honest());
        lock.size = Some(7);
        let error = install_from(&mirror_at(&server), &lock, &Limits::default(), &hasty(1)).unwrap_err();
        assert!(matches!(error, Error::WrongSize { expected: 7, .. }), "{error}");
    }
}

#[test]
fn what_is_larger_than_allowed_is_refused() {
    let announced = serve(|_, _, archive| Reply::ok(archive));
    let unannounced = serve(|_, _, archive| Reply::status("200 OK").bare_body(archive));
    for server in [announced, unannounced] {
        let limits = Limits { archive_bytes: 9000, ..Limits::default() };
        let error = install_from(&mirror_at(&server), &lock(&honest()), &limits, &hasty(1)).unwrap_err();
        assert!(matches!(error, Error::TooLarge(_, 9000)), "{error}");
    }
}

#[test]
fn a_changed_byte_is_noticed() {
    let server = serve(|_, _, archive| {
        let mut changed = archive.to_vec();
        changed[20_000] ^= 1;
        Reply::ok(&changed)
    });
    let error = download(&server, 1).unwrap_err();
    assert!(matches!(error, Error::WrongDigest { .. }), "{error}");
}

#[test]
fn a_passing_fault_of_the_server_is_outlasted() {
    let server = serve(|_, number, archive| match number {
        0 => Reply::status("503 Service Unavailable").header("Retry-After", "0").body(b""),
        1 => Reply::status("429 Too Many Requests").body(b""),
        _ => Reply::ok(archive),
    });
    download(&server, 3).unwrap();
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn statuses_are_told_in_words_and_lasting_ones_are_not_repeated() {
    for (status, attempts, words) in [
        ("404 Not Found", 1, "There is nothing at"),
        ("410 Gone", 1, "There is nothing at"),
        ("403 Forbidden", 1, "unexpected answer (403)"),
        ("204 No Content", 1, "unexpected answer (204)"),
        ("429 Too Many Requests", 3, "left alone"),
        ("500 Internal Server Error", 3, "fault of its own (500)"),
    ] {
        let server = Server::start(move |_, _| Reply::status(status).header("Content-Length", "0"));
        let error = download(&server, 3).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(server.requests().len(), attempts, "{status}");
    }
}

#[test]
fn a_server_that_asks_for_a_long_rest_ends_the_run() {
    let server = serve(|_, _, _| Reply::status("429 Too Many Requests").header("Retry-After", "3600").body(b""));
    let error = download(&server, 5).unwrap_err();
    assert!(error.to_string().contains("in 3600 seconds"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

fn impatient(attempts: u32) -> Fetcher<'static> {
    let retry = Retry { attempts, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(2) };
    let (connect, idle) = (Duration::from_secs(5), Duration::from_millis(100));
    fetcher(HttpSettings { connect, idle, retry }, &NoProgress)
}

#[test]
fn silence_is_a_failure_before_and_in_the_middle_of_an_answer() {
    let before = serve(|_, _, _| Reply::status("200 OK").stalled());
    let within = serve(|_, _, archive| Reply::ok(archive).cut(9000).stalled());
    for server in [before, within] {
        let error = install_from(&mirror_at(&server), &lock(&honest()), &Limits::default(), &impatient(1)).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert!(error.to_string().contains("100 milliseconds"), "{error}");
    }
}

#[test]
fn after_silence_the_download_goes_on() {
    let server = serve(|asked, _, archive| match asked.range_start() {
        None => Reply::ok(archive).cut(9000).stalled(),
        Some(start) => Reply::partial(archive, start),
    });
    install_from(&mirror_at(&server), &lock(&honest()), &Limits::default(), &impatient(6)).unwrap();
}

#[test]
fn a_server_that_is_not_there_is_told_in_words() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let source = Source::mirror(&format!("http://127.0.0.1:{port}")).unwrap();
    let error = install_from(&source, &lock(&honest()), &Limits::default(), &hasty(2)).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let server = serve(|asked, _, archive| {
        if asked.target().starts_with("/v0.19.2/") {
            Reply::status("302 Found").header("Location", "/attachments/1").body(b"")
        } else {
            Reply::ok(archive)
        }
    });
    download(&server, 1).unwrap();
    let circle = serve(|asked, _, _| Reply::status("302 Found").header("Location", asked.target()).body(b""));
    let error = download(&circle, 3).unwrap_err();
    assert!(matches!(error, Error::TooManyRedirects { .. }), "{error}");
}

#[test]
fn plain_http_is_taken_with_a_pin_and_refused_without() {
    let server = serve(|asked, _, archive| {
        if asked.target().ends_with("checksums.txt") {
            Reply::ok(format!("{}  {ASSET}\n", Sha256Digest::of(archive)).as_bytes())
        } else {
            Reply::ok(archive)
        }
    });
    let expected = lock(&honest());
    let mut request = Request {
        version: VersionWish::Exact(expected.version.clone()),
        prereleases: false,
        arch: expected.arch,
        variant: expected.variant,
        pinned: None,
        locked: None,
    };
    let watch = Watch::default();
    let resolve = |request: &Request<'_>| resolve(request, &mirror_at(&server), &watched(1, &watch));
    assert!(matches!(resolve(&request), Err(Error::HttpWithoutPin { .. })));
    assert!(server.requests().is_empty());
    request.pinned = Some(expected.sha256);
    let locked = resolve(&request).unwrap();
    assert_eq!(locked.sha256, expected.sha256);
    assert_eq!(locked.url, format!("{}/v0.19.2/{ASSET}", server.url()));
    assert_eq!(watch.bytes.get(), 0, "only a download that was begun is counted");
    install_from(&mirror_at(&server), &locked, &Limits::default(), &hasty(1)).unwrap();
}
