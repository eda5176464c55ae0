"""How long a report takes and how large its page is, beside the floor: the same facts as plain JSON.

python -m benchmarks.report
"""

from __future__ import annotations

import json
import time

from tests.unit.report.sample_reports import START, simulated_report

from batchmark.report.columns import page_data
from batchmark.report.content import build_report
from batchmark.report.html import render_html
from batchmark.report.terminal import render_terminal


def main() -> None:
    print(
        f"{'jobs':>7}  {'analysis':>9}  {'page':>7}  {'terminal':>9}  {'bytes of the page':>18}  {'its facts as JSON':>18}"
    )
    for targets, rounds in ((3, 20), (8, 250), (8, 1250)):
        report = simulated_report(targets=targets, rounds=rounds)
        began = time.perf_counter()
        again = build_report(jobs=report.jobs, created_at=START, emulated=True, workload="simulated", version="0")
        analysis_s = time.perf_counter() - began
        began = time.perf_counter()
        page = render_html(again)
        page_s = time.perf_counter() - began
        began = time.perf_counter()
        render_terminal(again, width=120, color=False)
        terminal_s = time.perf_counter() - began
        facts = json.dumps(page_data(again), separators=(",", ":"))
        print(
            f"{len(report.jobs):>7,}  {analysis_s:>7.2f} s  {page_s:>5.2f} s  {terminal_s:>7.2f} s  {len(page.encode()):>18,}"
            f"  {len(facts.encode()):>18,}"
        )


if __name__ == "__main__":
    main()
