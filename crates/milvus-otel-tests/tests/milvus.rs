//! Every method of the client against a real Milvus. `cargo test -p milvus-otel-tests -- --ignored`

use milvus_otel::client::{
    COLLECTION_TTL_SECONDS, CollectionSchema, CompactionState, ConsistencyLevel, DataType,
    ErrorKind, FieldSchema, Id, IndexParams, LoadState, MetricType, Ranker, Retry, Row, Vector,
};
use milvus_otel::layer::Code;
use milvus_otel::{Error, MilvusClient};
use milvus_otel_tests::embedded::Milvus;
use milvus_otel_tests::spans::{Recorder, error, span_context, text};
use opentelemetry::trace::FutureExt;
use opentelemetry_sdk::trace::SpanData;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Film {
    id: i64,
    title: String,
    year: i16,
    rating: f32,
    seen: bool,
    tags: Vec<String>,
    notes: serde_json::Value,
    vector: Vec<f32>,
    color: String,
}

fn film(id: i64) -> Film {
    Film {
        id,
        title: format!("film \"{id}\""),
        year: 1970 + id as i16,
        rating: id as f32 / 7.0,
        seen: id % 2 == 0,
        tags: (0..id % 3).map(|tag| format!("tag {tag}")).collect(),
        notes: json!({ "length": 90 + id }),
        vector: (0..4).map(|axis| ((id * 4 + axis) as f32).sin()).collect(),
        color: ["red", "green", "blue"][id as usize % 3].to_owned(),
    }
}

fn film_schema() -> CollectionSchema {
    CollectionSchema::new()
        .field(FieldSchema::int64("id").primary_key())
        .field(FieldSchema::var_char("title", 100))
        .field(FieldSchema::new("year", DataType::Int16))
        .field(FieldSchema::new("rating", DataType::Float))
        .field(FieldSchema::new("seen", DataType::Bool))
        .field(FieldSchema::array("tags", DataType::VarChar, 8).max_length(20))
        .field(FieldSchema::new("notes", DataType::Json))
        .field(FieldSchema::float_vector("vector", 4))
        .dynamic_fields()
        .description("films")
}

/// Starts a server for `test`, or skips the test.
async fn with_milvus<F: Future<Output = ()>>(
    extra: serde_json::Value,
    test: impl FnOnce(Milvus) -> F,
) {
    match Milvus::start(extra).await {
        Ok(server) => test(server).await,
        Err(why) => test_support::skip(&why),
    }
}

async fn connect(uri: &str, recorder: &Recorder) -> MilvusClient {
    MilvusClient::builder(uri)
        .layer(recorder.layer())
        .connect()
        .await
        .expect("a server is there")
}

#[tokio::test]
#[ignore = "starts Milvus"]
async fn slow_every_method_works_on_a_real_server() {
    with_milvus(json!({}), async |server| {
        let recorder = Recorder::default();
        let client = connect(&server.uri(), &recorder).await;
        collections(&client).await;
        rows(&client).await;
        searches(&client).await;
        binary_vectors(&client).await;
        generated_keys(&client).await;
        string_keys(&client).await;
        partitions(&client).await;
        aliases(&client).await;
        databases(&client).await;
        upkeep(&client).await;
        pages_and_batches(&client).await;
        newer_methods(&client).await;
        raw_calls(&client).await;
        refusals(&client, &recorder).await;
        request_ids(&client, &recorder, &server).await;
        operations(&server.uri()).await;
        client.close();
    })
    .await;
}

async fn collections(client: &MilvusClient) {
    assert!(client.get_server_version().await.unwrap().contains("2.3"));
    assert!(!client.has_collection("films").await.unwrap());
    assert_eq!(
        client.get_load_state("films").await.unwrap(),
        LoadState::NotExist
    );
    client
        .create_collection_with_schema("films", film_schema())
        .await
        .unwrap();
    assert!(client.has_collection("films").await.unwrap());
    assert!(
        client
            .list_collections()
            .await
            .unwrap()
            .contains(&"films".to_owned())
    );
    assert_eq!(client.list_indexes("films").await.unwrap(), []);

    let info = client.describe_collection("films").await.unwrap();
    assert_eq!(
        (info.name.as_str(), info.consistency_level),
        ("films", ConsistencyLevel::Bounded)
    );
    assert_eq!(info.schema, film_schema());

    let index = IndexParams::new("vector")
        .name("near")
        .index_type("IVF_FLAT")
        .metric_type(MetricType::L2)
        .param("nlist", 8);
    client.create_index("films", &index).await.unwrap();
    let indexes = client.list_indexes("films").await.unwrap();
    assert_eq!(
        (indexes[0].name.as_str(), indexes[0].field.as_str()),
        ("near", "vector")
    );
    assert_eq!(indexes[0].params["metric_type"], "L2");

    assert_eq!(
        client.get_load_state("films").await.unwrap(),
        LoadState::NotLoad
    );
    let error = client.wait_for_load("films", PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("isn't being loaded"), "{error}");
    client.load_collection("films").await.unwrap();
    client.wait_for_load("films", PATIENCE).await.unwrap();
    client.release_collection("films").await.unwrap();
    client.drop_index("films", "near").await.unwrap();
    client
        .create_index(
            "films",
            &IndexParams::new("vector").metric_type(MetricType::L2),
        )
        .await
        .unwrap();
    client.load_collection("films").await.unwrap();
    client.wait_for_load("films", PATIENCE).await.unwrap();
}

async fn rows(client: &MilvusClient) {
    let inserted = client.insert("films", (0..20).map(film)).await.unwrap();
    assert_eq!((inserted.count, inserted.ids.len()), (20, 20));
    assert_eq!(inserted.ids[3], Id::Int(3));

    let query = client
        .query("films")
        .filter("id < 5")
        .consistency_level(ConsistencyLevel::Strong);
    let mut films: Vec<Film> = query.output_fields(["*", "color"]).typed().await.unwrap();
    films.sort_by_key(|film| film.id);
    assert_eq!(films, (0..5).map(film).collect::<Vec<_>>());

    let changed = Film {
        title: "changed".to_owned(),
        ..film(2)
    };
    let upserted = client.upsert("films", [&changed]).await.unwrap();
    assert_eq!(upserted.count, 1);
    let get = client
        .get("films", [2, 19])
        .output_fields(["title"])
        .consistency_level(ConsistencyLevel::Session);
    let mut titles: Vec<String> = get
        .await
        .unwrap()
        .into_iter()
        .map(|row| row["title"].to_string())
        .collect();
    titles.sort();
    assert_eq!(titles, ["\"changed\"", r#""film \"19\"""#]);

    let filters = [
        ("color == \"red\"", 7),
        ("year > 1980 and seen == true", 4),
        ("notes[\"length\"] >= 105", 5),
        ("array_contains(tags, \"tag 1\")", 6),
        ("title like \"film%\"", 19),
        ("id in []", 0),
    ];
    for (filter, expected) in filters {
        let found = client
            .query("films")
            .filter(filter)
            .output_fields(["id"])
            .consistency_level(ConsistencyLevel::Strong);
        assert_eq!(found.await.unwrap().len(), expected, "{filter}");
    }
    // A dynamic field is returned by its name; no server returns a part of a JSON field.
    let query = || client.query("films").filter("id == 5");
    let color = query().output_fields(["color"]).await.unwrap();
    assert_eq!(color[0]["color"], "blue");
    assert!(!color[0].contains_key("title"));
    refused(
        query().output_fields(["notes[\"length\"]"]).await,
        65535,
        "parse output field name failed",
    );
    let page = client
        .query("films")
        .filter("id >= 0")
        .output_fields(["id"])
        .limit(3)
        .offset(2)
        .await
        .unwrap();
    assert_eq!(page.len(), 3);
    let counted = client
        .query("films")
        .output_fields(["count(*)"])
        .consistency_level(ConsistencyLevel::Strong);
    assert_eq!(counted.await.unwrap()[0]["count(*)"], 20);

    let deleted = client.delete("films").ids([0, 1]).await.unwrap();
    // This version leaves the keys out.
    assert_eq!((deleted.count, deleted.ids.len()), (2, 0));
    // Milvus counts keys that no row has.
    let missing = client.delete("films").ids([7_000]).await.unwrap();
    assert_eq!(missing.count, 1);
    assert_eq!(
        client
            .delete("films")
            .filter("id in [17]")
            .await
            .unwrap()
            .count,
        1
    );
    let left = client
        .query("films")
        .output_fields(["count(*)"])
        .consistency_level(ConsistencyLevel::Strong);
    assert_eq!(left.await.unwrap()[0]["count(*)"], 17);
    client.flush("films", PATIENCE).await.unwrap();
    assert!(client.get_collection_stats("films").await.unwrap() >= 17);
}

async fn searches(client: &MilvusClient) {
    let near = |id: i64| film(id).vector;
    let search = || {
        client
            .search("films", [near(5)])
            .consistency_level(ConsistencyLevel::Strong)
    };
    let found = search()
        .limit(3)
        .output_fields(["title", "color"])
        .await
        .unwrap();
    assert_eq!(found[0][0].id, Id::Int(5));
    assert!(found[0][0].score.abs() < 1e-6, "{found:?}");
    assert_eq!(found[0][0].fields["title"], film(5).title.as_str());
    assert_eq!(found[0][0].fields["color"], "blue");
    assert!(!found[0][0].fields.contains_key("vector"));

    #[derive(Deserialize)]
    struct Title {
        title: String,
    }
    let both = client
        .search("films", [near(5), near(7)])
        .limit(2)
        .output_fields(["title"])
        .typed::<Title>();
    let both = both
        .consistency_level(ConsistencyLevel::Strong)
        .await
        .unwrap();
    assert_eq!(both.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(both[1][0].fields.title, film(7).title);

    let all = search().limit(17).await.unwrap();
    let page = search().limit(5).offset(3).await.unwrap();
    assert_eq!(page[0].len(), 5);
    assert_eq!(page[0][0].id, all[0][3].id);
    let radius = f64::from(all[0][6].score);
    let within = search().limit(17).radius(radius).await.unwrap();
    assert!(
        !within[0].is_empty() && within[0].len() <= 7,
        "{}",
        within[0].len()
    );
    assert!(within[0].iter().all(|hit| f64::from(hit.score) <= radius));
    let ring = search()
        .limit(17)
        .radius(radius)
        .range_filter(f64::from(all[0][2].score))
        .await
        .unwrap();
    assert!(!ring[0].is_empty() && ring[0].iter().all(|hit| hit.score >= all[0][2].score));

    let red = search()
        .filter("color == \"red\"")
        .limit(17)
        .output_fields(["color"])
        .await
        .unwrap();
    assert!(!red[0].is_empty() && red[0].iter().all(|hit| hit.fields["color"] == "red"));
    assert_eq!(search().filter("id < 0").await.unwrap()[0], []);
    client.drop_collection("films").await.unwrap();
}

async fn binary_vectors(client: &MilvusClient) {
    let schema = CollectionSchema::new()
        .field(FieldSchema::int64("id").primary_key())
        .field(FieldSchema::binary_vector("bits", 16));
    let index = IndexParams::new("bits")
        .index_type("BIN_FLAT")
        .metric_type(MetricType::Hamming);
    client
        .create_collection_with_schema("bits", schema)
        .index(index)
        .await
        .unwrap();
    client.wait_for_load("bits", PATIENCE).await.unwrap();
    let rows = [[0u8, 0], [0, 255], [255, 255]]
        .iter()
        .enumerate()
        .map(|(id, bits)| json!({ "id": id, "bits": bits }));
    client.insert("bits", rows).await.unwrap();
    let search = client
        .search("bits", [Vector::Binary(vec![0, 254])])
        .limit(2)
        .output_fields(["bits"]);
    let found = search
        .consistency_level(ConsistencyLevel::Strong)
        .await
        .unwrap();
    assert_eq!((&found[0][0].id, found[0][0].score), (&Id::Int(1), 1.0));
    assert_eq!(found[0][0].fields["bits"], json!([0, 255]));
    client.drop_collection("bits").await.unwrap();
}

async fn generated_keys(client: &MilvusClient) {
    let schema = CollectionSchema::new()
        .field(FieldSchema::int64("id").primary_key().auto_id())
        .field(FieldSchema::float_vector("vector", 2));
    let index = IndexParams::new("vector").metric_type(MetricType::Ip);
    client
        .create_collection_with_schema("generated", schema)
        .index(index)
        .await
        .unwrap();
    let inserted = client
        .insert(
            "generated",
            [json!({ "vector": [1, 2] }), json!({ "vector": [3, 4] })],
        )
        .await
        .unwrap();
    assert_eq!(inserted.ids.len(), 2);
    let error = client
        .insert("generated", [json!({ "id": 1, "vector": [1, 2] })])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`insert` in `generated`: row 0 has a field `id`, which Milvus itself fills"
    );
    client.drop_collection("generated").await.unwrap();
}

async fn string_keys(client: &MilvusClient) {
    let schema = CollectionSchema::new()
        .field(FieldSchema::var_char("name", 50).primary_key())
        .field(FieldSchema::float_vector("vector", 2));
    let index = IndexParams::new("vector").metric_type(MetricType::Cosine);
    client
        .create_collection_with_schema("named", schema)
        .index(index)
        .await
        .unwrap();
    client.wait_for_load("named", PATIENCE).await.unwrap();
    let odd = r#"a "quoted" \ name"#;
    let inserted = client
        .insert("named", [json!({ "name": odd, "vector": [1, 0] })])
        .await
        .unwrap();
    assert_eq!(inserted.ids, [Id::from(odd)]);
    let got = client
        .get("named", [odd])
        .consistency_level(ConsistencyLevel::Strong)
        .await
        .unwrap();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0]["name"], odd);
    client.delete("named").ids([odd]).await.unwrap();
    let got = client
        .get("named", [odd])
        .consistency_level(ConsistencyLevel::Strong)
        .await
        .unwrap();
    assert_eq!(got, Vec::<Row>::new());
    client.drop_collection("named").await.unwrap();
}

/// Creates a collection of two-dimensional vectors with rows of these keys, and loads it.
async fn small(client: &MilvusClient, name: &str, ids: std::ops::Range<i64>) {
    client.create_collection(name, 2).await.unwrap();
    client.wait_for_load(name, PATIENCE).await.unwrap();
    if !ids.is_empty() {
        let rows = ids.map(|id| json!({ "id": id, "vector": [1, id], "color": "red" }));
        client.insert(name, rows).await.unwrap();
    }
}

/// Asserts that a call failed with Milvus's code and message.
#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: milvus_otel::Result<T>, code: i32, words: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.milvus_code(), Some(code), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

async fn partitions(client: &MilvusClient) {
    small(client, "parted", 0..5).await;
    client.create_partition("parted", "new").await.unwrap();
    assert!(client.has_partition("parted", "new").await.unwrap());
    assert!(!client.has_partition("parted", "other").await.unwrap());
    let names = client.list_partitions("parted").await.unwrap();
    assert_eq!(names, ["_default", "new"]);
    let rows = (10..13).map(|id| json!({ "id": id, "vector": [1, id] }));
    client
        .insert("parted", rows)
        .partition("new")
        .await
        .unwrap();
    let strong = client.with_consistency_level(ConsistencyLevel::Strong);
    let found = strong.search_one("parted", [1.0, 1.0]).partitions(["new"]);
    assert_eq!(found.await.unwrap().len(), 3);
    assert_eq!(strong.query("parted").count().await.unwrap(), 8);
    let default = strong.query("parted").partitions(["_default"]).count();
    assert_eq!(default.await.unwrap(), 5);
    client.flush("parted", PATIENCE).await.unwrap();
    assert_eq!(
        client.get_partition_stats("parted", "new").await.unwrap(),
        3
    );

    client.release_collection("parted").await.unwrap();
    client.load_partitions("parted", &["new"]).await.unwrap();
    client.wait_for_load("parted", PATIENCE).await.unwrap();
    let state = client
        .get_partition_load_state("parted", "new")
        .await
        .unwrap();
    assert_eq!(state, LoadState::Loaded);
    let state = client
        .get_partition_load_state("parted", "_default")
        .await
        .unwrap();
    assert_eq!(state, LoadState::NotLoad);
    assert_eq!(strong.query("parted").count().await.unwrap(), 3);
    refused(
        client.drop_partition("parted", "new").await,
        65535,
        "release",
    );
    client.release_partitions("parted", &["new"]).await.unwrap();
    client.drop_partition("parted", "new").await.unwrap();
    assert!(!client.has_partition("parted", "new").await.unwrap());

    refused(
        client.create_partition("missing", "new").await,
        100,
        "collection not found",
    );
    refused(
        client.load_partitions("parted", &["new"]).await,
        200,
        "partition not found",
    );
    refused(
        client.get_partition_stats("parted", "new").await,
        200,
        "partition not found",
    );
    client.drop_collection("parted").await.unwrap();
}

async fn aliases(client: &MilvusClient) {
    small(client, "first", 0..1).await;
    small(client, "second", 0..2).await;
    client.create_alias("first", "current").await.unwrap();
    let strong = client.with_consistency_level(ConsistencyLevel::Strong);
    assert_eq!(strong.query("current").count().await.unwrap(), 1);
    refused(
        client.create_alias("second", "current").await,
        1602,
        "alias already exist",
    );
    client.alter_alias("second", "current").await.unwrap();
    assert_eq!(strong.query("current").count().await.unwrap(), 2);
    let info = client.describe_collection("current").await.unwrap();
    let second = client.describe_collection("second").await.unwrap();
    assert_eq!(info.id, second.id);
    assert_eq!(info.aliases, ["current"]);
    assert_eq!(client.describe_alias("current").await.unwrap(), "second");
    assert_eq!(client.list_aliases("second").await.unwrap(), ["current"]);
    client.drop_alias("current").await.unwrap();
    // Milvus doesn't tell whether there was one.
    client.drop_alias("current").await.unwrap();
    refused(
        client.describe_alias("current").await,
        1600,
        "alias not found",
    );
    refused(
        client.describe_collection("current").await,
        100,
        "find collection",
    );
    refused(
        client.alter_alias("missing", "current").await,
        100,
        "missing",
    );
    client.drop_collection("first").await.unwrap();
    client.drop_collection("second").await.unwrap();
}

async fn databases(client: &MilvusClient) {
    client.create_database("archive", &[]).await.unwrap();
    let mut names = client.list_databases().await.unwrap();
    names.sort();
    assert_eq!(names, ["archive", "default"]);
    refused(
        client.create_database("archive", &[]).await,
        65535,
        "archive",
    );
    let archive = client.use_database("archive").unwrap();
    small(&archive, "old", 0..2).await;
    assert_eq!(archive.list_collections().await.unwrap(), ["old"]);
    assert!(!client.has_collection("old").await.unwrap());
    let strong = archive.with_consistency_level(ConsistencyLevel::Strong);
    assert_eq!(strong.query("old").count().await.unwrap(), 2);
    refused(client.drop_database("archive").await, 65535, "archive");
    archive.drop_collection("old").await.unwrap();
    client.drop_database("archive").await.unwrap();
    assert_eq!(client.list_databases().await.unwrap(), ["default"]);
    refused(archive.list_collections().await, 800, "database not found");
    let wrong = client.use_database("new\nline").unwrap_err();
    assert!(wrong.to_string().contains("`use_database`:"), "{wrong}");
}

async fn upkeep(client: &MilvusClient) {
    small(client, "before", 0..20).await;
    client.rename_collection("before", "after").await.unwrap();
    assert!(client.has_collection("after").await.unwrap());
    refused(
        client.rename_collection("before", "other").await,
        100,
        "before",
    );
    client.flush_all(PATIENCE).await.unwrap();
    let compaction = client.compact("after").await.unwrap();
    client
        .wait_for_compaction(compaction, PATIENCE)
        .await
        .unwrap();
    let state = client.get_compaction_state(compaction).await.unwrap();
    assert_eq!(state, CompactionState::Completed);
    refused(client.compact("missing").await, 100, "find collection");

    client.refresh_load("after").await.unwrap();
    client.release_collection("after").await.unwrap();
    let ttl = [(COLLECTION_TTL_SECONDS, "3600")];
    client
        .alter_collection_properties("after", &ttl)
        .await
        .unwrap();
    let info = client.describe_collection("after").await.unwrap();
    assert_eq!(info.properties[COLLECTION_TTL_SECONDS], "3600");
    let index = client.list_indexes("after").await.unwrap().remove(0);
    assert_eq!(
        client
            .describe_index("after", &index.name)
            .await
            .unwrap()
            .field,
        "vector"
    );
    refused(
        client.describe_index("after", "none").await,
        700,
        "index not found",
    );
    client.drop_collection("after").await.unwrap();

    let create = client
        .create_collection("expiring", 2)
        .property(COLLECTION_TTL_SECONDS, 60);
    create.await.unwrap();
    let info = client.describe_collection("expiring").await.unwrap();
    assert_eq!(info.properties[COLLECTION_TTL_SECONDS], "60");
    client.drop_collection("expiring").await.unwrap();
}

async fn pages_and_batches(client: &MilvusClient) {
    small(client, "many", 0..0).await;
    let rows = (0..2_500).map(|id| json!({ "id": id, "vector": [1, id] }));
    let written = client
        .insert_batches("many", rows)
        .batch_rows(1_000)
        .await
        .unwrap();
    assert_eq!(written, 2_500);
    let strong = client.with_consistency_level(ConsistencyLevel::Strong);
    assert_eq!(strong.query("many").count().await.unwrap(), 2_500);

    let query = strong
        .query_iterator("many")
        .filter("id >= 100")
        .output_fields(["id"]);
    let mut pages = query.batch_size(1_000).await.unwrap();
    let mut ids = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        assert!(page.len() <= 1_000);
        ids.extend(page.into_iter().map(|row| row["id"].as_i64().unwrap()));
    }
    assert_eq!(ids, (100..2_500).collect::<Vec<_>>());
    let mut pages = strong.query_iterator("many").limit(1_500).await.unwrap();
    let mut lengths = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        lengths.push(page.len());
    }
    assert_eq!(lengths, [1_000, 500]);
    let wrong = client.query_iterator("many").filter("id ===").await;
    refused(wrong, 65535, "cannot parse expression");
    let wrong = client
        .query_iterator("many")
        .batch_size(0)
        .await
        .unwrap_err();
    assert!(matches!(wrong.kind(), ErrorKind::Invalid(_)), "{wrong}");

    let rows = (0..25).map(|id| match id {
        20 => json!({ "id": id, "vector": [1] }),
        _ => json!({ "id": id, "vector": [1, id] }),
    });
    let failed = client
        .insert_batches("many", rows)
        .batch_rows(10)
        .await
        .unwrap_err();
    assert_eq!(failed.rows_before(), 20);
    let expected =
        "`insert_batches` in `many` after 20 rows: row 0, field `vector`: expected a vector of 2";
    assert!(failed.to_string().starts_with(expected), "{failed}");
    client.drop_collection("many").await.unwrap();
}

async fn users(client: &MilvusClient) {
    client.create_user("jo", "a password").await.unwrap();
    let mut names = client.list_users().await.unwrap();
    names.sort();
    assert_eq!(names, ["jo", "root"]);
    client.create_user("jo", "a password").await.unwrap_err();
    client
        .update_password("jo", "a password", "another password")
        .await
        .unwrap();
    client
        .update_password("jo", "wrong", "another password")
        .await
        .unwrap_err();
    client.create_role("reader").await.unwrap();
    client.create_role("reader").await.unwrap_err();
    assert!(
        client
            .list_roles()
            .await
            .unwrap()
            .contains(&"reader".to_owned())
    );
    client.grant_role("jo", "reader").await.unwrap();
    let jo = client.describe_user("jo").await.unwrap().unwrap();
    assert_eq!(
        (jo.name.as_str(), jo.roles),
        ("jo", vec!["reader".to_owned()])
    );
    assert_eq!(client.describe_user("nobody").await.unwrap(), None);
    client
        .grant_privilege("reader", "Collection", "Search", "films")
        .await
        .unwrap();
    let grants = client.describe_role("reader").await.unwrap();
    let found = grants
        .iter()
        .map(|grant| (&*grant.object_type, &*grant.object_name, &*grant.privilege));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [("Collection", "films", "Search")]
    );
    client
        .grant_privilege("reader", "Collection", "Fly", "films")
        .await
        .unwrap_err();
    client.drop_role("reader").await.unwrap_err();
    client
        .revoke_privilege("reader", "Collection", "Search", "films")
        .await
        .unwrap();
    client.revoke_role("jo", "reader").await.unwrap();
    client.drop_role("reader").await.unwrap();
    client.drop_user("jo").await.unwrap();
    assert_eq!(client.list_users().await.unwrap(), ["root"]);
}

/// What 2.3.5 doesn't have is an error that says so, and nothing is sent.
async fn newer_methods(client: &MilvusClient) {
    small(client, "plain", 0..3).await;
    let ttl = [("database.max.collections", "5")];
    let mmap = [("mmap.enabled", "true")];
    let create = async |field: FieldSchema| {
        let schema = film_schema().field(field);
        client.create_collection_with_schema("newer", schema).await
    };
    let near = || client.search_one("plain", [1.0, 1.0]);
    let newer = [
        client.describe_database("default").await.map(drop),
        client.alter_database_properties("default", &ttl).await,
        client.create_database("newer", &ttl).await,
        client.truncate_collection("plain").await,
        client.list_privilege_groups().await.map(drop),
        client
            .grant_privilege_v2("public", "Search", "plain", "*")
            .await,
        client
            .alter_index_properties("plain", "vector", &mmap)
            .await,
        client.search_iterator("plain", [1.0, 1.0]).await.map(drop),
        client
            .hybrid_search("plain", [near()], Ranker::rrf(60))
            .await
            .map(drop),
        near().group_by("id").await.map(drop),
        create(FieldSchema::sparse_vector("words")).await,
        create(FieldSchema::float16_vector("half", 2)).await,
        create(FieldSchema::int64("age").nullable()).await,
        create(FieldSchema::int64("age").default_value(7)).await,
    ];
    for outcome in newer {
        let error = outcome.unwrap_err();
        let is_expected = matches!(error.kind(), ErrorKind::Unsupported(_));
        assert!(is_expected, "{error}");
        let text = error.to_string();
        assert!(text.contains("and the server's version is 2.3.5"), "{text}");
    }
    assert!(!client.has_collection("newer").await.unwrap());

    // The server's own answer to an RPC that it doesn't have.
    let unknown =
        client.raw_call::<CheckHealthResponse>("TruncateCollection", &CheckHealthRequest {});
    assert!(unknown.await.unwrap_err().is_unsupported());

    let wrong = client.search_one("plain", [1.0]).await.unwrap_err();
    let expected = "`search_one` in `plain`: vector 0, field `vector`: expected a vector of dimension 2, found one of 1";
    assert!(wrong.to_string().starts_with(expected), "{wrong}");
    client.drop_collection("plain").await.unwrap();
}

#[derive(Clone, PartialEq, prost::Message)]
struct CheckHealthRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct CheckHealthResponse {
    #[prost(bool, tag = "2")]
    is_healthy: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DescribeAliasRequest {
    #[prost(string, tag = "3")]
    collection_name: String,
}

async fn raw_calls(client: &MilvusClient) {
    let health: CheckHealthResponse = client
        .raw_call("CheckHealth", &CheckHealthRequest {})
        .await
        .unwrap();
    assert!(health.is_healthy);
    let missing = DescribeAliasRequest {
        collection_name: "missing".to_owned(),
    };
    let error = client
        .raw_call::<CheckHealthResponse>("ReleaseCollection", &missing)
        .await
        .unwrap_err();
    assert_eq!(error.milvus_code(), Some(100), "{error}");
    let error = client
        .raw_call::<CheckHealthResponse>("NoSuchMethod", &CheckHealthRequest {})
        .await
        .unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Rpc {
                code: Code::Unimplemented,
                ..
            }
        ),
        "{error}"
    );
}

/// A refusal by Milvus is an error with its code and trace, and its span has the status ERROR.
async fn refusals(client: &MilvusClient, recorder: &Recorder) {
    client.create_collection("refusals", 4).await.unwrap();
    client.wait_for_load("refusals", PATIENCE).await.unwrap();
    // Milvus doesn't check a search in an empty collection, so there is a row.
    let row = json!({ "id": 1, "vector": [1, 2, 3, 4] });
    client.insert("refusals", [row]).await.unwrap();
    client.flush("refusals", PATIENCE).await.unwrap();
    recorder.take();

    let check = |error: Error, method: &str, code: i32, words: &str| {
        let span = recorder
            .take()
            .into_iter()
            .rfind(|span| span.name.ends_with(method))
            .expect("the call has a span");
        let trace_id = span.span_context.trace_id();
        assert_eq!(error.method(), Some(method));
        assert_eq!(error.milvus_code(), Some(code), "{error}");
        assert_eq!(error.trace_id(), Some(trace_id));
        let shown = error.to_string();
        assert!(
            shown.contains(words) && shown.ends_with(&format!(", trace {trace_id}")),
            "{shown}"
        );
        assert_eq!(text(&span, "error.type"), Some(code.to_string()));
        assert_eq!(text(&span, "rpc.grpc.status_code").as_deref(), Some("0"));
        assert!(milvus_otel_tests::spans::error(&span).is_some_and(|words| shown.contains(words)));
    };
    let wrong = client
        .search("refusals", [[1.0, 2.0, 3.0, 4.0]])
        .limit(20_000)
        .await
        .unwrap_err();
    check(wrong, "Search", 65535, "20000");
    let missing = client
        .search("missing", [[1.0, 2.0]])
        .field("vector")
        .await
        .unwrap_err();
    check(missing, "Search", 100, "collection not found");
    let missing = client
        .insert("missing", [json!({ "id": 1 })])
        .await
        .unwrap_err();
    check(missing, "DescribeCollection", 100, "find collection");
    let filter = client.query("refusals").filter("id ===").await.unwrap_err();
    check(filter, "Query", 65535, "cannot parse expression");

    let wrong = client
        .insert("refusals", [json!({ "id": 1, "vector": [1, 2] })])
        .await
        .unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "`insert` in `refusals`: row 0, field `vector`: expected a vector of 4 elements, found one of 2"
    );
    assert!(
        recorder
            .take()
            .iter()
            .all(|span| !span.name.ends_with("Insert")),
        "nothing was sent"
    );
    client.drop_collection("refusals").await.unwrap();
    recorder.take();
}

/// The server's log contains the client's trace id.
async fn request_ids(client: &MilvusClient, recorder: &Recorder, server: &Milvus) {
    let root = recorder.root();
    client
        .has_collection("nothing")
        .with_context(root.clone())
        .await
        .unwrap();
    let trace_id = span_context(&root).trace_id().to_string();
    let logged = || {
        server
            .log()
            .lines()
            .any(|line| line.contains("HasCollection") && line.contains(&trace_id))
    };
    let deadline = std::time::Instant::now() + PATIENCE;
    while !logged() {
        assert!(
            std::time::Instant::now() < deadline,
            "the server never logged the trace {trace_id}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    recorder.take();
}

async fn operations(uri: &str) {
    let recorder = Recorder::default();
    let client = MilvusClient::builder(uri)
        .layer(recorder.layer())
        .operation_spans(true)
        .connect()
        .await
        .unwrap();
    recorder.take();
    client.create_collection("operations", 2).await.unwrap();
    let spans = recorder.take();
    let (operation, rpcs) = spans.split_last().unwrap();
    assert_eq!(operation.name, "create_collection operations");
    assert_eq!(text(operation, "db.system.name").as_deref(), Some("milvus"));
    assert_eq!(
        text(operation, "db.operation.name").as_deref(),
        Some("create_collection")
    );
    assert_eq!(
        text(operation, "db.collection.name").as_deref(),
        Some("operations")
    );
    assert_eq!(text(operation, "db.namespace").as_deref(), Some("default"));
    assert_eq!(rpcs.len(), 3);
    assert!(
        rpcs.iter()
            .all(|rpc| rpc.parent_span_id == operation.span_context.span_id())
    );

    client
        .insert(
            "operations",
            [
                json!({ "id": 1, "vector": [1, 2] }),
                json!({ "id": 2, "vector": [1, 2] }),
            ],
        )
        .await
        .unwrap();
    let insert = recorder.take().pop().unwrap();
    assert_eq!(insert.name, "insert operations");
    assert_eq!(text(&insert, "db.operation.batch.size"), None);

    client
        .search("missing", [[1.0, 2.0]])
        .field("vector")
        .await
        .unwrap_err();
    let search = recorder.take().pop().unwrap();
    assert_eq!(
        text(&search, "db.response.status_code").as_deref(),
        Some("100")
    );
    assert_eq!(text(&search, "error.type").as_deref(), Some("100"));
    assert!(error(&search).is_some_and(|words| words.contains("collection not found")));
    client.drop_collection("operations").await.unwrap();
}

#[tokio::test]
#[ignore = "starts Milvus"]
async fn slow_a_wrong_password_is_refused_and_users_are_managed() {
    with_milvus(
        json!({ "common.security.authorizationEnabled": true }),
        async |server| {
            let recorder = Recorder::default();
            let builder = || {
                MilvusClient::builder(server.uri())
                    .layer(recorder.layer())
                    .retry(Retry::attempts(1))
            };
            let client = builder().user("root", "Milvus").connect().await.unwrap();
            assert_eq!(
                client.list_collections().await.unwrap(),
                Vec::<String>::new()
            );
            users(&client).await;
            recorder.take();
            for builder in [builder().user("root", "wrong"), builder()] {
                let refused = match builder.connect().await {
                    Err(error) => error,
                    Ok(client) => client.list_collections().await.unwrap_err(),
                };
                assert!(
                    matches!(
                        refused.kind(),
                        ErrorKind::Rpc {
                            code: Code::Unauthenticated,
                            ..
                        }
                    ),
                    "{refused}"
                );
                let span = recorder.take().pop().unwrap();
                assert_eq!(text(&span, "rpc.grpc.status_code").as_deref(), Some("16"));
                assert_eq!(
                    text(&span, "error.type").as_deref(),
                    Some("UNAUTHENTICATED")
                );
                assert_eq!(refused.trace_id(), Some(span.span_context.trace_id()));
            }
        },
    )
    .await;
}

#[tokio::test]
#[ignore = "starts Milvus"]
async fn slow_a_client_reports_that_the_server_is_gone_and_recovers_when_it_is_back() {
    with_milvus(json!({}), async |mut server| {
        let recorder = Recorder::default();
        let builder = MilvusClient::builder(server.uri()).layer(recorder.layer());
        let client = builder
            .retry(Retry::attempts(2))
            .timeout(PATIENCE)
            .connect()
            .await
            .unwrap();
        client.create_collection("kept", 2).await.unwrap();
        client.wait_for_load("kept", PATIENCE).await.unwrap();

        // The server is killed during calls. Each call ends with an error.
        let answered = Arc::new(AtomicUsize::new(0));
        let busy: Vec<_> = (0..4)
            .map(|_| {
                let (client, answered) = (client.clone(), Arc::clone(&answered));
                tokio::spawn(async move {
                    loop {
                        if let Err(error) = client.query("kept").filter("id >= 0").await {
                            return error;
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while answered.load(Ordering::Relaxed) < 20 {
            tokio::task::yield_now().await;
        }
        server.kill().await;
        for task in busy {
            let gone = tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
            assert!(
                matches!(
                    gone.kind(),
                    ErrorKind::Rpc {
                        code: Code::Unavailable,
                        ..
                    }
                ),
                "{gone}"
            );
            let trace_id = gone.trace_id().unwrap();
            let is_its = |span: &SpanData| span.span_context.trace_id() == trace_id;
            let span = recorder.spans().into_iter().find(is_its).unwrap();
            assert_eq!(text(&span, "error.type").as_deref(), Some("UNAVAILABLE"));
        }
        recorder.take();

        let gone = client.has_collection("kept").await.unwrap_err();
        assert!(
            matches!(
                gone.kind(),
                ErrorKind::Rpc {
                    code: Code::Unavailable,
                    ..
                }
            ),
            "{gone}"
        );
        assert!(gone.is_retriable());
        let spans = recorder.take();
        assert_eq!(spans.len(), 2, "each try is a span of its own");
        assert!(
            spans
                .iter()
                .all(|span| text(span, "rpc.grpc.status_code").as_deref() == Some("14"))
        );

        server.restart().await;
        assert!(client.has_collection("kept").await.unwrap());
        client.wait_for_load("kept", PATIENCE).await.unwrap();
        client
            .insert("kept", [json!({ "id": 1, "vector": [1, 2] })])
            .await
            .unwrap();
        let found = client
            .search("kept", [[1.0, 2.0]])
            .consistency_level(ConsistencyLevel::Strong)
            .await
            .unwrap();
        assert_eq!(found[0].len(), 1);
    })
    .await;
}
