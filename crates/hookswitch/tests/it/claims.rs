//! Claims of the documentation that a machine can check: commands, options, files and settings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Pages for users and developers: name in the repository, and text.
fn pages() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("docs")];
    let mut files: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("it can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                files.push(path);
            }
        }
    }
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a page");
        let name = file.strip_prefix(root()).expect("of the repository").display().to_string();
        found.push((name, text));
    }
    found.sort();
    found
}

/// Texts in backticks, and the lines of blocks of commands.
fn code(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut block = None;
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(language) };
        } else if let Some(language) = block {
            if matches!(language, "sh" | "bash" | "console" | "yaml" | "make") {
                found.push(line.trim());
            }
        } else {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

fn help(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    let output = command.args(arguments).arg("--help").output().expect("it runs");
    output.status.success().then(|| String::from_utf8(output.stdout).expect("UTF-8"))
}

/// Words of a command line up to where another command begins.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let ends = |word: &&str| matches!(*word, "|" | "&&" | "||" | ";" | ">" | "&" | "#" | "|&" | "2>");
    line.split_whitespace().take_while(move |word| !ends(word))
}

#[test]
fn each_command_and_option_in_a_page_is_one_of_the_program() {
    let mut checked = BTreeSet::new();
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        for line in code(&text) {
            let Some((_, line)) = line.split_once("hookswitch ") else { continue };
            let said: Vec<&str> =
                words(line).map(|word| word.trim_matches(['"', '\'', ')', ',', ';'])).collect();
            let is_name = |word: &&&str| {
                !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
            };
            let names: Vec<&str> = said
                .iter()
                .take(2)
                .take_while(is_name)
                .copied()
                .filter(|word| !word.starts_with('-'))
                .collect();
            let Some(&first) = names.first() else { continue };
            let group = matches!(first, "token" | "user" | "cluster" | "store" | "subscriptions" | "help");
            let command = if group { &names[..] } else { &names[..1] };
            let Some(help) = help(command) else {
                // A sentence about the program is no command: "hookswitch is …", or a user of that name.
                if page == "README.md" || help(&[first]).is_some() {
                    wrong.push(format!("{page}: hookswitch {line}"));
                }
                continue;
            };
            for option in said.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let option = option.split(['=', '.', '`']).next().unwrap_or_default();
                if !help.contains(option) {
                    wrong.push(format!("{page}: {option} of hookswitch {}", command.join(" ")));
                }
            }
            checked.insert(command.join(" "));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked.len() > 12, "{checked:?}");
}

#[test]
fn each_file_of_the_repository_in_a_page_is_there() {
    const FOLDERS: [&str; 9] =
        ["crates/", "docs/", "ci/", "scripts/", "live/", "captures/", "recordings/", "cases/", "config/"];
    let mut count = 0;
    let mut gone = Vec::new();
    for (page, text) in pages() {
        for word in code(&text).into_iter().flat_map(str::split_whitespace) {
            let word = word.trim_matches(['"', '\'', ',', ';', ':', '(', ')']);
            let is_pattern = word.contains(['*', '<', '{', '$', '…', '[']) || word.contains("NAME");
            if is_pattern || !FOLDERS.iter().any(|folder| word.starts_with(folder)) {
                continue;
            }
            count += 1;
            let file = word.split(['#', ':']).next().unwrap_or_default();
            if !root().join(file).exists() {
                gone.push(format!("{page}: {word}"));
            }
        }
    }
    assert!(gone.is_empty(), "{gone:#?}");
    assert!(count > 30, "{count}");
}

#[test]
fn each_setting_in_a_page_is_one_of_the_default_configuration() {
    let defaults =
        std::fs::read_to_string(root().join("config/hookswitch.default.toml")).expect("it is there");
    let mut known = BTreeSet::new();
    let mut sections = BTreeSet::new();
    let mut section = String::new();
    for line in defaults.lines() {
        let line = line.trim_start_matches(['#', ' ']);
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']', ' ']).to_owned();
            sections.insert(section.split('.').next().unwrap_or_default().to_owned());
            known.insert(section.clone());
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
        {
            known.insert(format!("{section}.{key}"));
        }
    }
    let mut count = 0;
    let mut unknown = Vec::new();
    for (page, text) in pages() {
        if page.starts_with("docs/contract/") || page.contains("scenarios") {
            continue;
        }
        for word in code(&text) {
            let setting = word.split(" = ").next().unwrap_or_default();
            let Some((first, rest)) = setting.split_once('.') else { continue };
            let is_key =
                rest.chars().all(|letter| letter.is_ascii_lowercase() || matches!(letter, '_' | '.'));
            let is_file = ["rs", "md", "toml", "conf", "js", "json", "jsonl", "pcap", "key", "xml", "log"]
                .iter()
                .any(|&end| rest == end || rest.ends_with(&format!(".{end}")));
            if !sections.contains(first) || !is_key || is_file || rest.is_empty() {
                continue;
            }
            count += 1;
            if !known.contains(setting) {
                unknown.push(format!("{page}: {setting}"));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(count > 40, "{count}");
}
