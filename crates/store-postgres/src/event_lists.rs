//! Lists of events, and what streams read.
