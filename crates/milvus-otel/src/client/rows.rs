//! Rows, as people write them, and columns, as Milvus sends them.

use crate::proto::schema::{
    BoolArray, BytesArray, CollectionSchema, DataType, DoubleArray, FieldData, FieldSchema,
    FloatArray, IntArray, LongArray, ScalarField, StringArray, VectorField, field_data::Field,
    scalar_field, vector_field,
};
use serde_json::{Map, Value};

/// What is wrong with a row, in words.
type Problem = String;

/// The field in which Milvus keeps what a row has beyond its schema.
const DYNAMIC_FIELD: &str = "$meta";

/// The columns that `rows` are for a collection of that schema.
pub(super) fn to_columns(
    schema: &CollectionSchema,
    rows: Vec<Value>,
) -> Result<Vec<FieldData>, Problem> {
    let mut rows = rows
        .into_iter()
        .enumerate()
        .map(|(index, row)| match row {
            Value::Object(row) => Ok(row),
            other => Err(format!("row {index} is {}, not a record", kind(&other))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut columns = Vec::with_capacity(schema.fields.len() + 1);
    for field in schema
        .fields
        .iter()
        .filter(|field| !field.is_dynamic && !field.auto_id)
    {
        let values = rows
            .iter_mut()
            .enumerate()
            .map(|(index, row)| {
                row.remove(&field.name)
                    .ok_or_else(|| format!("row {index} has no field `{}`", field.name))
            })
            .collect::<Result<Vec<_>, _>>()?;
        columns.push(column(field, values)?);
    }
    if schema.enable_dynamic_field {
        columns.push(dynamic_column(rows));
    } else if let Some((index, name)) = rows
        .iter()
        .enumerate()
        .find_map(|(index, row)| Some((index, row.keys().next()?)))
    {
        return Err(format!(
            "row {index} has a field `{name}`, which the collection has not"
        ));
    }
    Ok(columns)
}

fn column(field: &FieldSchema, values: Vec<Value>) -> Result<FieldData, Problem> {
    let data = match field.data_type() {
        DataType::FloatVector => Field::Vectors(float_vectors(field, &values)?),
        _ => Field::Scalars(ScalarField {
            data: Some(scalars(field, values)?),
        }),
    };
    Ok(FieldData {
        r#type: field.data_type,
        field_name: field.name.clone(),
        field_id: field.field_id,
        field: Some(data),
        ..Default::default()
    })
}

fn scalars(field: &FieldSchema, values: Vec<Value>) -> Result<scalar_field::Data, Problem> {
    use scalar_field::Data;
    Ok(match field.data_type() {
        DataType::Bool => Data::Bools(BoolArray {
            data: each(field, &values, "a boolean", Value::as_bool)?,
        }),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => {
            let number =
                |value: &Value| value.as_i64().and_then(|number| i32::try_from(number).ok());
            Data::Ints(IntArray {
                data: each(field, &values, "an integer", number)?,
            })
        }
        DataType::Int64 => Data::Longs(LongArray {
            data: each(field, &values, "an integer", Value::as_i64)?,
        }),
        DataType::Float => Data::Floats(FloatArray {
            data: each(field, &values, "a number", as_f32)?,
        }),
        DataType::Double => Data::Doubles(DoubleArray {
            data: each(field, &values, "a number", Value::as_f64)?,
        }),
        DataType::VarChar | DataType::String => {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            Data::Strings(StringArray {
                data: each(field, &values, "a string", text)?,
            })
        }
        DataType::Json => Data::Json(json(&values)),
        other => {
            return Err(format!(
                "field `{}` is of type {other:?}, which this client can't write",
                field.name
            ));
        }
    })
}

fn each<T>(
    field: &FieldSchema,
    values: &[Value],
    expected: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, Problem> {
    let read = |(index, value): (usize, &Value)| {
        read(value).ok_or_else(|| {
            format!(
                "row {index}, field `{}`: expected {expected}, found {}",
                field.name,
                kind(value)
            )
        })
    };
    values.iter().enumerate().map(read).collect()
}

fn float_vectors(field: &FieldSchema, values: &[Value]) -> Result<VectorField, Problem> {
    let dimension = dimension(field)?;
    let mut data = Vec::with_capacity(values.len() * dimension);
    for (index, value) in values.iter().enumerate() {
        let problem = |found: String| {
            format!(
                "row {index}, field `{}`: expected {dimension} numbers, found {found}",
                field.name
            )
        };
        let numbers = value
            .as_array()
            .ok_or_else(|| problem(kind(value).to_owned()))?;
        if numbers.len() != dimension {
            return Err(problem(numbers.len().to_string()));
        }
        for number in numbers {
            data.push(
                as_f32(number).ok_or_else(|| problem(format!("{} among them", kind(number))))?,
            );
        }
    }
    let dim = i64::try_from(dimension).map_err(|error| error.to_string())?;
    Ok(VectorField {
        dim,
        data: Some(vector_field::Data::Floats(FloatArray { data })),
    })
}

fn dimension(field: &FieldSchema) -> Result<usize, Problem> {
    let dim = field
        .type_params
        .iter()
        .find(|param| param.key == "dim")
        .and_then(|param| param.value.parse().ok());
    dim.ok_or_else(|| format!("field `{}` is a vector without a dimension", field.name))
}

fn dynamic_column(rows: Vec<Map<String, Value>>) -> FieldData {
    let rows: Vec<Value> = rows.into_iter().map(Value::Object).collect();
    FieldData {
        r#type: DataType::Json.into(),
        field_name: DYNAMIC_FIELD.to_owned(),
        field: Some(Field::Scalars(ScalarField {
            data: Some(scalar_field::Data::Json(json(&rows))),
        })),
        is_dynamic: true,
        ..Default::default()
    }
}

fn json(values: &[Value]) -> BytesArray {
    BytesArray {
        data: values
            .iter()
            .map(|value| value.to_string().into_bytes().into())
            .collect(),
    }
}

// Milvus holds 32 bits of a number that JSON has 64 of.
fn as_f32(value: &Value) -> Option<f32> {
    value.as_f64().map(|number| number as f32)
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

/// The `count` rows that `columns` hold; a dynamic field's own fields become fields of its row.
pub(super) fn from_columns(
    columns: &[FieldData],
    count: usize,
) -> Result<Vec<Map<String, Value>>, Problem> {
    let mut rows = vec![Map::new(); count];
    for column in columns {
        for (index, row) in rows.iter_mut().enumerate() {
            let value = value_at(column, index).ok_or_else(|| {
                format!(
                    "column `{}` of type {:?} has no row {index}",
                    column.field_name,
                    column.r#type()
                )
            })?;
            match value {
                Value::Object(fields) if column.is_dynamic => row.extend(fields),
                value => drop(row.insert(column.field_name.clone(), value)),
            }
        }
    }
    Ok(rows)
}

fn value_at(column: &FieldData, index: usize) -> Option<Value> {
    match column.field.as_ref()? {
        Field::Scalars(scalars) => scalar_at(scalars, index),
        Field::Vectors(vectors) => vector_at(vectors, index),
    }
}

fn scalar_at(scalars: &ScalarField, index: usize) -> Option<Value> {
    use scalar_field::Data;
    Some(match scalars.data.as_ref()? {
        Data::Bools(column) => Value::from(*column.data.get(index)?),
        Data::Ints(column) => Value::from(*column.data.get(index)?),
        Data::Longs(column) => Value::from(*column.data.get(index)?),
        Data::Floats(column) => Value::from(*column.data.get(index)?),
        Data::Doubles(column) => Value::from(*column.data.get(index)?),
        Data::Strings(column) => Value::from(column.data.get(index)?.as_str()),
        Data::Json(column) => serde_json::from_slice(column.data.get(index)?).ok()?,
        Data::Bytes(_) | Data::Arrays(_) => return None,
    })
}

fn vector_at(vectors: &VectorField, index: usize) -> Option<Value> {
    let dimension = usize::try_from(vectors.dim).ok()?;
    let start = index.checked_mul(dimension)?;
    match vectors.data.as_ref()? {
        vector_field::Data::Floats(numbers) => {
            Some(Value::from(numbers.data.get(start..start + dimension)?))
        }
        vector_field::Data::Binary(bytes) => {
            Some(Value::from(bytes.get(start / 8..(start + dimension) / 8)?))
        }
    }
}
