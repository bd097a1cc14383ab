//! Milvus and a trace backend, whoever runs them: chosen, prepared, brought up, kept up.

pub mod authorization;
pub mod bring_up;
pub mod compose;
pub mod embedded;
pub mod external;
pub mod faults;
pub mod jaeger;
pub mod keeper;
pub mod ports;
pub mod server;
pub mod session;
pub mod set_up;
pub mod state;
