//! The real kubectl against a simulated cluster.
//!
//! The program is what `KUBECTL` names, or `kubectl`; where there is none the tests say so and pass.

mod applying;
mod asking;
mod bench;
mod creating;
mod describing;
mod following;
mod manifest;
mod reading;
mod typing;
