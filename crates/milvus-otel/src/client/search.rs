//! Searching by vectors.

use super::collection::pair;
use super::data::ids;
use super::error::{Error, Result};
use super::rows;
use super::schema::{ConsistencyLevel, Id, Vector};
use super::{MilvusClient, awaitable};
use crate::proto::common::{DslType, PlaceholderGroup, PlaceholderType, PlaceholderValue};
use crate::proto::milvus as m;
use crate::proto::schema::SearchResultData;
use prost::Message;
use serde_json::{Map, Value};

/// A row that a search found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hit {
    /// Its key.
    pub id: Id,
    /// How near it is, in the metric of the index.
    pub score: f32,
    /// The fields that were asked for.
    pub fields: Map<String, Value>,
}

/// A search; made by [`MilvusClient::search`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Search<'a> {
    client: &'a MilvusClient,
    collection: String,
    vectors: Vec<Vector>,
    field: String,
    limit: usize,
    output_fields: Vec<String>,
    consistency_level: Option<ConsistencyLevel>,
}

awaitable!(Search -> Vec<Vec<Hit>>);

impl Search<'_> {
    /// How many hits to return for each vector, at most; 10 unless it is set.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The fields to return with each hit; none unless they are set.
    pub fn output_fields(mut self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.output_fields = fields.into_iter().map(Into::into).collect();
        self
    }

    /// How fresh the data must be; as the collection says unless it is set.
    pub fn consistency_level(mut self, level: ConsistencyLevel) -> Self {
        self.consistency_level = Some(level);
        self
    }

    async fn send(self) -> Result<Vec<Vec<Hit>>> {
        let search_params = vec![
            pair("anns_field", &self.field),
            pair("topk", &self.limit.to_string()),
            pair("params", "{}"),
            pair("round_decimal", "-1"),
        ];
        let request = m::SearchRequest {
            db_name: self.client.database(),
            collection_name: self.collection,
            placeholder_group: placeholders(&self.vectors)?.encode_to_vec().into(),
            dsl_type: DslType::BoolExprV1.into(),
            output_fields: self.output_fields,
            search_params,
            nq: i64::try_from(self.vectors.len())
                .map_err(|_| Error::invalid("too many vectors"))?,
            use_default_consistency: self.consistency_level.is_none(),
            consistency_level: self
                .consistency_level
                .unwrap_or(ConsistencyLevel::Strong)
                .wire()
                .into(),
            guarantee_timestamp: guarantee(self.consistency_level),
            ..Default::default()
        };
        let answer = self.client.call(request).await?;
        hits(answer.results.unwrap_or_default())
    }
}

impl MilvusClient {
    /// Searches for the rows that are nearest to each of `vectors`: one list of hits for each, the nearest first.
    pub fn search<V: Into<Vector>>(
        &self,
        collection: impl Into<String>,
        vectors: impl IntoIterator<Item = V>,
    ) -> Search<'_> {
        Search {
            client: self,
            collection: collection.into(),
            vectors: vectors.into_iter().map(Into::into).collect(),
            field: "vector".to_owned(),
            limit: 10,
            output_fields: Vec::new(),
            consistency_level: None,
        }
    }
}

/// The time up to which data must be seen, in the small numbers that Milvus takes for a level.
fn guarantee(level: Option<ConsistencyLevel>) -> u64 {
    match level {
        Some(ConsistencyLevel::Strong) => 0,
        Some(ConsistencyLevel::Bounded) => 2,
        _ => 1,
    }
}

fn placeholders(vectors: &[Vector]) -> Result<PlaceholderGroup> {
    let kind = match vectors.first() {
        None => return Err(Error::invalid("a search needs a vector")),
        Some(Vector::Float(_)) => PlaceholderType::FloatVector,
        Some(Vector::Binary(_)) => PlaceholderType::BinaryVector,
    };
    let values = vectors
        .iter()
        .map(|vector| match (vector, kind) {
            (Vector::Float(numbers), PlaceholderType::FloatVector) => Ok(numbers
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect()),
            (Vector::Binary(bytes), PlaceholderType::BinaryVector) => Ok(bytes.clone()),
            _ => Err(Error::invalid("a search needs vectors of one type")),
        })
        .collect::<Result<Vec<Vec<u8>>>>()?;
    let values = values.into_iter().map(Into::into).collect();
    Ok(PlaceholderGroup {
        placeholders: vec![PlaceholderValue {
            tag: "$0".to_owned(),
            r#type: kind.into(),
            values,
        }],
    })
}

fn hits(results: SearchResultData) -> Result<Vec<Vec<Hit>>> {
    let ids = ids(results.ids);
    if ids.len() != results.scores.len() {
        return Err(Error::unexpected(format!(
            "{} keys came with {} scores",
            ids.len(),
            results.scores.len()
        )));
    }
    let rows = rows::from_columns(&results.fields_data, ids.len()).map_err(Error::unexpected)?;
    let mut all = ids
        .into_iter()
        .zip(results.scores)
        .zip(rows)
        .map(|((id, score), fields)| Hit { id, score, fields });
    Ok(results
        .topks
        .iter()
        .map(|count| {
            all.by_ref()
                .take(usize::try_from(*count).unwrap_or(0))
                .collect()
        })
        .collect())
}
