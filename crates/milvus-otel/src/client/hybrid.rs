//! Searching by several vectors at once, and ranking what they find together.

use super::error::{Error, Result};
use super::rows::Row;
use super::schema::{ConsistencyLevel, pair};
use super::search::{Hit, Search, hits};
use super::{CallFuture, MilvusClient};
use crate::proto::common::KeyValuePair;
use crate::proto::milvus as m;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::marker::PhantomData;

/// How the hits of several searches become one list.
///
/// ```
/// use milvus_otel::client::Ranker;
///
/// assert_ne!(Ranker::rrf(60), Ranker::weighted([0.3, 0.7]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ranker {
    strategy: &'static str,
    params: Value,
}

impl Ranker {
    /// By the ranks that a hit has in the lists: the sum of 1/(k + rank). pymilvus has 60 for `k` by default.
    pub fn rrf(k: u32) -> Self {
        Self {
            strategy: "rrf",
            params: json!({ "k": k }),
        }
    }

    /// By the scores that a hit has in the lists: their sum, with a weight for each search.
    pub fn weighted(weights: impl IntoIterator<Item = f32>) -> Self {
        let weights: Vec<f32> = weights.into_iter().collect();
        Self {
            strategy: "weighted",
            params: json!({ "weights": weights, "norm_score": true }),
        }
    }
}

/// Several searches whose hits become one list; made by [`MilvusClient::hybrid_search`].
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient, look: Vec<f32>, plot: Vec<f32>) -> milvus_otel::Result<()> {
/// use milvus_otel::client::{ConsistencyLevel, Ranker};
///
/// #[derive(serde::Deserialize)]
/// struct Film {
///     title: String,
/// }
///
/// let by_look = client.search_one("films", look).field("look").limit(20);
/// let by_plot = client.search_one("films", plot).field("plot").filter("year > 1980").limit(20);
/// let films = client
///     .hybrid_search("films", [by_look, by_plot], Ranker::weighted([0.3, 0.7]))
///     .limit(10)
///     .offset(10)
///     .output_fields(["title"])
///     .partitions(["new"])
///     .group_by("director")
///     .consistency_level(ConsistencyLevel::Bounded)
///     .typed::<Film>()
///     .await?;
/// println!("{}", films[0].fields.title);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct HybridSearch<'a, T = Row> {
    client: &'a MilvusClient,
    collection: String,
    searches: Vec<Search<'a, Row, super::One>>,
    ranker: Ranker,
    limit: usize,
    offset: usize,
    options: Vec<KeyValuePair>,
    output_fields: Vec<String>,
    partitions: Vec<String>,
    consistency_level: Option<ConsistencyLevel>,
    rows: PhantomData<fn() -> T>,
}

impl<'a, T: DeserializeOwned + 'a> IntoFuture for HybridSearch<'a, T> {
    type Output = Result<Vec<Hit<T>>>;
    type IntoFuture = CallFuture<'a, Vec<Hit<T>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<'a, T> HybridSearch<'a, T> {
    /// How many hits to return, at most; 10 unless it is set.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// How many of the best hits to leave out first.
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Returns the best hit of each value of `field` alone.
    pub fn group_by(mut self, field: &str) -> Self {
        self.options.push(pair("group_by_field", field));
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

    /// How fresh the data must be; as the client says unless it is set, and where that says nothing, as the collection
    /// does.
    pub fn consistency_level(mut self, level: ConsistencyLevel) -> Self {
        self.consistency_level = Some(level);
        self
    }

    /// Returns the fields of each hit as a value of type `R`.
    pub fn typed<R>(self) -> HybridSearch<'a, R> {
        HybridSearch {
            client: self.client,
            collection: self.collection,
            searches: self.searches,
            ranker: self.ranker,
            limit: self.limit,
            offset: self.offset,
            options: self.options,
            output_fields: self.output_fields,
            partitions: self.partitions,
            consistency_level: self.consistency_level,
            rows: PhantomData,
        }
    }

    async fn send(self) -> Result<Vec<Hit<T>>>
    where
        T: DeserializeOwned,
    {
        let (client, collection) = (self.client, self.collection.clone());
        let fields = self.output_fields.clone();
        let work = async {
            let request = self.into_request().await?;
            let answer = client.call_about(&collection, request).await?;
            Ok(hits(answer.results.unwrap_or_default(), &fields)?
                .into_iter()
                .next()
                .unwrap_or_default())
        };
        client.operation("hybrid_search", &collection, work).await
    }

    async fn into_request(self) -> Result<m::HybridSearchRequest> {
        let client = self.client;
        if self.searches.is_empty() {
            return Err(Error::invalid("a hybrid search needs searches"));
        }
        let level = client.level(self.consistency_level);
        let mut requests = Vec::with_capacity(self.searches.len());
        for mut search in self.searches {
            search.partitions.clone_from(&self.partitions);
            search.consistency_level = level;
            requests.push(search.into_request().await?);
        }
        let mut rank_params = vec![
            pair("strategy", self.ranker.strategy),
            pair("params", &self.ranker.params.to_string()),
            pair("limit", &self.limit.to_string()),
            pair("round_decimal", "-1"),
            pair("offset", &self.offset.to_string()),
        ];
        rank_params.extend(self.options);
        Ok(m::HybridSearchRequest {
            db_name: client.database(),
            collection_name: self.collection,
            partition_names: self.partitions,
            requests,
            rank_params,
            guarantee_timestamp: client.guarantee(level),
            output_fields: self.output_fields,
            consistency_level: level.unwrap_or(ConsistencyLevel::Strong).wire().into(),
            use_default_consistency: level.is_none(),
        })
    }
}

impl MilvusClient {
    /// Searches by several vectors, in one field or in several, and ranks their hits together.
    ///
    /// Output fields, partitions and consistency are those of the whole; what the single searches say of them is left
    /// out.
    ///
    /// Milvus 2.4 and later; against a stub only.
    pub fn hybrid_search<'a>(
        &'a self,
        collection: impl Into<String>,
        searches: impl IntoIterator<Item = Search<'a, Row, super::One>>,
        ranker: Ranker,
    ) -> HybridSearch<'a> {
        HybridSearch {
            client: self,
            collection: collection.into(),
            searches: searches.into_iter().collect(),
            ranker,
            limit: 10,
            offset: 0,
            options: Vec::new(),
            output_fields: Vec::new(),
            partitions: Vec::new(),
            consistency_level: None,
            rows: PhantomData,
        }
    }
}
