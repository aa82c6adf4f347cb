//! `GET /events`: the events of an account, in pages or as they happen.

use schemars::Schema;
use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::call::Call;
use crate::description::schema;
use crate::fault::{Bad, Faults};
use crate::page::{self, List};
use crate::query::Query;
use crate::rules::Rule;
use crate::{filters, stream};

/// In which order a list shows what was stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Newest,
    Oldest,
}

struct OfOrder;

impl Rule for OfOrder {
    type Out = Order;

    fn judge(&self, text: &str) -> Result<Order, Bad> {
        match text {
            "desc" => Ok(Order::Newest),
            "asc" => Ok(Order::Oldest),
            _ => Err(Bad::new("unknown_value", "must be one of asc, desc")),
        }
    }

    fn schema(&self) -> Schema {
        schema::one_of(["asc", "desc"])
    }
}

fn read_order(query: &mut Query, faults: &mut Faults) -> Order {
    let what = "Newest first (`desc`, the default), or oldest first: there a next page always comes, to be asked again later.";
    query.take("order", faults, OfOrder, what).unwrap_or(Order::Newest)
}

/// What the list of events reads.
pub(crate) fn describe(query: &mut Query, faults: &mut Faults) {
    filters::events(query, faults);
    read_order(query, faults);
    page::describe(query, faults);
}

/// `GET /events`: a page, or a stream for who asks for one.
pub(crate) async fn list(mut call: Call) -> Answer {
    let account = call.account_id()?;
    let (mut faults, mut query) = (call.take_faults(), std::mem::take(&mut call.query));
    let filter = filters::events(&mut query, &mut faults);
    if stream::is_wanted(&call.headers) {
        query.finish(&mut faults);
        return stream::open(call, filter, faults).await;
    }
    let order = read_order(&mut query, &mut faults);
    let owner = account.to_string();
    let list = List {
        // A place means another page in the other order: no cursor of the one is one of the other.
        path: if order == Order::Oldest { "/events asc" } else { "/events" },
        owner: &owner,
    };
    let ask = page::ask(&list, &mut query, &mut faults);
    query.finish(&mut faults);
    faults.settle(Some(()))?;
    let store = call.engine().store();
    let (rows, next) = if order == Order::Oldest {
        let page = store
            .events_behind(account, filter, ask.after.unwrap_or_default(), ask.limit)
            .await?;
        (page.rows, Some(page.next))
    } else {
        let page = store.list_events(account, filter, ask).await?;
        (page.rows, page.next)
    };
    let bodies: Result<Vec<&RawValue>, _> = rows.iter().map(|event| serde_json::from_slice(&event.body)).collect();
    page::answer(&call, &list, &bodies?, next)
}
