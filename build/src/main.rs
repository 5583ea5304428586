//! Builds, stages, runs, tests and measures: `cargo xtask`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a person runs this and reads it")]

mod cargo;
mod ci;
mod commit;
mod docs;
mod install;
mod proof;
mod report;
mod run;
mod stage;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
Builds, stages, runs, tests and measures.

  cargo xtask run [--release] [--port N] [--data DIR]   build everything, stage it, serve it
  cargo xtask build [--release]                         build the platform and the built-in extensions
  cargo xtask stage [--release]                         build, and put the extensions where the platform finds them
  cargo xtask test                                      format, lints, unit and black-box tests
  cargo xtask proof [NAME] [--cases N]                  one proof, at its full count
  cargo xtask proof [--again]                           all that did not hold at this commit yet, or all again
  cargo xtask bench [GROUP]...                          the figures, or some groups of them, in release
  cargo xtask docs [--check]                            write the pages that the program itself knows
  cargo xtask report                                    proofs and figures on one page

The extensions are staged in `extensions/`, or where the settings say (`powernode config show extensions.dir`).";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[String]) -> Result<ExitCode> {
    let Some((command, words)) = words.split_first() else {
        println!("{HELP}");
        return Ok(ExitCode::FAILURE);
    };
    if words.iter().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    match command.as_str() {
        "run" => run::run(&Words::read(words, &["--release"], &["--port", "--data"], 0)?),
        "build" => stage::build(release(words)?).map(|_| ExitCode::SUCCESS),
        "stage" => {
            let release = release(words)?;
            stage::build(release)?;
            stage::stage(release).map(|()| ExitCode::SUCCESS)
        }
        "test" => {
            Words::read(words, &[], &[], 0)?;
            test::test()
        }
        "proof" => proof::proof(&Words::read(words, &["--again"], &["--cases"], 1)?),
        "bench" => {
            install::need(install::BUILD)?;
            let bench = ["run", "--release", "-p", "powernode-bench", "--bin", "bench", "--"];
            cargo::cargo(bench).args(words).finish("bench").map(|()| ExitCode::SUCCESS)
        }
        "docs" => docs::docs(Words::read(words, &["--check"], &[], 0)?.has("--check")),
        "report" => {
            Words::read(words, &[], &[], 0)?;
            report::report().map(|()| ExitCode::SUCCESS)
        }
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("no command `{other}`; `cargo xtask help` lists them"),
    }
}

fn release(words: &[String]) -> Result<bool> {
    Ok(Words::read(words, &["--release"], &[], 0)?.has("--release"))
}

/// What stands after a command.
struct Words {
    switches: Vec<String>,
    options: Vec<(String, String)>,
    names: Vec<String>,
}

impl Words {
    /// Sorts `words`; one that the command does not know is an error.
    fn read(words: &[String], switches: &[&str], options: &[&str], names: usize) -> Result<Words> {
        let mut read = Words { switches: Vec::new(), options: Vec::new(), names: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            if switches.contains(&name) && value.is_none() {
                read.switches.push(name.to_owned());
            } else if options.contains(&name) {
                let Some(value) = value.or_else(|| words.next().cloned()) else {
                    bail!("`{name}` needs a value");
                };
                read.options.push((name.to_owned(), value));
            } else if !word.starts_with('-') && read.names.len() < names {
                read.names.push(word.clone());
            } else {
                bail!("`{word}` is not known here; `cargo xtask help` shows what is");
            }
        }
        Ok(read)
    }

    fn has(&self, switch: &str) -> bool {
        self.switches.iter().any(|it| it == switch)
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }
}
