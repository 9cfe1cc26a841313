"""The ways from a record to Jetti: inbound, through the API, or by a file; and the base of actions with a choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_jetti.target.actions.action import Action
from tap_jetti.target.delivery.operations import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_jetti.target.actions.context import ActionContext

INBOUND = "inbound"
"""In batches to the inbound API, which answers before it processes them."""

API = "api"
"""To the API, which answers with the result."""

API_ROW = "api_row"
"""To the API, for one row by its id."""

FILE = "file"
"""As a row of the feed file."""

FILE_REMOVAL = "file_removal"
"""As a row that is taken out of the feed file."""


class ChannelAction(Action):
    """The base of actions that write to a channel, inbound or through the API."""

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        self._is_inbound = context.delivery == INBOUND

    @override
    def is_queued(self, route: Route) -> bool:
        return route.kind == INBOUND

    def _channel_route(self, record: Mapping[str, Any]) -> Route:
        """The route of a record's channel.

        Raises:
            RecordError: No channel is given, or its hash cannot be found.
        """
        channel = self._webhook_hashes.channel_id(record.get("channelId"), by_hash=self._is_inbound)
        if not self._is_inbound:
            return Route(self.name, API, channel)
        self._webhook_hashes.channel_hash(channel)  # so that a record of an unknown channel is rejected now
        return Route(self.name, INBOUND, channel)

    def _write_channel_inbound(self, method: str, path: str, body: object, *, channel_id: int | None) -> None:
        self._write_inbound(
            method,
            f"custom-channels/{path}",
            body,
            hash_=self._webhook_hashes.channel_hash(channel_id),
            owner=f"channel {channel_id or ''}".strip(),
        )
