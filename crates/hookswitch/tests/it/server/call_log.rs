//! The call log: calls that are over, by the page and by sync.

use serde_json::{Value, json};

use super::presence::{end, missed};
use super::reading::{call, home};
use super::{Server, wait_for};

const ACCOUNT: &str = "/restapi/v1.0/account/~";
const EVERYTHING: [&str; 2] = ["ReadAccounts", "ReadCallLog"];

#[track_caller]
fn get(server: &Server, token: &str, path: &str) -> Value {
    let answer = server.call(token, "GET", path, None);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

/// One field of each record.
fn all(list: &Value, field: &str) -> Vec<String> {
    let records = list["records"].as_array().expect("records");
    records.iter().map(|one| one[field].as_str().expect("a text").to_owned()).collect()
}

/// Waits until the log of the account has so many calls.
#[track_caller]
fn logged(server: &Server, token: &str, count: usize) -> Value {
    let path = format!("{ACCOUNT}/call-log");
    wait_for(
        || Some(get(server, token, &path)).filter(|list| all(list, "id").len() == count),
        || format!("{count} calls in the log"),
    )
}

#[test]
fn calls_that_are_over_are_in_the_log_as_their_events_told_them() {
    let home = home("call-log");
    let mut server = Server::start(&home);
    let ann = server.token(&home, (1001, 1101, json!({"admin": true})), &EVERYTHING);
    let bo = server.token(&home, (1001, 1102, json!({})), &EVERYTHING);
    server.signals(&home, &call(1001));
    server.signals(&home, &call(2001));
    server.signals(&home, &end(2001));
    home.events_at_least(12);
    assert_eq!(logged(&server, &ann, 0)["records"], json!([]), "one goes on, and one is another account's");
    server.signals(&home, &end(1001));
    server.signals(&home, &missed(1001));
    let list = logged(&server, &ann, 2);
    assert_eq!(all(&list, "result"), ["Hang Up", "Call connected"], "the newest first");
    assert_eq!(list["paging"], json!({"page": 1, "perPage": 100, "pageStart": 0, "pageEnd": 1}));

    let own = "/restapi/v1.0/account/~/extension/~/call-log";
    let heard = get(&server, &bo, own);
    assert_eq!(all(&heard, "result"), ["Missed", "Accepted"]);
    assert_eq!(all(&heard, "direction"), ["Inbound", "Inbound"]);
    let record = &heard["records"][1];
    assert_eq!(
        (&record["type"], &record["action"], &record["from"]["extensionNumber"], &record["to"]["name"]),
        (&json!("Voice"), &json!("Phone Call"), &json!("101"), &json!("Bo"))
    );
    assert_eq!(record.get("legs"), None);

    // One by its address, with its legs.
    for (token, list) in [(&ann, &list), (&bo, &heard)] {
        for record in list["records"].as_array().expect("records") {
            let uri = record["uri"].as_str().expect("an address");
            let one = get(&server, token, &uri[uri.find("/restapi").expect("a path")..]);
            assert_eq!((&one["id"], &one["result"]), (&record["id"], &record["result"]));
            let legs = one["legs"].as_array().expect("legs");
            assert_eq!((legs.len(), legs.iter().filter(|leg| leg["master"] == true).count()), (2, 1));
        }
    }
    let foreign = format!("{ACCOUNT}/call-log/{}", "0".repeat(32) + "-1");
    assert_eq!(server.call(&ann, "GET", &foreign, None).error(), (404, "", "CMN-102"));

    // What no call can have is refused, since an empty list would say that there are none.
    for (list, query, field) in [
        ("call-log", "direction=In", "direction"),
        ("call-log", "type=Sms", "type"),
        ("call-log", "view=Full", "view"),
        ("call-log", "dateFrom=2026-01-31", "dateFrom"),
        ("call-log-sync", "syncType=FSync&direction=In", "direction"),
        ("active-calls", "direction=Inbound&direction=all", "direction"),
        ("active-calls", "type=", "type"),
    ] {
        for (token, of) in [(&ann, ACCOUNT), (&bo, "/restapi/v1.0/account/~/extension/~")] {
            let answer = server.call(token, "GET", &format!("{of}/{list}?{query}"), None);
            let told = (answer.error(), &answer.body["parameterName"]);
            assert_eq!(told, ((400, "", "CMN-101"), &json!(field)), "{list}?{query}");
        }
    }

    // What is asked for is what comes.
    let id = |key: &str| record[key].as_str().expect("a text").to_owned();
    for (query, count) in [
        ("view=Detailed&direction=Inbound".to_owned(), 2),
        ("direction=Outbound".to_owned(), 0),
        ("type=Fax".to_owned(), 0),
        ("type=Voice&direction=Inbound&direction=Outbound".to_owned(), 2),
        (format!("sessionId={}", id("sessionId")), 1),
        (format!("telephonySessionId={}", id("telephonySessionId")), 1),
        ("phoneNumber=101".to_owned(), 2),
        ("phoneNumber=%2B14155550199".to_owned(), 0),
        ("recordingType=All".to_owned(), 0),
        ("dateTo=2020-01-01T00:00:00.000Z".to_owned(), 0),
        ("dateFrom=2020-01-01T00:00:00.000Z".to_owned(), 2),
    ] {
        assert_eq!(all(&get(&server, &bo, &format!("{own}?{query}")), "id").len(), count, "{query}");
    }
    let pages: Vec<Value> =
        (1..=3).map(|page| get(&server, &bo, &format!("{own}?perPage=1&page={page}"))).collect();
    let ids: Vec<String> = pages.iter().flat_map(|page| all(page, "id")).collect();
    assert_eq!(ids, all(&heard, "id"));
    let next = |page: &Value| page["navigation"].get("nextPage").is_some();
    assert_eq!(pages.iter().map(next).collect::<Vec<_>>(), [true, false, false]);
    for (query, field) in [
        ("dateFrom=yesterday", "dateFrom"),
        ("telephonySessionId=7", "telephonySessionId"),
        ("perPage=0", "perPage"),
    ] {
        let answer = server.call(&bo, "GET", &format!("{own}?{query}"), None);
        assert_eq!(
            (answer.error(), &answer.body["parameterName"]),
            ((400, "", "CMN-101"), &json!(field)),
            "{query}"
        );
    }

    // The log is what the events say, also after a restart.
    server.kill();
    let server = Server::start(&home);
    let again = get(&server, &bo, own);
    for field in ["id", "result", "startTime", "lastModifiedTime"] {
        assert_eq!(all(&again, field), all(&heard, field), "{field}");
    }
}

/// The sessions of the records of a sync, and its token.
fn synced(server: &Server, token: &str, query: &str) -> (Vec<String>, String) {
    let sync = get(server, token, &format!("{ACCOUNT}/call-log-sync?{query}"));
    let token = sync["syncInfo"]["syncToken"].as_str().expect("a token").to_owned();
    (all(&sync, "telephonySessionId"), token)
}

#[test]
fn a_sync_gives_each_call_once() {
    let home = home("call-log-sync");
    let server = Server::start(&home);
    let ann = server.token(&home, (1001, 1101, json!({"admin": true})), &EVERYTHING);
    server.signals(&home, &call(1001));
    server.signals(&home, &missed(1001));
    logged(&server, &ann, 1);
    let (first, token) = synced(&server, &ann, "syncType=FSync");
    assert_eq!(first.len(), 1, "the call that goes on comes when it is over");
    let (none, same) = synced(&server, &ann, &format!("syncType=ISync&syncToken={token}"));
    assert_eq!((none.len(), &same), (0, &token));
    server.signals(&home, &end(1001));
    let (second, token) = wait_for(
        || {
            let (found, next) = synced(&server, &ann, &format!("syncType=ISync&syncToken={token}"));
            (!found.is_empty()).then_some((found, next))
        },
        || "the call that has ended".to_owned(),
    );
    assert_eq!(second.len(), 1);
    assert_ne!(first, second);
    assert_eq!(synced(&server, &ann, &format!("syncType=ISync&syncToken={token}")).0, Vec::<String>::new());
    let (mut both, _) = synced(&server, &ann, "recordCount=250");
    both.sort();
    let mut expected = [first, second].concat();
    expected.sort();
    assert_eq!(both, expected);
    let one = get(&server, &ann, &format!("{ACCOUNT}/call-log-sync?recordCount=1"));
    assert_eq!(all(&one, "id").len(), 1);
    for (query, field) in [
        ("syncType=ISync", "syncToken"),
        ("syncType=ISync&syncToken=999999", "syncToken"),
        ("syncType=Other", "syncType"),
        ("recordCount=251", "recordCount"),
    ] {
        let answer = server.call(&ann, "GET", &format!("{ACCOUNT}/call-log-sync?{query}"), None);
        assert_eq!(
            (answer.error(), &answer.body["parameterName"]),
            ((400, "", "CMN-101"), &json!(field)),
            "{query}"
        );
    }
}
