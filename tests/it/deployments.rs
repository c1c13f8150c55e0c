//! The table of deployments: what it shows, in which order, and how it is narrowed down.

use countersign::db::Query;
use countersign::identity::Role;
use serde_json::Value;

use crate::both;
use crate::builder::{Person, Region};
use crate::harness::T;

/// What a deployment of the scene is like: model, state, requests a second, P95, error rate.
type Like = (&'static str, &'static str, Option<f64>, Option<f64>, Option<f64>);

const SCENE: &[Like] = &[
    ("Alpha", "active", Some(3.0), Some(12.5), Some(0.0)),
    ("Beta", "active", None, None, None),
    ("Gamma", "active", Some(40.0), Some(900.0), Some(0.2)),
    ("Delta", "failed", None, None, None),
    ("Echo", "active", Some(1.0 / 3.0), Some(0.1), Some(0.0)),
];

/// An environment that nothing was released into.
pub async fn production(t: &T, region: &Region) -> i64 {
    let mut act = t.act().await;
    let made: (i64,) = Query::new(
        "INSERT INTO environments (name, region_id, stage, runtime, state, endpoint, approval_required, preview_minutes, created_at)
         VALUES ('uk-production', $1, 'production', 'local', 'ready', '127.0.0.1:7101', FALSE, 30, $2) RETURNING environment_id",
    )
    .bind(region.id)
    .bind(t.now())
    .one(&mut act.tx)
    .await
    .unwrap();
    act.commit().await.unwrap();
    made.0
}

/// Deployments of Anna's models, a minute apart, measured a moment ago.
async fn scene(t: &T) -> Person {
    let anna = t.person("Anna").await;
    let uk = t.region("UK").await;
    let environment = production(t, &uk).await;
    for (at, (model, state, rate, p95, errors)) in SCENE.iter().enumerate() {
        let version = t.model(model).owned_by(&anna).in_regions([&uk]).await.version("1.0").approved().await;
        let mut act = t.act().await;
        Query::new(
            "INSERT INTO deployments (environment_id, model_id, version_id, runtime_key, state, endpoint, digest, created_at, active_at,
                 requests_per_s, p95_ms, error_rate, measured_at)
             SELECT $1, v.model_id, v.version_id, 'k', $2, '127.0.0.1:7101', 'd', $3, $3, $4, $5, $6, $7 FROM versions v
             WHERE v.version_id = $8",
        )
        .bind(environment)
        .bind(*state)
        .bind(t.now() - chrono::TimeDelta::minutes(10 - i64::try_from(at).unwrap()))
        .bind(*rate)
        .bind(*p95)
        .bind(*errors)
        .bind(t.now())
        .bind(version.id)
        .run(&mut act.tx)
        .await
        .unwrap();
        act.commit().await.unwrap();
    }
    anna
}

/// The models of a list, page by page of two.
async fn order(person: &Person, query: &str) -> String {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let list = person.get(&format!("/api/v1/deployments?limit=2{query}{cursor}")).await.ok().json();
        let items = list["items"].as_array().unwrap();
        names.extend(items.iter().map(|one| one["model_name"].as_str().unwrap().to_owned()));
        match list["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return names.join(" "),
        }
    }
}

both! {
    async fn the_table_is_sorted_both_ways_and_what_was_not_measured_comes_last(t: T) {
        let anna = scene(&t).await;
        for (sort, wanted) in [
            ("", "Echo Delta Gamma Beta Alpha"),
            ("&sort=deployed", "Alpha Beta Gamma Delta Echo"),
            ("&sort=model", "Alpha Beta Delta Echo Gamma"),
            ("&sort=-model", "Gamma Echo Delta Beta Alpha"),
            ("&sort=requests_per_s", "Echo Alpha Gamma Beta Delta"),
            ("&sort=-requests_per_s", "Gamma Alpha Echo Delta Beta"),
            ("&sort=p95_ms", "Echo Alpha Gamma Beta Delta"),
            ("&sort=-p95_ms", "Gamma Alpha Echo Delta Beta"),
            ("&sort=-p95_ms&state=active", "Gamma Alpha Echo Beta"),
            ("&q=ELT", "Delta"),
        ] {
            assert_eq!(order(&anna, sort).await, wanted, "{sort}");
        }
        anna.get("/api/v1/deployments?sort=fastest").await.refused(422, "invalid");
        let foreign = anna.get("/api/v1/deployments?sort=model&limit=1").await.ok().json();
        let foreign = foreign["next_cursor"].as_str().unwrap().to_owned();
        anna.get(&format!("/api/v1/deployments?sort=p95_ms&cursor={foreign}")).await.refused(422, "invalid");
    }

    async fn the_page_says_no_traffic_and_marks_what_is_above_its_limit(t: T) {
        let anna = scene(&t).await;
        let page = anna.page("/deployments?sort=model").await.ok().assert_statements_at_most(4);
        assert_eq!(page.text(".filters .count"), "5 deployments");
        assert_eq!(page.attribute("th[aria-sort=ascending] a", "href"), "/deployments?sort=-model");
        let rows = page.texts("#deployments tbody tr");
        assert!(rows[0].contains("3.00/s") && rows[0].contains("12.5 ms") && rows[0].contains("0.00 %"), "{}", rows[0]);
        assert!(rows[1].contains("no traffic") && !rows[1].contains("0.00"), "{}", rows[1]);
        assert!(rows[2].contains("Failed") && !rows[2].contains("no traffic"), "{}", rows[2]);
        assert_eq!(page.texts("#deployments tbody td.num .status-bad"), ["900 ms", "20.00 %"]);
        let list = anna.get("/api/v1/deployments?sort=model").await.ok().json();
        let traffic: Vec<_> = list["items"].as_array().unwrap().iter().map(|one| one["traffic"].clone()).collect();
        assert_eq!(traffic, ["available", "no_traffic", "unavailable", "available", "available"]);
        assert_eq!((list["items"][1]["p95_ms"].clone(), list["total_count"].as_i64()), (Value::Null, Some(5)));
    }

    async fn filters_that_match_nothing_say_so_and_can_be_cleared(t: T) {
        let ada = t.person("Ada").role(Role::Admin).await;
        let none = ada.page("/deployments").await.ok();
        assert!(none.text("#deployments .empty").contains("No deployments yet"));
        assert_eq!(none.attribute("#deployments .empty a", "href"), "/releases/new");
        let anna = scene(&t).await;
        let none = anna.page("/deployments?q=zzz&state=active").await.ok();
        assert!(none.text("#deployments .empty").contains("No deployments found"));
        assert_eq!(none.attribute("#deployments .empty a", "href"), "/deployments");
        let ben = t.person("Ben").await;
        assert_eq!(ben.get("/api/v1/deployments").await.ok().json()["total_count"], 0, "of models that he does not see");
    }
}
