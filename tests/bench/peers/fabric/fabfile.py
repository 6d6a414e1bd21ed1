"""A task that does nothing, for the cost of a start."""

from fabric import task


@task
def empty(_):
    pass
