"""What `adapters.bubblewrap_sandbox` is made of: what is seen inside, and who starts it."""
