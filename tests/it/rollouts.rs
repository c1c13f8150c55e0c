//! Canaries and blue-green releases under real traffic: the good one takes over, the worse one is stopped by itself.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::both;
use crate::builder::Version;
use crate::crash::server::Server;
use crate::credit::{Traffic, application, score};
use crate::live::{FRAGILE, Live, Place, SLOW, TABULAR, ask, eventually, rolling};

/// A scene with a sound version that serves.
async fn scene(live: &Live) -> (Server, Place, Value) {
    let server = live.start();
    let place = live.place(&server, "uk-development", "development").await;
    let one = live.version("1.0", TABULAR).await;
    let applied = live.released(&server, place, &one, &rolling()).await;
    assert_eq!(applied["lifecycle_state"], "applied", "{applied:#}");
    let deployment = ask(&server, &live.olga, Method::GET, "/deployments/1", None).await;
    (server, place, deployment)
}

/// What the runtime calls the first deployment.
async fn first_key(live: &Live) -> String {
    live.t.rows::<(String,)>("SELECT runtime_key FROM deployments WHERE deployment_id = 1").await.remove(0).0
}

/// After a version was stopped the first serves alone, as before.
async fn is_as_before(live: &Live, server: &Server, before: &Value, traffic: &Traffic) {
    assert_eq!((live.processes("serve-model"), live.processes("gateway")), (1, 1), "the worse server is gone");
    let now = ask(server, &live.olga, Method::GET, "/deployments/1", None).await;
    for same in ["state", "weight", "digest"] {
        assert_eq!(now[same], before[same], "{same}");
    }
    traffic.since();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let served = traffic.since();
    assert_eq!(served.keys().collect::<Vec<_>>(), [&first_key(live).await], "all traffic is its own");
    assert!(served.values().all(|(_, failed)| *failed == 0), "{served:?}");
    let drift = ask(server, &live.olga, Method::GET, "/drift", None).await;
    assert_eq!(drift["items"], json!([]));
    let failed = ask(server, &live.olga, Method::GET, "/deployments?state=failed", None).await;
    assert_eq!(failed["items"].as_array().unwrap().len(), 1);
}

/// Releases a worse version, which must be stopped for its limits.
async fn is_stopped(live: &Live, server: &Server, place: Place, worse: &Version, strategy: Value) -> Value {
    let ended = live.released(server, place, worse, &strategy).await;
    assert_eq!(ended["lifecycle_state"], "failed", "{ended:#}");
    assert_eq!(ended["diagnostics"]["code"], "canary_failed", "{ended:#}");
    ended
}

both! {
    async fn the_scores_of_an_endpoint_are_those_of_the_approved_bytes(t: T) {
        let live = Live::new(&t).await;
        let (_server, _, deployment) = scene(&live).await;
        let (body, expected) = application(3, None);
        let score = score(deployment["endpoint"].as_str().unwrap(), &body).await.expect("it answers with scores");
        assert!((score - expected).abs() < 1e-5, "{score} instead of {expected}");
    }

    async fn a_good_canary_goes_step_by_step_to_all_of_the_traffic(t: T) {
        let live = Live::new(&t).await;
        let (server, place, before) = scene(&live).await;
        let traffic = Traffic::on(before["endpoint"].as_str().unwrap());
        let two = live.version("2.0", TABULAR).await;
        let steps = json!([{ "weight": 20, "window": 1 }, { "weight": 60, "window": 1 }]);
        let strategy = json!({ "kind": "canary", "steps": steps, "limits": { "max_p95": 5.0, "min_samples": 5 } });
        let ended = live.released(&server, place, &two, &strategy).await;
        assert_eq!(ended["lifecycle_state"], "applied", "{ended:#}");
        let names: Vec<_> = ended["steps"].as_array().unwrap().iter().filter(|step| step["is_undo"] == false).map(|step| step["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["check", "start", "verify", "shift", "observe", "shift", "observe", "shift", "stop"]);
        let observed = &ended["steps"][4]["detail"]["facts"];
        assert!(observed["samples"].as_u64().unwrap() >= 5 && observed["error_rate"] == 0.0, "{observed}");
        let served = traffic.since();
        assert!(served.len() == 2 && served.values().all(|(_, failed)| *failed == 0), "nobody noticed: {served:?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!traffic.since().contains_key(&first_key(&live).await), "the old one has no traffic");
        assert_eq!(live.processes("serve-model"), 1);
        traffic.stop().await;
        t.everything_holds().await;
    }

    async fn a_canary_that_fails_requests_is_stopped_by_itself(t: T) {
        let live = Live::new(&t).await;
        let (server, place, before) = scene(&live).await;
        let traffic = Traffic::on(before["endpoint"].as_str().unwrap());
        let worse = live.version("2.0", FRAGILE).await;
        let strategy = json!({ "kind": "canary", "steps": [{ "weight": 50, "window": 60 }], "limits": { "max_p95": 5.0 } });
        let ended = is_stopped(&live, &server, place, &worse, strategy).await;
        let says = ended["diagnostics"]["message"].as_str().unwrap();
        assert!(says.contains("broke its limits") && says.contains('%'), "{says}");
        is_as_before(&live, &server, &before, &traffic).await;
        traffic.stop().await;
        t.everything_holds().await;
    }

    async fn a_canary_that_is_slow_is_stopped_by_itself(t: T) {
        let live = Live::new(&t).await;
        let (server, place, before) = scene(&live).await;
        let traffic = Traffic::on(before["endpoint"].as_str().unwrap());
        let worse = live.version("2.0", SLOW).await;
        let strategy = json!({ "kind": "canary", "steps": [{ "weight": 50, "window": 60 }], "limits": { "max_p95": 0.05, "min_samples": 10 } });
        let ended = is_stopped(&live, &server, place, &worse, strategy).await;
        let says = ended["diagnostics"]["message"].as_str().unwrap();
        assert!(says.contains("P95"), "{says}");
        is_as_before(&live, &server, &before, &traffic).await;
        traffic.stop().await;
    }

    async fn a_broken_green_gives_way_to_the_blue_that_stayed(t: T) {
        let live = Live::new(&t).await;
        let (server, place, before) = scene(&live).await;
        let traffic = Traffic::on(before["endpoint"].as_str().unwrap());
        let worse = live.version("2.0", FRAGILE).await;
        let strategy = json!({ "kind": "blue_green", "window": 60, "limits": { "max_p95": 5.0 } });
        is_stopped(&live, &server, place, &worse, strategy).await;
        eventually("blue serves", async || !traffic.since().is_empty()).await;
        is_as_before(&live, &server, &before, &traffic).await;
        traffic.stop().await;
        t.everything_holds().await;
    }
}
