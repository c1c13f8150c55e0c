//! Searches of MLflow clients: a filter and an order, read and checked against what is searched.
//!
//! `sql` makes a statement of it; which things somebody may find is asked where they are kept.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::answers::wrong;
use super::filter::{Clause, Comparison, Order, Subject, Test};
use crate::error::Result;
use crate::web::Cursor;

mod sql;

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

    /// The cursor behind a row, of which `value` tells the keys.
    pub fn cursor(&self, value: impl Fn(&Subject) -> KeyValue) -> String {
        let values: Vec<KeyValue> = self.keys.iter().map(|key| value(&key.subject)).collect();
        Cursor::after(&values).as_str().to_owned()
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
