/* hosts.h - the machines of one runtime: one transport each, shared by the walk and the run. Called
 * by target.c on the runtime's thread. */
#ifndef DR_HOSTS_H
#define DR_HOSTS_H

#include "target.h"

#include "ops/binding.h"

/* The transport for what host() was given: {host = "local"} or the options of an SSH host, checked
 * here for their types (recipe.argument). Made on first use, closed with the runtime. New reference
 * in *out. */
int dr__hosts_get(dr_transport **out, dr_runtime *rt, const json_t *options, dr_err *err);

/* Notes that the machine answered just now; true when it did so within the last minute. */
void dr__hosts_answered(dr_runtime *rt, const dr_transport *transport);
bool dr__hosts_answered_lately(dr_runtime *rt, const dr_transport *transport);

/* Notes why the machine could not be reached in the walk (copied), so that the run after it need
 * not wait for the same silence again; true, once, when that is less than a minute ago, with err
 * filled. */
void dr__hosts_failed(dr_runtime *rt, const dr_transport *transport, const dr_err *why);
bool dr__hosts_failed_lately(dr_runtime *rt, const dr_transport *transport, dr_err *err);

#endif
