"""A WebSocket client of websocket_origin.py through a proxy: WHAT PORT [CA_FILE], with TLS if there is a CA file.

Prints what it learnt. Ends with 1 where something is not as it should be.
"""

import asyncio
import os
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

what, port, *ca_file = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca_file[0]) if ca_file else None
uri = f"{'wss' if tls else 'ws'}://shop.test:{port}/chat"


def open_connection():
    return connect(uri, host="127.0.0.1", port=int(port), ssl=tls, proxy=None, max_size=None, ping_interval=None)


async def talk():
    async with open_connection() as connection:
        for message in ["grüße", b"\x00\x01\xff", os.urandom(1 << 20), "x" * (1 << 20), ""]:
            await connection.send(message)
            assert await connection.recv() == message
        await asyncio.wait_for(await connection.ping(), 5)
        await connection.close(4001, "enough")
        print(connection.close_code, connection.close_reason)


async def refused():
    try:
        async with open_connection():
            raise SystemExit("it was opened")
    except InvalidStatus as error:
        print(error.response.status_code)


async def idle():
    async with open_connection() as connection:
        await connection.send("before")
        assert await connection.recv() == "before"
        await asyncio.sleep(1)
        await connection.send("after")
        assert await connection.recv() == "after"
        print("open")


async def until_the_end():
    async with open_connection() as connection:
        await connection.send("hello")
        assert await connection.recv() == "hello"
        print("open", flush=True)
        try:
            await connection.recv()
        except ConnectionClosed:
            print("ended" if what == "end" else connection.close_code)


WORK = {"talk": talk, "refused": refused, "idle": idle, "end": until_the_end, "moved": until_the_end}
asyncio.run(asyncio.wait_for(WORK[what](), 20))
