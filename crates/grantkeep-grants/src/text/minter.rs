//! Texts that the server makes itself: signed tokens, encrypted ones, those of another library.

use crate::text::format::Tag;
use crate::text::secret::Secret;
use grantkeep::{Confirmation, Error, ErrorKind, FamilyId, Result};
use std::fmt;
use std::time::SystemTime;
use zeroize::Zeroizing;

/// What a minter's failure is: any error.
pub type MinterError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Makes the texts of codes and tokens in place of the policy's formats.
///
/// The store keeps a digest of a text, whatever its length, and finds it again exact to the byte;
/// it never looks into it. A refresh token that is made here takes a row of its own for each
/// generation (about 130 bytes, until its family ends), so that reuse of any of them is detected
/// as with derived ones.
pub trait Minter: fmt::Debug + Send + Sync + 'static {
    /// The text of what is described, 16 to 8,192 bytes; `None` for one of the policy's format.
    ///
    /// It is called just before the text is stored, and once more if something that was read
    /// changed meanwhile: only the text of the last call is used. Each text must be new for its
    /// [`Tag`], and hard to guess: at least 128 random bits, or a signature over something unique.
    ///
    /// # Errors
    /// Whatever kept it from being made. Nothing is stored then, and the grant is refused with
    /// [`ErrorKind::Unavailable`] and this error as its source. It must not hold the text.
    fn mint(&self, minting: &Minting<'_>) -> Result<Option<String>, MinterError>;
}

/// What a text is made for.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Minting<'a> {
    /// What it is.
    pub tag: Tag,
    /// The client it is issued to; empty for a personal token without one.
    pub client: &'a str,
    /// Whom it acts for; empty for a client itself.
    pub subject: &'a str,
    /// Its scopes, separated by spaces.
    pub scopes: &'a str,
    /// Its audience, separated by spaces; empty for any.
    pub audience: &'a str,
    /// The key it is bound to.
    pub confirmation: Option<&'a Confirmation>,
    /// The family it belongs to.
    pub family: Option<FamilyId>,
    /// The generation of a refresh token; the first is 1.
    pub generation: Option<u32>,
    /// When it is issued.
    pub issued_at: SystemTime,
    /// When it expires; for a refresh token, if it is not used.
    pub expires_at: SystemTime,
}

/// The text that `minter` makes, if there is one and it makes this one.
pub(crate) fn bring(minter: Option<&dyn Minter>, minting: &Minting<'_>) -> Result<Option<Secret>> {
    let Some(minter) = minter else { return Ok(None) };
    let brought = minter.mint(minting).map_err(|cause| {
        let name = minting.tag.name();
        Error::new(ErrorKind::Unavailable, format!("the minter made no {name}")).with_source(cause)
    })?;
    Ok(brought.map(|text| Secret::new(Zeroizing::new(text))))
}
