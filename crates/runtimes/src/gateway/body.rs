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

/// A request at a server; counted once, when the server's answer is whole, or when it is given up.
#[derive(Debug)]
pub struct Pending {
    pub server: Arc<Server>,
    begun: Instant,
    is_counted: bool,
}

impl Pending {
    pub fn new(server: Arc<Server>) -> Self {
        server.metrics.begun();
        Self { server, begun: Instant::now(), is_counted: false }
    }

    /// Counts it under that status. The client may not have read the answer yet: that is not the server's time.
    pub fn count(&mut self, code: StatusCode) {
        if !self.is_counted {
            self.server.metrics.ended(code.as_u16(), Some(self.begun.elapsed()));
            self.is_counted = true;
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_counted {
            self.server.metrics.ended(GIVEN_UP, None);
        }
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
    status: StatusCode,
    pending: Pending,
}

impl Counted {
    /// The body of an answer with that status.
    pub fn new(body: Incoming, status: StatusCode, mut pending: Pending) -> Self {
        if body.is_end_stream() {
            pending.count(status);
        }
        Self { body, status, pending }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => this.pending.count(this.status),
            Poll::Ready(Some(Err(_))) => this.pending.count(StatusCode::BAD_GATEWAY),
            // With a known length the end may never be asked for.
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => this.pending.count(this.status),
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
