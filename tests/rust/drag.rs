//! A file manager's window, as far as dragging goes (the XDND protocol): files are dropped onto it,
//! and it drops files onto others.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt, CreateWindowAux, EventMask, PropMode,
    SelectionNotifyEvent, SelectionRequestEvent, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT, CURRENT_TIME};

use crate::home::Home;

pub use taking::Way;

mod taking;

const VERSION: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(25);

x11rb::atom_manager! {
    /// Names of the protocol.
    Atoms: AtomsCookie {
        XdndAware,
        XdndEnter,
        XdndPosition,
        XdndStatus,
        XdndDrop,
        XdndFinished,
        XdndLeave,
        XdndSelection,
        XdndActionCopy,
        XdndTypeList,
        XdndDirectSave0,
        TEXT: b"text/plain",
        URI_LIST: b"text/uri-list",
        GANGWAY_TEST_DROP,
        WM_STATE,
    }
}

/// The window.
#[derive(Debug)]
pub struct FileManager {
    connection: RustConnection,
    root: Window,
    window: Window,
    middle: (i16, i16),
    atoms: Atoms,
}

impl FileManager {
    /// Opens the window at a place of the display.
    ///
    /// # Errors
    /// When the home has no display.
    pub fn open(home: &Home, (x, y): (i16, i16), (width, height): (u16, u16)) -> Result<Self> {
        let (connection, number) = x11rb::connect(Some(&home.display()))?;
        let root = connection.setup().roots[number].root;
        let atoms = Atoms::new(&connection)?.reply()?;
        let window = connection.generate_id()?;
        connection.create_window(
            COPY_DEPTH_FROM_PARENT,
            window,
            root,
            x,
            y,
            width,
            height,
            0,
            WindowClass::INPUT_OUTPUT,
            COPY_FROM_PARENT,
            &CreateWindowAux::new(),
        )?;
        let aware = [VERSION];
        let property = atoms.XdndAware;
        connection.change_property32(
            PropMode::REPLACE,
            window,
            property,
            AtomEnum::ATOM,
            &aware,
        )?;
        // As a window manager marks what it manages: shown, without an icon.
        let state = atoms.WM_STATE;
        connection.change_property32(PropMode::REPLACE, window, state, state, &[1, 0])?;
        connection.map_window(window)?.check()?;
        let middle = (
            x + i16::try_from(width / 2)?,
            y + i16::try_from(height / 2)?,
        );
        Ok(Self {
            connection,
            root,
            window,
            middle,
            atoms,
        })
    }

    fn tell(&self, whom: Window, what: u32, data: [u32; 5]) -> Result<()> {
        let message = ClientMessageEvent::new(32, whom, what, data);
        self.connection
            .send_event(false, whom, EventMask::NO_EVENT, message)?;
        self.connection.flush()?;
        Ok(())
    }

    /// Drops files onto a place of another window, as if they had been dragged there.
    ///
    /// # Errors
    /// When that window takes no files.
    pub fn drop_onto(&self, target: Window, (x, y): (i16, i16), addresses: &str) -> Result<()> {
        let atoms = &self.atoms;
        self.connection
            .set_selection_owner(self.window, atoms.XdndSelection, CURRENT_TIME)?
            .check()?;
        let place = u32::from(x.cast_unsigned()) << 16 | u32::from(y.cast_unsigned());
        let enter = [self.window, VERSION << 24, atoms.URI_LIST, 0, 0];
        self.tell(target, atoms.XdndEnter, enter)?;
        let position = [self.window, 0, place, CURRENT_TIME, atoms.XdndActionCopy];
        let started = Instant::now();
        let mut dropped = false;
        while started.elapsed() < PATIENCE {
            if !dropped {
                self.tell(target, atoms.XdndPosition, position)?;
                std::thread::sleep(2 * STEP);
            }
            while let Some(event) = self.connection.poll_for_event()? {
                match event {
                    Event::SelectionRequest(request) => self.hand_out(&request, addresses)?,
                    Event::ClientMessage(message) if message.type_ == atoms.XdndStatus => {
                        let accepts = message.data.as_data32()[1] & 1 == 1;
                        if accepts && !dropped {
                            dropped = true;
                            let end = [self.window, 0, CURRENT_TIME, 0, 0];
                            self.tell(target, atoms.XdndDrop, end)?;
                        }
                    }
                    Event::ClientMessage(message) if message.type_ == atoms.XdndFinished => {
                        return Ok(());
                    }
                    _ => {}
                }
            }
            std::thread::sleep(STEP);
        }
        bail!("it was {}", if dropped { "never taken" } else { "refused" })
    }

    fn hand_out(&self, request: &SelectionRequestEvent, addresses: &str) -> Result<()> {
        let is_known = request.target == self.atoms.URI_LIST;
        if is_known {
            self.connection.change_property8(
                PropMode::REPLACE,
                request.requestor,
                request.property,
                request.target,
                addresses.as_bytes(),
            )?;
        }
        let notice = SelectionNotifyEvent {
            response_type: x11rb::protocol::xproto::SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor: request.requestor,
            selection: request.selection,
            target: request.target,
            property: if is_known { request.property } else { 0 },
        };
        self.connection
            .send_event(false, request.requestor, EventMask::NO_EVENT, notice)?;
        self.connection.flush().context("the display is gone")
    }
}
