"""Every connection comes from another loopback address; it carries one request, as tests/api/fuzz.rs asks for.

The gate answers 429 to an address that has shown no token or a wrong one five times in a minute; tests of the gate see to
that. Here each operation is asked for its own 401.
"""

import itertools

import urllib3.util.connection as connection

connect = connection.create_connection
numbers = itertools.count(2)


def from_another_address(address, timeout=None, source_address=None, socket_options=None):
    number = next(numbers) % 0xFFFFFF
    source = f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255 or 1}"
    return connect(address, timeout, (source, 0), socket_options)


connection.create_connection = from_another_address
