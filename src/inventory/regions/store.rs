//! The SQL of regions.

use super::{RegionBody, RegionView};
use crate::db::{Db, DbError, Query, Tx};
use crate::ids::{ModelId, RegionId};

const VIEW: &str = "SELECT r.region_id, r.code, r.name, r.time_zone, r.requires_regional_approval,
        (SELECT COUNT(*) FROM model_regions m WHERE m.region_id = r.region_id) AS models,
        (SELECT COUNT(*) FROM region_deployments d WHERE d.region_id = r.region_id AND d.live_to IS NULL) AS live
 FROM regions r";

pub async fn all(db: &Db) -> Result<Vec<RegionView>, DbError> {
    Query::new(VIEW).push(" ORDER BY r.code").all(db).await
}

pub async fn one(db: &Db, region: RegionId) -> Result<Option<RegionView>, DbError> {
    Query::new(VIEW).push(" WHERE r.region_id = $1").bind(region).optional(db).await
}

pub async fn insert(tx: &mut Tx, body: &RegionBody) -> Result<RegionId, DbError> {
    Query::new(
        "INSERT INTO regions (code, name, time_zone, requires_regional_approval) VALUES ($1, $2, $3, $4) RETURNING region_id",
    )
    .bind(&body.code)
    .bind(&body.name)
    .bind(&body.time_zone)
    .bind(body.requires_regional_approval)
    .one::<(RegionId,)>(tx)
    .await
    .map(|row| row.0)
}

/// The region as it is now, locked.
pub async fn body(tx: &mut Tx, region: RegionId) -> Result<Option<RegionBody>, DbError> {
    let row: Option<(String, String, String, bool)> =
        Query::new("SELECT code, name, time_zone, requires_regional_approval FROM regions WHERE region_id = $1")
            .bind(region)
            .for_update()
            .optional(tx)
            .await?;
    Ok(row.map(|(code, name, time_zone, requires_regional_approval)| RegionBody {
        code,
        name,
        time_zone,
        requires_regional_approval,
    }))
}

pub async fn update(tx: &mut Tx, region: RegionId, body: &RegionBody) -> Result<u64, DbError> {
    Query::new(
        "UPDATE regions SET code = $2, name = $3, time_zone = $4, requires_regional_approval = $5 WHERE region_id = $1",
    )
    .bind(region)
    .bind(&body.code)
    .bind(&body.name)
    .bind(&body.time_zone)
    .bind(body.requires_regional_approval)
    .run(tx)
    .await
}

/// The models that are used in a region.
pub async fn models_of(tx: &mut Tx, region: RegionId) -> Result<Vec<ModelId>, DbError> {
    let rows: Vec<(ModelId,)> = Query::new("SELECT model_id FROM model_regions WHERE region_id = $1 ORDER BY model_id")
        .bind(region)
        .all(tx)
        .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}
