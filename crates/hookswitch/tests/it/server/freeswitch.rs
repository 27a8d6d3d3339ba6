//! The event socket of a FreeSWITCH: the test plays the FreeSWITCH.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use hookswitch_signal::esl::{Message, listing};

use super::switch::{Switch, Wire, connects, outages_are_short, shown};
use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, Server, hookswitch, path, wait_for};
use hookswitch_flows::freeswitch::{Story, freeswitch};
use hookswitch_flows::recordings::{self, Recording};

const PASSWORD: &str = "not-to-be-logged";
const USER: &str = "hookswitch@pbx.example.com";

/// 101 calls 102, who answers.
pub(super) const ANSWERED: &str = "
    0.000 create a 101>102
    0.002 execute a bridge(user/102@pbx.example.com)
    0.004 create b to=102 of=a number=101
    0.020 progress b
    0.021 progress a
    1.000 answer b
    1.002 answer a
    1.004 bridge a b
";

pub(super) const HUNG_UP: &str = "
    5.000 hangup a NORMAL_CLEARING
    5.001 hangup b NORMAL_CLEARING
    5.002 complete b NORMAL_CLEARING disposition=send_bye
    5.003 complete a NORMAL_CLEARING disposition=recv_bye
";

const TOLD: [&str; 8] = [
    "Outbound 101 Setup",
    "Inbound 102 Setup",
    "Inbound 102 Proceeding",
    "Outbound 101 Proceeding",
    "Inbound 102 Answered",
    "Outbound 101 Answered",
    "Outbound 101 Disconnected",
    "Inbound 102 Disconnected",
];

/// A FreeSWITCH whose event socket listens.
pub(super) struct FreeSwitch(pub(super) Switch);

impl FreeSwitch {
    pub(super) fn new() -> Self {
        Self(Switch::new())
    }

    pub(super) fn configuration(&self) -> String {
        format!(
            "\n[[esl.source]]\nname = \"pbx\"\naddress = \"{}\"\npassword = \"{PASSWORD}\"\n",
            self.0.address()
        )
    }

    /// The same, with a user of its directory.
    fn configuration_of_user(&self) -> String {
        format!("{}user = \"{USER}\"\n", self.configuration())
    }

    /// Waits for a connection and its password.
    #[track_caller]
    pub(super) fn accept(&self) -> Socket {
        self.accept_as(&format!("auth {PASSWORD}"))
    }

    /// Waits for a connection that logs in with this command.
    #[track_caller]
    fn accept_as(&self, login: &str) -> Socket {
        let mut socket = Socket(self.0.accept());
        socket.0.send("Content-Type: auth/request\n\n");
        assert_eq!(socket.0.read_block(), format!("{login}\n\n"));
        socket
    }

    /// The same, lets it log in, and gives these answers; all others say that nothing goes on.
    #[track_caller]
    pub(super) fn accept_login(&self, answers: &[(&str, &str)]) -> Socket {
        let mut socket = self.accept();
        socket.reply("+OK accepted");
        socket.listens(answers);
        socket
    }
}

impl FreeSwitch {
    /// Lets a connection log in that may ask nothing.
    #[track_caller]
    pub(super) fn accept_and_refuse_questions(&self) {
        let mut socket = self.accept();
        socket.reply("+OK accepted");
        assert!(socket.0.read_block().starts_with("event "));
        socket.reply("+OK event listener enabled json");
        for question in listing::QUESTIONS.into_iter().chain(listing::FURTHER) {
            assert_eq!(socket.0.read_block(), format!("api {question}\n\n"));
            socket.reply("-ERR permission denied");
        }
    }
}

/// Returns what is said to a user that has logged in, as mod_event_socket.c of FreeSWITCH 1.11 writes it: into 512 bytes,
/// of which one is a mark that is not sent and one ends the text. This is taken from its source.
fn user_is_accepted(events: &str, api: &str) -> String {
    let mut reply = format!(
        "~Reply-Text: +OK accepted\nAllowed-Events: {events}\nAllowed-API: {api}\nAllowed-LOG: true\n\n"
    );
    reply.truncate(511);
    format!("Content-Type: command/reply\n{}", &reply[1..])
}

/// A connection to an event socket.
pub(super) struct Socket(pub(super) Wire);

impl Socket {
    #[track_caller]
    pub(super) fn reply(&mut self, text: &str) {
        self.0.send(format!("Content-Type: command/reply\nReply-Text: {text}\n\n"));
    }

    /// Tells of events when it is asked to, and gives these answers; all others say that nothing goes on.
    #[track_caller]
    fn listens(&mut self, answers: &[(&str, &str)]) {
        let events = self.0.read_block();
        let format = events.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(format, "json" | "plain"), "{events}");
        assert!(events.contains(" CHANNEL_CREATE ") && events.contains(" CUSTOM "), "{events}");
        self.reply(&format!("+OK event listener enabled {format}"));
        for question in listing::QUESTIONS {
            self.asked(question, answers);
        }
        self.asked_of_channels(answers);
        for question in listing::FURTHER {
            self.asked(question, answers);
        }
    }

    /// Is asked about the dialog of each channel of the list, and has none.
    #[track_caller]
    fn asked_of_channels(&mut self, answers: &[(&str, &str)]) {
        let list = answers.iter().find(|(asked, _)| *asked == listing::CHANNELS);
        let body = list.map_or("", |(_, body)| body);
        let answer = format!("Content-Type: api/response\nContent-Length: {}\n\n{body}", body.len());
        for question in listing::questions_of_channels(&Message::new(answer.as_bytes()), &mut BTreeSet::new())
        {
            self.asked(&question, &[(&question, "_undef_")]);
        }
    }

    /// Waits for a question and answers it.
    #[track_caller]
    fn asked(&mut self, question: &str, answers: &[(&str, &str)]) {
        assert_eq!(self.0.read_block(), format!("api {question}\n\n"));
        let nothing = match question {
            "show channels as json" | "show calls as json" => "{\"row_count\":0}\n",
            "global_getvar core_uuid" => "1f0a3d52-0000-4000-8000-000000000001",
            "conference json_list" => "[]",
            "valet_info" => "<lots>\n</lots>\n",
            "fifo list" => "<fifo_report>\n</fifo_report>\n",
            _ => "+OK\n",
        };
        let answer =
            answers.iter().find(|(asked, _)| *asked == question).map_or(nothing, |(_, answer)| answer);
        self.0.send(format!("Content-Type: api/response\nContent-Length: {}\n\n{answer}", answer.len()));
    }

    #[track_caller]
    fn tell(&mut self, story: &str) {
        self.0.tell(&freeswitch(story).told, "");
    }
}

/// A channel as `show channels` lists it.
pub(super) fn listed(uuid: &str, direction: &str, user: &str, dest: &str, state: &str, call: &str) -> String {
    format!(
        "{{\"uuid\":\"{uuid}\",\"direction\":\"{direction}\",\"created\":\"2026-11-22 21:09:03\",\
         \"created_epoch\":\"1795381743\",\"name\":\"sofia/internal/{user}@pbx.example.com\",\"state\":\"CS_EXECUTE\",\
         \"cid_name\":\"\",\"cid_num\":\"{user}\",\"ip_addr\":\"127.0.0.1\",\"dest\":\"{dest}\",\
         \"application\":\"\",\"presence_id\":\"{user}@pbx.example.com\",\"callstate\":\"{state}\",\
         \"call_uuid\":\"{call}\"}}"
    )
}

pub(super) fn rows(rows: &[String]) -> String {
    format!("{{\"row_count\":{},\"rows\":[{}]}}\n", rows.len(), rows.join(","))
}

fn home(name: &str, configuration: &str) -> Home {
    let home = Home::new(name);
    home.configure(configuration);
    home
}

#[test]
fn what_an_event_socket_tells_is_in_the_log() {
    let pbx = FreeSwitch::new();
    let home = home("event-socket", &pbx.configuration());
    let server = Server::start(&home);
    let mut socket = pbx.accept_login(&[]);
    server.logged("logged in to the event socket");
    socket.tell(&[ANSWERED, HUNG_UP].concat());
    assert_eq!(shown(&home.events(8)), TOLD);
    assert_eq!(server.count("hookswitch_esl_connections"), 1);
    server.stop();
    // The log alone gives the same events again.
    home.store("check");
}

#[test]
fn a_transcript_that_is_played_gives_what_its_replay_gives() {
    let directory = recordings::directory("freeswitch");
    for name in ["answered-internal", "blind-transfer", "valet-park"] {
        let recording = Recording::named("freeswitch", name);
        let bytes = recording.read("esl.log");
        let transcript =
            recording.unpack("esl.log", &Path::new(env!("CARGO_TARGET_TMPDIR")).join("recordings"));
        let replayed = hookswitch(&["replay", path(&transcript), "--directory", path(&directory)]);
        let lines = String::from_utf8(replayed.stdout).expect("UTF-8");
        let replayed: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert!(replayed.len() > 5, "{name}: {lines}");
        let pbx = FreeSwitch::new();
        let home = home(&format!("event-socket-{name}"), &pbx.configuration());
        std::fs::copy(&directory, home.directory.join("directory.toml")).expect("it is there");
        let server = Server::start(&home);
        let mut socket = pbx.accept_login(&[]);
        let mut before = None;
        for (seconds, block) in blocks(&bytes) {
            if block.starts_with(b"Content-Length") {
                // What lasts long need not last as long here.
                let gap: f64 = (seconds - before.replace(seconds).unwrap_or(seconds)).clamp(0.0, 0.4);
                thread::sleep(Duration::from_secs_f64(gap));
                socket.0.send(block);
            }
        }
        let live = home.events(replayed.len());
        assert_eq!(sorted(&live), sorted(&replayed), "{name}");
        server.stop();
        home.store("check");
    }
}

/// The events of each party in their order; parties that change at one moment may change places.
fn sorted(events: &[serde_json::Value]) -> Vec<String> {
    let mut events = shown(events);
    events.sort_by_key(|event| event.rsplit_once(' ').map(|(party, _)| party.to_owned()));
    events
}

/// The blocks of a transcript that came in, with their times.
pub(super) fn blocks(transcript: &[u8]) -> Vec<(f64, &[u8])> {
    let (mut blocks, mut rest) = (Vec::new(), transcript);
    while let Some(start) = rest.windows(4).position(|bytes| bytes == b"=== ") {
        rest = &rest[start..];
        let end = rest.iter().position(|byte| *byte == b'\n').expect("a line ends");
        let line = std::str::from_utf8(&rest[..end]).expect("text");
        let words: Vec<&str> = line.split(' ').collect();
        let length: usize = words[4].parse().expect("a length");
        let block = &rest[end + 1..end + 1 + length];
        rest = &rest[end + 1 + length..];
        if words[3] == "in" {
            blocks.push((words[1].parse().expect("seconds"), block));
        }
    }
    blocks
}

#[test]
fn a_password_that_is_refused_is_said_without_it() {
    let pbx = FreeSwitch::new();
    let home = home("event-socket-refused", &pbx.configuration());
    let server = Server::start(&home);
    let mut socket = pbx.accept();
    socket.reply("-ERR invalid");
    let text = server.logged("there is no event socket connection").to_string();
    assert!(text.contains("-ERR invalid") && text.contains("event_socket.conf.xml"), "{text}");
    assert!(!text.contains(PASSWORD), "{text}");
    // It tries again, and may not come in at all.
    let mut socket = Socket(pbx.0.accept());
    socket.0.send("Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n");
    let text = server.logged("there is no event socket connection").to_string();
    assert!(text.contains("apply-inbound-acl"), "{text}");
    pbx.0.accept().send("SSH-2.0-OpenSSH_9.6\r\n\r\n");
    let text = server.logged("there is no event socket connection").to_string();
    assert!(text.contains("no event socket of a FreeSWITCH"), "{text}");
    pbx.accept_login(&[]);
    server.stop();
}

#[test]
fn a_user_is_logged_in_however_much_of_the_answer_is_cut() {
    const API: &str = "global_getvar show uuid_getvar valet_info conference fifo callcenter_config uptime";
    let pbx = FreeSwitch::new();
    let home = home("event-socket-user", &pbx.configuration_of_user());
    let server = Server::start(&home);
    // Cut in the list of events, in that of commands, behind a whole line, and not at all.
    for (length, end) in [(600, "CHAN"), (394, "fifo cal"), (354, "true\n"), (353, "true\n\n")] {
        let accepted = user_is_accepted(&"CHANNEL_CREATE ".repeat(40)[..length], API);
        assert!(accepted.ends_with(end), "{accepted:?}");
        let mut socket = pbx.accept_as(&format!("userauth {USER}:{PASSWORD}"));
        socket.0.send(accepted);
        socket.listens(&[]);
        server.logged("logged in to the event socket");
    }
    let mut socket = pbx.accept_as(&format!("userauth {USER}:{PASSWORD}"));
    socket.0.send(user_is_accepted(&"CHANNEL_CREATE ".repeat(40), API));
    socket.listens(&[]);
    socket.tell(&[ANSWERED, HUNG_UP].concat());
    assert_eq!(shown(&home.events(8)), TOLD);
    server.stop();
    home.store("check");
}

#[test]
fn a_user_who_may_not_hear_of_an_event_is_said_to_need_a_longer_list() {
    let pbx = FreeSwitch::new();
    let home = home("event-socket-user-refused", &pbx.configuration_of_user());
    let server = Server::start(&home);
    let mut socket = pbx.accept_as(&format!("userauth {USER}:{PASSWORD}"));
    socket.0.send(user_is_accepted("CHANNEL_CREATE", "show"));
    assert!(socket.0.read_block().starts_with("event json CHANNEL_CREATE "));
    socket.reply("-ERR permission denied");
    let text = server.logged("there is no event socket connection").to_string();
    assert!(text.contains("-ERR permission denied") && text.contains("esl-allowed-events"), "{text}");
    server.stop();
}

#[test]
fn after_a_connection_was_lost_calls_that_ended_are_closed_and_calls_that_began_are_opened() {
    let pbx = FreeSwitch::new();
    let home = home("event-socket-lost", &pbx.configuration());
    let directory = home.directory.join("directory.toml");
    let people = std::fs::read_to_string(&directory).expect("init has made it");
    let queue = |number: &str| format!("[[account.extension]]\nnumber = \"{number}\"\nkind = \"queue\"\n");
    std::fs::write(&directory, people + &queue("7000") + &queue("7100")).expect("it can be written");
    let server = Server::start(&home);
    let mut socket = pbx.accept_login(&[]);
    socket.tell(ANSWERED);
    home.events(6);
    // A FreeSWITCH that goes down properly says so.
    socket.0.send("Content-Type: text/disconnect-notice\nContent-Length: 23\n\nDisconnected, goodbye.\n\n");
    let text = server.logged("there is no event socket connection").to_string();
    assert!(text.contains("Disconnected, goodbye."), "{text}");
    drop(socket);
    let channels = rows(&[
        listed("c-1", "inbound", "103", "104", "ACTIVE", "c-1"),
        listed("c-2", "outbound", "104", "104", "HELD", "c-1"),
        listed("c-3", "inbound", "105", "5900", "ACTIVE", "c-3"),
        listed("c-4", "inbound", "106", "7000", "ACTIVE", "c-4"),
        listed("c-5", "inbound", "107", "7100", "ACTIVE", "c-5"),
        listed("c-6", "inbound", "108", "3000", "ACTIVE", "c-6"),
        listed("c-7", "inbound", "109", "3000", "HANGUP", "c-7"),
    ]);
    let mut socket = pbx.accept_login(&[
        ("show channels as json", &channels),
        ("valet_info", "<lots>\n  <lot name=\"5900\">\n    <extension uuid=\"c-3\">5901</extension>\n  </lot>\n</lots>\n"),
        (
            "conference json_list",
            "[{\"conference_name\":\"3000\",\"members\":[{\"type\":\"caller\",\"id\":1,\"uuid\":\"c-6\",\
             \"flags\":{\"can_hear\":true,\"can_speak\":false,\"is_moderator\":true}}]}]",
        ),
        (
            "fifo list",
            "<fifo_report>\n  <fifo name=\"sales\" consumer_count=\"0\" caller_count=\"1\">\n    <callers>\n      \
             <caller uuid=\"c-4\" status=\"WAITING\" timestamp=\"2026-11-22 21:09:23\">\n      </caller>\n    </callers>\n\
             </fifo>\n</fifo_report>\n",
        ),
        ("callcenter_config queue list", "name|strategy|moh_sound\nsupport@default|longest-idle-agent|x\n+OK\n"),
    ]);
    socket.asked(
        "callcenter_config queue list members support@default",
        &[(
            "callcenter_config queue list members support@default",
            "queue|instance_id|uuid|session_uuid|cid_number|cid_name|state|score\n\
             support@default|single_box|m-1|c-5|107||Waiting|1\n+OK\n",
        )],
    );
    // What has just begun may not be in the first list; the second decides.
    let channels = [("show channels as json", &*channels)];
    socket.asked("show channels as json", &channels);
    socket.asked("show calls as json", &[]);
    let events = home.events(28);
    assert_eq!(
        shown(&events[6..]),
        [
            "Outbound 103 Setup",
            "Outbound 103 Answered",
            "Outbound 105 Setup",
            "Outbound 105 Answered",
            "Outbound 106 Setup",
            "Outbound 106 Answered",
            "Outbound 107 Setup",
            "Outbound 107 Answered",
            "Outbound 108 Setup",
            "Outbound 108 Answered",
            "Inbound 104 Setup",
            "Inbound 104 Proceeding",
            "Inbound 104 Answered",
            "Inbound 104 Hold",
            "Outbound 105 Parked",
            "Outbound 108 Answered",
            "Outbound 108 Gone",
            "Outbound 108 Answered",
            "Inbound 7000 Setup",
            "Inbound 7100 Setup",
            "Outbound 101 Disconnected",
            "Inbound 102 Disconnected",
        ]
    );
    assert_eq!(events[20]["body"]["parties"][0]["status"]["parkData"], "5901");
    assert_eq!(events[23]["body"]["parties"][0]["muted"], true);
    socket.0.send(freeswitch("0.000 shutdown a").told[0].message.clone());
    server.stop();
    home.store("check");
}

#[test]
fn garbage_and_a_flood_neither_stop_nor_slow_the_reading() {
    let pbx = FreeSwitch::new();
    let home = home("event-socket-flood", &pbx.configuration());
    let server = Server::start(&home);
    let mut socket = pbx.accept_login(&[]);
    socket.0.send("\n\n: :\n\nContent-Type: text/event-json\nContent-Length: 3\n\n{\"\u{1}");
    socket.0.send(vec![0xff; 200_000]);
    socket.0.send("\n\nContent-Type: api/response\nContent-Length: 5\n\n-ERR\n");
    let body =
        "{\"Event-Name\":\"HEARTBEAT\",\"Event-Info\":\"System Ready\",\"Up-Time\":\"0 years, 0 days\"}";
    let noise = format!("Content-Length: {}\nContent-Type: text/event-json\n\n{body}", body.len());
    let told = freeswitch(&[ANSWERED, HUNG_UP].concat()).told;
    socket.0.flood(&noise, |wire| wire.tell(&told, ""));
    home.events(8);
    let passed_over = || server.count("hookswitch_esl_messages_total{outcome=\"passed_over\"}");
    wait_for(|| (passed_over() >= 5_000).then_some(()), || "all events to be passed over".to_owned());
    assert_eq!(server.count("hookswitch_esl_connections_lost_total"), 0);
    server.stop();
    home.store("check");
}

#[test]
fn sip_that_freeswitch_sends_beside_its_event_socket_is_the_same_call() {
    let pbx = FreeSwitch::new();
    let home = home("event-socket-hep", &format!("{}hep = \"hep\"\n", pbx.configuration()));
    let server = Server::start(&home);
    let mut socket = pbx.accept_login(&[]);
    server.logged("logged in to the event socket");
    let mut agent = Agent::new(server.hep(), 1);
    // A call that the switch says nothing of is told of as SIP shows it, once that is clear.
    for (way, message) in call("past") {
        assert!(agent.send(way, &message));
    }
    home.events(EVENTS_OF_CALL);
    socket.tell(&[ANSWERED, HUNG_UP].concat());
    home.events(EVENTS_OF_CALL + 8);
    server.stop();
    home.store("check");
}

#[test]
fn a_restart_goes_on_with_the_calls_that_still_go_on() {
    let pbx = FreeSwitch::new();
    let home = home("event-socket-restart", &pbx.configuration());
    let server = Server::start(&home);
    let mut socket = pbx.accept_login(&[]);
    socket.tell(ANSWERED);
    let before = home.events(6);
    server.stop();
    let server = Server::start(&home);
    let uuid = |letter: &str| format!("{letter}0000000-0000-4000-8000-000000000000");
    let channels = rows(&[
        listed(&uuid("a"), "inbound", "101", "102", "ACTIVE", &uuid("a")),
        listed(&uuid("b"), "outbound", "102", "102", "ACTIVE", &uuid("a")),
    ]);
    let mut socket = pbx.accept_login(&[("show channels as json", &channels)]);
    // The story as a whole, of which the channels are known; only its end is told.
    let told = freeswitch(&[ANSWERED, HUNG_UP].concat()).told;
    socket.0.tell(&told[told.len() - 4..], "");
    let events = home.events(8);
    assert_eq!(shown(&events), TOLD);
    let session = |event: &serde_json::Value| event["body"]["telephonySessionId"].clone();
    assert_eq!(session(&events[7]), session(&before[0]));
    server.stop();
    home.store("check");
}

#[test]
fn sources_that_are_added_and_removed_are_so_without_a_restart() {
    let (pbx, other) = (FreeSwitch::new(), FreeSwitch::new());
    let home = home("event-socket-reload", &pbx.configuration());
    let text = std::fs::read_to_string(home.config()).expect("it is there");
    let server = Server::start(&home);
    let mut socket = pbx.accept_login(&[]);
    server.logged("logged in to the event socket");
    home.configure(&other.configuration().replace("\"pbx\"", "\"other\""));
    server.signal("HUP");
    server.logged("are read again");
    let mut second = other.accept_login(&[]);
    // What has not changed goes on.
    socket.tell(&[ANSWERED, HUNG_UP].concat());
    home.events(8);
    assert_eq!(server.count("hookswitch_esl_connections"), 2);
    std::fs::write(home.config(), text).expect("it can be written");
    server.signal("HUP");
    assert!(second.0.is_closed());
    wait_for(
        || (server.count("hookswitch_esl_connections") == 1).then_some(()),
        || "the connection to be gone".to_owned(),
    );
    server.stop();
    home.store("check");
}

/// A server that FreeSWITCHes connect to, from some addresses.
fn home_to_connect_to(name: &str, from: &str) -> Home {
    let home = home(name, &format!("\n[[esl.source]]\nname = \"pbx\"\nconnects_from = [\"{from}\"]\n"));
    let text = std::fs::read_to_string(home.config()).expect("it is there");
    let listens = text.replace("\n[esl]\n", "\n[esl]\nlisten = \"127.0.0.1:0\"\n");
    assert_ne!(listens, text);
    std::fs::write(home.config(), listens).expect("it can be written");
    home
}

/// The beginning of the connection of a call, up to where its dialplan goes on.
#[track_caller]
fn call_connects(to: SocketAddr, world: u8) -> Socket {
    let told = Story::in_world(CONNECTED, world).told;
    let mut socket = Socket(Wire::new(TcpStream::connect(to).expect("it listens")));
    assert_eq!(socket.0.read_block(), "connect\n\n");
    socket.0.send(&told[0].message);
    assert_eq!(socket.0.read_block(), "linger 10\n\n");
    socket.reply("+OK will linger 10 seconds");
    let mut filters = Vec::new();
    loop {
        let command = socket.0.read_block();
        socket.reply("+OK");
        if command.starts_with("event json CHANNEL_CREATE") {
            break;
        }
        filters.push(command);
    }
    assert!(filters[0].starts_with(&format!("filter Unique-ID a{world}000000-")), "{filters:?}");
    assert_eq!(filters.len(), 5);
    socket
}

/// Report about the caller's channel to who has asked to be connected.
const CONNECTED: &str = "0.000 data a 101>102 hookswitch_next=102_XML_default";

#[test]
fn a_freeswitch_that_connects_for_each_call_tells_of_it_and_goes_on_in_its_dialplan() {
    let home = home_to_connect_to("event-socket-outbound", "127.0.0.0/8");
    let server = Server::start(&home);
    let to = server.addresses["ESL"];
    let mut socket = call_connects(to, 0);
    let asked = socket.0.read_block();
    assert_eq!(
        asked,
        "sendmsg\ncall-command: execute\nexecute-app-name: transfer\nexecute-app-arg: 102 XML default\n\n"
    );
    socket.reply("+OK");
    let told = freeswitch(&[ANSWERED, HUNG_UP].concat()).told;
    socket.0.tell(&told[1..], "");
    socket.0.send(
        "Content-Type: text/disconnect-notice\nControlled-Session-UUID: a\nContent-Disposition: linger\n\
         Linger-Time: 10\nContent-Length: 0\n\n",
    );
    assert_eq!(shown(&home.events(8)), TOLD);
    drop(socket);
    // A call whose connection breaks is closed: nobody tells of it any more.
    let mut socket = call_connects(to, 1);
    socket.0.read_block();
    socket.0.tell(&Story::in_world(ANSWERED, 1).told[1..], "");
    // 201 and 202 are none of the directory's: that somebody outside is about to ring is not told.
    home.events(13);
    drop(socket);
    server.logged("the connection of a call was lost");
    assert_eq!(shown(&home.events(15))[13..], ["Outbound 201 Disconnected", "Inbound 202 Disconnected"]);
    server.stop();
    home.store("check");
}

#[test]
fn the_status_says_whether_the_event_socket_is_connected() {
    let pbx = FreeSwitch::new();
    let home = home("event-socket-status", &pbx.configuration());
    let server = Server::start(&home);
    connects(&server, &home, "esl", "pbx", Some(false));
    let socket = pbx.accept_login(&[]);
    connects(&server, &home, "esl", "pbx", Some(true));
    drop(socket);
    connects(&server, &home, "esl", "pbx", Some(false));
    server.stop();
    // One that connects by itself for each call is neither.
    let home = home_to_connect_to("event-socket-status-outbound", "127.0.0.0/8");
    let server = Server::start(&home);
    connects(&server, &home, "esl", "pbx", None);
    server.stop();
}

#[test]
fn each_outage_of_an_event_socket_that_lets_in_is_followed_by_the_first_wait() {
    let pbx = FreeSwitch::new();
    let home = home("event-socket-outages", &pbx.configuration());
    let server = Server::start(&home);
    outages_are_short(&server, "there is no event socket connection", || pbx.accept_login(&[]));
    server.stop();
}

#[test]
fn who_may_not_connect_is_not_listened_to() {
    let home = home_to_connect_to("event-socket-stranger", "192.0.2.7");
    let server = Server::start(&home);
    let mut socket = Socket(Wire::new(TcpStream::connect(server.addresses["ESL"]).expect("it listens")));
    assert!(socket.0.is_closed());
    assert!(server.logged("may not connect").to_string().contains("connects_from"));
    assert_eq!(server.count("hookswitch_esl_connections_lost_total"), 1);
    server.stop();
}
