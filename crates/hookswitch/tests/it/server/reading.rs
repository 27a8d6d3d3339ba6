//! Tests of what applications read: sessions, parties, people, presence; and who may.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;

use serde_json::{Value, json};

use super::client::{Answer, JWT_BEARER, basic, call as call_with, exchange, post_form};
use super::{Home, Server, wait_for};

/// Two tenants with the same extension numbers.
const DIRECTORY: &str = r#"
[[account]]
id = 1001
name = "One"
country = "US"
domains = ["one.example"]
extension = [
  {number = "101", id = 1101, device = 1901, name = "Ann", numbers = ["+14155550101", "+14155550100"]},
  {number = "102", id = 1102, name = "Bo"},
  {number = "103", id = 1103, name = "Cy"},
]

[[account]]
id = 2001
name = "Two"
domains = ["two.example"]
extension = [
  {number = "101", id = 2101, name = "Dee"},
  {number = "102", id = 2102, name = "Eve"},
  {number = "103", id = 2103, name = "Fay"},
]
"#;

impl Server {
    /// Sends a request to the admin API.
    #[track_caller]
    pub(super) fn admin(&self, home: &Home, method: &str, path: &str, body: &Value) -> Answer {
        let body = (!body.is_null()).then_some(body);
        self.call(home.made("admin_token"), method, &format!("/admin/v1{path}"), body)
    }

    /// Makes an extension a user, and gives a token of theirs for an application with these permissions.
    #[track_caller]
    pub(super) fn token(&self, home: &Home, user: (u64, u64, Value), scopes: &[&str]) -> String {
        token(self.http(), home.made("admin_token"), user, scopes)
    }

    /// Posts signals, and waits until the calls that they make can be read.
    #[track_caller]
    pub(super) fn signals(&self, home: &Home, signals: &Value) {
        let posted = self.call(
            home.made("admin_token"),
            "POST",
            "/ingest/v1/signals",
            Some(&json!({"signals": signals})),
        );
        assert_eq!(posted.status, 200, "{posted:?}");
    }
}

/// Makes an extension a user, and gives a token of theirs for an application with these permissions.
#[track_caller]
pub(super) fn token(to: SocketAddr, admin: &str, user: (u64, u64, Value), scopes: &[&str]) -> String {
    let admin = |method: &str, path: &str, body: &Value, status: u16| {
        let answer = call_with(to, admin, method, &format!("/admin/v1{path}"), Some(body));
        assert_eq!(answer.status, status, "{answer:?}");
        answer
    };
    let (account, extension, mut entry) = user;
    entry["accountId"] = json!(account.to_string());
    admin("PUT", &format!("/users/{extension}"), &entry, 200);
    let application =
        json!({"name": "Test", "accountId": account.to_string(), "grants": ["jwt-bearer"], "scopes": scopes});
    let application = admin("POST", "/applications", &application, 201);
    let jwt = admin("POST", &format!("/users/{extension}/jwts"), &json!({"label": "test"}), 201);
    let authorization = basic(&application.text("clientId"), &application.text("clientSecret"));
    let jwt = jwt.text("jwt");
    let parameters = [("grant_type", JWT_BEARER), ("assertion", &*jwt)];
    post_form(to, "/restapi/oauth/token", Some(&authorization), &parameters).text("access_token")
}

/// A call from 101 to 102 that goes on, in an account.
pub(super) fn call(account: u64) -> Value {
    let (a, b) = (format!("{account}-a"), format!("{account}-b"));
    let caller = json!({"number": "101"});
    json!([
        {"id": format!("{a}1"), "account": account, "leg": a, "kind": "created", "direction": "outbound", "callee": "102", "caller": caller},
        {"id": format!("{b}2"), "account": account, "leg": b, "kind": "created", "direction": "inbound", "of": a, "callee": "102", "caller": caller},
        {"id": format!("{b}3"), "account": account, "leg": b, "kind": "ringing"},
        {"id": format!("{b}4"), "account": account, "leg": b, "kind": "answered"},
        {"id": format!("{a}5"), "account": account, "leg": a, "kind": "answered"},
    ])
}

pub(super) fn home(name: &str) -> Home {
    let home = Home::new(name);
    std::fs::write(home.directory.join("directory.toml"), DIRECTORY).expect("it can be written");
    home
}

const EVERYTHING: [&str; 4] = ["CallControl", "ReadAccounts", "ReadCallLog", "ReadPresence"];

#[test]
fn a_call_is_read_while_it_goes_on_and_for_a_while_after() {
    let home = home("reading-call");
    let server = Server::start(&home);
    let ann = server.token(&home, (1001, 1101, json!({})), &EVERYTHING);
    let get = |path: &str| server.call(&ann, "GET", path, None);
    let presence = "/restapi/v1.0/account/~/extension/~/presence?detailedTelephonyState=true&sipData=true";
    let idle = get(presence);
    assert_eq!(idle.body["telephonyStatus"], "NoCall");
    assert_eq!(idle.body["activeCalls"], json!([]));
    server.signals(&home, &call(1001));
    let busy = wait_for(
        || {
            let busy = get(presence);
            (busy.body["telephonyStatus"] == "CallConnected").then_some(busy)
        },
        || "the call in the presence".to_owned(),
    );
    assert_eq!((&busy.body["presenceStatus"], &busy.body["extension"]["id"]), (&json!("Busy"), &json!(1101)));
    let active = &busy.body["activeCalls"][0];
    assert_eq!(
        (&active["direction"], &active["from"], &active["to"]),
        (&json!("Outbound"), &json!("101"), &json!("102"))
    );
    let id = active["telephonySessionId"].as_str().expect("an id");
    let session = get(&format!("/restapi/v1.0/account/~/telephony/sessions/{id}"));
    assert_eq!(session.status, 200, "{session:?}");
    assert_eq!(session.body["id"], id);
    assert_eq!(session.body["origin"], json!({"type": "Call"}));
    assert_eq!(session.body["creationTime"].as_str().map(str::len), Some("2018-08-01T13:36:09Z".len()));
    let parties = session.body["parties"].as_array().expect("parties");
    assert_eq!(parties.len(), 2);
    let (own, other) = (&parties[0], &parties[1]);
    assert_eq!(own["owner"], json!({"accountId": "1001", "extensionId": "1101"}));
    assert_eq!((&own["extensionId"], &other["extensionId"]), (&json!("1101"), &json!("1102")));
    assert_eq!((&own["status"]["code"], &other["status"]["code"]), (&json!("Answered"), &json!("Answered")));
    let party = other["id"].as_str().expect("an id");
    let path = format!("/restapi/v1.0/account/1001/telephony/sessions/{id}/parties/{party}");
    assert_eq!(get(&path).body, *other);
    // The same is in the event that was told.
    let told: Value = home
        .store("events")
        .lines()
        .last()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .expect("events");
    assert_eq!(told["body"]["parties"][0]["status"]["code"], "Answered");
    assert_eq!(told["body"]["telephonySessionId"], id);

    // The writing operations exist, and are off, for any form of an empty body.
    for (method, path, body) in [
        ("POST", format!("/restapi/v1.0/account/~/telephony/sessions/{id}/parties/{party}/hold"), None),
        (
            "POST",
            format!("/restapi/v1.0/account/~/telephony/sessions/{id}/parties/{party}/park"),
            Some(json!({})),
        ),
        (
            "PATCH",
            format!("/restapi/v1.0/account/~/telephony/sessions/{id}/parties/{party}"),
            Some(json!({"muted": true})),
        ),
        (
            "PATCH",
            format!("/restapi/v1.0/account/~/telephony/sessions/{id}/parties/{party}/recordings/1"),
            None,
        ),
        ("DELETE", format!("/restapi/v1.0/account/~/telephony/sessions/{id}/parties/{party}"), None),
        ("DELETE", format!("/restapi/v1.0/account/~/telephony/sessions/{id}"), None),
        ("POST", format!("/restapi/v1.0/account/~/telephony/sessions/{id}/supervise"), None),
        ("POST", format!("/restapi/v1.0/account/~/telephony/sessions/{id}/parties/bring-in"), None),
        ("POST", "/restapi/v1.0/account/~/telephony/call-out".to_owned(), Some(json!({}))),
        ("POST", "/restapi/v1.0/account/~/telephony/conference".to_owned(), None),
    ] {
        let answer = server.call(&ann, method, &path, body.as_ref());
        assert_eq!(answer.error(), (403, "", "CMN-109"), "{method} {path}");
    }
    let nonsense = format!("/restapi/v1.0/account/~/telephony/sessions/{id}/parties/{party}/explode");
    assert_eq!(server.call(&ann, "POST", &nonsense, None).error(), (404, "", "CMN-120"));

    let ended = json!([
        {"id": "6", "account": 1001, "leg": "1001-a", "kind": "ended"},
        {"id": "7", "account": 1001, "leg": "1001-b", "kind": "ended"},
    ]);
    server.signals(&home, &ended);
    wait_for(|| (get(presence).body["telephonyStatus"] == "NoCall").then_some(()), || "the end".to_owned());
    let session = get(&format!("/restapi/v1.0/account/~/telephony/sessions/{id}"));
    let codes: Vec<&Value> = session.body["parties"]
        .as_array()
        .expect("parties")
        .iter()
        .map(|party| &party["status"]["code"])
        .collect();
    assert_eq!(codes, ["Disconnected", "Disconnected"]);
}

#[test]
fn a_call_can_be_read_after_a_crash() {
    let home = home("reading-crash");
    let mut server = Server::start(&home);
    let ann = server.token(&home, (1001, 1101, json!({})), &EVERYTHING);
    server.signals(&home, &call(1001));
    server.kill();
    let server = Server::start(&home);
    let path = "/restapi/v1.0/account/~/extension/~/presence";
    let busy = wait_for(
        || Some(server.call(&ann, "GET", path, None)).filter(|answer| answer.status == 200),
        || "the log to be read".to_owned(),
    );
    assert_eq!(busy.body["activeCalls"].as_array().map(Vec::len), Some(1), "{busy:?}");
}

#[test]
fn people_are_read_as_the_directory_has_them() {
    let home = home("reading-people");
    let server = Server::start(&home);
    let ann = server.token(&home, (1001, 1101, json!({"admin": true})), &EVERYTHING);
    let get = |path: &str| server.call(&ann, "GET", path, None).body;
    let own = get("/restapi/v1.0/account/~/extension/~");
    assert_eq!(
        (&own["id"], &own["extensionNumber"], &own["name"]),
        (&json!(1101), &json!("101"), &json!("Ann"))
    );
    assert_eq!(own["account"], json!({"id": "1001"}));
    assert_eq!(get("/restapi/v1.0/account/~")["id"], 1001);
    let devices = get("/restapi/v1.0/account/~/extension/~/device");
    assert_eq!(
        (&devices["records"][0]["id"], &devices["records"][0]["status"]),
        (&json!("1901"), &json!("Online"))
    );
    let all = get("/restapi/v1.0/account/~/presence?page=2&perPage=2");
    assert_eq!(all["records"].as_array().map(Vec::len), Some(1));
    let paging =
        json!({"page": 2, "perPage": 2, "pageStart": 2, "pageEnd": 2, "totalPages": 2, "totalElements": 3});
    assert_eq!(all["paging"], paging);
    // Addresses are whole, and lead where they say.
    for list in [&all, &devices] {
        for key in ["uri", "records", "navigation", "paging"] {
            assert!(list.get(key).is_some(), "{key}: {list}");
        }
    }
    for uri in
        [&own["uri"], &all["navigation"]["firstPage"]["uri"], &all["records"][0]["uri"], &devices["uri"]]
    {
        let uri = uri.as_str().expect("a uri");
        let path = uri.find("/restapi").map(|at| &uri[at..]).expect("a path");
        assert!(uri.starts_with("http://"), "{uri}");
        assert_eq!(server.call(&ann, "GET", path, None).status, 200, "{path}");
    }
    let wrong = server.call(&ann, "GET", "/restapi/v1.0/account/~/presence?page=0", None);
    assert_eq!((wrong.error(), &wrong.body["parameterName"]), ((400, "", "CMN-101"), &json!("page")));
    for path in ["/restapi", "/restapi/v1.0", "/restapi/v1.0/status", "/restapi/v1.0/client-info"] {
        assert_eq!(exchange(server.http(), "GET", path, &[], b"").status, 200, "{path}");
    }
    let initial = exchange(server.http(), "GET", "/.well-known/entry-points/initial?clientId=x", &[], b"");
    let external = initial.body["discoveryApi"]["defaultExternalUri"].as_str().expect("an address");
    let external = &external[external.find("/.well").expect("a path")..];
    let external = exchange(server.http(), "GET", external, &[], b"");
    assert_eq!(external.body["coreApi"], initial.body["coreApi"]);
    let token = external.body["authApi"]["tokenUri"].as_str().expect("an address");
    assert!(token.ends_with("/restapi/oauth/token"), "{token}");
    // What changes in the file comes into use.
    let changed = server.admin(
        &home,
        "PUT",
        "/accounts/1001/extensions/101",
        &json!({"number": "101", "id": 1101, "name": "Anna"}),
    );
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(get("/restapi/v1.0/account/~/extension/~")["name"], "Anna");
}

#[test]
fn an_application_finds_what_it_asks_for_at_its_start() {
    let home = home("reading-start");
    let text = std::fs::read_to_string(home.directory.join("directory.toml")).expect("it is there");
    let text = text.replace(
        r#"{number = "103", id = 1103, name = "Cy"},"#,
        r#"{number = "103", id = 1103, name = "Cy"}, {number = "620", id = 1620, name = "Support Desk", kind = "queue"},"#,
    );
    std::fs::write(home.directory.join("directory.toml"), text).expect("it can be written");
    let server = Server::start(&home);
    let ann = server.token(&home, (1001, 1101, json!({"admin": true})), &EVERYTHING);
    let bo = server.token(&home, (1001, 1102, json!({})), &["ReadAccounts"]);
    let get = |path: &str| {
        let answer = server.call(&ann, "GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    };
    const ACCOUNT: &str = "/restapi/v1.0/account/~";
    const OWN: &str = "/restapi/v1.0/account/~/extension/~";
    let own = get(OWN);
    assert_eq!(
        own["contact"],
        json!({"firstName": "Ann", "company": "One", "businessPhone": "+14155550101"})
    );
    assert_eq!(own["permissions"], json!({"admin": {"enabled": true}}));
    assert_eq!(own["regionalSettings"], json!({"homeCountry": {"isoCode": "US", "callingCode": "1"}}));
    let services = own["serviceFeatures"].as_array().expect("services");
    assert!(services.contains(&json!({"featureName": "Presence", "enabled": true})), "{own}");
    assert_eq!(get(&format!("{ACCOUNT}/extension/1102")).get("permissions"), None, "of another, nobody says");

    let names = |list: &Value| -> Vec<String> {
        let records = list["records"].as_array().expect("records");
        records.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
    };
    let extensions = get(&format!("{ACCOUNT}/extension?perPage=MAX"));
    assert_eq!(names(&extensions), ["Ann", "Bo", "Cy", "Support Desk"]);
    for (query, found) in [
        ("type=Department", &["Support Desk"][..]),
        ("type=User&type=Department&page=2&perPage=3", &["Support Desk"]),
        ("status=Disabled", &[]),
        ("status=Enabled&extensionNumber=102", &["Bo"]),
    ] {
        assert_eq!(names(&get(&format!("{ACCOUNT}/extension?{query}"))), found, "{query}");
    }
    assert_eq!(names(&get(&format!("{ACCOUNT}/call-queues"))), ["Support Desk"]);
    let entries = get(&format!("{ACCOUNT}/directory/entries?type=User"));
    assert_eq!(names(&entries), ["Ann", "Bo", "Cy"]);
    assert_eq!(entries["records"][0]["phoneNumbers"][1]["phoneNumber"], "+14155550100");
    let numbers = get(&format!("{OWN}/phone-number"));
    let number = &numbers["records"][0];
    assert_eq!(
        (&number["phoneNumber"], &number["usageType"], &number["extension"]["id"]),
        (&json!("+14155550101"), &json!("DirectNumber"), &json!(1101))
    );
    assert_eq!(get(&format!("{ACCOUNT}/phone-number"))["records"], numbers["records"]);
    let second = &get("/restapi/v2/accounts/~/phone-numbers?perPage=1&page=2");
    assert_eq!(second["paging"]["totalElements"], 2);
    assert_eq!(second["records"][0]["id"], numbers["records"][1]["id"].to_string());
    assert_eq!(get(&format!("{ACCOUNT}/extension/1102/phone-number"))["records"], json!([]));

    assert_eq!(
        get(&format!("{ACCOUNT}/dialing-plan"))["records"],
        json!([{"isoCode": "US", "callingCode": "1"}])
    );
    let of_account = get(&format!("{ACCOUNT}/service-info"));
    assert_eq!(of_account["serviceFeatures"].as_array().map(Vec::len), Some(services.len()));
    assert_eq!(of_account["contractedCountry"]["isoCode"], "US");
    assert_eq!(get(&format!("{OWN}/caller-id"))["byFeature"], json!([]));
    assert_eq!(get(&format!("{OWN}/forwarding-number"))["records"], json!([]));
    let feature = |token: &str, id: &str| {
        let path = format!("{OWN}/features?featureId={id}");
        server.call(token, "GET", &path, None).body["records"][0]["available"].clone()
    };
    assert_eq!(feature(&ann, "ReadExtensionInfo"), true, "a widget logs the user out without it");
    assert_eq!(feature(&ann, "RingOut"), false);
    assert_eq!(
        (feature(&ann, "ReadPresenceStatus"), feature(&bo, "ReadPresenceStatus")),
        (json!(true), json!(false))
    );
    let all = get(&format!("{OWN}/features"));
    let available = get(&format!("{OWN}/features?availableOnly=true"));
    let count = |list: &Value| list["records"].as_array().map_or(0, Vec::len);
    assert!(count(&all) > count(&available) && count(&available) > 0, "{available}");
    let profile = get(&format!("{OWN}/authz-profile"));
    let permission = json!({"permission": {"id": "ReadPresenceStatus"}, "scopes": ["Self", "AllExtensions"]});
    assert!(profile["permissions"].as_array().is_some_and(|all| all.contains(&permission)), "{profile}");

    // What nobody else may see is not said to be for administrators, to one of them.
    let others = server.call(&ann, "GET", &format!("{ACCOUNT}/extension/1102/authz-profile"), None);
    assert_eq!(others.error(), (403, "", "CMN-404"), "{others:?}");
    assert!(!others.body["message"].as_str().expect("a text").contains("administrator"), "{others:?}");

    let active = |path: &str| get(&format!("{path}/active-calls"))["records"].clone();
    assert_eq!((active(OWN), active(ACCOUNT)), (json!([]), json!([])));
    server.signals(&home, &call(1001));
    server.signals(&home, &call(2001));
    let found = wait_for(
        || Some(active(ACCOUNT)).filter(|records| records != &json!([])),
        || "the call among those that go on".to_owned(),
    );
    assert_eq!(found.as_array().map(Vec::len), Some(1), "the other account's is not there");
    let record = &found[0];
    assert_eq!(
        (&record["direction"], &record["result"], &record["type"], &record["to"]["extensionNumber"]),
        (&json!("Outbound"), &json!("In Progress"), &json!("Voice"), &json!("102"))
    );
    let called = get(&format!("{ACCOUNT}/extension/1102/active-calls"));
    assert_eq!(called["records"][0]["direction"], "Inbound");
    assert_eq!(called["records"][0]["telephonySessionId"], record["telephonySessionId"]);
    assert_eq!(
        get(&format!("{ACCOUNT}/extension/1102/active-calls?direction=Outbound"))["records"],
        json!([])
    );
    assert_eq!(active(&format!("{ACCOUNT}/extension/1103")), json!([]));
    let sessions = get(&format!("{ACCOUNT}/telephony/sessions"));
    assert_eq!(sessions["records"][0]["id"], record["telephonySessionId"]);
}

/// Requester in the table of what is allowed.
#[derive(Clone, Copy)]
struct Who {
    account: u64,
    extension: u64,
    admin: bool,
    /// Of the application, and of the user.
    scopes: &'static [&'static str],
    permissions: &'static [&'static str],
}

/// Request in the table: path, the permission that it needs, and whose it is.
struct Asked {
    method: &'static str,
    path: String,
    needs: &'static str,
    account: u64,
    whose: Whose,
}

#[derive(Clone, Copy)]
enum Whose {
    /// Everybody of the account.
    All,
    /// This extension, and administrators.
    Extension(u64),
    /// Administrators.
    Admin,
    /// Those two who take part, and administrators; it is hidden from others.
    Call(u64, u64),
    /// Nobody: the operation is off.
    Off,
    /// Nobody: there is no such extension.
    Nothing,
}

/// The policy, written apart from the code.
fn policy(who: &Who, asked: &Asked) -> (u16, &'static str) {
    if !who.scopes.contains(&asked.needs) {
        return (403, "CMN-401");
    }
    if !who.permissions.contains(&asked.needs) {
        return (403, "CMN-408");
    }
    if who.account != asked.account {
        return (404, "CMN-102");
    }
    match asked.whose {
        Whose::Extension(of) if !who.admin && who.extension != of => (403, "CMN-404"),
        Whose::Admin if !who.admin => (403, "CMN-402"),
        Whose::Call(one, two) if !who.admin && who.extension != one && who.extension != two => {
            (404, "CMN-102")
        }
        Whose::Off => (403, "CMN-109"),
        Whose::Nothing => (404, "CMN-102"),
        _ => (200, ""),
    }
}

#[test]
fn two_thousand_pairs_of_token_and_resource_are_allowed_and_denied_as_the_policy_says() {
    let home = home("reading-policy");
    let server = Server::start(&home);
    let mut people = Vec::new();
    for (account, first) in [(1001, 1101), (2001, 2101)] {
        let all = &EVERYTHING[..];
        for (extension, admin, scopes, permissions) in [
            (first, true, all, all),
            (first + 1, false, all, all),
            (first + 2, false, all, all),
            (first, true, &["ReadAccounts"], all),
            (first + 1, false, &["CallControl", "ReadPresence"], all),
            (first + 2, false, &["ReadPresence", "ReadAccounts"], all),
        ] {
            people.push(Who { account, extension, admin, scopes, permissions });
        }
    }
    let mut tokens: Vec<(Who, String)> = Vec::new();
    for who in &people {
        let entry = json!({"admin": who.admin, "permissions": who.permissions});
        tokens.push((*who, server.token(&home, (who.account, who.extension, entry), who.scopes)));
    }
    server.signals(&home, &call(1001));
    server.signals(&home, &call(2001));
    let sessions: BTreeMap<u64, String> = [(1001, 0), (2001, 6)]
        .into_iter()
        .map(|(account, index)| {
            let token = &tokens[index].1;
            let id = wait_for(
                || {
                    let presence =
                        server.call(token, "GET", "/restapi/v1.0/account/~/extension/~/presence", None);
                    let id = &presence.body["activeCalls"][0]["telephonySessionId"];
                    id.as_str().map(str::to_owned)
                },
                || "the call".to_owned(),
            );
            (account, id)
        })
        .collect();
    // One user more, whose application may do what the user may not.
    let entry = json!({"permissions": ["ReadAccounts"]});
    server.token(&home, (1001, 1103, entry), &EVERYTHING);
    for (who, _) in tokens.iter_mut().filter(|(who, _)| who.extension == 1103) {
        who.permissions = &["ReadAccounts"];
    }
    let mut resources = Vec::new();
    let mut add = |method, path: String, needs, account, whose| {
        resources.push(Asked { method, path, needs, account, whose });
    };
    for (account, first) in [(1001_u64, 1101_u64), (2001, 2101)] {
        let of = format!("/restapi/v1.0/account/{account}");
        let session = format!("{of}/telephony/sessions/{}", sessions[&account]);
        let party = sessions[&account].replacen('s', "p", 1) + "-1";
        add("GET", of.clone(), "ReadAccounts", account, Whose::All);
        add("GET", format!("{of}/presence"), "ReadPresence", account, Whose::Admin);
        for end in ["active-calls", "call-log", "call-log-sync"] {
            add("GET", format!("{of}/{end}"), "ReadCallLog", account, Whose::Admin);
        }
        add("GET", format!("{of}/phone-number"), "ReadAccounts", account, Whose::Admin);
        add(
            "GET",
            format!("/restapi/v2/accounts/{account}/phone-numbers"),
            "ReadAccounts",
            account,
            Whose::Admin,
        );
        for end in ["extension", "directory/entries", "call-queues", "service-info", "dialing-plan"] {
            add("GET", format!("{of}/{end}"), "ReadAccounts", account, Whose::All);
        }
        for extension in [first, first + 1, first + 2] {
            let path = format!("{of}/extension/{extension}");
            add("GET", path.clone(), "ReadAccounts", account, Whose::All);
            add("GET", format!("{path}/device"), "ReadAccounts", account, Whose::Extension(extension));
            add("GET", format!("{path}/presence"), "ReadPresence", account, Whose::Extension(extension));
            for end in ["active-calls", "call-log", "call-log-sync"] {
                add("GET", format!("{path}/{end}"), "ReadCallLog", account, Whose::Extension(extension));
            }
            for end in ["phone-number", "features", "caller-id", "forwarding-number"] {
                add("GET", format!("{path}/{end}"), "ReadAccounts", account, Whose::Extension(extension));
            }
        }
        // The extension of the other account, and one that nobody has.
        let foreign = if account == 1001 { 2101 } else { 1101 };
        for nobody in [foreign, 7] {
            add("GET", format!("{of}/extension/{nobody}"), "ReadAccounts", account, Whose::Nothing);
        }
        add("GET", session.clone(), "CallControl", account, Whose::Call(first, first + 1));
        add(
            "GET",
            format!("{session}/parties/{party}"),
            "CallControl",
            account,
            Whose::Call(first, first + 1),
        );
        for (method, path) in [
            ("DELETE", String::new()),
            ("POST", format!("/parties/{party}/hold")),
            ("PATCH", format!("/parties/{party}")),
        ] {
            add(method, format!("{session}{path}"), "CallControl", account, Whose::Off);
        }
        add("POST", format!("{of}/telephony/call-out"), "CallControl", account, Whose::Off);
        // The session of one account under the id of the other.
        let other = if account == 1001 { 2001 } else { 1001 };
        let under = format!("{of}/telephony/sessions/{}", sessions[&other]);
        add("GET", under, "CallControl", account, Whose::Nothing);
    }
    assert!(tokens.len() * resources.len() >= 400, "{}", tokens.len() * resources.len());
    // Pairs are drawn; the generator is that of Knuth's MMIX, with a fixed seed.
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let pairs: Vec<(usize, usize)> = (0..2000).map(|_| (draw(tokens.len()), draw(resources.len()))).collect();
    let to = server.http();
    let ask = |&(token, resource): &(usize, usize)| {
        let ((who, token), asked) = (&tokens[token], &resources[resource]);
        let answer =
            exchange(to, asked.method, &asked.path, &[("Authorization", &format!("Bearer {token}"))], b"");
        let (status, _, code) = answer.error();
        let expected = policy(who, asked);
        assert_eq!(
            (status, code),
            expected,
            "{} of {} as {} with {:?} and {:?}: {answer:?}",
            asked.method,
            asked.path,
            who.extension,
            who.scopes,
            who.permissions
        );
        status
    };
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = &ask;
        let parts: Vec<_> =
            pairs.chunks(500).map(|part| scope.spawn(move || part.iter().map(ask).collect())).collect();
        parts
            .into_iter()
            .flat_map(|part: thread::ScopedJoinHandle<'_, Vec<u16>>| part.join().expect("as the policy says"))
            .collect()
    });
    assert_eq!(statuses.len(), 2000);
    let allowed = statuses.iter().filter(|&&status| status == 200).count();
    assert!((200..1800).contains(&allowed), "{allowed} are allowed");
}
