//! Rows, as people write them, and columns, as Milvus sends them.

use super::schema::{CollectionSchema, DataType, FieldSchema};
use crate::proto::schema::{
    ArrayArray, BoolArray, BytesArray, DoubleArray, FieldData, FloatArray, IntArray, LongArray,
    ScalarField, StringArray, VectorField, field_data::Field, scalar_field::Data, vector_field,
};
use serde_json::{Map, Value};
use std::borrow::Borrow;
use std::collections::HashSet;

/// A row whose fields are not known before: field names and JSON values.
pub type Row = Map<String, Value>;

/// What is wrong with a row, in words.
type Problem = String;

/// The field in which Milvus keeps what a row has beyond its schema.
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
    for field in schema.fields.iter().filter(|field| !field.auto_id) {
        let values = rows
            .iter()
            .enumerate()
            .map(|(index, row)| value(field, index, row));
        columns.push(column(field, &values.collect::<Result<Vec<_>, _>>()?)?);
    }
    if let Some(field) = schema.fields.iter().find(|field| field.auto_id)
        && let Some(index) = rows.iter().position(|row| row.contains_key(&field.name))
    {
        return Err(format!(
            "row {index} has a field `{}`, which Milvus itself fills",
            field.name
        ));
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
            "row {index} has a field `{name}`, which the collection has not"
        ));
    }
    Ok(columns)
}

fn record((index, row): (usize, &Value)) -> Result<&Row, Problem> {
    row.as_object()
        .ok_or_else(|| format!("row {index} is {}, not a record", kind(row)))
}

fn value<'a>(field: &FieldSchema, index: usize, row: &'a Row) -> Result<&'a Value, Problem> {
    row.get(&field.name)
        .ok_or_else(|| format!("row {index} has no field `{}`", field.name))
}

/// What a row has beyond its schema.
fn extra<'a>(row: &'a Row, known: &HashSet<&str>) -> impl Iterator<Item = (&'a String, &'a Value)> {
    row.iter()
        .filter(|(name, _)| !known.contains(name.as_str()))
}

fn column(field: &FieldSchema, values: &[impl Borrow<Value>]) -> Result<FieldData, Problem> {
    let data = match field.data_type {
        DataType::FloatVector => Field::Vectors(float_vectors(field, values)?),
        DataType::BinaryVector => Field::Vectors(binary_vectors(field, values)?),
        DataType::Array => Field::Scalars(ScalarField {
            data: Some(Data::Arrays(arrays(field, values)?)),
        }),
        data_type => Field::Scalars(
            scalars(data_type, values).map_err(|(index, problem)| at(index, field, &problem))?,
        ),
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
        DataType::Array | DataType::BinaryVector | DataType::FloatVector | DataType::Other(_) => {
            return Err((0, format!("this client can't write a {data_type:?}")));
        }
    };
    Ok(ScalarField { data: Some(data) })
}

fn each<T>(
    values: &[impl Borrow<Value>],
    expected: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, (usize, Problem)> {
    let read = |(index, value)| {
        read(value).ok_or_else(|| (index, format!("expected {expected}, found {}", kind(value))))
    };
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

/// A number that 32 bits can hold; JSON has 64 of it.
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

fn arrays(field: &FieldSchema, values: &[impl Borrow<Value>]) -> Result<ArrayArray, Problem> {
    let element_type = field
        .element_type
        .ok_or_else(|| format!("field `{}` is an array of no type", field.name))?;
    let array = |(index, value): (usize, &Value)| {
        let elements = list(field, index, value)?;
        scalars(element_type, elements)
            .map_err(|(_, problem)| at(index, field, &format!("in the list, {problem}")))
    };
    let data = values
        .iter()
        .map(Borrow::borrow)
        .enumerate()
        .map(array)
        .collect::<Result<_, _>>()?;
    Ok(ArrayArray {
        data,
        element_type: element_type.number(),
    })
}

fn list<'a>(field: &FieldSchema, index: usize, value: &'a Value) -> Result<&'a [Value], Problem> {
    let list = value.as_array().map(Vec::as_slice);
    list.ok_or_else(|| {
        at(
            index,
            field,
            &format!("expected a list, found {}", kind(value)),
        )
    })
}

fn float_vectors(
    field: &FieldSchema,
    values: &[impl Borrow<Value>],
) -> Result<VectorField, Problem> {
    let dimension = dimension(field)?;
    let numbers = vectors(field, values, dimension, "a number of 32 bits", number)?;
    Ok(vector_field(
        dimension,
        vector_field::Data::Floats(FloatArray { data: numbers }),
    ))
}

fn binary_vectors(
    field: &FieldSchema,
    values: &[impl Borrow<Value>],
) -> Result<VectorField, Problem> {
    let dimension = dimension(field)?;
    let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
    let bytes = vectors(field, values, dimension / 8, "a byte", byte)?;
    Ok(vector_field(
        dimension,
        vector_field::Data::Binary(bytes.into()),
    ))
}

/// The elements of all vectors end to end, each vector having `length` of them.
fn vectors<T>(
    field: &FieldSchema,
    values: &[impl Borrow<Value>],
    length: usize,
    expected: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, Problem> {
    // What a schema says of a dimension is not to be believed before the rows bear it out.
    let mut all = Vec::with_capacity(
        values
            .first()
            .and_then(|first| first.borrow().as_array())
            .map_or(0, |first| first.len().min(length) * values.len()),
    );
    for (index, value) in values.iter().map(Borrow::borrow).enumerate() {
        let elements = list(field, index, value)?;
        if elements.len() != length {
            let found = elements.len();
            return Err(at(
                index,
                field,
                &format!("expected a vector of {length} elements, found one of {found}"),
            ));
        }
        let wrong = |(_, problem)| at(index, field, &format!("in the vector, {problem}"));
        all.extend(each(elements, expected, &read).map_err(wrong)?);
    }
    Ok(all)
}

fn vector_field(dimension: usize, data: vector_field::Data) -> VectorField {
    VectorField {
        dim: i64::try_from(dimension).unwrap_or(i64::MAX),
        data: Some(data),
    }
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

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a record",
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
                    let all = wanted
                        .iter()
                        .any(|name| name == DYNAMIC_FIELD || name == "*");
                    row.extend(
                        fields
                            .into_iter()
                            .filter(|(name, _)| all || wanted.contains(name)),
                    );
                }
                value => drop(row.insert(column.field_name.clone(), value)),
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

/// How many rows a column has.
pub(super) fn length(column: &FieldData) -> usize {
    match &column.field {
        None => 0,
        Some(Field::Scalars(scalars)) => scalar_length(scalars),
        Some(Field::Vectors(vectors)) => {
            let dimension = usize::try_from(vectors.dim).unwrap_or(0);
            match &vectors.data {
                None => 0,
                Some(vector_field::Data::Floats(numbers)) => {
                    numbers.data.len().checked_div(dimension).unwrap_or(0)
                }
                Some(vector_field::Data::Binary(bytes)) => {
                    bytes.len().checked_div(dimension / 8).unwrap_or(0)
                }
            }
        }
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
    if column.valid_data.get(index) == Some(&false) {
        return Some(Value::Null);
    }
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
    Some(match vectors.data.as_ref()? {
        vector_field::Data::Floats(numbers) => Value::from(numbers.data.get(part(dimension)?)?),
        vector_field::Data::Binary(bytes) => Value::from(bytes.get(part(dimension / 8)?)?),
    })
}
