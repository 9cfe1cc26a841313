"""Asks the server of one account what its documentation leaves open. It only reads, with at most 20 GETs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tap_jetti.client.query import select
from tap_jetti.doctor.check import NAMES, Check, broken, unknown
from tap_jetti.doctor.verdicts import (
    attributes_of,
    clock_of,
    count_of,
    filter_of,
    hash_of,
    order_of,
    page_cap_of,
    permissions_of,
    position_of,
    rate_headers_of,
    unknown_fields_of,
)
from tap_jetti.errors import (
    AuthenticationError,
    ClientError,
    ForbiddenError,
    JettiError,
    RequestError,
    ResponseTooLargeError,
    ServerError,
    UnreliableResponseError,
)
from tap_jetti.facts import resources
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY, api_name
from tap_jetti.reading.page import MalformedPageError, Page, decode_objects
from tap_jetti.reading.page_limit import DEFAULT_LIMIT, FIRST_LIMIT, PageLimit
from tap_jetti.reading.pages import KeyRange, Projection, ResourcePages
from tap_jetti.reading.server_profile import ServerProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession, Response

MAIN = (
    "sales",
    "purchases",
    "inventory_feed_variants",
    "products",
    "variants",
    "dropship_providers",
    "channels",
    "inventory_feeds",
)
"""The resources that are looked at: what most accounts read and write, those with most rows first."""

FEW = 20
"""Rows that are enough to see how they are filtered and ordered."""

_QUIET = logging.getLogger("jetti-doctor")
_QUIET.addHandler(logging.NullHandler())  # the report says what the tap would log
_QUIET.propagate = False

LEFT_OUT = "createdAt"
"""The field that is left out of a list of all fields, to see whether it comes all the same."""


class Examination:
    """One look at an account.

    Args:
        session: What sends the requests, within the rate limit.
        clock: This machine's clock.
        settings: The settings of the tap, validated.
    """

    def __init__(self, session: JettiSession, *, clock: Clock, settings: Mapping[str, Any]) -> None:
        self._session = session
        self._clock = clock
        self._settings = settings
        self._responses: list[Response] = []
        self._pages: dict[str, Page] = {}
        self._faults: dict[str, JettiError] = {}

    @property
    def company(self) -> str | None:
        """The id of the company that the token belongs to; None if no row shows it."""
        found = (row.get("companyId") for page in self._pages.values() for row in page)
        return next((str(one) for one in found if one is not None), None)

    def checks(self) -> list[Check]:
        """The outcome of every check, in the order of `NAMES`."""
        found = {check.name: check for check in self._examine()}
        why = found["token"].found if found["token"].verdict == "broken" else "no row of this account shows it"
        return [found.get(name) or unknown(name, f"It cannot be told: {why}.") for name in NAMES]

    def _examine(self) -> list[Check]:
        token = self._look()
        if token.verdict == "broken":
            return [token]
        # Two rows at least show what an order or a position does.
        sample = next((name for name in MAIN if len(self._pages.get(name, ())) > 1), None)
        checks = [
            token,
            permissions_of(self._faults, MAIN),
            unknown_fields_of(self._pages, self._settings["unknown_fields"]),
            hash_of(self._pages.get("inventory_feeds")),
        ]
        if sample is not None:
            checks += self._examine_sample(sample)
        # Last, for they are about all responses.
        checks.append(rate_headers_of([one.headers for one in self._responses], self._session.stats))
        checks.append(self._clock_check())
        return checks

    def _look(self) -> Check:
        """A few rows of each main resource; answers whether the token is taken."""
        for resource in MAIN:
            limit = FIRST_LIMIT // 2 if resource == "inventory_feeds" else 2
            try:
                self._pages[resource] = self._page(resource, order=PRIMARY_KEY, limit=limit)
            except AuthenticationError as error:
                return broken("token", error)
            except JettiError as error:
                self._faults[resource] = error
                is_answer = isinstance(error, RequestError) and error.status is not None
                if not self._pages and not is_answer:
                    return broken("token", error)  # nothing was ever answered: seven more would not be either
        if not self._pages and not any(isinstance(one, ForbiddenError) for one in self._faults.values()):
            return broken("token", self._faults[MAIN[0]])
        return Check("token", "ok", "accepted")

    def _examine_sample(self, sample: str) -> list[Check]:
        counts = self._counts(sample)
        checks = [count_of(counts, {name: len(page) for name, page in self._pages.items()})]
        try:
            page, cap = self._largest_page(sample, counts.get(sample))
        except JettiError as error:
            return [*checks, broken("page_cap", error)]
        checks.append(cap)
        probes: dict[str, Callable[[], list[Check]]] = {
            "filter": lambda: self._filter_and_order(sample, page),
            "from": lambda: [position_of(page, self._page(sample, order=PRIMARY_KEY, limit=2, **{"from": 1}))],
            "attributes": lambda: [self._attributes(sample)],
        }
        for name, probe in probes.items():
            try:
                checks += probe()
            except JettiError as error:
                checks.append(broken(name, error))
        return checks

    def _counts(self, sample: str) -> dict[str, int | None]:
        """What the server counts of the sample, and of one more resource: the guides show it of purchases alone."""
        other = next(name for name in ("purchases", *MAIN) if name != sample and name not in self._faults)
        return {name: self._count(name) for name in (sample, other)}

    def _count(self, resource: str) -> int | None:
        pages = ResourcePages(
            self._session,
            resource,
            projection=Projection(),
            profile=ServerProfile(page_limit=PageLimit()),
            logger=_QUIET,
        )
        return pages.count(KeyRange(PRIMARY_KEY, 0))

    def _largest_page(self, sample: str, counted: int | None) -> tuple[Page, Check]:
        """As many rows as the tap would ask for, or as the server gives."""
        wanted: int = self._settings.get("page_size") or self._settings["max_page_size"]
        refusal: JettiError | None = None
        for limit in dict.fromkeys((wanted, min(wanted, FIRST_LIMIT), min(wanted, DEFAULT_LIMIT))):
            try:
                page = self._page(sample, order=PRIMARY_KEY, limit=limit)
            except (ClientError, ServerError, ResponseTooLargeError) as error:
                refusal = refusal or error
            else:
                return page, page_cap_of(len(page), wanted=wanted, asked=limit, counted=counted, refusal=refusal)
        raise refusal or AssertionError

    def _filter_and_order(self, sample: str, page: Page) -> list[Check]:
        """Rows from the middle of a page on, by date, and the newest ones by id."""
        dates = sorted({key for key in page.keys if key is not None})
        key, values = (REPLICATION_KEY, dates) if len(dates) > 1 else (PRIMARY_KEY, sorted(page.ids))
        middle = values[len(values) // 2]
        later = self._page(sample, where={key: {"$gte": middle}}, order=key, limit=FEW)
        newest = self._page(sample, order=PRIMARY_KEY, descending=True, limit=FEW)
        return [filter_of(later.values(key), key, middle), order_of(later.values(key), key, newest.ids)]

    def _attributes(self, sample: str) -> Check:
        """A long list of fields as the tap sends it, and a short one where that is refused."""
        fields = [name for name in resources.schema(sample)["properties"] if name != LEFT_OUT]
        refusal: JettiError | None = None
        for wanted in (fields, [PRIMARY_KEY, REPLICATION_KEY]):
            try:
                page = self._page(sample, order=PRIMARY_KEY, limit=1, attributes=wanted)
            except (ClientError, ServerError) as error:
                refusal = refusal or error
            else:
                is_honoured = not any(LEFT_OUT in row for row in page)
                return attributes_of(len(wanted), is_honoured=is_honoured, refusal=refusal)
        return attributes_of(0, is_honoured=False, refusal=refusal)

    def _clock_check(self) -> Check:
        now = self._clock.monotonic()
        dates = [key for page in self._pages.values() for key in page.keys if key is not None]
        return clock_of(self._session.server_clock.at(now), self._clock.time(), max(dates, default=None))

    def _page(self, resource: str, **query: Any) -> Page:  # noqa: ANN401 - any parameter of the API
        """One page.

        Raises:
            JettiError: There was none.
        """
        path = f"{api_name(resource)}.json"
        try:
            response = self._session.get(path, select(**query), decode=decode_objects)
        except MalformedPageError as error:
            raise UnreliableResponseError(f"GET {path} did not return rows: {error}.") from error
        self._responses.append(response)
        page: Page = response.body
        return page
