//! References to `docs/contract/`: each that a comment or a page makes leads to a heading there.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files in which references are looked for.
const SOURCES: [&str; 9] = [
    "crates",
    "docs",
    "fuzz",
    "recordings",
    "cases",
    "config",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
];

/// Endings of the files that have references.
const ENDINGS: [&str; 4] = ["rs", "md", "toml", "json"];

#[test]
fn every_reference_to_the_contract_leads_to_a_heading() {
    let (mut count, mut lost) = (0, Vec::new());
    for (file, text) in sources() {
        for reference in references(&text) {
            count += 1;
            if !is_there(&reference) {
                lost.push(format!("{}: {reference:?}", file.display()));
            }
        }
    }
    assert!(lost.is_empty(), "\n{}", lost.join("\n"));
    assert!(count > 60, "{count} references were found");
}

#[test]
fn every_link_of_a_page_leads_to_a_file_of_the_repository() {
    let (mut count, mut lost) = (0, Vec::new());
    let root = root().canonicalize().expect("the repository is there");
    for (file, text) in sources() {
        // What stands in a crate is a piece of a page, and its links are those of the page.
        let is_page = file.extension().is_some_and(|ending| ending == "md");
        if !is_page || file.starts_with(self::root().join("crates")) {
            continue;
        }
        for target in
            text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
        {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let found = file.parent().expect("a folder").join(path).canonicalize();
            if !found.is_ok_and(|found| found.starts_with(&root)) {
                lost.push(format!("{}: {target}", file.display()));
            }
        }
    }
    assert!(lost.is_empty(), "\n{}", lost.join("\n"));
    assert!(count > 40, "{count} links were found");
}

#[test]
fn references_are_read_as_people_write_them() {
    let text = "/// What it is (contract\n    /// events §2.1 to §2.4, §5 and §10), contract websocket, the contract of all; reliability F3.";
    let found = references(text);
    let names: Vec<String> = found.iter().map(|found| format!("{} {}", found.page, found.section)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(names, ["events 2.1", "events 2.4", "events 5", "events 10", "websocket ", "reliability F3"]);
    assert!(found.iter().all(is_there));
    for lost in ["events §6.33", "event §6"].map(|lost| format!("contract {lost}")) {
        assert!(!references(&lost).iter().all(is_there), "{lost}");
    }
}

/// A reference, with the number of a section or the id of a row.
#[derive(Debug)]
struct Reference {
    page: String,
    /// Empty for a whole page.
    section: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> Option<String> {
    fs::read_to_string(root().join("docs/contract").join(format!("{name}.md"))).ok()
}

fn is_there(reference: &Reference) -> bool {
    let Some(page) = page(&reference.page) else { return false };
    let section = &reference.section;
    section.is_empty()
        || page.lines().any(|line| {
            let heading = line.strip_prefix("## ").or_else(|| line.strip_prefix("### "));
            let number = heading.and_then(|heading| heading.split(' ').next());
            number.is_some_and(|number| number.trim_end_matches('.') == section)
                || line.starts_with(&format!("| {section} |"))
        })
}

/// References of a text: `contract events §1, §2.3 and §4`, `contract auth`, and `reliability F3`.
fn references(text: &str) -> Vec<Reference> {
    let lines =
        text.lines().map(|line| line.trim_start().trim_start_matches(['/', '!', '#', '*']).trim_start());
    let text = lines.collect::<Vec<_>>().join(" ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = |word: &str| word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_owned();
    let mut found = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let Some(&next) = words.get(place + 1) else { break };
        match plain(word).as_str() {
            "reliability" if is_row(&plain(next)) => {
                found.push(Reference { page: "reliability".to_owned(), section: plain(next) });
            }
            "contract" if words[place].ends_with("contract") => {
                let mut numbers = Vec::new();
                for word in &words[place + 2..] {
                    match word.trim_start_matches('(').strip_prefix('§') {
                        Some(number) => {
                            numbers.push(number.trim_matches(|c: char| !c.is_ascii_digit()).to_owned());
                        }
                        None if ["and", "to"].contains(word) && !numbers.is_empty() => {}
                        None => break,
                    }
                    if word.ends_with([')', ':', ';']) || word.ends_with('.') {
                        break;
                    }
                }
                let page = plain(next);
                if numbers.is_empty() && self::page(&page).is_some() && page != "reliability" {
                    numbers.push(String::new());
                }
                found.extend(numbers.into_iter().map(|section| Reference { page: page.clone(), section }));
            }
            _ => {}
        }
    }
    found
}

/// Tells whether a word is the id of a row: a letter and a number.
fn is_row(word: &str) -> bool {
    let digits = word.strip_prefix(|letter: char| letter.is_ascii_uppercase());
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The files in which references are looked for, with their texts.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root().join(source), &mut files);
    }
    files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).expect("UTF-8"))).collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        if path.file_name().is_some_and(|name| name == "target" || name == "node_modules" || name == "corpus")
        {
            return;
        }
        for entry in fs::read_dir(path).expect("a folder can be read") {
            collect(&entry.expect("a folder can be read").path(), files);
        }
    } else if path
        .extension()
        .and_then(|ending| ending.to_str())
        .is_some_and(|ending| ENDINGS.contains(&ending))
    {
        files.push(path.to_owned());
    }
}
