//! Connections to switches that tell of their calls themselves, whatever they speak: made, kept, and made
//! again.

mod feed;
mod kept;
mod line;
mod place;

pub(crate) use self::feed::Feed;
pub(crate) use self::kept::Talk;
pub(crate) use self::kept::keep;
pub(crate) use self::line::Frames;
pub(crate) use self::line::{Line, Stream};
pub(crate) use self::place::Place;
