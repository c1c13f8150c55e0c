//! News for open pages: which topics changed, told to every page of every server within a second.
//!
//! The news says only *that* something changed; a page that cares asks again and is shown what its
//! person may see. A missed message therefore costs freshness, never truth.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, watch};

use crate::db::{Db, Engine};

/// The database channel on which servers tell one another.
pub const CHANNEL: &str = "countersign_news";

/// What changed in one act.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The last ledger entry of the act; 0 if it wrote none.
    pub seq: i64,
    /// What pages subscribe to: `tasks`, `ready`, `inbox`, `model:7`, …; `*` means everything.
    pub topics: BTreeSet<String>,
}

/// More topics than this are sent as "everything": a database message holds 8,000 bytes.
const MOST_TOPICS: usize = 100;

impl News {
    /// Adds a topic.
    pub fn add(&mut self, topic: impl Into<String>) {
        self.topics.insert(topic.into());
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// The message as pages receive it.
    #[must_use]
    pub fn to_message(&self) -> String {
        let everything = Self { seq: self.seq, topics: BTreeSet::from(["*".to_owned()]) };
        let news = if self.topics.len() > MOST_TOPICS { &everything } else { self };
        serde_json::to_string(news).unwrap_or_default()
    }
}

/// The stream that open pages listen to.
#[derive(Debug)]
pub struct Live {
    sender: broadcast::Sender<String>,
    stopping: watch::Sender<bool>,
}

impl Default for Live {
    fn default() -> Self {
        Self { sender: broadcast::channel(256).0, stopping: watch::Sender::new(false) }
    }
}

impl Live {
    /// Listens to the news from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<String> {
        self.sender.subscribe()
    }

    /// Ends all streams: the server is about to stop, and must not wait for pages that stay open.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Waits until the streams must end.
    pub async fn stopped(&self) {
        // The sender lives as long as the product, so this ends only by the value.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Tells this server's pages, unless the database will tell all servers, this one among them.
    pub fn publish(&self, db: &Db, message: &str) {
        if db.engine() == Engine::Sqlite {
            self.tell(message);
        }
    }

    /// Tells this server's pages. Nobody listening is no error.
    fn tell(&self, message: &str) {
        let _ = self.sender.send(message.to_owned());
    }

    /// Passes on what other servers say, for as long as the server runs.
    pub async fn relay(app: crate::app::App) {
        loop {
            match app.db.listen(CHANNEL).await {
                Ok(None) => return,
                Ok(Some(mut listener)) => {
                    // Whatever was said while the line was down is unknown: everything may have changed.
                    app.live.tell(r#"{"seq":0,"topics":["*"]}"#);
                    while let Ok(message) = listener.recv().await {
                        app.live.tell(message.payload());
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot listen to the other servers; trying again"),
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}
