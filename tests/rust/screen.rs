//! The display itself, for what is no web page: the system's own dialogs, and the frame around
//! the window.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt, CreateWindowAux,
    EventMask, InputFocus, MapState, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::{COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT};

use crate::home::Home;

const PRESS: u8 = 2;
const RELEASE: u8 = 3;
const SHIFT: u32 = 0xffe1;
/// Of `XK_*`: what has no character.
pub const RETURN: u32 = 0xff0d;
/// Escape.
pub const ESCAPE: u32 = 0xff1b;

/// A connection to the display of a home.
#[derive(Debug)]
pub struct Screen {
    connection: RustConnection,
    root: Window,
}

impl Screen {
    /// Connects.
    ///
    /// # Errors
    /// When the home has no display.
    pub fn of(home: &Home) -> Result<Self> {
        let (connection, number) = x11rb::connect(Some(&home.display()))?;
        let root = connection.setup().roots[number].root;
        Ok(Self { connection, root })
    }

    /// Windows with this title that are shown.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn windows(&self, title: &str) -> Result<Vec<Window>> {
        let mut found = Vec::new();
        for window in self.connection.query_tree(self.root)?.reply()?.children {
            let Ok(attributes) = self.connection.get_window_attributes(window)?.reply() else {
                continue;
            };
            let name = self.connection.get_property(
                false,
                window,
                AtomEnum::WM_NAME,
                AtomEnum::ANY,
                0,
                256,
            )?;
            let Ok(name) = name.reply() else { continue };
            if attributes.map_state == MapState::VIEWABLE
                && String::from_utf8_lossy(&name.value).contains(title)
            {
                found.push(window);
            }
        }
        Ok(found)
    }

    /// Puts a window of ours over another one.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn cover(&self, window: Window) -> Result<Window> {
        let size = self.connection.get_geometry(window)?.reply()?;
        let cover = self.connection.generate_id()?;
        self.connection
            .create_window(
                COPY_DEPTH_FROM_PARENT,
                cover,
                self.root,
                size.x,
                size.y,
                size.width,
                size.height,
                0,
                WindowClass::INPUT_OUTPUT,
                COPY_FROM_PARENT,
                &CreateWindowAux::new(),
            )?
            .check()?;
        self.connection.map_window(cover)?.check()?;
        Ok(cover)
    }

    /// Where a window begins on the display, and how wide it is.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn place(&self, window: Window) -> Result<(i16, i16, u16)> {
        let size = self.connection.get_geometry(window)?.reply()?;
        Ok((size.x, size.y, size.width))
    }

    /// Whether one window is nearer to the front than another.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn is_above(&self, upper: Window, lower: Window) -> Result<bool> {
        // From the back to the front.
        let all = self.connection.query_tree(self.root)?.reply()?.children;
        let place = |window| all.iter().position(|other| *other == window);
        Ok(place(upper) > place(lower))
    }

    /// Waits for a window with this title.
    ///
    /// # Errors
    /// When none shows up.
    pub async fn window(&self, title: &str) -> Result<Window> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            if let Some(window) = self.windows(title)?.first() {
                return Ok(*window);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("no window \"{title}\" showed up")
    }

    /// What the close button of a window's frame does.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn close(&self, window: Window) -> Result<()> {
        let message = ClientMessageEvent::new(
            32,
            window,
            self.atom("WM_PROTOCOLS")?,
            [self.atom("WM_DELETE_WINDOW")?, 0, 0, 0, 0],
        );
        self.connection
            .send_event(false, window, EventMask::NO_EVENT, message)?;
        self.connection.flush()?;
        Ok(())
    }

    /// From now on what programs ask of a window manager comes here.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn listen_as_window_manager(&self) -> Result<()> {
        let wanted = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
        self.connection
            .change_window_attributes(self.root, &wanted)?
            .check()?;
        Ok(())
    }

    /// The window for which somebody has asked that it be minimised, since the last look.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn asked_to_minimise(&self) -> Result<Option<Window>> {
        const ICONIC: u32 = 3;
        let wish = self.atom("WM_CHANGE_STATE")?;
        while let Some(event) = self.connection.poll_for_event()? {
            if let Event::ClientMessage(message) = event
                && message.type_ == wish
                && message.data.as_data32()[0] == ICONIC
            {
                return Ok(Some(message.window));
            }
        }
        Ok(None)
    }

    fn atom(&self, name: &str) -> Result<u32> {
        let atom = self.connection.intern_atom(false, name.as_bytes())?;
        Ok(atom.reply()?.atom)
    }

    /// Types into a window.
    ///
    /// # Errors
    /// When the keyboard of the display has no key for a character.
    pub fn type_into(&self, window: Window, text: &str) -> Result<()> {
        for character in text.chars() {
            self.press(window, u32::from(character))?;
        }
        Ok(())
    }

    /// Gives a window the keyboard.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn focus(&self, window: Window) -> Result<()> {
        self.connection
            .set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME)?;
        self.connection.flush()?;
        Ok(())
    }

    /// Presses one key in a window.
    ///
    /// # Errors
    /// When the keyboard of the display has no such key.
    pub fn press(&self, window: Window, symbol: u32) -> Result<()> {
        self.focus(window)?;
        let (key, shifted) = self.key(symbol)?;
        let (shift, _) = self.key(SHIFT)?;
        let mut strokes = vec![(PRESS, key), (RELEASE, key)];
        if shifted {
            strokes.insert(0, (PRESS, shift));
            strokes.push((RELEASE, shift));
        }
        for (kind, code) in strokes {
            self.connection
                .xtest_fake_input(kind, code, 0, self.root, 0, 0, 0)?;
        }
        self.connection.flush()?;
        // The server's answer comes after the strokes.
        self.connection.get_input_focus()?.reply()?;
        Ok(())
    }

    fn key(&self, symbol: u32) -> Result<(u8, bool)> {
        let setup = self.connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let map = self
            .connection
            .get_keyboard_mapping(first, last - first + 1)?
            .reply()?;
        let each = usize::from(map.keysyms_per_keycode);
        let at = map
            .keysyms
            .chunks(each)
            .position(|symbols| symbols.iter().take(2).any(|one| *one == symbol))
            .with_context(|| format!("no key for {symbol:#x}"))?;
        let shifted = map.keysyms[at * each] != symbol;
        Ok((first + u8::try_from(at)?, shifted))
    }
}
