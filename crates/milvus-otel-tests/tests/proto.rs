//! The generated code of `milvus-otel` (`src/proto`) matches the files in `proto`.

use std::path::Path;
use std::{env, fs};

/// After a change to a proto file, run with `MILVUS_OTEL_WRITE_PROTO=1`.
#[test]
fn generated_code_matches_the_proto_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../milvus-otel");
    let fresh = tempfile::tempdir().unwrap();
    let files = protox::compile(["milvus.proto"], [root.join("proto")]).unwrap();
    prost_build::Config::new()
        .out_dir(fresh.path())
        .bytes(["."])
        .compile_fds(files)
        .unwrap();

    for package in ["common", "schema", "milvus"] {
        let generated =
            fs::read_to_string(fresh.path().join(format!("milvus.proto.{package}.rs"))).unwrap();
        let committed = root.join("src/proto").join(format!("{package}.rs"));
        if env::var_os("MILVUS_OTEL_WRITE_PROTO").is_some() {
            fs::write(&committed, &generated).unwrap();
        }
        let committed = fs::read_to_string(&committed).unwrap_or_default();
        assert!(
            generated == committed,
            "`src/proto/{package}.rs` differs from `proto/{package}.proto`\n\n\
             hint: MILVUS_OTEL_WRITE_PROTO=1 cargo test -p milvus-otel-tests --test proto"
        );
    }
}
