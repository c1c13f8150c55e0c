//! The artifact: read, checked against its digest, made ready to run; and what it takes and gives.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{DimLike as _, TDim, TypedSimpleState};
use tract_onnx::tract_hir::infer::Factoid as _;
use tract_onnx::{Onnx, pb};

use crate::error::{Error, ErrorCode};
use crate::operators;
use crate::tensor::Datatype;

/// What one thread keeps to run the model.
pub type State = TypedSimpleState;

/// A dimension of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Always so many.
    Fixed(usize),
    /// As many as the request has; the same name is the same number.
    Free(String),
}

impl Dim {
    /// The size as the protocol tells it: -1 is any.
    #[must_use]
    pub fn number(&self) -> i64 {
        match self {
            Self::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
            Self::Free(_) => -1,
        }
    }
}

/// One tensor that the model takes or gives.
#[derive(Debug, Clone)]
pub struct Port {
    /// Its name in the artifact.
    pub name: String,
    /// Its elements.
    pub datatype: Datatype,
    /// Its shape.
    pub shape: Vec<Dim>,
}

/// A model that can be run.
#[derive(Debug)]
pub struct Model {
    /// What it is served as.
    pub name: String,
    /// Which version of it.
    pub version: String,
    /// `sha256:` and the digest of the artifact's bytes.
    pub digest: String,
    /// What it takes, in its own order.
    pub inputs: Vec<Port>,
    /// What it gives, in its own order.
    pub outputs: Vec<Port>,
    plan: Arc<TypedSimplePlan>,
}

impl Model {
    /// Reads the artifact, once, and makes it ready.
    ///
    /// # Errors
    /// Those with the codes `artifact_unreadable`, `artifact_digest_mismatch`, `artifact_invalid` and
    /// `unsupported_operator`.
    pub fn load(path: &Path, name: &str, version: &str, expected: Option<&str>) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|cause| {
            let file = path.display();
            Error::new(ErrorCode::ArtifactUnreadable, format!("The artifact {file} cannot be read: {cause}."))
        })?;
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        check_digest(path, &digest, expected)?;
        let (plan, inputs, outputs) = guarded(|| prepare(&bytes)).map_err(|(code, cause)| {
            Error::new(code, format!("The artifact {} cannot be served: {cause}.", path.display()))
        })?;
        let model = Self { name: name.to_owned(), version: version.to_owned(), digest, inputs, outputs, plan };
        Ok(model)
    }

    /// What a thread needs to run the model.
    ///
    /// # Errors
    /// If the runtime cannot make its state; it could on loading.
    pub fn state(&self) -> TractResult<State> {
        self.plan.spawn()
    }
}

fn check_digest(path: &Path, digest: &str, expected: Option<&str>) -> Result<(), Error> {
    let Some(expected) = expected else { return Ok(()) };
    let hexadecimal = expected.strip_prefix("sha256:").unwrap_or_default();
    if hexadecimal.len() != 64 || !hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let sentence = format!("A digest is sha256: and 64 hexadecimal digits, not “{expected}”.");
        return Err(Error::new(ErrorCode::OptionInvalid, sentence));
    }
    if digest.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let file = path.display();
    let sentence = format!("The artifact {file} has the digest {digest}, but {expected} was asked for.");
    Err(Error::new(ErrorCode::ArtifactDigestMismatch, sentence))
}

type Prepared = (Arc<TypedSimplePlan>, Vec<Port>, Vec<Port>);
type Cause = (ErrorCode, String);

/// The runtime panics on some artifacts where it should refuse them.
fn guarded<T>(prepare: impl FnOnce() -> Result<T, Cause>) -> Result<T, Cause> {
    catch_unwind(AssertUnwindSafe(prepare))
        .unwrap_or_else(|_| Err((ErrorCode::ArtifactInvalid, "the inference runtime gave up on it".to_owned())))
}

fn prepare(bytes: &[u8]) -> Result<Prepared, Cause> {
    let onnx = operators::runtime();
    let mut bytes = bytes;
    let proto = onnx
        .proto_model_for_read(&mut bytes)
        .map_err(|_| (ErrorCode::ArtifactInvalid, "it is not an ONNX model".to_owned()))?;
    check_operators(&onnx, &proto)?;
    build(&onnx, &proto).map_err(|cause| (ErrorCode::ArtifactInvalid, sentence(&cause)))
}

/// Names every operator that is not supported, before the runtime stumbles over the first.
fn check_operators(onnx: &Onnx, proto: &pb::ModelProto) -> Result<(), Cause> {
    let graph = proto.graph.as_ref();
    let graph =
        graph.ok_or_else(|| (ErrorCode::ArtifactInvalid, "it has no graph, so it is not an ONNX model".to_owned()))?;
    let mut missing = BTreeSet::new();
    collect_missing(onnx, graph, &mut missing);
    if missing.is_empty() {
        return Ok(());
    }
    let known = "of ai.onnx.ml these are: ArrayFeatureExtractor, CategoryMapper, Imputer, LabelEncoder, \
                 LinearClassifier, LinearRegressor, Normalizer, OneHotEncoder, Scaler, TreeEnsembleClassifier, \
                 TreeEnsembleRegressor, ZipMap";
    let names = missing.into_iter().collect::<Vec<_>>().join(", ");
    Err((ErrorCode::UnsupportedOperator, format!("it uses operators that are not supported: {names} ({known})")))
}

fn collect_missing(onnx: &Onnx, graph: &pb::GraphProto, missing: &mut BTreeSet<String>) {
    for node in &graph.node {
        if !onnx.op_register.0.contains_key(&node.op_type) {
            let domain = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
            missing.insert(format!("{domain}.{}", node.op_type));
        }
        for inner in node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
            collect_missing(onnx, inner, missing);
        }
    }
}

fn build(onnx: &Onnx, proto: &pb::ModelProto) -> TractResult<Prepared> {
    let mut model = onnx.model_for_proto_model(proto)?;
    name_free_dims(&mut model)?;
    let names = |outlets: &[OutletId], model: &InferenceModel| -> Vec<String> {
        let name = |outlet: &OutletId| model.outlet_label(*outlet).unwrap_or(&model.node(outlet.node).name).to_owned();
        outlets.iter().map(name).collect()
    };
    let input_names = names(&model.inputs, &model);
    let output_names = proto.graph.iter().flat_map(|graph| &graph.output).map(|output| output.name.clone()).collect();
    let model = model.into_optimized()?;
    let inputs = ports(input_names, &model.inputs, &model)?;
    let outputs = ports(output_names, &model.outputs, &model)?;
    Ok((model.into_runnable()?, inputs, outputs))
}

/// Gives a name to every dimension that the artifact leaves open: the first is the number of rows, alike for all inputs.
fn name_free_dims(model: &mut InferenceModel) -> TractResult<()> {
    let rows = model.symbols.sym("rows");
    for at in 0..model.inputs.len() {
        let mut fact = model.input_fact(at)?.clone();
        let Some(shape) = fact.shape.rank().concretize() else { continue };
        for axis in 0..usize::try_from(shape)? {
            let known = fact.shape.dim(axis).is_some_and(|dim| dim.concretize().is_some());
            if !known {
                let name = if axis == 0 { rows.clone() } else { model.symbols.new_with_prefix("d") };
                fact.shape.set_dim(axis, TDim::from(name));
            }
        }
        model.set_input_fact(at, fact)?;
    }
    Ok(())
}

fn ports(names: Vec<String>, outlets: &[OutletId], model: &TypedModel) -> TractResult<Vec<Port>> {
    let port = |(name, outlet): (String, &OutletId)| {
        let fact = model.outlet_fact(*outlet)?;
        let datatype = Datatype::of(fact.datum_type)
            .ok_or_else(|| TractError::msg(format!("the tensor {name} has elements of an unknown type")))?;
        let dim = |dim: &TDim| dim.to_usize().map_or_else(|_| Dim::Free(dim.to_string()), Dim::Fixed);
        Ok(Port { name, datatype, shape: fact.shape.iter().map(dim).collect() })
    };
    names.into_iter().zip(outlets).map(port).collect()
}

/// The causes of a failure in one line, the outermost first, each once.
pub fn sentence(error: &TractError) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        let cause = cause.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
        if !cause.is_empty() && !text.contains(&cause) {
            text += if text.is_empty() { "" } else { ": " };
            text.extend(cause.chars().take(300));
        }
    }
    text
}
