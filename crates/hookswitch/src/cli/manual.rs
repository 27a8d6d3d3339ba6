//! Manual pages and completions, made from the arguments themselves.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Arguments;

/// The name of the program, as it is installed.
const NAME: &str = "hookswitch";

/// The arguments of `hookswitch completions`.
#[derive(clap::Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints the completions of a shell.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        // In memory first: the generator panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), NAME, &mut script);
        Ok(out.write_all(&script)?)
    }
}

/// The arguments of `hookswitch man`.
#[derive(clap::Args)]
pub(super) struct Manual {
    /// Directory of the pages, such as /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Manual {
    /// Writes a page for the program and one for each command, and prints their paths.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let name = self.directory.display();
        fs::create_dir_all(&self.directory).with_context(|| format!("cannot make the directory {name}"))?;
        let mut program = Arguments::command().disable_help_subcommand(true);
        program.build();
        write_pages(&program, &self.directory, out)
    }
}

/// Writes the page of a command and of those below it: `hookswitch store check` is hookswitch-store-check(1).
fn write_pages(command: &Command, directory: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    let page = command.get_display_name().unwrap_or(NAME);
    let path = directory.join(format!("{page}.1"));
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(out, "{}", path.display())?;
    command.get_subcommands().try_for_each(|below| write_pages(below, directory, out))
}
