"""The process that probes environments, see `process`."""

from rlparity.environments.probing.process import serve

serve()
