/* postgres/hazard_calls.c - judges the functions that a statement calls, wherever in it they stand.
 * Pure; one thread at a time.
 *
 * A function's name says nothing about what it does, and there is no catalog here. These are
 * PostgreSQL's own that migrations use; any other is unknown. */
#include "postgres/hazard_judge.h"

#include <string.h>

/* The same all through a statement. A blank before and behind each. */
static const char stable_names[] =
    " now transaction_timestamp statement_timestamp timezone date_trunc date_part date_bin age"
    " isfinite justify_days justify_hours justify_interval make_date make_time make_interval"
    " make_timestamp make_timestamptz to_char to_timestamp to_date to_number to_hex"
    " lower upper initcap length char_length character_length octet_length bit_length md5 sha224"
    " sha256 sha384 sha512 concat concat_ws format replace translate substring substr strpos"
    " position overlay starts_with btrim ltrim rtrim left right lpad rpad repeat reverse split_part"
    " chr ascii normalize is_normalized convert convert_from convert_to encode decode get_byte"
    " set_byte regexp_replace regexp_like regexp_count regexp_instr regexp_substr like_escape"
    " quote_ident quote_literal quote_nullable parse_ident"
    " abs sign round trunc ceil ceiling floor mod div gcd lcm sqrt cbrt power exp ln log log10"
    " degrees radians pi width_bucket scale min_scale trim_scale num_nulls num_nonnulls"
    " hashtext hash_record nullif extract"
    " jsonb_build_object jsonb_build_array json_build_object json_build_array to_json to_jsonb"
    " row_to_json array_to_json json_object jsonb_object jsonb_set jsonb_set_lax jsonb_insert"
    " json_strip_nulls jsonb_strip_nulls jsonb_pretty json_typeof jsonb_typeof"
    " json_array_length jsonb_array_length json_extract_path json_extract_path_text"
    " jsonb_extract_path jsonb_extract_path_text jsonb_path_exists jsonb_path_match"
    " jsonb_path_query_array jsonb_path_query_first"
    " array_to_string string_to_array array_length array_upper array_lower array_ndims array_fill"
    " array_position array_positions array_append array_prepend array_cat array_remove"
    " array_replace cardinality trim_array"
    " int4range int8range numrange tsrange tstzrange daterange isempty lower_inc upper_inc"
    " lower_inf upper_inf range_merge"
    " to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery setweight"
    " ts_rank ts_rank_cd ts_headline strip numnode querytree tsvector_to_array array_to_tsvector"
    " host hostmask netmask network masklen family broadcast abbrev"
    " current_setting current_database current_schema current_schemas version pg_backend_pid"
    " to_regclass to_regtype to_regproc to_regprocedure to_regnamespace to_regrole pg_typeof ";

/* These change nothing that others see, though they may differ from row to row. */
static const char harmless_names[] =
    " count sum min max avg stddev stddev_pop stddev_samp variance var_pop var_samp corr"
    " array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg range_agg xmlagg"
    " bool_and bool_or every bit_and bit_or bit_xor percentile_cont percentile_disc mode grouping"
    " row_number rank dense_rank percent_rank cume_dist lag lead ntile first_value last_value"
    " nth_value unnest generate_series generate_subscripts string_to_table regexp_matches"
    " regexp_match regexp_split_to_table regexp_split_to_array json_each json_each_text jsonb_each"
    " jsonb_each_text json_array_elements json_array_elements_text jsonb_array_elements"
    " jsonb_array_elements_text json_object_keys jsonb_object_keys json_populate_record"
    " jsonb_populate_record json_populate_recordset jsonb_populate_recordset json_to_record"
    " jsonb_to_record json_to_recordset jsonb_to_recordset jsonb_path_query"
    " random clock_timestamp timeofday gen_random_uuid uuid_generate_v4 uuid_generate_v1"
    " nextval currval lastval pg_sleep pg_notify txid_current pg_current_xact_id"
    " pg_get_serial_sequence pg_total_relation_size pg_relation_size pg_table_size"
    " pg_indexes_size pg_database_size pg_column_size pg_size_pretty has_table_privilege"
    " has_schema_privilege has_column_privilege has_sequence_privilege has_database_privilege"
    " has_function_privilege pg_has_role pg_is_in_recovery obj_description col_description"
    " shobj_description pg_table_is_visible pg_type_is_visible pg_function_is_visible"
    " pg_get_constraintdef pg_get_indexdef pg_get_viewdef pg_get_functiondef pg_get_triggerdef"
    " pg_get_expr pg_get_userbyid pg_get_function_identity_arguments format_type ";

/* Those that do more: what it is. */
typedef struct effect_entry {
  const char *names;
  dr_sql_rule_id rule;
} effect_entry;

static const effect_entry effects[] = {
    {" setval ", DR_SQL_RULE_SET_SEQUENCE},
    {" pg_advisory_lock pg_advisory_lock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared"
     " pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock"
     " pg_try_advisory_xact_lock_shared ",
     DR_SQL_RULE_ADVISORY_LOCK},
    {" pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all ",
     DR_SQL_RULE_ADVISORY_UNLOCK},
    {" pg_terminate_backend pg_cancel_backend ", DR_SQL_RULE_END_SESSION},
    {" pg_reload_conf pg_rotate_logfile pg_switch_wal pg_create_restore_point ",
     DR_SQL_RULE_SERVER_CALL},
    {" lo_unlink lo_truncate lo_truncate64 lo_put lowrite ", DR_SQL_RULE_LARGE_OBJECT},
    {" set_config ", DR_SQL_RULE_NOTHING},
};

static bool is_among(const char *name, const char *names) {
  size_t length = strlen(name);
  if (length == 0 || strchr(name, ' ')) return false;
  for (const char *at = names; (at = strstr(at, name)) != NULL; at += length) {
    if (at > names && at[-1] == ' ' && at[length] == ' ') return true;
  }
  return false;
}

/* The name that a FuncCall calls when it is one of PostgreSQL's own; "" for any other. */
static const char *own_name(const dr_sql_world *world, const json_t *fields) {
  const json_t *names = dr__tree_array(fields, "funcname");
  const char *name = dr__tree_last(names);
  if (json_array_size(names) > 1)
    return strcmp(dr__tree_string(json_array_get(names, 0)), "pg_catalog") == 0 ? name : "";
  return dr__world_hides_own(world, name) ? "" : name;
}

/* True for an operator that scripts created. */
static bool is_new_operator(const dr_sql_world *world, const char *kind, const json_t *fields) {
  return strcmp(kind, "A_Expr") == 0 &&
         dr__world_hides_own(world, dr__tree_last(dr__tree_array(fields, "name")));
}

/* ------------------------------------------------------------ volatile */

static bool is_volatile(const char *kind, json_t *fields, void *data) {
  const dr_sql_world *world = data;
  return is_new_operator(world, kind, fields) ||
         (strcmp(kind, "FuncCall") == 0 && !is_among(own_name(world, fields), stable_names));
}

bool dr__calls_volatile(const dr_sql_world *world, json_t *expression) {
  return is_volatile(dr__tree_kind(expression), dr__tree_fields(expression), (void *)world) ||
         dr__tree_any(expression, is_volatile, (void *)world);
}

/* ------------------------------------------------------------ what they do */

/* The first argument when it is a constant text, with or without a cast; "" for another. */
static const char *first_argument(const json_t *fields) {
  const json_t *argument = json_array_get(dr__tree_array(fields, "args"), 0);
  const json_t *cast = dr__tree_as(argument, "TypeCast");
  const json_t *constant = dr__tree_as(cast ? json_object_get(cast, "arg") : argument, "A_Const");
  return dr__tree_text(json_object_get(constant, "sval"), "sval");
}

static const effect_entry *effect_of(const char *name) {
  for (size_t i = 0; i < sizeof effects / sizeof *effects; i++) {
    if (is_among(name, effects[i].names)) return &effects[i];
  }
  return NULL;
}

static void judge_effect(dr_sql_judgement *j, dr_sql_rule_id rule, const char *name,
                         const json_t *fields) {
  const char *argument = first_argument(fields);
  if (rule == DR_SQL_RULE_NOTHING && (!*argument || dr__moves_names(argument)))
    dr__world_new_path(j->world);
  if (rule == DR_SQL_RULE_NOTHING && (!*argument || dr__skips_triggers(argument)))
    rule = DR_SQL_RULE_SKIP_TRIGGERS;
  if (rule == DR_SQL_RULE_SET_SEQUENCE && *argument)
    dr__judge(j, rule, argument, NULL);
  else
    dr__judge(j, rule, NULL, name);
}

static bool judge_call(const char *kind, json_t *fields, void *data) {
  const dr_sql_judgement *j = data;
  if (is_new_operator(j->world, kind, fields))
    dr__judge(data, DR_SQL_RULE_CALL, NULL, dr__tree_last(dr__tree_array(fields, "name")));
  if (strcmp(kind, "FuncCall") != 0) return false;
  const char *name = own_name(j->world, fields);
  const effect_entry *effect = effect_of(name);
  if (effect)
    judge_effect(data, effect->rule, name, fields);
  else if (!is_among(name, stable_names) && !is_among(name, harmless_names))
    dr__judge(data, DR_SQL_RULE_CALL, NULL, dr__tree_last(dr__tree_array(fields, "funcname")));
  return false;
}

void dr__judge_calls(dr_sql_judgement *j, json_t *tree) {
  dr__tree_any(tree, judge_call, j);
}
