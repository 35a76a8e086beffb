"""A web service that answers predictions, with the standard library: WSGI and forked workers.

    python examples/service.py [--port P] [--workers N]
    python examples/service.py --measure [--workers N]

POST /predict with {"rows": [[...], ...]} returns {"predictions": [...]}. The application is plain
WSGI, so that any server may run it; this one forks workers that share a socket, each with a thread
for each connection. The network is made once, before the fork, and predicted from by all of them.
"""

import argparse
import http.client
import json
import multiprocessing
import socket
import socketserver
import time
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import numpy as np

from cbackprop import Adam, Network

FORK = multiprocessing.get_context("fork")


def make_network():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (500, 8))
    network = Network((8, 32, 1), random_state=0)
    network.train(X, X.sum(axis=1), optimizer=Adam(), batch_size=50, n_epochs=20, random_state=0)
    return network


class Application:
    """WSGI: called with each request."""

    def __init__(self, network):
        self.network = network

    def __call__(self, environ, start_response):
        status, answer = self.answer(environ)
        body = json.dumps(answer).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(status, headers)
        return [body]

    def answer(self, environ):
        if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) != ("POST", "/predict"):
            return "404 Not Found", {"error": "there is nothing but POST /predict"}
        try:
            request = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0)))
            return "200 OK", {"predictions": self.network.predict(request["rows"]).tolist()}
        except KeyError:
            return "400 Bad Request", {"error": '"rows" is missing'}
        except (TypeError, ValueError) as error:  # what the network says of bad rows
            return "400 Bad Request", {"error": str(error)}


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, format, *args):
        pass

    def address_string(self):
        return self.client_address[0]


def work(listener, application):
    """One worker: answers what comes to the socket, for ever."""
    server = Server(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = listener.getsockname()
    server.setup_environ()
    server.set_app(application)
    server.serve_forever()


def start(n_workers, port=0):
    """The port and the workers' processes."""
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    application = Application(make_network())
    workers = [
        FORK.Process(target=work, args=(listener, application), daemon=True)
        for _ in range(n_workers)
    ]
    for worker in workers:
        worker.start()
    port = listener.getsockname()[1]
    listener.close()  # the workers have it
    return port, workers


def stop(workers):
    for worker in workers:
        worker.terminate()
        worker.join()


def ask(port, rows):
    """(status, answer) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/predict", json.dumps({"rows": rows}))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def ask_often(port, n_requests, latencies):
    """A client: its requests one after the other."""
    row = [np.linspace(-1, 1, 8).tolist()]
    for _ in range(n_requests):
        began = time.perf_counter()
        status, _ = ask(port, row)
        latencies.put(time.perf_counter() - began if status == 200 else np.inf)


def measure(n_workers, n_clients=4, n_requests=500):
    """Requests a second, and percentiles 50 and 99 of the time that one takes."""
    port, workers = start(n_workers)
    latencies = FORK.Queue()
    clients = [
        FORK.Process(target=ask_often, args=(port, n_requests, latencies)) for _ in range(n_clients)
    ]
    try:
        ask(port, [[0.0] * 8])
        began = time.perf_counter()
        for client in clients:
            client.start()
        seconds = [latencies.get(timeout=60) for _ in range(n_clients * n_requests)]
        took = time.perf_counter() - began
        for client in clients:
            client.join()
    finally:
        stop(workers)
    return len(seconds) / took, *np.percentile(seconds, [50, 99])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A web service that answers predictions.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--measure", action="store_true", help="ask it from four clients")
    arguments = parser.parse_args()
    if arguments.measure:
        rate, median, most = measure(arguments.workers)
        print(
            f"{arguments.workers} workers, 4 clients: {rate:,.0f} requests a second, "
            f"{1000 * median:.2f} ms (median), {1000 * most:.2f} ms (99 %)"
        )
    else:
        port, workers = start(arguments.workers, arguments.port)
        print(f"http://127.0.0.1:{port}/predict, {len(workers)} workers; Ctrl-C ends it")
        try:
            for worker in workers:
                worker.join()
        except KeyboardInterrupt:
            stop(workers)
