import numpy as np
from ssd_depth_core.evaluation.page import write_page
from ssd_depth_core.evaluation.pictures import ShownFrame


def test_the_page_needs_no_other_file(tmp_path, evaluation):
    shown = [ShownFrame(caption='night: b1', drawing=np.zeros((8, 16, 3), np.uint8))]
    page = write_page(evaluation, shown, tmp_path).read_text()
    assert 'a &lt;method&gt;' in page
    assert page.count('data:image/jpeg;base64,') == 1
    assert page.count('data:image/svg+xml;base64,') == 3  # two plots, and the colours
    for outside in ('http://', 'https://', '<script', 'src="/'):
        assert outside not in page
    assert page == write_page(evaluation, shown, tmp_path).read_text()
