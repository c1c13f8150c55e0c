//! When a process that died is started again: at once, and then with pauses that double. Pure.

use std::time::Duration;

/// How far back starts count.
pub(super) const MEMORY: Duration = Duration::from_secs(600);
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// What to do about a process that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Start it.
    Now,
    /// Start it at that instant, in milliseconds since 1970.
    At(u64),
}

/// Decides from the instants of the last starts (ascending, milliseconds since 1970). The first death is answered at
/// once, the next a second after the last start, then two, four, up to a minute: for as long as it takes.
#[must_use]
pub fn decide(starts: &[u64], now: u64) -> Restart {
    let recent = starts.iter().filter(|start| now.saturating_sub(**start) < millis(MEMORY)).count();
    let Some(last) = starts.last().filter(|_| recent > 1) else { return Restart::Now };
    let doublings = u32::try_from(recent - 2).unwrap_or(u32::MAX);
    let pause = FIRST.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST);
    let at = last.saturating_add(millis(pause));
    if at <= now { Restart::Now } else { Restart::At(at) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut starts = vec![1_000_000];
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let last = starts[starts.len() - 1];
            match decide(&starts, last) {
                Restart::Now => pauses.push(0),
                Restart::At(at) => pauses.push((at - last) / 1000),
            }
            starts.push(last + pauses[pauses.len() - 1] * 1000);
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_long_life_is_forgiven() {
        let starts: Vec<_> = (0..10).map(|second| second * 1000).collect();
        assert_eq!(decide(&starts, 9000 + millis(MEMORY)), Restart::Now);
    }

    proptest! {
        #[test]
        fn nobody_waits_longer_than_a_minute(mut starts in prop::collection::vec(0_u64..10_000_000, 0..20), later in 0_u64..1_000_000) {
            starts.sort_unstable();
            let now = starts.last().unwrap_or(&0) + later;
            if let Restart::At(at) = decide(&starts, now) {
                prop_assert!(at > now && at - now <= 60_000);
            }
        }
    }
}
