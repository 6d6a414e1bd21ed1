# sshkit.rb run COUNT COMMAND HOST... | put LOCAL REMOTE HOST - the benchmark's work by SSHKit, which is what Capistrano
# runs its commands with. All hosts in parallel, one pooled connection for each, nothing printed.
# Environment: BENCH_USER, BENCH_PORT, BENCH_KEY.
require "sshkit"
require "sshkit/dsl"
include SSHKit::DSL

SSHKit.config.output = SSHKit::Formatter::BlackHole.new($stdout)
SSHKit::Backend::Netssh.configure do |ssh|
  ssh.ssh_options = {
    user: ENV.fetch("BENCH_USER"), port: ENV.fetch("BENCH_PORT").to_i, keys: [ENV.fetch("BENCH_KEY")],
    keys_only: true, use_agent: false, auth_methods: %w[publickey], config: false, verify_host_key: :always
  }
end

work, first, second, *hosts = ARGV
on hosts, in: :parallel do
  if work == "put"
    upload! first, second
  else
    # A line of more than one word is run as it stands; a single word would be put behind /usr/bin/env.
    first.to_i.times { execute "#{second} now" }
  end
end
