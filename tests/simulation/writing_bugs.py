"""Known bugs of the target: the name of each, its module, and the text that is replaced by another.

A fifth text says why nothing notices.
"""

from __future__ import annotations

DELIVERY = "target/delivery/"
ACTIONS = "target/actions/"

WRITING_BUGS: list[tuple[str, ...]] = [
    # The order of a key.
    (
        "held-key-is-passed",
        DELIVERY + "write_path.py",
        "        if self._held.queues and key in self._held:\n",
        "        if False:\n",
    ),
    (
        "unchanged-passes-what-waits",
        DELIVERY + "write_path.py",
        "if verdict.is_needless and not waits:",
        "if verdict.is_needless:",
        "the comparison remembers by itself what it let pass",
    ),
    ("held-in-front", DELIVERY + "held.py", "queue.append(operation)", "queue.insert(0, operation)"),
    (
        "no-blockers",
        DELIVERY + "batch_queue.py",
        "if earlier is not None and earlier not in batch.blockers:",
        "if False:",
    ),
    ("later-batch-forgotten", DELIVERY + "batch_queue.py", "if latest.get(key) is batch:", "if key in latest:"),
    (
        "removal-merged-into-update",
        ACTIONS + "action.py",
        "return earlier.action is later.action and earlier.route == later.route",
        "return True",
    ),
    (
        "earlier-value-wins",
        DELIVERY + "operations.py",
        "later.action.merged(self.payload, later.payload)",
        "later.action.merged(later.payload, self.payload)",
    ),
    # Jetti's queue.
    (
        "queue-is-trusted",
        DELIVERY + "departures.py",
        "        if self._sent.add(key) if is_queued else key not in self._sent:\n",
        "        if True:\n",
    ),
    (
        "queue-is-not-waited-for",
        DELIVERY + "departures.py",
        "        self._wait_for_queue()\n",
        "",
    ),
    (
        "visible-is-processed",
        DELIVERY + "departures.py",
        "if not all(map(self._is_processed_if_visible, self._repeated)):",
        "if False:",
        "a row counts as visible only if it was changed since the run began",
    ),
    (
        "retries-are-forgotten",
        "target/pipeline.py",
        "return is_compared and not self.session.stats.retries",
        "return is_compared",
        "the model hardly ever processes the second copy of a repeated request after a later value",
    ),
    # STATE.
    (
        "state-with-the-first-record",
        DELIVERY + "checkpoints.py",
        "if own.is_closed and own.done == own.received:",
        "if own.is_closed:",
    ),
    ("state-before-its-turn", DELIVERY + "checkpoints.py", "        if before is None:\n", "        if True:\n"),
    ("merged-records-are-forgotten", DELIVERY + "operations.py", "self.origins += later.origins", "pass"),
    (
        "left-is-done",
        DELIVERY + "outcomes.py",
        "        self._checkpoints.withhold()\n",
        "",
        "a record that is left is never counted as done, so its STATE waits anyway",
    ),
    (
        "rejects-are-not-written",
        DELIVERY + "outcomes.py",
        "            for origin in rejection.origins:\n",
        "            for origin in ():\n",
    ),
    (
        "refused-for-ever",
        DELIVERY + "outcomes.py",
        "                raise _refusals(rejections)\n            self._set_refused_aside(action)\n",
        "                raise _refusals(rejections)\n",
    ),
    (
        "stop-at-once",
        DELIVERY + "outcomes.py",
        "return [one for one in operations if stop is None or one.number < stop[0]]",
        "return list(operations) if stop is None else []",
    ),
    # What waits at the end.
    (
        "undecided-are-forgotten",
        DELIVERY + "write_path.py",
        "            self._decide(self._undecided.take_all(), is_end=True)\n",
        "",
    ),
    (
        "groups-are-forgotten",
        DELIVERY + "departures.py",
        "        for key in list(self._groups):\n            self._close_group(key)\n",
        "",
    ),
    (
        "end-is-not-waited-for",
        DELIVERY + "dispatcher.py",
        "lambda: not self._queue.unfinished or self._failure is not None",
        "lambda: True",
    ),
    ("failure-is-swallowed", DELIVERY + "dispatcher.py", "self._failure = self._failure or failure", "pass"),
    (
        "silence-is-ignored",
        DELIVERY + "dispatcher.py",
        "            try:\n                self.on_tick()\n",
        "            try:\n                pass\n",
    ),
    # The quota.
    ("quota-is-not-taken", DELIVERY + "quota.py", "        self._available -= 1\n", ""),
    (
        "quota-is-given-back",
        DELIVERY + "write_path.py",
        "if not self._queues.add(operation) and operation.action.is_limited:",
        "self._queues.add(operation)\n        if operation.action.is_limited:",
    ),
    # Once only.
    (
        "items-replace-each-other",
        ACTIONS + "shipments.py",
        '"ids": [] if has_all else sorted({*earlier["ids"], *later["ids"]})',
        '"ids": [] if has_all else later["ids"]',
    ),
    (
        "lost-answer-is-sent-again",
        ACTIONS + "action.py",
        "body, repeatable=False, on_departure=begin",
        "body, repeatable=True, on_departure=begin",
    ),
    (
        "found-items-are-all-items",
        ACTIONS + "shipments.py",
        "before | frozenset(wanted) if wanted and before is not None else None",
        "None",
    ),
    ("shipped-again", ACTIONS + "shipments.py", "if item not in done | here]", "]"),
    # Removals, and the plan.
    (
        "any-404-is-a-removal",
        ACTIONS + "feed_variants.py",
        "        if self._may_exist(operation):\n",
        "        if False:\n",
    ),
    (
        "removal-is-not-repeated",
        ACTIONS + "feed_variants.py",
        "        if isinstance(error, NotFoundError) and self._may_exist(operation):\n",
        "        if False:\n",
    ),
    ("dry-run-writes", "client/session.py", "        if self._dry_run:\n", "        if False:\n"),
    # Batches that are refused: unit tests notice.
    (
        "one-of-a-refused-batch-is-lost",
        DELIVERY + "sender.py",
        "(operations[:middle], operations[middle:])",
        "(operations[:middle], operations[middle + 1 :])",
    ),
]
"""All of them. Most are noticed by the schedules of writing."""
