//! Completes a savepoint, in a place that holds no other.

use crate::directory::to_json;
use crate::{DirectoryError, Kind, Manifest, Storage, failpoint};

/// Checks that there is no savepoint at the top of `storage` yet.
///
/// # Errors
/// There is one, or storage fails.
pub fn check_vacant(storage: &Storage) -> Result<(), DirectoryError> {
    match storage.get(Manifest::FILE)? {
        None => Ok(()),
        Some(_) => Err(DirectoryError::Occupied(storage.root().to_owned())),
    }
}

/// Makes a savepoint exist at the top of `storage`, by writing its manifest. All its files must already be there, at paths below it.
///
/// Publishing the same savepoint again is fine.
///
/// # Errors
/// Another savepoint is there, or storage fails.
pub fn publish_savepoint(storage: &Storage, manifest: &Manifest) -> Result<(), DirectoryError> {
    let json = to_json(manifest, Kind::Savepoint)?;
    failpoint::Point::SavepointBeforeManifest.hit();
    if !storage.put_if_absent(Manifest::FILE, &json)? && storage.get(Manifest::FILE)?.is_none_or(|there| there != json) {
        return Err(DirectoryError::Occupied(storage.root().to_owned()));
    }
    failpoint::Point::SavepointAfterManifest.hit();
    Ok(())
}
