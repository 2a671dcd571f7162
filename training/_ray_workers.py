"""Batches made by Ray Data: actors hold the models, on any number of nodes."""

from collections.abc import Callable, Iterator, Sequence
import logging
import os
import pickle
from typing import Any

from ssd_depth_core.gdt.jobs import Batch
from ssd_depth_core.gdt.pipeline import Failure, Made, Pipeline

OBJECT_STORE_BYTES = 256 << 20
"""Memory for what workers hand over, of a Ray that is started here: some batches of pictures."""

MakePipeline = Callable[[str], Pipeline]
"""From a device to a pipeline; it travels to the workers."""


def make_on_ray(
    batches: Sequence[Batch],
    make_pipeline: MakePipeline,
    num_workers: int | None = None,
    device: str | None = None,
) -> Iterator[list[Made | Failure]]:
    """Make batches on the cluster that `RAY_ADDRESS` names, or on workers of this machine.

    Args:
        batches: What there is to do.
        make_pipeline: Loads the models.
        num_workers: Actors, each with a GPU or a CPU core to itself; None: one a GPU, or one.
        device: `cpu` or `cuda`; None: GPUs where there are any.

    Yields:
        What became of each batch, in the order of the batches.

    Raises:
        ValueError: If Ray is not installed, or there are fewer GPUs than workers.
    """
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')  # it would phone home
    os.environ.setdefault('RAY_worker_niceness', '0')  # 15 would starve them beside other work
    try:
        import ray
        import ray.data
    except ImportError:
        raise ValueError(
            "--ray needs Ray Data, which is not installed: pip install 'ray[data]'; or leave "
            '--ray out'
        ) from None
    logging.getLogger('ray.data').setLevel(logging.ERROR)
    own: dict[str, Any] = {}
    if not os.environ.get('RAY_ADDRESS'):  # a cluster that is joined brings its own
        own = {
            # One more core than workers, or Ray Data has none to read its input on.
            'num_cpus': max(num_workers or 1, os.cpu_count() or 1) + 1,
            'object_store_memory': OBJECT_STORE_BYTES,
            'include_dashboard': False,
        }
    ray.init(logging_level=logging.ERROR, log_to_driver=False, **own)
    try:
        yield from _make(ray, batches, make_pipeline, num_workers, device)
    finally:
        ray.shutdown()


def _make(
    ray: Any,
    batches: Sequence[Batch],
    make_pipeline: MakePipeline,
    num_workers: int | None,
    device: str | None,
) -> Iterator[list[Made | Failure]]:
    num_gpus = 0 if device == 'cpu' else int(ray.cluster_resources().get('GPU', 0))
    if device == 'cuda' or num_gpus:
        device, each = 'cuda', {'num_cpus': 1, 'num_gpus': 1}
        if num_gpus < (num_workers or 1):
            raise ValueError(
                f'there are {num_gpus} GPUs for {num_workers or 1} workers; set --num-workers '
                f'to {max(num_gpus, 1)}, add machines, or give --device cpu'
            )
    else:
        device, each = 'cpu', {'num_cpus': 1}
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True  # lines of the manifest follow the jobs
    context.enable_progress_bars = False  # the stage shows one
    context.print_on_execution_start = False
    rows = ray.data.from_items(
        [{'batch': pickle.dumps(batch)} for batch in batches], override_num_blocks=len(batches)
    ).map(
        _Worker,
        fn_constructor_args=(make_pipeline, device),
        compute=ray.data.ActorPoolStrategy(size=num_workers or max(num_gpus, 1)),
        **each,
    )
    for row in rows.iter_rows():
        result = pickle.loads(row['result'])
        if isinstance(result, Exception):
            raise result
        yield result


class _Worker:
    """Hold the models of one actor."""

    def __init__(self, make_pipeline: MakePipeline, device: str) -> None:
        self._make_pipeline = make_pipeline
        self._device = device
        self._pipeline: Pipeline | None = None

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        """Make a batch.

        What stops the run is handed over as it is: Ray would wrap it in a page of its own.
        """
        result: list[Made | Failure] | Exception
        try:
            if self._pipeline is None:
                self._pipeline = self._make_pipeline(self._device)
            result = self._pipeline.make(pickle.loads(row['batch']))
        except (ValueError, OSError, MemoryError) as error:
            result = error
        return {'result': pickle.dumps(result)}
