"""Reports: one HTML file that opens offline."""

from embodied.report.build import write_report
from embodied.report.config import ReportConfig

__all__ = ["ReportConfig", "write_report"]
