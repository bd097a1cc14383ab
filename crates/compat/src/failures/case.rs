//! The failures that the map has a row for.

use std::collections::BTreeMap;

use grpc_witness::{Action, Fault, Often, is_call_of};
use serde::Deserialize;
use supervise::{Failure, Result};
use trace_parity::Contract;

use crate::lab::ServerSettings;

const CASES: &str = include_str!("cases.toml");

/// A failure, and where it shows.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub name: String,
    pub about: String,
    /// The fault that a witness plays; `None` if the server or the environment is the cause.
    pub fault: Option<Fault>,
    /// The methods whose calls are shown; any, if it is empty.
    shown: Vec<String>,
    pub server: ServerSettings,
    /// Variables of the programs.
    pub environment: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    case: Vec<CaseTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseTable {
    name: String,
    #[serde(default)]
    about: String,
    step: Option<String>,
    /// The method of the request that the server gets before the first call of the step.
    first: Option<String>,
    #[serde(default)]
    authorization: bool,
    #[serde(default)]
    milvus: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

impl Case {
    /// The built-in faults, then the failures without one.
    pub(super) fn all(contract: &Contract) -> Result<Vec<Self>> {
        let unfit = |reason: String| {
            Failure::new(format!("failures/cases.toml: {reason}")).hint("correct the file")
        };
        let file: CaseFile = toml::from_str(CASES).map_err(|error| unfit(error.to_string()))?;
        let faults = harness::builtin_faults(contract)?;
        let mut cases: Vec<Self> = faults.into_iter().map(Self::of_fault).collect();
        for table in file.case {
            let shown = match &table.step {
                None => Vec::new(),
                Some(step) => contract
                    .methods(step)
                    .ok_or_else(|| unfit(format!("there is no step `{step}`")))?
                    .to_vec(),
            };
            match cases.iter_mut().find(|case| case.name == table.name) {
                Some(case) => case.shown = shown,
                None => cases.push(Self {
                    fault: table.first.map(|method| Fault {
                        name: table.name.clone(),
                        about: None,
                        methods: shown.clone(),
                        nth: 1,
                        often: Often::Times(1),
                        action: Action::First(method),
                    }),
                    name: table.name,
                    about: table.about,
                    shown,
                    server: ServerSettings {
                        authorization: table.authorization,
                        milvus: table.milvus,
                    },
                    environment: table.environment,
                }),
            }
        }
        Ok(cases)
    }

    fn of_fault(fault: Fault) -> Self {
        Self {
            name: fault.name.clone(),
            about: fault.about.clone().unwrap_or_default(),
            shown: fault.methods.clone(),
            fault: Some(fault),
            server: ServerSettings::default(),
            environment: BTreeMap::new(),
        }
    }

    /// Whether calls of `name` are shown, which is a path or a span's name and ends in the method.
    pub(super) fn shows(&self, name: &str) -> bool {
        is_call_of(&self.shown, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_a_cause_and_shows_calls_of_its_step() {
        let cases = Case::all(&Contract::builtin()).expect("cases.toml");
        for case in &cases {
            let has_cause = case.fault.is_some()
                || !case.environment.is_empty()
                || case.server != ServerSettings::default();
            assert!(has_cause && !case.about.is_empty(), "{case:?}");
        }
        let check = |name: &str, shown: &str, other: &str| {
            let case = cases.iter().find(|case| case.name == name);
            let case = case.expect(name);
            let shows =
                |method: &str| case.shows(&format!("/milvus.proto.milvus.MilvusService/{method}"));
            assert!(
                shows(shown) && (other.is_empty() || !shows(other)),
                "{case:?}"
            );
        };
        check("restart", "Search", "Insert");
        check("wrong-dimension", "Insert", "CreateCollection");
        check("wrong-token", "Connect", "");
        check("rate-limit", "CreateCollection", "Insert");
    }
}
