//! What our own code costs, each thing beside the library it stands on, in one run.
//!
//! Times on a busy machine say little; the ratio of two things measured in turn says much. So every row runs ours and
//! the other one alternately in short batches and gives the median of the ratios. Nothing here fails a test.
//!
//! `cargo bench --bench conclave` prints the table; `-- --write FILE` also puts it between the markers in that file;
//! `-- WORD` runs the rows whose name contains it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod keys;
mod pair;
mod pictures;
mod sound;

use std::path::PathBuf;

use pair::Bench;

const BEGIN: &str = "<!-- bench: begin -->";
const END: &str = "<!-- bench: end -->";

fn main() {
    let mut write: Option<PathBuf> = None;
    let mut only: Option<String> = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--write" => write = Some(arguments.next().expect("--write FILE").into()),
            word => only = Some(word.to_owned()),
        }
    }
    let mut bench = Bench::new(only);
    keys::run(&mut bench);
    pictures::run(&mut bench);
    sound::run(&mut bench);
    let table = bench.table();
    println!("\n{table}");
    if let Some(path) = write {
        let old = std::fs::read_to_string(&path).expect("the document can be read");
        let (before, rest) = old.split_once(BEGIN).expect("the document has the marker where the table begins");
        let (_, after) = rest.split_once(END).expect("the document has the marker where the table ends");
        std::fs::write(&path, format!("{before}{BEGIN}\n{table}\n{END}{after}")).expect("the document can be written");
        println!("Written to {}", path.display());
    }
}
