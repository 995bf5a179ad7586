"""Write docs/suite.md and its pictures of the results of a suite, which are kept in benchmarks/suite.json.

What is said of them stands in benchmarks/suite_notes.md.

python benchmarks/suite_page.py runs/suite/results.json
"""

import json
import sys
from pathlib import Path

from sif.benchmark import suite_map, suite_page

if __name__ == "__main__":
    root = Path(__file__).parents[1]
    kept = root / "benchmarks" / "suite.json"
    if len(sys.argv) > 1:
        kept.write_text(Path(sys.argv[1]).read_text(encoding="utf-8"), encoding="utf-8")
    page, results = root / "docs" / "suite.md", json.loads(kept.read_text(encoding="utf-8"))
    notes = kept.with_name("suite_notes.md").read_text(encoding="utf-8")
    page.write_text(suite_page(results, notes), encoding="utf-8")
    for task in ("ranking", "rating"):
        page.with_name(f"suite-{task}.svg").write_text(suite_map(results, task), encoding="utf-8")
    print(page)
