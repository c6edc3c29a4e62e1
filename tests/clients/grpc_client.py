"""Calls the server of grpc_origin.py through a proxy: calls|dead PORT CA_FILE. Ends with 1 where something is not as it should be."""

import queue
import sys
import time

import grpc


def calls(channel, unary):
    answer, call = unary.with_call(b"you", metadata=(("tenant", "blue"),), timeout=5)
    assert answer == b"hello you", answer
    assert dict(call.initial_metadata())["seen-tenant"] == "blue", call.initial_metadata()
    large = b"x" * (3 << 20)
    assert unary(large, timeout=5) == b"hello " + large

    server_stream = channel.unary_stream("/shop.Orders/ServerStream")
    assert list(server_stream(b"1000", timeout=5)) == [b"%d" % at for at in range(1000)]

    client_stream = channel.stream_unary("/shop.Orders/ClientStream")
    assert client_stream(iter([b"a", b"b", b"c"]), timeout=5) == b"a,b,c"

    # Each message is sent only once the last one's echo is here.
    said = queue.SimpleQueue()
    echoes = channel.stream_stream("/shop.Orders/Both")(iter(said.get, None), timeout=5)
    for message in [b"one", b"two", b"three"]:
        said.put(message)
        assert next(echoes) == b"echo " + message
    said.put(None)
    assert list(echoes) == []
    assert echoes.code() == grpc.StatusCode.OK

    try:
        unary(b"missing", timeout=5)
        raise SystemExit("the error did not come")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        assert error.details() == "no such order: ä", error
        trailers = dict(error.trailing_metadata())
        assert trailers["reason"] == "no-such-order" and trailers["detail-bin"] == b"\x00\x01\xff", trailers

    try:
        channel.unary_unary("/shop.Orders/Nothing")(b"", timeout=5)
        raise SystemExit("the error did not come")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error

    began = time.monotonic()
    try:
        unary(b"slow", timeout=0.3)
        raise SystemExit("the deadline did not come")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert time.monotonic() - began < 3
    assert unary(b"again", timeout=5) == b"hello again"


what, port, ca_file = sys.argv[1:]
with open(ca_file, "rb") as file:
    credentials = grpc.ssl_channel_credentials(file.read())
options = (("grpc.ssl_target_name_override", "shop.test"), ("grpc.enable_http_proxy", 0))
with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
    unary = channel.unary_unary("/shop.Orders/Unary")
    if what == "dead":
        try:
            unary(b"you", timeout=5)
            raise SystemExit("the error did not come")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    else:
        calls(channel, unary)
