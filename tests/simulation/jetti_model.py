"""A model of Jetti behind the real readers: no sockets, no real time, every freedom that the API's contract leaves."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from email.utils import formatdate
from operator import ge, gt, le
from typing import TYPE_CHECKING, Any

from tap_jetti.client.clock import VirtualClock
from tap_jetti.client.server_clock import ServerClock
from tap_jetti.client.session import Response
from tap_jetti.errors import ClientError, NotFoundError, ServerError, TransportError
from tap_jetti.facts.timestamps import from_epoch, to_epoch

if TYPE_CHECKING:
    import random

MICROSECOND = 1_000_000
START = 1_600_000_000
"""The server's clock at the beginning of a schedule, in seconds since the epoch."""


OPERATORS = {"$gte": ge, "$gt": gt, "$lte": le}
"""The conditions that the model understands."""


@dataclass(frozen=True)
class Freedoms:
    """What a server may do; each default is that of a friendly one.

    Attributes:
        cap: Rows per page at most; 0: as many as asked for.
        cap_from: The run with which the cap begins.
        cap_bytes: Bytes of a page at most; 0: any number.
        cut: The share of pages that are cut to a random prefix.
        count: right, missing, low, zero, high or stale.
        refuse_above: Rows asked for that are refused with a 400; 0: none are.
        fail_above: Rows asked for that fail with a 500; 0: none do.
        busy: The share of requests that fail in passing. Without a session only those that are not retried do.
        micros: Whether dates are stored with microseconds.
        mass: The share of writes that stamp many rows with one instant.
        churn: Writes per request, on average.
        late: Seconds by which a commit may come after its date at most.
        skew: Seconds by which the server's clock differs from this machine's.
        no_date: Whether responses carry no Date header.
        frozen_date: The share of runs in which the Date header stands still, as that of a cache does.
        replica_lag: Seconds by which a read may show an older state at most.
        ignores_descending: Whether a descending order is ignored.
        reorders: Whether rows of one instant come in another order each time.
        gone_after: The date after which rows cannot be read: a 404. Empty: all can.
        from_means: What ``from`` counts: offset, page or nothing.
    """

    cap: int = 0
    cap_from: int = 0
    cap_bytes: int = 0
    cut: float = 0.0
    count: str = "right"
    refuse_above: int = 0
    fail_above: int = 0
    busy: float = 0.0
    micros: bool = False
    mass: float = 0.1
    churn: float = 0.3
    late: float = 0.0
    skew: float = 0.0
    no_date: bool = False
    frozen_date: float = 0.0
    replica_lag: float = 0.0
    ignores_descending: bool = False
    reorders: bool = True
    gone_after: str = ""
    from_means: str = "offset"

    @property
    def is_capped_by_rows_only(self) -> bool:
        """Whether all pages are the whole answer, or a constant number of its rows."""
        return not (self.cut or self.cap_bytes or self.cap_from or self.replica_lag)


@dataclass(frozen=True)
class Version:
    """One state of a row: when it was stored, in microseconds, and which write made it."""

    updated: int
    write: int

    @property
    def shown(self) -> str:
        """When it was stored, as the API shows it: cut to milliseconds."""
        return from_epoch(self.updated // 1000 / 1000 + 0.0001)


@dataclass
class JettiModel:
    """One resource on a server. Several may share a clock.

    Attributes:
        rows: The committed rows.
        created: When each row was created, in seconds since the epoch.
        gets: The requests so far.
        counts: Those of them that were counts.
    """

    chance: random.Random
    freedoms: Freedoms
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(wall=START))
    rows: dict[int, Version] = field(default_factory=dict)
    created: dict[int, float] = field(default_factory=dict)
    gets: int = 0
    counts: int = 0
    run: int = 0
    is_quiet: bool = False
    is_honest: bool = False
    next_id: int = 1
    _writes: int = 0
    _met: set[int] = field(default_factory=set)
    _waiting: list[tuple[float, int, Version]] = field(default_factory=list)
    _count_cache: dict[str, int] = field(default_factory=dict)
    _history: list[tuple[float, dict[int, Version]]] = field(default_factory=list)
    _instants: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with a clock that is unknown to the reader."""
        self._began = self.clock.monotonic()
        self._frozen_at: float | None = None
        self.server_clock = ServerClock()
        self.has_cut = False

    # What happens on the server.

    def now(self) -> float:
        """The server's clock, in seconds since the epoch, whatever this machine's shows."""
        return START + self.clock.monotonic() - self._began + self.freedoms.skew

    @property
    def shows_one_past(self) -> bool:
        """Whether no answer of this run was cut while others showed an older state than those before them.

        Otherwise a row that has moved on, and that a replica still shows, can pay for one that was counted and cut.
        """
        return not (self.has_cut and self.freedoms.replica_lag)

    def fill(self, rows: int, *, days: float) -> None:
        """Begin with so many rows, changed over so many days, some of them at the same instant."""
        for _ in range(rows):
            self._instants.append(self._micros(self.now() - 60 - self.chance.random() * days * 86_400))
            instant = self.chance.choice(self._instants[-3:]) if self.chance.random() < self.freedoms.mass else None
            micros = self._instants[-1] if instant is None else instant
            self._store(self._new_id(micros), micros)
        self._history.clear()

    def restart(self) -> None:
        """Let a new process begin: it knows nothing of the server's clock."""
        self.server_clock = ServerClock()
        self.has_cut = False
        self.run += 1
        is_frozen = self.chance.random() < self.freedoms.frozen_date and not self.is_honest
        self._frozen_at = self.now() - self.chance.random() * 20 if is_frozen else None

    def pass_time(self, seconds: float, *, writes: int) -> None:
        """Let time pass, and rows change in it."""
        for _ in range(writes):
            self.clock.advance(seconds / (writes + 1))
            self._commit_due()
            if not self.is_quiet:
                self._write()
        self.clock.advance(seconds / (writes + 1))
        self._commit_due()

    def live(self) -> None:
        """Let happen at once what happens between two requests."""
        self._commit_due()
        for _ in range(self._poisson()):
            self._write()

    def settle(self) -> None:
        """Commit what waits."""
        self._commit_due(all_of_it=True)

    def _write(self) -> None:
        kind = self.chance.random()
        micros = self._micros(self.now())
        late = self.chance.random() * self.freedoms.late if self.chance.random() < 0.3 else 0.0
        if kind < 0.25 or not self.rows:
            self._commit(self._new_id(micros), micros, late)
        elif kind < 0.4:
            del self.rows[self.chance.choice(list(self.rows))]
        elif kind < 0.4 + self.freedoms.mass:
            share = self.chance.random()
            for row_id in [row_id for row_id in self.rows if self.chance.random() < share]:
                self._store(row_id, micros)
        else:
            self._commit(self.chance.choice(list(self.rows)), micros, late)

    def _commit(self, row_id: int, micros: int, late: float) -> None:
        if late:
            self._waiting.append((self.now() + late, row_id, self._version(micros)))
        else:
            self._store(row_id, micros)

    def _commit_due(self, *, all_of_it: bool = False) -> None:
        due = [one for one in self._waiting if all_of_it or one[0] <= self.now()]
        self._waiting = [one for one in self._waiting if one not in due]
        for _, row_id, version in due:
            is_new = row_id not in self._met
            if is_new or (row_id in self.rows and self.rows[row_id].write < version.write):
                self._put(row_id, version)
        if self.freedoms.replica_lag and due:
            self._remember()

    def _put(self, row_id: int, version: Version) -> None:
        self.rows[row_id] = version
        self._met.add(row_id)

    def _store(self, row_id: int, micros: int) -> None:
        self._put(row_id, self._version(micros))
        if self.freedoms.replica_lag:
            self._remember()

    def _remember(self) -> None:
        self._history.append((self.now(), dict(self.rows)))
        del self._history[:-50]

    def _version(self, micros: int) -> Version:
        self._writes += 1
        return Version(micros, self._writes)

    def _new_id(self, micros: int) -> int:
        self.next_id += 1
        self.created[self.next_id - 1] = micros / MICROSECOND
        return self.next_id - 1

    def _micros(self, seconds: float) -> int:
        micros = round(seconds * 1000) * 1000
        return micros + (self.chance.randrange(1000) if self.freedoms.micros else 0)

    # What the server answers.

    def get(self, path: str, query: Any = None, *, decode: Any = None, retry: bool = True) -> Response:
        """Answer as `JettiSession.get` does after all its retries."""
        self.gets += 1
        sent = self.clock.monotonic()
        self.pass_time(0.02 + self.chance.random() * 0.2, writes=self._poisson())
        content, date = self.serve(path, dict(query or []), fails_in_passing=not retry)
        self.pass_time(0.02 + self.chance.random() * 0.1, writes=self._poisson())
        received = self.clock.monotonic()
        if date is not None:
            self.server_clock.observe(date, received=received)
        return Response(200, decode(content) if decode else json.loads(content), len(content), sent, received)

    def serve(self, path: str, asked: dict[str, str], *, fails_in_passing: bool) -> tuple[bytes, str | None]:
        """The body of an answer, and its Date header.

        Raises:
            RequestError: The server fails.
        """
        limit = int(asked.get("limit", 50))
        self._fail(path, limit, in_passing=fails_in_passing)
        if self.freedoms.gone_after and asked.get("where[updatedAt][$gte]", "") > self.freedoms.gone_after:
            raise NotFoundError("Jetti does not know this resource", method="GET", path=path, status=404)
        matching = [(row_id, version) for row_id, version in self._shown().items() if _matches(asked, row_id, version)]
        if path.endswith("count.json"):
            self.counts += 1
            body: Any = {"count": self._count(str(sorted(asked.items())), len(matching), path)}
        else:
            body = self._page(asked, matching, limit)
        date = self.now() if self._frozen_at is None else self._frozen_at
        return json.dumps(body).encode(), None if self.freedoms.no_date else formatdate(math.floor(date), usegmt=True)

    def _poisson(self) -> int:
        if self.is_quiet or self.chance.random() >= self.freedoms.churn:
            return 0
        return self.chance.randrange(1, 4)

    def _fail(self, path: str, limit: int, *, in_passing: bool) -> None:
        place = {"method": "GET", "path": path}
        if path.endswith("count.json"):
            if self.freedoms.count == "missing":
                raise NotFoundError("Jetti does not know this resource", status=404, **place)
            return
        if self.freedoms.refuse_above and limit > self.freedoms.refuse_above:
            raise ClientError("Jetti refused the request", status=400, **place)
        if self.freedoms.fail_above and limit > self.freedoms.fail_above:
            raise ServerError("Jetti failed", status=500, **place)
        if in_passing and self.chance.random() < self.freedoms.busy:
            if self.chance.random() < 0.5:
                raise ServerError("Jetti failed", status=503, **place)
            raise TransportError("Timed out after 0 bytes", may_have_arrived=True, **place)

    def _shown(self) -> dict[int, Version]:
        lag = self.freedoms.replica_lag
        if self.is_honest or not lag or not self._history or self.chance.random() < 0.5:
            return self.rows
        young = [rows for at, rows in self._history if at >= self.now() - lag]
        return self.chance.choice(young) if young else self.rows

    def _count(self, question: str, right: int, path: str) -> int:
        kind = "right" if self.is_honest else self.freedoms.count
        if kind == "low":
            return max(0, right - self.chance.randrange(3))
        if kind == "zero":
            return right if self.chance.random() < 0.5 else 0
        if kind == "high":
            return right + (self.chance.randrange(3) if self.chance.random() < 0.5 else 0)
        if kind == "stale":
            return self._count_cache.setdefault(question + path, right)
        return right

    def _page(self, asked: dict[str, str], matching: list[tuple[int, Version]], limit: int) -> list[dict[str, Any]]:
        if self.freedoms.reorders:
            self.chance.shuffle(matching)
        if asked["order[attribute]"] == "id":
            is_descending = "order[descending]" in asked and not self.freedoms.ignores_descending
            matching.sort(key=lambda row: row[0], reverse=is_descending)
        else:
            matching.sort(key=lambda row: row[1].updated)
        most = limit
        freedoms = self.freedoms
        if "from" in asked and freedoms.from_means != "nothing":
            matching = matching[int(asked["from"]) * (limit if freedoms.from_means == "page" else 1) :]
        if freedoms.cap and self.run >= freedoms.cap_from:
            most = min(most, freedoms.cap)
        if freedoms.cap_bytes:
            most = min(most, max(1, freedoms.cap_bytes // (40 + self.chance.randrange(20))))
        if not self.is_honest and self.chance.random() < freedoms.cut:
            most = min(most, self.chance.randrange(limit + 1))
        self.has_cut = self.has_cut or most < min(limit, len(matching))
        return [
            {"id": row_id, "updatedAt": version.shown, "write": version.write} for row_id, version in matching[:most]
        ]


def _matches(asked: dict[str, str], row_id: int, version: Version) -> bool:
    for field_name, value in (("id", row_id), ("updatedAt", version.updated)):
        for operator, fits in OPERATORS.items():
            wanted = asked.get(f"where[{field_name}][{operator}]")
            if wanted is not None:
                limit = int(wanted) if field_name == "id" else round(to_epoch(wanted) * MICROSECOND)
                if not fits(value, limit):
                    return False
    return True
