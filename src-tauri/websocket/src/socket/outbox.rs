//! Frames that have not left yet, in one piece of memory that is filled again and again: bytes go
//! there in one pass, and nothing is cleared first.

use crate::frame;

/// An idle connection keeps no larger buffer.
const SMALL: usize = 16 * 1024;

#[derive(Default)]
pub(super) struct Outbox {
    /// As long as the most that was ever in line; only `from..to` counts.
    bytes: Vec<u8>,
    from: usize,
    to: usize,
}

impl Outbox {
    /// What has not left.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    pub(super) fn len(&self) -> usize {
        self.to - self.from
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts `bytes` at the end of the line.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
    }

    /// Puts `bytes`, masked, at the end of the line.
    pub(super) fn push_masked(&mut self, bytes: &[u8], mask: [u8; 4]) {
        frame::mask_into(self.room(bytes.len()), bytes, mask);
    }

    fn room(&mut self, length: usize) -> &mut [u8] {
        let from = self.to;
        self.to += length;
        if self.bytes.len() < self.to {
            self.bytes.resize(self.to, 0);
        }
        &mut self.bytes[from..self.to]
    }

    /// So many bytes have left.
    pub(super) fn left(&mut self, bytes: usize) {
        self.from += bytes;
    }

    /// Begins anew, after everything has left. A small frame after a bulk gives its memory back; a
    /// flush with nothing in line does not, for it comes after each frame of a bulk.
    pub(super) fn reset(&mut self) {
        if (1..SMALL).contains(&self.to) && self.bytes.len() > SMALL {
            self.bytes = Vec::new();
        }
        (self.from, self.to) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_earlier_frame_is_sent_again_and_a_bulk_leaves_no_memory_behind() {
        let mut outbox = Outbox::default();
        outbox.push(&[1; 100_000]);
        outbox.left(40_000);
        assert_eq!(outbox.rest(), &[1; 60_000][..]);
        outbox.left(60_000);
        assert!(outbox.is_empty());
        outbox.reset();
        outbox.reset();
        assert_eq!(outbox.bytes.len(), 100_000, "more may come");

        outbox.push(&[2; 3]);
        outbox.push_masked(&[3; 9], [0, 0, 0, 4]);
        assert_eq!(outbox.rest(), [2, 2, 2, 3, 3, 3, 7, 3, 3, 3, 7, 3]);
        outbox.left(outbox.len());
        outbox.reset();
        assert!(outbox.bytes.is_empty());
    }
}
