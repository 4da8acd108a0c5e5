//! The versions of rules that a snapshot holds, against a job file.

use std::fmt::Write;

use serde_json::Value;
use tidegate::jobs::file::{JobFile, KeptVersions, Override, Problems, exported_rules, streams_with_rules};
use tidegate::jobs::plan::plan;

use super::savepoint::rows_in;

/// What a snapshot has of the versions of a stream's rules: of those that are active at a time, or of all.
pub fn kept_in(place: &str, file: &JobFile, stream: &str, at: Option<&str>) -> anyhow::Result<KeptVersions> {
    let uid = file.stream(stream).and_then(|stream| stream.head.uid.as_ref()).map_or(stream, |uid| uid.as_str());
    let rows = rows_in(place, &format!("{uid}/judge"))?;
    let rows = rows.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    Ok(KeptVersions::new(rows, at)?)
}

/// The job file as it is read, to try versions on.
pub struct Base<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub set: &'a [String],
}

impl Base<'_> {
    /// Which of the versions fit, one on top of the other, and of the others why not.
    pub fn fitting(&self, stream: &str, kept: &KeptVersions) -> (Vec<u64>, Vec<(u64, String)>) {
        // They have been read before.
        let overrides: Vec<Override> = self.set.iter().filter_map(|set| set.parse().ok()).collect();
        let problems_with = |kept: &KeptVersions| {
            let (_, file, mut problems) = exported_rules(self.name, self.text, &overrides, stream, kept);
            file.as_ref().map(|file| plan(file, &mut problems));
            problems
        };
        let all = kept.versions();
        if !problems_with(kept).has_errors() {
            return (all, Vec::new());
        }
        let (mut over, mut left_out) = (Vec::new(), Vec::new());
        for version in all {
            let problems = problems_with(&kept.only(|known| known == version || over.contains(&known)));
            if problems.has_errors() { left_out.push((version, first(&problems))) } else { over.push(version) }
        }
        (over, left_out)
    }

    /// Says for each stream with rules which versions in a snapshot will lie over the job file, and which no longer fit it.
    pub fn against(&self, place: &str, file: &JobFile) -> String {
        let mut told = String::new();
        for stream in streams_with_rules(file) {
            // A snapshot without the operator has no versions.
            let Ok(kept) = kept_in(place, file, stream, None) else { continue };
            let (over, left_out) = self.fitting(stream, &kept);
            for (version, why) in left_out {
                let _ = writeln!(told, "rules of `{stream}`: version {version} no longer fits the job file and will be left out: {why}");
            }
            if let Some(last) = over.last() {
                let counted = if over.len() == 1 { "1 version".to_owned() } else { format!("{} versions", over.len()) };
                let _ = writeln!(
                    told,
                    "rules of `{stream}`: {counted} will lie over the job file, the last is {last}; `rules export` shows the result"
                );
            }
        }
        told
    }
}

fn first(problems: &Problems) -> String {
    problems.iter().find(|problem| problem.is_error()).map(|problem| problem.message.clone()).unwrap_or_default()
}
