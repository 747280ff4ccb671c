"""A configuration's plan, and what came of it, as people read them."""
