//! The outgoing HTTP client: one attempt in, one outcome out.
