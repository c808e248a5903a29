//! The corpora of the fuzzers, through the same functions, with a stable compiler.

use std::fs;
use std::path::Path;

use crate::survives::inputs::KINDS;
use kvnet_test_kit::count;

#[test]
fn no_kept_input_makes_kvnet_panic() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus"));
    let mut folders: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    folders.sort();
    let mut names: Vec<std::ffi::OsString> = KINDS.iter().map(|(name, _)| (*name).into()).collect();
    names.sort();
    assert_eq!(folders, names, "a corpus for each kind of input");
    let mut all = 0;
    for (name, take) in KINDS {
        let mut inputs = 0;
        for entry in fs::read_dir(folder.join(name)).unwrap() {
            let path = entry.unwrap().path();
            // The name is printed when the input makes it panic.
            println!("{}", path.display());
            take(&fs::read(&path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no inputs");
        all += inputs;
    }
    count::record("inputs of the fuzzers' corpora", all);
}
