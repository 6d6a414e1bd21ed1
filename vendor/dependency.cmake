# How a dependency is found: by pkg-config, as the imported target deployrun::NAME. Nothing is downloaded and no
# third-party source is kept; each dependency has its own file here that says the least version and why.
#
# deployrun_dependency(NAME VERSION least [BELOW version] PACKAGE Debian-package MODULES pkg-config-module...)
#   takes the first module that is there in at least this version, sets deployrun_NAME_module to it, and makes
#   deployrun::NAME. Several modules: the same library under the names different distributions give it.
#   A dependency that is missing is noted, so that one configuration names all of them. The call stands on one line:
#   bootstrap.sh reads module and package from it.
# deployrun_header_dependency(NAME VERSION least PACKAGE Debian-package HEADER file MACRO name LIBRARY name)
#   the same for a library without a pkg-config module: found by its header, in which MACRO is the version as a number.
#   The static library is taken before the shared one. Sets deployrun_NAME_library to its name.
# deployrun_missing_dependencies(OUT)  the notes, one line each; empty when all are there
# deployrun_require_dependencies()     stops with the notes when there are any
#
# These files are installed beside deployrunConfig.cmake, which finds the same dependencies for the static library.

find_package(PkgConfig QUIET)

function(deployrun_dependency name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "VERSION;BELOW;PACKAGE" "MODULES")
  if(TARGET deployrun::${name})
    return()
  endif()
  set(range "${arg_VERSION} or newer")
  if(arg_BELOW)
    set(range "${arg_VERSION} or newer, but below ${arg_BELOW}")
  endif()
  if(PKG_CONFIG_FOUND)
    foreach(module IN LISTS arg_MODULES)
      set(wanted "${module}>=${arg_VERSION}")
      if(arg_BELOW)
        list(APPEND wanted "${module}<${arg_BELOW}")
      endif()
      pkg_check_modules(deployrun_${name} QUIET IMPORTED_TARGET GLOBAL ${wanted})
      if(deployrun_${name}_FOUND)
        add_library(deployrun::${name} INTERFACE IMPORTED GLOBAL)
        target_link_libraries(deployrun::${name} INTERFACE PkgConfig::deployrun_${name})
        set(deployrun_${name}_module ${module} CACHE INTERNAL "pkg-config module of ${name}")
        return()
      endif()
    endforeach()
  endif()
  set_property(GLOBAL APPEND PROPERTY deployrun_missing
    "${name}: version ${range} (Debian package ${arg_PACKAGE})")
endfunction()

function(deployrun_header_dependency name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "VERSION;PACKAGE;HEADER;MACRO;LIBRARY" "")
  if(TARGET deployrun::${name})
    return()
  endif()
  find_path(deployrun_${name}_INCLUDE ${arg_HEADER})
  find_library(deployrun_${name}_LIBRARY NAMES lib${arg_LIBRARY}.a ${arg_LIBRARY})
  mark_as_advanced(deployrun_${name}_INCLUDE deployrun_${name}_LIBRARY)
  set(found 0)
  if(deployrun_${name}_INCLUDE AND deployrun_${name}_LIBRARY)
    file(STRINGS "${deployrun_${name}_INCLUDE}/${arg_HEADER}" found REGEX "^#define ${arg_MACRO} [0-9]+")
    string(REGEX REPLACE ".* " "" found "0${found}")
  endif()
  if(found GREATER_EQUAL arg_VERSION)
    add_library(deployrun::${name} UNKNOWN IMPORTED GLOBAL)
    set_target_properties(deployrun::${name} PROPERTIES IMPORTED_LOCATION "${deployrun_${name}_LIBRARY}"
      INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${deployrun_${name}_INCLUDE}")
    set(deployrun_${name}_library ${arg_LIBRARY} CACHE INTERNAL "linker's name of ${name}")
    return()
  endif()
  set_property(GLOBAL APPEND PROPERTY deployrun_missing
    "${name}: ${arg_HEADER} with ${arg_MACRO} ${arg_VERSION} or newer (Debian package ${arg_PACKAGE})")
endfunction()

function(deployrun_missing_dependencies out)
  get_property(missing GLOBAL PROPERTY deployrun_missing)
  if(NOT PKG_CONFIG_FOUND)
    list(PREPEND missing "pkg-config itself, by which all others are found (Debian package pkg-config)")
  endif()
  list(JOIN missing "\n  " missing)
  set(${out} "${missing}" PARENT_SCOPE)
endfunction()

function(deployrun_require_dependencies)
  deployrun_missing_dependencies(missing)
  if(missing)
    message(FATAL_ERROR "These dependencies are missing or too old:\n  ${missing}\n"
      "`sh vendor/bootstrap.sh build test` installs them on Debian and Ubuntu.")
  endif()
endfunction()
