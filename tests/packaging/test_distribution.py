from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
STREAMS = sorted(path.stem for path in (CHECKOUT / "schemas").glob("*.json"))
WAYS = ("wheel", "sdist", "wheel from the sdist", "checkout", "editable checkout")


def run(*command, cwd, **options):
    """Run a command without the settings of this environment, and return its output."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TAP_JETTI"))}
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        cwd=cwd,
        env=variables,
        text=True,
        timeout=120,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory, testrun_uid):
    """The sdist and both wheels. The first test process that needs them builds them."""
    folder = tmp_path_factory.getbasetemp().parent / f"dist-{testrun_uid}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            build = (sys.executable, "-m", "build", "--no-isolation", "--outdir")
            run(*build, folder / "from-sdist", CHECKOUT, cwd=folder)
            run(*build, folder / "direct", "--wheel", CHECKOUT, cwd=folder)
            (folder / "done").touch()
    return {
        "wheel": next((folder / "direct").glob("*.whl")),
        "wheel from the sdist": next((folder / "from-sdist").glob("*.whl")),
        "sdist": next((folder / "from-sdist").glob("*.tar.gz")),
        "checkout": CHECKOUT,
    }


@pytest.fixture
def python(tmp_path):
    """The Python of a new environment that has the dependencies of tap-jetti, but not tap-jetti."""
    venv.create(tmp_path / "venv", symlinks=True)
    own = tmp_path / "venv" / "bin" / "python"
    packages = run(own, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    # Python searches the folder that a .pth file names, but ignores .pth files in it: no editable tap-jetti is found.
    Path(packages, "needs.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return own


@pytest.mark.parametrize("way", WAYS)
def test_discovers_all_streams_from_another_directory(way, dist, python, tmp_path):
    """Installed in any way and started in any directory, tap-jetti finds all schemas."""
    what = ["--editable", CHECKOUT] if way == "editable checkout" else [dist[way]]
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", *what, cwd=tmp_path)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    catalog = json.loads(run(python.with_name("tap-jetti"), "--discover", cwd=elsewhere))
    package = run(python, "-c", "import tap_jetti; print(tap_jetti.__file__)", cwd=elsewhere)

    assert sorted(stream["tap_stream_id"] for stream in catalog["streams"]) == STREAMS
    assert Path(package.strip()).is_relative_to(CHECKOUT if way == "editable checkout" else tmp_path)


def test_both_wheels_are_the_same(dist):
    """The wheel built from the sdist has the same files as the one built from the checkout."""
    with zipfile.ZipFile(dist["wheel"]) as direct, zipfile.ZipFile(dist["wheel from the sdist"]) as indirect:
        assert {file.filename: file.CRC for file in direct.infolist()} == {
            file.filename: file.CRC for file in indirect.infolist()
        }


def test_wheel_holds_the_package_and_nothing_else(dist):
    """The wheel has the schemas, py.typed and the demo's Meltano project, but no tests."""
    with zipfile.ZipFile(dist["wheel"]) as wheel:
        names = wheel.namelist()
    shipped = {name for name in names if not name.startswith("tap_jetti-")}

    assert {f"tap_jetti/schemas/{name}.json" for name in STREAMS} <= shipped
    assert {"tap_jetti/py.typed", "tap_jetti/demo/meltano.yml"} <= shipped
    assert {name.split("/")[0] for name in shipped} == {"tap_jetti"}
    assert not [name for name in shipped if "test" in name.lower()]
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_sdist_can_be_tested(dist):
    """The sdist has the tests and the files that they read."""
    with tarfile.open(dist["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}

    assert {
        "Makefile",
        "meltano.yml",
        "requirements/dev.txt",
        "schemas/sales.json",
        "tests/conftest.py",
        "CONTRIBUTING.md",
    } <= names
