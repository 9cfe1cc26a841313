"""The feed file on S3, with a real server of its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from target_runs import deliver, jetti, schema, state, variant

from tap_jetti.errors import JettiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from target_runs import Outcome

SECRET = "secret/not+to#be?shown"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The URL of a server."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - 2 s

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _environment(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials as the packages of Amazon read them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "jetti")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def write(url: str, *messages: Any, mode: str = "merge", **settings: Any) -> Outcome:
    """Run the target with a feed file in a bucket."""
    with jetti() as sandbox:
        return deliver(sandbox, schema(), *messages, delivery="file", feed_path=url, feed_mode=mode, **settings)


def code_of(outcome: Outcome) -> int:
    """The exit code of a run that ended with an error."""
    assert isinstance(outcome.error, JettiError), outcome.error
    return outcome.error.exit_code


def bucket(endpoint: str, name: str) -> Any:
    """A client with a bucket of this name."""
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - slow

    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket=name)
    return client


def test_the_object_takes_the_place_of_the_one_before(endpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    """Night after night nothing is left beside it, and the key is nowhere in the log."""
    client = bucket(endpoint, "feeds")
    for quantity in (1, 2):
        outcome = write("s3://feeds/a/stock.csv", variant(1, quantity), state(quantity))
        assert (outcome.error, outcome.states) == (None, [quantity])
        content = client.get_object(Bucket="feeds", Key="a/stock.csv")["Body"].read()
        assert content == f"externalId,inventoryQuantity,vendorSku\ne1,{quantity},v1\n".encode()
    assert [one["Key"] for one in client.list_objects_v2(Bucket="feeds")["Contents"]] == ["a/stock.csv"]
    client.put_object(Bucket="feeds", Key="a/stock.csv", Body=b"externalId\nx\n")
    assert code_of(write("s3://feeds/a/stock.csv", variant(1, 3))) == 78
    assert SECRET not in caplog.text


def test_a_bucket_that_does_not_exist_is_a_matter_of_settings() -> None:
    """The error names the place, and no STATE comes out."""
    outcome = write("s3://nowhere/stock.csv", variant(1, 1), state(1))
    assert (code_of(outcome), outcome.states) == (78, [])
    assert "s3://nowhere/stock.csv" in str(outcome.error)


def test_without_credentials_no_retry_helps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Amazon's package finds none."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert code_of(write("s3://feeds/stock.csv", variant(1, 1))) == 77


def test_a_host_that_is_away_is_worth_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert code_of(write("s3://feeds/stock.csv", variant(1, 1))) == 75
