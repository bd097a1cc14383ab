//! Collections: making them, asking about them, loading and dropping them.

use super::error::{Error, ErrorKind, INDEX_NOT_FOUND, Result};
use super::schema::{
    CollectionSchema, ConsistencyLevel, FieldSchema, IndexParams, LoadState, MetricType, count,
    pair, pair_list, pairs, row_count,
};
use super::{MilvusClient, awaitable};
use crate::proto::common::KeyValuePair;
use crate::proto::milvus as m;
use prost::Message;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

const PRIMARY_FIELD: &str = "id";
const VECTOR_FIELD: &str = "vector";

/// The first and the longest pause of a poll.
const POLL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// A collection to be made; made by [`MilvusClient::create_collection`].
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
/// use milvus_otel::client::{
///     COLLECTION_TTL_SECONDS, CollectionSchema, ConsistencyLevel, FieldSchema, IndexParams, MetricType,
/// };
///
/// client.create_collection("quick", 768).metric_type(MetricType::Ip).await?;
///
/// let schema = CollectionSchema::new()
///     .field(FieldSchema::int64("id").primary_key().auto_id())
///     .field(FieldSchema::float_vector("vector", 768));
/// client
///     .create_collection_with_schema("own", schema)
///     .index(IndexParams::new("vector").metric_type(MetricType::L2))
///     .shards(2)
///     .partitions(64)
///     .property(COLLECTION_TTL_SECONDS, 86_400)
///     .consistency_level(ConsistencyLevel::Strong)
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct CreateCollection<'a> {
    client: &'a MilvusClient,
    name: String,
    schema: CollectionSchema,
    indexes: Vec<IndexParams>,
    shards: i32,
    consistency_level: ConsistencyLevel,
    properties: Vec<KeyValuePair>,
    partitions: i64,
}

awaitable!(CreateCollection -> ());

impl CreateCollection<'_> {
    /// How near two vectors are to each other; of its indexes as given up to now.
    pub fn metric_type(mut self, metric_type: MetricType) -> Self {
        self.indexes = self
            .indexes
            .into_iter()
            .map(|index| index.metric_type(metric_type))
            .collect();
        self
    }

    /// Makes an index as well. A collection that has one is also loaded.
    pub fn index(mut self, index: IndexParams) -> Self {
        self.indexes.push(index);
        self
    }

    /// Over how many shards writes are spread; the server's default, one, unless it is set.
    pub fn shards(mut self, shards: u16) -> Self {
        self.shards = shards.into();
        self
    }

    /// How fresh the data must be that searches see, where they don't say; [`ConsistencyLevel::Bounded`] unless it is
    /// set.
    pub fn consistency_level(mut self, level: ConsistencyLevel) -> Self {
        self.consistency_level = level;
        self
    }

    /// Sets a property, such as [`COLLECTION_TTL_SECONDS`](super::COLLECTION_TTL_SECONDS).
    pub fn property(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.properties.push(pair(&key.into(), &value.to_string()));
        self
    }

    /// Over how many partitions a partition key spreads the rows; the server's default of 16 unless it is set.
    pub fn partitions(mut self, partitions: u16) -> Self {
        self.partitions = partitions.into();
        self
    }

    async fn send(self) -> Result<()> {
        let client = self.client;
        client
            .operation("create_collection", &self.name.clone(), self.make())
            .await
    }

    async fn make(self) -> Result<()> {
        let Self { client, name, .. } = self;
        for (first, feature) in self.schema.needs() {
            client.require(first, feature)?;
        }
        let create = m::CreateCollectionRequest {
            db_name: client.database(),
            collection_name: name.clone(),
            schema: self.schema.to_wire(&name)?.encode_to_vec().into(),
            shards_num: self.shards,
            consistency_level: self.consistency_level.wire().into(),
            properties: self.properties,
            num_partitions: self.partitions,
        };
        client.call(create).await?;
        client.learn_schema(&name, Arc::new(self.schema));
        for index in &self.indexes {
            client.call(index.to_wire(client.database(), &name)).await?;
        }
        if self.indexes.is_empty() {
            Ok(())
        } else {
            client.load(&name).await
        }
    }
}

/// A collection, as Milvus describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectionInfo {
    /// Its name.
    pub name: String,
    /// Its number in Milvus.
    pub id: i64,
    /// Its fields.
    pub schema: CollectionSchema,
    /// The default level of its searches and queries.
    pub consistency_level: ConsistencyLevel,
    /// Its aliases.
    pub aliases: Vec<String>,
    /// Over how many shards writes are spread.
    pub shards: i32,
    /// Its properties, such as the time to live.
    pub properties: BTreeMap<String, String>,
}

/// An index, as Milvus describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// The field that it is over.
    pub field: String,
    /// Its type, its metric, and the parameters of its type.
    pub params: BTreeMap<String, String>,
    /// How many of the collection's sealed rows it covers.
    pub indexed_rows: u64,
    /// How many sealed rows the collection has.
    pub total_rows: u64,
}

impl MilvusClient {
    /// Creates a collection of vectors of `dimension` numbers, creates its index and starts to load it: an integer key `id`, a field
    /// `vector` with [`MetricType::Cosine`], and dynamic fields for everything else in a row.
    ///
    /// [`wait_for_load`](Self::wait_for_load) waits until it can be searched.
    ///
    /// Milvus 2.2.9 and later; tried on 2.3.5.
    pub fn create_collection(
        &self,
        collection: impl Into<String>,
        dimension: usize,
    ) -> CreateCollection<'_> {
        let schema = CollectionSchema::new()
            .field(FieldSchema::int64(PRIMARY_FIELD).primary_key())
            .field(FieldSchema::float_vector(VECTOR_FIELD, dimension))
            .dynamic_fields();
        let index = IndexParams::new(VECTOR_FIELD).metric_type(MetricType::default());
        self.create_collection_with_schema(collection, schema)
            .index(index)
    }

    /// Creates a collection with the given schema.
    ///
    /// It is loaded only if it gets an index here; see [`CreateCollection::index`].
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    pub fn create_collection_with_schema(
        &self,
        collection: impl Into<String>,
        schema: CollectionSchema,
    ) -> CreateCollection<'_> {
        CreateCollection {
            client: self,
            name: collection.into(),
            schema,
            indexes: Vec::new(),
            shards: 0,
            consistency_level: ConsistencyLevel::Bounded,
            properties: Vec::new(),
            partitions: 0,
        }
    }

    /// Whether there is a collection of that name.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The call failed.
    pub async fn has_collection(&self, collection: &str) -> Result<bool> {
        let request = m::HasCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        let answer = self
            .operation("has_collection", collection, self.call(request))
            .await?;
        Ok(answer.value)
    }

    /// Describes a collection: its schema, its properties, its aliases.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no collection of that name, or the call failed.
    pub async fn describe_collection(&self, collection: &str) -> Result<CollectionInfo> {
        self.operation("describe_collection", collection, self.describe(collection))
            .await
    }

    pub(super) async fn describe(&self, collection: &str) -> Result<CollectionInfo> {
        let request = m::DescribeCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        let answer = self.call(request).await?;
        let level = ConsistencyLevel::from_wire(answer.consistency_level());
        let schema = answer
            .schema
            .ok_or_else(|| Error::unexpected("a collection was described without a schema"))?;
        Ok(CollectionInfo {
            name: answer.collection_name,
            id: answer.collection_id,
            schema: CollectionSchema::from_wire(schema),
            consistency_level: level,
            aliases: answer.aliases,
            shards: answer.shards_num,
            properties: pairs(answer.properties),
        })
    }

    /// What `make` makes of a collection's schema, which is asked for once, and again where `make` can't do with the
    /// one that is known: the collection may have been made anew since.
    pub(super) async fn with_schema<T>(
        &self,
        collection: &str,
        make: impl Fn(&CollectionSchema) -> Result<T>,
    ) -> Result<T> {
        if let Some(schema) = self.known_schema(collection)
            && let Ok(made) = make(&schema)
        {
            return Ok(made);
        }
        self.forget_schema(collection);
        let schema = Arc::new(self.describe(collection).await?.schema);
        self.learn_schema(collection, Arc::clone(&schema));
        make(&schema)
    }

    /// The names of the database's collections.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The call failed.
    pub async fn list_collections(&self) -> Result<Vec<String>> {
        let request = m::ShowCollectionsRequest {
            db_name: self.database(),
        };
        Ok(self
            .operation("list_collections", "", self.call(request))
            .await?
            .collection_names)
    }

    /// Drops a collection and all that is in it.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The server couldn't be asked, or refused; a collection that isn't there is no error.
    pub async fn drop_collection(&self, collection: &str) -> Result<()> {
        self.forget_schema(collection);
        let request = m::DropCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        self.change("drop_collection", collection, request).await
    }

    /// How many rows a collection has, deleted ones that aren't compacted yet included, and rows that aren't flushed
    /// yet not.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no collection of that name, or the call failed.
    pub async fn get_collection_stats(&self, collection: &str) -> Result<u64> {
        self.operation("get_collection_stats", collection, self.rows(collection))
            .await
    }

    async fn rows(&self, collection: &str) -> Result<u64> {
        let request = m::GetCollectionStatisticsRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        row_count(self.call(request).await?.stats)
    }

    /// Starts to load a collection into memory. See [`wait_for_load`](Self::wait_for_load).
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The collection isn't there, or has no index.
    pub async fn load_collection(&self, collection: &str) -> Result<()> {
        self.operation("load_collection", collection, self.load(collection))
            .await
    }

    async fn load(&self, collection: &str) -> Result<()> {
        let request = m::LoadCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            refresh: false,
            ..Default::default()
        };
        self.call(request).await.map(drop)
    }

    /// Unloads a collection. It can't be searched until it is loaded again.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The collection isn't there, or the call failed.
    pub async fn release_collection(&self, collection: &str) -> Result<()> {
        let request = m::ReleaseCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        self.change("release_collection", collection, request).await
    }

    /// Whether a collection can be searched.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The call failed.
    pub async fn get_load_state(&self, collection: &str) -> Result<LoadState> {
        self.operation("get_load_state", collection, self.load_state(collection))
            .await
    }

    async fn load_state(&self, collection: &str) -> Result<LoadState> {
        let request = m::GetLoadStateRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            ..Default::default()
        };
        Ok(LoadState::from_wire(self.call(request).await?.state()))
    }

    /// Asks for a collection's load state until it is loaded, for at most `timeout`.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// It isn't loaded in time, it isn't being loaded, the call failed.
    pub async fn wait_for_load(&self, collection: &str, timeout: Duration) -> Result<()> {
        let loaded = || async {
            match self.load_state(collection).await? {
                LoadState::Loaded => Ok(true),
                LoadState::Loading => Ok(false),
                state => Err(Error::invalid(format!(
                    "the collection isn't being loaded, its state is {state:?}"
                ))),
            }
        };
        let wait = within(timeout, until(loaded), || {
            format!("not loaded within {timeout:?}")
        });
        self.operation("wait_for_load", collection, wait).await
    }

    /// Seals and stores all rows written so far, and waits until that is done, for at most `timeout`.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// It takes longer than `timeout`, or the call failed.
    pub async fn flush(&self, collection: &str, timeout: Duration) -> Result<()> {
        let wait = within(timeout, self.flush_and_wait(collection), || {
            format!("not flushed within {timeout:?}")
        });
        self.operation("flush", collection, wait).await
    }

    async fn flush_and_wait(&self, collection: &str) -> Result<()> {
        let collection_names = vec![collection.to_owned()];
        let mut answer = self
            .call(m::FlushRequest {
                db_name: self.database(),
                collection_names,
            })
            .await?;
        let state = m::GetFlushStateRequest {
            segment_ids: answer
                .coll_seg_ids
                .remove(collection)
                .unwrap_or_default()
                .data,
            flush_ts: answer.coll_flush_ts.remove(collection).unwrap_or_default(),
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        until(|| async { Ok(self.call(state.clone()).await?.flushed) }).await
    }

    /// Makes an index, which goes on after this returns.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// Milvus refuses it: its type, its parameters, or a second one over the same field.
    pub async fn create_index(&self, collection: &str, index: &IndexParams) -> Result<()> {
        let request = index.to_wire(self.database(), collection);
        self.change("create_index", collection, request).await
    }

    /// The indexes of a collection; an empty list if it has none.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such collection, or the call failed.
    pub async fn list_indexes(&self, collection: &str) -> Result<Vec<IndexInfo>> {
        self.operation("list_indexes", collection, self.indexes(collection))
            .await
    }

    async fn indexes(&self, collection: &str) -> Result<Vec<IndexInfo>> {
        let request = m::DescribeIndexRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            ..Default::default()
        };
        let answer = match self.call(request).await {
            Err(error) if error.milvus_code() == Some(INDEX_NOT_FOUND) => return Ok(Vec::new()),
            answer => answer?,
        };
        answer
            .index_descriptions
            .into_iter()
            .map(index_info)
            .collect()
    }

    /// One index of a collection.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such index or collection.
    pub async fn describe_index(&self, collection: &str, index: &str) -> Result<IndexInfo> {
        let request = m::DescribeIndexRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            index_name: index.to_owned(),
            ..Default::default()
        };
        let describe = async {
            let mut found = self.call(request).await?.index_descriptions;
            if found.is_empty() {
                return Err(Error::unexpected(format!(
                    "no index `{index}` was described"
                )));
            }
            index_info(found.swap_remove(0))
        };
        self.operation("describe_index", collection, describe).await
    }

    /// Sets properties of an index, such as `mmap.enabled`.
    ///
    /// Milvus 2.4 and later; against a stub only.
    ///
    /// # Errors
    /// There is no such index, or the collection is loaded.
    pub async fn alter_index_properties(
        &self,
        collection: &str,
        index: &str,
        properties: &[(&str, &str)],
    ) -> Result<()> {
        let request = m::AlterIndexRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            index_name: index.to_owned(),
            extra_params: pair_list(properties),
            ..Default::default()
        };
        self.change("alter_index_properties", collection, request)
            .await
    }

    /// Takes properties of an index back.
    ///
    /// Milvus 2.4.18 and later; against a stub only.
    ///
    /// # Errors
    /// There is no such index, or the collection is loaded.
    pub async fn drop_index_properties(
        &self,
        collection: &str,
        index: &str,
        keys: &[&str],
    ) -> Result<()> {
        let request = m::AlterIndexRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            index_name: index.to_owned(),
            delete_keys: super::partition::owned(keys),
            ..Default::default()
        };
        self.change("drop_index_properties", collection, request)
            .await
    }

    /// Drops an index; a collection that is loaded must be released first.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The collection is loaded, or the call failed.
    pub async fn drop_index(&self, collection: &str, index: &str) -> Result<()> {
        let request = m::DropIndexRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            index_name: index.to_owned(),
            ..Default::default()
        };
        self.change("drop_index", collection, request).await
    }
}

fn index_info(index: m::IndexDescription) -> Result<IndexInfo> {
    Ok(IndexInfo {
        name: index.index_name,
        field: index.field_name,
        params: pairs(index.params),
        indexed_rows: count(index.indexed_rows)?,
        total_rows: count(index.total_rows)?,
    })
}

/// Asks `done` until it is.
pub(super) async fn until<F>(done: impl Fn() -> F) -> Result<()>
where
    F: Future<Output = Result<bool>>,
{
    let (mut pause, longest) = POLL;
    while !done().await? {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
    Ok(())
}

/// Does `work` for at most `timeout`, also if the server never answers.
pub(super) async fn within(
    timeout: Duration,
    work: impl Future<Output = Result<()>>,
    what: impl FnOnce() -> String,
) -> Result<()> {
    let late = |_| Err(Error::new(ErrorKind::TimedOut(what())));
    tokio::time::timeout(timeout, work)
        .await
        .unwrap_or_else(late)
}
