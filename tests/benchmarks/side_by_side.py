"""Measures contenders in turns, so that a noisy machine is equally unfair to all of them."""

import statistics
import time
from collections.abc import Callable, Mapping


def medians(rounds: int, contenders: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Run each contender once a round; gives the median of each one's wall-clock seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, contender in contenders.items():
            began = time.perf_counter()
            contender()
            seconds[name].append(time.perf_counter() - began)
            print(f"  round {number + 1}: {name} {seconds[name][-1]:.2f} s", flush=True)
    return {name: statistics.median(measured) for name, measured in seconds.items()}


def ratio(found: Mapping[str, float], ours: str, peer: str, most: float) -> None:
    """Print how many times the peer's time ours takes, and what it may be at most."""
    share = found[ours] / found[peer]
    verdict = "within" if share <= most else "OVER"
    print(f"{ours}: {found[ours]:.2f} s, {peer}: {found[peer]:.2f} s, ratio {share:.2f} ({verdict} {most:g})")
