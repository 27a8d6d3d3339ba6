//! The conversation with ARI: the request that makes the connection a WebSocket, questions beside it, and events.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::{self, LISTING, LISTING_BEGINS};
use crate::switch::{HttpRequest, ProtocolError, ProtocolEvent, Refusal, Secret, SwitchProtocol, Transmit};

/// Questions after the log-in: what began or ended while nobody listened.
const LISTS: [&str; 2] = ["channels", "bridges"];

/// Settings that a source has beside those of all switches.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Options {
    pub(super) user: String,
    pub(super) password: Secret,
    /// The application that the WebSocket is opened for; it need not exist.
    #[serde(default = "app")]
    pub(super) app: String,
    /// Place where ARI is: `/ari`, behind the prefix of http.conf.
    #[serde(default = "path")]
    pub(super) path: String,
}

fn app() -> String {
    "hookswitch".to_owned()
}

fn path() -> String {
    "/ari".to_owned()
}

/// Conversation with the ARI of one Asterisk.
pub(super) struct AriProtocol {
    address: String,
    options: Options,
    inputs: VecDeque<Vec<u8>>,
    events: VecDeque<Own>,
    transmit: VecDeque<Transmit>,
    /// The answers to [`LISTS`], as far as they have come.
    lists: [Option<Vec<u8>>; LISTS.len()],
}

/// Something that does not come from an event.
enum Own {
    Event(ProtocolEvent),
    Message(Vec<u8>),
    End(ProtocolError),
}

impl AriProtocol {
    pub(super) fn new(address: &str, options: Options) -> Self {
        Self {
            address: address.to_owned(),
            options,
            inputs: VecDeque::new(),
            events: VecDeque::new(),
            transmit: VecDeque::new(),
            lists: [const { None }; LISTS.len()],
        }
    }

    fn request(&self, target: &str) -> HttpRequest {
        let Options { user, password, path, .. } = &self.options;
        let login = STANDARD.encode(format!("{user}:{}", password.expose()));
        HttpRequest { target: format!("{path}/{target}"), authorization: format!("Basic {login}") }
    }

    /// Gives the answers to what goes on to the tracker, once they have all come.
    fn list(&mut self) {
        let [Some(channels), Some(bridges)] = &self.lists else { return };
        let mut message = format!(r#"{{"type":"{LISTING}","channels":"#).into_bytes();
        message.extend_from_slice(channels);
        message.extend_from_slice(br#","bridges":"#);
        message.extend_from_slice(bridges);
        message.push(b'}');
        self.events.push_back(Own::Message(message));
    }
}

impl SwitchProtocol for AriProtocol {
    fn upgrade(&self) -> Option<HttpRequest> {
        Some(self.request(&format!("events?app={}&subscribeAll=true", self.options.app)))
    }

    fn handle_upgrade(&mut self, status: u16) {
        let Options { user, path, .. } = &self.options;
        let address = &self.address;
        let refused = match status {
            101 => {
                self.events.push_back(Own::Event(ProtocolEvent::LoggedIn));
                let begins = format!(r#"{{"type":"{LISTING_BEGINS}"}}"#);
                self.events.push_back(Own::Message(begins.into_bytes()));
                self.transmit.extend(LISTS.map(|list| Transmit::Request(self.request(list))));
                return;
            }
            401 | 403 => {
                format!("ARI refuses the password of {user:?}; compare user and password with ari.conf")
            }
            404 | 503 => format!(
                "there is no ARI at {address}{path}; see enabled in ari.conf and in http.conf, and its prefix there"
            ),
            _ => format!("what answers at {address} is no ARI of an Asterisk: it says {status}"),
        };
        self.events.push_back(Own::End(ProtocolError(refused)));
    }

    fn handle_input(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.inputs.push_back(bytes.to_vec());
        }
    }

    fn handle_answer(&mut self, request: &HttpRequest, answer: Result<&[u8], &str>) {
        let place = LISTS.iter().position(|list| request.target.ends_with(list));
        let Some(place) = place else { return };
        let is_list = |body: &&[u8]| {
            body.trim_ascii_start().starts_with(b"[") && serde_json::from_slice::<&RawValue>(body).is_ok()
        };
        let text = match answer {
            Ok(body) if is_list(&body) => {
                self.lists[place] = Some(body.to_vec());
                self.list();
                return;
            }
            Ok(_) => "it is no list",
            Err(error) => error,
        };
        self.events.push_back(Own::Event(ProtocolEvent::Refused(Refusal {
            question: request.target.clone(),
            text: text.to_owned(),
            hint: "ARI does not say what goes on, so that calls which were not seen to begin are not told",
        })));
    }

    fn poll_event(&mut self, out: &mut Vec<u8>) -> Result<Option<ProtocolEvent>, ProtocolError> {
        match self.events.pop_front() {
            Some(Own::Event(event)) => return Ok(Some(event)),
            Some(Own::Message(message)) => {
                out.extend_from_slice(&message);
                return Ok(Some(ProtocolEvent::Message));
            }
            Some(Own::End(error)) => return Err(error),
            None => {}
        }
        let Some(message) = self.inputs.pop_front() else { return Ok(None) };
        if event::kind(&message) == Some("ApplicationReplaced") {
            // Another connection of the same name takes the events.
            let app = &self.options.app;
            return Err(ProtocolError(format!(
                "another program listens to ARI as the application {app:?}; give this source another app"
            )));
        }
        if !event::counts(&message) {
            return Ok(Some(ProtocolEvent::PassedOver));
        }
        out.extend_from_slice(&message);
        Ok(Some(ProtocolEvent::Message))
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmit.pop_front()
    }

    fn probe(&mut self) {
        self.transmit.push_back(Transmit::Ping);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol() -> AriProtocol {
        let options =
            serde_json::from_str(r#"{"user": "me", "password": "secret"}"#).expect("they can be read");
        AriProtocol::new("192.0.2.10:8088", options)
    }

    fn events(protocol: &mut AriProtocol) -> Vec<(ProtocolEvent, String)> {
        std::iter::from_fn(|| {
            let mut out = Vec::new();
            let event = protocol.poll_event(&mut out).expect("it goes on")?;
            Some((event, String::from_utf8(out).expect("text")))
        })
        .collect()
    }

    #[test]
    fn the_log_in_is_the_request_and_what_goes_on_is_asked_beside_it() {
        let mut protocol = protocol();
        let upgrade = protocol.upgrade().expect("it is a WebSocket");
        assert_eq!(upgrade.target, "/ari/events?app=hookswitch&subscribeAll=true");
        assert_eq!(upgrade.authorization, "Basic bWU6c2VjcmV0");
        protocol.handle_upgrade(101);
        let begins = r#"{"type":"ListingBegins"}"#.to_owned();
        assert_eq!(
            events(&mut protocol),
            [(ProtocolEvent::LoggedIn, String::new()), (ProtocolEvent::Message, begins)]
        );
        let asked: Vec<HttpRequest> = std::iter::from_fn(|| protocol.poll_transmit())
            .map(|transmit| match transmit {
                Transmit::Request(request) => request,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(asked.iter().map(|it| &*it.target).collect::<Vec<_>>(), ["/ari/channels", "/ari/bridges"]);
        protocol.handle_answer(&asked[1], Ok(b"[]"));
        assert_eq!(events(&mut protocol), [], "half of it says nothing");
        protocol.handle_answer(&asked[0], Ok(br#"[{"id":"1.0"}]"#));
        let list = r#"{"type":"Listing","channels":[{"id":"1.0"}],"bridges":[]}"#.to_owned();
        assert_eq!(events(&mut protocol), [(ProtocolEvent::Message, list)]);
    }

    #[test]
    fn what_is_no_list_is_not_told_and_what_says_nothing_of_calls_is_passed_over() {
        let mut protocol = protocol();
        protocol.handle_upgrade(101);
        events(&mut protocol);
        let Some(Transmit::Request(asked)) = protocol.poll_transmit() else { panic!("it asks") };
        for answer in [Ok(&b"{\"message\": \"no\"}"[..]), Ok(b"[{]"), Err("it says 500")] {
            protocol.handle_answer(&asked, answer);
            let events = events(&mut protocol);
            assert!(
                matches!(&events[..], [(ProtocolEvent::Refused(_), text)] if text.is_empty()),
                "{events:?}"
            );
        }
        protocol.handle_input(br#"{"type": "DeviceStateChanged"}"#);
        protocol.handle_input(br#"{"type": "ChannelHold"}"#);
        let kinds: Vec<ProtocolEvent> = events(&mut protocol).into_iter().map(|(event, _)| event).collect();
        assert_eq!(kinds, [ProtocolEvent::PassedOver, ProtocolEvent::Message]);
    }

    #[test]
    fn a_refusal_says_what_to_compare_and_never_the_password() {
        for (status, says) in [(401, "ari.conf"), (404, "http.conf"), (200, "no ARI")] {
            let mut protocol = protocol();
            protocol.handle_upgrade(status);
            let error = protocol.poll_event(&mut Vec::new()).expect_err("it is refused").to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
        let mut protocol = protocol();
        protocol.handle_upgrade(101);
        events(&mut protocol);
        protocol.handle_input(br#"{"type": "ApplicationReplaced"}"#);
        assert!(protocol.poll_event(&mut Vec::new()).is_err());
    }
}
