//! The virtual network and the nodes' subnet.

use crate::{
    clouds::Clouds,
    doing::Doing,
    operation,
    resource_group::{Group, missing_tags, same_region, tags_of},
    settings::{Network as Wanted, Settings},
};
use landfall_cloud::{
    ApiErrorKind,
    arm::{Azure, Begun, Condition, State},
};
use landfall_engine::{Change, Check, Context, Kind, Look, Residue, Step, StepError, Undone, Wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Brings the network and the subnet about, and never loses a subnet that is not ours.
pub struct Network {
    azure: Azure,
    group: String,
    location: String,
    tags: BTreeMap<String, String>,
    wanted: Wanted,
}

/// The subnet that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// The subnet's resource id.
    pub id: String,
    /// The network's resource id.
    pub network_id: String,
    /// The network's name.
    pub network: String,
    /// The network's ranges.
    pub address_space: Vec<String>,
    /// The subnet's range.
    pub prefix: String,
}

impl Network {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clouds, s: &Settings) -> Self {
        Self {
            azure: c.azure.clone(),
            group: s.resource_group.clone(),
            location: s.location.clone(),
            tags: s.tags.clone(),
            wanted: s.network.clone(),
        }
    }

    async fn look(&self) -> Result<Option<Value>, StepError> {
        let found = self.azure.network(&self.group, &self.wanted.name).await;
        found.doing(format!("look at virtual network {}", self.wanted.name))
    }

    fn found(&self, body: &Value) -> Option<Subnet> {
        let subnet = subnet_of(body, &self.wanted.subnet)?;
        Some(Subnet {
            id: subnet["id"].as_str()?.to_owned(),
            network_id: body["id"].as_str()?.to_owned(),
            network: self.wanted.name.clone(),
            address_space: ranges(body),
            prefix: prefix_of(subnet)?.to_owned(),
        })
    }

    /// What is there, changed as little as the wish demands: everything unknown stays.
    fn body(&self, existing: Option<Value>, ours: bool) -> Value {
        let subnet = json!({
            "name": self.wanted.subnet,
            "properties": { "addressPrefix": self.wanted.subnet_prefix.to_string() },
        });
        let Some(mut body) = existing else {
            return json!({
                "location": self.location,
                "tags": self.tags,
                "properties": {
                    "addressSpace": { "addressPrefixes": [self.wanted.address_space.to_string()] },
                    "subnets": [subnet],
                },
            });
        };
        if ours {
            let mut tags = tags_of(&body);
            tags.extend(self.tags.clone());
            body["tags"] = json!(tags);
        }
        if subnet_of(&body, &self.wanted.subnet).is_none() {
            match body["properties"]["subnets"].as_array_mut() {
                Some(subnets) => subnets.push(subnet),
                None => body["properties"]["subnets"] = json!([subnet]),
            }
        }
        body
    }

    fn judge(&self, body: &Value, ours: bool) -> Check<Subnet> {
        let name = &self.wanted.name;
        let region = body["location"].as_str().unwrap_or_default();
        if !same_region(region, &self.location) {
            return Check::Foreign {
                why: format!("virtual network {name} is in {region}, and {} is wanted", self.location),
            };
        }
        match State::of(body) {
            State::Running(_) | State::Deleting => return Check::Underway,
            State::Failed => return Check::Broken { why: format!("virtual network {name} is Failed") },
            State::Canceled => return Check::Broken { why: format!("virtual network {name} is Canceled") },
            State::Succeeded => {}
        }
        let wanted = self.wanted.subnet_prefix.to_string();
        let mut changes = if ours { missing_tags(body, &self.tags) } else { Vec::new() };
        match subnet_of(body, &self.wanted.subnet).map(prefix_of) {
            Some(Some(prefix)) if prefix == wanted => {}
            Some(prefix) => {
                let prefix = prefix.unwrap_or("no range");
                let why =
                    format!("subnet {} of {name} is {prefix}, and {wanted} is wanted", self.wanted.subnet);
                return Check::Foreign { why };
            }
            None if inside(&wanted, &ranges(body)) => changes.push(Change {
                field: format!("subnets.{}", self.wanted.subnet),
                is: Value::Null,
                wanted: json!(wanted),
            }),
            None => {
                let ranges = ranges(body).join(", ");
                let why = format!("virtual network {name} is {ranges}, which has no room for {wanted}");
                return Check::Foreign { why };
            }
        }
        match self.found(body) {
            Some(subnet) if changes.is_empty() => Check::Ready(subnet),
            _ => Check::Differs { changes },
        }
    }

    /// Puts the network with the subnet in it; `None` when it changed between the look and the act, be it by somebody
    /// else or by a try of ours whose answer was lost.
    async fn put(&self, cx: &Context, what: &str) -> Result<Option<Put>, StepError> {
        let existing = self.wait_until_settled(cx).await?;
        let condition = match &existing {
            None => Condition::None,
            Some(body) => match self.judge(body, cx.ours()) {
                Check::Ready(subnet) => return Ok(Some(Put::Needless(subnet))),
                Check::Foreign { why } => return Err(StepError::new(Kind::Foreign, what).cause(why)),
                _ => {
                    body["etag"].as_str().map_or(Condition::None, |etag| Condition::IfMatch(etag.to_owned()))
                }
            },
        };
        let body = self.body(existing, cx.ours());
        let begun = operation::when_free(cx, what, || async {
            match self.azure.put_network(&self.group, &self.wanted.name, &body, condition.clone()).await {
                Err(error) if error.kind == ApiErrorKind::Precondition => Ok(None),
                begun => begun.map(Some),
            }
        });
        Ok(begun.await?.map(Put::Begun))
    }

    async fn wait_until_settled(&self, cx: &Context) -> Result<Option<Value>, StepError> {
        let wait =
            Wait::new("the virtual network to settle", Duration::from_secs(6), Duration::from_secs(300));
        cx.wait_until(wait, async || {
            let body = self.look().await?;
            Ok(match body.as_ref().map(State::of) {
                Some(State::Running(state)) => Look::not_yet(state),
                Some(State::Deleting) => Look::not_yet("Deleting"),
                _ => Look::There(body),
            })
        })
        .await
    }
}

impl Step for Network {
    type Input = Group;
    type Output = Subnet;

    fn title(&self) -> String {
        format!("{} {}", self.wanted.name, self.wanted.address_space)
    }

    fn named(&self) -> Option<Value> {
        Some(json!({ "name": self.wanted.name, "subnet": self.wanted.subnet }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(900)
    }

    fn usual(&self) -> Duration {
        Duration::from_secs(6)
    }

    async fn check(&self, cx: &Context, _: &Group) -> Result<Check<Subnet>, StepError> {
        Ok(self.look().await?.map_or(Check::Missing, |body| self.judge(&body, cx.ours())))
    }

    async fn apply(&self, cx: &Context, _: &Group) -> Result<Subnet, StepError> {
        let what = format!("create virtual network {}", self.wanted.name);
        let wait = Wait::new(
            "the virtual network to stay the same",
            Duration::from_secs(1),
            Duration::from_secs(600),
        );
        let put = cx
            .wait_until(wait, async || {
                let put = self.put(cx, &what).await?;
                Ok(put.map_or_else(|| Look::not_yet("it changed meanwhile"), Look::There))
            })
            .await?;
        let begun = match put {
            Put::Needless(subnet) => return Ok(subnet),
            Put::Begun(begun) => begun,
        };
        let wait =
            Wait::new("the virtual network to be created", Duration::from_secs(6), Duration::from_secs(300));
        let body = match operation::finish(cx, self.azure.arm(), begun, wait, &what).await? {
            Some(body) => body,
            None => self.look().await?.unwrap_or_default(),
        };
        self.found(&body).ok_or_else(|| {
            StepError::new(Kind::Failed, what)
                .cause(format!("the network is there without subnet {}", self.wanted.subnet))
                .residue(Residue::Something)
        })
    }

    async fn undo(&self, cx: &Context, subnet: Subnet) -> Result<Undone, StepError> {
        let what = format!("delete virtual network {}", subnet.network);
        let Some(body) = self.look().await? else { return Ok(Undone::AlreadyGone) };
        let others = others(&body, &self.wanted.subnet);
        if !others.is_empty() {
            return Ok(Undone::Kept {
                why: format!("it has subnets that are not ours: {}", others.join(", ")),
            });
        }
        let begun =
            operation::when_free(cx, &what, || self.azure.delete_network(&self.group, &subnet.network))
                .await?;
        let wait =
            Wait::new("the virtual network to be deleted", Duration::from_secs(6), Duration::from_secs(300));
        operation::finish(cx, self.azure.arm(), begun, wait, &what).await?;
        Ok(Undone::Deleted)
    }
}

/// What came of putting the network.
enum Put {
    /// It is as wanted already.
    Needless(Subnet),
    /// Azure has taken it.
    Begun(Begun),
}

fn subnets(body: &Value) -> impl Iterator<Item = &Value> {
    body["properties"]["subnets"].as_array().into_iter().flatten()
}

fn subnet_of<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    subnets(body).find(|s| s["name"].as_str().is_some_and(|is| is.eq_ignore_ascii_case(name)))
}

/// One range stands in `addressPrefix`; newer networks may list it in `addressPrefixes`.
fn prefix_of(subnet: &Value) -> Option<&str> {
    let properties = &subnet["properties"];
    properties["addressPrefix"].as_str().or_else(|| properties["addressPrefixes"][0].as_str())
}

fn ranges(body: &Value) -> Vec<String> {
    let prefixes = body["properties"]["addressSpace"]["addressPrefixes"].as_array();
    prefixes.into_iter().flatten().filter_map(|p| p.as_str().map(str::to_owned)).collect()
}

fn inside(wanted: &str, ranges: &[String]) -> bool {
    let Ok(wanted) = wanted.parse::<ipnet::Ipv4Net>() else { return false };
    ranges
        .iter()
        .filter_map(|range| range.parse::<ipnet::Ipv4Net>().ok())
        .any(|range| range.contains(&wanted))
}

fn others(body: &Value, ours: &str) -> Vec<String> {
    let names = subnets(body).filter_map(|subnet| subnet["name"].as_str());
    names.filter(|name| !name.eq_ignore_ascii_case(ours)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_inside_one_of_the_networks_or_refused() {
        let ranges = ["10.0.0.0/16".to_owned(), "10.9.0.0/24".to_owned()];
        assert!(inside("10.0.0.0/22", &ranges));
        assert!(!inside("10.9.0.0/22", &ranges));
    }

    #[test]
    fn a_stranger_among_the_subnets_is_named() {
        let body = json!({ "properties": { "subnets": [{ "name": "snet-aks" }, { "name": "snet-db" }] } });
        assert_eq!(others(&body, "SNET-AKS"), ["snet-db"]);
    }
}
