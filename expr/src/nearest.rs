//! Suggestions for unknown names.

/// The candidate closest to `name`, if it differs in at most a third of the letters, and in no more than four.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wanted: String = name.chars().take(64).collect::<String>().to_lowercase();
    let length = wanted.chars().count();
    let allowed = length.div_ceil(3).min(4);
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= allowed)
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *candidate != name)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}
