//! Following a training job: what was measured comes once, in order, whoever was cut off meanwhile.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use countersign::training::run::run_one;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::both;
use crate::builder::Person;
use crate::harness::{PROGRAM, T};
use crate::training::scene;

/// 400 points, a few at a time.
const SCRIPT: &str = r#"
    for step in $(seq 400); do
        echo "{\"metric\":\"loss\",\"value\":$step,\"step\":$step,\"steps\":400}"
        if ((step % 20 == 0)); then sleep 0.1; fi
    done
    echo model > "$COUNTERSIGN_ARTIFACT"
"#;

/// An event: its name, its number, what it tells.
type Event = (String, Option<i64>, Value);

/// One connection that follows a job.
struct Follower {
    body: Body,
    text: String,
}

impl Follower {
    async fn connect(t: &T, person: &Person, path: &str, last: Option<i64>) -> Self {
        let mut request = Request::get(path).header("authorization", format!("Bearer {}", person.token));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = t.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        Self { body: answer.into_body(), text: String::new() }
    }

    /// The next event.
    async fn next(&mut self) -> Event {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let found = field("data:").map(|data| {
                    let id = field("id:").and_then(|id| id.parse().ok());
                    (field("event:").unwrap_or_default().to_owned(), id, serde_json::from_str(data).unwrap())
                });
                self.text = rest.to_owned();
                if let Some(found) = found {
                    return found;
                }
                continue;
            }
            let frame = tokio::time::timeout(Duration::from_secs(30), self.body.frame()).await;
            let frame = frame.expect("something comes").expect("the stream goes on").unwrap();
            self.text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
    }
}

async fn queued(person: &Person, model: i64) -> String {
    let body = json!({ "name": "Followed", "model_id": model, "executor": "command",
        "command": { "program": PROGRAM, "arguments": ["-c", SCRIPT] } });
    let made = person.post("/api/v1/training/jobs", body).await.expect(201).json();
    format!("/api/v1/training/jobs/{}", made["job_id"])
}

fn numbers(items: &Value) -> Vec<i64> {
    items["items"].as_array().unwrap().iter().map(|point| point["seq"].as_i64().unwrap()).collect()
}

both! {
    async fn who_is_cut_off_again_and_again_misses_no_point_and_sees_none_twice(t: T) {
        let (anna, model, _) = scene(&t).await;
        let path = queued(&anna, model.id.0).await;
        let app = t.app().clone();
        let worker = tokio::spawn(async move { run_one(&app, "worker").await.unwrap() });
        let (mut seen, mut last, mut cuts) = (Vec::new(), None, 0);
        while seen.len() < 400 {
            let mut follower = Follower::connect(&t, &anna, &format!("{path}/stream"), last).await;
            // Each connection lasts for two lots of points.
            for _ in 0..2 {
                while seen.len() < 400 {
                    let (name, id, data) = follower.next().await;
                    if name == "points" {
                        seen.extend(numbers(&data));
                        assert_eq!(id, seen.last().copied());
                        last = id;
                        break;
                    }
                }
            }
            cuts += 1;
        }
        assert_eq!(seen, (1..=400).collect::<Vec<_>>());
        assert!(cuts > 2, "{cuts} connections");
        assert!(worker.await.unwrap());
        let mut late = Follower::connect(&t, &anna, &format!("{path}/stream?after=390"), None).await;
        assert_eq!(numbers(&late.next().await.2), (391..=400).collect::<Vec<_>>());
    }

    async fn who_follows_hears_of_progress_log_and_end(t: T) {
        let (anna, model, _) = scene(&t).await;
        let path = queued(&anna, model.id.0).await;
        let mut follower = Follower::connect(&t, &anna, &format!("{path}/stream?brief=true"), None).await;
        let app = t.app().clone();
        let worker = tokio::spawn(async move { run_one(&app, "worker").await.unwrap() });
        let (mut progress, mut points) = (Vec::new(), 0);
        loop {
            match follower.next().await {
                (name, _, data) if name == "state" => {
                    progress.extend(data["step"].as_i64());
                    if data["state"] == "complete" {
                        break;
                    }
                }
                (name, _, data) if name == "points" => {
                    assert!(data["items"].is_null(), "who is brief is told how many: {data}");
                    points = data["points"].as_i64().unwrap();
                }
                _ => (),
            }
        }
        assert!(progress.is_sorted() && progress.last() == Some(&400) && progress.len() > 2, "{progress:?}");
        assert_eq!(points, 400);
        assert!(worker.await.unwrap());
    }
}
