//! Fills a database to a size, set by set.
//!
//! A hundred owners own one model in a hundred each. A model is used in ten regions, of which three
//! require their own approval, and has two approved versions: 1.0 is ratified live everywhere, 2.0
//! nowhere; so half of its pairs are ratified. Open tasks hang on the pairs that are ready, and, where
//! these are too few, on minor versions of further models, which need no validation.

use chrono::{DateTime, Days, NaiveDate, Utc};
use countersign::app::App;
use countersign::audit::{Act, Who};
use countersign::db::{Query, Tx};
use countersign::identity::digest_of_secret;
use countersign::readiness;

const REGIONS: i64 = 10;
const OWNERS: i64 = 100;

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Pairs of an approved version and a region; half of them are ratified.
    pub pairs: i64,
    pub open_tasks: i64,
}

/// Who sends requests.
#[derive(Debug, Clone)]
pub enum Caller {
    Nobody,
    Token(String),
    Session(String),
    /// The same, by a browser that takes nothing packed.
    Plain(String),
}

impl Caller {
    pub fn header(&self) -> String {
        match self {
            Self::Nobody => "Accept: */*".to_owned(),
            Self::Token(token) => format!("Authorization: Bearer {token}"),
            Self::Session(token) | Self::Plain(token) => format!("Cookie: countersign_session={token}"),
        }
    }
}

/// What the requests are about.
#[derive(Debug)]
pub struct Scene {
    pub owner: Caller,
    pub owner_session: Caller,
    pub admin: Caller,
    pub admin_session: Caller,
    /// Open tasks to confirm, in no order.
    pub tasks: Vec<i64>,
    pub today: NaiveDate,
}

/// Fills an empty database.
pub async fn fill_database(app: &App, sizes: Sizes) -> Scene {
    let models = sizes.pairs / 2 / REGIONS;
    let on_pairs = (models * REGIONS).min(sizes.open_tasks);
    let more_models = (sizes.open_tasks - on_pairs) / REGIONS;
    let mut act = Act::begin(app, &Who::system("bench")).await.unwrap();
    let now = act.now;
    let tx = &mut act.tx;
    people(tx, now).await;
    inventory(tx, now, models, more_models).await;
    calendar(tx, now.date_naive()).await;
    validations(tx, now).await;
    facts(tx, now, on_pairs / REGIONS).await;
    readiness::rebuild(&mut act).await.unwrap();
    act.commit().await.unwrap();
    Query::new("ANALYZE").run(&app.db).await.unwrap();
    let tasks: Vec<(i64,)> = Query::new(
        "SELECT t.task_id FROM deployment_tasks t JOIN regions r ON r.region_id = t.region_id
         WHERE t.status = 'PENDING' AND NOT r.requires_regional_approval ORDER BY (t.task_id * 7919) % 100003 LIMIT 5000",
    )
    .all(&app.db)
    .await
    .unwrap();
    Scene {
        owner: Caller::Token("token-1".to_owned()),
        owner_session: Caller::Session("session-1".to_owned()),
        admin: Caller::Token("token-101".to_owned()),
        admin_session: Caller::Session("session-101".to_owned()),
        tasks: tasks.into_iter().map(|task| task.0).collect(),
        today: now.date_naive(),
    }
}

/// Runs `INSERT … SELECT … FROM n`, where `n.i` counts from 1 to `$1`; `$2` is the instant now.
pub async fn rows(tx: &mut Tx, count: i64, now: DateTime<Utc>, insert: &'static str, select: &'static str) {
    if count > 0 {
        Query::new(insert)
            .push(" WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $1) ")
            .push(select)
            .bind(count)
            .bind(now)
            .run(tx)
            .await
            .unwrap();
    }
}

/// A hundred owners, and the administrator as number 101; a token and a session for two of them.
pub async fn people(tx: &mut Tx, now: DateTime<Utc>) {
    rows(
        tx,
        OWNERS + 1,
        now,
        "INSERT INTO users (email, name, created_at)",
        "SELECT 'person-' || i || '@example.com', 'Person ' || i, $2 FROM n ORDER BY i",
    )
    .await;
    Query::new("INSERT INTO user_roles (user_id, role) VALUES ($1, 'ADMIN')")
        .bind(OWNERS + 1)
        .run(&mut *tx)
        .await
        .unwrap();
    let end = now + chrono::TimeDelta::days(365);
    for id in [1, OWNERS + 1] {
        Query::new(
            "INSERT INTO api_tokens (user_id, name, token_hash, scope, created_at, expires_at, last_used_at)
             VALUES ($1, 'bench', $2, 'write', $3, $4, $3)",
        )
        .bind(id)
        .bind(digest_of_secret(&format!("token-{id}")))
        .bind(now)
        .bind(end)
        .run(&mut *tx)
        .await
        .unwrap();
        Query::new(
            "INSERT INTO sessions (token_hash, user_id, csrf_token, created_at, seen_at, expires_at, client)
             VALUES ($1, $2, 'bench', $3, $3, $4, 'bench')",
        )
        .bind(digest_of_secret(&format!("session-{id}")))
        .bind(id)
        .bind(now)
        .bind(end)
        .run(&mut *tx)
        .await
        .unwrap();
    }
}

async fn inventory(tx: &mut Tx, now: DateTime<Utc>, models: i64, more_models: i64) {
    rows(
        tx,
        REGIONS,
        now,
        "INSERT INTO regions (code, name, time_zone, requires_regional_approval)",
        "SELECT 'R' || i, 'Region ' || i, 'UTC', i <= 3 FROM n WHERE $2 IS NOT NULL ORDER BY i",
    )
    .await;
    Query::new("INSERT INTO teams (name) VALUES ('Risk')").run(&mut *tx).await.unwrap();
    Query::new("INSERT INTO projects (name, team_id) SELECT 'Credit', team_id FROM teams").run(&mut *tx).await.unwrap();
    rows(
        tx,
        models + more_models,
        now,
        "INSERT INTO models (name, owner_id, project_id, risk_tier, status, created_at)",
        "SELECT 'Model ' || i, (i % 100) + 1, p.project_id, 'TIER_' || (i % 2 + 2), 'ACTIVE', $2 FROM n, projects p ORDER BY i",
    )
    .await;
    Query::new(
        "INSERT INTO model_regions (model_id, region_id) SELECT m.model_id, r.region_id FROM models m, regions r",
    )
    .run(&mut *tx)
    .await
    .unwrap();
    // Versions 1.0 and 2.0 of a model that is ready; one minor change of the others.
    for number in [1, 2] {
        Query::new(
            "INSERT INTO versions (model_id, number, major, minor, change_type, scope, description, submitted_by_id, created_at)
             SELECT model_id, $2 || '.0', $1, 0, 'MAJOR', 'REGIONAL', 'A change', owner_id, $3 FROM models WHERE model_id <= $4
             ORDER BY model_id",
        )
        .bind(number)
        .bind(number.to_string())
        .bind(now - chrono::TimeDelta::days(400 / number))
        .bind(models)
        .run(&mut *tx)
        .await
        .unwrap();
    }
    Query::new(
        "INSERT INTO versions (model_id, number, major, minor, change_type, scope, description, submitted_by_id, created_at)
         SELECT model_id, '1.1', 1, 1, 'MINOR', 'REGIONAL', 'A change', owner_id, $2 FROM models WHERE model_id > $1 ORDER BY model_id",
    )
    .bind(models)
    .bind(now - chrono::TimeDelta::days(90))
    .run(&mut *tx)
    .await
    .unwrap();
    Query::new("INSERT INTO version_regions (version_id, region_id) SELECT v.version_id, r.region_id FROM versions v, regions r")
        .run(&mut *tx)
        .await
        .unwrap();
}

/// Days to spread things over: 365 of the past, and as many due from a month ago on.
async fn calendar(tx: &mut Tx, today: NaiveDate) {
    Query::new("CREATE TEMPORARY TABLE days (k BIGINT PRIMARY KEY, past DATE NOT NULL, due DATE NOT NULL)")
        .run(&mut *tx)
        .await
        .unwrap();
    for k in 0..365_u64 {
        Query::new("INSERT INTO days (k, past, due) VALUES ($1, $2, $3)")
            .bind(k.cast_signed())
            .bind(today - Days::new(k))
            .bind(today - Days::new(30) + Days::new(k))
            .run(&mut *tx)
            .await
            .unwrap();
    }
}

/// One approved request a version. Of the regions that require approval, one is in no request's scope.
async fn validations(tx: &mut Tx, now: DateTime<Utc>) {
    for number in [1, 2] {
        Query::new(
            "INSERT INTO validation_requests (type, priority, state, requested_by_id, requested_at, completion_date, completed_at)
             SELECT 'CHANGE', 'MEDIUM', 'APPROVED', v.submitted_by_id, v.created_at, d.past, $2
             FROM versions v JOIN days d ON d.k = v.version_id % 365
             WHERE v.change_type = 'MAJOR' AND v.major = $1 ORDER BY v.version_id",
        )
        .bind(number)
        .bind(now - chrono::TimeDelta::days(300 / number))
        .run(&mut *tx)
        .await
        .unwrap();
    }
    for statement in [
        "INSERT INTO validation_versions (request_id, version_id) SELECT request_id, request_id FROM validation_requests",
        "INSERT INTO validation_regions (request_id, region_id)
         SELECT q.request_id, r.region_id FROM validation_requests q, regions r WHERE r.region_id > 1",
        "INSERT INTO validation_approvals (request_id, role, region_id, state, digests, decided_by_id, decided_at, created_at)
         SELECT request_id, 'GLOBAL_APPROVER', NULL, 'APPROVED', '[]', 101, completed_at, requested_at FROM validation_requests",
        "INSERT INTO validation_approvals (request_id, role, region_id, state, digests, decided_by_id, decided_at, created_at)
         SELECT q.request_id, 'REGIONAL_APPROVER', r.region_id, 'APPROVED', '[]', 101, q.completed_at, q.requested_at
         FROM validation_requests q, regions r WHERE r.region_id IN (2, 3)",
    ] {
        Query::new(statement).run(&mut *tx).await.unwrap();
    }
}

/// What is live, by a confirmed task each, and what is due.
async fn facts(tx: &mut Tx, now: DateTime<Utc>, models_with_tasks: i64) {
    Query::new(
        "INSERT INTO deployment_tasks (version_id, model_id, region_id, planned_production_date, actual_production_date,
                                       assigned_to_id, status, confirmed_at, confirmed_by_id, created_at, created_by_id)
         SELECT v.version_id, v.model_id, r.region_id, d.past, d.past, v.submitted_by_id, 'CONFIRMED', $1, v.submitted_by_id,
                v.created_at, v.submitted_by_id
         FROM versions v JOIN version_regions r ON r.version_id = v.version_id
         JOIN days d ON d.k = (v.version_id * 7 + r.region_id) % 365
         WHERE v.number = '1.0'",
    )
    .bind(now - chrono::TimeDelta::days(1))
    .run(&mut *tx)
    .await
    .unwrap();
    Query::new(
        "INSERT INTO region_deployments (model_id, region_id, version_id, task_id, live_from, recorded_at, recorded_by_id)
         SELECT model_id, region_id, version_id, task_id, actual_production_date, confirmed_at, confirmed_by_id
         FROM deployment_tasks WHERE status = 'CONFIRMED'",
    )
    .run(&mut *tx)
    .await
    .unwrap();
    Query::new(
        "INSERT INTO deployment_tasks (version_id, model_id, region_id, planned_production_date, assigned_to_id, status,
                                       created_at, created_by_id)
         SELECT v.version_id, v.model_id, r.region_id, d.due, v.submitted_by_id, 'PENDING', v.created_at, v.submitted_by_id
         FROM versions v JOIN version_regions r ON r.version_id = v.version_id
         JOIN days d ON d.k = (v.version_id * 11 + r.region_id) % 365
         WHERE v.number = '1.1' OR (v.number = '2.0' AND v.model_id <= $1)",
    )
    .bind(models_with_tasks)
    .run(tx)
    .await
    .unwrap();
}
