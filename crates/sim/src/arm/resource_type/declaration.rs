//! The declaration of a resource type, generic over the state, which refers to all declarations.

use serde_json::Value;

use super::store::{Progress, Properties, Resource};
use crate::arm::error::ArmError;
use crate::arm::operation::store::Style;
use crate::arm::route::{Call, Handler};
use crate::clock::{SimTime, Timing};

/// The rule for the `location` of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// A region of the subscription; it cannot change.
    Region,
    /// `global`, whatever a request contains.
    Global,
    /// None, as of a child resource.
    None,
}

/// The course of a write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Course {
    /// The response comes at the end of the work.
    InResponse,
    /// The response comes at once, and the provisioning state shows the progress.
    InBackground,
    /// The response comes at once and announces an operation.
    Operation {
        /// The internal name, `PutSubnetOperation`.
        name: &'static str,
        /// The headers by which clients poll it.
        style: Style,
        /// The `Retry-After` in seconds of cloud time.
        retry_after: f64,
    },
}

/// A write: its course, and its duration in seconds of cloud time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Write {
    /// The course.
    pub course: Course,
    /// The duration.
    pub seconds: f64,
}

impl Write {
    /// Creates a write whose response comes at its end.
    pub const fn in_response(seconds: f64) -> Self {
        Self { course: Course::InResponse, seconds }
    }

    /// Creates a write that continues after its response.
    pub const fn in_background(seconds: f64) -> Self {
        Self { course: Course::InBackground, seconds }
    }

    /// Creates a write with an operation.
    pub const fn operation(name: &'static str, style: Style, seconds: f64, retry_after: f64) -> Self {
        Self { course: Course::Operation { name, style, retry_after }, seconds }
    }
}

/// A resource type. [`ResourceType::new`] returns the defaults.
pub struct ResourceType<S: 'static> {
    /// The type: `Microsoft.OperationalInsights/workspaces`.
    pub kind: &'static str,
    /// The supported api-versions, newest last.
    pub versions: &'static [&'static str],
    /// The rule for the location.
    pub location: Location,
    /// Checks the name in a PUT.
    pub check_name: fn(&str) -> Result<(), ArmError>,
    /// Returns the stored properties for those of a PUT: checked, and with the defaults of the service.
    pub properties: fn(Properties) -> Result<Properties, ArmError>,
    /// The properties that only the service sets. A PUT keeps them.
    pub read_only: &'static [&'static str],
    /// The course of a PUT.
    pub put: Write,
    /// True if a creation that starts an operation is answered with 202, without a body.
    pub answers_creation_with_202: bool,
    /// The course of a DELETE.
    pub delete: Write,
    /// The time from a PUT until other services act on it.
    pub propagation_seconds: f64,
    /// The provisioning state during a creation; `None` if the type has no provisioning state.
    pub creation_state: Option<Progress>,
    /// True if bodies and responses contain an etag. `If-Match` and `If-None-Match` need it.
    pub has_etag: bool,
    /// True if the service writes `resourcegroups` in ids.
    pub lower_case_group: bool,
    /// False if only the service writes resources of this type.
    pub is_writable: bool,
    /// True if a PUT of this child is a write in progress of its parent.
    pub is_write_of_parent: bool,
    /// Returns the error of a write while another one is in progress on the resource or its parent; without it,
    /// writes may overlap.
    pub busy: Option<BusyError<S>>,
    /// Additional POST actions of a resource.
    pub actions: &'static [Action<S>],
    /// The functions of the type.
    pub hooks: Hooks<S>,
}

/// Returns the error of a write on a resource, or on a child of it, that has another one in progress.
pub type BusyError<S> = fn(&S, &Call<'_, S>, &Resource) -> ArmError;

/// A POST action of a resource.
pub struct Action<S> {
    /// The last segment of its path.
    pub name: &'static str,
    /// The supported api-versions.
    pub versions: &'static [&'static str],
    /// The handler.
    pub handler: Handler<S>,
}

/// The functions of a type, called by the handlers.
pub struct Hooks<S> {
    /// Completes and checks a PUT with the state: sets what the service issues, adds and removes children.
    pub prepare: fn(&mut S, &Call<'_, S>, &mut Draft) -> Result<(), ArmError>,
    /// Acts on a stored PUT.
    pub written: fn(&mut S, &Resource, SimTime, &Timing),
    /// Checks a DELETE.
    pub check_delete: fn(&S, &Resource) -> Result<(), ArmError>,
    /// Acts on a deleted resource.
    pub deleted: fn(&mut S, &Resource),
    /// Adds to the body what is not stored with the resource.
    pub show: fn(&S, &Resource, &mut Value),
}

impl<S> Hooks<S> {
    /// The hooks of a type without any.
    pub const NONE: Self = Self {
        prepare: |_, _, _| Ok(()),
        written: |_, _, _, _| {},
        check_delete: |_, _| Ok(()),
        deleted: |_, _| {},
        show: |_, _, _| {},
    };
}

/// A PUT before it is stored.
pub struct Draft {
    /// The whole request body.
    pub body: Value,
    /// The resource before the write.
    pub existing: Option<Resource>,
    /// The resource after the write.
    pub desired: Resource,
    /// The children that the write creates or replaces.
    pub children: Vec<Resource>,
    /// The ids of the children that the write deletes.
    pub removed: Vec<String>,
}

impl<S> ResourceType<S> {
    /// Returns a type with the defaults: a region, any name and properties, writes without duration, a provisioning
    /// state, no etags.
    pub const fn new(kind: &'static str) -> Self {
        Self {
            kind,
            versions: &[],
            location: Location::Region,
            check_name: |_| Ok(()),
            properties: Ok,
            read_only: &[],
            put: Write::in_response(0.0),
            answers_creation_with_202: false,
            delete: Write::in_response(0.0),
            propagation_seconds: 0.0,
            creation_state: Some(Progress::Creating),
            has_etag: false,
            lower_case_group: false,
            is_writable: true,
            is_write_of_parent: false,
            busy: None,
            actions: &[],
            hooks: Hooks::NONE,
        }
    }

    /// Returns the namespace and the type without it.
    pub(crate) fn parts(&self) -> (&'static str, &'static str) {
        self.kind.split_once('/').unwrap_or((self.kind, ""))
    }

    /// Returns the kind of the parent, and the last name of the type; `None` for a top-level type.
    pub(super) fn child_parts(&self) -> Option<(&'static str, &'static str)> {
        let (parent, last) = self.kind.rsplit_once('/')?;
        parent.contains('/').then_some((parent, last))
    }

    /// Returns the path below `/subscriptions/…`, with `{parent}` in a child's.
    pub(super) fn path(&self) -> String {
        match self.child_parts() {
            Some((parent, last)) => format!("/providers/{parent}/{{parent}}/{last}"),
            None => format!("/providers/{}", self.kind),
        }
    }
}
