//! Downloads that somebody stops, at a moment when the network would keep them for long, and what is left to go on with.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gts_bootstrap::release::{
    Error, Fetcher, HttpSettings, Limits, Progress, Retry, Source, Target, fetch, newest, verify,
};
use tempfile::TempDir;

use super::archives::honest;
use super::places::{fetcher, lock, mirror, names_in, watched};
use super::server::{Asked, Reply, Server};

/// Far longer than a test may take; and than a stop may.
const LONG: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_secs(20);

/// Wants to stop some moments after this many bytes have come.
#[derive(Default)]
struct StopsAfter {
    bytes: u64,
    come: Cell<u64>,
    resumed: Cell<u64>,
    asked: Cell<u32>,
}

impl StopsAfter {
    fn bytes(bytes: u64) -> Self {
        Self { bytes, ..Self::default() }
    }
}

impl Progress for StopsAfter {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, bytes: u64) {
        self.come.set(self.come.get() + bytes);
    }
    fn retry(&self, _: &str, _: Duration) {}
    fn done(&self) {}
    fn resumes(&self, bytes: u64) {
        self.resumed.set(bytes);
    }
    fn stops(&self) -> bool {
        // Not at the first question: whoever asks has to ask again.
        self.asked.set(self.asked.get() + u32::from(self.come.get() >= self.bytes));
        self.asked.get() > 2
    }
}

/// A client that waits long for everything.
fn patient(progress: &dyn Progress) -> Fetcher<'_> {
    waiting_first(LONG, progress)
}

fn waiting_first(first_wait: Duration, progress: &dyn Progress) -> Fetcher<'_> {
    let retry = Retry { attempts: 6, first_wait, longest_wait: LONG };
    fetcher(HttpSettings { connect: LONG, idle: LONG, retry }, progress)
}

struct Place {
    parent: TempDir,
    store: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { parent: tempfile::tempdir().unwrap(), store: tempfile::tempdir().unwrap() }
    }

    fn fetch(&self, source: &Source, fetcher: &Fetcher<'_>) -> Result<(), Error> {
        let directory = self.parent.path().join("0.19.2");
        let target = Target { directory: &directory, partial: &self.store.path().join("download") };
        fetch(&lock(&honest()), source, target, &Limits::default(), fetcher)
            .map(|()| assert!(verify(&directory).unwrap().is_intact()))
    }

    fn kept(&self) -> Option<Vec<u8>> {
        let folder = self.store.path().join("download");
        let name = names_in(self.store.path()).first().map(|_| names_in(&folder).remove(0))?;
        let file = folder.join(name);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        Some(fs::read(file).unwrap())
    }
}

fn source(server: &Server) -> Source {
    Source::mirror(&server.url()).unwrap()
}

#[track_caller]
fn stops_soon(what: impl FnOnce() -> Result<(), Error>) {
    let began = Instant::now();
    let outcome = what();
    assert!(matches!(outcome, Err(Error::Stopped)), "{outcome:?}");
    assert!(began.elapsed() < SOON, "only after {:?}", began.elapsed());
}

#[test]
fn silence_and_waits_are_left_at_once() {
    let before = Server::start(|_, _| Reply::status("200 OK").stalled());
    let within = Server::start(|_, _| Reply::ok(&honest()).cut(9000).stalled());
    let retry = Server::start(|_, _| Reply::ok(&honest()).cut(9000));
    let asked_to_wait = Server::start(|_, _| Reply::status("503 Service Unavailable").header("Retry-After", "500"));
    let skipping = Server::start(|_, number| match number {
        0 => Reply::ok(&honest()).cut(9000),
        _ => Reply::ok(&honest()).cut(4000).stalled(),
    });
    for (server, bytes, first_wait) in [
        (before, 0, LONG),
        (within, 9000, LONG),
        (retry, 9000, LONG),
        (asked_to_wait, 0, LONG),
        (skipping, 9000, Duration::from_millis(1)),
    ] {
        let place = Place::new();
        stops_soon(|| place.fetch(&source(&server), &waiting_first(first_wait, &StopsAfter::bytes(bytes))));
        assert_eq!(names_in(place.parent.path()), Vec::<String>::new());
        assert_eq!(place.kept().unwrap().len() as u64, bytes, "what has come is kept");
    }
}

#[test]
fn lists_and_checksums_and_mirror_folders_can_be_stopped_too() {
    let server = Server::start(|_, _| Reply::status("200 OK").stalled());
    let upstream = Source::Upstream(server.url().parse().unwrap());
    let folder = || {
        let (_mirror, source) = mirror(&honest());
        let at_once = StopsAfter { asked: Cell::new(2), ..StopsAfter::bytes(0) };
        Place::new().fetch(&source, &patient(&at_once))
    };
    stops_soon(folder);
    // An `Upstream` without https is refused before anything is asked only where bytes are to be trusted.
    stops_soon(|| newest(&upstream, false, &patient(&StopsAfter::bytes(0))).map(drop));
}

#[test]
fn whoever_does_not_stop_after_all_goes_on_with_the_same_answer() {
    struct Hesitates {
        come: Cell<u64>,
        gate: Arc<AtomicBool>,
    }
    impl Progress for Hesitates {
        fn begin(&self, _: &str, _: Option<u64>) {}
        fn advance(&self, bytes: u64) {
            self.come.set(self.come.get() + bytes);
        }
        fn retry(&self, _: &str, _: Duration) {}
        fn done(&self) {}
        fn stops(&self) -> bool {
            if self.come.get() >= 9000 {
                self.gate.store(true, Ordering::SeqCst);
            }
            false
        }
    }
    let gate = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let gate = Arc::clone(&gate);
        move |_, _| Reply::ok(&honest()).gated(9000, &gate)
    });
    let watch = Hesitates { come: Cell::new(0), gate };
    let place = Place::new();
    place.fetch(&source(&server), &patient(&watch)).unwrap();
    assert_eq!((watch.come.get(), server.requests().len()), (honest().len() as u64, 1));
    assert_eq!(place.kept(), None);
}

/// A server of the honest archive whose first answer stops after 9000 bytes.
fn breaking(ranges: bool) -> Server {
    Server::start(move |asked: &Asked, number| {
        let archive = honest();
        match (number, asked.range_start()) {
            (0, _) => Reply::ok(&archive).cut(9000).stalled(),
            (_, Some(start)) if ranges => Reply::partial(&archive, start),
            _ => Reply::ok(&archive),
        }
    })
}

#[test]
fn what_was_kept_is_not_fetched_again() {
    for ranges in [true, false] {
        let (server, place) = (breaking(ranges), Place::new());
        stops_soon(|| place.fetch(&source(&server), &patient(&StopsAfter::bytes(9000))));
        let watch = StopsAfter::bytes(u64::MAX);
        place.fetch(&source(&server), &watched(1, &watch)).unwrap();
        assert_eq!(watch.resumed.get(), 9000);
        assert_eq!(watch.come.get(), honest().len() as u64);
        let starts: Vec<_> = server.requests().iter().map(Asked::range_start).collect();
        assert_eq!(starts, [None, Some(9000)]);
        assert_eq!(place.kept(), None);
    }
}

#[test]
fn what_was_kept_and_is_of_no_use_is_fetched_anew() {
    let spoil: [fn(&Path); 3] = [
        |file| fs::write(file, [7; 9000]).unwrap(),
        |file| fs::write(file, honest()).unwrap(),
        |file| fs::write(file, [honest(), honest()].concat()).unwrap(),
    ];
    for spoil in spoil {
        let server = Server::start(|asked: &Asked, number| {
            let archive = honest();
            match (number, asked.range_start()) {
                (0, _) => Reply::ok(&archive).cut(9000).stalled(),
                (_, Some(start)) if start < archive.len() => Reply::partial(&archive, start),
                (_, Some(_)) => Reply::status("416 Range Not Satisfiable").body(b""),
                (_, None) => Reply::ok(&archive),
            }
        });
        let place = Place::new();
        stops_soon(|| place.fetch(&source(&server), &patient(&StopsAfter::bytes(9000))));
        let folder = place.store.path().join("download");
        spoil(&folder.join(names_in(&folder).remove(0)));
        place.fetch(&source(&server), &watched(1, &StopsAfter::bytes(u64::MAX))).unwrap();
        assert_eq!(server.requests().last().unwrap().range_start(), None, "begun anew");
        assert_eq!(place.kept(), None);
    }
}

#[test]
fn what_was_stopped_after_the_download_is_not_downloaded_again() {
    #[derive(Default)]
    struct StopsWhenDone(Cell<bool>);
    impl Progress for StopsWhenDone {
        fn done(&self) {
            self.0.set(true);
        }
        fn stops(&self) -> bool {
            self.0.get()
        }
    }
    let (server, place) = (Server::start(|_, _| Reply::ok(&honest())), Place::new());
    stops_soon(|| place.fetch(&source(&server), &patient(&StopsWhenDone::default())));
    assert_eq!(names_in(place.parent.path()), Vec::<String>::new());
    assert_eq!(place.kept(), Some(honest()));
    place.fetch(&source(&server), &watched(1, &StopsAfter::bytes(u64::MAX))).unwrap();
    assert_eq!(server.requests().len(), 1);
    assert_eq!(place.kept(), None);
}

#[test]
fn an_archive_that_is_wrong_is_not_fetched_for_ever() {
    let server = Server::start(|asked: &Asked, number| {
        let mut archive = honest();
        if number > 0 {
            archive[20_000] ^= 1;
        }
        match asked.range_start() {
            None if number == 0 => Reply::ok(&archive).cut(9000).stalled(),
            None => Reply::ok(&archive),
            Some(start) => Reply::partial(&archive, start),
        }
    });
    let place = Place::new();
    stops_soon(|| place.fetch(&source(&server), &patient(&StopsAfter::bytes(9000))));
    let error = place.fetch(&source(&server), &watched(1, &StopsAfter::bytes(u64::MAX))).unwrap_err();
    assert!(matches!(error, Error::WrongDigest { .. }), "{error}");
    assert_eq!(server.requests().len(), 3);
    assert_eq!(place.kept(), None);
}
