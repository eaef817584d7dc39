//! Files dragged out of the window, as X11 and GTK know it: onto programs that say where to save
//! (XDS, <https://www.freedesktop.org/wiki/Specifications/XDS/>), and onto those that take
//! addresses of files.
//!
//! The page has given its own drag up for this one, and takes what is dropped onto itself.

mod reply;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use commands::types::{Failure, FailureCode};
use commands::{DragAsk, DragOffer, Dropped};
use gtk::gdk::{self, DragAction, EventSelection, ModifierType};
use gtk::glib::{self, Propagation, SignalHandlerId};
use gtk::prelude::*;
use gtk::{DragResult, TargetEntry, TargetFlags, TargetList};
use tauri::{AppHandle, Manager, Url};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use webkit2gtk::WebView;

use self::reply::Reply;
use crate::host::failure;
use crate::window;

const XDS: &str = "XdndDirectSave0";
const URI_LIST: &str = "text/uri-list";
/// The page is only told of a drag that offers something it knows; no other program knows this.
const PAGE: &str = "org.webkitgtk.WebKit.custom-pasteboard-data";
/// Beside the pointer, so that what is below it is found.
const HOT_SPOT: (i32, i32) = (-14, -10);
/// Characters beside the pointer; of more the ends are shown.
const LABEL: i32 = 40;
/// In units of four bytes: longer than any path.
const LONGEST: std::ffi::c_ulong = 4096;

/// Drags until the drop.
pub(crate) async fn out(
    app: &AppHandle,
    offer: DragOffer,
    asks: UnboundedSender<DragAsk>,
) -> Result<Dropped, Failure> {
    let internal = |error: tauri::Error| failure(FailureCode::Internal, error);
    let window = app.get_webview_window(window::MAIN);
    let window = window.ok_or_else(|| failure(FailureCode::Unsupported, "there is no window"))?;
    let (ended, end) = oneshot::channel();
    let begin = move |view: tauri::webview::PlatformWebview| {
        begin(&view.inner(), &offer, asks, ended);
    };
    window.with_webview(begin).map_err(internal)?;
    // Without an answer there was no drag.
    Ok(end.await.unwrap_or(Dropped::Nowhere))
}

/// A drag under way. It lives in the handlers of its signals.
struct Drag {
    view: WebView,
    context: gdk::DragContext,
    /// GTK's hidden window that answers for the drag, and our ear at it.
    source: RefCell<Option<(gtk::Widget, SignalHandlerId)>>,
    handlers: RefCell<Vec<SignalHandlerId>>,
    asks: UnboundedSender<DragAsk>,
    ended: RefCell<Option<oneshot::Sender<Dropped>>>,
    dropped: Cell<Dropped>,
}

fn begin(
    view: &WebView,
    offer: &DragOffer,
    asks: UnboundedSender<DragAsk>,
    ended: oneshot::Sender<Dropped>,
) {
    if !is_held(view) {
        return;
    }
    let list = targets(view, offer);
    let begun = view.drag_begin_with_coordinates(&list, DragAction::COPY, 1, None, -1, -1);
    let Some(context) = begun else {
        return;
    };
    context.drag_set_icon_widget(&label(&offer.label), HOT_SPOT.0, HOT_SPOT.1);
    if has_xds(view) {
        suggest(&context, &offer.name);
    }
    let drag = Rc::new(Drag {
        view: view.clone(),
        context,
        source: RefCell::default(),
        handlers: RefCell::default(),
        asks,
        ended: RefCell::new(Some(ended)),
        dropped: Cell::new(Dropped::Outside),
    });
    drag.listen();
}

/// Under which name it would be saved.
fn suggest(context: &gdk::DragContext, name: &str) {
    gdk::property_change(
        &context.source_window(),
        &gdk::Atom::intern(XDS),
        &gdk::Atom::intern("text/plain"),
        8,
        gdk::PropMode::Replace,
        gdk::ChangeData::UChars(name.as_bytes()),
    );
}

/// Its questions are properties of windows, which Wayland has not.
fn has_xds(view: &WebView) -> bool {
    view.display().backend().is_x11()
}

/// Whether the user still holds the button: else the drag would wait for another press.
fn is_held(view: &WebView) -> bool {
    let seat = view.display().default_seat();
    let pointer = seat.and_then(|seat| seat.pointer());
    let (Some(pointer), Some(window)) = (pointer, view.window()) else {
        return false;
    };
    let (.., state) = window.device_position(&pointer);
    state.contains(ModifierType::BUTTON1_MASK)
}

fn targets(view: &WebView, offer: &DragOffer) -> TargetList {
    let mut targets = vec![TargetEntry::new(PAGE, TargetFlags::empty(), 0)];
    if has_xds(view) {
        targets.push(TargetEntry::new(XDS, TargetFlags::empty(), 0));
    }
    if offer.has_addresses {
        targets.push(TargetEntry::new(URI_LIST, TargetFlags::empty(), 0));
    }
    TargetList::new(&targets)
}

/// What is dragged, beside the pointer.
fn label(text: &str) -> gtk::Widget {
    let label = gtk::Label::new(Some(text));
    label.set_margin(8);
    label.set_ellipsize(gtk::pango::EllipsizeMode::Middle);
    let length = i32::try_from(text.chars().count()).unwrap_or(LABEL);
    label.set_width_chars(length.min(LABEL));
    let frame = gtk::Frame::new(None);
    frame.add(&label);
    frame.show_all();
    frame.upcast()
}

impl Drag {
    fn listen(self: Rc<Self>) {
        let view = &self.view;
        let (on_drop, on_fail, on_end) = (self.clone(), self.clone(), self.clone());
        let mut handlers = self.handlers.borrow_mut();
        handlers.push(view.connect_drag_drop(move |_, _, _, _, _| {
            on_drop.dropped.set(Dropped::Inside);
            // The page is told by others.
            false
        }));
        handlers.push(view.connect_drag_failed(move |_, context, result| {
            if *context == on_fail.context {
                on_fail.fail(result);
            }
            Propagation::Proceed
        }));
        handlers.push(view.connect_drag_end(move |_, context| {
            if *context == on_end.context {
                on_end.end();
            }
        }));
        drop(handlers);
        let window = self.context.source_window();
        let mut all = gtk::Window::list_toplevels().into_iter();
        let Some(source) = all.find(|it| it.window().as_ref() == Some(&window)) else {
            tracing::warn!("the drag has no window; other programs get nothing of it");
            return;
        };
        let ear = self.clone();
        let handler = source.connect_selection_request_event(move |_, event| ear.asked(event));
        *self.source.borrow_mut() = Some((source, handler));
    }

    fn fail(&self, result: DragResult) {
        let outside = matches!(result, DragResult::NoTarget) && !self.is_over_us();
        let dropped = match result {
            DragResult::NoTarget if outside => Dropped::Refused,
            _ => Dropped::Nowhere,
        };
        self.dropped.set(dropped);
    }

    fn is_over_us(&self) -> bool {
        let below = self.context.device().window_at_position().0;
        // Windows of others that the drag has met are known as well.
        below.is_some_and(|it| it.window_type() != gdk::WindowType::Foreign)
    }

    fn end(&self) {
        for handler in self.handlers.take() {
            self.view.disconnect(handler);
        }
        if let Some((source, handler)) = self.source.take() {
            source.disconnect(handler);
        }
        if let Some(ended) = self.ended.take() {
            // Nobody waits any more when the page has gone.
            let _ = ended.send(self.dropped.get());
        }
    }

    /// Another program asks for something. It is answered later, when there is an answer: GTK's own
    /// way would hold the window up until then. (What our own page asks doesn't come here.)
    fn asked(&self, event: &EventSelection) -> Propagation {
        if event.selection() != self.context.drag_get_selection() {
            return Propagation::Proceed;
        }
        let Some(reply) = Reply::to(event) else {
            return Propagation::Proceed;
        };
        match event.target().name().as_str() {
            XDS => self.save(reply),
            URI_LIST => self.addresses(reply),
            _ => return Propagation::Proceed,
        }
        Propagation::Stop
    }

    /// `S` and `E` are the protocol's words for success and error.
    fn save(&self, reply: Reply) {
        let Some(path) = self.place() else {
            return reply.send(Some(b"E"));
        };
        let (answer, answered) = oneshot::channel();
        // Nobody listens any more when the page has gone; the answer is no then.
        let _ = self.asks.send(DragAsk::Save(path, answer));
        glib::MainContext::default().spawn_local(async move {
            let begun = answered.await.unwrap_or(false);
            reply.send(Some(if begun { b"S" } else { b"E" }));
        });
    }

    /// Where the other program wants it saved.
    fn place(&self) -> Option<PathBuf> {
        let window = self.context.source_window();
        let (_, _, uri) = gdk::property_get(
            &window,
            &gdk::Atom::intern(XDS),
            &gdk::ATOM_NONE,
            0,
            LONGEST,
            0,
        )?;
        local_path(std::str::from_utf8(&uri).ok()?, &glib::host_name())
    }

    fn addresses(&self, reply: Reply) {
        let (answer, answered) = oneshot::channel();
        let _ = self.asks.send(DragAsk::Paths(answer));
        glib::MainContext::default().spawn_local(async move {
            let paths = answered.await.ok().flatten();
            let list = paths.map(|paths| uri_list(&paths));
            reply.send(list.as_deref().map(str::as_bytes));
        });
    }
}

/// The path behind an address of a file on this computer.
fn local_path(uri: &str, host: &str) -> Option<PathBuf> {
    let url = Url::parse(uri.trim_end_matches('\0')).ok()?;
    let is_here = url
        .host_str()
        .is_none_or(|it| it.is_empty() || it.eq_ignore_ascii_case(host));
    if url.scheme() != "file" || !is_here {
        return None;
    }
    // The library takes no other host than `localhost` for this computer.
    let here = Url::parse(&format!("file://{}", url.path())).ok()?;
    here.to_file_path().ok()
}

/// As RFC 2483 wants it.
fn uri_list(paths: &[PathBuf]) -> String {
    let urls = paths
        .iter()
        .filter_map(|path| Url::from_file_path(path).ok());
    urls.map(|url| format!("{url}\r\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_of_this_computer_are_saved_to() {
        let path = |uri| local_path(uri, "here");
        let expected = Some(PathBuf::from("/a b/ü"));
        for good in [
            "file:///a%20b/%C3%BC",
            "file://here/a%20b/%C3%BC\0",
            "file://localhost/a%20b/%C3%BC",
        ] {
            assert_eq!(path(good), expected, "{good}");
        }
        for bad in ["file://there/a", "sftp://here/a", "/a", ""] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_stand_on_lines_of_their_own() {
        let paths = [PathBuf::from("/a b"), PathBuf::from("/ü")];
        assert_eq!(uri_list(&paths), "file:///a%20b\r\nfile:///%C3%BC\r\n");
    }
}
