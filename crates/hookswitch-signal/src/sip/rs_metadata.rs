use super::text::trim;

/// The most elements of a description that are looked at.
const ELEMENTS_MAX: usize = 1_000;

/// Statement of a recording session about the call that it records (RFC 7865): who takes part, and what the call is
/// called.
///
/// Reads of the XML what it needs, in one walk, and passes over the rest; the names of elements count without
/// their prefixes.
#[derive(Clone, Copy, Debug)]
pub struct RecordingMetadata<'a> {
    text: &'a [u8],
}

/// One thing that the metadata says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingFact<'a> {
    /// The address of somebody who is recorded, as it stands: a SIP or TEL URI.
    Participant(&'a [u8]),
    /// The Session-ID or Call-ID of the recorded call, as it stands.
    CallName(&'a [u8]),
}

impl<'a> RecordingMetadata<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text }
    }

    /// Gives what it says, in its order.
    pub fn facts(&self) -> impl Iterator<Item = RecordingFact<'a>> + use<'a> {
        elements(self.text).take(ELEMENTS_MAX).filter_map(|(tag, text)| {
            let name_end = tag.iter().position(u8::is_ascii_whitespace).unwrap_or(tag.len());
            let (name, attributes) = tag.split_at(name_end);
            let name = name.rsplit(|&byte| byte == b':').next().unwrap_or_default();
            if name.eq_ignore_ascii_case(b"nameID") {
                return attribute(attributes, b"aor").map(RecordingFact::Participant);
            }
            // RFC 7865 §6.2.1; the others stand in the extension data of widespread recording clients.
            let names_call = [&b"sipSessionID"[..], b"callid", b"call-id", b"sip-call-id", b"sipCallId"];
            let text = trim(text);
            (!text.is_empty() && names_call.iter().any(|known| name.eq_ignore_ascii_case(known)))
                .then_some(RecordingFact::CallName(text))
        })
    }
}

/// The opening tags, without their brackets, each with the text behind it.
fn elements(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let open = memchr::memchr(b'<', rest)?;
            let close = open + memchr::memchr(b'>', &rest[open..])?;
            let tag = &rest[open + 1..close];
            rest = &rest[close + 1..];
            let end = memchr::memchr(b'<', rest).unwrap_or(rest.len());
            if !matches!(tag.first(), None | Some(b'/' | b'?' | b'!')) {
                return Some((tag.strip_suffix(b"/").unwrap_or(tag), &rest[..end]));
            }
        }
    })
}

/// The value of an attribute, without its quotes.
fn attribute<'a>(attributes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = attributes;
    loop {
        let equals = memchr::memchr(b'=', rest)?;
        let (before, after) = (trim(&rest[..equals]), trim(&rest[equals + 1..]));
        let (&quote, value) = after.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\''))?;
        let end = memchr::memchr(quote, value)?;
        if before.eq_ignore_ascii_case(name) {
            return Some(&value[..end]).filter(|value| !value.is_empty());
        }
        rest = &value[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participants_and_the_names_of_the_call_are_read_whatever_the_prefixes() {
        let text =
            br#"<?xml version="1.0"?><!-- a --><rec:recording xmlns:rec='urn:ietf:params:xml:ns:recording:1'>
            <rec:session session_id="hVpd7YQgRW2nD22h7q60JQ==">
              <rec:sipSessionID>ab30317f1a784dc48ff824d0d3715d86;
                remote=47755a9de7794ba387653f2099600ef2</rec:sipSessionID></rec:session>
            <participant participant_id="srfBElmCRp2QB23b7Mpk0w==">
              <nameID  lang="x" aor = "sip:bob@biloxi.example"><name>Bob</name></nameID></participant>
            <nameID aor='tel:+14155550123'/><nameID/><callid></callid>
            <x:callId> 17@pbx.example </x:callId></rec:recording>"#;
        let facts: Vec<_> = RecordingMetadata::new(text).facts().collect();
        let RecordingFact::CallName(session) = facts[0] else { panic!("{facts:?}") };
        assert!(session.starts_with(b"ab30317f1a784dc48ff824d0d3715d86;"));
        assert_eq!(
            facts[1..],
            [
                RecordingFact::Participant(b"sip:bob@biloxi.example"),
                RecordingFact::Participant(b"tel:+14155550123"),
                RecordingFact::CallName(b"17@pbx.example"),
            ]
        );
    }

    #[test]
    fn what_is_no_description_says_nothing() {
        for text in
            [&b""[..], b"<", b"<>", b"<nameID aor=", b"<nameID aor=\"x", b"<nameID aor=x>", b"a > b < c"]
        {
            assert_eq!(RecordingMetadata::new(text).facts().count(), 0, "{}", text.escape_ascii());
        }
    }
}
