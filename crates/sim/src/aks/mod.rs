//! What AKS puts into a cluster, and the controllers that keep it moving.
