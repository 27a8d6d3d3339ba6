//! What calls are searched by, and how the index finds them.

use std::fmt::Write as _;
use std::str::FromStr;

use hookswitch_model::{
    AccountId, Direction, ExtensionId, Reason, StatusCode, TelephonySessionId, Timestamp,
};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::entry::{WordKind, digits};

/// The calls that are wanted: those that meet all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallQuery {
    /// Account of the calls.
    pub account: Option<AccountId>,
    /// Part of a number, a name or an id.
    pub text: Option<String>,
    /// A telephony session id or a session id, whole or part.
    pub id: Option<String>,
    /// A Call-ID, or how it begins.
    pub call_id: Option<String>,
    /// A number, however it is written; one of less than five digits must be the whole of it.
    pub number: Option<String>,
    /// Part of a name, in whatever case.
    pub name: Option<String>,
    /// The name of the source of one of its events.
    pub source: Option<String>,
    /// Time when it began at the earliest.
    pub from: Option<Timestamp>,
    /// Before when it began.
    pub to: Option<Timestamp>,
    /// Whether it goes on.
    pub is_open: Option<bool>,
    /// Whether something of it was recorded.
    pub recorded: Option<bool>,
    /// What one of its parties is.
    pub party: PartyQuery,
}

/// What one party of a call must be. What is not to be, is so of none of the parties that the rest describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartyQuery {
    /// One of these extensions.
    pub extensions: Option<Vec<ExtensionId>>,
    /// The direction of its leg.
    pub direction: Option<Direction>,
    /// Its status, at the end of the call or now.
    pub code: Option<StatusCode>,
    /// The reason of that status.
    pub reason: Option<Reason>,
    /// Whether it missed the call.
    pub missed: Option<bool>,
    /// Whether it ever was connected.
    pub answered: Option<bool>,
    /// Whether it ever was a mailbox.
    pub voice_mail: Option<bool>,
}

/// A call that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundCall {
    /// Its session.
    pub id: TelephonySessionId,
    /// Place where the list goes on behind it.
    pub cursor: CallCursor,
}

/// A place in the list of calls, by the beginning of the call before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallCursor {
    start: i64,
    number: i64,
}

impl std::fmt::Display for CallCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.start, self.number)
    }
}

/// A text that is no cursor.
#[derive(Debug, thiserror::Error)]
#[error("not a cursor")]
pub struct NoCursor;

impl FromStr for CallCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (start, number) = text.split_once('.').ok_or(NoCursor)?;
        let read = |text: &str| text.parse().map_err(|_| NoCursor);
        Ok(Self { start: read(start)?, number: read(number)? })
    }
}

/// How many calls there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// All.
    pub total: u64,
    /// Those that go on.
    pub open: u64,
}

/// Of how many calls with a word or a party a list is begun; a list of more is begun with the newest.
const FEW: i64 = 20_000;

/// Number of words that a condition names one by one.
const WORDS_NAMED_MAX: usize = 8;

/// The fewest digits of a part of a number.
const PART_DIGITS_MIN: usize = 5;

/// The fewest digits of a number that another may end with.
const NATIONAL_DIGITS_MIN: usize = 7;

/// A query in the words of the index.
#[derive(Default)]
struct Conditions {
    /// Each of a call `c`.
    all: Vec<String>,
    values: Vec<Value>,
    /// What gives the numbers of calls that meet one of them, and its values.
    drivers: Vec<(String, Vec<Value>)>,
    /// Nothing can meet them.
    is_void: bool,
}

impl CallQuery {
    /// Calls behind a cursor, the newest first.
    pub(super) fn find(
        &self,
        connection: &Connection,
        after: Option<CallCursor>,
        limit: usize,
    ) -> rusqlite::Result<Vec<FoundCall>> {
        let mut conditions = self.conditions(connection)?;
        if conditions.is_void {
            return Ok(Vec::new());
        }
        let driver = conditions.smallest(connection)?;
        if let Some(CallCursor { start, number }) = after {
            conditions.add("(c.start, c.number) < (?, ?)", [start.into(), number.into()]);
        }
        let (from, mut values) = driver.unwrap_or_else(|| ("calls c".to_owned(), Vec::new()));
        let wanted = conditions.joined();
        values.append(&mut conditions.values);
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let sql = format!(
            "SELECT c.id, c.start, c.number FROM {from} WHERE {wanted} \
             ORDER BY c.start DESC, c.number DESC LIMIT ?"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cursor = CallCursor { start: row.get(1)?, number: row.get(2)? };
            let id = TelephonySessionId::parse(row.get_ref(0)?.as_str()?);
            found.extend(id.map(|id| FoundCall { id, cursor }));
        }
        Ok(found)
    }

    /// Returns the number of them.
    pub(super) fn count(&self, connection: &Connection) -> rusqlite::Result<CallCounts> {
        // Both as they are at one moment.
        let transaction = connection.unchecked_transaction()?;
        let total = self.count_all(&transaction)?;
        let open = match self.is_open {
            Some(true) => total,
            Some(false) => 0,
            None => Self { is_open: Some(true), ..self.clone() }.count_all(&transaction)?,
        };
        Ok(CallCounts { total, open })
    }

    fn count_all(&self, connection: &Connection) -> rusqlite::Result<u64> {
        let mut conditions = self.conditions(connection)?;
        if conditions.is_void {
            return Ok(0);
        }
        let driver = match conditions.smallest(connection)? {
            None if self.is_open != Some(true) => conditions.first_driver(),
            driver => driver,
        };
        let (from, mut values) = driver.unwrap_or_else(|| ("calls c".to_owned(), Vec::new()));
        values.append(&mut conditions.values);
        let sql = format!("SELECT count(*) FROM {from} WHERE {}", conditions.joined());
        let mut statement = connection.prepare_cached(&sql)?;
        statement.query_row(params_from_iter(values), |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
    }

    fn conditions(&self, connection: &Connection) -> rusqlite::Result<Conditions> {
        let mut conditions = Conditions::default();
        if let Some(account) = self.account {
            conditions.add("c.account = ?", [account.as_u64().cast_signed().into()]);
        }
        if let Some(from) = self.from {
            conditions.add("c.start >= ?", [from.as_micros().into()]);
        }
        if let Some(to) = self.to {
            conditions.add("c.start < ?", [to.as_micros().into()]);
        }
        match self.is_open {
            Some(true) => conditions.add("c.ended IS NULL", []),
            Some(false) => conditions.add("c.ended IS NOT NULL", []),
            None => {}
        }
        if let Some(recorded) = self.recorded {
            conditions.add("c.recorded = ?", [i64::from(recorded).into()]);
        }
        if let Some(id) = &self.id {
            conditions.of_id(id);
        }
        let words = [
            (&self.call_id, find_call_id as FindWords),
            (&self.number, find_number),
            (&self.name, find_name),
            (&self.source, find_source),
        ];
        for (wanted, find) in words {
            if let Some(wanted) = wanted {
                conditions.of_words(&find(connection, wanted)?);
            }
        }
        if let Some(text) = &self.text {
            conditions.of_text(connection, text)?;
        }
        conditions.of_party(&self.party);
        Ok(conditions)
    }
}

type FindWords = fn(&Connection, &str) -> rusqlite::Result<Vec<i64>>;

fn words(connection: &Connection, which: &str, values: &[&str]) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(&format!("SELECT number FROM words WHERE {which}"))?;
    let found = statement.query_map(params_from_iter(values), |row| row.get(0))?;
    found.collect()
}

fn find_call_id(connection: &Connection, wanted: &str) -> rusqlite::Result<Vec<i64>> {
    let kind = WordKind::CallId as u8;
    // What begins with it sorts before it with the highest character behind.
    let end = format!("{wanted}\u{10ffff}");
    words(connection, &format!("kind = {kind} AND text >= ? AND text < ?"), &[wanted, &end])
}

fn find_name(connection: &Connection, wanted: &str) -> rusqlite::Result<Vec<i64>> {
    let kind = WordKind::Name as u8;
    words(connection, &format!("kind = {kind} AND instr(text, ?) > 0"), &[&wanted.to_lowercase()])
}

fn find_source(connection: &Connection, wanted: &str) -> rusqlite::Result<Vec<i64>> {
    let kind = WordKind::Source as u8;
    words(connection, &format!("kind = {kind} AND text = ?"), &[wanted])
}

/// A number of another form is the same: with separators, with its country or without.
fn find_number(connection: &Connection, wanted: &str) -> rusqlite::Result<Vec<i64>> {
    let kind = WordKind::Number as u8;
    let all = digits(wanted);
    if all.len() < PART_DIGITS_MIN {
        return words(connection, &format!("kind = {kind} AND text = ?"), &[&all]);
    }
    let core = if wanted.trim_start().starts_with('+') { &*all } else { all.trim_start_matches('0') };
    if core.len() < PART_DIGITS_MIN {
        return words(connection, &format!("kind = {kind} AND instr(text, ?) > 0"), &[&all]);
    }
    // The core of a stored number is what is behind the zeros by which it was dialled.
    let which = format!(
        "kind = {kind} AND (instr(text, ?1) > 0 OR length(ltrim(text, '0')) >= {NATIONAL_DIGITS_MIN} \
         AND substr(?1, -length(ltrim(text, '0'))) = ltrim(text, '0'))"
    );
    words(connection, &which, &[core])
}

impl Conditions {
    fn add<const N: usize>(&mut self, condition: &str, values: [Value; N]) {
        self.all.push(condition.to_owned());
        self.values.extend(values);
    }

    fn joined(&self) -> String {
        if self.all.is_empty() { "1".to_owned() } else { self.all.join(" AND ") }
    }

    /// The one that gives the fewest calls, if that are few, as what a list is read from.
    fn smallest(&self, connection: &Connection) -> rusqlite::Result<Option<(String, Vec<Value>)>> {
        let mut smallest: Option<(i64, &(String, Vec<Value>))> = None;
        for driver in &self.drivers {
            let (sql, values) = driver;
            let count = format!("SELECT count(*) FROM (SELECT 1 FROM ({sql}) LIMIT {})", FEW + 1);
            let mut statement = connection.prepare_cached(&count)?;
            let count: i64 = statement.query_row(params_from_iter(values), |row| row.get(0))?;
            if count <= FEW && smallest.is_none_or(|(known, _)| count < known) {
                smallest = Some((count, driver));
            }
        }
        Ok(smallest.map(|(_, driver)| joined_with(driver)))
    }

    fn first_driver(&self) -> Option<(String, Vec<Value>)> {
        self.drivers.first().map(joined_with)
    }

    /// A call has one of these words.
    fn of_words(&mut self, words: &[i64]) {
        if words.is_empty() {
            self.is_void = true;
            return;
        }
        let list = list(words);
        let sql = format!("SELECT call FROM uses WHERE word IN ({list})");
        if words.len() <= WORDS_NAMED_MAX {
            self.add(
                &format!("EXISTS (SELECT 1 FROM uses u WHERE u.word IN ({list}) AND u.call = c.number)"),
                [],
            );
        } else {
            self.add(&format!("c.number IN ({sql})"), []);
        }
        self.drivers.push((sql, Vec::new()));
    }

    /// A call has an id, or this is part of one.
    fn of_id(&mut self, id: &str) {
        let (sql, values) = ids(id);
        self.add(&format!("c.number IN ({sql})"), []);
        self.values.extend(values.iter().cloned());
        self.drivers.push((sql, values));
    }

    fn of_text(&mut self, connection: &Connection, text: &str) -> rusqlite::Result<()> {
        let text = text.to_lowercase();
        let mut found = find_name(connection, &text)?;
        let all = digits(&text);
        let is_number = !all.is_empty()
            && text.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || "+-()./*#".contains(c));
        if is_number {
            let kind = WordKind::Number as u8;
            found.append(&mut words(connection, &format!("kind = {kind} AND instr(text, ?) > 0"), &[&all])?);
            found.append(&mut find_number(connection, &text)?);
            found.sort_unstable();
            found.dedup();
        }
        let (mut sql, values) = ids(&text);
        let _ = write!(sql, " UNION SELECT call FROM uses WHERE word IN ({})", list(&found)); // to memory
        self.add(&format!("c.number IN ({sql})"), []);
        self.values.extend(values.iter().cloned());
        self.drivers.push((sql, values));
        Ok(())
    }

    fn of_party(&mut self, party: &PartyQuery) {
        let PartyQuery { extensions, direction, code, reason, missed, answered, voice_mail } = party;
        let (mut wanted, mut values) = (Vec::new(), Vec::new());
        if let Some(extensions) = extensions {
            if extensions.is_empty() {
                self.is_void = true;
            }
            let ids: Vec<i64> = extensions.iter().map(|id| id.as_u64().cast_signed()).collect();
            wanted.push(format!("p.extension IN ({})", list(&ids)));
        }
        let words = [
            ("direction", direction.map(Direction::as_str)),
            ("code", code.map(StatusCode::as_str)),
            ("reason", reason.map(Reason::as_str)),
        ];
        for (column, word) in words {
            if let Some(word) = word {
                wanted.push(format!("p.{column} = ?"));
                values.push(Value::from(word.to_owned()));
            }
        }
        let flags = [("missed", missed), ("answered", answered), ("voice_mail", voice_mail)];
        let is_rare = extensions.is_some() || reason.is_some() || *missed == Some(true);
        let has_not = flags.iter().filter(|(_, flag)| **flag == Some(false));
        for (column, _) in has_not {
            let mut none = wanted.clone();
            none.push(format!("p.{column} = 1"));
            let none = none.join(" AND ");
            self.add(&format!("NOT EXISTS (SELECT 1 FROM parties p WHERE p.call = c.number AND {none})"), []);
            self.values.extend(values.iter().cloned());
        }
        for (column, _) in flags.iter().filter(|(_, flag)| **flag == Some(true)) {
            wanted.push(format!("p.{column} = 1"));
        }
        if wanted.is_empty() {
            return;
        }
        let wanted = wanted.join(" AND ");
        self.add(&format!("EXISTS (SELECT 1 FROM parties p WHERE p.call = c.number AND {wanted})"), []);
        self.values.extend(values.iter().cloned());
        if code.is_some_and(|code| !code.is_terminal()) {
            // Parties of a call that has ended have ended.
            self.add("c.ended IS NULL", []);
        }
        if is_rare {
            self.drivers.push((format!("SELECT p.call AS call FROM parties p WHERE {wanted}"), values));
        }
    }
}

/// Returns what a list is read from.
fn joined_with((sql, values): &(String, Vec<Value>)) -> (String, Vec<Value>) {
    // The order of a cross join is as it stands.
    let from = format!("(SELECT DISTINCT call FROM ({sql})) h CROSS JOIN calls c ON c.number = h.call");
    (from, values.clone())
}

/// The calls with an id, or part of one.
fn ids(id: &str) -> (String, Vec<Value>) {
    let id = id.trim().to_lowercase();
    if TelephonySessionId::parse(&id).is_some() {
        return ("SELECT number AS call FROM calls WHERE id = ?".to_owned(), vec![id.into()]);
    }
    let sql = "SELECT number AS call FROM calls WHERE instr(id, ?) > 0 \
               UNION SELECT number FROM calls WHERE instr(session_id, ?) > 0";
    (sql.to_owned(), vec![id.clone().into(), id.into()])
}

fn list(numbers: &[i64]) -> String {
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    texts.join(",")
}
