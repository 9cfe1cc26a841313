"""Shipments, cancellations and new rows are written once, by however many processes, whatever is killed when."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from target_runs import deliver, jetti, record, rejects, schema, settings_for, start_process, state

from runs import LOGGER
from tap_jetti.client.clock import VirtualClock
from tap_jetti.errors import StoreError, UncertainWriteError
from tap_jetti.target.delivery.ledger.account_ledger import AccountLedger
from tap_jetti.target.delivery.ledger.once import QUIET_SECONDS, Claim, Identity, OnceMarks, collapsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox

ONE = Identity("shipments", "1")
ALL: frozenset[int] = frozenset()


class Process:
    """What stands for a process: a ledger of its own on the files of all."""

    def __init__(self, folder: Path, clock: VirtualClock, **arguments: Any) -> None:
        self.ledger = AccountLedger(str(folder), "acme", now=lambda: round(clock.time() * 1000), logger=LOGGER)
        self.marks = OnceMarks(self.ledger, clock=clock, **arguments)

    def claim(self, items: frozenset[int] | None = ALL) -> Claim:
        """Claim the one write of these tests."""
        return self.marks.claim({ONE: items})[ONE]

    def end(self) -> None:
        """End in an orderly way."""
        self.marks.close()
        self.ledger.close()

    def die(self) -> None:
        """Be killed: nothing is written any more, and the lock is free."""
        self.ledger.owner()
        assert self.ledger._owner_lock is not None
        self.ledger._owner_lock.release()
        self.ledger.sent.connection.close()


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that the test moves."""
    return VirtualClock()


def test_a_mark_belongs_to_who_makes_it_first(tmp_path: Path, clock: VirtualClock) -> None:
    """Others find it busy, then done; later it counts only if Jetti shows it."""
    first, second = Process(tmp_path, clock), Process(tmp_path, clock)
    assert (first.claim(), second.claim()) == (Claim.OWN, Claim.BUSY)
    first.marks.begin(ONE)
    assert second.claim() is Claim.BUSY
    first.marks.done(ONE)
    assert second.claim() is Claim.DONE
    clock.advance(QUIET_SECONDS)
    assert second.claim() is Claim.OWN
    first.end()
    second.end()


def test_a_claim_that_was_not_begun_is_free_as_soon_as_its_process_is_dead(tmp_path: Path, clock: VirtualClock) -> None:
    """It cannot have been written; one that was begun may have been, for a quarter of an hour."""
    first, second = Process(tmp_path, clock), Process(tmp_path, clock)
    first.claim()
    first.die()
    assert second.claim() is Claim.OWN
    second.marks.begin(ONE)
    second.die()
    third = Process(tmp_path, clock)
    assert third.claim() is Claim.UNCERTAIN
    clock.advance(QUIET_SECONDS - 1)
    assert third.claim() is Claim.UNCERTAIN
    clock.advance(1)
    assert third.claim() is Claim.OWN
    third.end()


def test_what_was_refused_or_given_back_is_free(tmp_path: Path, clock: VirtualClock) -> None:
    """A clear refusal, and the orderly end of a process, leave no mark."""
    first, second = Process(tmp_path, clock), Process(tmp_path, clock)
    first.claim()
    first.marks.begin(ONE)
    first.marks.drop(ONE)
    assert second.claim() is Claim.OWN
    second.end()
    assert first.claim() is Claim.OWN
    first.end()


def test_other_items_of_a_write_are_another_write(tmp_path: Path, clock: VirtualClock) -> None:
    """Items that were shipped are done; further ones, and 'all that is left', are looked up."""
    first, second = Process(tmp_path, clock), Process(tmp_path, clock)
    first.claim(frozenset({1, 2}))
    first.marks.done(ONE)
    assert second.claim(frozenset({2})) is Claim.DONE
    assert second.claim(frozenset({2, 3})) is Claim.OWN
    second.marks.done(ONE)
    assert first.claim(frozenset({1, 3})) is Claim.DONE
    assert first.claim(ALL) is Claim.OWN
    first.end()
    second.end()


def test_an_uncertain_write_waits_unless_a_person_sends_it_again(tmp_path: Path, clock: VirtualClock) -> None:
    """Who read that it is uncertain has looked, and takes it on."""
    first = Process(tmp_path, clock)
    first.claim()
    first.marks.begin(ONE)
    first.marks.uncertain(ONE)
    assert first.claim() is Claim.UNCERTAIN
    assert first.marks.claim({ONE: ALL}, released={ONE})[ONE] is Claim.OWN
    first.end()


def test_who_waits_too_long_for_a_living_process_gives_up(tmp_path: Path, clock: VirtualClock) -> None:
    """A paused process counts as living, however long it is paused."""
    first, second = Process(tmp_path, clock), Process(tmp_path, clock)
    first.claim()
    with pytest.raises(UncertainWriteError, match="another process"):
        second.marks.wait(ONE, ALL)
    first.end()
    second.end()


def test_without_a_ledger_that_can_be_written_nothing_is_claimed(tmp_path: Path, clock: VirtualClock) -> None:
    """The write is not made: it might be made twice."""
    first = Process(tmp_path, clock)
    first.claim()
    first.ledger.sent.connection.execute("DROP TABLE once")
    with pytest.raises(StoreError, match="ledger cannot be written"):
        first.claim()


def test_names_are_one_however_they_are_written() -> None:
    """Blanks and case mean nothing in the name of a feed."""
    assert collapsed(" Main  Stock ") == collapsed("main stock")


def finish(processes: Sequence[subprocess.Popen[bytes]], lines: bytes) -> list[int]:
    """Give processes their input at the same time, and return how they end."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(lines)
        process.stdin.close()
    codes = []
    for process in processes:
        with process:
            assert process.stderr is not None
            process.stderr.read()
            codes.append(process.wait(timeout=60))
    return codes


def two_at_once(sandbox: Sandbox, folder: Path, messages: Sequence[Any], **settings: Any) -> list[int]:
    """Run two targets with the same input and the same state directory."""
    config = settings_for(sandbox, **{"concurrency": 4, **settings})
    lines = "".join(json.dumps(one) + "\n" for one in messages).encode()
    return finish([start_process(folder, config) for _ in range(2)], lines)


def test_two_processes_ship_each_purchase_once(tmp_path: Path) -> None:
    """Both end well; a purchase has one shipment, whoever made it."""
    with jetti(latency=0.02) as sandbox:
        for purchase in range(100, 140):
            sandbox.upsert("purchases", {"id": purchase, "purchaseStatusId": 1})
            sandbox.upsert("purchase_items", {"id": purchase * 10, "purchaseId": purchase, "quantity": 1})
        shipments = [record("shipments", purchaseId=n, trackingNumber=f"1z {n}") for n in range(100, 140)]
        assert two_at_once(sandbox, tmp_path, [schema("shipments"), *shipments, state(1)]) == [0, 0]
        shipped = Counter(row["purchaseId"] for row in sandbox.rows("dropshipments"))
        assert shipped == dict.fromkeys(range(100, 140), 1)


def test_two_processes_create_each_provider_once(tmp_path: Path) -> None:
    """Both end well; each provider is there once, also if it is written in two ways."""
    with jetti(latency=0.02) as sandbox:
        providers = [record("dropship_providers", externalId=f"New {n}", name=f"N{n}") for n in range(15)]
        again = [record("dropship_providers", externalId=f" new  {n}", name=f"N{n}") for n in range(3)]
        messages = [schema("dropship_providers"), *providers, *again, state(1)]
        assert two_at_once(sandbox, tmp_path, messages) == [0, 0]
        found = Counter(collapsed(row["externalId"]) for row in sandbox.rows("dropship_providers"))
        assert {name: found[name] for name in found if name.startswith("new")} == {f"new {n}": 1 for n in range(15)}


def test_a_shipment_is_recognised_however_jetti_writes_its_number() -> None:
    """Blanks and case of a tracking number, and of a feed's name, make no second one."""
    with jetti() as sandbox:
        deliver(sandbox, schema("shipments"), record("shipments", purchaseId=21, trackingNumber="1z 999 aa1"))
        [row] = sandbox.rows("dropshipments")
        sandbox.upsert("dropshipments", {"id": row["id"], "trackingNumber": "1Z999AA1"})
        feed = record("inventory_feeds", dropshipProviderId=3, name="Other stock ", resourceType="webhook")
        for ledger in ("auto", "none"):
            shipment = record("shipments", purchaseId=21, trackingNumber="1z 999 aa1")
            assert deliver(sandbox, schema("shipments"), shipment, ledger=ledger).of("shipments").unchanged == 1
            deliver(sandbox, schema("inventory_feeds"), feed, ledger=ledger)
            for found in sandbox.rows("inventory_feeds"):
                sandbox.upsert("inventory_feeds", {"id": found["id"], "name": found["name"].strip()})
        assert len(sandbox.rows("dropshipments")) == 1
        assert len(sandbox.rows("inventory_feeds")) == 2


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_leaves_nothing_that_is_shipped_twice(seed: int, tmp_path: Path) -> None:
    """Killed in the middle, and started again until it is through: what is uncertain is named, nothing is doubled."""
    with jetti(latency=0.01) as sandbox:
        for purchase in range(100, 120):
            sandbox.upsert("purchases", {"id": purchase, "purchaseStatusId": 1})
        shipments = [record("shipments", purchaseId=n, trackingNumber=f"T{n}") for n in range(100, 120)]
        lines = "".join(json.dumps(one) + "\n" for one in [schema("shipments"), *shipments, state(1)]).encode()
        config = settings_for(sandbox, on_reject="set_aside", rejects_path=str(tmp_path / "rejects"))
        process = start_process(tmp_path, config)
        assert process.stdin is not None
        process.stdin.write(lines)
        process.stdin.close()
        while len(sandbox.requests.writes) < 3 + 4 * seed:
            time.sleep(0.001)
        process.kill()
        with process:
            assert process.stderr is not None
            process.stderr.read()
        [code] = finish([start_process(tmp_path, config)], lines)
        shipped = Counter(row["purchaseId"] for row in sandbox.rows("dropshipments"))
        assert max(shipped.values()) == 1
        path = tmp_path / "rejects"
        left = {one["record"]["purchaseId"] for one in rejects(path)[1:]} if path.exists() else set()
        assert left == set(range(100, 120)) - shipped.keys()
        assert code == bool(left)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis of this test alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(shutil.which("redis-server")), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b"Ready to accept connections" in line:
                break
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


@needs_redis
def test_two_machines_ship_each_purchase_once(tmp_path: Path) -> None:
    """With a Redis for the rate limit they need not share a state directory."""
    pytest.importorskip("redis", reason="needs the extra redis")
    with jetti(latency=0.02) as sandbox, redis_server(tmp_path) as url:
        for purchase in range(100, 120):
            sandbox.upsert("purchases", {"id": purchase, "purchaseStatusId": 1})
        shipments = [record("shipments", purchaseId=n, trackingNumber=f"T{n}") for n in range(100, 120)]
        lines = "".join(json.dumps(one) + "\n" for one in [schema("shipments"), *shipments, state(1)]).encode()
        config = settings_for(sandbox, rate_limit_store=url)
        homes = [tmp_path / "one", tmp_path / "two"]
        for home in homes:
            home.mkdir()
        assert finish([start_process(home, config) for home in homes], lines) == [0, 0]
        shipped = Counter(row["purchaseId"] for row in sandbox.rows("dropshipments"))
        assert shipped == dict.fromkeys(range(100, 120), 1)


@needs_redis
def test_a_claim_in_redis_belongs_to_its_owner(tmp_path: Path, clock: VirtualClock) -> None:
    """Other machines find it busy, then done; a mark of a dead process of the own machine is taken over."""
    hosts = pytest.importorskip("tap_jetti.target.delivery.ledger.once_hosts", reason="needs the extra redis")
    with redis_server(tmp_path) as url:
        here, there = tmp_path / "here", tmp_path / "there"
        first, other = (Process(one, clock, hosts=hosts.RedisClaims(url, "acme")) for one in (here, there))
        assert (first.claim(), other.claim()) == (Claim.OWN, Claim.BUSY)
        first.die()
        again = Process(here, clock, hosts=hosts.RedisClaims(url, "acme"))
        assert again.claim() is Claim.OWN
        again.marks.done(ONE)
        assert other.claim() is Claim.DONE
        other.end()
        again.end()
    with pytest.raises(StoreError, match="Redis of rate_limit_store failed"):
        Process(tmp_path / "third", clock, hosts=hosts.RedisClaims(url, "acme")).claim()
