//! `postrider verify`.

use clap::Args;

use super::Hidden;

/// `postrider verify`.
#[derive(Args, Debug)]
#[command(
    long_about = "Is this delivery genuine? Judges a captured delivery by the secret of its webhook, and says exactly what is wrong: too \
    old, another secret, a body that was changed on its way (and how), or a signature that was made or written differently (and how).\n\n\
    A receiver that refuses good deliveries is mostly one of those. Give what it was sent: the three headers as they came, and the \
    bytes of the body before anything read them as JSON. Or give the signature that its own code computes: then the answer says what that \
    code does differently.",
    after_long_help = "Examples:\n  \
    Judge a captured body, with the secret from a file\n    \
    postrider verify --secret @webhook.secret --id whd_01… --timestamp 1768473000 --signature v1,K5oZ… body.json\n  \
    The secret from the environment, the body from a pipe\n    \
    POSTRIDER_WEBHOOK_SECRET=whsec_… postrider verify --id whd_01… --timestamp 1768473000 --signature v1,K5oZ… - < body.json\n  \
    Something captured yesterday, judged by the time when it came\n    \
    postrider verify --secret @webhook.secret --id whd_01… --timestamp 1768473000 --signature v1,K5oZ… --at 2026-01-15T10:30:05Z body.json\n\n\
    Exit codes: 0 genuine, 1 not genuine, 2 wrong usage."
)]
pub(crate) struct VerifyCommand {
    /// The webhook's signing secret: whsec_…, @FILE to read it from a file, or - for standard input [default: POSTRIDER_WEBHOOK_SECRET]. Who
    /// can list processes sees what is on a command line: prefer the other ways.
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Option<Hidden>,
    /// The header Webhook-Id, as it came.
    #[arg(long, value_name = "ID")]
    pub(crate) id: String,
    /// The header Webhook-Timestamp, as it came.
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub(crate) timestamp: String,
    /// The header Webhook-Signature, as it came.
    #[arg(long, value_name = "SIGNATURE")]
    pub(crate) signature: String,
    /// How far the timestamp may be from now, either way.
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) tolerance: String,
    /// Judge by this time instead of now: RFC 3339, or unix seconds.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Print the verdict as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The body, byte for byte as it came; - is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) body: String,
}
