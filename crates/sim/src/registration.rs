//! The registration of a running simulated cloud: its holder, and its addresses for other processes.
//!
//! Two files are in the state folder. `world.lock` names the holder of the lock. `serving.json` exists only
//! while a server accepts other processes. It contains the sign-in data and is readable only by its owner. A
//! killed server leaves it behind: if the lock is free, the file is stale, and the next holder of the lock
//! removes it.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::connection::ConnectionInfo;

/// The name of the registration file in the state folder.
pub(crate) const FILE: &str = "serving.json";
/// The file with the service principal's secret, for programs that read a secret from a file.
pub(crate) const SECRET: &str = "principal.secret";
/// The file with the password of the user, likewise.
pub(crate) const PASSWORD: &str = "user.secret";
/// The file with the header of the admin API, for curl.
pub(crate) const HEADER: &str = "admin.header";
/// The format version of the file.
const FORMAT: u32 = 1;

/// The process that holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The name of the program: `landfall sim`.
    pub by: String,
    /// The process id.
    pub pid: u32,
    /// The start time, RFC 3339 in whole seconds.
    pub since: String,
}

impl Holder {
    /// Describes this process, starting now.
    pub fn this(by: &str) -> Self {
        Self { by: by.to_owned(), pid: std::process::id(), since: seconds(Timestamp::now()) }
    }

    /// Parses a lock file; returns `None` if it is still empty or malformed.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (process {}, since {})", self.by, self.pid, self.since)
    }
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The options of a registration for other processes.
#[derive(Debug, Clone)]
pub struct RegistrationOptions {
    /// The environment's kubeconfig file, absolute.
    pub kubeconfig: PathBuf,
}

/// A simulated cloud that a process serves for all others. Its file contains secrets of the simulated cloud
/// and has mode 0600.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerRegistration {
    format: u32,
    /// A random id per start; clients compare the server's id with that in the file.
    pub id: String,
    /// The process that serves it.
    pub holder: Holder,
    /// The state folder, absolute.
    pub folder: PathBuf,
    /// The environment's kubeconfig file, absolute.
    pub kubeconfig: PathBuf,
    /// The addresses and the sign-in data.
    #[serde(rename = "facts")]
    pub connection: ConnectionInfo,
}

impl ServerRegistration {
    /// Describes a simulated cloud that this process is about to serve.
    pub(crate) fn new(
        folder: &Path,
        holder: Holder,
        connection: &ConnectionInfo,
        registration: &RegistrationOptions,
    ) -> Self {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let id = uuid::Uuid::new_v4().to_string();
        let (kubeconfig, connection) = (registration.kubeconfig.clone(), connection.clone());
        Self { format: FORMAT, id, holder, folder, kubeconfig, connection }
    }

    /// Reads the registration in a state folder; returns `None` if there is none, or one of another format
    /// version. The caller must check that the server is still running: `GET /_sim/serving` returns
    /// [`Self::id`].
    pub fn find(folder: &Path) -> Option<Self> {
        let registration: Self = serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()?;
        (registration.format == FORMAT).then_some(registration)
    }

    /// Returns `https://127.0.0.1:{port}`: an address works where the names below `localhost` do not resolve.
    pub fn origin(&self) -> String {
        format!("https://127.0.0.1:{}", self.connection.port)
    }

    /// Returns the URL of the web page.
    pub fn page(&self) -> String {
        format!("{}/_sim/", self.origin())
    }

    /// Returns the path of the CA certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Returns the registration without secrets.
    pub(crate) fn public(&self) -> Value {
        let Holder { by, pid, since } = &self.holder;
        json!({ "id": self.id, "by": by, "pid": pid, "since": since, "page": self.page(), "folder": self.folder })
    }

    /// Returns shell code, for `eval`, that configures `kubectl`, `az` and `curl` for this simulated cloud.
    ///
    /// It contains no secret: `az` reads the service principal's secret from a file that only its owner can
    /// read.
    pub fn shell(&self) -> String {
        let (connection, port) = (&self.connection, self.connection.port);
        let quoted = |path: &Path| quoted(&path.display().to_string());
        let (authority, kubeconfig) = (quoted(&self.authority()), quoted(&self.kubeconfig));
        let (az, secret) = (quoted(&self.folder.join("azure")), self.folder.join(SECRET));
        let secret = self::quoted(&format!("@{}", secret.display()));
        let password = self::quoted(&format!("@{}", self.folder.join(PASSWORD).display()));
        let header = self::quoted(&format!("@{}", self.folder.join(HEADER).display()));
        let ConnectionInfo { arm, client_id, tenant, subscription, user_name, .. } = connection;
        format!(
            "\
# The simulated cloud that {holder} serves.
# Every name below landfall.localhost, and the host names of its gateways, are reached through its own port.
export HTTPS_PROXY=http://127.0.0.1:{port} https_proxy=http://127.0.0.1:{port}
export HTTP_PROXY=http://127.0.0.1:{port} http_proxy=http://127.0.0.1:{port}
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1
export REQUESTS_CA_BUNDLE={authority}
export CURL_CA_BUNDLE={authority}
export KUBECONFIG={kubeconfig}
# The key of the admin API: curl -H \"$LANDFALL_SIM_HEADER\" https://127.0.0.1:{port}/_sim/world
export LANDFALL_SIM_HEADER={header}
# az keeps its clouds and its sign-in there; your own are untouched.
export AZURE_CONFIG_DIR={az}
export AZURE_CORE_INSTANCE_DISCOVERY=false AZURE_CORE_COLLECT_TELEMETRY=false
# Once in a shell: landfall_az_login, or landfall_az_login --user to sign in as a person; then az as on Azure.
landfall_az_login() {{
  # The port may have changed since the registration. The rest comes from {arm}/metadata/endpoints.
  az cloud set --name AzureCloud --output none --only-show-errors &&
  {{ az cloud unregister --name landfall --output none 2>/dev/null || true; }} &&
  az cloud register --name landfall --endpoint-resource-manager {arm} --output none &&
  az cloud set --name landfall --output none --only-show-errors &&
  case \"${{1-}}\" in
  --user) az login --username {user_name} --tenant {tenant} \\
    --password={password} --output none --only-show-errors ;;
  *) az login --service-principal --username {client_id} --tenant {tenant} \\
    --password={secret} --output none ;;
  esac &&
  az account set --subscription {subscription}
}}
",
            holder = self.holder,
        )
    }
}

/// Returns a word, quoted for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Removes the registration files.
pub(crate) fn withdraw(folder: &Path) {
    for name in [FILE, SECRET, PASSWORD, HEADER] {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, name, "a file of the server cannot be removed");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_quoting_keeps_any_text_unchanged() {
        assert_eq!(quoted("/tmp/it's $(here)"), r"'/tmp/it'\''s $(here)'");
    }

    #[test]
    fn an_empty_lock_file_has_no_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("world.lock");
        assert_eq!(Holder::read(&path), None);
        fs::write(&path, "{\"by\":").unwrap();
        assert_eq!(Holder::read(&path), None);
        let holder = Holder::this("landfall sim");
        fs::write(&path, serde_json::to_vec(&holder).unwrap()).unwrap();
        assert_eq!(Holder::read(&path), Some(holder));
    }
}
