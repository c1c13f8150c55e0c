//! Bodies on their way: uploads that can be handed to another server, answers that are counted when they end.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use http_body_util::Limited;
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use super::table::Server;

/// The status that counts a request which the client gave up.
const GIVEN_UP: u16 = 499;

/// A request at a server; counted when it ends, whatever ends it.
#[derive(Debug)]
pub struct Pending {
    pub server: Arc<Server>,
    begun: Instant,
    /// What the server answered, from the head of its answer.
    pub answer: Option<u16>,
    /// How it ended; none while it is under way.
    pub code: Option<u16>,
}

impl Pending {
    pub fn new(server: Arc<Server>) -> Self {
        server.metrics.begun();
        Self { server, begun: Instant::now(), answer: None, code: None }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let took = self.code.map(|_| self.begun.elapsed());
        self.server.metrics.ended(self.code.unwrap_or(GIVEN_UP), took);
    }
}

/// A request's body that can be handed to the next server for as long as nobody began to read it.
#[derive(Debug, Clone)]
pub struct Handed(Arc<Mutex<Upload>>);

#[derive(Debug)]
struct Upload {
    body: Limited<Incoming>,
    broken: bool,
}

impl Handed {
    pub fn new(body: Limited<Incoming>) -> Self {
        Self(Arc::new(Mutex::new(Upload { body, broken: false })))
    }

    fn upload(&self) -> MutexGuard<'_, Upload> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client did not send all of it.
    pub fn is_broken(&self) -> bool {
        self.upload().broken
    }
}

impl Body for Handed {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut upload = self.upload();
        let polled = Pin::new(&mut upload.body).poll_frame(context);
        upload.broken = matches!(polled, Poll::Ready(Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.upload().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.upload().body.size_hint()
    }
}

/// An answer's body; its end is the request's.
#[derive(Debug)]
pub struct Counted {
    body: Incoming,
    pending: Pending,
}

impl Counted {
    pub fn new(body: Incoming, pending: Pending) -> Self {
        Self { body, pending }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.pending.code = self.pending.answer,
            Poll::Ready(Some(Err(_))) => self.pending.code = Some(StatusCode::BAD_GATEWAY.as_u16()),
            // With a known length the end may never be asked for.
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.pending.code = self.pending.answer,
            _ => (),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
