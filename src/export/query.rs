//! What stands behind the question mark of an API address, and the answer to what is not understood there.
//!
//! Road taken: each route says which parameters it has, and anything else is refused with words that name them (RFC 9457): a filter
//! that is misspelt and passed over would show everything as if it were the answer. Road not taken: a struct for each route, whose
//! errors would be the deserialiser's.

use std::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The most characters of a text: no label, and no name, is longer.
const LONGEST: usize = 256;

/// A parameter of a route.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Without it there is no answer.
    pub required: bool,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text of 1 to 256 characters.
    Text,
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// A whole number between two others.
    Number(u64, u64),
    /// `true` or `false`.
    Flag,
    /// The id of a notable event.
    Id,
}

/// What was asked.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Reads what stands behind the question mark.
    pub(super) fn read(known: &'static [Parameter], text: &str) -> Result<Self, Problem> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
                return Err(Problem::asked(format!("There is no parameter `{name}` here; {}.", all(known))));
            };
            if read.text(parameter.name).is_some() {
                return Err(Problem::asked(format!("The parameter `{name}` is there more than once.")));
            }
            if !parameter.kind.takes(&value) {
                return Err(Problem::asked(format!("The parameter `{name}` is {}.", parameter.kind.words())));
            }
            read.0.push((parameter.name, value.into_owned()));
        }
        match known.iter().find(|parameter| parameter.required && read.text(parameter.name).is_none()) {
            Some(parameter) => Err(Problem::asked(format!("The parameter `{}` is missing: {}.", parameter.name, parameter.kind.words()))),
            None => Ok(read),
        }
    }

    /// A parameter's text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }

    /// A parameter's number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A parameter's number, as one of rows.
    pub(super) fn count(&self, name: &str) -> Option<usize> {
        self.number(name).and_then(|number| usize::try_from(number).ok())
    }

    /// Whether a flag is set.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The same text for the same question.
    pub(super) fn canonical(&self) -> String {
        let mut pairs = self.0.clone();
        pairs.sort_unstable();
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

impl Kind {
    fn takes(self, value: &str) -> bool {
        let digits = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Self::Text => (1..=LONGEST).contains(&value.chars().count()),
            Self::OneOf(words) => words.contains(&value),
            Self::Number(least, most) => digits(value, 20) && value.parse::<u64>().is_ok_and(|number| (least..=most).contains(&number)),
            Self::Flag => matches!(value, "true" | "false"),
            Self::Id => value.split_once('-').is_some_and(|(run, number)| {
                (1..=16).contains(&run.len()) && run.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) && digits(number, 18)
            }),
        }
    }

    fn words(self) -> String {
        match self {
            Self::Text => format!("a text of 1 to {LONGEST} characters"),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Number(least, most) => format!("a whole number from {least} to {most}"),
            Self::Flag => "true or false".to_owned(),
            Self::Id => "the id of a notable event, such as 5f0c-17".to_owned(),
        }
    }
}

fn all(known: &[Parameter]) -> String {
    let mut words = String::new();
    for parameter in known {
        // Writing to a String cannot fail.
        let _ = write!(words, "{}{}", if words.is_empty() { "there are " } else { ", " }, parameter.name);
    }
    if words.is_empty() { "it has none".to_owned() } else { words }
}

/// Why there is no answer (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    /// 400: what was asked is not understood.
    #[must_use]
    pub fn asked(detail: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail }
    }

    /// 404: what was asked for is not there.
    #[must_use]
    pub fn absent(detail: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, detail }
    }

    /// 503: not now.
    #[must_use]
    pub fn busy(detail: String) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, detail }
    }

    /// 500.
    #[must_use]
    pub fn failed(detail: String) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, detail }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let told = json!({ "type": "about:blank", "title": title, "status": self.status.as_u16(), "detail": self.detail });
        let mut response = (self.status, format!("{told}\n")).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Parameter] = &[
        Parameter { name: "device", kind: Kind::Text, required: true },
        Parameter { name: "limit", kind: Kind::Number(1, 9), required: false },
        Parameter { name: "all", kind: Kind::Flag, required: false },
        Parameter { name: "after", kind: Kind::Id, required: false },
        Parameter { name: "action", kind: Kind::OneOf(&["a", "b"]), required: false },
    ];

    #[test]
    fn what_is_meant_is_read_however_it_is_escaped() {
        let query = Query::read(KNOWN, "limit=9&device=02%3a00+%ff%C4%8d&all=true&after=0f-17&action=b").unwrap();
        assert_eq!((query.text("device"), query.number("limit"), query.flag("all")), (Some("02:00 \u{fffd}č"), Some(9), true));
        assert_eq!(query.canonical(), Query::read(KNOWN, "action=b&after=0f-17&device=02:00%20%ffč&all=true&limit=9").unwrap().canonical());
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_is_allowed() {
        for (text, words) in [
            ("", "`device` is missing"),
            ("device=", "a text of 1 to 256"),
            ("device=x&device=x", "more than once"),
            ("device=x&limit=0", "from 1 to 9"),
            ("device=x&limit=+1", "from 1 to 9"),
            ("device=x&limit=99999999999999999999999", "from 1 to 9"),
            ("device=x&all=yes", "true or false"),
            ("device=x&after=0g-1", "the id of"),
            ("device=x&after=-1", "the id of"),
            ("device=x&action=c", "one of a, b"),
            ("device=x&limits=1", "there are device, limit, all, after, action"),
        ] {
            let problem = Query::read(KNOWN, text).unwrap_err();
            assert!(problem.detail.contains(words) && problem.status == 400, "{text}: {problem:?}");
        }
        assert!(Query::read(KNOWN, &format!("device={}", "č".repeat(256))).is_ok());
        assert!(Query::read(KNOWN, &format!("device={}", "č".repeat(257))).is_err());
        assert!(Query::read(&[], "x").unwrap_err().detail.contains("it has none"));
    }
}
