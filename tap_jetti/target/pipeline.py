"""All that one run of the target needs, put together from its settings, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_jetti.facts.json_codec import encode_json
from tap_jetti.process.stdout import Output
from tap_jetti.reading.server_profile import ServerProfile
from tap_jetti.target.actions.action import ActionContext
from tap_jetti.target.actions.webhook_hashes import Known, WebhookHashes
from tap_jetti.target.delivery.change_detection import ChangeDetector
from tap_jetti.target.delivery.checkpoints import Checkpoints
from tap_jetti.target.delivery.dispatcher import Dispatcher
from tap_jetti.target.delivery.intake import Policy, RecordProcessor
from tap_jetti.target.delivery.outcomes import Outcomes
from tap_jetti.target.delivery.read_back import Confirmation
from tap_jetti.target.delivery.rejects import RejectsFile
from tap_jetti.target.delivery.sender import BatchSender
from tap_jetti.target.delivery.summary import Summary, as_table
from tap_jetti.target.feed_file.feed_file import FeedFile
from tap_jetti.target.feed_file.location import FeedLocation

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession

STOP_SECONDS = 10.0
"""How long a run that is asked to end waits for the calls in flight."""


class Pipeline:
    """The parts of a run.

    Args:
        config: The target's settings, with defaults.
        session: What talks to Jetti.
        clock: What waits are measured and slept by.
        logger: Where the run reports.
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
        secrets = [
            str(config[name]) for name in ("api_token", "inventory_feed_hash", "channel_hash") if config.get(name)
        ]
        self._rejects = None
        if config.get("rejects_path") and config["on_reject"] == "set_aside" and not self._dry_run:
            self._rejects = RejectsFile(Path(config["rejects_path"]), clock=clock, secrets=secrets)
        self.checkpoints = Checkpoints(self._write_state)
        self.outcomes = Outcomes(
            self.checkpoints,
            self.summary,
            rejects=self._rejects,
            stops=config["on_reject"] == "stop" and not self._dry_run,
            logger=logger,
        )
        self._confirmation = None
        if config["confirm_seconds"]:
            self._confirmation = Confirmation(
                seconds=float(config["confirm_seconds"]),
                clock=clock,
                confirmed=self.outcomes.confirmed,
                rejected=self.outcomes.refused,
            )
        self.outcomes.confirmation = self._confirmation
        profile = ServerProfile()
        self.context = ActionContext(
            session=session,
            webhook_hashes=WebhookHashes(
                session,
                Known(
                    config.get("inventory_feed_id"),
                    config.get("inventory_feed_hash"),
                    config.get("channel_id"),
                    config.get("channel_hash"),
                ),
            ),
            delivery=config["delivery"],
            batch_size=config["batch_size"],
            summary=self.summary,
            clock=clock,
            profile=profile,
            logger=logger,
        )
        self._current = ChangeDetector(session, profile=profile, logger=logger) if config["skip_unchanged"] else None
        self._delivery = Dispatcher(
            BatchSender(self.outcomes, self.summary, clock).deliver, concurrency=config["concurrency"], clock=clock
        )
        self._file = None
        if config["delivery"] == "file":
            self._file = FeedFile(FeedLocation(config["feed_path"]), config["feed_format"], self.outcomes)
        self.intake = RecordProcessor(
            self._file or self._delivery,
            self.outcomes,
            self.checkpoints,
            current=self._current,
            policy=Policy(
                most=None if self._file else config.get("max_updates"),  # a file says the whole inventory
                largest_first=config["max_updates_order"] == "largest_change",
                dry_run=self._dry_run,
            ),
        )

    def check_rejects(self, source: int | None) -> None:
        """Make sure that rejects can be written, and are not what is being read.

        Raises:
            SettingsError: They cannot.
        """
        if self._rejects is not None:
            self._rejects.check(source)

    def finish(self) -> None:
        """Deliver all that was received, and confirm it.

        Raises:
            JettiError: Something could not be delivered.
            OSError: The feed file could not be written.
        """
        if self._dry_run:
            return
        if self._file is not None and not self.intake.is_announced:
            self._logger.warning("The input had no SCHEMA: there is no inventory to write, and the feed file stays.")
            return
        self.intake.finish()
        if self._confirmation is not None:
            self._confirmation.run()

    def deliver_received(self) -> None:
        """Deliver what came before the input broke off; a feed file is not written of half an inventory."""
        if not self._dry_run and self._file is None:
            self.intake.finish()

    def stop(self) -> None:
        """Begin nothing new and wait for the calls in flight; their records still count."""
        self._delivery.stop(patience=STOP_SECONDS)

    def close(self) -> None:
        """Report, and let go of everything."""
        self.stop()
        for part in (self._current, self._file, self._rejects, self.session):
            if part is not None:
                part.close()
        summary = self.summary.as_dict(self.session.stats, seconds=self._clock.monotonic() - self._started)
        self._logger.info("Summary: %s", json.dumps(summary))
        if self._dry_run or sys.stderr.isatty():
            sys.stderr.write(as_table(summary, dry_run=self._dry_run) + "\n")
        left = self.summary.total("left")
        if left:
            self._logger.warning(
                "%d inventory feed variants are left for the next run by max_updates; STATE waits for them.", left
            )
        rejected = self.summary.total("rejected")
        if rejected:
            self._logger.error("%d records were rejected.", rejected)

    def _write_state(self, value: Any) -> None:  # noqa: ANN401 - STATE is the tap's own
        if self._dry_run:
            return
        if self._rejects is not None:
            self._rejects.sync()
        self.output.write(encode_json(value) + b"\n")
