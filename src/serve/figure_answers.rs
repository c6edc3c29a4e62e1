//! What another system has answered: a figure, or why there is none, in words.

use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use judgement::guard::outside_metric::OutsideFigure;

/// A number, if it is one that can be compared.
fn number(value: f64, shown: &str) -> Result<OutsideFigure, String> {
    value.is_finite().then_some(OutsideFigure::Number(value)).ok_or_else(|| format!("its value is {shown}"))
}

/// The answer of an HTTP endpoint: a number or pass or fail, as text or as JSON.
///
/// # Errors
/// Why it is no figure. Nothing of the answer is in it, because it is shown to more people than the endpoint.
pub fn of_endpoint(status: StatusCode, body: &[u8]) -> Result<OutsideFigure, String> {
    match status {
        StatusCode::OK => {}
        _ if status.is_redirection() => return Err(format!("it answered {status}, and redirects are not followed")),
        _ => return Err(format!("it answered {status}")),
    }
    let neither = || "it answered neither a number nor pass or fail".to_owned();
    let text = std::str::from_utf8(body).map_err(|_| neither())?.trim();
    if text.is_empty() {
        return Err("its answer is empty".to_owned());
    }
    // As text, a number may be written as JSON does not take it.
    if let Ok(value) = text.parse::<f64>() {
        return number(value, "not a number that can be compared");
    }
    let value: Value = serde_json::from_str(text).map_err(|_| neither())?;
    let figure = match &value {
        Value::Object(fields) => match (fields.get("value"), fields.get("pass")) {
            (Some(_), Some(_)) => return Err("its answer has both `value` and `pass`".to_owned()),
            (Some(Value::Null), None) => return Err("its answer says that there is no value".to_owned()),
            (Some(value @ Value::Number(_)), None) => value,
            (None, Some(pass @ Value::Bool(_))) => pass,
            _ => return Err(neither()),
        },
        Value::Null => return Err("its answer says that there is no value".to_owned()),
        value => value,
    };
    match figure {
        Value::Bool(passes) => Ok(OutsideFigure::Pass(*passes)),
        Value::Number(given) => given.as_f64().map(OutsideFigure::Number).ok_or_else(neither),
        _ => Err(neither()),
    }
}

#[derive(Deserialize)]
struct PrometheusAnswer {
    data: Option<QueryResult>,
    #[serde(default, rename = "errorType")]
    kind: String,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum QueryResult {
    Scalar((f64, String)),
    Vector(Vec<QuerySample>),
    Matrix(IgnoredAny),
    String(IgnoredAny),
}

#[derive(Deserialize)]
struct QuerySample {
    /// `None` for a histogram.
    value: Option<(f64, String)>,
}

/// The answer of Prometheus to an instant query: one number. `shown`: what may be shown of an error.
///
/// # Errors
/// Why it is no figure.
pub fn of_prometheus(
    status: StatusCode,
    body: &[u8],
    shown: impl FnOnce(&str) -> String,
) -> Result<OutsideFigure, String> {
    let Ok(answer) = serde_json::from_slice::<PrometheusAnswer>(body) else {
        return Err(match status {
            StatusCode::OK => "its answer is not Prometheus'".to_owned(),
            _ if status.is_redirection() => format!("Prometheus answered {status}, and redirects are not followed"),
            _ => format!("Prometheus answered {status}"),
        });
    };
    if let Some(error) = answer.error {
        let error = shown(&error);
        let error = if error.is_empty() { status.to_string() } else { error };
        return Err(match answer.kind.as_str() {
            "bad_data" => format!("Prometheus refused the query: {error}"),
            _ => format!("Prometheus could not answer: {error}"),
        });
    }
    let single = "write a query whose result is one number, such as sum(…)";
    let text = match answer.data {
        Some(QueryResult::Scalar((_, text))) => text,
        Some(QueryResult::Vector(samples)) => match samples.as_slice() {
            [] => return Err("Prometheus has no data for it".to_owned()),
            [QuerySample { value: Some((_, text)) }] => text.clone(),
            [_] => return Err(format!("its result is a histogram: {single}")),
            many => return Err(format!("it has {} results: {single}", many.len())),
        },
        Some(QueryResult::Matrix(_) | QueryResult::String(_)) => {
            return Err(format!("its result is a range or a text: {single}"));
        }
        None => return Err("its answer is not Prometheus'".to_owned()),
    };
    match text.as_str() {
        "NaN" => Err("its value is NaN, as that of 0 / 0: there was nothing to measure".to_owned()),
        "+Inf" | "-Inf" => Err(format!("its value is {text}, as that of 1 / 0")),
        text => {
            let value = text.parse().map_err(|_| "its answer is not Prometheus'".to_owned())?;
            number(value, "not a number that can be compared")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_answers_a_number_or_pass_or_fail() {
        let (n, p) = (OutsideFigure::Number, OutsideFigure::Pass);
        for (body, figure) in [
            ("0.25\n", n(0.25)),
            ("+3", n(3.0)),
            ("-1e3", n(-1000.0)),
            ("true", p(true)),
            ("{\"value\": 0.3, \"unit\": \"percent\"}", n(0.3)),
            ("{\"pass\": false}", p(false)),
        ] {
            assert_eq!(of_endpoint(StatusCode::OK, body.as_bytes()), Ok(figure), "{body}");
        }
        for (status, body, why) in [
            (200, "", "empty"),
            (200, "<html>", "neither"),
            (200, "\"0.3\"", "neither"),
            (200, "[1]", "neither"),
            (200, "{\"value\": \"0.3\"}", "neither"),
            (200, "{\"value\": null}", "no value"),
            (200, "null", "no value"),
            (200, "{}", "neither"),
            (200, "{\"value\": 1, \"pass\": true}", "both"),
            (200, "NaN", "not a number"),
            (200, "inf", "not a number"),
            (200, "1e999", "not a number"),
            (204, "1", "204"),
            (302, "1", "redirects are not followed"),
            (500, "1", "it answered 500 Internal Server Error"),
        ] {
            let answer = of_endpoint(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            assert!(answer.clone().unwrap_err().contains(why), "{body}: {answer:?}");
        }
        assert!(of_endpoint(StatusCode::OK, b"\xff").is_err());
    }

    #[test]
    fn prometheus_answers_one_number() {
        let ask = |status, body: &str| of_prometheus(status, body.as_bytes(), str::to_owned);
        let data = |kind: &str, result: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
        };
        let ok = StatusCode::OK;
        let one = r#"[{"metric":{"a":"b"},"value":[1.5,"0.5"]}]"#;
        assert_eq!(ask(ok, &data("vector", one)), Ok(OutsideFigure::Number(0.5)));
        assert_eq!(ask(ok, &data("scalar", r#"[1.5,"2"]"#)), Ok(OutsideFigure::Number(2.0)));
        for (body, why) in [
            (data("vector", "[]"), "no data"),
            (data("vector", r#"[{"value":[1,"1"]},{"value":[1,"2"]}]"#), "2 results"),
            (data("vector", r#"[{"metric":{},"histogram":[1,{}]}]"#), "histogram"),
            (data("vector", r#"[{"value":[1,"NaN"]}]"#), "NaN"),
            (data("scalar", r#"[1,"+Inf"]"#), "+Inf"),
            (data("scalar", r#"[1,"what"]"#), "not Prometheus'"),
            (data("matrix", "[]"), "range"),
            (data("string", r#"[1,"x"]"#), "text"),
            ("{}".to_owned(), "not Prometheus'"),
            ("<html>".to_owned(), "not Prometheus'"),
        ] {
            let answer = ask(ok, &body);
            assert!(answer.clone().unwrap_err().contains(why), "{body}: {answer:?}");
        }
        let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        let answer = ask(StatusCode::BAD_REQUEST, refused);
        assert_eq!(answer, Err("Prometheus refused the query: parse error".to_owned()));
        let late = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
        let answer = of_prometheus(StatusCode::SERVICE_UNAVAILABLE, late.as_bytes(), |_| String::new());
        assert_eq!(answer, Err("Prometheus could not answer: 503 Service Unavailable".to_owned()));
        assert_eq!(ask(StatusCode::BAD_GATEWAY, "no"), Err("Prometheus answered 502 Bad Gateway".to_owned()));
    }
}
