//! A model server: one ONNX artifact, answering the Open Inference Protocol v2 over HTTP.
//!
//! It is usable alone and knows nothing of who starts it. [`serve`] loads the artifact, refuses what it cannot serve
//! with a sentence and a stable code, and answers until it is told to stop.
//!
//! - [`model`](Model): the artifact, its digest, what it takes and gives
//! - `operators`: `ai.onnx.ml` operators that the inference runtime lacks
//! - `tensor`, `protocol`: tensors as JSON and as bytes; requests and answers
//! - `workers`: the bounded queue, and the threads that run the model
//! - `http`, `metrics`: the doors
//!
//! What never happens here: inference, or the parsing of tensors, on a thread that carries connections; a request
//! held in memory without a place in the queue; an answer from bytes whose digest was not checked.

mod error;
mod http;
mod metrics;
mod model;
mod operators;
mod protocol;
mod refusal;
mod server;
mod tensor;
mod workers;

pub use error::{Error, ErrorCode};
pub use model::{Dim, Model, Port, State};
pub use server::{Options, Ready, serve};
pub use tensor::Datatype;
