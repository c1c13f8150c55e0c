//! From bytes to rows of text that know which line they started on. Never panics, whatever the bytes.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use csv::StringRecord;
use encoding_rs::{Encoding, UTF_8};

use super::mapping::FileOptions;
use super::model::{RowError, RowRule};
use super::{ImportError, MAX_CELL_CHARS, MAX_COLUMNS, MAX_FILE_BYTES, MAX_ROWS, folded, one_line, shortened};

/// The longest column name, in characters: a longer one is a quote that is never closed.
const MAX_HEADER_CHARS: usize = 2_000;

/// A CSV file, read.
#[derive(Debug)]
pub(super) struct Table {
    pub encoding: &'static str,
    pub header: Header,
    /// The rows that have as many cells as the header, all within the limits.
    pub rows: Vec<Row>,
    /// What is wrong with the other rows, one error each.
    pub errors: Vec<RowError>,
}

/// The column names, white space normalised. Names may repeat or be empty: positions are what counts.
#[derive(Debug)]
pub(super) struct Header(pub Vec<String>);

/// One record below the header.
#[derive(Debug)]
pub(super) struct Row {
    /// The physical line that it starts on, from 1.
    pub line: u64,
    cells: StringRecord,
}

impl Row {
    /// The cell at a position from 0, with blank space around it removed.
    pub fn cell(&self, index: usize) -> &str {
        self.cells.get(index).unwrap_or_default().trim()
    }
}

/// Reads a whole file.
pub(super) fn read(bytes: &[u8], options: &FileOptions) -> Result<Table, ImportError> {
    if bytes.len() > MAX_FILE_BYTES {
        let (size, most) = (bytes.len() >> 20, MAX_FILE_BYTES >> 20);
        return Err(ImportError::File(format!("The file has {size} MB; at most {most} MB can be imported.")));
    }
    let (text, encoding) = decode(bytes, options.encoding()?)?;
    let mut records = Records::new(&text, options.delimiter()?);
    let header = read_header(&mut records, options.header_line)?;
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    while let Some((line, cells)) = records.next()? {
        if rows.len() + errors.len() == MAX_ROWS {
            return Err(ImportError::File(format!("The file has more than {MAX_ROWS} rows; split it.")));
        }
        match check(line, &cells, &header, records.unclosed_quote()) {
            None => rows.push(Row { line, cells }),
            Some(error) => errors.push(error),
        }
    }
    Ok(Table { encoding: encoding.name(), header, rows, errors })
}

/// The text of the bytes: a byte order mark decides, else the encoding asked for, else UTF-8 if the bytes are valid
/// UTF-8, else what the bytes look most like, which for western text is Windows-1252.
pub(super) fn decode(
    bytes: &[u8],
    wanted: Option<&'static Encoding>,
) -> Result<(String, &'static Encoding), ImportError> {
    let (encoding, mark) = Encoding::for_bom(bytes).unwrap_or_else(|| (wanted.unwrap_or_else(|| guess(bytes)), 0));
    match encoding.decode_without_bom_handling_and_without_replacement(&bytes[mark..]) {
        Some(text) => Ok((text.into_owned(), encoding)),
        None => Err(ImportError::File(format!(
            "The file cannot be read as {}; name its encoding in the mapping, such as encoding = \"windows-1252\" \
             under [file].",
            encoding.name()
        ))),
    }
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    if std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Deny)
}

fn read_header(records: &mut Records<'_>, header_line: u64) -> Result<Header, ImportError> {
    loop {
        let Some((line, cells)) = records.next()? else {
            let message = if header_line == 1 {
                "The file is empty: a first line with the column names is needed.".to_owned()
            } else {
                format!(
                    "The file has no column names on line {header_line}, where the mapping's file.header_line says."
                )
            };
            return Err(ImportError::File(message));
        };
        // Blank lines above the header are passed over, so it may start later than where it is looked for.
        if line < header_line {
            continue;
        }
        if cells.len() > MAX_COLUMNS {
            let count = cells.len();
            return Err(ImportError::File(format!("The file has {count} columns; at most {MAX_COLUMNS} are read.")));
        }
        if let Some(index) = cells.iter().position(|name| name.chars().nth(MAX_HEADER_CHARS).is_some()) {
            let message = format!("The name of column {} has more than {MAX_HEADER_CHARS} characters.", index + 1);
            return Err(ImportError::File(message));
        }
        return Ok(Header(cells.iter().map(one_line).collect()));
    }
}

/// What makes a row unusable, if anything does.
fn check(line: u64, cells: &StringRecord, header: &Header, unclosed_quote: bool) -> Option<RowError> {
    let of_row = |rule, hint: String| {
        let value = shortened(&one_line(&cells.iter().take(3).collect::<Vec<_>>().join(", ")), 80);
        Some(RowError { line, column_index: None, column: None, value, rule, hint })
    };
    if unclosed_quote {
        return of_row(RowRule::Cells, "A quote is opened in this row and never closed; close it.".to_owned());
    }
    let (got, expected) = (cells.len(), header.0.len());
    let only_blanks_beyond = cells.iter().skip(expected).all(|cell| cell.trim().is_empty());
    if got < expected || !only_blanks_beyond {
        return of_row(
            RowRule::Cells,
            format!("The row has {got} cells and the header has {expected}; look for a missing quote or separator."),
        );
    }
    cells.iter().take(expected).enumerate().find_map(|(index, cell)| {
        let (rule, hint) = if cell.chars().nth(MAX_CELL_CHARS).is_some() {
            (RowRule::TooLong, format!("The cell has more than {MAX_CELL_CHARS} characters; shorten it."))
        } else if cell.contains('\0') {
            (RowRule::Character, "The cell holds a NUL character, which no database stores; remove it.".to_owned())
        } else {
            return None;
        };
        let column = Some(header.0[index].clone());
        let value = shortened(&cell.chars().take(200).collect::<String>().replace('\0', "␀"), 80);
        Some(RowError { line, column_index: Some(index + 1), column, value, rule, hint })
    })
}

/// The records of a CSV text that are not blank, each with the line it starts on.
///
/// The line is counted here and not taken from the CSV reader, whose count is behind after `\r\n` and blank lines.
struct Records<'a> {
    text: &'a str,
    delimiter: u8,
    reader: csv::Reader<&'a [u8]>,
    /// How many lines ended before `counted`, a place in `text`.
    lines: u64,
    counted: usize,
    /// Where the newest record starts.
    start: usize,
}

impl<'a> Records<'a> {
    fn new(text: &'a str, delimiter: u8) -> Self {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(text.as_bytes());
        Self { text, delimiter, reader, lines: 0, counted: 0, start: 0 }
    }

    fn next(&mut self) -> Result<Option<(u64, StringRecord)>, ImportError> {
        loop {
            let mut cells = StringRecord::new();
            let more = self.reader.read_record(&mut cells);
            if !more.map_err(|error| ImportError::File(format!("The file is not a CSV file: {error}.")))? {
                return Ok(None);
            }
            if cells.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            let place = cells.position().and_then(|place| usize::try_from(place.byte()).ok()).unwrap_or(self.counted);
            return Ok(Some((self.line_of(place), cells)));
        }
    }

    /// The line, from 1, of the record that the reader began to look for at `place`: the line breaks there still
    /// belong to what came before.
    fn line_of(&mut self, place: usize) -> u64 {
        let bytes = self.text.as_bytes();
        self.start = place + bytes[place..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        for at in self.counted..self.start {
            let second_of_pair = bytes[at] == b'\n' && at > 0 && bytes[at - 1] == b'\r';
            if matches!(bytes[at], b'\r' | b'\n') && !second_of_pair {
                self.lines += 1;
            }
        }
        self.counted = self.start;
        self.lines + 1
    }

    /// Whether the newest record runs to the end of the file because a quote is never closed. The CSV reader accepts
    /// this silently, and would hide that rows are missing.
    fn unclosed_quote(&self) -> bool {
        if self.reader.position().byte() < self.text.len() as u64 {
            return false;
        }
        let (mut quoted, mut cell_starts) = (false, true);
        for byte in self.text.as_bytes()[self.start..].iter().copied() {
            // A doubled quote inside a quoted cell closes and opens again, which comes to the same.
            let quote = byte == b'"' && (quoted || cell_starts);
            cell_starts = if quoted { quote } else { byte == self.delimiter || matches!(byte, b'\r' | b'\n') };
            quoted ^= quote;
        }
        quoted
    }
}

impl Header {
    /// The position, from 0, of a column by its name, or by `#N` where N is its position from 1. Case and spaces do
    /// not matter. `key` is the place in the mapping that names it.
    pub fn find(&self, key: &str, name: &str) -> Result<usize, ImportError> {
        let refused = |message| ImportError::Column { key: key.to_owned(), message };
        let names = &self.0;
        if let Some(number) = name.trim().strip_prefix('#').and_then(|number| number.parse::<usize>().ok()) {
            let message = || refused(format!("there is no column {}; the file has {}.", name.trim(), names.len()));
            return number.checked_sub(1).filter(|index| *index < names.len()).ok_or_else(message);
        }
        let wanted = folded(name);
        let found: Vec<_> = (0..names.len()).filter(|index| folded(&names[*index]) == wanted).collect();
        match found.as_slice() {
            [index] => Ok(*index),
            [] => Err(refused(self.missing(&wanted, name))),
            [first, ..] => {
                let places: Vec<_> = found.iter().map(|index| (index + 1).to_string()).collect();
                Err(refused(format!(
                    "\"{name}\" is the name of {} columns ({}); name one by its position, such as \"#{}\".",
                    found.len(),
                    places.join(", "),
                    first + 1
                )))
            }
        }
    }

    fn missing(&self, wanted: &str, name: &str) -> String {
        let nearest = self.0.iter().min_by_key(|header| distance(&folded(header), wanted));
        let one = match self.0.as_slice() {
            [only] if only.contains([';', '\t', '|']) => {
                " The file seems to have another delimiter; see file.delimiter."
            }
            _ => "",
        };
        format!("there is no column \"{name}\"; the nearest is \"{}\".{one}", nearest.map_or("", String::as_str))
    }
}

/// How many characters must be put in, taken out or changed to make one text the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
