"""A model of Jetti's side of writing: rows, a queue that delays and reorders, faults before and after arrival."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from typing_extensions import override

from invariants import Violation
from model_network import ServerBucket
from tap_jetti.client.transport import Transport
from tap_jetti.facts.timestamps import from_epoch

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from tap_jetti.client.clock import VirtualClock

FEED = 7
REFUSED = 13
"""Quantities that are a multiple of this are refused by the API, if it refuses any."""

_CONDITION = re.compile(r"where\[(\w+)\](?:\[(\$\w+)\])?(?:\[\d*\])?")

Row = dict[str, Any]


class Dead(BaseException):
    """The process that makes this request was killed."""


@dataclass
class Freedoms:
    """What the server and the network do in one schedule.

    Attributes:
        delay: The longest time, in seconds, that accepted data wait in the queue.
        reorders: Whether they leave it in another order.
        fails: The share of requests that fail.
        latency: Seconds of a request.
        refuses: Whether some records are refused.
        page: The largest number of rows of a page.
        counts: Whether rows are counted.
    """

    delay: float = 0.0
    reorders: bool = False
    fails: float = 0.0
    latency: float = 0.05
    refuses: bool = False
    page: int = 100
    counts: bool = True


@dataclass
class Arrival:
    """A write that the server accepted.

    Attributes:
        run: The number of the run that made it.
        kind: ``set``, ``remove``, ``ship`` or ``status``.
        key: What it is about.
        values: What it writes.
        is_queued: Whether it went into the queue.
    """

    run: int
    kind: str
    key: Any
    values: Row
    is_queued: bool = False


@dataclass
class WritingJetti:
    """The account: its rows, and what arrived.

    Attributes:
        rows: By resource, as in a path.
        arrivals: All accepted writes, in the order of arrival.
        run: The number of the run that is going on.
    """

    freedoms: Freedoms
    chance: random.Random
    clock: VirtualClock
    rows: dict[str, list[Row]] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)
    run: int = 0
    _queue: list[tuple[float, int, Row]] = field(default_factory=list)
    _ids: int = 1000

    def __post_init__(self) -> None:
        """Begin with a feed, and three purchases with items."""
        self.rows = {
            "inventory-feeds": [self._stamped({"id": FEED, "resourceType": "webhook", "hash": "h"})],
            "inventory-feed-variants": [],
            "dropshipments": [],
            "dropshipment-items": [],
            "purchases": [self._stamped({"id": number, "purchaseStatusId": 999}) for number in (1, 2, 3)],
            "purchase-items": [
                self._stamped({"id": 10 * purchase + item, "purchaseId": purchase})
                for purchase in (1, 2, 3)
                for item in (1, 2, 3)
            ],
        }

    def serve(self, method: str, path: str, query: list[tuple[str, str]], body: Any) -> tuple[int, Any]:
        """Answer a request."""
        self.settle()
        if method == "GET":
            return self._read(path, query)
        if path == "webhooks/inventory-feeds/parse-webhooks.json":
            return self._enqueue(body)
        return self._write(path, body)

    def _enqueue(self, items: list[Row]) -> tuple[int, Any]:
        for item in items:
            self.arrivals.append(Arrival(self.run, "set", item["externalId"], item, is_queued=True))
            # Without reordering the queue is served in the order of arrival, however long each item takes.
            share = self.chance.random() if self.freedoms.reorders else 1.0
            self._queue.append((self.clock.time() + self.freedoms.delay * share, len(self.arrivals), item))
        return 200, []

    def _write(self, path: str, body: Any) -> tuple[int, Any]:
        if path == f"api/inventory-feeds/{FEED}/parse-webhook.json":
            if self.freedoms.refuses and body.get("inventoryQuantity", 1) % REFUSED == 0:
                return 422, {"title": "api.inventory_feed_variants.refused"}
            self.arrivals.append(Arrival(self.run, "set", body["externalId"], body))
            return 200, self._upsert(body)
        if path == f"api/inventory-feeds/{FEED}/remove-by-external-id.json":
            return self._remove(body["externalId"])
        if found := re.fullmatch(r"api/purchases/(\d+)/ship.json", path):
            return 200, self._ship(int(found[1]), body)
        if found := re.fullmatch(r"api/purchases/(\d+).json", path):
            row = self._row("purchases", int(found[1]))
            self.arrivals.append(Arrival(self.run, "status", row["id"], body))
            return 200, self._change(row, body)
        return 404, {"title": "api.missing"}

    def settle(self, *, all_of_it: bool = False) -> None:
        """Process the data in the queue whose time has come."""
        now = self.clock.time()
        due = sorted(one for one in self._queue if all_of_it or one[0] <= now)
        self._queue = [one for one in self._queue if one not in due]
        for _, _, item in due:
            self._upsert(item)

    def variants(self) -> dict[str, Row]:
        """The feed variants by external id."""
        return {row["externalId"]: row for row in self.rows["inventory-feed-variants"]}

    def _remove(self, external_id: str) -> tuple[int, Any]:
        self.arrivals.append(Arrival(self.run, "remove", external_id, {}))
        rows = self.rows["inventory-feed-variants"]
        left = [row for row in rows if row["externalId"] != external_id]
        if len(left) == len(rows):
            return 404, {"title": "api.inventory_feed_variants.missing"}
        self.rows["inventory-feed-variants"] = left
        return 200, {}

    def _ship(self, purchase: int, body: Row) -> Row:
        items = body["ids"] or [row["id"] for row in self.rows["purchase-items"] if row["purchaseId"] == purchase]
        self.arrivals.append(Arrival(self.run, "ship", (purchase, body["trackingNumber"]), {"ids": items}))
        row = self._create("dropshipments", {"purchaseId": purchase, "trackingNumber": body["trackingNumber"]})
        for item in items:
            self._create("dropshipment-items", {"dropshipmentId": row["id"], "purchaseItemId": item})
        return row

    def _upsert(self, item: Row) -> Row:
        row = self.variants().get(item["externalId"])
        if row is None:
            return self._create("inventory-feed-variants", {**item, "inventoryFeedId": FEED})
        return self._change(row, item)

    def _create(self, resource: str, values: Row) -> Row:
        self._ids += 1
        row = self._stamped({"id": self._ids, **values})
        self.rows[resource].append(row)
        return row

    def _change(self, row: Row, values: Row) -> Row:
        row.update(self._stamped(values))
        return row

    def _stamped(self, values: Row) -> Row:
        now = from_epoch(self.clock.time())
        return {"createdAt": now, **values, "updatedAt": now}

    def _row(self, resource: str, row_id: int) -> Row:
        return next(row for row in self.rows[resource] if row["id"] == row_id)

    def _read(self, path: str, query: list[tuple[str, str]]) -> tuple[int, Any]:
        resource, _, rest = path.removeprefix("api/").removesuffix(".json").partition("/")
        found = [row for row in self.rows[resource] if all(_meets(row, *one) for one in _conditions(query))]
        if rest == "count":
            return (200, {"count": len(found)}) if self.freedoms.counts else (404, {"title": "api.missing"})
        if rest:
            return next(((200, row) for row in found if str(row["id"]) == rest), (404, {"title": "api.missing"}))
        options = dict(query)
        found.sort(key=lambda row: (row[options.get("order[attribute]", "id")], row["id"]))
        return 200, found[: min(int(options.get("limit", 50)), self.freedoms.page)]


def _conditions(query: list[tuple[str, str]]) -> Iterator[tuple[str, str, list[str]]]:
    found: dict[tuple[str, str], list[str]] = {}
    for name, value in query:
        matched = _CONDITION.fullmatch(name)
        if matched:
            found.setdefault((matched[1], matched[2] or "$in"), []).append(value)
    return ((name, operator, values) for (name, operator), values in found.items())


def _meets(row: Row, name: str, operator: str, values: list[str]) -> bool:
    if operator == "$in":
        return str(row.get(name)) in values
    limit, value = values[0], row[name]
    if isinstance(value, int):
        return value >= int(limit) if operator == "$gte" else value <= int(limit)
    return bool(value >= limit if operator == "$gte" else value <= limit)


class WritingNetwork(Transport):
    """Carries requests to the model, in virtual time, and checks the rate limits.

    Args:
        jetti: The model.
        effect: Called before each request leaves; it may raise `Dead`.
    """

    def __init__(self, jetti: WritingJetti, chance: random.Random, *, rate: float, burst: float) -> None:
        super().__init__(jetti.clock, seconds=3600)
        self.jetti = jetti
        self.effect: Callable[[], None] = lambda: None
        self.sent = 0
        self._chance = chance
        self._api = ServerBucket(rate, burst)
        self._is_cut = False

    @override
    def abort(self) -> None:
        self._is_cut = True

    @override
    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        self.effect()
        url = urlsplit(request.url or "")
        if url.path.startswith("/api/"):
            for _ in range(1 if request.method == "GET" else 2):
                self._api.add(self.jetti.clock.monotonic())
        self.sent += 1
        fault = self._fault()
        self._travel()
        if fault == "lost":
            raise requests.ConnectionError
        if fault in {"503", "429"}:
            return self._response(request, int(fault), b"{}")
        body = json.loads(request.body) if request.body else None
        status, answer = self.jetti.serve(
            request.method or "", url.path.lstrip("/"), parse_qsl(url.query, keep_blank_values=True), body
        )
        self._travel()
        self.effect()
        if fault == "lost after":
            raise requests.ConnectionError
        content = json.dumps(answer).encode()
        return self._response(
            request, status, content[: len(content) // 2] if fault == "cut" and status == 200 else content
        )

    def _fault(self) -> str:
        if self._chance.random() >= self.jetti.freedoms.fails:
            return ""
        return self._chance.choice(["lost", "503", "429", "lost after", "cut"])

    def _travel(self) -> None:
        self.jetti.clock.sleep(self.jetti.freedoms.latency * (0.25 + self._chance.random() / 2))

    def _response(self, request: requests.PreparedRequest, status: int, content: bytes) -> requests.Response:
        response = requests.Response()
        response.status_code = status
        response.headers = CaseInsensitiveDict()
        response.raw = io.BytesIO(content)
        response.request = request
        response.url = request.url or ""
        return response


def check_shipped_once(jetti: WritingJetti) -> None:
    """No item of a purchase is shipped twice under one number.

    Raises:
        Violation: One is.
    """
    numbers = {row["id"]: row["trackingNumber"] for row in jetti.rows["dropshipments"]}
    shipped = [(numbers[row["dropshipmentId"]], row["purchaseItemId"]) for row in jetti.rows["dropshipment-items"]]
    if len(shipped) != len(set(shipped)):
        raise Violation(f"items are shipped twice: {sorted(one for one in shipped if shipped.count(one) > 1)[:5]}")
