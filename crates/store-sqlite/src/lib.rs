//! All SQLite SQL: the store of one machine.
