//! The firm whose phones the demo simulates: who works there, and who calls from outside.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use super::sip::Host;

/// The SIP domain of the firm.
pub(super) const DOMAIN: &str = "harbour.example";

/// Number that is dialled to leave and to retrieve calls: a slot has one more digit.
pub(super) const PARKING: &str = "70";

/// Prefix that is dialled before a number to pick up its call.
pub(super) const PICKUP: &str = "**";

/// The number under which customers reach the service queue, and how it is called inside.
pub(super) const SERVICE: (&str, &str) = ("+14155550120", "620");

/// Staff of the firm: number, name, and direct number.
const STAFF: [(&str, &str, &str); 10] = [
    ("101", "Ann Lee", "+14155550101"),
    ("102", "Bo Roy", "+14155550102"),
    ("103", "Cem Aydin", "+14155550103"),
    ("104", "Dana Novak", "+14155550104"),
    ("105", "Eli Moreau", "+14155550105"),
    ("106", "Fumi Sato", "+14155550106"),
    ("107", "Gus Okoro", "+14155550107"),
    ("108", "Hana Silva", "+14155550108"),
    ("109", "Ivo Brandt", "+14155550109"),
    ("110", "Joy Mbeki", "+14155550110"),
];

/// People outside who call and are called.
const OUTSIDE: [(&str, &str); 8] = [
    ("+12125550147", "Grace Hill"),
    ("+13125550112", "Omar Haddad"),
    ("+13055550163", "Lucia Perez"),
    ("+16175550138", "Noah Fischer"),
    ("+12065550179", "Mei Chen"),
    ("+17025550121", "Tom Baker"),
    ("+15035550194", "Sara Lind"),
    ("+18085550155", "Kai Kealoha"),
];

/// Somebody with a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) number: &'static str,
    pub(super) name: &'static str,
    /// Number that is dialled from outside.
    pub(super) direct: &'static str,
    /// Their phone, or the provider through which they call.
    pub(super) host: Host,
}

/// The switch.
pub(super) const PBX: Host = host(10);

/// The server that takes messages.
pub(super) const MAILBOXES: Host = host(11);

/// The provider.
pub(super) const TRUNK: Host =
    Host(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 30)), 5060));

const fn host(last: u8) -> Host {
    Host(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 20, 0, last)), 5060))
}

/// All who work there.
pub(super) fn staff() -> Vec<Person> {
    (101_u8..)
        .zip(STAFF)
        .map(|(last, (number, name, direct))| Person { number, name, direct, host: host(last) })
        .collect()
}

/// All who call from outside.
pub(super) fn outside() -> Vec<Person> {
    OUTSIDE.iter().map(|&(number, name)| Person { number, name, direct: number, host: TRUNK }).collect()
}

/// The directory file of the firm.
pub(super) fn directory() -> String {
    let account = hookswitch_server::config::ACCOUNT;
    let mut text = format!(
        "[[account]]\nid = {account}\nname = \"Harbour Bicycles\"\ncountry_code = \"1\"\n\
         domains = [\"{DOMAIN}\"]\ncodes = [\"{PICKUP}\"]\n"
    );
    for (number, name, direct) in STAFF {
        let _ = write!(
            text,
            "\n[[account.extension]]\nnumber = \"{number}\"\nname = \"{name}\"\nnumbers = [\"{direct}\"]\nmailbox = true\n"
        );
    }
    let (number, short) = SERVICE;
    let _ = write!(
        text,
        "\n[[account.extension]]\nnumber = \"{short}\"\nname = \"Service\"\nkind = \"queue\"\nnumbers = [\"{number}\"]\n\
         \n[[account.extension]]\nnumber = \"{PARKING}0\"\nname = \"Parking\"\nkind = \"park\"\nslots = [\"{PARKING}1-{PARKING}9\"]\n\
         \n[[account.trunk]]\nname = \"provider\"\naddresses = [\"{}\"]\n",
        TRUNK.0.ip()
    );
    text
}
