//! The stream of a job: points, state and log as they come, with a cursor, so that a reconnect loses nothing.
//!
//! One reader a watched job and server asks the database; all who watch share what it reads.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::app::App;
use crate::error::Result;
use crate::ids::JobId;
use crate::training::Told;
use crate::training::jobs::{self, JobView};
use crate::training::points::{self, Recorded};
use crate::training::rules::JobState;
use crate::web::{Caller, Path, Query};

/// How often the reader looks, if nothing on this server tells it to.
const LOOK: Duration = Duration::from_millis(500);
/// How many points are read at once.
const MOST: i64 = 2000;
/// After this time the stream ends and is opened again, so that an ended session is noticed.
const LIFETIME: Duration = Duration::from_mins(5);

/// What happened to a job since the reader looked last.
#[derive(Debug)]
struct News {
    /// The points, in order; none if there are no new ones.
    points: Vec<Recorded>,
    /// How it stands.
    stands: Stands,
    changed: bool,
    logged: bool,
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Stands {
    state: JobState,
    revision: i64,
    epoch: Option<i64>,
    epochs: Option<i64>,
    step: Option<i64>,
    steps: Option<i64>,
    points: i64,
    log_size: i64,
}

impl Stands {
    fn of(job: &JobView, log_size: i64) -> Self {
        let JobView { state, revision, epoch, epochs, step, steps, points, .. } = *job;
        Self { state, revision, epoch, epochs, step, steps, points, log_size }
    }
}

/// Who reads which job at the moment.
#[derive(Debug, Default)]
pub struct Readers(Mutex<HashMap<JobId, Weak<broadcast::Sender<Arc<News>>>>>);

/// What is wanted of the stream.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamFilter {
    /// The number of the last point that was read; the header `Last-Event-ID` goes before it.
    after: Option<i64>,
    /// Tell only that there are points, not which.
    #[serde(default)]
    brief: bool,
}

/// Follow a training job: server-sent events `points`, `state` and `log`; the id is the number of the last point.
#[utoipa::path(get, path = "/training/jobs/{job_id}/stream", tag = "Training", operation_id = "training_job_stream",
    params(("job_id" = JobId, Path), StreamFilter),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 401, body = crate::error::Problem),
        (status = 404, body = crate::error::Problem)))]
pub async fn follow(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(job): Path<JobId>,
    Query(filter): Query<StreamFilter>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let (view, _) = jobs::seen(&app, &actor, job).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    // Who wants no points has seen those of the page that it was sent with.
    let seen = last.or(filter.after).unwrap_or(if filter.brief { view.points } else { 0 });
    let sender = reader(&app, view);
    let watcher = Watcher {
        receiver: sender.subscribe(),
        _sender: sender,
        app,
        job,
        seen,
        brief: filter.brief,
        ready: Vec::new(),
        late: !filter.brief,
    };
    let ends = tokio::time::Instant::now() + LIFETIME;
    let events = stream::unfold(watcher, move |mut watcher| async move {
        let event = tokio::time::timeout_at(ends, watcher.next()).await.ok().flatten()?;
        Some((Ok(event), watcher))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// One who watches.
struct Watcher {
    app: App,
    job: JobId,
    receiver: broadcast::Receiver<Arc<News>>,
    /// The reader reads for as long as anybody holds this.
    _sender: Arc<broadcast::Sender<Arc<News>>>,
    seen: i64,
    brief: bool,
    /// Whether points were missed, which are then read from the database.
    late: bool,
    ready: Vec<Event>,
}

impl Watcher {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop() {
                return Some(event);
            }
            if self.late {
                let missed = points::since(&self.app.db, self.job, self.seen, MOST).await.ok()?;
                self.late = missed.len() as i64 == MOST;
                self.tell(&missed);
                continue;
            }
            let received = tokio::select! {
                () = self.app.live.stopped() => return None,
                received = self.receiver.recv() => received,
            };
            match received {
                Ok(news) => self.take(&news),
                Err(broadcast::error::RecvError::Lagged(_)) => self.late = !self.brief,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Events are made ready in the reverse of their order.
    fn take(&mut self, news: &News) {
        if news.changed {
            self.ready.push(event("state", &news.stands));
        }
        if news.logged {
            self.ready.push(event("log", &serde_json::json!({ "size": news.stands.log_size })));
        }
        if self.brief {
            if !news.points.is_empty() || news.changed {
                self.seen = news.stands.points;
                let brief = serde_json::json!({ "points": self.seen });
                self.ready.push(event("points", &brief).id(self.seen.to_string()));
            }
            return;
        }
        match news.points.first() {
            // What came between was missed: all of it is read again.
            Some(first) if first.seq > self.seen + 1 => self.late = true,
            Some(_) => self.tell(&news.points),
            None => (),
        }
    }

    fn tell(&mut self, all: &[Recorded]) {
        let fresh: Vec<_> = all.iter().filter(|point| point.seq > self.seen).collect();
        if let Some(last) = fresh.last() {
            self.seen = last.seq;
            let body = serde_json::json!({ "points": self.seen, "items": fresh });
            self.ready.push(event("points", &body).id(self.seen.to_string()));
        }
    }
}

fn event(name: &str, body: &impl Serialize) -> Event {
    Event::default().event(name).data(serde_json::to_string(body).unwrap_or_default())
}

/// The reader of a job on this server: the one that reads already, or a new one.
fn reader(app: &App, job: JobView) -> Arc<broadcast::Sender<Arc<News>>> {
    let mut readers = app.training.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = readers.get(&job.job_id).and_then(Weak::upgrade) {
        return sender;
    }
    readers.retain(|_, sender| sender.strong_count() > 0);
    let sender = Arc::new(broadcast::channel(32).0);
    readers.insert(job.job_id, Arc::downgrade(&sender));
    tokio::spawn(read(app.clone(), job, Arc::downgrade(&sender)));
    sender
}

/// Looks at a job for as long as anybody watches it.
async fn read(app: App, job: JobView, to: Weak<broadcast::Sender<Arc<News>>>) {
    let (id, mut seen, mut told) = (job.job_id, job.points, app.training.listen());
    let mut known = Stands::of(&job, -1);
    loop {
        let Some(sender) = to.upgrade() else { return };
        match look(&app, id, &mut seen, &mut known).await {
            Ok(Some(news)) => {
                let more = news.points.len() as i64 == MOST;
                let _ = sender.send(Arc::new(news));
                if more {
                    continue;
                }
            }
            Ok(None) => (),
            Err(error) => tracing::warn!(%error, job = %id, "a watched job cannot be read; trying again"),
        }
        drop(sender);
        let moved = async {
            loop {
                match told.recv().await {
                    Ok(Told::Moved(moved)) if moved == id => return,
                    Ok(_) => (),
                    Err(_) => std::future::pending().await,
                }
            }
        };
        let _ = tokio::time::timeout(LOOK, moved).await;
    }
}

/// What is new; none if nothing is.
async fn look(app: &App, job: JobId, seen: &mut i64, known: &mut Stands) -> Result<Option<News>> {
    let Some(view) = jobs::store::view(&app.db, job).await? else { return Ok(None) };
    let log = jobs::log_end(app, job).await?;
    let stands = Stands::of(&view, log.size);
    let points = if stands.points > *seen { points::since(&app.db, job, *seen, MOST).await? } else { Vec::new() };
    if let Some(last) = points.last() {
        *seen = last.seq;
    }
    let news = News {
        changed: (stands.state, stands.revision, stands.epoch, stands.step)
            != (known.state, known.revision, known.epoch, known.step),
        logged: stands.log_size != known.log_size,
        points,
        stands,
    };
    let any = news.changed || news.logged || !news.points.is_empty();
    *known = news.stands.clone();
    Ok(any.then_some(news))
}
