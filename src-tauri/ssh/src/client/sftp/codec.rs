//! The wire form of SFTP version 3 (draft-ietf-secsh-filexfer-02, with OpenSSH's extensions):
//! requests are written, replies are read as they stream in, and file data is never copied.

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Attributes, SftpError, StatusCode};

/// Replies other than file data are small; a longer one is an attack or a broken peer.
const REPLY_LIMIT: usize = 4 << 20;
const DATA: u8 = 103;
/// Nobody asks for more file data at once.
const DATA_LIMIT: usize = 1 << 20;
/// Length, type, request id and data length in front of file data.
const DATA_HEAD: usize = 13;

#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Kind {
    Init = 1,
    Open = 3,
    Close = 4,
    Read = 5,
    Write = 6,
    Lstat = 7,
    Fstat = 8,
    Setstat = 9,
    Fsetstat = 10,
    Opendir = 11,
    Readdir = 12,
    Remove = 13,
    Mkdir = 14,
    Rmdir = 15,
    Realpath = 16,
    Stat = 17,
    Rename = 18,
    Readlink = 19,
    Symlink = 20,
    Extended = 200,
}

/// Builds one request.
pub(super) struct Request {
    bytes: BytesMut,
}

impl Request {
    pub(super) fn new(kind: Kind, id: u32) -> Self {
        let mut bytes = BytesMut::with_capacity(128);
        bytes.put_u32(0);
        bytes.put_u8(kind as u8);
        bytes.put_u32(id);
        Self { bytes }
    }

    /// The greeting; it carries our version where others carry an id.
    pub(super) fn init() -> Bytes {
        Self::new(Kind::Init, 3).done(0)
    }

    pub(super) fn string(mut self, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        // A string of 4 GiB can't come from here: paths and handles only.
        self.bytes
            .put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.bytes.put_slice(value);
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.bytes.put_u32(value);
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.bytes.put_u64(value);
        self
    }

    pub(super) fn attributes(mut self, attributes: &Attributes) -> Self {
        attributes.encode(&mut self.bytes);
        self
    }

    /// The finished head; `follows` bytes of data come right after it.
    pub(super) fn done(mut self, follows: usize) -> Bytes {
        let length = u32::try_from(self.bytes.len() - 4 + follows).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.bytes.freeze()
    }
}

const SIZE: u32 = 0x1;
const OWNER: u32 = 0x2;
const PERMISSIONS: u32 = 0x4;
const TIMES: u32 = 0x8;
const EXTENDED: u32 = 0x8000_0000;

impl Attributes {
    fn encode(&self, into: &mut BytesMut) {
        let mut flags = 0;
        flags |= if self.size.is_some() { SIZE } else { 0 };
        flags |= if self.permissions.is_some() {
            PERMISSIONS
        } else {
            0
        };
        flags |= if self.modified.is_some() { TIMES } else { 0 };
        into.put_u32(flags);
        if let Some(size) = self.size {
            into.put_u64(size);
        }
        if let Some(permissions) = self.permissions {
            into.put_u32(permissions);
        }
        if let Some(modified) = self.modified {
            into.put_u32(self.accessed.unwrap_or(modified));
            into.put_u32(modified);
        }
    }

    pub(super) fn decode(from: &mut Bytes) -> Result<Self, SftpError> {
        let mut attributes = Self::default();
        let flags = u32(from)?;
        if flags & SIZE != 0 {
            attributes.size = Some(u64(from)?);
        }
        if flags & OWNER != 0 {
            let _ = (u32(from)?, u32(from)?);
        }
        if flags & PERMISSIONS != 0 {
            attributes.permissions = Some(u32(from)?);
        }
        if flags & TIMES != 0 {
            attributes.accessed = Some(u32(from)?);
            attributes.modified = Some(u32(from)?);
        }
        if flags & EXTENDED != 0 {
            for _ in 0..u32(from)? {
                let _ = (string(from)?, string(from)?);
            }
        }
        Ok(attributes)
    }
}

pub(super) fn u32(from: &mut Bytes) -> Result<u32, SftpError> {
    from.try_get_u32().map_err(|_| SftpError::Malformed)
}

pub(super) fn u64(from: &mut Bytes) -> Result<u64, SftpError> {
    from.try_get_u64().map_err(|_| SftpError::Malformed)
}

pub(super) fn string(from: &mut Bytes) -> Result<Bytes, SftpError> {
    let length = u32(from)? as usize;
    if length > from.len() {
        return Err(SftpError::Malformed);
    }
    Ok(from.split_to(length))
}

/// What a server answers.
#[derive(Debug)]
pub(super) enum Reply {
    Version(HashMap<String, Bytes>),
    Status {
        code: StatusCode,
        message: String,
    },
    Handle(Bytes),
    Data(Vec<Bytes>),
    /// The body after the id, to be read by whoever asked.
    Names(Bytes),
    Attributes(Attributes),
    Extended(Bytes),
}

/// Cuts the stream of a channel into replies.
#[derive(Default)]
pub(super) struct Replies {
    head: BytesMut,
    data: Option<Data>,
}

struct Data {
    id: u32,
    left: usize,
    pieces: Vec<Bytes>,
}

impl Replies {
    /// Takes the next bytes of the channel; `found` gets each whole reply with its id.
    pub(super) fn feed(
        &mut self,
        mut bytes: Bytes,
        mut found: impl FnMut(u32, Reply),
    ) -> Result<(), SftpError> {
        while !bytes.is_empty() {
            if let Some(data) = &mut self.data {
                let piece = bytes.split_to(data.left.min(bytes.len()));
                data.left -= piece.len();
                data.pieces.push(piece);
                if data.left == 0
                    && let Some(data) = self.data.take()
                {
                    found(data.id, Reply::Data(data.pieces));
                }
                continue;
            }
            let missing = self.wanted()?.saturating_sub(self.head.len());
            self.head
                .extend_from_slice(&bytes.split_to(missing.min(bytes.len())));
            if self.head.len() < 5 || self.head.len() < self.wanted()? {
                continue;
            }
            let mut whole = std::mem::take(&mut self.head).freeze();
            let announced = whole.get_u32() as usize;
            let kind = whole.get_u8();
            if kind == DATA {
                let id = u32(&mut whole)?;
                let left = u32(&mut whole)? as usize;
                if left > DATA_LIMIT || announced != left + DATA_HEAD - 4 {
                    return Err(SftpError::Malformed);
                }
                if left == 0 {
                    found(id, Reply::Data(Vec::new()));
                } else {
                    self.data = Some(Data {
                        id,
                        left,
                        pieces: Vec::with_capacity(8),
                    });
                }
            } else {
                let (id, reply) = parse(kind, whole)?;
                found(id, reply);
            }
        }
        Ok(())
    }

    /// How many bytes are to be gathered before anything can be told.
    fn wanted(&self) -> Result<usize, SftpError> {
        let Some(head) = self.head.first_chunk::<5>() else {
            return Ok(5);
        };
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        match head[4] {
            DATA if length >= DATA_HEAD - 4 => Ok(DATA_HEAD),
            DATA => Err(SftpError::Malformed),
            _ if (5..=REPLY_LIMIT).contains(&length) => Ok(4 + length),
            _ => Err(SftpError::Malformed),
        }
    }
}

fn parse(kind: u8, mut body: Bytes) -> Result<(u32, Reply), SftpError> {
    let id = u32(&mut body)?;
    let reply = match kind {
        2 => {
            let mut extensions = HashMap::new();
            while !body.is_empty() {
                let (name, value) = (string(&mut body)?, string(&mut body)?);
                extensions.insert(String::from_utf8_lossy(&name).into_owned(), value);
            }
            Reply::Version(extensions)
        }
        101 => Reply::Status {
            code: StatusCode::from(u32(&mut body)?),
            // Old servers leave the text out.
            message: string(&mut body)
                .map(|text| String::from_utf8_lossy(&text).into_owned())
                .unwrap_or_default(),
        },
        102 => Reply::Handle(string(&mut body)?),
        104 => Reply::Names(body),
        105 => Reply::Attributes(Attributes::decode(&mut body)?),
        201 => Reply::Extended(body),
        _ => return Err(SftpError::Malformed),
    };
    Ok((id, reply))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn data(id: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        bytes.put_u32(9 + payload.len() as u32);
        bytes.put_u8(DATA);
        bytes.put_u32(id);
        bytes.put_u32(payload.len() as u32);
        bytes.put_slice(payload);
        bytes.to_vec()
    }

    fn status(id: u32, code: u32) -> Vec<u8> {
        Request {
            bytes: BytesMut::from(&[0, 0, 0, 0, 101][..]),
        }
        .u32(id)
        .u32(code)
        .string("text")
        .string("en")
        .done(0)
        .to_vec()
    }

    #[test]
    fn replies_are_the_same_however_the_stream_is_cut() {
        let stream = [
            data(1, b"hello world"),
            status(2, 1),
            data(3, b""),
            status(4, 0),
        ]
        .concat();
        for size in [1, 2, 3, 7, 16, stream.len()] {
            let mut replies = Replies::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(size) {
                let note = |id, reply| {
                    seen.push(match reply {
                        Reply::Data(pieces) => format!("{id}:{:?}", pieces.concat()),
                        Reply::Status { code, message } => format!("{id}:{code:?}:{message}"),
                        other => panic!("{other:?}"),
                    });
                };
                replies.feed(Bytes::copy_from_slice(piece), note).unwrap();
            }
            let hello = format!("1:{:?}", b"hello world".to_vec());
            assert_eq!(
                seen,
                [&hello, "2:Eof:text", "3:[]", "4:Ok:text"],
                "pieces of {size}"
            );
        }
    }

    mod properties {
        use super::*;

        proptest! {
            /// A peer may send anything, cut anywhere: it is understood or refused, and what is kept
            /// of it stays small.
            #[test]
            fn any_bytes_are_understood_or_refused(
                stream in vec(any::<u8>(), 0..4096),
                cuts in vec(1usize..512, 1..16),
            ) {
                let mut replies = Replies::default();
                let (mut rest, mut cuts) = (Bytes::from(stream), cuts.into_iter().cycle());
                while !rest.is_empty() {
                    let piece = rest.split_to(cuts.next().unwrap_or(1).min(rest.len()));
                    if replies.feed(piece, |_, reply| look_at(reply)).is_err() {
                        break;
                    }
                }
                prop_assert!(replies.head.len() <= 4 + REPLY_LIMIT);
            }

            /// The same for replies whose frame is right and whose inside is not.
            #[test]
            fn any_body_in_a_right_frame_is_understood_or_refused(
                kind in prop_oneof![Just(2u8), 101u8..=105, Just(201)],
                body in vec(any::<u8>(), 4..512),
            ) {
                let mut packet = BytesMut::new();
                packet.put_u32(1 + body.len() as u32);
                packet.put_u8(kind);
                packet.put_slice(&body);
                let _ = Replies::default().feed(packet.freeze(), |_, reply| look_at(reply));
            }

            #[test]
            fn attributes_come_back_as_they_went(
                size: Option<u64>,
                permissions: Option<u32>,
                times: Option<(u32, u32)>,
            ) {
                let attributes = Attributes {
                    size,
                    permissions,
                    accessed: times.map(|times| times.0),
                    modified: times.map(|times| times.1),
                };
                let mut bytes = BytesMut::new();
                attributes.encode(&mut bytes);
                prop_assert_eq!(Attributes::decode(&mut bytes.freeze()).unwrap(), attributes);
            }
        }
    }

    fn look_at(reply: Reply) {
        match reply {
            Reply::Names(body) => drop(super::super::parse_names(body)),
            Reply::Extended(mut body) => drop((u64(&mut body), u64(&mut body))),
            _ => {}
        }
    }

    #[test]
    fn data_that_nobody_asked_for_is_refused() {
        let mut head = data(1, b"");
        head[..4].copy_from_slice(&0x4000_0009_u32.to_be_bytes());
        head[9..13].copy_from_slice(&0x4000_0000_u32.to_be_bytes());
        let fed = Replies::default().feed(Bytes::from(head), |_, _| ());
        assert!(fed.is_err(), "a gigabyte at once");
        let mut head = data(1, b"abc");
        head[3] -= 1;
        let fed = Replies::default().feed(Bytes::from(head), |_, _| ());
        assert!(fed.is_err(), "two lengths that differ");
    }

    #[test]
    fn a_length_beyond_reason_ends_the_session_instead_of_the_memory() {
        let mut replies = Replies::default();
        let bytes = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 101, 0, 0, 0, 1]);
        assert!(replies.feed(bytes, |_, _| ()).is_err());
    }
}
