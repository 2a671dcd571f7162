"""GDT: clear days translated to night and weather, and a gate that says which to trust."""
