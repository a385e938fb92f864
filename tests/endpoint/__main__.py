"""`python -m tests.endpoint`: prints the base URL, then serves clients in other processes until SIGTERM."""

import argparse
import signal
import threading
from collections.abc import Sequence

from .faults import Faults
from .server import MeteredEndpoint


def _rate(text: str) -> tuple[str, float]:
    name, _, rate = text.partition("=")
    return name, float(rate)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.endpoint", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--rpm", type=int, help="requests a minute; none is unlimited")
    parser.add_argument("--tpm", type=int, help="tokens a minute; none is unlimited")
    parser.add_argument("--burst-seconds", type=float, default=60.0, help="seconds a full bucket lasts")
    parser.add_argument("--key", help="the bearer key asked for; none admits anyone")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds a request takes")
    parser.add_argument("--count", choices=["tokens", "characters"], default="tokens", help="what is billed")
    parser.add_argument(
        "--fault", type=_rate, action="append", default=[], metavar="NAME=RATE", help="repeatable"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the chance by which faults happen")
    parser.add_argument("--poison-marker", help="requests with a text that contains this are refused")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM or SIGINT."""
    options = _parse(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Before the URL is printed: whoever reads it may stop us at once.
        signal.signal(number, lambda *_: stop.set())
    with MeteredEndpoint(
        rpm=options.rpm,
        tpm=options.tpm,
        burst_seconds=options.burst_seconds,
        key=options.key,
        faults=Faults(rates=dict(options.fault), seed=options.seed, poison_marker=options.poison_marker),
        latency=options.latency,
        count=options.count,
        port=options.port,
    ) as endpoint:
        print(endpoint.url, flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
