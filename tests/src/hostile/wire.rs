//! Protobuf's wire format, as far as mutations need it: fields with a number and a value, without their meaning.

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Number(u64),
    Eight(u64),
    Bytes(Vec<u8>),
    Four(u32),
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The fields of a message; `None` where it is none.
pub(super) fn fields(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Number(number(&mut bytes)?),
            1 => {
                let (eight, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                Value::Eight(u64::from_le_bytes(*eight))
            }
            2 => {
                let length = usize::try_from(number(&mut bytes)?).ok()?;
                let (inner, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Value::Bytes(inner.to_vec())
            }
            5 => {
                let (four, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                Value::Four(u32::from_le_bytes(*four))
            }
            _ => return None,
        };
        fields.push(Field { number: tag >> 3, value });
    }
    Some(fields)
}

fn put(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The message of fields.
pub(super) fn encode(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Field { number, value } in fields {
        let tag = |kind| (number << 3) | kind;
        match value {
            Value::Number(value) => {
                put(tag(0), &mut bytes);
                put(*value, &mut bytes);
            }
            Value::Eight(value) => {
                put(tag(1), &mut bytes);
                bytes.extend(value.to_le_bytes());
            }
            Value::Bytes(value) => {
                put(tag(2), &mut bytes);
                put(value.len() as u64, &mut bytes);
                bytes.extend(value);
            }
            Value::Four(value) => {
                put(tag(5), &mut bytes);
                bytes.extend(value.to_le_bytes());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_reads_back() {
        let list = vec![
            Field { number: 1, value: Value::Number(u64::MAX) },
            Field { number: 300, value: Value::Bytes(vec![1, 2, 3]) },
            Field { number: 2, value: Value::Eight(7) },
            Field { number: 3, value: Value::Four(9) },
        ];
        assert_eq!(fields(&encode(&list)), Some(list));
        assert_eq!(fields(&[0x0a, 0xff]), None);
    }
}
