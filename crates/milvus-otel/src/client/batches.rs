//! Inserting more rows than one message can hold.

use super::error::{Error, Result};
use super::{CallFuture, MilvusClient};
use serde::Serialize;
use serde_json::Value;

/// Rows to be inserted in batches; made by [`MilvusClient::insert_batches`].
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
/// use serde_json::json;
///
/// let rows = (0..1_000_000).map(|id| json!({ "id": id, "vector": [0.1, 0.2, 0.3] }));
/// let written = client
///     .insert_batches("films", rows)
///     .batch_rows(5_000)
///     .batch_bytes(8 << 20)
///     .partition("new")
///     .await?;
/// println!("{written} rows");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct InsertBatches<'a, I> {
    client: &'a MilvusClient,
    collection: String,
    partition: String,
    rows: I,
    batch_rows: usize,
    batch_bytes: usize,
}

impl<'a, I> IntoFuture for InsertBatches<'a, I>
where
    I: Iterator<Item: Serialize> + Send + 'a,
{
    type Output = Result<u64>;
    type IntoFuture = CallFuture<'a, u64>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<I> InsertBatches<'_, I> {
    /// How many rows a batch has at most; 10,000 unless it is set.
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows.max(1);
        self
    }

    /// How many bytes the rows of a batch have, roughly; 16 MiB unless it is set. A batch has at least one row.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Writes into a partition other than the default one.
    pub fn partition(mut self, partition: impl Into<String>) -> Self {
        self.partition = partition.into();
        self
    }

    async fn send(mut self) -> Result<u64>
    where
        I: Iterator<Item: Serialize>,
    {
        let mut written = 0;
        loop {
            let batch = self.next_batch().and_then(|batch| match batch {
                batch if batch.is_empty() => Ok(None),
                batch => Ok(Some(batch)),
            });
            let after = |error: Error| error.after_rows(written);
            let Some(batch) = batch
                .map_err(|error| after(error).in_operation("insert_batches", &self.collection))?
            else {
                return Ok(written);
            };
            let insert = self
                .client
                .insert_values(&self.collection, &self.partition, batch);
            let insert = self
                .client
                .operation("insert_batches", &self.collection, insert);
            written += insert.await.map_err(after)?;
        }
    }

    fn next_batch(&mut self) -> Result<Vec<Value>>
    where
        I: Iterator<Item: Serialize>,
    {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < self.batch_rows && (batch.is_empty() || bytes < self.batch_bytes) {
            let Some(row) = self.rows.next() else { break };
            let row = serde_json::to_value(row)
                .map_err(|error| Error::invalid(format!("a row isn't a record: {error}")))?;
            bytes += size(&row);
            batch.push(row);
        }
        Ok(batch)
    }
}

/// About how many bytes a value takes on the wire.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(values) => 2 + values.iter().map(size).sum::<usize>(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| name.len() + 4 + size(value);
            2 + fields.iter().map(field).sum::<usize>()
        }
    }
}

impl MilvusClient {
    /// Inserts any number of rows, as many at a time as fit into one message. Rows are taken from the iterator as they
    /// are sent, so memory holds one batch. Returns how many rows were written.
    ///
    /// Each batch is an insert of its own: where one fails, the error says how many rows were written before it.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    pub fn insert_batches<R: Serialize, I: IntoIterator<Item = R>>(
        &self,
        collection: impl Into<String>,
        rows: I,
    ) -> InsertBatches<'_, I::IntoIter> {
        InsertBatches {
            client: self,
            collection: collection.into(),
            partition: String::new(),
            rows: rows.into_iter(),
            batch_rows: 10_000,
            batch_bytes: 16 << 20,
        }
    }
}
