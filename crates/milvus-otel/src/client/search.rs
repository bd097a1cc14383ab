//! Searching by vectors.

use super::data::{ids, into_typed, read_rows};
use super::error::{Error, Result};
use super::rows::Row;
use super::schema::{CollectionSchema, ConsistencyLevel, Id, MetricType, Vector, pair};
use super::{CallFuture, MilvusClient};
use crate::proto::common::{
    DslType, KeyValuePair, PlaceholderGroup, PlaceholderType, PlaceholderValue,
};
use crate::proto::milvus as m;
use crate::proto::schema::SearchResultData;
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

/// A search; made by [`MilvusClient::search`].
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
pub struct Search<'a, T = Row> {
    client: &'a MilvusClient,
    collection: String,
    vectors: Vec<Vector>,
    field: Option<String>,
    filter: String,
    limit: usize,
    offset: usize,
    metric_type: Option<MetricType>,
    params: Map<String, Value>,
    output_fields: Vec<String>,
    partitions: Vec<String>,
    consistency_level: Option<ConsistencyLevel>,
    rows: PhantomData<fn() -> T>,
}

impl<'a, T: DeserializeOwned + 'a> IntoFuture for Search<'a, T> {
    type Output = Result<Vec<Vec<Hit<T>>>>;
    type IntoFuture = CallFuture<'a, Vec<Vec<Hit<T>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<'a, T> Search<'a, T> {
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

    /// How many hits to return for each vector, at most; 10 unless it is set.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// How many of the nearest to leave out first.
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

    /// Says which metric the index has, and fails where it has another.
    pub fn metric_type(mut self, metric_type: MetricType) -> Self {
        self.metric_type = Some(metric_type);
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
    pub fn typed<R>(self) -> Search<'a, R> {
        Search {
            client: self.client,
            collection: self.collection,
            vectors: self.vectors,
            field: self.field,
            filter: self.filter,
            limit: self.limit,
            offset: self.offset,
            metric_type: self.metric_type,
            params: self.params,
            output_fields: self.output_fields,
            partitions: self.partitions,
            consistency_level: self.consistency_level,
            rows: PhantomData,
        }
    }

    async fn send(self) -> Result<Vec<Vec<Hit<T>>>>
    where
        T: DeserializeOwned,
    {
        let (client, collection) = (self.client, self.collection.clone());
        let fields = self.output_fields.clone();
        let work = async { hits(self.ask().await?.results.unwrap_or_default(), &fields) };
        client.operation("search", &collection, work).await
    }

    async fn ask(self) -> Result<m::SearchResults> {
        let client = self.client;
        let field = match &self.field {
            Some(field) => field.clone(),
            None => {
                let field = |schema: &CollectionSchema| {
                    let field = schema.first_vector().map(|field| field.name.clone());
                    field.ok_or_else(|| {
                        Error::invalid(format!("`{}` has no field of vectors", self.collection))
                    })
                };
                client.with_schema(&self.collection, field).await?
            }
        };
        let collection = self.collection.clone();
        let level = client.level(self.consistency_level);
        let request = m::SearchRequest {
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
        };
        client.call_about(&collection, request).await
    }

    fn search_params(&self, field: &str) -> Vec<KeyValuePair> {
        let mut params = vec![
            pair("anns_field", field),
            pair("topk", &self.limit.to_string()),
            pair("params", &Value::Object(self.params.clone()).to_string()),
            // The scores are not rounded.
            pair("round_decimal", "-1"),
        ];
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
    pub fn search<V: Into<Vector>>(
        &self,
        collection: impl Into<String>,
        vectors: impl IntoIterator<Item = V>,
    ) -> Search<'_> {
        Search {
            client: self,
            collection: collection.into(),
            vectors: vectors.into_iter().map(Into::into).collect(),
            field: None,
            filter: String::new(),
            limit: 10,
            offset: 0,
            metric_type: None,
            params: Map::new(),
            output_fields: Vec::new(),
            partitions: Vec::new(),
            consistency_level: None,
            rows: PhantomData,
        }
    }
}

fn placeholders(vectors: &[Vector]) -> Result<PlaceholderGroup> {
    let kind = match vectors.first() {
        None => return Err(Error::invalid("a search needs a vector")),
        Some(Vector::Float(_)) => PlaceholderType::FloatVector,
        Some(Vector::Binary(_)) => PlaceholderType::BinaryVector,
    };
    let value = |vector: &Vector| match (vector, kind) {
        (Vector::Float(numbers), PlaceholderType::FloatVector) => Ok(numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect()),
        (Vector::Binary(bytes), PlaceholderType::BinaryVector) => Ok(bytes.clone().into()),
        _ => Err(Error::invalid("a search needs vectors of one type")),
    };
    let values = vectors.iter().map(value).collect::<Result<_>>()?;
    Ok(PlaceholderGroup {
        placeholders: vec![PlaceholderValue {
            tag: "$0".to_owned(),
            r#type: kind.into(),
            values,
        }],
    })
}

fn hits<T: DeserializeOwned>(
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
