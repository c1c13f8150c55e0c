//! What the command palette finds: one statement, every part bounded.

use chrono::{DateTime, Utc};

use crate::db::{Db, DbError, Query};
use crate::identity::access::RELATED_MODELS;
use crate::ids::UserId;
use crate::reports::search::Raw;

/// What is looked for, and among what.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub text: &'a str,
    pub pattern: &'a str,
    pub all_models: bool,
    pub all_tickets: bool,
}

/// `$1` is the person, `$2` the instant, `$3` the pattern. Versions are looked through only for a text
/// with a digit: without one, their model is found already.
pub async fn find(db: &Db, user: UserId, now: DateTime<Utc>, wanted: &Wanted<'_>) -> Result<Vec<Raw>, DbError> {
    Query::new(
        "SELECT * FROM (SELECT 'Model' AS kind, m.name AS label, m.model_id AS id, m.model_id AS part FROM models m
            WHERE LOWER(m.name) LIKE $3 ESCAPE '\\' AND ($4 OR m.model_id IN ",
    )
    .push(RELATED_MODELS)
    .push(
        ") ORDER BY m.name LIMIT 8) AS found_models
         UNION ALL SELECT * FROM (SELECT 'Version', m.name || ' ' || v.number, m.model_id, v.version_id
            FROM models m JOIN versions v ON v.model_id = m.model_id
            WHERE $5 AND LOWER(m.name || ' ' || v.number) LIKE $3 ESCAPE '\\' AND ($4 OR m.model_id IN ",
    )
    .push(RELATED_MODELS)
    .push(
        ") ORDER BY v.version_id DESC LIMIT 8) AS found_versions
         UNION ALL SELECT * FROM (SELECT 'Ticket', 'CS-' || (1000 + i.ticket_id) || ' ' || i.subject, i.ticket_id, i.ticket_id
            FROM approval_inbox_items i
            WHERE LOWER('CS-' || (1000 + i.ticket_id) || ' ' || i.subject) LIKE $3 ESCAPE '\\' AND ($6 OR i.requested_by_id = $1
                OR i.assigned_to_id = $1 OR i.model_id IN ",
    )
    .push(RELATED_MODELS)
    .push(
        ") ORDER BY i.ticket_id DESC LIMIT 8) AS found_tickets
         UNION ALL SELECT * FROM (SELECT 'Person', u.name, u.user_id, u.user_id FROM users u
            WHERE NOT u.disabled AND (LOWER(u.name) LIKE $3 ESCAPE '\\' OR LOWER(u.email) LIKE $3 ESCAPE '\\')
            ORDER BY u.name LIMIT 8) AS found_people",
    )
    .bind(user)
    .bind(now)
    .bind(wanted.pattern)
    .bind(wanted.all_models)
    .bind(wanted.text.contains(|letter: char| letter.is_ascii_digit()))
    .bind(wanted.all_tickets)
    .all(db)
    .await
}
