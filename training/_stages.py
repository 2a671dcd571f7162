"""Stages as steps of a longer command: each in a process of its own, done once, gone on with.

<records>/<name>.yaml    the config that the stage is given
<records>/<name>.json    what it was asked for, and whether it has come to its end
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from importlib import import_module
import json
import multiprocessing
import os
from pathlib import Path
import shlex
import threading
from typing import Any, Literal

from ssd_depth_core.config import flattened, from_dict, to_dict
from ssd_depth_core.records import code_commit
import yaml

from training._cli import run


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Hold one step."""

    name: str
    """Unique among the steps; a file name."""
    module: str
    """Of `training`, with a `main(argv)` that takes `--config`."""
    config: dict[str, Any]
    """What its `--config` shall hold."""
    arguments: tuple[str, ...]
    """The rest of its command line."""
    inputs: dict[str, Any]
    """What else decides the result, e.g. a seed."""
    product: Path
    """A file that it leaves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Hold steps that follow each other."""

    name: str
    """Unique among the jobs."""
    stages: Iterable[Stage]
    """Asked for the next one when the last one is done."""
    needs: frozenset[str] = frozenset()
    """Jobs that must have ended before its first stage is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRecord:
    """Hold what is known of a stage that was begun."""

    schema_version: Literal[1] = 1
    """Of this file's form."""
    command: str
    """The last one."""
    config: dict[str, Any]
    """As `Stage.config`."""
    inputs: dict[str, Any]
    """As `Stage.inputs`."""
    commits: tuple[str, ...]
    """Of the code that worked on it, as `code_commit` gives them."""
    finished: bool
    """Whether it has come to its end."""


def run_jobs(jobs: Iterable[Job], records: Path, num_parallel: int) -> None:
    """Run jobs, several at once, each as soon as what it needs has ended.

    Args:
        jobs: What to do; of those that may begin the first ones do.
        records: Folder of the records; made where missing.
        num_parallel: How many may run at once.

    Raises:
        ValueError: If a job needs what none of them does, a stage was finished with something
            else asked for, or one fails. What runs beside it comes to its end then, and no other
            job is begun.
    """
    waiting = list(jobs)
    running: dict[Future[None], Job] = {}
    ended: set[str] = set()
    with ThreadPoolExecutor(num_parallel) as pool:  # a thread waits for each process
        while waiting or running:
            ready = [job for job in waiting if job.needs <= ended]
            for job in ready[: num_parallel - len(running)]:
                running[pool.submit(run_stages, job.stages, records)] = job
                waiting.remove(job)
            if not running:
                names = ', '.join(job.name for job in waiting)
                raise ValueError(
                    f'needs of {names} must be other jobs, got what none of them does'
                )
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                ended.add(running.pop(future).name)


def run_stages(stages: Iterable[Stage], records: Path) -> None:
    """Run stages one after the other.

    Args:
        stages: What to do; asked for the next one when the last one is done.
        records: Folder of the records; made where missing.

    Raises:
        ValueError: As `run_stage`.
    """
    for stage in stages:
        run_stage(stage, records)


def run_stage(stage: Stage, records: Path) -> None:
    """Run a stage, or nothing where it has come to its end before.

    Args:
        stage: What to do.
        records: Folder of the records; made where missing.

    Raises:
        ValueError: If the stage was finished with something else asked for, left something made
            of other inputs, or fails.
    """
    path = records / f'{stage.name}.json'
    commits: tuple[str, ...] = ()
    if path.exists():
        begun = read_record(path)
        if begun.finished and stage.product.exists():
            _require_same(stage, begun, path)
            return
        _require_same_inputs(stage, begun)
        commits = begun.commits
    records.mkdir(parents=True, exist_ok=True)
    config = records / f'{stage.name}.yaml'
    config.write_text(yaml.safe_dump(stage.config, sort_keys=False))
    arguments = ('--config', str(config), *stage.arguments)
    record = StageRecord(
        command=shlex.join(['python', '-m', stage.module, *arguments]),
        config=stage.config,
        inputs=stage.inputs,
        commits=tuple(dict.fromkeys((*commits, code_commit()))),
        finished=False,
    )
    _write(record, path)
    print(f'{stage.name}: {record.command}', flush=True)
    status = _run_module(stage.module, arguments)
    if status:
        raise ValueError(
            f'stage {stage.name} ended with status {status}, see above; what is finished stays: '
            'mend it and give the same command again'
        )
    if not stage.product.exists():
        raise ValueError(f'stage {stage.name} came to its end but left no {stage.product}')
    _write(replace(record, finished=True), path)


def read_record(path: Path) -> StageRecord:
    """Read what is known of a stage.

    Args:
        path: The record.

    Returns:
        The record.

    Raises:
        ValueError: If the file is no such record.
    """
    try:
        values = json.loads(path.read_text())
    except ValueError as error:  # of JSON or of UTF-8
        raise ValueError(f'record {path} is no JSON ({error}); delete it') from None
    return from_dict(StageRecord, values, str(path))


def end_with_parent() -> None:
    """Have this process end when the one that started it does, even by SIGKILL.

    Nobody else ends the processes of a command that was killed, and the next run would meet them.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _require_same(stage: Stage, begun: StageRecord, path: Path) -> None:
    """Require that a stage was finished with the same config and inputs."""
    differences = _differences({**begun.inputs, **begun.config}, {**stage.inputs, **stage.config})
    if differences:
        raise ValueError(
            f'stage {stage.name} was finished with another config: {differences}; take '
            f'the same again, or another --out, or delete {path} and {stage.product.parent} to do '
            'it anew'
        )


def _require_same_inputs(stage: Stage, begun: StageRecord) -> None:
    """Require that a stage goes on in what it has left with the same inputs.

    Of its config it knows itself what may change. Its inputs it may know by name alone: a
    translation goes on beside pictures of other frames that are called the same.
    """
    left = stage.product.parent
    differences = _differences(begun.inputs, stage.inputs)
    if differences and left.exists():
        raise ValueError(
            f'stage {stage.name} was begun with other inputs: {differences}; take the same again, '
            f'or another --out, or delete {left} to do it anew'
        )


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Name the values that differ; empty where none does."""
    before, now = flattened(before), flattened(now)
    return '; '.join(
        f'{name} {before.get(name)!r} there, {now.get(name)!r} here'
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    )


def _write(record: StageRecord, path: Path) -> None:
    partial = path.with_suffix('.partial')
    partial.write_text(json.dumps(to_dict(record), indent=2) + '\n')
    partial.rename(path)


def _run_module(module: str, arguments: Sequence[str]) -> int:
    """Run a stage in a process that shares nothing with this one; give its status."""
    context = multiprocessing.get_context('spawn')
    process = context.Process(target=_main_of, args=(module, arguments))
    process.start()
    process.join()
    assert process.exitcode is not None  # joined
    return process.exitcode


def _main_of(module: str, arguments: Sequence[str]) -> None:
    end_with_parent()
    run(lambda: import_module(module).main(list(arguments)))
