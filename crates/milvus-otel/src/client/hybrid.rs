//! Searching by several vectors at once, and ranking what they find together.

use super::error::{Error, Result};
use super::rows::Row;
use super::schema::{ConsistencyLevel, pair};
use super::search::{Hit, Search, hits};
use super::{CallFuture, MilvusClient};
use crate::proto::milvus as m;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

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
    searches: Vec<Search<'a, Row, super::One>>,
    ranker: Ranker,
    /// A search without a vector: it has the options of the whole.
    whole: Search<'a, T, super::One>,
}

impl<'a, T: DeserializeOwned + 'a> IntoFuture for HybridSearch<'a, T> {
    type Output = Result<Vec<Hit<T>>>;
    type IntoFuture = CallFuture<'a, Vec<Hit<T>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<'a, T> HybridSearch<'a, T> {
    /// The most hits to return; 10 unless it is set.
    pub fn limit(self, limit: usize) -> Self {
        self.with(|whole| whole.limit(limit))
    }

    /// The number of best hits to skip.
    pub fn offset(self, offset: usize) -> Self {
        self.with(|whole| whole.offset(offset))
    }

    /// Returns only the best hit for each value of `field`.
    pub fn group_by(self, field: &str) -> Self {
        self.with(|whole| whole.group_by(field))
    }

    /// The fields to return with each hit; none unless they are set.
    pub fn output_fields(self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with(|whole| whole.output_fields(fields))
    }

    /// Only rows of these partitions.
    pub fn partitions(self, partitions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with(|whole| whole.partitions(partitions))
    }

    /// How fresh the data must be; as the client says unless it is set, and where that says nothing, as the collection
    /// does.
    pub fn consistency_level(self, level: ConsistencyLevel) -> Self {
        self.with(|whole| whole.consistency_level(level))
    }

    fn with(
        self,
        set: impl FnOnce(Search<'a, T, super::One>) -> Search<'a, T, super::One>,
    ) -> Self {
        Self {
            whole: set(self.whole),
            ..self
        }
    }

    /// Returns the fields of each hit as a value of type `R`.
    pub fn typed<R>(self) -> HybridSearch<'a, R> {
        HybridSearch {
            searches: self.searches,
            ranker: self.ranker,
            whole: self.whole.typed(),
        }
    }

    async fn send(self) -> Result<Vec<Hit<T>>>
    where
        T: DeserializeOwned,
    {
        let (client, collection) = (self.whole.client, self.whole.collection.clone());
        let fields = self.whole.output_fields.clone();
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
        let whole = self.whole;
        if self.searches.is_empty() {
            return Err(Error::invalid("a hybrid search needs searches"));
        }
        let mut requests = Vec::with_capacity(self.searches.len());
        for mut search in self.searches {
            search.partitions.clone_from(&whole.partitions);
            search.consistency_level = whole.consistency_level;
            requests.push(search.into_request().await?);
        }
        let mut rank_params = vec![
            pair("strategy", self.ranker.strategy),
            pair("params", &self.ranker.params.to_string()),
            pair("limit", &whole.limit.to_string()),
            pair("round_decimal", "-1"),
            pair("offset", &whole.offset.to_string()),
        ];
        rank_params.extend(whole.options);
        let level = whole.client.level(whole.consistency_level);
        Ok(m::HybridSearchRequest {
            db_name: whole.client.database(),
            collection_name: whole.collection,
            partition_names: whole.partitions,
            requests,
            rank_params,
            guarantee_timestamp: whole.client.guarantee(level),
            output_fields: whole.output_fields,
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
            searches: searches.into_iter().collect(),
            ranker,
            whole: self.searching("hybrid_search", collection.into(), Vec::new(), 10),
        }
    }
}
