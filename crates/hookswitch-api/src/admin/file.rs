//! The files of the configuration, edited in place: what is not changed stays as somebody wrote it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hookswitch_server::config::Config;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use crate::Problem;

/// Brings what the files say into use.
type Reload = Box<dyn Fn() -> anyhow::Result<()> + Send + Sync>;

/// Paths of the files, and the way they come into use.
pub(crate) struct Files {
    configuration: PathBuf,
    reread: Reload,
    /// One edit after the other.
    turn: Mutex<()>,
}

/// Returns what is wrong with what would be written.
fn refused(error: &impl std::fmt::Display) -> Problem {
    Problem::invalid(error.to_string())
}

/// Returns what is wrong with the machine.
fn failed(what: &str, path: &Path, error: &impl std::fmt::Display) -> Problem {
    tracing::error!(%error, path = %path.display(), "a file cannot be {what}");
    Problem::internal()
}

impl Files {
    /// The files of a configuration.
    pub(crate) fn new(configuration: PathBuf, reread: Reload) -> Self {
        Self { configuration, reread, turn: Mutex::default() }
    }

    /// The file of the directory.
    ///
    /// # Errors
    /// If the configuration names none.
    fn directory(&self) -> Result<PathBuf, Problem> {
        let config = Config::load(&self.configuration).map_err(|error| refused(&format!("{error:#}")))?;
        let file = config.directory.file;
        if file.as_os_str().is_empty() {
            let message = "There is no directory file; set directory.file, and restart the server";
            return Err(Problem::conflict(message));
        }
        Ok(file)
    }

    /// Reads the directory file.
    pub(super) fn read_directory(&self) -> Result<DocumentMut, Problem> {
        read(&self.directory()?)
    }

    /// Reads the configuration.
    pub(super) fn read_configuration(&self) -> Result<DocumentMut, Problem> {
        read(&self.configuration)
    }

    /// Changes the directory file, if what comes out is a directory, and brings it into use.
    pub(super) async fn change_directory<T>(
        &self,
        change: impl FnOnce(&mut DocumentMut) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let _turn = self.turn.lock().await;
        let path = self.directory()?;
        let check = |text: &str| {
            let parsed = hookswitch_core::directory::Directory::parse(text);
            parsed.map(drop).map_err(|error| refused(&error.message))
        };
        self.change(&path, change, check)
    }

    /// Changes the configuration, if what comes out is one, and brings it into use.
    pub(super) async fn change_configuration<T>(
        &self,
        change: impl FnOnce(&mut DocumentMut) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let _turn = self.turn.lock().await;
        let check = |text: &str| Config::check_text(text).map_err(|error| refused(&format!("{error:#}")));
        self.change(&self.configuration, change, check)
    }

    fn change<T>(
        &self,
        path: &Path,
        change: impl FnOnce(&mut DocumentMut) -> Result<T, Problem>,
        check: impl FnOnce(&str) -> Result<(), Problem>,
    ) -> Result<T, Problem> {
        let mut document = read(path)?;
        let before = document.to_string();
        let outcome = change(&mut document)?;
        let text = document.to_string();
        check(&text)?;
        replace(path, &text).map_err(|error| failed("written", path, &error))?;
        if let Err(error) = (self.reread)() {
            replace(path, &before).map_err(|error| failed("written", path, &error))?;
            return Err(Problem::unavailable(format!("It could not come into use: {error:#}; try again")));
        }
        Ok(outcome)
    }
}

fn read(path: &Path) -> Result<DocumentMut, Problem> {
    let text = fs::read_to_string(path).map_err(|error| failed("read", path, &error))?;
    let document = text.parse::<DocumentMut>();
    let mut document =
        document.map_err(|error| refused(&format!("The file has a mistake: {}", error.message())))?;
    expand(document.as_table_mut());
    Ok(document)
}

/// Gives lists of tables one form, that of `[[list]]`; the other is a list of tables in braces.
fn expand(table: &mut Table) {
    for (_, item) in table.iter_mut() {
        if let Some(array) = item.as_array()
            && !array.is_empty()
            && array.iter().all(toml_edit::Value::is_inline_table)
        {
            let tables = array.iter().filter_map(toml_edit::Value::as_inline_table);
            *item = Item::ArrayOfTables(tables.map(|table| table.clone().into_table()).collect());
        }
        match item {
            Item::Table(table) => expand(table),
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(expand),
            _ => {}
        }
    }
}

/// Puts a new file in place of one, so that a crash leaves the one or the other.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("toml.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?
        .sync_all()
}

/// The tables of a list, which is made if it is not there.
///
/// # Errors
/// If something else has its name.
pub(super) fn list<'a>(table: &'a mut Table, key: &str) -> Result<&'a mut ArrayOfTables, Problem> {
    let item = table.entry(key).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    if item.is_none() || item.as_array().is_some_and(toml_edit::Array::is_empty) {
        *item = Item::ArrayOfTables(ArrayOfTables::new());
    }
    item.as_array_of_tables_mut().ok_or_else(|| {
        Problem::conflict(format!("{key} is written in another form in the file; write [[{key}]]"))
    })
}

/// The tables of a list; none if it is not there.
pub(super) fn tables<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a Table> {
    table.get(key).and_then(Item::as_array_of_tables).into_iter().flatten()
}

/// Reads a table as a type, without the lists that it does not know.
pub(super) fn entry<T: DeserializeOwned>(table: &Table, without: &[&str]) -> Result<T, Problem> {
    let mut document = DocumentMut::new();
    for (key, item) in table.iter().filter(|(key, _)| !without.contains(key)) {
        document.insert(key, item.clone());
    }
    toml_edit::de::from_document(document)
        .map_err(|error| refused(&format!("The file has a mistake: {}", error.message())))
}

/// Writes what is set of a type as a table; the lists `kept` stay as they are in the old one.
pub(super) fn write(table: &mut Table, entry: &impl Serialize, kept: &[&str]) -> Result<(), Problem> {
    let new = toml_edit::ser::to_document(entry).map_err(|error| refused(&error))?;
    let gone: Vec<String> = table
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| !new.contains_key(key) && !kept.contains(&key.as_str()))
        .collect();
    for key in gone {
        table.remove(&key);
    }
    for (key, item) in new.iter() {
        table.insert(key, item.clone());
    }
    expand(table);
    Ok(())
}
