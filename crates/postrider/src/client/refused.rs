//! What the server said no to, in words.

use std::fmt;

use http::{Method, StatusCode};
use serde_json::Value;

use super::ServerUrl;
use crate::commands::visible;

/// A request that was not answered with a success.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    server: ServerUrl,
    asked: String,
    /// The status.
    pub(crate) status: StatusCode,
    body: Value,
}

impl std::error::Error for Refused {}

impl Refused {
    /// The answer to a request.
    pub(crate) fn new(server: &ServerUrl, method: &Method, path: &str, status: StatusCode, body: Value) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        Self {
            server: server.clone(),
            asked: format!("{method} {path}"),
            status,
            body,
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.body.get(key).and_then(Value::as_str).map(visible)
    }
}

impl fmt::Display for Refused {
    /// `404 account_not_found: …`, and each parameter on a line of its own.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.text("code").unwrap_or_else(|| "answered".to_owned());
        write!(out, "{} {code}", self.status.as_u16())?;
        match self.text("detail") {
            Some(detail) => write!(out, ": {detail}")?,
            None => write!(out, ": {}", self.body)?,
        }
        for param in self.body.get("params").and_then(Value::as_array).into_iter().flatten() {
            let part = |key: &str| visible(param.get(key).and_then(Value::as_str).unwrap_or_default());
            write!(out, "\n  {}: {} ({})", part("path"), part("detail"), part("code"))?;
        }
        for (key, value) in self.body.get("context").and_then(Value::as_object).into_iter().flatten() {
            write!(out, "\n  {}: {}", visible(key), visible(&value.to_string()))?;
        }
        if let Some(docs) = self.text("docs") {
            let server = if docs.starts_with('/') {
                self.server.to_string()
            } else {
                String::new()
            };
            write!(out, "\n  see {server}{docs}")?;
        }
        write!(out, "\n  ({} at {})", self.asked, self.server)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn code_detail_and_each_parameter_are_said() {
        let body = json!({
            "code": "invalid_request",
            "detail": "2 parameters are wrong",
            "params": [
                { "path": "body.name", "detail": "is missing", "code": "required" },
                { "path": "body.nam", "detail": "is unknown\u{1b}[2J", "code": "unknown_field" },
            ],
            "context": { "scope": "accounts:admin" },
            "docs": "/docs#error-invalid_request",
        });
        let server = "https://example.com/hooks".parse().unwrap();
        let said = Refused::new(&server, &Method::POST, "/accounts?limit=1", StatusCode::BAD_REQUEST, body).to_string();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], "400 invalid_request: 2 parameters are wrong");
        assert_eq!(lines[1], "  body.name: is missing (required)");
        assert!(
            lines[2].starts_with("  body.nam: is unknown") && !lines[2].contains('\u{1b}'),
            "{said}"
        );
        assert!(lines[3].contains("scope") && lines[3].contains("accounts:admin"));
        assert_eq!(lines[4], "  see https://example.com/hooks/docs#error-invalid_request");
        assert_eq!(lines[5], "  (POST /accounts at https://example.com/hooks)");
    }
}
