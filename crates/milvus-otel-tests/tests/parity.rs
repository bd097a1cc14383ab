//! The client sends what pymilvus sends, and reads answers as pymilvus does.
//!
//! A stub server records the requests of both. `parity/pymilvus_calls.py` makes the calls with pymilvus, [`call`] makes
//! them with this client. Requests are decoded with that pymilvus's descriptors and compared field by field. Expected
//! differences are in `parity/differences.toml`, each with its reason; one that no longer occurs fails the test.

use base64::Engine;
use milvus_otel::client::{
    COLLECTION_TTL_SECONDS, CollectionSchema, ConsistencyLevel, DataType, FieldSchema, Function,
    Hit, Id, IndexParams, MetricType, Ranker, Vector,
};
use milvus_otel::{MilvusClient, Result};
use milvus_otel_tests::fake::{FakeMilvus, Reply};
use milvus_otel_tests::proto::{common as c, milvus as m, schema as s};
use milvus_otel_tests::pymilvus::{self, VERSIONS};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, Kind, MessageDescriptor, ReflectMessage, SerializeOptions,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Names of methods and their requests.
type Requests = Vec<(String, Vec<u8>)>;

/// The requests of each call.
type Recorded = BTreeMap<String, Requests>;

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<(String, Recorded)>>);

impl Recorder {
    async fn start(&self) -> FakeMilvus {
        let recorder = self.clone();
        FakeMilvus::start(move |method, message| {
            let mut recorded = recorder.0.lock().unwrap();
            if method == "Begin" {
                recorded.0 = String::from_utf8(message.to_vec()).unwrap();
                return Reply::Message(Vec::new());
            }
            let call = recorded.0.clone();
            let requests = recorded.1.entry(call).or_default();
            requests.push((method.to_owned(), message.to_vec()));
            answer(method, &message)
        })
        .await
    }

    fn begin(&self, call: &str) {
        self.0.lock().unwrap().0 = call.to_owned();
    }

    fn take(&self) -> Recorded {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

/// The stub's response to either client.
fn answer(method: &str, message: &[u8]) -> Reply {
    match method {
        "Connect" => m::ConnectResponse {
            server_info: Some(c::ServerInfo {
                build_tags: "v2.6.11".to_owned(),
                ..Default::default()
            }),
            identifier: 7,
            ..Default::default()
        }
        .into(),
        "GetVersion" => m::GetVersionResponse {
            version: "v2.6.0".to_owned(),
            ..Default::default()
        }
        .into(),
        "HasCollection" | "HasPartition" => m::BoolResponse {
            value: true,
            ..Default::default()
        }
        .into(),
        "DescribeCollection" => described(
            &m::DescribeCollectionRequest::decode(message)
                .unwrap()
                .collection_name,
        ),
        "ShowCollections" => m::ShowCollectionsResponse {
            collection_names: strings(["rows", "typed"]),
            ..Default::default()
        }
        .into(),
        "ShowPartitions" => m::ShowPartitionsResponse {
            partition_names: strings(["_default", "new"]),
            ..Default::default()
        }
        .into(),
        "GetLoadState" => m::GetLoadStateResponse {
            state: c::LoadState::Loaded.into(),
            ..Default::default()
        }
        .into(),
        // The collection is loaded: `progress` (2) and `refresh_progress` (3) are 100. Our messages don't have these fields.
        "GetLoadingProgress" => Reply::Message(vec![2 << 3, 100, 3 << 3, 100]),
        "GetCollectionStatistics" | "GetPartitionStatistics" => {
            m::GetCollectionStatisticsResponse {
                stats: vec![pair("row_count", "42")],
                ..Default::default()
            }
            .into()
        }
        "DescribeIndex" => m::DescribeIndexResponse {
            index_descriptions: vec![m::IndexDescription {
                index_name: "near".to_owned(),
                field_name: "vector".to_owned(),
                params: vec![pair("index_type", "HNSW"), pair("metric_type", "L2")],
                state: c::IndexState::Finished.into(),
                ..Default::default()
            }],
            ..Default::default()
        }
        .into(),
        "Insert" | "Upsert" | "Delete" => m::MutationResult {
            // If a deletion returns keys, pymilvus returns these instead of the count.
            ids: ids([1]).filter(|_| method != "Delete"),
            insert_cnt: 1,
            delete_cnt: 2,
            upsert_cnt: 1,
            timestamp: 0,
            ..Default::default()
        }
        .into(),
        "Query" => queried(&m::QueryRequest::decode(message).unwrap()),
        "Search" => {
            let request = m::SearchRequest::decode(message).unwrap();
            let is_last_page = request
                .search_params
                .iter()
                .any(|param| param.key == "search_iter_id");
            let hits = if is_last_page { 0 } else { 2 };
            found(request.nq, hits, &request.output_fields)
        }
        "HybridSearch" => found(
            1,
            2,
            &m::HybridSearchRequest::decode(message)
                .unwrap()
                .output_fields,
        ),
        "Flush" => m::FlushResponse {
            coll_seg_ids: [("rows".to_owned(), s::LongArray { data: vec![5] })].into(),
            coll_flush_ts: [("rows".to_owned(), 9)].into(),
            ..Default::default()
        }
        .into(),
        "GetFlushState" | "GetFlushAllState" => m::GetFlushStateResponse {
            flushed: true,
            ..Default::default()
        }
        .into(),
        "FlushAll" => m::FlushAllResponse {
            flush_all_ts: 9,
            ..Default::default()
        }
        .into(),
        "ManualCompaction" => m::ManualCompactionResponse {
            compaction_id: 77,
            ..Default::default()
        }
        .into(),
        "GetCompactionState" => m::GetCompactionStateResponse {
            state: c::CompactionState::Completed.into(),
            ..Default::default()
        }
        .into(),
        "DescribeAlias" => m::DescribeAliasResponse {
            alias: "other".to_owned(),
            collection: "rows".to_owned(),
            ..Default::default()
        }
        .into(),
        "ListAliases" => m::ListAliasesResponse {
            aliases: strings(["other"]),
            ..Default::default()
        }
        .into(),
        "ListDatabases" => m::ListDatabasesResponse {
            db_names: strings(["default", "films"]),
            ..Default::default()
        }
        .into(),
        "DescribeDatabase" => m::DescribeDatabaseResponse {
            db_name: "films".to_owned(),
            properties: vec![pair("database.max.collections", "5")],
            ..Default::default()
        }
        .into(),
        "ListCredUsers" => m::ListCredUsersResponse {
            usernames: strings(["root", "jo"]),
            ..Default::default()
        }
        .into(),
        "SelectUser" => m::SelectUserResponse {
            results: vec![m::UserResult {
                user: Some(m::UserEntity {
                    name: "jo".to_owned(),
                }),
                roles: vec![role("reader"), role("writer")],
            }],
            ..Default::default()
        }
        .into(),
        "SelectRole" => m::SelectRoleResponse {
            results: ["admin", "reader"]
                .map(|name| m::RoleResult {
                    role: Some(role(name)),
                    ..Default::default()
                })
                .into(),
            ..Default::default()
        }
        .into(),
        "SelectGrant" => m::SelectGrantResponse {
            entities: vec![m::GrantEntity {
                role: Some(role("reader")),
                object: Some(m::ObjectEntity {
                    name: "Collection".to_owned(),
                }),
                object_name: "rows".to_owned(),
                grantor: Some(m::GrantorEntity {
                    user: Some(m::UserEntity {
                        name: "root".to_owned(),
                    }),
                    privilege: Some(m::PrivilegeEntity {
                        name: "Search".to_owned(),
                    }),
                }),
                db_name: "default".to_owned(),
            }],
            ..Default::default()
        }
        .into(),
        "ListPrivilegeGroups" => m::ListPrivilegeGroupsResponse {
            privilege_groups: vec![m::PrivilegeGroupInfo {
                group_name: "editing".to_owned(),
                privileges: vec![m::PrivilegeEntity {
                    name: "Insert".to_owned(),
                }],
            }],
            ..Default::default()
        }
        .into(),
        _ => c::Status::default().into(),
    }
}

fn strings<const N: usize>(list: [&str; N]) -> Vec<String> {
    list.map(str::to_owned).into()
}

fn pair(key: &str, value: &str) -> c::KeyValuePair {
    c::KeyValuePair {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

fn role(name: &str) -> m::RoleEntity {
    m::RoleEntity {
        name: name.to_owned(),
    }
}

fn ids(ids: impl Into<Vec<i64>>) -> Option<s::IDs> {
    let data = ids.into();
    Some(s::IDs {
        values: Some(s::i_ds::Values::Ints(s::LongArray { data })),
    })
}

/// The collections: `text` has a string key, `typed` has a field of every type, all others have two fields.
fn described(collection: &str) -> Reply {
    let field = |number, name: &str, data_type, dimension: &str| s::FieldSchema {
        field_id: number,
        name: name.to_owned(),
        is_primary_key: name == "id",
        data_type: i32::from(data_type),
        type_params: match dimension {
            "" => Vec::new(),
            dimension => vec![pair("dim", dimension)],
        },
        ..Default::default()
    };
    let mut fields = vec![
        field(100, "id", s::DataType::Int64, ""),
        field(101, "vector", s::DataType::FloatVector, "2"),
    ];
    match collection {
        "text" => {
            fields = vec![
                field(100, "id", s::DataType::VarChar, ""),
                field(101, "keywords", s::DataType::SparseFloatVector, ""),
            ];
        }
        "typed" => fields.extend([
            field(102, "flag", s::DataType::Bool, ""),
            field(103, "tiny", s::DataType::Int8, ""),
            s::FieldSchema {
                nullable: true,
                ..field(104, "small", s::DataType::Int16, "")
            },
            s::FieldSchema {
                default_value: Some(s::ValueField {
                    data: Some(s::value_field::Data::Int(7)),
                }),
                ..field(105, "middle", s::DataType::Int32, "")
            },
            field(106, "ratio", s::DataType::Float, ""),
            field(107, "exact", s::DataType::Double, ""),
            field(108, "title", s::DataType::VarChar, ""),
            field(109, "notes", s::DataType::Json, ""),
            s::FieldSchema {
                element_type: s::DataType::VarChar.into(),
                ..field(110, "tags", s::DataType::Array, "")
            },
            field(111, "bits", s::DataType::BinaryVector, "16"),
            field(112, "half", s::DataType::Float16Vector, "2"),
            field(113, "brain", s::DataType::BFloat16Vector, "2"),
            field(114, "sparse", s::DataType::SparseFloatVector, ""),
        ]),
        _ => {}
    }
    m::DescribeCollectionResponse {
        collection_name: collection.to_owned(),
        collection_id: 33,
        shards_num: 1,
        aliases: strings(["other"]),
        consistency_level: c::ConsistencyLevel::Bounded.into(),
        schema: Some(s::CollectionSchema {
            name: collection.to_owned(),
            fields,
            enable_dynamic_field: true,
            ..Default::default()
        }),
        ..Default::default()
    }
    .into()
}

fn scalar(name: &str, data_type: s::DataType, data: s::scalar_field::Data) -> s::FieldData {
    s::FieldData {
        r#type: data_type.into(),
        field_name: name.to_owned(),
        field: Some(s::field_data::Field::Scalars(s::ScalarField {
            data: Some(data),
        })),
        ..Default::default()
    }
}

fn longs(name: &str, data: &[i64]) -> s::FieldData {
    let data = data.to_vec();
    scalar(
        name,
        s::DataType::Int64,
        s::scalar_field::Data::Longs(s::LongArray { data }),
    )
}

fn vectors(
    name: &str,
    data_type: s::DataType,
    dim: i64,
    data: s::vector_field::Data,
) -> s::FieldData {
    s::FieldData {
        r#type: data_type.into(),
        field_name: name.to_owned(),
        field: Some(s::field_data::Field::Vectors(s::VectorField {
            dim,
            data: Some(data),
        })),
        ..Default::default()
    }
}

/// Two rows, with columns of every type if all fields are requested.
fn queried(request: &m::QueryRequest) -> Reply {
    use s::scalar_field::Data;
    use s::vector_field::Data as Vectors;
    let keys = match request.collection_name.as_str() {
        _ if request.expr.contains("id > 2") => longs("id", &[]),
        "counted" => longs("count(*)", &[42]),
        "text" => scalar(
            "id",
            s::DataType::VarChar,
            Data::Strings(s::StringArray {
                data: strings(["a \"b\""]),
            }),
        ),
        _ => longs("id", &[1, 2]),
    };
    let floats = Vectors::Floats(s::FloatArray {
        data: vec![0.5, 0.25, 0.25, 0.5],
    });
    let vector = vectors("vector", s::DataType::FloatVector, 2, floats);
    let mut fields_data = vec![keys];
    match &request.output_fields.join(" ")[..] {
        "id vector" => fields_data.push(vector),
        "id color" | "id $meta[\"color\"]" => fields_data.push(colors(2)),
        "*" => fields_data.extend([
            vector,
            scalar(
                "flag",
                s::DataType::Bool,
                Data::Bools(s::BoolArray {
                    data: vec![true, false],
                }),
            ),
            scalar(
                "tiny",
                s::DataType::Int8,
                Data::Ints(s::IntArray { data: vec![-3, 3] }),
            ),
            s::FieldData {
                valid_data: vec![true, false],
                ..scalar(
                    "small",
                    s::DataType::Int16,
                    Data::Ints(s::IntArray { data: vec![300, 0] }),
                )
            },
            scalar(
                "ratio",
                s::DataType::Float,
                Data::Floats(s::FloatArray {
                    data: vec![0.5, 0.25],
                }),
            ),
            scalar(
                "exact",
                s::DataType::Double,
                Data::Doubles(s::DoubleArray {
                    data: vec![0.1, 1e300],
                }),
            ),
            scalar(
                "title",
                s::DataType::VarChar,
                Data::Strings(s::StringArray {
                    data: strings(["one", "zwölf"]),
                }),
            ),
            scalar(
                "notes",
                s::DataType::Json,
                Data::Json(s::BytesArray {
                    data: vec![r#"{"length":90}"#.into(), "[1,null]".into()],
                }),
            ),
            scalar(
                "tags",
                s::DataType::Array,
                Data::Arrays(s::ArrayArray {
                    data: [&["a", "b"][..], &[]]
                        .map(|tags| s::ScalarField {
                            data: Some(Data::Strings(s::StringArray {
                                data: tags.iter().map(ToString::to_string).collect(),
                            })),
                        })
                        .into(),
                    element_type: s::DataType::VarChar.into(),
                }),
            ),
            vectors(
                "bits",
                s::DataType::BinaryVector,
                16,
                Vectors::Binary(vec![1, 128, 255, 0].into()),
            ),
            vectors(
                "half",
                s::DataType::Float16Vector,
                2,
                Vectors::Float16(vec![0, 0x38, 0, 0x34, 0, 0xb8, 1, 0].into()),
            ),
            vectors(
                "brain",
                s::DataType::BFloat16Vector,
                2,
                Vectors::Bfloat16(vec![0, 0x3f, 0x80, 0x3e, 0, 0xbf, 1, 0].into()),
            ),
            vectors(
                "sparse",
                s::DataType::SparseFloatVector,
                70_001,
                Vectors::Sparse(s::SparseFloatArray {
                    contents: vec![
                        sparse_bytes(&[(3, 0.5), (70_000, 0.25)]).into(),
                        sparse_bytes(&[(0, 1.0)]).into(),
                    ],
                    dim: 70_001,
                }),
            ),
        ]),
        _ => {}
    }
    m::QueryResults {
        fields_data,
        output_fields: request.output_fields.clone(),
        session_ts: 500,
        ..Default::default()
    }
    .into()
}

fn sparse_bytes(numbers: &[(u32, f32)]) -> Vec<u8> {
    let pair = |(index, number): &(u32, f32)| [index.to_le_bytes(), number.to_le_bytes()];
    numbers.iter().flat_map(pair).flatten().collect()
}

/// This many hits for each query.
fn found(queries: i64, hits: i64, output_fields: &[String]) -> Reply {
    let count = usize::try_from(queries).unwrap();
    let total = usize::try_from(queries * hits).unwrap();
    let mut fields_data = Vec::new();
    if output_fields.iter().any(|field| field == "color") {
        fields_data.push(colors(total));
    }
    m::SearchResults {
        session_ts: 500,
        results: Some(s::SearchResultData {
            num_queries: queries,
            top_k: hits,
            fields_data,
            scores: [0.5, 0.25].into_iter().cycle().take(total).collect(),
            ids: ids((0..queries * hits).collect::<Vec<_>>()),
            topks: vec![hits; count],
            output_fields: output_fields.to_vec(),
            search_iterator_v2_results: Some(s::SearchIteratorV2Results {
                token: "token".to_owned(),
                last_bound: 0.25,
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
    .into()
}

/// A dynamic column.
fn colors(rows: usize) -> s::FieldData {
    let rows = (0..rows).map(|row| json!({ "color": if row % 2 == 0 { "red" } else { "blue" } }));
    let data = rows.map(|row| row.to_string().into()).collect();
    let json = s::scalar_field::Data::Json(s::BytesArray { data });
    s::FieldData {
        is_dynamic: true,
        ..scalar("$meta", s::DataType::Json, json)
    }
}

fn every_type() -> CollectionSchema {
    CollectionSchema::new()
        .description("all types")
        .dynamic_fields()
        .field(FieldSchema::int64("id").primary_key())
        .field(FieldSchema::new("flag", DataType::Bool))
        .field(FieldSchema::new("tiny", DataType::Int8))
        .field(FieldSchema::new("small", DataType::Int16).nullable())
        .field(FieldSchema::new("middle", DataType::Int32).default_value(7))
        .field(FieldSchema::new("ratio", DataType::Float))
        .field(FieldSchema::new("exact", DataType::Double))
        .field(FieldSchema::var_char("title", 100).partition_key())
        .field(FieldSchema::new("notes", DataType::Json))
        .field(FieldSchema::array("tags", DataType::VarChar, 4).max_length(20))
        .field(FieldSchema::float_vector("vector", 2))
        .field(FieldSchema::binary_vector("bits", 16))
        .field(FieldSchema::float16_vector("half", 2))
        .field(FieldSchema::bfloat16_vector("brain", 2))
        .field(FieldSchema::sparse_vector("sparse"))
}

fn full_text() -> CollectionSchema {
    CollectionSchema::new()
        .field(FieldSchema::var_char("id", 64).primary_key())
        .field(FieldSchema::var_char("text", 1000).param("enable_analyzer", true))
        .field(FieldSchema::sparse_vector("keywords"))
        .function(Function::bm25("of_text", "text", "keywords"))
}

fn hits(lists: Vec<Vec<Hit>>) -> Value {
    let id = |id: Id| match id {
        Id::Int(id) => Value::from(id),
        Id::Str(id) => Value::from(id),
    };
    let hit = |hit: Hit| json!({ "id": id(hit.id), "score": hit.score, "fields": hit.fields });
    let list = |list: Vec<Hit>| list.into_iter().map(hit).collect::<Value>();
    lists.into_iter().map(list).collect()
}

/// Makes a call with this client and returns its result as `pymilvus_calls.py` prints it, or `None` for an unknown call.
async fn call(name: &str, client: &MilvusClient, uri: &str) -> Result<Option<Value>> {
    let vector = [0.5, 0.25];
    let row = || [json!({ "id": 1, "vector": [0.5, 0.25] })];
    let search = || client.search("rows", [vector]).field("vector");
    let typed = |field: &str, vector: Vector| client.search("typed", [vector]).field(field);
    let done = |(): ()| Value::Null;
    Ok(Some(match name {
        "connect" => {
            let builder = MilvusClient::builder(uri)
                .user("jo", "secret")
                .database("films");
            builder.connect().await?.close();
            Value::Null
        }
        "get_server_version" => client.get_server_version().await?.into(),
        "has_collection" => client.has_collection("rows").await?.into(),
        "list_collections" => json!(client.list_collections().await?),
        "describe_collection" => {
            let info = client.describe_collection("rows").await?;
            json!({
                "collection_name": info.name,
                "collection_id": info.id,
                "num_shards": info.shards,
                "aliases": info.aliases,
                "enable_dynamic_field": info.schema.dynamic_fields,
            })
        }
        "create_collection" => done(client.create_collection("quick", 4).await?),
        "create_collection_ip" => {
            let create = client
                .create_collection("quick", 4)
                .metric_type(MetricType::Ip);
            done(create.consistency_level(ConsistencyLevel::Strong).await?)
        }
        "create_collection_with_every_type" => {
            let create = client.create_collection_with_schema("typed", every_type());
            let create = create
                .shards(2)
                .partitions(8)
                .property(COLLECTION_TTL_SECONDS, 60);
            done(create.consistency_level(ConsistencyLevel::Session).await?)
        }
        "create_collection_with_function" => done(
            client
                .create_collection_with_schema("text", full_text())
                .await?,
        ),
        "drop_collection" => done(client.drop_collection("rows").await?),
        "rename_collection" => done(client.rename_collection("rows", "lines").await?),
        "alter_collection_properties" => {
            let ttl = [(COLLECTION_TTL_SECONDS, "60")];
            done(client.alter_collection_properties("rows", &ttl).await?)
        }
        "drop_collection_properties" => {
            let keys = [COLLECTION_TTL_SECONDS];
            done(client.drop_collection_properties("rows", &keys).await?)
        }
        "alter_collection_field" => {
            let length = [("max_length", "200")];
            done(
                client
                    .alter_collection_field("rows", "title", &length)
                    .await?,
            )
        }
        "add_collection_field" => {
            let year = FieldSchema::new("year", DataType::Int16).nullable();
            done(client.add_collection_field("rows", year).await?)
        }
        "truncate_collection" => done(client.truncate_collection("rows").await?),
        "get_collection_stats" => client.get_collection_stats("rows").await?.into(),
        "load_collection" => {
            client.load_collection("rows").await?;
            done(client.wait_for_load("rows", PATIENCE).await?)
        }
        "release_collection" => done(client.release_collection("rows").await?),
        "get_load_state" => format!("{:?}", client.get_load_state("rows").await?).into(),
        "refresh_load" => done(client.refresh_load("rows").await?),
        "flush" => done(client.flush("rows", PATIENCE).await?),
        "flush_all" => done(client.flush_all(PATIENCE).await?),
        "compact" => client.compact("rows").await?.into(),
        "get_compaction_state" => format!("{:?}", client.get_compaction_state(77).await?).into(),
        "create_index" => {
            let index = IndexParams::new("vector").name("near").index_type("HNSW");
            let index = index.metric_type(MetricType::L2).param("M", 16);
            done(client.create_index("rows", &index).await?)
        }
        "list_indexes" => {
            let indexes = client.list_indexes("rows").await?;
            indexes.into_iter().map(|index| index.name).collect()
        }
        "describe_index" => {
            let index = client.describe_index("rows", "near").await?;
            json!({
                "index_name": index.name,
                "field_name": index.field,
                "metric_type": index.params["metric_type"],
            })
        }
        "drop_index" => done(client.drop_index("rows", "near").await?),
        "alter_index_properties" => {
            let mmap = [("mmap.enabled", "True")];
            done(client.alter_index_properties("rows", "near", &mmap).await?)
        }
        "drop_index_properties" => done(
            client
                .drop_index_properties("rows", "near", &["mmap.enabled"])
                .await?,
        ),
        "insert" => {
            let row = [json!({ "id": 1, "vector": [0.5, 0.25], "color": "red" })];
            client.insert("rows", row).await?.count.into()
        }
        "insert_into_partition" => client
            .insert("rows", row())
            .partition("new")
            .await?
            .count
            .into(),
        "insert_every_type" => {
            let row = json!({
                "id": 1, "flag": true, "tiny": -3, "ratio": 0.5, "exact": 0.1, "title": "one",
                "notes": { "length": 90 }, "tags": ["a", "b"], "vector": [0.5, 0.25], "bits": [1, 128],
                "half": [0.5, 0.25], "brain": [0.5, 0.25], "sparse": { "3": 0.5, "70000": 0.25 }, "color": "red",
            });
            client.insert("typed", [row]).await?.count.into()
        }
        "upsert" => client.upsert("rows", row()).await?.count.into(),
        "delete_ids" => client.delete("rows").ids([1, 2]).await?.count.into(),
        "delete_filter" => client
            .delete("rows")
            .filter("id > 5")
            .partition("new")
            .await?
            .count
            .into(),
        "query" => json!(
            client
                .query("rows")
                .filter("id > 0")
                .output_fields(["id", "vector"])
                .await?
        ),
        "query_page" => {
            let query = client.query("rows").filter("id > 0").output_fields(["id"]);
            let query = query.limit(3).offset(2).partitions(["new"]);
            json!(query.consistency_level(ConsistencyLevel::Strong).await?)
        }
        "query_every_type" => json!(client.query("typed").filter("id > 0").await?),
        "query_dynamic" | "query_path" => {
            let color = if name == "query_path" {
                "$meta[\"color\"]"
            } else {
                "color"
            };
            let query = client.query("rows").filter("id > 0");
            json!(query.output_fields(["id", color]).await?)
        }
        "get" => json!(client.get("rows", [1, 2]).output_fields(["id"]).await?),
        "get_by_text" => json!(
            client
                .get("text", ["a \"b\""])
                .output_fields(["id"])
                .await?
        ),
        "count" => client.query("counted").count().await?.into(),
        "query_iterator" => {
            let query = client
                .query_iterator("rows")
                .filter("id > 0")
                .output_fields(["id"]);
            let mut pages = query.batch_size(2).await?;
            let mut found = Vec::new();
            while let Some(page) = pages.next().await? {
                found.push(json!(page));
            }
            found.into()
        }
        "search" => hits(search().await?),
        "search_two" => {
            let both = client.search("rows", [vector, [0.25, 0.5]]).field("vector");
            hits(both.limit(3).await?)
        }
        "search_options" => {
            let search = search()
                .limit(3)
                .filter("color == \"red\"")
                .output_fields(["color"]);
            let search = search
                .partitions(["new"])
                .metric_type(MetricType::L2)
                .param("nprobe", 16);
            hits(
                search
                    .offset(2)
                    .consistency_level(ConsistencyLevel::Bounded)
                    .await?,
            )
        }
        "search_range" => hits(search().radius(1.5).range_filter(0.5).await?),
        "search_group_by" => {
            let search = search().group_by("color").group_size(2);
            hits(search.strict_group_size(true).await?)
        }
        "search_sparse" => {
            let vector = BTreeMap::from([(3, 0.5), (70_000, 0.25)]).into();
            hits(typed("sparse", vector).await?)
        }
        "search_binary" => hits(typed("bits", vec![1u8, 128].into()).await?),
        "search_float16" => hits(typed("half", Vector::Float16(vec![0.5, 0.25])).await?),
        "search_text" => hits(
            client
                .search("text", ["red films"])
                .field("keywords")
                .await?,
        ),
        "search_iterator" => {
            let search = client.search_iterator("rows", vector).field("vector");
            let mut pages = search.batch_size(2).output_fields(["color"]).await?;
            let mut found = Vec::new();
            while let Some(page) = pages.next().await? {
                found.push(page);
            }
            hits(found)
        }
        "hybrid_search_rrf" => {
            let first = client.search_one("rows", vector).field("vector").limit(20);
            let second = client
                .search_one("rows", [0.25, 0.5])
                .field("vector")
                .limit(5);
            let second = second
                .metric_type(MetricType::L2)
                .param("ef", 64)
                .filter("id > 0");
            let search = client.hybrid_search("rows", [first, second], Ranker::rrf(60));
            hits(vec![search.limit(3).output_fields(["color"]).await?])
        }
        "hybrid_search_weighted" => {
            let one =
                |vector: [f32; 2]| client.search_one("rows", vector).field("vector").limit(20);
            let searches = [one(vector), one([0.25, 0.5])];
            let search = client.hybrid_search("rows", searches, Ranker::weighted([0.25, 0.75]));
            let search = search.limit(3).partitions(["new"]);
            hits(vec![
                search.consistency_level(ConsistencyLevel::Strong).await?,
            ])
        }
        "create_partition" => done(client.create_partition("rows", "new").await?),
        "drop_partition" => done(client.drop_partition("rows", "new").await?),
        "has_partition" => client.has_partition("rows", "new").await?.into(),
        "list_partitions" => json!(client.list_partitions("rows").await?),
        "load_partitions" => done(client.load_partitions("rows", &["new"]).await?),
        "release_partitions" => done(client.release_partitions("rows", &["new"]).await?),
        "get_partition_load_state" => format!(
            "{:?}",
            client.get_partition_load_state("rows", "new").await?
        )
        .into(),
        "get_partition_stats" => client.get_partition_stats("rows", "new").await?.into(),
        "create_alias" => done(client.create_alias("rows", "other").await?),
        "drop_alias" => done(client.drop_alias("other").await?),
        "alter_alias" => done(client.alter_alias("rows", "other").await?),
        "describe_alias" => client.describe_alias("other").await?.into(),
        "list_aliases" => json!(client.list_aliases("rows").await?),
        "create_database" => done(client.create_database("films", &[]).await?),
        "create_database_with_properties" => {
            let most = [("database.max.collections", "5")];
            done(client.create_database("films", &most).await?)
        }
        "drop_database" => done(client.drop_database("films").await?),
        "list_databases" => json!(client.list_databases().await?),
        "describe_database" => client.describe_database("films").await?.name.into(),
        "alter_database_properties" => {
            let most = [("database.max.collections", "5")];
            done(client.alter_database_properties("films", &most).await?)
        }
        "drop_database_properties" => {
            let keys = ["database.max.collections"];
            done(client.drop_database_properties("films", &keys).await?)
        }
        "create_user" => done(client.create_user("jo", "a password").await?),
        "update_password" => done(
            client
                .update_password("jo", "a password", "another")
                .await?,
        ),
        "drop_user" => done(client.drop_user("jo").await?),
        "list_users" => json!(client.list_users().await?),
        "describe_user" => {
            let user = client.describe_user("jo").await?.unwrap();
            json!([user.name, user.roles])
        }
        "create_role" => done(client.create_role("reader").await?),
        "drop_role" => done(client.drop_role("reader").await?),
        "list_roles" => json!(client.list_roles().await?),
        "describe_role" => {
            let grants = client.describe_role("reader").await?.into_iter();
            let parts = grants.map(|grant| {
                [
                    grant.object_type,
                    grant.object_name,
                    grant.privilege,
                    grant.database,
                    grant.grantor,
                ]
            });
            json!(parts.collect::<Vec<_>>())
        }
        "grant_role" => done(client.grant_role("jo", "reader").await?),
        "revoke_role" => done(client.revoke_role("jo", "reader").await?),
        "grant_privilege" => done(
            client
                .grant_privilege("reader", "Collection", "Search", "rows")
                .await?,
        ),
        "revoke_privilege" => done(
            client
                .revoke_privilege("reader", "Collection", "Search", "rows")
                .await?,
        ),
        "grant_privilege_v2" => done(
            client
                .grant_privilege_v2("reader", "Search", "rows", "default")
                .await?,
        ),
        "revoke_privilege_v2" => done(
            client
                .revoke_privilege_v2("reader", "Search", "rows", "default")
                .await?,
        ),
        "create_privilege_group" => done(client.create_privilege_group("editing").await?),
        "drop_privilege_group" => done(client.drop_privilege_group("editing").await?),
        "list_privilege_groups" => {
            let groups = client.list_privilege_groups().await?.into_iter();
            json!(
                groups
                    .map(|group| json!([group.name, group.privileges]))
                    .collect::<Vec<_>>()
            )
        }
        "add_privileges_to_group" => done(
            client
                .add_privileges_to_group("editing", &["Insert", "Delete"])
                .await?,
        ),
        "remove_privileges_from_group" => done(
            client
                .remove_privileges_from_group("editing", &["Delete"])
                .await?,
        ),
        "use_database" => json!(client.use_database("films")?.list_collections().await?),
        _ => return Ok(None),
    }))
}

/// Normalizes a result that the two clients represent differently.
fn alike(name: &str, answer: Value) -> Value {
    match (name, answer) {
        // pymilvus returns its own page sizes, an empty list of keys, or the server's status.
        ("flush" | "load_collection" | "create_collection", _) => Value::Null,
        (_, answer) => answer,
    }
}

/// An expected difference.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// The RPC; `*` for all.
    rpc: String,
    /// The field, or a prefix of fields if it ends in `*`.
    path: String,
    /// The calls; without it, all.
    calls: Option<BTreeSet<String>>,
    /// The versions of pymilvus; without it, all.
    versions: Option<BTreeSet<String>>,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Differences {
    difference: Vec<Difference>,
}

impl Difference {
    fn covers(&self, version: &str, call: &str, rpc: &str, path: &str) -> bool {
        let among = |list: &Option<BTreeSet<String>>, item: &str| {
            list.as_ref().is_none_or(|list| list.contains(item))
        };
        let is_path = match self.path.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == self.path,
        };
        among(&self.versions, version)
            && among(&self.calls, call)
            && (self.rpc == "*" || self.rpc == rpc)
            && is_path
    }
}

/// The field paths of a message and their values, including messages inside `bytes` fields.
fn flatten(message: &DynamicMessage) -> BTreeMap<String, Value> {
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false);
    let json = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .unwrap();
    let mut fields = BTreeMap::new();
    add_fields(&mut fields, String::new(), open(message.descriptor(), json));
    fields
}

/// Decodes the messages inside `bytes` fields.
fn open(descriptor: MessageDescriptor, mut json: Value) -> Value {
    const HIDDEN: [(&str, &str, &str); 3] = [
        (
            "CreateCollectionRequest",
            "schema",
            "milvus.proto.schema.CollectionSchema",
        ),
        (
            "AddCollectionFieldRequest",
            "schema",
            "milvus.proto.schema.FieldSchema",
        ),
        (
            "SearchRequest",
            "placeholder_group",
            "milvus.proto.common.PlaceholderGroup",
        ),
    ];
    let Some(fields) = json.as_object_mut() else {
        return json;
    };
    for field in descriptor.fields() {
        let Some(value) = fields.get_mut(field.name()) else {
            continue;
        };
        let hidden = HIDDEN
            .iter()
            .find(|(message, name, _)| *message == descriptor.name() && *name == field.name());
        if let Some((_, _, inner)) = hidden {
            let bytes = base64::prelude::BASE64_STANDARD
                .decode(value.as_str().unwrap())
                .unwrap();
            let inner = descriptor.parent_pool().get_message_by_name(inner).unwrap();
            let message = DynamicMessage::decode(inner, &*bytes).unwrap();
            *value = Value::Object(flatten(&message).into_iter().collect());
        } else if let Kind::Message(inner) = field.kind() {
            let taken = value.take();
            *value = match taken {
                Value::Array(list) if field.is_list() => list
                    .into_iter()
                    .map(|item| open(inner.clone(), item))
                    .collect(),
                Value::Object(_) if field.is_map() => taken,
                other => open(inner, other),
            };
        }
    }
    json
}

fn add_fields(fields: &mut BTreeMap<String, Value>, path: String, value: Value) {
    let join = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                add_fields(fields, join(&key), value);
            }
        }
        // Key-value pairs can be in any order, so they are identified by their key.
        Value::Array(list) if list.iter().any(|item| item.get("key").is_some()) => {
            for item in list {
                let value = item["value"].as_str().unwrap_or_default();
                let parsed = serde_json::from_str::<Map<String, Value>>(value).map(Value::Object);
                let key = join(item["key"].as_str().unwrap_or_default());
                add_fields(fields, key, parsed.unwrap_or_else(|_| value.into()));
            }
        }
        Value::Array(list) if list.iter().all(Value::is_object) && !list.is_empty() => {
            for (index, item) in list.into_iter().enumerate() {
                let name = ["field_name", "name"]
                    .iter()
                    .find_map(|key| item[*key].as_str());
                let key = name.map_or_else(|| index.to_string(), str::to_owned);
                add_fields(fields, join(&key), item);
            }
        }
        value => {
            fields.insert(path, value);
        }
    }
}

/// The differences of two requests: the path and both values.
fn differing(theirs: &BTreeMap<String, Value>, ours: &BTreeMap<String, Value>) -> Vec<String> {
    let paths: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let paths = paths
        .into_iter()
        .filter(|path| theirs.get(*path) != ours.get(*path));
    paths.cloned().collect()
}

/// The requests of one method, in order.
fn requests_of<'a>(requests: &'a Requests, method: &str) -> Vec<&'a [u8]> {
    let its = requests.iter().filter(|(name, _)| name == method);
    its.map(|(_, message)| message.as_slice()).collect()
}

struct Comparison<'a> {
    version: &'a str,
    pool: DescriptorPool,
    differences: &'a [Difference],
    seen: BTreeSet<usize>,
    problems: Vec<String>,
}

impl Comparison<'_> {
    fn note(&mut self, call: &str, rpc: &str, path: &str, what: impl FnOnce() -> String) {
        let covering = |(_, difference): &(usize, &Difference)| {
            difference.covers(self.version, call, rpc, path)
        };
        match self.differences.iter().enumerate().find(covering) {
            Some((index, _)) => drop(self.seen.insert(index)),
            None => {
                let version = self.version;
                self.problems.push(format!(
                    "pymilvus {version}, {call}: {rpc}: {path}: {}",
                    what()
                ));
            }
        }
    }

    fn decode(&self, method: &str, message: &[u8]) -> BTreeMap<String, Value> {
        let service = self
            .pool
            .get_service_by_name("milvus.proto.milvus.MilvusService")
            .unwrap();
        let method = service
            .methods()
            .find(|known| known.name() == method)
            .unwrap();
        flatten(&DynamicMessage::decode(method.input(), message).unwrap())
    }

    fn compare(&mut self, call: &str, theirs: &Requests, ours: &Requests) {
        let methods = |requests: &Requests| -> BTreeSet<String> {
            requests.iter().map(|(method, _)| method.clone()).collect()
        };
        let (their_methods, our_methods) = (methods(theirs), methods(ours));
        for method in their_methods.difference(&our_methods) {
            self.note(call, method, "(call)", || {
                "only pymilvus makes it".to_owned()
            });
        }
        for method in our_methods.difference(&their_methods) {
            self.note(call, method, "(call)", || {
                "only this client makes it".to_owned()
            });
        }
        for method in their_methods.intersection(&our_methods) {
            let (theirs, ours) = (requests_of(theirs, method), requests_of(ours, method));
            if theirs.len() != ours.len() {
                let counts = format!(
                    "{} by pymilvus, {} by this client",
                    theirs.len(),
                    ours.len()
                );
                self.note(call, method, "(count)", || counts);
            }
            // If pymilvus sends more requests, the additional ones come first, to look something up.
            let more = theirs.len().saturating_sub(ours.len());
            for (theirs, ours) in theirs.into_iter().skip(more).zip(ours) {
                let (theirs, ours) = (self.decode(method, theirs), self.decode(method, ours));
                for path in differing(&theirs, &ours) {
                    let what = || {
                        format!(
                            "pymilvus {:?}, this client {:?}",
                            theirs.get(&path),
                            ours.get(&path)
                        )
                    };
                    self.note(call, method, &path, what);
                }
            }
        }
    }
}

#[test]
fn the_client_sends_and_reads_the_same_as_pymilvus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity");
    let text = std::fs::read_to_string(folder.join("differences.toml")).unwrap();
    let differences = toml::from_str::<Differences>(&text).unwrap().difference;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let recorder = Recorder::default();
    let fake = runtime.block_on(recorder.start());
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    let mut compared = BTreeMap::new();
    for version in VERSIONS {
        let python = match pymilvus::installed(version) {
            Ok(python) => python,
            Err(why) => return test_support::skip(&why),
        };
        let address = fake.uri().trim_start_matches("http://").to_owned();
        let lines = pymilvus::run(&python, &folder.join("pymilvus_calls.py"), &[&address]);
        let theirs = recorder.take();
        let mut lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect(line));
        let first = lines.next().expect("it says its version");
        assert_eq!(first["version"], version);
        let descriptors = first["descriptors"].as_str().unwrap();
        let descriptors = base64::prelude::BASE64_STANDARD
            .decode(descriptors)
            .unwrap();
        let mut comparison = Comparison {
            version,
            pool: DescriptorPool::decode(&*descriptors).unwrap(),
            differences: &differences,
            seen: std::mem::take(&mut seen),
            problems: std::mem::take(&mut problems),
        };
        own_fields_are_theirs(&mut comparison);
        runtime.block_on(async {
            recorder.begin("");
            let client = MilvusClient::connect(fake.uri()).await.unwrap();
            recorder.take();
            for line in lines {
                let name = line["call"].as_str().unwrap();
                if let Some(error) = line["error"].as_str() {
                    // An older pymilvus may not have the method.
                    comparison.note(name, "", "(pymilvus)", || error.to_owned());
                    continue;
                }
                recorder.begin(name);
                let ours = match call(name, &client, &fake.uri()).await {
                    Ok(Some(answer)) => answer,
                    Ok(None) => panic!("this client doesn't make the call `{name}`"),
                    Err(error) => panic!("{name}: {error}"),
                };
                let requests = recorder.take().remove(name).unwrap_or_default();
                comparison.compare(
                    name,
                    theirs.get(name).unwrap_or(&Requests::new()),
                    &requests,
                );
                let (theirs, ours) = (alike(name, line["answer"].clone()), alike(name, ours));
                if theirs != ours {
                    comparison.note(name, "(answer)", name, || {
                        format!("pymilvus {theirs}, this client {ours}")
                    });
                }
                *compared.entry(version).or_insert(0) += 1;
            }
        });
        (seen, problems) = (comparison.seen, comparison.problems);
    }
    let stale = differences
        .iter()
        .enumerate()
        .filter(|(index, _)| !seen.contains(index));
    problems.extend(stale.map(|(_, difference)| {
        format!(
            "`differences.toml`: {} {}: it no longer occurs",
            difference.rpc, difference.path
        )
    }));
    problems.extend(
        differences
            .iter()
            .filter(|difference| difference.reason.len() < 10)
            .map(|difference| {
                format!(
                    "`differences.toml`: {} {}: it has no reason",
                    difference.rpc, difference.path
                )
            }),
    );
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
    for version in VERSIONS {
        assert!(compared[version] >= 60, "{compared:?}");
    }
}

/// Every field of this project's messages has the same number, type and name as in pymilvus.
fn own_fields_are_theirs(comparison: &mut Comparison<'_>) {
    /// Names that differ here.
    const RENAMED: [(&str, &str); 5] = [
        ("milvus.proto.schema.ValueField", ""),
        ("milvus.proto.common.Status", "legacy_code"),
        ("milvus.proto.schema.ScalarField", ""),
        ("milvus.proto.schema.VectorField", ""),
        ("milvus.proto.schema.IDs", ""),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../milvus-otel/proto");
    let files = protox::compile(["milvus.proto"], [folder]).unwrap();
    let own = DescriptorPool::from_file_descriptor_set(files).unwrap();
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let mut fields = 0;
    for message in own
        .all_messages()
        .filter(|message| message.name() != "AnyAnswer")
    {
        let Some(theirs) = comparison.pool.get_message_by_name(message.full_name()) else {
            comparison.note("", message.name(), "(message)", || {
                "pymilvus has none".to_owned()
            });
            continue;
        };
        for field in message.fields() {
            fields += 1;
            let is_renamed = RENAMED.iter().any(|(name, field_name)| {
                *name == message.full_name()
                    && (field_name.is_empty() || *field_name == field.name())
            });
            let is_same = theirs.get_field(field.number()).is_some_and(|theirs| {
                same_kind(&theirs.kind(), &field.kind())
                    && theirs.is_list() == field.is_list()
                    && theirs.is_map() == field.is_map()
                    && (is_renamed || plain(theirs.name()) == plain(field.name()))
            });
            if !is_same {
                comparison.note("", message.name(), field.name(), || {
                    "pymilvus has another field".to_owned()
                });
            }
        }
    }
    for enumeration in own.all_enums() {
        let theirs = comparison.pool.get_enum_by_name(enumeration.full_name());
        for value in enumeration.values() {
            let found = theirs
                .as_ref()
                .and_then(|theirs| theirs.get_value(value.number()));
            if found.is_none_or(|found| plain(found.name()) != plain(value.name())) {
                comparison.note("", enumeration.name(), value.name(), || {
                    "pymilvus has another value".to_owned()
                });
            }
        }
    }
    assert!(fields > 250, "{fields} fields were looked at");
}

fn same_kind(theirs: &Kind, ours: &Kind) -> bool {
    match (theirs, ours) {
        // A list of bytes has either name, and a map's entry is nested in its message.
        (Kind::Message(theirs), Kind::Message(ours)) => {
            theirs.full_name() == ours.full_name()
                || theirs.is_map_entry() && ours.is_map_entry()
                || theirs.name() == "JSONArray" && ours.name() == "BytesArray"
        }
        (Kind::Enum(theirs), Kind::Enum(ours)) => theirs.full_name() == ours.full_name(),
        (Kind::Enum(_), Kind::Int32) => true,
        (theirs, ours) => theirs == ours,
    }
}
