"""The games of MinAtar: images of 10x10 pixels."""
