//! Snapshots of exactly what a person sees.
