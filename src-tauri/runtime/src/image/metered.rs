//! Bounds what an archive makes its reader hold in memory. Long names and extended attributes are
//! read whole before an entry is seen, however long they say they are, and compressed they take
//! next to no room in what came.

use std::{
    cell::Cell,
    io::{self, Read, Seek, SeekFrom},
    rc::Rc,
};

/// Bytes before an entry's content: its headers, names and attributes.
const LONGEST_HEAD: u64 = 1 << 20;

/// What may still be read until [`Meter::content`] or [`Meter::head`] is called again.
#[derive(Clone)]
pub(super) struct Meter(Rc<Cell<u64>>);

impl Meter {
    /// The next entry's head follows.
    pub(super) fn head(&self) {
        self.0.set(LONGEST_HEAD);
    }

    /// The content of an entry follows, which is counted elsewhere.
    pub(super) fn content(&self) {
        self.0.set(u64::MAX);
    }
}

/// See the module.
pub(super) struct Metered<R> {
    inner: R,
    left: Meter,
}

impl<R> Metered<R> {
    /// Begins with a head.
    pub(super) fn new(inner: R) -> (Self, Meter) {
        let left = Meter(Rc::new(Cell::new(LONGEST_HEAD)));
        let meter = left.clone();
        (Self { inner, left }, meter)
    }

    pub(super) fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.0.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("a name or an attribute in it is too long"));
        }
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        if left != u64::MAX {
            self.left.0.set(left - read as u64);
        }
        Ok(read)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
