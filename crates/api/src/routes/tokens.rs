//! `POST /auth/token`: client credentials of OAuth2 (RFC 6749 §4.4). A key is the client: its id, and its token for the secret.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use postrider_model::id::KeyId;
use postrider_model::key::{Scope, Scopes};
use postrider_model::time::Timestamp;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::answer::{self, Answer};
use crate::api::Shared;
use crate::auth;
use crate::call::{Call, Caller, Credential};
use crate::code::Code;
use crate::description::schema;
use crate::error::ApiError;
use crate::fault::{Bad, Faults};
use crate::form;
use crate::params::Fields;
use crate::readers::text;
use crate::rules::Rule;
use crate::tokens::{ACCESS_TOKEN_TIME, Grant, scope_list};

/// Largest body: a form of four short fields.
pub(crate) const TOKEN_REQUEST_BYTES_MAX: usize = 16 * 1024;
/// The one way to ask that is known.
const GRANT_TYPE: &str = "client_credentials";
const SCOPE: &str = "What the token may do: scopes of the key, parted by spaces. All of them if left out.";
const CLIENT_ID: &str = "The key's id, where the client is not given by HTTP Basic.";
const CLIENT_SECRET: &str = "The key's token, where the client is not given by HTTP Basic.";

/// The fields that are read. RFC 6749 §3.2: others are to be passed over.
const FIELDS: [&str; 4] = ["grant_type", "scope", "client_id", "client_secret"];

/// Any text, judged later: its errors have words of their own.
struct Any(&'static str);

impl Rule for Any {
    type Out = Zeroizing<String>;

    fn judge(&self, text: &str) -> Result<Self::Out, Bad> {
        Ok(Zeroizing::new(text.to_owned()))
    }

    fn schema(&self) -> Schema {
        schema::with_example(schema::chars(1, 2_048), self.0)
    }
}

/// What is asked for.
pub(crate) struct Request {
    grant_type: Zeroizing<String>,
    scope: Option<Zeroizing<String>>,
    client_id: Option<Zeroizing<String>>,
    client_secret: Option<Zeroizing<String>>,
}

pub(crate) fn read_request(fields: &mut Fields<'_, '_, '_>) -> Option<Request> {
    let grant_type = fields.required("grant_type", text(Any(GRANT_TYPE)), "How the client asks.");
    let scope = fields.optional("scope", text(Any("events:write events:read")), SCOPE);
    let client_id = fields.optional("client_id", text(Any("key_01kf0f8q3e7vk8w2n6s4t1x5z9")), CLIENT_ID);
    let client_secret = fields.optional("client_secret", text(Any("ptr_…")), CLIENT_SECRET);
    Some(Request {
        grant_type: grant_type?,
        scope,
        client_id,
        client_secret,
    })
}

fn read(body: &[u8], mut faults: Faults) -> Result<Request, ApiError> {
    let request = form::read(body, &FIELDS, &mut faults, read_request)?;
    let request = faults.settle(request)?;
    if *request.grant_type != GRANT_TYPE {
        return Err(Code::UnsupportedGrantType.into());
    }
    Ok(request)
}

/// Who asks for a token, judged by the body: it comes after that, and not before as on other routes.
///
/// # Errors
/// As RFC 6749 §5.2 has them.
pub(crate) async fn admit(shared: &Shared, headers: &HeaderMap, body: &[u8], faults: Faults) -> Result<Caller, ApiError> {
    let request = read(body, faults)?;
    let (id, secret) = client(headers, request)?;
    let key = shared.engine.authenticate(&secret).await?.ok_or(Code::InvalidClient)?;
    if !key.is_stored() {
        return Err(ApiError::configured_client());
    }
    if id.parse::<KeyId>() != Ok(key.key.id) {
        return Err(Code::InvalidClient.into());
    }
    if key.key.is_expired(shared.engine.clock().wall()) {
        return Err(ApiError::expired_client());
    }
    let account = auth::own_account(&shared.engine, key.key.owner).await?;
    if let Some(account) = &account
        && !account.snapshot.account.is_active
    {
        return Err(Code::AccountInactive.into());
    }
    Ok(Caller {
        credential: Credential::of_key(key),
        account,
    })
}

/// The client's id and secret: by HTTP Basic, or in the form (RFC 6749 §2.3.1).
fn client(headers: &HeaderMap, request: Request) -> Result<(Zeroizing<String>, Zeroizing<String>), ApiError> {
    let Some(header) = headers.get(header::AUTHORIZATION) else {
        return request
            .client_id
            .zip(request.client_secret)
            .ok_or_else(|| Code::InvalidClient.into());
    };
    let (id, secret) = form::basic(header).ok_or(Code::InvalidClient)?;
    // The id alone may come with it (RFC 6749 §3.2.1), where it is the same.
    if request.client_secret.is_some() || request.client_id.is_some_and(|given| given != id) {
        return Err(ApiError::two_clients());
    }
    Ok((id, secret))
}

/// An access token.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AccessToken")]
pub(crate) struct AccessTokenJson<'a> {
    /// A JWT, to be sent as `Authorization: Bearer`.
    access_token: &'a str,
    /// Always `bearer`.
    token_type: &'static str,
    /// Seconds until it ends.
    expires_in: u64,
    /// What it may do, parted by spaces.
    scope: &'a str,
    /// Always null: ask anew.
    refresh_token: Option<&'static str>,
}

/// `POST /auth/token`
pub(crate) async fn create(mut call: Call) -> Answer {
    let request = read(&call.body(), call.take_faults())?;
    let credential = &call.caller.as_ref().ok_or(Code::InvalidClient)?.credential;
    let scopes = request
        .scope
        .map_or(Ok(credential.scopes), |asked| scopes(&asked, credential.scopes))?;
    let now = call.now();
    // Its end is kept to the second: rounded up, so that it lives as long as it says.
    let begins_at = now.as_millis().saturating_add(999).div_euclid(1_000).saturating_mul(1_000);
    let ends_at = Timestamp::from_millis(begins_at) + ACCESS_TOKEN_TIME;
    let grant = Grant {
        key: credential.key.key.id,
        scopes,
        ends_at: credential.ends_at.map_or(ends_at, |end| end.min(ends_at)),
    };
    let shown = AccessTokenJson {
        access_token: &call.shared.tokens.make(&grant, now)?,
        token_type: "bearer",
        expires_in: grant.ends_at.since(now).as_secs().min(ACCESS_TOKEN_TIME.as_secs()),
        scope: &scope_list(scopes),
        refresh_token: None,
    };
    let mut response = answer::secret_json(StatusCode::OK, &shown)?;
    // RFC 6749 §5.1: for caches of old.
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// Scopes of the key that are asked for. One that it lacks is an error, not left out.
fn scopes(asked: &str, of_key: Scopes) -> Result<Scopes, ApiError> {
    let names = asked.split(' ').filter(|name| !name.is_empty());
    let known = |name| {
        let scope = Scope::parse(name).filter(|scope| of_key.contains(*scope));
        scope.ok_or_else(|| ApiError::invalid_scope(name))
    };
    let scopes: Scopes = names.map(known).collect::<Result<_, _>>()?;
    if scopes == Scopes::default() {
        return Err(ApiError::invalid_scope(""));
    }
    Ok(scopes)
}
