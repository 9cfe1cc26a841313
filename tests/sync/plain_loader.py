"""A Singer target that appends rows to a file, and fails in the way that its arguments name.

``plain_loader.py FOLDER`` stores. Further arguments: ``die=N`` exits with 1 after N records, ``kill=N`` kills itself,
``hang=N`` reads no more, ``exit=CODE`` ends with this code after everything, ``silent`` writes no STATE,
``noise`` writes a line that is none, ``close=N`` ends with 0 after N records.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    """Load."""
    folder = Path(sys.argv[1])
    faults = {name: int(value or 0) for name, _, value in (one.partition("=") for one in sys.argv[2:])}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "noise" in faults:
        print("Loading …", flush=True)
    records = 0
    with (folder / "rows.jsonl").open("ab") as rows:
        for line in sys.stdin.buffer:
            message = json.loads(line)
            if message["type"] == "RECORD":
                records += 1
                rows.write(line)
                rows.flush()
            elif message["type"] == "STATE" and "silent" not in faults:
                print(json.dumps(message["value"]), flush=True)
            if records == faults.get("die"):
                sys.exit("cannot go on")
            if records == faults.get("kill"):
                os.kill(os.getpid(), signal.SIGKILL)
            if records == faults.get("close"):
                return
            while records == faults.get("hang"):
                time.sleep(1)
    sys.exit(faults.get("exit", 0))


if __name__ == "__main__":
    main()
