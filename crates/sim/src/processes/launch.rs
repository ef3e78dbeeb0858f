//! The launch of a container: its program, arguments, environment and files, read from the state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::paths::MountPaths;
use super::variables::{self, expand};
use super::volumes::Volumes;
use crate::aks::object::{list, number, text};
use crate::aks::runtime::ObjectRef;
use crate::clock::SimTime;
use crate::kubernetes::Store;

/// The search path of container runtimes for images without one.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The grace period of pods that do not set one, in seconds.
const GRACE_SECONDS: i64 = 30;

/// A container to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch {
    /// The reference of the image.
    pub image: String,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub working_folder: PathBuf,
    /// The volumes of the pod, in the folder that the arguments name.
    pub volumes: Volumes,
    /// The folders of volumes that mounts name below their root (`subPath`).
    pub sub_folders: Vec<PathBuf>,
    /// The real seconds that the program has after SIGTERM.
    pub grace_seconds: i64,
}

/// The folders of one pod.
#[derive(Debug, Clone)]
pub(super) struct PodFolders {
    root: PathBuf,
}

impl PodFolders {
    /// Returns the folders of a pod below those of all pods.
    pub fn new(all: &Path, uid: &str) -> Self {
        Self { root: all.join(uid) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// Returns the folder in which a container begins.
    pub fn container(&self, container: &str) -> PathBuf {
        self.root.join("containers").join(container)
    }

    /// Returns the file with the process id of a container.
    pub fn process_id(&self, container: &str) -> PathBuf {
        self.root.join(format!("{container}.pid"))
    }
}

/// Reads a container from the state, and issues the tokens of its pod. `None` if the pod is gone.
///
/// # Errors
/// The kubelet's message about a missing object.
pub(super) fn prepare(
    store: &mut Store,
    pod: &ObjectRef,
    container: &str,
    folders: &PodFolders,
    authority: &Path,
    now: SimTime,
) -> Option<Result<Launch, String>> {
    let pod = store
        .get("pods", &pod.namespace, &pod.name)
        .filter(|found| text(found, "/metadata/uid") == pod.uid)?;
    let pod = pod.clone();
    let containers = list(&pod, "/spec/initContainers").iter().chain(list(&pod, "/spec/containers"));
    let spec = containers.into_iter().find(|spec| text(spec, "/name") == container)?.clone();
    Some(launch(store, &pod, &spec, folders, authority, now))
}

fn launch(
    store: &mut Store,
    pod: &Value,
    container: &Value,
    folders: &PodFolders,
    authority: &Path,
    now: SimTime,
) -> Result<Launch, String> {
    let own = variables::environment(store, pod, container)?;
    let volumes = Volumes::of(store, pod, now)?;
    let mut sub_folders = Vec::new();
    let mounts = list(container, "/volumeMounts").iter().map(|mount| {
        let sub_path = match text(mount, "/subPathExpr") {
            "" => text(mount, "/subPath").to_owned(),
            expression => expand(expression, &own),
        };
        let root = folders.volumes().join(text(mount, "/name"));
        let folder = if sub_path.is_empty() || sub_path.contains("..") {
            root
        } else {
            root.join(sub_path.trim_start_matches('/'))
        };
        (text(mount, "/mountPath").to_owned(), folder)
    });
    let mounts: Vec<(String, PathBuf)> = mounts.collect();
    for ((_, folder), mount) in mounts.iter().zip(list(container, "/volumeMounts")) {
        let name = text(mount, "/name");
        let is_file = volumes.all.iter().any(|volume| {
            let path = folder.strip_prefix(folders.volumes().join(name)).ok().and_then(Path::to_str);
            volume.name == name && path.is_some_and(|path| volume.files.contains_key(path))
        });
        if !is_file {
            sub_folders.push(folder.clone());
        }
    }
    let paths = MountPaths::new(mounts);
    let expanded = |value: &Value| paths.replace(&expand(value.as_str().unwrap_or_default(), &own));
    // The program stands for the image, so a command replaces its arguments but not itself.
    let command = list(container, "/command").iter().skip(1);
    let arguments = command.chain(list(container, "/args")).map(expanded).collect();
    let home = folders.container(text(container, "/name"));
    let mut environment = BTreeMap::from([
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOME".to_owned(), home.display().to_string()),
        ("HOSTNAME".to_owned(), variables::host_name(pod).to_owned()),
        ("SSL_CERT_FILE".to_owned(), authority.display().to_string()),
    ]);
    environment.extend(own.iter().map(|(name, value)| (name.clone(), paths.replace(value))));
    let working_folder = match text(container, "/workingDir") {
        "" => home,
        folder => Some(PathBuf::from(paths.replace(folder)))
            .filter(|folder| folder.starts_with(folders.root()))
            .unwrap_or(home),
    };
    Ok(Launch {
        image: text(container, "/image").to_owned(),
        arguments,
        environment,
        working_folder,
        volumes,
        sub_folders,
        grace_seconds: number(pod, "/spec/terminationGracePeriodSeconds").unwrap_or(GRACE_SECONDS),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_and_variables_name_the_real_folders() {
        let (mut store, at) = (Store::new("test"), SimTime(0));
        let config =
            json!({"metadata": {"name": "fleet", "namespace": "default"}, "data": {"wave.json": "[]"}});
        store.put("configmaps", config, "test", at);
        let pod = json!({
            "metadata": {"name": "once-0-abcde", "namespace": "default"},
            "spec": {
                "hostname": "once-0", "terminationGracePeriodSeconds": 120,
                "volumes": [{"name": "fleet", "configMap": {"name": "fleet"}}, {"name": "scratch", "emptyDir": {}}],
                "containers": [{
                    "name": "main", "image": "registry.test/worker:1", "command": ["/worker", "fleet"],
                    "args": ["--list", "/fleet/wave.json", "$(MODE)"], "workingDir": "/work",
                    "env": [{"name": "MODE", "value": "fast"}, {"name": "OUT", "value": "/work/out"}],
                    "volumeMounts": [
                        {"name": "fleet", "mountPath": "/fleet"},
                        {"name": "scratch", "mountPath": "/work", "subPath": "one"},
                    ],
                }],
            },
        });
        store.put("pods", pod, "test", at);
        let uid = text(store.get("pods", "default", "once-0-abcde").expect("it is there"), "/metadata/uid")
            .to_owned();
        let target = ObjectRef { namespace: "default".into(), name: "once-0-abcde".into(), uid: uid.clone() };
        let folders = PodFolders::new(Path::new("/pods"), &uid);
        let authority = Path::new("/sim/ca.pem");
        let launch = prepare(&mut store, &target, "main", &folders, authority, at)
            .expect("it is there")
            .expect("all is there");
        let root = format!("/pods/{uid}");
        assert_eq!(launch.arguments, ["fleet", "--list", &format!("{root}/volumes/fleet/wave.json"), "fast"]);
        assert_eq!(launch.environment["OUT"], format!("{root}/volumes/scratch/one/out"));
        assert_eq!(launch.environment["HOSTNAME"], "once-0");
        assert_eq!(launch.environment["SSL_CERT_FILE"], "/sim/ca.pem");
        assert_eq!(launch.environment.len(), 6, "nothing else: {:?}", launch.environment);
        assert_eq!(launch.working_folder, PathBuf::from(format!("{root}/volumes/scratch/one")));
        assert_eq!(launch.grace_seconds, 120);
        let other = ObjectRef { uid: "other".into(), ..target };
        assert!(prepare(&mut store, &other, "main", &folders, authority, at).is_none());
    }
}
