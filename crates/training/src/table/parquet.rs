//! The rows of a Parquet file, cell by cell as text, as the same table would stand in a CSV file.

use std::fs::File;

use csv::StringRecord;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;

use super::read::{Rows, names_in, too_large, too_many};
use crate::error::{Error, ErrorCode};

/// What a Parquet file begins with.
pub const MAGIC: &[u8; 4] = b"PAR1";

/// Reads the file, and hands out each row.
pub fn each_row(file: &File, visit: &mut dyn FnMut(&StringRecord)) -> Result<Rows, Error> {
    let reader = SerializedFileReader::new(file.try_clone().map_err(super::read::unreadable)?).map_err(invalid)?;
    let metadata = reader.metadata().file_metadata();
    let columns = metadata.schema_descr().root_schema().get_fields();
    if let Some(nested) = columns.iter().find(|column| !column.is_primitive()) {
        let sentence = format!("The column “{}” holds lists or records; a cell must be one value.", nested.name());
        return Err(Error::new(ErrorCode::TableInvalid, sentence).in_column(nested.name()));
    }
    let names = names_in(&columns.iter().map(|column| column.name()).collect())?;
    // It is told before anything is unpacked.
    if usize::try_from(metadata.num_rows()).map_or(true, |rows| too_many(rows, names.len())) {
        return Err(too_large());
    }
    let (mut row, mut count) = (StringRecord::new(), 0);
    for found in reader.get_row_iter(None).map_err(invalid)? {
        let found = found.map_err(invalid)?;
        count += 1;
        if too_many(count, names.len()) {
            return Err(too_large());
        }
        row.clear();
        found.get_column_iter().for_each(|(_, field)| push(&mut row, field));
        visit(&row);
    }
    Ok(Rows { names, count })
}

fn push(row: &mut StringRecord, field: &Field) {
    match field {
        Field::Null => row.push_field(""),
        Field::Str(text) => row.push_field(text),
        Field::Bytes(bytes) => row.push_field(&String::from_utf8_lossy(bytes.data())),
        Field::Float(number) => row.push_field(&number.to_string()),
        Field::Double(number) => row.push_field(&number.to_string()),
        other => row.push_field(&other.to_string()),
    }
}

fn invalid(cause: ParquetError) -> Error {
    let sentence =
        format!("The Parquet file cannot be read: {cause}. Snappy is the only compression that is known here.");
    Error::new(ErrorCode::TableInvalid, sentence)
}
