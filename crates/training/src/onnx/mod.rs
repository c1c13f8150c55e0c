//! The export: one ONNX model that takes the columns as they are, and answers `label` and `probabilities`.

use prost::Message as _;

use crate::encode::Encoder;
use crate::train::{Model, Trained};

mod classify;
mod proto;

use proto::{Attribute, FLOAT, Graph, INT64, Node, Opset, Port, Property, STRING, Tensor};

/// Where a model comes from, written into its metadata.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    /// The digest of the file that the table was read from.
    pub data_digest: &'a str,
    /// The product that trained it.
    pub producer: &'a str,
    /// The version of that product.
    pub version: &'a str,
}

impl Trained {
    /// The model as the bytes of an ONNX file: one input of the shape `[rows, 1]` for each feature column, of floats
    /// (NaN is missing) or texts (the empty one is missing); the outputs `label`, of the shape `[rows]`, and
    /// `probabilities`, `[rows, 2]`, the positive class second. The same model gives the same bytes.
    ///
    /// Its metadata are `data_digest`, `config`, the configuration as JSON, and `summary`, what was measured.
    #[must_use]
    pub fn to_onnx(&self, provenance: &Provenance) -> Vec<u8> {
        let mut draft = Draft::new(&self.encoder);
        let features = draft.features(&self.encoder);
        match &self.model {
            Model::Logistic(model) => draft.linear(model, &self.summary.classes, features),
            Model::Boosted(model) => draft.trees(model, &self.summary.classes, features),
        }
        let graph = Graph {
            node: draft.nodes,
            name: "model".to_owned(),
            initializer: draft.constants,
            input: self.inputs(),
            output: vec![Port::of_rows("label", self.label_type(), &[]), Port::of_rows("probabilities", FLOAT, &[2])],
        };
        proto::Model {
            ir_version: 8,
            opset_import: vec![opset("", 17), opset(ML, 3)],
            producer_name: provenance.producer.to_owned(),
            producer_version: provenance.version.to_owned(),
            graph: Some(graph),
            metadata_props: self.metadata(provenance),
        }
        .encode_to_vec()
    }

    /// A port for each feature column, in the order of the configuration.
    fn inputs(&self) -> Vec<Port> {
        let is_text = |name: &String| self.encoder.texts.iter().any(|text| text.name == *name);
        let port = |name: &String| Port::of_rows(name, if is_text(name) { STRING } else { FLOAT }, &[1]);
        self.config.features.iter().map(port).collect()
    }

    fn label_type(&self) -> i32 {
        if classify::whole_numbers(&self.summary.classes).is_some() { INT64 } else { STRING }
    }

    fn metadata(&self, provenance: &Provenance) -> Vec<Property> {
        let property = |key: &str, value: String| Property { key: key.to_owned(), value };
        // Writing plain structs of texts and finite numbers as JSON cannot fail.
        let config = serde_json::to_string(&self.config).unwrap_or_default();
        let summary = serde_json::to_string(&self.summary).unwrap_or_default();
        vec![
            property("data_digest", provenance.data_digest.to_owned()),
            property("config", config),
            property("summary", summary),
        ]
    }
}

/// The domain of the operators for tabular models.
const ML: &str = "ai.onnx.ml";

fn opset(domain: &str, version: i64) -> Opset {
    Opset { domain: domain.to_owned(), version }
}

/// A graph under way.
struct Draft {
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
    /// Before the names of tensors inside, so that none is a column's.
    prefix: String,
}

impl Draft {
    fn new(encoder: &Encoder) -> Self {
        let mut prefix = "_".to_owned();
        let numbers = encoder.numbers.iter().map(|number| &number.name);
        let names: Vec<&String> = numbers.chain(encoder.texts.iter().map(|text| &text.name)).collect();
        while names.iter().any(|name| name.starts_with(&prefix)) {
            prefix.push('_');
        }
        Self { nodes: Vec::new(), constants: Vec::new(), prefix }
    }

    /// Adds a step with one output, named after the operator and its place.
    fn add(&mut self, domain: &str, operator: &str, input: Vec<String>, attribute: Vec<Attribute>) -> String {
        let output = format!("{}{operator}{}", self.prefix, self.nodes.len());
        self.push(domain, operator, input, vec![output.clone()], attribute);
        output
    }

    fn push(
        &mut self,
        domain: &str,
        operator: &str,
        input: Vec<String>,
        output: Vec<String>,
        attribute: Vec<Attribute>,
    ) {
        let name = format!("{operator}{}", self.nodes.len());
        self.nodes.push(Node {
            input,
            output,
            name,
            op_type: operator.to_owned(),
            attribute,
            domain: domain.to_owned(),
        });
    }

    /// One matrix from columns; a single one is that already.
    fn concat(&mut self, mut columns: Vec<String>) -> String {
        if columns.len() == 1 {
            columns.remove(0)
        } else {
            self.add("", "Concat", columns, vec![Attribute::int("axis", 1)])
        }
    }

    /// The features in the encoder's order: numbers, indicators, categories.
    fn features(&mut self, encoder: &Encoder) -> String {
        let mut parts = Vec::new();
        if !encoder.numbers.is_empty() {
            parts.push(self.numbers(encoder));
        }
        let indicated = encoder.numbers.iter().filter(|number| number.indicator);
        let indicated: Vec<String> = indicated.map(|number| number.name.clone()).collect();
        if !indicated.is_empty() {
            let columns = self.concat(indicated);
            let missing = self.add("", "IsNaN", vec![columns], vec![]);
            parts.push(self.add("", "Cast", vec![missing], vec![Attribute::int("to", i64::from(FLOAT))]));
        }
        for text in &encoder.texts {
            let categories = Attribute::texts("cats_strings", text.categories.iter().map(String::as_str));
            let attributes = vec![categories, Attribute::int("zeros", 1)];
            let ones = self.add(ML, "OneHotEncoder", vec![text.name.clone()], attributes);
            let shape = self.shape(text.categories.len());
            parts.push(self.add("", "Reshape", vec![ones, shape], vec![]));
        }
        self.concat(parts)
    }

    fn numbers(&mut self, encoder: &Encoder) -> String {
        let columns = self.concat(encoder.numbers.iter().map(|number| number.name.clone()).collect());
        if !encoder.standardised {
            return columns;
        }
        let means: Vec<f32> = encoder.numbers.iter().map(|number| number.mean).collect();
        let scales = encoder.numbers.iter().map(|number| number.scale).collect();
        let missing = Attribute::float("replaced_value_float", f32::NAN);
        let whole = vec![Attribute::floats("imputed_value_floats", means.clone()), missing];
        let whole = self.add(ML, "Imputer", vec![columns], whole);
        let scaled = vec![Attribute::floats("offset", means), Attribute::floats("scale", scales)];
        self.add(ML, "Scaler", vec![whole], scaled)
    }

    /// The shape of rows with so many features.
    fn shape(&mut self, width: usize) -> String {
        let name = format!("{}shape{}", self.prefix, self.constants.len());
        let int64_data = vec![-1, width as i64];
        self.constants.push(Tensor { dims: vec![2], data_type: INT64, int64_data, name: name.clone() });
        name
    }
}
