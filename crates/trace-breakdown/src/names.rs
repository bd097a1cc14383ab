//! The model's rows by the names of an input's spans, found once for each name.

use trace_parity::Span;

use crate::model::{Model, Part};

/// What the model says of spans of one name.
#[derive(Debug)]
pub(crate) struct Named {
    parts: Vec<&'static Part>,
    /// Those that hold below a span that has all time of the spans below it.
    always: Vec<&'static Part>,
    /// Numbers of rows by which it works in the time of another span.
    pub(crate) inside: Vec<usize>,
    /// Numbers of rows by which another span works in its time.
    pub(crate) around: Vec<usize>,
}

/// The names of spans in calls of one operation.
#[derive(Debug)]
pub(crate) struct Names {
    model: &'static Model,
    method: String,
    named: Vec<Named>,
    /// Places in `named` by the numbers that the input gives to names; [`UNKNOWN`] until the name is met.
    by_number: Vec<u32>,
}

const UNKNOWN: u32 = u32::MAX;

/// The names by which the model knows spans that aren't Milvus's own; in `named`, each at its place.
pub(crate) const ROLES: [&str; 3] = ["@call", "@server", "@between"];
pub(crate) const CALL: usize = 0;
pub(crate) const SERVER: usize = 1;
pub(crate) const BETWEEN: usize = 2;

impl Named {
    fn of(model: &'static Model, method: &str, name: &str) -> Self {
        let parts: Vec<&'static Part> = model.parts_of(name, method);
        Self {
            always: parts.iter().copied().filter(|part| part.always).collect(),
            parts,
            inside: model.insides(|inside| inside.span.is(name)),
            around: model.insides(|inside| inside.of.is(name)),
        }
    }

    /// In the order in which they are tried.
    pub(crate) fn parts(&self, only_always: bool) -> &[&'static Part] {
        if only_always {
            &self.always
        } else {
            &self.parts
        }
    }
}

impl Names {
    pub(crate) fn new(model: &'static Model, method: &str) -> Self {
        let roles = ROLES.iter().map(|name| Named::of(model, method, name));
        Self {
            model,
            method: method.to_owned(),
            named: roles.collect(),
            by_number: Vec::new(),
        }
    }

    pub(crate) fn get(&self, place: usize) -> &Named {
        &self.named[place]
    }

    /// The place of a span's own name.
    pub(crate) fn place(&mut self, span: Span<'_>) -> usize {
        let number = span.name_number();
        if self.by_number.len() <= number {
            self.by_number.resize(number + 1, UNKNOWN);
        }
        if self.by_number[number] == UNKNOWN {
            let named = Named::of(self.model, &self.method, span.name());
            self.by_number[number] = self.named.len() as u32;
            self.named.push(named);
        }
        self.by_number[number] as usize
    }
}
