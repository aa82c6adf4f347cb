//! `postrider completions` and `postrider openapi`: what others read of us.

use clap::Args;
use clap_complete::Shell;

/// `postrider completions`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  \
    bash: postrider completions bash > ~/.local/share/bash-completion/completions/postrider\n  \
    zsh:  postrider completions zsh > \"${fpath[1]}/_postrider\"\n  \
    fish: postrider completions fish > ~/.config/fish/completions/postrider.fish")]
pub(crate) struct CompletionsCommand {
    /// For which shell.
    pub(crate) shell: Shell,
}

/// `postrider openapi`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  postrider openapi > openapi.json")]
pub(crate) struct OpenapiCommand {
    /// Print it as JSON, as it does anyway.
    #[arg(long)]
    pub(crate) json: bool,
}
