//! What a release consists of, from a program that stands for landfall: archives, installer, action, images, and
//! the names that all of them share.

mod action;
mod archives;
mod images;
mod installer;
mod manifests;
mod names;
mod releases;
