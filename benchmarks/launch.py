"""Starts one program and reports the resources that it used.

It runs without site packages. On Linux the peak memory of a program is never reported below that of
the process that started it, so this process must be small.

Usage: python -I -S launch.py REPORT STDOUT STDERR SECONDS COMMAND...
"""

import json
import os
import signal
import sys
import time

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def main() -> None:
    """Run the command, and stop it after the given seconds or on SIGTERM."""
    report, output, errors, seconds, *command = sys.argv[1:]
    started = time.time()
    pid = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, output, NEW_FILE, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, errors, NEW_FILE, 0o600),
        ],
        setpgroup=0,
    )
    ended_by = []

    def end(signum: int, _: object) -> None:
        ended_by.append(signum)
        os.killpg(pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, end)
    signal.signal(signal.SIGTERM, end)
    signal.setitimer(signal.ITIMER_REAL, float(seconds))
    _, status, usage = os.wait4(pid, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    result = {
        "started": started,
        "ended": time.time(),
        "code": os.waitstatus_to_exitcode(status),
        "out_of_time": signal.SIGALRM in ended_by,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss * 1024,
    }
    with open(report, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib is as large as the rest of this process
        json.dump(result, file)


main()
