"""What all actions of a run share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession
    from tap_jetti.reading.server_profile import ServerProfile
    from tap_jetti.target.actions.webhook_hashes import WebhookHashes
    from tap_jetti.target.delivery.ledger.once import OnceMarks
    from tap_jetti.target.delivery.operations import OperationKey
    from tap_jetti.target.delivery.summary import Summary


@dataclass(frozen=True)
class ActionContext:
    """What all actions of a run share.

    Attributes:
        session: Sends requests.
        webhook_hashes: Looks up feeds and channels.
        delivery: The setting ``delivery``: one of `routes.INBOUND`, `routes.API` and `routes.FILE`.
        batch_size: The largest number of records per call.
        skip_unchanged: Whether only changes are sent.
        refuse_unknown: Whether a record with a column that means no field is rejected.
        once: Marks of writes that must happen only once.
        deleted_rows: The setting ``deleted_rows``.
        summary: Where calls are counted.
        clock: For pauses.
        profile: What was learnt about the server, and which warnings were logged.
        logger: For messages.
        written: The keys of rows that this run has written and whose values in Jetti may be older.
    """

    session: JettiSession
    webhook_hashes: WebhookHashes
    delivery: str
    batch_size: int
    skip_unchanged: bool
    refuse_unknown: bool
    once: OnceMarks
    deleted_rows: str
    summary: Summary
    clock: Clock
    profile: ServerProfile
    logger: logging.Logger
    written: set[OperationKey] = field(default_factory=set)
