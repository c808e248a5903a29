//! Counts of what was tried, for the table that `tests/survives/table` prints.

use std::io::Write;

/// Names the file that gets a line for each count; without it nothing is kept.
const FILE: &str = "KVNET_COUNTS";

/// Adds `number` to a row of the table. Call it where the thing was done, with what was really done.
pub fn record(row: &str, number: usize) {
    assert!(number > 0, "`{row}`: nothing was tried");
    println!("count: {row}: {number}");
    let Some(path) = std::env::var_os(FILE) else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    let mut file = file.expect("the file of counts opens");
    // In one piece: other tests write to it at the same time.
    file.write_all(format!("{row}\t{number}\n").as_bytes()).expect("the count is written");
}
