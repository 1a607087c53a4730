"""Reports: one HTML file that shows experiments, opens from disk, and asks nobody for anything.

from runbook.report import write_report
"""

from __future__ import annotations

from runbook.report.writing import write_report

__all__ = ["write_report"]
