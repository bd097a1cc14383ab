//! Operations on whole collections: renaming, properties, truncation, compaction, flushing.

use super::MilvusClient;
use super::collection::{until, within};
use super::error::Result;
use super::partition::owned;
use super::schema::{FieldSchema, pair_list};
use crate::proto::common::CompactionState as WireCompactionState;
use crate::proto::milvus as m;
use prost::Message;
use std::time::Duration;

/// The property of a collection that says after how many seconds its rows expire.
pub const COLLECTION_TTL_SECONDS: &str = "collection.ttl.seconds";

/// The progress of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompactionState {
    /// There is no such compaction.
    Undefined,
    /// It is running.
    Executing,
    /// It is done.
    Completed,
}

/// Changes of whole collections, and upkeep of their data.
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
/// use milvus_otel::client::{COLLECTION_TTL_SECONDS, CompactionState, DataType, FieldSchema};
/// use std::time::Duration;
///
/// client.rename_collection("films", "movies").await?;
/// client.alter_collection_properties("movies", &[(COLLECTION_TTL_SECONDS, "86400")]).await?;
/// client.drop_collection_properties("movies", &[COLLECTION_TTL_SECONDS]).await?;
/// client.alter_collection_field("movies", "title", &[("max_length", "400")]).await?;
/// let rating = FieldSchema::new("rating", DataType::Float).nullable();
/// client.add_collection_field("movies", rating).await?;
///
/// let minute = Duration::from_secs(60);
/// let compaction = client.compact("movies").await?;
/// client.wait_for_compaction(compaction, minute).await?;
/// assert_eq!(client.get_compaction_state(compaction).await?, CompactionState::Completed);
/// client.flush_all(minute).await?;
/// client.refresh_load("movies").await?;
/// client.truncate_collection("movies").await?;
/// # Ok(())
/// # }
/// ```
impl MilvusClient {
    /// Renames a collection.
    ///
    /// Milvus 2.2.4 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such collection, or another one has the new name.
    pub async fn rename_collection(&self, old: &str, new: &str) -> Result<()> {
        let request = m::RenameCollectionRequest {
            db_name: self.database(),
            old_name: old.to_owned(),
            new_name: new.to_owned(),
            new_db_name: String::new(),
        };
        self.forget_schema(old);
        self.forget_schema(new);
        self.change("rename_collection", old, request).await
    }

    /// Sets properties of a collection, such as [`COLLECTION_TTL_SECONDS`].
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such collection, or Milvus refuses a value.
    pub async fn alter_collection_properties(
        &self,
        collection: &str,
        properties: &[(&str, &str)],
    ) -> Result<()> {
        let request = m::AlterCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            properties: pair_list(properties),
            ..Default::default()
        };
        self.change("alter_collection_properties", collection, request)
            .await
    }

    /// Removes properties of a collection.
    ///
    /// Milvus 2.4.18 and later; against a stub only.
    ///
    /// # Errors
    /// There is no such collection.
    pub async fn drop_collection_properties(&self, collection: &str, keys: &[&str]) -> Result<()> {
        let request = m::AlterCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            delete_keys: owned(keys),
            ..Default::default()
        };
        self.change("drop_collection_properties", collection, request)
            .await
    }

    /// Changes parameters of a field, such as `max_length`.
    ///
    /// Milvus 2.4.18 and later; against a stub only.
    ///
    /// # Errors
    /// There is no such field, or the parameter can't be changed.
    pub async fn alter_collection_field(
        &self,
        collection: &str,
        field: &str,
        params: &[(&str, &str)],
    ) -> Result<()> {
        let request = m::AlterCollectionFieldRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            field_name: field.to_owned(),
            properties: pair_list(params),
        };
        self.forget_schema(collection);
        self.change("alter_collection_field", collection, request)
            .await
    }

    /// Adds a field, which must be nullable.
    ///
    /// Milvus 2.6 and later; against a stub only.
    ///
    /// # Errors
    /// There is a field of that name, or it isn't nullable.
    pub async fn add_collection_field(&self, collection: &str, field: FieldSchema) -> Result<()> {
        let add = async {
            let request = m::AddCollectionFieldRequest {
                db_name: self.database(),
                collection_name: collection.to_owned(),
                schema: field.to_wire()?.encode_to_vec().into(),
            };
            self.forget_schema(collection);
            self.call(request).await?;
            Ok(())
        };
        self.operation("add_collection_field", collection, add)
            .await
    }

    /// Deletes all rows of a collection.
    ///
    /// Milvus 2.6.11 and later; against a stub only.
    ///
    /// # Errors
    /// There is no such collection.
    pub async fn truncate_collection(&self, collection: &str) -> Result<()> {
        let request = m::TruncateCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        self.change("truncate_collection", collection, request)
            .await
    }

    /// Starts to load data that was imported into a loaded collection.
    ///
    /// Milvus 2.2.3 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The collection isn't loaded.
    pub async fn refresh_load(&self, collection: &str) -> Result<()> {
        let request = m::LoadCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            replica_number: 0,
            refresh: true,
        };
        self.change("refresh_load", collection, request).await
    }

    /// Starts to merge the small segments of a collection and to drop its deleted rows. Returns the compaction's number.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such collection.
    pub async fn compact(&self, collection: &str) -> Result<i64> {
        let compact = async {
            let request = m::ManualCompactionRequest {
                collection_id: self.describe(collection).await?.id,
                collection_name: collection.to_owned(),
                db_name: self.database(),
                major_compaction: false,
            };
            Ok(self.call(request).await?.compaction_id)
        };
        self.operation("compact", collection, compact).await
    }

    /// The progress of a compaction.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The call failed.
    pub async fn get_compaction_state(&self, compaction: i64) -> Result<CompactionState> {
        let state = self.compaction_state(compaction);
        self.operation("get_compaction_state", "", state).await
    }

    async fn compaction_state(&self, compaction: i64) -> Result<CompactionState> {
        let request = m::GetCompactionStateRequest {
            compaction_id: compaction,
        };
        Ok(match self.call(request).await?.state() {
            WireCompactionState::UndefinedState => CompactionState::Undefined,
            WireCompactionState::Executing => CompactionState::Executing,
            WireCompactionState::Completed => CompactionState::Completed,
        })
    }

    /// Asks for a compaction's state until it is done, for at most `timeout`.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// It takes longer than `timeout`, or the call failed.
    pub async fn wait_for_compaction(&self, compaction: i64, timeout: Duration) -> Result<()> {
        let done =
            || async { Ok(self.compaction_state(compaction).await? == CompactionState::Completed) };
        let wait = within(timeout, until(done), || {
            format!("not compacted within {timeout:?}")
        });
        self.operation("wait_for_compaction", "", wait).await
    }

    /// Seals and stores all rows of the database written so far, and waits until that is done, for at most `timeout`.
    ///
    /// Milvus 2.3.1 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// It takes longer than `timeout`, or the call failed.
    pub async fn flush_all(&self, timeout: Duration) -> Result<()> {
        let flush = async {
            let db_name = self.database();
            let answer = self.call(m::FlushAllRequest { db_name }).await?;
            let state = m::GetFlushAllStateRequest {
                flush_all_ts: answer.flush_all_ts,
                db_name: self.database(),
            };
            until(|| async { Ok(self.call(state.clone()).await?.flushed) }).await
        };
        let wait = within(timeout, flush, || format!("not flushed within {timeout:?}"));
        self.operation("flush_all", "", wait).await
    }
}
