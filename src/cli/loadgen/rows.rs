//! The bodies of requests: rows of a file, or values made up. Pure, but for the reading of the file.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::send::Input;

/// How many different bodies are made; more requests take them in turn.
const DIFFERENT: usize = 1000;

/// What a tensor's type wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Real,
    Whole,
    Truth,
    Text,
}

impl Kind {
    fn of(datatype: &str) -> anyhow::Result<Self> {
        match datatype {
            "FP16" | "FP32" | "FP64" => Ok(Self::Real),
            "BOOL" => Ok(Self::Truth),
            "BYTES" => Ok(Self::Text),
            whole if whole.starts_with("INT") || whole.starts_with("UINT") => Ok(Self::Whole),
            other => anyhow::bail!("The model takes {other}, which cannot be made here."),
        }
    }

    /// A cell of a file as a value; an empty one is a missing number.
    fn read(self, cell: &str) -> Option<Value> {
        match self {
            Self::Text => Some(json!(cell)),
            Self::Real if cell.is_empty() => Some(Value::Null),
            Self::Real => cell.parse::<f64>().ok().map(|number| json!(number)),
            Self::Whole => cell.parse::<i64>().ok().map(|number| json!(number)),
            Self::Truth => cell.parse::<bool>().ok().map(|truth| json!(truth)),
        }
    }

    /// The value number `n`: spread, and the same every time.
    fn made_up(self, n: usize) -> Value {
        let spread = n.wrapping_mul(2_654_435_761) % 1000;
        match self {
            Self::Real => json!(spread as f64 / 1000.0),
            Self::Whole => json!(spread % 10),
            Self::Truth => json!(spread.is_multiple_of(2)),
            Self::Text => json!(format!("value {}", spread % 10)),
        }
    }
}

/// A request of these tensors, each with its values in order.
fn body(inputs: &[Input], shapes: &[Vec<i64>], values: Vec<Vec<Value>>) -> Vec<u8> {
    let tensors = inputs.iter().zip(shapes).zip(values).map(|((input, shape), data)| {
        json!({ "name": input.name, "datatype": input.datatype, "shape": shape, "data": data })
    });
    json!({ "inputs": tensors.collect::<Vec<_>>() }).to_string().into_bytes()
}

/// The shape of an input for so many rows: the first open dimension is the rows, any other is one.
fn shape(input: &Input, batch: usize) -> Vec<i64> {
    let mut rows = Some(batch as i64);
    input.shape.iter().map(|size| if *size < 0 { rows.take().unwrap_or(1) } else { *size }).collect()
}

/// Bodies with values made up for the model's inputs.
pub fn made_up(inputs: &[Input], batch: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let shapes: Vec<_> = inputs.iter().map(|input| shape(input, batch)).collect();
    let kinds = inputs.iter().map(|input| Kind::of(&input.datatype)).collect::<anyhow::Result<Vec<_>>>()?;
    let values = |number: usize| {
        let tensor = |(kind, shape): (&Kind, &Vec<i64>)| {
            let size = usize::try_from(shape.iter().product::<i64>()).unwrap_or_default();
            (0..size).map(|at| kind.made_up(number * size + at)).collect()
        };
        kinds.iter().zip(&shapes).map(tensor).collect()
    };
    Ok((0..DIFFERENT.div_ceil(batch)).map(|number| body(inputs, &shapes, values(number))).collect())
}

/// Bodies with the rows of a CSV file, taken in turn.
pub fn of_file(inputs: &[Input], file: &Path, columns: &[String], batch: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let name = file.display();
    let mut reader = csv::Reader::from_path(file).with_context(|| format!("{name} cannot be read"))?;
    let heading: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| Ok(row?.iter().map(str::to_owned).collect()));
    let rows = rows.collect::<Result<Vec<Vec<String>>, csv::Error>>().with_context(|| format!("{name} is not CSV"))?;
    of_rows(inputs, &heading, &rows, columns, batch).with_context(|| format!("{name} does not fit the model"))
}

fn of_rows(
    inputs: &[Input],
    heading: &[String],
    rows: &[Vec<String>],
    columns: &[String],
    batch: usize,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let first = rows.first().ok_or_else(|| anyhow::anyhow!("it has no rows"))?;
    let taken: Vec<Vec<usize>> = match inputs {
        [matrix] if matrix.shape.len() == 2 && matrix.shape[1] != 1 => {
            let numeric = || (0..heading.len()).filter(|at| first[*at].parse::<f64>().is_ok()).collect();
            let named = columns.iter().map(|name| find(heading, name)).collect::<anyhow::Result<Vec<_>>>()?;
            let taken: Vec<usize> = if named.is_empty() { numeric() } else { named };
            let (wanted, width) = (matrix.shape[1], taken.len());
            let fits = wanted < 0 || usize::try_from(wanted).is_ok_and(|wanted| wanted == width);
            anyhow::ensure!(fits, "it gives {width} columns and the model takes {wanted}; choose them with --columns");
            vec![taken]
        }
        _ => inputs.iter().map(|input| Ok(vec![find(heading, &input.name)?])).collect::<anyhow::Result<_>>()?,
    };
    let kinds = inputs.iter().map(|input| Kind::of(&input.datatype)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut bodies = Vec::new();
    for start in (0..rows.len().max(batch)).step_by(batch).take(DIFFERENT) {
        let some: Vec<_> = (start..start + batch).map(|at| &rows[at % rows.len()]).collect();
        let mut values = Vec::with_capacity(inputs.len());
        for (columns, kind) in taken.iter().zip(&kinds) {
            values.push(tensor(&some, columns, *kind, heading)?);
        }
        let shapes: Vec<_> = taken.iter().map(|columns| vec![batch as i64, columns.len() as i64]).collect();
        bodies.push(body(inputs, &shapes, values));
    }
    Ok(bodies)
}

fn find(heading: &[String], name: &str) -> anyhow::Result<usize> {
    heading.iter().position(|one| one == name).ok_or_else(|| anyhow::anyhow!("it has no column “{name}”"))
}

fn tensor(rows: &[&Vec<String>], columns: &[usize], kind: Kind, heading: &[String]) -> anyhow::Result<Vec<Value>> {
    let mut values = Vec::with_capacity(rows.len() * columns.len());
    for row in rows {
        for column in columns {
            let cell = row[*column].trim();
            let (what, name) = (format!("{kind:?}").to_lowercase(), &heading[*column]);
            let value = kind.read(cell);
            values.push(value.ok_or_else(|| anyhow::anyhow!("“{cell}” in column {name} is not a {what} value"))?);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Input, made_up, of_rows};

    fn input(name: &str, datatype: &str, shape: &[i64]) -> Input {
        Input { name: name.to_owned(), datatype: datatype.to_owned(), shape: shape.to_vec() }
    }

    fn texts(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|&cell| cell.to_owned()).collect()
    }

    fn parsed(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn rows_go_to_named_columns_by_their_names_and_to_a_matrix_in_order() {
        let heading = texts(&["purpose", "amount", "age"]);
        let rows = [texts(&["car", "100", "30"]), texts(&["radio", "", "40"]), texts(&["car", "300", "50"])];
        let named = [input("age", "INT64", &[-1, 1]), input("purpose", "BYTES", &[-1, 1])];
        let bodies = of_rows(&named, &heading, &rows, &[], 2).unwrap();
        assert_eq!(bodies.len(), 2);
        let last = parsed(&bodies[1])["inputs"].clone();
        assert_eq!((&last[0]["data"], &last[0]["shape"]), (&json!([50, 30]), &json!([2, 1])));
        assert_eq!(last[1]["data"], json!(["car", "car"]));
        let matrix = [input("features", "FP32", &[-1, 2])];
        let bodies = of_rows(&matrix, &heading, &rows, &[], 1).unwrap();
        assert_eq!(parsed(&bodies[0])["inputs"][0]["data"], json!([100.0, 30.0]));
        assert_eq!(parsed(&bodies[1])["inputs"][0]["data"], json!([null, 40.0]));
        let chosen = of_rows(&matrix, &heading, &rows, &texts(&["age", "amount"]), 1).unwrap();
        assert_eq!(parsed(&chosen[0])["inputs"][0]["data"], json!([30.0, 100.0]));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let (heading, rows) = (texts(&["purpose", "amount"]), [texts(&["car", "100"])]);
        let says = |input| of_rows(&[input], &heading, &rows, &[], 1).unwrap_err().to_string();
        assert!(says(input("features", "FP32", &[-1, 3])).contains("1 columns and the model takes 3"));
        assert!(says(input("age", "INT64", &[-1, 1])).contains("no column “age”"));
        assert!(says(input("purpose", "INT64", &[-1, 1])).contains("“car” in column purpose is not a whole value"));
    }

    #[test]
    fn values_made_up_have_the_types_and_shapes_that_the_model_takes() {
        let inputs =
            [input("image", "FP32", &[-1, 2, 2]), input("name", "BYTES", &[-1, 1]), input("yes", "BOOL", &[-1])];
        let body = parsed(&made_up(&inputs, 3).unwrap()[1]);
        assert_eq!(body["inputs"][0]["shape"], json!([3, 2, 2]));
        assert_eq!(body["inputs"][0]["data"].as_array().unwrap().len(), 12);
        assert!(body["inputs"][1]["data"][0].is_string() && body["inputs"][2]["data"][0].is_boolean());
        assert!(made_up(&[input("x", "MAP", &[1])], 1).is_err());
    }
}
