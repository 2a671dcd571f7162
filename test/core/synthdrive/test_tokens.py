from ssd_depth_core.synthdrive.tokens import link, token_of


def test_same_parts_same_token():
    assert token_of('scene', 'a') == token_of('scene', 'a')
    assert token_of('scene', 'a') != token_of('sample', 'a')
    assert len(token_of('x', 1)) == 32
    int(token_of('x', 1), 16)


def test_chain_runs_both_ways():
    rows = [{'token': token, 'prev': '', 'next': ''} for token in 'abc']
    link(rows)
    assert [row['prev'] for row in rows] == ['', 'a', 'b']
    assert [row['next'] for row in rows] == ['b', 'c', '']
