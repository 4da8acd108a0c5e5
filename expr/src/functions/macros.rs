//! Descriptions of the macros. The parser and [`crate::check`] implement them.

/// A macro: it evaluates its arguments as needed, usually for each element of a list or a map, which it binds to
/// names.
pub(crate) struct Macro {
    pub name: &'static str,
    pub forms: &'static [&'static str],
    pub doc: &'static str,
    pub examples: &'static [(&'static str, &'static str)],
}

/// All macros.
pub(crate) const MACROS: &[Macro] = &[
    Macro {
        name: "has",
        forms: &["has(value.field)"],
        doc: "Whether a map has this field. To test a field of the record, compare it with `null`.",
        examples: &[("has({'a': 1}.a)", "true"), ("has({'a': 1}.b)", "false")],
    },
    Macro {
        name: "coalesce",
        forms: &["coalesce(value, value, ...)"],
        doc: "The first value that is not null, or null if all are. Values after it are not evaluated.",
        examples: &[("coalesce(null, 2, 3)", "2"), ("coalesce(null, null) == null", "true")],
    },
    Macro {
        name: "all",
        forms: &["list.all(x, condition)", "list.all(i, x, condition)", "map.all(k, condition)", "map.all(k, v, condition)"],
        doc: "Whether the condition holds for all. False if it is false for one, even if it is an error for another.",
        examples: &[("[1, 2].all(x, x > 0)", "true"), ("{'a': 1}.all(k, v, v < 1)", "false")],
    },
    Macro {
        name: "exists",
        forms: &["list.exists(x, condition)", "list.exists(i, x, condition)", "map.exists(k, condition)", "map.exists(k, v, condition)"],
        doc: "Whether the condition holds for any. True if it is true for one, even if it is an error for another.",
        examples: &[("[1, 2].exists(x, x > 1)", "true")],
    },
    Macro {
        name: "existsOne",
        forms: &["list.existsOne(x, condition)", "list.existsOne(i, x, condition)", "map.existsOne(k, v, condition)"],
        doc: "Whether the condition holds for exactly one. Also written `exists_one`.",
        examples: &[("[1, 2, 3].existsOne(x, x > 2)", "true"), ("[1, 2, 3].exists_one(x, x > 1)", "false")],
    },
    Macro {
        name: "exists_one",
        forms: &["list.exists_one(x, condition)"],
        doc: "Another name for `existsOne`.",
        examples: &[("[1, 2, 3].exists_one(x, x > 2)", "true")],
    },
    Macro {
        name: "map",
        forms: &["list.map(x, value)", "list.map(x, condition, value)", "map.map(k, value)"],
        doc: "The list of the values, for all elements or for those that meet the condition.",
        examples: &[("[1, 2].map(x, x * 2)", "[2, 4]"), ("[1, 2].map(x, x > 1, x * 2)", "[4]")],
    },
    Macro {
        name: "filter",
        forms: &["list.filter(x, condition)", "map.filter(k, condition)"],
        doc: "The elements, or the keys, for which the condition holds.",
        examples: &[("[1, 2, 3].filter(x, x > 1)", "[2, 3]")],
    },
    Macro {
        name: "sortBy",
        forms: &["list.sortBy(x, value)"],
        doc: "The elements in ascending order of the values, which must be of one kind; equal ones keep their order.",
        examples: &[("['ccc', 'a', 'bb'].sortBy(x, size(x))", "['a', 'bb', 'ccc']")],
    },
    Macro {
        name: "transformList",
        forms: &["list.transformList(i, x, value)", "list.transformList(i, x, condition, value)", "map.transformList(k, v, value)"],
        doc: "The list of the values, with names for index and element, or for key and value.",
        examples: &[("['a', 'b'].transformList(i, x, x + string(i))", "['a0', 'b1']")],
    },
    Macro {
        name: "transformMap",
        forms: &["map.transformMap(k, v, value)", "map.transformMap(k, v, condition, value)", "list.transformMap(i, x, value)"],
        doc: "A map with the same keys, or the indices of the list, and the new values.",
        examples: &[("{'a': 1}.transformMap(k, v, v + 1)", "{'a': 2}"), ("['a'].transformMap(i, x, x + x)", "{0: 'aa'}")],
    },
    Macro {
        name: "transformMapEntry",
        forms: &["map.transformMapEntry(k, v, map)", "map.transformMapEntry(k, v, condition, map)", "list.transformMapEntry(i, x, map)"],
        doc: "All the maps merged into one; an error if a key occurs twice.",
        examples: &[("{'a': 1}.transformMapEntry(k, v, {v: k})", "{1: 'a'}")],
    },
    Macro {
        name: "cel.bind",
        forms: &["cel.bind(name, value, expression)"],
        doc: "The expression, in which the name stands for a value that is computed once.",
        examples: &[("cel.bind(x, 2 + 3, x * x)", "25")],
    },
    Macro {
        name: "optMap",
        forms: &["optional.optMap(x, value)"],
        doc: "An optional of the value, in which the name stands for the content of the optional; empty if the optional is.",
        examples: &[("optional.of(2).optMap(x, x * 2)", "optional.of(4)"), ("optional.none().optMap(x, x * 2)", "optional.none()")],
    },
    Macro {
        name: "optFlatMap",
        forms: &["optional.optFlatMap(x, optional)"],
        doc: "The same as `optMap`, for a value that is itself an optional.",
        examples: &[("optional.of({'a': 1}).optFlatMap(m, m.?a)", "optional.of(1)")],
    },
];
