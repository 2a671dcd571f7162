"""A rendered street with exact depth: the synthetic proving ground of every stage."""
