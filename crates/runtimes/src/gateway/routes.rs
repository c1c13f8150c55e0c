//! What the gateway follows: a file of routes, and the table that requests are sent by.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The routes of an environment, as its control plane writes them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    /// Names these routes and no others: it follows from the rest.
    pub generation: String,
    /// The endpoints by the model's name.
    pub models: BTreeMap<String, Route>,
    /// The largest body of a request, in bytes.
    #[serde(default = "Routes::default_max_body")]
    pub max_body: u64,
    /// Milliseconds until a server must have begun to answer.
    #[serde(default = "Routes::default_timeout")]
    pub timeout_ms: u64,
    /// Milliseconds between two looks at each server.
    #[serde(default = "Routes::default_look")]
    pub look_ms: u64,
}

/// One model's endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Whether requests are answered 503.
    pub paused: bool,
    /// The servers.
    pub backends: Vec<Backend>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// The deployment's key.
    pub key: String,
    /// The version it serves.
    pub version: String,
    /// The digest of the bytes that it must serve: it gets no request while it says another.
    pub digest: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share, relative to the others'.
    pub weight: u32,
}

impl Routes {
    fn default_max_body() -> u64 {
        64 << 20
    }

    fn default_timeout() -> u64 {
        60_000
    }

    fn default_look() -> u64 {
        1000
    }

    /// Routes with the usual limits.
    #[must_use]
    pub fn new(models: BTreeMap<String, Route>) -> Self {
        let mut routes = Self {
            models,
            max_body: Self::default_max_body(),
            timeout_ms: Self::default_timeout(),
            look_ms: Self::default_look(),
            generation: String::new(),
        };
        routes.name();
        routes
    }

    /// Gives the routes the name that follows from what they are.
    pub fn name(&mut self) {
        self.generation.clear();
        // Plain data with text keys always becomes JSON.
        let text = serde_json::to_vec(self).unwrap_or_default();
        self.generation = hex::encode(&Sha256::digest(text)[..8]);
    }
}
