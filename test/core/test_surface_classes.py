from ssd_depth_core.surface_classes import SURFACE_CLASSES, UNKNOWN_CLASS


def test_a_class_keeps_its_place() -> None:
    # Stored sets and trained heads hold places in this list.
    words = 'road sidewalk building wall fence pole traffic_sign vegetation terrain sky person'
    words += ' rider vehicle object'
    assert tuple(word.replace('_', ' ') for word in words.split()) == SURFACE_CLASSES


def test_every_class_fits_a_byte_beside_the_unknown() -> None:
    assert len(SURFACE_CLASSES) <= UNKNOWN_CLASS <= 255
