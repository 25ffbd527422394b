"""Lock-step: both train side by side on the same draws."""
