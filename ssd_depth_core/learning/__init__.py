"""Training: one loop, tasks that say what is learnt, evaluation, and what lies in a run folder."""
