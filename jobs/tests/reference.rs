//! The job-file reference is generated from the tables that the parser itself checks keys by. `UPDATE_DOCS=1 cargo test` writes it anew.

use std::path::Path;

/// The page with this text between the comments that mark a generated part.
fn with_generated(page: &str, part: &str, text: &str) -> String {
    let (start, end) = (format!("<!-- {part}: generated -->\n"), format!("<!-- end of {part} -->\n"));
    let (before, rest) = page.split_once(&start).expect("the page says where the part begins");
    let (_, after) = rest.split_once(&end).expect("the page says where the part ends");
    format!("{before}{start}{text}{end}{after}")
}

#[test]
fn the_committed_reference_is_the_generated_one() {
    let path = Path::new("../docs/job-file.md");
    let page = std::fs::read_to_string(path).unwrap();
    let generated = with_generated(&page, "keys", &tidegate_jobs::file::reference());
    let generated = with_generated(&generated, "aggregates", &tidegate_jobs::file::reference_of_aggregates());
    let of_indicators = Path::new("../docs/indicators.md");
    let functions = std::fs::read_to_string(of_indicators).unwrap();
    let new = with_generated(&functions, "functions", &tidegate_jobs::file::reference_of_indicators());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(of_indicators, new).unwrap();
    } else {
        assert_eq!(functions, new, "docs/indicators.md is out of date: run `UPDATE_DOCS=1 cargo test -p tidegate-jobs --test reference`");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, generated).unwrap();
    } else {
        assert_eq!(page, generated, "docs/job-file.md is out of date: run `UPDATE_DOCS=1 cargo test -p tidegate-jobs --test reference`");
    }
}

/// Every complete job in the documents is one that this version takes.
#[test]
fn every_job_in_the_documents_is_valid() {
    let root = Path::new("..");
    let mut jobs = 0;
    for page in ["README.md", "docs/job-file.md", "docs/indicators.md", "docs/rules.md", "docs/kafka.md", "docs/operations.md"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for block in text
            .split("```yaml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .filter(|b| b.lines().any(|line| line.starts_with("name:")))
        {
            let (file, mut problems) = tidegate_jobs::file::parse(page, block, &[]);
            let plan = file.and_then(|file| tidegate_jobs::plan::plan(&file, &mut problems));
            assert!(plan.is_some(), "in {page}:\n{block}\n{problems}");
            jobs += 1;
        }
    }
    assert!(jobs >= 7, "the documents show jobs");
}
