//! Actions on calls: the test plays the switch, and reads what it is asked.

use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

use super::asterisk::{ANSWERED, Asterisk, HUNG_UP, Manager};
use super::client::{Answer, call, exchange};
use super::reading::home;
use super::{Home, Server, wait_for};

const SESSIONS: &str = "/restapi/v1.0/account/~/telephony/sessions";

/// A server that may act on the calls of an Asterisk, in which 101 talks with 102.
struct Stage {
    home: Home,
    pbx: Asterisk,
    server: Server,
    manager: Manager,
    token: String,
    session: Value,
}

impl Stage {
    #[track_caller]
    fn new(name: &str, more: &str, variables: &[(&str, &str)]) -> Self {
        let home = Home::new(name);
        let pbx = Asterisk::new();
        home.configure(&format!("{}control = true\n{more}", pbx.configuration()));
        let server = Server::start_with(&home, variables);
        let mut manager = pbx.accept_login("");
        manager.tell(ANSWERED);
        let token = server.log_in(&home).body["access_token"].as_str().expect("a token").to_owned();
        let found = || {
            let sessions = server.call(&token, "GET", SESSIONS, None).body["records"].clone();
            let is_whole = |session: &Value| {
                let parties = session["parties"].as_array().expect("parties");
                parties.len() == 2 && parties.iter().all(|party| party["status"]["code"] == "Answered")
            };
            sessions.as_array()?.iter().find(|session| is_whole(session)).cloned()
        };
        let session = wait_for(found, || "a call".to_owned());
        Self { home, pbx, server, manager, token, session }
    }

    fn path(&self) -> String {
        format!("{SESSIONS}/{}", self.session["id"].as_str().expect("an id"))
    }

    /// The path of the party of who is called.
    fn callee(&self) -> String {
        let parties = self.session["parties"].as_array().expect("parties");
        let callee = parties.iter().find(|party| party["direction"] == "Inbound").expect("who is called");
        format!("{}/parties/{}", self.path(), callee["id"].as_str().expect("an id"))
    }

    /// Asks in the background.
    fn ask(
        &self,
        method: &'static str,
        path: String,
        body: Option<Value>,
        key: Option<&'static str>,
    ) -> Receiver<Answer> {
        let (answers, answered) = channel();
        let (http, token) = (self.server.http(), self.token.clone());
        thread::spawn(move || {
            let answer = match key {
                None => call(http, &token, method, &path, body.as_ref()),
                Some(key) => {
                    let bearer = format!("Bearer {token}");
                    let headers = [("Authorization", &*bearer), ("Idempotency-Key", key)];
                    let body = body.map(|body| body.to_string()).unwrap_or_default();
                    exchange(http, method, &path, &headers, body.as_bytes())
                }
            };
            answers.send(answer).ok(); // the test may have failed
        });
        answered
    }
}

/// The value of a key of an action.
fn value<'a>(action: &'a str, key: &str) -> &'a str {
    let line = action.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("{key} is not in {action}"))
}

fn success(action: &str) -> String {
    format!("Response: Success\r\nActionID: {}\r\nMessage: Done\r\n\r\n", value(action, "ActionID"))
}

#[test]
fn a_session_ends_when_the_switch_has_ended_it_and_is_answered_then() {
    let mut stage = Stage::new("control-drop", "", &[]);
    let answer = stage.ask("DELETE", stage.path(), None, None);
    let asked = [stage.manager.read_up_to("Hangup"), stage.manager.read_up_to("Hangup")];
    assert_ne!(value(&asked[0], "Channel"), value(&asked[1], "Channel"));
    assert!(asked.iter().all(|action| value(action, "Cause") == "16"));
    stage.manager.send(&asked.map(|action| success(&action)).concat());
    assert!(answer.try_recv().is_err(), "it is not answered before it shows");
    stage.manager.go_on(ANSWERED, HUNG_UP);
    let answer = answer.recv().expect("an answer");
    assert_eq!(answer.status, 204, "{answer:?}");
}

#[test]
fn what_the_switch_refuses_or_does_not_show_is_said_and_done_once() {
    let mut stage = Stage::new("control-refused", "", &[]);
    let transfer = || Some(json!({"extensionNumber": "103"}));
    let path = format!("{}/transfer", stage.callee());
    let answer = stage.ask("POST", path.clone(), transfer(), None);
    let action = stage.manager.read_up_to("BlindTransfer");
    let refusal = success(&action).replace("Success", "Error").replace("Done", "Permission denied");
    stage.manager.send(&refusal);
    let answer = answer.recv().expect("an answer");
    assert_eq!(answer.error(), (403, "", "CMN-109"));
    assert!(
        answer.body["message"].as_str().is_some_and(|text| text.contains("Permission denied")),
        "{answer:?}"
    );
    // The same under a key, twice: the switch takes it and shows nothing.
    for round in 0..2 {
        let answer = stage.ask("POST", path.clone(), transfer(), Some("one"));
        if round == 0 {
            let action = stage.manager.read_up_to("BlindTransfer");
            stage.manager.send(&success(&action));
        }
        assert_eq!(answer.recv().expect("an answer").error(), (504, "", "CMN-211"), "{round}");
    }
    let other = stage.ask("POST", path, Some(json!({"extensionNumber": "104"})), Some("one"));
    assert_eq!(other.recv().expect("an answer").error(), (409, "", "CMN-304"));
    // What was asked next is what it is asked next.
    let answer = stage.ask("POST", format!("{}/recordings", stage.callee()), None, None);
    let action = stage.manager.read_up_to("MixMonitor");
    stage.manager.send(&success(&action));
    assert_eq!(answer.recv().expect("an answer").status, 504);
}

#[test]
fn a_flood_of_actions_reaches_the_switch_as_far_as_the_source_allows() {
    const REQUESTS: usize = 1000;
    const IN_FLIGHT: usize = 3;
    let more = format!("control_in_flight = {IN_FLIGHT}\n");
    let per_minute = ("HOOKSWITCH_LIMITS__ACTIONS_PER_MINUTE", "100000");
    let mut stage = Stage::new("control-flood", &more, &[per_minute]);
    let (http, token, path) = (stage.server.http(), stage.token.clone(), stage.callee());
    // Each asks until it is taken, as a client that is let in asks no more.
    let askers: Vec<_> = (0..50)
        .map(|_| {
            let (token, path) = (token.clone(), path.clone());
            thread::spawn(move || -> Vec<Answer> {
                let mute = json!({"muted": true});
                let mut answers = Vec::new();
                while answers.len() < REQUESTS / 50 {
                    answers.push(call(http, &token, "PATCH", &path, Some(&mute)));
                    if answers.last().is_some_and(|answer| answer.status != 429) {
                        break;
                    }
                }
                answers
            })
        })
        .collect();
    let actions: Vec<String> = (0..IN_FLIGHT).map(|_| stage.manager.read_up_to("MuteAudio")).collect();
    let refused = |answer: &&Answer| answer.status == 429 && answer.headers.contains_key("retry-after");
    let answers: Vec<Answer> = askers.into_iter().flat_map(|asker| asker.join().expect("answers")).collect();
    let taken: Vec<&Answer> = answers.iter().filter(|answer| !refused(answer)).collect();
    assert!(answers.len() > REQUESTS * 8 / 10, "{}", answers.len());
    // Those whose switch did not answer in time make room for others, who may still be asking on a slow machine.
    assert!((IN_FLIGHT..=3 * IN_FLIGHT).contains(&taken.len()), "{taken:?}");
    assert!(taken.iter().all(|answer| answer.status == 504), "{taken:?}");
    drop(actions);
}

#[test]
fn a_user_may_ask_for_so_many_actions_in_a_minute() {
    let stage = Stage::new("control-rate", "", &[("HOOKSWITCH_LIMITS__ACTIONS_PER_MINUTE", "2")]);
    let path = format!("{}/unhold", stage.callee());
    for status in [409, 409, 429] {
        let answer = stage.server.call(&stage.token, "POST", &path, None);
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[test]
fn an_action_that_was_sent_before_a_crash_is_not_sent_again_after_it() {
    let mut stage = Stage::new("control-crash", "", &[]);
    let path = format!("{}/transfer", stage.callee());
    drop(stage.ask("POST", path.clone(), Some(json!({"extensionNumber": "103"})), Some("one")));
    stage.manager.read_up_to("BlindTransfer");
    let Stage { home, pbx, mut server, token, .. } = stage;
    server.kill();
    let server = Server::start(&home);
    let mut manager = pbx.accept_login("");
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", &*bearer), ("Idempotency-Key", "one")];
    let answer = exchange(server.http(), "POST", &path, &headers, br#"{"extensionNumber": "103"}"#);
    assert!([504, 404, 200].contains(&answer.status), "{answer:?}");
    // The first thing that the switch is asked after the log-in is another.
    manager.send("Event: UserEvent\r\n\r\n");
    assert_eq!(server.call(&token, "POST", &path.replace("transfer", "explode"), None).status, 404);
    server.stop();
    assert!(!manager.rest().contains("BlindTransfer"));
}

#[test]
fn without_a_connection_nothing_is_done_and_the_answer_says_so() {
    let stage = Stage::new("control-away", "", &[]);
    let path = stage.path();
    let Stage { server, manager, token, .. } = stage;
    drop(manager);
    server.logged("there is no manager connection");
    let answer = server.call(&token, "DELETE", &path, None);
    assert_eq!(answer.error(), (503, "", "CMN-201"));
}

#[test]
fn nobody_acts_on_a_call_of_another_tenant_or_of_another_extension() {
    let home = home("control-tenants");
    let pbx = Asterisk::new();
    home.configure(&format!("{}account = 1001\ncontrol = true\n", pbx.configuration()));
    let server = Server::start(&home);
    let mut manager = pbx.accept_login("");
    manager.tell(ANSWERED);
    let scopes = ["CallControl", "ReadAccounts"];
    let ann = server.token(&home, (1001, 1101, json!({})), &scopes);
    let found = || {
        let sessions = server.call(&ann, "GET", SESSIONS, None).body["records"].clone();
        let is_whole = |session: &Value| session["parties"].as_array().is_some_and(|all| all.len() == 2);
        sessions.as_array()?.iter().find(|session| is_whole(session)).cloned()
    };
    let session = wait_for(found, || "a call of the first tenant".to_owned());
    let id = session["id"].as_str().expect("an id");
    let parties: Vec<&str> = session["parties"]
        .as_array()
        .expect("parties")
        .iter()
        .map(|party| party["id"].as_str().expect("an id"))
        .collect();
    // An administrator of the other tenant, and a colleague who has no part in the call.
    let foreign = server.token(&home, (2001, 2101, json!({"admin": true})), &scopes);
    let colleague = server.token(&home, (1001, 1103, json!({})), &scopes);
    for (who, token) in [("another tenant", &foreign), ("a colleague", &colleague)] {
        for account in ["~", "1001", "2001"] {
            let session = format!("/restapi/v1.0/account/{account}/telephony/sessions/{id}");
            let mut asked = vec![("DELETE", session.clone(), json!(null))];
            for party in &parties {
                let party = format!("{session}/parties/{party}");
                asked.extend([
                    ("DELETE", party.clone(), json!(null)),
                    ("PATCH", party.clone(), json!({"muted": true})),
                    ("POST", format!("{party}/transfer"), json!({"extensionNumber": "103"})),
                    ("POST", format!("{party}/park"), json!({})),
                    ("POST", format!("{party}/recordings"), json!({})),
                    (
                        "POST",
                        format!("{party}/supervise"),
                        json!({"mode": "Listen", "supervisorDeviceId": "1901"}),
                    ),
                ]);
            }
            for (method, path, body) in asked {
                let body = (!body.is_null()).then_some(&body);
                let answer = server.call(token, method, &path, body);
                assert!([403, 404].contains(&answer.status), "{who}: {method} {path}: {answer:?}");
            }
        }
    }
    server.stop();
    let rest = manager.rest();
    for action in ["Hangup", "MuteAudio", "BlindTransfer", "Redirect", "Park", "MixMonitor", "Originate"] {
        assert!(!rest.contains(&format!("Action: {action}\r\n")), "{action}: {rest}");
    }
}

#[test]
fn a_source_is_not_acted_on_until_it_is_turned_on() {
    let home = Home::new("control-off");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    let mut manager = pbx.accept_login("");
    manager.tell(ANSWERED);
    let token = server.log_in(&home).text("access_token");
    let found = || {
        let sessions = server.call(&token, "GET", SESSIONS, None).body["records"].clone();
        sessions.as_array()?.iter().find_map(|session| session["id"].as_str().map(str::to_owned))
    };
    let id = wait_for(found, || "a call".to_owned());
    let answer = server.call(&token, "DELETE", &format!("{SESSIONS}/{id}"), None);
    assert_eq!(answer.status, 403, "{answer:?}");
    server.stop();
    assert!(!manager.rest().contains("Action: Hangup"));
}
