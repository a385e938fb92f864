"""What a run leaves to read on the dashboard."""

from typing import Any

from prefect.artifacts import create_markdown_artifact


def report_artifact(report: dict[str, Any]) -> None:
    """Show what a run did, as a table on its page."""
    rows = [
        ("version", f"{report['version']}{'' if report['published'] else ' (nothing changed)'}"),
        *((f"documents {name}", count) for name, count in report["documents"].items()),
        *((f"chunks {name}", count) for name, count in report["chunks"].items()),
        *((name.replace("_", " "), value) for name, value in report["embedding"].items()),
        ("cost in USD", report["cost_usd"]),
        *((f"seconds {name}", value) for name, value in report["seconds"].items()),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows]
    create_markdown_artifact(
        "\n".join([f"# {report['table']}: run {report['run_id']}", "", "| | |", "|---|---:|", *lines]),
        key="report",
        description=f"What run {report['run_id']} did",
    )
