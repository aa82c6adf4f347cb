//! What went wrong in PostgreSQL, told as what a caller can do about it.

use std::time::Duration;

use deadpool_postgres::PoolError;
use postrider_model::seal::SealError;
use postrider_ports::StoreError;
use tokio_postgres::error::SqlState;

/// When to ask again after a refusal.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const UNANSWERED: &str = "the server does not answer";

/// An error inside this crate: of PostgreSQL, or one that has its name already.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Of PostgreSQL, or of the way to it.
    Sql(tokio_postgres::Error),
    /// The server did not answer in time: what it was asked may have been done.
    Unanswered,
    /// Has its name.
    Store(StoreError),
}

/// The result of everything that speaks SQL.
pub(crate) type Outcome<T> = Result<T, Fault>;

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Sql(error),
            error => Self::Store(unavailable(format!("no connection is free: {error}"))),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SealError> for Fault {
    fn from(error: SealError) -> Self {
        Self::Store(StoreError::Seal(error))
    }
}

impl Fault {
    /// What the caller is told whose read, or whose write before its COMMIT, failed.
    pub(crate) fn into_store(self) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Unanswered => unavailable(UNANSWERED),
            Self::Sql(error) => of_sql(&error),
        }
    }

    /// What a caller is told whose COMMIT failed, or whose write was one statement: where the connection broke, it may have been kept.
    pub(crate) fn into_commit_error(self) -> StoreError {
        match &self {
            Self::Sql(error) if error.code().is_none() || self.is_of_a_dying_server() => StoreError::Unknown { reason: told(error) },
            Self::Unanswered => StoreError::Unknown {
                reason: UNANSWERED.to_owned(),
            },
            _ => self.into_store(),
        }
    }

    /// The server broke off what it was doing, in the midst of it perhaps.
    fn is_of_a_dying_server(&self) -> bool {
        let dying = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN];
        matches!(self.code(), Some(code) if dying.contains(code))
    }

    /// Where it is of damage: the same, told with the name of what is damaged.
    pub(crate) fn of(self, what: impl FnOnce() -> String) -> Self {
        Self::Store(match self {
            Self::Store(StoreError::Corrupt { reason }) => StoreError::Corrupt {
                reason: format!("{}: {reason}", what()),
            },
            Self::Store(StoreError::Seal(error)) => StoreError::Corrupt {
                reason: format!("{}: {error}", what()),
            },
            other => return other,
        })
    }

    /// The server's word for it.
    pub(crate) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Sql(error) => error.code(),
            Self::Unanswered | Self::Store(_) => None,
        }
    }

    /// Whether the same again may succeed: two transactions stood in each other's way.
    pub(crate) fn is_worth_another_try(&self) -> bool {
        let passing = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
        matches!(self.code(), Some(code) if passing.contains(code))
    }

    /// Whether a lock was waited for in vain.
    pub(crate) fn is_of_a_lock(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether a partition is missing for a row.
    pub(crate) fn is_missing_partition(&self) -> bool {
        // The same code is that of a broken CHECK, of which the hot tables have none.
        self.code() == Some(&SqlState::CHECK_VIOLATION)
    }

    /// Whether only the rows of one call are to blame, so that the rest of its group can be stored without it: data that does not fit
    /// (class 22), a broken rule (class 23), a limit of the program (class 54), what is there and cannot be read (class XX, but not XX000, which
    /// may be anything).
    pub(crate) fn is_of_one_call(&self) -> bool {
        match self {
            Self::Store(error) => !matches!(error, StoreError::Unavailable { .. } | StoreError::Unknown { .. }),
            Self::Unanswered => false,
            Self::Sql(_) => self.code().is_some_and(|code| {
                ["22", "23", "54", "XX001", "XX002"]
                    .iter()
                    .any(|class| code.code().starts_with(class))
            }),
        }
    }
}

/// The store cannot do it now.
pub(crate) fn unavailable(reason: impl Into<String>) -> StoreError {
    StoreError::Unavailable {
        reason: reason.into(),
        retry_after: RETRY_AFTER,
    }
}

/// A row that this program did not write so.
pub(crate) fn corrupt(reason: impl ToString) -> Fault {
    Fault::Store(StoreError::Corrupt {
        reason: reason.to_string(),
    })
}

fn of_sql(error: &tokio_postgres::Error) -> StoreError {
    match error.code() {
        Some(&SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED) => StoreError::Corrupt { reason: told(error) },
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => unavailable("the server is read-only: a standby, or a primary that was demoted"),
        Some(&SqlState::QUERY_CANCELED) => unavailable("a statement took longer than it may"),
        Some(&SqlState::LOCK_NOT_AVAILABLE) => unavailable("a lock was waited for longer than may be"),
        Some(&SqlState::DISK_FULL) => unavailable("the server's disk is full"),
        _ => unavailable(told(error)),
    }
}

/// The server's message, or why there is no server: never a part of the connection's url.
pub(crate) fn told(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} ({})", db.message(), db.code().code());
    }
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
