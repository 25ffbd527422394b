"""Look at environments before anything is trained in them: in a process of their own, step by step."""
