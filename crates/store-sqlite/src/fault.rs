//! What went wrong in SQLite, told as what a caller can do about it.

use std::time::Duration;

use postrider_model::seal::SealError;
use postrider_ports::StoreError;
use rusqlite::ErrorCode;
use rusqlite::types::FromSqlError;

/// When to ask again after a refusal.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error inside this crate: of SQLite, or one that has its name already.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Of SQLite.
    Sql(rusqlite::Error),
    /// Has its name.
    Store(StoreError),
}

/// The result of everything that speaks SQL.
pub(crate) type Outcome<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<FromSqlError> for Fault {
    fn from(error: FromSqlError) -> Self {
        corrupt(error)
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
    /// What the caller is told.
    pub(crate) fn into_store(self) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(error) => of_sql(&error),
        }
    }

    /// Where it is of damage: the same, told with the name of what is damaged.
    pub(crate) fn of(self, what: impl FnOnce() -> String) -> Self {
        Self::Store(match self.into_store() {
            StoreError::Corrupt { reason } => StoreError::Corrupt {
                reason: format!("{}: {reason}", what()),
            },
            StoreError::Seal(error) => StoreError::Corrupt {
                reason: format!("{}: {error}", what()),
            },
            other => other,
        })
    }

    /// Whether only the call that met it is to blame, so that the rest of its group can be stored without it.
    pub(crate) fn is_of_one_call(&self) -> bool {
        match self {
            Self::Store(error) => !matches!(error, StoreError::Unavailable { .. } | StoreError::Unknown { .. }),
            Self::Sql(error) => matches!(
                error.sqlite_error_code(),
                None | Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch | ErrorCode::Unknown)
            ),
        }
    }

    /// What a caller is told whose COMMIT failed: where the disk itself failed, the log may hold it or not.
    pub(crate) fn into_commit_error(self) -> StoreError {
        match &self {
            Self::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
                StoreError::Unknown { reason: error.to_string() }
            }
            _ => self.into_store(),
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

fn of_sql(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt { reason: error.to_string() },
        Some(ErrorCode::DiskFull) => unavailable("the disk is full"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => unavailable("the file is locked by another process"),
        Some(ErrorCode::OperationInterrupted) => unavailable("the read took too long"),
        None => match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => StoreError::Corrupt { reason: error.to_string() },
            _ => unavailable(error.to_string()),
        },
        _ => unavailable(error.to_string()),
    }
}
