//! `postrider serve`, and the flags of the store that other commands share.

use clap::Args;

use super::Hidden;

/// `postrider serve`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  \
    postrider serve --store sqlite:/var/lib/postrider/postrider.db --listen 0.0.0.0:8080\n  \
    Any number of these on one database; the key is the same for all\n    \
    POSTRIDER_STORE=postgres://postrider:…@db/postrider postrider serve --secret-key-file key\n  \
    By a file, one setting of it changed, and what is in effect then\n    \
    postrider serve --config postrider.toml --retention 90d --print-config\n  \
    Beside receivers of your own network, with certificates of your own\n    \
    postrider serve --allow-network 10.0.0.0/8 --allow-host-suffix .internal --ca-file ca.pem\n\n\
    Exit codes: 0 ended as it was told to, 1 it could not start or go on, 2 a wrong flag, variable or file.")]
pub(crate) struct ServeCommand {
    #[command(flatten)]
    pub(crate) flags: ServeFlags,
    /// Print the url as JSON when ready: {"url": "http://127.0.0.1:8080"}.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the configuration that is in effect, as TOML with where each value is from (--json: as JSON), and end.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// End when standard input does: for a process that starts the server and may die itself.
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
}

/// How a server is configured. All are texts here: `config` reads them, those of the environment and those of the file alike.
#[derive(Args, Debug, Default)]
pub(crate) struct ServeFlags {
    /// A TOML file with any of the settings below.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<String>,
    /// Where to listen [default: 127.0.0.1:8080]. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreFlags,
    /// Connections to PostgreSQL, at most [default: 20]. Beside them a node has four of its own: for its lease, for its view of the other
    /// nodes, for the notices that it sends and for those that it hears.
    #[arg(long, value_name = "N")]
    pub(crate) store_connections: Option<String>,
    /// Let this node only answer requests (api), or only send (dispatch) [default: it does both]. For nodes that share a PostgreSQL store.
    #[arg(long, value_name = "api|dispatch")]
    pub(crate) only: Option<String>,
    /// What this node is called in GET /nodes and in logs [default: the name of its machine].
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: Option<String>,
    /// How long a node may not be heard of before others take its work [default: 5s]; 1s to 60s, the same on every node.
    #[arg(long, value_name = "DURATION")]
    pub(crate) lease: Option<String>,
    /// How a SQLite store writes [default: full]. full: what was answered 2xx survives power loss. normal: the last moments before a power
    /// loss may be lost, a crash of the process loses nothing. off: a power loss may damage the file.
    #[arg(long, value_name = "full|normal|off")]
    pub(crate) synchronous: Option<String>,
    /// Certificates (PEM) that receivers may have, beside those that the system trusts.
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<String>,
    /// For trying out: allow webhooks on http, IP addresses, localhost and private networks.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "true|false")]
    pub(crate) dev: Option<String>,
    /// When failed deliveries are tried again [default: 5s,30s,2m,10m,30m,1h,2h,4h,8h,12h,24h,24h].
    #[arg(long, value_name = "DELAYS")]
    pub(crate) retry_schedule: Option<String>,
    /// How long events and ended deliveries are kept [default: 30d]. At least 1h, and longer than the retry schedule and 24 h.
    #[arg(long, value_name = "DURATION")]
    pub(crate) retention: Option<String>,
    /// Networks (CIDR, parted by commas) that may be sent to although they are private.
    #[arg(long, value_name = "CIDR,…")]
    pub(crate) allow_network: Option<String>,
    /// Ends of host names (such as .internal, parted by commas) that may be registered although they are special.
    #[arg(long, value_name = "SUFFIX,…")]
    pub(crate) allow_host_suffix: Option<String>,
    /// Webhooks that an account may have [default: 1000].
    #[arg(long, value_name = "N")]
    pub(crate) webhooks_per_account: Option<String>,
    /// The url under which clients reach this server: then links in answers are whole urls.
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Where error codes are explained: error bodies link to it.
    #[arg(long, value_name = "URL")]
    pub(crate) docs_url: Option<String>,
    /// Who may read /metrics [default: open]. open: anybody who reaches the server. operator: keys of the operator's. off: nobody.
    #[arg(long, value_name = "open|operator|off")]
    pub(crate) metrics: Option<String>,
    /// Deliveries in flight at once, at most [default: 4096, or fewer where the system gives few file handles].
    #[arg(long, value_name = "N")]
    pub(crate) in_flight_max: Option<String>,
    /// Memory for deliveries that wait, such as 64MiB [default: 24MiB]; the rest waits in the store.
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_max: Option<String>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as info,postrider_sender=debug [default: info].
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// How the log looks [default: auto]. auto: for people on a terminal, JSON otherwise.
    #[arg(long, value_name = "auto|human|json")]
    pub(crate) log_format: Option<String>,
    /// Threads that work [default: one for each core].
    #[arg(long, value_name = "N")]
    pub(crate) worker_threads: Option<String>,
}

/// Which store, and under which key its secrets are sealed.
#[derive(Args, Debug, Default)]
pub(crate) struct StoreFlags {
    /// Where everything is kept [default: sqlite:postrider.db]: a SQLite file for one machine, a PostgreSQL database for any number of them.
    /// Who can list processes sees what is on a command line: a url with a password is better put into POSTRIDER_STORE or the file.
    #[arg(long, value_name = "sqlite:PATH|postgres://…")]
    pub(crate) store: Option<Hidden>,
    /// File with the key that seals secrets at rest: 32 bytes in base64 [default: one is made beside a SQLite file; with PostgreSQL one
    /// must be given].
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_key_file: Option<String>,
}
