"""Off-policy actor-critic agents for continuous actions."""
