//! What must be true of a database whatever happened to it: the ledger verifies, what is ready
//! equals what the facts say, no task is half done.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use countersign::audit::{Act, Who};
use countersign::db::{Query, Row};
use countersign::readiness;
use countersign_ledger::{Entry, Head, Sealed, Verifier};

use crate::harness::T;

impl T {
    /// All of it.
    pub async fn everything_holds(&self) {
        self.the_ledger_verifies().await;
        self.readiness_equals_a_rebuild().await;
        self.no_task_is_half_done().await;
    }

    /// Every entry follows from the one before, and the last is the recorded head.
    pub async fn the_ledger_verifies(&self) {
        #[derive(sqlx::FromRow)]
        struct EntryRow {
            seq: i64,
            at: DateTime<Utc>,
            actor_id: Option<i64>,
            actor: String,
            agent: Option<String>,
            action: String,
            entity: String,
            entity_id: String,
            model_id: Option<i64>,
            before: Option<String>,
            after: Option<String>,
            reason: Option<String>,
            request_id: String,
            prev_hash: String,
            hash: String,
        }
        let mut verifier = Verifier::new();
        for row in self.rows::<EntryRow>("SELECT * FROM ledger_entries ORDER BY seq").await {
            let entry = Entry {
                seq: row.seq,
                at: row.at.to_rfc3339_opts(SecondsFormat::Micros, true),
                actor_id: row.actor_id,
                actor: row.actor,
                agent: row.agent,
                action: row.action,
                entity: row.entity,
                entity_id: row.entity_id,
                model_id: row.model_id,
                before: row.before,
                after: row.after,
                reason: row.reason,
                request_id: row.request_id,
            };
            verifier.push(&Sealed { entry, prev_hash: row.prev_hash, hash: row.hash }).unwrap();
        }
        let (seq, hash) = self.rows("SELECT seq, hash FROM ledger_head").await.remove(0);
        verifier.finish(&Head { seq, hash }).unwrap();
    }

    /// The read model and its sums are what the facts give.
    pub async fn readiness_equals_a_rebuild(&self) {
        let kept = self.readiness().await;
        let mut act = Act::begin(self.app(), &Who::system("test")).await.unwrap();
        readiness::rebuild(&mut act).await.unwrap();
        act.commit().await.unwrap();
        assert_eq!(kept, self.readiness().await);
    }

    /// A task is confirmed exactly if its region deployments and its ledger entry are there.
    pub async fn no_task_is_half_done(&self) {
        let without_deployment = "SELECT COUNT(*) FROM deployment_tasks t WHERE t.status = 'CONFIRMED'
            AND NOT EXISTS (SELECT 1 FROM region_deployments d WHERE d.task_id = t.task_id)";
        assert_eq!(self.number(without_deployment).await, 0, "a confirmed task has no region deployment");
        let without_confirmation =
            "SELECT COUNT(*) FROM region_deployments d JOIN deployment_tasks t ON t.task_id = d.task_id
            WHERE t.status <> 'CONFIRMED'";
        assert_eq!(self.number(without_confirmation).await, 0, "a region deployment has no confirmed task");
        let confirmed = self.number("SELECT COUNT(*) FROM deployment_tasks WHERE status = 'CONFIRMED'").await;
        let recorded = self
            .number("SELECT COUNT(DISTINCT entity_id) FROM ledger_entries WHERE entity = 'task' AND action = 'task.confirmed'")
            .await;
        assert_eq!(confirmed, recorded, "confirmed tasks and their ledger entries");
    }

    async fn readiness(&self) -> (Vec<Pair>, Vec<(i64, i64, i64)>, Vec<(i64, i64, i64)>) {
        (
            self.rows("SELECT * FROM ready_pairs ORDER BY version_id, region_id").await,
            self.rows(
                "SELECT model_id, region_id, pairs FROM ready_counts WHERE pairs > 0 ORDER BY model_id, region_id",
            )
            .await,
            self.rows("SELECT region_id, pairs, models FROM ready_totals WHERE pairs > 0 ORDER BY region_id").await,
        )
    }

    /// All rows of a statement.
    pub async fn rows<Out: Row>(&self, sql: &'static str) -> Vec<Out> {
        Query::new(sql).all(&self.app().db).await.unwrap()
    }
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Pair {
    version_id: i64,
    region_id: i64,
    model_id: i64,
    owner_id: i64,
    regional_owner_id: Option<i64>,
    request_id: i64,
    approved_date: NaiveDate,
    requires_regional_approval: bool,
    superseded: bool,
}
