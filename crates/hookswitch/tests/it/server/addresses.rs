//! Tests of where webhooks go, and where they do not: certificates, names that change their meaning, redirects.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::json;
use tokio_rustls::rustls::ServerConfig;

use super::client::Answer;
use super::receiver::{Receiver, Reply, now};
use super::resolver::{Authority, Resolver};
use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, Server, path, wait_for};

/// Stands for a host in the internet: the configuration allows it.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A host inside, where nothing may go.
const PRIVATE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A server as it runs in earnest, with the resolver and the authority of a test.
struct Earnest {
    server: Server,
    token: String,
}

impl Earnest {
    fn start(home: &Home, resolver: &Resolver, authority: &Authority, more: &[(&str, &str)]) -> Self {
        let (servers, allowed) = (format!("[\"{}\"]", resolver.address), format!("[\"{PUBLIC}\"]"));
        let certificate = authority.certificate();
        let mut variables = vec![
            ("HOOKSWITCH_WEBHOOKS__NAMESERVERS", &*servers),
            ("HOOKSWITCH_WEBHOOKS__ALLOW", &*allowed),
            ("SSL_CERT_FILE", path(&certificate)),
        ];
        variables.extend(more);
        let server = Server::start_with(home, &variables);
        let token = server.log_in(home).text("access_token");
        Self { server, token }
    }

    fn subscribe(&self, address: &str) -> Answer {
        let body = json!({
            "eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"],
            "deliveryMode": {"transportType": "WebHook", "address": address},
        });
        self.server.call(&self.token, "POST", "/restapi/v1.0/subscription", Some(&body))
    }
}

#[test]
fn an_address_must_show_a_certificate_of_a_known_authority_for_its_name() {
    let home = Home::new("address-certificate");
    let authority = Authority::new(&home.directory);
    let resolver = Resolver::new(|_, _| vec![PUBLIC]);
    let earnest = Earnest::start(&home, &resolver, &authority, &[]);
    let receiver = |name: &str, signed| {
        Receiver::listen(IpAddr::V4(PUBLIC), Some(authority.server(name, signed)), Reply::good)
    };
    let (good, unsigned) = (receiver("hook.test", true), receiver("hook.test", false));
    let of = |receiver: &Receiver, name: &str| format!("https://{name}:{}/", receiver.address.port());
    let taken = earnest.subscribe(&of(&good, "hook.test"));
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(earnest.subscribe(&of(&unsigned, "hook.test")).error(), (400, "", "SUB-524"));
    assert_eq!(earnest.subscribe(&of(&good, "other.test")).error(), (400, "", "SUB-524"));
    assert_eq!(earnest.subscribe("http://8.8.8.8/").error(), (400, "", "SUB-523"));
    // What was subscribed is told, over the connection of the handshake.
    let mut agent = Agent::new(earnest.server.hep(), 1);
    for (way, message) in call("certified") {
        agent.send(way, &message);
    }
    wait_for(|| (good.count() == EVENTS_OF_CALL).then_some(()), || "a call to be told".into());
}

#[test]
fn a_receiver_in_a_named_network_is_told_over_http_and_others_are_refused_by_a_rule_that_the_log_names() {
    let home = Home::new("address-lan");
    let allowed = format!("[\"{PUBLIC}/32\"]");
    let server = Server::start_with(&home, &[("HOOKSWITCH_WEBHOOKS__ALLOW", &allowed)]);
    let token = server.log_in(&home).text("access_token");
    let earnest = Earnest { server, token };
    let receiver = Receiver::listen(IpAddr::V4(PUBLIC), None, Reply::good);
    let taken = earnest.subscribe(&receiver.url());
    assert_eq!(taken.status, 200, "{taken:?}");
    let mut agent = Agent::new(earnest.server.hep(), 1);
    for (way, message) in call("plain") {
        agent.send(way, &message);
    }
    wait_for(|| (receiver.count() == EVENTS_OF_CALL).then_some(()), || "a call to be told".into());
    assert_eq!(earnest.subscribe("http://127.0.0.9:9000/").error(), (400, "", "SUB-523"));
    assert_eq!(earnest.subscribe("https://10.1.2.3/").error(), (400, "", "SUB-521"));
    let line = earnest.server.logged("a webhook address was refused: it is not public");
    assert_eq!((&line["address"], &line["rule"]), (&json!("10.1.2.3"), &json!("10.0.0.0/8")));
}

#[test]
fn a_name_that_changes_its_meaning_leads_nowhere_but_where_it_was_checked() {
    const CALLS: usize = 15;
    let home = Home::new("address-rebinding");
    let authority = Authority::new(&home.directory);
    let tls = authority.server("hook.test", true);
    let turn = AtomicUsize::new(0);
    let receiver = Receiver::listen(IpAddr::V4(PUBLIC), Some(tls), move |posted| {
        // Some connections are kept, and some must be made again.
        match posted.token() {
            None if turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                Reply::Full(200, vec![("Connection", "close".into())], String::new())
            }
            _ => Reply::good(posted),
        }
    });
    let port = receiver.address.port();
    let guard = TcpListener::bind((PRIVATE, port)).expect("the same port of the other address is free");
    guard.set_nonblocking(true).expect("it can be asked");
    let hostile = Arc::new(AtomicBool::new(false));
    let mood = hostile.clone();
    let resolver = Resolver::new(move |_, asked| match asked % 5 {
        _ if !mood.load(Ordering::Relaxed) => vec![PUBLIC],
        0 => vec![PRIVATE],
        1 => vec![PUBLIC, PRIVATE],
        2 => vec![PRIVATE, PUBLIC],
        _ => vec![PUBLIC],
    });
    let more = [("HOOKSWITCH_WEBHOOKS__RETRY_WAITS", "[\"20ms\"]")];
    let earnest = Earnest::start(&home, &resolver, &authority, &more);
    let taken = earnest.subscribe(&format!("https://hook.test:{port}/"));
    assert_eq!(taken.status, 200, "{taken:?}");
    hostile.store(true, Ordering::Relaxed);
    let mut agent = Agent::new(earnest.server.hep(), 1);
    for number in 0..CALLS {
        for (way, message) in call(&format!("rebound-{number}")) {
            agent.send(way, &message);
        }
    }
    let told = || {
        let told: BTreeSet<String> =
            receiver.notifications().iter().map(|posted| posted.json()["uuid"].to_string()).collect();
        (told.len() == CALLS * EVENTS_OF_CALL).then_some(())
    };
    wait_for(told, || format!("all calls to be told; {} were", receiver.count()));
    assert!(guard.accept().is_err(), "nobody came to the private address");
    let (failed, asked) = (earnest.server.count(FAILED), resolver.asked());
    println!(
        "{} deliveries with {asked} answers of the resolver, {failed} attempts refused, 0 connections inside",
        CALLS * EVENTS_OF_CALL
    );
    assert!(failed > 20 && asked >= CALLS * EVENTS_OF_CALL, "the name did change: {failed}, {asked}");
}

const FAILED: &str = "hookswitch_webhook_notifications_total{stage=\"failed\"}";

#[test]
fn closed_silent_and_forbidden_addresses_cannot_be_told_apart() {
    let home = Home::new("address-scanner");
    let authority = Authority::new(&home.directory);
    let resolver = Resolver::new(|name, _| match name {
        "inside.test" => vec![PRIVATE],
        "mixed.test" => vec![PUBLIC, PRIVATE],
        "nowhere.test" => vec![],
        _ => vec![PUBLIC],
    });
    let earnest = Earnest::start(&home, &resolver, &authority, &[("HOOKSWITCH_WEBHOOKS__TIMEOUT", "1s")]);
    // One takes connections and says nothing, one is not there, and one is inside and would answer.
    let silent = TcpListener::bind((PUBLIC, 0)).expect("a free port");
    let silent_port = silent.local_addr().expect("an address").port();
    let closed_port =
        TcpListener::bind((PUBLIC, 0)).expect("a free port").local_addr().expect("an address").port();
    let inside = Receiver::good();
    let inside_port = inside.address.port();
    let mut said = BTreeSet::new();
    let mut took = Vec::new();
    for address in [
        format!("https://silent.test:{silent_port}/"),
        format!("https://closed.test:{closed_port}/"),
        format!("https://inside.test:{inside_port}/"),
        format!("https://mixed.test:{inside_port}/"),
        "https://nowhere.test/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "https://[::1]:8443/".to_owned(),
        "https://0x7f.1/".to_owned(),
        "https://silent.test:22/".to_owned(),
    ] {
        let started = now();
        let answer = earnest.subscribe(&address);
        took.push(started.elapsed());
        assert_eq!(answer.error(), (400, "", "SUB-521"), "{address}: {answer:?}");
        said.insert(answer.text("message"));
    }
    assert_eq!(said.len(), 1, "{said:?}");
    println!("refused after {took:?}");
    let (least, most) = (took.iter().min().expect("some"), took.iter().max().expect("some"));
    assert!(*most <= least.mul_f64(1.2), "{took:?}");
    assert_eq!(inside.connections(), 0);
}

#[test]
fn redirects_are_not_followed_wherever_they_lead() {
    let home = Home::new("address-redirects");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    command.args(["serve", "--dev", "--config"]).arg(home.config());
    let server = Server::spawn(&mut command, &[("HOOKSWITCH_WEBHOOKS__RETRY_WAITS", "[\"20ms\"]")]);
    let token = server.log_in(&home).text("access_token");
    let target = Receiver::good();
    let to = target.url();
    let turn = AtomicUsize::new(0);
    let receiver = Receiver::new(move |posted| {
        if posted.token().is_some() {
            return Reply::good(posted);
        }
        let number = turn.fetch_add(1, Ordering::Relaxed);
        let location = ["http://127.0.0.1:9/", "https://example.com/", &to][number % 3].to_owned();
        let page = format!("<meta http-equiv=\"refresh\" content=\"0;url={to}\">");
        match number / 3 {
            which @ 0..5 => {
                Reply::Full([301, 302, 303, 307, 308][which], vec![("Location", location)], String::new())
            }
            5 => Reply::Full(200, vec![("Refresh", format!("0; url={location}"))], String::new()),
            _ => Reply::Full(200, vec![("Content-Type", "text/html".into())], page),
        }
    });
    let body = json!({
        "eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"],
        "deliveryMode": {"transportType": "WebHook", "address": receiver.url()},
    });
    assert_eq!(server.call(&token, "POST", "/restapi/v1.0/subscription", Some(&body)).status, 200);
    let mut agent = Agent::new(server.hep(), 1);
    for (way, message) in call("redirected") {
        agent.send(way, &message);
    }
    // Fifteen redirects are failures; what only asks a browser to go elsewhere is a success.
    let done = || (receiver.count() == 15 + EVENTS_OF_CALL).then_some(());
    wait_for(done, || format!("all to be told; {} requests came", receiver.count()));
    assert_eq!(server.count(FAILED), 15);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(target.connections(), 0);
}

/// A receiver that speaks HTTP/2 alone: where it listens, how many connections it has taken, and the
/// versions of the notifications.
fn http2(config: &ServerConfig) -> (SocketAddr, Arc<AtomicUsize>, Arc<Mutex<Vec<Version>>>) {
    let listener = TcpListener::bind((PUBLIC, 0)).expect("a free port");
    listener.set_nonblocking(true).expect("it can wait in a task");
    let address = listener.local_addr().expect("an address");
    let (connections, versions) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (count, seen) = (connections.clone(), versions.clone());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it listens");
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (acceptor, seen) = (acceptor.clone(), seen.clone());
                let answer = service_fn(move |request: Request<Incoming>| {
                    let mut response = Response::new(Empty::<Bytes>::new());
                    match request.headers().get("validation-token") {
                        Some(token) => drop(response.headers_mut().insert("validation-token", token.clone())),
                        None => seen.lock().expect("no panic").push(request.version()),
                    }
                    async { Ok::<_, Infallible>(response) }
                });
                tokio::spawn(async move {
                    let stream = TokioIo::new(acceptor.accept(stream).await.expect("TLS"));
                    Builder::new(TokioExecutor::new()).serve_connection(stream, answer).await.ok();
                });
            }
        });
    });
    (address, connections, versions)
}

#[test]
fn a_receiver_that_offers_http2_is_posted_to_on_one_connection() {
    let home = Home::new("address-http2");
    let authority = Authority::new(&home.directory);
    let resolver = Resolver::new(|_, _| vec![PUBLIC]);
    let (address, connections, versions) = http2(&authority.server("hook.test", true));
    let earnest = Earnest::start(&home, &resolver, &authority, &[]);
    let taken = earnest.subscribe(&format!("https://hook.test:{}/", address.port()));
    assert_eq!(taken.status, 200, "{taken:?}");
    let mut agent = Agent::new(earnest.server.hep(), 1);
    for number in 0..20 {
        for (way, message) in call(&format!("multiplexed-{number}")) {
            agent.send(way, &message);
        }
    }
    let versions = wait_for(
        || Some(versions.lock().expect("no panic").clone()).filter(|all| all.len() == 20 * EVENTS_OF_CALL),
        || "all calls to be told".into(),
    );
    assert!(versions.iter().all(|&version| version == Version::HTTP_2), "{versions:?}");
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}
