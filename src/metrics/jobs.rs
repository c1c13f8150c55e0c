//! Reading endpoints now and then, and tidying what was read.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::read;
use super::rules::{HOURS_KEPT, MINUTES_KEPT, SCRAPE_EVERY, STALE_AFTER, Tally, floor};
use super::source::Reading;
use super::store::{self, LastReading, Latest, Slice, Target};
use crate::app::App;
use crate::audit::{Act, Who};
use crate::db::Engine;
use crate::error::Result;
use crate::ids::DeploymentId;

/// How many endpoints are read at once.
const AT_ONCE: usize = 64;
/// For how long all of them may take; those not read by then are left out.
const ROUND: Duration = Duration::from_secs(30);
/// For how long a server that has fallen silent keeps the others from reading: longer than a round.
const LEASE: TimeDelta = TimeDelta::seconds(45);
/// The time that the table's figures cover, in minutes.
const LATELY: i64 = 5;
/// How many deployments are rolled up in one transaction.
const TOGETHER: usize = 50;

/// Reads endpoints. Counters only mean something by their growth, so what each said last is kept in the
/// database: another server that takes over, or this one after a restart, counts on from there.
#[derive(Debug)]
pub struct Scraper {
    client: reqwest::Client,
    /// The fence of the lease that this server holds, or held last.
    fence: Option<i64>,
    /// The last readings, as the database has them for as long as the lease is held.
    last: HashMap<DeploymentId, LastReading>,
}

/// Reads every endpoint for as long as the server runs, while no other server does.
pub async fn keep_measuring(app: App) {
    if let Err(error) = measure(&app).await {
        error.log();
    }
}

async fn measure(app: &App) -> Result<()> {
    let mut scraper = Scraper::new()?;
    if app.db.engine() == Engine::Sqlite {
        let mut tx = app.db.begin().await?;
        store::release(&mut tx, app.now()).await?;
        tx.commit().await?;
    }
    let mut beat = tokio::time::interval(SCRAPE_EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for round in 0_u64.. {
        beat.tick().await;
        match scraper.scrape(app).await {
            Ok(true) if round % 60 == 0 => {
                if let Err(error) = tidy(app).await {
                    tracing::warn!(%error, "cannot roll statistics up; trying again");
                }
            }
            Ok(_) => (),
            Err(error) => tracing::warn!(%error, "cannot keep statistics; trying again"),
        }
    }
    Ok(())
}

impl Scraper {
    /// A scraper that has read nothing yet.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new() -> Result<Self> {
        Ok(Self { client: read::client()?, fence: None, last: HashMap::new() })
    }

    /// Reads every endpoint once and keeps what came since the last time; false if that is another server's part.
    /// What cannot be read is left out: its figures grow stale, and the pages say so.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn scrape(&mut self, app: &App) -> Result<bool> {
        let Some(fence) = self.hold(app).await? else { return Ok(false) };
        let targets = store::targets(&app.db).await?;
        let read = self.read_all(&targets).await;
        let now = app.now();
        let mut round = Round::default();
        for target in &targets {
            let Some(reading) = read.get(&target.deployment_id) else { continue };
            round.measured.push(target.deployment_id);
            self.compare(target, reading, floor(now, 60), &mut round);
        }
        if !keep(app, fence, now, &round).await? {
            tracing::info!("another server reads the endpoints now");
            return Ok(false);
        }
        self.last.extend(round.readings.into_iter().map(|one| (one.deployment_id, one)));
        Ok(true)
    }

    /// Takes or keeps the right to read. Whoever takes it begins with what the database says was read last.
    async fn hold(&mut self, app: &App) -> Result<Option<i64>> {
        let now = app.now();
        let mut tx = app.db.begin().await?;
        let fence = store::hold(&mut tx, self.fence, now, now + LEASE).await?;
        tx.commit().await?;
        if fence.is_some() && fence != self.fence {
            let readings = store::last_readings(&app.db).await?;
            self.last = readings.into_iter().map(|one| (one.deployment_id, one)).collect();
            self.fence = fence;
        }
        Ok(fence)
    }

    async fn read_all(&self, targets: &[Target]) -> HashMap<DeploymentId, Reading> {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut under_way = JoinSet::new();
        for target in targets {
            let (client, places, target) = (self.client.clone(), Arc::clone(&places), target.clone());
            under_way.spawn(async move {
                let _place = places.acquire_owned().await.ok()?;
                match read::read(&client, &target.metrics_source, target.external).await {
                    Ok(reading) => Some((target.deployment_id, reading)),
                    Err(error) => {
                        tracing::debug!(%error, deployment = %target.deployment_id, "cannot read metrics");
                        None
                    }
                }
            });
        }
        let mut read = HashMap::new();
        let all = async {
            while let Some(done) = under_way.join_next().await {
                read.extend(done.ok().flatten());
            }
        };
        if tokio::time::timeout(ROUND, all).await.is_err() {
            tracing::warn!(read = read.len(), of = targets.len(), "not all endpoints could be read in time");
        }
        read
    }

    /// Works out what came since the last reading. An endpoint that was never read, or is now read elsewhere, is
    /// another process than before: all that it counted is new. Not so an external one: what it counted before it was
    /// registered is not known to be of this version; and where several processes are summed up, a sum that falls tells
    /// that one of them was started again, not what came.
    fn compare(&self, target: &Target, reading: &Reading, minute: DateTime<Utc>, round: &mut Round) {
        let before = self.last.get(&target.deployment_id).filter(|last| last.source == target.metrics_source);
        if before.is_some_and(|before| before.reading == *reading) {
            return;
        }
        let nothing = Reading::default();
        let then = before.map_or(&nothing, |before| &before.reading);
        if !target.external
            || (before.is_some() && (!target.sums_several() || reading.real.grown(&then.real).is_some()))
        {
            let (real, synthetic) = (reading.real.since(&then.real), reading.synthetic.since(&then.synthetic));
            for (synthetic, tally) in [(false, real), (true, synthetic)] {
                if tally.requests > 0 || tally.sketch.count() > 0 {
                    round.new.push(Slice { deployment_id: target.deployment_id, starts_at: minute, synthetic, tally });
                }
            }
        }
        round.readings.push(LastReading {
            deployment_id: target.deployment_id,
            source: target.metrics_source.clone(),
            reading: reading.clone(),
        });
    }
}

/// What one round brought.
#[derive(Debug, Default)]
struct Round {
    /// The endpoints that could be read.
    measured: Vec<DeploymentId>,
    /// What came since the last time.
    new: Vec<Slice>,
    /// The readings that differ from the last.
    readings: Vec<LastReading>,
}

/// Adds to the current minute, and works out the figures of the table: six statements, however many
/// deployments there are. Nothing is written, and false told, if another server reads by now.
async fn keep(app: &App, fence: i64, now: DateTime<Utc>, round: &Round) -> Result<bool> {
    let minute = floor(now, 60);
    let since = minute - TimeDelta::minutes(LATELY - 1);
    let mut act = Act::begin(app, &Who::system("statistics")).await?;
    if !store::holds(&mut act.tx, fence).await? {
        return Ok(false);
    }
    let recent = store::between(&mut act.tx, &round.measured, 60, since, now + TimeDelta::seconds(1)).await?;
    let (stored, mut recent): (Vec<_>, Vec<_>) = recent.into_iter().partition(|one| one.starts_at == minute);
    let mut current: HashMap<_, _> = stored.into_iter().map(|one| ((one.deployment_id, one.synthetic), one)).collect();
    for one in &round.new {
        match current.entry((one.deployment_id, one.synthetic)) {
            Entry::Occupied(mut stored) => stored.get_mut().tally.add(&one.tally)?,
            Entry::Vacant(place) => drop(place.insert(one.clone())),
        }
    }
    recent.extend(current.values().cloned());
    let current: Vec<_> = current.into_values().collect();
    store::put(&mut act.tx, 60, minute, &current).await?;
    let seconds = (now - since).num_seconds().max(1) as f64;
    store::put_latest(&mut act.tx, &latest(&round.measured, &recent, seconds)?, now).await?;
    store::put_readings(&mut act.tx, &round.readings).await?;
    let taken_back = store::take_back(&mut act.tx, now - STALE_AFTER).await?;
    if taken_back > 0 || !round.measured.is_empty() {
        act.tell("statistics");
    }
    act.commit().await?;
    Ok(true)
}

/// The table's figures: of real requests only.
fn latest(measured: &[DeploymentId], recent: &[Slice], seconds: f64) -> Result<Vec<Latest>> {
    let mut sums: HashMap<DeploymentId, Tally> = HashMap::new();
    for one in recent.iter().filter(|one| !one.synthetic) {
        sums.entry(one.deployment_id).or_default().add(&one.tally)?;
    }
    let figure = |deployment: &DeploymentId| {
        let sum = sums.get(deployment).filter(|sum| sum.requests > 0);
        Latest {
            deployment_id: *deployment,
            requests_per_s: sum.map(|sum| sum.requests as f64 / seconds),
            p95_ms: sum.and_then(|sum| sum.sketch.quantile_ms(0.95)),
            error_rate: sum.and_then(Tally::error_rate),
        }
    };
    Ok(measured.iter().map(figure).collect())
}

/// Rolls full hours up, and forgets what is too old. Doing it twice changes nothing.
///
/// # Errors
/// Only failures of the database.
pub async fn tidy(app: &App) -> Result<()> {
    let now = app.now();
    let this_hour = floor(now, 3600);
    // Nothing is ever added to a minute that is over, so an hour that was rolled up is done.
    let rolled = store::last_hour(&app.db).await?.map_or(now - MINUTES_KEPT, |last| last + TimeDelta::hours(1));
    if let Some(first) = store::first_minute(&app.db, rolled, this_hour).await? {
        let mut hour = floor(first, 3600);
        while hour < this_hour {
            roll_up(app, hour).await?;
            hour += TimeDelta::hours(1);
        }
    }
    let mut act = Act::begin(app, &Who::system("statistics")).await?;
    store::forget(&mut act.tx, 60, now - MINUTES_KEPT).await?;
    store::forget(&mut act.tx, 3600, now - HOURS_KEPT).await?;
    store::forget_readings(&mut act.tx).await?;
    act.commit().await
}

async fn roll_up(app: &App, hour: DateTime<Utc>) -> Result<()> {
    let end = hour + TimeDelta::hours(1);
    for some in store::with_minutes(&app.db, hour, end).await?.chunks(TOGETHER) {
        let mut act = Act::begin(app, &Who::system("statistics")).await?;
        let mut sums: HashMap<(DeploymentId, bool), Tally> = HashMap::new();
        for minute in store::between(&mut act.tx, some, 60, hour, end).await? {
            sums.entry((minute.deployment_id, minute.synthetic)).or_default().add(&minute.tally)?;
        }
        let slices: Vec<Slice> = sums
            .into_iter()
            .map(|((deployment_id, synthetic), tally)| Slice { deployment_id, starts_at: hour, synthetic, tally })
            .collect();
        store::put(&mut act.tx, 3600, hour, &slices).await?;
        act.commit().await?;
    }
    Ok(())
}
