"""Time what a newcomer does: clone, `make demo`, `make test`, downloads included.

    python bench/fresh_clone.py --json docs/results/fresh_clone.json

The clone is of the last commit; pip keeps no cache, so that everything is fetched again. The
clone lies in a new folder below `--work`, which is removed afterwards.
"""

import argparse
import json
import os
from pathlib import Path
import shlex
import subprocess
import sys
import tempfile
import time
from typing import Any

from ssd_depth_core.records import provenance, Result, write_result

ROOT = Path(__file__).parents[1]
LIMIT_S = {'demo': 600.0, 'test': 900.0}
"""What the README promises."""


def timed(command: list[str], folder: Path) -> tuple[int, float]:
    """Run a command as a newcomer would, its output shown.

    Args:
        command: Program and arguments.
        folder: Where to run it.

    Returns:
        Exit status and wall-clock seconds.
    """
    # Nothing of the environment that runs this bench may help.
    kept = {key: os.environ[key] for key in ('HOME', 'PATH', 'LANG') if key in os.environ}
    environment = kept | {'PIP_NO_CACHE_DIR': '1'}
    start = time.monotonic()
    status = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
    return status, time.monotonic() - start


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        0 where both commands exited 0 within their limits.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--work', type=Path, help='where to clone (default: the temporary folder)')
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        clone = Path(folder) / 'clone'
        subprocess.run(['git', 'clone', '--quiet', str(ROOT), str(clone)], check=True)
        for target, limit_s in LIMIT_S.items():
            status, seconds = timed(['make', target], clone)
            row = {
                'method': f'make {target}',
                'data': 'fresh clone, empty pip cache',
                'exit': status,
                'seconds': round(seconds),
                'limit_s': round(limit_s),
            }
            rows.append(row)
            print(json.dumps(row))
    if options.json:
        result = Result(
            title='From a clone to a result',
            command=shlex.join(['python', 'bench/fresh_clone.py', *arguments]),
            seed=None,
            data='the last commit',
            rows=tuple(rows),
            notes='Downloads included; they depend on the network.',
            **provenance(),
        )
        write_result(result, options.json)
    return int(any(row['exit'] or row['seconds'] > row['limit_s'] for row in rows))


if __name__ == '__main__':
    sys.exit(main())
