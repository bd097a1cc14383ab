//! Insert three rows with Milvus's official Rust SDK and search them.
//!
//! SETUP chooses the client:
//!
//! - `own`: the SDK's client, which has no place for a tracing layer
//! - `generated`: the client that the SDK generates from Milvus's proto files, with milvus-otel's layer around its channel

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use milvus::proto::common::{
    ConsistencyLevel, ErrorCode, KeyValuePair, LoadState, PlaceholderGroup, PlaceholderType,
    PlaceholderValue, Status,
};
use milvus::proto::milvus::milvus_service_client::MilvusServiceClient;
use milvus::proto::milvus::search_request::SearchInput;
use milvus::proto::milvus::{
    CreateCollectionRequest, CreateIndexRequest, DropCollectionRequest, GetLoadStateRequest,
    InsertRequest, LoadCollectionRequest, SearchRequest,
};
use milvus::proto::schema::field_data::Field;
use milvus::proto::schema::scalar_field::Data;
use milvus::proto::schema::vector_field;
use milvus::proto::schema::{
    CollectionSchema, DataType, FieldData, FieldSchema, FloatArray, LongArray, ScalarField,
    VectorField,
};
use milvus::v2::prelude::{
    ClientV2, ConnectConfig, ConsistencyLevel as Consistency, SearchRequest as OwnSearch,
    SearchVectors,
};
use milvus::v2::request::collection::{
    CreateSimpleCollectionRequest, DropCollectionRequest as OwnDrop,
};
use milvus::v2::request::dml::InsertRequest as OwnInsert;
use milvus_otel::{GrpcTraceLayer, Telemetry};
use opentelemetry::trace::{FutureExt, TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use prost::Message;
use serde_json::json;
use tonic::transport::Endpoint;
use tower::ServiceBuilder;

const VECTORS: [[f32; 2]; 3] = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let telemetry = Telemetry::from_env()?;
    let root = Context::new().with_span(global::tracer("rust-sdk").start("rust-sdk"));
    let searched = if env::var("SETUP").as_deref() == Ok("own") {
        own().with_context(root.clone()).await
    } else {
        generated().with_context(root.clone()).await
    };
    root.span().end();
    telemetry.shutdown()?;
    println!("found {}", searched?);
    Ok(ExitCode::SUCCESS)
}

async fn own() -> Result<usize> {
    let client = ClientV2::new(&ConnectConfig::new().uri(uri())).await?;
    let create = CreateSimpleCollectionRequest::builder()
        .collection_name(collection())
        .primary_field("id")
        .vector_field("vector")
        .dimension(2);
    client.create_collection(create.build()?).await?;
    let rows = (0..)
        .zip(VECTORS)
        .map(|(id, vector)| json!({"id": id, "vector": vector}));
    let insert = OwnInsert::builder()
        .collection_name(collection())
        .rows(rows.collect::<Vec<_>>());
    client.insert(insert.build()?).await?;
    let search = OwnSearch::builder()
        .collection_name(collection())
        .vector_field("vector")
        .vectors(SearchVectors::Float(vec![VECTORS[0].to_vec()]))
        .limit(1)
        .consistency_level(Consistency::Strong);
    let found = client.search(search.build()?).await?.results().len();
    let drop = OwnDrop::builder().collection_name(collection());
    client.drop_collection(drop.build()?).await?;
    Ok(found)
}

async fn generated() -> Result<usize> {
    let endpoint = Endpoint::from_shared(uri())?;
    let host = endpoint.uri().host().context("the URI has no host")?;
    // The layer stands above the channel, which alone knows the server.
    let layer = GrpcTraceLayer::new().with_server(host, endpoint.uri().port_u16().unwrap_or(19530));
    let traced = ServiceBuilder::new()
        .layer(layer)
        .service(endpoint.connect().await?);
    let mut client = MilvusServiceClient::new(traced);
    let collection_name = collection();

    let create = CreateCollectionRequest {
        collection_name: collection_name.clone(),
        schema: schema().encode_to_vec(),
        shards_num: 1,
        consistency_level: ConsistencyLevel::Strong.into(),
        ..Default::default()
    };
    check(client.create_collection(create).await?.into_inner())?;
    let index = CreateIndexRequest {
        collection_name: collection_name.clone(),
        field_name: "vector".to_owned(),
        extra_params: pairs(&[("index_type", "FLAT"), ("metric_type", "L2")]),
        ..Default::default()
    };
    check(client.create_index(index).await?.into_inner())?;
    let load = LoadCollectionRequest {
        collection_name: collection_name.clone(),
        replica_number: 1,
        ..Default::default()
    };
    check(client.load_collection(load).await?.into_inner())?;
    let state = GetLoadStateRequest {
        collection_name: collection_name.clone(),
        ..Default::default()
    };
    while client
        .get_load_state(state.clone())
        .await?
        .into_inner()
        .state()
        != LoadState::Loaded
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let insert = InsertRequest {
        collection_name: collection_name.clone(),
        fields_data: vec![ids(), vectors()],
        num_rows: VECTORS.len() as u32,
        ..Default::default()
    };
    check(
        client
            .insert(insert)
            .await?
            .into_inner()
            .status
            .context("no status")?,
    )?;
    let search = SearchRequest {
        collection_name: collection_name.clone(),
        search_input: Some(SearchInput::PlaceholderGroup(question().encode_to_vec())),
        search_params: pairs(&[
            ("anns_field", "vector"),
            ("topk", "1"),
            ("metric_type", "L2"),
            ("params", "{}"),
        ]),
        dsl_type: milvus::proto::common::DslType::BoolExprV1.into(),
        nq: 1,
        ..Default::default()
    };
    let answer = client.search(search).await?.into_inner();
    check(answer.status.context("no status")?)?;
    let drop = DropCollectionRequest {
        collection_name,
        ..Default::default()
    };
    check(client.drop_collection(drop).await?.into_inner())?;
    Ok(answer.results.context("no results")?.scores.len())
}

fn schema() -> CollectionSchema {
    let field = |name: &str, data_type: DataType| FieldSchema {
        name: name.to_owned(),
        data_type: data_type.into(),
        ..Default::default()
    };
    CollectionSchema {
        name: collection(),
        fields: vec![
            FieldSchema {
                is_primary_key: true,
                ..field("id", DataType::Int64)
            },
            FieldSchema {
                type_params: pairs(&[("dim", "2")]),
                ..field("vector", DataType::FloatVector)
            },
        ],
        ..Default::default()
    }
}

fn ids() -> FieldData {
    let data = LongArray {
        data: (0..).take(VECTORS.len()).collect(),
    };
    FieldData {
        r#type: DataType::Int64.into(),
        field_name: "id".to_owned(),
        field: Some(Field::Scalars(ScalarField {
            data: Some(Data::LongData(data)),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn vectors() -> FieldData {
    let data = FloatArray {
        data: VECTORS.concat(),
    };
    FieldData {
        r#type: DataType::FloatVector.into(),
        field_name: "vector".to_owned(),
        field: Some(Field::Vectors(VectorField {
            dim: 2,
            data: Some(vector_field::Data::FloatVector(data)),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn question() -> PlaceholderGroup {
    let value = PlaceholderValue {
        tag: "$0".to_owned(),
        r#type: PlaceholderType::FloatVector.into(),
        values: vec![
            VECTORS[0]
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect(),
        ],
        ..Default::default()
    };
    PlaceholderGroup {
        placeholders: vec![value],
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
    let pair = |(key, value): &(&str, &str)| KeyValuePair {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    pairs.iter().map(pair).collect()
}

fn check(status: Status) -> Result<()> {
    let code = status.error_code();
    ensure!(
        status.code == 0 && code == ErrorCode::Success,
        "{}",
        status.reason
    );
    Ok(())
}

fn uri() -> String {
    env::var("MILVUS_URI").unwrap_or_else(|_| "http://localhost:19530".to_owned())
}

fn collection() -> String {
    env::var("MILVUS_COLLECTION").unwrap_or_else(|_| "rust_sdk".to_owned())
}
