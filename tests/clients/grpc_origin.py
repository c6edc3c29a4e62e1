"""A gRPC server on a free port, which it prints. Messages are plain bytes: no protoc is needed."""

import threading
from concurrent import futures

import grpc


def unary(request, context):
    if request == b"missing":
        context.set_trailing_metadata((("reason", "no-such-order"), ("detail-bin", b"\x00\x01\xff")))
        context.abort(grpc.StatusCode.NOT_FOUND, "no such order: ä")
    if request == b"slow":
        stopped = threading.Event()
        context.add_callback(stopped.set)
        stopped.wait(10)
    names = dict(context.invocation_metadata())
    context.send_initial_metadata((("seen-tenant", names.get("tenant", "")),))
    return b"hello " + request


def server_stream(request, context):
    for at in range(int(request)):
        yield b"%d" % at


def client_stream(requests, context):
    return b",".join(requests)


def both(requests, context):
    for request in requests:
        yield b"echo " + request


handlers = grpc.method_handlers_generic_handler(
    "shop.Orders",
    {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
        "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
        "Both": grpc.stream_stream_rpc_method_handler(both),
    },
)
server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(handlers,))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
