//! What is dragged onto the file manager's window, with the pointer.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{Atom, AtomEnum, ConnectionExt, PropMode, Window};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use super::{FileManager, PATIENCE, STEP};

const PRESS: u8 = 4;
const RELEASE: u8 = 5;
const MOTION: u8 = 6;
const KEY_PRESS: u8 = 2;
const KEY_RELEASE: u8 = 3;
const LEFT: u8 = 1;
/// The key's code on every keyboard of a PC.
const ESCAPE: u8 = 9;

/// How a file manager takes what is dropped.
#[derive(Debug, Clone)]
pub enum Way {
    /// It asks for the addresses of files, and copies them.
    Addresses,
    /// The same, and it asks for them as soon as the pointer is over it, to show what would come.
    AddressesAtOnce,
    /// It says where to save them (XDS): under this directory.
    Save(PathBuf),
}

/// How far a drag onto the window has come.
#[derive(Debug, Default)]
struct Dragged {
    /// What it can be had as.
    types: Vec<Atom>,
    /// The window was told where the pointer is, and has said whether it takes what comes.
    asked: bool,
    takes: bool,
    early: Option<String>,
    dropped: Option<String>,
}

impl FileManager {
    fn pointer(&self, kind: u8, button: u8, (x, y): (i16, i16)) -> Result<()> {
        self.connection
            .xtest_fake_input(kind, button, 0, self.root, x, y, 0)?;
        self.connection.flush()?;
        std::thread::sleep(STEP);
        Ok(())
    }

    /// Takes hold of what lies at a place of the display.
    fn take_hold(&self, (x, y): (i16, i16)) -> Result<()> {
        self.pointer(MOTION, 0, (x, y))?;
        self.pointer(PRESS, LEFT, (0, 0))?;
        // Slowly at first: a drag begins after some pixels.
        for step in 1..=12 {
            self.pointer(MOTION, 0, (x + 3 * step, y + step))?;
        }
        // What is dragged is looked at before it begins.
        std::thread::sleep(20 * STEP);
        Ok(())
    }

    /// Drags from one place of the display to another one, which is not of this window.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn drag_between(&self, from: (i16, i16), to: (i16, i16)) -> Result<()> {
        self.take_hold(from)?;
        self.carry(from, to, &mut |_| Ok(()))?;
        self.pointer(RELEASE, LEFT, (0, 0))
    }

    /// Drags from a place of the display over this window, which asks for the addresses at once,
    /// and presses Escape there.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn drag_and_escape(&self, from: (i16, i16)) -> Result<()> {
        self.take_hold(from)?;
        let mut state = Dragged::default();
        let way = Way::AddressesAtOnce;
        self.carry(from, self.middle, &mut |this| this.answer(&mut state, &way))?;
        for kind in [KEY_PRESS, KEY_RELEASE] {
            self.pointer(kind, ESCAPE, (0, 0))?;
        }
        std::thread::sleep(4 * STEP);
        self.pointer(RELEASE, LEFT, (0, 0))?;
        self.answer(&mut state, &way)?;
        ensure!(state.early.is_some(), "nothing was asked for");
        ensure!(state.dropped.is_none(), "it was dropped: {state:?}");
        Ok(())
    }

    fn carry(
        &self,
        from: (i16, i16),
        to: (i16, i16),
        meanwhile: &mut dyn FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        for step in 1..=20 {
            let part = |from: i16, to: i16| from + (to - from) / 20 * step;
            self.pointer(MOTION, 0, (part(from.0, to.0), part(from.1, to.1)))?;
            meanwhile(self)?;
        }
        for nudge in 0..5 {
            self.pointer(MOTION, 0, (to.0 + nudge, to.1))?;
            meanwhile(self)?;
        }
        Ok(())
    }

    /// Drags what lies at a place of the display onto the window, and returns the addresses of what
    /// was dropped.
    ///
    /// # Errors
    /// When nothing is dragged from there, or it has no addresses.
    pub fn receive_from(&self, from: (i16, i16)) -> Result<Vec<String>> {
        self.receive_as(from, &Way::Addresses)
    }

    /// The same in one of the ways; in that of XDS what is returned is the answer.
    ///
    /// # Errors
    /// When nothing is dragged from there, or it can't be had in this way.
    pub fn receive_as(&self, from: (i16, i16), way: &Way) -> Result<Vec<String>> {
        let mut state = self.bring(from, way)?;
        ensure!(state.takes, "it can't be had that way");
        let started = Instant::now();
        loop {
            self.answer(&mut state, way)?;
            if let Some(text) = state.dropped {
                return Ok(text.lines().map(|line| line.trim().to_owned()).collect());
            }
            ensure!(started.elapsed() < PATIENCE, "nothing was dropped");
            std::thread::sleep(STEP);
        }
    }

    /// Drags what lies at a place of the display onto the window, which refuses it: it can't be had
    /// in this way.
    ///
    /// # Errors
    /// When nothing is dragged from there, or it can be had.
    pub fn refuse_from(&self, from: (i16, i16), way: &Way) -> Result<()> {
        let state = self.bring(from, way)?;
        ensure!(!state.takes, "it was to be had that way");
        Ok(())
    }

    /// Drags until the button is let go over the window.
    fn bring(&self, from: (i16, i16), way: &Way) -> Result<Dragged> {
        let mut state = Dragged::default();
        self.take_hold(from)?;
        self.carry(from, self.middle, &mut |this| this.answer(&mut state, way))?;
        let (x, y) = self.middle;
        let started = Instant::now();
        let mut nudge = 0;
        while !state.asked {
            ensure!(started.elapsed() < PATIENCE, "nothing was dragged over it");
            nudge = (nudge + 1) % 5;
            self.pointer(MOTION, 0, (x + nudge, y))?;
            self.answer(&mut state, way)?;
        }
        std::thread::sleep(4 * STEP);
        self.answer(&mut state, way)?;
        self.pointer(RELEASE, LEFT, (0, 0))?;
        Ok(state)
    }

    /// Answers what the one who drags has said meanwhile.
    fn answer(&self, state: &mut Dragged, way: &Way) -> Result<()> {
        let atoms = &self.atoms;
        let wanted = match way {
            Way::Save(_) => atoms.XdndDirectSave0,
            Way::Addresses | Way::AddressesAtOnce => atoms.URI_LIST,
        };
        while let Some(event) = self.connection.poll_for_event()? {
            let Event::ClientMessage(message) = event else {
                continue;
            };
            let [source, second, third, fourth, fifth] = message.data.as_data32();
            if message.type_ == atoms.XdndEnter {
                state.types = match second & 1 {
                    1 => self.atoms_of(source)?,
                    _ => vec![third, fourth, fifth],
                };
            } else if message.type_ == atoms.XdndPosition {
                state.takes = state.types.contains(&wanted);
                if state.takes && matches!(way, Way::AddressesAtOnce) && state.early.is_none() {
                    state.early = Some(self.fetch(wanted, fourth)?);
                }
                let accepts = u32::from(state.takes);
                let action = accepts * atoms.XdndActionCopy;
                self.tell(
                    source,
                    atoms.XdndStatus,
                    [self.window, accepts, 0, 0, action],
                )?;
                state.asked = true;
            } else if message.type_ == atoms.XdndDrop {
                let dropped = match (way, &state.early) {
                    (Way::Save(directory), _) => self.save(source, directory, third),
                    // As some do, which never ask twice.
                    (_, Some(early)) => Ok(early.clone()),
                    _ => self.fetch(wanted, third),
                };
                let done = [self.window, u32::from(dropped.is_ok()), 0, 0, 0];
                self.tell(source, atoms.XdndFinished, done)?;
                state.dropped = Some(dropped?);
            }
        }
        Ok(())
    }

    fn atoms_of(&self, source: Window) -> Result<Vec<Atom>> {
        let list = self.atoms.XdndTypeList;
        let asked = self
            .connection
            .get_property(false, source, list, AtomEnum::ATOM, 0, 256)?;
        let types = asked.reply()?;
        Ok(types.value32().context("no list of types")?.collect())
    }

    /// Says where to save what is offered, under the name that it is offered with.
    fn save(&self, source: Window, directory: &Path, time: u32) -> Result<String> {
        let (property, text) = (self.atoms.XdndDirectSave0, self.atoms.TEXT);
        let offered = self
            .connection
            .get_property(false, source, property, text, 0, 1024)?
            .reply()?;
        let name = String::from_utf8(offered.value)?;
        ensure!(
            !name.is_empty() && !name.contains('/'),
            "offered as {name:?}"
        );
        let uri = format!("file://localhost{}", directory.join(name).display());
        let uri = uri.replace(' ', "%20");
        self.connection
            .change_property8(PropMode::REPLACE, source, property, text, uri.as_bytes())?
            .check()?;
        self.fetch(property, time)
    }

    fn fetch(&self, target: Atom, time: u32) -> Result<String> {
        let atoms = &self.atoms;
        let property = atoms.GANGWAY_TEST_DROP;
        self.connection.convert_selection(
            self.window,
            atoms.XdndSelection,
            target,
            property,
            time,
        )?;
        self.connection.flush()?;
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            match self.connection.poll_for_event()? {
                Some(Event::SelectionNotify(notice)) => {
                    ensure!(notice.property == property, "it is not to be had");
                    let text = self.connection.get_property(
                        true,
                        self.window,
                        property,
                        AtomEnum::ANY,
                        0,
                        1 << 16,
                    )?;
                    return Ok(String::from_utf8(text.reply()?.value)?);
                }
                Some(_) => {}
                None => std::thread::sleep(STEP),
            }
        }
        bail!("it never came")
    }
}
