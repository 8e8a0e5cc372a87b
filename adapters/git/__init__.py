"""What the workspaces are made of: git without surprises, copies, patches, removal."""
