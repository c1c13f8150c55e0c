//! Reading endpoints now and then, and tidying what was read.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use countersign_runtimes::exposition;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::rules::{HOURS_KEPT, MINUTES_KEPT, SCRAPE_EVERY, Tally, floor};
use super::source::{MetricsSource, Reading};
use super::store::{self, Latest, Slice, Target};
use crate::app::App;
use crate::audit::{Act, Who};
use crate::error::{Error, Result};
use crate::ids::DeploymentId;

/// How many endpoints are read at once.
const AT_ONCE: usize = 32;
/// For how long an endpoint may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest page of metrics that is read.
const LARGEST: usize = 8 << 20;
/// The time that the table's figures cover, in minutes.
const LATELY: i64 = 5;
/// How many deployments are rolled up in one transaction.
const TOGETHER: usize = 50;

/// Reads endpoints, and remembers what each said last: counters only mean something by their growth.
#[derive(Debug)]
pub struct Scraper {
    client: reqwest::Client,
    last: HashMap<DeploymentId, [Reading; 2]>,
    started: DateTime<Utc>,
}

/// Reads every endpoint for as long as the server runs.
pub async fn keep_measuring(app: App) {
    let mut scraper = match Scraper::new(&app) {
        Ok(scraper) => scraper,
        Err(error) => return error.log(),
    };
    let every = SCRAPE_EVERY.to_std().unwrap_or(PATIENCE);
    let mut beat = tokio::time::interval(every);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for round in 0_u64.. {
        beat.tick().await;
        if let Err(error) = scraper.scrape(&app).await {
            tracing::warn!(%error, "cannot keep statistics; trying again");
        }
        if round % 60 == 0
            && let Err(error) = tidy(&app).await
        {
            tracing::warn!(%error, "cannot roll statistics up; trying again");
        }
    }
}

impl Scraper {
    /// A scraper that has read nothing yet.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(app: &App) -> Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client, last: HashMap::new(), started: app.now() })
    }

    /// Reads every endpoint once and keeps what came since the last time. What cannot be read is left
    /// out: its figures grow stale, and the pages say so.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn scrape(&mut self, app: &App) -> Result<()> {
        let targets = store::targets(&app.db).await?;
        let read = self.read_all(&targets).await;
        self.last.retain(|deployment, _| targets.iter().any(|target| target.deployment_id == *deployment));
        let now = app.now();
        let minute = floor(now, 60);
        let mut new = Vec::new();
        let mut measured = Vec::new();
        for target in &targets {
            let Some(now) = read.get(&target.deployment_id) else { continue };
            measured.push(target.deployment_id);
            for (synthetic, tally) in self.growth(target, now.clone()) {
                if tally.requests > 0 || tally.sketch.count() > 0 {
                    new.push(Slice { deployment_id: target.deployment_id, starts_at: minute, synthetic, tally });
                }
            }
        }
        if measured.is_empty() { Ok(()) } else { keep(app, now, new, &measured).await }
    }

    async fn read_all(&self, targets: &[Target]) -> HashMap<DeploymentId, [Reading; 2]> {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut under_way = JoinSet::new();
        for target in targets {
            let (client, places, target) = (self.client.clone(), Arc::clone(&places), target.clone());
            under_way.spawn(async move {
                let _place = places.acquire_owned().await.ok()?;
                match read(&client, &target.metrics_source).await {
                    Ok(readings) => Some((target.deployment_id, readings)),
                    Err(error) => {
                        tracing::debug!(%error, deployment = %target.deployment_id, "cannot read metrics");
                        None
                    }
                }
            });
        }
        let mut read = HashMap::new();
        while let Some(done) = under_way.join_next().await {
            read.extend(done.ok().flatten());
        }
        read
    }

    /// What came since the last reading. Of an endpoint seen for the first time, only one that went live
    /// since this server started is new as a whole; what another counted before was counted then.
    fn growth(&mut self, target: &Target, now: [Reading; 2]) -> [(bool, Tally); 2] {
        let fresh = target.active_at.is_none_or(|at| at >= self.started);
        let before = self.last.insert(target.deployment_id, now.clone());
        let before = before.unwrap_or_else(|| if fresh { Default::default() } else { now.clone() });
        [(false, now[0].since(&before[0])), (true, now[1].since(&before[1]))]
    }
}

/// Reads one endpoint: real requests, then synthetic ones.
async fn read(client: &reqwest::Client, source: &str) -> anyhow::Result<[Reading; 2]> {
    let source: MetricsSource = serde_json::from_str(source)?;
    let mut answer = client.get(&source.url).send().await?.error_for_status()?;
    let mut page = Vec::new();
    while let Some(part) = answer.chunk().await? {
        anyhow::ensure!(page.len() + part.len() <= LARGEST, "the page of metrics is too large");
        page.extend_from_slice(&part);
    }
    let page = exposition::parse(std::str::from_utf8(&page)?)?;
    Ok([source.mapping.read(&page, false), source.mapping.read(&page, true)])
}

/// Adds to the current minute, and works out the figures of the table: four statements, however many
/// deployments there are.
async fn keep(app: &App, now: DateTime<Utc>, new: Vec<Slice>, measured: &[DeploymentId]) -> Result<()> {
    let minute = floor(now, 60);
    let since = minute - TimeDelta::minutes(LATELY - 1);
    let mut act = Act::begin(app, &Who::system("statistics")).await?;
    let recent = store::between(&mut act.tx, measured, 60, since, now + TimeDelta::seconds(1)).await?;
    let (stored, mut recent): (Vec<_>, Vec<_>) = recent.into_iter().partition(|one| one.starts_at == minute);
    let mut current: HashMap<_, _> = stored.into_iter().map(|one| ((one.deployment_id, one.synthetic), one)).collect();
    for one in new {
        match current.entry((one.deployment_id, one.synthetic)) {
            Entry::Occupied(mut stored) => stored.get_mut().tally.add(&one.tally)?,
            Entry::Vacant(place) => drop(place.insert(one)),
        }
    }
    recent.extend(current.values().cloned());
    let current: Vec<_> = current.into_values().collect();
    store::put(&mut act.tx, 60, minute, &current).await?;
    let seconds = (now - since).num_seconds().max(1) as f64;
    store::put_latest(&mut act.tx, &latest(measured, &recent, seconds)?, now).await?;
    act.tell("statistics");
    act.commit().await
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
    if let Some(first) = store::first_to_roll_up(&app.db, this_hour).await? {
        let mut hour = floor(first, 3600);
        while hour < this_hour {
            roll_up(app, hour).await?;
            hour += TimeDelta::hours(1);
        }
    }
    let mut act = Act::begin(app, &Who::system("statistics")).await?;
    store::forget(&mut act.tx, 60, now - MINUTES_KEPT).await?;
    store::forget(&mut act.tx, 3600, now - HOURS_KEPT).await?;
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
