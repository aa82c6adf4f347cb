//! What is kept no longer goes.
