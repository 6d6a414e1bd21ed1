# No servers.
