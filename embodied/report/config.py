"""What goes into a report."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ReportConfig:
    """One HTML file that opens offline."""

    evaluation: str = field(default="runs/evaluation", metadata={"help": "folder of a finished evaluation"})
    training: str = field(
        default="", metadata={"help": "training log (.jsonl), or the folder that holds one; empty: no training curve"}
    )
    output: str = field(default="", metadata={"help": "the HTML file; empty: report.html in the evaluation's folder"})
    title: str = field(default="", metadata={"help": "heading; empty: the task's name"})
    max_table_rows: int = field(default=300, metadata={"help": "episodes listed one by one"})
