//! Spans as they were read, in one compact store, and the tree that their parent ids make.
//!
//! Made for a million spans: strings are interned, attributes and events lie in arenas, resources and scopes are shared, and a trace
//! is a contiguous range of spans in order of start. Nothing here recurses, however deep a trace is.

mod attribute;
mod record;
mod span;
mod store;
mod value;

pub(crate) use attribute::{Attribute, Scalar, Slice};
pub(crate) use record::{
    EventRecord, LinkRecord, NONE, Rarities, ResourceRecord, ScopeRecord, SpanRecord, TraceRecord,
};
pub use record::{Kind, Status};
pub use span::{Event, Link, Span, Trace};
pub use store::Traces;
pub use value::{Attributes, Nested, Value};
