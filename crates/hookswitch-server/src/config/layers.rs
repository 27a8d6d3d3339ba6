//! One file over the defaults, the environment over both, and what is said about unknown names.

use anyhow::{bail, ensure};
use hookswitch_signal::adapters::Switch;
use toml::{Table, Value};

use super::{DEFAULTS, switches};

/// Beginning of the variables' names.
const PREFIX: &str = "HOOKSWITCH_";

/// Variables that commands read, and that are no settings.
const OF_COMMANDS: [&str; 3] = ["HOOKSWITCH_ADMIN_TOKEN", "HOOKSWITCH_HEP_KEY", "HOOKSWITCH_SIGNING_SECRET"];

/// The lists that are empty by default, and the keys of their entries; those of switches are beside them.
const LISTS: [(&str, &str, &[&str]); 2] = [
    ("hep", "source", &["name", "addresses", "key", "account", "messages_per_second"]),
    ("ingest", "key", &["name", "sha256", "account"]),
];

/// All lists that are empty by default.
fn lists() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static str>)> {
    let switches =
        Switch::ALL.iter().map(|&switch| (switch.adapter().name(), "source", switches::keys(switch)));
    LISTS.into_iter().map(|(section, key, keys)| (section, key, keys.to_vec())).chain(switches)
}

/// Puts a text over the defaults, and the variables over both.
pub(super) fn merge(
    text: &str,
    name: &str,
    variables: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<Table> {
    let mut merged = defaults();
    let file: Table = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = line_of(text, at);
        match error.message() {
            "duplicate key" => anyhow::anyhow!("{name}, line {line}: {}", twice(text, line)),
            message => anyhow::anyhow!("{name}, line {line}: {message}"),
        }
    })?;
    for (section, values) in file {
        let Value::Table(values) = values else {
            known(&section, merged.keys(), &format!("{name}: {section}"), ("", ""))?;
            bail!("{name}: {section} is no section; write [{section}] and its keys below it")
        };
        known(&section, merged.keys(), &format!("{name}: [{section}]"), ("[", "]"))?;
        for (key, value) in values {
            let Some(Value::Table(known_values)) = merged.get_mut(&section) else { continue };
            known(&key, known_values.keys(), &format!("{name}: {section}.{key}"), ("", ""))?;
            entries(&section, &key, &value, name)?;
            known_values.insert(key, value);
        }
    }
    for (variable, value) in variables {
        let Some(path) = variable.strip_prefix(PREFIX) else { continue };
        if OF_COMMANDS.contains(&&*variable) {
            continue;
        }
        let path = path.to_lowercase();
        let Some((section, key)) = path.split_once("__") else {
            bail!("the variable {variable} names no setting; write {PREFIX}SECTION__KEY")
        };
        known(section, merged.keys(), &format!("the section of the variable {variable}"), ("", ""))?;
        let Some(Value::Table(values)) = merged.get_mut(section) else { continue };
        known(key, values.keys(), &format!("the key of the variable {variable}"), ("", ""))?;
        let value = match values.get(key) {
            Some(Value::String(_)) | None => Value::String(value),
            Some(_) => written(&variable, &value)?,
        };
        entries(section, key, &value, &variable)?;
        values.insert(key.to_owned(), value);
    }
    Ok(merged)
}

/// The line of a place in a text, from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}

/// Says of a line that what it names is in the text before, and what to do.
fn twice(text: &str, line: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let found = lines.get(line - 1).copied().unwrap_or_default();
    let key = found.split('=').next().unwrap_or(found).trim();
    let is_section = found.starts_with('[');
    // Of a key, in its own section alone.
    let begin = if is_section {
        0
    } else {
        lines[..line - 1].iter().rposition(|line| line.starts_with('[')).unwrap_or(0)
    };
    let is_first = |line: &&str| line.split(['=', '#']).next().unwrap_or_default().trim() == key;
    let first = lines[begin..line - 1].iter().position(is_first).map(|at| begin + at + 1);
    let first = first.map_or_else(String::new, |line| format!(" in line {line}"));
    if is_section {
        let section = key.split('#').next().unwrap_or(key).trim();
        format!("{section} is there already{first}; put its keys below that one, each once")
    } else {
        format!("{key} is there already{first}; leave one of the two out")
    }
}

/// The setting for which a table that was merged cannot be used, and what is said of it.
pub(super) fn blame(
    merged: &Table,
    text: &str,
    name: &str,
    variables: &[(String, String)],
    usable: impl Fn(Table) -> Result<(), String>,
) -> Option<String> {
    let defaults = defaults();
    for (section, values) in merged {
        for (key, value) in values.as_table()? {
            let default = defaults.get(section)?.get(key);
            if default == Some(value) {
                continue;
            }
            let mut alone = defaults.clone();
            alone.get_mut(section)?.as_table_mut()?.insert(key.clone(), value.clone());
            let Err(why) = usable(alone) else { continue };
            let variable = format!("{PREFIX}{}__{}", section.to_uppercase(), key.to_uppercase());
            let place = if variables.iter().any(|(name, _)| *name == variable) {
                format!("the variable {variable}")
            } else {
                let line = line_of_key(text, section, key);
                line.map_or_else(|| name.to_owned(), |line| format!("{name}, line {line}"))
            };
            // Lists may hold secrets.
            let shown = match value {
                Value::Array(_) | Value::Table(_) => String::new(),
                value => format!(" is {value}, which"),
            };
            let example = match default {
                Some(Value::Array(list)) if list.is_empty() => String::new(),
                Some(default) if default.as_str() != Some("") => {
                    format!("; the default is {key} = {default}")
                }
                _ => String::new(),
            };
            return Some(format!("{place}: {section}.{key}{shown} cannot be used: {why}{example}"));
        }
    }
    None
}

/// The line in which a key of a section stands.
fn line_of_key(text: &str, section: &str, key: &str) -> Option<usize> {
    let mut current = "";
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix('[') {
            current = rest.trim_start_matches('[').split(']').next().unwrap_or_default().trim();
            // A list of tables is a key of its section.
            if current.split_once('.') == Some((section, key)) {
                return Some(number + 1);
            }
        } else if current == section && line.split('=').next().is_some_and(|found| found.trim() == key) {
            return Some(number + 1);
        }
    }
    None
}

fn defaults() -> Table {
    let mut defaults: Table = toml::from_str(DEFAULTS).expect("the defaults are TOML");
    for (section, key, _) in lists() {
        if let Some(Value::Table(values)) = defaults.get_mut(section) {
            values.insert(key.to_owned(), Value::Array(Vec::new()));
        }
    }
    defaults
}

/// Reads the value of a variable as TOML writes it.
fn written(variable: &str, value: &str) -> anyhow::Result<Value> {
    let table = toml::from_str::<Table>(&format!("value = {value}"));
    let Some(value) = table.ok().and_then(|mut table| table.remove("value")) else {
        bail!("the variable {variable} is {value:?}; write it as in the file: 10, true or [\"a\"]")
    };
    Ok(value)
}

/// Checks the keys of the entries of a list.
fn entries(section: &str, key: &str, value: &Value, name: &str) -> anyhow::Result<()> {
    let Some((_, _, keys)) = lists().find(|(of, list, _)| (*of, *list) == (section, key)) else {
        return Ok(());
    };
    let Value::Array(list) = value else {
        bail!("{name}: {section}.{key} is a list; begin each entry with [[{section}.{key}]]")
    };
    for entry in list {
        let Value::Table(entry) = entry else {
            bail!(
                "{name}: {section}.{key} holds something that is no table; begin each entry with [[{section}.{key}]]"
            )
        };
        for found in entry.keys() {
            known(found, keys.iter(), &format!("{name}: {section}.{key}.{found}"), ("", ""))?;
        }
    }
    Ok(())
}

/// Refuses a name that is none of those known, with the nearest of them.
fn known<K: AsRef<str>>(
    found: &str,
    names: impl Iterator<Item = K>,
    place: &str,
    (before, after): (&str, &str),
) -> anyhow::Result<()> {
    let mut nearest: Option<(f64, String)> = None;
    for name in names {
        let name = name.as_ref();
        if name == found {
            return Ok(());
        }
        let likeness = strsim::jaro_winkler(name, found);
        if nearest.as_ref().is_none_or(|(best, _)| likeness > *best) {
            nearest = Some((likeness, name.to_owned()));
        }
    }
    let hint = match nearest {
        Some((likeness, name)) if likeness > 0.7 => format!("; did you mean {before}{name}{after}?"),
        _ => "; config/hookswitch.default.toml shows every key".to_owned(),
    };
    ensure!(false, "{place} is unknown{hint}");
    Ok(())
}
