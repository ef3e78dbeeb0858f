//! The pages of `landfall report`: one self-contained HTML document without scripts.
//!
//! Every page is complete without a network: the style sheet is part of it, and drawings are SVG. A content security
//! policy forbids everything else.

mod diagram;
mod errors;
mod fleet_page;
mod html;
mod page;
mod routing;
mod run_page;
mod steps;
mod timeline;
mod words;

pub use fleet_page::fleet_page;
pub use run_page::{RunPage, run_page};
