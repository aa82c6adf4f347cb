//! HTTP in: routes, authentication, errors, pages of lists.
