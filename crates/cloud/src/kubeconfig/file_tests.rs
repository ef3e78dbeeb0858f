use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::thread;

use super::*;
use crate::kubeconfig::{merge, remove};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A user's home folder, and the path of the backup.
fn home() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("state/kubeconfig.backup");
    (folder, backup)
}

fn locked(path: &Path, backup: &Path) -> LockedFile {
    match LockedFile::lock(path, backup).unwrap() {
        Locking::Locked(file) => file,
        Locking::Held(holder) => panic!("{holder:?}"),
    }
}

fn write(path: &Path, text: &str, backup: &Path) -> Result<(), KubeconfigError> {
    let content = Content { text: text.to_owned(), encoding: Encoding::Utf8 };
    match LockedFile::lock(path, backup)? {
        Locking::Locked(file) => file.write(&content),
        Locking::Held(holder) => panic!("{holder:?}"),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

/// The kubeconfig of a cluster.
fn from_cluster(name: &str) -> String {
    format!(
        "current-context: {name}\nclusters: [{{name: {name}, cluster: {{server: 'https://{name}.example'}}}}]\n\
         contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}}}}}]\n\
         users: [{{name: {name}, user: {{token: t-{name}}}}}]\n"
    )
}

#[test]
fn the_first_file_of_a_list_is_written() {
    let home = Path::new("/home/ada");
    assert_eq!(path(None, home), Path::new("/home/ada/.kube/config"));
    assert_eq!(path(Some(OsStr::new("")), home), Path::new("/home/ada/.kube/config"));
    assert_eq!(path(Some(OsStr::new(":/a:/b")), home), Path::new("/a"));
}

#[test]
fn a_new_file_is_private_and_an_old_one_keeps_its_mode() {
    let (folder, backup) = home();
    let path = folder.path().join("kube/config");
    write(&path, "a", &backup).unwrap();
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(open_to_others(&path), None);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    write(&path, "b", &backup).unwrap();
    assert_eq!((mode(&path), fs::read_to_string(&path).unwrap().as_str()), (0o640, "b"));
    assert_eq!(open_to_others(&path), Some(0o640));
    assert_eq!(names(path.parent().unwrap()), ["config"], "nothing else is left lying there");
}

#[test]
fn a_read_only_or_non_regular_file_is_unchanged() {
    let (folder, backup) = home();
    let path = folder.path().join("config");
    fs::write(&path, "mine").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let refused = write(&path, "ours", &backup).unwrap_err();
    assert!(refused.to_string().ends_with("config"), "{refused}");
    assert_eq!((mode(&path), fs::read_to_string(&path).unwrap().as_str()), (0o400, "mine"));
    let socket = folder.path().join("socket");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(write(&socket, "ours", &backup).is_err());
    assert!(!fs::metadata(&socket).unwrap().is_file());
    assert_eq!(names(folder.path()), ["config", "socket"]);
}

#[test]
fn a_symbolic_link_stays_one_and_its_target_is_written_and_removed() {
    let (folder, backup) = home();
    let (link, second, target) =
        (folder.path().join("link"), folder.path().join("second"), folder.path().join("real/t"));
    symlink("second", &link).unwrap();
    symlink(&target, &second).unwrap();
    write(&link, "a", &backup).unwrap();
    write(&link, "b", &backup).unwrap();
    let is_link = |path: &Path| fs::symlink_metadata(path).unwrap().is_symlink();
    assert!(is_link(&link) && is_link(&second));
    assert_eq!(fs::read_to_string(&target).unwrap(), "b");
    let file = locked(&link, &backup);
    assert!(matches!(LockedFile::lock(&target, &backup).unwrap(), Locking::Held(_)), "by its real name");
    file.remove().unwrap();
    drop(file);
    assert!(is_link(&link) && is_link(&second) && !target.exists());
    assert_eq!(names(target.parent().unwrap()), [""; 0]);
    let circle = folder.path().join("circle");
    symlink(&circle, &circle).unwrap();
    assert!(write(&circle, "x", &backup).is_err());
}

#[test]
fn a_file_with_a_second_name_is_written_in_place() {
    let (folder, backup) = home();
    let (path, other) = (folder.path().join("config"), folder.path().join("other"));
    fs::write(&path, "before, and longer").unwrap();
    fs::hard_link(&path, &other).unwrap();
    let number = fs::metadata(&path).unwrap().ino();
    write(&path, "after", &backup).unwrap();
    assert_eq!(
        (fs::read_to_string(&other).unwrap().as_str(), fs::metadata(&path).unwrap().ino()),
        ("after", number)
    );
    assert_eq!(names(folder.path()), ["config", "other", "state"]);
    assert_eq!(names(backup.parent().unwrap()), [""; 0]);
}

#[test]
fn a_kubeconfig_in_utf_16_stays_one() {
    let (folder, backup) = home();
    let path = folder.path().join("config");
    let bytes = Encoding::Utf16LittleEndian.write("\u{feff}apiVersion: v1\r\nmine: ä\r\n");
    fs::write(&path, &bytes).unwrap();
    let before = read(&path).unwrap().unwrap();
    let merged = merge(Some(&before.text), &from_cluster("demo"), "demo").unwrap();
    let file = locked(&path, &backup);
    file.write(&before.with(merged.text)).unwrap();
    let merged_content = file.read().unwrap().unwrap();
    assert!(merged_content.text.contains("demo.example"));
    file.write(&merged_content.with(remove(&merged_content.text, &merged.added).unwrap().unwrap())).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

/// The state that a process leaves if it is killed at each point of a change.
#[test]
fn leftovers_of_a_killed_process_are_found_and_removed() {
    for killed_after in 0..4 {
        let (folder, backup) = home();
        let path = folder.path().join("config");
        fs::write(&path, "whole").unwrap();
        fs::write(lock::sibling_path(&path, ""), "").unwrap();
        if killed_after > 0 {
            fs::hard_link(lock::sibling_path(&path, ""), lock::lock_of(&path)).unwrap();
        }
        if killed_after > 1 {
            fs::write(lock::sibling_path(&path, NEW), "half of it, with a token").unwrap();
        }
        if killed_after > 2 {
            fs::remove_file(lock::lock_of(&path)).unwrap();
        }
        assert!(has_leftovers(&path, &backup));
        assert_eq!(abandoned_lock(&path), None);
        drop(locked(&path, &backup));
        assert!(!has_leftovers(&path, &backup));
        assert_eq!(names(folder.path()), ["config"], "killed after {killed_after}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
    }
}

#[test]
fn a_lock_of_another_program_is_reported_and_stays() {
    let (folder, backup) = home();
    let path = folder.path().join("config");
    let lock = File::create(lock::lock_of(&path)).unwrap();
    assert_eq!(abandoned_lock(&path), None, "it may be at work");
    lock.set_modified(std::time::SystemTime::now() - LOCK_AGE_MAX * 2).unwrap();
    assert_eq!(abandoned_lock(&path).unwrap().lock, lock::lock_of(&path));
    assert!(matches!(LockedFile::lock(&path, &backup).unwrap(), Locking::Held(_)));
    assert_eq!(names(folder.path()), ["config.lock"]);
}

#[test]
fn check_writable_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    check_writable(&folder.path().join("config")).unwrap();
    check_writable(&folder.path().join("not/yet/there")).unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(check_writable(&folder.path().join("file/config")).is_err());
    assert_eq!(names(folder.path()), ["file"]);
}

/// Changes a kubeconfig as kubectl does: lock, read, change, write in place, unlock. Fails at once if it is
/// locked.
fn kubectl(path: &Path, change: impl Fn(String) -> String) {
    let lock = lock::lock_of(path);
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.create_new(true).write(true), 0);
    while options.open(&lock).is_err() {
        thread::sleep(Duration::from_millis(1));
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    fs::write(path, change(text)).unwrap();
    fs::remove_file(&lock).unwrap();
}

#[test]
fn of_24_concurrent_writers_none_loses_an_entry() {
    let (folder, backup) = home();
    let path = folder.path().join("config");
    thread::scope(|scope| {
        for number in 0..24 {
            let (path, backup) = (&path, &backup);
            scope.spawn(move || {
                let name = format!("c{number}");
                let insert_entries =
                    |text: &str| merge(Some(text), &from_cluster(&name), &name).unwrap().text;
                if number % 2 == 0 {
                    return kubectl(path, |text| insert_entries(&text));
                }
                loop {
                    match LockedFile::lock(path, backup).unwrap() {
                        Locking::Locked(file) => {
                            let before = file.read().unwrap().unwrap_or_default();
                            return file.write(&before.with(insert_entries(&before.text))).unwrap();
                        }
                        Locking::Held(_) => thread::sleep(Duration::from_millis(1)),
                    }
                }
            });
        }
    });
    let text = fs::read_to_string(&path).unwrap();
    for number in 0..24 {
        assert!(text.contains(&format!("https://c{number}.example")), "c{number} is lost in\n{text}");
    }
    assert_eq!(names(folder.path()), ["config"]);
}
