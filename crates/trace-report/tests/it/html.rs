//! The page as bytes. `browser` tests it in a browser.

use proptest::prelude::*;
use trace_report::raw_spans;

use crate::story::{self, Story};
use crate::{build, spans};

const NO_LIMIT: u64 = u64::MAX;

fn page(story: &Story) -> String {
    String::from_utf8(story.page()).unwrap()
}

#[test]
fn the_page_loads_nothing_else() {
    let page = page(&story::of(build::context_lost()));
    for other in [
        "http:", "https:", "src=", "<link", "<img", "@import", "url(",
    ] {
        assert!(!page.contains(other), "{other}");
    }
}

#[test]
fn the_page_is_small() {
    let page = story::of(build::context_lost()).page();
    assert!(page.len() < 200_000, "{}", page.len());
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let story = story::of(build::context_lost());
    assert_eq!(story.page(), story.page());
}

#[test]
fn the_page_gives_back_the_judged_spans() {
    let mut story = story::of(build::consistent());
    story
        .raw
        .extend_from_slice(b"{\"not\": \"valid \xff utf-8\"\n</script>\n");
    let back = raw_spans(&story.page(), NO_LIMIT).unwrap().unwrap();
    assert_eq!(back, story.raw);
    let (before, after) = (spans::traces_of(&story.raw), spans::traces_of(&back));
    assert_eq!(before.span_count(), after.span_count());
    assert!(raw_spans(&story.page(), 10).unwrap().is_err());
}

#[test]
fn a_run_without_spans_has_a_page() {
    let story = Story {
        run: build::could_not_run(),
        raw: Vec::new(),
    };
    assert!(page(&story).contains("could not run"));
    assert_eq!(raw_spans(&story.page(), NO_LIMIT).unwrap().unwrap(), b"");
}

#[test]
fn a_huge_trace_is_shown_in_part_and_kept_whole() {
    let story = story::large(26_000);
    let page = story.page();
    assert!(page.len() < 4_000_000, "{}", page.len());
    assert_eq!(raw_spans(&page, NO_LIMIT).unwrap().unwrap(), story.raw);
}

/// All tags, without the text between them.
fn tags(page: &str) -> Vec<&str> {
    let pieces = page.split('<').skip(1);
    pieces
        .filter(|piece| piece.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)))
        .map(|piece| piece.split('>').next().unwrap_or(piece))
        .collect()
}

#[test]
fn nasty_text_adds_no_tag() {
    let harmless = page(&story::hostile("harmless"));
    for text in build::NASTY {
        assert_eq!(
            tags(&page(&story::hostile(text))),
            tags(&harmless),
            "{text:?}"
        );
    }
}

#[test]
fn a_megabyte_in_every_field_leaves_the_page_small() {
    let page = story::hostile(&"<".repeat(1 << 20)).page();
    assert!(page.len() < 1_500_000, "{}", page.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_text_adds_a_tag(text in any::<String>()) {
        let (page, harmless) = (page(&story::hostile(&text)), page(&story::hostile("harmless")));
        prop_assert_eq!(tags(&page), tags(&harmless));
    }
}
