"""The files under infra/ that deploy vecmill, as tests read them, and the programs that they start."""

from .files import (
    CONFIGS,
    DOCKERFILE,
    INFRA,
    KUBERNETES,
    ROOT,
    RUNBOOK,
    WORKER,
    Pod,
    code_blocks,
    compose,
    image_environment,
    instructions,
    locked_version,
    manifests,
    pods,
    ray_cluster,
)
from .programs import check_command, tool

__all__ = [
    "CONFIGS",
    "DOCKERFILE",
    "INFRA",
    "KUBERNETES",
    "ROOT",
    "RUNBOOK",
    "WORKER",
    "Pod",
    "check_command",
    "code_blocks",
    "compose",
    "image_environment",
    "instructions",
    "locked_version",
    "manifests",
    "pods",
    "ray_cluster",
    "tool",
]
