"""`Sandbox`: a simulated Jetti inside this process, for tests and benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from tap_jetti.sandbox.company.company import Company
from tap_jetti.sandbox.company.orders import generate
from tap_jetti.sandbox.data.account import Account
from tap_jetti.sandbox.data.churn import Churn
from tap_jetti.sandbox.http.application import Application, OnRequest
from tap_jetti.sandbox.http.request_log import RequestLog
from tap_jetti.sandbox.http.server import Server
from tap_jetti.sandbox.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType


class Sandbox:
    """A simulated Jetti, served by a thread while the context is open.

    Resources are named in snake_case. All methods may be called from any thread, also from
    `on_request`.
    """

    def __init__(self, options: Options | None = None) -> None:
        """Create its account: the rows of the database, or a new company. Nothing is served yet."""
        self.options = options or Options()
        self.requests = RequestLog(self.options.request_log_size)
        """The requests that arrived, in order of arrival."""
        self._account = Account(self.options)
        if not self.options.empty and not self._account.database.resources:
            company = Company(self._account)
            generate(company)
            company.store(self._account)
        self._application = Application(self._account, self.requests)
        self._churn = Churn(self._account)
        self._server: Server | None = None

    def __enter__(self) -> Self:
        """Start to serve."""
        try:
            self._server = Server(self._application, self.options.host, self.options.port)
        except OSError:
            self._account.close()
            raise
        self._server.start()
        self._churn.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving and close the database."""
        self._churn.stop()
        if self._server is not None:
            self._server.stop()
            self._server = None
        self._account.close()

    @property
    def url(self) -> str:
        """The base URL of the server."""
        if self._server is None:
            msg = "The sandbox is not running: use it as a context manager."
            raise RuntimeError(msg)
        return f"http://{self.options.host}:{self._server.port}/"

    @property
    def api_url(self) -> str:
        """The value of the setting ``api_url`` of tap and target."""
        return f"{self.url}api/"

    @property
    def inbound_url(self) -> str:
        """The value of the target's setting ``inbound_url``."""
        return f"{self.url}webhooks/"

    @property
    def token(self) -> str:
        """The API token that is accepted."""
        return self.options.token

    @property
    def on_request(self) -> OnRequest | None:
        """A callback, called as ``on_request(number, method, path)`` before a request is processed."""
        return self._application.on_request

    @on_request.setter
    def on_request(self, callback: OnRequest | None) -> None:
        self._application.on_request = callback

    def now(self) -> float:
        """The server's clock, in seconds since the epoch."""
        return self._account.now()

    def replace(self, resource: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replace all rows of a resource.

        Args:
            resource: The resource, such as ``sales``.
            rows: Each with an integer ``id``; ``updatedAt`` is ISO 8601 with up to
                microseconds, or None. Other fields may have any value.
        """
        self._account.replace(resource, rows)

    def upsert(self, resource: str, row: Mapping[str, Any], visible_after: float = 0.0) -> dict[str, Any]:
        """Add a row, or update the given fields of the row with its id; returns the whole row.

        Args:
            resource: The resource, such as ``sales``.
            row: The fields. Without an id the next free one is used; without updatedAt, the current time.
            visible_after: Seconds by the server's clock until the change is committed.
        """
        return self._account.upsert(resource, row, visible_after=visible_after)

    def delete(self, resource: str, row_id: int) -> bool:
        """Delete a row; returns whether it existed."""
        return self._account.delete(resource, row_id)

    def touch(self, resource: str, ids: Iterable[int], at: str | None = None) -> int:
        """Set the updatedAt of many rows, by default to the current time; returns how many of them exist."""
        return self._account.touch(resource, ids, at)

    def rows(self, resource: str) -> list[dict[str, Any]]:
        """All committed rows as the API returns them, ordered by id."""
        return self._account.rows(resource)

    def count(self, resource: str) -> int:
        """The number of committed rows."""
        return self._account.count(resource)

    def feed_hash(self, feed_id: int) -> str:
        """The webhook hash of an inventory feed."""
        return str(self._account.get("inventory_feeds", feed_id)["hash"])

    def channel_hash(self, channel_id: int) -> str:
        """The webhook hash of a channel."""
        custom = self._account.find("custom_channels", channelId=channel_id)
        if custom is not None:
            return str(custom["webhookHash"])
        return str(self._account.get("channels", channel_id)["hash"])

    def settle(self) -> None:
        """Apply all queued inbound records now."""
        self._application.inbound.settle()

    @property
    def log(self) -> list[str]:
        """Why inbound records were not applied: the last messages of the application's own log."""
        return list(self._application.inbound.log)
