"""Run `training.translate` again and again, each time in a process of its own that can be killed.

Reads one JSON request a line, `{"argv": [...], "log": path, "die_at": number or null}`, and
answers `{"status": exit status, "events": number}`. The libraries are imported once, here; a run
is a fork. With `die_at` the run kills itself at that call or return of a function in the modules
that make and write pictures, whatever it may be in the middle of.
"""

import json
import os
import signal
import sys
import traceback

# What a run imports where it needs it. Nothing is computed: no thread pool outlives a fork.
from ssd_depth_core.models.torchvision_cpu import allow_cpu_torchvision

allow_cpu_torchvision()
from ssd_depth_core.gdt import diffusion_pipeline  # noqa: E402, F401
from transformers import (  # noqa: E402, F401
    AutoModelForDepthEstimation,
    Blip2ForConditionalGeneration,
    Blip2Processor,
)

from training import _gdt, _translation, translate  # noqa: E402, F401

WATCHED = ('gdt/pipeline.py', 'gdt/output_folder.py', 'data/manifest.py', '_translation.py')


def run(argv, log, die_at):
    """Run in this process, and end it."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    events = 0

    def count(frame, event, argument):
        nonlocal events
        if frame.f_code.co_filename.endswith(WATCHED):
            events += 1
            if events == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    try:
        status = translate.main(argv)
    except Exception:
        traceback.print_exc()
        status = 2
    sys.setprofile(None)
    sys.stdout.write(f'\n{events}\n')
    sys.stdout.flush()
    os._exit(status)


for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        run(**request)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.stdout.write(json.dumps({'status': status}) + '\n')
    sys.stdout.flush()
os._exit(0)  # taking the libraries down would take seconds
