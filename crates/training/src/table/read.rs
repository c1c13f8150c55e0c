//! Reads a table in two passes: the first finds types and counts, the second keeps the values.
//!
//! Two passes rather than one, so that no cell is kept as text that turns out to be a number.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io::{BufRead, BufReader, Read, Seek};

use csv::{ReaderBuilder, StringRecord};

use super::{
    Column, Kind, MAX_CATEGORIES, MAX_CELLS, MAX_COLUMNS, MAX_DISTINCT, MAX_LINE, MAX_ROWS, MAX_TEXT, MISSING,
    PREVIEW_CHARACTERS, PREVIEW_ROWS, Table, Values, is_boolean, is_date, number_in, parquet, value_of,
};
use crate::error::{Error, ErrorCode};

impl Table {
    /// Reads a table from UTF-8 text whose first line names the columns. Commas, semicolons or tabs separate the
    /// cells; the first line tells which.
    ///
    /// # Errors
    /// `table_unreadable`, `table_invalid` and `table_too_large`, with line and column where there is one.
    pub fn read(mut source: impl Read + Seek) -> Result<Self, Error> {
        let separator = separator_of(&mut source)?;
        Self::gather(|visit| each_row(&mut source, separator, visit))
    }

    /// Reads a file, CSV or Parquet; its first bytes tell which.
    ///
    /// # Errors
    /// As of [`Table::read`]; of a Parquet file also `table_invalid` for columns of lists and records.
    pub fn read_file(mut file: File) -> Result<Self, Error> {
        let mut magic = Vec::new();
        file.rewind().and_then(|()| (&file).take(4).read_to_end(&mut magic)).map_err(unreadable)?;
        if magic == parquet::MAGIC { Self::gather(|visit| parquet::each_row(&file, visit)) } else { Self::read(file) }
    }

    /// Goes through all rows twice.
    fn gather(mut each_row: impl FnMut(&mut dyn FnMut(&StringRecord)) -> Result<Rows, Error>) -> Result<Self, Error> {
        let mut surveys = Vec::new();
        let mut preview = Vec::new();
        let rows = each_row(&mut |row| {
            surveys.resize_with(row.len(), Survey::new);
            surveys.iter_mut().zip(row).for_each(|(survey, cell)| survey.look_at(cell));
            if preview.len() < PREVIEW_ROWS {
                preview.push(row.iter().map(shown).collect());
            }
        })?;
        surveys.resize_with(rows.names.len(), Survey::new);
        let mut values: Vec<Values> = surveys.iter().map(|survey| survey.room(rows.count)).collect();
        let mut places: Vec<HashMap<String, u32>> = vec![HashMap::new(); surveys.len()];
        let again = each_row(&mut |row| {
            let columns = values.iter_mut().zip(&mut places).zip(row);
            columns.for_each(|((values, places), cell)| values.push(places, value_of(cell)));
        })?;
        if again.count != rows.count {
            return Err(Error::new(ErrorCode::TableUnreadable, "The file changed while it was read."));
        }
        let columns = rows.names.into_iter().zip(surveys).map(|(name, survey)| survey.summary(name)).collect();
        Ok(Self { rows: rows.count, columns, preview, values })
    }
}

/// A cell as the preview shows it.
fn shown(cell: &str) -> Option<String> {
    value_of(cell).map(|cell| cell.chars().take(PREVIEW_CHARACTERS).collect())
}

/// What one pass saw.
pub struct Rows {
    pub names: Vec<String>,
    pub count: usize,
}

/// Whether a table has more rows or cells than are allowed.
pub fn too_many(rows: usize, columns: usize) -> bool {
    rows > MAX_ROWS || rows * columns > MAX_CELLS
}

pub fn too_large() -> Error {
    let sentence = format!("The table is too large: {MAX_ROWS} rows and {MAX_CELLS} cells are allowed.");
    Error::new(ErrorCode::TableTooLarge, sentence)
}

/// The separator that the first line has most of; a comma where it has none.
fn separator_of(source: &mut (impl Read + Seek)) -> Result<u8, Error> {
    source.rewind().map_err(unreadable)?;
    let mut line = Vec::new();
    BufReader::new(source.take(MAX_LINE as u64)).read_until(b'\n', &mut line).map_err(unreadable)?;
    let count = |separator: u8| line.iter().filter(|byte| **byte == separator).count();
    let mut best = b',';
    for separator in [b';', b'\t'] {
        if count(separator) > count(best) {
            best = separator;
        }
    }
    Ok(best)
}

/// Reads the file from its beginning, and hands out each row.
fn each_row(
    source: &mut (impl Read + Seek),
    separator: u8,
    visit: &mut dyn FnMut(&StringRecord),
) -> Result<Rows, Error> {
    source.rewind().map_err(unreadable)?;
    let mut reader =
        ReaderBuilder::new().delimiter(separator).flexible(false).from_reader(Bounded { inner: source, taken: 0 });
    let names = names_in(reader.headers().map_err(|cause| invalid(&cause, &[]))?)?;
    let mut row = StringRecord::new();
    let mut count = 0;
    while reader.read_record(&mut row).map_err(|cause| invalid(&cause, &names))? {
        reader.get_mut().taken = 0;
        count += 1;
        if too_many(count, names.len()) {
            return Err(too_large().at_line(row.position().map_or(0, csv::Position::line)));
        }
        visit(&row);
    }
    Ok(Rows { names, count })
}

pub fn names_in(header: &StringRecord) -> Result<Vec<String>, Error> {
    let refused = |sentence: String| Err(Error::new(ErrorCode::TableInvalid, sentence).at_line(1));
    if header.is_empty() {
        return refused("The file is empty; the first line must name the columns.".to_owned());
    }
    if header.len() > MAX_COLUMNS {
        let sentence = format!("The table has {} columns; {MAX_COLUMNS} are allowed.", header.len());
        return Err(Error::new(ErrorCode::TableTooLarge, sentence).at_line(1));
    }
    let mut seen = HashSet::new();
    for (at, name) in header.iter().map(str::trim).enumerate() {
        if name.is_empty() {
            return refused(format!("Column {} has no name in the first line.", at + 1));
        }
        if !seen.insert(name) {
            return refused(format!("Two columns are called “{name}”."));
        }
    }
    Ok(header.iter().map(|name| name.trim().to_owned()).collect())
}

pub fn unreadable(cause: std::io::Error) -> Error {
    Error::new(ErrorCode::TableUnreadable, format!("The file cannot be read: {cause}."))
}

/// Says where the CSV reader stumbled, in the words of a table.
fn invalid(cause: &csv::Error, names: &[String]) -> Error {
    let line = cause.position().map(csv::Position::line);
    let place = line.map_or_else(String::new, |line| format!("Line {line}: "));
    let (sentence, column) = match cause.kind() {
        csv::ErrorKind::Io(cause) if cause.kind() == std::io::ErrorKind::FileTooLarge => {
            let sentence = format!("A line is longer than {MAX_LINE} bytes; perhaps a quotation mark is not closed.");
            return Error::new(ErrorCode::TableTooLarge, sentence);
        }
        csv::ErrorKind::Io(cause) => {
            return Error::new(ErrorCode::TableUnreadable, format!("The file cannot be read: {cause}."));
        }
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            (format!("{place}it has {len} cells, but the first line names {expected_len} columns."), None)
        }
        csv::ErrorKind::Utf8 { err, .. } => {
            let column = names.get(err.field()).cloned();
            let named = column.as_ref().map_or_else(String::new, |name| format!(" in the column “{name}”"));
            (format!("{place}the text{named} is not UTF-8."), column)
        }
        _ => (format!("{place}it is not CSV: {cause}."), None),
    };
    Error { line, column, ..Error::new(ErrorCode::TableInvalid, sentence) }
}

/// Refuses a line that never ends, such as one with an open quotation mark, before it fills the memory.
struct Bounded<R> {
    inner: R,
    /// Bytes since the last row; the CSV reader reads a few kilobytes ahead.
    taken: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.taken += length;
        if self.taken > MAX_LINE { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(length) }
    }
}

/// What the first pass learns of a column.
#[derive(Clone, Default)]
struct Survey {
    present: usize,
    missing: usize,
    numbers: bool,
    booleans: bool,
    dates: bool,
    range: Option<(f64, f64)>,
    /// The different values by their hashes, which take less room; as texts, since any later cell may be one.
    texts_seen: HashSet<u64>,
    /// The same as numbers, of which `1` and `1.0` are one.
    numbers_seen: HashSet<u64>,
    /// Bytes that the different texts have together.
    bytes: usize,
}

impl Survey {
    fn new() -> Self {
        Self { numbers: true, booleans: true, dates: true, ..Self::default() }
    }

    fn look_at(&mut self, cell: &str) {
        let Some(cell) = value_of(cell) else {
            self.missing += 1;
            return;
        };
        self.present += 1;
        let number = if self.numbers { number_in(cell) } else { None };
        self.numbers = number.is_some();
        self.booleans = self.booleans && is_boolean(cell);
        self.dates = self.dates && is_date(cell);
        if let Some(number) = number {
            let (low, high) = self.range.unwrap_or((number, number));
            self.range = Some((low.min(number), high.max(number)));
        }
        if let Some(number) = number {
            // Adding nought makes one of the two noughts.
            note(&mut self.numbers_seen, (number + 0.0).to_bits());
        }
        if note(&mut self.texts_seen, cell) {
            self.bytes += cell.len();
        }
    }

    /// How many different values there are, as [`Column::distinct`] tells it.
    fn distinct(&self) -> usize {
        if self.kind() == Kind::Number { self.numbers_seen.len() } else { self.texts_seen.len() }
    }

    fn kind(&self) -> Kind {
        match self {
            Self { present: 0, .. } => Kind::Text,
            Self { numbers: true, .. } => Kind::Number,
            Self { booleans: true, .. } => Kind::Boolean,
            Self { dates: true, .. } => Kind::Date,
            _ => Kind::Text,
        }
    }

    fn room(&self, rows: usize) -> Values {
        match self.kind() {
            Kind::Number => Values::Numbers(Vec::with_capacity(rows)),
            _ if self.distinct() > MAX_CATEGORIES || self.bytes > MAX_TEXT => Values::Varied,
            _ => Values::Texts { codes: Vec::with_capacity(rows), dictionary: Vec::new() },
        }
    }

    fn summary(self, name: String) -> Column {
        let kind = self.kind();
        let range = self.range.filter(|_| kind == Kind::Number);
        let distinct = self.distinct();
        let (min, max) = (range.map(|(low, _)| low), range.map(|(_, high)| high));
        Column { name, kind, missing: self.missing, distinct, min, max }
    }
}

/// Remembers a value unless there are too many; whether it is new.
fn note(seen: &mut HashSet<u64>, value: impl Hash) -> bool {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    seen.len() <= MAX_DISTINCT && seen.insert(hasher.finish())
}

impl Values {
    fn push(&mut self, places: &mut HashMap<String, u32>, value: Option<&str>) {
        match (self, value) {
            (Self::Numbers(numbers), value) => numbers.push(value.and_then(number_in).unwrap_or(f64::NAN)),
            (Self::Texts { codes, .. }, None) => codes.push(MISSING),
            (Self::Texts { codes, dictionary }, Some(value)) => {
                let next = u32::try_from(dictionary.len()).unwrap_or(MISSING);
                let code = places.get(value).copied().unwrap_or_else(|| {
                    places.insert(value.to_owned(), next);
                    dictionary.push(value.to_owned());
                    next
                });
                codes.push(code);
            }
            (Self::Varied, _) => (),
        }
    }
}
