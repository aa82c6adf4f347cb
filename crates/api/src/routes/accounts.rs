//! Accounts: of the operator alone.

use http::StatusCode;
use postrider_model::account::{Account, AccountChange, AccountRef};
use postrider_model::id::AccountId;
use postrider_ports::once::{Write, Written};
use postrider_ports::registry::{AccountChanged, AccountMade};

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::code::Code;
use crate::error::ApiError;
use crate::json::account::AccountJson;
use crate::page::{self, List};
use crate::params::{Fields, read_body};
use crate::readers::{Boolean, text};
use crate::rules;

const EXTERNAL_ID: &str = "The platform's own id of it: it can stand for `id` in `Account-Id` and in paths.";

/// The account that the path names, by either of its ids.
pub(super) async fn named(call: &Call) -> Result<Account, ApiError> {
    let account = call.engine().store().account(AccountRef::parse(call.arg(0))).await?;
    account.ok_or_else(|| Code::AccountNotFound.into())
}

pub(crate) struct Draft {
    name: String,
    external_id: Option<String>,
}

pub(crate) fn read_draft(fields: &mut Fields<'_, '_, '_>) -> Option<Draft> {
    let name = fields.required("name", text(rules::Label), "What people call it.");
    let external_id = fields.nullable("external_id", text(rules::ExternalId), EXTERNAL_ID);
    Some(Draft {
        name: name?,
        external_id: external_id.flatten(),
    })
}

/// `POST /accounts`: the same external_id again is answered with the first account.
pub(crate) async fn create(mut call: Call) -> Answer {
    let mut faults = call.take_faults();
    let draft = read_body(&call.body(), &mut faults, read_draft)?;
    let Draft { name, external_id } = faults.settle(draft)?;
    let now = call.now();
    let account = Account {
        id: AccountId::new(now, call.bits()),
        external_id,
        name,
        is_active: true,
        created_at: now,
        modified_at: now,
    };
    let made = account.clone();
    call.write(Write::CreateAccount(account), move |written| match written {
        Written::Account(AccountMade::Made) => answer::json(StatusCode::CREATED, &AccountJson::from(&made)),
        Written::Account(AccountMade::Exists(first)) => answer::json(StatusCode::OK, &AccountJson::from(first)),
        _ => Err(Code::InternalError.into()),
    })
    .await
}

/// `GET /accounts`
pub(crate) async fn list(mut call: Call) -> Answer {
    let list = List {
        path: "/accounts",
        owner: "",
    };
    let ask = page::ask_alone(&mut call, &list)?;
    let found = call.engine().store().list_accounts(ask).await?;
    let rows: Vec<_> = found.rows.iter().map(AccountJson::from).collect();
    page::answer(&call, &list, &rows, found.next)
}

/// `GET /accounts/{id}`
pub(crate) async fn show(call: Call) -> Answer {
    answer::json(StatusCode::OK, &AccountJson::from(&named(&call).await?))
}

pub(crate) fn read_change(fields: &mut Fields<'_, '_, '_>) -> Option<AccountChange> {
    Some(AccountChange {
        name: fields.optional("name", text(rules::Label), "What people call it."),
        external_id: fields.nullable("external_id", text(rules::ExternalId), EXTERNAL_ID),
        is_active: fields.optional("is_active", Boolean, "False: its keys are refused and its deliveries wait."),
    })
}

/// `PUT /accounts/{id}`: what is left out stays.
pub(crate) async fn change(mut call: Call) -> Answer {
    let mut faults = call.take_faults();
    let change = read_body(&call.body(), &mut faults, read_change)?;
    let change = faults.settle(change)?;
    let account = named(&call).await?;
    match call.engine().change_account(account.id, change).await? {
        AccountChanged::Changed(account) => answer::json(StatusCode::OK, &AccountJson::from(&account)),
        AccountChanged::NotFound => Err(Code::AccountNotFound.into()),
        AccountChanged::ExternalIdTaken => Err(Code::ExternalIdTaken.into()),
    }
}

/// `DELETE /accounts/{id}`
pub(crate) async fn delete(call: Call) -> Answer {
    let account = named(&call).await?;
    if call.engine().delete_account(account.id).await? {
        return Ok(answer::deleted());
    }
    Err(Code::AccountNotFound.into())
}
