//! Environments as pods: one Indexed Job for each wave, whose pods run `landfall fleet one`.
//!
//! `table` is the table `[kubernetes]` of the fleet file, `wave_list` the list that a pod reads, with its `pod_settings`, `manifests` the objects.
//! `rollout` is a run, `render` prints its objects, and `wave_run` creates and follows its Jobs in the
//! `management_cluster`. `job_status`, `index_set` and `pod` read what the cluster says.

mod index_set;
mod job_status;
pub mod management_cluster;
mod manifests;
mod pod;
mod pod_settings;
pub mod render;
pub mod rollout;
pub mod table;
pub mod wave_list;
pub mod wave_run;
