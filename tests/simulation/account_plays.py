"""Schedules of two streams in each run, through the real session, its retries and its rate limit."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from invariants import Killed, Violation
from jetti_model import JettiModel
from model_network import Conditions, ModelNetwork, session_through
from stream_plays import DAY, LOGGER, StreamRuns, freedoms_of
from tally import Tally
from tap_jetti.client.retry import RetryPolicy
from tap_jetti.errors import IncompleteReadError, JettiError, RateLimitedError, RetriableError

if TYPE_CHECKING:
    from tap_jetti.client.session import JettiSession
    from tap_jetti.reading.server_profile import ServerProfile

RESOURCES = ("sales", "variants")


def conditions_of(chance: random.Random) -> Conditions:
    """The network of a schedule, and the limit of its token."""
    return Conditions(
        rate=chance.choice([2.0, 10.0, 50.0]),
        burst=chance.choice([2.0, 5.0, 40.0]),
        latency=chance.choice([0.01, 0.2, 1.0]),
        fails=chance.choice([0.0, 0.0, 0.03, 0.15]),
        storms=chance.choice([0.0, 0.0, 0.05, 0.3]),
    )


def opened(network: ModelNetwork, chance: random.Random) -> JettiSession:
    """The session of a new process, whose retries are decided by the seed, too."""
    session = session_through(network, LOGGER)
    session._retry = RetryPolicy(300, random.Random(chance.random()))
    return session


def play_account(seed: int) -> Tally:
    """Three to five runs, each of two streams that share a profile of the server.

    Raises:
        Violation: An invariant is broken.
    """
    chance = random.Random(f"account {seed}")
    first = freedoms_of("honest", chance)
    freedoms = [first, replace(freedoms_of("honest", chance), skew=first.skew, no_date=first.no_date, frozen_date=0.0)]
    freedoms[0] = replace(first, frozen_date=0.0)
    models = [JettiModel(random.Random(chance.random()), freedoms[0])]
    models.append(JettiModel(random.Random(chance.random()), freedoms[1], clock=models[0].clock))
    clock = models[0].clock
    network = ModelNetwork(
        models=dict(zip(RESOURCES, models, strict=True)),
        conditions=conditions_of(chance),
        clock=clock,
        chance=random.Random(chance.random()),
    )
    session = opened(network, chance)
    limit = chance.randrange(8, 65)
    streams = [
        StreamRuns(model, limit, verify_counts="auto", session=lambda: session, resource=name)
        for name, model in zip(RESOURCES, models, strict=True)
    ]
    for model in models:
        model.fill(chance.randrange(61), days=chance.choice([0.001, 1, 30]))
    tally = Tally(schedules=1)
    for _ in range(chance.randrange(3, 6)):
        for model in models:
            model.pass_time(chance.choice([1, 30, 0.5 * DAY, DAY]), writes=chance.choice([0, 1, 5, 20]))
        session.close()
        session = opened(network, chance)
        profile = streams[0].profile()
        tally.runs += 1
        stop_after = None if chance.random() < 0.7 else chance.randrange(80)
        for stream in streams:
            _run(stream, stop_after, profile, tally)
    tally.gets = network.sent
    session.close()
    return tally


def _run(stream: StreamRuns, stop_after: int | None, profile: ServerProfile, tally: Tally) -> None:
    model, warehouse = stream.model, stream.warehouse
    before, counts = dict(model.rows), model.counts
    try:
        read = stream.run(stop_after=stop_after, profile=profile)
    except Killed:
        tally.killed += 1
        warehouse.bookmark = model.chance.choice(warehouse.printed[-3:])
    except RateLimitedError as error:
        raise Violation("a run fails with a 429") from error
    except (IncompleteReadError, RetriableError):
        tally.failed += 1
    except JettiError as error:
        raise Violation(f"unexpected: {error!r}") from error
    else:
        tally.note_proof(read.proof.value)
        tally.late += stream.judge(read, before, counts=counts)
    warehouse.check_nothing_lost(model)
