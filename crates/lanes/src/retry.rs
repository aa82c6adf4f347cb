//! When a failed delivery is tried again.

use std::str::FromStr;
use std::time::Duration;

use postrider_model::delivery::Progress;
use postrider_model::limits::{EXPIRY_GRACE, RETRY_AFTER_MAX};
use postrider_model::time::Timestamp;

use crate::chance::Chance;

/// Most delays in a schedule.
pub const SCHEDULE_DELAYS_MAX: usize = 100;
/// The longest delay in a schedule.
pub const SCHEDULE_DELAY_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// The delays between the attempts of a delivery: one attempt more than there are delays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule {
    delays: Vec<Duration>,
    length: Duration,
}

/// A text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Neither a number with one of the units, nor such numbers parted by commas.
    #[error("{0:?} is not a delay such as 500ms, 5s, 2m, 1h or 1d")]
    Delay(String),
    /// A delay of more than 30 days.
    #[error("{0:?} is longer than 30 days")]
    TooLong(String),
    /// More than 100 delays.
    #[error("a schedule has at most {SCHEDULE_DELAYS_MAX} delays")]
    TooMany,
}

impl RetrySchedule {
    /// A schedule of these delays; none means that there is one attempt only. What is beyond the limits is cut.
    pub fn new(delays: impl IntoIterator<Item = Duration>) -> Self {
        let delays: Vec<Duration> = delays
            .into_iter()
            .take(SCHEDULE_DELAYS_MAX)
            .map(|delay| delay.min(SCHEDULE_DELAY_MAX))
            .collect();
        let length = delays.iter().sum();
        Self { delays, length }
    }

    /// How many attempts it gives a delivery.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.delays.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// From the first attempt to the last, without jitter.
    pub const fn length(&self) -> Duration {
        self.length
    }

    /// Whether a delivery whose turn has come is too old to be sent.
    pub fn is_expired(&self, progress: Progress, now: Timestamp) -> bool {
        now.since(progress.schedule_began_at) > self.length + EXPIRY_GRACE
    }

    /// When the next attempt is due after attempt `progress.attempts + 1` failed at `now`; `None` where the schedule is used up.
    pub(crate) fn next_due(
        &self,
        progress: Progress,
        now: Timestamp,
        retry_after: Option<Duration>,
        chance: &mut Chance,
    ) -> Option<Timestamp> {
        let delay = *self.delays.get(progress.in_schedule() as usize)?;
        // A longer Retry-After is obeyed; a shorter one does not hurry us.
        let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        Some(now + chance.jitter(delay).max(asked))
    }
}

impl Default for RetrySchedule {
    /// 5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 2 h, 4 h, 8 h, 12 h, 24 h, 24 h: 13 attempts over 3 days.
    fn default() -> Self {
        const HOUR: u64 = 3_600;
        let seconds = [
            5,
            30,
            120,
            600,
            1_800,
            HOUR,
            2 * HOUR,
            4 * HOUR,
            8 * HOUR,
            12 * HOUR,
            24 * HOUR,
            24 * HOUR,
        ];
        Self::new(seconds.map(Duration::from_secs))
    }
}

impl FromStr for RetrySchedule {
    type Err = ScheduleError;

    /// Reads `5s,30s,2m`: units are ms, s, m, h and d.
    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let delays = text.split(',').map(parse_delay).collect::<Result<Vec<_>, _>>()?;
        if delays.len() > SCHEDULE_DELAYS_MAX {
            return Err(ScheduleError::TooMany);
        }
        Ok(Self::new(delays))
    }
}

fn parse_delay(text: &str) -> Result<Duration, ScheduleError> {
    let refused = || ScheduleError::Delay(text.to_owned());
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(refused)?;
    let (number, unit) = text.split_at_checked(digits).ok_or_else(refused)?;
    let number: u64 = number.parse().map_err(|_| refused())?;
    let unit_millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(refused()),
    };
    let delay = Duration::from_millis(number.saturating_mul(unit_millis));
    if delay > SCHEDULE_DELAY_MAX {
        return Err(ScheduleError::TooLong(text.to_owned()));
    }
    Ok(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: Timestamp = Timestamp::from_millis(1_000_000);

    fn after(attempts: u32) -> Progress {
        Progress {
            attempts,
            ..Progress::new(BEGAN)
        }
    }

    #[test]
    fn the_default_is_thirteen_attempts_over_three_days() {
        let schedule = RetrySchedule::default();
        assert_eq!(schedule.attempts(), 13);
        assert_eq!(schedule.length(), Duration::from_secs(5 + 30 + 120 + 600 + 1_800 + 75 * 3_600));
        assert_eq!("5s,30s,2m,10m,30m,1h,2h,4h,8h,12h,24h,1d".parse(), Ok(schedule));
    }

    #[test]
    fn a_text_that_is_no_schedule_is_named() {
        for text in ["", "5", "s", "5s,", "5s,,1m", "-5s", "5 s", "5w", "1.5s", "5S"] {
            assert!(matches!(text.parse::<RetrySchedule>(), Err(ScheduleError::Delay(_))), "{text:?}");
        }
        assert_eq!("31d".parse::<RetrySchedule>(), Err(ScheduleError::TooLong("31d".to_owned())));
        assert_eq!(vec!["1s"; 101].join(",").parse::<RetrySchedule>(), Err(ScheduleError::TooMany));
        assert_eq!(
            " 5s , 250ms".parse(),
            Ok(RetrySchedule::new([Duration::from_secs(5), Duration::from_millis(250)]))
        );
    }

    #[test]
    fn each_delay_comes_in_its_turn_and_then_no_more() {
        let schedule = RetrySchedule::default();
        let mut chance = Chance::new(3);
        for (made, delay) in (0..).zip(&schedule.delays) {
            let next = schedule.next_due(after(made), BEGAN, None, &mut chance).unwrap();
            assert!(
                next.since(BEGAN) >= *delay * 9 / 10 && next.since(BEGAN) <= *delay * 11 / 10,
                "{made}"
            );
        }
        assert_eq!(schedule.next_due(after(12), BEGAN, None, &mut chance), None);
        assert_eq!(
            schedule.next_due(after(12), BEGAN, Some(Duration::from_secs(60)), &mut chance),
            None
        );
    }

    #[test]
    fn a_schedule_begun_anew_gives_all_its_attempts_again() {
        let progress = Progress {
            attempts: 13,
            schedule_base: 13,
            schedule_began_at: BEGAN,
        };
        let next = RetrySchedule::default().next_due(progress, BEGAN, None, &mut Chance::new(3));
        assert!(next.unwrap().since(BEGAN) <= Duration::from_millis(5_500));
    }

    #[test]
    fn only_a_longer_retry_after_is_obeyed_and_it_is_cut_to_a_day() {
        let schedule = RetrySchedule::new([Duration::from_secs(10)]);
        let next = |asked| {
            schedule
                .next_due(after(0), BEGAN, Some(Duration::from_secs(asked)), &mut Chance::new(3))
                .unwrap()
        };
        assert!(next(1).since(BEGAN) >= Duration::from_secs(9));
        assert_eq!(next(60).since(BEGAN), Duration::from_secs(60));
        assert_eq!(next(1_000_000).since(BEGAN), RETRY_AFTER_MAX);
    }

    #[test]
    fn expired_is_later_than_the_length_and_a_day() {
        let schedule = RetrySchedule::new([Duration::from_secs(10)]);
        let end = BEGAN + Duration::from_secs(10) + EXPIRY_GRACE;
        assert!(!schedule.is_expired(after(0), end));
        assert!(schedule.is_expired(after(0), end + Duration::from_millis(1)));
    }
}
