//! A store whose files were changed by something else than its server.

use std::fs;
use std::path::PathBuf;

use super::*;

/// A store of some calls, closed; what its logs say.
struct Whole {
    directory: PathBuf,
    events: Vec<String>,
    inputs: Vec<String>,
}

impl Whole {
    fn new(name: &str) -> Self {
        let directory = directory(name);
        let node = Engine::Sqlite.open(&directory, 0);
        write_calls(&node, 0..12);
        node.close();
        let (events, inputs, damage) = read(&directory);
        assert!(damage.is_empty(), "{damage:?}");
        Self { directory, events: events.expect("they are whole"), inputs: inputs.expect("they are whole") }
    }

    /// A copy of its files with one changed.
    fn changed(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let copy = directory("changed");
        copy_files(&self.directory, &copy);
        let mut bytes = fs::read(copy.join(file)).expect("it is there");
        change(&mut bytes);
        fs::write(copy.join(file), bytes).expect("it is ours");
        copy
    }
}

/// Writes calls, each as a batch of its own.
fn write_calls(node: &Node, numbers: std::ops::Range<u64>) {
    let mut batch = Batch::after(node.store.partition(), node.store.ends());
    let mut calls = Calls::new(&mut batch, 1);
    calls.number = numbers.start * 100;
    for number in numbers {
        calls.call(&mut batch, &(100 + number).to_string(), 0);
        let next = batch.next();
        node.append(batch);
        batch = next;
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("it is copied");
    }
}

type Lines = Result<Vec<String>, String>;

/// All events and inputs that a store gives, and what is found to be damaged.
fn read(directory: &Path) -> (Lines, Lines, Vec<String>) {
    let reader = match Reader::of(directory, 4) {
        Ok(reader) => reader,
        Err(error) => return (Err(error.to_string()), Err(error.to_string()), vec![error.to_string()]),
    };
    let events =
        reader.events_after(0, 100_000).map(|events| told(&events)).map_err(|error| error.to_string());
    let mut inputs = Vec::new();
    let all = reader.inputs(Partition::default(), 0, |input| {
        let LoggedInput { position, arrival, columns } = input;
        inputs.push(format!("{position} {arrival:?} {columns:?}"));
        Ok(())
    });
    let inputs = all.map(|()| inputs).map_err(|error| format!("{error:#}"));
    let damage = reader.damage().unwrap_or_else(|error| vec![format!("{error:#}")]);
    (events, inputs, damage)
}

#[test]
fn of_300_flipped_bits_none_is_told_as_another_event_and_what_is_missing_is_said() {
    let whole = Whole::new("flips");
    let length = fs::metadata(whole.directory.join(sqlite::FILE)).expect("it is there").len();
    let mut random = fastrand::Rng::with_seed(30);
    let (mut said, mut events_differ) = (0, 0);
    for flip in 0..300 {
        let (byte, bit) = (random.u64(100..length), random.u32(0..8));
        let copy = whole.changed(sqlite::FILE, |bytes| bytes[byte as usize] ^= 1 << bit);
        let (events, inputs, damage) = read(&copy);
        for (read, right) in [(&events, &whole.events), (&inputs, &whole.inputs)] {
            if read.as_ref() != Ok(right) {
                assert!(!damage.is_empty(), "flip {flip} in byte {byte}: {read:?}");
            }
            let known = |line: &String| right.contains(line);
            assert!(read.iter().flatten().all(known), "flip {flip} in byte {byte}: {read:?}");
        }
        events_differ += usize::from(events.as_ref() != Ok(&whole.events));
        said += usize::from(!damage.is_empty());
        // Of each event by itself, too, and of each session.
        if let Ok(reader) = Reader::of(&copy, 4) {
            for position in 1..=whole.events.len() as u64 {
                let one = reader.events_at(&[position]).map(|one| told(&one)).unwrap_or_default();
                assert!(one.iter().all(|line| whole.events[position as usize - 1] == *line), "{one:?}");
            }
            for (_, session) in reader.sessions_before(None, 100).unwrap_or_default() {
                let of = reader.events_of(session).unwrap_or_default();
                assert!(told(&of).iter().all(|line| whole.events.contains(line)), "{of:?}");
                assert!(of.iter().all(|logged| logged.event.session.id == session));
            }
        }
        fs::remove_dir_all(&copy).ok();
    }
    assert!(said > 50 && events_differ > 10, "{said} were found, {events_differ} of them in events");
}

#[test]
fn rows_that_were_deleted_are_missed() {
    let whole = Whole::new("deleted");
    let cases = [
        ("DELETE FROM events WHERE position = 3", "events 3 to 3 are missing in the middle of the log"),
        ("DELETE FROM events WHERE position BETWEEN 5 AND 20", "events 5 to 20 are missing"),
        ("DELETE FROM signals WHERE position = 1", "inputs 1 to 1 are missing"),
        ("DELETE FROM signals WHERE position BETWEEN 4 AND 9", "inputs 4 to 9 are missing"),
        ("DELETE FROM signals WHERE position > 80", "inputs 81 to"),
        ("DELETE FROM events WHERE position < 5", "events 1 to 4 are missing"),
        ("DELETE FROM events WHERE position > 70", "events 71 to"),
        ("UPDATE events SET sequence = 99 WHERE position = 7", "events 7 to 7 are damaged (checksum)"),
        ("UPDATE signals SET source = 3 WHERE position = 7", "inputs 7 to 7 are damaged (checksum)"),
    ];
    for (sql, expected) in cases {
        let copy = directory("sql");
        copy_files(&whole.directory, &copy);
        let connection = rusqlite::Connection::open(copy.join(sqlite::FILE)).expect("it opens");
        connection.execute(sql, []).expect(sql);
        drop(connection);
        let (events, inputs, damage) = read(&copy);
        assert!(damage.iter().any(|line| line.starts_with(expected)), "{sql}: {damage:?}");
        if !sql.contains('>') && !sql.contains('<') {
            let error = if sql.contains("events") { events.err() } else { inputs.err() };
            assert!(error.is_some_and(|error| error.starts_with(expected)), "{sql}: it is read");
        }
        fs::remove_dir_all(&copy).ok();
    }
}

#[test]
fn a_log_whose_end_is_lost_is_said_and_its_positions_are_not_given_again() {
    let directory = directory("wal");
    let node = Engine::Sqlite.open(&directory, 0);
    write_calls(&node, 0..6);
    node.close();
    let node = Engine::Sqlite.open(&directory, 0);
    let closed = node.store.ends();
    write_calls(&node, 6..12);
    let ends = node.store.ends();
    let wal = format!("{}-wal", sqlite::FILE);
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 4] = [
        ("deleted", Vec::clear),
        ("cut", |bytes| bytes.truncate(bytes.len() / 2)),
        ("flipped", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        }),
        ("flipped at its head", |bytes| bytes[17] ^= 1),
    ];
    let copies: Vec<_> = changes
        .into_iter()
        .map(|(what, change)| {
            let copy = self::directory("wal-copy");
            copy_files(&directory, &copy);
            let mut bytes = fs::read(copy.join(&wal)).expect("it is there");
            change(&mut bytes);
            fs::write(copy.join(&wal), &bytes).expect("it is ours");
            if bytes.is_empty() {
                fs::remove_file(copy.join(&wal)).expect("it is there");
            }
            fs::remove_file(copy.join(format!("{}-shm", sqlite::FILE))).ok();
            (what, copy)
        })
        .collect();
    let right = told(&node.events_after(0));
    node.close();
    for (what, copy) in copies {
        let said = |damage: &[String]| {
            let [inputs, events] = ["inputs", "events"].map(|rows| {
                damage
                    .iter()
                    .any(|line| line.starts_with(rows) && line.contains("were acknowledged and are gone"))
            });
            assert!(inputs && events, "{what}: {damage:?}");
        };
        said(&read(&copy).2);
        let again = Engine::Sqlite.open(&copy, 0);
        assert_eq!(again.store.ends(), ends, "{what}: positions go on");
        let rest = told(&again.events_after(0));
        assert!(rest.len() < right.len() && rest.iter().all(|line| right.contains(line)), "{what}");
        assert!(rest.len() as u64 >= closed.events, "{what}: what was checkpointed is there");
        let added = again.append_another_call();
        let new = again.events_after(ends.events);
        assert_eq!((new.len(), new[0].position), (added, ends.events + 1), "{what}");
        let mut inputs = 0;
        let read_again = |inputs: &mut u64, node: &Node| {
            let read = node.store.read(|reader| {
                Ok(reader.inputs(Partition::default(), 0, |_| {
                    *inputs += 1;
                    Ok(())
                }))
            });
            read.expect("the store is open").expect("what is known to be lost is no gap");
        };
        read_again(&mut inputs, &again);
        assert!(inputs > closed.signals, "{what}");
        again.close();
        // It stays known.
        said(&read(&copy).2);
        fs::remove_dir_all(&copy).ok();
    }
}

#[test]
fn a_file_that_was_cut_is_found() {
    let whole = Whole::new("cut");
    for part in [2, 3, 5] {
        let copy = whole.changed(sqlite::FILE, |bytes| bytes.truncate(bytes.len() * (part - 1) / part));
        let (events, inputs, damage) = read(&copy);
        assert!(!damage.is_empty(), "a cut behind {part}");
        for (read, right) in [(&events, &whole.events), (&inputs, &whole.inputs)] {
            assert!(read.iter().flatten().all(|line| right.contains(line)));
        }
        fs::remove_dir_all(&copy).ok();
    }
}

#[test]
fn a_saved_state_that_was_changed_is_not_gone_on_with() {
    let directory = directory("state");
    let node = Engine::Sqlite.open(&directory, 0);
    write_calls(&node, 0..2);
    node.store.save_snapshot(node.store.ends().signals, 1, b"a state of calls".to_vec()).expect("it is open");
    node.close();
    let connection = rusqlite::Connection::open(directory.join(sqlite::FILE)).expect("it opens");
    let state = |reader: &Reader| reader.snapshot(Partition::default()).expect("it can be read");
    assert!(state(&Reader::of(&directory, 4).expect("a store")).is_some());
    connection.execute("UPDATE snapshots SET state = ?", [b"a state of ca11s"]).expect("it is ours");
    assert_eq!(state(&Reader::of(&directory, 4).expect("a store")), None);
}
