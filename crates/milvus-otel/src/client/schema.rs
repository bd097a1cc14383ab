//! Schemas, fields, indexes, and the types that their values have.

use super::error::{Error, Result};
use super::version::Version;
use crate::proto::common::{self, KeyValuePair};
use crate::proto::schema as wire;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
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
    /// By which functions the server computes some of the fields.
    pub functions: Vec<Function>,
    /// Its description.
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
///     .field(FieldSchema::new("year", DataType::Int16).nullable().clustering_key())
///     .field(FieldSchema::new("shared", DataType::Bool).default_value(false).param("mmap.enabled", true))
///     .field(FieldSchema::binary_vector("hash", 64))
///     .field(FieldSchema::float16_vector("look", 512))
///     .field(FieldSchema::bfloat16_vector("sound", 128))
///     .field(FieldSchema::int8_vector("colors", 64));
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
    /// Whether the server computes it of other fields.
    pub function_output: bool,
    /// Whether the rows of a segment are sorted by it, for major compactions.
    pub clustering_key: bool,
    /// The value of rows that have none.
    pub default_value: Option<Value>,
    /// How many bytes a string has at most.
    pub max_length: Option<usize>,
    /// How many elements an array has at most.
    pub max_capacity: Option<usize>,
    /// Its other parameters, such as `enable_analyzer`.
    pub params: BTreeMap<String, String>,
    /// Its description.
    pub description: String,
}

/// A function by which the server computes a field of others.
///
/// ```
/// use milvus_otel::client::{CollectionSchema, DataType, FieldSchema, Function};
///
/// let schema = CollectionSchema::new()
///     .field(FieldSchema::int64("id").primary_key())
///     .field(FieldSchema::var_char("text", 2_000).param("enable_analyzer", "true"))
///     .field(FieldSchema::sparse_vector("keywords"))
///     .function(Function::bm25("of_text", "text", "keywords"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Milvus's number for its type; 1 is BM25.
    pub function_type: i32,
    /// The fields that it reads.
    pub inputs: Vec<String>,
    /// The fields that it fills.
    pub outputs: Vec<String>,
}

impl Function {
    /// Full-text search: fills the sparse vector `output` with the keywords of the text `input`.
    ///
    /// Milvus 2.5 and later; against a stub only.
    pub fn bm25(
        name: impl Into<String>,
        input: impl Into<String>,
        output: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            function_type: wire::FunctionType::Bm25.into(),
            inputs: vec![input.into()],
            outputs: vec![output.into()],
        }
    }
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
    /// One IEEE number of 16 bits per dimension. In a row: a list of numbers. Milvus 2.4 and later.
    Float16Vector,
    /// One number per dimension, in the upper half of its 32 bits. In a row: a list of numbers. Milvus 2.4 and later.
    BFloat16Vector,
    /// Numbers by their dimensions, of which most have none. In a row: a record such as `{"7": 0.5}`, so a map from
    /// integers to numbers. Milvus 2.4 and later.
    SparseFloatVector,
    /// One integer of 8 bits per dimension. In a row: a list of integers. Milvus 2.6 and later.
    Int8Vector,
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

    /// Allows fields that aren't in the schema. They can be returned, and used in filters.
    #[must_use]
    pub fn dynamic_fields(mut self) -> Self {
        self.dynamic_fields = true;
        self
    }

    /// Makes the server compute a field from others.
    #[must_use]
    pub fn function(mut self, function: Function) -> Self {
        for field in &mut self.fields {
            field.function_output |= function.outputs.contains(&field.name);
        }
        self.functions.push(function);
        self
    }

    /// Sets its description.
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
        self.fields.iter().find(|field| field.data_type.is_vector())
    }

    /// The features that not every server has: the first version of each, and its name.
    pub(super) fn needs(&self) -> impl Iterator<Item = (Version, String)> {
        let functions = (!self.functions.is_empty())
            .then(|| (Version(2, 5, 0), "a function that fills a field".to_owned()));
        let fields = self.fields.iter().flat_map(FieldSchema::needs);
        fields.chain(functions)
    }

    pub(super) fn to_wire(&self, name: &str) -> Result<wire::CollectionSchema> {
        let fields = self.fields.iter().map(FieldSchema::to_wire);
        Ok(wire::CollectionSchema {
            name: name.to_owned(),
            description: self.description.clone(),
            fields: fields.collect::<Result<_>>()?,
            enable_dynamic_field: self.dynamic_fields,
            auto_id: self.fields.iter().any(|field| field.auto_id),
            functions: self.functions.iter().map(Function::to_wire).collect(),
        })
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
            functions: schema
                .functions
                .into_iter()
                .map(Function::from_wire)
                .collect(),
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
            function_output: false,
            clustering_key: false,
            default_value: None,
            params: BTreeMap::new(),
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

    /// A vector of `dimension` numbers of 16 bits.
    ///
    /// Milvus 2.4 and later.
    pub fn float16_vector(name: impl Into<String>, dimension: usize) -> Self {
        Self {
            dimension: Some(dimension),
            ..Self::new(name, DataType::Float16Vector)
        }
    }

    /// A vector of `dimension` numbers, each the upper half of one of 32 bits.
    ///
    /// Milvus 2.4 and later.
    pub fn bfloat16_vector(name: impl Into<String>, dimension: usize) -> Self {
        Self {
            dimension: Some(dimension),
            ..Self::new(name, DataType::BFloat16Vector)
        }
    }

    /// A vector of `dimension` integers of 8 bits.
    ///
    /// Milvus 2.6 and later.
    pub fn int8_vector(name: impl Into<String>, dimension: usize) -> Self {
        Self {
            dimension: Some(dimension),
            ..Self::new(name, DataType::Int8Vector)
        }
    }

    /// A vector of which most numbers are zero.
    ///
    /// Milvus 2.4 and later. Version 2.3.5 itself would create the collection and refuse its rows.
    pub fn sparse_vector(name: impl Into<String>) -> Self {
        Self::new(name, DataType::SparseFloatVector)
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

    /// Makes Milvus generate its values. Inserted rows must leave it out.
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

    /// Allows rows to leave it out, or to have `null` for it.
    ///
    /// Milvus 2.5 and later. Version 2.3.5 itself would create a field that isn't nullable, without an error.
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Gives rows that are without it this value. Milvus 2.5 and later.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        self.default_value = Some(value.into());
        self
    }

    /// Sorts the rows of a segment by it, for major compactions. Milvus 2.4 and later.
    #[must_use]
    pub fn clustering_key(mut self) -> Self {
        self.clustering_key = true;
        self
    }

    /// Sets another parameter, such as `enable_analyzer` or `mmap.enabled`.
    #[must_use]
    pub fn param(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.params.insert(key.into(), value.to_string());
        self
    }

    /// The features that not every server has: the first version of each, and its name.
    pub(super) fn needs(&self) -> impl Iterator<Item = (Version, String)> {
        let data_type = match self.data_type {
            DataType::Float16Vector | DataType::BFloat16Vector | DataType::SparseFloatVector => {
                Some(Version(2, 4, 0))
            }
            DataType::Int8Vector => Some(Version(2, 6, 0)),
            _ => None,
        };
        let features = [
            (data_type, format!("a {:?}", self.data_type)),
            (
                self.clustering_key.then_some(Version(2, 4, 0)),
                "a clustering key".to_owned(),
            ),
            (
                self.nullable.then_some(Version(2, 5, 0)),
                "a nullable field".to_owned(),
            ),
            (
                self.default_value.as_ref().map(|_| Version(2, 5, 0)),
                "a default value".to_owned(),
            ),
        ];
        let name = |feature| format!("field `{}`: {feature}", self.name);
        features
            .into_iter()
            .filter_map(move |(first, feature)| Some((first?, name(feature))))
    }

    /// Whether a row may be without it.
    pub(super) fn is_optional(&self) -> bool {
        self.nullable || self.default_value.is_some()
    }

    /// Limits strings to `bytes`, which arrays of strings need.
    #[must_use]
    pub fn max_length(mut self, bytes: usize) -> Self {
        self.max_length = Some(bytes);
        self
    }

    /// Sets its description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    pub(super) fn to_wire(&self) -> Result<wire::FieldSchema> {
        let default = |value| {
            let data = default_to_wire(self.data_type, value);
            let unfit = || {
                let (name, data_type) = (&self.name, self.data_type);
                Error::invalid(format!(
                    "field `{name}`: {value} can't be the default of a {data_type:?}"
                ))
            };
            data.map(|data| wire::ValueField { data: Some(data) })
                .ok_or_else(unfit)
        };
        let params = [
            ("dim", self.dimension),
            ("max_length", self.max_length),
            ("max_capacity", self.max_capacity),
        ];
        Ok(wire::FieldSchema {
            name: self.name.clone(),
            is_primary_key: self.primary_key,
            description: self.description.clone(),
            data_type: self.data_type.number(),
            type_params: params
                .iter()
                .filter_map(|(key, value)| Some(pair(key, &(*value)?.to_string())))
                .chain(self.params.iter().map(|(key, value)| pair(key, value)))
                .collect(),
            default_value: self.default_value.as_ref().map(default).transpose()?,
            is_clustering_key: self.clustering_key,
            is_function_output: self.function_output,
            auto_id: self.auto_id,
            element_type: self.element_type.map_or(0, DataType::number),
            is_partition_key: self.partition_key,
            nullable: self.nullable,
            ..Default::default()
        })
    }

    fn from_wire(field: wire::FieldSchema) -> Self {
        let mut params = pairs(field.type_params);
        let mut number = |key| {
            let number = params.get(key)?.parse().ok()?;
            params.remove(key);
            Some(number)
        };
        Self {
            dimension: number("dim"),
            max_length: number("max_length"),
            max_capacity: number("max_capacity"),
            params,
            default_value: field
                .default_value
                .and_then(|value| default_from_wire(value.data?)),
            clustering_key: field.is_clustering_key,
            function_output: field.is_function_output,
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

impl Function {
    fn to_wire(&self) -> wire::FunctionSchema {
        wire::FunctionSchema {
            name: self.name.clone(),
            r#type: self.function_type,
            input_field_names: self.inputs.clone(),
            output_field_names: self.outputs.clone(),
            ..Default::default()
        }
    }

    fn from_wire(function: wire::FunctionSchema) -> Self {
        Self {
            name: function.name,
            function_type: function.r#type,
            inputs: function.input_field_names,
            outputs: function.output_field_names,
        }
    }
}

/// A default value on the wire; `None` if it isn't of the field's type.
fn default_to_wire(data_type: DataType, value: &Value) -> Option<wire::value_field::Data> {
    use wire::value_field::Data;
    Some(match data_type {
        DataType::Bool => Data::Boolean(value.as_bool()?),
        DataType::Int8 => Data::Int(i8::try_from(value.as_i64()?).ok()?.into()),
        DataType::Int16 => Data::Int(i16::try_from(value.as_i64()?).ok()?.into()),
        DataType::Int32 => Data::Int(i32::try_from(value.as_i64()?).ok()?),
        DataType::Int64 => Data::Long(value.as_i64()?),
        DataType::Float => {
            Data::Number(Some(value.as_f64()? as f32).filter(|number| number.is_finite())?)
        }
        DataType::Double => Data::DoubleNumber(value.as_f64()?),
        DataType::VarChar => Data::Text(value.as_str()?.to_owned()),
        DataType::Json => Data::Raw(value.to_string().into()),
        _ => return None,
    })
}

fn default_from_wire(data: wire::value_field::Data) -> Option<Value> {
    use wire::value_field::Data;
    Some(match data {
        Data::Boolean(value) => value.into(),
        Data::Int(value) => value.into(),
        Data::Long(value) => value.into(),
        Data::Number(value) => value.into(),
        Data::DoubleNumber(value) => value.into(),
        Data::Text(value) => value.into(),
        Data::Raw(value) => serde_json::from_slice(&value).ok()?,
    })
}

impl DataType {
    pub(super) fn is_vector(self) -> bool {
        matches!(
            self,
            Self::BinaryVector
                | Self::FloatVector
                | Self::Float16Vector
                | Self::BFloat16Vector
                | Self::SparseFloatVector
                | Self::Int8Vector
        )
    }

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
            Self::Float16Vector => wire::DataType::Float16Vector,
            Self::BFloat16Vector => wire::DataType::BFloat16Vector,
            Self::SparseFloatVector => wire::DataType::SparseFloatVector,
            Self::Int8Vector => wire::DataType::Int8Vector,
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
            Ok(wire::DataType::Float16Vector) => Self::Float16Vector,
            Ok(wire::DataType::BFloat16Vector) => Self::BFloat16Vector,
            Ok(wire::DataType::SparseFloatVector) => Self::SparseFloatVector,
            Ok(wire::DataType::Int8Vector) => Self::Int8Vector,
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
    /// Of sparse vectors that [`Function::bm25`] fills: how well a text fits. Milvus 2.5 and later.
    Bm25,
}

impl MetricType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cosine => "COSINE",
            Self::L2 => "L2",
            Self::Ip => "IP",
            Self::Hamming => "HAMMING",
            Self::Jaccard => "JACCARD",
            Self::Bm25 => "BM25",
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

    /// Sets its type by Milvus's name for it, such as `HNSW`, `IVF_FLAT` or `BIN_FLAT`.
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
        extra_params.extend(self.params.iter().map(|(key, value)| match value {
            Value::String(text) => pair(key, text),
            value => pair(key, &value.to_string()),
        }));
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
    /// All but the writes of the last few seconds.
    Bounded,
    /// Any data that is there already.
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

impl LoadState {
    pub(super) fn from_wire(state: common::LoadState) -> Self {
        match state {
            common::LoadState::NotExist => Self::NotExist,
            common::LoadState::NotLoad => Self::NotLoad,
            common::LoadState::Loading => Self::Loading,
            common::LoadState::Loaded => Self::Loaded,
        }
    }
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
    /// One number per dimension, sent as IEEE numbers of 16 bits.
    Float16(Vec<f32>),
    /// One number per dimension, sent as the upper half of its 32 bits.
    BFloat16(Vec<f32>),
    /// Numbers by their dimensions.
    Sparse(BTreeMap<u32, f32>),
    /// One integer of 8 bits per dimension.
    Int8(Vec<i8>),
    /// A text, for fields that [`Function::bm25`] fills.
    Text(String),
}

impl From<BTreeMap<u32, f32>> for Vector {
    fn from(numbers: BTreeMap<u32, f32>) -> Self {
        Self::Sparse(numbers)
    }
}

impl From<Vec<i8>> for Vector {
    fn from(numbers: Vec<i8>) -> Self {
        Self::Int8(numbers)
    }
}

impl From<&str> for Vector {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
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

/// Pairs of one's own.
pub(super) fn pair_list(list: &[(&str, &str)]) -> Vec<KeyValuePair> {
    list.iter().map(|(key, value)| pair(key, value)).collect()
}

/// The names and values of a list of pairs.
pub(super) fn pairs(list: Vec<KeyValuePair>) -> BTreeMap<String, String> {
    list.into_iter()
        .map(|pair| (pair.key, pair.value))
        .collect()
}

pub(super) fn count(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| Error::unexpected(format!("a count came as {number}")))
}

/// The count of rows among statistics.
pub(super) fn row_count(stats: Vec<KeyValuePair>) -> Result<u64> {
    let count = pairs(stats)
        .remove("row_count")
        .and_then(|rows| rows.parse().ok());
    count.ok_or_else(|| Error::unexpected("the statistics came without a count of rows"))
}
