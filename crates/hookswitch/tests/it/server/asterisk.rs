//! A manager connection to an Asterisk: the test plays the Asterisk.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use md5::{Digest as _, Md5};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::resolver::Authority;
use super::switch::{Switch, Wire, connects, outages_are_short, shown};
use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, Server, wait_for};
use hookswitch_flows::asterisk::asterisk;

const SECRET: &str = "not-to-be-logged";

/// 101 calls 102, who answers.
pub(super) const ANSWERED: &str = "
    0.000 Newchannel a PJSIP/101 Exten=102
    0.002 Newexten a Dial(PJSIP/102,15,tT)
    0.004 Newchannel b PJSIP/102 of=a
    0.006 DialBegin a>b DialString=102
    0.020 Newstate b 5
    0.021 DialState a>b RINGING
    1.000 Newstate b 6
    1.002 Newstate a 6
    1.003 BridgeEnter b one
    1.004 BridgeEnter a one
";

pub(super) const HUNG_UP: &str = "
    5.000 HangupRequest a 16
    5.001 BridgeLeave a one
    5.002 Hangup a 16
    5.003 Hangup b 16
";

/// An Asterisk whose manager listens.
pub(super) struct Asterisk(Switch);

impl Asterisk {
    pub(super) fn new() -> Self {
        Self(Switch::new())
    }

    pub(super) fn configuration(&self) -> String {
        format!(
            "\n[[ami.source]]\nname = \"manager\"\naddress = \"{}\"\nuser = \"me\"\nsecret = \"{SECRET}\"\n",
            self.0.address()
        )
    }

    /// Passes over a connection that has ended meanwhile.
    #[track_caller]
    pub(super) fn pass_over(&self) {
        assert!(self.0.accept().is_closed());
    }

    /// Waits for a connection and greets it.
    #[track_caller]
    fn accept(&self) -> Manager {
        let mut manager = Manager(self.0.accept());
        manager.send("Asterisk Call Manager/11.0.0\r\n");
        manager
    }

    /// The same, and lets it log in; `listed` are the channels that go on.
    #[track_caller]
    pub(super) fn accept_login(&self, listed: &str) -> Manager {
        self.accept_login_with(listed, "")
    }

    /// The same, with the callers who wait in queues.
    #[track_caller]
    fn accept_login_with(&self, listed: &str, queues: &str) -> Manager {
        let mut manager = self.accept();
        let login = manager.challenge("1234567890");
        let key = Md5::new().chain_update(b"1234567890").chain_update(SECRET.as_bytes()).finalize();
        let key = key.iter().fold("Key: ".to_owned(), |key, byte| key + &format!("{byte:02x}"));
        assert!(login.contains(&format!("{key}\r\n")), "{login}");
        assert!(!login.contains(SECRET), "{login}");
        manager.send("Response: Success\r\nMessage: Authentication accepted\r\n\r\n");
        manager.send("Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\n\r\n");
        manager.read_action("CoreShowChannels");
        manager.send("Response: Success\r\nEventList: start\r\nMessage: Channels will follow\r\n\r\n");
        manager.send(listed);
        manager.send("Event: CoreShowChannelsComplete\r\nEventList: Complete\r\nListItems: 0\r\n\r\n");
        manager.read_action("ParkedCalls");
        manager.send("Response: Success\r\nEventList: start\r\nMessage: Parked calls will follow\r\n\r\n");
        manager.send("Event: ParkedCallsComplete\r\nEventList: Complete\r\nListItems: 0\r\n\r\n");
        manager.read_action("QueueStatus");
        manager.send("Response: Success\r\nEventList: start\r\nMessage: Queue status will follow\r\n\r\n");
        manager.send(queues);
        manager.send("Event: QueueStatusComplete\r\nEventList: Complete\r\nListItems: 0\r\n\r\n");
        manager
    }
}

/// A connection to its manager.
pub(super) struct Manager(Wire);

impl Manager {
    #[track_caller]
    pub(super) fn send(&mut self, text: &str) {
        self.0.send(text);
    }

    #[track_caller]
    fn read_action(&mut self, name: &str) -> String {
        let action = self.0.read_block();
        assert!(action.starts_with(&format!("Action: {name}\r\n")), "{action}");
        action
    }

    /// Answers the challenge that is asked for, and gives the login.
    #[track_caller]
    fn challenge(&mut self, challenge: &str) -> String {
        self.read_action("Challenge");
        self.send(&format!("Response: Success\r\nChallenge: {challenge}\r\n\r\n"));
        self.read_action("Login")
    }

    /// Reads up to an action of this name, over the questions of the server about what there is.
    #[track_caller]
    pub(super) fn read_up_to(&mut self, name: &str) -> String {
        let first = format!("Action: {name}\r\n");
        std::iter::repeat_with(|| self.0.read_block())
            .take(50)
            .find(|action| action.starts_with(&first))
            .unwrap_or_else(|| panic!("no {name} in 50 actions"))
    }

    /// Returns all that it is asked until the connection ends.
    pub(super) fn rest(&mut self) -> String {
        self.0.rest()
    }

    /// Plays what follows what was told of a story.
    #[track_caller]
    pub(super) fn go_on(&mut self, told: &str, more: &str) {
        let all = asterisk(&[told, more].concat()).told;
        self.0.tell(&all[asterisk(told).told.len()..], "\r\n");
    }

    /// Plays what an Asterisk tells, as fast as goes; the times are those of arrival.
    #[track_caller]
    pub(super) fn tell(&mut self, story: &str) {
        self.0.tell(&asterisk(story).told, "\r\n");
    }
}

#[test]
fn what_a_manager_tells_is_in_the_log() {
    let home = Home::new("manager");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    let mut manager = pbx.accept_login("");
    server.logged("logged in to the manager");
    manager.tell(&[ANSWERED, HUNG_UP].concat());
    assert_eq!(
        shown(&home.events(8)),
        [
            "Outbound 101 Setup",
            "Inbound 102 Setup",
            "Inbound 102 Proceeding",
            "Outbound 101 Proceeding",
            "Inbound 102 Answered",
            "Outbound 101 Answered",
            "Outbound 101 Disconnected",
            "Inbound 102 Disconnected"
        ]
    );
    server.stop();
    // The log alone gives the same events again.
    home.store("check");
}

#[test]
fn the_status_says_whether_the_manager_is_connected() {
    let asterisk = Asterisk::new();
    let home = Home::new("manager-status");
    home.configure(&asterisk.configuration());
    let server = Server::start(&home);
    connects(&server, &home, "ami", "manager", Some(false));
    let manager = asterisk.accept_login("");
    connects(&server, &home, "ami", "manager", Some(true));
    drop(manager);
    connects(&server, &home, "ami", "manager", Some(false));
    server.stop();
}

#[test]
fn each_outage_of_a_manager_that_lets_in_is_followed_by_the_first_wait() {
    let asterisk = Asterisk::new();
    let home = Home::new("manager-outages");
    home.configure(&asterisk.configuration());
    let server = Server::start(&home);
    outages_are_short(&server, "there is no manager connection", || asterisk.accept_login(""));
    server.stop();
}

#[test]
fn what_the_directory_leaves_out_is_read_from_the_switch() {
    let home = Home::new("manager-directory");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    let mut manager = pbx.accept_login("");
    for (question, answer) in [
        ("PJSIPShowEndpoints", "Event: EndpointList\r\nObjectName: desk-9\r\n\r\n"),
        ("ExtensionStateList", "Event: ExtensionStatus\r\nExten: 7205\r\nHint: PJSIP/desk-9\r\n\r\n"),
        (
            "VoicemailUsersList",
            "Event: VoicemailUserEntry\r\nVoicemailBox: 7205\r\nFullname: Eva Ott\r\n\r\n",
        ),
        ("Parkinglots", "Event: Parkinglot\r\nName: default\r\nStartSpace: 701\r\nStopSpace: 709\r\n\r\n"),
    ] {
        manager.read_action(question);
        manager.send(answer);
    }
    assert!(manager.read_action("Ping").contains("ActionID: hookswitch-inventory-1"));
    manager.send("Response: Success\r\nActionID: hookswitch-inventory-1\r\nPing: Pong\r\n\r\n");
    server.logged("the directory and the policy are in use");
    manager.tell(&[ANSWERED, HUNG_UP].concat().replace("PJSIP/101", "PJSIP/desk-9"));
    let caller = &home.events(8)[0]["body"]["parties"][0];
    assert_eq!(caller["from"]["name"], "Eva Ott");
    let token = server.log_in(&home).text("access_token");
    let id = caller["extensionId"].as_str().expect("it is an extension");
    let shown = server.call(&token, "GET", &format!("/restapi/v1.0/account/~/extension/{id}"), None);
    assert_eq!(shown.body["extensionNumber"], "7205", "{shown:?}");
    server.stop();
    home.store("check");
}

#[test]
fn after_a_connection_was_lost_calls_that_ended_are_closed_and_calls_that_began_are_opened() {
    let home = Home::new("manager-lost");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    let mut manager = pbx.accept_login("");
    manager.tell(ANSWERED);
    home.events(6);
    drop(manager);
    server.logged("there is no manager connection");
    let listed = "Event: CoreShowChannel\r\nChannel: PJSIP/103-00000009\r\nChannelState: 6\r\nCallerIDNum: 103\r\n\
        CallerIDName: Cy Day\r\nExten: 104\r\nUniqueid: 99.1\r\nLinkedid: 99.1\r\nApplication: Dial\r\n\
        BridgeId: b1\r\n\r\nEvent: CoreShowChannel\r\nChannel: PJSIP/104-0000000a\r\nChannelState: 6\r\n\
        CallerIDNum: 104\r\nExten: \r\nUniqueid: 99.2\r\nLinkedid: 99.1\r\nApplication: AppDial\r\n\
        BridgeId: b1\r\n\r\n";
    let mut manager = pbx.accept_login(listed);
    let events = home.events(13);
    assert_eq!(
        shown(&events[6..]),
        [
            "Outbound 101 Disconnected",
            "Inbound 102 Disconnected",
            "Outbound 103 Setup",
            "Outbound 103 Answered",
            "Inbound 104 Setup",
            "Inbound 104 Proceeding",
            "Inbound 104 Answered"
        ]
    );
    manager.send(
        "Event: Hangup\r\nChannel: PJSIP/104-0000000a\r\nUniqueid: 99.2\r\nLinkedid: 99.1\r\nCause: 16\r\n\r\n\
        Event: Hangup\r\nChannel: PJSIP/103-00000009\r\nUniqueid: 99.1\r\nLinkedid: 99.1\r\nCause: 16\r\n\r\n",
    );
    assert_eq!(shown(&home.events(15)[13..]).len(), 2);
    server.stop();
    home.store("check");
}

#[test]
fn garbage_and_a_flood_neither_stop_nor_slow_the_reading() {
    let home = Home::new("manager-flood");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    let mut manager = pbx.accept_login("");
    manager.send("\r\n\r\n: :\r\nEvent\r\n\r\nEvent: \u{1}\r\n\r\nEvent: Hangup\r\nUniqueid: \r\n\r\n");
    manager.0.send(vec![0xff; 200_000]);
    manager.send("\r\n\r\n");
    let noise =
        "Event: RTCPSent\r\nPrivilege: reporting,all\r\nChannel: PJSIP/101-1\r\nUniqueid: 1.1\r\n\r\n";
    let told = asterisk(&[ANSWERED, HUNG_UP].concat()).told;
    manager.0.flood(noise, |wire| wire.tell(&told, "\r\n"));
    home.events(8);
    let passed_over = || server.count("hookswitch_ami_messages_total{outcome=\"passed_over\"}");
    wait_for(|| (passed_over() >= 5_000).then_some(()), || "all events to be passed over".to_owned());
    assert_eq!(server.count("hookswitch_ami_connections_lost_total"), 0);
    server.stop();
}

#[test]
fn a_login_that_is_refused_is_said_without_the_secret() {
    let home = Home::new("manager-refused");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    let mut manager = pbx.accept();
    manager.challenge("1");
    manager.send("Response: Error\r\nMessage: Authentication failed\r\n\r\n");
    let line = server.logged("there is no manager connection");
    let text = line.to_string();
    assert!(text.contains("Authentication failed") && text.contains("manager.conf"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
    // It tries again.
    pbx.accept_login("");
    server.stop();
}

/// Listens with TLS for as many connections as there are certificates, and passes on what is in it.
fn with_tls(to: SocketAddr, certificates: Vec<Arc<ServerConfig>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    listener.set_nonblocking(true).expect("it can wait");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            for certificate in certificates {
                let (stream, _) = listener.accept().await.expect("a connection");
                let Ok(mut inside) = TlsAcceptor::from(certificate).accept(stream).await else { continue };
                let mut plain = tokio::net::TcpStream::connect(to).await.expect("the manager listens");
                tokio::io::copy_bidirectional(&mut inside, &mut plain).await.ok();
            }
        });
    });
    port
}

#[test]
fn a_manager_is_trusted_over_tls_by_its_authority_alone() {
    let home = Home::new("manager-tls");
    let pbx = Asterisk::new();
    let authority = Authority::new(&home.directory);
    let certificates = vec![authority.server("localhost", false), authority.server("localhost", true)];
    let port = with_tls(pbx.0.address(), certificates);
    home.configure(&format!(
        "\n[[ami.source]]\nname = \"manager\"\naddress = \"localhost:{port}\"\nuser = \"me\"\n\
         secret = \"{SECRET}\"\ntls_ca = \"ca.pem\"\n"
    ));
    let server = Server::start(&home);
    // The first certificate is nobody's, and the second is signed.
    let mut manager = pbx.accept_login("");
    manager.tell(&[ANSWERED, HUNG_UP].concat());
    home.events(8);
    assert_eq!(server.count("hookswitch_ami_connections_lost_total"), 1);
    server.stop();
}

#[test]
fn what_is_no_manager_is_said_to_be_none() {
    let home = Home::new("manager-none");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    pbx.0.accept().send("SSH-2.0-OpenSSH_9.6\r\n\r\n");
    let text = server.logged("there is no manager connection").to_string();
    assert!(text.contains("no manager of an Asterisk"), "{text}");
    server.stop();
}

#[test]
fn sip_that_an_agent_sends_beside_the_manager_is_the_same_call() {
    let home = Home::new("manager-hep");
    let pbx = Asterisk::new();
    home.configure(&format!("{}hep = \"hep\"\n", pbx.configuration()));
    let server = Server::start(&home);
    let mut manager = pbx.accept_login("");
    server.logged("logged in to the manager");
    let mut agent = Agent::new(server.hep(), 1);
    // A call that the switch says nothing of is told of as SIP shows it, once that is clear.
    for (way, message) in call("past") {
        assert!(agent.send(way, &message));
    }
    home.events(EVENTS_OF_CALL);
    manager.tell(&[ANSWERED, HUNG_UP].concat());
    home.events(EVENTS_OF_CALL + 8);
    server.stop();
    home.store("check");
}

#[test]
fn calls_that_come_twice_because_no_hep_is_set_are_noticed_and_said() {
    let home = Home::new("manager-doubled");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    let mut manager = pbx.accept_login("");
    server.logged("logged in to the manager");
    let mut agent = Agent::new(server.hep(), 1);
    for (way, message) in call("doubled") {
        agent.send(way, &message);
    }
    manager.tell(&[ANSWERED, HUNG_UP].concat());
    let line = server.logged("one call came from both");
    assert_eq!((&line["source"], &line["hep"]), (&"manager".into(), &"hep".into()), "{line}");
    server.stop();
    home.store("check");
}

#[test]
fn callers_who_wait_in_a_queue_are_found_after_a_login() {
    let home = Home::new("manager-queue");
    let directory = home.directory.join("directory.toml");
    let people = std::fs::read_to_string(&directory).expect("init has made it");
    let queue = "[[account.extension]]\nnumber = \"620\"\nkind = \"queue\"\n";
    std::fs::write(&directory, people + queue).expect("it can be written");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let _server = Server::start(&home);
    let listed = "Event: CoreShowChannel\r\nChannel: PJSIP/101-0000000b\r\nChannelState: 6\r\nCallerIDNum: 101\r\n\
        Exten: 620\r\nUniqueid: 99.3\r\nLinkedid: 99.3\r\nApplication: Queue\r\n\r\n";
    let queues = "Event: QueueParams\r\nQueue: 620\r\n\r\nEvent: QueueEntry\r\nQueue: 620\r\nPosition: 1\r\n\
        Channel: PJSIP/101-0000000b\r\nUniqueid: 99.3\r\nCallerIDNum: 101\r\n\r\n";
    let mut manager = pbx.accept_login_with(listed, queues);
    manager.send(
        "Event: QueueCallerLeave\r\nQueue: 620\r\nChannel: PJSIP/101-0000000b\r\nUniqueid: 99.3\r\nLinkedid: 99.3\r\n\r\n\
        Event: Hangup\r\nChannel: PJSIP/101-0000000b\r\nUniqueid: 99.3\r\nLinkedid: 99.3\r\nCause: 16\r\n\r\n",
    );
    let events = home.events(5);
    assert_eq!(
        shown(&events),
        [
            "Outbound 101 Setup",
            "Outbound 101 Answered",
            "Inbound 620 Setup",
            "Inbound 620 Disconnected",
            "Outbound 101 Disconnected",
        ]
    );
}
