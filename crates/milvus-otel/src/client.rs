//! A client for Milvus, every call of which is a span.
//!
//! Methods are named as pymilvus names them. Those with many options return a builder, which is awaited:
//!
//! ```no_run
//! # async fn example() -> milvus_otel::Result<()> {
//! use milvus_otel::MilvusClient;
//!
//! let client = MilvusClient::connect("http://localhost:19530").await?;
//! let hits = client.search("docs", [[0.1, 0.2, 0.3]]).limit(3).output_fields(["title"]).await?;
//! # Ok(())
//! # }
//! ```

mod alias;
mod batches;
mod collection;
mod connect;
mod connection;
mod data;
mod database;
mod error;
mod half;
mod hybrid;
mod operation;
mod pages;
mod partition;
mod rows;
mod rpc;
mod schema;
mod search;
mod shape;
mod unary;
mod upkeep;
mod user;
mod version;

pub use batches::InsertBatches;
pub use collection::{CollectionInfo, CreateCollection, IndexInfo};
pub use connect::MilvusClientBuilder;
#[cfg(feature = "tls")]
pub use connect::Tls;
pub use connection::Retry;
pub use data::{Delete, Mutation, Query, Write};
pub use database::DatabaseInfo;
pub use error::{Error, ErrorKind, Result};
pub use hybrid::{HybridSearch, Ranker};
pub use pages::Pages;
pub use rows::Row;
pub use schema::{
    CollectionSchema, ConsistencyLevel, DataType, FieldSchema, Function, Id, IndexParams,
    LoadState, MetricType, Vector,
};
pub use search::{Hit, Search};
pub use shape::{All, One, Paged};
pub use upkeep::{COLLECTION_TTL_SECONDS, CompactionState};
pub use user::{Grant, PrivilegeGroup, UserInfo};

use crate::proto::common::Status;
use crate::proto::milvus::GetVersionRequest;
use connection::Connection;
use opentelemetry::Context;
use operation::Operations;
use rpc::Rpc;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use version::Version;

/// The future of a builder that is awaited.
pub type CallFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A connection to Milvus. Cloning is cheap, and clones share it.
///
/// Each call has a deadline of 60 seconds, which includes its retries. [`MilvusClientBuilder::timeout`] and
/// [`with_timeout`](Self::with_timeout) change it. Methods that wait for the server's work, such as
/// [`wait_for_load`](Self::wait_for_load) and [`flush`](Self::flush), take the time limit of the wait.
///
/// An operation that the server's version doesn't have, and an option such as a nullable field, is an error before anything is
/// sent; see [`ErrorKind::Unsupported`]. The server tells its version when the client connects.
///
/// A collection from its creation to its end:
///
/// ```no_run
/// # async fn example() -> milvus_otel::Result<()> {
/// use milvus_otel::MilvusClient;
/// use milvus_otel::client::{IndexParams, LoadState, MetricType};
/// use serde_json::json;
/// use std::time::Duration;
///
/// let client = MilvusClient::connect("http://localhost:19530").await?;
/// println!("Milvus {}", client.get_server_version().await?);
/// if client.has_collection("docs").await? {
///     client.drop_collection("docs").await?;
/// }
/// client.create_collection("docs", 3).await?;
/// let minute = Duration::from_secs(60);
/// client.wait_for_load("docs", minute).await?;
/// assert_eq!(client.get_load_state("docs").await?, LoadState::Loaded);
///
/// let row = json!({ "id": 1, "vector": [0.1, 0.2, 0.3], "title": "one" });
/// client.insert("docs", [row]).await?;
/// client.flush("docs", minute).await?;
/// assert_eq!(client.get_collection_stats("docs").await?, 1);
/// assert_eq!(client.list_collections().await?, ["docs"]);
/// let index = &client.list_indexes("docs").await?[0];
/// println!("{:?} {:?}", client.describe_collection("docs").await?.schema, index.params);
///
/// // An index is changed while the collection isn't loaded.
/// client.release_collection("docs").await?;
/// client.alter_index_properties("docs", &index.name, &[("mmap.enabled", "true")]).await?;
/// client.drop_index_properties("docs", &index.name, &["mmap.enabled"]).await?;
/// assert_eq!(client.describe_index("docs", &index.name).await?.field, "vector");
/// client.drop_index("docs", &index.name).await?;
/// let flat = IndexParams::new("vector").index_type("FLAT").metric_type(MetricType::L2);
/// client.create_index("docs", &flat).await?;
/// client.load_collection("docs").await?;
/// client.close();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MilvusClient {
    shared: Arc<Shared>,
}

/// A connection, and the defaults of the calls over it.
#[derive(Clone, Debug)]
struct Shared {
    connection: Connection,
    database: String,
    consistency_level: Option<ConsistencyLevel>,
    operations: Option<Operations>,
    /// The server's version, if it told one that can be read.
    server: Option<Version>,
    known: Arc<Known>,
}

/// What is cached about a database.
#[derive(Debug, Default)]
struct Known {
    /// The schemas of collections, as last described.
    schemas: RwLock<HashMap<String, Arc<CollectionSchema>>>,
    /// When this client last wrote, on Milvus's clock; 0 before it has.
    last_write: AtomicU64,
}

impl MilvusClient {
    /// A client of the same connection whose calls have the deadline `timeout`, including their retries. `None` removes the
    /// deadline. The default is 60 seconds.
    ///
    /// ```no_run
    /// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
    /// use std::time::Duration;
    ///
    /// let patient = client.with_timeout(Duration::from_secs(600));
    /// patient.query("films").output_fields(["count(*)"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "the client itself stays as it is"]
    pub fn with_timeout(&self, timeout: impl Into<Option<Duration>>) -> Self {
        self.derive(|shared| shared.connection.timeout = timeout.into())
    }

    /// A client of the same connection whose searches and queries have this consistency level by default.
    ///
    /// ```no_run
    /// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
    /// use milvus_otel::client::ConsistencyLevel;
    ///
    /// let strong = client.with_consistency_level(ConsistencyLevel::Strong);
    /// strong.get("films", [1]).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "the client itself stays as it is"]
    pub fn with_consistency_level(&self, level: ConsistencyLevel) -> Self {
        self.derive(|shared| shared.consistency_level = Some(level))
    }

    fn derive(&self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = Shared::clone(&self.shared);
        change(&mut shared);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The server's version in its own words, such as `v2.3.5` or `v2.3.5-lite`.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The call failed.
    pub async fn get_server_version(&self) -> Result<String> {
        Ok(self
            .operation("get_server_version", "", self.call(GetVersionRequest {}))
            .await?
            .version)
    }

    /// Makes an RPC that this client has no method for, with messages of your own, and traces it as any other.
    ///
    /// `method` is a method of `milvus.proto.milvus.MilvusService`, such as `HybridSearch`. An answer that is a
    /// status of Milvus's, or begins with one, is taken for a failure where that status says so. It is tried again
    /// only where Milvus has not seen it or asks for it.
    ///
    /// ```no_run
    /// #[derive(Clone, PartialEq, prost::Message)]
    /// struct CheckHealthRequest {}
    ///
    /// #[derive(Clone, PartialEq, prost::Message)]
    /// struct CheckHealthResponse {
    ///     #[prost(bool, tag = "2")]
    ///     is_healthy: bool,
    /// }
    ///
    /// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
    /// let health: CheckHealthResponse = client.raw_call("CheckHealth", &CheckHealthRequest {}).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// As of any other call.
    pub async fn raw_call<Answer>(
        &self,
        method: &str,
        request: &impl prost::Message,
    ) -> Result<Answer>
    where
        Answer: prost::Message + Default + 'static,
    {
        self.shared.connection.raw_call(method, request).await
    }

    /// Ends this client's part in the connection, which closes when the last of its clones does so.
    pub fn close(self) {}

    /// Makes a call that is answered with a status alone, as an operation of that name.
    async fn change<R: Rpc<Response = Status>>(
        &self,
        operation: &'static str,
        collection: &str,
        request: R,
    ) -> Result<()> {
        self.run(operation, collection, request).await.map(drop)
    }

    /// Makes one call, as an operation of that name.
    async fn run<R: Rpc>(
        &self,
        operation: &'static str,
        collection: &str,
        request: R,
    ) -> Result<R::Response> {
        self.operation(operation, collection, self.call(request))
            .await
    }

    async fn call<R: Rpc>(&self, request: R) -> Result<R::Response> {
        self.shared.connection.call(&request).await
    }

    /// Makes a call about what is in a collection. Where it fails, the schema that is known may be another collection's
    /// of that name.
    async fn call_about<R: Rpc>(&self, collection: &str, request: R) -> Result<R::Response> {
        self.call(request).await.inspect_err(|error| {
            if error.method().is_some() {
                self.forget_schema(collection);
            }
        })
    }

    async fn operation<T>(
        &self,
        name: &'static str,
        collection: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let can_begin = version::check_operation(self.shared.server, name);
        match (&self.shared.operations, can_begin) {
            (Some(operations), can_begin) => {
                operations.trace(name, collection, can_begin, work).await
            }
            (None, Ok(())) => work.await,
            (None, Err(error)) => Err(error),
        }
        // With operation spans, it has the operation's trace by now.
        .map_err(|error| Context::map_current(|context| error.in_trace_of(context)))
        .map_err(|error| error.in_operation(name, collection))
    }

    /// Fails if the server is known to be older than `first`, the first version that has `what`.
    fn require(&self, first: Version, what: impl std::fmt::Display) -> Result<()> {
        version::check(self.shared.server, first, what)
    }

    fn database(&self) -> String {
        self.shared.database.clone()
    }

    fn known_schema(&self, collection: &str) -> Option<Arc<CollectionSchema>> {
        self.shared
            .known
            .schemas
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(collection)
            .cloned()
    }

    fn learn_schema(&self, collection: &str, schema: Arc<CollectionSchema>) {
        self.shared
            .known
            .schemas
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(collection.to_owned(), schema);
    }

    fn forget_schema(&self, collection: &str) {
        self.shared
            .known
            .schemas
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(collection);
    }

    fn saw_write(&self, timestamp: u64) {
        self.shared
            .known
            .last_write
            .fetch_max(timestamp, Ordering::AcqRel);
    }

    /// The level that a search or a query asks for: its own, or else the client's.
    fn level(&self, own: Option<ConsistencyLevel>) -> Option<ConsistencyLevel> {
        own.or(self.shared.consistency_level)
    }

    /// The time up to which writes must be seen, on Milvus's clock, where 0, 1 and 2 stand for all writes, for none in
    /// particular, and for all but the latest.
    fn guarantee(&self, level: Option<ConsistencyLevel>) -> u64 {
        match level {
            Some(ConsistencyLevel::Strong) => 0,
            Some(ConsistencyLevel::Bounded) => 2,
            Some(ConsistencyLevel::Eventually) => 1,
            // A collection's own level may be Session, for which the server takes this.
            Some(ConsistencyLevel::Session) | None => {
                self.shared.known.last_write.load(Ordering::Acquire).max(1)
            }
        }
    }
}

/// Makes a builder of the client's awaitable.
macro_rules! awaitable {
    ($builder:ident -> $output:ty) => {
        impl<'a> IntoFuture for $builder<'a> {
            type Output = $crate::client::Result<$output>;
            type IntoFuture = $crate::client::CallFuture<'a, $output>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.send())
            }
        }
    };
}
use awaitable;
