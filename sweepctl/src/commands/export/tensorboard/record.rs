//! The record format of an event file: length, its checksum, bytes, their checksum, all little-endian. It is
//! TensorFlow's `TFRecord`.

use std::io::Write;

/// Writes one record.
pub(super) fn write<W: Write>(out: &mut W, bytes: &[u8]) -> std::io::Result<()> {
    let length = (bytes.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked(&length).to_le_bytes())?;
    out.write_all(bytes)?;
    out.write_all(&masked(bytes).to_le_bytes())
}

/// CRC-32C (Castagnoli), rotated and shifted, so that the checksum of data with checksums in it differs from them.
fn masked(bytes: &[u8]) -> u32 {
    const DELTA: u32 = 0xa282_ead8;
    crc_fast::crc32_iscsi(bytes).rotate_right(15).wrapping_add(DELTA)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The records that a reader sees, up to the first incomplete one.
    pub(in super::super) fn read(mut file: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while let Some((length, rest)) = file.split_at_checked(8) {
            let Some((length_sum, rest)) = rest.split_at_checked(4) else { break };
            let bytes = u64::from_le_bytes(length.try_into().unwrap());
            let Some((record, rest)) = usize::try_from(bytes).ok().and_then(|bytes| rest.split_at_checked(bytes))
            else {
                break;
            };
            let Some((sum, rest)) = rest.split_at_checked(4) else { break };
            if masked(length).to_le_bytes() != length_sum || masked(record).to_le_bytes() != sum {
                break;
            }
            records.push(record.to_vec());
            file = rest;
        }
        records
    }

    #[test]
    fn the_checksum_is_castagnoli_s() {
        // The standard check value of CRC-32C, and the examples in RFC 3720, B.4.
        assert_eq!(crc_fast::crc32_iscsi(b"123456789"), 0xe306_9283);
        assert_eq!(crc_fast::crc32_iscsi(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc_fast::crc32_iscsi(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(masked(b"123456789"), 0xc78a_b0e5);
    }

    #[test]
    fn records_read_back_and_a_changed_bit_ends_them() {
        let records = [b"".to_vec(), b"one".to_vec(), vec![7; 1000]];
        let mut file = Vec::new();
        for record in &records {
            write(&mut file, record).unwrap();
        }
        assert_eq!(file.len(), 3 * 16 + 1003);
        assert_eq!(read(&file), records);
        for at in 0..file.len() {
            let mut wrong = file.clone();
            wrong[at] ^= 4;
            assert_ne!(read(&wrong), records, "byte {at}");
        }
    }
}
