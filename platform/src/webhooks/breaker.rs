//! When an endpoint that fails is left alone for a while.

use std::time::Duration;

/// Failures in a row that stop it.
const MOST_FAILURES: i64 = 5;
/// For how many minutes, the first time, the second, and so on.
const PAUSES: [u64; 5] = [1, 5, 15, 60, 240];

/// How an endpoint did lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    /// How often it failed in a row.
    pub(super) failures: i64,
    /// How often that stopped it since it answered last.
    pub(super) trips: i64,
}

impl Health {
    /// After it answered well.
    pub(super) fn well() -> Self {
        Self::default()
    }

    /// After it failed once more, and for how long it is left alone, if it is: once it was stopped, one failure more
    /// stops it again, for longer.
    pub(super) fn failed(self) -> (Self, Option<Duration>) {
        let failures = self.failures.saturating_add(1);
        if failures < MOST_FAILURES {
            return (Self { failures, ..self }, None);
        }
        let last = PAUSES.len() - 1;
        let which = usize::try_from(self.trips).unwrap_or(0).min(last);
        let pause = PAUSES.get(which).map(|minutes| Duration::from_secs(60 * minutes));
        (Self { failures, trips: self.trips.saturating_add(1) }, pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_failure_stops_it_and_each_further_one_for_longer() {
        let mut health = Health::well();
        let mut pauses = Vec::new();
        for _ in 0..11 {
            let (next, pause) = health.failed();
            health = next;
            pauses.push(pause.map(|it| it.as_secs() / 60));
        }
        let (no, some) = (None, Some);
        assert_eq!(
            pauses,
            [no, no, no, no, some(1), some(5), some(15), some(60), some(240), some(240), some(240)]
        );
        assert_eq!(Health::well().failed(), (Health { failures: 1, trips: 0 }, None));
    }
}
