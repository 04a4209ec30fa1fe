//! A run of which nothing can be used, as on a machine that is busy with something else: each sentence says so, and none has a hole
//! where a number should be. The results are those of a real run, with a fault written into each of its trials.

use std::{fs, path::Path};

use experiments::{
    results::{ResultsFolder, StepRecord, hash_bytes},
    steps::STEPS,
};

use crate::{
    html,
    notebook::{copy_folder, experiments, said},
};

const TRIALS: &str = "trials.csv";

pub(crate) fn no_sentence_has_a_hole(results: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let spoiled = folder.path().join("results");
    copy_folder(results, &spoiled);
    let mut count = 0;
    for step in STEPS {
        let record = ResultsFolder::read_only(results).record(step.name()).unwrap().unwrap();
        if record.tables.iter().any(|table| table.file == TRIALS) {
            spoil(&spoiled.join(step.name()), record);
            count += 1;
        }
    }
    assert!(count > 0, "no step has trials");

    let output = experiments(&["html"], &spoiled);
    assert!(output.status.success(), "{}", said(&output));
    let page = fs::read_to_string(spoiled.join("report.html")).unwrap();
    assert_eq!(html::holes(&page), Vec::<String>::new());
    // What a browser shows can be set for paper as well.
    let output = experiments(&["report"], &spoiled);
    assert!(output.status.success(), "{}", said(&output));
}

/// Writes a fault into each trial of a step, and into its record what was written.
fn spoil(folder: &Path, mut record: StepRecord) {
    let mut read = csv::Reader::from_path(folder.join(TRIALS)).unwrap();
    let columns = read.headers().unwrap().clone();
    let error = columns.iter().position(|column| column == "error").unwrap();
    let mut written = csv::Writer::from_writer(Vec::new());
    written.write_record(&columns).unwrap();
    for row in read.records().map(Result::unwrap) {
        let cells = row.iter().enumerate();
        written.write_record(cells.map(|(at, cell)| if at == error { "it was spoiled" } else { cell })).unwrap();
    }
    let rows = written.into_inner().unwrap();
    record.tables.iter_mut().find(|table| table.file == TRIALS).unwrap().sha256 = hash_bytes(&rows);
    fs::write(folder.join(TRIALS), rows).unwrap();
    fs::write(folder.join("step.json"), serde_json::to_vec(&record).unwrap()).unwrap();
    fs::remove_file(folder.join("step.json.sha256")).unwrap();
}
