//! Rows, as people write them, and columns, as Milvus sends them.

use super::half;
use super::schema::{CollectionSchema, DataType, FieldSchema};
use crate::proto::schema::{
    ArrayArray, BoolArray, BytesArray, DoubleArray, FieldData, FloatArray, IntArray, LongArray,
    ScalarField, SparseFloatArray, StringArray, VectorField, field_data::Field, scalar_field::Data,
    vector_field::Data as VectorData,
};
use serde_json::{Map, Value};
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};

/// A row whose fields are not known before: field names and JSON values.
pub type Row = Map<String, Value>;

/// The message of an error about a row.
type Problem = String;

/// The field in which Milvus keeps the dynamic fields of a row.
const DYNAMIC_FIELD: &str = "$meta";

/// The columns that `rows` are for a collection of that schema.
pub(super) fn to_columns(
    schema: &CollectionSchema,
    rows: &[Value],
) -> Result<Vec<FieldData>, Problem> {
    let rows = rows
        .iter()
        .enumerate()
        .map(record)
        .collect::<Result<Vec<_>, _>>()?;
    let mut columns = Vec::with_capacity(schema.fields.len() + 1);
    let is_filled = |field: &&FieldSchema| field.auto_id || field.function_output;
    for field in schema.fields.iter().filter(|field| !is_filled(field)) {
        let mut valid = Vec::new();
        let mut values = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let value = value(field, index, row)?;
            if field.is_optional() {
                valid.push(value.is_some());
            }
            // A column stores only the values that are there.
            values.extend(value.map(|value| (index, value)));
        }
        let mut column = column(field, &values)?;
        column.valid_data = valid;
        columns.push(column);
    }
    for field in schema.fields.iter().filter(is_filled) {
        if let Some(index) = rows.iter().position(|row| row.contains_key(&field.name)) {
            return Err(format!(
                "row {index} has a field `{}`, which Milvus itself fills",
                field.name
            ));
        }
    }
    let known: HashSet<&str> = schema.fields.iter().map(|field| &*field.name).collect();
    let extra = rows.iter().map(|row| extra(row, &known));
    if schema.dynamic_fields {
        columns.push(dynamic_column(extra));
    } else if let Some((index, name)) = extra
        .enumerate()
        .find_map(|(index, mut extra)| Some((index, extra.next()?.0)))
    {
        return Err(format!(
            "row {index} has a field `{name}`, which the collection doesn't have"
        ));
    }
    Ok(columns)
}

fn record((index, row): (usize, &Value)) -> Result<&Row, Problem> {
    row.as_object()
        .ok_or_else(|| format!("row {index} is {}, not a record", describe(row)))
}

/// The value of a field; `None` where the row may be without it and is.
fn value<'a>(
    field: &FieldSchema,
    index: usize,
    row: &'a Row,
) -> Result<Option<&'a Value>, Problem> {
    match row.get(&field.name) {
        None | Some(Value::Null) if field.is_optional() => Ok(None),
        None => Err(format!("row {index} has no field `{}`", field.name)),
        value => Ok(value),
    }
}

/// The dynamic fields of a row.
fn extra<'a>(row: &'a Row, known: &HashSet<&str>) -> impl Iterator<Item = (&'a String, &'a Value)> {
    row.iter()
        .filter(|(name, _)| !known.contains(name.as_str()))
}

/// A value, and the number of its row.
type Cell<'a> = (usize, &'a Value);

fn column(field: &FieldSchema, cells: &[Cell<'_>]) -> Result<FieldData, Problem> {
    let data = match field.data_type {
        data_type if data_type.is_vector() => Field::Vectors(vectors(field, cells)?),
        DataType::Array => Field::Scalars(ScalarField {
            data: Some(Data::Arrays(arrays(field, cells)?)),
        }),
        data_type => {
            let values: Vec<&Value> = cells.iter().map(|(_, value)| *value).collect();
            let scalars = scalars(data_type, &values);
            Field::Scalars(scalars.map_err(|(place, problem)| {
                let row = cells.get(place).map_or(0, |(row, _)| *row);
                at(row, field, &problem)
            })?)
        }
    };
    Ok(FieldData {
        r#type: field.data_type.number(),
        field_name: field.name.clone(),
        field: Some(data),
        ..Default::default()
    })
}

fn at(index: usize, field: &FieldSchema, problem: &str) -> Problem {
    format!("row {index}, field `{}`: {problem}", field.name)
}

/// A column of one type, or which value is wrong and how.
fn scalars(
    data_type: DataType,
    values: &[impl Borrow<Value>],
) -> Result<ScalarField, (usize, Problem)> {
    let data = match data_type {
        DataType::Bool => Data::Bools(BoolArray {
            data: each(values, "a boolean", Value::as_bool)?,
        }),
        DataType::Int8 => Data::Ints(IntArray {
            data: each(values, "an integer of 8 bits", integer::<i8>)?,
        }),
        DataType::Int16 => Data::Ints(IntArray {
            data: each(values, "an integer of 16 bits", integer::<i16>)?,
        }),
        DataType::Int32 => Data::Ints(IntArray {
            data: each(values, "an integer of 32 bits", integer::<i32>)?,
        }),
        DataType::Int64 => Data::Longs(LongArray {
            data: each(values, "an integer of 64 bits", Value::as_i64)?,
        }),
        DataType::Float => Data::Floats(FloatArray {
            data: each(values, "a number of 32 bits", number)?,
        }),
        DataType::Double => Data::Doubles(DoubleArray {
            data: each(values, "a number", Value::as_f64)?,
        }),
        DataType::VarChar => Data::Strings(StringArray {
            data: each(values, "a string", text)?,
        }),
        DataType::Json => Data::Json(json(values)),
        _ => return Err((0, format!("this client can't write a {data_type:?}"))),
    };
    Ok(ScalarField { data: Some(data) })
}

fn each<T>(
    values: &[impl Borrow<Value>],
    expected: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, (usize, Problem)> {
    let read = |(index, value)| read(value).ok_or_else(|| (index, self::expected(expected, value)));
    values
        .iter()
        .map(Borrow::borrow)
        .enumerate()
        .map(read)
        .collect()
}

/// An integer that fits into `I`, in the 32 bits that it travels in.
fn integer<I: TryFrom<i64> + Into<i32>>(value: &Value) -> Option<i32> {
    I::try_from(value.as_i64()?).ok().map(Into::into)
}

/// A finite number of 32 bits; JSON numbers have 64.
fn number(value: &Value) -> Option<f32> {
    let number = value.as_f64()? as f32;
    number.is_finite().then_some(number)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn json(values: &[impl Borrow<Value>]) -> BytesArray {
    BytesArray {
        data: values
            .iter()
            .map(|value| value.borrow().to_string().into())
            .collect(),
    }
}

fn arrays(field: &FieldSchema, cells: &[Cell<'_>]) -> Result<ArrayArray, Problem> {
    let element_type = field
        .element_type
        .ok_or_else(|| format!("field `{}` is an array of no type", field.name))?;
    let array = |&(index, value): &Cell<'_>| {
        let elements = list(field, index, value)?;
        scalars(element_type, elements)
            .map_err(|(_, problem)| at(index, field, &format!("in the list, {problem}")))
    };
    Ok(ArrayArray {
        data: cells.iter().map(array).collect::<Result<_, _>>()?,
        element_type: element_type.number(),
    })
}

fn list<'a>(field: &FieldSchema, index: usize, value: &'a Value) -> Result<&'a [Value], Problem> {
    let list = value.as_array().map(Vec::as_slice);
    list.ok_or_else(|| at(index, field, &expected("a list", value)))
}

fn expected(what: &str, found: &Value) -> Problem {
    format!("expected {what}, found {}", describe(found))
}

fn vectors(field: &FieldSchema, cells: &[Cell<'_>]) -> Result<VectorField, Problem> {
    let halves = |half: fn(f32) -> Option<u16>| {
        let read = |value: &Value| number(value).and_then(half);
        let dense = dense(field, cells, 1, "a number of 16 bits", read)?;
        Ok::<_, Problem>(dense.into_iter().flat_map(u16::to_le_bytes).collect())
    };
    let data = match field.data_type {
        DataType::FloatVector => VectorData::Floats(FloatArray {
            data: dense(field, cells, 1, NUMBER, number)?,
        }),
        DataType::BinaryVector => {
            let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
            VectorData::Binary(dense(field, cells, 8, "a byte", byte)?.into())
        }
        DataType::Int8Vector => {
            let byte = |value: &Value| Some(i8::try_from(value.as_i64()?).ok()?.cast_unsigned());
            let bytes = dense(field, cells, 1, "an integer of 8 bits", byte)?;
            VectorData::Int8(bytes.into())
        }
        DataType::Float16Vector => VectorData::Float16(halves(half::to_float16)?),
        DataType::BFloat16Vector => VectorData::Bfloat16(halves(half::to_bfloat16)?),
        _ => return sparse_vectors(field, cells),
    };
    Ok(VectorField {
        dim: i64::try_from(dimension(field)?).unwrap_or(i64::MAX),
        data: Some(data),
    })
}

const NUMBER: &str = "a number of 32 bits";

/// The elements of all vectors end to end, each of which stands for `per_element` dimensions.
fn dense<T>(
    field: &FieldSchema,
    cells: &[Cell<'_>],
    per_element: usize,
    element: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, Problem> {
    let dimension = dimension(field)?;
    if dimension == 0 || dimension % per_element != 0 {
        return Err(format!(
            "field `{}` has a dimension of {dimension}, which isn't a positive multiple of {per_element}",
            field.name
        ));
    }
    let length = dimension / per_element;
    // A schema's word for a dimension isn't believed before the rows bear it out.
    let first = cells.first().and_then(|(_, first)| first.as_array());
    let likely = first.map_or(0, |first| first.len().min(length));
    let mut all = Vec::with_capacity(likely * cells.len());
    for &(index, value) in cells {
        let elements = list(field, index, value)?;
        if elements.len() != length {
            let found = elements.len();
            return Err(at(
                index,
                field,
                &format!("expected a vector of {length} elements, found one of {found}"),
            ));
        }
        for value in elements {
            all.push(read(value).ok_or_else(|| {
                at(
                    index,
                    field,
                    &format!("in the vector, {}", expected(element, value)),
                )
            })?);
        }
    }
    Ok(all)
}

fn sparse_vectors(field: &FieldSchema, cells: &[Cell<'_>]) -> Result<VectorField, Problem> {
    let mut dimension = 0;
    let mut contents = Vec::with_capacity(cells.len());
    for &(index, value) in cells {
        let numbers = sparse(value).map_err(|problem| at(index, field, &problem))?;
        let last = numbers.last_key_value();
        dimension = dimension.max(last.map_or(0, |(index, _)| i64::from(*index) + 1));
        contents.push(sparse_bytes(&numbers).into());
    }
    Ok(VectorField {
        dim: dimension,
        data: Some(VectorData::Sparse(SparseFloatArray {
            contents,
            dim: dimension,
        })),
    })
}

/// The numbers of a record such as `{"7": 0.5}`, by their dimensions.
fn sparse(value: &Value) -> Result<BTreeMap<u32, f32>, Problem> {
    let record = value
        .as_object()
        .ok_or_else(|| expected("a record of numbers by their dimensions", value))?;
    let entry = |(index, value): (&String, &Value)| {
        // `07` and `+7` would be the dimension of `7`, and one of them lost.
        let is_plain = !index.starts_with(['+', '0']) || index == "0";
        let number_of = || index.parse().ok().filter(|index| *index < u32::MAX);
        let dimension = is_plain.then(number_of).flatten().ok_or_else(|| {
            format!("in the sparse vector, the dimension `{index}` isn't an integer of 32 bits")
        });
        let number = number(value).filter(|number| !number.is_nan());
        let number =
            number.ok_or_else(|| format!("in the sparse vector, {}", expected(NUMBER, value)));
        Ok((dimension?, number?))
    };
    record.iter().map(entry).collect()
}

/// A sparse vector as it travels: pairs of a dimension and a number, in the dimensions' order.
pub(super) fn sparse_bytes(numbers: &BTreeMap<u32, f32>) -> Vec<u8> {
    let pair = |(index, number): (&u32, &f32)| [index.to_le_bytes(), number.to_le_bytes()];
    numbers.iter().flat_map(pair).flatten().collect()
}

fn sparse_value(bytes: &[u8]) -> Option<Value> {
    let (pairs, rest) = bytes.as_chunks::<8>();
    let entry = |&[a, b, c, d, e, f, g, h]: &[u8; 8]| {
        let index = u32::from_le_bytes([a, b, c, d]).to_string();
        (index, Value::from(f32::from_le_bytes([e, f, g, h])))
    };
    rest.is_empty().then(|| pairs.iter().map(entry).collect())
}

fn dimension(field: &FieldSchema) -> Result<usize, Problem> {
    field
        .dimension
        .ok_or_else(|| format!("field `{}` is a vector without a dimension", field.name))
}

fn dynamic_column<'a>(
    rows: impl Iterator<Item = impl Iterator<Item = (&'a String, &'a Value)>>,
) -> FieldData {
    let rows: Vec<Value> = rows
        .map(|extra| {
            extra
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        })
        .collect();
    FieldData {
        r#type: DataType::Json.number(),
        field_name: DYNAMIC_FIELD.to_owned(),
        field: Some(Field::Scalars(ScalarField {
            data: Some(Data::Json(json(&rows))),
        })),
        is_dynamic: true,
        ..Default::default()
    }
}

/// The value, or its kind if it can be long.
fn describe(value: &Value) -> String {
    match value {
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a record".to_owned(),
        short => format!("`{short}`"),
    }
}

/// The `count` rows that `columns` hold; a dynamic field's own fields become fields of its row, as far as they were
/// `wanted`.
pub(super) fn from_columns(
    columns: &[FieldData],
    count: usize,
    wanted: &[String],
) -> Result<Vec<Row>, Problem> {
    // A column that is short of rows is found at its first gap; nothing is allocated on the strength of a count.
    let mut rows = Vec::new();
    for index in 0..count {
        let mut row = Row::new();
        for column in columns {
            match value_at(column, index).ok_or_else(|| unreadable(column, index))? {
                Value::Object(fields) if column.is_dynamic => {
                    row.extend(
                        fields
                            .into_iter()
                            .filter(|(name, _)| is_wanted(wanted, name)),
                    );
                }
                value => drop(row.insert(column.field_name.clone(), value)),
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Whether a dynamic field is among the output fields: by its name, by its path `$meta["name"]`, or with all others.
fn is_wanted(wanted: &[String], name: &str) -> bool {
    let is_path = |path: &str| {
        let key = path
            .strip_prefix('[')
            .and_then(|path| path.strip_suffix(']'));
        let key = key.and_then(|key| {
            ['"', '\'']
                .iter()
                .find_map(|quote| key.strip_prefix(*quote)?.strip_suffix(*quote))
        });
        path.is_empty() || key == Some(name)
    };
    wanted.iter().any(|wanted| {
        wanted == "*" || wanted == name || wanted.strip_prefix(DYNAMIC_FIELD).is_some_and(is_path)
    })
}

/// How many rows a column has.
pub(super) fn length(column: &FieldData) -> usize {
    if column.valid_data.is_empty() {
        stored_length(column)
    } else {
        column.valid_data.len()
    }
}

/// The number of values in a column, which may leave out null ones.
fn stored_length(column: &FieldData) -> usize {
    match &column.field {
        None => 0,
        Some(Field::Scalars(scalars)) => scalar_length(scalars),
        Some(Field::Vectors(vectors)) => vector_length(vectors),
    }
}

fn vector_length(vectors: &VectorField) -> usize {
    let dimension = usize::try_from(vectors.dim).unwrap_or(0);
    let of = |length: usize, each: usize| length.checked_div(each).unwrap_or(0);
    match &vectors.data {
        None => 0,
        Some(VectorData::Floats(numbers)) => of(numbers.data.len(), dimension),
        Some(VectorData::Binary(bytes)) => of(bytes.len(), dimension / 8),
        Some(VectorData::Float16(bytes) | VectorData::Bfloat16(bytes)) => {
            of(bytes.len(), dimension.saturating_mul(2))
        }
        Some(VectorData::Int8(bytes)) => of(bytes.len(), dimension),
        Some(VectorData::Sparse(vectors)) => vectors.contents.len(),
    }
}

fn scalar_length(scalars: &ScalarField) -> usize {
    match &scalars.data {
        None => 0,
        Some(Data::Bools(column)) => column.data.len(),
        Some(Data::Ints(column)) => column.data.len(),
        Some(Data::Longs(column)) => column.data.len(),
        Some(Data::Floats(column)) => column.data.len(),
        Some(Data::Doubles(column)) => column.data.len(),
        Some(Data::Strings(column)) => column.data.len(),
        Some(Data::Bytes(column) | Data::Json(column)) => column.data.len(),
        Some(Data::Arrays(column)) => column.data.len(),
    }
}

fn unreadable(column: &FieldData, index: usize) -> Problem {
    let data_type = column.r#type();
    format!(
        "row {index} of column `{}`, of type {data_type:?}, can't be read",
        column.field_name
    )
}

fn value_at(column: &FieldData, index: usize) -> Option<Value> {
    let valid = &column.valid_data;
    if valid.get(index) == Some(&false) {
        return Some(Value::Null);
    }
    let index = if stored_length(column) < valid.len() {
        valid.get(..index)?.iter().filter(|valid| **valid).count()
    } else {
        index
    };
    match column.field.as_ref()? {
        Field::Scalars(scalars) => scalar_at(scalars, index),
        Field::Vectors(vectors) => vector_at(vectors, index),
    }
}

fn scalar_at(scalars: &ScalarField, index: usize) -> Option<Value> {
    Some(match scalars.data.as_ref()? {
        Data::Bools(column) => Value::from(*column.data.get(index)?),
        Data::Ints(column) => Value::from(*column.data.get(index)?),
        Data::Longs(column) => Value::from(*column.data.get(index)?),
        Data::Floats(column) => Value::from(*column.data.get(index)?),
        Data::Doubles(column) => Value::from(*column.data.get(index)?),
        Data::Strings(column) => Value::from(column.data.get(index)?.as_str()),
        Data::Json(column) => serde_json::from_slice(column.data.get(index)?).ok()?,
        Data::Arrays(column) => {
            let array = column.data.get(index)?;
            Value::Array(
                (0..scalar_length(array))
                    .map(|index| scalar_at(array, index))
                    .collect::<Option<_>>()?,
            )
        }
        Data::Bytes(_) => return None,
    })
}

fn vector_at(vectors: &VectorField, index: usize) -> Option<Value> {
    let dimension = usize::try_from(vectors.dim).ok()?;
    let part = |length: usize| {
        Some(index.checked_mul(length)?..index.checked_add(1)?.checked_mul(length)?)
    };
    let halves = |bytes: &[u8], number: fn(u16) -> f32| {
        let (pairs, _) = bytes
            .get(part(dimension.checked_mul(2)?)?)?
            .as_chunks::<2>();
        let number = |pair: &[u8; 2]| number(u16::from_le_bytes(*pair));
        Some(pairs.iter().map(number).collect::<Value>())
    };
    Some(match vectors.data.as_ref()? {
        VectorData::Floats(numbers) => Value::from(numbers.data.get(part(dimension)?)?),
        VectorData::Binary(bytes) => Value::from(bytes.get(part(dimension / 8)?)?),
        VectorData::Float16(bytes) => halves(bytes, half::from_float16)?,
        VectorData::Bfloat16(bytes) => halves(bytes, half::from_bfloat16)?,
        VectorData::Int8(bytes) => {
            let bytes = bytes.get(part(dimension)?)?;
            bytes.iter().map(|byte| byte.cast_signed()).collect()
        }
        VectorData::Sparse(vectors) => sparse_value(vectors.contents.get(index)?)?,
    })
}
