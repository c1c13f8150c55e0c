//! `GET /live`: the one stream that keeps open pages true.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use tokio::sync::broadcast::error::RecvError;

use super::extract::Caller;
use crate::app::App;

/// After this time the stream ends and the page opens it again, so that an ended session is noticed.
const LIFETIME: Duration = Duration::from_mins(5);

/// Counts a listener for as long as it lives.
struct Listener(App);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.metrics.listener_went();
    }
}

/// Streams the news: `{"seq":12,"topics":["tasks","model:7"]}`.
pub async fn stream(State(app): State<App>, _: Caller) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    app.metrics.listener_came();
    let receiver = app.live.subscribe();
    let ends = tokio::time::Instant::now() + LIFETIME;
    let news = stream::unfold((receiver, Listener(app)), move |(mut receiver, listener)| async move {
        let received = tokio::select! {
            () = listener.0.live.stopped() => return None,
            received = tokio::time::timeout_at(ends, receiver.recv()) => received,
        };
        let message = match received {
            Ok(Ok(message)) => message,
            // The page fell behind: whatever it missed, it looks at everything again.
            Ok(Err(RecvError::Lagged(_))) => r#"{"seq":0,"topics":["*"]}"#.to_owned(),
            Ok(Err(RecvError::Closed)) | Err(_) => return None,
        };
        Some((Ok(Event::default().data(message)), (receiver, listener)))
    });
    Sse::new(news).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}
