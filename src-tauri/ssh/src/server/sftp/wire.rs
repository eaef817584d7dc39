//! Bytes of SFTP version 3 (draft-ietf-secsh-filexfer-02). Names are bytes, as on disk: what is not
//! UTF-8 can be listed and fetched like everything else.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest packet accepted, in bytes. OpenSSH sends up to 256 KiB and some room for the header.
pub(super) const MAX_PACKET: usize = (256 << 10) + 1024;
/// Most bytes given for one read and accepted in one write.
pub(super) const MAX_DATA: u32 = 255 << 10;

pub(super) const INIT: u8 = 1;
pub(super) const VERSION: u8 = 2;
pub(super) const OPEN: u8 = 3;
pub(super) const CLOSE: u8 = 4;
pub(super) const READ: u8 = 5;
pub(super) const WRITE: u8 = 6;
pub(super) const LSTAT: u8 = 7;
pub(super) const FSTAT: u8 = 8;
pub(super) const SETSTAT: u8 = 9;
pub(super) const FSETSTAT: u8 = 10;
pub(super) const OPENDIR: u8 = 11;
pub(super) const READDIR: u8 = 12;
pub(super) const REMOVE: u8 = 13;
pub(super) const MKDIR: u8 = 14;
pub(super) const RMDIR: u8 = 15;
pub(super) const REALPATH: u8 = 16;
pub(super) const STAT: u8 = 17;
pub(super) const RENAME: u8 = 18;
pub(super) const READLINK: u8 = 19;
pub(super) const SYMLINK: u8 = 20;
pub(super) const STATUS: u8 = 101;
pub(super) const HANDLE: u8 = 102;
pub(super) const DATA: u8 = 103;
pub(super) const NAME: u8 = 104;
pub(super) const ATTRS: u8 = 105;
pub(super) const EXTENDED: u8 = 200;
pub(super) const EXTENDED_REPLY: u8 = 201;

pub(super) const FXF_READ: u32 = 0x01;
pub(super) const FXF_WRITE: u32 = 0x02;
pub(super) const FXF_APPEND: u32 = 0x04;
pub(super) const FXF_CREATE: u32 = 0x08;
pub(super) const FXF_TRUNCATE: u32 = 0x10;
pub(super) const FXF_EXCLUSIVE: u32 = 0x20;

const ATTR_SIZE: u32 = 0x01;
const ATTR_OWNER: u32 = 0x02;
const ATTR_MODE: u32 = 0x04;
const ATTR_TIMES: u32 = 0x08;
const ATTR_EXTENDED: u32 = 0x8000_0000;

/// Codes of a status reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Code {
    Ok = 0,
    Eof = 1,
    NoSuchFile = 2,
    PermissionDenied = 3,
    Failure = 4,
    BadMessage = 5,
    Unsupported = 8,
}

/// A packet that does not hold what its type promises.
#[derive(Debug, thiserror::Error)]
#[error("malformed SFTP packet")]
pub(super) struct Malformed;

/// Takes fields off the front of a packet.
pub(super) struct Fields(pub(super) Bytes);

impl Fields {
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| Malformed)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.0.try_get_u32().map_err(|_| Malformed)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.0.try_get_u64().map_err(|_| Malformed)
    }

    pub(super) fn string(&mut self) -> Result<Bytes, Malformed> {
        let length = self.u32()? as usize;
        if length > self.0.len() {
            return Err(Malformed);
        }
        Ok(self.0.split_to(length))
    }

    pub(super) fn attributes(&mut self) -> Result<Attributes, Malformed> {
        let flags = self.u32()?;
        let mut attributes = Attributes::default();
        if flags & ATTR_SIZE != 0 {
            attributes.size = Some(self.u64()?);
        }
        if flags & ATTR_OWNER != 0 {
            attributes.owner = Some((self.u32()?, self.u32()?));
        }
        if flags & ATTR_MODE != 0 {
            attributes.mode = Some(self.u32()?);
        }
        if flags & ATTR_TIMES != 0 {
            attributes.times = Some((self.u32()?, self.u32()?));
        }
        if flags & ATTR_EXTENDED != 0 {
            for _ in 0..self.u32()? {
                self.string()?;
                self.string()?;
            }
        }
        Ok(attributes)
    }
}

/// Attributes of a file; what is absent is not said or not to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    /// User and group.
    pub(super) owner: Option<(u32, u32)>,
    /// Type and permission bits.
    pub(super) mode: Option<u32>,
    /// Last access and change, seconds since 1970.
    pub(super) times: Option<(u32, u32)>,
}

impl Attributes {
    fn put(&self, to: &mut BytesMut) {
        let flag = |present: bool, bit: u32| if present { bit } else { 0 };
        to.put_u32(
            flag(self.size.is_some(), ATTR_SIZE)
                | flag(self.owner.is_some(), ATTR_OWNER)
                | flag(self.mode.is_some(), ATTR_MODE)
                | flag(self.times.is_some(), ATTR_TIMES),
        );
        if let Some(size) = self.size {
            to.put_u64(size);
        }
        if let Some((user, group)) = self.owner {
            to.put_u32(user);
            to.put_u32(group);
        }
        if let Some(mode) = self.mode {
            to.put_u32(mode);
        }
        if let Some((accessed, modified)) = self.times {
            to.put_u32(accessed);
            to.put_u32(modified);
        }
    }
}

/// One entry of a name reply.
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) long: Vec<u8>,
    pub(super) attributes: Attributes,
}

/// Writes replies one after another into a buffer, so that many leave in one go.
#[derive(Default)]
pub(super) struct Replies(pub(super) BytesMut);

impl Replies {
    fn packet(&mut self, kind: u8, id: u32, body: impl FnOnce(&mut BytesMut)) {
        let start = self.0.len();
        self.0.put_u32(0);
        self.0.put_u8(kind);
        self.0.put_u32(id);
        body(&mut self.0);
        let length = u32::try_from(self.0.len() - start - 4).unwrap_or(u32::MAX);
        self.0[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    pub(super) fn version(&mut self, extensions: &[(&str, &str)]) {
        // The version packet has the version where others have the id.
        self.packet(VERSION, 3, |to| {
            for (name, value) in extensions {
                put_string(to, name.as_bytes());
                put_string(to, value.as_bytes());
            }
        });
    }

    pub(super) fn status(&mut self, id: u32, code: Code, message: &str) {
        self.packet(STATUS, id, |to| {
            to.put_u32(code as u32);
            put_string(to, message.as_bytes());
            put_string(to, b"en");
        });
    }

    pub(super) fn handle(&mut self, id: u32, handle: u32) {
        self.packet(HANDLE, id, |to| put_string(to, &handle.to_be_bytes()));
    }

    pub(super) fn attributes(&mut self, id: u32, attributes: &Attributes) {
        self.packet(ATTRS, id, |to| attributes.put(to));
    }

    pub(super) fn names(&mut self, id: u32, entries: &[Entry]) {
        self.packet(NAME, id, |to| {
            to.put_u32(u32::try_from(entries.len()).unwrap_or(0));
            for entry in entries {
                put_string(to, &entry.name);
                put_string(to, &entry.long);
                entry.attributes.put(to);
            }
        });
    }

    pub(super) fn extended(&mut self, id: u32, values: &[u64]) {
        self.packet(EXTENDED_REPLY, id, |to| {
            values.iter().for_each(|value| to.put_u64(*value))
        });
    }

    /// Lets `fill` read straight into the reply; it says how much it read. Nothing is written when
    /// it fails or reads nothing.
    pub(super) fn data<E>(
        &mut self,
        id: u32,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        const HEADER: usize = 13;
        let start = self.0.len();
        self.0.resize(start + HEADER + length, 0);
        let read = match fill(&mut self.0[start + HEADER..]) {
            Ok(read) if read > 0 => read,
            other => {
                self.0.truncate(start);
                return other;
            }
        };
        self.0.truncate(start + HEADER + read);
        let short = u32::try_from(read).unwrap_or(u32::MAX);
        let mut header = &mut self.0[start..start + HEADER];
        header.put_u32(short + 9);
        header.put_u8(DATA);
        header.put_u32(id);
        header.put_u32(short);
        Ok(read)
    }
}

fn put_string(to: &mut BytesMut, bytes: &[u8]) {
    to.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    to.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    mod properties {
        use super::*;

        proptest! {
            /// A client may send anything: each field is understood or refused.
            #[test]
            fn any_packet_is_understood_or_refused(
                bytes in vec(any::<u8>(), 0..2048),
                order in vec(0u8..5, 1..16),
            ) {
                let mut fields = Fields(Bytes::from(bytes));
                for next in order {
                    let before = fields.0.len();
                    let refused = match next {
                        0 => fields.byte().is_err(),
                        1 => fields.u32().is_err(),
                        2 => fields.u64().is_err(),
                        3 => fields.string().is_err(),
                        _ => fields.attributes().is_err(),
                    };
                    prop_assert!(fields.0.len() <= before);
                    if refused {
                        break;
                    }
                }
            }

            #[test]
            fn any_stream_is_cut_into_packets_or_refused(bytes in vec(any::<u8>(), 0..4096)) {
                let mut received = BytesMut::from(&bytes[..]);
                while let Ok(Some(packet)) = crate::server::sftp::next_packet(&mut received) {
                    prop_assert!(packet.0.len() <= MAX_PACKET);
                }
            }
        }
    }

    #[test]
    fn a_read_reply_has_exactly_what_was_read() {
        let mut replies = Replies::default();
        let read = replies.data::<()>(7, 100, |buffer| {
            buffer[..3].copy_from_slice(b"abc");
            Ok(3)
        });
        assert_eq!(read, Ok(3));
        assert_eq!(&replies.0[..], b"\0\0\0\x0c\x67\0\0\0\x07\0\0\0\x03abc");
        assert_eq!(replies.data::<()>(8, 100, |_| Ok(0)), Ok(0));
        assert_eq!(replies.0.len(), 16);
    }

    #[test]
    fn a_string_longer_than_its_packet_is_refused() {
        assert!(
            Fields(Bytes::from_static(b"\0\0\0\x05abcd"))
                .string()
                .is_err()
        );
        assert_eq!(
            &Fields(Bytes::from_static(b"\0\0\0\x04abcd"))
                .string()
                .unwrap()[..],
            b"abcd"
        );
    }
}
