# libssh: SSH sessions, channels, keys, known_hosts, ~/.ssh/config.
# 0.10 for ssh_channel_open_forward_unix (a tunnel to a unix socket) and for the configuration keywords that current
# OpenSSH writes into ~/.ssh/config.
deployrun_dependency(ssh VERSION 0.10 PACKAGE libssh-dev MODULES libssh)
