//! Whether tunnels come back when the user logs in to this computer. Off until the user says so:
//! a program that starts by itself is not to be a surprise.

use proxy::autostart::{self, State};

use crate::context::Context;
use crate::types::{AtLoginState, Failure, Nothing, SetTunnelsAtLogin, Tag, TunnelsAtLogin};

pub(crate) async fn show(context: &Context, _: Nothing) -> Result<TunnelsAtLogin, Failure> {
    let paths = context.paths();
    Ok(TunnelsAtLogin {
        supported: autostart::is_supported(),
        wanted: context.config()?.tunnels_at_login()?,
        entry: paths.autostart_entry().display().to_string(),
        state: match autostart::state(paths)? {
            State::Absent => AtLoginState::Absent,
            State::Ours => AtLoginState::Ours,
            State::SwitchedOff => AtLoginState::SwitchedOff,
            State::Foreign => AtLoginState::Foreign,
        },
    })
}

pub(crate) async fn set(
    context: &Context,
    request: SetTunnelsAtLogin,
) -> Result<TunnelsAtLogin, Failure> {
    autostart::choose(context.paths(), context.history()?, request.wanted).await?;
    context.changed(Tag::Tunnel, None);
    show(context, Nothing {}).await
}
