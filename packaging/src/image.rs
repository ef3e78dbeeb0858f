//! A container image as an archive in the OCI layout, without a container engine.
//!
//! The archive holds one uncompressed layer, whose digest is then also the `diff_id` of the configuration. Beside
//! the OCI index it has the `manifest.json` of `docker load`, which names the same blobs. Contract: OCI image
//! specification 1.0, `image-layout.md`, `config.md` and `manifest.md`.

use crate::{
    Error, checksums::sha256, container_root, container_root::ContainerRoot, file_tree::FileTree, tar,
};
use serde_json::{Value, json};

/// The media type of an image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of an image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an image configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of an uncompressed layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The description of an image.
#[derive(Debug, Clone)]
pub struct Description {
    /// The name without a tag, such as `landfall`, or with the registry in front.
    pub name: String,
    /// The version, which is also the tag.
    pub version: String,
    /// The address of the sources.
    pub source: String,
    /// The commit of the sources.
    pub revision: Option<String>,
    /// The time of every file and of the image, in seconds since 1970.
    pub time: u64,
}

/// An image.
#[derive(Debug)]
pub struct Image {
    /// The archive.
    pub archive: Vec<u8>,
    /// The digest of the manifest: what signatures and deployments name.
    pub digest: String,
}

/// Builds the image of a root file system.
///
/// # Errors
/// A path is too long for a tar archive, or the time is out of range.
pub fn build(root: &ContainerRoot, description: &Description) -> Result<Image, Error> {
    let mut blobs = Blobs(FileTree::default());
    let layer = blobs.add(LAYER, tar::write(&root.files, description.time)?);
    let config = config(root, description, &layer["digest"])?;
    let config = blobs.add(CONFIG, document(&config));
    let image = format!("{}:{}", description.name, description.version);
    let docker = json!([{
        "Config": Blobs::path(&config),
        "RepoTags": [image],
        "Layers": [Blobs::path(&layer)],
    }]);
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    let mut manifest = blobs.add(MANIFEST, document(&manifest));
    let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
    manifest["platform"] = json!({ "architecture": root.architecture, "os": "linux" });
    manifest["annotations"] = json!({
        "org.opencontainers.image.ref.name": description.version,
        "io.containerd.image.name": image,
    });
    let Blobs(mut files) = blobs;
    files.file("oci-layout", 0o644, document(&json!({ "imageLayoutVersion": "1.0.0" })));
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
    files.file("index.json", 0o644, document(&index));
    files.file("manifest.json", 0o644, document(&docker));
    Ok(Image { archive: tar::write(&files, description.time)?, digest })
}

fn config(root: &ContainerRoot, description: &Description, layer: &Value) -> Result<Value, Error> {
    let seconds = i64::try_from(description.time).unwrap_or(i64::MAX);
    let created = jiff::Timestamp::from_second(seconds)
        .map_err(|error| Error::new("write the time of the image", error))?
        .to_string();
    let mut labels = json!({
        "org.opencontainers.image.title": "landfall",
        "org.opencontainers.image.description": "Brings an Azure subscription to a working HTTPS gateway on AKS",
        "org.opencontainers.image.version": description.version,
        "org.opencontainers.image.source": description.source,
        "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
    });
    if let Some(revision) = &description.revision {
        labels["org.opencontainers.image.revision"] = json!(revision);
    }
    let user = container_root::USER;
    Ok(json!({
        "created": created,
        "architecture": root.architecture,
        "os": "linux",
        "config": {
            "User": format!("{user}:{user}"),
            "Env": [
                "PATH=/",
                format!("HOME={}", container_root::HOME),
                format!("SSL_CERT_FILE={}", container_root::ROOTS),
            ],
            "Entrypoint": [container_root::PROGRAM],
            "WorkingDir": container_root::WORK,
            "Labels": labels,
        },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
        "history": [{ "created": created, "created_by": "landfall-packaging image" }],
    }))
}

fn document(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// The content of an image, by digest.
struct Blobs(FileTree);

impl Blobs {
    /// Adds a blob and returns its descriptor.
    fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let descriptor = json!({
            "mediaType": media_type,
            "digest": format!("sha256:{}", sha256(&bytes)),
            "size": bytes.len(),
        });
        self.0.file(&Self::path(&descriptor), 0o644, bytes);
        descriptor
    }

    /// Returns the path of the blob with this descriptor.
    fn path(descriptor: &Value) -> String {
        format!("blobs/{}", descriptor["digest"].as_str().unwrap_or_default().replace(':', "/"))
    }
}
