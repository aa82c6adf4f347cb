//! The description as documents, each made once, when it is first asked for.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;

use super::{errors, html, markdown, openapi, reference};
use crate::router::table;

/// What examples ask where nobody says where the server is reached: where one listens that is told nothing.
const SERVER_DEFAULT: &str = "http://127.0.0.1:8080";

/// The documents of one server.
pub(crate) struct Documents {
    /// Where it is reached from outside, where that is known.
    public_url: Option<String>,
    openapi: OnceLock<Bytes>,
    html: OnceLock<Bytes>,
}

impl Documents {
    pub(crate) fn new(public_url: Option<&str>) -> Self {
        Self {
            public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
            openapi: OnceLock::new(),
            html: OnceLock::new(),
        }
    }

    fn document(&self) -> Value {
        openapi::document(&table(), self.public_url.as_deref().unwrap_or("/"))
    }

    /// `/openapi.json`
    pub(crate) fn openapi(&self) -> Bytes {
        let made = self.openapi.get_or_init(|| self.document().to_string().into());
        made.clone()
    }

    /// `/docs`
    pub(crate) fn html(&self) -> Bytes {
        let made = self.html.get_or_init(|| {
            let server = self.public_url.as_deref().unwrap_or(SERVER_DEFAULT);
            let mut blocks = reference::blocks(&self.document(), server);
            blocks.extend(errors::blocks(2));
            html::render("Postrider: the HTTP API", &blocks).into()
        });
        made.clone()
    }

    /// What stands before a code in a link to where it is explained.
    pub(crate) fn errors(&self) -> String {
        format!("{}/docs#error-", self.public_url.as_deref().unwrap_or_default())
    }
}

/// The whole API as an OpenAPI 3.1 document, as `/openapi.json` answers it where no `--public-url` is set.
pub fn openapi() -> Value {
    openapi::document(&table(), "/")
}

/// The generated pages of docs/reference: the path of each in the repository, and what it holds.
pub fn reference() -> [(&'static str, String); 3] {
    [
        (
            "docs/reference/api.md",
            markdown::render(&reference::blocks(&openapi(), SERVER_DEFAULT)),
        ),
        ("docs/reference/errors.md", markdown::render(&errors::blocks(1))),
        ("docs/reference/metrics.md", crate::metrics::page()),
    ]
}
