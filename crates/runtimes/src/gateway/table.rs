//! The table that requests are sent by: endpoints, their servers, whose turn it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::http::HeaderValue;
use hyper::http::uri::Authority;

use super::metrics::{Metrics, ServerMetrics};
use super::routes::{Backend, Route, Routes};
use crate::http::{self, Client};

/// How long a server may take to say that it is ready.
const ANSWERS: Duration = Duration::from_secs(2);
/// How many looks in a row must find a server not ready before it gets no more requests.
const MISSES: u32 = 2;

/// A server, from its first route to its last request.
#[derive(Debug)]
pub struct Server {
    pub model: String,
    /// Its weight here is that of its first route; endpoints have their own.
    pub backend: Backend,
    pub authority: Authority,
    pub header: HeaderValue,
    pub metrics: ServerMetrics,
    healthy: AtomicBool,
    /// Looks in a row that found it not ready.
    missed: AtomicU32,
}

impl Server {
    fn new(model: &str, backend: &Backend, metrics: &Metrics) -> Result<Self, String> {
        let Backend { key, address, .. } = backend;
        let authority = Authority::try_from(address.to_string()).map_err(|cause| format!("{address}: {cause}"))?;
        let header = HeaderValue::from_str(key).map_err(|cause| format!("{key}: {cause}"))?;
        let metrics = metrics.server(model, backend);
        let (healthy, missed) = (AtomicBool::new(false), AtomicU32::new(0));
        Ok(Self { model: model.to_owned(), backend: backend.clone(), authority, header, metrics, healthy, missed })
    }

    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    pub fn set_healthy(&self, healthy: bool) {
        if self.healthy.swap(healthy, Ordering::Relaxed) != healthy {
            tracing::info!(deployment = self.backend.key, model = self.model, healthy, "a server changed");
        }
        self.metrics.set_up(healthy);
    }

    /// Asks the server whether it is ready, and which bytes it serves.
    pub async fn look(&self, client: &Client) {
        let Backend { address, digest, .. } = &self.backend;
        let said = http::metadata(client, *address, &self.model, ANSWERS).await;
        let serves_it = said.as_ref().is_some_and(|(_, serves)| serves == digest);
        if serves_it && http::is_ready(client, *address, &self.model, ANSWERS).await {
            self.missed.store(0, Ordering::Relaxed);
            return self.set_healthy(true);
        }
        // A busy machine may miss one look. Other bytes are never a matter of load.
        let other_bytes = said.is_some() && !serves_it;
        if self.missed.fetch_add(1, Ordering::Relaxed) + 1 >= MISSES || other_bytes {
            self.set_healthy(false);
        }
    }

    /// Whether it is the same server, whatever its share.
    fn is(&self, model: &str, backend: &Backend) -> bool {
        let Backend { key, version, digest, address, .. } = &self.backend;
        self.model == model
            && (key, version, digest, address) == (&backend.key, &backend.version, &backend.digest, &backend.address)
    }
}

/// A model's servers and their shares.
#[derive(Debug)]
pub struct Endpoint {
    route: Route,
    pub servers: Vec<Arc<Server>>,
    turns: Mutex<Vec<i64>>,
}

impl Endpoint {
    pub fn is_paused(&self) -> bool {
        self.route.paused
    }

    /// Whose turn it is: smooth weighted round robin, which is exact over each full round. Left out are servers that
    /// are not healthy, have no share, or have another version than asked for.
    pub fn next(&self, version: Option<&str>) -> Option<Arc<Server>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut total, mut best) = (0, None);
        for (index, (server, backend)) in self.servers.iter().zip(&self.route.backends).enumerate() {
            let wanted = version.is_none_or(|version| version == backend.version);
            if backend.weight == 0 || !wanted || !server.is_healthy() {
                continue;
            }
            let weight = i64::from(backend.weight);
            turns[index] += weight;
            total += weight;
            if best.is_none_or(|best: usize| turns[index] > turns[best]) {
                best = Some(index);
            }
        }
        let best = best?;
        turns[best] -= total;
        Some(Arc::clone(&self.servers[best]))
    }

    /// Whether any server with a share has that version.
    pub fn has(&self, version: &str) -> bool {
        self.route.backends.iter().any(|backend| backend.weight > 0 && backend.version == version)
    }
}

/// What is followed.
#[derive(Debug, Default)]
pub struct Table {
    pub routes: Routes,
    pub endpoints: HashMap<String, Arc<Endpoint>>,
}

impl Table {
    /// The table of the routes. Servers and endpoints that were there before stay the same.
    pub fn new(routes: Routes, before: &Self, metrics: &Metrics) -> Result<Self, String> {
        let mut endpoints = HashMap::new();
        for (model, route) in &routes.models {
            let known = before.endpoints.get(model);
            if let Some(known) = known.filter(|known| known.route == *route) {
                endpoints.insert(model.clone(), Arc::clone(known));
                continue;
            }
            let known = known.map_or(&[][..], |known| &known.servers);
            let mut servers = Vec::new();
            for backend in &route.backends {
                servers.push(match known.iter().find(|server| server.is(model, backend)) {
                    Some(server) => Arc::clone(server),
                    None => Arc::new(Server::new(model, backend, metrics)?),
                });
            }
            let turns = Mutex::new(vec![0; servers.len()]);
            endpoints.insert(model.clone(), Arc::new(Endpoint { route: route.clone(), servers, turns }));
        }
        Ok(Self { routes, endpoints })
    }

    pub fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.endpoints.values().flat_map(|endpoint| &endpoint.servers)
    }

    /// The servers that are not in the other table.
    pub fn missing_from(&self, other: &Self) -> Vec<Arc<Server>> {
        let stays = |server: &&Arc<Server>| other.servers().any(|kept| Arc::ptr_eq(kept, server));
        self.servers().filter(|server| !stays(server)).cloned().collect()
    }

    pub fn healthy(&self) -> BTreeMap<String, bool> {
        self.servers().map(|server| (server.backend.key.clone(), server.is_healthy())).collect()
    }
}
