//! The workers: they claim operations, take their steps one at a time, and record each under the fence.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use countersign_runtimes::{Diagnostics, Done};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::rules::{Next, OBSERVE, StepState, next};
use super::{Event, Handler, Operation, OperationState, Step, store};
use crate::app::App;
use crate::audit::{Act, Who};
use crate::db::Engine;
use crate::error::{Error, Result};

/// How many operations a server carries out at once; they are of different environments.
const AT_ONCE: usize = 4;
/// How many signs of life the holder of a lease gives in its length.
const HEARTBEATS: u32 = 5;
/// How long a worker waits if nothing tells it of work.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Works for as long as the server runs.
pub async fn keep_working(app: App) {
    let worker = format!("worker-{}", hex::encode(app.random::<6>()));
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut under_way = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match claim(&app, &worker).await {
            Ok(Some(operation)) => {
                let app = app.clone();
                under_way.spawn(async move {
                    carry_out_or_log(&app, operation).await;
                    drop(place);
                });
            }
            outcome => {
                drop(place);
                if let Err(error) = outcome {
                    tracing::warn!(%error, "cannot look for work; trying again");
                }
                tokio::select! { () = tokio::time::sleep(LOOK_AGAIN) => (), () = app.work.notified() => () }
            }
        }
        while under_way.try_join_next().is_some() {}
    }
}

/// At the start of a server that is the only one on its database: what it held when it was stopped it holds no more.
///
/// # Errors
/// Only failures of the database.
pub async fn recover(app: &App) -> Result<()> {
    if app.db.engine() == Engine::Sqlite {
        let mut tx = app.db.begin().await?;
        store::forget_leases(&mut tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Claims one operation and carries it out to its end; false if there was none.
///
/// # Errors
/// Only failures of the database.
pub async fn work(app: &App, worker: &str) -> Result<bool> {
    match claim(app, worker).await? {
        Some(operation) => carry_out(app, operation).await.map(|()| true),
        None => Ok(false),
    }
}

async fn claim(app: &App, worker: &str) -> Result<Option<Operation>> {
    let now = app.now();
    if !store::any_due(&app.db, now).await? {
        return Ok(None);
    }
    let mut tx = app.db.begin().await?;
    let claimed = store::claim(&mut tx, worker, now, leased_until(app, now)).await?;
    tx.commit().await?;
    Ok(claimed)
}

/// What cannot be recorded now is tried again when the lease has run out.
async fn carry_out_or_log(app: &App, operation: Operation) {
    let id = operation.operation_id;
    if let Err(error) = carry_out(app, operation).await {
        tracing::warn!(%error, operation = %id, "an operation was interrupted; it goes on when its lease has run out");
    }
}

async fn carry_out(app: &App, mut held: Operation) -> Result<()> {
    let handler =
        *app.operations.iter().find(|handler| handler.kind == held.kind).ok_or_else(|| {
            Error::internal(anyhow::anyhow!("nobody carries out operations of the kind {}", held.kind))
        })?;
    loop {
        let Some(cancel_asked) = renew(app, &held).await? else { return Ok(()) };
        held.cancel_asked = cancel_asked;
        let steps = store::steps(&app.db, held.operation_id).await?;
        let goes_on = match next(&steps, cancel_asked) {
            Next::Take(step) => take(app, &handler, &held, step).await?,
            Next::Done => end(app, &handler, &held, &Event::Done).await?,
            Next::Cancelled => end(app, &handler, &held, &Event::Cancelled).await?,
            Next::GaveUp(step) => {
                let why = step.detail.as_deref().and_then(|detail| serde_json::from_str(detail).ok());
                let why = why.unwrap_or_else(|| unknown(&step.name));
                end(app, &handler, &held, &Event::GaveUp(&why)).await?
            }
        };
        if !goes_on {
            return Ok(());
        }
    }
}

fn unknown(stage: &str) -> Diagnostics {
    super::refusal(stage, "unknown", "What failed was not recorded.", "Look at the server's log.")
}

fn leased_until(app: &App, now: DateTime<Utc>) -> DateTime<Utc> {
    now + app.lease
}

async fn renew(app: &App, held: &Operation) -> Result<Option<bool>> {
    let mut tx = app.db.begin().await?;
    let held = store::renew(&mut tx, held, leased_until(app, app.now())).await?;
    tx.commit().await?;
    Ok(held)
}

/// Takes one step: it is recorded as begun, taken, and recorded with what came of it. False if the operation was
/// lost to somebody else meanwhile, who goes on from what is recorded.
async fn take(app: &App, handler: &Handler, held: &Operation, step: &Step) -> Result<bool> {
    if app.boundary("before", &step.name) || !begin(app, handler, held, step).await? {
        return Ok(false);
    }
    if app.boundary("begun", &step.name) {
        return Ok(false);
    }
    let outcome = match watched(app, held, step, (handler.take)(app, held, step)).await {
        Watched::Ended(outcome) => outcome,
        Watched::Cancelled => return Ok(true),
        Watched::Lost => return Ok(false),
    };
    if app.boundary("taken", &step.name) || !record(app, handler, held, step, &outcome).await? {
        return Ok(false);
    }
    Ok(!app.boundary("recorded", &step.name))
}

async fn begin(app: &App, handler: &Handler, held: &Operation, step: &Step) -> Result<bool> {
    let mut act = act(app, held).await?;
    (handler.told)(&mut act, held, &Event::Began(step)).await?;
    let now = act.now;
    if store::renew(&mut act.tx, held, leased_until(app, now)).await?.is_none() {
        return Ok(false);
    }
    store::begin_step(&mut act.tx, held.operation_id, step.position, now).await?;
    act.commit().await.map(|()| true)
}

async fn record(
    app: &App,
    handler: &Handler,
    held: &Operation,
    step: &Step,
    outcome: &Result<Done, Box<Diagnostics>>,
) -> Result<bool> {
    let (state, event, detail) = match outcome {
        Ok(done) => (StepState::Done, Event::Succeeded(step, done), serde_json::to_string(done)),
        Err(why) => (StepState::Failed, Event::Failed(step, why), serde_json::to_string(why)),
    };
    let detail = detail.map_err(Error::internal)?;
    let mut act = act(app, held).await?;
    (handler.told)(&mut act, held, &event).await?;
    let now = act.now;
    if store::renew(&mut act.tx, held, leased_until(app, now)).await?.is_none() {
        return Ok(false);
    }
    store::end_step(&mut act.tx, held.operation_id, step.position, state, &detail, now).await?;
    act.commit().await.map(|()| true)
}

/// Ends the operation; what it was about hears of it first, since that locks the model before the operation.
async fn end(app: &App, handler: &Handler, held: &Operation, event: &Event<'_>) -> Result<bool> {
    if app.boundary("before", "end") {
        return Ok(false);
    }
    let mut act = act(app, held).await?;
    (handler.told)(&mut act, held, event).await?;
    let now = act.now;
    if store::end(&mut act.tx, held, OperationState::after(event), now).await? > 0 {
        act.commit().await?;
    }
    Ok(false)
}

async fn act(app: &App, held: &Operation) -> Result<Act> {
    Act::begin(app, &Who::system(&format!("operation-{}", held.operation_id))).await
}

/// What came of a step that was watched over.
enum Watched {
    Ended(Result<Done, Box<Diagnostics>>),
    Cancelled,
    Lost,
}

/// Gives signs of life while a step is taken, and leaves it if the operation was lost, or cancelled while it only looks.
async fn watched(
    app: &App,
    held: &Operation,
    step: &Step,
    taking: impl Future<Output = Result<Done, Box<Diagnostics>>>,
) -> Watched {
    tokio::pin!(taking);
    let mut beat = tokio::time::interval(app.lease / HEARTBEATS);
    beat.tick().await;
    loop {
        tokio::select! {
            outcome = &mut taking => return Watched::Ended(outcome),
            _ = beat.tick() => match renew(app, held).await {
                Ok(Some(true)) if step.name == OBSERVE && !step.is_undo => return Watched::Cancelled,
                Ok(Some(_)) => (),
                Ok(None) => return Watched::Lost,
                Err(error) => tracing::warn!(%error, "cannot give a sign of life; trying again"),
            }
        }
    }
}
