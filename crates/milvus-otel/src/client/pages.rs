//! Queries and searches of more rows than one answer should have.

use super::data::{Query, into_typed, read_rows};
use super::error::{Error, Result};
use super::rows::Row;
use super::schema::{DataType, Id, pair};
use super::search::{Hit, Search, hits};
use super::shape::Paged;
use super::{CallFuture, MilvusClient};
use crate::proto::milvus as m;
use futures_core::Stream;
use serde::de::DeserializeOwned;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The pages of a query or a search, one after the other.
///
/// It is a stream; [`next`](Self::next) asks for the next page without a stream's traits. A page has at least one row and at most
/// the batch size. Only `None` marks the end: a page that is shorter than the batch size can have others after it.
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
/// let mut pages = client.query_iterator("films").filter("year > 1980").batch_size(500).await?;
/// while let Some(films) = pages.next().await? {
///     println!("{} films", films.len());
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "no page is asked for until it is polled"]
pub struct Pages<P> {
    state: State<P>,
}

enum State<P> {
    Idle(Box<dyn Cursor<P>>),
    Busy(Fetching<P>),
    Done,
}

/// Requests pages, one after the other.
trait Cursor<P>: Send {
    /// The next page, and the cursor for the page after it; `None` after the last page.
    fn fetch(self: Box<Self>) -> Fetching<P>;
}

type Fetching<P> = Pin<Box<dyn Future<Output = Result<Option<(P, Box<dyn Cursor<P>>)>>> + Send>>;

impl<P> Pages<P> {
    fn new(cursor: impl Cursor<P> + 'static) -> Self {
        Self {
            state: State::Idle(Box::new(cursor)),
        }
    }

    /// The next page; `None` after the last one.
    ///
    /// # Errors
    /// The call failed. There are no more pages then.
    pub async fn next(&mut self) -> Result<Option<P>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }
}

impl<P> Stream for Pages<P> {
    type Item = Result<P>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<P>>> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Idle(cursor) => State::Busy(cursor.fetch()),
                State::Busy(mut fetching) => {
                    let Poll::Ready(fetched) = fetching.as_mut().poll(cx) else {
                        self.state = State::Busy(fetching);
                        return Poll::Pending;
                    };
                    return Poll::Ready(fetched.transpose().map(|fetched| {
                        let (page, cursor) = fetched?;
                        self.state = State::Idle(cursor);
                        Ok(page)
                    }));
                }
            };
        }
    }
}

// A page is never pinned.
impl<P> Unpin for Pages<P> {}

impl<P> fmt::Debug for Pages<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

/// The largest page that Milvus gives.
const MAX_BATCH_SIZE: usize = 16_384;

pub(super) fn check_batch_size(size: usize) -> Result<()> {
    if (1..=MAX_BATCH_SIZE).contains(&size) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "a page has 1 to {MAX_BATCH_SIZE} rows, not {size}"
    )))
}

/// Rows in the order of their keys, as of one moment: each page begins after the last key of the one before.
struct QueryCursor<T> {
    client: MilvusClient,
    request: m::QueryRequest,
    filter: String,
    key: String,
    fields: Vec<String>,
    left: u64,
    batch_size: usize,
    rows: PhantomData<fn() -> T>,
}

impl<'a, T: DeserializeOwned + 'static> IntoFuture for Query<'a, T, Paged> {
    type Output = Result<Pages<Vec<T>>>;
    type IntoFuture = CallFuture<'a, Pages<Vec<T>>>;

    fn into_future(self) -> Self::IntoFuture {
        let (client, name, collection) = (self.client, self.name, self.collection.clone());
        Box::pin(async move { client.operation(name, &collection, query_pages(self)).await })
    }
}

/// The pages of `query`.
async fn query_pages<T: DeserializeOwned + 'static>(
    query: Query<'_, T, Paged>,
) -> Result<Pages<Vec<T>>> {
    check_batch_size(query.batch_size)?;
    let client = query.client.clone();
    let collection = query.collection.clone();
    let info = client.describe(&collection).await?;
    let Some(field) = info.schema.primary_field() else {
        return Err(Error::unexpected("the collection has no key"));
    };
    let key = field.name.clone();
    let everything = if field.data_type == DataType::VarChar {
        format!("{key} != \"\"")
    } else {
        format!("{key} < {}", i64::MAX)
    };
    let filter = if query.filter.is_empty() {
        everything
    } else {
        query.filter.clone()
    };
    let (left, batch_size) = (query.limit.unwrap_or(u64::MAX), query.batch_size);
    let fields = query.output_fields.clone();
    let request = query.into_request(filter.clone(), info.id);
    // The answer to a query for one row has the timestamp that all pages are read at.
    let mut first = request.clone();
    set_limit(&mut first.query_params, 1);
    let as_of = client.call_about(&collection, first).await?.session_ts;
    let mut cursor = QueryCursor {
        client,
        request,
        filter,
        key,
        fields,
        left,
        batch_size,
        rows: PhantomData,
    };
    if as_of > 0 {
        cursor.request.guarantee_timestamp = as_of;
    }
    Ok(Pages::new(cursor))
}

fn set_limit(params: &mut [crate::proto::common::KeyValuePair], limit: usize) {
    for param in params.iter_mut().filter(|param| param.key == "limit") {
        param.value = limit.to_string();
    }
}

impl<T: DeserializeOwned + 'static> Cursor<Vec<T>> for QueryCursor<T> {
    fn fetch(mut self: Box<Self>) -> Fetching<Vec<T>> {
        Box::pin(async move {
            let client = self.client.clone();
            let collection = self.request.collection_name.clone();
            let page = client.operation("query_iterator", &collection, self.page());
            let page = page.await?;
            Ok((!page.is_empty()).then_some((page, self as Box<dyn Cursor<Vec<T>>>)))
        })
    }
}

impl<T: DeserializeOwned> QueryCursor<T> {
    async fn page(&mut self) -> Result<Vec<T>> {
        let size =
            usize::try_from(self.left).map_or(self.batch_size, |left| left.min(self.batch_size));
        if size == 0 {
            return Ok(Vec::new());
        }
        let collection = self.request.collection_name.clone();
        let request = self.request.clone();
        let answer = self.client.call_about(&collection, request).await?;
        let mut rows = read_rows(&answer.fields_data, None, &self.fields)?;
        rows.truncate(size);
        if let Some(last) = rows.last() {
            let key = key_of(last, &self.key)?.literal();
            self.request.expr = format!("({}) and {} > {key}", self.filter, self.key);
        }
        self.left -= rows.len() as u64;
        rows.into_iter().map(into_typed).collect()
    }
}

fn key_of(row: &Row, name: &str) -> Result<Id> {
    let key = row.get(name).and_then(|key| {
        let number = key.as_i64().map(Id::Int);
        number.or_else(|| Some(Id::Str(key.as_str()?.to_owned())))
    });
    key.ok_or_else(|| Error::unexpected(format!("a row came without its key `{name}`")))
}

/// Hits from the nearest to the farthest, as of one moment.
struct SearchCursor<T> {
    client: MilvusClient,
    request: m::SearchRequest,
    fields: Vec<String>,
    left: u64,
    rows: PhantomData<fn() -> T>,
}

impl<'a, T: DeserializeOwned + 'static> IntoFuture for Search<'a, T, Paged> {
    type Output = Result<Pages<Vec<Hit<T>>>>;
    type IntoFuture = CallFuture<'a, Pages<Vec<Hit<T>>>>;

    fn into_future(self) -> Self::IntoFuture {
        let (client, name, collection) = (self.client, self.name, self.collection.clone());
        Box::pin(async move {
            client
                .operation(name, &collection, search_pages(self))
                .await
        })
    }
}

/// The pages of `search`.
async fn search_pages<T: DeserializeOwned + 'static>(
    search: Search<'_, T, Paged>,
) -> Result<Pages<Vec<Hit<T>>>> {
    check_batch_size(search.limit)?;
    let client = search.client.clone();
    let (fields, left) = (
        search.output_fields.clone(),
        search.total.unwrap_or(u64::MAX),
    );
    let collection = search.collection.clone();
    let id = client.describe(&collection).await?.id;
    let request = search.into_request_of(id).await?;
    let cursor = SearchCursor {
        client,
        request,
        fields,
        left,
        rows: PhantomData,
    };
    Ok(Pages::new(cursor))
}

impl<T: DeserializeOwned + 'static> Cursor<Vec<Hit<T>>> for SearchCursor<T> {
    fn fetch(mut self: Box<Self>) -> Fetching<Vec<Hit<T>>> {
        Box::pin(async move {
            let client = self.client.clone();
            let collection = self.request.collection_name.clone();
            let page = client.operation("search_iterator", &collection, self.page());
            let page = page.await?;
            Ok((!page.is_empty()).then_some((page, self as Box<dyn Cursor<Vec<Hit<T>>>>)))
        })
    }
}

impl<T: DeserializeOwned> SearchCursor<T> {
    async fn page(&mut self) -> Result<Vec<Hit<T>>> {
        if self.left == 0 {
            return Ok(Vec::new());
        }
        let collection = self.request.collection_name.clone();
        let answer = self
            .client
            .call_about(&collection, self.request.clone())
            .await?;
        let results = answer.results.unwrap_or_default();
        let Some(next) = results
            .search_iterator_v2_results
            .clone()
            .filter(|next| !next.token.is_empty())
        else {
            return Err(Error::unexpected(
                "the server has no search iterators; Milvus 2.5 and later has",
            ));
        };
        if self.request.guarantee_timestamp == 0 {
            self.request.guarantee_timestamp = answer.session_ts;
        }
        let place = [
            ("search_iter_last_bound", next.last_bound.to_string()),
            ("search_iter_id", next.token),
        ];
        let params = &mut self.request.search_params;
        params.retain(|param| place.iter().all(|(key, _)| param.key != *key));
        params.extend(place.iter().map(|(key, value)| pair(key, value)));
        let mut page = hits(results, &self.fields)?
            .into_iter()
            .next()
            .unwrap_or_default();
        page.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= page.len() as u64;
        Ok(page)
    }
}
