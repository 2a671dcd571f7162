"""The C library's allocator, told that large blocks come again."""

import ctypes

# Numbers of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK = 32 << 20
"""glibc refuses more; a cloud of 1600x900 points has 23 MB."""
_KEPT_FREE = 128 << 20


def keep_large_blocks() -> bool:
    """Keep the memory of large messages for the next one, for the life of this process.

    By default glibc takes every block of some megabytes from the kernel and gives it back at once.
    rclpy copies each message into such a block, and the kernel's zeroing of fresh pages is then
    the larger part of what it costs to publish it.

    Returns:
        Whether the C library did so; one that knows no such settings is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return mallopt is not None and all(
        mallopt(what, size)
        for what, size in ((_M_MMAP_THRESHOLD, _LARGEST_BLOCK), (_M_TRIM_THRESHOLD, _KEPT_FREE))
    )
