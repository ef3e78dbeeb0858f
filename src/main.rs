//! landfall: arguments in, words and an exit code out.
mod settings;
fn main() {}
