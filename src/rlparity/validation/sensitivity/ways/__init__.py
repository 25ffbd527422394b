"""The planted bugs brought to `validate` as a user would bring an implementation."""
