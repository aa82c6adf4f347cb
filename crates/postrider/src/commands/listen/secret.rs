//! The secret that `listen` signs with: made once for a person, and kept where only they can read it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use postrider_model::secret::{SECRET_BYTES_MADE, SigningSecret};
use postrider_ports::Random;
use zeroize::Zeroizing;

const FOLDER: &str = "postrider";
const FILE: &str = "listen.secret";

/// The secret of whoever runs this; one is made where there is none yet.
///
/// # Errors
/// Where there is no place for it, or what is there is no secret.
pub(super) fn kept(environment: &[(String, String)], random: &dyn Random) -> anyhow::Result<SigningSecret> {
    let folder = configuration_folder(environment).context("there is no place for the secret: set XDG_CONFIG_HOME or HOME")?;
    let path = folder.join(FOLDER).join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&Zeroizing::new(text), &path),
        Err(error) if error.kind() == ErrorKind::NotFound => make(&path, random),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// As the XDG Base Directory Specification says: a path that is not absolute does not count.
fn configuration_folder(environment: &[(String, String)]) -> Option<PathBuf> {
    let variable = |wanted: &str| {
        environment
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, text)| PathBuf::from(text))
    };
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    variable("XDG_CONFIG_HOME")
        .and_then(absolute)
        .or_else(|| variable("HOME").and_then(absolute).map(|home| home.join(".config")))
}

fn parse(text: &str, path: &Path) -> anyhow::Result<SigningSecret> {
    let secret = SigningSecret::parse(text.trim());
    secret.with_context(|| format!("{} holds no secret: remove it, and another one is made", path.display()))
}

fn make(path: &Path, random: &dyn Random) -> anyhow::Result<SigningSecret> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES_MADE]);
    random.fill(&mut *bytes);
    let secret = SigningSecret::from_bytes(&*bytes)?;
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match file {
        Ok(mut file) => {
            let written = writeln!(file, "{}", secret.reveal().as_str());
            written.with_context(|| format!("cannot write {}", path.display()))?;
            Ok(secret)
        }
        // Another one that began at the same moment was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => parse(&Zeroizing::new(std::fs::read_to_string(path)?), path),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::random::OsRandom;

    #[test]
    fn it_stays_the_same_and_is_readable_by_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let environment = vec![("HOME".to_owned(), home.path().display().to_string())];
        let random = OsRandom::new().unwrap();
        let first = kept(&environment, &random).unwrap();
        assert!(kept(&environment, &random).unwrap() == first);
        let path = home.path().join(".config/postrider/listen.secret");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "hush").unwrap();
        let error = kept(&environment, &random).unwrap_err().to_string();
        assert!(error.contains("listen.secret") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn the_configuration_folder_is_where_xdg_says() {
        let folder = |pairs: &[(&str, &str)]| {
            let environment: Vec<_> = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            configuration_folder(&environment)
        };
        assert_eq!(folder(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), Some(PathBuf::from("/x")));
        assert_eq!(
            folder(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")]),
            Some(PathBuf::from("/h/.config"))
        );
        assert_eq!(folder(&[]), None);
    }
}
