//! Reads a container image back: compares every digest and size, and unpacks the root file system.
//!
//! It follows the descriptors from `index.json`, as a container engine does, and uses nothing that the writer knows.

use crate::{Error, checksums::sha256, error, file_tree::FileTree, image, tar};
use serde_json::Value;
use std::{fs, path::Path};

/// A checked image.
#[derive(Debug)]
pub struct ImageContent {
    /// The configuration.
    pub config: Value,
    /// The root file system: the layers on top of each other.
    pub root: FileTree,
    /// The digest of the manifest.
    pub digest: String,
}

/// Reads an image of one platform.
///
/// # Errors
/// The archive is damaged, a digest or size differs, or the image has something that this program does not write.
pub fn read(archive: &[u8]) -> Result<ImageContent, Error> {
    let files = tar::read(archive)?;
    let layout = document(&files, "oci-layout")?;
    expect("the layout version", &layout["imageLayoutVersion"], "1.0.0")?;
    let index = document(&files, "index.json")?;
    expect("the media type of the index", &index["mediaType"], image::INDEX)?;
    let manifests = index["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [entry] = manifests else {
        return Err(failed(&format!("the index has {} manifests instead of one", manifests.len())));
    };
    let manifest = json(blob(&files, entry, image::MANIFEST)?)?;
    let config = json(blob(&files, &manifest["config"], image::CONFIG)?)?;
    let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut root = FileTree::default();
    let mut digests = Vec::new();
    for layer in layers {
        let unpacked = tar::read(blob(&files, layer, image::LAYER)?)?;
        for (path, entry) in unpacked.iter() {
            match &entry.content {
                Some(content) => root.file(path, entry.mode, content.clone()),
                None => root.folder(path, entry.mode, entry.owner),
            }
        }
        digests.push(layer["digest"].clone());
    }
    if config["rootfs"]["diff_ids"] != Value::Array(digests) {
        return Err(failed("the configuration names other layers than the manifest"));
    }
    let docker = document(&files, "manifest.json")?;
    let layer = layers.first().ok_or_else(|| failed("it has no layer"))?;
    for (path, descriptor) in [(&docker[0]["Config"], &manifest["config"]), (&docker[0]["Layers"][0], layer)]
    {
        let digest = path.as_str().and_then(|path| path.strip_prefix("blobs/")).unwrap_or_default();
        expect("a digest", &descriptor["digest"], &digest.replace('/', ":"))?;
    }
    let digest = entry["digest"].as_str().unwrap_or_default().to_owned();
    Ok(ImageContent { config, root, digest })
}

/// Writes a root file system into a folder. As root, it also sets the owners.
///
/// # Errors
/// A file cannot be written.
pub fn unpack(root: &FileTree, folder: &Path) -> Result<(), Error> {
    for (path, entry) in root.iter() {
        let target = folder.join(path);
        let failed = |error: std::io::Error| Error::new(format!("unpack {path}"), error);
        match &entry.content {
            Some(content) => error::write(&target, content)?,
            None => fs::create_dir_all(&target).map_err(failed)?,
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt as _, chown};
            match chown(&target, Some(entry.owner), Some(entry.owner)) {
                Err(error) if error.kind() != std::io::ErrorKind::PermissionDenied => {
                    return Err(failed(error));
                }
                _ => fs::set_permissions(&target, fs::Permissions::from_mode(entry.mode)).map_err(failed)?,
            }
        }
    }
    Ok(())
}

/// Returns the blob of a descriptor, if its type, size and digest are right.
fn blob<'a>(files: &'a FileTree, descriptor: &Value, media_type: &str) -> Result<&'a [u8], Error> {
    expect("the media type", &descriptor["mediaType"], media_type)?;
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    let path = format!("blobs/{}", digest.replace(':', "/"));
    let bytes = files.content(&path).ok_or_else(|| failed(&format!("{path} is missing")))?;
    if descriptor["size"].as_u64() != Some(bytes.len() as u64) {
        return Err(failed(&format!("the size of {path} differs")));
    }
    expect(&format!("the digest of {path}"), &descriptor["digest"], &format!("sha256:{}", sha256(bytes)))?;
    Ok(bytes)
}

fn document(files: &FileTree, path: &str) -> Result<Value, Error> {
    json(files.content(path).ok_or_else(|| failed(&format!("{path} is missing")))?)
}

fn json(bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes).map_err(|error| failed(&error.to_string()))
}

fn expect(what: &str, is: &Value, wanted: &str) -> Result<(), Error> {
    match is.as_str() == Some(wanted) {
        true => Ok(()),
        false => Err(failed(&format!("{what} is {is} instead of {wanted}"))),
    }
}

fn failed(cause: &str) -> Error {
    Error::new("read the image", cause)
}
