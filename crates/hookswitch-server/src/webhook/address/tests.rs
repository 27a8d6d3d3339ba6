//! Tests of the addresses: hostile ones, and names that change their meaning.

use super::*;

fn guard(lines: &str, dev: bool) -> Guard {
    let settings: Webhooks = crate::config::webhooks_of(lines);
    Guard::new(&settings, dev).expect("a guard")
}

#[test]
fn an_address_is_read_as_browsers_read_it() {
    let guard = guard("", false);
    for (text, uri) in [
        ("https://hook.example/rc?x=1#y", "https://hook.example/rc?x=1"),
        ("HTTPS://Hook.EXAMPLE:443", "https://hook.example/"),
        ("https://hook.example:8443/a/../b", "https://hook.example:8443/b"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
    ] {
        assert_eq!(guard.read(text).expect(text).uri().to_string(), uri, "{text}");
    }
    assert_eq!(guard.read("http://hook.example/"), Err(AddressError::NotHttps));
    for text in [
        "",
        "hook.example",
        "ftp://hook.example/",
        "https://",
        "https:///x",
        "https://u@hook.example/",
        "https://hook example/",
        "https://hook.example:99999/",
        "javascript:alert(1)",
    ] {
        assert!(
            matches!(guard.read(text), Err(AddressError::Invalid(_))),
            "{text:?}: {:?}",
            guard.read(text)
        );
    }
}

/// Ways to write an address that nobody may post to.
fn hostile() -> Vec<String> {
    let mut urls: Vec<String> = [
        // This machine and others inside, in every notation of IPv4.
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "127.255.255.254",
        "0",
        "0.0.0.0",
        "0x0",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0177.1",
        "017700000001",
        "0X7F.0X0.0X0.0X1",
        "127.0.0.1.",
        "10.0.0.1",
        "10.1",
        "0xa.1",
        "012.0.0.1",
        "167772161",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.0.1",
        "192.168.1",
        "3232235521",
        "0xc0a80001",
        "0300.0250.0.1",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.254.0xa9.254",
        "169.254.169.253",
        "100.64.0.1",
        "100.127.255.254",
        "100.100.100.200",
        "192.0.0.192",
        "192.0.2.1",
        "192.31.196.1",
        "192.52.193.1",
        "192.88.99.1",
        "192.175.48.1",
        "198.18.0.1",
        "198.19.255.254",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "4294967295",
        // Digits that are not ASCII, full stops that are not, and what is ignored in names.
        "①②⑦.0.0.1",
        "127。0。0。1",
        "１２７.０.０.１",
        "1②7.0.0.1",
        "127\u{ff0e}0\u{ff0e}0\u{ff0e}1",
        "12\u{ad}7.0.0.1",
        "%31%32%37.0.0.1",
        "127%2e0%2e0%2e1",
        "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
        // The same in IPv6.
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::0001]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:10.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::ffff:8.8.8.8]",
        "[::ffff:0:127.0.0.1]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2002:a00:1::1]",
        "[2002:a9fe:a9fe::]",
        "[2001:0:7f00:1::]",
        "[2001::1]",
        "[2001:10::1]",
        "[2001:20::1]",
        "[2001:db8::1]",
        "[3fff::1]",
        "[2620:4f:8000::1]",
        "[fc00::1]",
        "[fd00::1]",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
        "[fe80::1]",
        "[fe80::a9fe:a9fe]",
        "[febf::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[ff0e::1]",
        "[100::1]",
        "[5f00::1]",
        "[4000::1]",
        "[::2]",
    ]
    .iter()
    .map(|host| format!("https://{host}/hook"))
    .collect();
    // Ports of other services, and addresses that hide where they lead.
    urls.extend(
        [
            "https://hook.example:0/",
            "https://hook.example:1/",
            "https://hook.example:22/",
            "https://hook.example:23/",
            "https://hook.example:25/",
            "https://hook.example:53/",
            "https://hook.example:110/",
            "https://hook.example:143/",
            "https://hook.example:389/",
            "https://hook.example:465/",
            "https://hook.example:587/",
            "https://hook.example:993/",
            "https://hook.example:5060/",
            "https://hook.example:6667/",
            "https://hook.example:2049/",
            "https://user@127.0.0.1/",
            "https://hook.example@127.0.0.1/",
            "https://127.0.0.1@hook.example/",
            "https://hook.example:443@127.0.0.1/",
            "https://hook.example%40127.0.0.1/",
            "https://hook.example\\@127.0.0.1/",
            "https://[fe80::1%25eth0]/",
            "https://[fe80::1%eth0]/",
            "https://[::1%25lo]/",
            "https://[::1/",
            "https://::1/",
            "https://[127.0.0.1]/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:70/_x",
            "dict://127.0.0.1/",
            "ldap://127.0.0.1/",
            "data:text/plain,x",
            "unix:/run/docker.sock",
            "http://127.0.0.1/",
            "http://hook.example/",
            "//127.0.0.1/",
            "https:127.0.0.1",
            "https:/127.0.0.1",
            "https:\\\\127.0.0.1\\",
            " https://127.0.0.1/ ",
            "https://127.0.0.1:443/",
            "https://127.0.0.1:8443/",
            "https://127.0.0.1#@hook.example/",
            "https://127.0.0.1?@hook.example/",
            "https://\t127.0.0.1/",
            "https://127.0.\n0.1/",
        ]
        .map(str::to_owned),
    );
    urls
}

#[test]
fn hostile_addresses_are_refused_before_anything_is_sent() {
    let guard = guard("", false);
    let urls = hostile();
    assert!(urls.len() >= 120, "{}", urls.len());
    for url in urls {
        let read = guard.read(&url);
        assert!(read.is_err(), "{url:?} was read as {read:?}");
    }
}

#[tokio::test]
async fn hostile_addresses_are_not_connected_to_even_if_they_were_taken_before() {
    let listener = std::net::TcpListener::bind("[::]:0").expect("a free port, of IPv4 as well");
    listener.set_nonblocking(true).expect("it can be asked");
    let port = listener.local_addr().expect("an address").port();
    // Taken by a configuration that allowed everything, and sent by one that does not.
    let open = guard("dangerous_allow_addresses = [\"0.0.0.0/0\", \"::/0\"]", true);
    let strict = crate::config::webhooks_of("timeout = \"500ms\"");
    let webhooks = crate::webhook::Webhooks::new(&strict, false).expect("a client");
    let mut taken = 0;
    for url in hostile() {
        let Some((host, path)) = url.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        let Ok(url) = open.read(&format!("https://{host}:{port}/{path}")) else { continue };
        taken += 1;
        assert_eq!(webhooks.guard().check(&url).await.err(), Some(AddressError::Forbidden), "{host}");
        let endpoint = crate::webhook::Endpoint {
            url,
            address: "".into(),
            token: None,
            signing_key: None,
            redelivery: None,
        };
        let outcome =
            webhooks.send(&endpoint, hookswitch_model::NotificationId::new(1), Vec::new()).await.outcome;
        assert!(matches!(outcome, hookswitch_core::delivery::Outcome::Failed(_)), "{host}: {outcome:?}");
    }
    assert!(taken > 80, "{taken} were taken by the open configuration");
    assert!(listener.accept().is_err(), "nobody came");
    println!("{taken} hostile addresses, 0 connections");
    // The listener would have seen one.
    let own = open.read(&format!("https://127.0.0.1:{port}/")).expect("an address");
    let lenient =
        crate::config::webhooks_of("dangerous_allow_addresses = [\"127.0.0.1\"]\ntimeout = \"500ms\"");
    let lenient = crate::webhook::Webhooks::new(&lenient, false).expect("a client");
    let endpoint = crate::webhook::Endpoint {
        url: own,
        address: "".into(),
        token: None,
        signing_key: None,
        redelivery: None,
    };
    let _ = lenient.send(&endpoint, hookswitch_model::NotificationId::new(1), Vec::new()).await.outcome;
    assert!(listener.accept().is_ok());
}

#[tokio::test]
async fn names_of_this_machine_are_refused_when_they_are_resolved() {
    let guard = guard("", false);
    for name in ["localhost", "localhost.", "LOCALHOST", "hook.localhost", "loc\u{ad}alhost", "ｌocalhost"] {
        let url = guard.read(&format!("https://{name}/")).expect("it is a name");
        let checked = guard.check(&url).await;
        assert!(checked.is_err(), "{name}: {checked:?}");
    }
}

#[test]
fn a_network_is_allowed_when_it_is_named_and_this_machine_for_development() {
    let named = guard("dangerous_allow_addresses = [\"10.1.0.0/16\", \"fd00::/8\"]", false);
    for (url, allowed) in [
        ("https://10.1.2.3/", true),
        ("https://[fd00::1]/", true),
        ("https://10.2.0.1/", false),
        ("https://127.0.0.1/", false),
        ("http://10.1.2.3/", false),
    ] {
        assert_eq!(named.read(url).is_ok(), allowed, "{url}");
    }
    let dev = guard("", true);
    for (url, allowed) in
        [("http://127.0.0.1:9000/", true), ("http://[::1]/", true), ("http://10.1.2.3/", false)]
    {
        assert_eq!(dev.read(url).is_ok(), allowed, "{url}");
    }
}

#[tokio::test]
async fn even_for_development_nothing_leaves_the_machine_without_tls() {
    let dev = guard("", true);
    let url = dev.read("http://8.8.8.8/").expect("it is an address");
    assert_eq!(dev.check(&url).await, Err(AddressError::Forbidden));
}

#[test]
fn what_may_be_a_key_in_an_address_is_not_shown() {
    for (address, shown) in [
        ("https://hook.example/hook", "https://hook.example/hook"),
        ("https://hook.example:8443/", "https://hook.example:8443/"),
        ("https://hook.example", "https://hook.example"),
        ("https://hook.example/in/T0k3n", "https://hook.example/in/… ("),
        ("https://hook.example/in/averylongword/x", "https://hook.example/in/…/x ("),
        ("https://hook.example/in?code=s", "https://hook.example/in?… ("),
        ("https://me:word@hook.example/in", "https://hook.example/in"),
    ] {
        let masked = masked(address);
        assert!(masked == shown || (shown.ends_with('(') && masked.starts_with(shown)), "{masked}");
    }
    assert_ne!(masked("https://hook.example/a1"), masked("https://hook.example/a2"), "they are told apart");
}
