//! The variables of the environment.

use std::env;

use super::setup_error::SetupError;
use super::warnings::Warnings;

/// A variable's value, unless it is empty, which counts as unset.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

pub(super) fn is_true(name: &str) -> bool {
    variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// What the items of a variable's list mean. Unknown ones are skipped with a warning, as OpenTelemetry asks for, as
/// long as another one is left.
pub(super) fn listed<T>(
    name: &'static str,
    default: &str,
    known: &'static str,
    warnings: &mut Warnings,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, SetupError> {
    let list = variable(name).unwrap_or_else(|| default.to_owned());
    let mut meant = Vec::new();
    for item in list
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        match read(item) {
            Some(meaning) => meant.push(meaning),
            None => warnings.add(format!(
                "`{item}` in `{name}` is skipped: it is none of {known}"
            )),
        }
    }
    if meant.is_empty() {
        return Err(SetupError::Unknown {
            variable: name,
            value: list,
            known,
        });
    }
    Ok(meant)
}
