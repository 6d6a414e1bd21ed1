/* core/tell.c - events on their way to the observer: every one passes here, and here secrets are
 * masked. */
#include "core/event.h"
#include "core/runtime.h"

bool dr__tell(dr_runtime *rt, dr_event_type type, json_t *fields) {
  if (!rt->options.observer) {
    json_decref(fields);
    return true;
  }
  json_t *masked = fields ? dr__secrets_mask_json(rt->secrets, fields) : NULL;
  json_decref(fields);
  dr_event *event = masked ? dr__event_make(type, masked) : NULL;
  if (!event) return false;
  rt->options.observer(event, rt->options.observer_data);
  dr__event_free(event);
  return true;
}

void dr__runtime_emit(dr_runtime *rt, dr_event_type type, json_t *fields) {
  dr__tell(rt, type, fields);
}
