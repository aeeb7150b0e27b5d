//! What happened, told to who subscribed: never waited for, and counted where it was too much.

pub(crate) mod event;
pub(crate) mod observe;

use crate::events::event::Event;
use crossbeam::queue::ArrayQueue;
use futures_util::task::AtomicWaker;
use grantkeep::backend::Swept;
use grantkeep::{Change, Family, FamilyState};
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::task::Poll;

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
/// let pair = grants.open(Grant::new("client-1", "alice")).wait()?;
/// let Some(Event::Issued { family, .. }) = subscription.next().wait() else { panic!("no event") };
/// assert_eq!(family, pair.family);
/// assert_eq!(subscription.dropped(), 0);
/// # Ok::<(), grantkeep::Error>(())
/// ```
///
/// The embedded engine sweeps by itself: open it with
/// `Store::options().on_swept(events.on_swept())` to be told of that as well.
#[derive(Clone, Default)]
pub struct Events(Arc<Hub>);

impl fmt::Debug for Events {
    /// Without what waits to be taken.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Hub {
    listeners: RwLock<Vec<Weak<Listener>>>,
    any: AtomicBool,
}

struct Listener {
    queue: ArrayQueue<Event>,
    dropped: AtomicU64,
    closed: AtomicBool,
    waker: AtomicWaker,
}

/// What was told since the subscription, in the order in which decisions were answered. Dropping it
/// ends it.
pub struct Subscription(Arc<Listener>);

impl fmt::Debug for Subscription {
    /// How many events wait to be taken.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("waiting", &self.0.queue.len()).finish_non_exhaustive()
    }
}

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
        self.told().event(event).with(());
    }

    /// What is to be told of a decision, nothing yet.
    pub(crate) fn told(&self) -> Told {
        let heard = self.0.any.load(Ordering::Acquire) || crate::events::observe::OBSERVED;
        Told { events: heard.then(|| self.clone()), told: Vec::new() }
    }
}

/// What is told of one decision, together.
#[derive(Debug)]
pub(crate) struct Told {
    /// Where; `None` if nobody hears it.
    events: Option<Events>,
    told: Vec<Event>,
}

impl Told {
    pub(crate) const fn nothing() -> Self {
        Self { events: None, told: Vec::new() }
    }

    /// And this, which is only made if anybody hears it.
    pub(crate) fn event(mut self, event: impl FnOnce() -> Event) -> Self {
        if self.events.is_some() {
            self.told.push(event());
        }
        self
    }

    /// And that this family is revoked.
    pub(crate) fn ended(self, family: &Family) -> Self {
        let FamilyState::Revoked { reason, .. } = family.state else { return self };
        let (client, subject) = (family.client.clone(), family.subject.clone());
        self.event(|| Event::FamilyRevoked { client, subject, family: family.id, reason })
    }

    /// Tells it now, beside an answer.
    pub(crate) fn with<A>(self, answer: A) -> A {
        self.tell();
        answer
    }

    /// Has it told once `change` is durable: by whoever waits for that, when the answer is there,
    /// or by the engine if nobody waits any more.
    pub(crate) fn along(self, change: &mut Change) -> Telling {
        if self.told.is_empty() {
            return Telling(None);
        }
        let shared = Arc::new(Shared { told: self, seen: AtomicU8::new(0) });
        let durable = Arc::clone(&shared);
        change.on_applied(move || durable.note(DURABLE));
        Telling(Some(shared))
    }

    fn tell(&self) {
        let Some(Events(hub)) = &self.events else { return };
        for event in &self.told {
            crate::events::observe::event(event);
            hub.tell(event);
        }
    }
}

/// The change is durable.
const DURABLE: u8 = 1;
/// Nobody waits for it any more.
const LEFT: u8 = 2;

/// What is told by the second of two: the engine that has made it durable, and whoever waited.
#[derive(Debug)]
struct Shared {
    told: Told,
    seen: AtomicU8,
}

impl Shared {
    fn note(&self, what: u8) {
        let before = self.seen.fetch_or(what, Ordering::AcqRel);
        if before != before | what && before | what == DURABLE | LEFT {
            self.told.tell();
        }
    }
}

/// Held for as long as somebody waits for the change.
#[derive(Debug)]
pub(crate) struct Telling(Option<Arc<Shared>>);

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.iter().for_each(|shared| shared.note(LEFT));
    }
}

impl Hub {
    fn tell(&self, event: &Event) {
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            if listener.queue.push(event.clone()).is_err() {
                listener.dropped.fetch_add(1, Ordering::Relaxed);
                crate::events::observe::dropped();
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
