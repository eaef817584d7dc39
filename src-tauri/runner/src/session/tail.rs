//! The last lines that a service printed, for whoever waits for it.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Lines that are kept.
const LINES: usize = 12;
/// Longer lines are cut, in characters.
const LONGEST: usize = 300;

/// What a service printed last.
#[derive(Default)]
pub(super) struct Tail(Mutex<Text>);

#[derive(Default)]
struct Text {
    lines: VecDeque<String>,
    /// A line without its end.
    begun: Vec<u8>,
}

impl Tail {
    /// Takes what was printed.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pieces = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).peekable();
        while let Some(piece) = pieces.next() {
            // A line that never ends must not fill the memory.
            let room = (LONGEST * 4).saturating_sub(text.begun.len());
            text.begun
                .extend_from_slice(&piece[..piece.len().min(room)]);
            if pieces.peek().is_some() {
                text.end_line();
            }
        }
    }

    /// The lines, without colours.
    pub(super) fn lines(&self) -> Vec<String> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = plain(&text.begun);
        let begun = (!begun.trim().is_empty()).then_some(begun);
        text.lines.iter().cloned().chain(begun).collect()
    }
}

impl Text {
    fn end_line(&mut self) {
        let line = plain(&std::mem::take(&mut self.begun));
        if line.trim().is_empty() {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

/// Text without control characters and terminal sequences (ECMA-48 §5.4: `ESC [ … letter`).
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut characters = text.chars().peekable();
    let mut line = String::new();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            if characters.next_if_eq(&'[').is_some() {
                while characters
                    .next()
                    .is_some_and(|next| !('\u{40}'..='\u{7e}').contains(&next))
                {}
            }
        } else if character == '\t' || !character.is_control() {
            line.push(character);
        }
    }
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_in_plain_text() {
        let tail = Tail::default();
        for number in 0..20 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        tail.push(b"\x1b[1;31mred\x1b[0m\r\n\nhal");
        tail.push(b"f");
        let lines = tail.lines();
        assert_eq!(lines.first().unwrap(), "line 9");
        assert_eq!(&lines[lines.len() - 2..], ["red", "half"]);
        tail.push(&[b'x'; 100_000]);
        assert!(tail.lines().last().unwrap().len() <= LONGEST);
    }
}
