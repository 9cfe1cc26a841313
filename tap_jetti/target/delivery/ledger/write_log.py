"""Writes down in the ledger what is sent, before and after each call."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_jetti.target.delivery.ledger.sent_writes import Sending
from tap_jetti.target.delivery.ledger.values import field_hash, key_hash, short_form
from tap_jetti.target.fields import kinds

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from tap_jetti.target.delivery.ledger.sent_writes import SentWrites
    from tap_jetti.target.delivery.operations import OperationKey, WriteOperation


@dataclass(frozen=True)
class LoggedCall:
    """A call that was written down: what it sends, and the order of these writes."""

    sendings: Sequence[Sending]
    order: int


class WriteLog:
    """Writes down calls of the actions that are compared or limited. Thread-safe.

    Args:
        sent: What was sent.
        logger: For messages.
    """

    def __init__(self, sent: SentWrites, logger: logging.Logger) -> None:
        self._sent = sent
        self._logger = logger
        self._is_usable = True

    def begin(self, operations: Sequence[WriteOperation]) -> LoggedCall | None:
        """Write down a call that is about to be made; None if there is nothing to write down."""
        action = operations[0].action
        if not self._is_usable or not (action.is_limited or action.comparison is not None):
            return None
        kind_of = kinds(action.resource)
        sendings = [
            Sending(
                hash_of(one.key),
                one.key.parent_id or 0,
                one.label,
                {
                    name: field_hash(short_form(kind_of.get(name, "json"), value))
                    for name, value in one.payload.items()
                    if name != one.key.field
                },
            )
            for one in operations
        ]
        try:
            return LoggedCall(sendings, self._sent.begin(sendings))
        except sqlite3.Error as error:
            self._is_usable = False
            self._logger.warning(
                "The ledger cannot be written: %s. This run goes on without it: some records may be sent again, and"
                " max_updates begins with those that arrive first.",
                error,
            )
            return None

    def accepted(self, call: LoggedCall | None) -> None:
        """Take note that Jetti accepted a call."""
        if call is not None:
            self._sent.accept(call.sendings, call.order)

    def refused(self, call: LoggedCall | None) -> None:
        """Take note that Jetti refused a call, so that nothing of it takes effect."""
        if call is not None:
            self._sent.refuse(call.sendings, call.order)


def hash_of(key: OperationKey) -> int:
    """Return the hash of the key of an operation."""
    return key_hash(key.resource, key.parent_id, key.field, key.value)
