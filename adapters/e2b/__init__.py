"""What `adapters.e2b_sandbox` is made of: account, machine, transfer, execution, cells."""
