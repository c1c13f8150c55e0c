//! Past days. Pure.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use crate::error::{Error, Result};

/// The day a report looks at (1-product, *Any past day*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    /// The day.
    pub date: NaiveDate,
    /// Its end in UTC: what was decided before this instant counts.
    pub end: DateTime<Utc>,
}

impl AsOf {
    /// The day asked for, or today.
    ///
    /// # Errors
    /// `invalid` for a day that is still to come: it has no state yet.
    pub fn new(asked: Option<NaiveDate>, now: DateTime<Utc>) -> Result<Self> {
        let today = now.date_naive();
        let date = asked.unwrap_or(today);
        if date > today {
            return Err(Error::field("as_of", format!("It is {today} in UTC; a later day has no state yet.")));
        }
        let next = date.checked_add_days(Days::new(1)).unwrap_or(date);
        Ok(Self { date, end: next.and_time(NaiveTime::MIN).and_utc() })
    }
}
