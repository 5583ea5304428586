//! How long a job that failed waits: Sidekiq's formula.

use std::time::Duration;

/// The wait after a failure, where the job failed `failures` times before: `failures⁴ + 15 + 0 … 10 · (failures + 1) - 1`
/// seconds. `roll` answers a number below the one that it is given.
pub fn retry_delay(failures: u32, roll: &mut dyn FnMut(u64) -> u64) -> Duration {
    let failures = u64::from(failures);
    let most = 10 * (failures + 1);
    let jitter = roll(most).min(most - 1);
    Duration::from_secs(failures.saturating_pow(4) + 15 + jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failures: u32, least: u64, most: u64) {
        assert_eq!(retry_delay(failures, &mut |_| 0).as_secs(), least);
        assert_eq!(retry_delay(failures, &mut |below| below - 1).as_secs(), most);
        assert_eq!(retry_delay(failures, &mut |_| u64::MAX).as_secs(), most, "out of range");
    }

    #[test]
    fn waits_grow_as_sidekiqs_do() {
        check(0, 15, 24);
        check(1, 16, 35);
        check(2, 31, 60);
        check(24, 331_791, 332_040);
    }

    #[test]
    fn all_of_them_together_take_three_weeks() {
        let least: u64 = (0..25).map(|it| retry_delay(it, &mut |_| 0).as_secs()).sum();
        let most: u64 = (0..25).map(|it| retry_delay(it, &mut |below| below - 1).as_secs()).sum();
        assert_eq!((least / 86_400, most / 86_400), (20, 20));
    }
}
