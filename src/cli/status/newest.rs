//! The newest release, asked for where the installation had its own from, and not waited for.

use std::time::{Duration, Instant};

use semver::Version;

use crate::cli::open::Opened;
use crate::deployment::Layout;
use crate::parts::answers;
use crate::release::{self, Error, Fetcher, HttpSettings, LockedRelease, Progress, Retry, Source};
use crate::run::Releases as _;
use crate::status::Newest;

/// For the connection.
const CONNECT: Duration = Duration::from_secs(3);
/// For the beginning of an answer, and between two pieces of it.
const IDLE: Duration = Duration::from_secs(4);
/// For everything, the name server included.
const PATIENCE: Duration = Duration::from_secs(8);

/// Asks for the newest release, and gives up soon.
pub(super) fn ask(opened: &Opened, layout: &Layout, lock: &LockedRelease) -> Newest {
    newest(opened, layout, lock).map_or_else(Newest::Unknown, Newest::Known)
}

fn newest(opened: &Opened, layout: &Layout, lock: &LockedRelease) -> Result<Version, String> {
    let deployment = answers::deployed(opened.host(), layout).ok().flatten();
    let prereleases = deployment.is_some_and(|deployment| deployment.release.prereleases);
    let source = if opened.are_rehearsed() && lock.is_rehearsal() {
        opened.source(&[]).map_err(|stop| stop.why)?
    } else {
        let source = Source::recorded(&lock.url, &lock.version, &lock.asset);
        source.ok_or_else(|| format!("{} is not a source of releases", lock.url))?
    };
    let ids = opened.host().stranger().map_err(|error| error.to_string())?;
    let (retry, patience) = (Retry { attempts: 1, ..Retry::default() }, Patience(Instant::now()));
    let fetcher = Fetcher::new(HttpSettings { connect: CONNECT, idle: IDLE, retry }, ids, &patience);
    told(&source, release::newest(&source, prereleases, &fetcher).map(|release| release.version))
}

/// Ends what takes too long: a name server that does not answer blocks much longer than a user waits for a screen.
struct Patience(Instant);

impl Progress for Patience {
    fn stops(&self) -> bool {
        self.0.elapsed() > PATIENCE
    }
}

/// The version, or why it is not known.
fn told(source: &Source, found: Result<Version, Error>) -> Result<Version, String> {
    match found {
        Ok(version) => Ok(version),
        Err(Error::NoCatalogue { .. }) => Err(format!("{source} has no list of releases")),
        Err(Error::Stopped | Error::Unreachable { .. } | Error::TimedOut { .. } | Error::BrokenOff { .. }) => {
            let server = match source {
                Source::Upstream(url) => url.as_str().trim_start_matches("https://").to_owned(),
                other => other.to_string(),
            };
            Err(format!("{server} does not answer"))
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_told_in_a_few_words() {
        let upstream = Source::upstream();
        let unknown = |why: &str| Err(why.to_owned());
        let version = Version::new(0, 19, 2);
        assert_eq!(told(&upstream, Ok(version.clone())), Ok(version));
        assert_eq!(told(&upstream, Err(Error::Stopped)), unknown("codeberg.org does not answer"));
        let unreachable = Error::Unreachable("https://codeberg.org/x".into(), "refused".into());
        assert_eq!(told(&upstream, Err(unreachable)), unknown("codeberg.org does not answer"));
        let mirror = Source::mirror("https://mirror.example.org").unwrap();
        let none = Error::NoCatalogue(mirror.to_string());
        assert_eq!(told(&mirror, Err(none)), unknown("the mirror https://mirror.example.org has no list of releases"));
    }
}
