//! A search as SQL: what was read becomes parameters, and only fixed texts become text of the statement.

use super::{Field, IS_PROMPT, KeyValue, Search, Searched, SortKey};
use crate::db::{Query, Value, json_list};
use crate::error::Result;
use crate::mlflow::answers::wrong;
use crate::mlflow::filter::{Clause, Subject, Test};
use crate::mlflow::wire::instant;
use crate::web::Cursor;

impl Field {
    /// Where it stands in the statement.
    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::Text(sql) | Self::Int(sql) | Self::Instant(sql) | Self::Word(sql, _) => sql,
        }
    }
}

impl KeyValue {
    fn value(&self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Int(value) => Some((*value).into()),
            Self::Real(bits) => Some(f64::from_bits(*bits).into()),
            Self::Text(value) => Some(value.into()),
            Self::Instant(value) => Some((*value).into()),
        }
    }
}

impl Search {
    /// Whether its order begins with a metric that it filters by, so that one index finds and sorts.
    pub fn is_led_by_metric(&self) -> bool {
        matches!(self.keys.first(), Some(SortKey { joined: Some((_, _, true)), .. }))
    }

    /// Appends the tables that the order needs: behind the statement's own, before its WHERE.
    pub fn joins(&self, mut query: Query) -> Query {
        for key in &self.keys {
            let (Some((table, slot, inner)), Some(name)) = (key.joined, named(&key.subject)) else { continue };
            query = query.push(if inner { " JOIN " } else { " LEFT JOIN " }).push(table).push(" ").push(slot);
            query = query.push(" ON ").push(slot).push(".").push(self.of.column).push(" = ").push(self.of.key);
            query = query.push(" AND ").push(slot).push(".name = ").param(name);
        }
        query
    }

    /// Appends what the filter asks, and that rows stand behind the cursor: to a statement that has a WHERE.
    ///
    /// # Errors
    /// `invalid` for a foreign cursor.
    pub fn conditions(&self, mut query: Query, cursor: Option<&str>) -> Result<Query> {
        let (belonging, own): (Vec<&Clause>, Vec<&Clause>) =
            self.clauses.iter().partition(|one| self.is_belonging(one));
        for clause in own {
            query = self.condition(query, clause);
        }
        query = self.all_of(query, &belonging);
        let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) else { return Ok(query) };
        let values: Vec<KeyValue> = read_cursor(cursor)?;
        if values.len() != self.keys.len() {
            return Err(wrong("The page_token is not of this search."));
        }
        query = query.push(" AND (FALSE");
        for end in 0..self.keys.len() {
            query = self.behind(query, &values, end);
        }
        Ok(query.push(")"))
    }

    /// Where the value of a metric stands that is both filtered and sorted by.
    fn joined(&self, subject: &Subject) -> Option<&'static str> {
        let is_joined = |key: &&SortKey| key.subject == *subject && matches!(key.joined, Some((_, _, true)));
        self.keys.iter().find(is_joined).map(|key| key.sql)
    }

    /// Whether a clause asks for a tag, parameter or metric that a thing has, beside what is joined.
    fn is_belonging(&self, clause: &Clause) -> bool {
        match &clause.subject {
            Subject::Tag(name) if name == IS_PROMPT => false,
            Subject::Tag(_) | Subject::Param(_) | Subject::Metric(_) => {
                clause.test != Test::Exists(false) && self.joined(&clause.subject).is_none()
            }
            Subject::Attribute(_) | Subject::Dataset(_) => false,
        }
    }

    /// Appends that a thing has all of these. Lists of keys in the order of an index are merged in one pass, whichever is
    /// the longest; conditions one after another would look up each key of the first.
    fn all_of(&self, mut query: Query, clauses: &[&Clause]) -> Query {
        for (at, clause) in clauses.iter().enumerate() {
            query = match at {
                0 => query.push(" AND ").push(self.of.key).push(" IN ("),
                _ => query.push(" INTERSECT "),
            };
            query = having(query, self.of, clause);
        }
        match clauses.len() {
            0 => query,
            1 => query.push(")"),
            _ => query.push(" ORDER BY 1)"),
        }
    }

    /// Appends: or equal to the cursor in the keys before `end`, and behind it there. What has no value comes last.
    fn behind(&self, mut query: Query, values: &[KeyValue], end: usize) -> Query {
        let (Some(last), Some(key)) = (values.get(end).and_then(KeyValue::value), self.keys.get(end)) else {
            return query;
        };
        query = query.push(" OR (");
        for (key, value) in self.keys.iter().zip(values).take(end) {
            query = match value.value() {
                Some(value) => query.push(key.sql).push(" = ").param(value).push(" AND "),
                None => query.push(key.sql).push(" IS NULL AND "),
            };
        }
        query = query.push("(").push(key.sql).push(if key.descending { " < " } else { " > " }).param(last);
        query.push(" OR ").push(key.sql).push(" IS NULL))")
    }

    /// Appends the order.
    pub fn order(&self, mut query: Query) -> Query {
        for (at, key) in self.keys.iter().enumerate() {
            query = query.push(if at == 0 { " ORDER BY " } else { ", " });
            // What an inner join brings, and the thing's own fields, are there: so an index can lead.
            if matches!(key.joined, Some((_, _, false))) {
                query = query.push("(").push(key.sql).push(" IS NULL), ");
            }
            query = query.push(key.sql).push(if key.descending { " DESC" } else { "" });
        }
        query
    }

    fn condition(&self, query: Query, clause: &Clause) -> Query {
        let of = self.of;
        match &clause.subject {
            Subject::Attribute(name) => match of.fields.iter().find(|field| field.0 == name) {
                Some((_, field)) => attribute(query.push(" AND "), *field, &clause.test),
                None => query,
            },
            Subject::Dataset(name) => {
                let column = match name.as_str() {
                    "digest" => "digest",
                    "context" => "context",
                    _ => "name",
                };
                let query = query.push(" AND ").push(of.key).push(" IN (SELECT ").push(of.column);
                let query = query.push(" FROM ").push(of.datasets.unwrap_or_default()).push(" WHERE ");
                attribute(query, Field::Text(column), &clause.test).push(")")
            }
            Subject::Tag(name) if name == IS_PROMPT => {
                let query = query.push(" AND ").push(of.key).push(" NOT IN (SELECT ").push(of.column);
                let query = query.push(" FROM ").push(of.tags.unwrap_or_default()).push(" WHERE name = ").param(name);
                query.push(" AND value = 'true')")
            }
            Subject::Metric(_) | Subject::Param(_) | Subject::Tag(_) => match self.joined(&clause.subject) {
                Some(sql) => attribute(query.push(" AND "), Field::Int(sql), &clause.test),
                None => having(query.push(" AND ").push(of.key).push(" NOT IN ("), of, clause).push(")"),
            },
        }
    }
}

/// Reads a cursor's values.
fn read_cursor(text: &str) -> Result<Vec<KeyValue>> {
    let cursor: Result<Cursor, _> = serde_json::from_value(serde_json::Value::String(text.to_owned()));
    cursor.ok().and_then(|cursor| cursor.keys().ok()).ok_or_else(|| wrong("The page_token is not of this search."))
}

/// Appends the keys of what has a tag, parameter or metric that fits.
fn having(query: Query, of: &Searched, clause: &Clause) -> Query {
    let (table, name) = match &clause.subject {
        Subject::Metric(name) => (of.metrics, name),
        Subject::Param(name) => (of.params, name),
        Subject::Tag(name) => (of.tags, name),
        Subject::Attribute(name) | Subject::Dataset(name) => (None, name),
    };
    let query = query.push("SELECT ").push(of.column).push(" FROM ").push(table.unwrap_or_default());
    let query = query.push(" WHERE name = ").param(name);
    match clause.test {
        Test::Exists(_) => query,
        _ => attribute(query.push(" AND "), Field::Text("value"), &clause.test),
    }
}

/// A condition on a column.
fn attribute(query: Query, field: Field, test: &Test) -> Query {
    let sql = field.sql();
    match (test, field) {
        (Test::Number(comparison, number), Field::Instant(_)) => {
            query.push(sql).push(comparison.sql()).param(instant(whole(*number)))
        }
        (Test::Number(comparison, number), _) => query.push(sql).push(comparison.sql()).param(*number),
        (Test::Text(comparison, text), Field::Word(_, ours)) => {
            query.push(sql).push(comparison.sql()).param(ours(text).unwrap_or_default())
        }
        (Test::Text(comparison, text), _) => query.push(sql).push(comparison.sql()).param(text),
        (Test::Like(pattern, true), _) => query
            .push("LOWER(")
            .push(sql)
            .push(") LIKE ")
            .param(unescaped(&pattern.to_lowercase()))
            .push(" ESCAPE '\\'"),
        (Test::Like(pattern, false), _) => {
            query.push(sql).push(" LIKE ").param(unescaped(pattern)).push(" ESCAPE '\\'")
        }
        (Test::In(items, within), _) => {
            let items = json_list(items.iter().map(|item| [item]));
            let query = query.push(sql).push(if *within { " IN" } else { " NOT IN" });
            query.push(" (SELECT value ->> 0 FROM json_each(").param(items).push("))")
        }
        (Test::Exists(true), _) => query.push(sql).push(" IS NOT NULL"),
        (Test::Exists(false), _) => query.push(sql).push(" IS NULL"),
    }
}

/// MLflow's patterns know no escape: a backslash stands for itself.
fn unescaped(pattern: &str) -> String {
    pattern.replace('\\', "\\\\")
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds beyond these bounds are cut to them")]
fn whole(number: f64) -> i64 {
    number.clamp(-1e15, 1e15) as i64
}

/// The name of a metric, parameter or tag.
fn named(subject: &Subject) -> Option<&str> {
    match subject {
        Subject::Metric(name) | Subject::Param(name) | Subject::Tag(name) => Some(name),
        Subject::Attribute(_) | Subject::Dataset(_) => None,
    }
}
