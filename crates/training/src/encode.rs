//! Columns become features, exactly as the exported model makes them: in 32 bits, in the same order.
//!
//! The features are the numbers, then indicators of missing numbers, then a place for each category. Of the places of
//! a column one at most is 1, so a row keeps which, not all of them.

use crate::config::Config;
use crate::error::{Error, ErrorCode};
use crate::table::{MISSING, Table, Values};

/// A column of numbers.
#[derive(Debug)]
pub(crate) struct Number {
    pub name: String,
    /// Put in for a missing value, and taken off.
    pub mean: f32,
    /// Multiplied with then.
    pub scale: f32,
    /// Whether a feature of its own says that the value is missing.
    pub indicator: bool,
}

/// A column of texts.
#[derive(Debug)]
pub(crate) struct Text {
    pub name: String,
    /// What occurred in training, in order; the empty text is a missing value. All others are no category.
    pub categories: Vec<String>,
}

/// How columns become features; learned from the training part alone.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub numbers: Vec<Number>,
    pub texts: Vec<Text>,
    /// Whether numbers are standardised and filled in. Trees take them as they are.
    pub standardised: bool,
}

/// The place of a text that is no category.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// The features of all rows of a table.
#[derive(Debug)]
pub(crate) struct Features {
    /// Numbers and indicators of a row, row after row.
    dense: Vec<f32>,
    pub dense_width: usize,
    /// For each column of texts of a row the feature that is 1, or [`NOWHERE`], row after row.
    hot: Vec<u32>,
    pub hot_width: usize,
}

impl Features {
    /// The numbers of a row, and its features that are 1.
    pub fn row(&self, row: usize) -> (&[f32], &[u32]) {
        let dense = &self.dense[row * self.dense_width..][..self.dense_width];
        (dense, &self.hot[row * self.hot_width..][..self.hot_width])
    }
}

impl Encoder {
    pub fn learn(table: &Table, config: &Config, rows: &[usize], standardised: bool) -> Result<Self, Error> {
        let mut encoder = Self { numbers: Vec::new(), texts: Vec::new(), standardised };
        for name in &config.features {
            match column(table, name)? {
                Values::Numbers(values) => encoder.numbers.push(Number::learn(name, values, rows, standardised)),
                Values::Texts { codes, dictionary } => encoder.texts.push(Text::learn(name, codes, dictionary, rows)),
                Values::Varied => {
                    let sentence = format!("The texts of “{name}” are too many or too long. Leave it out.");
                    return Err(Error::new(ErrorCode::FeatureTooVaried, sentence).in_column(name));
                }
            }
        }
        Ok(encoder)
    }

    /// How many numbers and indicators a row has.
    pub fn dense_width(&self) -> usize {
        self.numbers.len() + self.numbers.iter().filter(|number| number.indicator).count()
    }

    /// How many features there are.
    pub fn width(&self) -> usize {
        self.dense_width() + self.texts.iter().map(|text| text.categories.len()).sum::<usize>()
    }

    /// The features of all rows of a table, which need not be the one learned from.
    pub fn encode(&self, table: &Table) -> Result<Features, Error> {
        let (dense_width, hot_width) = (self.dense_width(), self.texts.len());
        let mut features = Features {
            dense: vec![0.0; table.rows * dense_width],
            dense_width,
            hot: vec![NOWHERE; table.rows * hot_width],
            hot_width,
        };
        let mut indicator = self.numbers.len();
        for (at, number) in self.numbers.iter().enumerate() {
            let values = narrow(&number.name, column(table, &number.name)?)?;
            for (row, value) in features.dense.chunks_mut(dense_width).zip(values) {
                row[at] = if self.standardised { number.standardise(value) } else { value };
                if number.indicator {
                    row[indicator] = f32::from(u8::from(value.is_nan()));
                }
            }
            indicator += usize::from(number.indicator);
        }
        let mut first = dense_width;
        for (at, text) in self.texts.iter().enumerate() {
            let places = text.places(column(table, &text.name)?, first)?;
            for (row, place) in features.hot.chunks_mut(hot_width).zip(places) {
                row[at] = place;
            }
            first += text.categories.len();
        }
        Ok(features)
    }
}

impl Number {
    fn learn(name: &str, values: &[f64], rows: &[usize], standardised: bool) -> Self {
        let present: Vec<f64> = rows.iter().map(|row| values[*row]).filter(|value| !value.is_nan()).collect();
        let count = present.len().max(1) as f64;
        let mean = present.iter().sum::<f64>() / count;
        let deviation = (present.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        // A constant is left at nought rather than blown up by what rounding left of it.
        let scale = if deviation > mean.abs() * 1e-7 { (1.0 / deviation) as f32 } else { 1.0 };
        let indicator = standardised && present.len() < rows.len();
        Self { name: name.to_owned(), mean: mean as f32, scale: if scale.is_finite() { scale } else { 1.0 }, indicator }
    }

    fn standardise(&self, value: f32) -> f32 {
        let value = if value.is_nan() { self.mean } else { value };
        (value - self.mean) * self.scale
    }
}

impl Text {
    fn learn(name: &str, codes: &[u32], dictionary: &[String], rows: &[usize]) -> Self {
        let mut seen: Vec<u32> = rows.iter().map(|row| codes[*row]).collect();
        seen.sort_unstable();
        seen.dedup();
        let spell = |code: u32| if code == MISSING { String::new() } else { dictionary[code as usize].clone() };
        let mut categories: Vec<String> = seen.into_iter().map(spell).collect();
        categories.sort_unstable();
        Self { name: name.to_owned(), categories }
    }

    /// The feature that is 1 for each row; the features of this column begin at `first`.
    fn places(&self, values: &Values, first: usize) -> Result<Vec<u32>, Error> {
        let Values::Texts { codes, dictionary } = values else {
            let sentence = format!("The column “{}” was of text where the model learned, and is not here.", self.name);
            return Err(Error::new(ErrorCode::FeatureMissing, sentence).in_column(&self.name));
        };
        let place = |text: &str| match self.categories.binary_search_by(|category| category.as_str().cmp(text)) {
            Ok(at) => (first + at) as u32,
            Err(_) => NOWHERE,
        };
        let places: Vec<u32> = dictionary.iter().map(|text| place(text)).collect();
        let missing = place("");
        Ok(codes.iter().map(|code| if *code == MISSING { missing } else { places[*code as usize] }).collect())
    }
}

fn column<'a>(table: &'a Table, name: &str) -> Result<&'a Values, Error> {
    let missing =
        || Error::new(ErrorCode::FeatureMissing, format!("The table has no column “{name}”.")).in_column(name);
    table.values_of(name).ok_or_else(missing)
}

/// The numbers in the 32 bits that models take. A column without any value is of numbers too.
fn narrow(name: &str, values: &Values) -> Result<Vec<f32>, Error> {
    let refused = |sentence: String| Err(Error::new(ErrorCode::NotANumber, sentence).in_column(name));
    let numbers = match values {
        Values::Numbers(numbers) => numbers,
        Values::Texts { codes, dictionary } if dictionary.is_empty() => return Ok(vec![f32::NAN; codes.len()]),
        _ => return refused(format!("The column “{name}” is not of numbers, as the model needs it.")),
    };
    match numbers.iter().position(|number| number.is_finite() && (*number as f32).is_infinite()) {
        Some(at) => refused(format!("Row {} of “{name}” is {:e}, too large for 32 bits.", at + 1, numbers[at])),
        None => Ok(numbers.iter().map(|number| *number as f32).collect()),
    }
}
