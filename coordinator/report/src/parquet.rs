//! The rows as Parquet: one row group, every column optional, texts as UTF-8.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use crate::Error;
use crate::rows::{COLUMNS, Value, rows};
use crate::view::View;

pub(crate) fn render(view: &View<'_>) -> Result<Vec<u8>, Error> {
    let rows = rows(view);
    let properties = WriterProperties::builder().set_created_by(view.material.made_by.clone()).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema(&rows)?, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let mut index = 0;
    while let Some(mut column) = group.next_column()? {
        write(&mut column, rows.iter().filter_map(|row| row.get(index)))?;
        column.close()?;
        index += 1;
    }
    group.close()?;
    Ok(writer.into_inner()?)
}

/// The first row's values determine the types of the columns. In a table without rows all columns are texts.
fn schema(rows: &[Vec<Value>]) -> Result<TypePtr, ParquetError> {
    let field = |(index, column): (usize, &crate::rows::Column)| {
        let value = rows.first().and_then(|row| row.get(index));
        let (physical, logical) = match value {
            Some(Value::Text(_)) | None => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Some(Value::Whole(_)) => (Physical::INT64, None),
            Some(Value::Number(_)) => (Physical::DOUBLE, None),
            Some(Value::Flag(_)) => (Physical::BOOLEAN, None),
        };
        let builder = Type::primitive_type_builder(column.name, physical).with_repetition(Repetition::OPTIONAL);
        Ok(Arc::new(builder.with_logical_type(logical).build()?))
    };
    let fields = COLUMNS.iter().enumerate().map(field).collect::<Result<Vec<_>, ParquetError>>()?;
    Ok(Arc::new(Type::group_type_builder("report").with_fields(fields).build()?))
}

fn write<'a>(
    column: &mut SerializedColumnWriter<'_>,
    values: impl Iterator<Item = &'a Value> + Clone,
) -> Result<(), ParquetError> {
    // The definition level: 1 for a present value, 0 for an absent one.
    let present = |value: &Value| match value {
        Value::Text(value) => value.is_some(),
        Value::Whole(value) => value.is_some(),
        Value::Number(value) => value.is_some(),
        Value::Flag(value) => value.is_some(),
    };
    let levels: Vec<i16> = values.clone().map(|value| present(value).into()).collect();
    let levels = Some(levels.as_slice());
    match values.clone().next() {
        None => {}
        Some(Value::Text(_)) => {
            let text = |value: &Value| {
                if let Value::Text(Some(text)) = value { Some(ByteArray::from(text.as_str())) } else { None }
            };
            let texts: Vec<ByteArray> = values.filter_map(text).collect();
            column.typed::<ByteArrayType>().write_batch(&texts, levels, None)?;
        }
        Some(Value::Whole(_)) => {
            let numbers: Vec<i64> =
                values.filter_map(|value| if let Value::Whole(number) = value { *number } else { None }).collect();
            column.typed::<Int64Type>().write_batch(&numbers, levels, None)?;
        }
        Some(Value::Number(_)) => {
            let numbers: Vec<f64> =
                values.filter_map(|value| if let Value::Number(number) = value { *number } else { None }).collect();
            column.typed::<DoubleType>().write_batch(&numbers, levels, None)?;
        }
        Some(Value::Flag(_)) => {
            let flags: Vec<bool> =
                values.filter_map(|value| if let Value::Flag(flag) = value { *flag } else { None }).collect();
            column.typed::<BoolType>().write_batch(&flags, levels, None)?;
        }
    }
    Ok(())
}
