//! The files of one CA: the account, each name's certificate with its key, and what is known about orders.
//!
//! A file is whole or not there: written beside its place, synced, and renamed. Only their owner may read them.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use relay::proxy::tls::{CertificateInUse, issued, issued_files};

const ACCOUNT: &str = "account.json";
const ORDERS: &str = "orders.json";

/// The folder of one CA.
#[derive(Clone, Debug)]
pub struct CertificateStore {
    folder: PathBuf,
}

impl CertificateStore {
    /// # Errors
    /// The folder cannot be created.
    pub fn open(folder: &Path) -> Result<CertificateStore, Error> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(CertificateStore { folder: folder.to_owned() })
    }

    /// The same without creating anything.
    pub fn at(folder: &Path) -> CertificateStore {
        CertificateStore { folder: folder.to_owned() }
    }

    /// The file of a name: a name has no byte that means something in a path.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    /// A name's certificate; `None` if there is none, or none that is of use.
    pub fn certificate(&self, name: &str) -> Option<CertificateInUse> {
        let read = issued(&self.file(name)).ok()?;
        read.names.iter().any(|other| other == name).then_some(read)
    }

    /// The names that have a file.
    pub fn names(&self) -> Vec<String> {
        let files = issued_files(&self.folder);
        files.iter().filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect()
    }

    /// `pem`: the chain and the key. Unless they are of use, the file before them stays.
    pub(crate) fn keep(&self, name: &str, pem: &str) -> Result<CertificateInUse, String> {
        let beside = self.write_beside(&format!("{name}.pem"), pem.as_bytes()).map_err(|error| error.to_string())?;
        let read = issued(&beside).and_then(|read| match read.names.iter().any(|other| other == name) {
            true => Ok(read),
            false => Err("the CA has issued a certificate for another name".to_owned()),
        });
        let placed =
            read.and_then(|read| self.place(&beside, &self.file(name)).map(|()| read).map_err(|e| e.to_string()));
        placed.inspect_err(|_| drop(fs::remove_file(&beside)))
    }

    pub(crate) fn remove(&self, name: &str) {
        // Of a file that is gone there is nothing to remove.
        let _ = fs::remove_file(self.file(name));
    }

    /// `None` if there is none.
    pub(crate) fn account<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        self.read(ACCOUNT)
    }

    pub(crate) fn keep_account(&self, account: &impl Serialize) -> Result<(), Error> {
        self.write(ACCOUNT, &serde_json::to_vec_pretty(account)?)
    }

    pub(crate) fn forget_account(&self) {
        let _ = fs::rename(self.folder.join(ACCOUNT), self.folder.join("account.refused.json"));
    }

    /// The default if it cannot be read: then orders are only counted from now on.
    pub(crate) fn orders<T: DeserializeOwned + Default>(&self) -> T {
        let read =
            self.read(ORDERS).inspect_err(|error| tracing::warn!(%error, "cannot read what is known about orders"));
        read.ok().flatten().unwrap_or_default()
    }

    pub(crate) fn keep_orders(&self, orders: &impl Serialize) -> Result<(), Error> {
        self.write(ORDERS, &serde_json::to_vec_pretty(orders)?)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| of(&path, &error.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(of(&path, &error)),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let beside = self.write_beside(name, bytes)?;
        self.place(&beside, &self.folder.join(name)).inspect_err(|_| drop(fs::remove_file(&beside)))
    }

    fn write_beside(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let beside = self.folder.join(format!(".{name}.new"));
        // What a crash has left is no hindrance, and its rights are not taken over.
        let _ = fs::remove_file(&beside);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        match written {
            Ok(()) => Ok(beside),
            Err(error) => {
                let _ = fs::remove_file(&beside);
                Err(of(&beside, &error))
            }
        }
    }

    fn place(&self, beside: &Path, path: &Path) -> Result<(), Error> {
        let placed = fs::rename(beside, path).and_then(|()| File::open(&self.folder)?.sync_all());
        placed.map_err(|error| of(path, &error))
    }
}

fn of(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_their_owners_alone_and_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = CertificateStore::open(&dir.path().join("ca/directory")).unwrap();
        assert_eq!(store.account::<String>().unwrap(), None);
        store.keep_account(&"first").unwrap();
        // A crash in mid-write leaves this.
        fs::write(dir.path().join("ca/directory/.account.json.new"), "{\"hal").unwrap();
        assert_eq!(store.account::<String>().unwrap().as_deref(), Some("first"));
        store.keep_account(&"second").unwrap();
        assert_eq!(store.account::<String>().unwrap().as_deref(), Some("second"));
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        let pem = format!("{}{}", made.pem(), key.serialize_pem());
        store.keep("shop.test", &pem).unwrap();
        assert!(store.keep("shop.test", "no certificate").is_err());
        assert!(store.keep("other.test", &pem).unwrap_err().contains("another name"));
        assert!(store.certificate("shop.test").is_some() && store.certificate("other.test").is_none());
        assert_eq!(store.names(), ["shop.test"]);
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(store.file("shop.test")), mode(store.folder.join(ACCOUNT))), (0o600, 0o600));
        assert_eq!(mode(store.folder.clone()), 0o700);
        assert_eq!(fs::read_dir(&store.folder).unwrap().count(), 2, "nothing is left beside them");
        fs::write(store.folder.join(ORDERS), "half").unwrap();
        assert_eq!(store.orders::<Vec<i64>>(), Vec::<i64>::new());
        assert!(store.read::<String>(ORDERS).unwrap_err().to_string().contains("orders.json"));
    }
}
