//! A finding as a rule writes it: by index, before precedence and expected divergences have been applied.

use crate::rule::{Rule, Severity};

/// A finding before it is known whether it stands.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) rule: Rule,
    pub(crate) severity: Severity,
    pub(crate) example: Option<u32>,
    pub(crate) step: Option<u16>,
    pub(crate) span: Option<u32>,
    pub(crate) subject: Option<String>,
    pub(crate) message: String,
    /// Given by the rule where the run itself says it; else by [`crate::hints`].
    pub(crate) hint: Option<String>,
    /// What the rule saw, for the rows of advice that need it.
    pub(crate) case: &'static str,
    told: Vec<(&'static str, String)>,
    pub(crate) count: u64,
    pub(crate) input_line: Option<u64>,
    /// The scope whose words these are, for the rules that expected divergences speak of.
    pub(crate) scope: Option<u32>,
    /// Spans at which the same cause would show as something else.
    pub(crate) explains: Vec<u32>,
}

impl Draft {
    pub(crate) fn new(rule: Rule, message: String) -> Self {
        Draft {
            rule,
            severity: rule.severity(),
            example: None,
            step: None,
            span: None,
            subject: None,
            message,
            hint: None,
            case: "",
            told: Vec::new(),
            count: 1,
            input_line: None,
            scope: None,
            explains: Vec::new(),
        }
    }

    pub(crate) fn example(mut self, example: u32) -> Self {
        self.example = Some(example);
        self
    }

    pub(crate) fn step(mut self, step: Option<u16>) -> Self {
        self.step = step;
        self
    }

    pub(crate) fn span(mut self, span: u32) -> Self {
        self.span = Some(span);
        self
    }

    pub(crate) fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Said in place of advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn case(mut self, case: &'static str) -> Self {
        self.case = case;
        self
    }

    /// A piece of evidence for advice, by name.
    pub(crate) fn tell(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.told.push((name, value.into()));
        self
    }

    pub(crate) fn told(&self, name: &str) -> Option<&str> {
        let found = self.told.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn count(mut self, count: usize) -> Self {
        self.count = count as u64;
        self
    }

    pub(crate) fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    pub(crate) fn scope(mut self, scope: u32) -> Self {
        self.scope = Some(scope);
        self
    }

    pub(crate) fn explains(mut self, spans: impl IntoIterator<Item = u32>) -> Self {
        self.explains.extend(spans);
        self
    }
}
