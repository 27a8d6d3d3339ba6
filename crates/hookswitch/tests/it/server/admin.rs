//! The admin API: what it takes, what it refuses and why, and that it comes into use.

use serde_json::{Value, json};

use super::client::{JWT_BEARER, basic, exchange};
use super::ingest::digest;
use super::{Home, Server};

const OWN: &str = "/restapi/v1.0/account/~/extension/~";

#[test]
fn only_the_admin_token_opens_it() {
    let home = Home::new("admin-token");
    let server = Server::start(&home);
    let access = server.log_in(&home).text("access_token");
    for headers in [
        vec![],
        vec![("Authorization", format!("Bearer {access}"))],
        vec![("Authorization", "Bearer x".into())],
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let answer = exchange(server.http(), "GET", "/admin/v1/users", &headers, b"");
        assert_eq!(answer.error(), (401, "", "OAU-129"));
    }
    assert_eq!(server.admin(&home, "GET", "/users", &Value::Null).status, 200);
    // And it opens nothing of an account.
    assert_eq!(server.call(home.made("admin_token"), "GET", OWN, None).status, 401);
}

#[test]
fn accounts_and_extensions_are_edited_in_the_file_which_keeps_its_comments() {
    let home = Home::new("admin-directory");
    let server = Server::start(&home);
    let file = home.directory.join("directory.toml");
    let before = std::fs::read_to_string(&file).expect("it is there");
    let admin = |method: &str, path: &str, body: Value| server.admin(&home, method, path, &body);
    let id = home.made("account_id");
    let listed = admin("GET", "/accounts", Value::Null);
    assert_eq!(listed.body["records"], json!([{"id": 310_001_016, "name": "My company"}]));
    let first = admin("GET", &format!("/accounts/{id}/extensions/101"), Value::Null);
    assert_eq!(first.body["id"].to_string(), home.made("extension_id"));

    let added = admin(
        "POST",
        &format!("/accounts/{id}/extensions"),
        json!({"number": "105", "name": "Eve", "kind": "queue"}),
    );
    assert_eq!(added.status, 201, "{added:?}");
    let trunk =
        json!({"id": 5005, "name": "Five", "country_code": "1", "trunk": [{"addresses": ["192.0.2.5"]}]});
    let added = admin("POST", "/accounts", trunk.clone());
    assert_eq!(added.status, 201, "{added:?}");
    assert_eq!(admin("GET", "/accounts/5005", Value::Null).body, trunk);
    let text = std::fs::read_to_string(&file).expect("it is there");
    assert!(text.contains("# Who has which number."), "{text}");
    assert!(text.contains("[[account.trunk]]\naddresses = [\"192.0.2.5\"]"), "{text}");

    for (method, path, body, status, said) in [
        (
            "POST",
            format!("/accounts/{id}/extensions"),
            json!({"number": "105"}),
            400,
            "each name belongs to one",
        ),
        (
            "POST",
            format!("/accounts/{id}/extensions"),
            json!({"number": "10 6"}),
            400,
            "give the digits that are dialled",
        ),
        (
            "POST",
            format!("/accounts/{id}/extensions"),
            json!({"number": "106", "kind": "robot"}),
            400,
            "unknown variant `robot`, expected one of `user`",
        ),
        (
            "POST",
            format!("/accounts/{id}/extensions"),
            json!({"number": "106", "nmae": "x"}),
            400,
            "unknown field `nmae`, expected one of `number`",
        ),
        (
            "POST",
            format!("/accounts/{id}/extensions"),
            json!({"number": "106", "slots": ["701"]}),
            400,
            "belong to an extension of kind \"park\"",
        ),
        ("POST", "/accounts".to_owned(), json!({"id": 5005}), 400, "give each account a number of its own"),
        ("POST", "/accounts".to_owned(), json!({"id": 0}), 400, "give each account a number of its own"),
        (
            "POST",
            "/accounts".to_owned(),
            json!({"id": 6006, "trunk": [{"addresses": ["pbx.example"]}]}),
            400,
            "write it as \"192.0.2.1\"",
        ),
        ("PUT", "/accounts/9".to_owned(), json!({"id": 9}), 404, "[accountId] is not found"),
        (
            "DELETE",
            format!("/accounts/{id}/extensions/999"),
            Value::Null,
            404,
            "[extensionNumber] is not found",
        ),
    ] {
        let answer = admin(method, &path, body.clone());
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        assert!(answer.text("message").contains(said), "{path} {body}: {answer:?}");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), text, "what is refused changes nothing");

    assert_eq!(admin("DELETE", &format!("/accounts/{id}/extensions/105"), Value::Null).status, 204);
    assert_eq!(admin("DELETE", "/accounts/5005", Value::Null).status, 204);
    let after = std::fs::read_to_string(&file).expect("it is there");
    assert_eq!(after.trim(), before.trim(), "what was added and taken away leaves nothing");
    let last = admin("DELETE", &format!("/accounts/{id}"), Value::Null);
    assert!(last.status == 400 && last.text("message").contains("there is no account"), "{last:?}");
}

#[test]
fn sources_are_edited_in_the_configuration_and_come_into_use() {
    let home = Home::new("admin-sources");
    let server = Server::start(&home);
    let admin = |method: &str, path: &str, body: Value| server.admin(&home, method, path, &body);
    assert_eq!(admin("GET", "/sources", Value::Null).body, json!({"records": []}));
    let key = "a key that is long enough";
    let digest = digest(key);
    let ingest = json!({"kind": "ingest", "name": "switch", "sha256": digest});
    assert_eq!(admin("POST", "/sources", ingest.clone()).body, ingest);
    let signals = json!({"signals": []});
    let posted = server.call(key, "POST", "/ingest/v1/signals", Some(&signals));
    assert_eq!(posted.error(), (400, "", "CMN-101"), "the key is known, and the batch is empty");
    let hep = json!({"kind": "hep", "name": "pbx", "addresses": ["192.0.2.0/24"], "key": "hunter2"});
    let added = admin("POST", "/sources", hep);
    assert_eq!(added.status, 201, "{added:?}");
    assert!(!added.text.contains("hunter2"));
    let changed =
        admin("PUT", "/sources/pbx", json!({"kind": "hep", "name": "pbx", "messages_per_second": 5}));
    assert_eq!(changed.status, 200, "{changed:?}");
    let text = std::fs::read_to_string(home.config()).expect("it is there");
    assert!(text.contains("key = \"hunter2\"") && text.contains("messages_per_second = 5"), "{text}");
    assert!(!admin("GET", "/sources", Value::Null).text.contains("hunter2"));
    for (body, said) in [
        (json!({"kind": "hep", "name": "pbx"}), "is used twice"),
        (json!({"kind": "hep", "name": "b", "addresses": ["pbx.example"]}), "192.0.2.0/24"),
        (json!({"kind": "ingest", "name": "b", "sha256": "12"}), "64 hexadecimal digits"),
        (json!({"kind": "ingest", "name": "b", "sha256": digest, "account": 0}), "positive number"),
        (json!({"kind": "ami", "name": "b"}), "unknown variant `ami`"),
    ] {
        let answer = admin("POST", "/sources", body.clone());
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.text("message").contains(said), "{body}: {answer:?}");
    }
    assert_eq!(admin("DELETE", "/sources/switch", Value::Null).status, 204);
    assert_eq!(server.call(key, "POST", "/ingest/v1/signals", Some(&signals)).status, 401);
    assert_eq!(admin("DELETE", "/sources/switch", Value::Null).error(), (404, "", "CMN-102"));
}

#[test]
fn what_is_taken_back_is_good_for_nothing_at_once() {
    let home = Home::new("admin-revoke");
    let server = Server::start(&home);
    let (account, user) = (home.made("account_id"), home.made("extension_id"));
    let admin = |method: &str, path: &str, body: Value| server.admin(&home, method, path, &body);
    let entry = json!({"name": "Widget", "accountId": account, "grants": ["jwt-bearer", "refresh_token"], "scopes": ["ReadAccounts"]});
    let application = admin("POST", "/applications", entry.clone());
    let (id, secret) = (application.text("clientId"), application.text("clientSecret"));
    assert!(admin("GET", &format!("/applications/{id}"), Value::Null).body.get("clientSecret").is_none());
    let new_jwt = |body: Value| {
        let made = admin("POST", &format!("/users/{user}/jwts"), body);
        assert_eq!(made.status, 201, "{made:?}");
        (made.text("id"), made.text("jwt"))
    };
    let log_in = |secret: &str, jwt: &str| {
        let parameters = [("grant_type", JWT_BEARER), ("assertion", jwt)];
        server.post_form("/restapi/oauth/token", Some(&basic(&id, secret)), &parameters)
    };
    let good = |token: &str| server.call(token, "GET", OWN, None).status;

    // A credential.
    let (jwt_id, jwt) = new_jwt(json!({"label": "for the widget", "clientId": id}));
    let token = log_in(&secret, &jwt).text("access_token");
    assert_eq!(good(&token), 200);
    let elsewhere = server.ask(&home, &[("grant_type", JWT_BEARER), ("assertion", &jwt)]);
    assert_eq!(elsewhere.error(), (400, "invalid_grant", "OAU-136"), "it is for one application");
    let listed = admin("GET", &format!("/users/{user}/jwts"), Value::Null);
    assert!(listed.text.contains(&jwt_id) && !listed.text.contains(&jwt));
    assert_eq!(admin("DELETE", &format!("/users/{user}/jwts/{jwt_id}"), Value::Null).status, 204);
    assert_eq!(good(&token), 401);
    assert_eq!(log_in(&secret, &jwt).error(), (400, "invalid_grant", "OAU-136"));

    // A secret.
    let (_, jwt) = new_jwt(json!({"label": "another", "days": 1}));
    let renewed = admin("POST", &format!("/applications/{id}/secret"), Value::Null).text("clientSecret");
    assert_eq!(log_in(&secret, &jwt).error(), (401, "invalid_client", "OAU-146"));
    let token = log_in(&renewed, &jwt).text("access_token");
    assert_eq!(good(&token), 200);

    // A user, for a while.
    let disabled = json!({"accountId": account, "disabled": true});
    assert_eq!(admin("PUT", &format!("/users/{user}"), disabled).status, 200);
    assert_eq!(good(&token), 401);
    assert_eq!(admin("PUT", &format!("/users/{user}"), json!({"accountId": account})).status, 200);
    assert_eq!(good(&token), 200);
    // A permission, of the application and of the user.
    let mut without = entry.clone();
    without["scopes"] = json!(["CallControl"]);
    assert_eq!(admin("PUT", &format!("/applications/{id}"), without).status, 200);
    assert_eq!(server.call(&token, "GET", OWN, None).error(), (403, "", "CMN-401"));
    assert_eq!(admin("PUT", &format!("/applications/{id}"), entry.clone()).status, 200);
    let without = json!({"accountId": account, "permissions": ["CallControl"]});
    assert_eq!(admin("PUT", &format!("/users/{user}"), without).status, 200);
    let refused = server.call(&token, "GET", OWN, None);
    assert_eq!(refused.error(), (403, "", "CMN-408"));
    assert_eq!(refused.body["errorCode"], "InsufficientPermissions");
    assert_eq!(refused.body["permissionName"], "ReadAccounts");
    assert_eq!(refused.body["errors"][0]["permissionName"], "ReadAccounts");

    // The application.
    let mut disabled = entry;
    disabled["disabled"] = json!(true);
    assert_eq!(admin("PUT", &format!("/applications/{id}"), disabled).status, 200);
    assert_eq!(good(&token), 401);
    assert_eq!(log_in(&renewed, &jwt).error(), (403, "invalid_client", "OAU-167"));
    assert_eq!(admin("DELETE", &format!("/applications/{id}"), Value::Null).status, 204);
    assert_eq!(log_in(&renewed, &jwt).error(), (401, "invalid_client", "OAU-146"));
}

#[test]
fn applications_and_users_that_cannot_be_are_refused_with_the_mend() {
    let home = Home::new("admin-refused");
    let server = Server::start(&home);
    let account = home.made("account_id");
    let application = |changes: Value| {
        let mut entry = json!({"name": "App", "accountId": account, "grants": ["jwt-bearer"], "scopes": []});
        entry.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        server.admin(&home, "POST", "/applications", &entry)
    };
    for (changes, said) in [
        (json!({"name": " "}), "name must have 1 to 200 characters"),
        (json!({"accountId": "7"}), "accountId \"7\" is no account of the directory"),
        (json!({"accountId": 7}), "expected a string"),
        (json!({"grants": []}), "allow one at least"),
        (json!({"grants": ["implicit"]}), "unknown variant `implicit`"),
        (json!({"scopes": ["Everything"]}), "\"Everything\" is no permission; there are CallControl"),
        (json!({"redirectUris": ["http://app.example/"]}), "https://app.example/done"),
        (json!({"redirectUris": ["javascript:alert(1)"]}), "https://app.example/done"),
        (json!({"public": true, "grants": ["password"]}), "leave it out"),
        (json!({"secret": "mine"}), "unknown field `secret`"),
    ] {
        let answer = application(changes.clone());
        assert_eq!(answer.error(), (400, "", "CMN-101"), "{changes}: {answer:?}");
        assert!(answer.text("message").contains(said), "{changes}: {answer:?}");
    }
    let user = home.made("extension_id");
    for (path, body, status, said) in [
        (
            format!("/users/{user}"),
            json!({"accountId": account, "password": "short"}),
            400,
            "8 to 256 characters",
        ),
        (
            format!("/users/{user}"),
            json!({"accountId": account, "permissions": ["Fly"]}),
            400,
            "\"Fly\" is no permission",
        ),
        ("/users/7".to_owned(), json!({"accountId": account}), 404, "[extensionId] is not found"),
        ("/users/x".to_owned(), json!({"accountId": account}), 404, "[extensionId] is not found"),
    ] {
        let answer = server.admin(&home, "PUT", &path, &body);
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        assert!(answer.text("message").contains(said), "{path} {body}: {answer:?}");
    }
    let headers = [("Authorization", &*format!("Bearer {}", home.made("admin_token")))];
    let broken = exchange(server.http(), "POST", "/admin/v1/applications", &headers, b"{\"name\":");
    assert_eq!(broken.error(), (400, "", "CMN-103"));
}
