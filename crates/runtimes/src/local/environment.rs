//! An environment's state folder: what is wanted of it, under one lock.
//!
//! ```text
//! environment.lock            held while any of this is changed
//! halted                      there while everything was told to stop
//! traffic.json                each model's weights and pause
//! deployments/KEY/            a slot, with deployment.json: what is wanted of it
//! gateway/                    a slot, with routes.json: what the gateway follows
//! ```

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files;
use super::slot::Slot;
use crate::gateway::routes::{Backend, Route, Routes};
use crate::spec::{DeploymentSpec, Target};

/// How long another may hold the environment.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// The state folder of one environment.
#[derive(Debug, Clone)]
pub struct Environment {
    folder: PathBuf,
}

/// What is wanted of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// What is served.
    pub spec: DeploymentSpec,
    /// Whether it should run.
    pub running: bool,
    /// Whether it was verified since it was asked for: until then a death is told by the release, not by supervision.
    pub verified: bool,
    /// When it was stopped, in milliseconds since 1970.
    pub stopped_at: u64,
    /// The start whose death was told, so that it is told once.
    pub told: String,
}

/// A model's traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Whether the endpoint answers 503.
    pub paused: bool,
    /// The weights by deployment key.
    pub weights: BTreeMap<String, u32>,
}

/// Traffic by the model's name.
pub type AllTraffic = BTreeMap<String, Traffic>;

impl Environment {
    /// The target's environment.
    pub fn of(target: &Target) -> Self {
        // Processes are started in folders of their own, where a relative path would lead elsewhere.
        Self { folder: files::absolute(&target.folder) }
    }

    /// Waits for the environment; whoever holds the file may change what is in the folder.
    pub async fn lock(&self) -> io::Result<File> {
        std::fs::create_dir_all(&self.folder)?;
        let path = self.folder.join("environment.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if tokio::time::Instant::now() < until => tokio::time::sleep(LOOK).await,
                Err(TryLockError::WouldBlock) => return Err(ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(cause)) => return Err(cause),
            }
        }
    }

    /// A deployment's slot.
    pub fn slot(&self, key: &str) -> Slot {
        Slot::new(self.folder.join("deployments").join(key))
    }

    /// The gateway's slot.
    pub fn gateway(&self) -> Slot {
        Slot::new(self.folder.join("gateway"))
    }

    /// What is wanted of a deployment; `None` if it was never here.
    pub fn wanted(&self, key: &str) -> io::Result<Option<Wanted>> {
        files::read(&self.slot(key).path("deployment.json"))
    }

    /// Writes down what is wanted of a deployment.
    pub fn want(&self, wanted: &Wanted) -> io::Result<()> {
        files::write(&self.slot(&wanted.spec.key).path("deployment.json"), wanted)
    }

    /// Every deployment that was ever here and not yet cleared away, by key.
    pub fn all(&self) -> io::Result<BTreeMap<String, Wanted>> {
        let mut all = BTreeMap::new();
        let entries = match std::fs::read_dir(self.folder.join("deployments")) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(all),
            Err(cause) => return Err(cause),
        };
        for entry in entries {
            let Ok(key) = entry?.file_name().into_string() else { continue };
            if let Some(wanted) = self.wanted(&key)? {
                all.insert(key, wanted);
            }
        }
        Ok(all)
    }

    /// The traffic that is wanted.
    pub fn traffic(&self) -> io::Result<AllTraffic> {
        Ok(files::read(&self.folder.join("traffic.json"))?.unwrap_or_default())
    }

    /// Writes down the traffic that is wanted.
    pub fn set_traffic(&self, traffic: &AllTraffic) -> io::Result<()> {
        files::write(&self.folder.join("traffic.json"), traffic)
    }

    /// Whether everything was told to stop.
    pub fn is_halted(&self) -> bool {
        self.folder.join("halted").exists()
    }

    /// Tells supervision to let everything rest, or to look after it again.
    pub fn set_halted(&self, halted: bool) -> io::Result<()> {
        let path = self.folder.join("halted");
        if halted {
            return files::write(&path, &true);
        }
        files::remove(&path)
    }

    /// The routes that the gateway should follow, from the traffic that is wanted and the servers that live.
    pub fn routes(&self) -> io::Result<Routes> {
        let mut models = BTreeMap::new();
        for (model, traffic) in self.traffic()? {
            let mut backends = Vec::new();
            for (key, weight) in &traffic.weights {
                let (Some(wanted), slot) = (self.wanted(key)?, self.slot(key)) else { continue };
                if slot.alive()?.is_none() {
                    continue;
                }
                let Some(address) = slot.address(&slot.life()?)? else { continue };
                let DeploymentSpec { key, version, digest, .. } = wanted.spec;
                backends.push(Backend { key, version, digest, address, weight: *weight });
            }
            models.insert(model, Route { paused: traffic.paused, backends });
        }
        Ok(Routes::new(models))
    }

    /// Brings the gateway's file in line with the routes; returns their generation.
    pub fn publish(&self) -> io::Result<String> {
        let routes = self.routes()?;
        let path = self.routes_file();
        let known: Option<Routes> = files::read(&path)?;
        if known.is_none_or(|known| known.generation != routes.generation) {
            files::write(&path, &routes)?;
        }
        Ok(routes.generation)
    }

    /// The generation of the routes that are written down; empty if there are none.
    pub fn published(&self) -> io::Result<String> {
        let routes: Option<Routes> = files::read(&self.routes_file())?;
        Ok(routes.map(|routes| routes.generation).unwrap_or_default())
    }

    /// The file that the gateway follows.
    pub fn routes_file(&self) -> PathBuf {
        self.gateway().path("routes.json")
    }
}
