//! Rows: putting them in, changing them, taking them out by key or filter.

use super::error::{Error, Result};
use super::rows::{self, Row};
use super::schema::{CollectionSchema, ConsistencyLevel, Id, count, pair, pair_list};
use super::shape::{All, Paged};
use super::{CallFuture, MilvusClient, awaitable};
use crate::proto::milvus as m;
use crate::proto::schema::{FieldData, IDs, i_ds::Values};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::marker::PhantomData;

/// The outcome of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mutation {
    /// The number of rows inserted, upserted or deleted: pymilvus's `insert_count`, `upsert_count` and `delete_count`.
    ///
    /// It is the server's count. Of a deletion by keys, Milvus counts all keys, also those that no row has.
    #[doc(alias = "insert_count")]
    #[doc(alias = "upsert_count")]
    #[doc(alias = "delete_count")]
    pub count: u64,
    /// The keys of inserted or upserted rows, generated ones included. After a deletion, Milvus can leave them out, as 2.3.5 does.
    pub ids: Vec<Id>,
}

/// Rows to be written; made by [`MilvusClient::insert`] and [`MilvusClient::upsert`].
///
/// ```no_run
/// #[derive(serde::Serialize)]
/// struct Film {
///     id: i64,
///     title: String,
///     vector: Vec<f32>,
/// }
///
/// # async fn example(client: milvus_otel::MilvusClient, films: Vec<Film>) -> milvus_otel::Result<()> {
/// let written = client.insert("films", &films).partition("new").await?;
/// println!("{} rows with the keys {:?}", written.count, written.ids);
/// client.upsert("films", &films).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Write<'a> {
    client: &'a MilvusClient,
    collection: String,
    partition: String,
    replace: bool,
    rows: std::result::Result<Vec<Value>, serde_json::Error>,
}

awaitable!(Write -> Mutation);

impl Write<'_> {
    /// Writes into a partition other than the default one.
    pub fn partition(mut self, partition: impl Into<String>) -> Self {
        self.partition = partition.into();
        self
    }

    async fn send(self) -> Result<Mutation> {
        let Self {
            client,
            collection,
            partition,
            replace,
            rows,
        } = self;
        let name = if replace { "upsert" } else { "insert" };
        let work = async {
            let rows =
                rows.map_err(|error| Error::invalid(format!("a row isn't a record: {error}")))?;
            if rows.is_empty() {
                return Ok(Mutation::default());
            }
            let request = client.insert_request(&collection, partition, rows).await?;
            if replace {
                let request = m::UpsertRequest::from(request);
                let answer = client.call_about(&collection, request).await?;
                client.mutation(answer, |answer| answer.upsert_cnt)
            } else {
                let answer = client.call_about(&collection, request).await?;
                client.mutation(answer, |answer| answer.insert_cnt)
            }
        };
        client.operation(name, &collection, work).await
    }
}

impl From<m::InsertRequest> for m::UpsertRequest {
    fn from(insert: m::InsertRequest) -> Self {
        Self {
            db_name: insert.db_name,
            collection_name: insert.collection_name,
            partition_name: insert.partition_name,
            fields_data: insert.fields_data,
            num_rows: insert.num_rows,
        }
    }
}

/// Rows to be deleted; made by [`MilvusClient::delete`].
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
/// client.delete("films").ids([1, 2]).await?;
/// client.delete("films").filter("year < 1930").partition("old").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Delete<'a> {
    client: &'a MilvusClient,
    collection: String,
    partition: String,
    ids: Vec<Id>,
    filter: String,
}

awaitable!(Delete -> Mutation);

impl Delete<'_> {
    /// The rows with these keys.
    pub fn ids(mut self, ids: impl IntoIterator<Item = impl Into<Id>>) -> Self {
        self.ids = ids.into_iter().map(Into::into).collect();
        self
    }

    /// The rows for which this is true, such as `color == "red"`.
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Only rows of that partition.
    pub fn partition(mut self, partition: impl Into<String>) -> Self {
        self.partition = partition.into();
        self
    }

    async fn send(self) -> Result<Mutation> {
        let Self {
            client,
            collection,
            partition,
            ids: keys,
            filter,
        } = self;
        let work = async {
            let expr = match (keys.is_empty(), filter.is_empty()) {
                (false, true) => client.has_one_of(&collection, &keys).await?,
                (true, false) => filter,
                _ => return Err(Error::invalid("a deletion needs either keys or a filter")),
            };
            let request = m::DeleteRequest {
                db_name: client.database(),
                collection_name: collection.clone(),
                partition_name: partition,
                expr,
            };
            let answer = client.call_about(&collection, request).await?;
            client.mutation(answer, |answer| answer.delete_cnt)
        };
        client.operation("delete", &collection, work).await
    }
}

/// Rows to be read by a filter or by their keys; made by [`MilvusClient::query`], [`MilvusClient::get`] and
/// [`MilvusClient::query_iterator`].
///
/// They come as [`Row`]s, or as values of a type of yours after [`typed`](Self::typed).
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
/// use milvus_otel::client::ConsistencyLevel;
///
/// let second_page = client
///     .query("films")
///     .filter("year > 1980")
///     .output_fields(["title", "year"])
///     .partitions(["new"])
///     .limit(10)
///     .offset(10)
///     .await?;
/// let films = client.get("films", [1, 2]).consistency_level(ConsistencyLevel::Session).await?;
/// println!("{}", films[0]["title"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Query<'a, T = Row, S = All> {
    pub(super) client: &'a MilvusClient,
    pub(super) collection: String,
    pub(super) name: &'static str,
    ids: Vec<Id>,
    pub(super) filter: String,
    pub(super) output_fields: Vec<String>,
    partitions: Vec<String>,
    pub(super) limit: Option<u64>,
    offset: Option<u64>,
    /// Of one page.
    pub(super) batch_size: usize,
    consistency_level: Option<ConsistencyLevel>,
    shape: PhantomData<fn() -> (T, S)>,
}

impl<T> Query<'_, T, Paged> {
    /// The most rows of a page; 1,000 unless it is set, 16,384 at most.
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows;
        self
    }

    /// The request of a page.
    pub(super) fn into_request(self, expr: String, collection: i64) -> m::QueryRequest {
        let limit = u64::try_from(self.batch_size).unwrap_or(u64::MAX);
        let mut query = self;
        query.limit = Some(limit);
        let mut request = query.request(expr);
        // As pymilvus asks for it: rows in the order of their keys, as of one moment.
        request
            .query_params
            .retain(|param| param.key != STOP_FOR_BEST);
        let collection = collection.to_string();
        let order = [
            ("collection_id", &*collection),
            ("iterator", "True"),
            (STOP_FOR_BEST, "True"),
        ];
        request.guarantee_timestamp = 0;
        request.query_params.extend(pair_list(&order));
        request
    }
}

/// Whether each segment may leave out rows that others may have.
const STOP_FOR_BEST: &str = "reduce_stop_for_best";

impl<'a, T: DeserializeOwned + 'a> IntoFuture for Query<'a, T> {
    type Output = Result<Vec<T>>;
    type IntoFuture = CallFuture<'a, Vec<T>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<'a, T, S> Query<'a, T, S> {
    /// The rows for which this is true, such as `color == "red" and year > 1980`.
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = filter.into();
        self
    }

    /// The fields to return; all of them unless they are set.
    pub fn output_fields(mut self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.output_fields = fields.into_iter().map(Into::into).collect();
        self
    }

    /// Only rows of these partitions.
    pub fn partitions(mut self, partitions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.partitions = partitions.into_iter().map(Into::into).collect();
        self
    }

    /// The most rows to return. Milvus requires it if there is no filter.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The number of rows to skip.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// How fresh the data must be; as the client says unless it is set, and where that says
    /// nothing, as the collection does.
    pub fn consistency_level(mut self, level: ConsistencyLevel) -> Self {
        self.consistency_level = Some(level);
        self
    }

    /// Returns the rows as values of type `R`.
    pub fn typed<R>(self) -> Query<'a, R, S> {
        Query {
            client: self.client,
            collection: self.collection,
            name: self.name,
            ids: self.ids,
            filter: self.filter,
            output_fields: self.output_fields,
            partitions: self.partitions,
            limit: self.limit,
            offset: self.offset,
            batch_size: self.batch_size,
            consistency_level: self.consistency_level,
            shape: PhantomData,
        }
    }

    fn request(self, expr: String) -> m::QueryRequest {
        let level = self.client.level(self.consistency_level);
        let page = [("limit", self.limit), ("offset", self.offset)];
        let page = page
            .into_iter()
            .filter_map(|(key, value)| Some(pair(key, &value?.to_string())));
        let usual = [("ignore_growing", "False"), (STOP_FOR_BEST, "False")];
        m::QueryRequest {
            db_name: self.client.database(),
            collection_name: self.collection,
            expr,
            output_fields: self.output_fields,
            partition_names: self.partitions,
            guarantee_timestamp: self.client.guarantee(level),
            query_params: page.chain(pair_list(&usual)).collect(),
            consistency_level: level.unwrap_or(ConsistencyLevel::Strong).wire().into(),
            use_default_consistency: level.is_none(),
        }
    }
}

impl<T> Query<'_, T> {
    /// Counts the rows instead of returning them.
    ///
    /// ```no_run
    /// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
    /// let all = client.query("films").count().await?;
    /// let new = client.query("films").filter("year > 1980").count().await?;
    /// println!("{new} of {all}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Milvus 2.3 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// As of the query.
    pub async fn count(self) -> Result<u64> {
        const COUNT: &str = "count(*)";
        let (client, collection) = (self.client, self.collection.clone());
        let work = async {
            let answer = self.output_fields([COUNT]).ask().await?;
            let rows = read_rows(&answer.fields_data, None, &[])?;
            let number = rows.first().and_then(|row| row.get(COUNT)?.as_u64());
            number.ok_or_else(|| Error::unexpected("a count of rows came without a number"))
        };
        client.operation("count", &collection, work).await
    }

    async fn send(self) -> Result<Vec<T>>
    where
        T: DeserializeOwned,
    {
        let (client, collection, name) = (self.client, self.collection.clone(), self.name);
        let fields = self.output_fields.clone();
        let work = async {
            let answer = self.ask().await?;
            let rows = read_rows(&answer.fields_data, None, &fields)?;
            rows.into_iter().map(into_typed).collect()
        };
        client.operation(name, &collection, work).await
    }

    async fn ask(self) -> Result<m::QueryResults> {
        let (client, collection) = (self.client, self.collection.clone());
        let expr = match (self.ids.is_empty(), self.filter.is_empty()) {
            (true, _) => self.filter.clone(),
            (false, true) => client.has_one_of(&self.collection, &self.ids).await?,
            (false, false) => {
                return Err(Error::invalid(
                    "rows are read either by their keys or by a filter",
                ));
            }
        };
        let request = self.request(expr);
        client.call_about(&collection, request).await
    }
}

impl MilvusClient {
    /// Inserts `rows`, each a record (a struct, a map, a JSON object) with a value for every field of the collection;
    /// what a row has beyond these goes into its dynamic field, if the collection has one.
    ///
    /// It isn't tried again after a failure that leaves open whether the rows arrived; see [`upsert`](Self::upsert).
    /// No rows are no call. For more rows than one message can hold, see [`insert_batches`](Self::insert_batches).
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    pub fn insert<R: Serialize>(
        &self,
        collection: impl Into<String>,
        rows: impl IntoIterator<Item = R>,
    ) -> Write<'_> {
        self.write(collection.into(), rows, false)
    }

    /// Inserts `rows`, each in place of the row that has its key, if there is one.
    ///
    /// Milvus 2.3 and later; tried on 2.3.5.
    pub fn upsert<R: Serialize>(
        &self,
        collection: impl Into<String>,
        rows: impl IntoIterator<Item = R>,
    ) -> Write<'_> {
        self.write(collection.into(), rows, true)
    }

    fn write<R: Serialize>(
        &self,
        collection: String,
        rows: impl IntoIterator<Item = R>,
        replace: bool,
    ) -> Write<'_> {
        let rows = rows.into_iter().map(serde_json::to_value).collect();
        Write {
            client: self,
            collection,
            partition: String::new(),
            replace,
            rows,
        }
    }

    /// Deletes rows, by keys or by a filter.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    pub fn delete(&self, collection: impl Into<String>) -> Delete<'_> {
        let (ids, filter, partition) = Default::default();
        Delete {
            client: self,
            collection: collection.into(),
            partition,
            ids,
            filter,
        }
    }

    /// Reads rows by a filter.
    ///
    /// ```no_run
    /// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
    /// #[derive(serde::Deserialize)]
    /// struct Film {
    ///     id: i64,
    ///     title: String,
    /// }
    ///
    /// let films = client.query("films").filter("year > 1980").output_fields(["title"]).typed::<Film>().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    pub fn query(&self, collection: impl Into<String>) -> Query<'_> {
        self.read("query", collection.into(), Vec::new())
    }

    /// Reads the rows with these keys.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    pub fn get(
        &self,
        collection: impl Into<String>,
        ids: impl IntoIterator<Item = impl Into<Id>>,
    ) -> Query<'_> {
        self.read(
            "get",
            collection.into(),
            ids.into_iter().map(Into::into).collect(),
        )
    }

    /// Reads the rows of a filter in pages, in the order of their keys, all as of one moment. A page can be shorter than the batch
    /// size, and isn't the last one because of that.
    ///
    /// pymilvus has it under the same name. See [`Pages`](super::Pages).
    ///
    /// Milvus 2.3 and later; tried on 2.3.5.
    pub fn query_iterator(&self, collection: impl Into<String>) -> Query<'_, Row, Paged> {
        self.read("query_iterator", collection.into(), Vec::new())
    }

    fn read<S>(&self, name: &'static str, collection: String, ids: Vec<Id>) -> Query<'_, Row, S> {
        Query {
            client: self,
            collection,
            name,
            ids,
            filter: String::new(),
            output_fields: vec!["*".to_owned()],
            partitions: Vec::new(),
            limit: None,
            offset: None,
            batch_size: 1_000,
            consistency_level: None,
            shape: PhantomData,
        }
    }

    pub(super) async fn insert_request(
        &self,
        collection: &str,
        partition_name: String,
        rows: Vec<Value>,
    ) -> Result<m::InsertRequest> {
        let num_rows =
            u32::try_from(rows.len()).map_err(|_| Error::invalid("too many rows at once"))?;
        let columns = |schema: &_| rows::to_columns(schema, &rows).map_err(Error::invalid);
        Ok(m::InsertRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            partition_name,
            fields_data: self.with_schema(collection, columns).await?,
            num_rows,
        })
    }

    /// Inserts the rows of a request; how many.
    pub(super) async fn insert_prepared(&self, request: m::InsertRequest) -> Result<u64> {
        let collection = request.collection_name.clone();
        let answer = self.call_about(&collection, request).await?;
        self.saw_write(answer.timestamp);
        count(answer.insert_cnt)
    }

    /// The outcome of a write; `counted` reads the count that belongs to it.
    fn mutation(
        &self,
        answer: m::MutationResult,
        counted: fn(&m::MutationResult) -> i64,
    ) -> Result<Mutation> {
        self.saw_write(answer.timestamp);
        Ok(Mutation {
            count: count(counted(&answer))?,
            ids: ids(answer.ids),
        })
    }

    /// A filter for the rows with these keys.
    async fn has_one_of(&self, collection: &str, ids: &[Id]) -> Result<String> {
        let key = |schema: &CollectionSchema| {
            let key = schema.primary_field().map(|field| field.name.clone());
            key.ok_or_else(|| Error::unexpected("the collection has no key"))
        };
        let key = self.with_schema(collection, key).await?;
        let ids: Vec<String> = ids.iter().map(Id::literal).collect();
        Ok(format!("{key} in [{}]", ids.join(",")))
    }
}

/// The rows of `columns`, which are `count` where that is known.
pub(super) fn read_rows(
    columns: &[FieldData],
    count: Option<usize>,
    wanted: &[String],
) -> Result<Vec<Row>> {
    let count = count.unwrap_or_else(|| columns.iter().map(rows::length).max().unwrap_or(0));
    rows::from_columns(columns, count, wanted).map_err(Error::unexpected)
}

pub(super) fn into_typed<T: DeserializeOwned>(row: Row) -> Result<T> {
    serde_json::from_value(Value::Object(row))
        .map_err(|error| Error::unexpected(format!("a row is of another type: {error}")))
}

pub(super) fn ids(ids: Option<IDs>) -> Vec<Id> {
    match ids.and_then(|ids| ids.values) {
        Some(Values::Ints(ids)) => ids.data.into_iter().map(Id::Int).collect(),
        Some(Values::Strings(ids)) => ids.data.into_iter().map(Id::Str).collect(),
        None => Vec::new(),
    }
}
