"""The two files of an account: who may read them, and what becomes of one that cannot be used."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runs import LOGGER, REPOSITORY
from tap_jetti.target.delivery.ledger.account_ledger import AccountLedger
from tap_jetti.target.delivery.ledger.locks import FileLock, is_held
from tap_jetti.target.delivery.ledger.mirror import FeedState, Mirror, OvertakenError, ShownRow
from tap_jetti.target.delivery.ledger.sent_write import Sending, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIELDS = ("a", "b")
NOW = 1_700_000_000_000


def open_ledger(folder: Path | str, account: str = "acme", **arguments: bool) -> AccountLedger:
    """The ledger of an account in a folder."""
    ledger = AccountLedger(str(folder), account, now=lambda: NOW, logger=LOGGER, **arguments)
    assert ledger.sent is not None  # it is opened now
    return ledger


def write(ledger: AccountLedger, *keys: int) -> None:
    """Write accepted writes down."""
    sendings = [Sending(key, 7, "label", {"a": b"12345678"}) for key in keys or (1,)]
    ledger.sent.accept(sendings, ledger.sent.begin(sendings))


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    """Each file has the mode 0600, also the logs of SQLite."""
    ledger = open_ledger(tmp_path / "new" / "folder")
    mirror, _ = ledger.open_mirror(FIELDS)
    write(ledger)
    files = list((tmp_path / "new" / "folder").iterdir())
    assert len(files) >= 4
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    mirror.close()
    ledger.close()


def test_what_was_sent_is_there_for_the_next_run_and_for_no_other_account(tmp_path: Path) -> None:
    """The next run of the account finds it, a run of another account does not."""
    first = open_ledger(tmp_path)
    write(first)
    first.close()
    second, other = open_ledger(tmp_path), open_ledger(tmp_path, "other")
    assert second.sent.find([1])[1].state is State.ACCEPTED
    assert not other.sent.find([1])
    second.close()
    other.close()


def test_a_dry_run_leaves_the_ledger_as_it_is(tmp_path: Path) -> None:
    """It sees what was sent, and what it pretends to send is forgotten."""
    first = open_ledger(tmp_path)
    write(first)
    first.close()
    pretended = open_ledger(tmp_path, is_read_only=True)
    assert pretended.sent.find([1])
    write(pretended, 2)
    assert pretended.sent.find([2])
    pretended.close()
    last = open_ledger(tmp_path)
    assert not last.sent.find([2])
    last.close()


def damage(path: Path) -> None:
    """Overwrite the middle of a file."""
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(bytes(content))


def newer(path: Path) -> None:
    """Pretend that a later version wrote it."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def foreign(path: Path) -> None:
    """Make it a file of another program."""
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()


@pytest.mark.parametrize(
    "spoil", [damage, newer, foreign, lambda path: path.write_text("no database at all, but a longer text" * 99)],
    ids=["damaged", "newer", "foreign", "text"],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_put_aside_and_the_other_stays(
    tmp_path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, nothing is raised, the run has an empty one, and the mirror is not touched."""
    first = open_ledger(tmp_path)
    assert first.files is not None
    mirror, _ = first.open_mirror(FIELDS)
    mirror.save(mirror.begin(7), [ShownRow(1, 5, 0, {})])
    write(first, *range(200))
    mirror.close()
    first.close()
    spoil(first.files.ledger)
    with caplog.at_level(logging.WARNING):
        second = open_ledger(tmp_path)
    assert "cannot be used" in caplog.text
    assert not second.sent.find([1])
    write(second)
    kept, _ = second.open_mirror(FIELDS)
    assert kept.find(7, [5])
    assert first.files.ledger.with_name(first.files.ledger.name + ".unusable").exists()
    kept.close()
    second.close()


def test_a_folder_that_cannot_be_written_is_said_and_costs_only_the_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on with files that disappear with it."""
    (tmp_path / "file").write_text("")
    ledger = open_ledger(tmp_path / "file")
    assert "cannot be used" in caplog.text
    write(ledger)
    assert ledger.sent.find([1])
    ledger.close()


def test_nothing_is_kept_if_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With none there is no file at all."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    ledger = open_ledger("none")
    write(ledger)
    ledger.open_mirror(FIELDS)[0].close()
    ledger.close()
    assert not list(tmp_path.iterdir())


def test_rows_of_other_fields_are_forgotten(tmp_path: Path) -> None:
    """A mirror that another version filled with other fields begins anew."""
    ledger = open_ledger(tmp_path)
    mirror, _ = ledger.open_mirror(FIELDS)
    state = mirror.begin(7)
    state.mark = NOW
    mirror.save(state, [ShownRow(1, 5, 0, {0: "x"})])
    mirror.close()
    other, _ = ledger.open_mirror(("b", "a"))
    assert (other.find(7, [5]), other.state(7).mark) == ({}, None)
    other.close()
    ledger.close()


def test_a_refresh_that_was_overtaken_writes_no_more(tmp_path: Path) -> None:
    """A process that stalled between its read and its write must not put old rows over new ones."""
    ledger = open_ledger(tmp_path)
    slow, _ = ledger.open_mirror(FIELDS)
    fast, _ = ledger.open_mirror(FIELDS)
    stalled = slow.begin(7)
    current = fast.begin(7)
    fast.save(current, [ShownRow(1, 5, 2, {0: "new"})])
    with pytest.raises(OvertakenError):
        slow.save(stalled, [ShownRow(1, 5, 1, {0: "old"})])
    with pytest.raises(OvertakenError):
        slow.delete_unseen(stalled, seen_from=99)
    assert fast.find(7, [5])[5].values == {0: "new"}
    slow.close()
    fast.close()
    ledger.close()


def test_several_rows_of_a_key_are_ambiguous(tmp_path: Path) -> None:
    """They are found as such, in the feed asked for alone."""
    ledger = open_ledger(tmp_path)
    mirror, _ = ledger.open_mirror(FIELDS)
    mirror.save(mirror.begin(7), [ShownRow(1, 5, 0, {}), ShownRow(2, 5, 0, {}), ShownRow(3, 6, 0, {})])
    mirror.save(mirror.begin(8), [ShownRow(4, 6, 0, {})])
    found = mirror.find(7, [5, 6, 9])
    assert (found[5].id, found[6].id, len(found)) == (-1, 3, 2)
    assert mirror.state(9) == FeedState(9)
    mirror.close()
    ledger.close()


HOLDER = """
import sys
from pathlib import Path
from tap_jetti.target.delivery.ledger.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_ends_with_its_process_and_not_before(tmp_path: Path) -> None:
    """A living process holds it, however long it does nothing; after a kill it is free."""
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert is_held(path)
        assert not FileLock(path).acquire()
        process.kill()
        process.wait()
        assert not is_held(path)
        own = FileLock(path)
        assert own.acquire()
        assert own.acquire()
        own.release()


def test_the_mirror_of_two_processes_is_one(tmp_path: Path) -> None:
    """What one connection has written the other one sees at once."""
    ledger = open_ledger(tmp_path)
    first, _ = ledger.open_mirror(FIELDS)
    second, _ = ledger.open_mirror(FIELDS)
    first.save(first.begin(7), [ShownRow(1, 5, 0, {1: None, 0: "x"})])
    assert second.find(7, [5])[5] == ShownRow(1, 5, 0, {1: None, 0: "x"})
    first.close()
    second.close()
    ledger.close()


def test_a_temporary_mirror_works_alike() -> None:
    """Its rows are counted, halved and sampled as those of a file."""
    ledger = open_ledger("none")
    mirror = ledger.open_temporary_mirror(FIELDS)
    assert isinstance(mirror, Mirror)
    state = mirror.begin(7)
    mirror.save(state, [ShownRow(number, number, 0, {}) for number in range(1, 101)])
    assert (mirror.count(7, 50), mirror.count(7, 50, beyond=40), mirror.ids(7, 12, beyond=10)) == (50, 10, [11, 12])
    assert mirror.middle(7, 100, beyond=0) == 50
    assert 20 < len({row.id for row in mirror.sample(7, 100, 60)}) <= 60
    mirror.delete(state, [1, 2])
    assert mirror.count(7, 100) == 98
    mirror.close()
    ledger.close()
