//! For tests only: conformance suite, simulated clock, in-memory store, scripted receiver, test CA.
