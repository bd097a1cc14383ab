//! Rows become columns, and columns become the same rows again. Rows and columns that can't be converted are an error, never a panic.

use milvus_otel::client::{
    CollectionSchema, ConsistencyLevel, DataType, ErrorKind, FieldSchema, Row,
};
use milvus_otel::{MilvusClient, Result};
use milvus_otel_tests::fake::{FakeMilvus, Reply};
use milvus_otel_tests::proto::common::Status;
use milvus_otel_tests::proto::{milvus as m, schema as s};
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;

/// A Milvus that keeps the last columns it received, and returns them for every query and search.
struct Keeper {
    runtime: Runtime,
    client: MilvusClient,
    columns: Arc<Mutex<Vec<s::FieldData>>>,
    /// The filter of the last query, search or deletion.
    filter: Arc<Mutex<String>>,
    results: Arc<Mutex<s::SearchResultData>>,
}

impl Keeper {
    fn start() -> Self {
        let columns = Arc::<Mutex<Vec<s::FieldData>>>::default();
        let results = Arc::<Mutex<s::SearchResultData>>::default();
        let (kept, found) = (Arc::clone(&columns), Arc::clone(&results));
        let filter = Arc::<Mutex<String>>::default();
        let asked = Arc::clone(&filter);
        let schema = Arc::<Mutex<s::CollectionSchema>>::default();
        let made = Arc::clone(&schema);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(async {
            let answer = move |method: &str, message| match method {
                "Connect" => m::ConnectResponse::default().into(),
                "Insert" => {
                    *kept.lock().unwrap() = m::InsertRequest::decode(message).unwrap().fields_data;
                    m::MutationResult::default().into()
                }
                "Query" => {
                    *asked.lock().unwrap() = m::QueryRequest::decode(message).unwrap().expr;
                    m::QueryResults {
                        fields_data: kept.lock().unwrap().clone(),
                        ..Default::default()
                    }
                    .into()
                }
                "Search" => {
                    *asked.lock().unwrap() = m::SearchRequest::decode(message).unwrap().dsl;
                    m::SearchResults {
                        results: Some(found.lock().unwrap().clone()),
                        ..Default::default()
                    }
                    .into()
                }
                "Delete" => {
                    *asked.lock().unwrap() = m::DeleteRequest::decode(message).unwrap().expr;
                    m::MutationResult::default().into()
                }
                "CreateCollection" => {
                    let request = m::CreateCollectionRequest::decode(message).unwrap();
                    *made.lock().unwrap() = s::CollectionSchema::decode(request.schema).unwrap();
                    Status::default().into()
                }
                "DescribeCollection" => m::DescribeCollectionResponse {
                    schema: Some(schema.lock().unwrap().clone()),
                    ..Default::default()
                }
                .into(),
                _ => Reply::from(Status::default()),
            };
            let fake = FakeMilvus::start(answer).await;
            MilvusClient::connect(fake.uri()).await.unwrap()
        });
        Self {
            runtime,
            client,
            columns,
            filter,
            results,
        }
    }

    /// Creates a collection with the schema, and inserts rows.
    fn insert(&self, schema: &CollectionSchema, rows: &[Value]) -> Result<()> {
        self.runtime.block_on(async {
            self.client
                .create_collection_with_schema("rows", schema.clone())
                .await?;
            self.client.insert("rows", rows).await.map(drop)
        })
    }

    fn query(&self) -> Result<Vec<Row>> {
        let query = self
            .client
            .query("rows")
            .output_fields(["*"])
            .consistency_level(ConsistencyLevel::Strong);
        self.runtime.block_on(query.into_future())
    }

    fn search(&self) -> Result<usize> {
        let search = self
            .client
            .search("rows", [[0.0]])
            .field("vector")
            .output_fields(["*"]);
        self.runtime
            .block_on(search.into_future())
            .map(|lists| lists.iter().map(Vec::len).sum())
    }
}

/// A field, and values of its type.
fn scalar() -> impl Strategy<Value = (FieldSchema, BoxedStrategy<Value>)> {
    let typed =
        |data_type, values: BoxedStrategy<Value>| (FieldSchema::new("field", data_type), values);
    prop_oneof![
        Just(typed(
            DataType::Bool,
            any::<bool>().prop_map(Value::from).boxed()
        )),
        Just(typed(
            DataType::Int8,
            any::<i8>().prop_map(Value::from).boxed()
        )),
        Just(typed(
            DataType::Int16,
            any::<i16>().prop_map(Value::from).boxed()
        )),
        Just(typed(
            DataType::Int32,
            any::<i32>().prop_map(Value::from).boxed()
        )),
        Just(typed(
            DataType::Int64,
            any::<i64>().prop_map(Value::from).boxed()
        )),
        Just(typed(DataType::Float, number().boxed())),
        Just(typed(
            DataType::Double,
            any::<f64>()
                .prop_filter("JSON has no more", |n| n.is_finite())
                .prop_map(Value::from)
                .boxed()
        )),
        Just(typed(DataType::VarChar, ".*".prop_map(Value::from).boxed())),
        Just(typed(DataType::Json, anything().boxed())),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    any::<f32>()
        .prop_filter("JSON has no more", |number| number.is_finite())
        .prop_map(Value::from)
}

fn field() -> impl Strategy<Value = (FieldSchema, BoxedStrategy<Value>)> {
    prop_oneof![
        4 => scalar(),
        1 => scalar().prop_filter("arrays have none", |(field, _)| field.data_type != DataType::Json).prop_map(|(field, values)| {
            let array = FieldSchema::array("field", field.data_type, 8);
            (array, prop::collection::vec(values, 0..8).prop_map(Value::Array).boxed())
        }),
        1 => (1usize..9).prop_map(|dimension| {
            let vector = FieldSchema::float_vector("field", dimension);
            (vector, prop::collection::vec(number(), dimension).prop_map(Value::Array).boxed())
        }),
        1 => (1usize..9).prop_map(|dimension| {
            let vector = FieldSchema::float16_vector("field", dimension);
            (vector, integers(-2048..=2048, dimension))
        }),
        1 => (1usize..9).prop_map(|dimension| {
            let vector = FieldSchema::bfloat16_vector("field", dimension);
            (vector, integers(-256..=256, dimension))
        }),
        1 => (1usize..9).prop_map(|dimension| {
            let vector = FieldSchema::int8_vector("field", dimension);
            (vector, integers(-128..=127, dimension))
        }),
        1 => Just(()).prop_map(|()| {
            let numbers = prop::collection::btree_map(0..u32::MAX, number(), 0..5);
            let vector = numbers.prop_map(|numbers| json!(numbers)).boxed();
            (FieldSchema::sparse_vector("field"), vector)
        }),
        1 => scalar().prop_map(|(field, values)| {
            let maybe = prop_oneof![1 => Just(Value::Null), 2 => values];
            (field.nullable(), maybe.boxed())
        }),
        1 => (1usize..4).prop_map(|bytes| {
            let vector = FieldSchema::binary_vector("field", bytes * 8);
            (vector, prop::collection::vec(any::<u8>().prop_map(Value::from), bytes).prop_map(Value::Array).boxed())
        }),
    ]
}

/// Vectors of integers, which 16-bit floats can represent too.
fn integers(range: std::ops::RangeInclusive<i16>, dimension: usize) -> BoxedStrategy<Value> {
    prop::collection::vec(range.prop_map(Value::from), dimension)
        .prop_map(Value::Array)
        .boxed()
}

/// Any JSON value with little nesting.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has no more", |number| number.is_finite())
            .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[a-e]", inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    })
}

/// A schema, and rows that fit it.
fn fitting() -> impl Strategy<Value = (CollectionSchema, Vec<Value>)> {
    (prop::collection::vec(field(), 1..5), any::<bool>()).prop_flat_map(|(fields, dynamic)| {
        let mut schema = CollectionSchema::new();
        let mut columns = Vec::new();
        for (index, (field, values)) in fields.into_iter().enumerate() {
            let name = format!("f{index}");
            columns.push(values.prop_map({
                let name = name.clone();
                move |value| (name.clone(), value)
            }));
            schema = schema.field(FieldSchemaNamed(field, name).named());
        }
        let extra = if dynamic { 0..3 } else { 0..1 };
        schema = if dynamic {
            schema.dynamic_fields()
        } else {
            schema
        };
        let row = (
            columns,
            prop::collection::btree_map("[a-c]", anything(), extra),
        );
        let row = row
            .prop_map(|(fields, extra)| Value::Object(fields.into_iter().chain(extra).collect()));
        (Just(schema), prop::collection::vec(row, 1..6))
    })
}

/// A schema that may contradict itself, and rows that may have nothing to do with it.
fn at_random() -> impl Strategy<Value = (CollectionSchema, Vec<Value>)> {
    let name = || prop_oneof![8 => "f[0-3]", 1 => Just("$meta".to_owned()), 1 => any::<String>()];
    let dimension = prop::option::weighted(0.9, prop_oneof![9 => 0..17usize, 1 => any::<usize>()]);
    let default = prop::option::weighted(0.2, anything());
    let field = (
        (name(), data_type(), prop::option::of(data_type())),
        (dimension, default, any::<bool>()),
        prop::collection::vec(prop::bool::weighted(0.1), 3),
    );
    let field = field.prop_map(
        |((name, data_type, element), (dimension, default, nullable), flags)| {
            let mut field = FieldSchema::new(name, data_type);
            field.element_type = element;
            field.dimension = dimension;
            field.default_value = default;
            field.nullable = nullable;
            [field.primary_key, field.auto_id, field.function_output] =
                [flags[0], flags[1], flags[2]];
            field
        },
    );
    let number = || prop_oneof![4 => (-300i64..300).prop_map(Value::from), 1 => number()];
    let value = prop_oneof![
        anything(),
        number(),
        prop::collection::vec(number(), 0..5).prop_map(Value::Array),
        prop::collection::btree_map("[+0]?[0-9]{1,10}", number(), 0..3)
            .prop_map(|fields| json!(fields)),
    ];
    let row = prop_oneof![
        1 => anything(),
        9 => prop::collection::btree_map(name(), value, 0..5).prop_map(|fields| json!(fields)),
    ];
    let schema = (prop::collection::vec(field, 0..4), any::<bool>());
    let schema = schema.prop_map(|(fields, dynamic)| {
        let schema = fields
            .into_iter()
            .fold(CollectionSchema::new(), CollectionSchema::field);
        if dynamic {
            schema.dynamic_fields()
        } else {
            schema
        }
    });
    (schema, prop::collection::vec(row, 0..4))
}

fn data_type() -> impl Strategy<Value = DataType> {
    prop_oneof![
        9 => prop::sample::select(vec![
            DataType::Bool, DataType::Int8, DataType::Int16, DataType::Int32, DataType::Int64, DataType::Float,
            DataType::Double, DataType::VarChar, DataType::Json, DataType::Array,
        ]),
        9 => prop::sample::select(vec![
            DataType::BinaryVector, DataType::FloatVector, DataType::Float16Vector, DataType::BFloat16Vector,
            DataType::SparseFloatVector, DataType::Int8Vector,
        ]),
        1 => any::<i32>().prop_map(DataType::Other),
    ]
}

struct FieldSchemaNamed(FieldSchema, String);

impl FieldSchemaNamed {
    fn named(mut self) -> FieldSchema {
        self.0.name = self.1;
        self.0
    }
}

/// Columns that no server should send.
fn columns() -> impl Strategy<Value = Vec<s::FieldData>> {
    use s::field_data::Field;
    use s::scalar_field::Data;
    let strings = || prop::collection::vec(any::<Vec<u8>>().prop_map(Into::into), 0..4);
    let scalar = prop_oneof![
        prop::collection::vec(any::<bool>(), 0..4)
            .prop_map(|data| Data::Bools(s::BoolArray { data })),
        prop::collection::vec(any::<i32>(), 0..4).prop_map(|data| Data::Ints(s::IntArray { data })),
        prop::collection::vec(any::<f64>(), 0..4)
            .prop_map(|data| Data::Doubles(s::DoubleArray { data })),
        strings().prop_map(|data| Data::Json(s::BytesArray { data })),
        strings().prop_map(|data| Data::Bytes(s::BytesArray { data })),
    ];
    let scalar = scalar.prop_map(|data| s::ScalarField { data: Some(data) });
    let nested = prop::collection::vec(scalar.clone(), 0..3).prop_map(|data| s::ScalarField {
        data: Some(Data::Arrays(s::ArrayArray {
            data,
            element_type: 5,
        })),
    });
    let vector = prop_oneof![
        prop::collection::vec(any::<f32>(), 0..9)
            .prop_map(|data| s::vector_field::Data::Floats(s::FloatArray { data })),
        any::<Vec<u8>>().prop_map(|bytes| s::vector_field::Data::Binary(bytes.into())),
        any::<Vec<u8>>().prop_map(|bytes| s::vector_field::Data::Float16(bytes.into())),
        any::<Vec<u8>>().prop_map(|bytes| s::vector_field::Data::Bfloat16(bytes.into())),
        any::<Vec<u8>>().prop_map(|bytes| s::vector_field::Data::Int8(bytes.into())),
        (strings(), any::<i64>()).prop_map(|(contents, dim)| {
            s::vector_field::Data::Sparse(s::SparseFloatArray { contents, dim })
        }),
    ];
    let dim = prop_oneof![any::<i64>(), -2i64..20];
    let vector =
        (dim, prop::option::of(vector)).prop_map(|(dim, data)| s::VectorField { dim, data });
    let field = prop_oneof![
        prop_oneof![scalar, nested].prop_map(Field::Scalars),
        vector.prop_map(Field::Vectors)
    ];
    let column = (
        any::<i32>(),
        "[a-c$]",
        prop::option::of(field),
        any::<bool>(),
        any::<Vec<bool>>(),
    );
    let column =
        column.prop_map(
            |(r#type, field_name, field, is_dynamic, valid_data)| s::FieldData {
                r#type,
                field_name,
                field,
                is_dynamic,
                valid_data,
                ..Default::default()
            },
        );
    prop::collection::vec(column, 0..4)
}

fn results() -> impl Strategy<Value = s::SearchResultData> {
    let counts = prop::collection::vec(prop_oneof![-1i64..5, any::<i64>()], 0..4);
    let ids = prop::option::of(prop::collection::vec(any::<i64>(), 0..5));
    (
        columns(),
        prop::collection::vec(any::<f32>(), 0..5),
        ids,
        counts,
    )
        .prop_map(|(fields_data, scores, ids, topks)| {
            let ids = ids.map(|data| s::IDs {
                values: Some(s::i_ds::Values::Ints(s::LongArray { data })),
            });
            s::SearchResultData {
                fields_data,
                scores,
                ids,
                topks,
                ..Default::default()
            }
        })
}

/// Whether two values are equal after a round trip: as 32-bit numbers, and with an integer equal to a float of that value.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}

#[test]
fn rows_come_back_as_they_were_sent() {
    let keeper = Keeper::start();
    proptest!(|((schema, rows) in fitting())| {
        keeper.insert(&schema, &rows).unwrap();
        let back: Vec<Value> = keeper.query().unwrap().into_iter().map(Value::Object).collect();
        prop_assert!(same(&json!(rows), &json!(back)), "{rows:?}\n{back:?}");
    });
}

/// What a row of any schema comes back as: what the server fills is left out, what isn't there is null, and numbers are
/// those of their type.
fn is_back(schema: &CollectionSchema, row: &Value, back: &Row) -> bool {
    let filled = |name: &String| {
        let is_filled = |field: &FieldSchema| field.auto_id || field.function_output;
        schema
            .fields
            .iter()
            .any(|field| field.name == *name && is_filled(field))
    };
    let names = schema.fields.iter().map(|field| &field.name);
    let names = names.chain(row.as_object().unwrap().keys());
    names
        .filter(|name| !filled(name))
        .all(|name| nearly(&row[name], back.get(name).unwrap_or(&Value::Null)))
}

/// The same value, but for what 16 bits can't hold of a number.
fn nearly(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(_), Value::Number(_)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= one.abs() / 256.0 + 1e-7
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| nearly(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, one)| other.get(key).is_some_and(|other| nearly(one, other)))
        }
        _ => one == other,
    }
}

#[test]
fn any_rows_of_any_schema_come_back_or_are_refused_before_they_are_sent() {
    let keeper = Keeper::start();
    let (sent, refused) = (Cell::new(0), Cell::new(0));
    proptest!(|((schema, rows) in at_random())| {
        keeper.columns.lock().unwrap().clear();
        if let Err(error) = keeper.insert(&schema, &rows) {
            refused.set(refused.get() + 1);
            prop_assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error}");
            prop_assert!(error.to_string().contains(" in `rows`: "), "{error}");
            prop_assert!(keeper.columns.lock().unwrap().is_empty(), "{error}");
        } else if !keeper.columns.lock().unwrap().is_empty() {
            sent.set(sent.get() + 1);
            let back = keeper.query().unwrap();
            prop_assert_eq!(back.len(), rows.len());
            for (row, back) in rows.iter().zip(&back) {
                prop_assert!(is_back(&schema, row, back), "{schema:?}\n{row:?}\n{back:?}");
            }
        }
    });
    assert!(
        sent.get() > 20 && refused.get() > 20,
        "{sent:?} sent, {refused:?} refused"
    );
}

/// A first vector that is too long is rejected before memory is reserved for vectors of its length.
#[test]
fn the_schema_limits_the_memory_for_rows() {
    const LONG: usize = 1 << 14;
    let keeper = Keeper::start();
    let schema = CollectionSchema::new().field(FieldSchema::float_vector("vector", 2));
    let mut rows = vec![json!({ "vector": [0, 0] }); 1 << 12];
    rows[0] = json!({ "vector": vec![0; LONG] });
    let mut outcome = Ok(());
    let allocated = allocation_counter::measure(|| outcome = keeper.insert(&schema, &rows));
    assert_eq!(
        outcome.unwrap_err().to_string(),
        format!(
            "`insert` in `rows`: row 0, field `vector`: expected a vector of 2 elements, found one of {LONG}"
        )
    );
    assert!(allocated.bytes_max < 32 << 20, "{allocated:?}");
}

#[test]
fn rows_that_do_not_fit_are_a_readable_error() {
    let keeper = Keeper::start();
    let row = prop_oneof![
        anything(),
        prop::collection::btree_map("f[0-4]", anything(), 0..6).prop_map(|fields| json!(fields))
    ];
    proptest!(|((schema, _) in fitting(), rows in prop::collection::vec(row, 0..4))| {
        if let Err(error) = keeper.insert(&schema, &rows) {
            prop_assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error}");
            prop_assert!(error.to_string().starts_with("`insert` in `rows`: row "), "{error}");
        }
    });
}

#[test]
fn columns_that_do_not_form_rows_are_a_readable_error() {
    let keeper = Keeper::start();
    proptest!(|(columns in columns(), results in results())| {
        *keeper.columns.lock().unwrap() = columns;
        *keeper.results.lock().unwrap() = results;
        for outcome in [keeper.query().map(|rows| rows.len()), keeper.search()] {
            if let Err(error) = outcome {
                prop_assert!(matches!(error.kind(), ErrorKind::Unexpected(_)), "{error}");
            }
        }
    });
}

#[test]
fn an_error_names_the_row_the_field_and_the_problem() {
    let keeper = Keeper::start();
    let schema = CollectionSchema::new()
        .field(FieldSchema::int64("id").primary_key())
        .field(FieldSchema::new("age", DataType::Int8))
        .field(FieldSchema::array("tags", DataType::VarChar, 4))
        .field(FieldSchema::float_vector("vector", 2))
        .field(FieldSchema::new("seen", DataType::Bool).nullable())
        .field(FieldSchema::int8_vector("tiny", 1))
        .field(FieldSchema::sparse_vector("words"));
    let good = json!({ "id": 1, "age": 2, "tags": [], "vector": [1, 2], "tiny": [1], "words": {} });
    let with = |key: &str, value: Value| {
        let mut row = good.clone();
        row[key] = value;
        row
    };
    let cases = [
        (json!(7), "row 1 is `7`, not a record"),
        (json!({ "id": 1 }), "row 1 has no field `age`"),
        (
            with("id", json!("x")),
            "row 1, field `id`: expected an integer of 64 bits, found a string",
        ),
        (
            with("id", Value::Null),
            "row 1, field `id`: expected an integer of 64 bits, found `null`",
        ),
        (
            with("age", json!(128)),
            "row 1, field `age`: expected an integer of 8 bits, found `128`",
        ),
        (
            with("tags", json!("x")),
            "row 1, field `tags`: expected a list, found a string",
        ),
        (
            with("tags", json!(["x", 1])),
            "row 1, field `tags`: in the list, expected a string, found `1`",
        ),
        (
            with("vector", json!([1])),
            "row 1, field `vector`: expected a vector of 2 elements, found one of 1",
        ),
        (
            with("vector", json!([1, 1e300])),
            "row 1, field `vector`: in the vector, expected a number of 32 bits, found `1e+300`",
        ),
        (
            with("seen", json!(1)),
            "row 1, field `seen`: expected a boolean, found `1`",
        ),
        (
            with("tiny", json!([200])),
            "row 1, field `tiny`: in the vector, expected an integer of 8 bits, found `200`",
        ),
        (
            with("words", json!([1, 2])),
            "row 1, field `words`: expected a record of numbers by their dimensions, found a list",
        ),
        (
            with("words", json!({ "-1": 0.5 })),
            "row 1, field `words`: in the sparse vector, the dimension `-1` isn't an integer of 32 bits",
        ),
        (
            with("words", json!({ "7": "x" })),
            "row 1, field `words`: in the sparse vector, expected a number of 32 bits, found a string",
        ),
        (
            with("color", json!("red")),
            "row 1 has a field `color`, which the collection doesn't have",
        ),
    ];
    for (row, expected) in cases {
        let error = keeper
            .insert(&schema, &[good.clone(), row.clone()])
            .unwrap_err();
        let expected = format!("`insert` in `rows`: {expected}");
        assert_eq!(error.to_string(), expected, "{row}");
    }
}

#[test]
fn a_filter_is_sent_unchanged_and_keys_are_quoted() {
    let keeper = Keeper::start();
    let schema = CollectionSchema::new()
        .field(FieldSchema::var_char("key", 9).primary_key())
        .field(FieldSchema::float_vector("vector", 1));
    keeper.insert(&schema, &[]).unwrap();
    let runtime = &keeper.runtime;
    proptest!(|(filter in any::<String>(), keys in prop::collection::vec(any::<String>(), 1..4))| {
        runtime.block_on(keeper.client.query("rows").filter(&filter).into_future()).unwrap();
        prop_assert_eq!(&*keeper.filter.lock().unwrap(), &filter);
        runtime.block_on(keeper.client.search("rows", [[0.5]]).filter(&filter).into_future()).unwrap();
        prop_assert_eq!(&*keeper.filter.lock().unwrap(), &filter);
        let deleted = runtime.block_on(keeper.client.delete("rows").filter(&filter).into_future());
        prop_assert_eq!(deleted.is_ok(), !filter.is_empty());
        prop_assert_eq!(&*keeper.filter.lock().unwrap(), &filter);
        runtime.block_on(keeper.client.get("rows", keys.iter().map(String::as_str)).into_future()).unwrap();
        let sent = keeper.filter.lock().unwrap().clone();
        let list = sent.strip_prefix("key in ").expect("it names the key");
        prop_assert_eq!(serde_json::from_str::<Vec<String>>(list).unwrap(), keys);
    });
}

/// Two batches are in memory at a time, and what is returned is a count. Prints the peak of the memory that is resident.
#[test]
#[ignore = "inserts a million rows"]
fn slow_memory_stays_flat_over_a_million_rows() {
    const ROWS: u64 = 1_000_000;
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().split_whitespace().next().unwrap();
        kib.parse::<u64>().unwrap()
    };
    let runtime = Runtime::new().unwrap();
    // Rows written, and the peak up to then.
    let peaks = Arc::new(Mutex::new(vec![(0, resident())]));
    let seen = Arc::clone(&peaks);
    runtime.block_on(async {
        let fake = FakeMilvus::start(move |method, message| {
            if method != "Insert" {
                return Reply::Message(Vec::new());
            }
            let rows = m::InsertRequest::decode(message).unwrap().num_rows;
            let mut seen = seen.lock().unwrap();
            let (written, peak) = seen[seen.len() - 1];
            seen.push((written + u64::from(rows), peak.max(resident())));
            m::MutationResult {
                insert_cnt: i64::from(rows),
                ..Default::default()
            }
            .into()
        })
        .await;
        let client = MilvusClient::connect(fake.uri()).await.unwrap();
        client.create_collection("rows", 32).await.unwrap();
        let rows = (0..ROWS).map(|id| json!({ "id": id, "vector": vec![0.5; 32], "color": "red" }));
        let batches = client.insert_batches("rows", rows).batch_rows(5_000);
        assert_eq!(batches.await.unwrap(), ROWS);
    });
    let peaks = peaks.lock().unwrap();
    let peak_at = |rows| {
        peaks
            .iter()
            .find(|(written, _)| *written >= rows)
            .unwrap()
            .1
    };
    let [early, late] = [100_000, ROWS].map(peak_at);
    println!(
        "resident: {} KiB at first, at most {early} up to row 100,000, {late} up to row 1,000,000",
        peaks[0].1
    );
    assert!(late - early < 16 << 10, "{early} to {late} KiB");
}
