//! Tests of the filters and of their index.

use std::sync::Arc;

use hookswitch_model::{
    Causes, Endpoint, InputRef, Notes, Origin, Party, Recording, RecordingId, Rule, SessionFacts, SessionId,
    Status, TelephonySessionId, Timestamp,
};
use proptest::prelude::*;

use super::*;
use crate::directory::Directory;
use crate::presence::{ActiveCalls, Family};

pub(crate) const OWN: Own =
    Own { account: AccountId::new(310_001_016), extension: ExtensionId::new(310_002_016) };
const SESSIONS: &str = "/restapi/v1.0/account/~/telephony/sessions";

fn parse(text: &str) -> Result<EventFilter, FilterError> {
    EventFilter::parse(text, OWN)
}

fn filter(query: &str) -> EventFilter {
    parse(&format!("{SESSIONS}?{query}")).expect(query)
}

/// An answered call from +14155550101 to extension 310002016, told for the callee.
pub(crate) fn event() -> Event {
    let side = |number: &str, sent: Option<&str>| {
        Arc::new(Endpoint {
            phone_number: Some(Arc::from(number)),
            sent_number: sent.map(Arc::from),
            ..Endpoint::default()
        })
    };
    Event {
        session: Arc::new(SessionFacts {
            account: OWN.account,
            id: TelephonySessionId::new(1),
            session_id: SessionId::new(5000),
            origin: Origin::Call,
        }),
        sequence: 2,
        at: Timestamp::from_micros(0),
        party: Party {
            account: OWN.account,
            extension: Some(OWN.extension),
            id: TelephonySessionId::new(1).party(2),
            direction: Direction::Inbound,
            to: side("102", None),
            from: side("+14155550101", Some("94155550101")),
            status: Status {
                code: StatusCode::Answered,
                reason: None,
                park_data: None,
                peer: None,
                mobile_pickup: false,
            },
            park: None,
            missed_call: false,
            stand_alone: false,
            muted: false,
            conference_role: None,
            ring_out_role: None,
            queue_call: false,
            recordings: Vec::new(),
            sip: None,
        },
        rule: Rule::LegAnswered,
        notes: Notes::default(),
        causes: Causes::one(InputRef::default()),
    }
}

#[test]
fn own_ids_stand_in_for_the_tilde_and_the_query_is_kept() {
    for (text, shown) in [
        (SESSIONS, "/restapi/v1.0/account/310001016/telephony/sessions"),
        (
            "/restapi/v1.0/account/~/extension/~/telephony/sessions/",
            "/restapi/v1.0/account/310001016/extension/310002016/telephony/sessions",
        ),
        (
            "/restapi/v1.0/account/310001016/extension/7/telephony/sessions",
            "/restapi/v1.0/account/310001016/extension/7/telephony/sessions",
        ),
        (
            "https://platform.example/restapi/v1.0/account/~/telephony/sessions",
            "/restapi/v1.0/account/310001016/telephony/sessions",
        ),
        ("account/~/telephony/sessions", "/restapi/v1.0/account/310001016/telephony/sessions"),
        ("restapi/v1.0/account/~/telephony/sessions", "/restapi/v1.0/account/310001016/telephony/sessions"),
        (
            "/restapi/v1.0/account/~/telephony/sessions/?statusCode=Answered&phoneNumber=%2B14155550101&colour=red",
            "/restapi/v1.0/account/310001016/telephony/sessions?statusCode=Answered&phoneNumber=%2B14155550101&colour=red",
        ),
        (
            "/restapi/v1.0/subscription/~?threshold=120&interval=30",
            "/restapi/v1.0/subscription/~?threshold=120&interval=30",
        ),
        (
            "/restapi/v1.0/account/~/extension/~/presence?detailedTelephonyState=true",
            "/restapi/v1.0/account/310001016/extension/310002016/presence?detailedTelephonyState=true",
        ),
        (
            "/restapi/v1.0/account/~/extension/~/message-store",
            "/restapi/v1.0/account/310001016/extension/310002016/message-store",
        ),
        ("/restapi/v1.0/account/~/directory/contacts", "/restapi/v1.0/account/310001016/directory/contacts"),
        ("account/~/extension/", "/restapi/v1.0/account/310001016/extension"),
        ("/restapi/v1.0/account/~", "/restapi/v1.0/account/310001016"),
    ] {
        assert_eq!(parse(text).expect(text).to_string(), shown);
    }
}

#[test]
fn a_bad_filter_is_named_in_its_error_with_its_code() {
    for (text, code) in [
        ("", "SUB-508"),
        ("/restapi/v1.0/nonsense", "SUB-508"),
        ("ftp://platform.example/restapi/v1.0/account/~/telephony/sessions", "SUB-508"),
        ("/restapi/v1.0/account/x/telephony/sessions", "SUB-508"),
        ("/restapi/v1.0/account//telephony/sessions", "SUB-508"),
        ("/restapi/v1.0/account/~/extension//telephony/sessions", "SUB-508"),
        ("/restapi/v1.0/account/~/extension/1/2/telephony/sessions", "SUB-508"),
        ("/restapi/v1.0/account/~/queue/1/telephony/sessions", "SUB-508"),
        ("/restapi/v1.0/account/~/extension/!7/telephony/sessions", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/session", "SUB-508"),
        ("/restapi/v1.0/account/~/extension/~/Telephony/sessions?statusCode=Setup", "SUB-508"),
        ("/restapi/v1.0/account/~/extension/~/presense", "SUB-508"),
        ("/restapi/v1.0/account/~/extension/~/a b", "SUB-508"),
        ("/restapi/v1.0/account/5/extension/~/presence", "SUB-406"),
        ("/restapi/v1.0/account/5", "SUB-406"),
        ("/restapi/v1.0/account/5/telephony/sessions", "SUB-406"),
        ("/restapi/v1.0/account/99999999999999999999/telephony/sessions", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?statusCode", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?statusCode=Ringing", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?statusCode=Setup,Answered", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?statusCode!=Setup", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?statusCode=!Setup", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?statusCode=Setup&statusCode=Hold", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?direction=Both", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?missedCall=yes", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?phoneNumber=", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?phoneNumber=%2", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?phoneNumber=alice", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?phoneNumber=+", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?phoneNumber=tel:nobody", "SUB-508"),
        ("/restapi/v1.0/account/~/telephony/sessions?phoneNumber=%FF", "SUB-508"),
        ("/restapi/v1.0/subscription/~", "SUB-516"),
        ("/restapi/v1.0/subscription/~?threshold=60&interval=31", "SUB-516"),
        ("/restapi/v1.0/subscription/~?threshold=60&interval=1", "SUB-516"),
        ("/restapi/v1.0/subscription/~?threshold=soon&interval=10", "SUB-516"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        assert_eq!(error.code(), code, "{text}");
    }
}

#[test]
fn an_extension_is_named_by_its_id_and_its_number_is_answered_with_that() {
    let text = "[[account]]\nid = 310001016\n[[account.extension]]\nnumber = \"102\"\nid = 310002016\n";
    let listed = Directory::parse(text).expect("a directory");
    let built_in = Directory::built_in(OWN.account);
    let check = |extension: &str, directory: &Directory| {
        let path = format!("/restapi/v1.0/account/~/extension/{extension}/telephony/sessions");
        parse(&path).expect("a filter").check_extension(directory, OWN.extension)
    };
    let empty = Directory::parse("[[account]]\nid = 310001016\n").expect("a directory");
    for (extension, directory) in
        [("310002016", &listed), ("~", &listed), ("~", &empty), ("~", &built_in), ("310002017", &built_in)]
    {
        assert_eq!(check(extension, directory), Ok(()), "{extension}");
    }
    assert!(check("102", &listed).is_err_and(|error| error.to_string().ends_with("write 310002016")));
    let derived = built_in.accounts().find_map(|one| one.resolve(&Arc::from("102"), None).extension);
    let derived = derived.expect("a short number").to_string();
    assert!(check("102", &built_in).is_err_and(|error| error.to_string().ends_with(&derived)));
    // Nobody has it.
    for (extension, directory) in [("310002017", &listed), ("103", &listed), ("310002017", &empty)] {
        let error = check(extension, directory).expect_err(extension);
        assert_eq!((error.code(), error.status()), ("SUB-408", 403), "{error}");
    }
}

#[test]
fn a_number_is_understood_as_it_is_dialled_in_the_account() {
    let directory = "[[account]]\nid = 310001016\ncountry = \"US\"\n";
    let directory = Directory::parse(directory).expect("a directory");
    for number in [
        "+14155550101",
        "%2B14155550101",
        "14155550101",
        "4155550101",
        "(415)%20555-0101",
        "tel:+1-415-555-0101",
        "tel:4155550101;phone-context=%2B1",
        "+1.415.555.0101",
    ] {
        let filter = filter(&format!("phoneNumber={number}&direction=Inbound")).in_directory(&directory);
        assert_eq!(filter.failed(&event()), None, "{number}");
        assert_eq!(parse(&filter.to_string()).expect(number).failed(&event()), None, "{number}");
    }
    assert_eq!(
        filter("phoneNumber=4155550101&direction=Inbound").in_directory(&directory).to_string(),
        "/restapi/v1.0/account/310001016/telephony/sessions?phoneNumber=%2B14155550101&direction=Inbound"
    );
    for number in ["102", "*72", "conference", "+4155550101"] {
        let shown = filter(&format!("phoneNumber={number}"));
        assert_eq!(shown.clone().in_directory(&directory), shown, "{number}");
    }
}

#[test]
fn each_parameter_passes_what_it_says() {
    let plain = event();
    for (query, failed) in [
        ("", None),
        ("direction=Inbound", None),
        ("direction=Outbound", Some(Clause::Direction)),
        ("statusCode=Answered", None),
        ("STATUSCODE=answered", None),
        ("statusCode=Hold", Some(Clause::StatusCode)),
        ("phoneNumber=+14155550101", None),
        ("phoneNumber=%2B14155550101", None),
        ("phoneNumber=14155550101", None),
        ("phoneNumber=94155550101", None),
        ("phoneNumber=102", None),
        ("phoneNumber=4155550101", Some(Clause::PhoneNumber)),
        ("missedCall=false", None),
        ("missedCall=true", Some(Clause::MissedCall)),
        ("withRecordings=false", None),
        ("withRecordings=true", Some(Clause::WithRecordings)),
        ("sipData=true", None),
        ("colour=red", None),
        ("&&direction=Inbound&", None),
        ("direction=Inbound&statusCode=Answered&phoneNumber=102", None),
        ("direction=Inbound&statusCode=Setup&phoneNumber=103", Some(Clause::StatusCode)),
    ] {
        assert_eq!(filter(query).failed(&plain), failed, "{query}");
    }
    assert_eq!(filter("sipData=true").projection(), Projection::WHOLE);
    assert_eq!(filter("sipData=false").projection(), Projection::default());

    let mut missed = event();
    missed.party.missed_call = true;
    assert!(filter("missedCall=true").matches(&missed));
    let mut recorded = event();
    recorded.party.recordings.push(Recording { id: RecordingId::new(1), active: false });
    assert!(filter("withRecordings=true").matches(&recorded));
}

#[test]
fn account_and_extension_must_be_the_events() {
    let own = parse("/restapi/v1.0/account/~/extension/~/telephony/sessions").expect("a filter");
    let other = parse("/restapi/v1.0/account/~/extension/7/telephony/sessions").expect("a filter");
    assert!(own.matches(&event()));
    assert_eq!(other.failed(&event()), Some(Clause::Extension));
    let mut outside = event();
    outside.party.extension = None;
    assert_eq!(own.failed(&outside), Some(Clause::Extension));
    let elsewhere = Own { account: AccountId::new(5), ..OWN };
    let elsewhere = EventFilter::parse(SESSIONS, elsewhere).expect("a filter");
    assert_eq!(elsewhere.failed(&event()), Some(Clause::Account));
    let presence = parse("/restapi/v1.0/account/~/extension/~/presence").expect("a filter");
    assert_eq!(presence.failed(&event()), Some(Clause::Kind));
    assert_eq!(
        presence.failed(&event()).map(|clause| clause.to_string()).as_deref(),
        Some("the filter is not for telephony sessions")
    );
}

#[test]
fn the_index_names_each_subscription_once_and_forgets_those_removed() {
    let mut index = FilterIndex::new();
    index.insert(2, &[filter("statusCode=Answered"), filter("sipData=true"), filter("phoneNumber=102")]);
    index.insert(1, &[filter("direction=Inbound")]);
    index.insert(
        3,
        &[filter("statusCode=Hold"), parse("/restapi/v1.0/account/~/presence").expect("a filter")],
    );
    let mut found = Vec::new();
    index.matches(&event(), None, &mut found);
    assert_eq!(
        found,
        [
            Match { subscription: 1, projection: Projection::default() },
            Match { subscription: 2, projection: Projection::WHOLE }
        ]
    );
    index.insert(2, &[filter("statusCode=Setup")]);
    index.remove(1);
    index.remove(9);
    index.matches(&event(), None, &mut found);
    assert_eq!(found, []);
    assert_eq!(index.len(), 2);
}

#[test]
fn an_explanation_names_the_clause_and_what_the_event_has_instead() {
    let said = |query: &str| filter(query).explain(&event()).to_string();
    assert_eq!(said("statusCode=Hold"), "statusCode=Hold: the party is Answered");
    assert_eq!(
        said("phoneNumber=103&direction=Inbound"),
        "phoneNumber=103: the call is from 14155550101, sent as 94155550101 to 102"
    );
    assert_eq!(
        said("statusCode=answered"),
        "account/310001016: the call belongs to account 310001016; statusCode=Answered: the party is Answered"
    );
    let reminder = parse("/restapi/v1.0/subscription/~?threshold=120&interval=30").expect("a filter");
    assert!(reminder.explain(&event()).to_string().ends_with("reminders of the subscription's end"));
}

#[test]
fn filters_of_calls_are_read_with_their_parameters_and_shown_as_they_were_written() {
    const OF: &str = "/restapi/v1.0/account/~/extension/~";
    let calls =
        |family, of_account, detailed, sip_data| Projection::Calls { family, of_account, detailed, sip_data };
    for (text, projection) in [
        (format!("{OF}/presence"), calls(Family::Presence, false, false, false)),
        (format!("{OF}/presence/?detailedTelephonyState=true"), calls(Family::Presence, false, true, false)),
        (format!("{OF}/presence?sipData=true"), calls(Family::Presence, false, true, true)),
        (format!("{OF}/presence?sipData=false&x=y"), calls(Family::Presence, false, false, false)),
        (
            "/restapi/v1.0/account/~/presence?detailedTelephonyState=TRUE&sipData=true".to_owned(),
            calls(Family::Presence, true, true, true),
        ),
        (format!("{OF}/missed-calls"), calls(Family::MissedCalls, false, false, false)),
        (format!("{OF}/start-ring"), calls(Family::StartRing, false, false, false)),
        (format!("{OF}/stop-ring"), calls(Family::StopRing, false, false, false)),
        (
            format!("{OF}/telephony?action=call-answered-elsewhere"),
            calls(Family::AnsweredElsewhere, false, false, false),
        ),
    ] {
        let filter = parse(&text).expect(&text);
        assert_eq!(filter.projection(), projection, "{text}");
        let shown =
            text.replace("account/~", "account/310001016").replace("extension/~", "extension/310002016");
        assert_eq!(filter.to_string(), shown.replace("/?", "?"));
    }
    // What happens elsewhere, and families of extensions asked for a whole account, are of another kind.
    for text in ["extension/~/telephony", "extension/~/telephony?action=other", "missed-calls", "start-ring"]
    {
        let text = format!("/restapi/v1.0/account/~/{text}");
        assert!(matches!(parse(&text), Ok(EventFilter::Other(_))), "{text}");
    }
    let error = parse(&format!("{OF}/presence?sipData=yes")).expect_err("a wrong value");
    assert!(error.to_string().ends_with("sipData takes true or false"), "{error}");
    let number = parse("/restapi/v1.0/account/~/extension/102/presence").expect("a filter");
    assert!(number.check_extension(&Directory::built_in(OWN.account), OWN.extension).is_err());
}

#[test]
fn one_event_is_told_once_in_each_family_with_what_any_filter_asks_for() {
    let mut calls = ActiveCalls::default();
    let mut ringing = event();
    ringing.party.status.code = StatusCode::Proceeding;
    calls.apply(&Arc::new(ringing), 1);
    let answered = Arc::new(event());
    let change = calls.apply(&answered, 2).expect("an extension");
    let filters: Vec<EventFilter> = [
        "account/~/extension/~/presence",
        "account/~/telephony/sessions",
        "account/~/extension/~/presence?sipData=true",
        "account/~/presence",
        "account/~/extension/~/stop-ring",
        "account/~/extension/~/start-ring",
        "account/~/extension/7/presence",
        "account/~/telephony/sessions?sipData=true",
    ]
    .into_iter()
    .map(|text| parse(text).expect(text))
    .collect();
    let family =
        |family, of_account, with| Projection::Calls { family, of_account, detailed: with, sip_data: with };
    let expected = [
        Projection::WHOLE,
        family(Family::Presence, false, true),
        family(Family::Presence, true, false),
        family(Family::StopRing, false, false),
    ];
    assert_eq!(Projection::all(&filters, &answered, Some(&change))[..], expected);
    assert_eq!(Projection::all(&filters, &answered, None)[..], expected[..1], "without the change");
    let mut index = FilterIndex::new();
    index.insert(7, &filters);
    let mut found = Vec::new();
    index.matches(&answered, Some(&change), &mut found);
    assert_eq!(found.iter().map(|found| found.projection).collect::<Vec<_>>(), expected);
    assert!(index.wants_changes());
    index.remove(7);
    assert!(!index.wants_changes());
    assert!(
        calls
            .apply(&Arc::new(event()), 3)
            .is_some_and(|change| { Projection::all(&filters[..1], &answered, Some(&change)).is_empty() })
    );
}

/// Texts that are filters more often than not.
fn texts() -> impl Strategy<Value = String> {
    let path = prop_oneof![
        Just(SESSIONS.to_owned()),
        Just("/restapi/v1.0/account/~/extension/~/telephony/sessions".to_owned()),
        (1u64..4).prop_map(|id| format!("/restapi/v1.0/account/~/extension/{id}/telephony/sessions")),
    ];
    let part = prop_oneof![
        Just("direction=Inbound"),
        Just("direction=Outbound"),
        Just("statusCode=Answered"),
        Just("statusCode=Setup"),
        Just("phoneNumber=%2B14155550101"),
        Just("phoneNumber=102"),
        Just("phoneNumber=103"),
        Just("missedCall=true"),
        Just("sipData=true"),
        Just("withRecordings=true"),
        Just("colour=red"),
    ];
    (path, prop::collection::vec(part, 0..3)).prop_map(|(path, parts)| match parts.as_slice() {
        [] => path,
        parts => format!("{path}?{}", parts.join("&")),
    })
}

fn events() -> impl Strategy<Value = Event> {
    let statuses = prop_oneof![Just(StatusCode::Answered), Just(StatusCode::Setup), Just(StatusCode::Hold)];
    (statuses, any::<bool>(), any::<bool>(), any::<bool>(), 0u64..4).prop_map(
        |(code, outbound, missed, recorded, extension)| {
            let mut event = event();
            event.party.status.code = code;
            event.party.missed_call = missed;
            if outbound {
                event.party.direction = Direction::Outbound;
            }
            if recorded {
                event.party.recordings.push(Recording { id: RecordingId::new(1), active: true });
            }
            event.party.extension = match extension {
                0 => None,
                3 => Some(OWN.extension),
                id => Some(ExtensionId::new(id)),
            };
            event
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_asking_every_filter_finds(
        subscriptions in prop::collection::vec(prop::collection::vec(texts(), 1..4), 0..12),
        removed in prop::collection::vec(0usize..12, 0..4),
        events in prop::collection::vec(events(), 1..8),
    ) {
        let mut all: Vec<Option<Vec<EventFilter>>> = subscriptions
            .iter()
            .map(|texts| Some(texts.iter().filter_map(|text| parse(text).ok()).collect()))
            .collect();
        let mut index = FilterIndex::new();
        for (id, filters) in all.iter().enumerate() {
            index.insert(id, filters.as_deref().unwrap_or_default());
        }
        for id in removed {
            index.remove(id);
            if let Some(filters) = all.get_mut(id) {
                *filters = None;
            }
        }
        let mut found = Vec::new();
        for event in &events {
            index.matches(event, None, &mut found);
            let asked: Vec<_> = all
                .iter()
                .enumerate()
                .filter_map(|(subscription, filters)| {
                    let passed: Vec<_> = filters.iter().flatten().filter(|filter| filter.matches(event)).collect();
                    let sip_data = passed.iter().any(|filter| filter.projection() == Projection::WHOLE);
                    (!passed.is_empty()).then_some(Match { subscription, projection: Projection::Session { sip_data } })
                })
                .collect();
            prop_assert_eq!(&found, &asked);
        }
    }

    #[test]
    fn what_explains_a_filter_says_what_matching_it_says(text in texts(), event in events()) {
        let Ok(filter) = parse(&text) else { return Ok(()) };
        let explanation = filter.explain(&event);
        prop_assert_eq!(explanation.matched(), filter.matches(&event));
        prop_assert_eq!(explanation.failed().map(|finding| finding.clause), filter.failed(&event));
        let (last, before) = explanation.clauses.split_last().expect("the account at least");
        prop_assert!(before.iter().all(|finding| finding.passed), "{}", last);
    }

    #[test]
    fn a_filter_that_is_shown_is_read_as_the_same(text in texts()) {
        if let Ok(filter) = parse(&text) {
            prop_assert_eq!(parse(&filter.to_string()), Ok(filter));
        }
    }

    #[test]
    fn no_text_is_too_odd(text in "\\PC*", query in "\\PC*") {
        parse(&text).ok();
        parse(&format!("{SESSIONS}?{query}")).ok();
        parse(&format!("/restapi/v1.0/subscription/~?{query}")).ok();
    }
}
