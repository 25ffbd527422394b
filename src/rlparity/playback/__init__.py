"""Watch and film trained policies."""
