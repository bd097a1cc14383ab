//! Explains where the time of a Milvus call goes: traces in, stages and reasons out.
//!
//! Pure, as the engine below it: no clock, no network, no files. The stages and the reasons are data: `stages.toml` and `reasons.toml`.

mod activity;
mod breakdown;
mod call;
mod elsewhere;
mod group;
mod logged;
mod model;
mod names;
mod path;
mod reason;
mod spread;
mod staging;
mod tree;

pub use breakdown::Breakdown;
pub use call::{CallTime, Frame, ProgramTime, Segments, StageTime, Stretch};
pub use elsewhere::Elsewhere;
pub use group::{By, Change, Group, GroupStage, GroupUnexplained, StageChange, changes, groups};
pub use logged::LoggedLine;
pub use model::{Model, Side, Stage, StageId, StageKind};
pub use reason::Reason;
pub use spread::{Difference, Spread};
