"""Which reader goes with a data set."""

from pathlib import Path

from ssd_depth_core.data.index import FrameSource, IndexHeader, SourceFormat
from ssd_depth_core.data.nuscenes_source import NuScenesSource
from ssd_depth_core.data.rendered_index import RenderedSource
from ssd_depth_core.data.robotcar import RobotCarSource

SOURCES: dict[SourceFormat, type[NuScenesSource | RobotCarSource | RenderedSource]] = {
    'nuscenes': NuScenesSource,
    'robotcar': RobotCarSource,
    'rendered': RenderedSource,
}


def open_source(header: IndexHeader) -> FrameSource:
    """Open the data set of an index.

    Args:
        header: Of the index, as `read_header` gives it.

    Returns:
        Its reader.

    Raises:
        FileNotFoundError: If the data set does not lie there any more.
    """
    return SOURCES[header.format](Path(header.root))


def format_of(root: Path) -> SourceFormat:
    """Tell a data set's format by what lies in its folder.

    Args:
        root: The data set.

    Returns:
        `nuscenes` where there is a folder of its tables, `robotcar` where there is a traversal,
        `rendered` where there are single rendered views.

    Raises:
        FileNotFoundError: If there is none of them.
    """
    if any(root.glob('v1.0-*/')):
        return 'nuscenes'
    if any(root.glob('[!.]*/stereo.timestamps')):
        return 'robotcar'
    if (root / 'frames.jsonl').is_file():
        return 'rendered'
    raise FileNotFoundError(
        f'there is no data set at {root}: neither v1.0-*/ (tables of nuScenes) nor '
        '*/stereo.timestamps (a traversal of RobotCar) nor frames.jsonl (rendered views); give '
        'the folder right above these'
    )
