//! When a certificate is due, and what there is to tell about it. Pure: the clock is a parameter.
//!
//! A certificate is due when a third of its life is left, which is a month for one of 90 days. Where the authority says when
//! it would like it renewed (ARI, RFC 9773), that counts instead. After failures the next attempt waits, longer each time,
//! and never less than the authority asked for.

use serde::{Deserialize, Serialize};

use super::Leaf;

/// The wait after the first failed attempt, seconds. Let's Encrypt allows five failed validations an hour.
const FIRST_WAIT: u64 = 3600;
/// The longest wait after a failed attempt, seconds.
const LONGEST_WAIT: u64 = 86_400;
const DAY: u64 = 86_400;

impl Leaf {
    /// When a third of the life is left.
    fn last_third(&self) -> u64 {
        self.not_after - self.not_after.saturating_sub(self.not_before) / 3
    }

    /// Whole days until it ends; negative once it has ended.
    pub fn days_left(&self, now: u64) -> i64 {
        let days = i64::try_from(self.not_after.abs_diff(now) / DAY).unwrap_or(i64::MAX);
        // A certificate that ended an hour ago is not one with 0 days left.
        if now > self.not_after { -days - 1 } else { days }
    }
}

/// When the authority would like a certificate renewed: `suggestedWindow` of RFC 9773, section 4.2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning, seconds since 1970.
    pub start: u64,
    /// Its end, seconds since 1970.
    pub end: u64,
    /// How long not to ask again, seconds (`Retry-After`, section 4.3).
    pub ask_again: u64,
}

/// What failed lately. The caller keeps it between two runs, and forgets it after a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many attempts in a row failed.
    pub count: u32,
    /// When the last one did, seconds since 1970.
    pub last: u64,
    /// Why it did, in words.
    pub reason: String,
    /// How long the authority then asked to be left alone, seconds (`Retry-After`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_wait: Option<u64>,
}

impl Failures {
    /// When to try again: after one hour, two, four, …, a day; later where the authority asked for it.
    pub fn next_attempt(&self) -> u64 {
        let doubled = 2_u64.saturating_pow(self.count.saturating_sub(1));
        let wait = FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT);
        self.last.saturating_add(wait.max(self.asked_wait.unwrap_or(0)))
    }

    /// Until when the authority wants to be left alone. Not even a renewal by hand should come before that: it would be
    /// refused, and some count the attempt.
    pub fn refused_until(&self) -> Option<u64> {
        self.asked_wait.map(|wait| self.last.saturating_add(wait))
    }
}

/// What the renewal of one certificate is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What it says of itself.
    pub leaf: &'a Leaf,
    /// What the authority suggests, if it does.
    pub window: Option<&'a Window>,
    /// A number that belongs to the certificate and is evenly spread. It is the same at each look (a digest of the
    /// certificate does), so that the time in the window does not move.
    pub chance: u64,
    /// What failed lately.
    pub failures: Option<&'a Failures>,
}

impl Situation<'_> {
    /// When the certificate is due, failures aside.
    pub fn due(&self) -> u64 {
        self.suggested().unwrap_or_else(|| self.leaf.last_third())
    }

    /// When to try next, failures counted in.
    pub fn next_attempt(&self) -> u64 {
        self.due().max(self.held_back())
    }

    /// Until when to wait at `now`, where the next look comes after `interval` seconds; `None`: renew now. A time that the
    /// authority suggests and that lies before the next look is taken now (RFC 9773, section 4.2, step 5).
    pub fn wait(&self, now: u64, interval: u64) -> Option<u64> {
        let early = if self.suggested().is_some() { interval } else { 0 };
        (now < self.held_back() || now.saturating_add(early) < self.due()).then(|| self.next_attempt())
    }

    fn held_back(&self) -> u64 {
        self.failures.map_or(0, Failures::next_attempt)
    }

    /// A time in the authority's window. RFC 9773, section 4.2, wants one that is chosen at random, so that not everybody comes
    /// at once. A window is ignored that ends before it begins (section 4.2 says so), or after the certificate has ended: there
    /// would be a time without one.
    fn suggested(&self) -> Option<u64> {
        let window = self.window.filter(|window| window.start < window.end && window.end <= self.leaf.not_after)?;
        Some(window.start + self.chance % (window.end - window.start))
    }
}

/// Who renews a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeper {
    /// We do.
    Us,
    /// GoToSocial does, in direct mode.
    GoToSocial,
    /// Another ACME client does; its name.
    Client(String),
    /// The administrator named the files, and nobody knows who writes them.
    Administrator,
}

/// What `certificate status` tells. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Who renews it.
    pub keeper: Keeper,
    /// The names that it is for.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// Valid from.
    pub not_before: u64,
    /// Valid until.
    pub not_after: u64,
    /// Whole days left; negative once it has ended.
    pub days_left: i64,
    /// When we renew it next; `None` where somebody else does.
    pub next_renewal: Option<u64>,
    /// What failed lately.
    pub last_failure: Option<Failures>,
}

impl Status {
    /// The status of a certificate at `now`.
    pub fn of(situation: &Situation<'_>, keeper: Keeper, now: u64) -> Self {
        let leaf = situation.leaf;
        Self {
            names: leaf.names.clone(),
            issuer: leaf.issuer.clone(),
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            days_left: leaf.days_left(now),
            next_renewal: (keeper == Keeper::Us).then(|| situation.next_attempt()),
            last_failure: situation.failures.cloned(),
            keeper,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn leaf(not_before: u64, not_after: u64) -> Leaf {
        let key = super::super::KeyType::Ec;
        Leaf { names: Vec::new(), issuer: String::new(), not_before, not_after, key }
    }

    /// Ninety days from day 0.
    static NINETY: Leaf = leaf(0, 90 * DAY);

    fn situation<'a>(window: Option<&'a Window>, failures: Option<&'a Failures>) -> Situation<'a> {
        Situation { leaf: &NINETY, window, chance: 7 * DAY + 5, failures }
    }

    fn window(start: u64, end: u64) -> Window {
        Window { start: start * DAY, end: end * DAY, ask_again: 3600 }
    }

    fn failure(count: u32, asked_wait: Option<u64>) -> Failures {
        Failures { count, last: 61 * DAY, reason: "no".into(), asked_wait }
    }

    #[test]
    fn a_third_of_the_life_left_is_due() {
        let plain = situation(None, None);
        assert_eq!(plain.wait(60 * DAY - 1, DAY), Some(60 * DAY));
        assert_eq!(plain.wait(60 * DAY, DAY), None);
        assert_eq!(plain.wait(91 * DAY, DAY), None);
        assert_eq!(leaf(0, 6 * DAY).last_third(), 4 * DAY);
        assert_eq!(leaf(9, 3).last_third(), 3);
    }

    #[test]
    fn the_authority_may_want_it_earlier_or_later() {
        // The chance of 7 days and 5 seconds goes once around a window of two days.
        let early = window(10, 12);
        let chosen = 11 * DAY + 5;
        assert_eq!(situation(Some(&early), None).due(), chosen);
        assert_eq!(situation(Some(&early), None).wait(chosen - DAY - 1, DAY), Some(chosen));
        assert_eq!(situation(Some(&early), None).wait(chosen - DAY, DAY), None);
        let late = window(70, 72);
        assert_eq!(situation(Some(&late), None).wait(60 * DAY, DAY), Some(71 * DAY + 5));
    }

    #[test]
    fn a_window_that_cannot_be_followed_is_ignored() {
        for (start, end) in [(20, 20), (20, 10), (89, 91), (200, 201)] {
            let window = window(start, end);
            assert_eq!(situation(Some(&window), None).due(), 60 * DAY, "{start} to {end}");
        }
    }

    #[test]
    fn failures_hold_it_back_longer_and_longer() {
        let waits: Vec<u64> = (1..8).map(|count| (failure(count, None).next_attempt() - 61 * DAY) / 3600).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 24, 24]);
        assert_eq!(failure(u32::MAX, None).next_attempt(), 62 * DAY);
        assert_eq!(failure(1, Some(3 * DAY)).next_attempt(), 64 * DAY, "the authority's word counts if it is longer");
        assert_eq!(failure(1, Some(60)).next_attempt(), 61 * DAY + 3600);
        assert_eq!(failure(1, Some(60)).refused_until(), Some(61 * DAY + 60));
        assert_eq!(failure(1, None).refused_until(), None);
        let failed = failure(2, None);
        let held = situation(None, Some(&failed));
        assert_eq!(held.wait(61 * DAY + 7199, DAY), Some(61 * DAY + 7200));
        assert_eq!(held.wait(61 * DAY + 7200, DAY), None);
    }

    #[test]
    fn the_status_tells_who_and_when() {
        let failed = failure(1, None);
        let ours = Status::of(&situation(None, Some(&failed)), Keeper::Us, 61 * DAY);
        assert_eq!((ours.days_left, ours.next_renewal), (29, Some(61 * DAY + 3600)));
        assert_eq!(ours.last_failure, Some(failed));
        let theirs = Status::of(&situation(None, None), Keeper::Client("certbot".into()), 90 * DAY + 1);
        assert_eq!((theirs.days_left, theirs.next_renewal), (-1, None));
        let json = serde_json::to_value(&theirs).unwrap();
        assert_eq!(json["keeper"]["client"], "certbot");
    }

    proptest! {
        #[test]
        fn the_chosen_time_lies_in_the_window_and_stays(start in 0_u64..80, length in 1_u64..10, chance: u64) {
            let window = window(start, start + length);
            let situation = Situation { chance, ..situation(Some(&window), None) };
            prop_assert!((window.start..window.end).contains(&situation.due()));
            prop_assert_eq!(situation.due(), situation.due());
        }

        #[test]
        fn a_wait_always_leads_into_the_future_and_then_ends(now in 0_u64..90 * DAY, count in 0_u32..9, start in 0_u64..80) {
            let failures = (count > 0).then(|| failure(count, None));
            let window = window(start, start + 2);
            let situation = situation((start % 2 == 0).then_some(&window), failures.as_ref());
            if let Some(until) = situation.wait(now, DAY) {
                prop_assert!(until > now);
                prop_assert_eq!(situation.wait(until, DAY), None);
            }
        }
    }
}
