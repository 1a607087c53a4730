"""Reports: experiments in one HTML file, which opens from disk and needs no network.

from runbook.pages.report import write_report
"""

from __future__ import annotations

from runbook.pages.report.write import write_report

__all__ = ["write_report"]
