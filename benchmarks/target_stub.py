"""A server that accepts everything: it answers every write with ``{}`` after a latency, and counts the records.

The sandbox would be slower than the target, because it applies what it receives.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time


async def serve(latency: float) -> None:
    """Serve until the end of standard input. Print the port first and the figures last."""
    arrivals: list[float] = []
    operations = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal operations
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
            body = await reader.readexactly(length) if length else b""
            arrivals.append(time.monotonic())
            operations += body.count(b'"externalId"')
            if latency:
                await asyncio.sleep(latency)
            text = b"{}" if length else b'{"id":7,"resourceType":"webhook","hash":"h"}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text))
            writer.write(text)

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    span = arrivals[-1] - arrivals[0] if arrivals else 0.0
    print(json.dumps({"requests": len(arrivals), "items": operations, "span": span}), flush=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
