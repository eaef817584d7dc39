//! The answer to a question for the data of a drag.

use gtk::gdk::{self, Atom, EventSelection};

/// Whom to answer, and about what. Whoever has asked waits for some time.
pub(super) struct Reply {
    requestor: gdk::Window,
    selection: Atom,
    target: Atom,
    property: Atom,
    time: u32,
}

impl Reply {
    /// `None` when there is nobody who could be answered.
    pub(super) fn to(event: &EventSelection) -> Option<Self> {
        let target = event.target();
        // As the ICCCM wants it for clients older than itself.
        let property = match event.property() {
            none if none == gdk::ATOM_NONE => target,
            property => property,
        };
        Some(Self {
            requestor: event.requestor()?,
            selection: event.selection(),
            target,
            property,
            time: event.time(),
        })
    }

    /// Answers with the data in the form that was asked for; `None`: there is none.
    pub(super) fn send(self, data: Option<&[u8]>) {
        if let Some(data) = data {
            gdk::property_change(
                &self.requestor,
                &self.property,
                &self.target,
                8,
                gdk::PropMode::Replace,
                gdk::ChangeData::UChars(data),
            );
        }
        let property = match data {
            Some(_) => self.property,
            None => gdk::ATOM_NONE,
        };
        gdk::selection_send_notify(
            &self.requestor,
            &self.selection,
            &self.target,
            &property,
            self.time,
        );
    }
}
