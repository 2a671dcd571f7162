"""Which reader goes with a data set."""

from pathlib import Path

from ssd_depth_core.data.index import FrameSource, IndexHeader, SourceFormat
from ssd_depth_core.data.nuscenes_source import NuScenesSource
from ssd_depth_core.data.robotcar import RobotCarSource


def open_source(header: IndexHeader) -> FrameSource:
    """Open the data set of an index.

    Args:
        header: Of the index, as `read_header` gives it.

    Returns:
        Its reader.

    Raises:
        FileNotFoundError: If the data set does not lie there any more.
    """
    root = Path(header.root)
    return NuScenesSource(root) if header.format == 'nuscenes' else RobotCarSource(root)


def format_of(root: Path) -> SourceFormat:
    """Tell a data set's format by what lies in its folder.

    Args:
        root: The data set.

    Returns:
        `nuscenes` where there is a folder of its tables, `robotcar` where there is a traversal.

    Raises:
        FileNotFoundError: If there is neither.
    """
    if any(root.glob('v1.0-*/')):
        return 'nuscenes'
    if any(root.glob('[!.]*/stereo.timestamps')):
        return 'robotcar'
    raise FileNotFoundError(
        f'there is no data set at {root}: neither v1.0-*/ (tables of nuScenes) nor '
        '*/stereo.timestamps (a traversal of RobotCar); give the folder right above these'
    )
