//! Typed handles to the outputs of steps, and the inputs that are built from them.

use std::{any::Any, marker::PhantomData, sync::Arc};

/// An output in memory, to be downcast by the handle that knows its type.
pub(crate) type Produced = Arc<dyn Any + Send + Sync>;

/// A typed reference to the output of a step.
///
/// It is the edge and the value in one. Only [`Graph::add`](crate::Graph::add) returns handles, so a handle refers to an earlier
/// step. A cycle, a missing producer or a wrong type therefore does not compile.
pub struct Handle<T> {
    pub(crate) at: StepRef,
    pub(crate) id: &'static str,
    pub(crate) _output: PhantomData<fn() -> T>,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> Handle<T> {
    /// Returns the same step as an ordering dependency, without its output.
    pub fn done(self) -> Done {
        Done(self.at)
    }

    /// Returns the step's id.
    pub fn id(self) -> &'static str {
        self.id
    }

    /// Returns the typed reference to the step's record, for code that runs outside the step's turn.
    pub fn record(self) -> RecordOf<T> {
        RecordOf { id: self.id, _output: PhantomData }
    }
}

/// A typed reference to the output of a step that a setting may switch off.
///
/// As an input it is the value for another optional step, one that is switched off with it. Any other step can take the
/// value if there is one, or be ordered after it.
pub struct OptionalHandle<T>(pub(crate) Handle<T>);

impl<T> Clone for OptionalHandle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for OptionalHandle<T> {}

impl<T> OptionalHandle<T> {
    /// Returns the step as an ordering dependency, without its output.
    pub fn done(self) -> Done {
        self.0.done()
    }

    /// Returns the step as an input whose value is absent while the step is switched off, and in a plan while its
    /// resource is missing.
    pub fn if_enabled(self) -> ValueIfEnabled<T> {
        ValueIfEnabled(self.0)
    }
}

/// The output of an optional step as an input of any step; see [`OptionalHandle::if_enabled`].
pub struct ValueIfEnabled<T>(Handle<T>);

/// A typed reference to a step's record in the journal. It is no edge: the step may come later, or may have
/// no record.
///
/// [`Handle::record`] and [`Graph::record_of`](crate::Graph::record_of) return it. [`Context`](crate::Context)
/// and [`JournalState`](crate::JournalState) read the record.
pub struct RecordOf<T> {
    pub(crate) id: &'static str,
    pub(crate) _output: PhantomData<fn() -> T>,
}

impl<T> Clone for RecordOf<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for RecordOf<T> {}

impl<T> RecordOf<T> {
    /// Returns the step's id.
    pub fn id(self) -> &'static str {
        self.id
    }
}

/// An ordering edge: the step runs after another and receives no value from it.
#[derive(Clone, Copy)]
pub struct Done(pub(crate) StepRef);

/// A step's index, and the number of its graph.
#[derive(Clone, Copy)]
pub(crate) struct StepRef {
    pub(crate) graph: u64,
    pub(crate) index: usize,
}

/// The indices of the steps that an input refers to; collected by [`Inputs::sources`].
#[derive(Default)]
pub struct Sources {
    pub(crate) values: Vec<StepRef>,
    pub(crate) orders: Vec<StepRef>,
    /// The steps whose value may be absent.
    pub(crate) optional: Vec<StepRef>,
}

/// The outputs of the completed steps; read by [`Inputs::resolve`].
#[derive(Clone, Default)]
pub struct Outputs(pub(crate) Vec<Option<Produced>>);

/// The possible inputs of a step: a [`Handle`], a [`Done`], or a tuple of up to eight of these. An
/// [`OptionalHandle`] is an input of another optional step.
pub trait Inputs: Send + Sync + 'static {
    /// The values that the step receives.
    type Values: Send + Sync + 'static;
    /// Collects the steps that this input refers to.
    fn sources(&self, into: &mut Sources);
    /// Reads the values from the outputs.
    ///
    /// # Panics
    ///
    /// Panics if a source has no output; the schedule runs a step only after its sources.
    fn resolve(&self, outputs: &Outputs) -> Self::Values;
}

impl<T: Clone + Send + Sync + 'static> Inputs for Handle<T> {
    type Values = T;

    fn sources(&self, into: &mut Sources) {
        into.values.push(self.at);
    }

    fn resolve(&self, outputs: &Outputs) -> T {
        let produced = outputs.0[self.at.index].as_ref().expect("scheduled after its sources");
        produced.downcast_ref::<T>().expect("typed by Graph::add").clone()
    }
}

impl<T: Clone + Send + Sync + 'static> Inputs for OptionalHandle<T> {
    type Values = T;

    fn sources(&self, into: &mut Sources) {
        self.0.sources(into);
    }

    fn resolve(&self, outputs: &Outputs) -> T {
        self.0.resolve(outputs)
    }
}

impl<T: Clone + Send + Sync + 'static> Inputs for ValueIfEnabled<T> {
    type Values = Option<T>;

    fn sources(&self, into: &mut Sources) {
        into.optional.push(self.0.at);
    }

    fn resolve(&self, outputs: &Outputs) -> Option<T> {
        let produced = outputs.0[self.0.at.index].as_ref()?;
        Some(produced.downcast_ref::<T>().expect("typed by Graph::add").clone())
    }
}

impl Inputs for Done {
    type Values = ();

    fn sources(&self, into: &mut Sources) {
        into.orders.push(self.0);
    }

    fn resolve(&self, _: &Outputs) {}
}

impl Inputs for () {
    type Values = ();

    fn sources(&self, _: &mut Sources) {}

    fn resolve(&self, _: &Outputs) {}
}

macro_rules! tuple_inputs {
    ($($kind:ident $name:ident),+) => {
        impl<$($kind: Inputs),+> Inputs for ($($kind,)+) {
            type Values = ($($kind::Values,)+);

            fn sources(&self, into: &mut Sources) {
                let ($($name,)+) = self;
                $($name.sources(into);)+
            }

            fn resolve(&self, outputs: &Outputs) -> Self::Values {
                let ($($name,)+) = self;
                ($($name.resolve(outputs),)+)
            }
        }
    };
}
tuple_inputs!(A a);
tuple_inputs!(A a, B b);
tuple_inputs!(A a, B b, C c);
tuple_inputs!(A a, B b, C c, D d);
tuple_inputs!(A a, B b, C c, D d, E e);
tuple_inputs!(A a, B b, C c, D d, E e, F f);
tuple_inputs!(A a, B b, C c, D d, E e, F f, G g);
tuple_inputs!(A a, B b, C c, D d, E e, F f, G g, H h);
