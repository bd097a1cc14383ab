//! Rows: putting them in.

use super::error::{Error, Result};
use super::rows;
use super::schema::Id;
use super::{MilvusClient, awaitable};
use crate::proto::milvus as m;
use crate::proto::schema::{CollectionSchema, IDs, i_ds::Values};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// What a write did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mutation {
    /// How many rows were written.
    pub count: u64,
    /// Their keys, as Milvus gave them or as they were given.
    pub ids: Vec<Id>,
}

/// Rows to be inserted; made by [`MilvusClient::insert`].
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Insert<'a> {
    client: &'a MilvusClient,
    collection: String,
    rows: std::result::Result<Vec<Value>, serde_json::Error>,
}

awaitable!(Insert -> Mutation);

impl Insert<'_> {
    async fn send(self) -> Result<Mutation> {
        let rows = self
            .rows
            .map_err(|error| Error::invalid(format!("a row is no record: {error}")))?;
        let schema = self.client.schema(&self.collection).await?;
        let request = m::InsertRequest {
            db_name: self.client.database(),
            collection_name: self.collection,
            num_rows: u32::try_from(rows.len())
                .map_err(|_| Error::invalid("more than 4 billion rows at once"))?,
            fields_data: rows::to_columns(&schema, rows).map_err(Error::invalid)?,
            ..Default::default()
        };
        let answer = self.client.call(request).await?;
        Ok(Mutation {
            count: u64::try_from(answer.insert_cnt).unwrap_or_default(),
            ids: ids(answer.ids),
        })
    }
}

impl MilvusClient {
    /// Inserts `rows`, each a record (a struct, a map, a JSON object) with a value for every field of the collection; what a
    /// row has beyond these goes into its dynamic field, if the collection has one.
    pub fn insert<R: Serialize>(
        &self,
        collection: impl Into<String>,
        rows: impl IntoIterator<Item = R>,
    ) -> Insert<'_> {
        let rows = rows.into_iter().map(serde_json::to_value).collect();
        Insert {
            client: self,
            collection: collection.into(),
            rows,
        }
    }

    async fn schema(&self, collection: &str) -> Result<Arc<CollectionSchema>> {
        if let Some(schema) = self.known_schema(collection) {
            return Ok(schema);
        }
        let request = m::DescribeCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        let schema = self.call(request).await?.schema;
        let schema = Arc::new(
            schema
                .ok_or_else(|| Error::unexpected("a collection was described without a schema"))?,
        );
        self.learn_schema(collection, Arc::clone(&schema));
        Ok(schema)
    }
}

pub(super) fn ids(ids: Option<IDs>) -> Vec<Id> {
    match ids.and_then(|ids| ids.values) {
        Some(Values::Ints(ids)) => ids.data.into_iter().map(Id::Int).collect(),
        Some(Values::Strings(ids)) => ids.data.into_iter().map(Id::Str).collect(),
        None => Vec::new(),
    }
}
