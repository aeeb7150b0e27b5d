//! The pages: rendered here, with one small style sheet, and nothing from anybody else.

pub(crate) mod ask;
pub(crate) mod layout;
