//! Large fan-outs: committed with a durable marker, and brought to the queue in steps.
