"""What is written down about a write: the tables of the ledger, and their rows."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from tap_jetti.target.delivery.ledger.databases import Layout

LAYOUT = Layout(
    name="ledger of what was sent",
    version=1,
    tables="""
        CREATE TABLE sent (
            h INTEGER PRIMARY KEY, feed INTEGER NOT NULL, at INTEGER NOT NULL, ord INTEGER NOT NULL,
            state INTEGER NOT NULL, tries INTEGER NOT NULL, label TEXT, fields BLOB
        );
        CREATE INDEX sent_open ON sent (at) WHERE state IN (1, 2);
        CREATE TABLE norm (
            h INTEGER NOT NULL, field INTEGER NOT NULL, sent BLOB NOT NULL, shown BLOB NOT NULL, id INTEGER NOT NULL,
            at INTEGER NOT NULL, PRIMARY KEY (h, field, sent, shown)
        ) WITHOUT ROWID;
        CREATE TABLE once (
            action TEXT NOT NULL, identity TEXT NOT NULL, state INTEGER NOT NULL, owner TEXT NOT NULL,
            at INTEGER NOT NULL, items TEXT NOT NULL, PRIMARY KEY (action, identity)
        ) WITHOUT ROWID;
        CREATE TABLE aside (
            h INTEGER NOT NULL, ord INTEGER NOT NULL, payload BLOB NOT NULL, path TEXT NOT NULL, at INTEGER NOT NULL,
            PRIMARY KEY (h, ord, payload, path)
        ) WITHOUT ROWID;
        CREATE TABLE newest (
            h INTEGER NOT NULL, field INTEGER NOT NULL, ord INTEGER NOT NULL, PRIMARY KEY (h, field)
        ) WITHOUT ROWID;
        CREATE TABLE names (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID
    """,
    survives_power_loss=True,
    names_account=True,
)


class State(IntEnum):
    """What is known of the last write of a key.

    Members:
        BEGUN: It may have been sent: it was written down before the call.
        ACCEPTED: Jetti has accepted it.
        SETTLED: Jetti has shown the row as changed since.
        NO_EFFECT: A day later Jetti still showed the row as it was before.
    """

    BEGUN = 1
    ACCEPTED = 2
    SETTLED = 3
    NO_EFFECT = 4


class SentField(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A value that was sent.

    Attributes:
        digest: `field_hash` of its short form.
        is_accepted: Whether Jetti has accepted it; otherwise the process may have ended before the call.
        is_over_another: Whether another value was under way when it was begun. As long as this one is not accepted,
            that one may still take effect.
    """

    digest: bytes
    is_accepted: bool = False
    is_over_another: bool = False

    def replaced_by(self, digest: bytes) -> SentField:
        """Return the field when a value is about to be sent while this one is under way."""
        return SentField(digest, is_over_another=digest != self.digest or self.is_doubtful)

    @property
    def is_doubtful(self) -> bool:
        """Whether an earlier value may still take effect, and this one may not have been sent."""
        return self.is_over_another and not self.is_accepted


class SentWrite(msgspec.Struct, gc=False):
    """The last write of a key.

    Attributes:
        key: The hash of the key.
        feed: The parent of the row.
        at: The server's clock (ms) just before the call.
        order: Tells this write from every other one.
        state: What is known of it.
        tries: How often writes of the key had no effect, in a row.
        label: What messages call the key, as long as it is open.
        fields: What was sent and not yet shown, by field.
    """

    key: int
    feed: int
    at: int
    order: int
    state: State
    tries: int
    label: str | None
    fields: dict[str, SentField]

    @property
    def is_open(self) -> bool:
        """Whether Jetti has not shown it yet."""
        return self.state in {State.BEGUN, State.ACCEPTED}


class Form(msgspec.Struct, frozen=True, gc=False):
    """A value that Jetti shows in another form than it was sent: the row, the field, and the digests of both."""

    row_id: int
    field: str
    sent: bytes
    shown: bytes


class Sending(msgspec.Struct, gc=False):
    """A write that is about to be sent.

    Attributes:
        key: The hash of its key.
        feed: The parent of the row.
        label: What messages call it.
        digests: The digests of its values by field; None: it removes the row.
    """

    key: int
    feed: int
    label: str
    digests: dict[str, bytes] | None
