"""No secret leaves: marked ones are planted everywhere, and every byte that leaves is searched for them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from forked_commands import ForkedCommands, Run, forked_commands
from leaky_server import Answer, LeakyServer, leaky_server
from plants import Plants, forms_of
from runs import catalog_of
from tap_jetti.facts import resources
from tap_jetti.facts.secret_fields import known_secrets
from tap_jetti.tap import TapJetti
from tap_jetti.target import TargetJetti

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="commands are forked")

DAY = "2020-01-01T00:00:00.000Z"
SECRETIVE = tuple(name for name in resources.names() if known_secrets(name))
FEED = {"id": 7, "updatedAt": DAY, "name": "One", "resourceType": "webhook", "dropshipProviderId": 1}
VARIANTS = "inventory_feed_variants"
SCHEMA = {
    "type": "SCHEMA", "stream": VARIANTS, "key_properties": ["externalId"],
    "schema": {"properties": {"externalId": {}, "inventoryQuantity": {}}},
}  # fmt: skip
RECORD = {"type": "RECORD", "stream": VARIANTS, "record": {"externalId": "a", "inventoryQuantity": 1}}
PROXY = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


@dataclass
class Account:
    """A server, the secrets that its user has, and how commands are run against it."""

    server: LeakyServer
    commands: ForkedCommands
    root: Path
    plants: Plants = field(default_factory=Plants)
    runs: int = 0

    def __post_init__(self) -> None:
        """Choose the user's secrets, and let the server repeat them."""
        new = self.plants.new
        self.token, self.feed_hash, self.channel_hash = (
            new("api_token"),
            new("inventory_feed_hash"),
            new("channel_hash"),
        )
        self.environment = {
            "HTTPS_PROXY": f"http://bob:{new('HTTPS_PROXY')}@127.0.0.1:9/", **PROXY,
            "FSSPEC_FTP_PASSWORD": new("FSSPEC_FTP_PASSWORD"), "AWS_SECRET_ACCESS_KEY": new("AWS_SECRET_ACCESS_KEY"),
            "PATH": os.environ["PATH"], "HOME": str(self.root), "LOGLEVEL": "DEBUG",
        }  # fmt: skip
        self.server.headers = {
            "Set-Cookie": f"session={new('header Set-Cookie')}", "X-Auth-Token": new("header X-Auth-Token"),
            "WWW-Authenticate": f"Bearer realm={new('header WWW-Authenticate')}",
            "X-RateLimit-Remaining": new("header X-RateLimit-Remaining"), "ETag": new("header ETag"),
        }  # fmt: skip

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings of the tap or the target with secrets in all that may hold some."""
        return {
            "api_token": self.token, "api_url": f"{self.server.url}/api/", "retry_seconds": 0, "rate_limit": 1e6,
            "rate_limit_burst": 1e6, "user_agent": f"x ({self.plants.new('user_agent')})",
            "account": self.plants.new("account"), **more,
        }  # fmt: skip

    def run(
        self,
        command: str,
        settings: dict[str, Any],
        *,
        arguments: tuple[str, ...] = (),
        streams: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        stdin: str = "",
        stdout: str | None = None,
    ) -> tuple[Run, set[str]]:
        """Run a command, and search all that it wrote.

        Args:
            command: ``tap-jetti``, ``target-jetti`` or ``jetti doctor``.
            settings: Its settings.
            arguments: More of its command line.
            streams: The streams to select in a catalog, if any.
            environment: More environment variables.
            stdin: Its input.
            stdout: The file that takes its output, if that is to fail.
        """
        self.runs += 1
        inputs, directory = self.root / f"{self.runs}.in", self.root / f"{self.runs}"
        inputs.mkdir()
        directory.mkdir()
        (inputs / "config.json").write_text(json.dumps(settings))
        line = [*command.split()[1:], "--config", str(inputs / "config.json"), *arguments]
        if streams:
            catalog = json.dumps(catalog_of(*streams))
            assert not self.plants.found_in(catalog.encode())
            (inputs / "catalog.json").write_text(catalog)
            line += ["--catalog", str(inputs / "catalog.json")]
        state_home = {"XDG_STATE_HOME": str(directory)}
        run = self.commands.run(
            command.split(maxsplit=1)[0],
            *line,
            directory=directory,
            stdin=stdin,
            stdout=stdout,
            environment={**self.environment, **state_home, **(environment or {})},
        )
        left = b"\n".join([run.stdout, run.stderr, run.command_line])
        return run, self.plants.found_in(left) | self.plants.found_below(directory)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """One account for all tests of this module."""
    with leaky_server() as server, forked_commands() as commands:
        yield Account(server, commands, tmp_path_factory.mktemp("account"))


@pytest.fixture(autouse=True)
def _friendly_server(account: Account) -> Iterator[None]:
    """After each test the server answers as before."""
    rows = dict(account.server.rows)
    yield
    account.server.rows, account.server.instead = rows, None


def rows_with_secrets(account: Account) -> None:
    """Fill the server: secret fields, undocumented ones, included models, and URLs in texts and objects."""
    plants = account.plants
    for name in SECRETIVE:
        secret = {field: plants.new(f"{name}.{field}") for field in known_secrets(name)}
        account.server.rows[resources.api_name(name)] = [{"id": 1, "updatedAt": DAY, **secret}]
    undocumented = {
        "inventedObject": {"deep": [plants.fields("undocumented object")]}, "inventedUrls": plants.urls("undocumented"),
        "repeated": {"hash_of": [{"Authorization": plants.new("undocumented list")}]},
    }  # fmt: skip
    item = {"id": 5, "updatedAt": DAY, **plants.fields("included model"), "sku": plants.urls("included model")[0]}
    channel = {"id": 6, "name": plants.urls("included channel")[1]}
    channel |= {field: plants.new(f"included channel.{field}") for field in known_secrets("channels")}
    account.server.rows["sales"] = [
        {
            "id": number, "updatedAt": DAY, "reference": text, "dropshipProblems": [{"url": text, **secrets}],
            "total": f"12.5 {text}", "sale_items": [item], "channel": channel, **undocumented, **secrets,
        }
        for number, (text, secrets) in enumerate(
            zip(plants.urls("documented text"), [plants.fields("undocumented field"), *[{}] * 100], strict=False), 1
        )
    ]  # fmt: skip
    account.server.rows["inventory-feeds"] = [{**FEED, "hash": plants.new("hash of a feed")}]


@pytest.mark.parametrize("mode", ["warn", "keep"])
@pytest.mark.parametrize("names", ["api", "snake_case"])
def test_of_a_good_run_of_the_tap(mode: str, names: str, account: Account) -> None:
    """At the level DEBUG, with everything extracted that can be, no secret leaves."""
    rows_with_secrets(account)
    include = {"sales": [{"model": "SaleItem"}, {"model": "Channel"}]} if mode == "keep" else {}
    settings = account.settings(unknown_fields=mode, column_names=names, include=include, summary_path="summary.json")
    streams = ("sales", *SECRETIVE) if names == "api" else ()
    run, found = account.run("tap-jetti", settings, streams=streams)
    assert b'"RECORD"' in run.stdout
    assert account.token.encode() not in run.stderr
    assert found == set()
    assert any(account.token in headers for headers in account.server.received)


def test_of_a_good_run_of_the_target(account: Account) -> None:
    """Neither settings, nor hashes that are looked up, nor the fields of records that are set aside leave."""
    plants = account.plants
    account.server.rows["inventory-feeds"] = [{**FEED, "hash": plants.new("hash that is looked up")}]
    account.server.rows["inventory-feed-variants"] = []
    bad = {"externalId": "b", "inventoryQuantity": "many", **plants.fields("record"), "notes": plants.urls("record")[0]}
    bad["description"] = f"repeats {account.token}"
    lines = [SCHEMA, RECORD, {**RECORD, "record": bad}, {"type": "STATE", "value": {}}]
    for settings in ({}, {"inventory_feed_hash": account.feed_hash, "skip_unchanged": False}, {"delivery": "api"}):
        run, found = account.run(
            "target-jetti",
            account.settings(
                inbound_url=f"{account.server.url}/webhooks/", inventory_feed_id=7, on_reject="set_aside",
                channel_hash=account.channel_hash, rejects_path="rejects.jsonl", **settings,
            ),
            stdin="".join(json.dumps(line) + "\n" for line in lines),
        )  # fmt: skip
        assert run.code == 1, run.stderr[-1500:]
        assert (account.root / str(account.runs) / "rejects.jsonl").exists()
        assert found == set()


@pytest.mark.parametrize("command", ["tap-jetti", "target-jetti"])
@pytest.mark.parametrize("arguments", [("--about",), ("--about", "--format=json"), ("--help",), ("--nonsense", "x")])
def test_of_what_is_printed(command: str, arguments: tuple[str, ...], account: Account) -> None:
    """What a command tells of itself holds no values of settings."""
    prefix = command.upper().replace("-", "_")
    own = {f"{prefix}_API_TOKEN": account.token, f"{prefix}_CHANNEL_HASH": account.channel_hash}
    _, found = account.run(command, {}, arguments=("--config", "ENV", *arguments), environment=own)
    assert found == set()


# --- failures -------------------------------------------------------------------------------------------------------


def problem(account: Account, form: str) -> dict[str, str]:
    """A problem that repeats the token, and holds other credentials."""
    new = account.plants.new
    return {
        "title": f"api.failed: {form}",
        "detail": f"token={new('detail')} of https://bob:{new('detail')}@h/ is {form} Bearer {new('detail')},"
        f" bob:{new('detail')}@h, password: {new('detail')}",
        "stack": new("other field of a problem"), "message": form,
    }  # fmt: skip


def cut_in_the_token(account: Account, _: str) -> dict[str, str]:
    """A problem so long that its text is cut within the token."""
    return {"title": "x", "detail": "y " * 145 + account.token + " z" * 100}


ANSWERS: dict[str, Callable[[Account], Answer]] = {
    f"{status} with the token, form {index}": lambda account, status=status, index=index: Answer(  # type: ignore[misc]
        status, problem(account, forms_of(account.token)[index])
    )
    for index, status in enumerate([400, 401, 403, 404, 422, 429, 500])
}
ANSWERS |= {
    "408": lambda account: Answer(408, problem(account, account.token)),
    "414": lambda account: Answer(414, problem(account, account.token)),
    "503": lambda account: Answer(503, problem(account, account.token)),
    "a long problem": lambda account: Answer(400, cut_in_the_token(account, "")),
    "HTML": lambda account: Answer(502, f"<html>{account.token} {account.plants.new('HTML')}</html>"),
    "HTML with 200": lambda account: Answer(200, f"<html>{account.token} {account.plants.new('HTML')}</html>"),
    "text that is not JSON": lambda account: Answer(200, f"{account.token}: {account.plants.new('text')}"),
    "JSON of another kind": lambda account: Answer(200, {"token": account.token, "x": account.plants.new("object")}),
    "rows that are texts": lambda account: Answer(200, [account.token, account.plants.new("row")]),
    "rows without an id": lambda account: Answer(200, [{"token": account.token, **account.plants.fields("no id")}]),
    "an id that is a secret": lambda account: Answer(200, [{"id": account.token, "updatedAt": account.token}]),
    "a cut body": lambda account: Answer(200, f'[{{"token": "{account.token}"', length=9999),
    "no answer": lambda _: Answer(0),
    "a redirect to another host": lambda account: Answer(
        302, "", {"Location": f"https://bob:{account.plants.new('Location')}@{account.token}.example/?token={account.token}"}
    ),
    "a redirect to a secret path": lambda account: Answer(
        302, "", {"Location": f"/api/{account.token}?token={account.plants.new('Location')}"}, calls=("GET /api/s",)
    ),
    "an invalid redirect": lambda account: Answer(302, "", {"Location": f"http://[{account.token}"}),
    "a secret Retry-After": lambda account: Answer(429, "", {"Retry-After": account.token}),
    "a long Retry-After": lambda account: Answer(429, problem(account, account.token), {"Retry-After": "9999"}),
    "a secret Date": lambda account: Answer(401, "", {"Date": account.token}),
    "a secret Content-Encoding": lambda account: Answer(200, "[]", {"Content-Encoding": f"gzip, {account.token}"}),
    "a count of another kind": lambda account: Answer(200, {"count": account.token}),
}  # fmt: skip


@pytest.mark.parametrize("make", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("command", ["tap-jetti", "target-jetti"])
def test_of_a_failed_request(make: Callable[[Account], Answer], command: str, account: Account) -> None:
    """Whatever the server answers, its words, its headers and the traceback show no secret."""
    account.server.rows = {"sales": [{"id": 1, "updatedAt": DAY}], "inventory-feeds": [FEED]}
    account.server.instead = make(account)
    if command == "tap-jetti":
        options: dict[str, Any] = {"streams": ("sales",)}
        settings = account.settings(unknown_fields="error")
    else:
        options = {"stdin": json.dumps(SCHEMA) + "\n" + json.dumps(RECORD) + "\n"}
        settings = account.settings(inventory_feed_id=7, inventory_feed_hash=account.feed_hash, delivery="api")
    run, found = account.run(command, settings, **options)
    assert run.code in {1, 75, 77, 78}, run.stderr[-1500:]
    assert found == set()


def store_that_is_down(account: Account) -> dict[str, Any]:
    """The store of the rate limit does not answer, and its URL holds a password with a slash."""
    return {
        "rate_limit_store": f"redis://bob:{account.plants.new('Redis')}@127.0.0.1:9/0",
        "rate_limit_fallback": "fail",
    }


SETTINGS: dict[str, Callable[[Account], dict[str, Any]]] = {
    "the store is down": store_that_is_down,
    "a slash in the store's password": lambda account: {
        "rate_limit_store": f"redis://:a/{account.plants.new('Redis')}@h/0"
    },
    "an unknown store": lambda account: {"rate_limit_store": f"mysql://bob:a#{account.plants.new('store')}@h/0"},
    "credentials in api_url": lambda account: {"api_url": f"https://bob:{account.plants.new('api_url')}@h/api/"},
    "a token in api_url": lambda account: {"api_url": f"https://h/api/?access_token={account.plants.new('api_url')}"},
    "the token as api_url": lambda account: {"api_url": account.token},
    "a token that is a number": lambda _: {"api_token": 1234567890123},
    "a token that is a list": lambda account: {"api_token": [account.plants.new("list as token")]},
    "a token with a line break": lambda account: {"api_token": f"{account.plants.new('token')}\nx"},
    "a proxy that is down": lambda _: {"api_url": "https://api.example.com/api/"},
    "a host that is not found": lambda _: {"api_url": "https://api.invalid/api/"},
    "plain http": lambda _: {"api_url": "http://jetti.example/api/"},
    "an unknown secret setting": lambda account: {"clientSecret": account.plants.new("unknown setting"), "timeout": 0},
}


@pytest.mark.parametrize("make", SETTINGS.values(), ids=SETTINGS)
def test_of_failed_settings(make: Callable[[Account], dict[str, Any]], account: Account) -> None:
    """What is wrong with a setting is said without the secret in it."""
    account.server.rows = {"sales": [{"id": 1, "updatedAt": DAY}]}
    settings = make(account)
    run, found = account.run("tap-jetti", account.settings(**settings), streams=("sales",))
    assert run.code in {75, 78}, run.stderr[-1500:]
    assert b"1234567890123" not in run.stderr
    assert found == set()


INPUTS: dict[str, Callable[[Account], str]] = {
    "a torn line": lambda account: json.dumps({**RECORD, "record": account.plants.fields("torn line")})[:400],
    "no JSON": lambda account: f"api_token={account.token} password={account.plants.new('no JSON')}",
    "an unknown type": lambda account: json.dumps({"type": "X", **account.plants.fields("unknown type")}),
    "a record without its SCHEMA": lambda account: json.dumps({**RECORD, "stream": "x", **account.plants.fields("x")}),
    "a SCHEMA without properties": lambda account: json.dumps(
        {"type": "SCHEMA", "stream": account.token, "schema": {}}
    ),
}


@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
def test_of_invalid_input(make: Callable[[Account], str], account: Account) -> None:
    """The line is shown without its secrets."""
    account.server.rows = {"inventory-feeds": [FEED]}
    run, found = account.run("target-jetti", account.settings(inventory_feed_id=7), stdin=make(account) + "\n")
    assert run.code == 78, run.stderr[-1500:]
    assert found == set()


FEED_PATHS = (
    "ftp://bob:{}@h/x.csv",
    "ftp://bob:a/{}@h/x.csv",
    "ftp://bob:a#{}@h/x.csv",
    "sftp://{}@h/x.csv",
    "s3://k:{}@b/x",
)


@pytest.mark.parametrize("url", FEED_PATHS)
def test_of_a_feed_path(url: str, account: Account) -> None:
    """Credentials are refused there, and not shown, whatever characters they have."""
    path = url.format(account.plants.new(f"feed_path {url}"))
    run, found = account.run("target-jetti", account.settings(delivery="file", feed_path=path, feed_mode="replace"))
    assert run.code == 78, run.stderr[-1500:]
    assert found == set()


@pytest.mark.parametrize("plugin", [TapJetti, TargetJetti], ids=["tap", "target"])
def test_of_every_setting(plugin: Any, account: Account) -> None:
    """A token or a URL with credentials that was pasted into the wrong setting is not shown."""
    account.server.rows = {}
    shown = {}
    arguments = ("--discover",) if plugin is TapJetti else ()
    for name in plugin.full_schema()["properties"]:
        token, password, parameter = (account.plants.new(f"{name} as {what}") for what in ("a token", "a URL", "a URL"))
        for value in (token, f"https://bob:{password}@host/?token={parameter}"):
            run, found = account.run(plugin.name, {**account.settings(), name: value}, arguments=arguments)
            if found:
                shown[name] = run.stderr.splitlines()[-1]
    assert shown == {}


def test_of_a_closed_output(account: Account) -> None:
    """A full disk ends the run without a secret."""
    if not os.path.exists("/dev/full"):  # noqa: PTH110 - a device
        pytest.skip("there is no /dev/full")
    rows_with_secrets(account)
    run, found = account.run(
        "tap-jetti", account.settings(unknown_fields="keep"), streams=("sales",), stdout="/dev/full"
    )
    assert run.code == 1
    assert found == set()


def test_of_the_doctor(account: Account) -> None:
    """`jetti doctor` repeats no secret of the server either."""
    account.server.instead = Answer(401, problem(account, account.token))
    run, found = account.run("jetti doctor", account.settings(rate_limit_store="memory://"))
    assert run.code == 77, run.stderr[-1500:]
    assert found == set()


@pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server")
def test_of_redis(account: Account) -> None:
    """What is stored in Redis holds neither the token nor the account."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = account.root / "redis"
    folder.mkdir()
    command = ["redis-server", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with closing(socket.socket()) as trial:
                    if trial.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            account.server.rows = {"sales": [{"id": 1, "updatedAt": DAY}]}
            settings = account.settings(rate_limit_store=f"redis://127.0.0.1:{port}/0")
            run, found = account.run("tap-jetti", settings, streams=("sales",))
        finally:
            server.terminate()
    assert run.code == 0, run.stderr[-1500:]
    stored = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"tap-jetti:rate-limit" in stored
    assert found | account.plants.found_in(stored) == set()


def test_enough_was_planted() -> None:
    """At least 150 secrets are planted, and 40 failures are searched."""
    assert 2 * len(ANSWERS) + len(SETTINGS) + len(INPUTS) + len(FEED_PATHS) >= 40
    plants = Plants()
    secret_fields = sum(len(known_secrets(name)) for name in SECRETIVE)
    # Fields: undocumented, in an object, in an included model, in a record. URLs: in texts of three kinds.
    assert 4 * len(plants.fields("x")) + 2 * len(plants.urls("x")) + secret_fields >= 150
