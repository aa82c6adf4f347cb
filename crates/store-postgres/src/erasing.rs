//! What deleted accounts have left goes, in steps.
