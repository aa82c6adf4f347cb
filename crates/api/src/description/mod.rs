//! What the API says of itself. The table of routes, the functions that read requests and the structs that are answered describe
//! themselves; from that alone come `/openapi.json`, `/docs` and the pages of the reference.

pub(crate) mod arguments;
mod blocks;
pub(crate) mod documents;
mod errors;
pub(crate) mod example;
pub(crate) mod failures;
pub(crate) mod html;
mod markdown;
mod openapi;
mod reference;
pub(crate) mod remedies;
pub(crate) mod schema;
mod words;

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use crate::code::Code;
use crate::fault::Faults;
use crate::query::Query;

/// The fields of one object, as the function that reads them names them.
#[derive(Default)]
pub(crate) struct ObjectSchema {
    properties: Map<String, Value>,
    required: Vec<&'static str>,
}

impl ObjectSchema {
    pub(crate) fn required(&mut self, name: &'static str, schema: Schema, what: &'static str) {
        self.required.push(name);
        self.optional(name, schema, what);
    }

    pub(crate) fn optional(&mut self, name: &'static str, schema: Schema, what: &'static str) {
        let schema = schema::with_description(schema, what);
        self.properties.insert(name.to_owned(), schema.to_value());
    }

    pub(crate) fn nullable(&mut self, name: &'static str, schema: Schema, what: &'static str) {
        self.optional(name, schema::or_null(schema), what);
    }

    /// An object of these fields and no others: an unknown one is refused.
    pub(crate) fn into_schema(self) -> Schema {
        let mut schema = json_schema!({ "type": "object", "properties": self.properties, "additionalProperties": false });
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), self.required.into());
        }
        schema
    }
}

/// A parameter of a request beside its body.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// `query`, `path` or `header`.
    pub(crate) place: &'static str,
    pub(crate) is_required: bool,
    pub(crate) schema: Schema,
    pub(crate) what: &'static str,
}

impl Parameter {
    pub(crate) fn of_query(name: &str, schema: Schema, what: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            place: "query",
            is_required: false,
            schema,
            what,
        }
    }
}

/// The body that a route reads.
pub(crate) struct RequestBody {
    pub(crate) schema: Box<dyn Fn() -> Schema + Send + Sync>,
    /// Whether a request without a body is one with `{}`.
    pub(crate) is_optional: bool,
}

/// What an answer holds.
pub(crate) enum Content {
    /// Nothing: 204.
    Nothing,
    /// JSON of this schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// A page of a list, whose items have this schema.
    Page(fn(&mut SchemaGenerator) -> Schema),
    /// Text of this media type.
    Text(&'static str),
}

/// One way in which a route answers a request that it accepts.
pub(crate) struct Success {
    pub(crate) status: StatusCode,
    pub(crate) what: &'static str,
    pub(crate) content: Content,
}

impl Success {
    /// A resource of this type.
    pub(crate) fn one<T: JsonSchema>(status: StatusCode, what: &'static str) -> Self {
        let content = Content::Json(SchemaGenerator::subschema_for::<T>);
        Self { status, what, content }
    }

    /// A page of resources of this type.
    pub(crate) fn page<T: JsonSchema>(what: &'static str) -> Self {
        Self {
            status: StatusCode::OK,
            what,
            content: Content::Page(SchemaGenerator::subschema_for::<T>),
        }
    }

    /// Text of this media type.
    pub(crate) const fn text(media_type: &'static str, what: &'static str) -> Self {
        Self {
            status: StatusCode::OK,
            what,
            content: Content::Text(media_type),
        }
    }

    /// Nothing is left to show.
    pub(crate) const fn nothing(what: &'static str) -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            what,
            content: Content::Nothing,
        }
    }
}

/// What a route says of itself beside its method, its path and who may use it.
#[derive(Default)]
pub(crate) struct About {
    /// Its name for programs that are made from the description. It stays, whatever becomes of the words.
    pub(crate) id: &'static str,
    /// What it does, in a few words.
    pub(crate) summary: &'static str,
    /// What else is to be known of it.
    pub(crate) notes: &'static str,
    /// The group that it belongs to.
    pub(crate) tag: &'static str,
    pub(crate) body: Option<RequestBody>,
    /// Reads the query string.
    pub(crate) query: Option<fn(&mut Query, &mut Faults)>,
    pub(crate) successes: Vec<Success>,
    /// The errors of its own, beyond those that come from who asks and what is read.
    pub(crate) codes: &'static [Code],
}
