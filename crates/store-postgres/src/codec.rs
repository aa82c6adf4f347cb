//! How attempts are written as bytes.
