//! What a route is, and how a request finds it.

use std::future::Future;
use std::pin::Pin;

use http::Method;
use percent_encoding::percent_decode_str;
use postrider_model::key::Scope;
use postrider_model::limits::REQUEST_BYTES_MAX;
use smallvec::SmallVec;

use crate::answer::Answer;
use crate::call::Call;
use crate::code::Code;
use crate::error::ApiError;

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
    pub(crate) handler: Handler,
}

/// A route that any key may use. A POST or PUT reads a body, other methods nothing.
pub(crate) fn route<F>(method: Method, path: &'static str, handler: fn(Call) -> F) -> Route
where
    F: Future<Output = Answer> + Send + 'static,
{
    let has_body = method == Method::POST || method == Method::PUT;
    Route {
        method,
        path,
        access: Access::AnyKey,
        reads: if has_body { Reads::Body(REQUEST_BYTES_MAX) } else { Reads::Nothing },
        handler: Box::new(move |call| Box::pin(handler(call))),
    }
}

impl Route {
    /// Only keys with this scope.
    pub(crate) fn scope(mut self, scope: Scope) -> Self {
        self.access = Access::Scope(scope);
        self
    }

    /// Anybody.
    pub(crate) fn open(mut self) -> Self {
        self.access = Access::Open;
        self
    }

    /// It is a list: it reads the query string.
    pub(crate) fn list(mut self) -> Self {
        self.reads = Reads::Query;
        self
    }

    /// Its body may have so many bytes.
    pub(crate) fn body_max(mut self, bytes_max: usize) -> Self {
        self.reads = Reads::Body(bytes_max);
        self
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
