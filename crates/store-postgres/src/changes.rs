//! The feed of changes for all nodes.
