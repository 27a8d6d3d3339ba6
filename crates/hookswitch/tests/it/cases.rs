//! Cases: what is easily told wrong, told as it is.

use std::process::Command;

use hookswitch_flows::cases::{self, Case};
use hookswitch_flows::score;

#[test]
fn every_case_is_told_as_it_is_expected() {
    let wrong = |case: &Case| compare(case).err().map(|difference| format!("{}\n{difference}", case.name));
    let differences: String = cases::all().iter().filter_map(wrong).collect();
    assert!(differences.is_empty(), "\n{differences}");
}

fn compare(case: &Case) -> Result<(), String> {
    let expected = case.expected();
    let mut lines = replay(case, None)?;
    for account in score::case::accounts(&expected)? {
        lines += &replay(case, Some(&account))?;
    }
    score::case::compare(&expected, &score::sessions(&lines)?)
}

/// The notifications of a case, as an account hears them; without one, as the first of the directory does.
fn replay(case: &Case, account: Option<&str>) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    command
        .arg("replay")
        .args(case.inputs())
        .args(["--filter", "/restapi/v1.0/account/~/telephony/sessions"]);
    if let Some(directory) = case.directory() {
        command.arg("--directory").arg(directory);
    }
    if let Some(account) = account {
        command.args(["--account", account]);
    }
    let output = command.output().expect("the program starts");
    if !output.status.success() {
        return Err(format!("    {}\n", String::from_utf8_lossy(&output.stderr).trim_end()));
    }
    Ok(String::from_utf8(output.stdout).expect("UTF-8"))
}
