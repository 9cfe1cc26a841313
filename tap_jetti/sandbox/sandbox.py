"""`Sandbox`: a Jetti inside this process, for tests and benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from tap_jetti.sandbox.company.company import Company
from tap_jetti.sandbox.company.orders import found
from tap_jetti.sandbox.data.account import Account
from tap_jetti.sandbox.data.churn import Churn
from tap_jetti.sandbox.http.application import Application, OnRequest
from tap_jetti.sandbox.http.request_log import Ledger
from tap_jetti.sandbox.http.server import Server
from tap_jetti.sandbox.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType


class Sandbox:
    """A Jetti that is served by a thread while the context lasts.

    Resources are named in snake_case. All methods may be called from any thread, also from
    `on_request`.
    """

    def __init__(self, options: Options | None = None) -> None:
        """Choose what it is like; the default is the API's most likely behaviour."""
        self.options = options or Options()
        self.ledger = Ledger(self.options.ledger_size)
        """Every request that arrived."""
        self._account = Account(self.options)
        if not self.options.empty and not self._account.database.resources:
            company = Company(self._account)
            found(company)
            company.store(self._account)
        self._application = Application(self._account, self.ledger)
        self._churn = Churn(self._account)
        self._server: Server | None = None

    def __enter__(self) -> Self:
        """Start; requests are answered from here on."""
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
        """Where it listens."""
        if self._server is None:
            msg = "The sandbox is not running: use it as a context manager."
            raise RuntimeError(msg)
        return f"http://{self.options.host}:{self._server.port}/"

    @property
    def api_url(self) -> str:
        """The tap's and the target's setting ``api_url``."""
        return f"{self.url}api/"

    @property
    def inbound_url(self) -> str:
        """The target's setting ``inbound_url``."""
        return f"{self.url}webhooks/"

    @property
    def token(self) -> str:
        """The API token."""
        return self.options.token

    @property
    def on_request(self) -> OnRequest | None:
        """Called as ``on_request(number, method, path)`` before a request is answered."""
        return self._application.on_request

    @on_request.setter
    def on_request(self, callback: OnRequest | None) -> None:
        self._application.on_request = callback

    def now(self) -> float:
        """The server's clock, in seconds since the epoch."""
        return self._account.now()

    def replace(self, resource: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put these rows in the place of all rows of a resource.

        Args:
            resource: The resource, such as ``sales``.
            rows: Each with an integer ``id``; ``updatedAt`` is ISO 8601 with up to
                microseconds, or None. Other fields are free.
        """
        self._account.replace(resource, rows)

    def upsert(self, resource: str, row: Mapping[str, Any], visible_after: float = 0.0) -> dict[str, Any]:
        """Add a row, or merge it into the one with its id; answers the whole row.

        Args:
            resource: The resource, such as ``sales``.
            row: Fields; a missing id is the next free one, a missing updatedAt is now.
            visible_after: Seconds by the server's clock until the change is committed.
        """
        return self._account.upsert(resource, row, visible_after=visible_after)

    def delete(self, resource: str, row_id: int) -> bool:
        """Delete a row for good; answers whether there was one."""
        return self._account.delete(resource, row_id)

    def touch(self, resource: str, ids: Iterable[int], at: str | None = None) -> int:
        """Give many rows one updatedAt, now or the given one; answers how many there were."""
        return self._account.touch(resource, ids, at)

    def rows(self, resource: str) -> list[dict[str, Any]]:
        """All committed rows as the API shows them, by id."""
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
        """Apply all inbound data that wait."""
        self._application.inbound.settle()

    @property
    def log(self) -> list[str]:
        """Why inbound records were not applied."""
        return list(self._application.inbound.log)
