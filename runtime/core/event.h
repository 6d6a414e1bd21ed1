/* core/event.h - events as the core makes them. */
#ifndef DR_CORE_EVENT_H
#define DR_CORE_EVENT_H

#include <deployrun.h>

#include <jansson.h>

/* Makes an event with the fields of a JSON object (reference taken over, also on failure). NULL
 * when memory is short. */
dr_event *dr__event_make(dr_event_type type, json_t *fields);

/* The same from JSON text, for tests. */
dr_event *dr__event_new(dr_event_type type, const char *json_fields);

void dr__event_free(dr_event *event);

#endif
