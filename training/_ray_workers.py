"""Batches made by Ray Data: actors hold the models, on any number of nodes."""

from collections.abc import Callable, Iterator, Sequence
import logging
import os
import pickle
import socket
from typing import Any

from ssd_depth_core.gdt.jobs import Batch
from ssd_depth_core.gdt.pipeline import Failure, Made, Pipeline
from torch import OutOfMemoryError

OBJECT_STORE_BYTES = 256 << 20
"""Memory for what workers hand over, of a Ray that is started here: some batches of pictures."""

INPUT_CPUS = 1
"""Cores beside the workers' own, or Ray Data has none to read its input on."""

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
        ValueError: If Ray is not installed, a worker lacks a library, or there are fewer GPUs or
            CPU cores than workers need.
        MemoryError: If a worker's memory did not suffice.
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
            'num_cpus': max(num_workers or 1, os.cpu_count() or 1) + INPUT_CPUS,
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
    size = num_workers or max(num_gpus, 1)
    num_cpus = int(ray.cluster_resources().get('CPU', 0))
    if num_cpus < size + INPUT_CPUS:  # Ray would wait for the others for ever
        raise ValueError(
            f'there are {num_cpus} CPU cores for {size} workers and the reading of their input, '
            'which take one each; set a lower --num-workers or add machines'
        )
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True  # lines of the manifest follow the jobs
    context.enable_progress_bars = False  # the stage shows one
    context.print_on_execution_start = False
    rows = ray.data.from_items(
        [{'batch': pickle.dumps(batch)} for batch in batches], override_num_blocks=len(batches)
    ).map(
        _Worker,
        fn_constructor_args=(make_pipeline, device, os.getcwd()),
        compute=ray.data.ActorPoolStrategy(size=size),
        **each,
    )
    for row in rows.iter_rows():
        result = pickle.loads(row['result'])
        if isinstance(result, Exception):
            raise result
        yield result


class _Worker:
    """Hold the models of one actor."""

    def __init__(self, make_pipeline: MakePipeline, device: str, folder: str) -> None:
        self._make_pipeline = make_pipeline
        self._device = device
        self._folder = folder
        self._pipeline: Pipeline | None = None

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        """Make a batch.

        What stops the run is handed over in one line: Ray would wrap it in a page of its own.
        """
        result: list[Made | Failure] | Exception
        try:
            if self._pipeline is None:
                # The driver's: on a cluster that was joined a worker starts in another, and
                # paths in a config may be relative.
                os.chdir(self._folder)
                self._pipeline = self._make_pipeline(self._device)
            result = self._pipeline.make(pickle.loads(row['batch']))
        except (ValueError, OSError, MemoryError) as error:
            result = error
        except ImportError as error:
            result = ValueError(f'a worker on {socket.gethostname()} lacks a library: {error}')
        except OutOfMemoryError as error:  # where no batch could be halved, as in loading
            result = MemoryError(str(error).partition('\n')[0])
        return {'result': pickle.dumps(result)}
