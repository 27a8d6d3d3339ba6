//! Tokens: who gets them, what they are good for, and how they end.

use std::collections::BTreeSet;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use serde_json::{Value, json};

use super::client::{Answer, JWT_BEARER, basic, exchange, form, post_form};
use super::{Home, Server};

/// A resource that needs a token and nothing else.
const OWN: &str = "/restapi/v1.0/account/~/extension/~";

#[test]
fn a_jwt_becomes_tokens_that_open_the_api_until_they_are_revoked() {
    let home = Home::new("oauth");
    let server = Server::start(&home);
    let tokens = server.log_in(&home);
    assert_eq!(tokens.body["token_type"], "bearer");
    assert_eq!(
        (&tokens.body["expires_in"], &tokens.body["refresh_token_expires_in"]),
        (&json!(3600), &json!(604_800))
    );
    assert_eq!(tokens.body["owner_id"], home.made("extension_id"));
    assert_eq!(
        tokens.body["scope"],
        "CallControl ReadAccounts ReadCallLog ReadPresence SubscriptionWebhook WebSocketsSubscription"
    );
    assert_eq!(tokens.headers["cache-control"], "no-store");
    assert_eq!(tokens.headers["content-type"], "application/json");
    for header in
        ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-window", "rcrequestid", "routingkey"]
    {
        assert!(tokens.headers.contains_key(header), "{header}: {tokens:?}");
    }
    assert_eq!(tokens.headers["x-rate-limit-group"], "auth");
    let access = tokens.text("access_token");
    let own = server.call(&access, "GET", OWN, None);
    assert_eq!(own.status, 200, "{own:?}");
    assert_eq!(own.headers["x-rate-limit-group"], "light");
    // The scheme in any case, as SDKs send it.
    let lower = exchange(server.http(), "GET", OWN, &[("Authorization", &format!("bearer {access}"))], b"");
    assert_eq!(lower.status, 200);

    let authorization = basic(home.made("client_id"), home.made("client_secret"));
    let refresh = tokens.text("refresh_token");
    let revoked = server.post_form("/restapi/oauth/revoke", Some(&authorization), &[("token", &refresh)]);
    assert_eq!((revoked.status, &*revoked.text), (200, "{}"));
    let refused = server.call(&access, "GET", OWN, None);
    assert_eq!(refused.error(), (401, "", "OAU-213"));
    assert_eq!(refused.body["errorCode"], "TokenInvalid");
    let refused = server.ask(&home, &[("grant_type", "refresh_token"), ("refresh_token", &refresh)]);
    assert_eq!(refused.error(), (400, "invalid_grant", "OAU-213"));
    // A token that is not known is as good as revoked.
    let unknown = server.post_form("/restapi/oauth/revoke", Some(&authorization), &[("token", "x")]);
    assert_eq!(unknown.status, 200);
}

#[test]
fn requests_without_a_good_token_are_told_what_is_wrong() {
    let home = Home::new("oauth-bearer");
    let server = Server::start(&home);
    for (value, code) in [
        (None, "OAU-149"),
        (Some("Bearer"), "OAU-149"),
        (Some("Basic eDp5"), "OAU-151"),
        (Some("Bearer a b"), "OAU-129"),
        (Some("Bearer {}"), "OAU-129"),
        (Some("Bearer unknown"), "OAU-213"),
    ] {
        let headers: Vec<_> = value.map(|value| ("Authorization", value)).into_iter().collect();
        let answer = exchange(server.http(), "GET", OWN, &headers, b"");
        assert_eq!(answer.error(), (401, "", code), "{value:?}");
        assert_eq!(answer.body["errorCode"], "TokenInvalid");
        assert!(!answer.text("message").is_empty());
    }
}

#[test]
fn each_mistake_at_the_token_endpoint_has_its_answer() {
    let home = Home::new("oauth-mistakes");
    let server = Server::start(&home);
    let (id, secret, jwt) = (home.made("client_id"), home.made("client_secret"), home.made("jwt"));
    let good = basic(id, secret);
    let ask = |authorization: Option<&str>, parameters: &[(&str, &str)]| {
        let answer = server.post_form("/restapi/oauth/token", authorization, parameters);
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(answer.body["error_description"].is_string(), "{answer:?}");
        let (status, error, code) = answer.error();
        (status, error.to_owned(), code.to_owned())
    };
    let is = |status: u16, error: &str, code: &str| (status, error.to_owned(), code.to_owned());
    let jwt_grant = [("grant_type", JWT_BEARER), ("assertion", jwt)];
    assert_eq!(ask(None, &jwt_grant), is(400, "invalid_client", "OAU-123"));
    assert_eq!(ask(Some("Bearer x"), &jwt_grant), is(401, "invalid_client", "OAU-123"));
    assert_eq!(ask(Some(&basic(id, "wrong")), &jwt_grant), is(401, "invalid_client", "OAU-146"));
    // An unknown client gets the same, and so does one without its secret.
    assert_eq!(ask(Some(&basic("nobody", "wrong")), &jwt_grant), is(401, "invalid_client", "OAU-146"));
    let in_form = [("grant_type", JWT_BEARER), ("assertion", jwt), ("client_id", id)];
    assert_eq!(ask(None, &in_form), is(400, "invalid_client", "OAU-146"));
    let differing = [("grant_type", JWT_BEARER), ("assertion", jwt), ("client_id", "another")];
    assert_eq!(ask(Some(&good), &differing), is(400, "invalid_request", "CMN-101"));
    assert_eq!(ask(Some(&good), &[]), is(400, "invalid_request", "CMN-101"));
    assert_eq!(ask(Some(&good), &[("grant_type", "partner_jwt")]), is(400, "invalid_request", "OAU-251"));
    assert_eq!(ask(Some(&good), &[("grant_type", JWT_BEARER)]), is(400, "invalid_request", "CMN-101"));
    let doubled = [("grant_type", JWT_BEARER), ("assertion", jwt), ("assertion", jwt)];
    assert_eq!(ask(Some(&good), &doubled), is(400, "invalid_request", "OAU-111"));
    let password = [("grant_type", "password"), ("username", "101"), ("password", "x")];
    assert_eq!(ask(Some(&good), &password), is(400, "unauthorized_client", "OAU-112"));
    let code = [("grant_type", "authorization_code"), ("code", "x"), ("redirect_uri", "https://a.example")];
    assert_eq!(ask(Some(&good), &code), is(400, "invalid_grant", "OAU-106"));
    let json = exchange(
        server.http(),
        "POST",
        "/restapi/oauth/token",
        &[("Content-Type", "application/json")],
        b"{}",
    );
    assert_eq!(json.error(), (415, "invalid_request", "CMN-101"));
    let in_url = format!("/restapi/oauth/token?client_secret={secret}");
    let answer = server.post_form(&in_url, Some(&good), &jwt_grant);
    assert_eq!(answer.error(), (400, "invalid_request", "CMN-101"));
    let both = [("grant_type", JWT_BEARER), ("assertion", jwt), ("client_id", id)];
    assert_eq!(server.post_form("/restapi/oauth/token", Some(&good), &both).status, 200);
}

#[test]
fn a_hundred_parallel_refreshes_give_one_pair_and_a_late_one_ends_the_grant() {
    let home = Home::new("oauth-refresh");
    let server = Server::start(&home);
    let first = server.log_in(&home);
    let refresh = first.text("refresh_token");
    // Lifetimes as SDKs send them after a 401.
    let parameters = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*refresh),
        ("access_token_ttl", "-1"),
        ("refresh_token_ttl", "NaN"),
    ];
    let pairs: BTreeSet<(String, String)> = thread::scope(|scope| {
        let (to, authorization) = (server.http(), basic(home.made("client_id"), home.made("client_secret")));
        let ask = move || {
            let answer = post_form(to, "/restapi/oauth/token", Some(&authorization), &parameters);
            assert_eq!(answer.status, 200, "{answer:?}");
            (answer.text("access_token"), answer.text("refresh_token"))
        };
        let asking: Vec<_> = (0..100).map(|_| scope.spawn(ask.clone())).collect();
        asking.into_iter().map(|asking| asking.join().expect("an answer")).collect()
    });
    assert_eq!(pairs.len(), 1, "all get the same pair");
    let (access, next) = pairs.first().expect("one pair").clone();
    assert_ne!(next, refresh);
    // The old access token died with the refresh.
    assert_eq!(server.call(&first.text("access_token"), "GET", OWN, None).status, 401);
    assert_eq!(server.call(&access, "GET", OWN, None).status, 200);
    assert_eq!(
        server.ask(&home, &parameters).text("access_token"),
        access,
        "within ten seconds of the first use"
    );
    drop(server);

    // The ten seconds are over when the store says that the first use was eleven seconds ago.
    let database = rusqlite::Connection::open(home.directory.join("data/hookswitch.db")).expect("it opens");
    let changed = database
        .execute(
            "UPDATE documents SET content = json_set(content, '$.used', json_extract(content, '$.used') - 11) \
             WHERE kind = 'refresh_token' AND json_extract(content, '$.replaced') IS NULL \
             AND json_extract(content, '$.used') IS NOT NULL",
            [],
        )
        .expect("it can be written");
    assert_eq!(changed, 1);
    drop(database);
    let server = Server::start(&home);
    assert_eq!(server.call(&access, "GET", OWN, None).status, 200, "tokens outlive a restart");
    assert_eq!(server.ask(&home, &parameters).error(), (400, "invalid_grant", "OAU-211"));
    assert_eq!(server.call(&access, "GET", OWN, None).status, 401, "the family is revoked");
    let refused = server.ask(&home, &[("grant_type", "refresh_token"), ("refresh_token", &next)]);
    assert_eq!(refused.error(), (400, "invalid_grant", "OAU-213"));
}

#[test]
fn a_login_that_is_refreshed_for_ever_does_not_grow() {
    let home = Home::new("oauth-forever");
    let server = Server::start(&home);
    let first = server.log_in(&home).text("refresh_token");
    let ask = |server: &Server, token: &str| {
        server.ask(&home, &[("grant_type", "refresh_token"), ("refresh_token", token)])
    };
    let (mut token, mut access) = (first.clone(), String::new());
    for _ in 0..40 {
        let answer = ask(&server, &token);
        assert_eq!(answer.status, 200, "{answer:?}");
        (token, access) = (answer.text("refresh_token"), answer.text("access_token"));
    }
    assert_eq!(server.call(&access, "GET", OWN, None).status, 200);
    drop(server);
    let database = rusqlite::Connection::open(home.directory.join("data/hookswitch.db")).expect("it opens");
    let count = |kind: &str| -> (i64, i64) {
        let sql = "SELECT count(*), max(length(content)) FROM documents WHERE kind = ?1";
        database.query_row(sql, [kind], |row| Ok((row.get(0)?, row.get(1)?))).expect("it can be read")
    };
    assert!(count("refresh_token").0 <= 8, "{:?}", count("refresh_token"));
    assert!(count("grant").1 < 2000, "{:?}", count("grant"));
    drop(database);
    // The first token is not stored any more, and is known all the same: two may hold it.
    let server = Server::start(&home);
    assert_eq!(ask(&server, &first).error(), (400, "invalid_grant", "OAU-213"));
    assert_eq!(server.call(&access, "GET", OWN, None).status, 401, "the family is revoked");
    // What nobody has made ends nothing.
    let other = server.log_in(&home).text("access_token");
    assert_eq!(ask(&server, &format!("{}A", &first[..first.len() - 1])).status, 400);
    assert_eq!(server.call(&other, "GET", OWN, None).status, 200);
}

#[test]
fn a_sixth_login_ends_the_first() {
    let home = Home::new("oauth-sixth");
    let server = Server::start(&home);
    let tokens: Vec<String> = (0..6).map(|_| server.log_in(&home).text("access_token")).collect();
    let statuses: Vec<u16> = tokens.iter().map(|token| server.call(token, "GET", OWN, None).status).collect();
    assert_eq!(statuses, [401, 200, 200, 200, 200, 200]);
}

#[test]
fn who_guesses_is_stopped_after_ten_failures_and_others_are_not() {
    let home = Home::new("oauth-guess");
    let server = Server::start(&home);
    let jwt = [("grant_type", JWT_BEARER), ("assertion", home.made("jwt"))];
    let guess = |id: &str| server.post_form("/restapi/oauth/token", Some(&basic(id, "guess")), &jwt);
    for client in [home.made("client_id"), "nobody"] {
        let statuses: Vec<u16> = (0..12).map(|_| guess(client).status).collect();
        assert_eq!(statuses, [[401; 10].as_slice(), &[429; 2]].concat(), "{client}");
    }
    let stopped = server.ask(&home, &jwt);
    assert_eq!(stopped.error(), (429, "invalid_request", "OAU-147"));
    let seconds: u32 = stopped.headers["retry-after"].parse().expect("seconds");
    assert!((1..=60).contains(&seconds));
    assert_eq!(guess("somebody").status, 401);
}

#[test]
fn no_token_and_no_secret_is_in_any_file_or_in_the_log() {
    let home = Home::new("oauth-canaries");
    let server = Server::start_with(&home, &[("HOOKSWITCH_LOG__LEVEL", "trace")]);
    let mut secrets = vec![home.made("client_secret").to_owned(), home.made("jwt").to_owned()];
    secrets.push(home.made("admin_token").to_owned());
    let mut refresh = server.log_in(&home).text("refresh_token");
    for _ in 0..50 {
        let answer = server.ask(&home, &[("grant_type", "refresh_token"), ("refresh_token", &refresh)]);
        refresh = answer.text("refresh_token");
        secrets.extend([answer.text("access_token"), refresh.clone()]);
        server.call(&answer.text("access_token"), "GET", OWN, None);
    }
    assert!(secrets.iter().all(|secret| secret.len() >= 27), "160 bits in base64url");
    server.signal("TERM");
    let log: String = server.log.lock().expect("no panic").iter().map(|line| line.to_string()).collect();
    let mut places = vec![("the log".to_owned(), log.into_bytes())];
    let mut folders = vec![home.directory.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be read").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).expect("it can be read");
                places.push((entry.path().display().to_string(), bytes));
            }
        }
    }
    assert!(places.len() >= 5);
    for (place, bytes) in &places {
        for secret in &secrets {
            assert!(
                !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
                "a secret is in {place}"
            );
        }
    }
}

#[test]
fn a_page_of_another_origin_may_use_the_api_and_read_its_headers() {
    let home = Home::new("oauth-cors");
    let server = Server::start(&home);
    let origin = ("Origin", "https://widget.example");
    let preflight = exchange(
        server.http(),
        "OPTIONS",
        OWN,
        &[
            origin,
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "authorization,client-id"),
        ],
        b"",
    );
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.headers["access-control-allow-origin"], "https://widget.example");
    assert_eq!(preflight.headers["access-control-allow-credentials"], "true");
    assert!(preflight.headers["access-control-allow-headers"].contains("client-id"));
    let answer = exchange(server.http(), "GET", OWN, &[origin], b"");
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["access-control-allow-origin"], "https://widget.example");
    for header in ["retry-after", "x-rate-limit-remaining", "rcrequestid"] {
        assert!(answer.headers["access-control-expose-headers"].contains(header), "{header}");
    }
}

#[test]
fn requests_beyond_the_limit_wait_for_the_next_minute() {
    let home = Home::new("oauth-limit");
    let server = Server::start_with(&home, &[("HOOKSWITCH_LIMITS__REQUESTS_PER_MINUTE", "5")]);
    let token = server.log_in(&home).text("access_token");
    let answers: Vec<Answer> = (0..6).map(|_| server.call(&token, "GET", OWN, None)).collect();
    let left: Vec<&str> = answers.iter().map(|answer| &*answer.headers["x-rate-limit-remaining"]).collect();
    assert_eq!(left, ["4", "3", "2", "1", "0", "0"]);
    assert_eq!(answers[4].status, 200);
    assert_eq!(answers[5].error(), (429, "", "CMN-301"));
    assert_eq!(answers[5].headers["x-rate-limit-limit"], "5");
    assert!(
        answers[5].headers["retry-after"].parse::<u32>().is_ok_and(|seconds| (1..=60).contains(&seconds))
    );
}

/// The key that signs credentials.
fn assertion_key(home: &Home) -> hmac::Key {
    let bytes = std::fs::read(home.directory.join("secret.key")).expect("init has made it");
    let root = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"assertions").as_ref())
}

/// A JWT of these two texts.
fn sign(key: &hmac::Key, header: &str, claims: &str) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(key, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[test]
fn no_bad_assertion_is_accepted() {
    const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
    let home = Home::new("oauth-assertions");
    let server = Server::start(&home);
    let key = assertion_key(&home);
    let good = home.made("jwt");
    let claims = good.split('.').nth(1).expect("three parts");
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("claims");
    assert_eq!(claims["iss"], claims["aud"]);
    let audience = claims["aud"].as_str().expect("a name").to_owned();
    let now = claims["iat"].as_i64().expect("a time");
    let with = |changes: Value| {
        let mut claims = claims.clone();
        for (name, value) in changes.as_object().expect("an object") {
            if value == "(gone)" {
                claims.as_object_mut().expect("an object").remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        sign(&key, HEADER, &claims.to_string())
    };
    let headed = |header: &str| sign(&key, header, &claims.to_string());
    let raw = |claims: &str| sign(&key, HEADER, claims);
    let other_key = hmac::Key::new(hmac::HMAC_SHA256, b"another key of 32 bytes, for sure");
    let file = std::fs::read(home.directory.join("secret.key")).expect("it is there");
    let (text, tag) = good.rsplit_once('.').expect("three parts");
    let (head, body) = text.split_once('.').expect("three parts");
    let mut bad: Vec<(&str, String)> = vec![
        ("alg none without a signature", format!("{}.{body}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#))),
        ("alg none with one", headed(r#"{"alg":"none","typ":"JWT"}"#)),
        ("alg None", headed(r#"{"alg":"None","typ":"JWT"}"#)),
        ("alg NONE", headed(r#"{"alg":"NONE","typ":"JWT"}"#)),
        ("alg HS384", headed(r#"{"alg":"HS384","typ":"JWT"}"#)),
        ("alg HS512", headed(r#"{"alg":"HS512","typ":"JWT"}"#)),
        ("alg RS256", headed(r#"{"alg":"RS256","typ":"JWT"}"#)),
        ("alg ES256", headed(r#"{"alg":"ES256","typ":"JWT"}"#)),
        ("alg ES256 with another curve", headed(r#"{"alg":"ES256","crv":"P-521"}"#)),
        ("alg EdDSA", headed(r#"{"alg":"EdDSA","typ":"JWT"}"#)),
        ("alg PS256", headed(r#"{"alg":"PS256","typ":"JWT"}"#)),
        ("alg hs256", headed(r#"{"alg":"hs256","typ":"JWT"}"#)),
        ("alg with a space", headed(r#"{"alg":"HS256 ","typ":"JWT"}"#)),
        ("alg missing", headed(r#"{"typ":"JWT"}"#)),
        ("alg null", headed(r#"{"alg":null}"#)),
        ("alg in a list", headed(r#"{"alg":["HS256"]}"#)),
        ("alg twice", headed(r#"{"alg":"none","alg":"HS256"}"#)),
        ("an unknown kid", headed(r#"{"alg":"HS256","kid":"7"}"#)),
        ("a kid that is a path", headed(r#"{"alg":"HS256","kid":"../../dev/null"}"#)),
        ("a kid that is an address", headed(r#"{"alg":"HS256","kid":"http://127.0.0.1/key"}"#)),
        ("a kid that is SQL", headed(r#"{"alg":"HS256","kid":"' OR 1=1 --"}"#)),
        ("jku", headed(r#"{"alg":"HS256","jku":"http://127.0.0.1/keys"}"#)),
        ("x5u", headed(r#"{"alg":"HS256","x5u":"http://127.0.0.1/cert"}"#)),
        ("x5c", headed(r#"{"alg":"HS256","x5c":["AA"]}"#)),
        ("jwk", headed(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#)),
        ("crit", headed(r#"{"alg":"HS256","crit":["exp"]}"#)),
        ("b64", headed(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#)),
        ("zip", headed(r#"{"alg":"HS256","zip":"DEF"}"#)),
        ("a nested JWT by its cty", headed(r#"{"alg":"HS256","cty":"JWT"}"#)),
        ("a nested JWT", sign(&key, HEADER, good)),
        ("typ of an access token", headed(r#"{"alg":"HS256","typ":"at+jwt"}"#)),
        ("a header that is a list", headed("[]")),
        ("a header that is no JSON", headed("alg=HS256")),
        ("encrypted, of five parts", format!("{head}.{body}.{tag}.{tag}.{tag}")),
        ("signed with another key", sign(&other_key, HEADER, &claims.to_string())),
        (
            "signed with an empty key",
            sign(&hmac::Key::new(hmac::HMAC_SHA256, b""), HEADER, &claims.to_string()),
        ),
        (
            "signed with the file",
            sign(&hmac::Key::new(hmac::HMAC_SHA256, &file), HEADER, &claims.to_string()),
        ),
        (
            "signed with the name of the server as a key",
            sign(&hmac::Key::new(hmac::HMAC_SHA256, audience.as_bytes()), HEADER, &claims.to_string()),
        ),
        ("without a signature", format!("{text}.")),
        ("half a signature", format!("{text}.{}", &tag[..20])),
        (
            "a signature with a changed bit",
            format!("{text}.{}{}", if tag.starts_with('A') { "B" } else { "A" }, &tag[1..]),
        ),
        ("a signature in base64 with padding", format!("{text}.{tag}=")),
        (
            "other claims under the signature",
            format!("{head}.{}.{tag}", URL_SAFE_NO_PAD.encode(r#"{"sub":"1"}"#)),
        ),
        ("cut off", text.to_owned()),
        ("one part", head.to_owned()),
        ("points alone", "..".into()),
        ("a mebibyte", sign(&key, HEADER, &format!(r#"{{"pad":"{}"}}"#, "x".repeat(700_000)))),
        ("aud of another server", with(json!({"aud": "urn:hookswitch:0000000000000000"}))),
        ("aud missing", with(json!({"aud": "(gone)"}))),
        ("aud in a list", with(json!({"aud": [audience.clone()]}))),
        ("aud in a list with another", with(json!({"aud": ["https://a.example", audience.clone()]}))),
        ("aud that begins like ours", with(json!({"aud": format!("{audience}.evil.example")}))),
        ("aud that ends like ours", with(json!({"aud": format!("x{audience}")}))),
        ("aud cut short", with(json!({"aud": &audience[..audience.len() - 1]}))),
        ("aud in capitals", with(json!({"aud": audience.to_uppercase()}))),
        ("aud empty", with(json!({"aud": ""}))),
        ("aud a number", with(json!({"aud": 7}))),
        ("iss of another server", with(json!({"iss": "https://a.example"}))),
        ("iss missing", with(json!({"iss": "(gone)"}))),
        ("exp in the past", with(json!({"iat": now - 600, "exp": now - 61}))),
        ("exp far away", with(json!({"exp": now + 11 * 366 * 86_400}))),
        ("exp at the end of time", with(json!({"exp": i64::MAX}))),
        ("exp missing", with(json!({"exp": "(gone)"}))),
        ("exp as text", with(json!({"exp": (now + 600).to_string()}))),
        ("exp with a fraction", with(json!({"exp": 4_102_444_800.5}))),
        ("exp negative", with(json!({"exp": -1}))),
        ("exp null", with(json!({"exp": null}))),
        ("nbf ahead", with(json!({"nbf": now + 3600}))),
        ("nbf as text", with(json!({"nbf": "0"}))),
        ("iat ahead", with(json!({"iat": now + 3600}))),
        ("iat negative", with(json!({"iat": -5}))),
        ("iat missing", with(json!({"iat": "(gone)"}))),
        ("iat after exp", with(json!({"iat": now, "exp": now - 30}))),
        ("sub of another extension", with(json!({"sub": "310002016"}))),
        ("sub with a space", with(json!({"sub": format!(" {}", home.made("extension_id"))}))),
        ("sub a number", with(json!({"sub": home.made("extension_id").parse::<u64>().expect("a number")}))),
        ("sub missing", with(json!({"sub": "(gone)"}))),
        ("sub a client", with(json!({"sub": home.made("client_id")}))),
        ("jti that was never issued", with(json!({"jti": "never"}))),
        ("jti missing", with(json!({"jti": "(gone)"}))),
        ("jti of another document", with(json!({"jti": home.made("client_id")}))),
        ("claims that are a list", raw("[]")),
        ("claims that are no JSON", raw("sub=1")),
        ("claims with more behind them", raw(&format!("{claims}{claims}"))),
        ("claims that are empty", raw("{}")),
    ];
    let doubled = claims.to_string().replacen('{', &format!(r#"{{"exp":{},"#, now + 1), 1);
    bad.push(("exp twice", raw(&doubled)));
    let doubled = claims.to_string().replacen('{', r#"{"sub":"1","#, 1);
    bad.push(("sub twice", raw(&doubled)));
    assert!(bad.len() >= 60, "{}", bad.len());

    let client = |index: usize| {
        // Each in turn from an application of its own, so that none is stopped for guessing.
        let database =
            rusqlite::Connection::open(home.directory.join("data/hookswitch.db")).expect("it opens");
        let id = format!("public-{index}");
        let content = json!({
            "name": id, "account": home.made("account_id"), "grants": ["jwt-bearer"], "scopes": ["CallControl"],
        });
        database.busy_timeout(super::PATIENCE).expect("it can be set");
        database
            .execute(
                "INSERT OR IGNORE INTO documents VALUES ('application', ?, 1, ?)",
                (&id, content.to_string()),
            )
            .expect("it can be written");
        id
    };
    for (index, (what, assertion)) in bad.iter().enumerate() {
        let id = client(index / 8);
        let parameters = [("grant_type", JWT_BEARER), ("assertion", &**assertion), ("client_id", &id)];
        let answer = server.post_form("/restapi/oauth/token", None, &parameters);
        let expected = if *what == "a mebibyte" && answer.status == 413 { 413 } else { 400 };
        assert_eq!(answer.status, expected, "{what}: {answer:?}");
        if expected == 400 {
            assert_eq!(answer.error(), (400, "invalid_grant", "OAU-136"), "{what}");
            assert_eq!(answer.headers["cache-control"], "no-store", "{what}");
        }
    }
    // What differs from them all in nothing but being right.
    for (what, assertion) in [
        ("as issued", good.to_owned()),
        ("signed by the test", headed(HEADER)),
        ("without typ", headed(r#"{"alg":"HS256"}"#)),
        ("from a clock that is ahead", with(json!({"iat": now + 30}))),
    ] {
        let parameters = [("grant_type", JWT_BEARER), ("assertion", &*assertion), ("client_id", "public-99")];
        if what == "as issued" {
            client(99);
        }
        let answer = server.post_form("/restapi/oauth/token", None, &parameters);
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
    }
}

/// Puts a user's password and an application's address into the store of a server that does not run.
fn prepare_login(home: &Home, redirect_uri: &str) {
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$";
    let database = rusqlite::Connection::open(home.directory.join("data/hookswitch.db")).expect("it opens");
    let secret: String = database
        .query_row(
            "SELECT json_extract(content, '$.secret') FROM documents WHERE kind = 'application'",
            [],
            |row| row.get(0),
        )
        .expect("init has made an application");
    assert!(secret.starts_with(hash), "{secret}");
    // The password of the user is the secret of the application, whose hash is at hand.
    let change = |sql: &str, value: &str| database.execute(sql, [value]).expect("it can be written");
    change("UPDATE documents SET content = json_set(content, '$.password', ?) WHERE kind = 'user'", &secret);
    change(
        "UPDATE documents SET content = json_set(content, '$.redirect_uris', json_array(?)) WHERE kind = 'application'",
        redirect_uri,
    );
}

#[test]
fn a_user_logs_in_and_the_application_gets_a_code_that_is_good_once() {
    const REDIRECT: &str = "https://app.example/done?x=1";
    let home = Home::new("oauth-code");
    prepare_login(&home, REDIRECT);
    let server = Server::start(&home);
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    let asked = [
        ("response_type", "code"),
        ("client_id", home.made("client_id")),
        ("redirect_uri", REDIRECT),
        ("state", "<b>&\"'"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("brand_id", ""),
    ];
    let page =
        exchange(server.http(), "GET", &format!("/restapi/oauth/authorize?{}", form(&asked)), &[], b"");
    assert_eq!(page.status, 200, "{page:?}");
    let policy = &page.headers["content-security-policy"];
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("script"), "{policy}");
    assert!(policy.contains("form-action 'self' https://app.example;"), "{policy}");
    assert!(
        page.text.contains("First application") && page.text.contains("&lt;b&gt;&amp;&quot;&#39;"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("<script") && !page.text.contains("<b>&"), "{}", page.text);

    let submit = |password: &str| {
        let mut filled = asked.to_vec();
        filled.extend([("user", "101"), ("pass", password)]);
        server.post_form("/restapi/oauth/authorize", None, &filled)
    };
    let wrong = submit("wrong");
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.text.contains("The name or the password is wrong") && !wrong.text.contains("value=\"wrong\"")
    );
    let code = || {
        let answer = submit(home.made("client_secret"));
        assert_eq!(answer.status, 302, "{answer:?}");
        let address = answer.headers["location"].clone();
        let query = address.strip_prefix("https://app.example/done?x=1&").expect("the address").to_owned();
        let found: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!(found[1..], [("state".into(), "<b>&\"'".into()), ("expires_in".into(), "60".into())]);
        found[0].1.clone()
    };
    let trade = |code: &str, redirect_uri: &str, verifier: &str| {
        let parameters = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        server.ask(&home, &parameters)
    };
    assert_eq!(
        trade(&code(), "https://app.example/done", verifier).error(),
        (400, "invalid_grant", "OAU-109")
    );
    assert_eq!(
        trade(&code(), REDIRECT, &verifier.replace('d', "e")).error(),
        (400, "invalid_grant", "OAU-108")
    );
    assert_eq!(trade(&code(), REDIRECT, "").error(), (400, "invalid_grant", "OAU-108"));
    let once = code();
    let tokens = trade(&once, REDIRECT, verifier);
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.body["owner_id"], home.made("extension_id"));
    let access = tokens.text("access_token");
    assert_eq!(server.call(&access, "GET", OWN, None).status, 200);
    assert_eq!(trade(&once, REDIRECT, verifier).error(), (400, "invalid_grant", "OAU-106"));
    assert_eq!(server.call(&access, "GET", OWN, None).status, 401, "what the code gave is taken back");

    // Nothing is sent to an address that is not registered.
    let mut elsewhere = asked.to_vec();
    elsewhere[2].1 = "https://app.example/done?x=1&y=2";
    let query = form(&elsewhere);
    let refused = exchange(server.http(), "GET", &format!("/restapi/oauth/authorize?{query}"), &[], b"");
    assert_eq!((refused.status, refused.headers.get("location")), (400, None));
    // Other mistakes are told to the application.
    let mut token = asked.to_vec();
    token[0].1 = "token";
    let refused =
        exchange(server.http(), "GET", &format!("/restapi/oauth/authorize?{}", form(&token)), &[], b"");
    assert_eq!(refused.status, 302);
    assert!(refused.headers["location"].contains("error=unsupported_response_type"), "{refused:?}");
}

#[test]
fn a_password_is_taken_only_where_that_is_allowed() {
    let home = Home::new("oauth-password");
    prepare_login(&home, "https://app.example");
    let database = rusqlite::Connection::open(home.directory.join("data/hookswitch.db")).expect("it opens");
    let sql = "UPDATE documents SET content = json_set(content, '$.grants', json_array('password')) \
               WHERE kind = 'application'";
    database.execute(sql, []).expect("it can be written");
    drop(database);
    let ask = |server: &Server, username: &str, extension: &str| {
        let password = home.made("client_secret");
        let parameters = [
            ("grant_type", "password"),
            ("username", username),
            ("extension", extension),
            ("password", password),
        ];
        server.ask(&home, &parameters)
    };
    let server = Server::start(&home);
    assert_eq!(ask(&server, "101", "").error(), (400, "unauthorized_client", "OAU-112"));
    drop(server);
    let server = Server::start_with(&home, &[("HOOKSWITCH_OAUTH__PASSWORD_GRANT", "true")]);
    let with_account = format!("{}*101", home.made("account_id"));
    for (username, extension) in [("101", ""), (&*with_account, ""), (home.made("account_id"), "101")] {
        assert_eq!(ask(&server, username, extension).status, 200, "{username} {extension}");
    }
    for (username, extension) in [("102", ""), ("999", ""), ("nobody", "101"), ("101", "102")] {
        assert_eq!(
            ask(&server, username, extension).error(),
            (400, "invalid_grant", "OAU-140"),
            "{username}"
        );
    }
}
