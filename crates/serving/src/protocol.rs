//! Inference requests and answers, in JSON and with the binary tensor data extension.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tract_onnx::prelude::{IntoTValue as _, TValue, TVec, Tensor};

use crate::model::{Dim, Model, Port};
use crate::refusal::{Kind, Refusal};
use crate::tensor::{self, Datatype};

/// The JSON of a request; what the protocol lets others add is passed over.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    parameters: BodyParameters,
    #[serde(borrow)]
    inputs: Vec<Input<'a>>,
    #[serde(borrow, default)]
    outputs: Option<Vec<Output<'a>>>,
}

#[derive(Default, Deserialize)]
struct BodyParameters {
    #[serde(default)]
    binary_data_output: bool,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<usize>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(default)]
    parameters: InputParameters,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct InputParameters {
    binary_data_size: Option<usize>,
    shared_memory_region: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    parameters: OutputParameters,
}

#[derive(Default, Deserialize)]
struct OutputParameters {
    binary_data: Option<bool>,
    classification: Option<serde::de::IgnoredAny>,
}

/// A request, checked against the model: its tensors in the model's order, and what is wanted back.
#[derive(Debug)]
pub struct Request {
    id: Option<String>,
    pub inputs: TVec<TValue>,
    /// Which outputs of the model, and whether as bytes.
    wanted: Vec<(usize, bool)>,
}

/// An answer's bytes; `json_length` is set where tensors follow the JSON.
#[derive(Debug)]
pub struct Answer {
    pub body: Vec<u8>,
    pub json_length: Option<usize>,
}

impl Request {
    /// Reads a request. `json_length` is what the header `Inference-Header-Content-Length` says.
    pub fn read(model: &Model, body: &[u8], json_length: Option<usize>) -> Result<Self, Refusal> {
        let (json, mut binary) = match json_length {
            Some(length) => body.split_at_checked(length).ok_or_else(|| {
                let have = body.len();
                Refusal::bad(format!("Inference-Header-Content-Length is {length}, but the body has {have} bytes."))
            })?,
            None => (body, [].as_slice()),
        };
        let body: Body<'_> = serde_json::from_slice(json)
            .map_err(|cause| Refusal::bad(format!("The request is not the JSON of an inference request: {cause}.")))?;
        let mut inputs: Vec<Option<Tensor>> = vec![None; model.inputs.len()];
        let mut sizes = HashMap::new();
        for input in &body.inputs {
            let (at, port) = find(&model.inputs, &input.name, "input")?;
            if inputs[at].is_some() {
                return Err(Refusal::bad(format!("The input “{}” is given twice.", input.name)));
            }
            let tensor = input.read(port, &mut sizes, &mut binary);
            inputs[at] = Some(tensor.map_err(|cause| Refusal::bad(format!("The input “{}”: {cause}.", input.name)))?);
        }
        if !binary.is_empty() {
            let left = binary.len();
            return Err(Refusal::bad(format!(
                "{left} bytes of the body belong to no input: no binary_data_size names them."
            )));
        }
        let wanted = body.wanted(model)?;
        Ok(Self { id: body.id.map(Cow::into_owned), inputs: complete(model, inputs)?, wanted })
    }

    /// Writes the answer.
    pub fn answer(&self, model: &Model, outputs: &[TValue]) -> Result<Answer, Refusal> {
        let (mut json, mut binary) = (Vec::with_capacity(256), Vec::new());
        self.write(model, outputs, &mut json, &mut binary)
            .map_err(|cause| Refusal::new(Kind::InferenceFailed, format!("The answer cannot be written: {cause}.")))?;
        let json_length = self.wanted.iter().any(|(_, as_bytes)| *as_bytes).then_some(json.len());
        json.append(&mut binary);
        Ok(Answer { body: json, json_length })
    }

    fn write(
        &self,
        model: &Model,
        outputs: &[TValue],
        json: &mut Vec<u8>,
        binary: &mut Vec<u8>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        json.extend_from_slice(b"{\"model_name\":");
        serde_json::to_writer(&mut *json, &model.name)?;
        json.extend_from_slice(b",\"model_version\":");
        serde_json::to_writer(&mut *json, &model.version)?;
        if let Some(id) = &self.id {
            json.extend_from_slice(b",\"id\":");
            serde_json::to_writer(&mut *json, id)?;
        }
        json.extend_from_slice(b",\"outputs\":[");
        for (count, (at, as_bytes)) in self.wanted.iter().enumerate() {
            let port = &model.outputs[*at];
            let tensor = outputs.get(*at).ok_or("the model made too few tensors")?;
            json.extend_from_slice(if count > 0 { b",{\"name\":" } else { b"{\"name\":" });
            serde_json::to_writer(&mut *json, &port.name)?;
            json.extend_from_slice(b",\"datatype\":\"");
            json.extend_from_slice(port.datatype.as_str().as_bytes());
            json.extend_from_slice(b"\",\"shape\":");
            serde_json::to_writer(&mut *json, tensor.shape())?;
            if *as_bytes {
                let start = binary.len();
                tensor::write_bytes(tensor, port.datatype, binary)?;
                let size = binary.len() - start;
                json.extend_from_slice(format!(",\"parameters\":{{\"binary_data_size\":{size}}}}}").as_bytes());
            } else {
                json.extend_from_slice(b",\"data\":");
                tensor::write_json(tensor, port.datatype, json)?;
                json.push(b'}');
            }
        }
        json.extend_from_slice(b"]}");
        Ok(())
    }
}

impl Body<'_> {
    /// What is wanted back: the outputs named, or all.
    fn wanted(&self, model: &Model) -> Result<Vec<(usize, bool)>, Refusal> {
        let as_bytes = self.parameters.binary_data_output;
        let Some(outputs) = self.outputs.as_ref().filter(|outputs| !outputs.is_empty()) else {
            return Ok((0..model.outputs.len()).map(|at| (at, as_bytes)).collect());
        };
        let mut wanted: Vec<(usize, bool)> = Vec::with_capacity(model.outputs.len());
        for output in outputs {
            let (at, _) = find(&model.outputs, &output.name, "output")?;
            if output.parameters.classification.is_some() {
                return Err(Refusal::bad("The classification extension is not supported."));
            }
            if wanted.iter().any(|(other, _)| *other == at) {
                return Err(Refusal::bad(format!("The output “{}” is asked for twice.", output.name)));
            }
            wanted.push((at, output.parameters.binary_data.unwrap_or(as_bytes)));
        }
        Ok(wanted)
    }
}

impl Input<'_> {
    /// The tensor; takes its bytes, if it has any, from the front of `binary`. Refuses with a clause, not a sentence.
    fn read<'m>(
        &self,
        port: &'m Port,
        sizes: &mut HashMap<&'m str, usize>,
        binary: &mut &[u8],
    ) -> Result<Tensor, Refusal> {
        let datatype = Datatype::named(&self.datatype)
            .ok_or_else(|| Refusal::bad(format!("{} is not a data type of the protocol", self.datatype)))?;
        if datatype != port.datatype {
            let (is, given) = (port.datatype.as_str(), datatype.as_str());
            return Err(Refusal::bad(format!("its data type is {is}, not {given}")));
        }
        check_shape(&self.shape, port, sizes)?;
        let count = self.shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
        let count = count
            .filter(|count| *count > 0)
            .ok_or_else(|| Refusal::bad(format!("a tensor of shape {:?} has no elements, or too many", self.shape)))?;
        match (self.parameters.binary_data_size, self.data) {
            (Some(_), Some(_)) => Err(Refusal::bad("it has both data and binary_data_size")),
            (Some(size), None) => {
                let (mine, rest) = binary.split_at_checked(size).ok_or_else(|| {
                    let left = binary.len();
                    Refusal::bad(format!("its binary_data_size is {size}, but only {left} bytes of the body are left"))
                })?;
                *binary = rest;
                tensor::from_bytes(datatype, &self.shape, count, mine)
            }
            (None, Some(data)) => tensor::from_json(datatype, &self.shape, count, data.get()),
            (None, None) if self.parameters.shared_memory_region.is_some() => {
                Err(Refusal::bad("shared memory is not supported"))
            }
            (None, None) => Err(Refusal::bad("it has neither data nor binary_data_size")),
        }
    }
}

fn find<'a>(ports: &'a [Port], name: &str, what: &str) -> Result<(usize, &'a Port), Refusal> {
    ports.iter().enumerate().find(|(_, port)| port.name == name).ok_or_else(|| {
        let names: Vec<_> = ports.iter().map(|port| port.name.as_str()).collect();
        Refusal::bad(format!("The model has no {what} “{name}”; it has: {}.", names.join(", ")))
    })
}

/// Fixed dimensions must be as they are, and free ones of one name must be alike in all inputs.
fn check_shape<'m>(shape: &[usize], port: &'m Port, sizes: &mut HashMap<&'m str, usize>) -> Result<(), Refusal> {
    let fits = shape.len() == port.shape.len()
        && shape.iter().zip(&port.shape).all(|(size, dim)| match dim {
            Dim::Fixed(fixed) => size == fixed,
            Dim::Free(_) => true,
        });
    if !fits {
        let expected: Vec<_> = port.shape.iter().map(Dim::number).collect();
        return Err(Refusal::bad(format!("its shape is {expected:?} (-1: any), not {shape:?}")));
    }
    for (size, dim) in shape.iter().zip(&port.shape) {
        let Dim::Free(name) = dim else { continue };
        let first = *sizes.entry(name).or_insert(*size);
        if first != *size {
            let clause = format!("its shape is {shape:?}, but other inputs have {first} where it has {size}");
            return Err(Refusal::bad(clause));
        }
    }
    Ok(())
}

fn complete(model: &Model, inputs: Vec<Option<Tensor>>) -> Result<TVec<TValue>, Refusal> {
    let missing: Vec<_> =
        model.inputs.iter().zip(&inputs).filter(|(_, tensor)| tensor.is_none()).map(|(port, _)| &*port.name).collect();
    if !missing.is_empty() {
        return Err(Refusal::bad(format!("These inputs of the model are missing: {}.", missing.join(", "))));
    }
    Ok(inputs.into_iter().flatten().map(Tensor::into_tvalue).collect())
}
