//! What is known of a column, and what it is for. Pure.

use countersign_training::{Column, Kind, table};
use serde::{Deserialize, Serialize};

use crate::db::{column_type, text_enum};

text_enum! {
    /// What a column is to a training.
    pub enum ColumnRole {
        /// What is learned from.
        Feature = "feature",
        /// What is predicted; at most one column.
        Target = "target",
        /// Neither.
        Ignored = "ignored",
    }
}

text_enum! {
    /// What the values of a column are.
    pub enum ColumnKind {
        /// Numbers.
        Number = "number",
        /// True and false, or yes and no.
        Boolean = "boolean",
        /// Days, with or without a time.
        Date = "date",
        /// Anything else.
        Text = "text",
    }
}

/// A column of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DatasetColumn {
    /// Its name in the first line.
    pub name: String,
    /// What its values are: inferred.
    pub kind: ColumnKind,
    /// What it is to a training.
    pub role: ColumnRole,
    /// Rows without a value.
    pub missing: i64,
    /// Different values; 10,001 stands for more than 10,000.
    pub distinct: i64,
    /// The smallest number.
    pub min: Option<f64>,
    /// The largest number.
    pub max: Option<f64>,
}

impl DatasetColumn {
    /// The column as a training looks at it.
    #[must_use]
    pub fn as_column(&self) -> Column {
        let kind = match self.kind {
            ColumnKind::Number => Kind::Number,
            ColumnKind::Boolean => Kind::Boolean,
            ColumnKind::Date => Kind::Date,
            ColumnKind::Text => Kind::Text,
        };
        let count = |number| usize::try_from(number).unwrap_or_default();
        let (missing, distinct) = (count(self.missing), count(self.distinct));
        Column { name: self.name.clone(), kind, missing, distinct, min: self.min, max: self.max }
    }
}

/// The columns of a data set, in the file's order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Columns(pub Vec<DatasetColumn>);

column_type!(Columns as String, |all| serde_json::to_string(&all).unwrap_or_default(), |text| serde_json::from_str(
    &text
)
.map_err(Into::into));

/// The first rows of a data set, cell by cell; a missing value is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Preview(pub Vec<Vec<Option<String>>>);

column_type!(Preview as String, |all| serde_json::to_string(&all).unwrap_or_default(), |text| serde_json::from_str(
    &text
)
.map_err(Into::into));

impl Columns {
    /// The columns of a file that was just read, with the roles that are likely: the last column is the target if it
    /// has two values; what is always the same, or nearly never, is ignored.
    #[must_use]
    pub fn inferred(columns: &[Column]) -> Self {
        let last = columns.len().saturating_sub(1);
        let role = |at: usize, column: &Column| match column.distinct {
            2 if at == last => ColumnRole::Target,
            0 | 1 => ColumnRole::Ignored,
            many if column.kind != Kind::Number && many > table::MAX_CATEGORIES => ColumnRole::Ignored,
            _ => ColumnRole::Feature,
        };
        let count = |number| i64::try_from(number).unwrap_or(i64::MAX);
        let columns = columns.iter().enumerate().map(|(at, column)| DatasetColumn {
            name: column.name.clone(),
            kind: match column.kind {
                Kind::Number => ColumnKind::Number,
                Kind::Boolean => ColumnKind::Boolean,
                Kind::Date => ColumnKind::Date,
                Kind::Text => ColumnKind::Text,
            },
            role: role(at, column),
            missing: count(column.missing),
            distinct: count(column.distinct),
            min: column.min,
            max: column.max,
        });
        Self(columns.collect())
    }

    /// The name of the column to predict, if one was chosen.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.0.iter().find(|column| column.role == ColumnRole::Target).map(|column| column.name.as_str())
    }

    /// The names of the columns to learn from.
    #[must_use]
    pub fn features(&self) -> Vec<String> {
        let features = self.0.iter().filter(|column| column.role == ColumnRole::Feature);
        features.map(|column| column.name.clone()).collect()
    }
}
