//! The threads that run the model, and the queue in front of them.
//!
//! Whoever wants to put a job in holds a [`Place`], taken before the request's body is read: so the bodies in memory
//! are never more than there are places. Parsing and writing tensors is the workers' work too: it may be as long as
//! inference itself, and would hold up the connections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use crossbeam_channel::{Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::{Error, ErrorCode};
use crate::metrics::Metrics;
use crate::model::{self, Model, State};
use crate::protocol::{Answer, Request};
use crate::refusal::{Kind, Refusal};

/// A place in the queue or at a worker.
pub type Place = OwnedSemaphorePermit;

/// One request, on its way to a worker.
struct Job {
    body: Bytes,
    json_length: Option<usize>,
    queued: Instant,
    deadline: Instant,
    reply: oneshot::Sender<Result<Answer, Refusal>>,
    /// Given back when the job is done, whoever still waits for it.
    _place: Place,
}

/// The queue's near end.
#[derive(Debug)]
pub struct Workers {
    jobs: Sender<Job>,
    places: Arc<Semaphore>,
    count: u32,
    metrics: Arc<Metrics>,
}

impl Workers {
    /// Starts the threads; they end when this is dropped and the queue is empty.
    pub fn start(model: &Arc<Model>, metrics: &Arc<Metrics>, threads: usize, queue: usize) -> Result<Self, Error> {
        let (jobs, queued) = crossbeam_channel::unbounded();
        for number in 0..threads {
            let worker = Worker { model: Arc::clone(model), metrics: Arc::clone(metrics), jobs: queued.clone() };
            std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || worker.run()).map_err(
                |cause| Error::new(ErrorCode::ServerFailed, format!("A thread cannot be started: {cause}.")),
            )?;
        }
        let count = u32::try_from(threads + queue)
            .map_err(|_| Error::new(ErrorCode::OptionInvalid, "The queue is too long to be counted."))?;
        let places = Arc::new(Semaphore::new(threads + queue));
        Ok(Self { jobs, places, count, metrics: Arc::clone(metrics) })
    }

    /// A place, if there is one.
    pub fn place(&self) -> Option<Place> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Puts a job in and waits for what comes of it, at most until the deadline.
    pub async fn infer(
        &self,
        place: Place,
        body: Bytes,
        json_length: Option<usize>,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.metrics.queued();
        let job = Job { body, json_length, queued: Instant::now(), deadline, reply, _place: place };
        let lost = || Refusal::new(Kind::InferenceFailed, "The worker is gone.");
        self.jobs.send(job).map_err(|_| lost())?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(answer) => answer.map_err(|_| lost())?,
            Err(_) => Err(Refusal::new(Kind::Timeout, "The model did not answer within the time limit.")),
        }
    }

    /// Waits until no job is left.
    pub async fn idle(&self) {
        // The semaphore is never closed; if it were, nothing could be under way.
        let _ = self.places.acquire_many(self.count).await;
    }
}

struct Worker {
    model: Arc<Model>,
    metrics: Arc<Metrics>,
    jobs: Receiver<Job>,
}

impl Worker {
    fn run(self) {
        // Made before the first request, which should not wait for it; if it cannot be, that request is told.
        let mut state = self.model.state().ok();
        while let Ok(job) = self.jobs.recv() {
            self.metrics.dequeued(job.queued.elapsed());
            if job.reply.is_closed() {
                continue;
            }
            let answer = if Instant::now() >= job.deadline {
                Err(Refusal::new(Kind::QueueTimeout, "The server is too busy to answer within the time limit."))
            } else {
                self.answer(&mut state, &job)
            };
            // Whoever asked may have gone.
            let _ = job.reply.send(answer);
        }
    }

    fn answer(&self, state: &mut Option<State>, job: &Job) -> Result<Answer, Refusal> {
        let mut request = Request::read(&self.model, &job.body, job.json_length)?;
        let inputs = std::mem::take(&mut request.inputs);
        // The runtime panics on some inputs where it should fail.
        let outputs = catch_unwind(AssertUnwindSafe(|| {
            let mut ready = match state.take() {
                Some(ready) => ready,
                None => self.model.state()?,
            };
            let outputs = ready.run(inputs)?;
            // After a failure the state is not kept: it may be half way through.
            *state = Some(ready);
            Ok(outputs)
        }));
        let failed = |cause: String| Refusal::new(Kind::InferenceFailed, format!("The model failed: {cause}."));
        let outputs = match outputs {
            Ok(outputs) => outputs.map_err(|cause| failed(model::sentence(&cause)))?,
            Err(_) => return Err(failed("the inference runtime gave up on this input".to_owned())),
        };
        request.answer(&self.model, &outputs)
    }
}
