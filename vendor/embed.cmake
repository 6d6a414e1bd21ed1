# Lua files, and other texts, compiled into the library.
#
# deployrun_embed_lua(TARGET FILE...) makes of each runtime/lua/prelude.lua a C file in the build tree with
#
#   const dr_lua_source dr__lua_prelude = {"runtime/lua/prelude.lua", its bytes, their number, what Lua makes of it};
#
# (the struct is in ops/binding.h; a NUL follows the bytes, not counted) and adds it to TARGET. The name is the file's
# without ".lua", other characters than letters and digits made "_"; it must be unique. embed.c writes the C file.

add_executable(deployrun-embed vendor/embed.c)
deployrun_target_flags(deployrun-embed)
target_link_libraries(deployrun-embed PRIVATE deployrun::lua)

function(deployrun_embed_lua target)
  set(folder "${PROJECT_BINARY_DIR}/generated/embedded")
  foreach(file IN LISTS ARGN)
    get_filename_component(input "${file}" ABSOLUTE)
    get_filename_component(name "${file}" NAME_WE)
    string(REGEX REPLACE "[^A-Za-z0-9]" "_" name "${name}")
    file(RELATIVE_PATH path "${PROJECT_SOURCE_DIR}" "${input}")

    get_property(names GLOBAL PROPERTY deployrun_embedded_names)
    if(name IN_LIST names)
      message(FATAL_ERROR "deployrun_embed_lua: two embedded files are named ${name}; the second is ${path}")
    endif()
    set_property(GLOBAL APPEND PROPERTY deployrun_embedded_names "${name}")

    file(MAKE_DIRECTORY "${folder}")
    set(output "${folder}/${name}.c")
    add_custom_command(
      OUTPUT "${output}"
      COMMAND deployrun-embed "${name}" "${path}" "${input}" "${output}"
      DEPENDS "${input}" deployrun-embed
      COMMENT "Embedding ${path}"
      VERBATIM)
    target_sources(${target} PRIVATE "${output}")
    list(APPEND outputs "${output}")
  endforeach()
  if(outputs)
    # TARGET may have been made in another folder, and a custom command is known in its own only: a target of this
    # folder carries it over.
    set_source_files_properties(${outputs} PROPERTIES GENERATED ON)
    get_filename_component(here "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
    add_custom_target(${target}-lua-of-${here} DEPENDS ${outputs})
    add_dependencies(${target} ${target}-lua-of-${here})
  endif()
endfunction()
