# yaml: reading what `docker-compose config` prints; version 1 of compose knows no JSON.
# 0.2.5 for its fixes against documents nested without end.
deployrun_dependency(yaml VERSION 0.2.5 PACKAGE libyaml-dev MODULES yaml-0.1)
