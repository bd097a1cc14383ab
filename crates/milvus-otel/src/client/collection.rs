//! Collections: making them, asking about them, loading and dropping them.

use super::error::{Error, ErrorKind, Result};
use super::schema::{ConsistencyLevel, LoadState, MetricType};
use super::{MilvusClient, awaitable};
use crate::proto::common::{KeyValuePair, LoadState as WireLoadState};
use crate::proto::milvus as m;
use crate::proto::schema::{CollectionSchema, DataType, FieldSchema};
use prost::Message;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PRIMARY_FIELD: &str = "id";
const VECTOR_FIELD: &str = "vector";

/// How long [`MilvusClient::wait_for_load`] waits between two looks, at first and at most.
const POLL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// A collection to be made; made by [`MilvusClient::create_collection`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct CreateCollection<'a> {
    client: &'a MilvusClient,
    name: String,
    dimension: usize,
    metric_type: MetricType,
    consistency_level: ConsistencyLevel,
}

awaitable!(CreateCollection -> ());

impl CreateCollection<'_> {
    /// How near two vectors are to each other; [`MetricType::Cosine`] unless it is set.
    pub fn metric_type(mut self, metric_type: MetricType) -> Self {
        self.metric_type = metric_type;
        self
    }

    /// How fresh the data must be that searches see, where they don't say; [`ConsistencyLevel::Bounded`] unless it is
    /// set.
    pub fn consistency_level(mut self, level: ConsistencyLevel) -> Self {
        self.consistency_level = level;
        self
    }

    async fn send(self) -> Result<()> {
        let Self { client, name, .. } = &self;
        let schema = quick_schema(name, self.dimension);
        let create = m::CreateCollectionRequest {
            db_name: client.database(),
            collection_name: name.clone(),
            schema: schema.encode_to_vec().into(),
            consistency_level: self.consistency_level.wire().into(),
            ..Default::default()
        };
        client.call(create).await?;
        client.learn_schema(name, Arc::new(schema));
        let index = m::CreateIndexRequest {
            db_name: client.database(),
            collection_name: name.clone(),
            field_name: VECTOR_FIELD.to_owned(),
            extra_params: vec![
                pair("index_type", "AUTOINDEX"),
                pair("metric_type", self.metric_type.name()),
            ],
            ..Default::default()
        };
        client.call(index).await?;
        client.load_collection(name).await
    }
}

impl MilvusClient {
    /// Makes a collection of vectors of `dimension` numbers, indexed and being loaded: an integer key `id`, a field
    /// `vector`, and whatever else a row has as dynamic fields.
    ///
    /// [`wait_for_load`](Self::wait_for_load) waits until it can be searched.
    pub fn create_collection(
        &self,
        collection: impl Into<String>,
        dimension: usize,
    ) -> CreateCollection<'_> {
        CreateCollection {
            client: self,
            name: collection.into(),
            dimension,
            metric_type: MetricType::default(),
            consistency_level: ConsistencyLevel::Bounded,
        }
    }

    /// Whether there is a collection of that name.
    ///
    /// # Errors
    /// The server couldn't be asked.
    pub async fn has_collection(&self, collection: &str) -> Result<bool> {
        let request = m::HasCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        Ok(self.call(request).await?.value)
    }

    /// Drops a collection and all that is in it.
    ///
    /// # Errors
    /// The server couldn't be asked, or refused; a collection that isn't there is no error.
    pub async fn drop_collection(&self, collection: &str) -> Result<()> {
        self.forget_schema(collection);
        let request = m::DropCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        self.call(request).await.map(drop)
    }

    /// Has a collection loaded into memory, which goes on after this returns.
    ///
    /// # Errors
    /// The collection isn't there, or has no index.
    pub async fn load_collection(&self, collection: &str) -> Result<()> {
        let request = m::LoadCollectionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            replica_number: 1,
        };
        self.call(request).await.map(drop)
    }

    /// Whether a collection can be searched.
    ///
    /// # Errors
    /// The server couldn't be asked.
    pub async fn get_load_state(&self, collection: &str) -> Result<LoadState> {
        let request = m::GetLoadStateRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        match self.call(request).await?.state() {
            WireLoadState::NotExist => Ok(LoadState::NotExist),
            WireLoadState::NotLoad => Ok(LoadState::NotLoad),
            WireLoadState::Loading => Ok(LoadState::Loading),
            WireLoadState::Loaded => Ok(LoadState::Loaded),
        }
    }

    /// Asks for a collection's load state until it is loaded, for at most `timeout`.
    ///
    /// # Errors
    /// It isn't loaded by then, it isn't being loaded, or the server couldn't be asked.
    pub async fn wait_for_load(&self, collection: &str, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        let (mut pause, longest) = POLL;
        loop {
            match self.get_load_state(collection).await? {
                LoadState::Loaded => return Ok(()),
                LoadState::Loading => {}
                state => {
                    return Err(Error::invalid(format!(
                        "`{collection}` is not being loaded: {state:?}"
                    )));
                }
            }
            if Instant::now() + pause > deadline {
                let what = format!("`{collection}` was not loaded within {timeout:?}");
                return Err(Error::new(ErrorKind::TimedOut(what)));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}

fn quick_schema(name: &str, dimension: usize) -> CollectionSchema {
    let id = FieldSchema {
        name: PRIMARY_FIELD.to_owned(),
        is_primary_key: true,
        data_type: DataType::Int64.into(),
        ..Default::default()
    };
    let vector = FieldSchema {
        name: VECTOR_FIELD.to_owned(),
        data_type: DataType::FloatVector.into(),
        type_params: vec![pair("dim", &dimension.to_string())],
        ..Default::default()
    };
    CollectionSchema {
        name: name.to_owned(),
        fields: vec![id, vector],
        enable_dynamic_field: true,
        ..Default::default()
    }
}

pub(super) fn pair(key: &str, value: &str) -> KeyValuePair {
    KeyValuePair {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}
