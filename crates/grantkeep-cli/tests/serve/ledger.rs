//! What clients were told, and whether a server that was started again says the same.
//!
//! 1. A code, or the newest refresh token of a family, is presented by two connections at once.
//!    What both were told is noted; a connection that ended first was told nothing, and what it
//!    asked for may have happened or not.
//! 2. A code that was granted and refused was replayed: what it opened is revoked (RFC 6749 section
//!    4.1.2). A family is revoked by its client now and then.
//! 3. The audit asks a server of everything that was touched since the last audit. What was granted
//!    before must be refused now, whatever it was; what was revoked must be neither active nor
//!    refreshed; what was told to be in force must be.

use super::connection::Connection;
use super::server::{Told, is_active, present};

/// What was promised and not kept.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Broken {
    pub(crate) lost: u64,
    pub(crate) twice_spent: u64,
    pub(crate) revived: u64,
}

impl Broken {
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.twice_spent += other.twice_spent;
        self.revived += other.revived;
    }

    /// True if every promise was kept.
    pub(crate) fn none(self) -> bool {
        self.lost + self.twice_spent + self.revived == 0
    }
}

/// How many of these are a grant, and how many say nothing.
pub(crate) fn count(told: &[Told; 2]) -> (u64, u64) {
    let granted = told.iter().filter(|told| matches!(told, Told::Granted(..)));
    let nothing = told.iter().filter(|told| **told == Told::Nothing);
    (granted.count() as u64, nothing.count() as u64)
}

/// A code that was presented, and what each connection was told.
#[derive(Debug)]
pub(crate) struct Race {
    pub(crate) code: String,
    pub(crate) told: [Told; 2],
}

impl Race {
    /// How many connections were granted something, and how many were told nothing.
    pub(crate) fn count(&self) -> (u64, u64) {
        count(&self.told)
    }

    /// Holds a server that was started again against what was told of the code.
    pub(crate) async fn audit(&self, connection: &mut Connection) -> Broken {
        let mut broken = Broken::default();
        let granted = self.told.iter().filter(|told| matches!(told, Told::Granted(..)));
        let won = granted.clone().count();
        broken.twice_spent += u64::from(won > 1);
        let refused = self.told.contains(&Told::Refused);
        // Somebody was refused though the code was issued, and nobody else can have taken it.
        broken.lost += u64::from(self.told == [Told::Refused, Told::Refused]);
        if let (true, Some(Told::Granted(access, refresh))) = (refused, granted.clone().next()) {
            // Before the code is presented once more, which revokes in any case.
            let active = is_active(connection, access).await;
            let refreshed = present(connection, ("refresh_token", refresh)).await;
            broken.revived += u64::from(active || refreshed != Told::Refused);
        }
        let again = present(connection, ("code", &self.code)).await;
        if (won > 0 || refused) && again != Told::Refused {
            broken.twice_spent += 1;
        }
        broken
    }
}

/// How a family stands, as far as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its newest tokens are good.
    InForce,
    /// Its refresh token was presented, and nothing was answered: it is spent or not.
    Open,
    /// Its refresh token was spent, and the answer with the next one was lost.
    Gone,
    /// Its revocation was asked for, and nothing was answered.
    Doubtful,
    /// It is revoked.
    Revoked,
}

/// A family, its newest tokens, and the refresh tokens that were spent since the last audit.
#[derive(Debug)]
pub(crate) struct Lineage {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) spent: Vec<String>,
    pub(crate) standing: Standing,
    pub(crate) touched: bool,
}

impl Lineage {
    pub(crate) fn new(access: String, refresh: String) -> Self {
        let (spent, standing, touched) = (Vec::new(), Standing::InForce, false);
        Self { access, refresh, spent, standing, touched }
    }

    /// Notes what two connections were told that presented the newest refresh token.
    pub(crate) fn note(&mut self, told: [Told; 2]) -> Broken {
        let mut broken = Broken::default();
        self.touched = true;
        let granted = told.iter().filter(|told| matches!(told, Told::Granted(..))).count();
        broken.twice_spent += u64::from(granted > 1);
        let refused = told.iter().filter(|told| **told == Told::Refused).count();
        self.standing = match (granted, refused) {
            (1.., _) => Standing::InForce,
            (0, 0) => Standing::Open,
            (0, 1) => Standing::Gone,
            (0, _) => {
                broken.lost += 1;
                Standing::Gone
            }
        };
        if granted + refused > 0 {
            self.spent.push(self.refresh.clone());
        }
        for told in told {
            if let Told::Granted(access, refresh) = told {
                (self.access, self.refresh) = (access, refresh);
            }
        }
        broken
    }

    /// Holds a server that was started again against what was told of the family.
    pub(crate) async fn audit(&mut self, connection: &mut Connection) -> Broken {
        let mut broken = Broken::default();
        self.touched = false;
        let revoked = self.standing == Standing::Revoked;
        for spent in self.spent.drain(..) {
            let again = present(connection, ("refresh_token", &spent)).await;
            broken.twice_spent += u64::from(!revoked && again != Told::Refused);
            broken.revived += u64::from(revoked && again != Told::Refused);
        }
        if self.standing == Standing::Doubtful {
            return broken;
        }
        let active = is_active(connection, &self.access).await;
        if revoked {
            let again = present(connection, ("refresh_token", &self.refresh)).await;
            broken.revived += u64::from(active || again != Told::Refused);
            return broken;
        }
        broken.lost += u64::from(!active);
        if self.standing == Standing::Gone {
            return broken;
        }
        match present(connection, ("refresh_token", &self.refresh)).await {
            Told::Granted(access, refresh) => {
                self.standing = Standing::InForce;
                self.spent.push(std::mem::replace(&mut self.refresh, refresh));
                self.access = access;
            }
            Told::Refused if self.standing == Standing::Open => self.standing = Standing::Gone,
            told => {
                assert_eq!(told, Told::Refused, "the server that was started again ended");
                broken.lost += 1;
                self.standing = Standing::Gone;
            }
        }
        broken
    }
}
