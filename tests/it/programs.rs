//! Programs that training jobs start: good ones, and ones that flood, fork, refuse to end, or take too much.

use axum::http::Method;
use countersign::db::Query;
use countersign::identity::Role;
use countersign::training::run::run_one;
use serde_json::{Value, json};

use crate::both;
use crate::builder::{Model, Person};
use crate::harness::{PROGRAM, T};
use crate::live::eventually;
use crate::training::scene;

/// Queues a script, with these fields beside it, and answers its path.
async fn queued(person: &Person, model: &Model, script: &str, more: Value) -> String {
    let mut body = json!({ "name": "A script", "model_id": model.id, "executor": "command",
        "command": { "program": PROGRAM, "arguments": ["train.sh"], "script": { "file_name": "train.sh", "text": script } } });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = person.post("/api/v1/training/jobs", body).await.expect(201).json();
    format!("/api/v1/training/jobs/{}", made["job_id"])
}

/// How the job at a path ended.
async fn ended(t: &T, person: &Person, path: &str) -> Value {
    assert!(run_one(t.app(), "worker").await.unwrap());
    let ended = person.get(path).await.ok().json();
    assert_eq!(processes(t), 0, "nothing of it lives on: {ended:#}");
    ended
}

async fn ran(t: &T, person: &Person, model: &Model, script: &str) -> Value {
    let path = queued(person, model, script, json!({})).await;
    ended(t, person, &path).await
}

/// The whole log of a job as it is kept, and how many bytes its program wrote.
async fn log(person: &Person, job: &Value) -> (String, i64) {
    let (mut text, mut offset) = (String::new(), 0);
    loop {
        let path = format!("/api/v1/training/jobs/{}/log?offset={offset}", job["job_id"]);
        let piece = person.get(&path).await.ok().json();
        text += piece["text"].as_str().unwrap();
        let next = piece["next_offset"].as_i64().unwrap();
        if next == offset {
            return (text, piece["size"].as_i64().unwrap());
        }
        offset = next;
    }
}

/// How many processes work in the folder of a job.
fn processes(t: &T) -> usize {
    let folder = t.folder().join("jobs");
    let entries = std::fs::read_dir("/proc").unwrap();
    let places = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path().join("cwd")).ok());
    places.filter(|place| place.starts_with(&folder)).count()
}

#[track_caller]
fn failed(job: &Value, cause: &str, says: &str) {
    assert_eq!((&job["state"], &job["cause"]), (&json!("failed"), &json!(cause)), "{job:#}");
    let message = job["message"].as_str().unwrap();
    assert!(message.contains(says), "{message}");
}

both! {
    async fn a_program_finds_its_data_and_parameters_and_leaves_its_metrics_log_and_artifact(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let script = r#"
            test "$COUNTERSIGN_PARAM_EPOCHS" = 3 && grep -q '"epochs": 3' "$COUNTERSIGN_PARAMS" || exit 10
            test "$(sha256sum < "$COUNTERSIGN_DATA" | cut -d' ' -f1)" = "$COUNTERSIGN_DATA_DIGEST" || exit 11
            test "$COUNTERSIGN_PARAM_TARGET" = creditability && test "$(wc -c <<<"$COUNTERSIGN_RUN_ID")" = 33 || exit 12
            test -z "$COUNTERSIGN_DATABASE$RUST_BACKTRACE$CARGO_HOME" || exit 13
            for step in 1 2 3; do echo "{\"metric\":\"loss\",\"value\":0.$step,\"step\":$step,\"epoch\":$step,\"epochs\":3}"; done
            echo "something for people"
            echo model > "$COUNTERSIGN_ARTIFACT"
        "#;
        let path = queued(&anna, &model, script, json!({ "dataset_id": dataset, "parameters": { "epochs": 3 } })).await;
        let job = ended(&t, &anna, &path).await;
        assert_eq!(job["state"], "complete", "{job:#}");
        assert_eq!((&job["points"], &job["epoch"], &job["epochs"]), (&json!(3), &json!(3), &json!(3)));
        assert_eq!(job["metrics"][0]["value"], 0.3);
        assert_eq!(log(&anna, &job).await.0, "something for people\n");
        assert_eq!(anna.get(&format!("{path}/artifact")).await.ok().bytes(), b"model\n");
        t.everything_holds().await;
    }

    async fn a_flood_of_log_is_kept_in_part_and_counted_in_whole(t: T) {
        let (anna, model, _) = scene(&t).await;
        let job = ran(&t, &anna, &model, r#"
            echo first words
            yes "as the waters cover the sea" | head -c 19600000
            echo '{"metric":"loss","value":0.5}'
            echo last words
            echo model > "$COUNTERSIGN_ARTIFACT"
        "#).await;
        assert_eq!((&job["state"], &job["points"]), (&json!("complete"), &json!(1)), "{job:#}");
        let (text, size) = log(&anna, &job).await;
        assert_eq!(size, 19_600_000 + 12 + 11);
        assert!(text.starts_with("first words\n") && text.ends_with("last words\n"));
        assert!((1 << 20..2 << 20).contains(&text.len()), "{} bytes", text.len());
        let page = anna.page(&format!("/training/jobs/{}", job["job_id"])).await.ok();
        assert!(page.html.len() < 200 << 10, "{} bytes", page.html.len());
    }

    async fn whatever_a_program_starts_ends_with_it(t: T) {
        let (anna, model, _) = scene(&t).await;
        let job = ran(&t, &anna, &model, r#"
            sleep 600 &
            setsid sleep 600 &
            (trap '' TERM HUP; setsid bash -c 'trap "" TERM; sleep 600; sleep 600' &)
            echo model > "$COUNTERSIGN_ARTIFACT"
        "#).await;
        assert_eq!(job["state"], "complete", "{job:#}");
    }

    async fn a_program_that_ignores_the_request_to_end_is_killed(t: T) {
        let (anna, model, _) = scene(&t).await;
        let script = "trap '' TERM INT HUP\necho '{\"metric\":\"loss\",\"value\":1}'\nwhile true; do sleep 1; done";
        let path = queued(&anna, &model, script, json!({})).await;
        let (app, running) = (t.app().clone(), path.clone());
        let worker = tokio::spawn(async move { run_one(&app, "worker").await.unwrap() });
        eventually("it measures", async || anna.get(&running).await.ok().json()["points"] == 1).await;
        let page = anna.page(&path.replace("/api/v1", "")).await.ok();
        assert_eq!(page.count("button[value=stop]"), 1, "a person can stop it");
        anna.post(&format!("{path}/stop"), json!({})).await.ok();
        assert!(worker.await.unwrap());
        let job = anna.get(&path).await.ok().json();
        assert_eq!((&job["state"], &job["cause"]), (&json!("cancelled"), &json!("stopped")), "{job:#}");
        assert_eq!(processes(&t), 0);
    }

    async fn what_is_not_quite_json_is_log_and_harms_nothing(t: T) {
        let (anna, model, _) = scene(&t).await;
        let job = ran(&t, &anna, &model, r#"
            echo '{"metric":"loss","value":1'
            echo '{"metric":5,"value":1}'
            echo '{"metric":"loss","value":"low"}'
            echo '{"metric":"loss","value":1e999}'
            echo '{"metric":"loss","value":1,"step":-4}'
            echo '{"metric":"","value":1}'
            echo '[[[[[[[[[['
            printf '{"metric":"%0100000d","value":1}\n' 7
            printf '\xff\xfe{"metric"\x00\n'
            head -c 300000 /dev/zero
            echo
            echo '{"metric":"loss","value":0.25,"step":9}'
            printf '{"metric":"loss","value":0.125,"step":10}'
            echo model > "$COUNTERSIGN_ARTIFACT"
        "#).await;
        assert_eq!((&job["state"], &job["points"]), (&json!("complete"), &json!(2)), "{job:#}");
        assert_eq!(job["metrics"][0]["value"], 0.125);
        let (text, size) = log(&anna, &job).await;
        assert!(text.contains("{\"metric\":5,\"value\":1}\n") && size > 400_000, "{size}");
        anna.page(&format!("/training/jobs/{}", job["job_id"])).await.ok();
    }

    async fn an_artifact_of_two_gigabytes_is_refused_without_being_read(t: T) {
        let (anna, model, _) = scene(&t).await;
        let began = std::time::Instant::now();
        let job = ran(&t, &anna, &model, r#"truncate -s 2G "$COUNTERSIGN_ARTIFACT""#).await;
        failed(&job, "artifact_too_large", "at most 4 MiB");
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
        assert!(!t.folder().join("jobs").join(job["job_id"].to_string()).join("work").exists());
    }

    async fn how_a_program_failed_is_told_in_its_own_words(t: T) {
        let (anna, model, _) = scene(&t).await;
        let job = ran(&t, &anna, &model, "echo 'the column age is missing' >&2; exit 3").await;
        failed(&job, "exit_code", "exit code 3. It said last: the column age is missing");
        let job = ran(&t, &anna, &model, "kill -SEGV $$").await;
        failed(&job, "exit_code", "signal 11");
        failed(&ran(&t, &anna, &model, "true").await, "no_artifact", "COUNTERSIGN_ARTIFACT");
        let job = ran(&t, &anna, &model, "ln -s /etc/hostname \"$COUNTERSIGN_ARTIFACT\"").await;
        failed(&job, "no_artifact", "left no artifact");
    }

    async fn a_program_that_takes_too_long_or_too_much_memory_is_ended(t: T) {
        let (anna, model, _) = scene(&t).await;
        // Beyond the limit by far before the memory of this machine is.
        let glutton = "ulimit -v 2000000; tail /dev/zero; sleep 60";
        let path = queued(&anna, &model, glutton, json!({ "memory_limit_mib": 100 })).await;
        let job = ended(&t, &anna, &path).await;
        failed(&job, "memory_limit", "more than the 100 MiB");
        assert!(job["peak_memory_bytes"].as_i64().unwrap() > 100 << 20);

        let path = queued(&anna, &model, "sleep 600", json!({ "time_limit_minutes": 1 })).await;
        // The shortest limit is longer than a test should take.
        let mut act = t.act().await;
        let sql = r#"UPDATE training_jobs SET configuration = REPLACE(configuration, '"time_limit_minutes":1', '"time_limit_minutes":0')"#;
        Query::new(sql).run(&mut act.tx).await.unwrap();
        act.commit().await.unwrap();
        failed(&ended(&t, &anna, &path).await, "time_limit", "took longer");
    }

    async fn data_that_changed_before_or_during_a_training_fail_it(t: T) {
        let (anna, model, _) = scene(&t).await;
        let file = t.folder().join("tables").join("loans.csv");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "age,good\n1,yes\n2,no\n").unwrap();
        let form = crate::import::multipart(&[("name", None, b"Loans"), ("location", None, file.to_str().unwrap().as_bytes())]);
        let made = anna.request(Method::POST, "/api/v1/datasets").body(crate::import::FORM, form).await.expect(201).json();
        let more = json!({ "dataset_id": made["dataset_id"] });
        let greedy = "echo '3,yes' >> \"$COUNTERSIGN_DATA\"; echo model > \"$COUNTERSIGN_ARTIFACT\"";
        for script in [greedy, "echo model > \"$COUNTERSIGN_ARTIFACT\""] {
            let path = queued(&anna, &model, script, more.clone()).await;
            failed(&ended(&t, &anna, &path).await, "data_changed", "not the one that was added");
        }
        std::fs::remove_file(&file).unwrap();
        let path = queued(&anna, &model, "true", more).await;
        failed(&ended(&t, &anna, &path).await, "data_changed", "There is no such file");
    }

    async fn only_who_runs_a_models_training_starts_stops_repeats_and_deletes(t: T) {
        let (anna, model, data) = scene(&t).await;
        let path = queued(&anna, &model, "true", json!({})).await;
        for role in [Role::Auditor, Role::Validator] {
            let other = t.person(&format!("{role:?}")).role(role).await;
            other.get(&path).await.ok();
            for act in ["stop", "retry"] {
                other.post(&format!("{path}/{act}"), json!({})).await.refused(403, "forbidden");
            }
            other.delete(&path).await.refused(403, "forbidden");
            let page = other.page(&path.replace("/api/v1", "")).await.ok();
            assert_eq!(page.count("form[action$='/act']"), 0, "nothing is offered that is refused");
        }
        let other = t.person("Sam").await;
        let body = json!({ "name": "Mine now" });
        other.put(&format!("/api/v1/datasets/{data}"), body).if_match(1).await.refused(403, "forbidden");
    }
}
