//! The errors as a page: every code with its status, when it comes and what to do; then what can be wrong with a parameter.

use super::blocks::Block;
use super::remedies::{PARAM_CODES, remedy};
use crate::code::Code;

/// Where a code is explained.
pub(crate) fn link(code: &str) -> String {
    format!("[`{code}`](#error-{code})")
}

/// All codes.
pub(crate) fn blocks(level: usize) -> Vec<Block> {
    let mut blocks = vec![
        Block::heading(level, "errors", "Errors"),
        Block::Text(
            "Every error has a body of one form: `code` for programs, `detail` for people, `docs` with a link to this list, `params` with every \
             parameter that is wrong, and `context` with what else programs can use. Codes never change their meaning; there may be more of them."
                .to_owned(),
        ),
    ];
    for code in Code::ALL {
        blocks.push(Block::heading(
            level + 1,
            format!("error-{}", code.as_str()),
            format!("`{}`", code.as_str()),
        ));
        blocks.push(Block::Text(format!("{}. {}", status(code), code.detail())));
        blocks.push(Block::Text(format!("**What to do.** {}", remedy(code))));
    }
    let rows = PARAM_CODES.iter().map(|(code, what)| vec![format!("`{code}`"), (*what).to_owned()]);
    blocks.extend([
        Block::heading(level + 1, "params", "What can be wrong with a parameter"),
        Block::Text(
            "`params` of an error names each wrong parameter by its `path`, such as `body.url`, `body.events[3].name`, `query.limit` or \
             `header.api-version`, and says with a `code` of its own why it is refused."
                .to_owned(),
        ),
        Block::Table(&["code", "when it comes"], rows.collect()),
    ]);
    blocks
}

fn status(code: Code) -> String {
    let status = code.status();
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default())
}
