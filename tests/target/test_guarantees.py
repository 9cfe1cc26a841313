"""What is delivered, in which order, and when STATE follows."""

from __future__ import annotations

import io
import json
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
from target_runs import (
    FEED,
    VARIANTS,
    WatchedClock,
    as_lines,
    deliver,
    jetti,
    record,
    rejects,
    schema,
    settings_for,
    start_process,
    state,
    stock,
    variant,
    wait_for_line,
)

from tap_jetti.errors import AuthenticationError, ForbiddenError, JettiError, RecordError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("delivery", ["inbound", "api"])
def test_all_records_arrive_and_state_follows(delivery: str) -> None:
    """120 variants go in batches of at most 50 inbound or one by one, and the last STATE comes out."""
    with jetti() as sandbox:
        outcome = deliver(
            sandbox, schema(), *(variant(n, n) for n in range(120)), state({"at": 1.5}), delivery=delivery
        )
        assert outcome.states[-1] == {"at": 1.5}
        assert outcome.code == 0
        assert stock(sandbox) == {f"e{n}": n for n in range(120)}
        assert len(sandbox.requests.writes) == (3 if delivery == "inbound" else 120)


def test_the_last_record_of_a_key_wins_in_a_batch_and_fields_of_earlier_ones_stay() -> None:
    """Two records of one key go as one item that has the fields of both, the later value of each."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, schema(), variant(1, 1, barcode="b"), variant(1, 2))
        assert stock(sandbox) == {"e1": 2}
        assert sandbox.requests.writes[0].body == [
            {"externalId": "e1", "vendorSku": "v1", "inventoryQuantity": 2, "barcode": "b"}
        ]
        assert (outcome.of().received, outcome.of().merged, outcome.of().sent) == (2, 1, 1)


def test_one_key_keeps_its_order_across_batches_and_retries() -> None:
    """With eight calls in flight, failures and cut connections, the last value of each key stands."""
    kinds = ("500", "429", "reset-before", "reset-after")
    with jetti(faults=0.2, fault_kinds=kinds, latency_jitter=0.02) as sandbox:
        messages = [variant(n % 5, n) for n in range(150)]
        # Long enough for the unluckiest of all these calls: what is tested is the order, not giving up.
        outcome = deliver(sandbox, schema(), *messages, state(1), batch_size=2, skip_unchanged=False, retry_seconds=300)
        assert outcome.error is None
        assert outcome.states[-1] == 1
        assert stock(sandbox) == {f"e{n}": 145 + n for n in range(5)}


def test_order_holds_between_actions_on_one_variant() -> None:
    """A removal that follows an update of the same variant is made after it, though batches differ."""
    with jetti(latency=0.02) as sandbox:
        removal = "inventory_feed_variant_removals"
        outcome = deliver(
            sandbox, schema(), schema(removal), variant(1, 1), variant(2, 2), record(removal, externalId="e1"),
            delivery="api",
        )  # fmt: skip
        assert outcome.error is None
        assert stock(sandbox) == {"e2": 2}


def test_state_does_not_pass_a_failure(tmp_path: Path) -> None:
    """When Jetti stays away, the run fails and only the STATE before the undelivered records is out."""
    with jetti() as sandbox:
        sandbox.on_request = lambda _number, method, _path: (
            setattr(sandbox.options, "faults", 1.0) if method == "POST" and len(sandbox.requests.inbound) > 1 else None
        )
        sandbox.options.fault_kinds = ("reset-before",)
        records = [variant(n, n) for n in range(100)]
        outcome = deliver(
            sandbox, schema(), *records[:50], state("half"), *records[50:], state("all"),
            concurrency=1, retry_seconds=0.2, rejects_path=str(tmp_path / "r"),
        )  # fmt: skip
        assert outcome.states == ["half"]
        assert "Connection lost" in str(outcome.error)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        pytest.param({"token": "another"}, AuthenticationError, id="401"),
        pytest.param({"forbidden": ("inventory_feeds",)}, ForbiddenError, id="403"),
    ],
)
def test_a_refused_token_or_role_stops_the_run(
    options: dict[str, Any], error: type[JettiError], tmp_path: Path
) -> None:
    """401 and 403 are about everything: nothing is set aside, the run fails, no STATE comes out."""
    with jetti(**options) as sandbox:
        outcome = deliver(
            sandbox, schema(), variant(1, 1), state(1),
            api_token="sandbox-token", on_reject="set_aside", rejects_path=str(tmp_path / "r"),
        )  # fmt: skip
        assert isinstance(outcome.error, error)
        assert outcome.states == []
        assert (tmp_path / "r").read_text() == ""


def test_a_refused_hash_names_the_setting_to_mend() -> None:
    """An inbound 401 is about the hash, and says so without showing it."""
    with jetti(refuse_unknown_hash=True) as sandbox:
        outcome = deliver(sandbox, schema(), variant(1, 1), inventory_feed_hash="not-this-one")
        assert isinstance(outcome.error, SettingsError)
        assert f"hash of inventory feed {FEED}" in str(outcome.error)
        assert "not-this-one" not in str(outcome.error)


def test_the_first_reject_stops_the_run_by_default() -> None:
    """A record that cannot be written fails the run, with its line and reason, and holds STATE back."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, schema(), variant(1, 1), state(1), variant(2, -5), state(2))
        assert isinstance(outcome.error, RecordError)
        assert "line 4" in str(outcome.error)
        assert "inventoryQuantity must be a quantity of 0 or more" in str(outcome.error)
        assert 2 not in outcome.states


def test_rejects_are_set_aside_and_can_be_fed_back_in(tmp_path: Path) -> None:
    """The others go, STATE passes, the exit code is 1, and the mended file replays."""
    path = tmp_path / "rejects.jsonl"
    with jetti() as sandbox:
        outcome = deliver(
            sandbox, schema(), variant(1, 1), variant(2, "many"), record(vendorSku="no key"), variant(3, 3), state(9),
            on_reject="set_aside", rejects_path=str(path),
        )  # fmt: skip
        assert (outcome.code, outcome.error, outcome.states) == (1, None, [9])
        assert stock(sandbox) == {"e1": 1, "e3": 3}
        first, *found = rejects(path)
        assert first == schema()
        assert [one["rejection"]["title"] for one in found] == ["inventoryQuantity.invalid", "externalId.missing"]
        assert found[0]["record"] == variant(2, "many")["record"]
        assert found[0]["rejection"].keys() == {"status", "title", "detail", "time", "order", "ledger"}
        found[0]["record"]["inventoryQuantity"] = 2
        replayed = deliver(sandbox, first, found[0])
        assert replayed.code == 0
        assert stock(sandbox) == {"e1": 1, "e2": 2, "e3": 3}


def test_a_second_run_adds_to_the_rejects_behind_a_torn_line(tmp_path: Path) -> None:
    """What an earlier run set aside stays; a line that a kill tore off goes."""
    path = tmp_path / "rejects.jsonl"
    settings = {"on_reject": "set_aside", "rejects_path": str(path)}
    with jetti() as sandbox:
        deliver(sandbox, schema(), variant(1, -1), **settings)
        with path.open("a") as file:
            file.write('{"type": "RECORD", "stream": "inv')
        deliver(sandbox, schema(), variant(2, -1), **settings)
    assert [one["type"] for one in rejects(path)] == ["SCHEMA", "RECORD", "SCHEMA", "RECORD"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_rejects_hold_no_secrets(tmp_path: Path) -> None:
    """Credentials of a record are withheld from the rejects file, and named."""
    path = tmp_path / "rejects.jsonl"
    with jetti() as sandbox:
        outcome = deliver(
            sandbox,
            schema("inventory_feeds"),
            record(
                "inventory_feeds", name="x", authenticationSecret="hush", resourceLocation="ftp://u:pass@host/f.csv"
            ),
            on_reject="set_aside",
            rejects_path=str(path),
        )
        assert outcome.code == 1
    text = path.read_text()
    assert "hush" not in text
    assert "pass@" not in text
    assert rejects(path)[1]["rejection"]["withheld"] == ["authenticationSecret", "resourceLocation"]


def test_one_poison_product_is_isolated_from_its_neighbours(tmp_path: Path) -> None:
    """Of a batch that Jetti refuses for one item, all others go, in few calls."""
    path = tmp_path / "rejects.jsonl"
    products = [record("products", externalId=f"p{n}", sku=f"k{n}", name="x") for n in range(50)]
    products[17]["record"].pop("sku")
    with jetti() as sandbox:
        outcome = deliver(
            sandbox, schema("products"), *products, state(1),
            delivery="api", on_reject="set_aside", rejects_path=str(path),
        )  # fmt: skip
        assert outcome.states == [1]
        assert outcome.of("products").sent == 49
        assert len(sandbox.rows("channel_variants")) == 49
        assert [one["record"]["externalId"] for one in rejects(path)[1:]] == ["p17"]
        assert len(sandbox.requests.writes) <= 14


@pytest.mark.parametrize("permanent", ["mixed", "500"])
def test_a_business_error_is_a_reject_whatever_its_status(permanent: str, tmp_path: Path) -> None:
    """A 500 with a dotted title is tried three times, and then it is about the record."""
    path = tmp_path / "rejects.jsonl"
    with jetti(permanent_errors=permanent) as sandbox:
        outcome = deliver(
            sandbox, schema(), record(externalId="new", inventoryQuantity=1), variant(2, 2), state(1),
            delivery="api", on_reject="set_aside", rejects_path=str(path),
        )  # fmt: skip
        assert (outcome.code, outcome.states) == (1, [1])
        assert stock(sandbox) == {"e2": 2}
        rejection = rejects(path)[1]["rejection"]
        assert rejection["status"] == (500 if permanent == "500" else 422)
        assert rejection["title"] == "api.inventory_feed_variants.create.missing"


@pytest.mark.parametrize(
    ("feed", "title"),
    [
        pytest.param({"inventoryFeedId": 99}, "api.inventory_feeds.missing", id="missing"),
        pytest.param({"inventoryFeedId": 8}, "inventory_feeds.resource_type", id="no-webhook"),
        pytest.param({"inventoryFeedId": "x"}, "inventoryFeedId.invalid", id="no-id"),
    ],
)
def test_records_of_an_unusable_feed_are_rejected(feed: dict[str, Any], title: str, tmp_path: Path) -> None:
    """A feed that does not exist or takes no pushed data refuses its own records, not those of others."""
    path = tmp_path / "rejects.jsonl"
    with jetti() as sandbox:
        sandbox.upsert("inventory_feeds", {"id": 8, "name": "Pull", "resourceType": "ftpCsv", "hash": "h8"})
        outcome = deliver(
            sandbox, schema(), variant(1, 1, **feed), variant(2, 2), on_reject="set_aside", rejects_path=str(path)
        )
        assert outcome.code == 1
        assert stock(sandbox) == {"e2": 2}
        assert rejects(path)[1]["rejection"]["title"] == title


def test_several_feeds_in_one_run_each_get_their_own_calls() -> None:
    """A record's feed wins over the setting, and hashes are looked up once each."""
    with jetti() as sandbox:
        sandbox.upsert("inventory_feeds", {"id": 8, "name": "Two", "resourceType": "webhook", "hash": "h8"})
        messages = [variant(n, n, inventoryFeedId=(FEED, 8)[n % 2]) for n in range(40)]
        outcome = deliver(sandbox, schema(), *messages, skip_unchanged=False)
        assert outcome.error is None
        feeds = {row["externalId"]: row["inventoryFeedId"] for row in sandbox.rows(VARIANTS)}
        assert feeds == {f"e{n}": (FEED, 8)[n % 2] for n in range(40)}
        assert (len(sandbox.requests.gets), len(sandbox.requests.writes)) == (2, 2)


def test_state_comes_out_though_the_input_falls_silent(tmp_path: Path) -> None:
    """A batch that is not full is sent when nothing more comes, and its STATE written."""
    with jetti() as sandbox:
        process = start_process(tmp_path, settings_for(sandbox))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(as_lines([schema(), variant(1, 1), state({"x": 1})]).encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"x": 1}
        process.communicate()
        assert process.returncode == 0


@pytest.mark.parametrize("again", [None, signal.SIGTERM, signal.SIGINT], ids=["once", "then SIGTERM", "then SIGINT"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_run_with_its_code_and_the_state_of_what_is_delivered(
    signum: signal.Signals, again: signal.Signals | None, tmp_path: Path
) -> None:
    """What is in flight is finished, nothing new begun; the exit code tells the signal, the first of two."""
    with jetti() as sandbox:
        arrived, may_answer = threading.Event(), threading.Event()

        def hold_post(_number: int, method: str, _path: str) -> None:
            if method == "POST":
                arrived.set()
                may_answer.wait(20)

        sandbox.on_request = hold_post
        config = settings_for(sandbox, batch_size=1, concurrency=1, skip_unchanged=False)
        with start_process(tmp_path, config) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            messages = [schema()]
            for number in range(3):
                messages += [variant(number, number), state(number)]
            process.stdin.write(as_lines(messages).encode())
            process.stdin.flush()
            assert arrived.wait(20)
            process.send_signal(signum)
            errors = wait_for_line(process.stderr, f"Received {signum.name}")
            if again is not None:
                process.send_signal(again)
            may_answer.set()
            out = process.stdout.read()
            errors += process.stderr.read().decode()
        assert process.returncode == 128 + signum
        assert out.decode().splitlines() == ["0"]
        assert "Traceback" not in errors


def test_a_signal_does_not_tear_a_state_that_is_read_slowly(tmp_path: Path) -> None:
    """A line that is larger than the pipe is written to its end before the run stops."""
    with jetti() as sandbox, start_process(tmp_path, settings_for(sandbox)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(as_lines([state("x" * 500_000)]).encode())
        process.stdin.flush()
        begun = process.stdout.read(10)
        process.send_signal(signal.SIGTERM)
        wait_for_line(process.stderr, "Received SIGTERM")
        rest = process.stdout.read()
    assert process.returncode == 128 + signal.SIGTERM
    assert (begun + rest).decode() == json.dumps("x" * 500_000) + "\n"


def test_a_closed_output_is_said_and_ends_the_run(tmp_path: Path) -> None:
    """One line and exit code 1, when nobody reads the STATE messages."""
    with jetti() as sandbox:
        process = start_process(tmp_path, settings_for(sandbox))
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdout = None
        _, errors = process.communicate(as_lines([schema(), variant(1, 1), state(1)]).encode(), timeout=30)
        assert process.returncode == 1
        assert b"The program that reads standard output closed it" in errors
        assert b"Traceback" not in errors
        assert b"Exception ignored" not in errors


def test_a_rejects_file_is_not_read_and_written_at_once(tmp_path: Path) -> None:
    """Feeding the rejects back in while adding to the same file is refused before anything is sent."""
    path = tmp_path / "rejects.jsonl"
    path.write_text(as_lines([schema(), variant(1, 1)]))
    with jetti() as sandbox, path.open("rb") as source:
        from tap_jetti.target.target import TargetJetti  # noqa: PLC0415 - half a second

        config = settings_for(sandbox, on_reject="set_aside", rejects_path=str(path))
        with pytest.raises(SettingsError, match="is also the input of this run"):
            TargetJetti(config=config).run(source)  # type: ignore[arg-type]
        assert len(sandbox.requests) == 0


def test_a_slow_server_slows_the_input_down() -> None:
    """No more is read from the input than a few batches ahead of what is delivered."""
    release, taken = threading.Event(), 0

    class CountedInput(io.StringIO):
        def __next__(self) -> str:
            nonlocal taken
            taken += 1
            return super().__next__()

    with jetti() as sandbox:
        from tap_jetti.target.target import TargetJetti  # noqa: PLC0415 - half a second

        sandbox.on_request = lambda _number, method, _path: release.wait(20) if method == "POST" else None
        config = settings_for(sandbox, batch_size=10, concurrency=2, skip_unchanged=False)
        target = TargetJetti(config=config)
        source = CountedInput(as_lines([schema(), *(variant(n, n) for n in range(1000))]))
        runner = threading.Thread(target=target.run, args=(source,))
        clock = WatchedClock(runner)
        target.pipeline._dispatcher._clock = clock
        runner.start()
        assert clock.is_waiting.wait(20)
        before = taken
        release.set()
        runner.join()
        assert before < 200
        sandbox.settle()
        assert len(stock(sandbox)) == 1000
