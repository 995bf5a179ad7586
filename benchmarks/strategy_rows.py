"""Write data/tables/strategies.json anew: what `sif strategies` says, counted. Run it when a strategy changes."""

from pathlib import Path

from nasp_core.methods import STRATEGIES
from sif.strategies import described
from sif.strategy_store import table_text

if __name__ == "__main__":
    path = Path(__file__).parents[1] / "data" / "tables" / "strategies.json"
    path.write_text(table_text([described(name, recount=True) for name in STRATEGIES]), encoding="utf-8")
    print(path)
