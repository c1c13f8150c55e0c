//! What all doors share: extractors, sessions and forms, layout, paging, live stream, metrics.
//!
//! Knows no area and decides nothing about the product's things.

pub mod assets;
pub mod errors;
pub mod etag;
pub mod extract;
pub mod filters;
pub mod form;
pub mod format;
pub mod idempotency;
pub mod intervals;
pub mod live;
pub mod metrics;
pub mod paging;
pub mod request_id;
pub mod select;
pub mod shell;

pub use etag::{IfMatch, Revision, Tagged};
pub(crate) use extract::too_large;
pub use extract::{Caller, Form, Json, MultipartBody, Path, Query, Upload, Visitor};
pub use form::Refusal;
pub use paging::{Cursor, Page};
pub use select::Select;
pub use shell::{Badges, Shell, Toast, back_to, html};
