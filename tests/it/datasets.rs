//! Data sets: uploaded or referred to, known by their digest, read as a table, refused if they are none.

use axum::http::Method;
use countersign::training::run::run_one;
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::both;
use crate::builder::Person;
use crate::client::Answer;
use crate::harness::{MOST_BYTES, T};
use crate::import::{FORM, multipart};
use crate::training::{job, scene};

const LOANS: &[u8] = b"age,income,purpose,good\n41,2100.5,car,yes\n,1800,tv,no\n27,,car,yes\n";

async fn uploaded(person: &Person, name: &str, file: &[u8]) -> Answer {
    let body = multipart(&[("name", None, name.as_bytes()), ("file", Some("loans.csv"), file)]);
    person.request(Method::POST, "/api/v1/datasets").body(FORM, body).await
}

async fn referred(person: &Person, name: &str, location: &str) -> Answer {
    let body = multipart(&[("name", None, name.as_bytes()), ("location", None, location.as_bytes())]);
    person.request(Method::POST, "/api/v1/datasets").body(FORM, body).await
}

/// A table in the folder that may be referred to.
fn table(t: &T, name: &str, text: &[u8]) -> String {
    let folder = t.folder().join("tables");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
    folder.join(name).display().to_string()
}

#[track_caller]
fn says(answer: Answer, field: &str, what: &str) {
    let problem = answer.refused(422, "invalid").json();
    let found = problem["fields"].as_array().unwrap().iter().find(|one| one["field"] == field);
    let message = found.unwrap_or_else(|| panic!("nothing of {field}: {problem:#}"))["message"].as_str().unwrap();
    assert!(message.contains(what), "{message}");
}

both! {
    async fn a_table_is_known_by_its_digest_and_its_columns(t: T) {
        let anna = t.person("Anna").await;
        let made = uploaded(&anna, "Loans", LOANS).await.expect(201).json();
        assert_eq!(made["digest"], hex::encode(sha2::Sha256::digest(LOANS)));
        assert_eq!((&made["row_count"], &made["file_name"], &made["stored"]), (&json!(3), &json!("loans.csv"), &json!(true)));
        let columns: Vec<_> = made["columns"].as_array().unwrap().iter()
            .map(|one| ["name", "kind", "role", "missing", "distinct", "min", "max"].map(|key| one[key].clone())).collect();
        assert_eq!(json!(columns), json!([
            ["age", "number", "feature", 1, 2, 27.0, 41.0],
            ["income", "number", "feature", 1, 2, 1800.0, 2100.5],
            ["purpose", "text", "feature", 0, 2, null, null],
            ["good", "boolean", "target", 0, 2, null, null],
        ]));
        assert_eq!(made["preview"][1], json!([null, "1800", "tv", "no"]));
        let page = anna.page(&format!("/training/datasets/{}", made["dataset_id"])).await.ok();
        assert!(page.html.contains(made["digest"].as_str().unwrap()) && page.html.contains("2100.5"));
        t.everything_holds().await;
    }

    async fn a_parquet_file_is_learned_from_as_its_csv_file_is(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let parquet = include_bytes!("../data/german-credit.parquet");
        let made = uploaded(&anna, "As Parquet", parquet).await.expect(201).json();
        assert_eq!((&made["format"], &made["row_count"]), (&json!("parquet"), &json!(1000)));
        let known = anna.get(&format!("/api/v1/datasets/{dataset}")).await.ok().json();
        assert_eq!((&made["columns"], &made["preview"]), (&known["columns"], &known["preview"]));
        let mut learned = Vec::new();
        for data in [dataset, made["dataset_id"].as_i64().unwrap()] {
            let job = anna.post("/api/v1/training/jobs", job(&model, data)).await.expect(201).json();
            assert!(run_one(t.app(), "worker").await.unwrap());
            let path = format!("/api/v1/training/jobs/{}", job["job_id"]);
            let metrics = anna.get(&path).await.ok().json()["metrics"].as_array().unwrap().clone();
            learned.push(metrics.into_iter().map(|one| (one["name"].clone(), one["value"].clone())).collect::<Vec<_>>());
        }
        assert_eq!(learned[0].len(), 5);
        assert_eq!(learned[0], learned[1]);
    }

    async fn the_role_of_a_column_is_changed_by_whoever_saw_the_newest_state(t: T) {
        let anna = t.person("Anna").await;
        let made = uploaded(&anna, "Loans", LOANS).await.expect(201);
        let (path, revision) = (format!("/api/v1/datasets/{}", made.json()["dataset_id"]), made.revision());
        let body = json!({ "name": "Loans of May", "description": "All of May.", "roles": { "age": "ignored" } });
        let changed = anna.put(&path, body.clone()).if_match(revision).await.ok().json();
        assert_eq!((&changed["name"], &changed["columns"][0]["role"]), (&json!("Loans of May"), &json!("ignored")));
        assert_eq!(changed["digest"], made.json()["digest"]);
        anna.put(&path, body.clone()).if_match(revision).await.refused(412, "stale");
        anna.put(&path, body).await.expect(428);
        let two = json!({ "name": "Loans", "roles": { "age": "target", "good": "target", "size": "ignored" } });
        let answer = anna.put(&path, two).if_match(revision + 1).await.refused(422, "invalid").json();
        let messages = answer["fields"].to_string();
        assert!(messages.contains("no column “size”") && messages.contains("Only one column"), "{messages}");
        t.everything_holds().await;
    }

    async fn what_is_no_table_is_refused_with_the_line_at_fault(t: T) {
        let anna = t.person("Anna").await;
        let cases: [(&[u8], &str); 8] = [
            (b"", "not empty"),
            (b"age,good\n", "no row below"),
            (b"age,good\n1,yes\n2,no,maybe\n", "Line 3"),
            (b"age,age\n1,2\n", "age"),
            (b"age,\n1,2\n", "name"),
            (b"age,good\n1,\xff\xfe\n", "UTF-8"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"PAR1\x15\x04\x15\x04\x04\x00\x00\x00PAR1", "Parquet"),
        ];
        for (file, what) in cases {
            says(uploaded(&anna, "Loans", file).await, "file", what);
        }
        let large = [b"age,good\n".as_slice(), &b"1234567,yes\n".repeat(MOST_BYTES / 12)].concat();
        uploaded(&anna, "Loans", &large).await.refused(413, "too_large");
        assert_eq!(anna.get("/api/v1/datasets").await.ok().json()["total_count"], 0);
    }

    async fn a_name_is_taken_once(t: T) {
        let anna = t.person("Anna").await;
        uploaded(&anna, "Loans", LOANS).await.expect(201);
        uploaded(&anna, "Loans", b"a,b\n1,2\n").await.refused(409, "conflict");
        says(uploaded(&anna, "L", LOANS).await, "name", "3 to 100");
        // The same bytes under another name are another data set of the same artifact.
        uploaded(&anna, "Loans again", LOANS).await.expect(201);
        assert_eq!(t.number("SELECT COUNT(*) FROM artifacts").await, 1);
    }

    async fn a_file_of_the_server_stays_where_it_is(t: T) {
        let anna = t.person("Anna").await;
        let location = table(&t, "loans.csv", LOANS);
        let made = referred(&anna, "Loans", &location).await.expect(201).json();
        assert_eq!((&made["stored"], &made["row_count"]), (&json!(false), &json!(3)));
        assert_eq!(made["location"].as_str().map(|path| path.ends_with("tables/loans.csv")), Some(true));
        assert!(!t.folder().join("artifacts").exists(), "nothing was copied");
    }

    async fn nothing_outside_of_the_folders_that_are_allowed_is_referred_to(t: T) {
        let anna = t.person("Anna").await;
        table(&t, "loans.csv", LOANS);
        let (inside, secret) = (t.folder().join("tables"), t.folder().join("secret.csv"));
        std::fs::write(&secret, LOANS).unwrap();
        std::os::unix::fs::symlink(&secret, inside.join("link.csv")).unwrap();
        let path = |path: std::path::PathBuf| path.display().to_string();
        for outside in ["/etc/passwd".to_owned(), path(secret), path(inside.join("link.csv")), path(inside.join("../secret.csv"))] {
            says(referred(&anna, "Loans", &outside).await, "location", "must lie below");
        }
        says(referred(&anna, "Loans", &path(inside.join("absent.csv"))).await, "location", "no such file");
        says(referred(&anna, "Loans", &path(inside)).await, "location", "not a file");
    }

    async fn the_page_takes_a_file_and_shows_what_is_wrong_beside_it(t: T) {
        let anna = t.person("Anna").await;
        let send = async |file: &[u8]| {
            let parts: [(&str, Option<&str>, &[u8]); 3] =
                [("_csrf", None, anna.csrf.as_bytes()), ("name", None, b"Loans"), ("file", Some("loans.csv"), file)];
            anna.browse(Method::POST, "/training/datasets").body(FORM, multipart(&parts)).await
        };
        let refused = send(b"age,good\n1,yes\n2\n").await.expect(422);
        assert!(refused.text().contains("Line 3") && refused.text().contains("value=\"Loans\""), "{}", refused.text());
        assert_eq!(send(LOANS).await.expect(303).header("location"), "/training/datasets/1");
        assert_eq!(anna.page("/training/datasets").await.ok().count("tbody tr"), 1);
    }
}

#[tokio::test]
async fn a_list_of_many_is_paged_and_searched() {
    let t = T::sqlite().await;
    let anna = t.person("Anna").await;
    for number in 0..7 {
        uploaded(&anna, &format!("Loans {number}"), format!("a,b\n{number},2\n").as_bytes()).await.expect(201);
    }
    let (mut names, mut path) = (Vec::new(), "/api/v1/datasets?limit=3".to_owned());
    loop {
        let page = anna.get(&path).await.ok().assert_statements_at_most(3).json();
        assert_eq!(page["total_count"], 7);
        names.extend(page["items"].as_array().unwrap().iter().map(|one| one["name"].clone()));
        let Value::String(cursor) = &page["next_cursor"] else { break };
        path = format!("/api/v1/datasets?limit=3&cursor={cursor}");
    }
    assert_eq!(names.len(), 7);
    assert_eq!(names[0], "Loans 6");
    assert_eq!(anna.get("/api/v1/datasets?q=loans%203").await.ok().json()["total_count"], 1);
}
