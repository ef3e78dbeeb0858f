//! The builder of the wiring: adds steps to the graph, and collects what they own.

use crate::resource_spec::{Declared, Resource, Resources};
use landfall_engine::{Done, Graph, Handle, Inputs, OptionalHandle, Step};

/// An adapter around every step of a deployment, for a test that changes how all steps behave.
pub trait Wrap {
    /// Returns the step to wire instead.
    fn wrap<S: Step>(&self, step: S) -> impl Step<Input = S::Input, Output = S::Output>;
}

/// The adapter that changes nothing.
pub struct Unwrapped;

impl Wrap for Unwrapped {
    fn wrap<S: Step>(&self, step: S) -> impl Step<Input = S::Input, Output = S::Output> {
        step
    }
}

/// A graph in construction, with the declarations of its steps.
pub(crate) struct Wiring<'w, W> {
    graph: Graph,
    wrap: &'w W,
    declared: Vec<Declared>,
}

impl<'w, W: Wrap> Wiring<'w, W> {
    pub(crate) fn new(graph: Graph, wrap: &'w W) -> Self {
        Self { graph, wrap, declared: Vec::new() }
    }

    /// Adds a step; see [`Graph::add`].
    pub(crate) fn add<S, I>(&mut self, id: &'static str, step: S, inputs: I) -> Handle<S::Output>
    where
        S: Resource,
        I: Inputs<Values = S::Input>,
    {
        self.declare(id, true, &step);
        self.graph.add(id, self.wrap.wrap(step), inputs)
    }

    /// Adds a step that a setting may switch off; see [`Graph::add_optional`].
    pub(crate) fn add_optional<S, I>(
        &mut self,
        id: &'static str,
        enabled: bool,
        step: S,
        inputs: I,
    ) -> OptionalHandle<S::Output>
    where
        S: Resource,
        I: Inputs<Values = S::Input>,
    {
        self.declare(id, enabled, &step);
        self.graph.add_optional(id, enabled, self.wrap.wrap(step), inputs)
    }

    /// Lets `up` delete the resources of these steps while they are switched off; see [`Graph::retire_after`].
    pub(crate) fn retire_after(&mut self, proof: Done, ids: &[&'static str]) {
        ids.iter().for_each(|id| self.graph.retire_after(id, proof));
    }

    fn declare<S: Resource>(&mut self, id: &'static str, enabled: bool, step: &S) {
        let (parent, names, spec) = (step.parent(), S::NAMES, step.resource());
        self.declared.push(Declared { id, enabled, parent, depth: 0, names, spec });
    }

    /// Completes the wiring, and fills `resources` with the declarations.
    ///
    /// # Panics
    ///
    /// Panics if a record refers to a step that was not added.
    pub(crate) fn finish(mut self, resources: &Resources) -> Graph {
        self.graph.assert_complete();
        for (index, step) in self.graph.steps().into_iter().enumerate() {
            let sources = self.declared.iter().filter(|one| step.after.contains(&one.id));
            self.declared[index].depth = sources.map(|one| one.depth + 1).max().unwrap_or(0);
        }
        resources.fill(self.declared);
        self.graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::Records,
        resource_spec::{KEY_VAULT, Listed, NameSetting, RESOURCE_GROUP, ResourceSpec, VIRTUAL_NETWORK},
        settings::tests::settings,
    };
    use landfall_engine::{Check, Context, Entry, How, JournalState, StepError, UndoOutcome};
    use serde_json::json;
    use std::time::Duration;

    /// A step with any input, and its declaration.
    struct Declares<I>(fn() -> ResourceSpec, std::marker::PhantomData<fn() -> I>);

    fn declares<I>(spec: fn() -> ResourceSpec) -> Declares<I> {
        Declares(spec, std::marker::PhantomData)
    }

    impl<I: Send + Sync + 'static> Step for Declares<I> {
        type Input = I;
        type Output = String;

        fn title(&self) -> String {
            String::new()
        }

        fn deadline(&self) -> Duration {
            Duration::from_secs(1)
        }

        async fn check(&self, _: &Context, _: &I) -> Result<Check<String>, StepError> {
            Ok(Check::Missing)
        }

        async fn apply(&self, _: &Context, _: &I) -> Result<String, StepError> {
            Ok(String::new())
        }

        async fn undo(&self, _: &Context, _: String) -> Result<UndoOutcome, StepError> {
            Ok(UndoOutcome::Deleted)
        }
    }

    impl<I: Send + Sync + 'static> Resource for Declares<I> {
        const NAMES: &'static [NameSetting] = &[NameSetting {
            setting: "certificate.name",
            key: "name",
            get: |s, _| s.certificate.name.clone(),
            set: |s, name| s.certificate.name = name.unwrap_or_default(),
            recorded: |step_state| step_state.read_output(),
            fixed: true,
            optional: false,
        }];

        fn resource(&self) -> ResourceSpec {
            (self.0)()
        }
    }

    /// A group, a network and an optional vault in it, and a cluster after both.
    fn wired(vault: bool) -> (Graph, Resources) {
        let resources = Resources::new(Records::default());
        let mut wiring = Wiring::new(Graph::new(), &Unwrapped);
        let group =
            || ResourceSpec::new("", "").of_type(RESOURCE_GROUP).listed(|_| Some(Listed::Group("rg".into())));
        let group = wiring.add("group", declares::<()>(group), ());
        let network = || ResourceSpec::new("network", "vnet").of_type(VIRTUAL_NETWORK).listed_in_group(false);
        let network = wiring.add("net", declares::<String>(network), group);
        let spec = || ResourceSpec::new("key vault", "kv").of_type(KEY_VAULT).listed_in_group(true);
        let vault = wiring.add_optional("vault", vault, declares::<String>(spec), group);
        let cluster =
            || ResourceSpec::new("cluster", "aks").listed_in_group(false).needs_providers(&["A.More"]);
        wiring.add("aks", declares::<(String, ())>(cluster), (network, vault.done()));
        let check = || ResourceSpec::undeletable("checks");
        wiring.add("check", declares::<()>(check), ());
        let role = || {
            ResourceSpec::new("role", "").listed(|_| Some(Listed::RoleAssignments(1))).needed_by(Some("aks"))
        };
        wiring.add("role", declares::<String>(role), network);
        (wiring.finish(&resources), resources)
    }

    #[test]
    fn the_resources_follow_from_the_wiring_dependents_first() {
        let (_, resources) = wired(true);
        let journal_state = JournalState::default();
        let held = resources.inventory(&journal_state, &["group", "net", "vault", "aks"]);
        let texts: Vec<&str> = held.in_group.iter().map(|listed| listed.text.as_str()).collect();
        assert_eq!(texts, ["cluster aks", "network vnet", "key vault kv"]);
        assert_eq!(held.group.as_deref(), Some("rg"));
        assert_eq!(resources.providers(), ["Microsoft.KeyVault", "Microsoft.Network", "A.More"]);
        assert!(resources.is_deletable("net") && resources.is_deletable("unknown"));
        assert!(!resources.is_deletable("check") && resources.is_identified("vault", &journal_state));
    }

    #[test]
    fn a_switched_off_step_still_has_its_resource_and_its_names() {
        let (graph, resources) = wired(false);
        assert!(graph.steps().iter().any(|step| step.id == "vault" && !step.enabled));
        let mut journal_state = JournalState::default();
        let (step, output) = ("vault".to_owned(), json!("recorded"));
        journal_state.apply(
            "",
            &Entry::Started { step: step.clone(), attempt: 1, creating: true, planned_name: None },
        );
        journal_state.apply("", &Entry::Finished { step, how: How::Created, output });
        assert_eq!(resources.inventory(&journal_state, &["vault"]).in_group.len(), 1);
        assert_eq!(resources.with_recorded_names(&settings(), &journal_state).certificate.name, "recorded");
        assert_eq!(
            resources.renamed_settings(&settings(), &journal_state, "s"),
            [],
            "it creates no second one"
        );
        assert_eq!(resources.providers(), ["Microsoft.Network", "A.More"], "and registers nothing");
        let (_, resources) = wired(true);
        let renamed = resources.renamed_settings(&settings(), &journal_state, "s");
        assert_eq!(renamed.first().map(|one| one.recorded.as_str()), Some("recorded"));
    }

    #[test]
    fn a_kept_resource_keeps_what_it_needs_without_an_edge() {
        let (mut graph, resources) = wired(true);
        assert!(resources.keep(&mut graph, "aks", "as asked"));
        assert!(["aks", "net", "vault", "group", "role"].iter().all(|id| graph.kept().contains_key(id)));
        assert!(!resources.keep(&mut graph, "unknown", "as asked"));
    }
}
