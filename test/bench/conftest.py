from pathlib import Path
import sys

# The benches are scripts that import their neighbours, as `python bench/x.py` does.
sys.path.insert(0, str(Path(__file__).parents[2] / 'bench'))
