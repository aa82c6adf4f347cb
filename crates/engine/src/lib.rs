//! The tasks around the lanes: ingest, dispatch, recorder, refill, sweep.
