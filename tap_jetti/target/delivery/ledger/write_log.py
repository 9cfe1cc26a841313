"""Writes down in the ledger what is sent, before and after each call."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_jetti.target.delivery.ledger.sent_write import Sending
from tap_jetti.target.delivery.ledger.values import field_hash, key_hash, short_form
from tap_jetti.target.fields import kinds

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from tap_jetti.target.delivery.ledger.account_ledger import AccountLedger
    from tap_jetti.target.delivery.operations import Comparison, OperationKey, WriteOperation


@dataclass(frozen=True)
class LoggedCall:
    """A call that was written down: what it sends, and the order of these writes."""

    sendings: Sequence[Sending]
    order: int


class WriteLog:
    """Writes down calls that write rows which are compared, or which `max_updates` limits. Thread-safe.

    Args:
        ledger: Where they are written down.
        comparison: Which rows are compared; None: none are.
        is_limited: Whether the number of updates is limited.
        logger: For messages.
    """

    def __init__(
        self, ledger: AccountLedger, comparison: Comparison | None, *, is_limited: bool, logger: logging.Logger
    ) -> None:
        self._ledger = ledger
        self._comparison = comparison
        self._is_limited = is_limited
        self._logger = logger
        self._is_usable = True

    def begin(self, operations: Sequence[WriteOperation]) -> LoggedCall | None:
        """Write down a call that is about to be made; None if there is nothing to write down."""
        if not self._is_usable or not self._concerns(operations[0]):
            return None
        sendings = [
            Sending(hash_of(one.key), one.key.parent_id or 0, one.label, self._digests(one)) for one in operations
        ]
        try:
            return LoggedCall(sendings, self._ledger.sent.begin(sendings))
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
            self._ledger.sent.accept(call.sendings, call.order)

    def refused(self, call: LoggedCall | None) -> None:
        """Take note that Jetti refused a call, so that nothing of it takes effect."""
        if call is not None:
            self._ledger.sent.refuse(call.sendings, call.order)

    def _concerns(self, operation: WriteOperation) -> bool:
        action = operation.action
        if self._is_limited and action.is_limited:
            return True
        return self._comparison is not None and (
            action.comparison is not None or self._comparison.covers(operation.key)
        )

    def _digests(self, operation: WriteOperation) -> dict[str, bytes] | None:
        action, key_field = operation.action, operation.key.field
        if action.comparison is None and not action.is_limited:
            return None
        kind_of = kinds(operation.key.resource)
        return {
            name: field_hash(short_form(kind_of.get(name, "json"), value))
            for name, value in operation.payload.items()
            if name != key_field
        }


def hash_of(key: OperationKey) -> int:
    """Return the hash of the key of an operation."""
    return key_hash(key.resource, key.parent_id, key.field, key.value)
