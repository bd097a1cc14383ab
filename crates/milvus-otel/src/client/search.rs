//! Searching by vectors.

use super::data::{ids, into_typed, read_rows};
use super::error::{Error, ErrorKind, Result};
use super::rows::{Row, sparse_bytes};
use super::schema::{
    CollectionSchema, ConsistencyLevel, DataType, FieldSchema, Id, MetricType, Vector, pair,
    pair_list,
};
use super::shape::{All, One, Paged};
use super::version::Version;
use super::{CallFuture, MilvusClient, half};
use crate::proto::common::{
    DslType, KeyValuePair, PlaceholderGroup, PlaceholderType, PlaceholderValue,
};
use crate::proto::milvus as m;
use crate::proto::schema::SearchResultData;
use bytes::Bytes;
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::marker::PhantomData;

/// A row that a search found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hit<T = Row> {
    /// Its key.
    pub id: Id,
    /// How near it is, in the metric of the index.
    pub score: f32,
    /// The fields that were asked for.
    pub fields: T,
}

/// A search; made by [`MilvusClient::search`], [`MilvusClient::search_one`] and [`MilvusClient::search_iterator`].
///
/// Hits come with [`Row`]s, or with values of a type of yours after [`typed`](Self::typed).
///
/// ```no_run
/// #[derive(serde::Deserialize)]
/// struct Film {
///     title: String,
/// }
///
/// # async fn example(client: milvus_otel::MilvusClient, one: Vec<f32>, two: Vec<f32>) -> milvus_otel::Result<()> {
/// use milvus_otel::client::{ConsistencyLevel, MetricType};
///
/// let lists = client
///     .search("films", [one, two])
///     .field("vector")
///     .metric_type(MetricType::L2)
///     .filter("year > 1980")
///     .limit(10)
///     .offset(10)
///     .radius(1.5)
///     .range_filter(0.1)
///     .param("nprobe", 16)
///     .group_by("director")
///     .group_size(2)
///     .strict_group_size(true)
///     .output_fields(["title"])
///     .partitions(["new"])
///     .consistency_level(ConsistencyLevel::Strong)
///     .typed::<Film>()
///     .await?;
/// println!("{} is near the second vector", lists[1][0].fields.title);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Search<'a, T = Row, S = All> {
    pub(super) client: &'a MilvusClient,
    pub(super) collection: String,
    pub(super) name: &'static str,
    vectors: Vec<Vector>,
    field: Option<String>,
    filter: String,
    /// Of one answer.
    pub(super) limit: usize,
    /// Of all pages.
    pub(super) total: Option<u64>,
    pub(super) offset: usize,
    metric_type: Option<MetricType>,
    params: Map<String, Value>,
    /// What stands beside the index's parameters.
    pub(super) options: Vec<KeyValuePair>,
    pub(super) output_fields: Vec<String>,
    pub(super) partitions: Vec<String>,
    pub(super) consistency_level: Option<ConsistencyLevel>,
    shape: PhantomData<fn() -> (T, S)>,
}

impl<'a, T: DeserializeOwned + 'a> IntoFuture for Search<'a, T, One> {
    type Output = Result<Vec<Hit<T>>>;
    type IntoFuture = CallFuture<'a, Vec<Hit<T>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { Ok(self.send().await?.into_iter().next().unwrap_or_default()) })
    }
}

impl<T> Search<'_, T, Paged> {
    /// The most hits of a page; 1,000 unless it is set, 16,384 at most.
    pub fn batch_size(mut self, hits: usize) -> Self {
        self.limit = hits;
        self
    }

    /// The most hits of all pages together.
    pub fn total(mut self, hits: u64) -> Self {
        self.total = Some(hits);
        self
    }

    /// The request of a page of the collection with that number.
    pub(super) async fn into_request_of(self, collection: i64) -> Result<m::SearchRequest> {
        let size = self.limit.to_string();
        let mut request = self.into_request().await?;
        // As pymilvus asks for it: the collection's own consistency, as of the moment of the first page.
        request.guarantee_timestamp = 0;
        request.use_default_consistency = true;
        request.search_params.extend(pair_list(&[
            ("iterator", "True"),
            ("collection_id", &collection.to_string()),
            ("search_iter_v2", "True"),
            ("search_iter_batch_size", &size),
        ]));
        Ok(request)
    }
}

impl<'a, T: DeserializeOwned + 'a> IntoFuture for Search<'a, T> {
    type Output = Result<Vec<Vec<Hit<T>>>>;
    type IntoFuture = CallFuture<'a, Vec<Vec<Hit<T>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<'a, T, S> Search<'a, T, S> {
    /// The field to search in; the collection's first vector field unless it is set.
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Only rows for which this is true, such as `color == "red"`.
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = filter.into();
        self
    }

    /// The most hits to return for each vector; 10 unless it is set.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The number of nearest hits to skip.
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Only rows nearer than `radius`, in the metric of the index.
    pub fn radius(self, radius: f64) -> Self {
        self.param("radius", radius)
    }

    /// Together with [`radius`](Self::radius): only rows that are not nearer than this.
    pub fn range_filter(self, nearest: f64) -> Self {
        self.param("range_filter", nearest)
    }

    /// A parameter of the index's type, such as `nprobe` or `ef`.
    pub fn param(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.params.insert(key.into(), value.into());
        self
    }

    /// The metric of the index. The search fails if the index has another one.
    pub fn metric_type(mut self, metric_type: MetricType) -> Self {
        self.metric_type = Some(metric_type);
        self
    }

    /// Returns only the best hit for each value of `field`, or the best few with [`group_size`](Self::group_size).
    ///
    /// Milvus 2.4 and later, which was not checked; against a stub only.
    pub fn group_by(self, field: impl Into<String>) -> Self {
        self.option(GROUP_BY, &field.into())
    }

    /// With [`group_by`](Self::group_by): how many hits of each value to return, one unless it is set.
    ///
    /// Milvus 2.5 and later, which was not checked; against a stub only.
    pub fn group_size(self, hits: usize) -> Self {
        self.option("group_size", &hits.to_string())
    }

    /// With [`group_size`](Self::group_size): whether to search until every group is full.
    ///
    /// Milvus 2.5 and later, which was not checked; against a stub only.
    pub fn strict_group_size(self, strict: bool) -> Self {
        self.option("strict_group_size", if strict { "True" } else { "False" })
    }

    fn option(mut self, key: &str, value: &str) -> Self {
        self.options.push(pair(key, value));
        self
    }

    /// The fields to return with each hit; none unless they are set.
    pub fn output_fields(mut self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.output_fields = fields.into_iter().map(Into::into).collect();
        self
    }

    /// Only rows of these partitions.
    pub fn partitions(mut self, partitions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.partitions = partitions.into_iter().map(Into::into).collect();
        self
    }

    /// How fresh the data must be; as the client says unless it is set, and where that says
    /// nothing, as the collection does.
    pub fn consistency_level(mut self, level: ConsistencyLevel) -> Self {
        self.consistency_level = Some(level);
        self
    }

    /// Returns the fields of each hit as a value of type `R`.
    pub fn typed<R>(self) -> Search<'a, R, S> {
        Search {
            client: self.client,
            collection: self.collection,
            name: self.name,
            vectors: self.vectors,
            field: self.field,
            filter: self.filter,
            limit: self.limit,
            total: self.total,
            offset: self.offset,
            metric_type: self.metric_type,
            params: self.params,
            options: self.options,
            output_fields: self.output_fields,
            partitions: self.partitions,
            consistency_level: self.consistency_level,
            shape: PhantomData,
        }
    }

    async fn send(self) -> Result<Vec<Vec<Hit<T>>>>
    where
        T: DeserializeOwned,
    {
        let (client, collection) = (self.client, self.collection.clone());
        let (name, fields) = (self.name, self.output_fields.clone());
        let work = async { hits(self.ask().await?.results.unwrap_or_default(), &fields) };
        client.operation(name, &collection, work).await
    }

    async fn ask(self) -> Result<m::SearchResults> {
        let (client, collection) = (self.client, self.collection.clone());
        let request = self.into_request().await?;
        client.call_about(&collection, request).await
    }

    pub(super) async fn into_request(self) -> Result<m::SearchRequest> {
        let client = self.client;
        if self.options.iter().any(|option| option.key == GROUP_BY) {
            client.require(Version(2, 4, 0), "`group_by`")?;
        }
        let field = |schema: &_| self.field_of(schema);
        let field = match (
            client.with_schema(&self.collection, field).await,
            &self.field,
        ) {
            // A role can be allowed to search, and not to describe.
            (Err(error), Some(name)) if !matches!(error.kind(), ErrorKind::Invalid(_)) => {
                name.clone()
            }
            (field, _) => field?,
        };
        let level = client.level(self.consistency_level);
        Ok(m::SearchRequest {
            db_name: client.database(),
            search_params: self.search_params(&field),
            placeholder_group: placeholders(&self.vectors)?.encode_to_vec().into(),
            nq: i64::try_from(self.vectors.len())
                .map_err(|_| Error::invalid("too many vectors at once"))?,
            collection_name: self.collection,
            partition_names: self.partitions,
            dsl: self.filter,
            dsl_type: DslType::BoolExprV1.into(),
            output_fields: self.output_fields,
            guarantee_timestamp: client.guarantee(level),
            consistency_level: level.unwrap_or(ConsistencyLevel::Strong).wire().into(),
            use_default_consistency: level.is_none(),
        })
    }

    /// The name of the field to search in. Fails if the vectors don't have its dimension.
    fn field_of(&self, schema: &CollectionSchema) -> Result<String> {
        let field = match &self.field {
            Some(name) => schema.fields.iter().find(|field| field.name == *name),
            None => schema.first_vector(),
        };
        match (field, &self.field) {
            (Some(field), _) => {
                for (index, vector) in self.vectors.iter().enumerate() {
                    check_dimension(field, index, vector)?;
                }
                Ok(field.name.clone())
            }
            // A later version can have fields that a schema doesn't show this client.
            (None, Some(name)) => Ok(name.clone()),
            (None, None) => Err(Error::invalid("the collection has no field of vectors")),
        }
    }

    fn search_params(&self, field: &str) -> Vec<KeyValuePair> {
        let mut params = vec![
            pair("anns_field", field),
            pair("topk", &self.limit.to_string()),
            pair("params", &Value::Object(self.params.clone()).to_string()),
            // The scores are not rounded.
            pair("round_decimal", "-1"),
            pair("ignore_growing", "False"),
        ];
        params.extend(self.options.iter().cloned());
        if self.offset > 0 {
            params.push(pair("offset", &self.offset.to_string()));
        }
        params.extend(
            self.metric_type
                .map(|metric| pair("metric_type", metric.name())),
        );
        params
    }
}

impl MilvusClient {
    /// Searches for the rows that are nearest to each of `vectors`: one list of hits for each, the nearest first.
    ///
    /// ```no_run
    /// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
    /// for hit in &client.search("films", [[0.1, 0.2, 0.3]]).limit(3).output_fields(["title"]).await?[0] {
    ///     println!("{} {} {}", hit.id, hit.score, hit.fields["title"]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    pub fn search<V: Into<Vector>>(
        &self,
        collection: impl Into<String>,
        vectors: impl IntoIterator<Item = V>,
    ) -> Search<'_> {
        let vectors = vectors.into_iter().map(Into::into).collect();
        self.searching("search", collection.into(), vectors, 10)
    }

    /// Searches for the rows that are nearest to one vector, the nearest first.
    ///
    /// ```no_run
    /// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
    /// for hit in client.search_one("films", [0.1, 0.2, 0.3]).limit(3).output_fields(["title"]).await? {
    ///     println!("{} {} {}", hit.id, hit.score, hit.fields["title"]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    pub fn search_one(
        &self,
        collection: impl Into<String>,
        vector: impl Into<Vector>,
    ) -> Search<'_, Row, One> {
        self.searching("search_one", collection.into(), vec![vector.into()], 10)
    }

    /// Searches for the rows that are nearest to one vector, in pages, all as of one moment.
    ///
    /// ```no_run
    /// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
    /// let mut pages = client.search_iterator("films", [0.1, 0.2, 0.3]).batch_size(100).total(1_000).await?;
    /// while let Some(hits) = pages.next().await? {
    ///     println!("down to {}", hits[hits.len() - 1].score);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Milvus 2.5 and later; against a stub only. If the server doesn't tell its version, and is older, the first page is an error.
    pub fn search_iterator(
        &self,
        collection: impl Into<String>,
        vector: impl Into<Vector>,
    ) -> Search<'_, Row, Paged> {
        self.searching(
            "search_iterator",
            collection.into(),
            vec![vector.into()],
            1_000,
        )
    }

    pub(super) fn searching<S>(
        &self,
        name: &'static str,
        collection: String,
        vectors: Vec<Vector>,
        limit: usize,
    ) -> Search<'_, Row, S> {
        Search {
            client: self,
            collection,
            name,
            vectors,
            field: None,
            filter: String::new(),
            limit,
            total: None,
            offset: 0,
            metric_type: None,
            params: Map::new(),
            options: Vec::new(),
            output_fields: Vec::new(),
            partitions: Vec::new(),
            consistency_level: None,
            shape: PhantomData,
        }
    }
}

const GROUP_BY: &str = "group_by_field";

fn check_dimension(field: &FieldSchema, index: usize, vector: &Vector) -> Result<()> {
    let found = match (field.data_type, vector) {
        (DataType::FloatVector, Vector::Float(numbers))
        | (DataType::Float16Vector, Vector::Float16(numbers))
        | (DataType::BFloat16Vector, Vector::BFloat16(numbers)) => numbers.len(),
        (DataType::Int8Vector, Vector::Int8(numbers)) => numbers.len(),
        (DataType::BinaryVector, Vector::Binary(bytes)) => bytes.len() * 8,
        // The server refuses a vector of another type, and a sparse one has no fixed dimension.
        _ => return Ok(()),
    };
    match field.dimension {
        Some(expected) if expected != found => Err(Error::invalid(format!(
            "vector {index}, field `{}`: expected a vector of dimension {expected}, found one of {found}",
            field.name
        ))),
        _ => Ok(()),
    }
}

fn placeholders(vectors: &[Vector]) -> Result<PlaceholderGroup> {
    let Some(kind) = vectors.first().map(kind) else {
        return Err(Error::invalid("a search needs a vector"));
    };
    if vectors.iter().any(|vector| self::kind(vector) != kind) {
        return Err(Error::invalid("a search needs vectors of one type"));
    }
    Ok(PlaceholderGroup {
        placeholders: vec![PlaceholderValue {
            tag: "$0".to_owned(),
            r#type: kind.into(),
            values: vectors.iter().map(bytes).collect::<Result<_>>()?,
        }],
    })
}

fn kind(vector: &Vector) -> PlaceholderType {
    match vector {
        Vector::Float(_) => PlaceholderType::FloatVector,
        Vector::Binary(_) => PlaceholderType::BinaryVector,
        Vector::Float16(_) => PlaceholderType::Float16Vector,
        Vector::BFloat16(_) => PlaceholderType::BFloat16Vector,
        Vector::Sparse(_) => PlaceholderType::SparseFloatVector,
        Vector::Int8(_) => PlaceholderType::Int8Vector,
        Vector::Text(_) => PlaceholderType::VarChar,
    }
}

fn bytes(vector: &Vector) -> Result<Bytes> {
    let halves = |numbers: &[f32], half: fn(f32) -> Option<u16>| {
        let half = |&number: &f32| {
            let too_large = || {
                Error::invalid(format!(
                    "the vector's number {number} doesn't fit into 16 bits"
                ))
            };
            half(number).map(u16::to_le_bytes).ok_or_else(too_large)
        };
        let halves: Vec<[u8; 2]> = numbers.iter().map(half).collect::<Result<_>>()?;
        Ok(halves.into_flattened().into())
    };
    Ok(match vector {
        Vector::Float(numbers) => numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect(),
        Vector::Binary(bytes) => bytes.clone().into(),
        Vector::Float16(numbers) => return halves(numbers, half::to_float16),
        Vector::BFloat16(numbers) => return halves(numbers, half::to_bfloat16),
        Vector::Sparse(numbers) => sparse_bytes(numbers).into(),
        Vector::Int8(numbers) => numbers
            .iter()
            .map(|number| number.cast_unsigned())
            .collect(),
        Vector::Text(text) => text.clone().into(),
    })
}

pub(super) fn hits<T: DeserializeOwned>(
    results: SearchResultData,
    wanted: &[String],
) -> Result<Vec<Vec<Hit<T>>>> {
    let ids = ids(results.ids);
    let counts = results
        .topks
        .iter()
        .map(|count| usize::try_from(*count).unwrap_or(usize::MAX));
    if ids.len() != results.scores.len()
        || counts.clone().fold(0, usize::saturating_add) != ids.len()
    {
        let (keys, scores) = (ids.len(), results.scores.len());
        return Err(Error::unexpected(format!(
            "{keys} keys came with {scores} scores, for {:?} hits",
            results.topks
        )));
    }
    let rows = read_rows(&results.fields_data, Some(ids.len()), wanted)?;
    let mut all = ids
        .into_iter()
        .zip(results.scores)
        .zip(rows)
        .map(|((id, score), row)| {
            let fields = into_typed(row)?;
            Ok(Hit { id, score, fields })
        });
    counts
        .map(|count| all.by_ref().take(count).collect())
        .collect()
}
