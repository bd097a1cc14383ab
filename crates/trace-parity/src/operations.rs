//! Operations on a vector store by the names that programs and frameworks use, as rows of `operations.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// What a program does with a vector store, whatever it is called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownOperation {
    pub(crate) name: String,
    /// Methods of `MilvusService`.
    methods: Vec<String>,
    words: Vec<String>,
}

/// A convention of spans that tell of an operation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationForm {
    pub(crate) name: String,
    /// A span that has it is of this form.
    pub(crate) attribute: String,
    /// Its values; empty where any will do.
    #[serde(default)]
    pub(crate) values: Vec<String>,
    /// The attribute that names the operation; where a span lacks it, the last part of the span's name does.
    pub(crate) word: String,
    /// Words that mean something else here.
    #[serde(default)]
    words: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationTable {
    operation: Vec<KnownOperation>,
    form: Vec<OperationForm>,
}

static FILE: LazyLock<OperationTable> = LazyLock::new(|| {
    toml::from_str(include_str!("operations.toml"))
        .unwrap_or_else(|error| panic!("operations.toml: {error}"))
});

/// In the order of a table's rows.
pub(crate) fn operations() -> &'static [KnownOperation] {
    &FILE.operation
}

pub(crate) fn forms() -> &'static [OperationForm] {
    &FILE.form
}

/// The index of the operation that a call does by itself.
pub(crate) fn by_method(method: &str) -> Option<usize> {
    FILE.operation
        .iter()
        .position(|known| known.methods.iter().any(|name| name == method))
}

impl OperationForm {
    /// The index of the operation that `word` names.
    pub(crate) fn operation(&self, word: &str) -> Option<usize> {
        let word = word.to_lowercase().replace(['-', ' '], "_");
        let word = self.words.get(&word).unwrap_or(&word);
        FILE.operation.iter().position(|known| {
            let mut words = known.words.iter();
            known.name == *word || words.any(|pattern| fits(pattern, word))
        })
    }
}

fn fits(pattern: &str, word: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(ending) => word.ends_with(ending),
        None => pattern == word,
    }
}

#[cfg(test)]
mod tests {
    use super::{by_method, forms, operations};

    #[test]
    fn words_of_frameworks_name_operations() {
        let name = |form: &str, word: &str| {
            let form = forms().iter().find(|known| known.name == form).unwrap();
            form.operation(word).map(|index| &*operations()[index].name)
        };
        assert_eq!(name("Spring AI", "query"), Some("search"));
        assert_eq!(name("database conventions", "query"), Some("query"));
        assert_eq!(name("OpenInference", "RETRIEVER"), Some("search"));
        assert_eq!(name("OpenInference", "CHAIN"), None);
        assert_eq!(name("Haystack", "MilvusEmbeddingRetriever"), Some("search"));
        assert_eq!(name("Haystack", "DocumentWriter"), Some("insert"));
        assert_eq!(by_method("HybridSearch"), by_method("Search"));
    }

    #[test]
    fn a_forms_own_words_name_operations() {
        for form in forms() {
            for meant in form.words.values() {
                assert!(
                    operations().iter().any(|known| known.name == *meant),
                    "{meant}"
                );
            }
        }
    }
}
