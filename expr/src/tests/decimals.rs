//! Decimals in expressions: exact, compatible with ints, and converted to doubles only next to doubles.

use tidegate_rows::{Row, Schema, Type, Value};

use crate::Expr;

fn schema() -> Schema {
    Schema::new([
        ("price", Type::Decimal),
        ("rate", Type::Decimal),
        ("n", Type::Int),
        ("u", Type::Uint),
        ("d", Type::Double),
        ("any", Type::Any),
        ("none", Type::Decimal),
        ("no", Type::Int),
        ("ok", Type::Bool),
    ])
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.parse().unwrap())
}

fn row() -> Row {
    [
        decimal("12.30"),
        decimal("0.075"),
        Value::Int(3),
        Value::Uint(2),
        Value::Double(0.5),
        decimal("7.50"),
        Value::Null,
        Value::Null,
        Value::Bool(true),
    ]
    .into_iter()
    .collect()
}

fn compile(source: &str) -> Expr {
    Expr::compile(source, &schema()).unwrap_or_else(|problems| panic!("{source}: {problems:?}"))
}

fn eval(source: &str) -> Result<Value, String> {
    compile(source).eval(&row()).map_err(|error| error.to_string())
}

fn problem(source: &str) -> String {
    Expr::compile(source, &schema()).unwrap_err()[0].to_string()
}

#[test]
fn arithmetic_is_exact_and_knows_its_type() {
    for (source, ty, expected) in [
        ("price + rate", Type::Decimal, decimal("12.375")),
        ("price * n", Type::Decimal, decimal("36.90")),
        ("u * price", Type::Decimal, decimal("24.60")),
        ("price - 1", Type::Decimal, decimal("11.30")),
        ("price / n", Type::Decimal, decimal("4.10")),
        ("n / decimal('2')", Type::Decimal, decimal("1.5")),
        ("price % 5", Type::Decimal, decimal("2.30")),
        ("-price", Type::Decimal, decimal("-12.30")),
        ("price * d", Type::Double, Value::Double(6.15)),
        ("d + price", Type::Double, Value::Double(12.8)),
        ("any + price", Type::Any, decimal("19.80")),
        ("any * 2", Type::Any, decimal("15.00")),
        ("any * 2.0", Type::Double, Value::Double(15.0)),
        ("decimal('0.1') + decimal('0.2') == decimal('0.3')", Type::Bool, Value::Bool(true)),
        // The branches have one type, and so do the values of a fallback.
        ("ok ? price : 0", Type::Decimal, decimal("12.30")),
        ("ok ? n : price", Type::Decimal, decimal("3")),
        ("coalesce(none, 0)", Type::Decimal, decimal("0")),
        ("coalesce(no, price)", Type::Decimal, decimal("12.30")),
        ("ok ? no : price", Type::Decimal, Value::Null),
    ] {
        assert_eq!((compile(source).ty(), eval(source)), (&ty, Ok(expected)), "{source}");
    }
}

#[test]
fn what_has_no_value_is_an_error() {
    let large = "decimal('99999999999999999999999999999999999999')";
    for (source, error) in [
        (format!("{large} + n"), "decimal overflow"),
        (format!("price * {large}"), "decimal overflow"),
        ("price / (n - 3)".into(), "division by zero"),
        ("price % (price - price)".into(), "modulus by zero"),
        (format!("int({large} - n)"), "value out of range of int"),
        ("uint(-price)".into(), "value out of range of uint"),
        ("decimal(string(n) + 'x')".into(), "`3x` is not a decimal such as 12.30"),
        ("decimal(d / 0.0)".into(), "value out of range of decimal"),
        ("none + price".into(), "no such overload: null + decimal"),
        ("price > none".into(), "no such overload: decimal > null"),
        ("math.round(price * 1000, -39) + price / (n - 3)".into(), "division by zero"),
    ] {
        assert_eq!(eval(&source), Err(error.to_owned()), "{source}");
    }
    for (source, message) in [
        ("price / 0", "division by zero"),
        ("decimal('ten')", "`ten` is not a decimal such as 12.30"),
        ("decimal('1e39')", "`1e39` is not a decimal: it has more than 38 digits"),
        ("price + 'x'", "no `+` for decimal and string"),
        ("price % 0.5", "no `%` for decimal and double"),
        ("price == 'x'", "cannot compare decimal and string"),
        ("price == 0.1", "no decimal equals the double 0.1, which is not exactly that number: write decimal('0.1')"),
        ("{price: 1}", "decimal cannot be the key of a map"),
        ("math.round(price, 1.5)", "expected int, found double"),
    ] {
        assert_eq!(problem(source), message, "{source}");
    }
}

#[test]
fn amounts_are_compared_exactly_with_all_numbers() {
    for (source, expected) in [
        ("price == decimal('12.3')", true),
        ("price == 12.5", false),
        ("any == 7.5 && 7.5 == any", true),
        ("any == price", false),
        ("decimal('1.00') == 1 && 1u == decimal('1.0') && decimal('1') == 1.0", true),
        // The double is slightly larger than what is written.
        ("decimal('0.1') < d / 5.0", true),
        ("decimal('9007199254740993') > 9007199254740992.0", true),
        ("decimal('9007199254740993') == 9007199254740993", true),
        ("price in [decimal('1'), decimal('12.300')]", true),
        ("price in [1, 2, 3, 4, 5, 6, 7, decimal('12.3')]", true),
        ("any in [1, 2, 3, 4, 5, 6, 7, 7.5]", true),
        ("any in [1, 2, 3, 4, 5, 6, 7, 8]", false),
        ("none == null && price != null", true),
        ("[decimal('2'), 1, 1.5].sort() == [1, 1.5, 2]", true),
        ("[decimal('1.0'), 1, 1.0].distinct().size() == 1", true),
        ("d < price && price > n && price >= u && price <= 12.5", true),
        ("d / 0.0 > price && !(0.0 / 0.0 * d < price)", true),
        ("type(price) == decimal", true),
    ] {
        assert_eq!(eval(source), Ok(Value::Bool(expected)), "{source}");
    }
}

#[test]
fn functions_take_decimals() {
    for (source, expected) in [
        ("int(-price)", Value::Int(-12)),
        ("uint(price)", Value::Uint(12)),
        ("double(price)", Value::Double(12.3)),
        ("string(price)", Value::string("12.30")),
        ("decimal(n)", decimal("3")),
        ("decimal(d)", decimal("0.5")),
        ("decimal(0.1)", decimal("0.1")),
        ("decimal(price)", decimal("12.30")),
        ("math.round(price * rate, 2)", decimal("0.92")),
        ("math.round(-decimal('2.5'))", decimal("-3")),
        ("math.round(price, 4)", decimal("12.3000")),
        ("math.round(price, -1)", decimal("10")),
        ("math.floor(-price)", decimal("-13")),
        ("math.ceil(price, 1)", decimal("12.3")),
        ("math.trunc(price * rate, 2)", decimal("0.92")),
        ("math.abs(-price)", decimal("12.30")),
        ("math.sign(-price)", decimal("-1")),
        ("math.sqrt(decimal('6.25'))", Value::Double(2.5)),
        ("math.greatest(n, price, 4.5)", decimal("12.30")),
        ("math.least([price, rate])", decimal("0.075")),
        ("sum([price, 1, rate])", decimal("13.375")),
        ("avg([price, decimal('0.2')])", decimal("6.25")),
        ("[price, rate].max()", decimal("12.30")),
        ("'%s %.2f %.1f %.3f'.format([price, rate, price, n])", Value::string("12.30 0.08 12.3 3.000")),
        ("to_json({'price': price, 'l': [rate]})", Value::string("{\"price\":12.30,\"l\":[0.075]}")),
        ("hash(price) == hash(decimal('12.30'))", Value::Bool(true)),
    ] {
        assert_eq!(eval(source), Ok(expected), "{source}");
    }
    assert_eq!(compile("avg([price, rate])").ty(), &Type::Decimal);
    assert_eq!(compile("avg([n])").ty(), &Type::Double);
    assert_eq!(compile("price * 2").number(&row()), Ok(Some(24.6)));
}
