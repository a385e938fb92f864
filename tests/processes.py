"""The processes of this machine, as tests look for those that somebody left behind."""

from pathlib import Path


def marked(mark: str) -> dict[int, str]:
    """The processes with a mark in their environment, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = command_line(int(entry.name))
            except OSError:
                continue
    return {pid: line for pid, line in found.items() if line}  # one without is a zombie


def command_line(pid: int) -> str:
    """A process's command line; raises OSError where there is no such process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def children(pid: int) -> dict[int, str]:
    """The processes below one, with their command lines."""
    parents, lines = dict[int, int](), dict[int, str]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                lines[int(entry.name)] = command_line(int(entry.name))
            except (OSError, ValueError):
                continue
    found: dict[int, str] = {}
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found |= {child: lines.get(child, "") for child in level}
    return found


def still_there(known: dict[int, str]) -> dict[int, str]:
    """Those of some processes that have not ended."""
    found = {}
    for pid, line in known.items():
        try:
            if line and command_line(pid) == line:
                found[pid] = line
        except OSError:
            continue
    return found
