//! The index: what it finds, and that one that follows the log is one that is made anew from it.

use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{
    AccountId, Causes, Direction, Endpoint, Event, ExtensionId, InputRef, Notes, Origin, Party, Reason,
    Recording, RecordingId, Rule, SessionFacts, SessionId, SipData, Status, StatusCode, SubscriptionId,
    TelephonySessionId, Timestamp,
};

use super::*;
use crate::testing::directory;
use crate::{Attempt, AttemptOutcome, Batch, Durability, Journal, Metrics, Options, WriterThread};

const OWN: AccountId = AccountId::new(1);
const OTHER: AccountId = AccountId::new(2);

fn options() -> Options {
    let kept = Duration::from_secs(86_400);
    Options {
        durability: Durability::Relaxed,
        partitions: 1,
        is_copy: false,
        signals_kept: kept,
        events_kept: kept,
    }
}

fn open(directory: &Path) -> (Store, WriterThread) {
    Store::open(directory, options(), Metrics::default()).expect("the store opens")
}

/// A change of a party, in words that are short enough for a table.
#[derive(Clone, Debug)]
struct DocumentUpdate {
    session: u128,
    account: AccountId,
    party: u32,
    sequence: u32,
    at: i64,
    extension: Option<u64>,
    direction: Direction,
    number: String,
    name: String,
    code: StatusCode,
    reason: Option<Reason>,
    missed: bool,
    recorded: bool,
}

impl DocumentUpdate {
    fn event(&self) -> Event {
        let id = TelephonySessionId::new(self.session << 64 | 0x00ab_cdef);
        let end = |number: &str, name: &str| {
            Arc::new(Endpoint {
                phone_number: Some(number.into()),
                name: Some(name.into()),
                ..Endpoint::default()
            })
        };
        let session_id = SessionId::new(9_000_000 + self.session as u64);
        Event {
            session: Arc::new(SessionFacts { account: self.account, id, session_id, origin: Origin::Call }),
            sequence: self.sequence,
            at: Timestamp::from_micros(self.at),
            party: Party {
                account: self.account,
                extension: self.extension.map(ExtensionId::new),
                id: id.party(self.party),
                direction: self.direction,
                to: end("+49301187654", "Support"),
                from: end(&self.number, &self.name),
                status: Status {
                    code: self.code,
                    reason: self.reason,
                    park_data: None,
                    peer: None,
                    mobile_pickup: false,
                },
                park: None,
                missed_call: self.missed,
                stand_alone: false,
                muted: false,
                conference_role: None,
                ring_out_role: None,
                queue_call: false,
                recordings: if self.recorded {
                    vec![Recording { id: RecordingId::new(7), active: false }]
                } else {
                    Vec::new()
                },
                sip: Some(Arc::new(SipData {
                    call_id: format!("call-{}@pbx", self.session).into(),
                    from_tag: "a".into(),
                    to_tag: None,
                })),
            },
            rule: Rule::Reported,
            notes: Notes::default(),
            causes: Causes::one(InputRef::default()),
        }
    }
}

/// A call of Ann (101) to 102, who does not answer.
fn missed(session: u128, account: AccountId) -> Vec<DocumentUpdate> {
    let told = |sequence, party, code, reason, missed| DocumentUpdate {
        session,
        account,
        party,
        sequence,
        at: (session as i64) * 1_000_000 + i64::from(sequence),
        extension: Some(100 + u64::from(party)),
        direction: if party == 1 { Direction::Outbound } else { Direction::Inbound },
        number: "+14155550123".into(),
        name: "Ann Müller".into(),
        code,
        reason,
        missed,
        recorded: false,
    };
    vec![
        told(2, 1, StatusCode::Setup, None, false),
        told(3, 2, StatusCode::Proceeding, None, false),
        told(4, 2, StatusCode::Disconnected, Some(Reason::NoAnswer), true),
        told(5, 1, StatusCode::Disconnected, None, false),
    ]
}

fn append(store: &Store, told: &[DocumentUpdate]) {
    let mut batch = Batch::after(store.partition(), store.ends());
    for one in told {
        batch.add_event(one.event(), Timestamp::from_micros(one.at));
    }
    let (done, on_disk) = std::sync::mpsc::channel();
    batch.add_waiting(Box::new(move || done.send(()).expect("the test waits")));
    store.append(batch).expect("the store is open");
    on_disk.recv_timeout(Duration::from_secs(20)).expect("it comes to the disk");
}

/// An attempt to tell a subscription of an event, which the receiver refuses if its time is odd.
fn attempt(subscription: u64, event: u64, at: i64) -> Attempt {
    let is_taken = at % 2 == 0;
    Attempt {
        event,
        subscription: SubscriptionId::from_bits(subscription.into()),
        number: 1,
        at: Timestamp::from_micros(at),
        duration: Duration::from_micros(10),
        outcome: if is_taken { AttemptOutcome::Delivered } else { AttemptOutcome::Refused },
        status: Some(if is_taken { 200 } else { 503 }),
        error: None,
        answer: Vec::new(),
        address: "https://other.example/hook".into(),
        redelivery: None,
    }
}

fn record(store: &Store, attempt: Attempt) {
    let journal = Journal { attempts: vec![attempt], spans: Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(store.record(Vec::new(), journal)).expect("it is recorded");
}

/// Follows the log to its end.
fn follow(follower: &mut StreamConsumer, store: &Store) {
    store
        .read(|reader| {
            while follower.step(reader, |reader, after, _| reader.events_after(after, 3))? > 0 {}
            Ok(())
        })
        .expect("it is followed");
}

/// All that an index says, whatever numbers its words have.
fn dump(index: &CallIndex) -> Vec<String> {
    let read = |sql: &str| {
        index
            .read(|connection| {
                let mut statement = connection.prepare(sql)?;
                let columns = statement.column_count();
                let rows = statement.query_map([], |row| {
                    let values = (0..columns).map(|column| row.get::<_, rusqlite::types::Value>(column));
                    Ok(format!("{:?}", values.collect::<rusqlite::Result<Vec<_>>>()?))
                })?;
                rows.collect::<rusqlite::Result<Vec<_>>>()
            })
            .expect("it is read")
    };
    let mut all = read(
        "SELECT number, id, session_id, account, start, ended, last, recorded, length(words) FROM calls ORDER BY number",
    );
    all.extend(read("SELECT * FROM parties ORDER BY call, party"));
    all.extend(read(
        "SELECT kind, text, call FROM words LEFT JOIN uses ON word = number ORDER BY kind, text, call",
    ));
    all.extend(read("SELECT * FROM attempts ORDER BY number"));
    all.extend(read("SELECT word FROM uses WHERE word NOT IN (SELECT number FROM words)"));
    all
}

fn followed(directory: &Path, store: &Store) -> (CallIndex, StreamConsumer) {
    let index = CallIndex::of(directory);
    let follower = store
        .read(|reader| Ok(StreamConsumer::open(index.clone(), reader).expect("it opens")))
        .expect("read");
    (index, follower)
}

fn sessions(index: &CallIndex, query: &CallQuery) -> Vec<u128> {
    let found = index.find(query, None, 100).expect("it is read");
    let counts = index.count(query).expect("it is read");
    assert_eq!(counts.total, found.len() as u64, "{query:?}");
    // A page at a time it is the same.
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = index.find(query, after, 1).expect("it is read");
        let Some(last) = page.last() else { break };
        after = Some(last.cursor.to_string().parse().expect("a cursor reads as it is written"));
        paged.extend(page);
    }
    assert_eq!(paged, found, "{query:?}");
    found.iter().map(|found| found.id.as_u128() >> 64).collect()
}

#[test]
fn a_call_is_found_by_whatever_is_known_of_it_and_by_nothing_else() {
    let directory = directory("calls-found");
    let (store, writer) = open(&directory);
    let (index, mut follower) = followed(&directory, &store);
    append(&store, &missed(1, OWN));
    let mut answered = missed(2, OWN);
    for one in &mut answered {
        one.number = "030 901820".into();
        one.name = "Bo".into();
        one.missed = false;
        one.recorded = true;
        one.reason = None;
    }
    answered[1].code = StatusCode::Answered;
    append(&store, &answered);
    append(&store, &missed(3, OWN)[..2]);
    append(&store, &missed(4, OTHER));
    follow(&mut follower, &store);
    let base = CallQuery::default;
    let party = |party: PartyQuery| CallQuery { party, ..CallQuery::default() };
    let text = |text: &str| CallQuery { text: Some(text.into()), ..CallQuery::default() };
    let number = |number: &str| CallQuery { number: Some(number.into()), ..CallQuery::default() };
    let id = |id: &str| CallQuery { id: Some(id.into()), ..CallQuery::default() };
    let extension = |id| Some(vec![ExtensionId::new(id)]);
    let cases: Vec<(&str, CallQuery, &[u128])> = vec![
        ("all, the newest first", base(), &[4, 3, 2, 1]),
        ("of one account", CallQuery { account: Some(OWN), ..base() }, &[3, 2, 1]),
        ("open", CallQuery { is_open: Some(true), ..base() }, &[3]),
        ("ended", CallQuery { is_open: Some(false), ..base() }, &[4, 2, 1]),
        ("recorded", CallQuery { recorded: Some(true), ..base() }, &[2]),
        ("not recorded", CallQuery { recorded: Some(false), ..base() }, &[4, 3, 1]),
        ("international", number("+1 (415) 555-0123"), &[4, 3, 1]),
        ("dialled with 00", number("00 1 415 5550123"), &[4, 3, 1]),
        ("national", number("415-555-0123"), &[4, 3, 1]),
        ("its end", number("5550123"), &[4, 3, 1]),
        ("stored without its country", number("+49 30 901820"), &[2]),
        ("stored as it was dialled", number("030901820"), &[2]),
        ("a short number is whole", number("0123"), &[]),
        ("no number", number("x"), &[]),
        ("name in any case", CallQuery { name: Some("MÜLL".into()), ..base() }, &[4, 3, 1]),
        ("nobody", CallQuery { name: Some("nobody".into()), ..base() }, &[]),
        ("Call-ID", CallQuery { call_id: Some("call-2@pbx".into()), ..base() }, &[2]),
        ("its beginning", CallQuery { call_id: Some("call-".into()), ..base() }, &[4, 3, 2, 1]),
        ("not its end", CallQuery { call_id: Some("pbx".into()), ..base() }, &[]),
        ("a whole id", id(&TelephonySessionId::new(2 << 64 | 0x00ab_cdef).to_string()), &[2]),
        ("part of an id", id("0000000200000000"), &[2]),
        ("a session id", id("9000003"), &[3]),
        ("no id", id("zzz"), &[]),
        ("text in a name", text("bo"), &[2]),
        ("text in a number", text("0123"), &[4, 3, 1]),
        ("text in a session id", text("9000003"), &[3]),
        ("text in nothing", text("100%"), &[]),
        ("missed", party(PartyQuery { missed: Some(true), ..PartyQuery::default() }), &[4, 1]),
        ("not missed", party(PartyQuery { missed: Some(false), ..PartyQuery::default() }), &[3, 2]),
        (
            "missed by who called",
            party(PartyQuery { extensions: extension(101), missed: Some(true), ..PartyQuery::default() }),
            &[],
        ),
        (
            "missed by who was called",
            party(PartyQuery { extensions: extension(102), missed: Some(true), ..PartyQuery::default() }),
            &[4, 1],
        ),
        (
            "not missed by who called",
            party(PartyQuery { extensions: extension(101), missed: Some(false), ..PartyQuery::default() }),
            &[4, 3, 2, 1],
        ),
        ("no extension", party(PartyQuery { extensions: Some(Vec::new()), ..PartyQuery::default() }), &[]),
        ("answered", party(PartyQuery { answered: Some(true), ..PartyQuery::default() }), &[2]),
        (
            "a status of now",
            party(PartyQuery { code: Some(StatusCode::Proceeding), ..PartyQuery::default() }),
            &[3],
        ),
        ("a reason", party(PartyQuery { reason: Some(Reason::NoAnswer), ..PartyQuery::default() }), &[4, 1]),
        (
            "a direction and whose",
            party(PartyQuery {
                extensions: extension(102),
                direction: Some(Direction::Outbound),
                ..PartyQuery::default()
            }),
            &[],
        ),
        (
            "a time",
            CallQuery {
                from: Some(Timestamp::from_micros(2_000_000)),
                to: Some(Timestamp::from_micros(3_000_002)),
                ..base()
            },
            &[2],
        ),
        (
            "several at once",
            CallQuery {
                account: Some(OWN),
                name: Some("ann".into()),
                party: PartyQuery { missed: Some(true), ..PartyQuery::default() },
                ..base()
            },
            &[1],
        ),
    ];
    for (what, query, expected) in cases {
        assert_eq!(sessions(&index, &query), expected, "{what}");
        // Whoever sees one account finds nothing of another.
        let own = CallQuery { account: Some(OWN), ..query };
        let own_only: Vec<u128> = expected.iter().copied().filter(|session| *session != 4).collect();
        assert_eq!(sessions(&index, &own), own_only, "{what}, of one account");
    }
    let counts = index.count(&CallQuery::default()).expect("it is read");
    assert_eq!(counts, CallCounts { total: 4, open: 1 });
    writer.close(store);
    std::fs::remove_dir_all(directory).expect("it goes away");
}

/// Numbers that are as good as any, the same in each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[test]
fn an_index_that_followed_the_log_is_the_one_that_is_made_anew() {
    let directory = directory("calls-anew");
    let (store, writer) = open(&directory);
    let (index, mut follower) = followed(&directory, &store);
    let mut draw = Draw(29);
    let mut sequences = [1_u32; 40];
    for round in 0..60_i64 {
        let told: Vec<DocumentUpdate> = (0..draw.below(12))
            .map(|_| {
                let session = draw.below(sequences.len() as u64);
                sequences[session as usize] += 1;
                let code = StatusCode::ALL[draw.below(StatusCode::ALL.len() as u64) as usize];
                DocumentUpdate {
                    session: u128::from(session),
                    account: AccountId::new(1 + session % 3),
                    party: 1 + draw.below(3) as u32,
                    sequence: sequences[session as usize],
                    at: round * 1000 + draw.below(50).cast_signed(),
                    extension: (draw.below(2) == 0).then(|| 100 + draw.below(5)),
                    direction: Direction::ALL[draw.below(2) as usize],
                    number: format!("+1415555{}", draw.below(30)),
                    name: format!("Name {}", draw.below(10)),
                    code,
                    reason: (draw.below(3) == 0).then_some(Reason::NoAnswer),
                    missed: draw.below(4) == 0,
                    recorded: draw.below(9) == 0,
                }
            })
            .collect();
        append(&store, &told);
        for _ in 0..draw.below(5) {
            let event = store.ends().events.saturating_sub(draw.below(20)).max(1);
            record(
                &store,
                attempt(1 + draw.below(3), event, round * 1_000_000 + draw.below(999).cast_signed()),
            );
        }
        // The log loses what is old, up to the middle of calls.
        if round % 7 == 6 {
            let until = store.ends().events.saturating_sub(draw.below(60));
            let log = Connection::open(directory.join("hookswitch.db")).expect("it opens");
            log.busy_timeout(Duration::from_secs(5)).expect("a number");
            log.execute("DELETE FROM events WHERE position <= ?", [until.cast_signed()]).expect("they go");
            log.execute("DELETE FROM attempts WHERE event <= ?", [until.cast_signed()]).expect("they go");
            log.execute(
                "UPDATE swept SET position = max(position, ?) WHERE log = 'events'",
                [until.cast_signed()],
            )
            .expect("it is marked");
        }
        match draw.below(4) {
            0 => {}
            1 => follower = followed(&directory, &store).1,
            _ => follow(&mut follower, &store),
        }
    }
    follow(&mut follower, &store);
    let here = dump(&index);
    assert!(here.len() > 100, "{}", here.len());
    index.forget_connections();
    drop(follower);
    writer.close(store);
    let (_, calls) = index_calls(&directory, 1).expect("it is made anew");
    assert_eq!(dump(&index), here);
    assert_eq!(calls, index.count(&CallQuery::default()).expect("it is read").total);
    std::fs::remove_dir_all(directory).expect("it goes away");
}

#[test]
fn an_index_of_another_log_is_made_anew() {
    let directory = directory("calls-other");
    let (store, writer) = open(&directory);
    append(&store, &missed(1, OWN));
    let (index, mut follower) = followed(&directory, &store);
    follow(&mut follower, &store);
    assert_eq!(sessions(&index, &CallQuery::default()), [1]);
    drop(follower);
    writer.close(store);
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(directory.join(format!("hookswitch.db{suffix}"))).ok();
    }
    let (store, writer) = open(&directory);
    append(&store, &missed(2, OWN));
    append(&store, &missed(3, OWN));
    let (index, mut follower) = followed(&directory, &store);
    follow(&mut follower, &store);
    assert_eq!(sessions(&index, &CallQuery::default()), [3, 2]);
    // So is one that cannot be read.
    drop(follower);
    index.forget_connections();
    for suffix in ["-wal", "-shm"] {
        std::fs::remove_file(directory.join(format!("{FILE}{suffix}"))).ok();
    }
    std::fs::write(directory.join(FILE), "this is no database, and long enough to be looked at ".repeat(99))
        .expect("it is written");
    let (index, mut follower) = followed(&directory, &store);
    follow(&mut follower, &store);
    assert_eq!(sessions(&index, &CallQuery::default()), [3, 2]);
    drop(follower);
    writer.close(store);
    std::fs::remove_dir_all(directory).expect("it goes away");
}

#[test]
fn attempts_are_found_by_how_and_when_they_went_and_counted() {
    let directory = directory("calls-attempts");
    let (store, writer) = open(&directory);
    append(&store, &missed(1, OWN));
    let (index, mut follower) = followed(&directory, &store);
    let first = 1_000_000;
    // Of the first event, which came in at 1.000002 s: taken at once, refused, taken late.
    for at in [first + 100, first + 201, first + 5_000_000] {
        record(&store, attempt(1, 1, at));
    }
    record(&store, attempt(2, 1, first + 100));
    follow(&mut follower, &store);
    let all = AttemptQuery::of(SubscriptionId::from_bits(1));
    let times = |query: &AttemptQuery| {
        let found = index.find_attempts(query, None, 10).expect("it is read");
        let after =
            index.find_attempts(query, found.first().map(|first| first.cursor), 10).expect("it is read");
        assert_eq!(after, found.get(1..).unwrap_or_default(), "the next page begins behind the first");
        let read =
            |found: &FoundAttempt| store.read(|reader| reader.attempt(found.number)).expect("it is read");
        found.iter().map(|found| read(found).expect("it is kept").at.as_micros() - first).collect::<Vec<_>>()
    };
    assert_eq!(times(&all), [5_000_000, 201, 100]);
    assert_eq!(times(&AttemptQuery { failed: Some(true), ..all.clone() }), [201]);
    assert_eq!(times(&AttemptQuery { failed: Some(false), ..all.clone() }), [5_000_000, 100]);
    assert_eq!(times(&AttemptQuery { status: Some(503), ..all.clone() }), [201]);
    assert_eq!(times(&AttemptQuery { outcome: Some(AttemptOutcome::TimedOut), ..all.clone() }), [0; 0]);
    assert_eq!(times(&AttemptQuery { late: Some(Duration::from_secs(1)), ..all.clone() }), [5_000_000]);
    let from = Some(Timestamp::from_micros(first + 201));
    assert_eq!(times(&AttemptQuery { from, ..all.clone() }), [5_000_000, 201]);
    assert_eq!(times(&AttemptQuery { to: from, ..all.clone() }), [100]);
    let counts = index.count_attempts(&all).expect("it is read");
    assert_eq!((counts.delivered, counts.failed), (2, 1));
    assert_eq!(counts.lag_max, Duration::from_micros(5_000_000 + 10 - 2));
    drop(follower);
    writer.close(store);
    std::fs::remove_dir_all(directory).expect("it goes away");
}

#[test]
fn figures_count_calls_and_deliveries_in_the_span_in_which_they_began() {
    let directory = directory("calls-figures");
    let (store, writer) = open(&directory);
    for session in [1, 2, 61] {
        append(&store, &missed(session, OWN));
    }
    append(&store, &missed(3, OTHER));
    let (index, mut follower) = followed(&directory, &store);
    let minute = 60_000_000;
    // 100 are taken in the first minute, the slowest 50 ms later than the rest; one fails in the second.
    for number in 0..100 {
        let at = 10_000_000 + number * 2;
        let duration = Duration::from_millis(if number == 99 { 60 } else { 10 });
        record(&store, Attempt { event: 99, duration, ..attempt(1, 99, at) });
    }
    record(&store, attempt(1, 99, minute + 1));
    record(&store, attempt(2, 99, 10_000_000));
    follow(&mut follower, &store);
    let query = |account, subscriptions: &[u128]| FigureQuery {
        account,
        subscriptions: subscriptions.iter().map(|id| SubscriptionId::from_bits(*id)).collect(),
        from: Timestamp::from_micros(0),
        step: Duration::from_secs(60),
        count: 2,
    };
    let figures = index.figures(&query(None, &[1])).expect("it is read");
    let lag = Some([10, 10, 10].map(Duration::from_millis));
    assert_eq!(figures[0], Figures { calls: 3, missed: 3, delivered: 100, failed: 0, lag });
    assert_eq!(figures[1], Figures { calls: 1, missed: 1, delivered: 0, failed: 1, lag: None });
    let of_own = index.figures(&query(Some(OWN), &[])).expect("it is read");
    assert_eq!((of_own[0].calls, of_own[0].delivered), (2, 0), "what is of others is not counted");
    drop(follower);
    writer.close(store);
    std::fs::remove_dir_all(directory).expect("it goes away");
}

#[tokio::test]
async fn whoever_searches_finds_what_was_in_the_log_when_they_asked() {
    let directory = directory("calls-waits");
    let (store, writer) = open(&directory);
    let (index, thread) = store.index_calls().expect("it starts");
    for session in 1..=20 {
        let handed = store.clone();
        let told = missed(session, OWN);
        tokio::task::spawn_blocking(move || append(&handed, &told)).await.expect("it is written");
        assert_eq!(index.reach(store.ends().events).await, 0, "nothing is missing");
        assert_eq!(index.count(&CallQuery::default()).expect("it is read").total as u128, session);
    }
    writer.close(store);
    thread.join().expect("it ends with the store");
    std::fs::remove_dir_all(directory).expect("it goes away");
}
