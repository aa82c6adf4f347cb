//! `postrider openapi`.

use super::output;
use crate::cli::OpenapiCommand;

/// Prints the description of the HTTP API: the one that a server answers at `/openapi.json`.
///
/// # Errors
/// Where stdout is closed.
pub(crate) fn execute(command: &OpenapiCommand) -> anyhow::Result<()> {
    // There is no other form of it.
    let OpenapiCommand { json: _ } = command;
    output::json(&postrider_api::openapi())
}
