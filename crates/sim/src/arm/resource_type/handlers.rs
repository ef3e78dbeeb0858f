//! The handlers of the declared types.

use super::{
    Course, Draft, Location, Progress, Resource, ResourceType, Write, declared, id_of, is_in_group, location,
    parent_id, remove, requested_id,
};
use crate::arm::error::ArmError;
use crate::arm::operation::{self, Plan};
use crate::arm::{Call, Handler, Route, filter, id, precondition};
use crate::clock::SimTime;
use crate::request::Reply;
use crate::state::CloudState;

/// Returns the routes of a type. Their patterns stay allocated, so this is called once per process.
pub(crate) fn routes(declared: &ResourceType) -> Vec<Route> {
    let pattern = |scope: &str, rest: &str| -> &'static str {
        format!("/subscriptions/{{subscription}}{scope}{}{rest}", declared.path()).leak()
    };
    let in_group = "/resourceGroups/{group}";
    let one = pattern(in_group, "/{name}");
    let route =
        |method, pattern, handler| Route::new(method, pattern, declared.kind, declared.versions, handler);
    let mut routes = vec![route("GET", pattern(in_group, ""), list as Handler), route("GET", one, get)];
    if declared.child_parts().is_none() {
        routes.push(route("GET", pattern("", ""), list));
    }
    if declared.is_writable {
        routes.extend([route("PUT", one, put), route("DELETE", one, delete)]);
    }
    if declared.is_writable && declared.location != Location::None {
        routes.push(route("PATCH", one, patch));
    }
    for action in declared.actions {
        let path = pattern(in_group, &format!("/{{name}}/{}", action.name));
        routes.push(Route::new("POST", path, declared.kind, action.versions, action.handler));
    }
    routes
}

/// Returns the declaration for a call.
fn of_call(state: &CloudState, call: &Call<'_>) -> Result<&'static ResourceType, ArmError> {
    declared(state, call.route.kind)
        .ok_or_else(|| ArmError::gateway(404, "InvalidResourceType", call.route.kind))
}

/// Returns the error of an absent resource. Resource Manager itself knows only the top-level ones.
fn not_found(declared: &ResourceType, call: &Call<'_>) -> ArmError {
    if declared.child_parts().is_some() {
        return ArmError::new(404, "NotFound", format!("Resource {} not found.", id_of(declared, call)));
    }
    ArmError::resource_not_found(declared.kind, call.param("name"), call.param("group"))
}

/// Returns the parent of a child in a call's URL.
fn parent<'a>(state: &'a CloudState, call: &Call<'_>) -> Option<&'a Resource> {
    state.tracked.get(parent_id(&requested_id(state, call)))
}

pub(super) fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let found = state.tracked.get(&requested_id(state, call));
    let found = found.map_or_else(|| Err(not_found(of_call(state, call)?, call)), Ok)?;
    Ok(reply(state, found, 200))
}

/// Lists the resources of the subscription, of a group or of a parent.
pub(super) fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let (declared, group) = (of_call(state, call)?, call.param("group"));
    let bodies = match declared.child_parts() {
        Some((kind, _)) => {
            let missing = || ArmError::resource_not_found(kind, call.param("parent"), group);
            let parent = parent(state, call).ok_or_else(missing)?;
            let own = state.tracked.below(&parent.id).into_iter().filter(|one| one.kind() == declared.kind);
            own.map(|one| one.body(state)).collect()
        }
        None => {
            let own = state.tracked.of_kind(declared.kind);
            let own = own.filter(|one| group.is_empty() || is_in_group(&one.id, group));
            own.map(|one| one.body(state)).collect()
        }
    };
    filter::reply(state, call, bodies, filter::OF_RESOURCES)
}

fn reply(state: &CloudState, resource: &Resource, status: u16) -> Reply {
    let reply = Reply::json(status, &resource.body(state));
    match resource.shown_etag(state) {
        Some(etag) => reply.with_header("etag", &etag),
        None => reply,
    }
}

/// Refuses a write while another one is in progress on the resource or its parent.
fn check_free(declared: &ResourceType, state: &CloudState, call: &Call<'_>) -> Result<(), ArmError> {
    let Some(busy) = declared.busy else { return Ok(()) };
    let root = match declared.child_parts() {
        Some(_) => parent(state, call),
        None => state.tracked.get(&requested_id(state, call)),
    };
    match root.filter(|root| root.busy_until(call.now).is_some()) {
        Some(root) => Err(busy(state, call, root)),
        None => Ok(()),
    }
}

/// Checks the preconditions of a write.
fn check_etag(declared: &ResourceType, call: &Call<'_>, existing: Option<&Resource>) -> Result<(), ArmError> {
    match declared.has_etag {
        true => precondition::check(call.request, existing.map(|one| one.etag.as_str())),
        false => Ok(()),
    }
}

/// Creates or replaces a resource; 201 for a new one. Omitted properties and tags are cleared.
pub(super) fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let declared = of_call(state, call)?;
    if declared.child_parts().is_some() && parent(state, call).is_none() {
        return Err(ArmError::parent_not_found(call.param("parent")));
    }
    let existing = state.tracked.get(&requested_id(state, call)).cloned();
    check_etag(declared, call, existing.as_ref())?;
    check_free(declared, state, call)?;
    let mut draft = draft(declared, state, call, existing)?;
    (declared.hooks.prepare)(state, call, &mut draft)?;
    let status = if draft.existing.is_some() { 200 } else { 201 };
    let done = call.timing.after(call.now, declared.put.seconds);
    let id = draft.desired.id.clone();
    let in_progress = match draft.existing {
        None => declared.creation_state.unwrap_or(Progress::Creating),
        Some(_) => Progress::Updating,
    };
    let Draft { mut desired, mut children, removed, .. } = draft;
    if declared.put.course != Course::InResponse {
        desired.start(in_progress, done);
        children.iter_mut().for_each(|child| child.start(Progress::Updating, done));
    }
    removed.iter().for_each(|id| remove(state, id));
    [desired.clone()].into_iter().chain(children).for_each(|one| state.tracked.insert(one));
    if declared.is_write_of_parent {
        start_on_parent(state, &id, done);
    }
    (declared.hooks.written)(state, &desired, call.now, &call.timing);
    let stored = state.tracked.get(&id).unwrap_or(&desired);
    let reply = match declared.answers_creation_with_202 && status == 201 {
        true => Reply::empty(202),
        false => reply(state, stored, status),
    };
    let reply = if status == 201 && declared.put.course == Course::InResponse {
        reply.with_header("location", &id)
    } else {
        reply
    };
    Ok(announced(state, call, declared.put, &desired, done, reply))
}

/// Returns the write that a PUT requests.
fn draft(
    declared: &ResourceType,
    state: &mut CloudState,
    call: &Call<'_>,
    existing: Option<Resource>,
) -> Result<Draft, ArmError> {
    let body = call.body()?;
    (declared.check_name)(call.param("name"))?;
    let location = location::of_put(declared, state, call, existing.as_ref(), &body)?;
    let mut given = body["properties"].as_object().cloned().unwrap_or_default();
    given.remove("provisioningState");
    for read_only in declared.read_only {
        given.remove(*read_only);
    }
    let mut properties = (declared.properties)(given)?;
    let kept = existing.iter().flat_map(|existing| {
        declared
            .read_only
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), existing.properties.get(*name)?.clone())))
    });
    properties.extend(kept);
    let id = existing.as_ref().map_or_else(|| requested_id(state, call), |existing| existing.id.clone());
    let created = existing.as_ref().map_or(call.now, |existing| existing.created);
    let mut desired = Resource::new(declared.kind, id, created);
    desired.effective = call.timing.after(call.now, declared.propagation_seconds);
    desired.owner = existing.as_ref().map_or_else(String::new, |existing| existing.owner.clone());
    desired.location = location;
    desired.tags = body["tags"].as_object().cloned().unwrap_or_default();
    desired.properties = properties;
    desired.position = match (&existing, parent(state, call)) {
        (Some(existing), _) => existing.position,
        (None, Some(parent)) => state.tracked.below(&parent.id).last().map_or(0, |last| last.position + 1),
        (None, None) => 0,
    };
    if declared.has_etag {
        desired.etag = state.uuid("etag");
    }
    Ok(Draft { body, existing, desired, children: Vec::new(), removed: Vec::new() })
}

/// Starts the write of a child on its parent.
fn start_on_parent(state: &mut CloudState, child: &str, done: SimTime) {
    let has_etag = state.tracked.get(child).is_some_and(|child| child.shown_etag(state).is_some());
    let etag = has_etag.then(|| state.uuid("etag"));
    let Some(parent) = state.tracked.get_mut(parent_id(child)) else { return };
    parent.start(Progress::Updating, done);
    if let Some(etag) = etag {
        parent.etag = etag;
    }
}

/// Replaces the tags.
pub(super) fn patch(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let (declared, id) = (of_call(state, call)?, requested_id(state, call));
    get(state, call)?;
    check_free(declared, state, call)?;
    let body = call.body()?;
    let etag = if declared.has_etag { state.uuid("etag") } else { String::new() };
    if let Some(resource) = state.tracked.get_mut(&id) {
        resource.tags = body["tags"].as_object().cloned().unwrap_or_default();
        resource.etag = etag;
    }
    get(state, call)
}

/// Deletes a resource and its children; 204 if it does not exist.
pub(super) fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let declared = of_call(state, call)?;
    let Some(resource) = state.tracked.get(&requested_id(state, call)).cloned() else {
        return Ok(Reply::empty(204));
    };
    check_etag(declared, call, Some(&resource))?;
    check_free(declared, state, call)?;
    (declared.hooks.check_delete)(state, &resource)?;
    let done = call.timing.after(call.now, declared.delete.seconds);
    if declared.delete.course == Course::InResponse {
        remove(state, &resource.id);
        return Ok(Reply::empty(200).with_latency(declared.delete.seconds));
    }
    if let Some(resource) = state.tracked.get_mut(&resource.id) {
        resource.start(Progress::Deleting, done);
    }
    if declared.is_write_of_parent {
        start_on_parent(state, &resource.id, done);
    }
    Ok(announced(state, call, declared.delete, &resource, done, Reply::empty(202)))
}

/// Starts the operation of a write and adds its headers; without an operation, adds the latency.
fn announced(
    state: &mut CloudState,
    call: &Call<'_>,
    write: Write,
    resource: &Resource,
    done: SimTime,
    reply: Reply,
) -> Reply {
    let Course::Operation { name, style, retry_after } = write.course else {
        return if write.course == Course::InResponse { reply.with_latency(write.seconds) } else { reply };
    };
    // An operation on a child names its parent, on which it is in progress.
    let is_child = declared(state, resource.kind()).is_some_and(|declared| declared.is_write_of_parent);
    let target = if is_child { parent_id(&resource.id) } else { &resource.id };
    let location = state.tracked.get(target).map_or("global", |root| root.location.as_str()).to_owned();
    let provider = resource.kind().split('/').next().unwrap_or_default();
    let plan = Plan {
        resource: target,
        provider,
        location: &location,
        name,
        style,
        api_version: &call.api_version,
        retry_after: Some(retry_after),
        signed: false,
    };
    let operation = operation::begin(state, &plan, call.now, done);
    let reply = match id::same(provider, "Microsoft.Network") {
        true => reply.with_header("azure-asyncnotification", "Enabled"),
        false => reply,
    };
    operation.announce(state, &call.timing, reply)
}
