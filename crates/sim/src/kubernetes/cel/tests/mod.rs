//! Expressions and their values, types and errors.

use serde_json::{Value, json};

use super::*;

/// Returns the value of an expression over `self`, or the reason of its failure.
fn value(source: &str, own: &Value) -> Result<String, String> {
    let schema = json!({});
    evaluate(source, CelValue::of(&schema, own), None).map(|value| value::display(&value))
}

fn holds(source: &str, own: Value) {
    assert_eq!(value(source, &own), Ok("true".to_owned()), "{source}");
}

fn fails(source: &str, own: Value, why: &str) {
    assert_eq!(value(source, &own), Err(why.to_owned()), "{source}");
}

#[test]
fn operators_follow_their_precedence() {
    for source in [
        "1 + 2 * 3 == 7 && !(2 < 1)",
        "true || false && false",
        "-7 / 2 == -3 && -7 % 2 == -1",
        "[1, 2] + [3] == [1, 2, 3]",
        "'a' + \"b\" == r'ab'",
        "1 < 2 ? 'yes' == 'yes' : false",
        "2.5 * 2.0 == 5.0 && 3u in [3u]",
        "{'a': 1, 'b': 2}['b'] == 2 && 'a' in {'a': 1}",
        "'\\u00e4' == 'ä' && '''it's''' == \"it's\" && b'a' == b'\\x61'",
        "type(1) == int && int('7') == 7 && string(7) == '7' && double(2) == 2.0",
        "9223372036854775807 > 1 && -9223372036854775808 < 0 && 0x10 == 16",
    ] {
        holds(source, Value::Null);
    }
}

#[test]
fn one_operand_may_decide_in_spite_of_an_error_in_the_other() {
    holds("self.a == 1 || true", json!({}));
    holds("!(self.a == 1 && false)", json!({}));
    holds("[0, 1].exists(x, 1 / x == 1)", json!({}));
    fails("self.a == 1", json!({}), "no such key: a");
    fails("[0, 2].all(x, 1 / x == 0)", json!({}), "division by zero");
    fails("self[2]", json!([1]), "index out of bounds: 2");
    fails("9223372036854775807 + 1", json!({}), "integer overflow");
    fails("'a' - 'b'", json!({}), "no such overload");
}

#[test]
fn macros_read_lists_and_the_keys_of_maps() {
    let own = json!({"list": [{"n": 1}, {"n": 2}, {"n": 2}], "map": {"a": "x", "b": "y"}});
    for source in [
        "has(self.list) && !has(self.other)",
        "self.list.all(x, x.n > 0) && self.list.exists_one(x, x.n == 1)",
        "!self.list.exists_one(x, x.n == 2)",
        "self.list.filter(x, x.n == 2).size() == 2 && self.list.map(x, x.n) == [1, 2, 2]",
        "self.list.map(x, x.n == 1, x.n * 10) == [10]",
        "self.map.all(k, self.map[k] != '') && self.map.exists(k, k == 'b')",
    ] {
        holds(source, own.clone());
    }
}

#[test]
fn functions_of_kubernetes_are_known() {
    for source in [
        "'a/b/c'.split('/')[0] == 'a' && ['a', 'b'].join('-') == 'a-b' && 'abc'.substring(1) == 'bc'",
        "'Abc'.lowerAscii() == 'abc' && ' a '.trim() == 'a' && 'abcb'.indexOf('b') == 1 && 'abcb'.lastIndexOf('b') == 3",
        "'aXa'.replace('a', 'b') == 'bXb' && 'abc'.charAt(1) == 'b' && 'a1b22'.findAll('[0-9]+') == ['1', '22']",
        "[1, 2, 3].sum() == 6 && [3, 1].min() == 1 && [1, 2].isSorted() && ['a'].indexOf('b') == -1",
        "sets.contains([1, 2], [2]) && sets.equivalent([1, 1], [1]) && sets.intersects([1, 2], [2, 3])",
        "duration('1m30s') == duration('90s') && duration('1h').getMinutes() == 60",
        "timestamp('2026-01-02T03:04:05Z').getFullYear() == 2026 && timestamp('2026-01-02T00:00:00Z') + duration('24h') == timestamp('2026-01-03T00:00:00Z')",
        "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('1500m').add(1).compareTo(quantity('2.5')) == 0 && !isQuantity('1x')",
        "isIP('10.0.0.1') && !isIP('a') && ip('::1').family() == 6 && cidr('10.0.0.0/8').containsIP('10.1.2.3')",
        "optional.of(1).hasValue() && optional.none().orValue(2) == 2 && {'a': 1}.?b.orValue(3) == 3",
        "'%s has %d'.format(['a', 2]) == 'a has 2'",
    ] {
        holds(source, Value::Null);
    }
}

#[test]
fn a_costly_expression_and_a_deep_one_are_stopped() {
    let own = Value::from((0..2_000).collect::<Vec<_>>());
    fails("self.all(x, self.all(y, x + y >= 0))", own, "operation cancelled: actual cost limit exceeded");
    let deep = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(value(&deep, &Value::Null).unwrap_err().contains("recursion limit"));
    let long = format!("1{}", "+1".repeat(5_000));
    assert!(value(&long, &Value::Null).unwrap_err().contains("recursion limit"));
}

#[test]
fn a_compile_error_shows_its_place() {
    let schema = json!({"type": "object", "properties": {
        "size": {"type": "integer"}, "name": {"type": "string"}, "namespace": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}}, "any": {"x-kubernetes-int-or-string": true},
    }});
    let compiled = |source: &str| {
        let variables = Variables { schema: &schema, is_root: false, optional_old: false };
        compile(source, &variables, &Type::Bool)
    };
    for source in [
        "self.size > 1 && self.name.size() > 1 && self.tags.all(t, t.startsWith('a'))",
        "self.any == 1 || self.any == '1'",
        "self.__namespace__ == oldSelf.__namespace__",
        "self.tags.map(t, t.size()).sum() > 3",
    ] {
        assert_eq!(compiled(source), Ok(()), "{source}");
    }
    let why = |source: &str| compiled(source).unwrap_err();
    assert_eq!(
        why("self.size > 1 || has(self.namespace)"),
        "compilation failed: ERROR: <input>:1:21: undefined field 'namespace'\n | self.size > 1 || has(self.namespace)\n | \
         ....................^"
    );
    assert!(
        why("self.size + 'a' == 'b'").contains("no matching overload for '_+_' applied to '(int, string)'")
    );
    assert!(why("self.nome == ''").contains("1:5: undefined field 'nome'"));
    assert!(why("other == 1").contains("undeclared reference to 'other'"));
    assert!(why("self.name.contains(1)").contains("'contains' applied to 'string.(int)'"));
    assert!(why("self.size >").contains("Syntax error"));
    assert_eq!(why("self.size"), "cel expression must evaluate to a bool");
}

#[test]
fn no_source_stops_the_server() {
    const PARTS: [&str; 36] = [
        "self",
        ".a",
        ".?b",
        "[0]",
        "[?-1]",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        "!",
        " && ",
        " || ",
        " ? ",
        " : ",
        " in ",
        "1",
        "-9223372036854775808",
        "2u",
        "1.5e300",
        "'a'",
        "r'\\",
        "b'\\377'",
        "\"\\u00e4\"",
        ".all(x, x)",
        ".map(x, x + x)",
        "duration('1h')",
        ".substring(-1, 9)",
        "quantity('1E')",
    ];
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let own = json!({"a": [1, 2.5, "x", null, {"b": true}], "b": "text"});
    for _ in 0..20_000 {
        let count = random.usize(1..12);
        let source: String = (0..count).map(|_| *random.choice(PARTS.iter()).unwrap()).collect();
        let _ = value(&source, &own);
        let schema =
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}});
        let _ =
            compile(&source, &Variables { schema: &schema, is_root: true, optional_old: false }, &Type::Bool);
    }
}
