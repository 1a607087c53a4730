"""Reports: one HTML file that shows experiments, opens from disk, and asks nobody for anything.

from runbook.pages.report import write_report
"""

from __future__ import annotations

from runbook.pages.report.write import write_report

__all__ = ["write_report"]
