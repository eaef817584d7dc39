//! One TCP connection inside one WebSocket (protocol page "Sessions" §12.2), at both of its ends.
//!
//! Hidden here: RFC 6455's frames and masks, who answers pings, how a link that has died without a
//! word is noticed, what close codes mean, and how few copies a byte can get by with. The
//! handshake is the caller's: what is given to [`Socket`] has been upgraded already.
#![forbid(unsafe_code)]

mod copy;
mod frame;
mod socket;

pub use copy::copy;
pub use frame::{Header, Kind, MOST_HEADER, Malformed, header, mask, mask_into, parse};
pub use socket::{Close, KeepAlive, Role, Socket, code};
