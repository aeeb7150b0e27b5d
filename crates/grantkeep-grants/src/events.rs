//! What happened, told to who subscribed: never waited for, and counted where it was too much.

use crate::introspect::ClaimsKind;
use crossbeam::queue::ArrayQueue;
use futures_util::task::AtomicWaker;
use grantkeep::backend::Swept;
use grantkeep::{FamilyId, RevocationReason};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::task::Poll;

/// Something that is durable now. None holds a code, a token, or anything that yields one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A code was issued, or a device approved.
    Authorized {
        /// To this client.
        client: String,
        /// By this subject.
        subject: String,
    },
    /// A token was issued without a code: by password, to a client itself, or a personal one.
    Issued {
        /// What it is.
        kind: ClaimsKind,
        /// The client; empty for a personal token without one.
        client: String,
        /// The subject; empty for a client itself.
        subject: String,
        /// The family, if it has one.
        family: Option<FamilyId>,
    },
    /// A code was redeemed, and opened a family.
    Redeemed {
        /// By this client.
        client: String,
        /// For this subject.
        subject: String,
        /// The family.
        family: FamilyId,
    },
    /// A spent code was presented again: what its first use produced is revoked.
    Replayed {
        /// The family, if the first use opened one.
        family: Option<FamilyId>,
    },
    /// A refresh token was used.
    Rotated {
        /// Its family.
        family: FamilyId,
        /// The generation that is accepted now; the same as before where the policy does not
        /// rotate.
        generation: u32,
    },
    /// A refresh token was used again within the grace period, and answered the same successor.
    Retried {
        /// Its family.
        family: FamilyId,
    },
    /// A spent refresh token was presented: its family is revoked (RFC 9700 section 4.14.2).
    Reused {
        /// The family.
        family: FamilyId,
    },
    /// One token was revoked by itself.
    TokenRevoked {
        /// What it is.
        kind: ClaimsKind,
    },
    /// A family was revoked.
    FamilyRevoked {
        /// The family.
        family: FamilyId,
        /// Why.
        reason: RevocationReason,
    },
    /// Everything that a subject had granted was revoked.
    SubjectRevoked {
        /// The subject.
        subject: String,
    },
    /// Everything that a client had was revoked.
    ClientRevoked {
        /// The client.
        client: String,
    },
    /// Rows that had expired were removed.
    Swept {
        /// How many.
        rows: u64,
        /// Windows of time that were closed by it.
        windows: u64,
    },
}

impl Event {
    /// The name by which it is counted and logged.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Authorized { .. } => "authorized",
            Self::Issued { .. } => "issued",
            Self::Redeemed { .. } => "redeemed",
            Self::Replayed { .. } => "replayed",
            Self::Rotated { .. } => "rotated",
            Self::Retried { .. } => "retried",
            Self::Reused { .. } => "reused",
            Self::TokenRevoked { .. } => "token_revoked",
            Self::FamilyRevoked { .. } => "family_revoked",
            Self::SubjectRevoked { .. } => "subject_revoked",
            Self::ClientRevoked { .. } => "client_revoked",
            Self::Swept { .. } => "swept",
        }
    }
}

/// Where events are told. Clones are the same place, so that several [`Grants`](crate::Grants), and
/// the store below them, can tell the same subscribers.
///
/// ```
/// use grantkeep::{Store, SystemClock, Wait};
/// use grantkeep_grants::{Event, Events, Grant, Grants, Policy};
/// use std::sync::Arc;
///
/// let events = Events::new();
/// let mut subscription = events.subscribe(1_000);
/// let store = Store::in_memory(Arc::new(SystemClock::new()))?;
/// let grants = Grants::new(store, Policy::default())?.with_events(events);
/// let pair = grants.password(Grant::new("client-1", "alice")).wait()?;
/// let Some(Event::Issued { family, .. }) = subscription.next().wait() else { panic!("no event") };
/// assert_eq!(family, Some(pair.family));
/// assert_eq!(subscription.dropped(), 0);
/// # Ok::<(), grantkeep::Error>(())
/// ```
///
/// The embedded engine sweeps by itself: open it with
/// `Store::options().on_swept(events.on_swept())` to be told of that as well.
#[derive(Debug, Clone, Default)]
pub struct Events(Arc<Hub>);

#[derive(Debug, Default)]
struct Hub {
    listeners: RwLock<Vec<Weak<Listener>>>,
    any: AtomicBool,
}

#[derive(Debug)]
struct Listener {
    queue: ArrayQueue<Event>,
    dropped: AtomicU64,
    closed: AtomicBool,
    waker: AtomicWaker,
}

/// What was told since the subscription, in the order in which decisions were answered. Dropping it
/// ends it.
#[derive(Debug)]
pub struct Subscription(Arc<Listener>);

impl Events {
    /// A place of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Subscribes to what happens from now on. `capacity` events (at least one) wait to be taken;
    /// while as many do, further ones are dropped and counted, and nobody waits.
    pub fn subscribe(&self, capacity: usize) -> Subscription {
        let listener = Arc::new(Listener {
            queue: ArrayQueue::new(capacity.max(1)),
            dropped: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        let mut listeners = self.0.listeners.write().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|each| each.strong_count() > 0);
        listeners.push(Arc::downgrade(&listener));
        self.0.any.store(true, Ordering::Release);
        Subscription(listener)
    }

    /// For [`Options::on_swept`](grantkeep::Options::on_swept): tells of what the store sweeps.
    pub fn on_swept(&self) -> impl Fn(Swept) + Send + Sync + 'static {
        let events = self.clone();
        move |swept| {
            events.tell(|| Event::Swept { rows: swept.rows, windows: swept.windows });
        }
    }

    /// Tells everyone; `event` is only made if there is anyone.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        let heard = self.0.any.load(Ordering::Acquire);
        if !heard && !crate::observe::OBSERVED {
            return;
        }
        let event = event();
        crate::observe::event(&event);
        if heard {
            self.0.tell(&event);
        }
    }
}

impl Hub {
    fn tell(&self, event: &Event) {
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            if listener.queue.push(event.clone()).is_err() {
                listener.dropped.fetch_add(1, Ordering::Relaxed);
                crate::observe::dropped();
            }
            listener.waker.wake();
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let listeners = self.listeners.get_mut().unwrap_or_else(PoisonError::into_inner);
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            listener.closed.store(true, Ordering::Release);
            listener.waker.wake();
        }
    }
}

impl Subscription {
    /// The next event; `None` once all that could tell one are gone.
    pub async fn next(&mut self) -> Option<Event> {
        let listener = &self.0;
        poll_fn(|context| {
            // Registered first, so that an event between the look and the wait wakes.
            listener.waker.register(context.waker());
            let closed = listener.closed.load(Ordering::Acquire);
            match listener.queue.pop() {
                Some(event) => Poll::Ready(Some(event)),
                None if closed => Poll::Ready(None),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// The next event, if one waits.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.queue.pop()
    }

    /// How many events were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}
