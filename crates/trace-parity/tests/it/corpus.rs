//! The fuzzers' corpus, and seeded mutations of it, as an ordinary test. `cargo fuzz run TARGET` in this package's folder searches further.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzzers use it as a library")]
mod properties;

use std::fs;
use std::path::Path;

const MUTATIONS: u64 = 200;

/// Flips, cuts, repeats or moves a range of bytes.
fn mutated(data: &[u8], seed: u64) -> Vec<u8> {
    // Knuth's generator gives the same mutations on every machine.
    let mut state = seed;
    let mut below = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut data = data.to_vec();
    for _ in 0..=below(4) {
        let at = below(data.len().max(1));
        let end = at + below((data.len() - at).clamp(1, 40));
        match below(4) {
            0 if at < data.len() => data[at] = below(256) as u8,
            1 => drop(data.drain(at..end)),
            2 => {
                let stretch = data[at..end].to_vec();
                data.splice(at..at, stretch);
            }
            _ => data.truncate(at),
        }
    }
    data
}

#[test]
fn the_corpus_and_its_mutations_keep_every_property() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, property) in properties::TARGETS {
        let entries = fs::read_dir(corpus.join(target)).expect(target);
        let mut seen = 0;
        for entry in entries {
            let path = entry.expect("an entry").path();
            // The test runner shows this only on failure.
            println!("{}", path.display());
            let data = fs::read(&path).expect("a file");
            property(&data);
            (0..MUTATIONS).for_each(|seed| property(&mutated(&data, seed)));
            seen += 1;
        }
        assert!(seen > 0, "{target} has no corpus");
    }
}
