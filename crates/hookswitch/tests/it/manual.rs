//! Completions and manual pages, as shells and `man` take them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn hookswitch(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hookswitch")).args(arguments).output().expect("the program starts")
}

#[test]
fn a_shell_completes_commands_options_and_values() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("completions.bash");
    let script = hookswitch(&["completions", "bash"]);
    assert!(script.status.success());
    std::fs::write(&file, script.stdout).expect("a file");
    // What a shell does when the tab key is pressed behind these words.
    let completed = |words: &[&str]| {
        let line = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _hookswitch hookswitch '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display(),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let output = Command::new("bash").args(["--norc", "-euc", &line]).output().expect("bash runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    };
    assert_eq!(completed(&["hookswitch", "rep"]), "replay");
    assert_eq!(completed(&["hookswitch", "re"]), "replay");
    assert_eq!(completed(&["hookswitch", "replay", "--su"]), "--summary");
    assert_eq!(completed(&["hookswitch", "replay", "--format", ""]), "json\ntext");
    assert_eq!(completed(&["hookswitch", "store", "ch"]), "check");
}

#[test]
fn every_shell_has_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = hookswitch(&["completions", shell]);
        assert!(script.status.success());
        let text = String::from_utf8(script.stdout).expect("UTF-8");
        assert!(text.contains("replay") && text.contains("demo"), "{shell}: {text}");
    }
}

#[test]
fn every_command_has_a_manual_page_that_is_set_without_a_warning() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man1");
    if directory.exists() {
        std::fs::remove_dir_all(&directory).expect("an old directory goes away");
    }
    let written = hookswitch(&["man", directory.to_str().expect("UTF-8")]);
    assert!(written.status.success());
    let written = String::from_utf8(written.stdout).expect("UTF-8");
    let pages: Vec<PathBuf> = written.lines().map(PathBuf::from).collect();
    let names: Vec<_> =
        pages.iter().map(|page| page.file_name().expect("a name").to_string_lossy()).collect();
    for page in ["hookswitch.1", "hookswitch-replay.1", "hookswitch-demo.1", "hookswitch-store-check.1"] {
        assert!(names.iter().any(|name| name == page), "{page}: {names:?}");
    }
    for page in &pages {
        // All warnings, and lines that do not fit.
        let set = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-P-cbou"]).arg(page).output();
        let set = set.expect("groff runs; ci/setup installs it");
        assert!(set.status.success());
        assert_eq!(String::from_utf8_lossy(&set.stderr), "", "{}", page.display());
        let text = String::from_utf8_lossy(&set.stdout).into_owned();
        assert!(text.contains("SYNOPSIS") && text.contains("hookswitch"), "{}", page.display());
    }
}
