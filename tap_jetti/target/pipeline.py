"""Builds all parts of a run from its settings, and ends the run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import JettiError, RecordError
from tap_jetti.facts.json_codec import encode_json
from tap_jetti.process.settings import account_of
from tap_jetti.process.stdout import Output
from tap_jetti.reading.server_profile import ServerProfile
from tap_jetti.target.actions.context import ActionContext
from tap_jetti.target.actions.feed_variants import FeedVariants
from tap_jetti.target.actions.routes import FILE
from tap_jetti.target.actions.webhook_hashes import Defaults, WebhookHashes
from tap_jetti.target.delivery.change_detection import ChangeDetector, SendingOrder
from tap_jetti.target.delivery.checkpoints import Checkpoints
from tap_jetti.target.delivery.departures import Departures
from tap_jetti.target.delivery.dispatcher import Dispatcher
from tap_jetti.target.delivery.intake import RecordProcessor
from tap_jetti.target.delivery.ledger.account_ledger import AccountLedger
from tap_jetti.target.delivery.ledger.feed_reader import server_time
from tap_jetti.target.delivery.ledger.once import OnceMarks
from tap_jetti.target.delivery.ledger.replays import ReplayGuard
from tap_jetti.target.delivery.ledger.write_log import WriteLog
from tap_jetti.target.delivery.outcomes import Outcomes
from tap_jetti.target.delivery.quota import FirstComeQuota, LargestChangeQuota
from tap_jetti.target.delivery.read_back import Confirmation
from tap_jetti.target.delivery.rejects import RejectsFile
from tap_jetti.target.delivery.sender import BatchSender
from tap_jetti.target.delivery.summary import Summary, as_table
from tap_jetti.target.delivery.write_path import WritePath
from tap_jetti.target.feed_file.feed_file import FeedFile, FeedPolicy
from tap_jetti.target.feed_file.places import place_of, store_path_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession
    from tap_jetti.target.delivery.ledger.once_hosts import RedisClaims
    from tap_jetti.target.delivery.operations import OperationKey, Origin
    from tap_jetti.target.delivery.quota import Quota

STOP_SECONDS = 10.0
"""How long an interrupted run waits for the calls in flight."""


class Pipeline:
    """The parts of a run: records go in at `processor`, STATE comes out at `output`.

    Args:
        config: The target's settings, with defaults.
        session: Sends requests.
        clock: For all times and waits.
        logger: For messages.
    """

    def __init__(
        self, config: Mapping[str, Any], *, session: JettiSession, clock: Clock, logger: logging.Logger
    ) -> None:
        self.session = session
        self.summary = Summary()
        self.output = Output()
        self._clock = clock
        self._logger = logger
        self._started = clock.monotonic()
        self._dry_run: bool = config["dry_run"]
        self.checkpoints = Checkpoints(self._write_state)
        self._rejects = self._open_rejects(config)
        self._outcomes = Outcomes(
            self.checkpoints,
            self.summary,
            rejects=self._rejects,
            stop_on_reject=config["on_reject"] == "stop",
            logger=logger,
        )
        self._confirmation = self._new_confirmation(config)
        self._ledger = AccountLedger(
            config["ledger"],
            account_of(config),
            now=lambda: server_time(session, clock),
            logger=logger,
            is_read_only=self._dry_run,
        )
        guard = ReplayGuard(self._ledger, _key_of, logger=logger)
        self._outcomes.guard = guard
        if self._rejects is not None:
            self._rejects.guard = guard
        self._once = OnceMarks(self._ledger, clock=clock, hosts=self._new_hosts(config))
        self.context = self._new_context(config)
        self._detector = self._new_detector(config, guard)
        is_limited = config.get("max_updates") is not None
        log = WriteLog(
            self._ledger,
            FeedVariants.comparison if config["skip_unchanged"] else None,
            is_limited=is_limited,
            logger=logger,
        )
        self._dispatcher = Dispatcher(
            BatchSender(self._outcomes, self.summary, clock, log=log).send,
            concurrency=config["concurrency"],
            clock=clock,
        )
        self._file = self._new_file(config)
        departures = Departures(
            self._file or self._dispatcher,
            confirmation=self._confirmation,
            confirm_seconds=float(config["confirm_seconds"]),
            is_processed_if_visible=self._is_processed_if_visible,
            clock=clock,
            logger=logger,
        )
        self._path = WritePath(
            departures,
            self._outcomes,
            detector=self._detector,
            quota=self._new_quota(config),
            clock=clock,
        )
        self._dispatcher.on_tick = self._path.tick
        self.processor = RecordProcessor(
            self._path, self._outcomes, self.checkpoints, guard=None if self._file else guard
        )
        self._has_streams = False

    def add_stream(self) -> None:
        """Prepare for the records of a stream."""
        self._has_streams = True
        if self._file is None:
            self._dispatcher.start_timer()

    def prepare(self, source: int | None) -> None:
        """Check, before any input is read, that the files of the run can be used: rejects file and feed file.

        Args:
            source: The file descriptor of the input; None if it has none.

        Raises:
            SettingsError: The rejects file cannot be written, or is the input.
            FeedFileError: The feed file cannot be used.
            StoreError: The store of the feed file cannot be used.
        """
        if self._rejects is not None:
            self._rejects.check(source)
        if self._file is not None:
            self._file.open()

    def finish(self) -> None:
        """Deliver everything that was received, and confirm it.

        Raises:
            RecordError: A record was rejected, and none may be.
            JettiError: The delivery failed.
        """
        if self._file is not None and not self._has_streams:
            self._logger.warning("The input has no SCHEMA message, so the feed file was not replaced.")
            self._file.leave()
            return
        self._deliver()
        self._outcomes.check()
        uncounted = self.summary.total("open")
        if uncounted:
            raise JettiError(f"The outcome of {uncounted} records is not known. This is a bug; please report it.")

    def deliver_received(self) -> None:
        """Deliver what was received before the input failed. A feed file is not written from an incomplete input."""
        if self._file is None:
            self._deliver()

    def _deliver(self) -> None:
        self.processor.finish()
        if self._confirmation is not None:
            self._confirmation.wait()
        self._outcomes.finish()
        if self._detector is not None:
            self._detector.finish()

    def stop(self) -> None:
        """Start no new calls, and wait for those in flight; their records count as delivered."""
        self._dispatcher.stop(timeout=STOP_SECONDS)

    def close(self) -> None:
        """Stop, release all resources, and log the summary."""
        self.stop()
        for part in (self._detector, self._once, self._ledger, self._file, self._rejects, self.session):
            if part is not None:
                part.close()
        summary = self.summary.as_dict(self.session.stats, seconds=self._clock.monotonic() - self._started)
        self._logger.info("Summary: %s", json.dumps(summary))
        if self._dry_run or sys.stderr.isatty():
            sys.stderr.write(as_table(summary, dry_run=self._dry_run) + "\n")
        left = self.summary.total("left")
        if left:
            self._logger.warning(
                "%d inventory feed variants are left for the next run, since max_updates was reached. No STATE was"
                " written after the first of them.",
                left,
            )
        rejected = self.summary.total("rejected")
        if rejected:
            self._logger.error("%d records were rejected. See the warnings above.", rejected)
        for action, labels in self.summary.without_effect.items():
            self._logger.error(
                "%s: earlier runs sent %d writes that Jetti accepted and of which it shows no effect, such as %s."
                " See the log in Jetti.",
                action,
                self.summary.of(action).without_effect,
                ", ".join(labels),
            )

    @property
    def has_failures(self) -> bool:
        """Whether something was left out although the run came to its end."""
        return bool(self.summary.total("rejected") or self.summary.total("without_effect"))

    def _is_processed_if_visible(self, key: OperationKey) -> bool:
        is_compared = isinstance(self._detector, ChangeDetector) and self._detector.covers(key)
        return is_compared and not self.session.stats.retries

    def _new_confirmation(self, config: Mapping[str, Any]) -> Confirmation | None:
        if not config["confirm_seconds"] or self._dry_run:
            return None
        self._outcomes.confirmation = Confirmation(
            seconds=float(config["confirm_seconds"]),
            clock=self._clock,
            confirmed=self._outcomes.mark_confirmed,
            rejected=self._outcomes.mark_rejected,
        )
        return self._outcomes.confirmation

    def _new_hosts(self, config: Mapping[str, Any]) -> RedisClaims | None:
        url = config.get("rate_limit_store") or ""
        if self._dry_run or not url.startswith(("redis://", "rediss://")):
            return None
        from tap_jetti.target.delivery.ledger.once_hosts import RedisClaims  # noqa: PLC0415 - an extra

        return RedisClaims(url, account_of(config))

    def _new_detector(self, config: Mapping[str, Any], guard: ReplayGuard) -> ChangeDetector | SendingOrder | None:
        if config["skip_unchanged"]:
            return ChangeDetector(
                self.session,
                FeedVariants.comparison,
                ledger=self._ledger,
                guard=guard,
                clock=self._clock,
                summary=self.summary,
                profile=self.context.profile,
                logger=self._logger,
            )
        if config.get("max_updates") is not None:
            return SendingOrder(FeedVariants.resource, self._ledger)
        return None

    def _new_file(self, config: Mapping[str, Any]) -> FeedFile | None:
        if config["delivery"] != FILE:
            return None
        place = place_of(config["feed_path"], timeout=config["timeout"])
        policy = FeedPolicy(
            config["feed_format"], config["feed_mode"], config["feed_shrink_percent"], dry_run=self._dry_run
        )
        held, store = self.checkpoints.add_record(), store_path_of(place, ledger=config["ledger"])
        return FeedFile(place, store, policy, held=held, outcomes=self._outcomes, logger=self._logger)

    def _new_quota(self, config: Mapping[str, Any]) -> Quota:
        limit = None if self._file else config.get("max_updates")  # a file holds the whole inventory
        if limit is not None and config["max_updates_order"] == "largest_change":
            return LargestChangeQuota(limit)
        return FirstComeQuota(limit)

    def _open_rejects(self, config: Mapping[str, Any]) -> RejectsFile | None:
        if self._dry_run or config["on_reject"] != "set_aside" or not config.get("rejects_path"):
            return None
        return RejectsFile(Path(config["rejects_path"]), clock=self._clock, redactor=self.session.redactor)

    def _new_context(self, config: Mapping[str, Any]) -> ActionContext:
        defaults = Defaults(
            feed_id=config.get("inventory_feed_id"),
            feed_hash=config.get("inventory_feed_hash"),
            channel_id=config.get("channel_id"),
            channel_hash=config.get("channel_hash"),
        )
        return ActionContext(
            session=self.session,
            webhook_hashes=WebhookHashes(self.session, defaults),
            delivery=config["delivery"],
            batch_size=config["batch_size"],
            skip_unchanged=config["skip_unchanged"],
            refuse_unknown=config["unknown_fields"] == "error",
            once=self._once,
            deleted_rows=config["deleted_rows"],
            summary=self.summary,
            clock=self._clock,
            profile=ServerProfile(),
            logger=self._logger,
        )

    def _write_state(self, value: Any) -> None:  # noqa: ANN401 - STATE is the tap's own
        if self._dry_run:
            return
        if self._rejects is not None:
            self._rejects.sync()
        self.output.write(encode_json(value) + b"\n")


def _key_of(origin: Origin) -> OperationKey | None:
    """What a record is about that became no operation, as far as that is known."""
    action, columns = origin.input_stream.action, origin.input_stream.columns
    try:
        return action.key_of(columns.read(origin.record))
    except RecordError:
        return None
