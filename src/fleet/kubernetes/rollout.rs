//! A run on Kubernetes: what all its waves have in common.

use super::{
    manifests::WaveJob,
    pod_settings::PublicFiles,
    table::KubernetesConfig,
    wave_list::{ListInput, WaveList},
};
use crate::{
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    fleet::{file::Fleet, runner::Limits, waves::Wave},
    settings::sources::Environment,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// A run on Kubernetes.
pub struct Rollout {
    /// The fleet.
    pub fleet: Arc<Fleet>,
    /// The validated table.
    pub config: KubernetesConfig,
    /// The command: up or down.
    pub command: &'static str,
    /// The id of the run.
    pub run: String,
    /// The command with its flags, as a pod parses it.
    arguments: Vec<String>,
    environment: Environment,
}

impl Rollout {
    /// Validates what every pod needs.
    ///
    /// # Errors
    /// Exit code 2 if the journals are not in a storage account, or if the table `kubernetes` is incomplete.
    pub fn new(
        cli_context: &CliContext,
        fleet: &Arc<Fleet>,
        command: &'static str,
        arguments: Vec<String>,
        run: &str,
    ) -> Result<Self, Failure> {
        if fleet.state.is_none() {
            return Err(Failure::new(Exit::Input, "run the fleet on Kubernetes")
                .cause("the journals are in the state folder of this machine, and a pod keeps nothing")
                .hint("put them in a storage account: state = { account = \"…\" } at the top of the fleet file; `landfall state init` prepares it"));
        }
        let config = KubernetesConfig::of(&fleet.kubernetes)?;
        let environment = cli_context.environment.clone();
        let fleet = fleet.clone();
        Ok(Self { fleet, config, command, run: run.to_owned(), arguments, environment })
    }

    /// Returns the list of a wave, and the files beside it.
    ///
    /// # Errors
    /// Exit code 2 if a setting names a secret, or a file that the pods would not have.
    pub fn list(&self, wave: &Wave) -> Result<(WaveList, PublicFiles), Failure> {
        let input = ListInput {
            fleet: &self.fleet,
            run: &self.run,
            arguments: self.arguments.clone(),
            environment: &self.environment,
            secret_variables: self.config.secret_variables.keys().map(String::as_str).collect(),
        };
        WaveList::of(&input, &Wave { environments: self.interleaved(&wave.environments), ..wave.clone() })
    }

    /// Returns the Job of a list.
    pub fn job<'b>(
        &'b self,
        list: &'b WaveList,
        files: &'b PublicFiles,
        number: usize,
        limits: &Limits,
    ) -> WaveJob<'b> {
        let names: Vec<&str> = list.environments.iter().map(|listed| listed.name.as_str()).collect();
        let subscriptions =
            self.by_subscription(|at| names.contains(&self.fleet.environments[*at].name.as_str()));
        // Neighbours in the list are in different subscriptions, so the pods that run at once are spread over all.
        let parallel = limits.parallel.min(subscriptions.len() * limits.parallel_per_subscription);
        WaveJob {
            list,
            files,
            number,
            command: self.command,
            parallel,
            max_failures: limits.max_failures.of(list.environments.len()),
            suspended: false,
            trace_parent: self.environment.get("TRACEPARENT"),
        }
    }

    /// Returns the environments so that neighbours are in different subscriptions, as far as possible.
    fn interleaved(&self, environments: &[usize]) -> Vec<usize> {
        let mut queues: Vec<VecDeque<usize>> =
            self.by_subscription(|at| environments.contains(at)).into_values().collect();
        let mut order = Vec::with_capacity(environments.len());
        while order.len() < environments.len() {
            order.extend(queues.iter_mut().filter_map(VecDeque::pop_front));
        }
        order
    }

    fn by_subscription(&self, is_selected: impl Fn(&usize) -> bool) -> BTreeMap<&str, VecDeque<usize>> {
        let mut queues: BTreeMap<&str, VecDeque<usize>> = BTreeMap::new();
        for at in (0..self.fleet.environments.len()).filter(is_selected) {
            queues.entry(self.fleet.environments[at].subscription()).or_default().push_back(at);
        }
        queues
    }
}
