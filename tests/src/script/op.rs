//! What a script may do.

/// One operation. What it is done to is the latest, or the next, of its sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// An access token for a client itself.
    Issue,
    /// A code.
    Authorize,
    /// The redemption of the next fresh code.
    Redeem,
    /// The rotation of the latest grant in force.
    Rotate,
    /// The predecessor of its refresh token again, as after a lost response.
    Retry,
    /// The revocation of the oldest access token of a client.
    RevokeToken,
    /// That of the oldest grant in force.
    RevokeFamily,
    /// That of everything of a subject.
    RevokeSubject,
    /// That of everything of a client.
    RevokeClient,
    /// The burning of a value.
    Burn,
    /// A personal access token.
    Personal,
    /// The revocation of the oldest one.
    RevokePersonal,
    /// A device authorization.
    Device,
    /// The approval of the next one that waits.
    ApproveDevice,
    /// The registration of a client.
    CreateClient,
    /// Its disabling.
    DisableClient,
    /// An access token with a large payload.
    Fill,
    /// Time, in seconds.
    Pass(u64),
    /// A sweep of everything that is dead.
    Sweep,
    /// A checkpoint.
    Checkpoint,
    /// A new root key.
    RotateKeyring,
    /// A close in order, and an open.
    Reopen,
    /// A backup to a directory beside the store.
    Backup,
}

/// A piece of a script.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What it is called.
    pub name: &'static str,
    /// Its operations.
    pub ops: &'static [Op],
}

impl Step {
    /// Every step there is.
    pub const ALL: [Self; 23] = {
        use Op::{
            ApproveDevice, Authorize, Backup, Burn, Checkpoint, CreateClient, Device,
            DisableClient, Issue, Pass, Personal, Redeem, Reopen, Retry, RevokeClient,
            RevokeFamily, RevokePersonal, RevokeSubject, RevokeToken, Rotate, RotateKeyring, Sweep,
        };
        [
            Self::of("issue", &[Issue]),
            Self::of("authorize", &[Authorize]),
            Self::of("redeem", &[Redeem]),
            Self::of("rotate", &[Rotate]),
            Self::of("retry", &[Retry]),
            Self::of("revoke a token", &[RevokeToken]),
            Self::of("revoke a family", &[RevokeFamily]),
            Self::of("revoke a subject", &[RevokeSubject]),
            Self::of("revoke a client", &[RevokeClient]),
            Self::of("burn", &[Burn]),
            Self::of("personal", &[Personal]),
            Self::of("revoke a personal token", &[RevokePersonal]),
            Self::of("device", &[Device]),
            Self::of("approve a device", &[ApproveDevice]),
            Self::of("create a client", &[CreateClient]),
            Self::of("disable a client", &[DisableClient]),
            Self::of("sweep", &[Pass(61), Sweep]),
            Self::of("sweep all", &[Pass(7_201), Sweep]),
            Self::of("checkpoint", &[Checkpoint]),
            Self::of("recycle", RECYCLE),
            Self::of("rotate the keyring", &[RotateKeyring]),
            Self::of("reopen", &[Reopen]),
            Self::of("backup", &[Backup]),
        ]
    };

    const fn of(name: &'static str, ops: &'static [Op]) -> Self {
        Self { name, ops }
    }
}

/// More than a segment, carried: the next one goes on in a file that was used before.
const RECYCLE: &[Op] = {
    const FILL: Op = Op::Fill;
    &[FILL, FILL, FILL, FILL, FILL, FILL, FILL, FILL, FILL, FILL, Op::Checkpoint, FILL, FILL]
};
