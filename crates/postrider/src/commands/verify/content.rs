//! What may have been signed around the body: `{id}.{timestamp}.{body}`, or what code takes for it.

use postrider_model::time::Timestamp;

use super::finding::Finding;

const RIGHT: &str = "sign and verify {Webhook-Id}.{Webhook-Timestamp}.{body}, each as it came";

/// What stands before and behind the body.
pub(super) struct Form {
    /// Before it.
    pub(super) before: String,
    /// How it departs from the right one; `None` for that.
    pub(super) departure: Option<Finding>,
}

impl Form {
    /// The right one.
    pub(super) fn right(id: &str, timestamp: &str) -> Self {
        Self {
            before: format!("{id}.{timestamp}."),
            departure: None,
        }
    }

    fn wrong(code: &'static str, detail: impl Into<String>, before: String) -> Self {
        Self {
            before,
            departure: Some(Finding::wrong(code, detail, RIGHT)),
        }
    }
}

/// All of them, the right one first. `event` is the id in the body, `moment` what the timestamp means.
pub(super) fn forms(id: &str, timestamp: &str, event: Option<&str>, moment: Option<Timestamp>) -> Vec<Form> {
    let mut forms = vec![
        Form::right(id, timestamp),
        Form::wrong(
            "timestamp_not_signed",
            "id.body was signed, without the timestamp between them",
            format!("{id}."),
        ),
        Form::wrong(
            "id_not_signed",
            "timestamp.body was signed, without the id before them",
            format!("{timestamp}."),
        ),
        Form::wrong(
            "body_alone_signed",
            "the body alone was signed, without id and timestamp before it",
            String::new(),
        ),
        Form::wrong(
            "signed_in_another_order",
            "timestamp.id.body was signed: id and timestamp have changed places",
            format!("{timestamp}.{id}."),
        ),
        Form::wrong(
            "signed_without_dots",
            "id, timestamp and body were signed without dots between them",
            format!("{id}{timestamp}"),
        ),
        Form::wrong(
            "signed_without_dots",
            "id, timestamp and body were signed with colons between them instead of dots",
            format!("{id}:{timestamp}:"),
        ),
        Form::wrong(
            "signed_without_dots",
            "id, timestamp and body were signed with line breaks between them instead of dots",
            format!("{id}\n{timestamp}\n"),
        ),
        Form::wrong(
            "id_not_signed",
            "v0:timestamp:body was signed, as another platform does",
            format!("v0:{timestamp}:"),
        ),
    ];
    if let Some(event) = event.filter(|event| *event != id) {
        forms.push(Form::wrong(
            "event_id_signed",
            "the event's id (of the body, or of Event-Id) was signed in place of Webhook-Id",
            format!("{event}.{timestamp}."),
        ));
    }
    if let Some(moment) = moment {
        let seconds = moment.as_seconds();
        let spellings = [
            ("the timestamp was signed in seconds", seconds.to_string()),
            ("the timestamp was signed in milliseconds", format!("{seconds}000")),
            ("the timestamp was signed in milliseconds", moment.as_millis().to_string()),
            ("the timestamp was signed with a fraction", format!("{seconds}.0")),
            ("the timestamp was signed as a date", moment.to_string()),
        ];
        for (detail, spelling) in spellings.into_iter().filter(|(_, spelling)| spelling != timestamp) {
            let detail = format!("{detail}, other than it is given");
            forms.push(Form::wrong("timestamp_signed_differently", detail, format!("{id}.{spelling}.")));
        }
    }
    forms
}
