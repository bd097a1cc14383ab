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

mod collection;
mod connect;
mod connection;
mod data;
mod error;
mod rows;
mod rpc;
mod schema;
mod search;

pub use collection::CreateCollection;
pub use connect::MilvusClientBuilder;
pub use data::{Insert, Mutation};
pub use error::{Error, ErrorKind, Result};
pub use schema::{ConsistencyLevel, Id, LoadState, MetricType, Vector};
pub use search::{Hit, Search};

use connection::Connection;
use rpc::Rpc;
use schema::CollectionSchema;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

/// What awaiting a builder runs.
pub type CallFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A connection to Milvus. Cloning is cheap, and clones share it.
#[derive(Clone, Debug)]
pub struct MilvusClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connection: Connection,
    database: String,
    /// What inserting needs to know of a collection, as last seen.
    schemas: RwLock<HashMap<String, Arc<CollectionSchema>>>,
}

impl MilvusClient {
    /// Connects to the server at `uri`, such as `http://localhost:19530`, without a password, to its default database.
    ///
    /// # Errors
    /// The URI isn't one, or nothing at it speaks Milvus.
    pub async fn connect(uri: impl AsRef<str>) -> Result<Self> {
        Self::builder(uri).connect().await
    }

    /// A connection to the server at `uri`, to be given its options.
    pub fn builder(uri: impl AsRef<str>) -> MilvusClientBuilder {
        MilvusClientBuilder::new(uri.as_ref())
    }

    /// Ends this client's part in the connection, which closes when the last of its clones does so.
    pub fn close(self) {}

    async fn call<R: Rpc>(&self, request: R) -> Result<R::Response> {
        self.shared.connection.call(&request).await
    }

    fn database(&self) -> String {
        self.shared.database.clone()
    }

    fn known_schema(&self, collection: &str) -> Option<Arc<CollectionSchema>> {
        self.shared
            .schemas
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(collection)
            .cloned()
    }

    fn learn_schema(&self, collection: &str, schema: Arc<CollectionSchema>) {
        self.shared
            .schemas
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(collection.to_owned(), schema);
    }

    fn forget_schema(&self, collection: &str) {
        self.shared
            .schemas
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(collection);
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
