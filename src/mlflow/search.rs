//! From filters and orders to statements: what was read becomes parameters, and only fixed texts become SQL.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::answers::wrong;
use super::filter::{Clause, Comparison, Order, Subject, Test};
use super::wire::instant;
use crate::db::{Query, Value, json_list};
use crate::error::Result;
use crate::web::Cursor;

/// A field of what is searched.
#[derive(Debug, Clone, Copy)]
pub enum Field {
    /// A text.
    Text(&'static str),
    /// A whole number.
    Int(&'static str),
    /// An instant, which clients write in milliseconds.
    Instant(&'static str),
    /// A word of ours for a word of theirs.
    Word(&'static str, fn(&str) -> Option<&'static str>),
}

impl Field {
    /// Where it stands in the statement.
    const fn sql(self) -> &'static str {
        match self {
            Self::Text(sql) | Self::Int(sql) | Self::Instant(sql) | Self::Word(sql, _) => sql,
        }
    }
}

/// What is searched: the tables and columns of one kind of thing.
#[derive(Debug)]
pub struct Searched {
    /// The column that numbers the rows, such as `j.job_id`.
    pub key: &'static str,
    /// The same column's name in the tables below.
    pub column: &'static str,
    /// Its tags.
    pub tags: Option<&'static str>,
    /// Its parameters.
    pub params: Option<&'static str>,
    /// Its metrics, the last point of each.
    pub metrics: Option<&'static str>,
    /// What it read.
    pub datasets: Option<&'static str>,
    /// Its own fields, by MLflow's names.
    pub fields: &'static [(&'static str, Field)],
}

/// The tag that tells prompts, which are no models, from models.
const IS_PROMPT: &str = "mlflow.prompt.is_prompt";
/// The names that ordered tables have in a statement; so many keys an order has at most, beside the last.
const SLOTS: [&str; 4] = ["o0", "o1", "o2", "o3"];
const SLOT_VALUES: [&str; 4] = ["o0.value", "o1.value", "o2.value", "o3.value"];

/// A key that rows are sorted by.
#[derive(Debug, Clone)]
pub struct SortKey {
    /// What it looks at.
    pub subject: Subject,
    /// Whether the greatest comes first.
    pub descending: bool,
    sql: &'static str,
    /// The table that is joined for it, and the slot; the flag says that rows without it are left out.
    joined: Option<(&'static str, &'static str, bool)>,
}

/// The value of a key in a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum KeyValue {
    /// There is none.
    None,
    /// A whole number.
    Int(i64),
    /// A number, by its bits: a page must start exactly where the one before ended.
    Real(u64),
    /// A text.
    Text(String),
    /// An instant.
    Instant(DateTime<Utc>),
}

impl KeyValue {
    /// A number that may be missing.
    #[must_use]
    pub fn real(value: Option<f64>) -> Self {
        value.map_or(Self::None, |value| Self::Real(value.to_bits()))
    }

    /// A text that may be missing.
    #[must_use]
    pub fn text(value: Option<&str>) -> Self {
        value.map_or(Self::None, |value| Self::Text(value.to_owned()))
    }

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

/// A search, read: what it filters by, and how it sorts.
#[derive(Debug)]
pub struct Search {
    of: &'static Searched,
    clauses: Vec<Clause>,
    /// The keys of its order; the last is unique.
    pub keys: Vec<SortKey>,
}

impl Search {
    /// Reads a filter and an order; `ends` are the keys that follow the asked-for ones.
    ///
    /// # Errors
    /// `malformed`, in a sentence.
    pub fn read(of: &'static Searched, filter: &str, order: &[String], ends: &[(&'static str, bool)]) -> Result<Self> {
        let clauses = super::filter::parse(filter)?;
        for clause in &clauses {
            check(of, clause)?;
        }
        let asked = order.iter().map(|text| super::filter::parse_order(text)).collect::<Result<Vec<_>>>()?;
        let asked_names: Vec<Subject> = asked.iter().map(|order| order.subject.clone()).collect();
        let ends = ends.iter().map(|(name, descending)| Order {
            subject: Subject::Attribute((*name).to_owned()),
            descending: *descending,
        });
        let mut keys: Vec<SortKey> = Vec::new();
        for order in asked.into_iter().chain(ends.filter(|end| !asked_names.contains(&end.subject))) {
            let slot = keys.iter().filter(|key| key.joined.is_some()).count();
            keys.push(sort_key(of, order, slot, &clauses)?);
        }
        Ok(Self { of, clauses, keys })
    }

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

    /// The cursor behind a row, of which `value` tells the keys.
    pub fn cursor(&self, value: impl Fn(&Subject) -> KeyValue) -> String {
        let values: Vec<KeyValue> = self.keys.iter().map(|key| value(&key.subject)).collect();
        Cursor::after(&values).as_str().to_owned()
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

fn sort_key(of: &'static Searched, order: Order, slot: usize, clauses: &[Clause]) -> Result<SortKey> {
    let table = match &order.subject {
        Subject::Attribute(name) => {
            let field = of.fields.iter().find(|field| field.0 == name).ok_or_else(|| unknown(of, name))?;
            let Order { subject, descending } = order;
            return Ok(SortKey { subject, descending, sql: field.1.sql(), joined: None });
        }
        Subject::Metric(_) => of.metrics,
        Subject::Param(_) => of.params,
        Subject::Tag(_) => of.tags,
        Subject::Dataset(_) => None,
    };
    let table = table.ok_or_else(|| wrong("One cannot sort by that here."))?;
    let (Some(name), Some(sql)) = (SLOTS.get(slot), SLOT_VALUES.get(slot)) else {
        return Err(wrong(format!("One can sort by at most {} metrics, params and tags.", SLOTS.len())));
    };
    let inner = clauses.iter().any(|one| {
        one.subject == order.subject
            && matches!(one.subject, Subject::Metric(_))
            && matches!(one.test, Test::Number(..))
    });
    let Order { subject, descending } = order;
    Ok(SortKey { subject, descending, sql, joined: Some((table, name, inner)) })
}

/// Whether the clause makes sense for what is searched.
fn check(of: &Searched, clause: &Clause) -> Result<()> {
    let texts = matches!(clause.test, Test::Text(Comparison::Equal | Comparison::Different, _) | Test::Like(..));
    let number = matches!(clause.test, Test::Number(..));
    let list = matches!(clause.test, Test::In(..));
    let exists = matches!(clause.test, Test::Exists(_));
    let (fits, rule) = match &clause.subject {
        Subject::Attribute(name) => {
            let (_, field) = of.fields.iter().find(|field| field.0 == name).ok_or_else(|| unknown(of, name))?;
            match field {
                Field::Text(_) => (texts || list, "a text: =, !=, LIKE, ILIKE or IN"),
                Field::Word(..) => (texts && !matches!(clause.test, Test::Like(..)), "a text: = or !="),
                Field::Int(_) | Field::Instant(_) => (number, "a number"),
            }
        }
        Subject::Metric(_) if of.metrics.is_some() => (number, "a number"),
        Subject::Param(_) if of.params.is_some() => (texts || exists, "a text: =, !=, LIKE, ILIKE or IS NULL"),
        Subject::Tag(_) if of.tags.is_some() => (texts || exists, "a text: =, !=, LIKE, ILIKE or IS NULL"),
        Subject::Dataset(name) if of.datasets.is_some() => {
            let known = matches!(name.as_str(), "name" | "digest" | "context");
            (known && (texts || list), "a text; there are dataset.name, dataset.digest and dataset.context")
        }
        _ => return Err(wrong("There is nothing of that kind to filter by here.")),
    };
    if fits { Ok(()) } else { Err(wrong(format!("{:?} is compared with {rule}.", clause.subject))) }
}

fn unknown(of: &Searched, name: &str) -> crate::error::Error {
    let known: Vec<_> = of.fields.iter().map(|field| field.0).collect();
    wrong(format!("“{name}” is no attribute here; there are {}.", known.join(", ")))
}

/// How many rows are asked for, within bounds.
///
/// # Errors
/// `malformed`, in a sentence.
pub fn limit(asked: Option<i64>, default: i64, most: i64) -> Result<i64> {
    match asked {
        None | Some(0) => Ok(default),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(limit) => Err(wrong(format!("max_results must be between 1 and {most}, and not {limit}."))),
    }
}
