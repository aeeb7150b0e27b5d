//! What any backend must do, as tests that anyone can run against their own.
