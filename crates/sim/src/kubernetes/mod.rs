//! The Kubernetes API of a simulated cluster.
