//! The values that can be bound to a statement, and the macros that make a type a column.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::Arguments;
use sqlx::encode::Encode;
use sqlx::error::BoxDynError;
use sqlx::types::Type;

/// A value for a parameter. Absence is typed, since PostgreSQL wants to know what is absent.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Value {
    Int(Option<i64>),
    Real(Option<f64>),
    Bool(Option<bool>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Date(Option<NaiveDate>),
    Instant(Option<DateTime<Utc>>),
}

impl Value {
    /// Adds the value to an engine's arguments.
    pub(super) fn add_to<'q, A>(self, arguments: &mut A) -> Result<(), BoxDynError>
    where
        A: Arguments,
        Option<i64>: Encode<'q, A::Database> + Type<A::Database>,
        Option<f64>: Encode<'q, A::Database> + Type<A::Database>,
        Option<bool>: Encode<'q, A::Database> + Type<A::Database>,
        Option<String>: Encode<'q, A::Database> + Type<A::Database>,
        Option<Vec<u8>>: Encode<'q, A::Database> + Type<A::Database>,
        Option<NaiveDate>: Encode<'q, A::Database> + Type<A::Database>,
        Option<DateTime<Utc>>: Encode<'q, A::Database> + Type<A::Database>,
    {
        match self {
            Self::Int(value) => arguments.add(value),
            Self::Real(value) => arguments.add(value),
            Self::Bool(value) => arguments.add(value),
            Self::Text(value) => arguments.add(value),
            Self::Bytes(value) => arguments.add(value),
            Self::Date(value) => arguments.add(value),
            Self::Instant(value) => arguments.add(value),
        }
    }
}

macro_rules! value_from {
    ($($type:ty => $case:ident),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$case(Some(value.into()))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$case(value.map(Into::into))
            }
        }
    )*};
}

value_from!(
    i64 => Int,
    i32 => Int,
    u32 => Int,
    f64 => Real,
    bool => Bool,
    &str => Text,
    &String => Text,
    String => Text,
    Vec<u8> => Bytes,
    NaiveDate => Date,
    DateTime<Utc> => Instant,
);

/// A list as one JSON parameter, for `IN (SELECT CAST(value AS BIGINT) FROM json_each($1))`.
///
/// Both engines read it alike: PostgreSQL through the function `json_each(text)` that the first
/// migration defines. One parameter keeps the statement's text, and so its plan, the same for any
/// length.
#[must_use]
pub fn json_list<T: serde::Serialize>(items: impl IntoIterator<Item = T>) -> Value {
    let items: Vec<T> = items.into_iter().collect();
    // Lists of numbers, strings and plain structs always serialise.
    Value::Text(Some(serde_json::to_string(&items).unwrap_or_else(|_| "[]".to_owned())))
}

/// Makes a type a column of both engines by way of a type they know.
macro_rules! column_type {
    ($name:ty as $raw:ty, |$from:ident| $into_raw:expr, |$value:ident| $parse:expr) => {
        impl<D: sqlx::Database> sqlx::types::Type<D> for $name
        where
            $raw: sqlx::types::Type<D>,
        {
            fn type_info() -> D::TypeInfo {
                <$raw as sqlx::types::Type<D>>::type_info()
            }
            fn compatible(ty: &D::TypeInfo) -> bool {
                <$raw as sqlx::types::Type<D>>::compatible(ty)
            }
        }

        impl<'r, D: sqlx::Database> sqlx::decode::Decode<'r, D> for $name
        where
            $raw: sqlx::decode::Decode<'r, D>,
        {
            fn decode(value: D::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                let $value = <$raw as sqlx::decode::Decode<'r, D>>::decode(value)?;
                let parsed: Result<Self, sqlx::error::BoxDynError> = $parse;
                parsed
            }
        }

        impl From<$name> for crate::db::Value {
            fn from($from: $name) -> Self {
                let raw: $raw = $into_raw;
                Self::from(raw)
            }
        }

        impl From<Option<$name>> for crate::db::Value {
            fn from(value: Option<$name>) -> Self {
                let raw: Option<$raw> = value.map(|$from| $into_raw);
                Self::from(raw)
            }
        }
    };
}
pub(crate) use column_type;

/// Declares an enumeration that is a word in JSON, in the database and on pages.
///
/// The word is a `tt`, not a `literal`: the derive of `ToSchema` does not see into the latter, and the
/// API's description would give the variants' names instead.
macro_rules! text_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:tt),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        $vis enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant),*
        }

        impl $name {
            /// All of them, in the order of the specification.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word that stands for it everywhere.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|one| one.as_str()).collect();
                    format!("“{text}” is not one of {}", known.join(", "))
                })
            }
        }

        crate::db::column_type!($name as String, |one| one.as_str().to_owned(), |text| text.parse().map_err(Into::into));
    };
}
pub(crate) use text_enum;
