//! Frames as bytes (RFC 6455 §5.2). Pure: whoever calls reads and writes.

/// Bytes of the longest header: two, a length of eight, a mask of four.
pub const MOST_HEADER: usize = 14;
/// A control frame carries no more (§5.5).
const MOST_CONTROL: u64 = 125;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// More of the message before it.
    Continuation,
    /// Text: this protocol ignores it.
    Text,
    /// Bytes of the connection.
    Binary,
    /// The end.
    Close,
    /// Wants a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    /// Whether it is about the connection itself and may stand between the pieces of a message.
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What it is for.
    pub kind: Kind,
    /// Whether the message ends with it.
    pub last: bool,
    /// Bytes that follow.
    pub length: u64,
    /// What they are masked with: always from clients, never from servers.
    pub mask: Option<[u8; 4]>,
}

/// What arrived is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Bits that belong to extensions, and none was agreed upon.
    #[error("a frame uses an extension that nobody agreed upon")]
    Reserved,
    /// An opcode that does not exist.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// A control frame in pieces, or one that is too long.
    #[error("a control frame that is cut up or too long")]
    Control,
    /// A length beyond 63 bits.
    #[error("a frame of an impossible length")]
    Length,
    /// A frame that continues nothing, or begins a message inside another.
    #[error("a frame that does not belong where it stands")]
    Sequence,
    /// A client that does not mask, or a server that does.
    #[error("a frame that is masked where it must not be, or the other way round")]
    Mask,
}

/// Writes a header; how many of the bytes count.
#[must_use]
pub fn header(kind: Kind, length: usize, mask: Option<[u8; 4]>) -> ([u8; MOST_HEADER], usize) {
    let mut bytes = [0; MOST_HEADER];
    bytes[0] = 0x80 | kind.code();
    let mut at = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => {
            bytes[1] = short;
            2
        }
        (_, Ok(middle)) => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&middle.to_be_bytes());
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    if let Some(mask) = mask {
        bytes[1] |= 0x80;
        bytes[at..at + 4].copy_from_slice(&mask);
        at += 4;
    }
    (bytes, at)
}

/// Reads a header, and how long it was; `None` when there is more of it to come.
///
/// # Errors
/// [`Malformed`]; [`Malformed::Mask`] is the caller's to find, who knows which end this is.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let &[first, second, ..] = bytes else {
        return Ok(None);
    };
    if first & 0x70 != 0 {
        return Err(Malformed::Reserved);
    }
    let kind = match first & 0x0f {
        0 => Kind::Continuation,
        1 => Kind::Text,
        2 => Kind::Binary,
        8 => Kind::Close,
        9 => Kind::Ping,
        10 => Kind::Pong,
        other => return Err(Malformed::Kind(other)),
    };
    let last = first & 0x80 != 0;
    let rest = &bytes[2..];
    let (length, used) = match second & 0x7f {
        126 => match rest.first_chunk::<2>() {
            Some(length) => (u64::from(u16::from_be_bytes(*length)), 2),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (u64::from_be_bytes(*length), 8),
            None => return Ok(None),
        },
        short => (u64::from(short), 0),
    };
    if length > i64::MAX as u64 {
        return Err(Malformed::Length);
    }
    if kind.is_control() && (!last || length > MOST_CONTROL) {
        return Err(Malformed::Control);
    }
    let mut whole = 2 + used;
    let mask = if second & 0x80 == 0 {
        None
    } else {
        let Some(mask) = rest[used..].first_chunk::<4>() else {
            return Ok(None);
        };
        whole += 4;
        Some(*mask)
    };
    let header = Header {
        kind,
        last,
        length,
        mask,
    };
    Ok(Some((header, whole)))
}

/// The mask as it applies to eight bytes, the first of which is byte `phase` of the payload.
fn key(mask: [u8; 4], phase: usize) -> [u8; 8] {
    std::array::from_fn(|at| mask[(phase + at) % 4])
}

/// Masks or unmasks in place; `phase` says how many bytes of the payload came before.
pub fn mask(bytes: &mut [u8], mask: [u8; 4], phase: usize) {
    let key = key(mask, phase);
    let wide = u64::from_ne_bytes(key);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Writes `bytes`, masked, over the beginning of `to`, which has to be as long at least; the rest of
/// `to` stays as it is. One pass over the bytes does both.
pub fn mask_into(to: &mut [u8], bytes: &[u8], mask: [u8; 4]) {
    let key = key(mask, 0);
    let wide = u64::from_ne_bytes(key);
    let (words, rest) = bytes.as_chunks::<8>();
    let (to_words, to_rest) = to[..bytes.len()].as_chunks_mut::<8>();
    for (to, word) in to_words.iter_mut().zip(words) {
        *to = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for ((to, byte), key) in to_rest.iter_mut().zip(rest).zip(key) {
        *to = byte ^ key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_take_as_few_bytes_as_they_can() {
        for (length, bytes) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            assert_eq!(header(Kind::Binary, length, None).1, bytes, "{length}");
            assert_eq!(header(Kind::Binary, length, Some([1; 4])).1, bytes + 4);
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        assert_eq!(parse(&[0xc2, 0]), Err(Malformed::Reserved));
        assert_eq!(parse(&[0x83, 0]), Err(Malformed::Kind(3)));
        assert_eq!(parse(&[0x09, 0]), Err(Malformed::Control), "in pieces");
        assert_eq!(parse(&[0x89, 126, 0, 126]), Err(Malformed::Control));
        let endless = [0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(parse(&endless), Err(Malformed::Length));
        assert_eq!(parse(&[0x82]), Ok(None));
        assert_eq!(parse(&[0x82, 0xfe, 1]), Ok(None));
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn whatever_arrives_is_a_frame_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
                if let Ok(Some((header, used))) = parse(&bytes) {
                    prop_assert!(used <= bytes.len() && used <= MOST_HEADER);
                    prop_assert!(!header.kind.is_control() || header.length <= 125);
                }
            }

            #[test]
            fn what_is_written_is_read(length in 0usize..10_000_000, masked in any::<Option<[u8; 4]>>()) {
                let (bytes, used) = header(Kind::Binary, length, masked);
                let (read, whole) = parse(&bytes[..used]).unwrap().unwrap();
                prop_assert_eq!(whole, used);
                prop_assert_eq!(read.length, length as u64);
                prop_assert_eq!(read.mask, masked);
                for cut in 0..used {
                    prop_assert_eq!(parse(&bytes[..cut]), Ok(None));
                }
            }

            #[test]
            fn masks_are_the_same_in_pieces(bytes in proptest::collection::vec(any::<u8>(), 0..100), key in any::<[u8; 4]>(), cut in 0usize..100) {
                let mut whole = vec![7; bytes.len() + 3];
                mask_into(&mut whole, &bytes, key);
                prop_assert_eq!(whole.split_off(bytes.len()), [7, 7, 7]);
                for (at, byte) in bytes.iter().enumerate() {
                    prop_assert_eq!(whole[at], byte ^ key[at % 4]);
                }
                let cut = cut.min(bytes.len());
                let (first, second) = whole.split_at_mut(cut);
                mask(first, key, 0);
                mask(second, key, cut);
                prop_assert_eq!(whole, bytes);
            }
        }
    }
}
