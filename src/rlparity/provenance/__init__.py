"""What a record depends on: source code, versions, hardware."""
