//! Inserting more rows than one message can hold.

use super::error::{Error, Result};
use super::{CallFuture, MilvusClient};
use crate::proto::milvus::InsertRequest;
use opentelemetry::Context;
use serde::Serialize;
use serde_json::Value;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

const NAME: &str = "insert_batches";

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
///     .at_once(2)
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
    at_once: usize,
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
    /// The most rows of a batch; 10,000 unless it is set.
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows.max(1);
        self
    }

    /// The approximate size of a batch in bytes; 16 MiB unless it is set. A batch has at least one row.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Writes into a partition other than the default one.
    pub fn partition(mut self, partition: impl Into<String>) -> Self {
        self.partition = partition.into();
        self
    }

    /// The number of batches in flight; 1 unless it is set. Memory holds these and the next one.
    ///
    /// With more than one, batches after a failed one may have been written.
    pub fn at_once(mut self, batches: usize) -> Self {
        self.at_once = batches.max(1);
        self
    }

    async fn send(mut self) -> Result<u64>
    where
        I: Iterator<Item: Serialize>,
    {
        let (client, collection) = (self.client, self.collection.clone());
        let mut written = 0;
        let after = |error: Error, rows| {
            let error = error.after_rows(rows).in_operation(NAME, &collection);
            Context::map_current(|context| error.in_trace_of(context))
        };
        let mut sent: VecDeque<Started<'_>> = VecDeque::with_capacity(self.at_once);
        loop {
            // The server works on what is sent while the next batch is made.
            let next = self.prepare().await;
            let most = match &next {
                Ok(Some(_)) => self.at_once - 1,
                _ => 0,
            };
            while sent.len() > most
                && let Some(oldest) = sent.pop_front()
            {
                written += oldest.end().await.map_err(|error| after(error, written))?;
            }
            let Some(request) = next.map_err(|error| after(error, written))? else {
                return Ok(written);
            };
            let insert = client.operation(NAME, &collection, client.insert_prepared(request));
            sent.push_back(Started::begin(Box::pin(insert)).await);
        }
    }

    /// The request of the next rows; `None` where there are no more.
    async fn prepare(&mut self) -> Result<Option<InsertRequest>>
    where
        I: Iterator<Item: Serialize>,
    {
        let batch = self.next_batch()?;
        if batch.is_empty() {
            return Ok(None);
        }
        let (client, partition) = (self.client, self.partition.clone());
        let request = client.insert_request(&self.collection, partition, batch);
        request.await.map(Some)
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

/// An insert that was polled once, which sends it.
struct Started<'a> {
    insert: CallFuture<'a, u64>,
    done: Option<Result<u64>>,
}

impl<'a> Started<'a> {
    async fn begin(mut insert: CallFuture<'a, u64>) -> Self {
        let polled = poll_fn(|cx| Poll::Ready(insert.as_mut().poll(cx))).await;
        let done = match polled {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        };
        Self { insert, done }
    }

    async fn end(self) -> Result<u64> {
        match self.done {
            Some(done) => done,
            None => self.insert.await,
        }
    }
}

/// The approximate size of a value on the wire, in bytes.
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
    /// Inserts any number of rows, as many at a time as fit into one message. Returns the number of rows written.
    ///
    /// Rows are taken from the iterator as they are sent, so memory holds two batches: one in flight, and the next; see
    /// [`at_once`](InsertBatches::at_once). Each batch is an insert of its own. If one fails, [`Error::rows_before`] is the number of
    /// rows written before it, and the error counts the rows of the failed batch from 0.
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
            at_once: 1,
        }
    }
}
