//! The SIP reader: the bytes of one captured message become a [`Message`] or a [`SipError`].
//!
//! It borrows and copies nothing: a message keeps slices of the datagram, the header block is
//! walked once, and all but the headers that name the dialog are read when they are asked for.
//! It is lenient in reading (compact names, folded lines, stray bytes in names) and exact in
//! meaning: what could be understood in two ways is refused. It sends nothing and keeps no state.
//!
//! Start with [`Message::parse`], which is [`Layout::of`] and [`Message::read`] in one.

mod content_type;
mod cseq;
mod diversion;
mod error;
mod event;
mod header_name;
mod header_table;
mod identity;
mod layout;
mod message;
mod method;
mod multipart;
mod name_addr;
mod params;
mod percent;
mod reason;
mod replaces;
mod rs_metadata;
mod sdp;
mod session_expires;
mod session_id;
mod start_line;
mod text;
mod uri;
mod user_to_user;
mod values;
mod via;

pub use content_type::ContentType;
pub use cseq::CSeq;
pub use diversion::{Diversion, HistoryInfo};
pub use error::{Malformed, SipError};
pub use event::{EventPackage, SubscriptionState};
pub use header_name::HeaderName;
pub use header_table::NamedRows;
pub use identity::{Privacy, RemotePartyId};
pub use layout::Layout;
pub use message::Message;
pub use method::Method;
pub use multipart::{Part, Parts};
pub use name_addr::NameAddr;
pub use params::{Param, ParamIter, Params};
pub use percent::percent_decode;
pub use reason::Reason;
pub use replaces::{DialogRef, DialogRefBuf};
pub use rs_metadata::{RecordingFact, RecordingMetadata};
pub use sdp::{Connection, Media, MediaDirection, MediaKind, Origin, Sdp};
pub use session_expires::{Refresher, SessionExpires};
pub use session_id::SessionId;
pub use start_line::StartLine;
pub use text::lossy;
pub use uri::{Scheme, Uri};
pub use user_to_user::UserToUser;
pub use via::Via;
