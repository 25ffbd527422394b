"""Lock-step: our agent and the reference train side by side with the same random draws."""
