//! What a route is, and how a request finds it.

use std::future::Future;
use std::pin::Pin;

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use postrider_model::key::Scope;
use postrider_model::limits::REQUEST_BYTES_MAX;
use schemars::JsonSchema;
use smallvec::SmallVec;

use crate::answer::Answer;
use crate::call::Call;
use crate::code::Code;
use crate::description::{About, RequestBody, Success};
use crate::error::ApiError;
use crate::fault::Faults;
use crate::metrics::Answers;
use crate::params::{Fields, describe_fields};
use crate::query::Query;

/// A handler at work.
pub(crate) type Handling = Pin<Box<dyn Future<Output = Answer> + Send>>;
/// What a route does.
pub(crate) type Handler = Box<dyn Fn(Call) -> Handling + Send + Sync>;
/// The `{…}` of a path, decoded, in their order.
pub(crate) type Args = SmallVec<[String; 2]>;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody, without a token.
    Open,
    /// A key as a client of OAuth2: its id and token are in the body, which is a form, or in HTTP Basic.
    Client,
    /// Any key; the account is named where there is one.
    AnyKey,
    /// A key with this scope. `AccountsAdmin` is of the operator's alone; every other needs an account.
    Scope(Scope),
}

/// What of a request a route reads beside its path and headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Nothing.
    Nothing,
    /// The query string.
    Query,
    /// The body, of at most so many bytes.
    Body(usize),
}

/// One line of the table of routes.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) reads: Reads,
    /// Nodes that only send have it too.
    pub(crate) is_on_every_node: bool,
    pub(crate) handler: Handler,
    /// Apart, so that looking a route up walks over little memory.
    pub(crate) about: Box<About>,
    /// What its requests were answered.
    pub(crate) answers: Answers,
}

/// A route that does not say yet what it is called.
pub(crate) struct Unnamed(Route);

/// A route that does not say yet what it answers.
pub(crate) struct Draft(Route);

/// A route that any key may use and that reads nothing. It is one only when it has a name and says what it answers.
pub(crate) fn route<F>(method: Method, path: &'static str, handler: fn(Call) -> F) -> Unnamed
where
    F: Future<Output = Answer> + Send + 'static,
{
    Unnamed(Route {
        method,
        path,
        access: Access::AnyKey,
        reads: Reads::Nothing,
        is_on_every_node: false,
        handler: Box::new(move |call| Box::pin(handler(call))),
        about: Box::default(),
        answers: Answers::default(),
    })
}

impl Unnamed {
    /// What programs call it, and what it does in a few words.
    pub(crate) fn named(mut self, id: &'static str, summary: &'static str) -> Draft {
        self.0.about.id = id;
        self.0.about.summary = summary;
        Draft(self.0)
    }
}

impl Draft {
    /// Only keys with this scope.
    pub(crate) fn scope(mut self, scope: Scope) -> Self {
        self.0.access = Access::Scope(scope);
        self
    }

    /// Nodes that only send have it too.
    pub(crate) fn on_every_node(mut self) -> Self {
        self.0.is_on_every_node = true;
        self
    }

    /// Anybody.
    pub(crate) fn open(mut self) -> Self {
        self.0.access = Access::Open;
        self
    }

    /// Clients of OAuth2.
    pub(crate) fn clients(mut self) -> Self {
        self.0.access = Access::Client;
        self
    }

    /// What else is to be known of it.
    pub(crate) fn notes(mut self, notes: &'static str) -> Self {
        self.0.about.notes = notes;
        self
    }

    /// It reads a body, with the function that describes it.
    pub(crate) fn body<T: 'static>(self, read: fn(&mut Fields<'static, '_, '_>) -> Option<T>) -> Self {
        self.body_max(REQUEST_BYTES_MAX, read)
    }

    /// The same, of at most so many bytes.
    pub(crate) fn body_max<T: 'static>(mut self, bytes_max: usize, read: fn(&mut Fields<'static, '_, '_>) -> Option<T>) -> Self {
        self.0.reads = Reads::Body(bytes_max);
        self.0.about.body = Some(RequestBody {
            schema: Box::new(move || describe_fields(read)),
            is_optional: false,
        });
        self
    }

    /// It reads a body, and takes none for an empty object.
    pub(crate) fn optional_body<T: 'static>(self, read: fn(&mut Fields<'static, '_, '_>) -> Option<T>) -> Self {
        let mut draft = self.body(read);
        if let Some(body) = &mut draft.0.about.body {
            body.is_optional = true;
        }
        draft
    }

    /// It reads the query string, with the function that describes it.
    pub(crate) fn query(mut self, read: fn(&mut Query, &mut Faults)) -> Self {
        self.0.reads = Reads::Query;
        self.0.about.query = Some(read);
        self
    }

    /// The errors of its own, beyond those that come from who asks and what is read.
    pub(crate) fn codes(mut self, codes: &'static [Code]) -> Self {
        self.0.about.codes = codes;
        self
    }

    /// 200 with a resource.
    pub(crate) fn ok<T: JsonSchema>(self, what: &'static str) -> Route {
        self.0.or::<T>(StatusCode::OK, what)
    }

    /// 201 with what was made.
    pub(crate) fn created<T: JsonSchema>(self, what: &'static str) -> Route {
        self.0.or::<T>(StatusCode::CREATED, what)
    }

    /// 202 with what is to be done.
    pub(crate) fn accepted<T: JsonSchema>(self, what: &'static str) -> Route {
        self.0.or::<T>(StatusCode::ACCEPTED, what)
    }

    /// 200 with a page of resources. Such a route reads at least `limit` and `cursor`.
    pub(crate) fn list<T: JsonSchema>(mut self, what: &'static str) -> Route {
        self.0.about.successes.push(Success::page::<T>(what));
        self.0
    }

    /// 200 with text of this media type.
    pub(crate) fn text(mut self, media_type: &'static str, what: &'static str) -> Route {
        self.0.about.successes.push(Success::text(media_type, what));
        self.0
    }

    /// 204: it is gone.
    pub(crate) fn deleted(mut self, what: &'static str) -> Route {
        self.0.about.successes.push(Success::nothing(what));
        self.0
    }
}

impl Route {
    /// It may also answer with this status.
    pub(crate) fn or<T: JsonSchema>(mut self, status: StatusCode, what: &'static str) -> Self {
        self.about.successes.push(Success::one::<T>(status, what));
        self
    }

    /// The type of the bodies that it reads.
    pub(crate) fn media_type(&self) -> &'static str {
        match self.access {
            Access::Client => "application/x-www-form-urlencoded",
            Access::Open | Access::AnyKey | Access::Scope(_) => "application/json",
        }
    }

    /// Whether its first answer to a request with an idempotency key is replayed.
    pub(crate) fn is_replayed(&self) -> bool {
        self.method == Method::POST && self.access != Access::Open
    }

    /// The arguments, where the path is one of this route's.
    fn matches(&self, path: &str) -> Option<Args> {
        let mut args = Args::new();
        let mut given = path.split('/');
        for wanted in self.path.split('/') {
            let given = given.next()?;
            if wanted.starts_with('{') && !given.is_empty() {
                args.push(percent_decode_str(given).decode_utf8_lossy().into_owned());
            } else if wanted != given {
                return None;
            }
        }
        given.next().is_none().then_some(args)
    }
}

/// All routes.
pub(crate) struct Table(pub(crate) Vec<Route>);

/// Routes that belong together.
pub(crate) fn group(tag: &'static str, mut routes: Vec<Route>) -> Vec<Route> {
    for route in &mut routes {
        route.about.tag = tag;
    }
    routes
}

impl Table {
    /// The route of a request, and the arguments of its path. A HEAD is answered like a GET: hyper leaves the body away.
    ///
    /// # Errors
    /// There is no such path, or it does not have this method.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Result<(&Route, Args), ApiError> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let of_method = self.0.iter().filter(|route| route.method == *method);
        if let Some(found) = of_method.into_iter().find_map(|route| Some((route, route.matches(path)?))) {
            return Ok(found);
        }
        let of_path = self.0.iter().filter(|route| route.matches(path).is_some());
        let mut allowed: Vec<Method> = of_path.map(|route| route.method.clone()).collect();
        if allowed.is_empty() {
            return Err(Code::RouteNotFound.into());
        }
        if allowed.contains(&Method::GET) {
            allowed.push(Method::HEAD);
        }
        Err(ApiError::method_not_allowed(&allowed))
    }
}
