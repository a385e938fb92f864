"""Kills commands at moments that nobody chose."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from tests.endpoint import MeteredEndpoint
from tests.support import command


def env() -> Mapping[str, str]:
    """The environment of a command that is to be killed."""
    return {**os.environ, "OPENAI_API_KEY": "sk-test"}


def killed(words: Sequence[str], endpoint: MeteredEndpoint, moments: random.Random, requests: int) -> bool:
    """Start a command and kill it after up to so many requests, or in what comes after the last."""
    target, lag = endpoint.ledger.arrived + moments.randint(0, requests), moments.uniform(0.0, 0.4)
    process = subprocess.Popen(
        command(*words), env=env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and endpoint.ledger.arrived < target:
        time.sleep(0.005)
    time.sleep(lag)  # only moves the moment, which is random anyway
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL
