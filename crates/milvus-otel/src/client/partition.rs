//! Partitions of a collection.

use super::MilvusClient;
use super::error::Result;
use super::schema::{LoadState, row_count};
use crate::proto::milvus as m;

/// Partitions: making them, loading some of them, dropping them.
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
/// use milvus_otel::client::LoadState;
///
/// client.create_partition("films", "old").await?;
/// assert!(client.has_partition("films", "old").await?);
/// assert_eq!(client.list_partitions("films").await?, ["_default", "old"]);
/// client.load_partitions("films", &["old"]).await?;
/// if client.get_partition_load_state("films", "old").await? == LoadState::Loaded {
///     println!("{} rows", client.get_partition_stats("films", "old").await?);
/// }
/// client.release_partitions("films", &["old"]).await?;
/// client.drop_partition("films", "old").await?;
/// # Ok(())
/// # }
/// ```
impl MilvusClient {
    /// Creates a partition.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The name is in use, or the collection has a partition key.
    pub async fn create_partition(&self, collection: &str, partition: &str) -> Result<()> {
        let request = m::CreatePartitionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            partition_name: partition.to_owned(),
        };
        self.change("create_partition", collection, request).await
    }

    /// Drops a partition and the rows in it. It must be released first.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// It is loaded, or it is the default one.
    pub async fn drop_partition(&self, collection: &str, partition: &str) -> Result<()> {
        let request = m::DropPartitionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            partition_name: partition.to_owned(),
        };
        self.change("drop_partition", collection, request).await
    }

    /// Whether a collection has a partition of that name.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such collection.
    pub async fn has_partition(&self, collection: &str, partition: &str) -> Result<bool> {
        let request = m::HasPartitionRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            partition_name: partition.to_owned(),
        };
        let answer = self.run("has_partition", collection, request).await?;
        Ok(answer.value)
    }

    /// The names of a collection's partitions.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such collection.
    pub async fn list_partitions(&self, collection: &str) -> Result<Vec<String>> {
        let request = m::ShowPartitionsRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        let answer = self.run("list_partitions", collection, request).await?;
        Ok(answer.partition_names)
    }

    /// Starts to load partitions into memory. See [`wait_for_load`](Self::wait_for_load).
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// One of them doesn't exist, or the collection has no index.
    pub async fn load_partitions(&self, collection: &str, partitions: &[&str]) -> Result<()> {
        let request = m::LoadPartitionsRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            partition_names: owned(partitions),
            ..Default::default()
        };
        self.change("load_partitions", collection, request).await
    }

    /// Frees the memory that loaded partitions take.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// One of them doesn't exist.
    pub async fn release_partitions(&self, collection: &str, partitions: &[&str]) -> Result<()> {
        let request = m::ReleasePartitionsRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            partition_names: owned(partitions),
        };
        self.change("release_partitions", collection, request).await
    }

    /// Whether a partition can be searched; pymilvus has it as `get_load_state` with a partition's name.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The call failed.
    pub async fn get_partition_load_state(
        &self,
        collection: &str,
        partition: &str,
    ) -> Result<LoadState> {
        let request = m::GetLoadStateRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            partition_names: vec![partition.to_owned()],
        };
        let answer = self.run("get_partition_load_state", collection, request);
        Ok(LoadState::from_wire(answer.await?.state()))
    }

    /// How many rows a partition has; see [`get_collection_stats`](Self::get_collection_stats) for which of them count.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such partition.
    pub async fn get_partition_stats(&self, collection: &str, partition: &str) -> Result<u64> {
        let request = m::GetPartitionStatisticsRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            partition_name: partition.to_owned(),
        };
        let count = async { row_count(self.call(request).await?.stats) };
        self.operation("get_partition_stats", collection, count)
            .await
    }
}

/// Names of one's own.
pub(super) fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
