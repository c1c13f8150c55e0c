//! The whole way on this machine: the real server applies a release, a real model server answers, both are killed,
//! and nothing is left in the end.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::both;
use crate::live::{CREDIT, Live, ask, is_ready, rolling};

both! {
    async fn a_release_serves_outlives_the_server_is_resumed_after_a_kill_and_is_stopped(t: T) {
        let live = Live::new(&t).await;
        let one = live.version("1.0", CREDIT).await;
        let mut server = live.start();
        let place = live.place(&server, "uk-development", "development").await;
        let first = live.released(&server, place, &one, &rolling()).await;
        assert_eq!(first["lifecycle_state"], "applied", "{first:#}");
        let deployment = ask(&server, &live.olga, Method::GET, "/deployments/1", None).await;
        let endpoint = deployment["endpoint"].as_str().unwrap().to_owned();
        assert!(is_ready(&endpoint).await, "{endpoint} answers");
        assert!(live.shell(&server, "deployments list").contains(&endpoint));
        assert!(live.shell(&server, "release status 1 --watch").contains("applied"));
        assert!(live.shell(&server, "inbox list").starts_with("NUMBER"));
        let shown = live.shell(&server, "release preview --environment 1 --version 1 --json");
        let preview: Value = serde_json::from_str(&shown).unwrap();
        let applied = live.shell(&server, &format!("release apply {}", preview["preview_ref"].as_str().unwrap()));
        assert!(applied.starts_with("Release 2 of Credit 1.0"), "{applied}");
        live.newest_ended(&server).await;
        server.kill();
        assert!(is_ready(&endpoint).await, "the model server outlives the control plane");
        for round in 0..4_u64 {
            server = live.start();
            let next = live.version(&format!("{}.0", round + 2), CREDIT).await;
            live.release(&server, place, &next, &rolling()).await;
            tokio::time::sleep(Duration::from_millis(round * 120)).await;
            server.kill();
            server = live.start();
            let came = live.newest_ended(&server).await;
            assert_eq!(came["lifecycle_state"], "applied", "{came:#}");
            assert_eq!(live.processes("serve-model"), 1, "one server, never two: {came:#}");
            assert!(is_ready(&endpoint).await, "something serves: {came:#}");
            server.kill();
        }
        live.stop();
        t.everything_holds().await;
    }
}
