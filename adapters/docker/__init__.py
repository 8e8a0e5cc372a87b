"""What `adapters.docker_sandbox` is made of: service, container, mounts, streams."""
