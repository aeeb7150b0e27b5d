//! What is decided about a client's record, each in one batch.

use super::ClientInfo;
use crate::decision::{Flow, Found, Owned, Rewriting, Verdict};
use crate::events::Told;
use crate::events::event::Event;
use crate::grants::Grants;
use grantkeep::backend::Backend;
use grantkeep::{Client, ClientState as Stored, Held, HeldEpoch, Owner, Result};

/// A client, as it was found, and its epoch.
pub(crate) type Standing = (Held<Client>, HeldEpoch);

/// A client that is to be registered.
pub(super) struct Registration {
    pub(super) client: Client,
    /// Whether it is also registered where one of its id was deleted.
    pub(super) anew: bool,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registered {
    Done,
    /// Its id is another's.
    Taken,
    /// One of its id was deleted, and it is not to be registered anew.
    Deleted,
}

impl<B: Backend> Flow<B> for Registration {
    const NAME: &'static str = "create_client";
    type Read = HeldEpoch;
    type Rests = ();
    type Answer = Registered;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<HeldEpoch, Registered>> {
        let id = &self.client.id;
        let epoch = grants.store.epoch(Owner::Client(id)).await?;
        let answer = if grants.store.client(id).await?.is_some() {
            Registered::Taken
        } else if epoch.is_closed() && !self.anew {
            Registered::Deleted
        } else {
            return Ok(Found::Records(epoch));
        };
        Ok(Found::Answer(answer, Told::nothing()))
    }

    fn owners<'r>(&'r self, _: &'r HeldEpoch) -> Owned<'r> {
        Owned::default()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        epoch: HeldEpoch,
        (): &(),
    ) -> Result<Verdict<Registered>> {
        let mut rewriting = Rewriting::of(grants)?;
        rewriting.register(&self.client)?;
        if epoch.is_closed() {
            // A client of this id was deleted: what it had stays revoked.
            rewriting.open_epoch(&epoch)?;
        } else {
            rewriting.require_epoch(&epoch);
        }
        Ok(rewriting.commit(Told::nothing(), Registered::Done))
    }
}

/// A client whose record is changed; nothing where there is none.
pub(super) struct Edit<'a, F> {
    pub(super) id: &'a str,
    pub(super) rewrite: F,
}

impl<B: Backend, F: FnMut(&mut Client) -> Result<()> + Send> Flow<B> for Edit<'_, F> {
    const NAME: &'static str = "update_client";
    type Read = Held<Client>;
    type Rests = ();
    type Answer = Option<ClientInfo>;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Held<Client>, Self::Answer>> {
        let held = grants.store.client(self.id).await?;
        Ok(Found::or(held, None))
    }

    fn owners<'r>(&'r self, _: &'r Held<Client>) -> Owned<'r> {
        Owned::default()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        mut held: Held<Client>,
        (): &(),
    ) -> Result<Verdict<Self::Answer>> {
        (self.rewrite)(&mut held.record)?;
        let mut rewriting = Rewriting::of(grants)?;
        rewriting.edit(&held, &held.record)?;
        let info = ClientInfo::of(held.record, &grants.store);
        Ok(rewriting.commit(Told::nothing(), Some(info)))
    }
}

/// The client of this id, and its epoch.
async fn standing<B: Backend>(grants: &Grants<B>, id: &str) -> Result<Option<Standing>> {
    let Some(held) = grants.store.client(id).await? else {
        return Ok(None);
    };
    Ok(Some((held, grants.store.epoch(Owner::Client(id)).await?)))
}

/// A client that is to be disabled.
pub(super) struct Disabling<'a> {
    pub(super) id: &'a str,
}

impl<B: Backend> Flow<B> for Disabling<'_> {
    const NAME: &'static str = "disable_client";
    type Read = Standing;
    type Rests = ();
    type Answer = Option<ClientInfo>;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Standing, Self::Answer>> {
        let found = standing(grants, self.id).await?;
        Ok(Found::or(found, None))
    }

    fn owners<'r>(&'r self, _: &'r Standing) -> Owned<'r> {
        Owned::default()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        (mut held, epoch): Standing,
        (): &(),
    ) -> Result<Verdict<Self::Answer>> {
        let is_disabled = matches!(held.record.state, Stored::Disabled { .. });
        if is_disabled && epoch.is_closed() {
            return Ok(Verdict::answer(Some(ClientInfo::of(held.record, &grants.store))));
        }
        if !is_disabled {
            held.record.state = Stored::Disabled { at: grants.store.wall() };
        }
        let mut rewriting = Rewriting::of(grants)?;
        rewriting.close_epoch(&epoch)?;
        rewriting.revoking();
        rewriting.replace(&held, &held.record)?;
        let told = grants.told().event(|| Event::ClientRevoked { client: self.id.to_owned() });
        Ok(rewriting.commit(told, Some(ClientInfo::of(held.record, &grants.store))))
    }
}

/// A client that is to be enabled.
pub(super) struct Enabling<'a> {
    pub(super) id: &'a str,
}

impl<B: Backend> Flow<B> for Enabling<'_> {
    const NAME: &'static str = "enable_client";
    type Read = Standing;
    type Rests = ();
    type Answer = Option<ClientInfo>;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Standing, Self::Answer>> {
        let found = standing(grants, self.id).await?;
        Ok(Found::or(found, None))
    }

    fn owners<'r>(&'r self, _: &'r Standing) -> Owned<'r> {
        Owned::default()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        (mut held, epoch): Standing,
        (): &(),
    ) -> Result<Verdict<Self::Answer>> {
        if held.record.is_enabled() {
            return Ok(Verdict::answer(Some(ClientInfo::of(held.record, &grants.store))));
        }
        held.record.state = Stored::Enabled;
        held.record.fence = grants.store.fence();
        let mut rewriting = Rewriting::of(grants)?;
        rewriting.open_epoch(&epoch)?;
        rewriting.replace(&held, &held.record)?;
        let info = ClientInfo::of(held.record, &grants.store);
        Ok(rewriting.commit(Told::nothing(), Some(info)))
    }
}

/// A client that is to be deleted.
pub(super) struct Deletion<'a> {
    pub(super) id: &'a str,
}

impl<B: Backend> Flow<B> for Deletion<'_> {
    const NAME: &'static str = "delete_client";
    type Read = Standing;
    type Rests = ();
    type Answer = ();

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Standing, ()>> {
        let found = standing(grants, self.id).await?;
        Ok(Found::or(found, ()))
    }

    fn owners<'r>(&'r self, _: &'r Standing) -> Owned<'r> {
        Owned::default()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        (held, epoch): Standing,
        (): &(),
    ) -> Result<Verdict<()>> {
        let mut rewriting = Rewriting::of(grants)?;
        rewriting.close_epoch(&epoch)?;
        rewriting.delete(&held);
        rewriting.revoking();
        let told = grants.told().event(|| Event::ClientRevoked { client: self.id.to_owned() });
        Ok(rewriting.commit(told, ()))
    }
}
