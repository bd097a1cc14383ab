//! What collections are made of.

use super::error::{Error, Result};
use crate::proto::common::{self, KeyValuePair};
use crate::proto::schema as wire;
use serde_json::{Map, Value};
use std::fmt;

/// The fields of a collection.
///
/// ```
/// use milvus_otel::client::{CollectionSchema, FieldSchema};
///
/// let schema = CollectionSchema::new()
///     .field(FieldSchema::int64("id").primary_key())
///     .field(FieldSchema::var_char("title", 200))
///     .field(FieldSchema::float_vector("vector", 768))
///     .dynamic_fields();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectionSchema {
    /// The fields, in order.
    pub fields: Vec<FieldSchema>,
    /// Whether a row may have more fields than these.
    pub dynamic_fields: bool,
    /// What it is for, in words.
    pub description: String,
}

/// One field of a collection.
///
/// ```
/// use milvus_otel::client::{CollectionSchema, DataType, FieldSchema};
///
/// let schema = CollectionSchema::new()
///     .description("pictures, and what is on them")
///     .field(FieldSchema::int64("id").primary_key().auto_id())
///     .field(FieldSchema::var_char("owner", 50).partition_key())
///     .field(FieldSchema::array("tags", DataType::VarChar, 8).max_length(20).description("what is on it"))
///     .field(FieldSchema::new("exif", DataType::Json))
///     .field(FieldSchema::binary_vector("hash", 64));
/// assert_eq!(schema.primary_field().unwrap().name, "id");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldSchema {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub data_type: DataType,
    /// The type of its values' elements, where these are arrays.
    pub element_type: Option<DataType>,
    /// Whether it is the key of its rows.
    pub primary_key: bool,
    /// Whether Milvus itself makes its values.
    pub auto_id: bool,
    /// Whether rows are partitioned by it.
    pub partition_key: bool,
    /// Whether it may be without a value.
    pub nullable: bool,
    /// How many dimensions a vector has.
    pub dimension: Option<usize>,
    /// How many bytes a string has at most.
    pub max_length: Option<usize>,
    /// How many elements an array has at most.
    pub max_capacity: Option<usize>,
    /// What it is for, in words.
    pub description: String,
}

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataType {
    /// True or false.
    Bool,
    /// An integer of 8 bits.
    Int8,
    /// An integer of 16 bits.
    Int16,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 64 bits.
    Int64,
    /// A number of 32 bits.
    Float,
    /// A number of 64 bits.
    Double,
    /// A string.
    VarChar,
    /// Any JSON value.
    Json,
    /// Values of one type in order.
    Array,
    /// One bit per dimension. In a row: a list of bytes, eight dimensions each.
    BinaryVector,
    /// One number of 32 bits per dimension. In a row: a list of numbers.
    FloatVector,
    /// A type that this client doesn't read or write, by Milvus's number for it.
    Other(i32),
}

impl CollectionSchema {
    /// A schema without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, field: FieldSchema) -> Self {
        self.fields.push(field);
        self
    }

    /// Lets a row have more fields than these; they can be filtered by and returned as well.
    #[must_use]
    pub fn dynamic_fields(mut self) -> Self {
        self.dynamic_fields = true;
        self
    }

    /// Says what it is for.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// The field that is the key of its rows.
    pub fn primary_field(&self) -> Option<&FieldSchema> {
        self.fields.iter().find(|field| field.primary_key)
    }

    pub(super) fn first_vector(&self) -> Option<&FieldSchema> {
        self.fields.iter().find(|field| {
            matches!(
                field.data_type,
                DataType::FloatVector | DataType::BinaryVector
            )
        })
    }

    pub(super) fn to_wire(&self, name: &str) -> wire::CollectionSchema {
        wire::CollectionSchema {
            name: name.to_owned(),
            description: self.description.clone(),
            fields: self.fields.iter().map(FieldSchema::to_wire).collect(),
            enable_dynamic_field: self.dynamic_fields,
            ..Default::default()
        }
    }

    pub(super) fn from_wire(schema: wire::CollectionSchema) -> Self {
        let fields = schema
            .fields
            .into_iter()
            .filter(|field| !field.is_dynamic)
            .map(FieldSchema::from_wire)
            .collect();
        Self {
            fields,
            dynamic_fields: schema.enable_dynamic_field,
            description: schema.description,
        }
    }
}

impl FieldSchema {
    /// A field of that name and type.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type,
            element_type: None,
            primary_key: false,
            auto_id: false,
            partition_key: false,
            nullable: false,
            dimension: None,
            max_length: None,
            max_capacity: None,
            description: String::new(),
        }
    }

    /// An integer of 64 bits, one of the two types that a key can have.
    pub fn int64(name: impl Into<String>) -> Self {
        Self::new(name, DataType::Int64)
    }

    /// A string of at most `max_length` bytes, the other type that a key can have.
    pub fn var_char(name: impl Into<String>, max_length: usize) -> Self {
        Self {
            max_length: Some(max_length),
            ..Self::new(name, DataType::VarChar)
        }
    }

    /// A vector of `dimension` numbers.
    pub fn float_vector(name: impl Into<String>, dimension: usize) -> Self {
        Self {
            dimension: Some(dimension),
            ..Self::new(name, DataType::FloatVector)
        }
    }

    /// A vector of `dimension` bits, a multiple of eight.
    pub fn binary_vector(name: impl Into<String>, dimension: usize) -> Self {
        Self {
            dimension: Some(dimension),
            ..Self::new(name, DataType::BinaryVector)
        }
    }

    /// An array of at most `max_capacity` values of type `element_type`.
    pub fn array(name: impl Into<String>, element_type: DataType, max_capacity: usize) -> Self {
        let field = Self::new(name, DataType::Array);
        Self {
            element_type: Some(element_type),
            max_capacity: Some(max_capacity),
            ..field
        }
    }

    /// Makes it the key of its rows.
    #[must_use]
    pub fn primary_key(mut self) -> Self {
        self.primary_key = true;
        self
    }

    /// Lets Milvus make its values; rows don't have it when they are inserted.
    #[must_use]
    pub fn auto_id(mut self) -> Self {
        self.auto_id = true;
        self
    }

    /// Partitions the rows by it.
    #[must_use]
    pub fn partition_key(mut self) -> Self {
        self.partition_key = true;
        self
    }

    /// Limits strings to `bytes`, which arrays of strings need.
    #[must_use]
    pub fn max_length(mut self, bytes: usize) -> Self {
        self.max_length = Some(bytes);
        self
    }

    /// Says what it is for.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    fn to_wire(&self) -> wire::FieldSchema {
        let params = [
            ("dim", self.dimension),
            ("max_length", self.max_length),
            ("max_capacity", self.max_capacity),
        ];
        wire::FieldSchema {
            name: self.name.clone(),
            is_primary_key: self.primary_key,
            description: self.description.clone(),
            data_type: self.data_type.number(),
            type_params: params
                .iter()
                .filter_map(|(key, value)| Some(pair(key, &(*value)?.to_string())))
                .collect(),
            auto_id: self.auto_id,
            element_type: self.element_type.map_or(0, DataType::number),
            is_partition_key: self.partition_key,
            nullable: self.nullable,
            ..Default::default()
        }
    }

    fn from_wire(field: wire::FieldSchema) -> Self {
        let number = |key| {
            field
                .type_params
                .iter()
                .find(|param| param.key == key)?
                .value
                .parse()
                .ok()
        };
        Self {
            dimension: number("dim"),
            max_length: number("max_length"),
            max_capacity: number("max_capacity"),
            data_type: DataType::from_number(field.data_type),
            element_type: (field.element_type != 0)
                .then(|| DataType::from_number(field.element_type)),
            primary_key: field.is_primary_key,
            auto_id: field.auto_id,
            partition_key: field.is_partition_key,
            nullable: field.nullable,
            name: field.name,
            description: field.description,
        }
    }
}

impl DataType {
    pub(super) fn number(self) -> i32 {
        let known = match self {
            Self::Bool => wire::DataType::Bool,
            Self::Int8 => wire::DataType::Int8,
            Self::Int16 => wire::DataType::Int16,
            Self::Int32 => wire::DataType::Int32,
            Self::Int64 => wire::DataType::Int64,
            Self::Float => wire::DataType::Float,
            Self::Double => wire::DataType::Double,
            Self::VarChar => wire::DataType::VarChar,
            Self::Json => wire::DataType::Json,
            Self::Array => wire::DataType::Array,
            Self::BinaryVector => wire::DataType::BinaryVector,
            Self::FloatVector => wire::DataType::FloatVector,
            Self::Other(number) => return number,
        };
        known.into()
    }

    fn from_number(number: i32) -> Self {
        match wire::DataType::try_from(number) {
            Ok(wire::DataType::Bool) => Self::Bool,
            Ok(wire::DataType::Int8) => Self::Int8,
            Ok(wire::DataType::Int16) => Self::Int16,
            Ok(wire::DataType::Int32) => Self::Int32,
            Ok(wire::DataType::Int64) => Self::Int64,
            Ok(wire::DataType::Float) => Self::Float,
            Ok(wire::DataType::Double) => Self::Double,
            Ok(wire::DataType::VarChar | wire::DataType::String) => Self::VarChar,
            Ok(wire::DataType::Json) => Self::Json,
            Ok(wire::DataType::Array) => Self::Array,
            Ok(wire::DataType::BinaryVector) => Self::BinaryVector,
            Ok(wire::DataType::FloatVector) => Self::FloatVector,
            Ok(wire::DataType::None) | Err(_) => Self::Other(number),
        }
    }
}

/// How near two vectors are to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricType {
    /// The angle between them; from -1 to 1, the greater the nearer.
    #[default]
    Cosine,
    /// Their squared Euclidean distance; the smaller the nearer.
    L2,
    /// Their inner product; the greater the nearer.
    Ip,
    /// Of binary vectors: in how many bits they differ.
    Hamming,
    /// Of binary vectors: the share of set bits that they don't have in common.
    Jaccard,
}

impl MetricType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cosine => "COSINE",
            Self::L2 => "L2",
            Self::Ip => "IP",
            Self::Hamming => "HAMMING",
            Self::Jaccard => "JACCARD",
        }
    }
}

/// An index to be made over a field.
///
/// ```
/// use milvus_otel::client::{IndexParams, MetricType};
///
/// let index = IndexParams::new("vector")
///     .name("near")
///     .index_type("HNSW")
///     .metric_type(MetricType::L2)
///     .param("M", 16)
///     .param("efConstruction", 200);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct IndexParams {
    pub(super) field: String,
    name: String,
    index_type: String,
    metric_type: Option<MetricType>,
    params: Map<String, Value>,
}

impl IndexParams {
    /// An index over `field`, of the type that Milvus thinks best.
    pub fn new(field: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            name: String::new(),
            index_type: "AUTOINDEX".to_owned(),
            metric_type: None,
            params: Map::new(),
        }
    }

    /// Names it; an index has the name of its field unless this is set.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Makes it of the type that Milvus knows by this name, such as `HNSW`, `IVF_FLAT` or `BIN_FLAT`.
    #[must_use]
    pub fn index_type(mut self, index_type: impl Into<String>) -> Self {
        self.index_type = index_type.into();
        self
    }

    /// Says how near two vectors are; an index over vectors needs it.
    #[must_use]
    pub fn metric_type(mut self, metric_type: MetricType) -> Self {
        self.metric_type = Some(metric_type);
        self
    }

    /// A parameter of its type, such as `nlist`.
    #[must_use]
    pub fn param(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.params.insert(key.into(), value.into());
        self
    }

    pub(super) fn to_wire(
        &self,
        database: String,
        collection: &str,
    ) -> crate::proto::milvus::CreateIndexRequest {
        let mut extra_params = vec![pair("index_type", &self.index_type)];
        extra_params.extend(
            self.metric_type
                .map(|metric| pair("metric_type", metric.name())),
        );
        if !self.params.is_empty() {
            extra_params.push(pair(
                "params",
                &Value::Object(self.params.clone()).to_string(),
            ));
        }
        crate::proto::milvus::CreateIndexRequest {
            db_name: database,
            collection_name: collection.to_owned(),
            field_name: self.field.clone(),
            extra_params,
            index_name: self.name.clone(),
        }
    }
}

/// How fresh the data must be that a search or a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConsistencyLevel {
    /// All that was written before, by anyone. It waits for it.
    Strong,
    /// All that this client has written.
    Session,
    /// All but what was written in the last few seconds.
    Bounded,
    /// Whatever is there.
    Eventually,
}

impl ConsistencyLevel {
    pub(super) fn wire(self) -> common::ConsistencyLevel {
        match self {
            Self::Strong => common::ConsistencyLevel::Strong,
            Self::Session => common::ConsistencyLevel::Session,
            Self::Bounded => common::ConsistencyLevel::Bounded,
            Self::Eventually => common::ConsistencyLevel::Eventually,
        }
    }

    pub(super) fn from_wire(level: common::ConsistencyLevel) -> Self {
        match level {
            common::ConsistencyLevel::Strong => Self::Strong,
            common::ConsistencyLevel::Session => Self::Session,
            common::ConsistencyLevel::Bounded => Self::Bounded,
            common::ConsistencyLevel::Eventually | common::ConsistencyLevel::Customized => {
                Self::Eventually
            }
        }
    }
}

/// Whether a collection can be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadState {
    /// There is no such collection.
    NotExist,
    /// It must be loaded first.
    NotLoad,
    /// It is being loaded.
    Loading,
    /// It can be searched.
    Loaded,
}

/// The value of a primary key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// A key that is a number.
    Int(i64),
    /// A key that is a string.
    Str(String),
}

impl Id {
    /// As it stands in a filter.
    pub(super) fn literal(&self) -> String {
        match self {
            Self::Int(id) => id.to_string(),
            Self::Str(id) => Value::from(id.as_str()).to_string(),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(id) => id.fmt(f),
            Self::Str(id) => id.fmt(f),
        }
    }
}

impl From<i64> for Id {
    fn from(id: i64) -> Self {
        Self::Int(id)
    }
}

impl From<&str> for Id {
    fn from(id: &str) -> Self {
        Self::Str(id.to_owned())
    }
}

impl From<String> for Id {
    fn from(id: String) -> Self {
        Self::Str(id)
    }
}

/// A vector to search for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Vector {
    /// One number per dimension.
    Float(Vec<f32>),
    /// One bit per dimension, eight to the byte.
    Binary(Vec<u8>),
}

impl From<Vec<f32>> for Vector {
    fn from(numbers: Vec<f32>) -> Self {
        Self::Float(numbers)
    }
}

impl From<&[f32]> for Vector {
    fn from(numbers: &[f32]) -> Self {
        Self::Float(numbers.to_vec())
    }
}

impl<const N: usize> From<[f32; N]> for Vector {
    fn from(numbers: [f32; N]) -> Self {
        Self::Float(numbers.to_vec())
    }
}

impl From<Vec<u8>> for Vector {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

pub(super) fn pair(key: &str, value: &str) -> KeyValuePair {
    KeyValuePair {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

/// The names and values of a list of pairs.
pub(super) fn pairs(list: Vec<KeyValuePair>) -> std::collections::BTreeMap<String, String> {
    list.into_iter()
        .map(|pair| (pair.key, pair.value))
        .collect()
}

pub(super) fn count(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| Error::unexpected(format!("a count came as {number}")))
}
