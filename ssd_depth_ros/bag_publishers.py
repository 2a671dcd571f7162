"""From what a bag says of a topic to a publisher of it: message class by name, recorded QoS."""

from importlib import import_module

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Connection, ConnectionExtRosbag2, QosDurability, QosReliability

# Where the bag has recorded no QoS; `ros2 bag play` uses the same depth.
DEFAULT_DEPTH = 10


def message_class(msgtype: str) -> type:
    """Find the Python class of a message type.

    Args:
        msgtype: As bags spell it, e.g. `sensor_msgs/msg/Image`.

    Returns:
        The class of the installed message package.

    Raises:
        LookupError: If the package is not installed or has no such message.
    """
    package, *namespace, name = msgtype.split('/')
    try:
        found: type = getattr(import_module('.'.join((package, *namespace))), name)
    except (ImportError, AttributeError):
        raise LookupError(
            f'message type {msgtype} is not installed; install the ROS package {package}'
        ) from None
    return found


def recorded_qos(connection: Connection) -> QoSProfile:
    """Give the QoS with which to publish a recorded topic again.

    Args:
        connection: The topic in the bag.

    Returns:
        Reliability, durability and depth as recorded; where several publishers were recorded, the
        most demanding of them, which every subscriber matches. Without a record: reliable, and
        transient local for `tf_static`, which late subscribers would otherwise never see.
    """
    assert isinstance(connection.ext, ConnectionExtRosbag2)
    offers = connection.ext.offered_qos_profiles
    best_effort = bool(offers) and all(
        offer.reliability is QosReliability.BEST_EFFORT for offer in offers
    )
    latched = any(offer.durability is QosDurability.TRANSIENT_LOCAL for offer in offers) or (
        not offers and connection.topic.endswith('tf_static')
    )
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=max((offer.depth for offer in offers), default=0) or DEFAULT_DEPTH,
        reliability=(ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE),
        durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE),
    )
