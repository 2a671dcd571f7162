from ssd_depth_core.evaluation.html_page import html_page


def test_a_page_has_its_title_style_and_parts_in_order():
    page = html_page('a < b', ['<h1>x</h1>', '<p>y</p>'], 'td { color: red; }')
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">\n')
    assert '<title>a &lt; b</title>' in page
    assert page.index('prefers-color-scheme: dark') < page.index('td { color: red; }</style>')
    assert page.endswith('</style>\n<h1>x</h1>\n<p>y</p>\n</html>\n')
