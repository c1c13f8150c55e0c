//! The real server ends itself, untidily, at every point of an apply and of the way back; the next one makes it good.

use std::process::Command;

use countersign_runtimes::Local;
use serde_json::{Value, json};

use crate::both;
use crate::builder::Version;
use crate::crash::server::Server;
use crate::harness::T;
use crate::live::{Live, Place, ask, eventually, is_ready, rolling};

/// The way with the most steps: the old version stays until the new one was observed.
fn blue_green() -> Value {
    json!({ "kind": "blue_green", "window": 0, "limits": { "min_samples": 0 } })
}

/// Every instant of every step of it, and of its end.
fn boundaries() -> impl Iterator<Item = String> {
    let instants = ["before", "begun", "taken", "recorded"];
    let steps = ["check", "start", "verify", "shift", "observe", "stop"];
    let of = move |step: &'static str| instants.map(move |instant| format!("{instant}:{step}"));
    steps.into_iter().flat_map(of).chain(["before:end".to_owned()])
}

/// Lets a server die at the point while it applies the version, and the next one go on to the end.
async fn struck(live: &Live, place: Place, version: &Version, strategy: &Value, point: &str) -> (Server, Value) {
    let mut server = live.start_to_die_at(point);
    live.release(&server, place, version, strategy).await;
    eventually(&format!("the server dies at {point}"), async || server.has_ended()).await;
    let server = live.start();
    let came = live.newest_ended(&server).await;
    (server, came)
}

/// One model server and one gateway for each of the places, of which this one answers.
async fn serves_once(live: &Live, server: &Server, places: usize, place: Place, point: &str) {
    eventually(&format!("one server each after {point}"), async || {
        (live.processes("serve-model"), live.processes("gateway")) == (places, places)
    })
    .await;
    let path = format!("/deployments?environment_id={}&state=active", place.id);
    let active = ask(server, &live.olga, reqwest::Method::GET, &path, None).await;
    let active = active["items"].as_array().unwrap();
    assert_eq!(active.len(), 1, "{point}");
    assert!(is_ready(active[0]["endpoint"].as_str().unwrap()).await, "{point}");
}

/// The ledger, as an operator verifies it.
fn verifies(t: &T) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["audit", "verify", "--data"]).arg(t.folder());
    if let Some(database) = t.database_address() {
        command.args(["--database", &database]);
    }
    let said = command.output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

both! {
    async fn a_server_killed_at_any_point_of_an_apply_has_applied_it_when_it_is_back(t: T) {
        let live = Live::new(&t).await;
        let versions = [live.version("1.0", crate::live::CREDIT).await, live.version("2.0", crate::live::CREDIT).await];
        let first = live.start();
        let mut place = live.place(&first, "uk-development", "development").await;
        assert_eq!(live.released(&first, place, &versions[0], &rolling()).await["lifecycle_state"], "applied");
        drop(first);
        let (mut places, mut releases) = (1, 1);
        let points = boundaries().chain(Local::POINTS.iter().map(|point| (*point).to_owned()));
        for point in points {
            if point.starts_with("gateway.") {
                // A gateway starts with the first release into an environment.
                place = live.place(&live.start(), &point, "development").await;
                places += 1;
            }
            let (server, came) = struck(&live, place, &versions[releases % 2], &blue_green(), &point).await;
            assert_eq!(came["lifecycle_state"], "applied", "{point}: {came:#}");
            serves_once(&live, &server, places, place, &point).await;
            releases += 1;
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM operations WHERE state <> 'done'").await, 0);
        live.stop();
        verifies(&t);
        t.everything_holds().await;
    }

    async fn a_server_killed_at_any_point_of_the_way_back_has_gone_it_when_it_is_back(t: T) {
        let live = Live::new(&t).await;
        let first = live.start();
        let place = live.place(&first, "uk-development", "development").await;
        let good = live.version("1.0", crate::live::CREDIT).await;
        assert_eq!(live.released(&first, place, &good, &rolling()).await["lifecycle_state"], "applied");
        drop(first);
        let broken = live.version("2.0", b"no model").await;
        for point in ["before:stop", "begun:stop", "taken:stop", "recorded:stop", "before:end", "stop.wanted", "stop.gone"] {
            let (server, came) = struck(&live, place, &broken, &blue_green(), point).await;
            assert_eq!((&came["lifecycle_state"], &came["diagnostics"]["stage"]), (&json!("failed"), &json!("verify")), "{point}: {came:#}");
            serves_once(&live, &server, 1, place, point).await;
        }
        live.stop();
        t.everything_holds().await;
    }
}
